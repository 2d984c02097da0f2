//! The files and directories that a gate works with, but for its log.

use std::io::ErrorKind;

use jiff::Timestamp;
use octroi_policy::catalogue::Id;
use octroi_policy::diagnostic::Severity;

use super::{At, Code, Finding, StartError, error, whoami};
use crate::admin::{Token, TokenError};
use crate::certificate::{CertificateError, Certificates};
use crate::config::{Config, Tls};
use crate::server::start::ADMIN;
use crate::server::upgrade::{DoorError, Place};
use crate::state::State;

/// What is wrong with the certificate files of each listener, and what should be known of them.
pub(super) fn certificates(config: &Config) -> Vec<Finding> {
    let listeners = config.listeners.iter();
    let all = listeners.map(|it| (it.name.clone(), it.tls.as_ref()));
    let all = all.chain([(Id::from(ADMIN), config.admin.tls.as_ref())]);
    let tried = all.filter_map(|(name, tls)| Some((name, tls?)));
    tried
        .flat_map(
            |(name, tls)| match Certificates::rehearse(tls, Timestamp::now()) {
                Ok(doubts) => doubts.iter().map(|doubt| doubtful(&name, doubt)).collect(),
                Err(error) => vec![unusable(&name, tls, error)],
            },
        )
        .collect()
}

/// A key of a listener, or of the admin listener.
fn key_at(name: &Id, key: &'static str) -> At {
    match &**name {
        ADMIN => At::Key(format!("admin.{key}")),
        _ => At::Listener(name.clone(), key),
    }
}

/// What is wrong with the token of the admin listener.
pub(super) fn token(config: &Config) -> Option<Finding> {
    let failed = Token::rehearse(config.admin.token.as_deref()?).err()?;
    let help = match &failed {
        TokenError::Unreadable { error, .. } if error.kind() != ErrorKind::NotFound => {
            format!("let the gate's user read it; this was tried as {}", whoami())
        }
        _ => "make one: (umask 077; head -c 32 /dev/urandom | base64 > TOKEN), and let the gate's user read it".to_owned(),
    };
    let failed = StartError::Token(failed);
    Some(error(
        Code::AdminToken,
        At::key("admin.token"),
        &failed,
        help,
    ))
}

fn doubtful(name: &Id, doubt: &str) -> Finding {
    Finding {
        code: Code::CertificateDoubtful,
        severity: Severity::Warning,
        at: key_at(name, "tls.certificate"),
        message: doubt.to_owned(),
        help: "put new files in place: they are read when they change, without a restart"
            .to_owned(),
    }
}

fn unusable(name: &Id, tls: &Tls, failed: CertificateError) -> Finding {
    let at = key_at(name, key_of(tls, &failed));
    let help = match &failed {
        CertificateError::Unreadable { error, .. } if error.kind() == ErrorKind::NotFound => {
            "put the file there, or name the one that is".to_owned()
        }
        CertificateError::Unreadable { .. } => {
            format!(
                "let the gate's user read it; this was tried as {}",
                whoami()
            )
        }
        CertificateError::Mismatch { .. } => {
            "issue the certificate for this key, or name the key it was issued for".to_owned()
        }
        _ => "give it as PEM: `openssl x509 -in FILE -noout -text` shows a certificate".to_owned(),
    };
    let failed = StartError::Certificate {
        listener: name.clone(),
        error: failed,
    };
    error(Code::Certificate, at, &failed, help)
}

/// The key whose file it is about.
fn key_of(tls: &Tls, failed: &CertificateError) -> &'static str {
    let path = match failed {
        CertificateError::Unreadable { path, .. }
        | CertificateError::Pem { path, .. }
        | CertificateError::Unusable { path, .. }
        | CertificateError::Expired { path, .. }
        | CertificateError::NotYetValid { path, .. } => path,
        CertificateError::Mismatch { key, .. } => key,
    };
    let clients = tls.clients.as_ref();
    if *path == tls.key {
        "tls.key"
    } else if clients.is_some_and(|it| it.authorities == *path) {
        "tls.client_ca"
    } else if clients.is_some_and(|it| it.revoked.as_ref() == Some(path)) {
        "tls.client_crl"
    } else {
        "tls.certificate"
    }
}

/// A gate serves without its state, and remembers nothing.
pub(super) fn state(config: &Config) -> Option<Finding> {
    let failed = State::rehearse(config.state.directory.as_deref()?).err()?;
    Some(Finding {
        code: Code::State,
        severity: Severity::Warning,
        at: At::key("state.path"),
        message: failed.to_string(),
        help: format!(
            "`install -d -m 0700 -o USER` makes one for the gate's user; this was tried as {}: \
             without it a gate serves, and does not start with a broken policy",
            whoami()
        ),
    })
}

/// What a running gate holds is expected: it is the one to upgrade.
pub(super) fn upgrade(config: &Config) -> Option<Finding> {
    let failed = Place::rehearse(&config.upgrade).err()?;
    let is_taken = matches!(failed, DoorError::Taken { .. });
    let text = failed.to_string();
    let (message, help) = text.split_once("\nhelp: ").unwrap_or((&text, ""));
    let help = match help {
        "" => format!(
            "let the gate's user write there; this was tried as {}",
            whoami()
        ),
        help => help.to_owned(),
    };
    let (code, severity) = if is_taken {
        (Code::GateRuns, Severity::Warning)
    } else {
        (Code::UpgradePath, Severity::Error)
    };
    Some(Finding {
        code,
        severity,
        at: At::key("upgrade.path"),
        message: message.to_owned(),
        help,
    })
}

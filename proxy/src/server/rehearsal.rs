//! What `run` would trip over, found without serving: each step of [`start`](super::start) is tried
//! by the code that takes it, and given back. Nothing is written, and sockets are held for an instant.
//!
//! What stops the start is an error in the words of [`StartError`]; what does not is advice, which
//! `run` gives too, in its log.

mod advice;
mod files;
mod holder;

use std::io::ErrorKind;
use std::net::SocketAddr;

use octroi_policy::catalogue::Id;
use octroi_policy::diagnostic::Severity;

use super::start::StartError;
use super::{BindError, Listen};
use crate::config::overlap::meet;
use crate::config::{Config, Places};
use crate::dns::Resolver;
use crate::ledger::{Ledger, LedgerError};
use crate::limits::raise_descriptors;

pub(super) use advice::advice;
use holder::Holder;

/// One thing that stops a gate from starting, or that its operator should know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    /// What kind of thing.
    pub(crate) code: Code,
    /// Error: `run` does not start.
    pub(crate) severity: Severity,
    /// The key that it is about.
    pub(crate) at: At,
    /// Lower case, no full stop.
    pub(crate) message: String,
    /// What to do about it.
    pub(crate) help: String,
}

/// A key of `octroi.yaml`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum At {
    /// By its name, such as `audit.path`.
    Key(String),
    /// A key of the listener with this name.
    Listener(Id, &'static str),
}

impl At {
    pub(super) fn key(key: &str) -> Self {
        Self::Key(key.to_owned())
    }

    /// The key as [`Places`] knows it.
    pub(crate) fn in_file(&self, places: &Places) -> String {
        match self {
            Self::Key(key) => key.clone(),
            Self::Listener(name, value) => places.listener(name, value),
        }
    }
}

/// Declares the kinds of findings with their words.
macro_rules! codes {
    ($($(#[$doc:meta])* $variant:ident = $word:literal,)*) => {
        /// What kind of finding it is.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Code { $($(#[$doc])* $variant,)* }

        impl Code {
            /// All of them.
            #[cfg(test)]
            pub(crate) const ALL: &[Self] = &[$(Self::$variant),*];

            /// The word for it.
            pub(crate) fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)* }
            }
        }
    };
}

codes! {
    /// An address cannot be listened on.
    CannotListen = "cannot-listen",
    /// An address is in use by a gate: most likely by this one.
    GateRuns = "gate-runs",
    /// The audit log cannot be opened.
    AuditUnwritable = "audit-unwritable",
    /// The audit log could not be set aside when it is full.
    AuditRotation = "audit-rotation",
    /// The key for addresses cannot be used.
    AuditKey = "audit-key",
    /// The key for addresses is no secret.
    KeyReadable = "key-readable",
    /// The machine's resolver configuration cannot be read.
    Resolver = "resolver",
    /// The certificate files of a listener cannot be used.
    Certificate = "certificate",
    /// They can, and something about them should be known.
    CertificateDoubtful = "certificate-doubtful",
    /// Nothing will be remembered over a restart.
    State = "state",
    /// Old and new gate cannot meet for an upgrade.
    UpgradePath = "upgrade-path",
    /// More connections than descriptors carry.
    TooManyConnections = "too-many-connections",
    /// The token of the admin listener cannot be used.
    AdminToken = "admin-token",
    /// The token of the admin listener goes over the network in clear.
    AdminTokenInClear = "admin-token-in-clear",
    /// The admin listener is within reach of others and asks nobody who they are.
    AdminReachable = "admin-reachable",
    /// An exception opens the gate's own machine.
    OwnMachineOpen = "own-machine-open",
    /// An exception from nothing.
    UselessException = "useless-exception",
    /// Browsers are sent to a port where nobody listens.
    PacWithoutListener = "pac-without-listener",
}

/// Everything that can be found before the policy is read, in the order in which `run` would.
pub(crate) fn rehearse(config: &Config) -> Vec<Finding> {
    let descriptors = raise_descriptors();
    let books = Ledger::rehearse(&config.audit).into_iter();
    let mut found: Vec<_> = books.map(of_ledger).collect();
    if let Err(error) = Resolver::new(&config.dns) {
        found.push(of_resolver(StartError::Resolver(error)));
    }
    found.extend(files::certificates(config));
    found.extend(files::token(config));
    found.extend(files::state(config));
    found.extend(files::upgrade(config));
    found.extend(sockets(config));
    found.extend(advice(config, descriptors));
    found
}

fn error(code: Code, at: At, error: &StartError, help: impl Into<String>) -> Finding {
    let text = error.to_string();
    Finding {
        code,
        severity: Severity::Error,
        at,
        message: text.strip_prefix("error: ").unwrap_or(&text).to_owned(),
        help: help.into(),
    }
}

fn of_ledger(failed: LedgerError) -> Finding {
    let (code, key, help) = match &failed {
        LedgerError::Key(_) => (
            Code::AuditKey,
            "audit.key",
            "make one: (umask 077; head -c 32 /dev/urandom > KEY), and let the gate's user read it"
                .to_owned(),
        ),
        LedgerError::Audit { error, .. } if error.kind() == ErrorKind::NotFound => (
            Code::AuditUnwritable,
            "audit.path",
            "make its directory, and let the gate's user write there".to_owned(),
        ),
        _ => (
            Code::AuditUnwritable,
            "audit.path",
            format!(
                "let the gate's user write there; this was tried as {}",
                whoami()
            ),
        ),
    };
    error(code, At::key(key), &StartError::Ledger(failed), help)
}

fn of_resolver(found: StartError) -> Finding {
    let help = "mend /etc/resolv.conf, or name servers: `servers: [192.0.2.53]`";
    error(Code::Resolver, At::key("dns.servers"), &found, help)
}

/// Takes every socket, as `run` does, and gives all of them back.
fn sockets(config: &Config) -> Vec<Finding> {
    let admin = (At::key("admin.address"), config.admin.address, false);
    let listeners = config.listeners.iter();
    let listeners = listeners.map(|it| {
        let at = At::Listener(it.name.clone(), "address");
        (at, it.address, it.takes_all())
    });
    let (mut held, mut found) = (Vec::<Listen>::new(), Vec::new());
    for (at, address, takes_all) in std::iter::once(admin).chain(listeners) {
        match Listen::bind(address, takes_all) {
            Ok(socket) => held.push(socket),
            // Ours is in the way: that addresses meet is found where the file is read.
            Err(_) if held.iter().any(|it| meet(it.address(), address)) => {}
            Err(error) => found.push(of_bind(at, error)),
        }
    }
    found
}

fn of_bind(at: At, failed: BindError) -> Finding {
    let address = failed.address;
    let help = match failed.error.kind() {
        ErrorKind::AddrInUse => match Holder::of(address) {
            Holder::Gate(pid) => return in_use_by_gate(at, address, pid),
            Holder::Other { name, pid } => {
                format!("{name} (pid {pid}) listens there: stop it, or choose another port")
            }
            Holder::Unknown => {
                "another program listens there: find it with `ss -ltnp`, or choose another port"
                    .to_owned()
            }
        },
        ErrorKind::PermissionDenied if failed.lacks_right => format!(
            "give it to {} with `AmbientCapabilities=CAP_NET_ADMIN` in the unit, or use `capture: redirect`",
            whoami()
        ),
        ErrorKind::PermissionDenied if address.port() < 1024 => format!(
            "ports below 1024 need CAP_NET_BIND_SERVICE, which {} has not; the systemd unit can give it",
            whoami()
        ),
        ErrorKind::AddrNotAvailable => {
            "no interface of this machine has the address: see `ip address`".to_owned()
        }
        _ => "choose another address".to_owned(),
    };
    error(Code::CannotListen, at, &StartError::Bind(failed), help)
}

fn in_use_by_gate(at: At, address: SocketAddr, pid: u32) -> Finding {
    Finding {
        code: Code::GateRuns,
        severity: Severity::Warning,
        at,
        message: format!("{address} is in use by the octroi that runs (pid {pid})"),
        help: "expected, if that is this gate: it was not tried whether it can be listened on"
            .to_owned(),
    }
}

/// The user that this process is.
pub(crate) fn whoami() -> String {
    let uid = rustix::process::geteuid().as_raw();
    let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let named = users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(uid)).then_some(name)
    });
    named.map_or_else(
        || format!("uid {uid}"),
        |name| format!("{name} (uid {uid})"),
    )
}

#[cfg(test)]
mod tests;

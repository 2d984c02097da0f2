//! From files to what rustls serves with: everything that can be wrong with them is told here, with the
//! file's name.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use ring::digest::{Context, SHA256};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::{RootCertStore, ServerConfig};
use thiserror::Error;
use x509_parser::prelude::{CertificateRevocationList, FromDer, X509Certificate};
use x509_parser::time::ASN1Time;

use crate::config::{ClientCertificates, Demand, Tls};

/// Far more than a chain or a bundle of authorities has.
const MOST: u64 = 1 << 20;
/// A busy authority's list of revocations.
const MOST_REVOCATIONS: u64 = 32 << 20;
/// May be read by everybody: not a secret.
const OTHERS_READ: u32 = 0o004;
/// The last days of a certificate are worth a word.
const SOON: SignedDuration = SignedDuration::from_hours(14 * 24);
/// All that is spoken inside: the gate's listeners serve HTTP/1.1.
const ALPN: &[u8] = b"http/1.1";

pub(super) type Digest = [u8; 32];

/// The files of a TLS listener cannot be used.
#[derive(Debug, Error)]
pub enum CertificateError {
    /// One cannot be read.
    #[error("cannot read `{}`: {error}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// One does not hold what it should, or not the whole of it.
    #[error("`{}` holds no whole {what} in PEM form", path.display())]
    Pem {
        /// The file.
        path: PathBuf,
        /// What it should hold.
        what: &'static str,
    },
    /// One holds something that cannot be used.
    #[error("`{}` cannot be used: {error}", path.display())]
    Unusable {
        /// The file.
        path: PathBuf,
        /// Why, in the words of the TLS library.
        error: String,
    },
    /// Certificate and key do not belong together.
    #[error("the key `{}` is not that of the certificate `{}`", key.display(), certificate.display())]
    Mismatch {
        /// The certificate.
        certificate: PathBuf,
        /// The key.
        key: PathBuf,
    },
    /// The certificate has ended.
    #[error("the certificate `{}` expired at {at}", path.display())]
    Expired {
        /// The file.
        path: PathBuf,
        /// When.
        at: Timestamp,
    },
    /// The certificate has not begun.
    #[error("the certificate `{}` is not valid before {at}", path.display())]
    NotYetValid {
        /// The file.
        path: PathBuf,
        /// When it begins.
        at: Timestamp,
    },
}

impl CertificateError {
    /// The exit code of a start that fails on it: sysexits' `EX_IOERR` or `EX_CONFIG`.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Unreadable { .. } => 74,
            _ => 78,
        }
    }
}

/// What the files of a listener amount to.
pub struct Loaded {
    /// What connections are served with.
    pub config: Arc<ServerConfig>,
    /// When the certificate begins.
    pub not_before: Timestamp,
    /// When it ends.
    pub not_after: Timestamp,
    pub(super) digest: Digest,
    readable_key: Option<PathBuf>,
    stale_revocations: Option<(PathBuf, Timestamp)>,
}

impl Loaded {
    /// Whether the certificate may be shown at the instant `now`.
    pub(super) fn check_dates(&self, files: &Tls, now: Timestamp) -> Result<(), CertificateError> {
        let path = files.certificate.clone();
        if now < self.not_before {
            let at = self.not_before;
            Err(CertificateError::NotYetValid { path, at })
        } else if now >= self.not_after {
            let at = self.not_after;
            Err(CertificateError::Expired { path, at })
        } else {
            Ok(())
        }
    }

    /// What is worth a word though nothing stops on it.
    #[must_use]
    pub fn findings(&self, now: Timestamp) -> Vec<String> {
        let mut findings = Vec::new();
        if let Some(path) = &self.readable_key {
            let path = path.display();
            findings.push(format!(
                "everybody on this machine can read the key `{path}`: take that right away"
            ));
        }
        if now < self.not_after && self.not_after.duration_since(now) < SOON {
            findings.push(format!("the certificate ends soon, at {}", self.not_after));
        }
        if let Some((path, at)) = &self.stale_revocations
            && *at <= now
        {
            let path = path.display();
            findings.push(format!(
                "a newer list of revocations than `{path}` was due at {at}: it is still applied"
            ));
        }
        findings
    }
}

/// Reads and checks the files of a listener; dates alone do not stop it.
///
/// # Errors
/// [`CertificateError`] names the file.
pub fn load(files: &Tls) -> Result<Loaded, CertificateError> {
    let mut digest = Context::new(&SHA256);
    let mut read = |path: &Path, most: u64| -> Result<Vec<u8>, CertificateError> {
        let bytes = read(path, most)?;
        digest.update(&(bytes.len() as u64).to_be_bytes());
        digest.update(&bytes);
        Ok(bytes)
    };
    let certificate = read(&files.certificate, MOST)?;
    let chain = certificates(&certificate, &files.certificate)?;
    let key_text = read(&files.key, MOST)?;
    let key = key(&key_text, &files.key)?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut stale_revocations = None;
    let verifier = match &files.clients {
        None => None,
        Some(clients) => {
            let authorities = read(&clients.authorities, MOST)?;
            let revoked = match &clients.revoked {
                None => Vec::new(),
                Some(path) => {
                    let (lists, next) = revocations(&read(path, MOST_REVOCATIONS)?, path)?;
                    stale_revocations = next.map(|at| (path.clone(), at));
                    lists
                }
            };
            Some(verifier(clients, &authorities, revoked, &provider)?)
        }
    };
    let (not_before, not_after) = validity(&chain, &files.certificate)?;
    let config = config(files, chain, key, verifier, provider)?;
    let mut whole = Digest::default();
    whole.copy_from_slice(digest.finish().as_ref());
    Ok(Loaded {
        config: Arc::new(config),
        not_before,
        not_after,
        digest: whole,
        readable_key: is_public(&files.key).then(|| files.key.clone()),
        stale_revocations,
    })
}

fn config(
    files: &Tls,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    verifier: Option<Arc<dyn ClientCertVerifier>>,
    provider: Arc<CryptoProvider>,
) -> Result<ServerConfig, CertificateError> {
    let unusable = |error: rustls::Error| match error {
        rustls::Error::InconsistentKeys(_) => CertificateError::Mismatch {
            certificate: files.certificate.clone(),
            key: files.key.clone(),
        },
        rustls::Error::InvalidCertificate(_) => unusable(&files.certificate, &error),
        _ => unusable(&files.key, &error),
    };
    let builder = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(unusable)?;
    let names_clients = verifier.is_some();
    let builder = match verifier {
        Some(verifier) => builder.with_client_cert_verifier(verifier),
        None => builder.with_no_client_auth(),
    };
    let mut config = builder.with_single_cert(chain, key).map_err(unusable)?;
    config.alpn_protocols = vec![ALPN.to_vec()];
    if names_clients {
        // A resumed session would not be held against the authorities, dates and revocations again.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
    }
    Ok(config)
}

fn verifier(
    clients: &ClientCertificates,
    authorities: &[u8],
    revoked: Vec<CertificateRevocationListDer<'static>>,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ClientCertVerifier>, CertificateError> {
    let path = &clients.authorities;
    let mut roots = RootCertStore::empty();
    for authority in certificates(authorities, path)? {
        roots
            .add(authority)
            .map_err(|error| unusable(path, &error))?;
    }
    let builder =
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider))
            .with_crls(revoked);
    let builder = match clients.demand {
        Demand::Required => builder,
        Demand::Optional => builder.allow_unauthenticated(),
    };
    let path = clients.revoked.as_ref().unwrap_or(path);
    builder.build().map_err(|error| unusable(path, &error))
}

fn unusable(path: &Path, error: &dyn std::error::Error) -> CertificateError {
    CertificateError::Unusable {
        path: path.to_owned(),
        error: error.to_string(),
    }
}

fn read(path: &Path, most: u64) -> Result<Vec<u8>, CertificateError> {
    let read = || {
        let mut bytes = Vec::new();
        File::open(path)?.take(most + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > most {
            return Err(io::Error::other("it is larger than any such file"));
        }
        Ok(bytes)
    };
    read().map_err(|error| CertificateError::Unreadable {
        path: path.to_owned(),
        error,
    })
}

/// Every item of one kind; at least one, and none of them cut short.
fn items<T: PemObject>(
    text: &[u8],
    path: &Path,
    what: &'static str,
) -> Result<Vec<T>, CertificateError> {
    let broken = || CertificateError::Pem {
        path: path.to_owned(),
        what,
    };
    let items: Result<Vec<T>, pem::Error> = T::pem_slice_iter(text).collect();
    let items = items.map_err(|_| broken())?;
    // A file that ends inside a marker is still being written.
    let tail = text
        .rsplit(|&byte| byte == b'\n')
        .find(|line| !line.is_empty());
    let cut = tail.is_some_and(|line| {
        let line = line.trim_ascii();
        line.starts_with(b"-----") && !(line.starts_with(b"-----END ") && line.ends_with(b"-----"))
    });
    if items.is_empty() || cut {
        return Err(broken());
    }
    Ok(items)
}

fn certificates(
    text: &[u8],
    path: &Path,
) -> Result<Vec<CertificateDer<'static>>, CertificateError> {
    items(text, path, "certificate")
}

fn key(text: &[u8], path: &Path) -> Result<PrivateKeyDer<'static>, CertificateError> {
    let mut keys: Vec<PrivateKeyDer<'static>> = items(text, path, "private key")?;
    if keys.len() > 1 {
        let error = io::Error::other("it holds more than one key");
        return Err(unusable(path, &error));
    }
    Ok(keys.remove(0))
}

/// The lists, and when the first of them should have been replaced.
fn revocations(
    text: &[u8],
    path: &Path,
) -> Result<
    (
        Vec<CertificateRevocationListDer<'static>>,
        Option<Timestamp>,
    ),
    CertificateError,
> {
    let lists: Vec<CertificateRevocationListDer<'static>> =
        items(text, path, "list of revocations")?;
    let mut next: Option<Timestamp> = None;
    for list in &lists {
        let (_, parsed) =
            CertificateRevocationList::from_der(list).map_err(|error| unusable(path, &error))?;
        let at = parsed.next_update().map(instant);
        next = next.into_iter().chain(at).min();
    }
    Ok((lists, next))
}

fn validity(
    chain: &[CertificateDer<'_>],
    path: &Path,
) -> Result<(Timestamp, Timestamp), CertificateError> {
    let leaf: &[u8] = chain.first().map_or(&[], |leaf| leaf);
    let (_, leaf) = X509Certificate::from_der(leaf).map_err(|error| unusable(path, &error))?;
    let validity = leaf.validity();
    Ok((instant(validity.not_before), instant(validity.not_after)))
}

/// X.509 goes to the year 9999, as the timestamps here do.
fn instant(time: ASN1Time) -> Timestamp {
    let seconds = time.timestamp();
    Timestamp::from_second(seconds).unwrap_or(if seconds < 0 {
        Timestamp::MIN
    } else {
        Timestamp::MAX
    })
}

fn is_public(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|meta| meta.mode() & OTHERS_READ != 0)
}

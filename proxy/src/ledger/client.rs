//! How the log names who asked: by address, by a keyed hash of it, or not at all.
//!
//! The hash is HMAC-SHA-256 under a key that is derived anew each month, so that machines can be
//! told apart and counted within a month, and not followed beyond it. Whoever holds the key can
//! find an address by trying them all; without the key nobody can.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::net::IpAddr;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use ring::hmac;
use serde::Serialize;
use thiserror::Error;

use super::line::{Client, Endpoint, Line};
use crate::config::ClientAddress;

/// Fewer bytes could be guessed.
const LEAST_KEY: usize = 32;
/// More than any key has: the path is another file's.
const MOST_KEY: usize = 4096;
/// Bytes of a hash that are written: among a billion machines no two are the same.
const SHOWN: usize = 16;
/// Parts this use of the key from any other.
const PURPOSE: &str = "octroi audit client address ";
/// May be read by everybody: not a secret.
const OTHERS_READ: u32 = 0o004;

/// The key for clients' addresses cannot be used.
#[derive(Debug, Error)]
pub enum KeyError {
    /// It cannot be read.
    #[error("cannot read `{}`: {error}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// It is no key.
    #[error("`{}` has {length} bytes, and a key has {LEAST_KEY} to {MOST_KEY}", path.display())]
    Length {
        /// The file.
        path: PathBuf,
        /// Its length in bytes; one more than the most, if it is longer.
        length: usize,
    },
}

/// How clients are named.
pub(super) enum ClientNaming {
    Plain,
    Hashed(hmac::Key),
    None,
}

impl fmt::Debug for ClientNaming {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Plain => "Plain",
            Self::Hashed(_) => "Hashed(***)",
            Self::None => "None",
        })
    }
}

impl ClientNaming {
    pub(super) fn load(how: &ClientAddress) -> Result<Self, KeyError> {
        Ok(match how {
            ClientAddress::Plain => Self::Plain,
            ClientAddress::KeyedHash { key } => {
                Self::Hashed(hmac::Key::new(hmac::HMAC_SHA256, &read(key)?))
            }
            ClientAddress::None => Self::None,
        })
    }

    /// Whether an address may be remembered at all.
    pub(super) fn keeps(&self) -> bool {
        !matches!(self, Self::None)
    }

    /// Who asked at the instant `at`, in one word.
    pub(super) fn text(&self, ip: IpAddr, at: Timestamp) -> Option<String> {
        match self {
            Self::Plain => Some(ip.to_string()),
            Self::Hashed(key) => Some(hashed(key, ip, at).hash),
            Self::None => None,
        }
    }

    /// Writes who asked into a line of the instant `at`.
    pub(super) fn name<O: Serialize>(
        &self,
        line: &mut Line<'_, O>,
        ip: IpAddr,
        port: u16,
        at: Timestamp,
    ) {
        match self {
            Self::Plain => {
                line.source = Some(Endpoint {
                    ip: Some(ip),
                    port: Some(port),
                    ..Endpoint::default()
                });
            }
            // The port would tell flows of one machine apart, and that is not wanted here.
            Self::Hashed(key) => line.client = Some(hashed(key, ip, at)),
            Self::None => {}
        }
    }
}

fn hashed(key: &hmac::Key, ip: IpAddr, at: Timestamp) -> Client {
    let month = at.strftime("%Y-%m").to_string();
    let derived = hmac::sign(key, format!("{PURPOSE}{month}").as_bytes());
    let of_month = hmac::Key::new(hmac::HMAC_SHA256, derived.as_ref());
    let tag = match ip.to_canonical() {
        IpAddr::V4(ip) => hmac::sign(&of_month, &ip.octets()),
        IpAddr::V6(ip) => hmac::sign(&of_month, &ip.octets()),
    };
    Client {
        hash: URL_SAFE_NO_PAD.encode(&tag.as_ref()[..SHOWN]),
        key_id: month,
    }
}

/// Whether everybody on this machine can read a key.
pub(crate) fn is_key_exposed(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|meta| meta.mode() & OTHERS_READ != 0)
}

fn read(path: &Path) -> Result<Vec<u8>, KeyError> {
    let unreadable = |error| KeyError::Unreadable {
        path: path.to_owned(),
        error,
    };
    let file = File::open(path).map_err(unreadable)?;
    let mut key = Vec::new();
    let read = file.take(MOST_KEY as u64 + 1).read_to_end(&mut key);
    read.map_err(unreadable)?;
    if !(LEAST_KEY..=MOST_KEY).contains(&key.len()) {
        return Err(KeyError::Length {
            path: path.to_owned(),
            length: key.len(),
        });
    }
    Ok(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(bytes: &[u8]) -> Result<ClientNaming, KeyError> {
        let dir = tempfile::tempdir().unwrap();
        let key = dir.path().join("key");
        std::fs::write(&key, bytes).unwrap();
        ClientNaming::load(&ClientAddress::KeyedHash { key })
    }

    fn hash(naming: &ClientNaming, ip: &str, at: &str) -> (String, String) {
        let ClientNaming::Hashed(key) = naming else {
            panic!("{naming:?}");
        };
        let Client { hash, key_id } = hashed(key, ip.parse().unwrap(), at.parse().unwrap());
        (hash, key_id)
    }

    #[test]
    fn one_machine_is_one_hash_within_a_month_and_another_in_the_next() {
        let naming = key(&[7; 32]).unwrap();
        let first = hash(&naming, "192.0.2.4", "2026-11-01T00:00:00Z");
        assert_eq!(
            first,
            hash(&naming, "::ffff:192.0.2.4", "2026-11-30T23:59:59Z")
        );
        assert_eq!(first.1, "2026-11");
        assert_eq!(first.0.len(), 22);
        let next = hash(&naming, "192.0.2.4", "2026-12-01T00:00:00Z");
        assert_eq!(next.1, "2026-12");
        let others = [
            next.0,
            hash(&naming, "192.0.2.5", "2026-11-01T00:00:00Z").0,
            hash(&naming, "2001:db8::4", "2026-11-01T00:00:00Z").0,
            hash(&key(&[8; 32]).unwrap(), "192.0.2.4", "2026-11-01T00:00:00Z").0,
        ];
        assert!(!others.contains(&first.0), "{others:?}");
    }

    /// So that another program can find the hash of an address it knows:
    /// HMAC(HMAC(key, purpose + month), address), computed with Python's hmac.
    #[test]
    fn the_hash_is_the_one_documented() {
        let naming = key(&[0x6b; 32]).unwrap();
        assert_eq!(
            hash(&naming, "192.0.2.4", "2026-11-24T12:00:00Z").0,
            "1hctrmAk2zoYqSbmqKPNZQ"
        );
        assert_eq!(
            hash(&naming, "2001:db8::4", "2026-11-24T12:00:00Z").0,
            "cexjDLrx0s97bt_yZi-lDQ"
        );
    }

    #[test]
    fn a_key_that_is_none_is_refused_and_never_shown() {
        for length in [0, 31, 4097, 100_000] {
            let error = key(&vec![b'k'; length]).unwrap_err();
            assert!(matches!(error, KeyError::Length { .. }), "{error}");
            assert!(!error.to_string().contains("kkk"), "{error}");
        }
        let path = PathBuf::from("/nonexistent/key");
        let error = ClientNaming::load(&ClientAddress::KeyedHash { key: path }).unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("cannot read `/nonexistent/key`")
        );
        let shown = format!("{:?}", key(&[b'k'; 32]).unwrap());
        assert_eq!(shown, "Hashed(***)");
    }
}

//! The token of those who may read: from a file, read anew when it changes.
//!
//! It is not kept: only a mark of it is, under a key drawn when the process starts. What is brought is compared by its
//! mark, in constant time.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use jiff::Timestamp;
use ring::hmac;
use ring::rand::SystemRandom;
use thiserror::Error;

use crate::reload::on_disk::OnDisk;

/// Fewer characters could be guessed.
const LEAST: usize = 32;
/// More than any token has: the path is another file's.
const MOST: usize = 1024;

/// The token cannot be used.
#[derive(Debug, Error)]
pub enum TokenError {
    /// It cannot be read.
    #[error("cannot read `{}`: {error}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// It is too short, or no token at all.
    #[error("`{}` holds {length} characters, and a token has {LEAST} to {MOST}", path.display())]
    Length {
        /// The file.
        path: PathBuf,
        /// Its length without what is blank around it; one more than the most, if it is longer.
        length: usize,
    },
    /// It could not be sent.
    #[error("`{}` holds more than letters, digits and signs of ASCII in one line", path.display())]
    Character {
        /// The file.
        path: PathBuf,
    },
    /// This machine gives no randomness.
    #[error("this machine gives no randomness")]
    Random,
}

impl TokenError {
    /// The exit code of a start that fails on it: sysexits' `EX_IOERR` or `EX_CONFIG`.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Unreadable { .. } | Self::Random => 74,
            Self::Length { .. } | Self::Character { .. } => 78,
        }
    }
}

/// The token in force.
pub struct Token {
    path: PathBuf,
    key: hmac::Key,
    mark: ArcSwap<Vec<u8>>,
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Token({}, ***)", self.path.display())
    }
}

impl Token {
    /// Reads the token of a file.
    ///
    /// # Errors
    /// [`TokenError`] names the file, never what is in it.
    pub fn start(path: &Path) -> Result<Arc<Self>, TokenError> {
        let token = read(path)?;
        let key = hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new());
        let key = key.map_err(|_| TokenError::Random)?;
        let mark = mark(&key, &token);
        Ok(Arc::new(Self {
            path: path.to_owned(),
            key,
            mark: ArcSwap::from_pointee(mark),
        }))
    }

    /// Whether [`Token::start`] would succeed.
    ///
    /// # Errors
    /// As there.
    pub fn rehearse(path: &Path) -> Result<(), TokenError> {
        read(path).map(drop)
    }

    /// Whether this is the token in force.
    pub(super) fn is(&self, brought: &[u8]) -> bool {
        hmac::verify(&self.key, brought, &self.mark.load()).is_ok()
    }

    /// What tells the token in force from another, and nothing of it.
    pub(super) fn mark(&self) -> Arc<Vec<u8>> {
        self.mark.load_full()
    }
}

impl OnDisk for Token {
    fn paths(&self) -> Vec<PathBuf> {
        vec![self.path.clone()]
    }

    /// One that cannot be used leaves the last good one in place, loudly.
    fn read_anew(&self, _now: Timestamp) {
        match read(&self.path) {
            Ok(token) => {
                let mark = mark(&self.key, &token);
                if **self.mark.load() != mark {
                    self.mark.store(Arc::new(mark));
                    tracing::info!(path = %self.path.display(), "a new token of the admin listener is in force: sessions of the old one are over");
                }
            }
            Err(error) => {
                tracing::error!(
                    "{error}: the last good token of the admin listener stays in force"
                );
            }
        }
    }
}

fn mark(key: &hmac::Key, token: &[u8]) -> Vec<u8> {
    hmac::sign(key, token).as_ref().to_vec()
}

fn read(path: &Path) -> Result<Vec<u8>, TokenError> {
    let unreadable = |error| TokenError::Unreadable {
        path: path.to_owned(),
        error,
    };
    let mut text = Vec::new();
    let file = File::open(path).map_err(unreadable)?;
    // With room for the blanks around it.
    let read = file.take(2 * MOST as u64).read_to_end(&mut text);
    read.map_err(unreadable)?;
    let token = text.trim_ascii();
    let path = || path.to_owned();
    match token.len() {
        LEAST..=MOST if token.iter().all(u8::is_ascii_graphic) => Ok(token.to_vec()),
        LEAST..=MOST => Err(TokenError::Character { path: path() }),
        length => Err(TokenError::Length {
            path: path(),
            length: length.min(MOST + 1),
        }),
    }
}

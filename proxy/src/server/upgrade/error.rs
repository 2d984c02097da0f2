//! Why an upgrade did not happen.

use std::io;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::Duration;

use thiserror::Error;

use super::attempt::{MAX_ADDRESSES, MAX_SOCKETS};
use super::wire::PROTOCOL;
use super::{FAILED, REFUSED};

/// Why an upgrade did not happen. The old gate goes on.
#[derive(Debug, Error)]
pub enum UpgradeError {
    /// One at a time.
    #[error("an upgrade is under way already")]
    UnderWay,
    /// Nobody would start the container's first process anew.
    #[error("the gate is the first process of its container: replace the container")]
    FirstProcess,
    /// Pingora's hand-over carries only so much.
    #[error(
        "{0} listeners are more than a hand-over carries ({MAX_SOCKETS} and {MAX_ADDRESSES} bytes of addresses): restart the gate"
    )]
    TooManySockets(usize),
    /// The program does not start.
    #[error("cannot start `{}`: {error}", path.display())]
    Spawn {
        /// The program.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// It started and ended.
    #[error("`{}` ended before it served ({status})", path.display())]
    Ended {
        /// The program.
        path: PathBuf,
        /// How.
        status: ExitStatus,
    },
    /// The new gate says why it cannot serve.
    #[error("the new gate cannot serve: {0}")]
    Said(String),
    /// The new gate knows another hand-over.
    #[error(
        "the new gate (version {version}) speaks version {theirs} of the hand-over, this one {PROTOCOL}: restart the gate"
    )]
    Protocol {
        /// Its hand-over.
        theirs: u32,
        /// Its version.
        version: String,
    },
    /// The talk broke off.
    #[error("the new gate ended before it served: {0}")]
    Talk(#[from] io::Error),
    /// The sockets do not go over.
    #[error("cannot hand the listening sockets over: {0}")]
    Sockets(String),
    /// It took too long.
    #[error("the new gate does not serve after {0:?} (`upgrade.timeout`)")]
    Deadline(Duration),
    /// The gate was told to stop.
    #[error("the gate was told to stop")]
    Stopping,
}

impl UpgradeError {
    /// The label of `octroi_upgrades_total`.
    pub(super) fn result(&self) -> &'static str {
        match self {
            Self::UnderWay | Self::FirstProcess | Self::TooManySockets(_) => REFUSED,
            _ => FAILED,
        }
    }
}

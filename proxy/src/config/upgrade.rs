//! `upgrade:` how the gate hands its sockets over to another binary of itself.

use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use super::sense::{Sense, Text};

/// How long the new gate may take until it serves: some seconds for the policy, a second or two
/// for the sockets.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_mins(1);

/// How the gate hands over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upgrade {
    /// The directory of the sockets that old and new gate meet on, the gate's own alone. `None` =
    /// the one that systemd made (`RUNTIME_DIRECTORY`), else no upgrade without a restart.
    pub path: Option<PathBuf>,
    /// How long the new gate may take until it serves; then the old one goes on.
    pub timeout: Duration,
}

impl Default for Upgrade {
    fn default() -> Self {
        Self {
            path: None,
            timeout: DEFAULT_TIMEOUT,
        }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Typed {
    path: Option<Text>,
    timeout: Option<Text>,
}

pub(super) fn meaning(typed: &Typed, sense: &mut Sense<'_>) -> Upgrade {
    Upgrade {
        path: typed.path.as_ref().map(|path| sense.path(path)),
        timeout: sense.duration(
            "timeout",
            typed.timeout.as_ref(),
            DEFAULT_TIMEOUT,
            Duration::from_secs(1)..=Duration::from_hours(1),
        ),
    }
}

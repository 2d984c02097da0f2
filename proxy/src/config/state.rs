//! `state:` what the gate remembers over a restart.

use std::path::PathBuf;

use serde::Deserialize;

use super::sense::{Sense, Text};

/// What the gate remembers over a restart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// The directory that holds it; `None` = nothing is remembered, and a bundle that does not pass stops the start.
    pub directory: Option<PathBuf>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Typed {
    path: Option<Text>,
}

pub(super) fn meaning(typed: &Typed, sense: &mut Sense<'_>) -> State {
    State {
        directory: typed.path.as_ref().map(|path| sense.path(path)),
    }
}

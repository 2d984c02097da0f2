//! `audit:` where the log of every decision goes.

use std::path::PathBuf;

use serde::Deserialize;

use super::sense::{NotYet, Sense, Text};

/// The log of every decision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Audit {
    /// Where it goes.
    pub sink: Sink,
    /// How a client's address is written.
    pub client_address: ClientAddress,
    /// What happens while it cannot be written.
    pub on_failure: OnFailure,
}

/// Where the log goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sink {
    /// Appended to this file.
    File(PathBuf),
    /// Standard output (no `path`): for a first try, and where something else collects it.
    StandardOutput,
    /// Nowhere (`path: none`): counters only.
    Off,
}

/// How a client's address is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientAddress {
    /// As it is.
    Plain,
    /// Not at all.
    None,
}

/// What happens while the log cannot be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnFailure {
    /// New flows are refused: nothing passes unrecorded.
    Refuse,
    /// Flows go on; the lines lost are counted.
    Serve,
}

impl Default for Audit {
    fn default() -> Self {
        Self {
            sink: Sink::StandardOutput,
            client_address: ClientAddress::Plain,
            on_failure: OnFailure::Refuse,
        }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Typed {
    path: Option<Text>,
    client_address: Option<Text>,
    on_failure: Option<Text>,
    rotate: NotYet,
    keep: NotYet,
}

pub(super) fn meaning(typed: &Typed, sense: &mut Sense<'_>) -> Audit {
    sense.not_yet("rotate", &typed.rotate);
    sense.not_yet("keep", &typed.keep);
    let default = Audit::default();
    let failure = [("refuse", OnFailure::Refuse), ("serve", OnFailure::Serve)];
    Audit {
        sink: typed
            .path
            .as_ref()
            .map_or(default.sink, |path| sink(path, sense)),
        client_address: client_address(typed.client_address.as_ref(), sense),
        on_failure: sense.word(
            "on_failure",
            typed.on_failure.as_ref(),
            default.on_failure,
            &failure,
        ),
    }
}

fn sink(path: &Text, sense: &Sense<'_>) -> Sink {
    match path.value.as_str() {
        "none" => Sink::Off,
        _ => Sink::File(sense.path(path)),
    }
}

fn client_address(typed: Option<&Text>, sense: &mut Sense<'_>) -> ClientAddress {
    match typed {
        Some(text) if text.value == "keyed-hash" => {
            sense.value_not_yet("client_address", text);
            ClientAddress::None
        }
        _ => {
            let words = [
                ("plain", ClientAddress::Plain),
                ("none", ClientAddress::None),
            ];
            sense.word("client_address", typed, ClientAddress::Plain, &words)
        }
    }
}

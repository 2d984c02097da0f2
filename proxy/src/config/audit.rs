//! `audit:` where the log of every decision goes.

use std::path::PathBuf;

use serde::Deserialize;

use super::sense::{Sense, Text};

/// A file of the log is set aside when it would become larger: some 200,000 flows.
pub const DEFAULT_ROTATE: usize = 256 << 20;

/// How many files that were set aside are kept; with the default size, 7.5 GiB.
pub const DEFAULT_KEEP: usize = 30;

/// The log of every decision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Audit {
    /// Where it goes.
    pub sink: Sink,
    /// How a client's address is written.
    pub client_address: ClientAddress,
    /// What happens while it cannot be written.
    pub on_failure: OnFailure,
    /// When a file is set aside; `None` = never (`rotate: none`): something else does it.
    pub rotation: Option<Rotation>,
}

/// When a file of the log is set aside, and how many of those are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rotation {
    /// Bytes that a file has at most.
    pub size: usize,
    /// Files kept beside the one written; the oldest goes first.
    pub keep: usize,
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
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientAddress {
    /// As it is.
    Plain,
    /// As a keyed hash: the same for one address within a month.
    KeyedHash {
        /// The file that holds the key.
        key: PathBuf,
    },
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
            rotation: Some(Rotation::default()),
        }
    }
}

impl Default for Rotation {
    fn default() -> Self {
        Self {
            size: DEFAULT_ROTATE,
            keep: DEFAULT_KEEP,
        }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Typed {
    path: Option<Text>,
    client_address: Option<Text>,
    on_failure: Option<Text>,
    rotate: Option<Text>,
    keep: Option<Text>,
    key: Option<Text>,
}

pub(super) fn meaning(typed: &Typed, sense: &mut Sense<'_>) -> Audit {
    let default = Audit::default();
    let failure = [("refuse", OnFailure::Refuse), ("serve", OnFailure::Serve)];
    Audit {
        sink: typed
            .path
            .as_ref()
            .map_or(default.sink, |path| sink(path, sense)),
        client_address: client_address(typed, sense),
        on_failure: sense.word(
            "on_failure",
            typed.on_failure.as_ref(),
            default.on_failure,
            &failure,
        ),
        rotation: rotation(typed, sense),
    }
}

fn sink(path: &Text, sense: &Sense<'_>) -> Sink {
    match path.value.as_str() {
        "none" => Sink::Off,
        _ => Sink::File(sense.path(path)),
    }
}

fn rotation(typed: &Typed, sense: &mut Sense<'_>) -> Option<Rotation> {
    let default = Rotation::default();
    let keep = sense.number("keep", typed.keep.as_ref(), default.keep, 1..=10_000);
    match typed.rotate.as_ref() {
        Some(text) if text.value == "none" => None,
        rotate => Some(Rotation {
            size: sense.size("rotate", rotate, default.size, 64 << 10..=1 << 40),
            keep,
        }),
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Word {
    Plain,
    KeyedHash,
    None,
}

fn client_address(typed: &Typed, sense: &mut Sense<'_>) -> ClientAddress {
    let words = [
        ("plain", Word::Plain),
        ("keyed-hash", Word::KeyedHash),
        ("none", Word::None),
    ];
    let text = typed.client_address.as_ref();
    let word = sense.word("client_address", text, Word::Plain, &words);
    match (word, &typed.key, text) {
        (Word::KeyedHash, Some(key), _) => {
            return ClientAddress::KeyedHash {
                key: sense.path(key),
            };
        }
        (Word::KeyedHash, None, Some(text)) => sense.problem(
            text,
            "`client_address: keyed-hash` needs a `key`".to_owned(),
            "write `key: PATH`, a file of at least 32 random bytes",
        ),
        (_, Some(key), _) => sense.problem(
            key,
            "`key` is used only with `client_address: keyed-hash`".to_owned(),
            "remove the key, or write `client_address: keyed-hash`",
        ),
        _ => {}
    }
    match word {
        Word::Plain => ClientAddress::Plain,
        Word::KeyedHash | Word::None => ClientAddress::None,
    }
}

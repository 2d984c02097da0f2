//! `state.json`: what is in the directory, and which bundles were accepted before.

use std::path::{Component, Path};

use jiff::Timestamp;
use octroi_policy::bundle::{Bundle, MAX_FILES};
use serde::{Deserialize, Serialize};

/// The format that this program writes and reads.
pub(super) const FORMAT: u64 = 1;
/// As many digests are remembered: at one new bundle a day, most of a year.
pub(super) const MOST_ACCEPTED: usize = 256;
/// This program.
pub(super) const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The whole file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record {
    pub(super) format: u64,
    /// The version of the program that wrote it.
    pub(super) written_by: String,
    /// The bundle that was put in force last.
    pub(super) last_good: Option<Saved>,
    /// The one before it.
    pub(super) before: Option<Saved>,
    /// The bundles that passed, the latest last: by the order of their coming, whatever the clock said.
    pub(super) accepted: Vec<Accepted>,
}

/// A bundle kept below `bundles/`, under its digest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Saved {
    pub(super) digest: String,
    #[serde(with = "instant")]
    pub(super) saved_at: Timestamp,
    /// Paths below its root: what a directory looks like says less than what a bundle was read from.
    pub(super) files: Vec<String>,
}

/// A bundle that passed every check, and when and by which version of the program it did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Accepted {
    /// Its digest.
    pub digest: String,
    /// When.
    #[serde(with = "instant")]
    pub at: Timestamp,
    /// By which version.
    pub version: String,
}

/// Only as much as tells whether the rest can be understood.
#[derive(Deserialize)]
pub(super) struct Format {
    pub(super) format: u64,
}

impl Default for Record {
    fn default() -> Self {
        Self {
            format: FORMAT,
            written_by: VERSION.to_owned(),
            last_good: None,
            before: None,
            accepted: Vec::new(),
        }
    }
}

impl Record {
    /// The record once `bundle` has been put in force.
    pub(super) fn with(mut self, bundle: &Bundle, now: Timestamp) -> Self {
        let digest = &**bundle.digest();
        self.written_by = VERSION.to_owned();
        if self
            .last_good
            .as_ref()
            .is_none_or(|last| last.digest != digest)
        {
            self.before = self.last_good.replace(Saved::of(bundle, now));
        }
        let known = self.accepted.iter().position(|it| it.digest == digest);
        let accepted = match known {
            Some(at) => self.accepted.remove(at),
            None => Accepted {
                digest: digest.to_owned(),
                at: now,
                version: VERSION.to_owned(),
            },
        };
        self.accepted.push(accepted);
        let surplus = self.accepted.len().saturating_sub(MOST_ACCEPTED);
        self.accepted.drain(..surplus);
        self
    }

    /// The bundles it holds, the last good one first.
    pub(super) fn bundles(&self) -> impl Iterator<Item = &Saved> {
        self.last_good.iter().chain(&self.before)
    }

    /// What no program of ours writes; `None` = it makes sense.
    pub(super) fn nonsense(&self) -> Option<&'static str> {
        if self.accepted.len() > MOST_ACCEPTED {
            return Some("it lists too many bundles");
        }
        let digests = self.accepted.iter().map(|it| &it.digest);
        let mut digests = digests.chain(self.bundles().map(|it| &it.digest));
        if !digests.all(|digest| is_digest(digest)) {
            return Some("a digest in it is none");
        }
        let files = || self.bundles().flat_map(|saved| &saved.files);
        if files().count() > 2 * MAX_FILES || !files().all(|path| is_inside(path)) {
            return Some("it names files that are in no bundle");
        }
        None
    }
}

impl Saved {
    fn of(bundle: &Bundle, now: Timestamp) -> Self {
        let files = bundle.files().iter();
        Self {
            digest: bundle.digest().to_string(),
            saved_at: now,
            files: files.map(|file| file.path().to_owned()).collect(),
        }
    }
}

/// SHA-256 in lower-case hexadecimal: it becomes the name of a directory.
fn is_digest(text: &str) -> bool {
    let hexadecimal = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    text.len() == 64 && text.bytes().all(hexadecimal)
}

/// Whether a path stays below where it starts.
pub(super) fn is_inside(path: &str) -> bool {
    let mut parts = Path::new(path).components();
    !path.is_empty()
        && !path.contains('\0')
        && parts.all(|part| matches!(part, Component::Normal(_)))
}

/// Instants as RFC 3339.
mod instant {
    use jiff::Timestamp;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(at: &Timestamp, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(at)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Timestamp, D::Error> {
        String::deserialize(from)?.parse().map_err(D::Error::custom)
    }
}

//! One bundle from its files to a compiled policy that passes its own tests.

use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use jiff::Timestamp;
use octroi_policy::Policy;
use octroi_policy::bundle::{Bundle, ReadError};
use octroi_policy::catalogue::Id;
use octroi_policy::check::{self, Compiled};
use octroi_policy::diagnostic::{Code, Colour};

use super::finding::Finding;
use crate::config::PolicySource;
use crate::state::{Accepted, LastGood, State};

/// The example bundle: paths below its root, and bytes.
static EMBEDDED: &[(&str, &[u8])] = include!(concat!(env!("OUT_DIR"), "/embedded_policy.rs"));

/// The files of the example bundle.
pub(crate) fn embedded_files() -> &'static [(&'static str, &'static [u8])] {
    EMBEDDED
}

/// A policy that passed.
#[derive(Debug)]
pub(super) struct Loaded {
    pub(super) policy: Policy,
    /// What it was made from, to be saved.
    pub(super) bundle: Bundle,
    /// What was found nevertheless.
    pub(super) findings: Arc<[Finding]>,
    /// The same as text; empty if nothing was.
    pub(super) notes: String,
    /// Set if there are errors among the findings: it is in force because it was accepted before.
    pub(super) accepted: Option<Accepted>,
}

/// Why a bundle is not put in force: every finding with its place, or every test that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejected {
    text: Arc<str>,
    findings: Arc<[Finding]>,
    fault: Fault,
}

/// Whose fault it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The author's: what is written does not pass.
    Bundle,
    /// The machine's: it cannot be read.
    Machine,
}

impl Rejected {
    /// Nothing could be judged, for this reason.
    pub(super) fn unread(why: &str, fault: Fault) -> Self {
        let finding = Finding::about_the_whole(Code::UnreadableFile, why.to_owned());
        Self {
            text: format!("error: {why}").into(),
            findings: [finding].into(),
            fault,
        }
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// What was found, one by one; at least one error is among it.
    #[must_use]
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// Whose fault it is.
    #[must_use]
    pub fn fault(&self) -> Fault {
        self.fault
    }
}

impl fmt::Display for Rejected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Rejected {}

pub(super) fn load(source: &PolicySource, state: Option<&State>) -> Result<Loaded, Rejected> {
    compile(read(source)?, state)
}

/// `None` if the bundle is the one with `digest`.
pub(super) fn load_if_new(
    source: &PolicySource,
    state: Option<&State>,
    digest: &str,
) -> Result<Option<Loaded>, Rejected> {
    let bundle = read(source)?;
    if **bundle.digest() == *digest {
        return Ok(None);
    }
    compile(bundle, state).map(Some)
}

/// A bundle that was in force before: it is put in force again as far as it still has its meaning.
pub(super) fn load_saved(
    LastGood { bundle, .. }: LastGood,
    state: &State,
) -> Result<Loaded, Rejected> {
    compile(bundle, Some(state))
}

/// The example bundle inside the program.
///
/// # Errors
/// Only if it were too large.
pub fn embedded() -> Result<Bundle, ReadError> {
    let file = |&(path, bytes): &(&str, &[u8])| (path.to_owned(), bytes.to_vec());
    Bundle::from_files(EMBEDDED.iter().map(file))
}

/// When the files of the lists of `policy` were last modified, by the source it was read from. A
/// list written anew with the same names is younger, though the policy is the same.
pub(super) fn list_times(source: &PolicySource, policy: &Policy) -> Vec<(Id, SystemTime)> {
    let PolicySource::Path(path) = source else {
        return Vec::new();
    };
    let root = if path.is_dir() {
        path
    } else {
        path.parent().unwrap_or(Path::new(""))
    };
    let model = policy.model();
    let files: BTreeSet<&str> = model.files.iter().map(|file| &**file).collect();
    let lists = model.lists.iter().map(|list| &list.id);
    // What a rule holds itself is no file; a file read both as names and as addresses is one.
    let lists: BTreeSet<&Id> = lists.filter(|id| files.contains(&***id)).collect();
    let modified = |id: &Id| std::fs::metadata(root.join(&**id)).and_then(|meta| meta.modified());
    lists
        .into_iter()
        .filter_map(|id| Some((id.clone(), modified(id).ok()?)))
        .collect()
}

fn read(source: &PolicySource) -> Result<Bundle, Rejected> {
    let bundle = match source {
        PolicySource::Path(path) => Bundle::read(path),
        PolicySource::Embedded => embedded(),
    };
    bundle.map_err(|error| {
        let fault = match error {
            ReadError::Io { .. } => Fault::Machine,
            _ => Fault::Bundle,
        };
        Rejected::unread(&error.to_string(), fault)
    })
}

fn compile(bundle: Bundle, state: Option<&State>) -> Result<Loaded, Rejected> {
    let today = Some(Timestamp::now());
    let compiled = check::compile(&bundle, today);
    if compiled.policy.is_some() {
        return finish(bundle, compiled, None);
    }
    match state.and_then(|state| state.accepted(bundle.digest())) {
        None => finish(bundle, compiled, None),
        // The same digest passed before, so it is the program that has changed.
        Some(accepted) => {
            let compiled = check::compile_accepted(&bundle, today);
            finish(bundle, compiled, Some(accepted))
        }
    }
}

fn finish(
    bundle: Bundle,
    Compiled { policy, findings }: Compiled,
    accepted: Option<Accepted>,
) -> Result<Loaded, Rejected> {
    let text = findings.render(&bundle, Colour::Never);
    let findings = Finding::all(&findings, &bundle);
    match policy {
        Some(policy) => Ok(Loaded {
            policy,
            bundle,
            findings,
            notes: text,
            accepted,
        }),
        None => Err(Rejected {
            text: text.into(),
            findings,
            fault: Fault::Bundle,
        }),
    }
}

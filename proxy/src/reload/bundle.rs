//! One bundle from its files to a compiled policy that passes its own tests.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use jiff::Timestamp;
use octroi_policy::Policy;
use octroi_policy::bundle::{Bundle, ReadError};
use octroi_policy::catalogue::Id;
use octroi_policy::check;
use octroi_policy::diagnostic::Colour;

use crate::config::PolicySource;

/// The example bundle: paths below its root, and bytes.
static EMBEDDED: &[(&str, &[u8])] = include!(concat!(env!("OUT_DIR"), "/embedded_policy.rs"));

/// A policy that passed.
#[derive(Debug)]
pub(super) struct Loaded {
    pub(super) policy: Policy,
    /// Findings that are no errors, as text.
    pub(super) notes: String,
}

/// Why a bundle is not put in force: every finding with its place, or every test that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejected(Arc<str>);

impl Rejected {
    pub(super) fn new(text: &str) -> Self {
        Self(text.into())
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Rejected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Rejected {}

pub(super) fn load(source: &PolicySource) -> Result<Loaded, Rejected> {
    compile(&read(source)?)
}

/// `None` if the bundle is the one with `digest`.
pub(super) fn load_if_new(source: &PolicySource, digest: &str) -> Result<Option<Loaded>, Rejected> {
    let bundle = read(source)?;
    if **bundle.digest() == *digest {
        return Ok(None);
    }
    compile(&bundle).map(Some)
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
    let is_list = |file: &Arc<str>| {
        file.starts_with(LISTS) || model.lists.iter().any(|list| *list.id == **file)
    };
    let lists = model.files.iter().filter(|file| is_list(file));
    lists
        .filter_map(|file| {
            let modified = std::fs::metadata(root.join(&**file))
                .ok()?
                .modified()
                .ok()?;
            Some((file.clone(), modified))
        })
        .collect()
}

/// Where bundles keep the lists of their catalogue.
const LISTS: &str = "lists/";

fn read(source: &PolicySource) -> Result<Bundle, Rejected> {
    let bundle = match source {
        PolicySource::Path(path) => Bundle::read(path),
        PolicySource::Embedded => embedded(),
    };
    bundle.map_err(|error| Rejected::new(&format!("error: {error}")))
}

fn compile(bundle: &Bundle) -> Result<Loaded, Rejected> {
    let compiled = check::compile(bundle, Some(Timestamp::now()));
    let text = compiled.findings.render(bundle, Colour::Never);
    match compiled.policy {
        Some(policy) => Ok(Loaded {
            policy,
            notes: text,
        }),
        None => Err(Rejected(text.into())),
    }
}

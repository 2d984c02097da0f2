//! One bundle from its files to a compiled policy that passes its own tests.

use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;
use octroi_policy::Policy;
use octroi_policy::bundle::{Bundle, ReadError};
use octroi_policy::check::check;
use octroi_policy::diagnostic::Colour;
use octroi_policy::suite;

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

fn read(source: &PolicySource) -> Result<Bundle, Rejected> {
    let bundle = match source {
        PolicySource::Path(path) => Bundle::read(path),
        PolicySource::Embedded => embedded(),
    };
    bundle.map_err(|error| Rejected::new(&format!("error: {error}")))
}

fn compile(bundle: &Bundle) -> Result<Loaded, Rejected> {
    let checked = check(bundle, Some(Timestamp::now()));
    let text = checked.findings.render(bundle, Colour::Never);
    let Some(model) = checked.model else {
        return Err(Rejected(text.into()));
    };
    let policy = Policy::compile(model);
    let failures = suite::run(&policy);
    if failures.is_empty() {
        return Ok(Loaded {
            policy,
            notes: text,
        });
    }
    Err(Rejected(told(&policy, &failures).into()))
}

fn told(policy: &Policy, failures: &[suite::Failure]) -> String {
    let mut text = String::new();
    for failure in failures {
        let file = policy.model().files.get(failure.place.file as usize);
        let file = file.map_or("", |path| path);
        text += &format!(
            "error: the test `{}` of the bundle fails\n  --> {file}:{}\n",
            failure.name, failure.place.line
        );
        for difference in &failure.differences {
            text += &format!("   = {difference}\n");
        }
    }
    text + &format!(
        "{} of {} tests fail\n",
        failures.len(),
        policy.model().tests.len()
    )
}

//! Findings that outlive the bundle they are about: for the log, for `/-/policy`.

use std::sync::Arc;

use octroi_policy::bundle::Bundle;
use octroi_policy::diagnostic::{Code, Diagnostic, Findings, Severity, Sources};
use serde::{Serialize, Serializer};

/// One finding, with its place by name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What kind of finding it is.
    #[serde(serialize_with = "word")]
    pub code: Code,
    /// How grave it is.
    #[serde(serialize_with = "severity")]
    pub severity: Severity,
    /// The file below the bundle, if it is about one.
    pub file: Option<String>,
    /// The line, from 1, if it is about one.
    pub line: Option<u32>,
    /// The column in characters, from 1, if it is about one.
    pub column: Option<u32>,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
}

impl Finding {
    /// All findings about `bundle`, at most as many as [`Findings`] keeps; of the others a line for each code.
    #[must_use]
    pub fn all(findings: &Findings, bundle: &Bundle) -> Arc<[Self]> {
        let kept = findings.iter().map(|finding| Self::of(finding, bundle));
        let left_out = findings.left_out().map(|(severity, code, count)| {
            let message = format!("and {count} more of these");
            Self {
                severity,
                ..Self::about_the_whole(code, message)
            }
        });
        kept.chain(left_out).collect()
    }

    /// An error about no file in particular.
    #[must_use]
    pub fn about_the_whole(code: Code, message: String) -> Self {
        Self {
            code,
            severity: Severity::Error,
            file: None,
            line: None,
            column: None,
            message,
            help: None,
        }
    }

    fn of(finding: &Diagnostic, bundle: &Bundle) -> Self {
        let place = finding.labels.first().map(|(place, _)| *place);
        let positive = |number: u32| (number > 0).then_some(number);
        Self {
            code: finding.code,
            severity: finding.severity,
            file: place.map(|place| bundle.path(place.file).to_owned()),
            line: place.and_then(|place| positive(place.line)),
            column: place.and_then(|place| positive(place.column)),
            message: finding.message.clone(),
            help: finding.help.clone(),
        }
    }
}

fn word<S: Serializer>(code: &Code, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(code.as_str())
}

fn severity<S: Serializer>(severity: &Severity, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(severity.as_str())
}

//! All findings of one run: sorted, without repetition, bounded.

use std::collections::BTreeMap;

use super::{Code, Diagnostic, Severity};

/// The findings of one run.
///
/// At most [`Findings::MAX`] are kept; of the rest only the number is. Whether there was an error
/// is known in any case.
#[derive(Clone, Debug, Default)]
pub struct Findings {
    kept: Vec<Diagnostic>,
    /// How many of each code were left out, by severity.
    left_out: BTreeMap<(Severity, Code), usize>,
    /// How many of each code are kept, so that one mistake made often does not hide the others.
    per_code: BTreeMap<Code, usize>,
}

impl Findings {
    /// How many are kept.
    pub const MAX: usize = 1_000;
    /// How many of one code are kept.
    pub const MAX_PER_CODE: usize = 100;

    /// None yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds one.
    pub fn push(&mut self, finding: Diagnostic) {
        let of_code = self.per_code.entry(finding.code).or_default();
        if *of_code >= Self::MAX_PER_CODE || self.kept.len() >= Self::MAX {
            *self
                .left_out
                .entry((finding.severity, finding.code))
                .or_default() += 1;
        } else {
            *of_code += 1;
            self.kept.push(finding);
        }
    }

    /// Sorts by file, line and column, and drops repetitions.
    pub fn sort(&mut self) {
        self.kept.sort_by(|a, b| {
            (a.place(), a.severity, a.code, &a.message).cmp(&(
                b.place(),
                b.severity,
                b.code,
                &b.message,
            ))
        });
        self.kept.dedup();
    }

    /// Those kept.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Diagnostic> {
        self.kept.iter()
    }

    /// How many were left out, by severity and code.
    pub fn left_out(&self) -> impl Iterator<Item = (Severity, Code, usize)> + '_ {
        self.left_out
            .iter()
            .map(|(&(severity, code), &count)| (severity, code, count))
    }

    /// How many there are of a severity, those left out included.
    #[must_use]
    pub fn count(&self, severity: Severity) -> usize {
        let kept = self
            .kept
            .iter()
            .filter(|finding| finding.severity == severity)
            .count();
        let left_out: usize = self
            .left_out()
            .filter(|&(of, ..)| of == severity)
            .map(|(.., count)| count)
            .sum();
        kept + left_out
    }

    /// Whether the bundle may be put in force.
    #[must_use]
    pub fn has_errors(&self) -> bool {
        self.count(Severity::Error) > 0
    }

    /// Whether every error leaves the bundle its whole meaning ([`Code::keeps_meaning`]).
    #[must_use]
    pub fn keep_meaning(&self) -> bool {
        let kept = self.kept.iter().map(|it| (it.severity, it.code));
        kept.chain(self.left_out().map(|(severity, code, _)| (severity, code)))
            .all(|(severity, code)| severity != Severity::Error || code.keeps_meaning())
    }

    /// Whether there is none at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }
}

//! Which limit a flow met, in the words of log, metrics, headers and pages.

use std::fmt;
use std::time::Duration;

use octroi_policy::catalogue::Id;

use super::{Full, Refused, UNASSIGNED, Usage};
use crate::reply::Fault;

/// Whose limit it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// One source address.
    Source,
    /// One workload.
    Workload,
    /// One ministry.
    Ministry,
}

/// What is limited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Flows under way at once.
    Flows,
    /// Flows begun in a second.
    NewFlows,
}

/// Who has a share: a workload of a ministry, or a whole ministry.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Holder {
    /// The ministry, or `unassigned`.
    pub ministry: Id,
    /// The workload; `None` = the ministry as a whole.
    pub workload: Option<Id>,
}

/// A flow that is one too many.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limited {
    /// Whose limit is reached.
    pub scope: Scope,
    /// Which of theirs.
    pub kind: Kind,
    /// Whose exactly; `None` = the source's.
    pub holder: Option<Holder>,
    /// The figure in `octroi.yaml`.
    pub most: usize,
    /// When the next flow may begin; `None` = when another ends, and nobody knows when that is.
    pub wait: Option<Duration>,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.workload {
            None => f.write_str(&self.ministry),
            Some(workload) => write!(f, "{}/{workload}", self.ministry),
        }
    }
}

impl Usage {
    /// The word for the limit.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        reason(self.scope, self.kind)
    }
}

impl Limited {
    pub(super) fn new(scope: Scope, holder: Option<Holder>, refused: Refused) -> Self {
        let Refused { full, most } = refused;
        let (kind, wait) = match full {
            Full::UnderWay => (Kind::Flows, None),
            Full::TooFast(wait) => (Kind::NewFlows, Some(wait)),
        };
        Self {
            scope,
            kind,
            holder,
            most,
            wait,
        }
    }

    /// The word for the limit.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        reason(self.scope, self.kind)
    }

    /// What the client is told.
    #[must_use]
    pub fn fault(&self) -> Fault {
        // Machines of no ministry are a group, and not somebody's ministry.
        let is_nobodys = |holder: &Holder| &*holder.ministry == UNASSIGNED;
        let scope = match self.holder.as_ref().is_some_and(is_nobodys) {
            true => Scope::Workload,
            false => self.scope,
        };
        let (french, english) = sentences(scope, self.kind);
        Fault::new(
            503,
            self.reason(),
            "connection_limit_reached",
            french,
            english,
        )
    }
}

/// The word for a limit in log, metrics, headers and pages.
fn reason(scope: Scope, kind: Kind) -> &'static str {
    match (scope, kind) {
        (Scope::Source, Kind::Flows) => "source-flows",
        (Scope::Source, Kind::NewFlows) => "source-new-flows",
        (Scope::Workload, Kind::Flows) => "workload-flows",
        (Scope::Workload, Kind::NewFlows) => "workload-new-flows",
        (Scope::Ministry, Kind::Flows) => "ministry-flows",
        (Scope::Ministry, Kind::NewFlows) => "ministry-new-flows",
    }
}

fn sentences(scope: Scope, kind: Kind) -> (&'static str, &'static str) {
    match (scope, kind) {
        (Scope::Source, Kind::Flows) => (
            "Ce poste a déjà autant d’échanges en cours qu’un poste peut en avoir.",
            "This machine already has as many exchanges under way as one machine may have.",
        ),
        (Scope::Source, Kind::NewFlows) => (
            "Ce poste ouvre trop d’échanges par seconde.",
            "This machine opens too many exchanges a second.",
        ),
        (Scope::Workload, Kind::Flows) => (
            "Les postes de votre groupe ont ensemble déjà autant d’échanges en cours qu’ils peuvent en avoir.",
            "The machines of your group together already have as many exchanges under way as they may have.",
        ),
        (Scope::Workload, Kind::NewFlows) => (
            "Les postes de votre groupe ouvrent ensemble trop d’échanges par seconde.",
            "The machines of your group together open too many exchanges a second.",
        ),
        (Scope::Ministry, Kind::Flows) => (
            "Votre ministère a déjà autant d’échanges en cours qu’il peut en avoir.",
            "Your ministry already has as many exchanges under way as it may have.",
        ),
        (Scope::Ministry, Kind::NewFlows) => (
            "Votre ministère ouvre trop d’échanges par seconde.",
            "Your ministry opens too many exchanges a second.",
        ),
    }
}

//! What the gate wrote down about one flow, asserted in the log and in the metrics at once.

use super::eventually;
use super::scrape::Line;
use super::world::World;

/// The words the audit log uses (ECS where there is one, `octroi.*` elsewhere).
pub(crate) mod field {
    pub(crate) const VERDICT: &str = "octroi.verdict";
    pub(crate) const MODE: &str = "octroi.mode";
    pub(crate) const MINISTRY: &str = "octroi.ministry";
    pub(crate) const WORKLOAD: &str = "octroi.workload";
    pub(crate) const SERVICE: &str = "service.id";
    pub(crate) const OUTCOME: &str = "octroi.outcome";
    pub(crate) const SNI_OUTCOME: &str = "octroi.sni";
    pub(crate) const RULE: &str = "rule.id";
    pub(crate) const REASON: &str = "event.reason";
}

/// What became of a flow.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Became {
    Allowed,
    Observed,
    Refused,
}

impl Became {
    fn labels(self) -> (&'static str, &'static str) {
        match self {
            Self::Allowed => ("allow", "enforced"),
            Self::Observed => ("deny", "observed"),
            Self::Refused => ("deny", "enforced"),
        }
    }
}

impl World {
    /// The last decision line about a host that says this; the counter is seen to say the same.
    pub(crate) fn recorded(&self, host: &str, ministry: &str, became: Became) -> Line {
        let (verdict, mode) = became.labels();
        let says = |line: &Line| {
            line.text("url.domain") == host
                && line.text(field::VERDICT) == verdict
                && line.text(field::MODE) == mode
                && line.text("organization.id") == ministry
        };
        let what = format!("{host} from {ministry}: {verdict}, {mode}");
        let line = eventually(&what, || self.gate.decisions().into_iter().rev().find(says));
        let (workload, service) = (line.text(field::WORKLOAD), line.text(field::SERVICE));
        let service = if service.is_empty() {
            "unlisted"
        } else {
            &service
        };
        let mut labels = vec![("ministry", ministry), ("verdict", verdict), ("mode", mode)];
        labels.extend([("workload", workload.as_str()), ("service", service)]);
        self.gate.counted("octroi_attempts_total", &labels, 1);
        line
    }
}

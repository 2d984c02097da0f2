//! Who may ask: ministries and their workloads.

use std::sync::Arc;

use ipnet::IpNet;

use crate::catalogue::{Id, Localised, MinistryIx, Place};
use crate::decision::{Outcome, SniOutcome};
use crate::flow::CertificateName;
use crate::pattern::Pattern;

/// A ministry, or any administration with a policy of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ministry {
    /// Its id, a metric label.
    pub id: Id,
    /// Its name.
    pub name: Localised,
    /// Whom to ask.
    pub contact: Option<Arc<str>>,
    /// What happens to what no rule mentions; `None` = the policy's default.
    pub default: Option<Permission>,
    /// What the ministry tightened in its own files.
    pub layer: Layer,
    /// Where it is written.
    pub place: Place,
}

/// What a ministry's own files say; they can only tighten.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Layer {
    /// A stricter default.
    pub default: Option<Permission>,
    /// Stricter actions.
    pub on: Actions,
}

/// What is done with what no rule mentions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Permission {
    /// Let through.
    Allow,
    /// Refused.
    Deny,
}

/// How sensitive a workload's data is (circular 6404/SG, rule R9).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Sensitivity {
    /// Data of particular sensitivity.
    Sensitive,
    /// Everything else.
    Standard,
}

impl Sensitivity {
    /// As written in a bundle.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Sensitivity::Sensitive => "sensitive",
            Sensitivity::Standard => "standard",
        }
    }
}

/// Which names in client certificates (SAN) a workload is told by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CertificatePattern {
    /// Names of machines.
    Names(Pattern),
    /// This URI or e-mail address.
    Written(CertificateName),
}

impl CertificatePattern {
    /// Whether a name is meant.
    #[must_use]
    pub fn matches(&self, name: &CertificateName) -> bool {
        match (self, name) {
            (Self::Names(pattern), CertificateName::Dns(name)) => pattern.matches(name),
            (Self::Names(_), _) => false,
            (Self::Written(written), name) => written == name,
        }
    }
}

/// A part of a ministry with one sensitivity and one way to be recognised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Workload {
    /// Its id, unique within its ministry, a metric label.
    pub id: Id,
    /// What people call it.
    pub name: Option<Localised>,
    /// Whose it is; `None` = unassigned.
    pub ministry: Option<MinistryIx>,
    /// How sensitive its data is.
    pub sensitivity: Sensitivity,
    /// Source networks that belong to it.
    pub sources: Vec<IpNet>,
    /// Names in client certificates (SAN) that belong to it.
    pub certificates: Vec<CertificatePattern>,
    /// Listeners that serve it.
    pub listeners: Vec<Id>,
    /// What happens to what no rule mentions; `None` = the ministry's default.
    pub default: Option<Permission>,
    /// Ports that CONNECT may name without a rule.
    pub connect_ports: PortSet,
    /// Ports that a plain HTTP request may name without a rule.
    pub http_ports: PortSet,
    /// Ports on which a ClientHello is awaited.
    pub tls_ports: PortSet,
    /// Where a captured connection that is on its way there is left to go, although we do not find that address
    /// behind the name it presents: names that only the clients' own name servers know.
    pub trust_original: Vec<IpNet>,
    /// What is done about each outcome.
    pub on: Actions,
    /// Where it is written.
    pub place: Place,
}

/// A set of TCP ports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortSet(Vec<(u16, u16)>);

impl PortSet {
    /// Every port.
    #[must_use]
    pub fn any() -> Self {
        Self(vec![(1, u16::MAX)])
    }

    /// The ports within inclusive ranges.
    #[must_use]
    pub fn new(ranges: Vec<(u16, u16)>) -> Self {
        Self(ranges)
    }

    /// `connect_ports` where a workload says nothing: HTTPS.
    #[must_use]
    pub fn default_connect() -> Self {
        Self(vec![(443, 443)])
    }

    /// `tls_ports` where a workload says nothing: HTTPS.
    #[must_use]
    pub fn default_tls() -> Self {
        Self(vec![(443, 443)])
    }

    /// `http_ports` where a workload says nothing: HTTP and the unprivileged ports,
    /// so that no request can be made to speak to a mail server.
    #[must_use]
    pub fn default_http() -> Self {
        Self(vec![(80, 80), (1024, u16::MAX)])
    }

    /// Whether `port` is in it.
    #[must_use]
    pub fn contains(&self, port: u16) -> bool {
        self.0
            .iter()
            .any(|&(low, high)| low <= port && port <= high)
    }

    /// The inclusive ranges.
    #[must_use]
    pub fn ranges(&self) -> &[(u16, u16)] {
        &self.0
    }
}

/// What is done about an outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Action {
    /// No effect (never a permission).
    Allow,
    /// Counted as "would have been denied".
    Observe,
    /// Refused.
    Deny,
}

/// The `on:` table: what is done about each outcome. Unset = the safe default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Actions {
    agreement: [Option<Action>; Outcome::ALL.len()],
    sni: [Option<Action>; SniOutcome::ALL.len()],
}

impl Actions {
    /// Sets the action for an agreement outcome.
    pub fn set_outcome(&mut self, outcome: Outcome, action: Action) {
        self.agreement[outcome as usize] = Some(action);
    }

    /// Sets the action for an SNI outcome.
    pub fn set_sni(&mut self, outcome: SniOutcome, action: Action) {
        self.sni[outcome as usize] = Some(action);
    }

    /// What was written for an agreement outcome, if anything.
    #[must_use]
    pub fn outcome_as_written(&self, outcome: Outcome) -> Option<Action> {
        self.agreement[outcome as usize]
    }

    /// What was written for an SNI outcome, if anything.
    #[must_use]
    pub fn sni_as_written(&self, outcome: SniOutcome) -> Option<Action> {
        self.sni[outcome as usize]
    }

    /// The action for an agreement outcome.
    #[must_use]
    pub fn on_outcome(&self, outcome: Outcome) -> Action {
        self.outcome_as_written(outcome).unwrap_or(match outcome {
            Outcome::Fronted => Action::Deny,
            Outcome::Cloaked | Outcome::Rehosted => Action::Observe,
            Outcome::Masked | Outcome::Unknown | Outcome::Agrees | Outcome::Misdirected => {
                Action::Allow
            }
        })
    }

    /// The action for an SNI outcome.
    #[must_use]
    pub fn on_sni(&self, outcome: SniOutcome) -> Action {
        self.sni_as_written(outcome).unwrap_or(match outcome {
            SniOutcome::Match | SniOutcome::NotExpected => Action::Allow,
            SniOutcome::EchOuter => Action::Observe,
            SniOutcome::Mismatch
            | SniOutcome::Absent
            | SniOutcome::NotTls
            | SniOutcome::Malformed
            | SniOutcome::Timeout
            | SniOutcome::EchHidden => Action::Deny,
        })
    }
}

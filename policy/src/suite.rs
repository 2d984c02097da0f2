//! The bundle's own tests: questions with the answers their author expects.

use std::net::IpAddr;
use std::sync::Arc;

use jiff::Timestamp;

use crate::catalogue::Place;
use crate::decision::{Enforcement, Outcome, SniOutcome, Verdict};
use crate::flow::{EvidenceKind, Hello, Protocol, Source};
use crate::name::{DomainName, Host};

/// One test of a bundle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Case {
    /// What it shows.
    pub name: Arc<str>,
    /// The question.
    pub given: Given,
    /// The answer expected; what is `None` is not looked at.
    pub expect: Expect,
    /// Where it is written.
    pub place: Place,
}

/// A question as written in a test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Given {
    /// Who asks.
    pub source: Source,
    /// How.
    pub protocol: Protocol,
    /// What is asked for.
    pub target: Host,
    /// On which port.
    pub port: u16,
    /// A Host header that differs.
    pub host: Option<Host>,
    /// What the ClientHello shows; `None` = the target's own name where one is awaited.
    pub hello: Option<Hello>,
    /// The names it resolves through.
    pub chain: Vec<DomainName>,
    /// The addresses it resolves to.
    pub addresses: Vec<IpAddr>,
    /// The instant; `None` = the bundle's `tested_at`.
    pub at: Option<Timestamp>,
}

/// The answer a test expects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expect {
    /// `allow`, or `deny`: refused, or (with `mode: observed`) counted.
    pub verdict: Verdict,
    /// Whether traffic follows it.
    pub mode: Enforcement,
    /// A rule among those that decide.
    pub rule: Option<Arc<str>>,
    /// The service of a piece of evidence.
    pub service: Option<Arc<str>>,
    /// The kind of a piece of evidence that decides.
    pub evidence: Option<EvidenceKind>,
    /// How the evidence agrees.
    pub outcome: Option<Outcome>,
    /// How the ClientHello stands to the target.
    pub sni_outcome: Option<SniOutcome>,
    /// The derogation that made the difference.
    pub derogation: Option<Arc<str>>,
    /// Whose flow it is.
    pub ministry: Option<Arc<str>>,
    /// Which workload's.
    pub workload: Option<Arc<str>>,
    /// The word of the weightiest ground.
    pub reason: Option<Arc<str>>,
}

//! The bundle's own tests: questions with the answers their author expects.

use std::net::IpAddr;
use std::sync::Arc;

use jiff::Timestamp;

use crate::address::Forbid;
use crate::catalogue::Place;
use crate::decision::{Decision, Disposition, Enforcement, Ground, Outcome, SniOutcome, Verdict};
use crate::explain::explain;
use crate::flow::{EvidenceKind, Flow, Hello, Protocol, Source};
use crate::name::{DomainName, Host};
use crate::policy::Policy;

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
    /// Where a captured connection was on its way to.
    pub original: Option<IpAddr>,
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

/// A test that did not come out as its author expects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The test's name.
    pub name: Arc<str>,
    /// Where it is written.
    pub place: Place,
    /// What differs: `expected … , was …`, one a line.
    pub differences: Vec<String>,
    /// The whole answer, explained.
    pub explanation: String,
}

/// Runs every test of a policy's bundle; none failed = an empty answer.
#[must_use]
pub fn run(policy: &Policy) -> Vec<Failure> {
    policy
        .model()
        .tests
        .iter()
        .filter_map(|case| case.run(policy))
        .collect()
}

impl Case {
    /// The answer a policy gives to this test's question.
    #[must_use]
    pub fn decide(&self, policy: &Policy) -> Decision {
        let at = self.given.at.unwrap_or(policy.model().tested_at);
        policy.judge(&self.given.flow(policy, &Forbid::none()), at)
    }

    /// Runs this test; `None` = it came out as expected.
    #[must_use]
    pub fn run(&self, policy: &Policy) -> Option<Failure> {
        let decision = self.decide(policy);
        let forbid = Forbid::none();
        let flow = self.given.flow(policy, &forbid);
        let differences = self.expect.differences(policy, &decision);
        (!differences.is_empty()).then(|| Failure {
            name: self.name.clone(),
            place: self.place,
            differences,
            explanation: explain(policy, &flow, &decision, None),
        })
    }
}

impl Given {
    /// The question, as a policy is asked it; for a test of the bundle no address is forbidden.
    #[must_use]
    pub fn flow<'a>(&'a self, policy: &Policy, forbid: &'a Forbid) -> Flow<'a> {
        Flow {
            source: &self.source,
            protocol: self.protocol,
            target: self.target.clone(),
            port: self.port,
            original: self.original,
            host: self.host.clone(),
            hello: self.hello(policy),
            chain: &self.chain,
            addresses: &self.addresses,
            resolved: true,
            forbid,
            ours: &[],
        }
    }

    /// Where a test says nothing: the target's own name on a port where a ClientHello is awaited.
    fn hello(&self, policy: &Policy) -> Option<Hello> {
        if self.protocol == Protocol::Http {
            return None;
        }
        if self.hello.is_some() {
            return self.hello.clone();
        }
        let workload = policy.workload(policy.identify(&self.source).workload());
        match &self.target {
            _ if !workload.tls_ports.contains(self.port) => Some(Hello::NotExpected),
            Host::Name(name) => Some(Hello::Name {
                name: name.clone(),
                ech: false,
            }),
            // A captured connection is about an address only where it presents no name.
            Host::Address(_) if self.original.is_some() => Some(Hello::Absent),
            Host::Address(_) => None,
        }
    }
}

impl Expect {
    fn differences(&self, policy: &Policy, decision: &Decision) -> Vec<String> {
        let mut differences = Vec::new();
        let (verdict, mode) = decision.recorded();
        let recorded = (verdict.as_str(), mode.as_str());
        let expected = (self.verdict.as_str(), self.mode.as_str());
        if recorded != expected {
            differences.push(format!(
                "expected {} ({}), was {} ({})",
                expected.0, expected.1, recorded.0, recorded.1
            ));
        }
        let mut compare = |what: &str, expected: Option<&str>, actual: Vec<&str>| {
            if let Some(expected) = expected.filter(|e| !actual.contains(e)) {
                let actual = if actual.is_empty() {
                    "none".to_owned()
                } else {
                    actual.join(", ")
                };
                differences.push(format!("expected {what} {expected}, was {actual}"));
            }
        };
        let model = policy.model();
        let grounds = decision.grounds();
        let pieces = || grounds.iter().filter_map(|g| decision.piece(g.piece()?));
        let services = decision.pieces.iter().filter_map(|piece| {
            let class = piece.local.as_ref().unwrap_or(&piece.class);
            Some(&*policy.service(class.service?).id)
        });
        let rules = match verdict {
            Verdict::Deny => grounds.iter().filter_map(Ground::rule).collect(),
            Verdict::Allow => decision
                .hits
                .iter()
                .filter(|hit| hit.disposition == Disposition::Applies)
                .map(|hit| hit.rule)
                .collect::<Vec<_>>(),
        };
        compare(
            "rule",
            self.rule.as_deref(),
            rules.iter().map(|&r| &*policy.rule(r).id).collect(),
        );
        compare("service", self.service.as_deref(), services.collect());
        compare(
            "evidence",
            self.evidence.map(EvidenceKind::as_str),
            pieces().map(|piece| piece.kind.as_str()).collect(),
        );
        compare(
            "outcome",
            self.outcome.map(Outcome::as_str),
            decision.outcome.map(Outcome::as_str).into_iter().collect(),
        );
        compare(
            "sni_outcome",
            self.sni_outcome.map(SniOutcome::as_str),
            decision.sni.map(SniOutcome::as_str).into_iter().collect(),
        );
        compare(
            "derogation",
            self.derogation.as_deref(),
            decision
                .derogation()
                .map(|d| &*policy.derogation(d).id)
                .into_iter()
                .collect(),
        );
        compare(
            "ministry",
            self.ministry.as_deref(),
            vec![policy.ministry_id(decision.who.ministry)],
        );
        compare(
            "workload",
            self.workload.as_deref(),
            decision
                .who
                .workloads
                .iter()
                .map(|&w| &*model.workloads[w.at()].id)
                .collect(),
        );
        compare(
            "reason",
            self.reason.as_deref(),
            decision.ground().map(|g| g.as_str()).into_iter().collect(),
        );
        differences
    }
}

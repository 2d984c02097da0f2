//! One flow from its first byte to its last.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use octroi_policy::Policy;
use octroi_policy::decision::{Decision, Verdict};
use octroi_policy::flow::{Flow, Protocol};
use prometheus::IntGauge;
use serde::Serialize;

use super::feed::Attempt;
use super::line::{Dns, DnsAnswer, Endpoint, Event, Facts, Http, HttpRequest, Line, PolicyLine};
use super::line::{
    LimitLine, Named, OctroiDecision, Question, Rule, Service, Tls, TlsClient, Url, UserAgent,
};
use super::metrics::Labels;
use super::{Close, CloseReason, ClosedBy, FlowId, Ledger, Opened, Revocation};
use crate::shares::Limited;

/// One flow in the ledger. Dropped without an end, it is closed as `aborted`.
#[derive(Debug)]
pub struct Entry {
    ledger: Ledger,
    id: FlowId,
    opened: Opened,
    started: Instant,
    stage: Stage,
    upstream: Option<IpAddr>,
    active: Option<IntGauge>,
    revoked: Option<Box<Revocation>>,
    limited: Option<Box<Limited>>,
}

#[derive(Debug)]
enum Stage {
    /// Not decided; with the last judgement, if there was one.
    Open(Option<Box<Noted>>),
    /// Decided.
    Decided(Box<Labels>),
    /// Closed.
    Closed,
}

#[derive(Debug)]
struct Noted {
    policy: Arc<Policy>,
    decision: Decision,
    facts: Facts,
}

impl Entry {
    pub(super) fn new(ledger: Ledger, opened: Opened) -> Self {
        Self {
            ledger,
            id: FlowId::draw(),
            opened,
            started: Instant::now(),
            stage: Stage::Open(None),
            upstream: None,
            active: None,
            revoked: None,
            limited: None,
        }
    }

    /// The incident id.
    #[must_use]
    pub fn id(&self) -> FlowId {
        self.id
    }

    /// What was known when it began.
    #[must_use]
    pub fn opened(&self) -> &Opened {
        &self.opened
    }

    /// How long ago it began.
    #[must_use]
    pub fn age(&self) -> Duration {
        self.started.elapsed()
    }

    /// Keeps a judgement that is not the last: it is recorded if the flow ends before another.
    pub fn note(&mut self, policy: &Arc<Policy>, decision: &Decision, flow: &Flow<'_>) {
        if let Stage::Open(noted) = &mut self.stage {
            *noted = Some(Box::new(Noted {
                policy: Arc::clone(policy),
                decision: decision.clone(),
                facts: Facts::of(flow),
            }));
        }
    }

    /// Records the decision: moves the counters and writes the line. Only the first one counts.
    pub fn decide(&mut self, policy: &Policy, decision: &Decision, flow: &Flow<'_>) {
        if matches!(self.stage, Stage::Open(_)) {
            self.record(policy, decision, &Facts::of(flow));
        }
    }

    /// Records that the origin at `upstream` is connected and the flow permitted.
    pub fn established(&mut self, upstream: Option<IpAddr>) {
        self.upstream = upstream;
        self.ledger.metrics.set_up(self.age());
        if let (Stage::Decided(labels), Protocol::Connect | Protocol::Captured) =
            (&self.stage, self.opened.protocol)
        {
            self.active = self.ledger.metrics.tunnel_opened(labels);
        }
    }

    /// Keeps why the tunnel may not go on, for its close line. It is the same attempt: nothing of
    /// its decision is counted again.
    pub fn revoked(&mut self, revocation: Revocation) {
        self.revoked = Some(Box::new(revocation));
    }

    /// Keeps which limit the flow met, for its close line. It stays the attempt it was.
    pub fn limited(&mut self, limited: Limited) {
        self.limited = Some(Box::new(limited));
    }

    /// Ends the flow.
    pub fn close(mut self, close: Close) {
        self.finish(&close);
    }

    fn finish(&mut self, close: &Close) {
        self.decide_as_noted();
        let stage = std::mem::replace(&mut self.stage, Stage::Closed);
        let Stage::Decided(labels) = stage else {
            return;
        };
        if let Some(active) = self.active.take() {
            active.dec();
        }
        match close.reason {
            CloseReason::Revoked => self.ledger.metrics.tunnel_revoked(&labels),
            CloseReason::SecondHello => self.ledger.metrics.second_hello_refused(&labels),
            _ => {}
        }
        if let Some(limited) = &self.limited {
            self.ledger.metrics.limited(limited.reason(), &labels);
        }
        self.ledger
            .metrics
            .relayed(&labels, close.bytes_up, close.bytes_down);
        if self.ledger.log.is_on() {
            self.ledger.log.line(self.close_line(close, &labels));
        }
    }

    /// INVARIANT: every entry has one decision. One that ends before its last judgement is
    /// recorded with the last there was; with none, as denied, for nothing went through.
    fn decide_as_noted(&mut self) {
        let Stage::Open(noted) = &mut self.stage else {
            return;
        };
        match noted.take() {
            Some(noted) => self.record(&noted.policy, &noted.decision, &noted.facts),
            None => {
                let (labels, at) = (Labels::unknown(), Timestamp::now());
                let metrics = &self.ledger.metrics;
                metrics.undecided();
                metrics.asked(&labels, self.opened.source.address, at);
                self.tell(Attempt::undecided((self.id, at), &self.opened, &labels));
                if self.ledger.log.is_on() {
                    self.ledger.log.line(self.undecided_line(at));
                }
                self.stage = Stage::Decided(Box::new(labels));
            }
        }
    }

    fn record(&mut self, policy: &Policy, decision: &Decision, facts: &Facts) {
        let (labels, at) = (Labels::of(policy, decision), Timestamp::now());
        let metrics = &self.ledger.metrics;
        metrics.decided(policy, decision, &labels, facts.has_ech());
        let client = self.opened.source.address;
        metrics.asked(&labels, client, at);
        metrics.answered(policy, decision, &labels, client, at);
        let stamp = (self.id, at);
        let answer = (policy, decision);
        self.tell(Attempt::decided(
            stamp,
            &self.opened,
            answer,
            &labels,
            facts,
        ));
        if self.ledger.log.is_on() {
            let line = self.decision_line(policy, decision, facts, at);
            self.ledger.log.line(line);
        }
        self.stage = Stage::Decided(Box::new(labels));
    }

    /// Puts the attempt into the feed, where it stands once for each time that it is counted.
    fn tell(&self, mut attempt: Attempt) {
        if !self.ledger.naming.keeps() {
            attempt.client = None;
        }
        self.ledger.feed.push(attempt);
    }

    fn decision_line(
        &self,
        policy: &Policy,
        decision: &Decision,
        facts: &Facts,
        at: Timestamp,
    ) -> Vec<u8> {
        let (kind, outcome) = match decision.verdict() {
            Verdict::Allow => ("allowed", "success"),
            Verdict::Deny => ("denied", "failure"),
        };
        let mut event = Event::new("decision", self.id, kind, outcome);
        event.reason = decision.ground().map(|ground| ground.as_str());
        let octroi = OctroiDecision::new(policy, decision, facts, &self.opened);
        let mut line = Line::new(at, event, octroi);
        let name = self.opened.target.to_string();
        self.describe(&mut line, &name, at);
        if self.opened.protocol == Protocol::Captured && facts.is_tls() {
            line.network.protocol = Some("tls");
        }
        line.tls = facts.server_name().map(|server_name| Tls {
            client: TlsClient { server_name },
        });
        line.dns = facts.resolved.then(|| dns(facts));
        let rule = decision.ground().and_then(|ground| ground.rule());
        line.rule = rule.map(|ix| Rule {
            id: &policy.rule(ix).id,
            ruleset: policy.name(),
        });
        line.organization = Some(Named {
            id: policy.ministry_id(decision.who.ministry),
        });
        line.service = decision.service().map(|ix| {
            let service = policy.service(ix);
            Service {
                id: &service.id,
                name: &service.name,
            }
        });
        line.bytes()
    }

    fn undecided_line(&self, at: Timestamp) -> Vec<u8> {
        #[derive(Serialize)]
        struct Octroi<'a> {
            verdict: &'static str,
            mode: &'static str,
            question: Question<'a>,
        }
        let facts = Facts::none();
        let mut event = Event::new("decision", self.id, "denied", "unknown");
        event.reason = Some("aborted");
        let mut line = Line::new(
            at,
            event,
            Octroi {
                verdict: "deny",
                mode: "enforced",
                question: Question::new(&facts, &self.opened),
            },
        );
        let name = self.opened.target.to_string();
        self.describe(&mut line, &name, at);
        line.bytes()
    }

    /// What was asked, by whom.
    fn describe<'a, O: Serialize>(&'a self, line: &mut Line<'a, O>, name: &'a str, at: Timestamp) {
        let opened = &self.opened;
        self.ledger
            .naming
            .name(line, opened.source.address, opened.client_port, at);
        line.passed_on_by(opened.balancer);
        line.destination = Some(Endpoint {
            domain: opened.target.name().is_some().then_some(name),
            ip: opened.target.address(),
            port: Some(opened.port),
            ..Endpoint::default()
        });
        if opened.protocol != Protocol::Captured {
            line.network.protocol = Some("http");
            line.http = Some(Http {
                request: Some(HttpRequest {
                    method: &opened.method,
                }),
                response: None,
            });
        }
        let scheme = (opened.protocol == Protocol::Http).then_some("http");
        line.url = Some(Url {
            domain: name,
            port: opened.port,
            scheme,
        });
        line.user_agent = opened
            .user_agent
            .as_deref()
            .map(|original| UserAgent { original });
    }

    fn close_line(&self, close: &Close, labels: &Labels) -> Vec<u8> {
        #[derive(Serialize)]
        struct Octroi<'a> {
            reason: &'static str,
            #[serde(skip_serializing_if = "Option::is_none")]
            detail: Option<&'static str>,
            closed_by: &'static str,
            ministry: &'a str,
            workload: &'a str,
            service: &'a str,
            #[serde(skip_serializing_if = "Option::is_none")]
            limit: Option<LimitLine>,
            #[serde(skip_serializing_if = "Option::is_none")]
            policy: Option<PolicyLine<'a>>,
        }
        let revoked = self.revoked.as_deref();
        let octroi = Octroi {
            reason: close.reason.as_str(),
            detail: close.detail.or(revoked.map(|revoked| revoked.ground)),
            closed_by: close.by.as_str(),
            ministry: labels.ministry.as_str(),
            workload: labels.workload.as_str(),
            service: labels.service.as_str(),
            limit: self.limited.as_deref().map(LimitLine::new),
            policy: revoked.map(|revoked| PolicyLine {
                name: &revoked.policy,
                digest: &revoked.digest,
            }),
        };
        let mut event = Event::new("close", self.id, "end", "unknown");
        event.reason = Some(close.reason.as_str());
        event.duration = Some(u64::try_from(self.age().as_nanos()).unwrap_or(u64::MAX));
        let at = Timestamp::now();
        let mut line = Line::new(at, event, octroi);
        let opened = &self.opened;
        self.ledger
            .naming
            .name(&mut line, opened.source.address, opened.client_port, at);
        line.passed_on_by(opened.balancer);
        line.source.get_or_insert_default().bytes = Some(close.bytes_up);
        line.destination = Some(Endpoint {
            ip: self.upstream.or(self.opened.target.address()),
            port: Some(self.opened.port),
            bytes: Some(close.bytes_down),
            domain: self.opened.target.name().map(|name| name.as_str()),
            ..Endpoint::default()
        });
        line.rule = revoked.and_then(|revoked| {
            let id = revoked.rule.as_deref()?;
            let ruleset = &revoked.policy;
            Some(Rule { id, ruleset })
        });
        line.network.bytes = Some(close.bytes_up.saturating_add(close.bytes_down));
        line.bytes()
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.finish(&Close {
            reason: CloseReason::Aborted,
            detail: None,
            by: ClosedBy::Gate,
            bytes_up: 0,
            bytes_down: 0,
        });
    }
}

fn dns(facts: &Facts) -> Dns<'_> {
    let names = facts.chain.iter().map(|name| name.as_str());
    Dns {
        answers: names
            .map(|data| DnsAnswer {
                kind: "CNAME",
                data,
            })
            .collect(),
        resolved_ip: &facts.addresses,
    }
}

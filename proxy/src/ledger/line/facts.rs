//! What a decision line says under `octroi`: the answer as ids, and the question.

use octroi_policy::Policy;
use octroi_policy::catalogue::Role;
use octroi_policy::decision::{Class, Cover, Decision, Disposition, Ground, Piece};
use octroi_policy::flow::{CertificateName, Flow, Hello, Protocol};
use octroi_policy::name::{DomainName, Host};
use serde::Serialize;
use std::net::IpAddr;

use crate::shares::Limited;

/// What a flow presented, as far as it was known when it was decided.
#[derive(Clone, Debug)]
pub(in crate::ledger) struct Facts {
    pub(in crate::ledger) host: Option<Host>,
    pub(in crate::ledger) hello: Option<Hello>,
    pub(in crate::ledger) chain: Vec<DomainName>,
    pub(in crate::ledger) addresses: Vec<IpAddr>,
    pub(in crate::ledger) resolved: bool,
    pub(in crate::ledger) ours: Vec<IpAddr>,
}

impl Facts {
    /// Nothing is known yet.
    pub(in crate::ledger) fn none() -> Self {
        Self {
            host: None,
            hello: None,
            chain: Vec::new(),
            addresses: Vec::new(),
            resolved: false,
            ours: Vec::new(),
        }
    }

    pub(in crate::ledger) fn of(flow: &Flow<'_>) -> Self {
        Self {
            host: flow.host.clone(),
            hello: flow.hello.clone(),
            chain: flow.chain.to_vec(),
            addresses: flow.addresses.to_vec(),
            resolved: flow.resolved,
            ours: flow.ours.to_vec(),
        }
    }

    /// The ClientHello carries Encrypted Client Hello.
    pub(in crate::ledger) fn has_ech(&self) -> bool {
        matches!(self.hello, Some(Hello::Name { ech: true, .. }))
    }

    /// It begins as TLS does.
    pub(in crate::ledger) fn is_tls(&self) -> bool {
        matches!(
            self.hello,
            Some(Hello::Name { .. } | Hello::Absent | Hello::Malformed)
        )
    }

    pub(in crate::ledger) fn server_name(&self) -> Option<&str> {
        match &self.hello {
            Some(Hello::Name { name, .. }) => Some(name.as_str()),
            _ => None,
        }
    }
}

/// The `octroi` object of a decision line.
#[derive(Debug, Serialize)]
pub(in crate::ledger) struct OctroiDecision<'a> {
    ministry: &'a str,
    workload: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    /// `ministry/workload` of each, where address and certificate disagree.
    conflict: Option<Vec<String>>,
    verdict: &'static str,
    mode: &'static str,
    grounds: Vec<GroundLine<'a>>,
    evidence: Vec<PieceLine<'a>>,
    rules: Vec<HitLine<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    derogation: Option<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    lifts: Vec<LiftLine<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    outcome: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sni: Option<&'static str>,
    question: Question<'a>,
    policy: PolicyLine<'a>,
    judged_at: String,
}

#[derive(Debug, Serialize)]
pub(in crate::ledger) struct PolicyLine<'a> {
    pub(in crate::ledger) name: &'a str,
    pub(in crate::ledger) digest: &'a str,
}

/// The limit that a flow met: its word, whose it is unless the source's own, its figure.
#[derive(Debug, Serialize)]
pub(in crate::ledger) struct LimitLine {
    name: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    of: Option<String>,
    most: usize,
}

impl LimitLine {
    pub(in crate::ledger) fn new(limited: &Limited) -> Self {
        Self {
            name: limited.reason(),
            of: limited.holder.as_ref().map(ToString::to_string),
            most: limited.most,
        }
    }
}

#[derive(Debug, Serialize)]
struct GroundLine<'a> {
    ground: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    rule: Option<&'a str>,
    /// Position in `evidence`.
    #[serde(skip_serializing_if = "Option::is_none")]
    evidence: Option<u16>,
    /// The address class, outcome or port that it names.
    #[serde(skip_serializing_if = "Option::is_none")]
    what: Option<String>,
}

#[derive(Debug, Serialize)]
struct PieceLine<'a> {
    kind: &'static str,
    value: String,
    #[serde(flatten)]
    class: ClassLine<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    local_service: Option<&'a str>,
}

#[derive(Debug, Serialize)]
struct ClassLine<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    service: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    provider: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    range: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    sharing: Vec<&'a str>,
}

#[derive(Debug, Serialize)]
struct HitLine<'a> {
    rule: &'a str,
    evidence: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    list: Option<&'a str>,
    disposition: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    derogation: Option<&'a str>,
}

#[derive(Debug, Serialize)]
struct LiftLine<'a> {
    derogation: &'a str,
    evidence: u16,
    cover: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    through: Option<&'a str>,
    used: bool,
}

/// All that is needed, beside the source, to judge the flow again.
#[derive(Debug, Serialize)]
pub(in crate::ledger) struct Question<'a> {
    protocol: &'static str,
    target: String,
    port: u16,
    /// Where a captured connection was on its way to.
    #[serde(skip_serializing_if = "Option::is_none")]
    original: Option<IpAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    host: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hello: Option<HelloLine<'a>>,
    chain: Vec<&'a str>,
    addresses: &'a [IpAddr],
    resolved: bool,
    /// Those of the addresses at which the gate itself listened.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    ours: &'a [IpAddr],
    #[serde(skip_serializing_if = "Option::is_none")]
    listener: Option<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    certificate: Vec<&'a str>,
}

#[derive(Debug, Serialize)]
struct HelloLine<'a> {
    saw: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    ech: bool,
}

/// The word for a protocol in `network.protocol` and `octroi.question.protocol`.
pub(crate) fn protocol_word(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Connect => "connect",
        Protocol::Http => "http",
        Protocol::Captured => "captured",
    }
}

impl<'a> OctroiDecision<'a> {
    pub(in crate::ledger) fn new(
        policy: &'a Policy,
        decision: &'a Decision,
        facts: &'a Facts,
        opened: &'a crate::ledger::Opened,
    ) -> Self {
        let (verdict, mode) = decision.recorded();
        let who = &decision.who;
        let workload = |ix| &*policy.workload(ix).id;
        let in_full = |&ix| {
            let ministry = policy.ministry_id(policy.workload(ix).ministry);
            format!("{ministry}/{}", workload(ix))
        };
        let conflict = || who.workloads.iter().map(in_full).collect();
        Self {
            ministry: policy.ministry_id(who.ministry),
            workload: workload(who.workload()),
            conflict: who.is_conflict().then(conflict),
            verdict: verdict.as_str(),
            mode: mode.as_str(),
            grounds: decision
                .grounds()
                .iter()
                .map(|ground| ground_line(policy, ground))
                .collect(),
            evidence: decision
                .pieces
                .iter()
                .map(|piece| piece_line(policy, piece))
                .collect(),
            rules: hits(policy, decision),
            derogation: decision.derogation().map(|ix| &*policy.derogation(ix).id),
            lifts: lifts(policy, decision),
            outcome: decision.outcome.map(|outcome| outcome.as_str()),
            sni: decision.sni.map(|sni| sni.as_str()),
            question: Question::new(facts, opened),
            policy: PolicyLine {
                name: policy.name(),
                digest: policy.digest(),
            },
            judged_at: decision.at.to_string(),
        }
    }
}

fn ground_line<'a>(policy: &'a Policy, ground: &Ground) -> GroundLine<'a> {
    GroundLine {
        ground: ground.as_str(),
        rule: ground.rule().map(|ix| &*policy.rule(ix).id),
        evidence: ground.piece().map(|piece| piece.0),
        what: ground.what(),
    }
}

fn piece_line<'a>(policy: &'a Policy, piece: &'a Piece) -> PieceLine<'a> {
    let local = piece.local.as_ref().and_then(|class| class.service);
    PieceLine {
        kind: piece.kind.as_str(),
        value: piece.value.to_string(),
        class: class_line(policy, &piece.class),
        local_service: local.map(|ix| &*policy.service(ix).id),
    }
}

fn class_line<'a>(policy: &'a Policy, class: &'a Class) -> ClassLine<'a> {
    let service = |ix| &*policy.service(ix).id;
    ClassLine {
        service: class.service.map(service),
        provider: class.provider.map(|ix| &*policy.provider(ix).id),
        role: class.role.map(|role| match role {
            Role::Own => "own",
            Role::Platform => "platform",
            Role::Front => "front",
        }),
        range: class.range.map(|range| range.to_string()),
        sharing: class.sharing.iter().map(|&ix| service(ix)).collect(),
    }
}

fn hits<'a>(policy: &'a Policy, decision: &Decision) -> Vec<HitLine<'a>> {
    let line = |hit: &octroi_policy::decision::Hit| {
        let derogation = match hit.disposition {
            Disposition::Lifted(ix) => Some(&*policy.derogation(ix).id),
            _ => None,
        };
        HitLine {
            rule: &policy.rule(hit.rule).id,
            evidence: hit.piece.0,
            list: hit.list.map(|list| &*policy.model().lists[list.at()].id),
            disposition: hit.disposition.as_str(),
            derogation,
        }
    };
    decision.hits.iter().map(line).collect()
}

fn lifts<'a>(policy: &'a Policy, decision: &Decision) -> Vec<LiftLine<'a>> {
    let line = |lift: &octroi_policy::decision::Lift| {
        let through = match lift.cover {
            Cover::Named => None,
            Cover::Required(ix) => Some(&*policy.service(ix).id),
            Cover::Behind(ix) => Some(&*policy.provider(ix).id),
        };
        LiftLine {
            derogation: &policy.derogation(lift.derogation).id,
            evidence: lift.piece.0,
            cover: lift.cover.as_str(),
            through,
            used: lift.used,
        }
    };
    decision.lifts.iter().map(line).collect()
}

impl<'a> Question<'a> {
    pub(in crate::ledger) fn new(facts: &'a Facts, opened: &'a crate::ledger::Opened) -> Self {
        Self {
            protocol: protocol_word(opened.protocol),
            target: opened.target.to_string(),
            port: opened.port,
            original: opened.original,
            host: facts.host.as_ref().map(Host::to_string),
            hello: facts.hello.as_ref().map(|hello| hello_line(hello, facts)),
            chain: facts.chain.iter().map(DomainName::as_str).collect(),
            addresses: &facts.addresses,
            resolved: facts.resolved,
            ours: &facts.ours,
            listener: opened.source.listener.as_deref(),
            certificate: opened
                .source
                .certificate
                .iter()
                .map(CertificateName::as_str)
                .collect(),
        }
    }
}

fn hello_line<'a>(hello: &Hello, facts: &'a Facts) -> HelloLine<'a> {
    let saw = match hello {
        Hello::Name { .. } => "name",
        Hello::NotExpected => "not_expected",
        Hello::Absent => "absent",
        Hello::NotTls => "not_tls",
        Hello::Malformed => "malformed",
        Hello::Timeout => "timeout",
    };
    HelloLine {
        saw,
        name: facts.server_name(),
        ech: facts.has_ech(),
    }
}

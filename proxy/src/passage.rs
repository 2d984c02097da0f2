//! One flow on its way through the gate: its evidence, its judgements, its entry in the ledger.

mod evidence;
mod tunnel;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use jiff::Timestamp;
use octroi_policy::Policy;
use octroi_policy::decision::{Decision, Verdict};
use octroi_policy::flow::{Hello, Protocol};
use octroi_policy::name::{DomainName, Host};

pub use evidence::Evidence;
pub use tunnel::Tunnel;

use crate::addr::OriginalDst;
use crate::dns::Resolution;
use crate::fault::{self, Fault};
use crate::gate::Gate;
use crate::ledger::{Close, CloseReason, ClosedBy, Entry, Opened};
use crate::limits::Engaged;
use crate::listener::Client;
use crate::refusals::Kept;
use crate::reply::{About, Audience, Refusal, Reply};
use crate::request::Request;
use crate::shares::{Limited, Place};
use crate::tunnels::Round;
use crate::upstream::{DialError, Permit};

/// A flow between its request and its end.
#[derive(Debug)]
pub struct Passage {
    gate: Arc<Gate>,
    evidence: Evidence,
    awaits_hello: bool,
    /// When it was last judged, as far as open tunnels go.
    round: Round,
    audience: Audience,
    entry: Entry,
    /// Held as long as the flow lasts.
    place: Place,
    /// While there is a flow, its connection makes room for nobody.
    engaged: Engaged,
}

/// A decision and the policy it was made by.
#[derive(Debug)]
pub struct Judged {
    policy: Arc<Policy>,
    decision: Decision,
}

/// Why a flow does not go on.
#[derive(Debug)]
pub enum Stopped {
    /// The policy denies it.
    Denied(Box<Judged>),
    /// Its source, workload or ministry has no place for it.
    Limited(Box<Limited>),
    /// The target could not be resolved.
    Unresolved(Fault),
    /// The origin could not be reached.
    Unreachable(Fault),
}

impl From<DialError> for Stopped {
    fn from(error: DialError) -> Self {
        Self::Unreachable(fault::of_dial(error))
    }
}

impl Passage {
    /// Who asks for what: opens the flow's entry in the ledger.
    #[must_use]
    pub fn open(gate: &Arc<Gate>, client: &Client, request: &Request, engaged: Engaged) -> Self {
        let is_tunnel = request.protocol == Protocol::Connect;
        let awaits_hello = is_tunnel && expects_tls(gate, client, request.port);
        let user_agent = request.head.values("user-agent").next();
        let opened = Opened {
            source: client.source.clone(),
            client_port: client.address.port(),
            balancer: client.balancer,
            protocol: request.protocol,
            method: request.head.method.clone(),
            target: request.target.clone(),
            port: request.port,
            original: client.original.map(OriginalDst::ip),
            user_agent: user_agent.map(|value| String::from_utf8_lossy(value).into_owned()),
        };
        let none_expected = is_tunnel && !awaits_hello;
        let hello = none_expected.then_some(Hello::NotExpected);
        Self {
            awaits_hello,
            audience: request.audience,
            ..Self::begin(gate, opened, request.host().cloned(), hello, engaged)
        }
    }

    /// A captured connection that speaks no plain HTTP, with what it said first: its target is the server name, else
    /// the address that it was on its way to.
    #[must_use]
    pub fn captured(
        gate: &Arc<Gate>,
        client: &Client,
        original: OriginalDst,
        hello: Hello,
        engaged: Engaged,
    ) -> Self {
        let opened = Opened {
            source: client.source.clone(),
            client_port: client.address.port(),
            balancer: client.balancer,
            protocol: Protocol::Captured,
            method: String::new(),
            target: captured_target(original, &hello),
            port: original.port(),
            original: Some(original.ip()),
            user_agent: None,
        };
        Self::begin(gate, opened, None, Some(hello), engaged)
    }

    /// Whether such a connection would pass, by what is known before anything is resolved. It is no flow yet, and
    /// nothing is recorded.
    #[must_use]
    pub fn would_pass(gate: &Gate, client: &Client, original: OriginalDst, hello: Hello) -> bool {
        let evidence = Evidence {
            source: client.source.clone(),
            protocol: Protocol::Captured,
            target: captured_target(original, &hello),
            port: original.port(),
            original: Some(original.ip()),
            host: None,
            hello: Some(hello),
            resolution: None,
        };
        let ours = evidence.ours(&gate.dialler.own);
        let flow = evidence.flow(&gate.config.upstream.forbid, &ours);
        let decision = gate.policy.policy().judge(&flow, Timestamp::now());
        decision.verdict() == Verdict::Allow
    }

    fn begin(
        gate: &Arc<Gate>,
        opened: Opened,
        host: Option<Host>,
        hello: Option<Hello>,
        engaged: Engaged,
    ) -> Self {
        let evidence = Evidence {
            source: opened.source.clone(),
            protocol: opened.protocol,
            target: opened.target.clone(),
            port: opened.port,
            original: opened.original,
            host,
            hello,
            resolution: None,
        };
        Self {
            gate: Arc::clone(gate),
            evidence,
            awaits_hello: false,
            round: gate.tunnels.round(),
            audience: Audience::default(),
            entry: gate.ledger.open(opened),
            place: Place::default(),
            engaged,
        }
    }

    /// What was asked for.
    #[must_use]
    pub fn target(&self) -> &Host {
        &self.evidence.target
    }

    /// Whether a ClientHello is awaited before the last judgement.
    #[must_use]
    pub fn awaits_hello(&self) -> bool {
        self.awaits_hello
    }

    /// Who reads the answer.
    #[must_use]
    pub fn audience(&self) -> Audience {
        self.audience
    }

    /// Judges the names; if they pass, takes the flow's place among those of its source, workload
    /// and ministry, then resolves the names and judges chain and addresses. A name that is denied
    /// by itself is never resolved, and takes no place: it is an attempt, however many there are.
    ///
    /// # Errors
    /// [`Stopped`] for a denial, a limit, or a name that does not resolve.
    pub async fn permit(&mut self) -> Result<Permit, Stopped> {
        let mut judged = self.judge()?;
        self.take_place(&judged)?;
        let addresses = match self.evidence.target.clone() {
            Host::Address(address) => vec![address],
            Host::Name(name) => {
                let resolution = self.resolve(&name, &judged).await?;
                let addresses = self.original_first(resolution.addresses.clone());
                self.evidence.resolution = Some(resolution);
                judged = self.judge()?;
                addresses
            }
        };
        // A decision that allows covers every address it was asked about, so this cannot fail;
        // if it did, nothing must be dialled.
        Permit::new(&judged.decision, &addresses, self.evidence.port)
            .ok_or(Stopped::Unreachable(fault::INTERNAL))
    }

    /// What stands behind the target. Where the policy trusts the address that a captured connection was on its way
    /// to, that one alone does, whatever the name servers say or do not say.
    async fn resolve(
        &self,
        name: &DomainName,
        judged: &Judged,
    ) -> Result<Arc<Resolution>, Stopped> {
        let (resolved, from) = self.gate.resolver.resolve_from(name).await;
        self.gate.ledger.metrics().dns_lookup(from.as_str());
        let trusts = |&original: &IpAddr| {
            judged
                .policy
                .trusts_original(&judged.decision.who, original)
        };
        match (resolved, self.evidence.original.filter(trusts)) {
            (Ok(resolution), None) => Ok(resolution),
            (Err(error), None) => Err(Stopped::Unresolved(fault::of_dns(error))),
            (resolved, Some(original)) => Ok(Arc::new(Resolution {
                chain: resolved.map_or_else(|_| Vec::new(), |found| found.chain.clone()),
                addresses: vec![original],
                expires: Instant::now(),
            })),
        }
    }

    /// A captured connection goes on to where it was on its way to, if that is among what we found.
    fn original_first(&self, mut addresses: Vec<IpAddr>) -> Vec<IpAddr> {
        let original = self.evidence.original;
        addresses.sort_by_key(|&address| Some(address.to_canonical()) != original);
        addresses
    }

    /// Judges the flow with the ClientHello, the last evidence of a tunnel.
    ///
    /// # Errors
    /// [`Stopped::Denied`].
    pub fn judge_hello(&mut self, hello: Hello) -> Result<(), Stopped> {
        self.evidence.hello = Some(hello);
        self.judge().map(drop)
    }

    /// One judgement by the policy in force now. The first denial decides the flow, and so does
    /// the judgement of its last evidence.
    fn judge(&mut self) -> Result<Judged, Stopped> {
        self.round = self.gate.tunnels.round();
        let policy = self.gate.policy.policy_to_keep();
        let ours = self.evidence.ours(&self.gate.dialler.own);
        let flow = self.evidence.flow(&self.gate.config.upstream.forbid, &ours);
        let began = Instant::now();
        let decision = policy.judge(&flow, Timestamp::now());
        self.gate.ledger.metrics().judged(began.elapsed());
        let is_denied = decision.verdict() == Verdict::Deny;
        let is_last = flow.resolved && (flow.hello.is_some() || !self.awaits_hello);
        if is_denied || is_last {
            self.entry.decide(&policy, &decision, &flow);
            if is_denied {
                self.remember(&policy, &decision);
            }
        } else {
            self.entry.note(&policy, &decision, &flow);
        }
        let judged = Judged { policy, decision };
        if is_denied {
            Err(Stopped::Denied(Box::new(judged)))
        } else {
            Ok(judged)
        }
    }

    /// The flow belongs from now on to whom this judgement took it for, whatever policy comes.
    fn take_place(&mut self, judged: &Judged) -> Result<(), Stopped> {
        let (policy, who) = (&judged.policy, &judged.decision.who);
        let taken = self
            .gate
            .shares
            .take(policy, who, self.evidence.source.address);
        self.place = taken.map_err(Stopped::Limited)?;
        Ok(())
    }

    /// Keeps a refusal for the client to read about: browsers hide what it is answered.
    fn remember(&self, policy: &Policy, decision: &Decision) {
        let Evidence {
            target,
            port,
            source,
            ..
        } = &self.evidence;
        let kept = Kept::new(policy, decision, target, *port, self.entry.id());
        self.gate.refusals.keep(source.address, kept);
    }

    /// Records that the origin is connected and the flow permitted.
    pub fn established(&mut self, origin: Option<IpAddr>) {
        self.entry.established(origin);
    }

    /// The answer to a client whose flow does not go on.
    #[must_use]
    pub fn reply(&self, stopped: &Stopped) -> Reply {
        match stopped {
            Stopped::Denied(judged) => {
                let incident = self.entry.id().to_string();
                let asked = self.asked();
                let Judged { policy, decision } = &**judged;
                let refusal =
                    Refusal::new(policy, decision, &asked, &incident, self.audience.language);
                Reply::refusal(&refusal, self.audience)
            }
            Stopped::Limited(limited) => {
                let reply = self.fault(&limited.fault());
                match limited.wait {
                    Some(wait) => reply.retry_after(wait),
                    None => reply,
                }
            }
            Stopped::Unresolved(fault) | Stopped::Unreachable(fault) => self.fault(fault),
        }
    }

    /// What was asked for, as `host:port`.
    fn asked(&self) -> String {
        format!("{}:{}", self.evidence.target, self.evidence.port)
    }

    /// The answer to a client whose request failed on the way.
    #[must_use]
    pub fn fault(&self, fault: &Fault) -> Reply {
        let policy = self.gate.policy.policy_to_keep();
        let who = policy.identify(&self.evidence.source);
        let asked = self.asked();
        let about = About::new(&policy, &who, &asked);
        let incident = self.entry.id().to_string();
        Reply::fault_about(fault, &incident, about, self.audience)
    }

    /// Ends a flow that does not go on.
    pub fn close_stopped(mut self, stopped: &Stopped) {
        let (reason, detail) = match stopped {
            Stopped::Denied(_) => (CloseReason::Denied, None),
            Stopped::Limited(limited) => {
                self.entry.limited(Limited::clone(limited));
                (CloseReason::Limited, Some(limited.reason()))
            }
            Stopped::Unresolved(fault) => (CloseReason::DnsFailed, Some(fault.reason)),
            Stopped::Unreachable(fault) => (CloseReason::Unreachable, Some(fault.reason)),
        };
        if let (Stopped::Unresolved(_) | Stopped::Unreachable(_), Some(reason)) = (stopped, detail)
        {
            self.gate.ledger.metrics().upstream_error(reason);
        }
        self.close(Close {
            reason,
            detail,
            by: ClosedBy::Gate,
            bytes_up: 0,
            bytes_down: 0,
        });
    }

    /// Ends a flow whose client left before anything went through.
    pub fn close_abandoned(self) {
        let reason = CloseReason::Finished;
        self.close(Close {
            reason,
            detail: None,
            by: ClosedBy::Client,
            bytes_up: 0,
            bytes_down: 0,
        });
    }

    /// Ends the flow.
    pub fn close(self, close: Close) {
        self.entry.close(close);
    }
}

/// What a captured connection is about: the name it presents, else the address that it was on its way to.
fn captured_target(original: OriginalDst, hello: &Hello) -> Host {
    match hello {
        Hello::Name { name, .. } => Host::Name(name.clone()),
        _ => Host::Address(original.ip()),
    }
}

/// Whether a ClientHello is awaited of this client on this port.
#[must_use]
pub fn expects_tls(gate: &Gate, client: &Client, port: u16) -> bool {
    let policy = gate.policy.policy();
    let workloads = policy.identify(&client.source).workloads;
    let expects = |ix| policy.workload(ix).tls_ports.contains(port);
    workloads.into_iter().any(expects)
}

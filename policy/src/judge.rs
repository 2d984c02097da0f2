//! The third question, *may it*: the five steps of judgement.
//!
//! The order in which rules are written plays no part. A flow is judged for each workload it belongs to,
//! by the national policy alone and, where its ministry has files of its own, once more with those; all
//! grounds for denial count, so the strictest wins and a ministry can only tighten.

mod agreement;
mod derogation;
mod matching;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use jiff::Timestamp;

use crate::address::{AddressClass, Forbid};
use crate::catalogue::{CategoryIx, ServiceIx, WorkloadIx};
use crate::decision::{
    Class, Decision, Disposition, Ground, Hit, Lift, Piece, PieceIx, Ruling, Verdict, Who,
};
use crate::flow::{EvidenceKind, Flow, Protocol, Source};
use crate::ministry::{Action, Permission, Workload};
use crate::name::Host;
use crate::policy::Policy;
use crate::rule::{Effect, Mode};

use agreement::Outcomes;

impl Policy {
    /// Judges a flow by what is known of it so far, at an instant.
    ///
    /// The path asks again each time more evidence is in; more evidence never turns a denial into a permission.
    #[must_use]
    pub fn judge(&self, flow: &Flow<'_>, at: Timestamp) -> Decision {
        self.judge_as(flow, self.identify(flow.source), at)
    }

    /// Judges a flow as one of `who`, whatever its source says: for a log that names workloads and no addresses.
    #[must_use]
    pub fn judge_as(&self, flow: &Flow<'_>, who: Who, at: Timestamp) -> Decision {
        let pieces = self.pieces(flow);
        let outcomes = self.outcomes(flow, &pieces, at);
        let mut decision = Decision {
            at,
            outcome: outcomes.gravest(),
            sni: flow.sni_outcome(),
            hits: Vec::new(),
            lifts: Vec::new(),
            enforced: Ruling::default(),
            trial: Ruling::default(),
            who,
            pieces: Vec::new(),
        };
        for workload in decision.who.workloads.clone() {
            let mut court = Court {
                policy: self,
                flow,
                at,
                workload: self.workload(workload),
                workload_ix: workload,
                pieces: &pieces,
                outcomes,
                classes: pieces.iter().map(|piece| piece.class.clone()).collect(),
                layered: false,
            };
            court.rule(&mut decision);
            if court.join_layer() {
                court.rule(&mut decision);
            }
        }
        decision.pieces = pieces;
        self.show_local_classes(&mut decision);
        settle(&mut decision);
        decision
    }

    /// Whether a workload may use a service by its own name, as far as the service alone decides.
    #[must_use]
    pub fn permits(&self, workload: WorkloadIx, service: ServiceIx, at: Timestamp) -> Verdict {
        let source = Source::from_address(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
        let forbid = Forbid::none();
        let flow = Flow {
            source: &source,
            protocol: Protocol::Connect,
            target: Host::Address(source.address),
            port: self
                .workload(workload)
                .connect_ports
                .ranges()
                .first()
                .map_or(443, |r| r.0),
            original: None,
            host: None,
            hello: None,
            chain: &[],
            addresses: &[],
            resolved: false,
            forbid: &forbid,
            ours: &[],
        };
        let piece = Piece {
            kind: EvidenceKind::Target,
            value: Host::Address(IpAddr::V6(Ipv6Addr::LOCALHOST)),
            class: self.class_of(service),
            local: None,
        };
        let workload_ix = workload;
        let mut court = Court {
            policy: self,
            flow: &flow,
            at,
            workload: self.workload(workload),
            workload_ix,
            classes: vec![piece.class.clone()],
            pieces: &[piece],
            outcomes: Outcomes::default(),
            layered: false,
        };
        let national = court.verdict();
        let layered = court.join_layer().then(|| court.verdict());
        layered.map_or(national, |own| own.max(national))
    }

    /// Whether evidence belongs to the services that keep machines alive.
    #[must_use]
    pub fn is_infrastructure(&self, class: &Class) -> bool {
        self.infrastructure
            .is_some_and(|category| self.is_in(class, category))
    }

    pub(crate) fn is_in(&self, class: &Class, category: CategoryIx) -> bool {
        match class.service {
            Some(service) => self.service(service).categories.contains(&category),
            None => {
                !class.sharing.is_empty()
                    && class
                        .sharing
                        .iter()
                        .all(|&service| self.service(service).categories.contains(&category))
            }
        }
    }

    fn show_local_classes(&self, decision: &mut Decision) {
        let Some(ministry) = decision.who.ministry else {
            return;
        };
        for piece in &mut decision.pieces {
            if let (Host::Name(name), true) = (&piece.value, is_unlisted(&piece.class)) {
                piece.local = self.classify_locally(name, ministry);
            }
        }
    }
}

fn is_unlisted(class: &Class) -> bool {
    class.service.is_none() && class.provider.is_none()
}

/// Sorts and dedupes, so that nothing depends on the order of rules or workloads.
fn settle(decision: &mut Decision) {
    for ruling in [&mut decision.enforced, &mut decision.trial] {
        ruling.grounds.sort_unstable();
        ruling.grounds.dedup();
    }
    let key = |hit: &Hit| (hit.piece, hit.rule, hit.disposition == Disposition::Applies);
    decision
        .hits
        .sort_unstable_by_key(|hit| std::cmp::Reverse(key(hit)));
    decision.hits.dedup_by_key(|hit| (hit.piece, hit.rule));
    decision.hits.reverse();
    decision
        .lifts
        .sort_unstable_by_key(|lift| (lift.piece, lift.derogation, !lift.used));
    decision
        .lifts
        .dedup_by_key(|lift| (lift.piece, lift.derogation));
}

/// One workload before one layer of the policy.
struct Court<'a> {
    policy: &'a Policy,
    flow: &'a Flow<'a>,
    at: Timestamp,
    workload: &'a Workload,
    workload_ix: WorkloadIx,
    pieces: &'a [Piece],
    outcomes: Outcomes,
    /// What each piece is taken for in this layer.
    classes: Vec<Class>,
    /// The ministry's own files count too.
    layered: bool,
}

impl Court<'_> {
    /// Takes the ministry's own files in; `false` when it has none.
    fn join_layer(&mut self) -> bool {
        let Some(ministry) = self.workload.ministry else {
            return false;
        };
        if !self.policy.layered[ministry.at()] {
            return false;
        }
        for (class, piece) in self.classes.iter_mut().zip(self.pieces) {
            if let (Host::Name(name), true) = (&piece.value, is_unlisted(class)) {
                *class = self
                    .policy
                    .classify_locally(name, ministry)
                    .unwrap_or_default();
            }
        }
        self.layered = true;
        true
    }

    /// Judges every piece and adds what speaks against the flow to both rulings.
    fn rule(&self, decision: &mut Decision) {
        let mut lifts = self.lifts();
        let hits = self.hits(&lifts);
        let trial = self.grounds(&hits, &mut lifts, Standing::Trial);
        let enforced = self.grounds(&hits, &mut lifts, Standing::Enforced);
        decision.trial.grounds.extend(trial);
        decision.enforced.grounds.extend(enforced);
        decision.hits.extend(hits);
        decision.lifts.extend(lifts);
    }

    /// The enforced verdict alone.
    fn verdict(&self) -> Verdict {
        let mut lifts = self.lifts();
        let hits = self.hits(&lifts);
        let grounds = self.grounds(&hits, &mut lifts, Standing::Enforced);
        Ruling { grounds }.verdict()
    }

    /// The five steps.
    fn grounds(&self, hits: &[Hit], lifts: &mut [Lift], standing: Standing) -> Vec<Ground> {
        let mut grounds = Vec::new();
        let applies = |hit: &&Hit, effect| {
            let rule = self.policy.rule(hit.rule);
            rule.effect == effect
                && standing.counts(rule.mode)
                && hit.disposition == Disposition::Applies
        };
        for (index, piece) in (0u16..).map(PieceIx).zip(self.pieces) {
            let here = || hits.iter().filter(move |hit| hit.piece == index);
            let lifted = lifts.iter().any(|lift| lift.piece == index);
            // 1. A block denies the flow, and nothing lifts it; neither does anything make an address dialable.
            let blocks = here().filter(|hit| applies(hit, Effect::Block));
            grounds.extend(blocks.map(|hit| Ground::Block(hit.rule, index)));
            grounds.extend(self.forbidden(piece, index));
            // 2. and 3. A derogation takes deny rules away (their hits say `Lifted`); those left deny.
            let denies: Vec<_> = here().filter(|hit| applies(hit, Effect::Deny)).collect();
            grounds.extend(denies.iter().map(|hit| Ground::Deny(hit.rule, index)));
            if !piece.kind.is_asked_for() || !denies.is_empty() {
                continue;
            }
            // 4. and 5. What is asked for needs a permission: a rule's, or the default.
            let permitted = lifted
                || here().any(|hit| applies(&hit, Effect::Allow))
                || self
                    .policy
                    .is_infrastructure(&self.classes[usize::from(index.0)])
                || self.default() == Permission::Allow;
            if !permitted {
                grounds.push(Ground::Default(index));
            }
        }
        self.mark_used(hits, lifts);
        grounds.extend(self.port(hits, lifts, standing));
        grounds.extend(self.actions(standing));
        grounds
    }

    fn forbidden(&self, piece: &Piece, index: PieceIx) -> Option<Ground> {
        let address = piece.value.address()?;
        let class = match self.flow.ours.contains(&address) {
            true => AddressClass::Gate,
            false => self.flow.forbid.verdict(address)?,
        };
        Some(Ground::Forbidden(class, index))
    }

    /// What happens to what no rule mentions.
    fn default(&self) -> Permission {
        let model = self.policy.model();
        let ministry = self.workload.ministry.map(|m| &model.ministries[m.at()]);
        let national = self
            .workload
            .default
            .or_else(|| ministry.and_then(|ministry| ministry.default))
            .unwrap_or(model.default);
        let own = ministry.and_then(|ministry| ministry.layer.default);
        match own.filter(|_| self.layered) {
            Some(own) => own.max(national),
            None => national,
        }
    }

    /// A port outside the workload's own needs a rule or derogation that names it, for all that is asked for.
    fn port(&self, hits: &[Hit], lifts: &mut [Lift], standing: Standing) -> Option<Ground> {
        let port = self.flow.port;
        let usual = match self.flow.protocol {
            Protocol::Connect | Protocol::Captured => &self.workload.connect_ports,
            Protocol::Http => &self.workload.http_ports,
        };
        if usual.contains(port) {
            return None;
        }
        let mut opened = true;
        for (index, piece) in (0u16..).map(PieceIx).zip(self.pieces) {
            if !piece.kind.is_asked_for() {
                continue;
            }
            let by_rule = hits.iter().filter(|hit| hit.piece == index).any(|hit| {
                let rule = self.policy.rule(hit.rule);
                rule.effect == Effect::Allow
                    && standing.counts(rule.mode)
                    && hit.disposition == Disposition::Applies
                    && rule
                        .when
                        .ports
                        .as_ref()
                        .is_some_and(|ports| ports.contains(port))
            });
            opened &= by_rule || self.port_opened_by_derogation(lifts, index, port);
        }
        (!opened).then_some(Ground::Port(port))
    }

    /// What the workload does about the outcomes of this flow.
    fn actions(&self, standing: Standing) -> Vec<Ground> {
        let model = self.policy.model();
        let own = self
            .workload
            .ministry
            .filter(|_| self.layered)
            .map(|ministry| &model.ministries[ministry.at()].layer.on);
        let on = &self.workload.on;
        let counts = |action: Action| match standing {
            Standing::Enforced => action == Action::Deny,
            Standing::Trial => action >= Action::Observe,
        };
        let mut grounds = Vec::new();
        for outcome in self.outcomes.iter() {
            let tightened = own.and_then(|own| own.outcome_as_written(outcome));
            if counts(tightened.map_or(on.on_outcome(outcome), |own| {
                own.max(on.on_outcome(outcome))
            })) {
                grounds.push(Ground::OnOutcome(outcome));
            }
        }
        if let Some(sni) = self.flow.sni_outcome() {
            let tightened = own.and_then(|own| own.sni_as_written(sni));
            if counts(tightened.map_or(on.on_sni(sni), |own| own.max(on.on_sni(sni)))) {
                grounds.push(Ground::OnSni(sni));
            }
        }
        grounds
    }
}

/// Which of the two verdicts is being found.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// The one that traffic follows: rules in observe mode are not there.
    Enforced,
    /// The one with every rule.
    Trial,
}

impl Standing {
    fn counts(self, mode: Mode) -> bool {
        self == Standing::Trial || mode == Mode::Enforce
    }
}

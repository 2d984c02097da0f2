//! What flows move: counted when they are asked for, decided, relayed and ended.

use std::collections::BTreeSet;
use std::net::IpAddr;

use jiff::Timestamp;
use octroi_policy::Policy;
use octroi_policy::decision::{Decision, Disposition, Hit, Verdict};
use octroi_policy::flow::EvidenceKind;

use super::policy::mode_word;
use super::{Counters, Labels, Metrics};
use crate::ledger::series::Label;

impl Metrics {
    /// Notes who asked for what, without keeping it: for the number of different addresses.
    pub(in crate::ledger) fn asked(&self, labels: &Labels, client: IpAddr, at: Timestamp) {
        let Labels {
            ministry, service, ..
        } = labels.clone();
        self.distinct_sources.note([ministry, service], client, at);
    }

    /// Notes what was decided for whom, without keeping the address.
    pub(in crate::ledger) fn answered(
        &self,
        policy: &Policy,
        decision: &Decision,
        labels: &Labels,
        client: IpAddr,
        at: Timestamp,
    ) {
        let Labels {
            ministry, service, ..
        } = labels.clone();
        if decision.recorded().0 == Verdict::Deny {
            let workload = policy.workload(decision.who.workload());
            let sensitivity = Label::Word(workload.sensitivity.as_str());
            let labels = [ministry.clone(), sensitivity, service.clone()];
            self.distinct_denied.note(labels, client, at);
        }
        if decision.service().is_none() {
            return;
        }
        if decision.verdict() == Verdict::Deny {
            self.refused.note(client, service.as_str(), at);
        } else if let Some(derogation) = decision.derogation()
            && self.refused.take(client, service.as_str(), at)
        {
            let id = policy.derogation(derogation).id.clone();
            count(&self.derogation_after_refusal, [Label::Id(id), ministry], 1);
        }
    }

    pub(in crate::ledger) fn undecided(&self) {
        let Labels {
            ministry,
            workload,
            service,
        } = Labels::unknown();
        count(
            &self.attempts,
            [
                ministry,
                workload,
                service,
                Label::Word("deny"),
                Label::Word("enforced"),
            ],
            1,
        );
    }

    pub(in crate::ledger) fn decided(
        &self,
        policy: &Policy,
        decision: &Decision,
        labels: &Labels,
        ech: bool,
    ) {
        let Labels {
            ministry,
            workload,
            service,
        } = labels.clone();
        let (verdict, mode) = decision.recorded();
        let words = [Label::Word(verdict.as_str()), Label::Word(mode.as_str())];
        let [verdict, mode] = words;
        count(
            &self.attempts,
            [ministry.clone(), workload, service, verdict, mode],
            1,
        );
        self.count_rules(policy, decision, &ministry);
        self.count_found_behind(policy, decision);
        if let Some(outcome) = decision.outcome {
            count(
                &self.evidence,
                [ministry.clone(), Label::Word(outcome.as_str())],
                1,
            );
        }
        if let Some(outcome) = decision.sni {
            self.sni.with_label_values(&[outcome.as_str()]).inc();
        }
        if ech {
            count(&self.ech, [ministry.clone()], 1);
        }
        if let Some(derogation) = decision.derogation() {
            let id = policy.derogation(derogation).id.clone();
            count(&self.derogation_uses, [Label::Id(id), ministry], 1);
        }
    }

    fn count_rules(&self, policy: &Policy, decision: &Decision, ministry: &Label) {
        let applies = |hit: &&Hit| matches!(hit.disposition, Disposition::Applies);
        let rules: BTreeSet<_> = decision
            .hits
            .iter()
            .filter(applies)
            .map(|hit| hit.rule)
            .collect();
        for rule in rules {
            let rule = policy.rule(rule);
            let mode = Label::Word(mode_word(rule.mode));
            let labels = [Label::Id(rule.id.clone()), ministry.clone(), mode];
            count(&self.rule_hits, labels, 1);
        }
    }

    /// What DNS says, and not where a captured client says that it was going: that proves nothing.
    fn count_found_behind(&self, policy: &Policy, decision: &Decision) {
        let mut asked = decision.pieces.iter().filter(|p| p.kind.is_asked_for());
        let Some(service) = asked.find_map(|piece| piece.class.service) else {
            return;
        };
        let found = decision
            .pieces
            .iter()
            .filter(|piece| matches!(piece.kind, EvidenceKind::Cname | EvidenceKind::Address));
        let providers: BTreeSet<_> = found.filter_map(|piece| piece.class.provider).collect();
        for provider in providers {
            let ids = [&policy.service(service).id, &policy.provider(provider).id];
            count(&self.found_behind, ids.map(|id| Label::Id(id.clone())), 1);
        }
    }

    pub(in crate::ledger) fn relayed(&self, labels: &Labels, up: u64, down: u64) {
        for (direction, bytes) in [("up", up), ("down", down)] {
            if bytes > 0 {
                let Labels {
                    ministry, service, ..
                } = labels.clone();
                count(
                    &self.bytes,
                    [ministry, service, Label::Word(direction)],
                    bytes,
                );
            }
        }
    }

    pub(in crate::ledger) fn tunnel_opened(&self, labels: &Labels) -> Option<prometheus::IntGauge> {
        let gauge = self.tunnels_active.child([labels.ministry.clone()])?;
        gauge.inc();
        Some(gauge)
    }

    pub(in crate::ledger) fn limited(&self, limit: &'static str, labels: &Labels) {
        let labels = [Label::Word(limit), labels.ministry.clone()];
        count(&self.limited, labels, 1);
    }

    pub(in crate::ledger) fn tunnel_revoked(&self, labels: &Labels) {
        count(&self.tunnels_revoked, [labels.ministry.clone()], 1);
    }

    pub(in crate::ledger) fn second_hello_refused(&self, labels: &Labels) {
        count(&self.second_hellos_refused, [labels.ministry.clone()], 1);
    }
}

fn count<const N: usize>(family: &Counters<N>, labels: [Label; N], by: u64) {
    if let Some(counter) = family.child(labels) {
        counter.inc_by(by);
    }
}

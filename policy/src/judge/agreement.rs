//! How the pieces of evidence agree with each other.

use jiff::Timestamp;

use crate::catalogue::{ProviderIx, ServiceIx};
use crate::decision::{Class, Outcome, Piece, Strength};
use crate::flow::{EvidenceKind, Flow};
use crate::policy::Policy;

/// The outcomes that hold for a flow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Outcomes(u8);

impl Outcomes {
    fn add(&mut self, outcome: Outcome) {
        self.0 |= 1 << outcome as u8;
    }

    fn holds(self, outcome: Outcome) -> bool {
        self.0 & (1 << outcome as u8) != 0
    }

    /// From the mildest to the gravest.
    pub(super) fn iter(self) -> impl DoubleEndedIterator<Item = Outcome> {
        Outcome::ALL
            .into_iter()
            .filter(move |&outcome| self.holds(outcome))
    }

    /// The one that is recorded.
    pub(super) fn gravest(self) -> Option<Outcome> {
        self.iter().next_back()
    }
}

impl Policy {
    /// Every outcome that holds. Those that what is found behind could still change hold only once it is in.
    pub(super) fn outcomes(&self, flow: &Flow<'_>, pieces: &[Piece], at: Timestamp) -> Outcomes {
        let mut outcomes = Outcomes::default();
        let contradicted =
            |piece: &Piece| matches!(piece.kind, EvidenceKind::Host | EvidenceKind::Sni);
        if pieces.iter().any(contradicted) {
            outcomes.add(Outcome::Fronted);
        }
        if flow.is_misdirected() == Some(true) {
            outcomes.add(Outcome::Misdirected);
        }
        if flow.resolved {
            let expected = Expected::of(self, pieces, at);
            let found = pieces
                .iter()
                .filter(|piece| matches!(piece.kind, EvidenceKind::Cname | EvidenceKind::Address));
            for piece in found.filter(|_| !expected.silent) {
                outcomes.add(expected.outcome(self, piece));
            }
            if expected.services.is_empty() && expected.providers.is_empty() {
                outcomes.add(Outcome::Unknown);
            }
            if outcomes == Outcomes::default() {
                outcomes.add(Outcome::Agrees);
            }
        }
        outcomes
    }
}

/// What may stand behind what was asked for.
struct Expected {
    /// Listed services asked for, and all they require.
    services: Vec<ServiceIx>,
    /// Their own providers and those of `hosted_on`; else the provider asked for.
    providers: Vec<ProviderIx>,
    /// All that is asked for keeps machines alive.
    silent: bool,
}

impl Expected {
    fn of(policy: &Policy, pieces: &[Piece], at: Timestamp) -> Self {
        let asked = || pieces.iter().filter(|piece| piece.excuses(pieces));
        let all_asked = || pieces.iter().filter(|piece| piece.kind.is_asked_for());
        let mut expected = Self {
            services: Vec::new(),
            providers: asked().filter_map(|piece| piece.class.provider).collect(),
            silent: all_asked().all(|piece| policy.is_infrastructure(&piece.class)),
        };
        for service in asked().filter_map(|piece| piece.class.service) {
            expected.services.extend(&policy.closures[service.at()]);
        }
        for &service in &expected.services {
            let service = policy.service(service);
            expected.providers.extend(service.provider);
            let hosts = service
                .hosted_on
                .iter()
                .filter(|host| host.validity.holds(at));
            expected.providers.extend(hosts.map(|host| host.provider));
        }
        expected
    }

    fn covers(&self, class: &Class) -> bool {
        class
            .service
            .is_some_and(|service| self.services.contains(&service))
            || class
                .provider
                .is_some_and(|provider| self.providers.contains(&provider))
    }

    fn outcome(&self, _policy: &Policy, piece: &Piece) -> Outcome {
        let class = &piece.class;
        if self.covers(class) {
            return Outcome::Agrees;
        }
        match (class.strength(), self.services.is_empty(), piece.kind) {
            (Strength::Unlisted, _, _) => Outcome::Agrees,
            (Strength::Front, _, _) => Outcome::Masked,
            (Strength::Service, true, _) => Outcome::Cloaked,
            (Strength::Provider, true, _) => Outcome::Unknown,
            (_, false, EvidenceKind::Cname) => Outcome::Cloaked,
            (_, false, _) => Outcome::Rehosted,
        }
    }
}

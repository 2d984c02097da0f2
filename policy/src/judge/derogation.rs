//! What derogations in force cover.

use crate::catalogue::{DerogationIx, ProviderIx, ServiceIx};
use crate::decision::{Class, Cover, Disposition, Hit, Lift, PieceIx, Strength};
use crate::ministry::Permission;
use crate::rule::Derogation;

use super::Court;

impl Court<'_> {
    /// Every derogation in force that covers a piece, with how.
    pub(super) fn lifts(&self) -> Vec<Lift> {
        let mut lifts = Vec::new();
        for (ix, derogation) in (0u32..)
            .map(DerogationIx)
            .zip(&self.policy.model().derogations)
        {
            let mine = Some(derogation.ministry) == self.workload.ministry
                && derogation.workloads.contains(&self.workload_ix)
                && derogation.validity.holds(self.at);
            if !mine {
                continue;
            }
            let anchored = self.is_anchored(derogation);
            for (index, (piece, class)) in (0u16..)
                .map(PieceIx)
                .zip(self.pieces.iter().zip(&self.classes))
            {
                let asked = piece.kind.is_asked_for();
                if let Some(cover) = self.cover(derogation, class, asked, anchored) {
                    lifts.push(Lift {
                        derogation: ix,
                        piece: index,
                        cover,
                        used: false,
                    });
                }
            }
        }
        lifts
    }

    /// Whether the flow is about the derogation at all: what is lifted "behind" a service is lifted
    /// only in flows in which that service, or one it shares, is itself seen.
    fn is_anchored(&self, derogation: &Derogation) -> bool {
        self.pieces.iter().zip(&self.classes).any(|(piece, class)| {
            class.service.is_some_and(|service| {
                let names_later = piece.kind.is_asked_for() && !piece.excuses(self.pieces);
                !names_later
                    && (derogation.services.contains(&service)
                        || (piece.kind.is_asked_for()
                            && self.is_shared_requirement(derogation, service)))
            })
        })
    }

    fn is_shared_requirement(&self, derogation: &Derogation, service: ServiceIx) -> bool {
        self.policy.service(service).shared && derogation.closure.binary_search(&service).is_ok()
    }

    fn cover(
        &self,
        derogation: &Derogation,
        class: &Class,
        asked: bool,
        anchored: bool,
    ) -> Option<Cover> {
        if let Some(service) = class.service {
            if derogation.services.contains(&service) {
                return Some(Cover::Named);
            }
            let required = derogation.closure.binary_search(&service).is_ok();
            let covered = match asked {
                true => required && self.policy.service(service).shared,
                false => required && anchored,
            };
            return covered.then_some(Cover::Required(service));
        }
        let provider = class.provider?;
        let behind = !asked
            && anchored
            && class.strength() >= Strength::Front
            && self.stands_behind(derogation, provider);
        behind.then_some(Cover::Behind(provider))
    }

    fn stands_behind(&self, derogation: &Derogation, provider: ProviderIx) -> bool {
        derogation.closure.iter().any(|&service| {
            let service = self.policy.service(service);
            service.provider == Some(provider)
                || service
                    .hosted_on
                    .iter()
                    .any(|host| host.provider == provider && host.validity.holds(self.at))
        })
    }

    /// Marks the derogations that made a difference: without them a rule or the default would have denied.
    pub(super) fn mark_used(&self, hits: &[Hit], lifts: &mut [Lift]) {
        let default_denies = self.default() == Permission::Deny;
        for lift in lifts {
            let lifted = hits.iter().any(|hit| {
                hit.piece == lift.piece && hit.disposition == Disposition::Lifted(lift.derogation)
            });
            let piece = &self.pieces[usize::from(lift.piece.0)];
            let alone = default_denies
                && piece.kind.is_asked_for()
                && !hits.iter().any(|hit| hit.piece == lift.piece);
            lift.used |= lifted || alone;
        }
    }

    pub(super) fn port_opened_by_derogation(
        &self,
        lifts: &mut [Lift],
        index: PieceIx,
        port: u16,
    ) -> bool {
        let mut opened = false;
        for lift in lifts.iter_mut().filter(|lift| lift.piece == index) {
            let ports = &self.policy.derogation(lift.derogation).ports;
            if ports.as_ref().is_some_and(|ports| ports.contains(port)) {
                lift.used = true;
                opened = true;
            }
        }
        opened
    }
}

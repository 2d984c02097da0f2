//! Which rules match which piece of evidence, and what becomes of each match.

use crate::catalogue::RuleIx;
use crate::catalogue::{ListIx, Operator};
use crate::decision::{Class, Disposition, Hit, Lift, Piece, PieceIx, Strength};
use crate::name::Host;
use crate::rule::{Condition, Effect, Rule};

use super::Court;

impl Court<'_> {
    /// Every rule of this layer that matches a piece, with how it ended.
    pub(super) fn hits(&self, lifts: &[Lift]) -> Vec<Hit> {
        let silent = self.behind_infrastructure();
        let mut hits = Vec::new();
        for (index, piece) in (0u16..).map(PieceIx).zip(self.pieces) {
            let seen = Seen {
                piece,
                class: &self.classes[usize::from(index.0)],
                lists: self.lists_holding(piece),
            };
            let first = hits.len();
            for (ix, rule) in (0u32..).map(RuleIx).zip(&self.policy.model().rules) {
                let muted = silent && !piece.kind.is_asked_for() && rule.effect != Effect::Block;
                if muted || !self.sees(rule) || !self.touches(rule, &seen) {
                    continue;
                }
                hits.push(Hit {
                    rule: ix,
                    piece: index,
                    list: seen.list_of(rule),
                    disposition: self.disposition(rule, index, &seen, lifts),
                });
            }
            self.overrule(&mut hits[first..]);
        }
        hits
    }

    /// Whether all that is asked for keeps machines alive: what is found behind it is then silent.
    pub(super) fn behind_infrastructure(&self) -> bool {
        self.classes
            .iter()
            .zip(self.pieces)
            .filter(|(_, piece)| piece.kind.is_asked_for())
            .all(|(class, _)| self.policy.is_infrastructure(class))
    }

    fn sees(&self, rule: &Rule) -> bool {
        match rule.layer {
            None => true,
            own => self.layered && own == self.workload.ministry,
        }
    }

    fn touches(&self, rule: &Rule, seen: &Seen<'_>) -> bool {
        if rule.effect == Effect::Allow && !seen.piece.kind.is_asked_for() {
            return false;
        }
        if self.policy.is_infrastructure(seen.class) && !self.names(&rule.when, seen) {
            return false;
        }
        self.matches(&rule.when, seen)
    }

    /// Whether a condition names this evidence or its category outright.
    fn names(&self, when: &Condition, seen: &Seen<'_>) -> bool {
        let category = self.policy.infrastructure.is_some_and(|infrastructure| {
            when.categories
                .as_ref()
                .is_some_and(|c| c.contains(&infrastructure))
        });
        category || when.services.is_some() || when.lists.is_some() && self.matches(when, seen)
    }

    fn disposition(
        &self,
        rule: &Rule,
        index: PieceIx,
        seen: &Seen<'_>,
        lifts: &[Lift],
    ) -> Disposition {
        if rule
            .unless
            .iter()
            .any(|condition| self.matches(condition, seen))
        {
            return Disposition::Exempt;
        }
        if rule.effect != Effect::Deny || rule.layer.is_some() {
            return Disposition::Applies;
        }
        if let Some(lift) = lifts.iter().find(|lift| lift.piece == index) {
            return Disposition::Lifted(lift.derogation);
        }
        if self.is_hosted(seen) {
            return Disposition::Hosted;
        }
        Disposition::Applies
    }

    /// A prohibition beats a permission, whichever mode it is in: the hit then says so.
    fn overrule(&self, hits: &mut [Hit]) {
        let forbidden = hits.iter().any(|hit| {
            let rule = self.policy.rule(hit.rule);
            rule.effect != Effect::Allow
                && rule.mode == crate::rule::Mode::Enforce
                && hit.disposition == Disposition::Applies
        });
        for hit in hits {
            let allow = self.policy.rule(hit.rule).effect == Effect::Allow;
            if forbidden && allow && hit.disposition == Disposition::Applies {
                hit.disposition = Disposition::Overruled;
            }
        }
    }

    /// `hosted_on`: a provider found behind is expected there while every asked-for name belongs to a
    /// service that lists it and is qualified now, or whose entry somebody accepted.
    fn is_hosted(&self, seen: &Seen<'_>) -> bool {
        let Some(provider) = seen.class.provider else {
            return false;
        };
        if seen.piece.kind.is_asked_for() || seen.class.strength() == Strength::Service {
            return false;
        }
        let mut asked = self
            .pieces
            .iter()
            .zip(&self.classes)
            .filter(|(piece, _)| piece.kind.is_asked_for())
            .peekable();
        asked.peek().is_some()
            && asked.all(|(_, class)| {
                class.service.is_some_and(|service| {
                    let service = self.policy.service(service);
                    service.hosted_on.iter().any(|host| {
                        host.provider == provider
                            && host.validity.holds(self.at)
                            && (host.accepted || service.is_qualified(self.at))
                    })
                })
            })
    }

    fn lists_holding(&self, piece: &Piece) -> Vec<ListIx> {
        let mut lists = Vec::new();
        let mut hold = |list| lists.push(list);
        match &piece.value {
            Host::Name(name) => self.policy.listed_names.all(name, &mut hold),
            Host::Address(address) => self.policy.listed_addresses.all(*address, &mut hold),
        }
        lists
    }

    fn matches(&self, when: &Condition, seen: &Seen<'_>) -> bool {
        self.matches_who(when) && self.matches_what(when, seen)
    }

    fn matches_who(&self, when: &Condition) -> bool {
        any(&when.ministries, |ministries| {
            self.workload
                .ministry
                .is_some_and(|m| ministries.contains(&m))
        }) && any(&when.workloads, |workloads| {
            workloads.contains(&self.workload_ix)
        }) && any(&when.sensitivities, |s| {
            s.contains(&self.workload.sensitivity)
        }) && any(&when.ports, |ports| ports.contains(self.flow.port))
    }

    fn matches_what(&self, when: &Condition, seen: &Seen<'_>) -> bool {
        let Seen {
            piece,
            class,
            lists,
        } = seen;
        let service = class.service.map(|service| self.policy.service(service));
        let provider_counts = class.role != Some(crate::catalogue::Role::Front)
            || piece.kind.is_asked_for()
            || when.fronts;
        any(&when.services, |services| {
            class
                .service
                .is_some_and(|service| services.contains(&service))
        }) && any(&when.categories, |categories| {
            categories
                .iter()
                .any(|&category| self.is_of(piece, class, category))
        }) && any(&when.providers, |providers| {
            provider_counts && class.provider.is_some_and(|p| providers.contains(&p))
        }) && any(&when.jurisdictions, |jurisdictions| {
            provider_counts
                && self
                    .policy
                    .jurisdiction(class)
                    .is_some_and(|j| jurisdictions.contains(&j))
        }) && any(&when.qualifications, |schemes| {
            service.is_some_and(|service| {
                schemes
                    .iter()
                    .any(|scheme| service.is_qualified_under(scheme, self.at))
            })
        }) && any(&when.operators, |operators: &Vec<Operator>| {
            service
                .and_then(|s| s.operator)
                .is_some_and(|o| operators.contains(&o))
        }) && any(&when.lists, |wanted| {
            wanted.iter().any(|list| lists.contains(list))
        })
    }

    /// Whether evidence is of a category: its service's own; or, for names and addresses that customers
    /// get, `iaas` and `paas`. Those two match what is asked for only.
    fn is_of(&self, piece: &Piece, class: &Class, category: crate::catalogue::CategoryIx) -> bool {
        let platform = self.policy.platform_categories.contains(&category);
        if platform && !piece.kind.is_asked_for() {
            return false;
        }
        self.policy.is_in(class, category)
            || (platform && class.role == Some(crate::catalogue::Role::Platform))
    }
}

/// A piece of evidence as the rules of one layer see it.
struct Seen<'a> {
    piece: &'a Piece,
    class: &'a Class,
    lists: Vec<ListIx>,
}

impl Seen<'_> {
    /// The list by which a rule came to match.
    fn list_of(&self, rule: &Rule) -> Option<ListIx> {
        let wanted = rule.when.lists.as_ref()?;
        self.lists
            .iter()
            .copied()
            .find(|list| wanted.contains(list))
    }
}

/// An absent key matches everything.
fn any<T>(key: &Option<T>, matches: impl FnOnce(&T) -> bool) -> bool {
    key.as_ref().is_none_or(matches)
}

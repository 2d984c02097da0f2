//! A decision told to a person: who, what, every rule that matched and where it is written, both verdicts.

pub mod words;

use std::fmt::{self, Display, Write as _};

use jiff::Timestamp;

use crate::bundle::Bundle;
use crate::catalogue::{Language, ReferenceIx, Role, ServiceIx};
use crate::decision::{
    Class, Cover, Decision, Disposition, Ground, Hit, Lift, Piece, Ruling, Strength, Verdict, Who,
};
use crate::flow::{Flow, Protocol};
use crate::policy::Policy;
use crate::rule::{Mode, Rule};
use words::GroundWords;

/// Explains `decision`, which `policy` gave about `flow`. With the bundle the policy was made from, the lines of
/// its lists are named too.
#[must_use]
pub fn explain(
    policy: &Policy,
    flow: &Flow<'_>,
    decision: &Decision,
    bundle: Option<&Bundle>,
) -> String {
    let story = Story {
        policy,
        flow,
        decision,
        bundle,
    };
    story.to_string()
}

/// One ground for a denial in one English sentence without a full stop.
#[must_use]
pub fn because(policy: &Policy, decision: &Decision, ground: &Ground) -> String {
    let piece = ground.piece().and_then(|piece| decision.piece(piece));
    let value = piece.map(|piece| piece.value.to_string());
    let what = ground.what();
    let words = GroundWords {
        ground: ground.as_str(),
        rule: ground.rule().map(|rule| &*policy.rule(rule).id),
        evidence: piece
            .zip(value.as_deref())
            .map(|(piece, value)| (piece.kind.as_str(), value)),
        what: what.as_deref(),
    };
    words.to_string()
}

struct Story<'a> {
    policy: &'a Policy,
    flow: &'a Flow<'a>,
    decision: &'a Decision,
    bundle: Option<&'a Bundle>,
}

impl Display for Story<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.who(f)?;
        self.asked(f)?;
        self.evidence(f)?;
        self.rules(f)?;
        self.derogations(f)?;
        self.agreement(f)?;
        self.verdict(f, "verdict", &self.decision.enforced)?;
        self.verdict(f, "trial", &self.decision.trial)?;
        self.recorded(f)?;
        self.references(f)?;
        self.alternatives(f)
    }
}

impl Story<'_> {
    fn who(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, &workload) in self.decision.who.workloads.iter().enumerate() {
            let head = if at == 0 { "who" } else { "" };
            let workload = self.policy.workload(workload);
            writeln!(
                f,
                "{head:<11}{} is {}/{} ({}){}",
                self.source(),
                self.policy.ministry_id(workload.ministry),
                workload.id,
                workload.sensitivity.as_str(),
                at_place(&self.policy.model().place(workload.place)),
            )?;
        }
        if self.decision.who.is_conflict() {
            writeln!(
                f,
                "{:<11}address and certificate disagree: all are judged, the strictest wins",
                ""
            )?;
        }
        Ok(())
    }

    /// Nobody has the unspecified address: it stands for one that is not known.
    fn source(&self) -> String {
        let address = self.flow.source.address;
        if address.is_unspecified() {
            "whoever asked".to_owned()
        } else {
            address.to_string()
        }
    }

    fn asked(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let how = match self.flow.protocol {
            Protocol::Connect => "CONNECT",
            Protocol::Http => "plain HTTP to",
            Protocol::Captured => "a captured connection to",
        };
        writeln!(
            f,
            "{:<11}{how} {}:{} at {:.0}",
            "asked", self.flow.target, self.flow.port, self.decision.at
        )?;
        if let Some(original) = self.flow.original {
            writeln!(f, "{:<11}on its way to {original}", "")?;
        }
        Ok(())
    }

    fn evidence(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, piece) in self.decision.pieces.iter().enumerate() {
            let head = if at == 0 { "what" } else { "" };
            writeln!(
                f,
                "{head:<11}{:<9} {} is {}",
                piece.kind.as_str(),
                piece.value,
                self.class(piece)
            )?;
        }
        Ok(())
    }

    fn class(&self, piece: &Piece) -> String {
        let mut text = match piece.class.strength() {
            Strength::Unlisted => match &piece.local {
                Some(local) => format!("{}, named by the ministry itself", self.told(local)),
                None => "unlisted".to_owned(),
            },
            _ => self.told(&piece.class),
        };
        if !piece.kind.is_asked_for() {
            text.push_str(" (found behind)");
        }
        let model = self.policy.model();
        let class = piece.local.as_ref().unwrap_or(&piece.class);
        let service = class
            .service
            .map(|service| self.policy.service(service).place);
        let place = service.or_else(|| class.provider.map(|p| self.policy.provider(p).place));
        text.push_str(&place.map_or_else(String::new, |place| at_place(&model.place(place))));
        text
    }

    fn told(&self, class: &Class) -> String {
        let mut text = String::new();
        if let Some(service) = class.service {
            let service = self.policy.service(service);
            let _ = write!(text, "service {} ({})", service.id, service.name);
        }
        if let Some(provider) = class.provider {
            if !text.is_empty() {
                text.push_str(" of ");
            }
            let _ = write!(text, "provider {}", self.policy.provider(provider).id);
        }
        match class.role {
            Some(Role::Front) => text.push_str(", a front"),
            Some(Role::Platform) => text.push_str(", a platform"),
            Some(Role::Own) | None => {}
        }
        if let Some(range) = class.range {
            let _ = write!(text, ", {range}");
        }
        if let Some(country) = self.policy.jurisdiction(class) {
            let _ = write!(text, ", {country}");
        }
        text
    }

    fn rules(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, hit) in self.decision.hits.iter().enumerate() {
            let head = if at == 0 { "rules" } else { "" };
            let rule = self.policy.rule(hit.rule);
            writeln!(
                f,
                "{head:<11}{} ({}{}) matches {}: {}{}",
                rule.id,
                rule.effect.as_str(),
                if rule.mode == Mode::Observe {
                    ", observed"
                } else {
                    ""
                },
                self.piece_of(hit),
                self.ended(hit, rule),
                at_place(&self.policy.model().place(rule.place)),
            )?;
            self.list(f, hit)?;
        }
        Ok(())
    }

    /// The list by which a rule came to match, and the line where the bundle is at hand.
    fn list(&self, f: &mut fmt::Formatter<'_>, hit: &Hit) -> fmt::Result {
        let Some(list) = hit.list else { return Ok(()) };
        let model = self.policy.model();
        let path = &model.lists[list.at()].id;
        let place = self
            .bundle
            .zip(self.decision.piece(hit.piece))
            .and_then(|(bundle, piece)| bundle.find(path, &piece.value));
        let place = place.map_or_else(|| path.to_string(), |place| model.place(place));
        writeln!(f, "{:<11}listed there by{}", "", at_place(&place))
    }

    fn piece_of(&self, hit: &Hit) -> String {
        let piece = self.decision.piece(hit.piece);
        piece.map_or_else(String::new, |p| {
            format!("{} `{}`", p.kind.as_str(), p.value)
        })
    }

    fn ended(&self, hit: &Hit, rule: &Rule) -> String {
        let derogation = match hit.disposition {
            Disposition::Lifted(derogation) => Some(&*self.policy.derogation(derogation).id),
            _ => None,
        };
        match hit.disposition {
            Disposition::Applies if rule.mode == Mode::Observe => "would apply".to_owned(),
            disposition => words::ended(disposition.as_str(), derogation),
        }
    }

    fn derogations(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, lift) in self.decision.lifts.iter().enumerate() {
            let head = if at == 0 { "derogation" } else { "" };
            let derogation = self.policy.derogation(lift.derogation);
            writeln!(
                f,
                "{head:<11}{} covers {} as {}{}",
                derogation.id,
                self.decision
                    .piece(lift.piece)
                    .map_or_else(String::new, |p| format!("`{}`", p.value)),
                self.cover(lift),
                at_place(&self.policy.model().place(derogation.place)),
            )?;
        }
        Ok(())
    }

    fn cover(&self, lift: &Lift) -> String {
        match lift.cover {
            Cover::Named => "a service that it names".to_owned(),
            Cover::Required(service) => {
                let names = &self.policy.derogation(lift.derogation).services;
                let needed_by = names
                    .iter()
                    .find(|s| self.policy.closures[s.at()].contains(&service))
                    .map_or("it", |&s| &self.policy.service(s).id);
                format!(
                    "{}, lifted as a requirement of {needed_by}",
                    self.policy.service(service).id
                )
            }
            Cover::Behind(provider) => {
                format!("{}, the provider behind", self.policy.provider(provider).id)
            }
        }
    }

    fn agreement(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(outcome) = self.decision.outcome {
            writeln!(f, "{:<11}{}", "evidence", outcome.as_str())?;
        }
        if let Some(sni) = self.decision.sni {
            writeln!(f, "{:<11}{}", "sni", sni.as_str())?;
        }
        Ok(())
    }

    fn verdict(&self, f: &mut fmt::Formatter<'_>, head: &str, ruling: &Ruling) -> fmt::Result {
        write!(f, "{head:<11}{}", ruling.verdict().as_str())?;
        for (at, ground) in ruling.grounds.iter().enumerate() {
            let joint = if at == 0 { ": " } else { "\n           and " };
            write!(f, "{joint}{}", because(self.policy, self.decision, ground))?;
        }
        writeln!(f)
    }

    fn recorded(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (verdict, enforcement) = self.decision.recorded();
        writeln!(
            f,
            "{:<11}{} ({})",
            "recorded",
            verdict.as_str(),
            enforcement.as_str()
        )
    }

    fn references(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, reference) in references(self.policy, self.decision)
            .into_iter()
            .enumerate()
        {
            let head = if at == 0 { "references" } else { "" };
            let reference = &self.policy.model().references[reference.at()];
            write!(
                f,
                "{head:<11}{}",
                reference.title.in_language(Language::English)
            )?;
            if let Some(url) = &reference.url {
                write!(f, " {url}")?;
            }
            writeln!(f)?;
        }
        Ok(())
    }

    fn alternatives(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let alternatives = self.policy.permitted_alternatives(self.decision);
        if alternatives.is_empty() {
            return Ok(());
        }
        let ids: Vec<_> = alternatives
            .iter()
            .map(|&s| &*self.policy.service(s).id)
            .collect();
        writeln!(f, "{:<11}{}", "instead", ids.join(", "))
    }
}

fn at_place(place: &str) -> String {
    format!("  [{place}]")
}

/// The texts in force that the denying rules of a decision rest on, each once.
#[must_use]
pub fn references(policy: &Policy, decision: &Decision) -> Vec<ReferenceIx> {
    let mut found = Vec::new();
    for rule in decision.grounds().iter().filter_map(Ground::rule) {
        for &reference in &policy.rule(rule).references {
            let in_force = policy.model().references[reference.at()]
                .validity
                .holds(decision.at);
            if in_force && !found.contains(&reference) {
                found.push(reference);
            }
        }
    }
    found
}

impl Policy {
    /// The services that may be used in place of what was denied: the alternatives of every service
    /// among the denying evidence that this policy permits for the same workloads at the same instant.
    #[must_use]
    pub fn permitted_alternatives(&self, decision: &Decision) -> Vec<ServiceIx> {
        self.permitted_in_place_of(&denied_services(decision), &decision.who, decision.at)
    }

    /// The services that `who` may use in place of `denied` at an instant.
    #[must_use]
    pub fn permitted_in_place_of(
        &self,
        denied: &[ServiceIx],
        who: &Who,
        at: Timestamp,
    ) -> Vec<ServiceIx> {
        let mut found = Vec::new();
        for &service in denied {
            for &alternative in &self.service(service).alternatives {
                let permitted = || {
                    let mut workloads = who.workloads.iter();
                    workloads.all(|&w| self.permits(w, alternative, at) == Verdict::Allow)
                };
                if !found.contains(&alternative) && permitted() {
                    found.push(alternative);
                }
            }
        }
        found
    }
}

/// The services among the denying evidence, and the one that the flow is about.
#[must_use]
pub fn denied_services(decision: &Decision) -> Vec<ServiceIx> {
    let mut found = Vec::new();
    let grounds = decision.grounds().iter().filter_map(Ground::piece);
    let services = grounds.filter_map(|piece| decision.piece(piece)?.class.service);
    for service in services.chain(decision.service()) {
        if !found.contains(&service) {
            found.push(service);
        }
    }
    found
}

//! What a refusal says, gathered from the policy that refused; how it looks is for page and problem.

use jiff::Timestamp;
use octroi_policy::catalogue::{Language, Localised, Service, ServiceIx};
use octroi_policy::decision::{Decision, Ground, Who};
use octroi_policy::explain;
use octroi_policy::policy::Policy;
use octroi_policy::rule::{Reference, Rule};

use crate::refusals::{Because, Kept};

/// A refusal by the policy.
#[derive(Debug)]
pub struct Refusal<'a> {
    /// What was asked for, as `host:port`.
    pub asked: &'a str,
    /// The incident number: the flow's id in the log.
    pub incident: &'a str,
    /// The listed service it was taken for.
    pub service: Option<&'a Service>,
    /// The ministry's name; `None` = nobody's machine.
    pub ministry: Option<&'a Localised>,
    /// The workload's id.
    pub workload: &'a str,
    /// What people call it.
    pub workload_name: Option<&'a Localised>,
    /// The rule that refused, where one did.
    pub rule: Option<&'a str>,
    /// The name or address that refused it, where that is not what was asked for: a hop, an address.
    pub because: Option<Because>,
    /// The word of the weightiest ground.
    pub ground: &'static str,
    /// The legal texts in force.
    pub references: Vec<&'a Reference>,
    /// What this caller may use instead.
    pub alternatives: Vec<&'a Service>,
    /// How to ask for a derogation.
    pub procedure: Option<&'a Localised>,
    /// Whom to ask.
    pub contact: Option<&'a str>,
    /// Why: the rule's own words, else a sentence for the ground.
    pub reason: String,
    /// The language that the reason is in.
    pub reason_language: Language,
}

impl<'a> Refusal<'a> {
    /// Gathers what `policy` has to say about a decision that denies.
    #[must_use]
    pub fn new(
        policy: &'a Policy,
        decision: &'a Decision,
        asked: &'a str,
        incident: &'a str,
        language: Language,
    ) -> Self {
        let ground = decision.ground();
        let piece = ground
            .and_then(|g| g.piece())
            .and_then(|piece| decision.piece(piece));
        let references = explain::references(policy, decision);
        let found = Found {
            service: decision.service(),
            rule: ground.and_then(|g| g.rule()).map(|rule| policy.rule(rule)),
            because: piece.and_then(Because::of),
            ground,
            references: references
                .into_iter()
                .map(|r| &policy.model().references[r.at()])
                .collect(),
            alternatives: policy.permitted_alternatives(decision),
        };
        let evidence = piece.map_or_else(|| asked.to_owned(), |piece| piece.value.to_string());
        found.told(policy, &decision.who, asked, &evidence, incident, language)
    }

    /// Gathers what `policy` has to say now, to `who`, about a refusal that was kept; what it no
    /// longer knows is left out.
    #[must_use]
    pub fn recalled(
        policy: &'a Policy,
        kept: &'a Kept,
        told: &'a Told,
        who: &Who,
        now: Timestamp,
        language: Language,
    ) -> Self {
        let model = policy.model();
        let rules = kept.rules.iter();
        let rules: Vec<&Rule> = rules
            .filter_map(|id| model.rules.iter().find(|rule| rule.id == *id))
            .collect();
        let rule = kept.rule();
        let services: Vec<ServiceIx> = kept
            .services
            .iter()
            .filter_map(|id| service(policy, id))
            .collect();
        let mut references: Vec<&Reference> = Vec::new();
        for &reference in rules.iter().flat_map(|rule| &rule.references) {
            let reference = &model.references[reference.at()];
            let seen = references.iter().any(|known| known.id == reference.id);
            if reference.validity.holds(kept.at) && !seen {
                references.push(reference);
            }
        }
        let about = kept.services.first().and_then(|id| service(policy, id));
        let because = kept.because.as_deref();
        let found = Found {
            service: about,
            rule: rules
                .first()
                .copied()
                .filter(|found| Some(&found.id) == rule),
            because: because.cloned(),
            ground: kept.ground,
            references,
            alternatives: policy.permitted_in_place_of(&services, who, now),
        };
        let evidence = because
            .map_or(&kept.target, |piece| &piece.value)
            .to_string();
        let refusal = found.told(
            policy,
            who,
            &told.asked,
            &evidence,
            &told.incident,
            language,
        );
        Self {
            // It is in the log under this id, whatever became of the rule.
            rule: rule.map(|id| &**id),
            ..refusal
        }
    }

    /// What decided in a few words for headers: the rule, else the ground, and the evidence.
    #[must_use]
    pub fn brief(&self) -> String {
        let why = self.rule.unwrap_or(self.ground);
        match &self.because {
            Some(piece) => format!("{why}: {} {}", piece.kind.as_str(), piece.value),
            None => why.to_owned(),
        }
    }

    /// The name shown: the service's, else what was asked for.
    #[must_use]
    pub fn name(&self) -> &str {
        self.service.map_or(self.asked, |service| &service.name)
    }
}

/// The texts made of a refusal that was kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// What was asked for, as `host:port`.
    pub asked: String,
    /// The incident number.
    pub incident: String,
}

impl From<&Kept> for Told {
    fn from(kept: &Kept) -> Self {
        Self {
            asked: format!("{}:{}", kept.target, kept.port),
            incident: kept.incident.to_string(),
        }
    }
}

/// What a decision, fresh or kept, comes to in the terms of a policy.
struct Found<'a> {
    service: Option<ServiceIx>,
    rule: Option<&'a Rule>,
    because: Option<Because>,
    ground: Option<Ground>,
    references: Vec<&'a Reference>,
    alternatives: Vec<ServiceIx>,
}

impl<'a> Found<'a> {
    fn told(
        self,
        policy: &'a Policy,
        who: &Who,
        asked: &'a str,
        evidence: &str,
        incident: &'a str,
        language: Language,
    ) -> Refusal<'a> {
        let model = policy.model();
        let ministry = who.ministry.map(|m| &model.ministries[m.at()]);
        let workload = policy.workload(who.workload());
        let alternatives = self.alternatives.into_iter();
        let reason = self.rule.and_then(|rule| rule.reason.as_ref());
        Refusal {
            asked,
            incident,
            service: self.service.map(|s| policy.service(s)),
            ministry: ministry.map(|m| &m.name),
            workload: &workload.id,
            workload_name: workload.name.as_ref(),
            rule: self.rule.map(|rule| &*rule.id),
            because: self.because,
            ground: self.ground.map_or("deny", |g| g.as_str()),
            references: self.references,
            alternatives: alternatives.map(|s| policy.service(s)).collect(),
            procedure: model.procedure.as_ref(),
            contact: contact(policy, who),
            reason: match (reason, self.ground) {
                (Some(reason), _) => reason.in_language(language).to_owned(),
                (None, Some(ground)) => sentence(ground, evidence, language),
                (None, None) => String::new(),
            },
            reason_language: reason.map_or(language, |reason| reason.language(language)),
        }
    }
}

/// Whom somebody asks: the own ministry's contact, else the policy's.
pub(super) fn contact<'a>(policy: &'a Policy, who: &Who) -> Option<&'a str> {
    let model = policy.model();
    let ministry = who.ministry.map(|m| &model.ministries[m.at()]);
    let own = ministry.and_then(|ministry| ministry.contact.as_deref());
    own.or(model.contact.as_deref())
}

fn service(policy: &Policy, id: &str) -> Option<ServiceIx> {
    let services = &policy.model().services;
    let at = services.iter().position(|service| &*service.id == id)?;
    u32::try_from(at).ok().map(ServiceIx)
}

/// A sentence for a ground that no rule puts into words.
fn sentence(ground: Ground, evidence: &str, language: Language) -> String {
    match language {
        Language::French => french(ground, evidence),
        Language::English => english(ground, evidence),
    }
}

fn french(ground: Ground, evidence: &str) -> String {
    match ground {
        Ground::Block(..) => format!("{evidence} figure sur une liste de blocage."),
        Ground::Deny(..) => format!("Une règle interdit {evidence}."),
        Ground::Forbidden(class, _) => {
            format!("{evidence} est une adresse que la passerelle n’appelle jamais ({class}).")
        }
        Ground::OnOutcome(outcome) => {
            format!("Les noms présentés se contredisent ({}).", outcome.as_str())
        }
        Ground::OnSni(outcome) => {
            format!(
                "Le nom demandé n’est pas celui que la connexion TLS annonce ({}).",
                outcome.as_str()
            )
        }
        Ground::Port(port) => format!("Le port {port} n’est pas ouvert à ce poste."),
        Ground::Default(_) => {
            format!("Rien n’autorise {evidence}, et ce qui n’est pas autorisé est interdit.")
        }
    }
}

fn english(ground: Ground, evidence: &str) -> String {
    match ground {
        Ground::Block(..) => format!("{evidence} is on a block list."),
        Ground::Deny(..) => format!("A rule forbids {evidence}."),
        Ground::Forbidden(class, _) => {
            format!("{evidence} is an address that the gate never dials ({class}).")
        }
        Ground::OnOutcome(outcome) => {
            format!(
                "The names presented contradict each other ({}).",
                outcome.as_str()
            )
        }
        Ground::OnSni(outcome) => {
            format!(
                "The name asked for is not the one that the TLS connection announces ({}).",
                outcome.as_str()
            )
        }
        Ground::Port(port) => format!("Port {port} is not open to this machine."),
        Ground::Default(_) => {
            format!("Nothing permits {evidence}, and what is not permitted is forbidden.")
        }
    }
}

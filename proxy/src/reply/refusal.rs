//! What a refusal says, gathered from the policy that refused; how it looks is for page and problem.

use octroi_policy::catalogue::{Language, Localised, Service};
use octroi_policy::decision::{Decision, Ground, Piece};
use octroi_policy::explain;
use octroi_policy::flow::EvidenceKind;
use octroi_policy::policy::Policy;
use octroi_policy::rule::Reference;

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
    /// The rule that refused, where one did.
    pub rule: Option<&'a str>,
    /// The name or address that refused it, where that is not what was asked for: a hop, an address.
    pub because: Option<&'a Piece>,
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
        let model = policy.model();
        let ministry = decision.who.ministry.map(|m| &model.ministries[m.at()]);
        let ground = decision.ground();
        let rule = ground.and_then(|g| g.rule()).map(|rule| policy.rule(rule));
        let piece = ground
            .and_then(|g| g.piece())
            .and_then(|piece| decision.piece(piece));
        let references = explain::references(policy, decision);
        let alternatives = policy.permitted_alternatives(decision);
        Self {
            asked,
            incident,
            service: decision.service().map(|s| policy.service(s)),
            ministry: ministry.map(|m| &m.name),
            workload: &policy.workload(decision.who.workload()).id,
            rule: rule.map(|rule| &*rule.id),
            because: piece.filter(|piece| piece.kind != EvidenceKind::Target),
            ground: ground.map_or("deny", |g| g.as_str()),
            references: references
                .into_iter()
                .map(|r| &model.references[r.at()])
                .collect(),
            alternatives: alternatives
                .into_iter()
                .map(|s| policy.service(s))
                .collect(),
            procedure: model.procedure.as_ref(),
            contact: ministry
                .and_then(|m| m.contact.as_deref())
                .or(model.contact.as_deref()),
            reason: match (rule.and_then(|rule| rule.reason.as_ref()), ground) {
                (Some(reason), _) => reason.in_language(language).to_owned(),
                (None, Some(ground)) => sentence(ground, decision, asked, language),
                (None, None) => String::new(),
            },
        }
    }

    /// What decided in a few words for headers: the rule, else the ground, and the evidence.
    #[must_use]
    pub fn brief(&self) -> String {
        let why = self.rule.unwrap_or(self.ground);
        match self.because {
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

/// A sentence for a ground that no rule puts into words.
fn sentence(ground: Ground, decision: &Decision, asked: &str, language: Language) -> String {
    let piece = ground.piece().and_then(|piece| decision.piece(piece));
    let evidence = piece.map_or_else(|| asked.to_owned(), |piece| piece.value.to_string());
    match language {
        Language::French => french(ground, &evidence),
        Language::English => english(ground, &evidence),
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

//! Refusals and faults as problem details (RFC 9457).

use octroi_policy::catalogue::Language;
use serde::Serialize;

use super::{Fault, Recent, Refusal};

#[derive(Serialize)]
struct Problem<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    title: &'a str,
    status: u16,
    detail: String,
    instance: String,
    #[serde(flatten)]
    denied: Option<Denied<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
}

#[derive(Serialize)]
struct Denied<'a> {
    asked: &'a str,
    ground: &'static str,
    rule: Option<&'a str>,
    because: Option<Because>,
    service: Option<&'a str>,
    service_name: Option<&'a str>,
    ministry: Option<&'a str>,
    workload: &'a str,
    references: Vec<Link<'a>>,
    alternatives: Vec<Link<'a>>,
    derogation_procedure: Option<&'a str>,
    contact: Option<&'a str>,
}

/// The hop or address that a refusal rests on.
#[derive(Serialize)]
struct Because {
    kind: &'static str,
    value: String,
    /// The published range that holds an address.
    #[serde(skip_serializing_if = "Option::is_none")]
    range: Option<String>,
}

#[derive(Serialize)]
struct Link<'a> {
    id: &'a str,
    title: &'a str,
    url: Option<&'a str>,
}

/// One of the refusals that a source is shown, and when it was.
#[derive(Serialize)]
struct Recalled<'a> {
    at: String,
    times: u32,
    #[serde(flatten)]
    problem: Problem<'a>,
}

pub(super) fn refusal(refusal: &Refusal<'_>, language: Language) -> String {
    write(&problem(refusal, language))
}

/// The refusals of one source, as a list.
pub(super) fn recent(recent: &Recent<'_>, language: Language) -> String {
    let refusals = recent.refusals.iter().map(|one| Recalled {
        at: one.at.to_string(),
        times: one.times,
        problem: problem(&one.refusal, language),
    });
    write(&refusals.collect::<Vec<_>>())
}

fn problem<'a>(refusal: &'a Refusal<'_>, language: Language) -> Problem<'a> {
    let references = refusal.references.iter().map(|reference| Link {
        id: &reference.id,
        title: reference.title.in_language(language),
        url: reference.url.as_deref(),
    });
    let alternatives = refusal.alternatives.iter().map(|service| Link {
        id: &service.id,
        title: &service.name,
        url: service.url.as_deref(),
    });
    let denied = Denied {
        asked: refusal.asked,
        ground: refusal.ground,
        rule: refusal.rule,
        because: refusal.because.as_ref().map(|piece| Because {
            kind: piece.kind.as_str(),
            value: piece.value.to_string(),
            range: piece.range.map(|range| range.to_string()),
        }),
        service: refusal.service.map(|service| &*service.id),
        service_name: refusal.service.map(|service| &*service.name),
        ministry: refusal.ministry.map(|name| name.in_language(language)),
        workload: refusal.workload,
        references: references.collect(),
        alternatives: alternatives.collect(),
        derogation_procedure: refusal.procedure.map(|text| text.in_language(language)),
        contact: refusal.contact,
    };
    let title = match language {
        Language::French => "Accès refusé",
        Language::English => "Access denied",
    };
    Problem {
        kind: "urn:octroi:problem:denied",
        title,
        status: 403,
        detail: refusal.reason.clone(),
        instance: instance(refusal.incident),
        denied: Some(denied),
        reason: None,
    }
}

pub(super) fn fault(fault: &Fault, incident: &str, language: Language) -> String {
    write(&Problem {
        kind: "urn:octroi:problem:fault",
        title: fault.status().canonical_reason().unwrap_or_default(),
        status: fault.status().as_u16(),
        detail: fault.sentence(language).to_owned(),
        instance: instance(incident),
        denied: None,
        reason: Some(fault.reason),
    })
}

fn instance(incident: &str) -> String {
    format!("{}{incident}", crate::ledger::INCIDENT_URN)
}

fn write(problem: &impl Serialize) -> String {
    // Strings and numbers only: there is nothing in it that JSON cannot hold.
    let mut text = serde_json::to_string_pretty(problem).unwrap_or_default();
    text.push('\n');
    text
}

//! Refusals and faults as a page: one file, no script, nothing from outside, readable by anything.

use maud::{DOCTYPE, Markup, PreEscaped, html};
use octroi_policy::catalogue::Language;
use octroi_policy::flow::EvidenceKind;

use super::{Fault, Refusal};

mod recent;

pub(super) use recent::recent;

/// Nothing but the page's own style sheet, named by its digest; a test keeps the two together.
pub(super) const SECURITY_POLICY: &str = concat!(
    "default-src 'none'; style-src 'sha256-OngRsjJUOyB8POZ0G65n+zN7iTlErqcNhKQg+DxTJg0='; ",
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
);

pub(super) const STYLE: &str = "\
:root{color-scheme:light dark;--ink:#1a1a22;--paper:#fff;--rule:#b34000;--soft:#595966}\
@media(prefers-color-scheme:dark){:root{--ink:#eeeef2;--paper:#17171c;--rule:#ff9a5c;--soft:#b4b4c0}}\
body{margin:0 auto;max-width:42rem;padding:2rem 1.25rem;font:1.0625rem/1.55 system-ui,sans-serif;color:var(--ink);background:var(--paper)}\
h1{font-size:1.6rem;line-height:1.25;border-left:.4rem solid var(--rule);padding-left:.8rem}\
h2{font-size:1.1rem;margin:1.8rem 0 .3rem}p,ul,dl{margin:.4rem 0}ul{padding-left:1.2rem}\
dl{display:grid;grid-template-columns:max-content 1fr;gap:.2rem 1rem}dt{color:var(--soft)}dd{margin:0;overflow-wrap:anywhere}\
a{color:inherit}footer{margin-top:2.2rem;color:var(--soft)}code{font-size:1em}\
article{border-top:1px solid var(--soft);margin-top:2.2rem;padding-top:.2rem}article h2{font-size:1.25rem;margin-top:1rem}h3{font-size:1.05rem;margin:1.2rem 0 .3rem}\
@media(max-width:30rem){dl{display:block}dd{margin:0 0 .5rem}}\
@media print{:root{color-scheme:light;--ink:#000;--paper:#fff;--soft:#333}body{max-width:none;padding:0;font-size:11pt}article{break-inside:avoid}main a[href^=http]::after{content:\" (\" attr(href) \")\";overflow-wrap:anywhere}}";

/// The words of the page.
struct Words {
    title: &'static str,
    fault: &'static str,
    why: &'static str,
    asked: &'static str,
    because: &'static str,
    service: &'static str,
    from: &'static str,
    rule: &'static str,
    texts: &'static str,
    instead: &'static str,
    derogation: &'static str,
    contact: &'static str,
    incident: &'static str,
    unassigned: &'static str,
    colon: &'static str,
}

const FRENCH: Words = Words {
    title: "Accès refusé",
    fault: "Demande non aboutie",
    why: "Pourquoi",
    asked: "Demandé",
    because: "En cause",
    service: "Service",
    from: "Depuis",
    rule: "Règle",
    texts: "Textes applicables",
    instead: "À la place, vous pouvez utiliser",
    derogation: "Demander une dérogation",
    contact: "Contact",
    incident: "Numéro d’incident",
    unassigned: "poste non rattaché",
    colon: "\u{a0}: ",
};

const ENGLISH: Words = Words {
    title: "Access denied",
    fault: "The request did not succeed",
    why: "Why",
    asked: "Asked for",
    because: "Because of",
    service: "Service",
    from: "From",
    rule: "Rule",
    texts: "Legal texts",
    instead: "You may use instead",
    derogation: "Ask for a derogation",
    contact: "Contact",
    incident: "Incident number",
    unassigned: "machine of no ministry",
    colon: ": ",
};

fn words(language: Language) -> (&'static Words, &'static str) {
    match language {
        Language::French => (&FRENCH, "fr"),
        Language::English => (&ENGLISH, "en"),
    }
}

pub(super) fn refusal(refusal: &Refusal<'_>, language: Language) -> String {
    let (words, _) = words(language);
    let title = format!("{}{}{}", words.title, words.colon, refusal.name());
    let body = html! {
        p { (refusal.reason) }
        (facts(refusal, words, language, &html! {}))
        (way_on(refusal, words, language, h2))
        @if let Some(procedure) = refusal.procedure {
            h2 { (words.derogation) }
            p { (procedure.in_language(language)) }
        }
        footer {
            p { (words.incident) (words.colon) code { (refusal.incident) } }
            @if let Some(contact) = refusal.contact { p { (words.contact) (words.colon) (contact) } }
        }
    };
    document(language, &title, &body)
}

/// Texts and alternatives, each under a heading of the level that fits the page.
fn way_on(
    refusal: &Refusal<'_>,
    words: &Words,
    language: Language,
    heading: fn(&str) -> Markup,
) -> Markup {
    html! {
        @if !refusal.references.is_empty() {
            (heading(words.texts))
            ul {
                @for reference in &refusal.references {
                    li { (link(reference.title.in_language(language), reference.url.as_deref())) }
                }
            }
        }
        @if !refusal.alternatives.is_empty() {
            (heading(words.instead))
            ul {
                @for service in &refusal.alternatives { li { (link(&service.name, service.url.as_deref())) } }
            }
        }
    }
}

fn h2(text: &str) -> Markup {
    html! { h2 { (text) } }
}

/// What a piece of evidence is called on the page.
fn kind(kind: EvidenceKind, language: Language) -> &'static str {
    let (french, english) = match kind {
        EvidenceKind::Target => ("nom demandé", "name asked for"),
        EvidenceKind::Host => ("en-tête Host", "Host header"),
        EvidenceKind::Sni => ("nom TLS", "TLS name"),
        EvidenceKind::OuterSni => ("nom TLS extérieur", "outer TLS name"),
        EvidenceKind::Cname => ("alias DNS", "DNS alias"),
        EvidenceKind::Address => ("adresse", "address"),
    };
    match language {
        Language::French => french,
        Language::English => english,
    }
}

/// What was asked and what decided; `first` stands before it.
fn facts(refusal: &Refusal<'_>, words: &Words, language: Language, first: &Markup) -> Markup {
    let ministry = refusal
        .ministry
        .map_or(words.unassigned, |name| name.in_language(language));
    html! {
        dl {
            (first)
            dt { (words.asked) } dd { (refusal.asked) }
            @if let Some(piece) = &refusal.because {
                dt { (words.because) } dd { (kind(piece.kind, language)) " " code { (piece.value) } @if let Some(range) = piece.range { " (" (range) ")" } }
            }
            @if let Some(service) = refusal.service { dt { (words.service) } dd { (service.name) } }
            dt { (words.from) } dd { (ministry) ", " (refusal.workload) }
            dt { (words.rule) } dd { code { (refusal.rule.unwrap_or(refusal.ground)) } }
        }
    }
}

pub(super) fn fault(fault: &Fault, incident: &str, language: Language) -> String {
    let (words, _) = words(language);
    let body = html! {
        p { (fault.sentence(language)) }
        dl { dt { (words.why) } dd { code { (fault.reason) } } }
        footer { p { (words.incident) (words.colon) code { (incident) } } }
    };
    document(language, words.fault, &body)
}

fn document(language: Language, title: &str, body: &Markup) -> String {
    let (_, tag) = words(language);
    let page = html! {
        (DOCTYPE)
        html lang=(tag) {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (title) }
                style { (PreEscaped(STYLE)) }
            }
            body { main { h1 { (title) } (body) } }
        }
    };
    page.into_string()
}

/// A link where there is somewhere to go; a policy's `javascript:` is no place to go.
fn link(text: &str, url: Option<&str>) -> Markup {
    let web = |url: &&str| url.starts_with("https://") || url.starts_with("http://");
    html! {
        @match url.filter(web) {
            Some(url) => a href=(url) { (text) },
            None => (text),
        }
    }
}

//! Refusals and faults as a page: one file, no script, nothing from outside, readable by anything.

use maud::{DOCTYPE, Markup, PreEscaped, html};
use octroi_policy::catalogue::{Language, Localised, Service};

use super::{Fault, Refusal};

mod recent;
mod style;
mod words;

pub(super) use recent::recent;
pub(super) use style::{SECURITY_POLICY, STYLE};

use super::About;
use words::{Words, advice, kind, words};

pub(super) fn refusal(refusal: &Refusal<'_>, language: Language) -> String {
    let (words, _) = words(language);
    let title = format!("{}{}{}", words.title, words.colon, refusal.name());
    let body = html! {
        h1 { (words.title) (words.colon) (service_name(refusal, language)) }
        p.why { (marked(&refusal.reason, refusal.reason_language, language)) }
        (alternatives(refusal, words, language, h2))
        (help(words, refusal.incident, refusal.contact))
        @if let Some(procedure) = refusal.procedure {
            section { h2 { (words.derogation) } p { (prose(procedure, language)) } }
        }
        (texts(refusal, words, language, h2))
        section { h2 { (words.decision) } (facts(refusal, words, language, &html! {})) }
    };
    let page = Page {
        title: &title,
        ministry: refusal.ministry,
        nav: &html! {},
        body: &body,
    };
    page.write(language)
}

pub(super) fn fault(fault: &Fault, incident: &str, about: About<'_>, language: Language) -> String {
    let (words, _) = words(language);
    let body = html! {
        h1 .calm { (words.fault) }
        p.why { (fault.sentence(language)) }
        p { (words.no_refusal) " " (advice(fault.status().as_u16(), language)) }
        (help(words, incident, about.contact))
        section {
            h2 { (words.details) }
            dl {
                @if let Some(asked) = about.asked { dt { (words.asked) } dd { (asked) } }
                dt { (words.reason) } dd { code lang="en" { (fault.status().as_u16()) " " (fault.reason) } }
            }
        }
    };
    let page = Page {
        title: words.fault,
        ministry: about.ministry,
        nav: &html! {},
        body: &body,
    };
    page.write(language)
}

/// A page around its content.
struct Page<'a> {
    title: &'a str,
    /// Whose machine it is shown to.
    ministry: Option<&'a Localised>,
    nav: &'a Markup,
    body: &'a Markup,
}

impl Page<'_> {
    fn write(&self, language: Language) -> String {
        let (words, tag) = words(language);
        let page = html! {
            (DOCTYPE)
            html lang=(tag) {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    title { (self.title) }
                    style { (PreEscaped(STYLE)) }
                }
                body {
                    header {
                        p {
                            @if let Some(ministry) = self.ministry { strong { (text(ministry, language)) } " " }
                            (words.gate)
                        }
                        (self.nav)
                    }
                    main { (self.body) }
                    footer { p { (words.made_by) } }
                }
            }
        };
        page.into_string()
    }
}

/// The way on: what to use instead, under a heading of the level that fits the page.
fn alternatives(
    refusal: &Refusal<'_>,
    words: &Words,
    language: Language,
    heading: fn(&str) -> Markup,
) -> Markup {
    html! {
        @if !refusal.alternatives.is_empty() {
            section {
                (heading(words.instead))
                ul {
                    @for service in &refusal.alternatives {
                        li { (link(&name_of(service, language), service.url.as_deref())) }
                    }
                }
            }
        }
    }
}

/// What it rests on.
fn texts(
    refusal: &Refusal<'_>,
    words: &Words,
    language: Language,
    heading: fn(&str) -> Markup,
) -> Markup {
    html! {
        @if !refusal.references.is_empty() {
            section {
                (heading(words.texts))
                ul {
                    @for reference in &refusal.references {
                        li { (link(&text(&reference.title, language), reference.url.as_deref())) }
                    }
                }
            }
        }
    }
}

fn h2(text: &str) -> Markup {
    html! { h2 { (text) } }
}

/// The incident number and whom to tell it.
fn help(words: &Words, incident: &str, contact: Option<&str>) -> Markup {
    html! {
        div.panel {
            p { (words.incident) (words.colon) (number(incident)) }
            p { (words.quote) }
            @if let Some(contact) = contact { p { (words.contact) (words.colon) (reach(contact, Some(incident))) } }
        }
    }
}

/// An incident number: taken by one click, and read out letter by letter, a breath after each group.
fn number(incident: &str) -> Markup {
    let letters = |group: &str| {
        let letters: Vec<String> = group.chars().map(String::from).collect();
        letters.join(" ")
    };
    let aloud: Vec<String> = incident.split('-').map(letters).collect();
    html! { code.number role="img" aria-label=(aloud.join(", ")) { (incident) } }
}

/// What was asked and what decided; `first` stands before it.
fn facts(refusal: &Refusal<'_>, words: &Words, language: Language, first: &Markup) -> Markup {
    html! {
        dl {
            (first)
            dt { (words.asked) } dd { (refusal.asked) }
            @if let Some(piece) = &refusal.because {
                dt { (words.because) }
                dd { (kind(piece.kind, language)) " " code { (piece.value) } @if let Some(range) = piece.range { " (" (range) ")" } }
            }
            @if let Some(service) = refusal.service { dt { (words.service) } dd { (name_of(service, language)) } }
            dt { (words.from) }
            dd { (from(refusal, words, language)) }
            @match refusal.rule {
                Some(rule) => { dt { (words.rule) } dd { code { (rule) } } }
                None => { dt { (words.reason) } dd { code lang="en" { (refusal.ground) } } }
            }
        }
    }
}

/// Whose machine it is, in words that its user knows.
fn from(refusal: &Refusal<'_>, words: &Words, language: Language) -> Markup {
    html! {
        @match refusal.ministry {
            None => (words.unassigned),
            Some(ministry) => {
                (text(ministry, language)) ", "
                @match refusal.workload_name {
                    Some(name) => (text(name, language)),
                    None => (refusal.workload),
                }
            }
        }
    }
}

fn service_name(refusal: &Refusal<'_>, language: Language) -> Markup {
    match refusal.service {
        Some(service) => name_of(service, language),
        None => html! { (refusal.asked) },
    }
}

/// A French service's name is French on an English page too.
fn name_of(service: &Service, language: Language) -> Markup {
    let is_french = service
        .country
        .is_some_and(|country| country.as_str() == "FR");
    let spoken = if is_french {
        Language::French
    } else {
        language
    };
    marked(&service.name, spoken, language)
}

/// A text of the policy, marked where it is not in the page's language.
fn text(text: &Localised, language: Language) -> Markup {
    marked(
        text.in_language(language),
        text.language(language),
        language,
    )
}

fn marked(text: &str, spoken: Language, page: Language) -> Markup {
    html! {
        @if spoken == page { (text) } @else { span lang=(words(spoken).1) { (text) } }
    }
}

/// A text whose last word may be the place to go to.
fn prose(localised: &Localised, language: Language) -> Markup {
    let whole = localised.in_language(language);
    match whole.rsplit_once(' ') {
        Some((before, url)) if is_web(url) => html! {
            (marked(before, localised.language(language), language)) " "
            (link(&html! { (url) }, Some(url)))
        },
        _ => text(localised, language),
    }
}

/// Whom to reach, as a link where that is an address of mail or the web; the mail names the incident.
fn reach(contact: &str, incident: Option<&str>) -> Markup {
    let shown = html! { (contact) };
    if !is_mail(contact) {
        return link(&shown, Some(contact));
    }
    let subject = incident.map(|incident| format!("?subject=Incident%20{incident}"));
    html! { a href={ "mailto:" (contact) (subject.unwrap_or_default()) } { (shown) } }
}

/// One plain mail address, and nothing that a mail program could take for more (RFC 6068).
fn is_mail(text: &str) -> bool {
    let plain = |part: &str, more: &[char]| {
        let fits = |c: char| c.is_ascii_alphanumeric() || more.contains(&c);
        !part.is_empty() && part.chars().all(fits)
    };
    text.split_once('@').is_some_and(|(name, domain)| {
        plain(name, &['.', '-', '_', '+']) && plain(domain, &['.', '-'])
    })
}

fn is_web(url: &str) -> bool {
    url.starts_with("https://") || url.starts_with("http://")
}

/// A link where there is somewhere to go; a policy's `javascript:` is no place to go.
fn link(text: &Markup, url: Option<&str>) -> Markup {
    html! {
        @match url.filter(|url| is_web(url)) {
            Some(url) => a href=(url) { (text) },
            None => (text),
        }
    }
}

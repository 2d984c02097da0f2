use std::sync::Arc;

use octroi_policy::catalogue::{Localised, Place, Service};
use octroi_policy::flow::EvidenceKind;
use octroi_policy::name::DomainName;
use octroi_policy::rule::Reference;
use octroi_policy::validity::Validity;

use crate::refusals::Because;

use super::*;

mod recent;

fn text(fr: &str, en: &str) -> Localised {
    Localised {
        fr: fr.into(),
        en: en.into(),
        alone: None,
    }
}

fn service(id: &str, name: &str, url: Option<&str>) -> Service {
    Service {
        id: id.into(),
        name: name.into(),
        provider: None,
        country: None,
        categories: Vec::new(),
        qualifications: Vec::new(),
        operator: None,
        shared: false,
        alternatives: Vec::new(),
        requires: Vec::new(),
        hosted_on: Vec::new(),
        url: url.map(Arc::from),
        layer: None,
        place: Place::default(),
    }
}

fn reference(id: &str, title: Localised, url: &str) -> Reference {
    Reference {
        id: id.into(),
        title,
        url: Some(url.into()),
        validity: Validity::ALWAYS,
        place: Place::default(),
    }
}

/// What a refusal is made of.
struct Case {
    asked: &'static str,
    service: Service,
    ministry: Localised,
    workload: Localised,
    reference: Reference,
    alternatives: Vec<Service>,
    procedure: Localised,
    hop: Because,
    reason: &'static str,
}

fn hop() -> Because {
    Because {
        kind: EvidenceKind::Cname,
        value: DomainName::parse("contoso.mail.protection.outlook.com")
            .unwrap()
            .into(),
        range: None,
    }
}

impl Case {
    fn usual() -> Self {
        Self {
            asked: "outlook.office.com:443",
            service: service("exchange-online", "Exchange Online", None),
            ministry: text("Ministère de l'Intérieur", "Ministry of the Interior"),
            workload: text("Paie des agents", "Payroll"),
            reference: reference(
                "r9",
                text(
                    "Circulaire n° 6404/SG, règle R9",
                    "Circular 6404/SG, rule R9",
                ),
                "https://www.legifrance.gouv.fr/circulaire/id/45446",
            ),
            alternatives: vec![
                service(
                    "la-suite-messagerie",
                    "La Suite, Messagerie",
                    Some("https://lasuite.numerique.gouv.fr/"),
                ),
                service("twake", "Twake", None),
            ],
            procedure: text("Écrivez au DSI.", "Write to the CIO."),
            hop: hop(),
            reason: "Données sensibles : SecNumCloud exigé.",
        }
    }

    fn hostile() -> Self {
        let evil = "<script>alert('x')</script>\"&\r\nX: y";
        Self {
            asked: "\"><img src=x onerror=alert(1)>\r\nSet-Cookie: a=b",
            service: service("evil", evil, None),
            ministry: text(evil, evil),
            workload: text(evil, evil),
            reference: reference("r", text(evil, evil), "javascript:alert(1)"),
            alternatives: vec![service(
                "alt",
                evil,
                Some("https://x.example/\"onmouseover=\"alert(1)"),
            )],
            procedure: text(evil, evil),
            hop: hop(),
            reason: "<b>bold</b>",
        }
    }

    fn reply(&self, audience: Audience) -> Reply {
        Reply::refusal(&self.refusal(), audience)
    }

    fn refusal(&self) -> Refusal<'_> {
        Refusal {
            asked: self.asked,
            incident: "7ZQ4-0M1K-TXBE-93RA",
            service: Some(&self.service),
            ministry: Some(&self.ministry),
            workload: "paie",
            workload_name: Some(&self.workload),
            rule: Some("r9-sensitive-data"),
            because: Some(self.hop.clone()),
            ground: "deny",
            references: vec![&self.reference],
            alternatives: self.alternatives.iter().collect(),
            procedure: Some(&self.procedure),
            contact: Some("ssi@interieur.example"),
            reason: self.reason.to_owned(),
            reason_language: Language::French,
        }
    }
}

const UNREACHABLE: Fault = Fault::new(
    502,
    "connection-refused",
    "connection_refused",
    "Le serveur demandé refuse la connexion.",
    "The server refuses the connection.",
);

fn audience(accept: &str, language: &str) -> Audience {
    Audience::new(Some(accept), Some(language))
}

fn wire(reply: &Reply) -> String {
    String::from_utf8(reply.to_bytes(After::Close, false).to_vec())
        .unwrap()
        .replace("\r\n", "\n")
}

#[test]
fn a_refusal_in_french() {
    insta::assert_snapshot!(wire(&Case::usual().reply(Audience::default())));
}

#[test]
fn a_refusal_in_english() {
    insta::assert_snapshot!(wire(
        &Case::usual().reply(audience("*/*", "en-GB,en;q=0.9,fr;q=0.5"))
    ));
}

#[test]
fn a_refusal_for_a_program() {
    insta::assert_snapshot!(wire(
        &Case::usual().reply(audience("application/json", "fr"))
    ));
}

#[test]
fn a_fault_in_both_forms() {
    let page = Reply::fault(&UNREACHABLE, "7ZQ4-0M1K-TXBE-93RA", Audience::default());
    let problem = Reply::fault(
        &UNREACHABLE,
        "7ZQ4-0M1K-TXBE-93RA",
        audience("application/problem+json", "en"),
    );
    insta::assert_snapshot!(format!("{}\n{}", wire(&page), wire(&problem)));
}

#[test]
fn what_a_client_or_a_policy_says_stays_text() {
    let page = Case::hostile().reply(Audience::default());
    for markup in [
        "<script",
        "<img",
        "<b>",
        "href=\"javascript:",
        "\"onmouseover",
    ] {
        assert!(!page.body.contains(markup), "{markup} in {}", page.body);
    }
    let bytes = wire(&page);
    let (head, _) = bytes.split_once("\n\n").unwrap();
    assert!(
        !head.contains("Set-Cookie") && !head.lines().any(|line| line.starts_with("X:")),
        "{head}"
    );
    let problem = Case::hostile().reply(audience("application/json", "fr"));
    let read: serde_json::Value = serde_json::from_str(&problem.body).unwrap();
    assert_eq!(read["asked"], Case::hostile().asked);
}

#[test]
fn a_field_never_becomes_two() {
    let mut reply = Reply::fault(&UNREACHABLE, "x", Audience::default());
    reply
        .fields
        .push(("X-Odd", "a\r\nSet-Cookie: b\u{e9}".to_owned()));
    let bytes = reply.to_bytes(After::Close, true);
    let text = String::from_utf8(bytes.to_vec()).unwrap();
    assert!(text.contains("X-Odd: a??Set-Cookie: b?\r\n"), "{text}");
    assert!(text.ends_with("\r\n\r\n"));
}

#[test]
fn proxy_status_is_a_structured_field_whatever_goes_in() {
    let status = ProxyStatus::denied("a\"b\\c\r\nd", "é");
    let expected = "octroi; error=http_request_denied; details=\"a\\\"b\\\\c??d\"; incident=\"?\"";
    assert_eq!(status.to_string(), expected);
}

#[test]
fn the_style_sheet_is_the_one_that_the_security_policy_names() {
    use rustls::crypto::hash::HashAlgorithm;
    let suites = rustls::crypto::ring::default_provider().cipher_suites;
    let hash = suites.iter().find_map(|suite| {
        let hash = suite.tls13()?.common.hash_provider;
        (hash.algorithm() == HashAlgorithm::SHA256).then_some(hash)
    });
    let digest = hash.unwrap().hash(page::STYLE.as_bytes());
    let named = format!("'sha256-{}'", base64(digest.as_ref()));
    assert!(page::SECURITY_POLICY.contains(&named), "write {named}");
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let mut block = [0; 4];
        block[1..=chunk.len()].copy_from_slice(chunk);
        let number = u32::from_be_bytes(block);
        for digit in 0..4 {
            let padding = digit > chunk.len();
            text.push(if padding {
                '='
            } else {
                DIGITS[(number >> (18 - 6 * digit)) as usize % 64] as char
            });
        }
    }
    text
}

#[test]
fn the_audience_is_told_by_what_it_accepts() {
    use Format::{Page, Problem};
    use Language::{English, French};
    for (accept, language, expected) in [
        (None, None, (Page, French)),
        (Some("*/*"), Some("*"), (Page, French)),
        (
            Some("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"),
            Some("en-US,en;q=0.5"),
            (Page, English),
        ),
        (Some("application/json"), Some("de"), (Problem, French)),
        (
            Some("application/problem+json"),
            Some("fr-CH, fr;q=0.9, en;q=0.8"),
            (Problem, French),
        ),
        (
            Some("application/json, text/plain, */*"),
            Some("en"),
            (Problem, English),
        ),
        (
            Some("text/html, application/json;q=0.9"),
            Some("fr;q=0.5, en;q=0.5"),
            (Page, French),
        ),
        (
            Some("Application/JSON ; Q=0.3, text/html;q=0.2"),
            Some("EN"),
            (Problem, English),
        ),
        (Some("application/json;q=0"), Some("en;q=0"), (Page, French)),
        (
            Some("application/json;q=nonsense"),
            Some(";;,q=,"),
            (Page, French),
        ),
    ] {
        let audience = Audience::new(accept, language);
        assert_eq!(
            (audience.format, audience.language),
            expected,
            "{accept:?} {language:?}"
        );
    }
}

/// A text that the policy gives in one language is marked on the page of the other.
#[test]
fn a_text_in_another_language_is_marked() {
    let mut case = Case::usual();
    let alone = |alone, words: &str| Localised {
        alone: Some(alone),
        ..text(words, words)
    };
    case.ministry = alone(Language::French, "Préfecture");
    case.procedure = alone(
        Language::English,
        "Write to the CIO. https://cio.example/ask",
    );
    case.alternatives[0].country = Some(octroi_policy::catalogue::Country::parse("FR").unwrap());
    let (french, english) = (
        case.reply(Audience::default()).body,
        case.reply(audience("text/html", "en")).body,
    );
    for marked in [
        "<span lang=\"fr\">Préfecture</span>",
        "<span lang=\"fr\">La Suite, Messagerie</span>",
        "<span lang=\"fr\">Données sensibles : SecNumCloud exigé.</span>",
    ] {
        assert!(english.contains(marked), "no {marked} in {english}");
        assert!(!french.contains("lang=\"fr\">P"), "{french}");
    }
    let procedure = "<span lang=\"en\">Write to the CIO.</span> \
        <a href=\"https://cio.example/ask\">https://cio.example/ask</a>";
    assert!(french.contains(procedure), "{french}");
    assert!(!english.contains("lang=\"en\">Write"), "{english}");
}

#[test]
fn a_contact_is_a_link_only_where_it_is_an_address() {
    let linked = |contact: &str| {
        let case = Case::usual();
        let refusal = Refusal {
            contact: Some(contact),
            ..case.refusal()
        };
        let page = Reply::refusal(&refusal, Audience::default()).body;
        let (_, after) = page.split_once("Contact\u{a0}: ").unwrap();
        after
            .split_once("</p>")
            .map(|(it, _)| it.to_owned())
            .unwrap()
    };
    assert_eq!(
        linked("ssi@a.example"),
        "<a href=\"mailto:ssi@a.example?subject=Incident%207ZQ4-0M1K-TXBE-93RA\">ssi@a.example</a>"
    );
    assert_eq!(
        linked("https://aide.example/"),
        "<a href=\"https://aide.example/\">https://aide.example/</a>"
    );
    for text in [
        "poste 12 34",
        "javascript:alert(1)",
        "a@b@c.example",
        "@a.example",
        "a@b.example?cc=c@d.example",
        "a b@c.example",
    ] {
        assert!(!linked(text).contains("<a"), "{text}");
    }
}

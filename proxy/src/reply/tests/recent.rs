use octroi_policy::bundle::Bundle;
use octroi_policy::check::compile;
use octroi_policy::decision::Verdict;
use octroi_policy::flow::{Flow, Protocol, Source};
use octroi_policy::name::Host;
use octroi_policy::policy::Policy;

use super::*;
use crate::ledger::FlowId;
use crate::refusals::Kept;
use crate::reload::embedded;
use crate::reply::recent::Recalled;
use crate::reply::refusal::Told;

const NOW: &str = "2026-11-24T10:00:00Z";

fn recent<'a>(case: &'a Case, times: u32) -> Recent<'a> {
    let one = Recalled {
        at: "2026-11-24T09:43:10Z".parse().unwrap(),
        times,
        refusal: case.refusal(),
    };
    Recent {
        source: "192.0.2.7".parse().unwrap(),
        now: NOW.parse().unwrap(),
        refusals: vec![one],
        ministry: Some(&case.ministry),
        procedure: Some(&case.procedure),
        contact: Some("ssi@interieur.example"),
    }
}

#[test]
fn the_page_in_french() {
    let case = Case::usual();
    let reply = Reply::recent(&recent(&case, 12), Audience::default());
    insta::assert_snapshot!(wire(&reply));
}

#[test]
fn the_page_in_english_without_refusals() {
    let case = Case::usual();
    let none = Recent {
        refusals: Vec::new(),
        ..recent(&case, 1)
    };
    let reply = Reply::recent(&none, audience("text/html", "en"));
    insta::assert_snapshot!(wire(&reply));
}

#[test]
fn the_list_for_a_program() {
    let case = Case::usual();
    let reply = Reply::recent(&recent(&case, 1), audience("application/json", "en"));
    insta::assert_snapshot!(wire(&reply));
}

#[test]
fn on_the_page_too_everything_stays_text() {
    let case = Case::hostile();
    let page = Reply::recent(&recent(&case, 1), Audience::default());
    for markup in [
        "<script",
        "<img",
        "<b>",
        "href=\"javascript:",
        "\"onmouseover",
    ] {
        assert!(!page.body.contains(markup), "{markup} in {}", page.body);
    }
    let list = Reply::recent(&recent(&case, 1), audience("application/json", "fr"));
    let read: serde_json::Value = serde_json::from_str(&list.body).unwrap();
    assert_eq!(read[0]["asked"], case.asked);
}

/// Headings go down one level at a time, ids are unique, and what is labelled by one exists.
#[test]
fn the_page_is_in_order_for_screen_readers() {
    let (first, second) = (Case::usual(), Case::hostile());
    let mut both = recent(&first, 1);
    both.refusals.extend(recent(&second, 3).refusals);
    let page = Reply::recent(&both, Audience::default()).body;
    let levels: Vec<u8> = page
        .match_indices("<h")
        .filter_map(|(at, _)| page.as_bytes().get(at + 2).copied())
        .filter(u8::is_ascii_digit)
        .map(|digit| digit - b'0')
        .collect();
    assert_eq!(levels[0], 1);
    assert_eq!(levels.iter().filter(|&&level| level == 1).count(), 1);
    assert!(
        levels.windows(2).all(|pair| pair[1] <= pair[0] + 1),
        "{levels:?}"
    );
    let values = |attribute: &str| -> Vec<String> {
        let start = format!(" {attribute}=\"");
        let found = page
            .match_indices(&start)
            .map(|(at, _)| &page[at + start.len()..]);
        found
            .map(|rest| rest[..rest.find('"').unwrap()].to_owned())
            .collect()
    };
    let mut ids = values("id");
    let labels = values("aria-labelledby");
    assert_eq!(labels.len(), 3);
    assert!(
        labels.iter().all(|label| ids.contains(label)),
        "{ids:?} {labels:?}"
    );
    let all = ids.len();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), all);
    assert!(page.contains("<main>") && page.contains("lang=\"fr\""));
}

/// Judges a flow as the embedded policy does and hands on what is kept of its denial.
fn denied(
    policy: &Policy,
    from: &str,
    target: &str,
    chain: &[&str],
) -> (octroi_policy::decision::Decision, Kept) {
    let source = Source::from_address(from.parse().unwrap());
    let chain: Vec<_> = chain
        .iter()
        .map(|n| DomainName::parse(n).unwrap())
        .collect();
    let target = Host::parse(target).unwrap();
    let forbid = octroi_policy::address::Forbid::default();
    let flow = Flow {
        source: &source,
        protocol: Protocol::Connect,
        target: target.clone(),
        port: 443,
        original: None,
        host: None,
        hello: None,
        chain: &chain,
        addresses: &[],
        resolved: !chain.is_empty(),
        forbid: &forbid,
        ours: &[],
    };
    let decision = policy.judge(&flow, NOW.parse().unwrap());
    assert_eq!(decision.verdict(), Verdict::Deny, "{target}");
    let kept = Kept::new(policy, &decision, &target, 443, FlowId::draw());
    (decision, kept)
}

fn compiled(bundle: &Bundle) -> Policy {
    compile(bundle, Some(NOW.parse().unwrap())).policy.unwrap()
}

#[test]
fn a_refusal_is_recalled_as_it_was_told() {
    let policy = compiled(&embedded().unwrap());
    for (from, target, chain) in [
        ("127.0.0.1", "outlook.office.com", &[][..]),
        (
            "127.0.0.1",
            "mail.vendor.example",
            &["contoso.mail.protection.outlook.com"],
        ),
        ("127.0.0.1", "10.0.0.1", &[]),
    ] {
        let (decision, kept) = denied(&policy, from, target, chain);
        let told = Told::from(&kept);
        for language in [Language::French, Language::English] {
            let fresh = Refusal::new(&policy, &decision, &told.asked, &told.incident, language);
            let now = decision.at;
            let recalled = Refusal::recalled(&policy, &kept, &told, &decision.who, now, language);
            assert_eq!(format!("{recalled:?}"), format!("{fresh:?}"), "{target}");
        }
    }
}

#[test]
fn a_refusal_outlives_the_policy_that_made_it() {
    let (decision, kept) = denied(
        &compiled(&embedded().unwrap()),
        "127.0.0.1",
        "outlook.office.com",
        &[],
    );
    let files = [(
        "policy.yaml".to_owned(),
        b"version: 1\nname: other\ndefault: allow\n".to_vec(),
    )];
    let other = compiled(&Bundle::from_files(files).unwrap());
    let source = Source::from_address("127.0.0.1".parse().unwrap());
    let who = other.identify(&source);
    let told = Told::from(&kept);
    let language = Language::English;
    let refusal = Refusal::recalled(&other, &kept, &told, &who, decision.at, language);
    assert_eq!(refusal.rule, Some("r9-sensitive-data"));
    assert_eq!(refusal.name(), "outlook.office.com:443");
    assert_eq!(refusal.reason, "A rule forbids outlook.office.com.");
    assert!(refusal.references.is_empty() && refusal.alternatives.is_empty());
}

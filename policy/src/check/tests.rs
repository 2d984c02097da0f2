//! What must hold of the example bundle and of any bundle.

mod mutation;

use std::path::Path;
use std::time::{Duration, Instant};

use super::{check, compile, compile_accepted};
use crate::bundle::Bundle;
use crate::diagnostic::{Code, Colour, Findings, Severity};

const HEAD: &str = "version: 1\nname: example\ndefault: allow\n";

fn example() -> Bundle {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/policy");
    Bundle::read(&path).unwrap()
}

fn bundle(files: &[(&str, &str)]) -> Bundle {
    let files = files
        .iter()
        .map(|(path, text)| ((*path).to_owned(), text.as_bytes().to_vec()));
    Bundle::from_files(files).unwrap()
}

fn codes(findings: &Findings) -> Vec<&'static str> {
    findings
        .iter()
        .map(|finding| finding.code.as_str())
        .collect()
}

#[test]
fn the_example_bundle_has_no_error_and_passes_its_tests() {
    let bundle = example();
    let checked = check(&bundle, None);
    let text = checked.findings.render(&bundle, Colour::Never);
    let model = checked.model.unwrap_or_else(|| panic!("{text}"));
    assert!(model.tests.len() > 20, "only {} tests", model.tests.len());
    assert_eq!(crate::suite::run(&crate::Policy::compile(model)), []);
}

/// Rules for a list, a service's list, and a list that nothing uses.
#[test]
fn every_list_that_something_uses_is_in_the_model_once() {
    let policy = format!(
        "{HEAD}rules:\n  - {{ id: r, effect: deny, when: {{ domains_from: lists/both.txt, domains: [a.example] }} }}\nservices:\n  - {{ id: s, domains_from: [lists/both.txt, lists/names.txt], addresses_from: lists/ranges.txt }}\nproviders:\n  - {{ id: p, suffixes: [{{ from: lists/suffixes.txt }}] }}\n"
    );
    let files = bundle(&[
        ("policy.yaml", &policy),
        ("lists/both.txt", "both.example\n"),
        ("lists/names.txt", "b.example\nc.example\n"),
        ("lists/ranges.txt", "192.0.2.0/24\n"),
        ("lists/suffixes.txt", "d.example\ne.example\nf.example\n"),
        ("lists/unused.txt", "g.example\n"),
    ]);
    let checked = check(&files, None);
    assert_eq!(codes(&checked.findings), ["unused-list"]);
    let model = checked.model.unwrap();
    let lists: Vec<_> = model.lists.iter().map(|it| (&*it.id, it.entries)).collect();
    let expected = [
        ("r#domains", 1),
        ("lists/both.txt", 1),
        ("lists/names.txt", 2),
        ("lists/ranges.txt", 1),
        ("lists/suffixes.txt", 3),
    ];
    assert_eq!(lists, expected);
}

#[test]
fn an_accepted_bundle_loads_in_spite_of_what_leaves_it_its_meaning_and_of_nothing_else() {
    let test = "tested_at: 2026-11-23\ntests:\n  - { name: t, given: { source: 192.0.2.1, host: a.example }, expect: { verdict: allow } }\n";
    let wide = "rules:\n  - { id: r, effect: block, when: { addresses: [192.0.0.0/16] } }\n";
    let unknown = "rules:\n  - { id: r, effect: deny, when: { service: mail } }\n";
    let narrower =
        "rules:\n  - { id: r, effect: deny, when: { domains: [a.example, two words] } }\n";
    for (sections, code, loads) in [
        (test, "test-fails", true),
        (wide, "block-too-wide", true),
        (unknown, "unknown-service", false),
        (narrower, "invalid-name", false),
        ("default: deny\n", "duplicate-key", false),
    ] {
        let files = bundle(&[("policy.yaml", &format!("{HEAD}{sections}"))]);
        assert!(compile(&files, None).policy.is_none(), "{sections}");
        let accepted = compile_accepted(&files, None);
        let found = codes(&accepted.findings);
        assert!(found.contains(&code), "{sections}: {found:?}");
        assert!(accepted.findings.has_errors());
        assert_eq!(accepted.policy.is_some(), loads, "{sections}");
    }
}

#[test]
fn a_broken_file_does_not_make_references_to_it_findings() {
    let policy =
        format!("{HEAD}rules:\n  - {{ id: r, effect: deny, when: {{ service: mail }} }}\n");
    let services = "services:\n  - { id: mail, domainz: [mail.example] }\n";
    let checked = check(
        &bundle(&[("policy.yaml", &policy), ("services.yaml", services)]),
        None,
    );
    assert_eq!(codes(&checked.findings), ["unknown-key"]);
}

#[test]
fn one_mistake_made_often_does_not_hide_another() {
    let bad = "two words\n".repeat(5_000);
    let policy = format!(
        "{HEAD}rules:\n  - {{ id: r, effect: deny, when: {{ domains_from: lists/a.txt }} }}\n  - {{ id: s, effect: denied, when: {{}} }}\n"
    );
    let bundle = bundle(&[("policy.yaml", &policy), ("lists/a.txt", &bad)]);
    let findings = check(&bundle, None).findings;
    assert_eq!(findings.iter().len(), Findings::MAX_PER_CODE + 1);
    assert_eq!(findings.count(Severity::Error), 5_001);
    assert!(
        findings
            .iter()
            .any(|finding| finding.code == Code::UnknownWord)
    );
    assert!(
        findings
            .render(&bundle, Colour::Never)
            .contains("error[broken-line]: and 4900 more of these")
    );
}

#[test]
fn a_yaml_bomb_is_refused() {
    let mut bomb = String::from("version: 1\nname: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for level in 1..9 {
        let refs = vec![format!("*a{}", level - 1); 10].join(", ");
        bomb.push_str(&format!("k{level}: &a{level} [{refs}]\n"));
    }
    let deep = format!("rules: {}", "[".repeat(10_000));
    for text in [bomb, deep] {
        let checked = check(&bundle(&[("policy.yaml", &text)]), None);
        assert!(checked.model.is_none() && !checked.findings.is_empty());
    }
}

#[test]
fn rules_share_the_list_files_they_use() {
    let policy = format!(
        "{HEAD}rules:\n  - {{ id: r, effect: deny, when: {{ domains_from: lists/a.txt }} }}\n  - {{ id: s, effect: deny, when: {{ domains: b.example, domains_from: [lists/a.txt] }} }}\n"
    );
    let checked = check(
        &bundle(&[("policy.yaml", &policy), ("lists/a.txt", "a.example\n")]),
        None,
    );
    let model = checked.model.unwrap();
    let lists: Vec<_> = model
        .lists
        .iter()
        .map(|list| (&*list.id, list.entries))
        .collect();
    assert_eq!(lists, [("lists/a.txt", 1), ("s#domains", 1)]);
    assert_eq!(model.listed_names.len(), 2);
}

#[test]
fn a_name_between_two_of_another_owner_is_not_redundant() {
    let with = |between: &str| {
        let policy = format!(
            "{HEAD}services:\n  - {{ id: a, domains: [.x.example, a.b.x.example] }}\n  - {{ id: b, domains: [\"{between}\"] }}\n"
        );
        codes(&check(&bundle(&[("policy.yaml", &policy)]), None).findings)
    };
    assert_eq!(with(".b.x.example"), [""; 0]);
    assert_eq!(with("a.*.x.example"), [""; 0]);
    assert_eq!(with(".other.example"), ["redundant-entry"]);
}

#[test]
fn a_qualification_without_an_end_holds_three_years() {
    let policy = format!(
        "{HEAD}services:\n  - {{ id: a, domains: [a.example], qualification: [{{ scheme: secnumcloud, since: 2024-02-29 }}] }}\n"
    );
    let model = check(&bundle(&[("policy.yaml", &policy)]), None)
        .model
        .unwrap();
    let holds = |at: &str| model.services[0].is_qualified_under("secnumcloud", at.parse().unwrap());
    for (at, expected) in [
        ("2024-02-28T23:59:59Z", false),
        ("2024-02-29T00:00:00Z", true),
        ("2027-02-27T23:59:59Z", true),
        ("2027-02-28T00:00:00Z", false),
    ] {
        assert_eq!(holds(at), expected, "{at}");
    }
}

/// Not a benchmark: a list a hundred times slower than it should be is a quadratic step somewhere.
#[test]
#[expect(clippy::disallowed_methods, reason = "a test may look at the clock")]
fn a_million_names_are_checked_in_seconds() {
    let mut list = String::with_capacity(30 << 20);
    for number in 0..1_000_000 {
        list.push_str(&format!("host{number}.group{}.example\n", number % 1_000));
    }
    let policy = format!(
        "{HEAD}rules:\n  - {{ id: r, effect: deny, when: {{ domains_from: lists/a.txt }} }}\n"
    );
    let bundle = bundle(&[("policy.yaml", &policy), ("lists/a.txt", &list)]);
    let start = Instant::now();
    let checked = check(&bundle, None);
    let took = start.elapsed();
    println!("a million names: {took:?}");
    assert_eq!(checked.model.unwrap().listed_names.len(), 1_000_000);
    assert!(took < Duration::from_secs(30), "{took:?}");
}

mod hostile {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// Half-written and overwritten files are findings or fine, and always can be shown.
        #[test]
        fn a_torn_file_never_panics(file in any::<prop::sample::Index>(), from in any::<prop::sample::Index>(), length in 0usize..200, put in ".{0,12}") {
            let example = example();
            let torn = file.index(example.files().len());
            let files = example.files().iter().enumerate().map(|(at, source)| {
                let mut bytes = source.text().as_bytes().to_vec();
                if at == torn && !bytes.is_empty() {
                    let start = from.index(bytes.len());
                    let end = (start + length).min(bytes.len());
                    bytes.splice(start..end, put.bytes());
                }
                (source.path().to_owned(), bytes)
            });
            let bundle = Bundle::from_files(files).unwrap();
            let checked = check(&bundle, Some("2026-11-24T00:00:00Z".parse().unwrap()));
            prop_assert_eq!(checked.model.is_none(), checked.findings.has_errors());
            let shown = checked.findings.render(&bundle, Colour::Never);
            let escape = char::from(27);
            prop_assert!(!shown.contains(escape));
            if let Some(model) = checked.model {
                let _ = crate::Policy::compile(model);
            }
        }

        /// Any line of a list is an entry, nothing, or a finding.
        #[test]
        fn any_list_can_be_read(text in "(.{0,40}\n){0,12}") {
            let policy = format!("{HEAD}rules:\n  - {{ id: r, effect: block, when: {{ domains_from: lists/a.txt, addresses_from: lists/b.txt }} }}\n");
            let bundle = bundle(&[("policy.yaml", &policy), ("lists/a.txt", &text), ("lists/b.txt", &text)]);
            let checked = check(&bundle, None);
            let _ = checked.findings.render(&bundle, Colour::Never);
        }
    }
}

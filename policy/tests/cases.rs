//! Every bundle below `cases/` is checked without an error and passes its own tests: together they say what
//! each sentence of the semantics means. The same questions then show what must hold of any bundle.
#![allow(
    clippy::disallowed_methods,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests"
)]

use std::path::Path;

use octroi_policy::bundle::Bundle;
use octroi_policy::check::check;
use octroi_policy::decision::{Decision, Verdict};
use octroi_policy::diagnostic::Colour;
use octroi_policy::flow::{CertificateName, Source};
use octroi_policy::model::Model;
use octroi_policy::rule::{Effect, Mode};
use octroi_policy::{Policy, suite};

fn cases() -> Vec<(String, Model)> {
    let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    let mut found: Vec<_> = std::fs::read_dir(cases)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| {
            let bundle = Bundle::read(&path).unwrap();
            let checked = check(&bundle, None);
            let Some(model) = checked.model else {
                panic!("{}", checked.findings.render(&bundle, Colour::Never));
            };
            (path.file_name().unwrap().display().to_string(), model)
        })
        .collect();
    found.sort_by(|(a, _), (b, _)| a.cmp(b));
    found
}

/// Every question of a model's tests, answered by `policy`.
fn answers(questions: &Model, policy: &Policy) -> Vec<(String, Decision)> {
    let answer = |case: &suite::Case| (case.name.to_string(), case.decide(policy));
    questions.tests.iter().map(answer).collect()
}

fn grounds(policy: &Policy, decision: &Decision) -> Vec<String> {
    let mut grounds: Vec<_> = decision
        .grounds()
        .iter()
        .map(|ground| octroi_policy::explain::because(policy, decision, ground))
        .collect();
    grounds.sort();
    grounds
}

#[test]
fn every_case_comes_out_as_written() {
    let mut ran = 0;
    let mut failed = String::new();
    for (name, model) in cases() {
        ran += model.tests.len();
        for failure in suite::run(&Policy::compile(model)) {
            let differences = failure.differences.join("\n  ");
            failed += &format!(
                "{name} · {}\n  {differences}\n{}\n",
                failure.name, failure.explanation
            );
        }
    }
    assert!(failed.is_empty(), "{failed}");
    assert!(ran > 90, "only {ran} tests were found");
}

#[test]
fn the_order_of_rules_means_nothing() {
    for (name, model) in cases() {
        let mut turned = model.clone();
        turned.rules.reverse();
        let (forth, back) = (Policy::compile(model.clone()), Policy::compile(turned));
        for ((question, one), (_, other)) in
            answers(&model, &forth).iter().zip(answers(&model, &back))
        {
            assert_eq!(one.recorded(), other.recorded(), "{name}: {question}");
            assert_eq!(
                grounds(&forth, one),
                grounds(&back, &other),
                "{name}: {question}"
            );
        }
    }
}

#[test]
fn rules_in_observe_mode_change_no_enforced_verdict() {
    for (name, model) in cases() {
        let mut without = model.clone();
        without.rules.retain(|rule| rule.mode == Mode::Enforce);
        let (with, without) = (Policy::compile(model.clone()), Policy::compile(without));
        for ((question, one), (_, other)) in
            answers(&model, &with).iter().zip(answers(&model, &without))
        {
            assert_eq!(one.verdict(), other.verdict(), "{name}: {question}");
        }
    }
}

#[test]
fn a_ministry_of_its_own_can_only_tighten() {
    let mut tightened = 0;
    for (name, model) in cases() {
        let mut national = model.clone();
        national.rules.retain(|rule| rule.layer.is_none());
        national.local_names.clear();
        for ministry in &mut national.ministries {
            ministry.layer = Default::default();
        }
        let (both, alone) = (Policy::compile(model.clone()), Policy::compile(national));
        for ((question, with), (_, without)) in
            answers(&model, &both).iter().zip(answers(&model, &alone))
        {
            assert!(with.verdict() >= without.verdict(), "{name}: {question}");
            tightened += usize::from(with.verdict() > without.verdict());
        }
    }
    assert!(tightened > 0, "no case shows a ministry that tightens");
}

#[test]
fn taking_a_prohibition_away_never_refuses_and_nothing_lifts_a_block() {
    for (name, model) in cases() {
        let mut milder = model.clone();
        milder.rules.retain(|rule| rule.effect != Effect::Deny);
        let (strict, milder) = (Policy::compile(model.clone()), Policy::compile(milder));
        for ((question, one), (_, other)) in answers(&model, &strict)
            .iter()
            .zip(answers(&model, &milder))
        {
            assert!(other.verdict() <= one.verdict(), "{name}: {question}");
            let blocked = one
                .hits
                .iter()
                .any(|hit| strict.rule(hit.rule).effect == Effect::Block);
            assert!(
                !blocked || one.verdict() == Verdict::Deny,
                "{name}: {question}"
            );
        }
    }
}

/// Who belongs to two workloads is judged by both, so both have to trust.
#[test]
fn where_a_connection_was_on_its_way_to_is_trusted_by_all_whose_it_is() {
    let (_, model) = cases().remove(0);
    let policy = Policy::compile(model);
    let trusts = |source: &str, certificate: &str, original: &str| {
        let source = Source {
            certificate: CertificateName::parse(certificate).into_iter().collect(),
            ..Source::from_address(source.parse().unwrap())
        };
        policy.trusts_original(&policy.identify(&source), original.parse().unwrap())
    };
    for (source, certificate, original, expected) in [
        ("192.0.2.70", "", "10.1.2.3", true),
        ("192.0.2.70", "", "::ffff:10.1.2.3", true),
        ("192.0.2.70", "", "10.2.0.1", false),
        ("192.0.2.70", "", "2001:db8::1", false),
        ("192.0.2.70", "pc1.roaming.example", "10.1.2.3", false),
        ("192.0.2.130", "", "10.1.2.3", false),
        ("203.0.113.200", "", "10.1.2.3", false),
    ] {
        let found = trusts(source, certificate, original);
        assert_eq!(found, expected, "{source} {certificate} {original}");
    }
}

//! Small bundles and flows, judged under one change at a time.

mod question;
mod world;

use std::collections::BTreeSet;

use jiff::Timestamp;
use libfuzzer_sys::arbitrary::{Result, Unstructured};
use octroi_policy::Policy;
use octroi_policy::bundle::Bundle;
use octroi_policy::check::check;
use octroi_policy::decision::{Decision, Ground, Verdict};
use octroi_policy::explain::explain;

use question::Question;
use world::World;

/// The instant of every question: inside the dates that a world may write, or outside.
const INSTANTS: [&str; 2] = ["2026-11-24T12:00:00Z", "2027-11-24T12:00:00Z"];

/// Flows that are asked about in one world.
const MAX_QUESTIONS: usize = 24;

/// Builds a bundle, changes it in one way and asks both.
pub fn run(data: &[u8]) {
    let _ = ask(&mut Unstructured::new(data));
}

fn ask(u: &mut Unstructured<'_>) -> Result<()> {
    let at = instant(u)?;
    let change = u.int_in_range(0..=6)?;
    let world = World::any(u)?;
    let Some(policy) = compiled(&world) else {
        return Ok(());
    };
    // Asking costs little beside compiling.
    let mut questions = vec![Question::any(u)?];
    while !u.is_empty() && questions.len() < MAX_QUESTIONS {
        questions.push(Question::any(u)?);
    }
    for question in &questions {
        let decision = judged(&policy, question, at);
        let _ = explain(&policy, &question.flow(), &decision, None);
        enforced_is_never_stricter_than_trial(&decision);
        more_evidence_never_permits(&policy, question, at);
    }
    let Some(changed) = compiled(&world.changed(change)) else {
        return Ok(());
    };
    for question in &questions {
        let before = judged(&policy, question, at);
        let after = judged(&changed, question, at);
        compare(change, (&policy, &before), (&changed, &after));
    }
    Ok(())
}

fn instant(u: &mut Unstructured<'_>) -> Result<Timestamp> {
    Ok(u.choose(&INSTANTS)?
        .parse()
        .unwrap_or_else(|e| panic!("{e}")))
}

/// The policy, if the world passes its checks.
fn compiled(world: &World) -> Option<Policy> {
    let bundle = Bundle::from_files(world.files()).unwrap_or_else(|e| panic!("{e}"));
    check(&bundle, None).model.map(Policy::compile)
}

fn judged(policy: &Policy, question: &Question, at: Timestamp) -> Decision {
    policy.judge(&question.flow(), at)
}

/// What a ruling rests on, in words that do not depend on positions.
fn grounds<'a>(policy: &'a Policy, grounds: &'a [Ground]) -> BTreeSet<String> {
    let rule = |ground: &Ground| {
        ground
            .rule()
            .map_or(String::new(), |r| policy.rule(r).id.to_string())
    };
    let piece = |ground: &Ground| format!("{:?}", ground.piece());
    let of = |g: &Ground| match g {
        Ground::Block(..) | Ground::Deny(..) => format!("{} {} {}", g.as_str(), rule(g), piece(g)),
        other => format!("{other:?}"),
    };
    grounds.iter().map(of).collect()
}

fn enforced_is_never_stricter_than_trial(decision: &Decision) {
    assert!(
        decision.enforced.verdict() <= decision.trial.verdict(),
        "observing widens: {decision:#?}"
    );
}

/// The gate asks three times; what is refused at one stage is refused at the next.
fn more_evidence_never_permits(policy: &Policy, question: &Question, at: Timestamp) {
    let whole = question.flow();
    let mut named = whole.clone();
    // A captured connection has spoken before it is judged.
    named.hello = whole.hello.clone().filter(|_| whole.original.is_some());
    named.chain = &[];
    named.addresses = &[];
    named.resolved = question.target.address().is_some();
    let mut resolved = whole.clone();
    resolved.hello = named.hello.clone();
    let stages = [named, resolved, whole].map(|flow| policy.judge(&flow, at));
    for pair in stages.windows(2) {
        if pair[0].verdict() == Verdict::Deny {
            assert_eq!(pair[1].verdict(), Verdict::Deny, "{pair:#?}");
        }
    }
}

type Judged<'a> = (&'a Policy, &'a Decision);

fn compare(change: u8, (policy, before): Judged<'_>, (changed, after): Judged<'_>) {
    let enforced = (before.enforced.verdict(), after.enforced.verdict());
    let trial = (before.trial.verdict(), after.trial.verdict());
    match change {
        // Rules in another order: nothing changes.
        0 => {
            assert_eq!(
                grounds(policy, &before.enforced.grounds),
                grounds(changed, &after.enforced.grounds)
            );
            assert_eq!(
                grounds(policy, &before.trial.grounds),
                grounds(changed, &after.trial.grounds)
            );
            assert_eq!((before.outcome, before.sni), (after.outcome, after.sni));
        }
        // Without the ministry's own files: never stricter.
        1 => assert!(
            enforced.0 >= enforced.1 && trial.0 >= trial.1,
            "a layer widens"
        ),
        // Without the rules that observe: traffic goes the same way.
        2 => {
            assert_eq!(
                grounds(policy, &before.enforced.grounds),
                grounds(changed, &after.enforced.grounds)
            );
            assert!(trial.0 >= trial.1, "observing widens");
        }
        // Without derogations: never milder.
        3 => assert!(
            enforced.0 <= enforced.1 && trial.0 <= trial.1,
            "a derogation tightens"
        ),
        // Without `allow` rules: never milder.
        4 => assert!(
            enforced.0 <= enforced.1 && trial.0 <= trial.1,
            "an allow rule tightens"
        ),
        // Without `deny` and `block` rules: never stricter.
        5 => assert!(
            enforced.0 >= enforced.1 && trial.0 >= trial.1,
            "a deny rule widens"
        ),
        // The same again.
        _ => assert_eq!(before, after),
    }
}

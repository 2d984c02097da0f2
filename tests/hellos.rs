//! Every hello of [`crate::harness::hello`] through a tunnel: what the origin saw, what the client
//! heard, what was counted and written.

use crate::harness::eventually;
use crate::harness::hello::{Manner, SHORT, Spoken, spoken};
use crate::harness::ledger::field;
use crate::harness::origin::{Origin, echo};
use crate::harness::world::{Plan, World};

const TARGET: &str = "allowed.example";
/// A TLS alert record of level fatal, description access_denied (RFC 8446 section 6).
const ACCESS_DENIED: [u8; 7] = [21, 3, 3, 0, 2, 2, 49];

#[test]
fn each_hello_is_taken_for_what_it_is() {
    let world = World::new();
    let at_once = |case: &Spoken| case.manner != Manner::ThenSilence;
    assert_each(&world, spoken(TARGET).into_iter().filter(at_once));
}

#[test]
fn each_hello_that_stops_runs_into_the_time_out() {
    let timeout = format!("hello_timeout: {}ms", SHORT.as_millis());
    let world = Plan::new().set("limits", timeout).start();
    let silent = |case: &Spoken| case.manner == Manner::ThenSilence;
    assert_each(&world, spoken(TARGET).into_iter().filter(silent));
}

fn assert_each(world: &World, cases: impl Iterator<Item = Spoken>) {
    let origin = world.origin(TARGET, 10, 443, echo());
    let mut wrong = Vec::new();
    let mut count = 0;
    for case in cases {
        count += 1;
        if let Err(why) = came_of(world, &origin, &case, count) {
            wrong.push(format!("{}: {why}", case.what));
        }
    }
    assert!(
        count > 5 && wrong.is_empty(),
        "of {count} cases:\n{}",
        wrong.join("\n")
    );
}

/// What came of the flow with this number, if it is not what it should be.
fn came_of(world: &World, origin: &Origin, case: &Spoken, number: usize) -> Result<(), String> {
    let outcome = case.says.outcome(TARGET);
    let labels = [("outcome", outcome)];
    let counted = world.gate.metrics().total("octroi_sni_total", &labels);
    let before = origin.bytes().len();
    let mut wire = world.ordinary();
    assert_eq!(wire.connect("allowed.example:443").status, 200);
    case.say(&mut wire);
    let (expected, verdict) = if case.says.passes(TARGET) {
        let echoed = wire.exactly(case.bytes.len());
        drop(echoed);
        (case.bytes.clone(), "allow")
    } else {
        let heard = wire.rest();
        let alert = case.hears_an_alert().then_some(ACCESS_DENIED);
        if heard != alert.map(Vec::from).unwrap_or_default() {
            return Err(format!("the client heard {heard:?}"));
        }
        (vec![], "deny")
    };
    drop(wire);
    let line = eventually("the decision is written", || {
        world.gate.decisions().into_iter().nth(number - 1)
    });
    let seen = origin.bytes()[before..].to_vec();
    if seen != expected {
        return Err(format!(
            "the origin saw {} bytes: {}",
            seen.len(),
            seen.escape_ascii()
        ));
    }
    let enforced = (line.text(field::VERDICT) == verdict) || outcome == "ech_outer";
    if line.text(field::SNI_OUTCOME) != outcome || !enforced {
        return Err(format!("not {outcome}, {verdict}: {line:?}"));
    }
    world.gate.counted("octroi_sni_total", &labels, counted + 1);
    Ok(())
}

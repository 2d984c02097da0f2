//! The adversarial table: what somebody who wants past the gate may send, case by case, each with what the
//! origin may see of it, which counters move, and what is written down.
//!
//! A group of cases has a world of its own (`tests/evasion/stage.rs`) and plays one after the other in it,
//! so that counters, log and origins are accounted for to the last unit; groups run side by side.

mod addresses;
mod captured;
mod case;
mod doors;
mod fields;
mod flow;
mod forgeries;
mod framing;
mod hellos;
mod internet;
mod judge;
mod octroi;
mod open;
mod play;
mod requests;
mod resolver;
mod retries;
mod stage;
mod subject;
mod targets;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use case::{Case, Table};
use subject::{Score, Subject};

use crate::harness::world::repository;

/// Writes the cases of one group down.
type Group = fn(&mut Table);

const GROUPS: &[(&str, Group)] = &[
    ("targets", targets::cases),
    ("addresses", addresses::cases),
    ("framing", framing::cases),
    ("hellos", hellos::readable),
    ("unreadable hellos", hellos::unreadable),
    ("names in hellos", hellos::names),
    ("second hellos", retries::cases),
    ("captured hellos", captured::hellos),
    ("captured names", captured::names),
    ("captured requests", captured::requests::cases),
    ("resolver", resolver::cases),
    ("forged answers", forgeries::cases),
    ("requests", requests::cases),
    ("fields", fields::cases),
    ("doors", doors::cases),
];

fn cases(group: Group) -> Vec<Case> {
    let mut table = Table::default();
    group(&mut table);
    table.0
}

/// The fewest cases that this table is to have.
const ENOUGH: usize = 200;

#[test]
fn there_are_enough_cases_each_with_a_name_of_its_own() {
    let mut names = BTreeSet::new();
    let mut told = Vec::new();
    for (name, group) in GROUPS {
        let cases = cases(*group);
        println!("{name:<20}{:>4}", cases.len());
        for case in cases {
            let is_new = names.insert(format!("{name}: {}", case.name));
            assert!(is_new, "`{}` stands twice in `{name}`", case.name);
            told.push(!case.expect.flows.is_empty() || !case.expect.rejects.is_empty());
        }
    }
    println!("{:<20}{:>4}", "in all", names.len());
    assert!(names.len() >= ENOUGH, "only {} cases", names.len());
    let readme = std::fs::read_to_string(repository().join("README.md")).unwrap();
    let captured = names.iter().filter(|name| name.starts_with("captured"));
    let told_there = format!(
        "{} cases in all, {} of them on captured connections",
        names.len(),
        captured.count()
    );
    assert!(
        readme.contains(&told_there),
        "README.md does not say `{told_there}`"
    );
    let silent = told.iter().filter(|told| !**told).count();
    assert!(silent <= 4, "{silent} cases leave nothing in the ledger");
}

/// Plays a group against this gate; every failure is told, by the name of its case.
fn hold(name: &str) {
    let (_, group) = GROUPS.iter().find(|(group, _)| *group == name).unwrap();
    let cases = cases(*group);
    let failed = stage::play_all(&cases);
    assert!(
        failed.is_empty(),
        "of {} cases of `{name}`, these failed:\n{}",
        cases.len(),
        failed.join("\n")
    );
}

#[test]
fn targets_are_read_one_way() {
    hold("targets");
}

#[test]
fn addresses_are_judged_in_every_spelling() {
    hold("addresses");
}

#[test]
fn the_end_of_a_request_is_one_place() {
    hold("framing");
}

#[test]
fn hellos_are_taken_for_what_they_are() {
    hold("hellos");
}

#[test]
fn what_cannot_be_read_is_not_let_pass() {
    hold("unreadable hellos");
}

#[test]
fn another_name_inside_the_tunnel_goes_no_further() {
    hold("names in hellos");
}

#[test]
fn a_second_hello_says_what_the_first_one_said() {
    hold("second hellos");
}

#[test]
fn captured_hellos_are_taken_for_what_they_are() {
    hold("captured hellos");
}

#[test]
fn a_captured_name_leads_to_its_own_addresses_or_nowhere() {
    hold("captured names");
}

#[test]
fn a_captured_request_is_for_its_host() {
    hold("captured requests");
}

#[test]
fn what_a_name_service_says_is_judged_whole() {
    hold("resolver");
}

#[test]
fn a_forged_answer_leads_nowhere() {
    hold("forged answers");
}

#[test]
fn what_is_for_the_gate_goes_no_further() {
    hold("fields");
}

#[test]
fn each_request_goes_where_it_was_judged_to_go() {
    hold("requests");
}

#[test]
fn the_front_of_the_gate_serves_nothing_else() {
    hold("doors");
}

/// By default the subject is this gate, of which nothing may leak and which serves every control. With
/// `OCTROI_EVASION_SUBJECT=squid`, `envoy` or a program of one's own, that proxy is judged, and what came of it told.
#[test]
fn nothing_leaks_through_the_subject_and_all_else_is_served() {
    let subject = Subject::named();
    let scores = scores(&subject, |_| true);
    let told = told(&scores);
    println!("{told}");
    let is_clean = |(_, score): &(&str, Score)| score.leaked.is_empty() && score.broken.is_empty();
    let is_ours = matches!(subject, Subject::Octroi);
    assert!(!is_ours || scores.iter().all(is_clean), "{told}");
}

/// What is judged to be held is so because of the gate: through a proxy without a policy it all gets out.
#[test]
fn through_an_open_proxy_it_all_gets_out() {
    // What such a proxy does not understand, it does not pass on; of these groups it understands most.
    let least = [
        ("addresses", 30),
        ("hellos", 30),
        ("unreadable hellos", 85),
        ("names in hellos", 15),
        ("second hellos", 6),
        ("resolver", 15),
    ];
    let scores = scores(&Subject::Open, |name| {
        least.iter().any(|(group, _)| *group == name)
    });
    for (group, least) in least {
        let (_, score) = scores.iter().find(|(name, _)| *name == group).unwrap();
        let told = told(&scores);
        assert!(
            score.leaked.len() >= least,
            "{group} should leak {least}:\n{told}"
        );
        // It asks the resolver over UDP alone.
        assert!(score.broken.len() <= 1, "{group} should be served:\n{told}");
    }
}

/// Groups against a subject, side by side.
fn scores(subject: &Subject, is_meant: impl Fn(&str) -> bool) -> Vec<(&'static str, Score)> {
    std::thread::scope(|scope| {
        let play = |(name, group): &(&'static str, Group)| {
            let (name, cases) = (*name, cases(*group));
            scope.spawn(move || (name, subject::score(subject, &cases)))
        };
        let meant = GROUPS.iter().filter(|(name, _)| is_meant(name));
        let played: Vec<_> = meant.map(play).collect();
        let joined = played.into_iter().map(|played| played.join().unwrap());
        joined.collect()
    })
}

/// A table of the scores, and what leaked or was not served by name.
fn told(scores: &[(&str, Score)]) -> String {
    let mut text = format!(
        "{:<18}{:>8}{:>7}{:>8}{:>10}{:>8}\n",
        "group", "attacks", "held", "leaked", "controls", "broken"
    );
    let row = |name: &str, counts: [usize; 5]| {
        let [attacks, held, leaked, controls, broken] = counts;
        format!("{name:<18}{attacks:>8}{held:>7}{leaked:>8}{controls:>10}{broken:>8}\n")
    };
    let mut sum = [0; 5];
    // Groups of captured connections are for gates that capture.
    let asked = |score: &Score| score.attacks + score.controls > 0;
    for (name, score) in scores.iter().filter(|(_, score)| asked(score)) {
        let (leaked, broken) = (score.leaked.len(), score.broken.len());
        let counts = [
            score.attacks,
            score.attacks - leaked,
            leaked,
            score.controls,
            broken,
        ];
        text += &row(name, counts);
        sum = std::array::from_fn(|column| sum[column] + counts[column]);
    }
    text += &row("in all", sum);
    for (name, score) in scores {
        let lines = |word: &str, cases: &[String]| -> String {
            cases
                .iter()
                .map(|case| format!("{word} {name}: {case}\n"))
                .collect()
        };
        text += &(lines("leaked:", &score.leaked) + &lines("broken:", &score.broken));
    }
    text
}

/// Whether something comes to hold in time; where a test is to fail with it, there is `harness::within`.
fn comes_true(patience: Duration, mut holds: impl FnMut() -> bool) -> bool {
    let began = Instant::now();
    while !holds() {
        if began.elapsed() > patience {
            return false;
        }
        std::thread::park_timeout(Duration::from_millis(2));
    }
    true
}

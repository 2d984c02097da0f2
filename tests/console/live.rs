//! Attempts as they happen: without reload, filtered, paused, in bursts, over a restart.

use serde_json::json;

use super::{at, origins, tries, world};
use crate::harness::viewer::Browser;

#[test]
fn an_attempt_appears_without_a_reload() {
    let world = world();
    let _origins = origins(&world);
    let browser = Browser::start();
    let page = browser.open(&at(&world, ""), json!({ "language": "en" }));
    page.sees("#live-state.live");
    page.sees("#live-empty");
    assert_eq!(
        tries(&world, world.block.sensitive(), "outlook.office.com:443"),
        403
    );
    page.sees("tr.attempt.deny >> text=outlook.office.com:443");
    page.misses("#live-empty");
    let line = page.text("tr.attempt.deny");
    for expected in [
        "Refused",
        "Ministry of the Interior",
        "paie",
        &world.block.sensitive().to_string(),
        "Exchange Online",
        "r9-sensitive-data",
    ] {
        assert!(line.contains(expected), "no `{expected}` in {line}");
    }
    for (from, target, kind, word) in [
        (
            world.block.ordinary(),
            "outlook.office.com:443",
            "observed",
            "Would be refused",
        ),
        (
            world.block.ordinary(),
            "news.example:443",
            "allow",
            "Allowed",
        ),
    ] {
        assert_eq!(tries(&world, from, target), 200);
        page.sees(&format!("tr.attempt.{kind} >> text={word}"));
    }
    // Where no rule decided there is a reason all the same.
    let stranger = world.block.stranger();
    assert_eq!(tries(&world, stranger, "news.example:443"), 403);
    page.sees("tr.attempt.deny >> text=nothing permits it");
    page.sees("tr.attempt >> text=Machine of no ministry");
    // The newest stands first, and who comes later sees the same.
    page.sees("tr.attempt:first-child >> text=news.example:443");
    let late = browser.open(&at(&world, "#live"), json!({}));
    late.counts_to("tr.attempt", 4);
    late.sees("tr.attempt:first-child >> text=news.example:443");
    page.is_clean();
}

#[test]
fn live_attempts_are_filtered() {
    let world = world();
    let _origins = origins(&world);
    let browser = Browser::start();
    let page = browser.open(&at(&world, "#live"), json!({}));
    page.sees("#live-state.live");
    let everybody = || {
        tries(&world, world.block.sensitive(), "outlook.office.com:443");
        tries(&world, world.block.ordinary(), "www.drop.example:443");
        tries(&world, world.block.ordinary(), "outlook.office.com:443");
        tries(&world, world.block.ordinary(), "news.example:443");
    };
    everybody();
    page.counts_to("tr.attempt", 4);

    page.clicks(".tile.deny");
    page.counts_to("tr.attempt", 2);
    assert!(
        page.address().ends_with("#live?verdict=deny"),
        "{}",
        page.address()
    );
    everybody();
    page.counts_to("tr.attempt.deny", 4);
    assert_eq!(page.count("tr.attempt"), 4);

    page.selects("#filter-ministry", "culture");
    page.counts_to("tr.attempt", 2);
    everybody();
    page.counts_to("tr.attempt", 3);
    assert_eq!(page.count("tr.attempt >> text=www.drop.example:443"), 3);

    page.clicks(".tile.all");
    page.selects("#filter-service", "exchange-online");
    page.counts_to("tr.attempt.observed", 3);
    page.selects("#filter-workload", "culture/bureautique");
    everybody();
    page.counts_to("tr.attempt.observed", 4);
    assert_eq!(page.count("tr.attempt"), 4);

    // The address alone brings somebody else to the same list.
    let shared = page.address();
    assert!(
        shared.ends_with("#live?ministry=culture&workload=bureautique&service=exchange-online"),
        "{shared}"
    );
    let other = browser.open(&shared, json!({}));
    other.counts_to("tr.attempt", 4);
    assert_eq!(other.value("#filter-service"), "exchange-online");
    other.clicks("#filter-clear");
    other.counts_to("tr.attempt", 16);
}

#[test]
fn a_pause_holds_the_list_and_loses_nothing() {
    let world = world();
    let browser = Browser::start();
    let page = browser.open(&at(&world, "#live"), json!({}));
    page.sees("#live-state.live");
    tries(&world, world.block.sensitive(), "outlook.office.com:443");
    page.counts_to("tr.attempt", 1);
    page.clicks("#pause");
    page.sees("#live-state.paused");
    tries(&world, world.block.ordinary(), "www.drop.example:443");
    tries(&world, world.block.ordinary(), "www.drop.example:8443");
    page.sees("#live-state >> text=En pause, 2 en attente");
    assert_eq!(page.count("tr.attempt"), 1);
    page.clicks("#pause");
    page.counts_to("tr.attempt", 3);
    page.sees("#live-state.live");
}

#[test]
fn a_restart_of_the_gate_is_seen_and_survived() {
    let mut world = world();
    let browser = Browser::start();
    let page = browser.open(&at(&world, "#live"), json!({ "language": "en" }));
    page.sees("#live-state.live");
    tries(&world, world.block.sensitive(), "outlook.office.com:443");
    page.counts_to("tr.attempt", 1);
    world.gate.signal(rustix::process::Signal::TERM);
    world.gate.exit();
    page.sees("#live-state.lost >> text=Connection lost");
    world.start_again();
    page.sees("#live-state.live");
    tries(&world, world.block.ordinary(), "www.drop.example:443");
    page.sees("tr.attempt:first-child >> text=www.drop.example:443");
    assert_eq!(page.count("tr.attempt"), 2);
}

#[test]
fn attempts_that_were_missed_are_told() {
    let world = world();
    let browser = Browser::start();
    // No test can make this machine too slow for itself, so the stream says what a slow reader would hear.
    let streams = "retry: 60000\n\nevent: missed\ndata: {\"count\":1234}\n\n";
    let page = browser.open(
        &at(&world, "#live"),
        json!({ "streams": streams, "language": "en" }),
    );
    page.sees("tr.missed >> text=1,234 attempts could not be shown");
}

#[test]
fn what_comes_twice_is_shown_once() {
    let world = world();
    for _ in 0..3 {
        tries(&world, world.block.sensitive(), "outlook.office.com:443");
    }
    let browser = Browser::start();
    // Each time that the stream comes back the past is asked for, and says the same.
    let page = browser.open(&at(&world, "#live"), json!({ "streams": "retry: 50\n\n" }));
    page.counts_to("tr.attempt", 3);
    page.asks("asked", json!({ "of": "/api/v1/attempts?", "least": 4 }));
    tries(&world, world.block.ordinary(), "www.drop.example:443");
    page.sees("tr.attempt:first-child >> text=www.drop.example:443");
    assert_eq!(page.count("tr.attempt"), 4);
}

/// Attempts of the burst; the list shows the last 200.
const BURST: usize = 5000;

#[test]
fn a_burst_leaves_the_page_quick_and_bounded() {
    let world = world();
    let browser = Browser::start();
    let page = browser.open(&at(&world, "#live"), json!({ "language": "en" }));
    page.sees("#live-state.live");
    page.asks("stall", json!(null));
    let from = world.block.ordinary();
    let one = |number: usize| {
        let port = 1000 + number;
        assert_eq!(
            tries(&world, from, &format!("www.drop.example:{port}")),
            403
        );
    };
    std::thread::scope(|scope| {
        for thread in 0..4 {
            scope.spawn(move || (0..BURST / 4).for_each(|at| one(at * 4 + thread)));
        }
        // Somebody works with the page while it rains.
        page.counts_to("tr.attempt", 200);
        page.clicks("tr.attempt:nth-child(3) .opener");
        page.sees("tr.opened");
        page.clicks("#language-fr");
        page.sees("#pause >> text=Mettre en pause");
    });
    // What comes last arrives, and stands first.
    one(9_000);
    page.sees("tr.attempt:first-child >> text=www.drop.example:10000");
    assert!(page.count("tr.attempt") <= 201);
    let nodes = page.asks("nodes", json!(null)).as_u64().unwrap();
    assert!(nodes < 8_000, "{nodes} elements");
    let stall = page.asks("stall", json!(null)).as_f64().unwrap();
    eprintln!("longest time between two frames: {stall:.0} ms; {nodes} elements");
    assert!(stall < 2_000.0, "the page stood still for {stall:.0} ms");
    page.is_clean();
}

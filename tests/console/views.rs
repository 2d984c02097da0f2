//! The last day, derogations, the policy in force.

use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::{at, furnished, origins, tries, world};
use crate::harness::viewer::Browser;
use crate::harness::world::Plan;

#[test]
fn the_last_day_is_drawn_and_told() {
    let world = world();
    let _origins = origins(&world);
    let (sensitive, ordinary) = (world.block.sensitive(), world.block.ordinary());
    for _ in 0..3 {
        tries(&world, sensitive, "outlook.office.com:443");
    }
    for _ in 0..2 {
        tries(&world, ordinary, "outlook.office.com:443");
    }
    tries(&world, ordinary, "www.drop.example:443");
    tries(&world, ordinary, "news.example:443");
    let browser = Browser::start();
    let page = browser.open(&at(&world, "#day"), json!({ "language": "en" }));
    for (kind, figure) in [("deny", "4"), ("observed", "2"), ("allow", "1")] {
        page.sees(&format!(
            ".lane:has(svg.chart.{kind}) .figure >> text=/^{figure}$/"
        ));
        page.sees(&format!(
            ".lane svg.chart.{kind}[aria-label*=': {figure} in 24 hours']"
        ));
    }
    // The same figures as tables.
    page.clicks("#day-table summary");
    let table = page.text("#day-table table");
    assert!(table.contains("Would be refused"), "{table}");
    page.clicks("#day-ministries-table summary");
    let table = page.text("#day-ministries-table table");
    assert!(
        table.contains("Ministry of the Interior\t3\t0\t0"),
        "{table}"
    );
    assert!(table.contains("Ministry of Culture\t1\t2\t1"), "{table}");
    let services = page.text("#day-services table");
    let cells: Vec<&str> = services.split_whitespace().collect();
    assert!(
        cells.join(" ").contains("Exchange Online 3 2 2"),
        "{services}"
    );
    // One ministry alone; and from a figure to those who make it.
    page.selects("#day-ministry", "culture");
    page.sees(".lane:has(svg.chart.deny) .figure >> text=/^1$/");
    page.clicks("#day-verdict >> text=Would be refused");
    page.sees("#day-ministries svg.chart.observed");
    page.clicks("#day-ministries >> text=Ministry of Culture");
    page.counts_to("tr.attempt.observed", 2);
    assert_eq!(page.count("tr.attempt"), 2);
    assert_eq!(page.text(".tile.observed .tile-number"), "2");
    page.is_clean();
}

/// A derogation for culture that ends in so many days.
fn derogation(id: &str, days: i64) -> String {
    let day = |days: i64| {
        let instant = Timestamp::now() + SignedDuration::from_hours(24 * days);
        instant.to_string()[..10].to_owned()
    };
    let (from, until) = (day(days - 90), day(days));
    format!(
        "  - {{ id: {id}, ministry: culture, workloads: [bureautique], services: [exchange-online], from: {from}, until: {until}, \
         approved_by: The minister, reference: note {id}, ticket: \"https://tickets.example/{id}\" }}\n"
    )
}

#[test]
fn derogations_are_shown_with_the_days_they_have_left() {
    let plan = Plan::new().prepare(|_, policy| {
        let rows = [("D-5", 5), ("D-20", 20), ("D-60", 60), ("D-OLD", -30)];
        let rows: String = rows
            .iter()
            .map(|(id, days)| derogation(id, *days))
            .collect();
        std::fs::write(
            policy.join("derogations.yaml"),
            format!("derogations:\n{rows}"),
        )
        .unwrap();
    });
    let world = furnished(plan);
    let _origins = origins(&world);
    let browser = Browser::start();
    let page = browser.open(&at(&world, "#derogations"), json!({ "language": "en" }));
    page.counts_to("#derogations-in-force tbody tr", 3);
    // `until` names the last day, so there are as many whole days left, and the rest of today.
    let row = |id: &str| {
        page.text(&format!(
            "#derogations-in-force tr:has(code:text-is('{id}'))"
        ))
    };
    for (id, days, word) in [
        ("D-5", "5 days left", "Ends within 7 days"),
        ("D-20", "20 days left", "Ends within 30 days"),
        ("D-60", "60 days left", ""),
    ] {
        let told = row(id);
        for expected in [
            days,
            word,
            "Ministry of Culture",
            "bureautique",
            "Exchange Online",
            "The minister",
            "note D-",
        ] {
            assert!(told.contains(expected), "no `{expected}` in {told}");
        }
    }
    assert!(!row("D-60").contains("Ends within"), "{}", row("D-60"));
    // The first to end stands first, what ended stands apart, and the way here says how many there are.
    page.sees("#derogations-in-force tbody tr:first-child >> text=D-5");
    page.clicks("#derogations-over summary");
    page.sees("#derogations-over >> text=D-OLD");
    let badge = page.text("#derogations-badge .badge");
    assert_eq!(badge.replace('\n', " "), "2 end within 30 days");
    // What one lifts is told of the attempt.
    assert_eq!(
        tries(&world, world.block.ordinary(), "outlook.office.com:443"),
        200
    );
    page.clicks("#to-live");
    page.sees("tr.attempt.allow >> text=Allowed by derogation");
    page.is_clean();
}

#[test]
fn a_rejected_bundle_is_told_loudly() {
    let world = world();
    let browser = Browser::start();
    let page = browser.open(&at(&world, "#live"), json!({ "language": "en" }));
    page.sees("#policy-name >> text=Policy e2e");
    page.misses("#alarm");
    let path = world.policy.join("policy.yaml");
    let good = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, good.replace("service: drop", "service: dorp")).unwrap();
    assert_eq!(world.gate.ask("POST", "/-/reload").status, 422);
    page.clicks("#to-policy");
    page.sees("#alarm >> text=A new policy was rejected");
    let told = page.text("#policy-rejected");
    for expected in [
        "The last good one stays in force",
        "Error",
        "unknown-service",
        "policy.yaml:23:22",
        "`dorp`",
        "did you mean `drop`?",
    ] {
        assert!(told.contains(expected), "no `{expected}` in {told}");
    }
    page.passes(&["axe"]);
    // What is in force is told all the same.
    let told = page.text("#policy-body");
    for expected in [
        "e2e",
        &world.policy.display().to_string(),
        "r9-sensitive-data",
        "observed",
        "No drop boxes.",
        "Circular 6404/SG",
        "lists/exchange-online.txt",
    ] {
        assert!(told.contains(expected), "no `{expected}` in {told}");
    }
    std::fs::write(&path, good.replace("name: e2e", "name: e2e-again")).unwrap();
    assert_eq!(world.gate.ask("POST", "/-/reload").status, 200);
    page.clicks("#to-derogations");
    page.sees("#policy-name >> text=Policy e2e-again");
    page.misses("#alarm");
    page.is_clean();
}

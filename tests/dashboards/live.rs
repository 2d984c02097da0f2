//! Every query of every panel, rule and alert, asked of a real Prometheus that scrapes a gate at work,
//! and what a real Alertmanager is told.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::harness::alertmanager::{Alert, Alertmanager};
use crate::harness::prometheus::{Prometheus, rules};
use crate::harness::tools::{finish, tool};
use crate::harness::world::{World, repository};
use crate::harness::{eventually, within};

use super::scenario::{RAISED, break_policy, shrink_list, traffic, tunnel, world};
use super::{alerts, dashboards, metrics_in, queries, recorded, variables};

/// Long enough for the hurried rules that are evaluated once in a minute, twice.
const IN_TIME: Duration = Duration::from_secs(120);

fn substitute(expression: &str) -> String {
    let known = [
        ("$__rate_interval", "30s"),
        ("$__interval", "30s"),
        ("$__range", "30s"),
        ("$ministry", ".*"),
        ("$service", ".*"),
        ("$instance", ".*"),
    ];
    let all = known
        .iter()
        .fold(expression.to_owned(), |e, (name, value)| {
            e.replace(name, value)
        });
    assert!(!all.contains('$'), "a variable that is not known: {all}");
    all
}

/// Asks until something is there that is a number; in between, more traffic.
fn has_an_answer(world: &World, prometheus: &Prometheus, what: &str, expression: &str) {
    eventually(&format!("{what}: an answer to {expression}"), || {
        let answer = prometheus.query(expression);
        let values = answer.unwrap_or_else(|e| panic!("{what}: {expression}: {e}"));
        if values.iter().any(|value| value.is_finite()) {
            return Some(());
        }
        traffic(world);
        None
    });
}

#[test]
fn every_query_has_an_answer_and_the_scenario_raises_its_alerts_and_no_other() {
    let world = world();
    let alertmanager = Alertmanager::start(world.dir.path(), world.block);
    let prometheus = Prometheus::start(world.dir.path(), world.block, alertmanager.address());
    let _standing = tunnel(&world, "steady.example");
    let doomed = tunnel(&world, "soon.example");
    traffic(&world);
    // The list has been seen at its length before it shrinks.
    let long = "octroi_list_entries{list=\"lists/indicators.txt\"} >= 20";
    has_an_answer(&world, &prometheus, "the list", long);
    shrink_list(&world, doomed);
    has_an_answer(
        &world,
        &prometheus,
        "a swap",
        "octroi_policy_reloads_total{result=\"swapped\"}",
    );
    break_policy(&world);

    let mut asked = 0;
    for (file, dashboard) in dashboards() {
        for (title, expression) in queries(&dashboard) {
            let what = format!("{file}: `{title}`");
            has_an_answer(&world, &prometheus, &what, &substitute(&expression));
            asked += 1;
        }
        for (name, metric, label) in variables(&dashboard) {
            let found = prometheus.labels(&metric, &label);
            assert!(!found.is_empty(), "{file}: ${name} has no value");
        }
        for annotation in dashboard["annotations"]["list"].as_array().unwrap() {
            let expression = substitute(annotation["expr"].as_str().unwrap());
            prometheus.query(&expression).unwrap();
        }
    }
    assert!(asked > 80, "only {asked} queries found");
    alerted(&world, &prometheus, &alertmanager);
    every_rule_is_evaluated(&world, &prometheus);
    every_line_of_the_runbook_finds_something(&world);
}

/// Each `jq` of the runbook, asked of the audit log of this gate.
fn every_line_of_the_runbook_finds_something(world: &World) {
    let text = std::fs::read_to_string(repository().join("dashboards/RUNBOOK.md")).unwrap();
    let spans = text.split('`').filter(|span| span.starts_with("jq -r "));
    let commands: Vec<String> = spans
        .map(|span| {
            span.replace("\"M\"", "\"interieur\"")
                .replace("\"S\"", "\"exchange-online\"")
                .replace("\"D\"", "\"D-far\"")
        })
        .collect();
    assert!(commands.len() > 4, "{commands:?}");
    for command in &commands {
        let mut bash = tool("bash");
        bash.args(["-o", "pipefail", "-c", command]);
        bash.current_dir(world.gate.audit_path().parent().unwrap());
        let (code, said) = finish(&mut bash);
        let is_empty = said.trim().is_empty() || said.trim() == "0";
        assert!(code == Some(0) && !is_empty, "{command}\n{said}");
    }
}

/// Alertmanager is told of what the scenario raises, in words that hold.
fn alerted(world: &World, prometheus: &Prometheus, alertmanager: &Alertmanager) {
    let expected: BTreeSet<String> = RAISED.map(str::to_owned).into();
    let names = |received: &[Alert]| -> BTreeSet<String> {
        let names = received.iter().map(|alert| &alert.labels["alertname"]);
        names.cloned().collect()
    };
    for alert in &expected {
        within(IN_TIME, &format!("{alert} is raised"), || {
            let received = alertmanager.alerts();
            let names = names(&received);
            assert!(names.is_subset(&expected), "not expected: {received:#?}");
            traffic(world);
            names.contains(alert).then_some(())
        });
    }
    for alert in alertmanager.alerts() {
        for (key, text) in &alert.annotations {
            let broken = ["error", "<no value>", "%!"]
                .iter()
                .any(|b| text.contains(b));
            assert!(!broken, "{key} of {alert:?}");
        }
    }
    // Nor is any other about to be.
    let near = prometheus.labels("ALERTS{alertname=~\"Octroi.+\"}", "alertname");
    assert!(near.is_subset(&expected), "{near:?}");
}

/// Those too that are evaluated once in a (hurried) hour, and none goes wrong.
fn every_rule_is_evaluated(world: &World, prometheus: &Prometheus) {
    let all: BTreeSet<String> = alerts().union(&recorded()).cloned().collect();
    within(IN_TIME, "every rule has been evaluated", || {
        traffic(world);
        let rules = prometheus.rules();
        for (name, wrong) in &rules {
            assert_eq!(*wrong, None, "{name}");
        }
        let names: BTreeSet<String> = rules.into_iter().map(|(name, _)| name).collect();
        (names == all).then_some(())
    });
    for name in recorded() {
        has_an_answer(world, prometheus, "a recording rule", &name);
    }
}

#[test]
fn every_metric_named_is_in_the_scrape() {
    let world = world();
    let doomed = tunnel(&world, "soon.example");
    traffic(&world);
    shrink_list(&world, doomed);
    let text = eventually("every flow is closed", || {
        let metrics = world.gate.metrics();
        let families = ["octroi_tunnels_revoked_total", "octroi_bytes_total"];
        let counted = |family: &&str| metrics.total(family, &[]) > 0;
        families.iter().all(counted).then_some(metrics.text)
    });
    let boards = dashboards();
    let of_panels = boards.iter().flat_map(|(file, d)| {
        queries(d)
            .into_iter()
            .map(move |(t, e)| (format!("{file}: {t}"), e))
    });
    let mut named: Vec<(String, String)> = of_panels.collect();
    let without_comments = |text: &str| {
        let lines = text.lines().filter(|line| !line.trim().starts_with('#'));
        lines.collect::<Vec<_>>().join("\n")
    };
    named.extend(
        rules()
            .iter()
            .map(|(path, text)| (path.display().to_string(), without_comments(text))),
    );
    for (what, expression) in &named {
        for metric in metrics_in(expression) {
            let family = metric.trim_end_matches("_bucket");
            let family = family
                .strip_suffix("_seconds_count")
                .map_or(family.to_owned(), |f| format!("{f}_seconds"));
            assert!(
                text.contains(&format!("# TYPE {family} ")),
                "{what}: no {family}"
            );
        }
    }
}

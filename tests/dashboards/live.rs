//! Every query of every panel, rule and alert, asked of a real Prometheus that scrapes `octroi demo`, and what a real
//! Alertmanager is told.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::harness::Block;
use crate::harness::alertmanager::Alertmanager;
use crate::harness::demo::Demo;
use crate::harness::prometheus::{Prometheus, rules};
use crate::harness::tools::{finish, tool};
use crate::harness::within;
use crate::harness::world::repository;

use super::{alerts, dashboards, metrics_in, queries, recorded, variables};

/// The alerts that a month of the demonstration raises when a minute is a second, and no other.
const RAISED: [&str; 8] = [
    "OctroiDerogationEndsIn30Days",
    "OctroiDerogationEndsIn7Days",
    "OctroiEvidenceCloakedOrRehosted",
    "OctroiGateSaturated",
    "OctroiListEmptied",
    "OctroiRefusedThenDerogated",
    "OctroiReloadFailing",
    "OctroiSensitiveWorkloadTriesProhibitedService",
];

/// A month in which a list is short, and a rule broken, for as long as alerts wait.
const MONTH: [&str; 2] = ["--month-seconds", "40"];
/// Everything comes again within a month.
const IN_TIME: Duration = Duration::from_secs(100);

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

/// What has not been seen yet: queries without a number for an answer, each with what it is for, and alerts.
struct Missing {
    queries: Vec<(String, String)>,
    alerts: BTreeSet<String>,
}

impl Missing {
    fn ask(&mut self, prometheus: &Prometheus) {
        self.queries.retain(|(what, expression)| {
            let answer = prometheus.query(expression);
            let values = answer.unwrap_or_else(|e| panic!("{what}: {expression}: {e}"));
            !values.iter().any(|value| value.is_finite())
        });
    }

    /// Takes note of what Alertmanager is told, which is nothing but what is expected, in words that hold.
    fn hear(&mut self, prometheus: &Prometheus, alertmanager: &Alertmanager) {
        let expected: BTreeSet<String> = RAISED.map(str::to_owned).into();
        for alert in alertmanager.alerts() {
            let name = &alert.labels["alertname"];
            assert!(expected.contains(name), "not expected: {alert:?}");
            for (key, text) in &alert.annotations {
                let broken = ["error", "<no value>", "%!"]
                    .iter()
                    .any(|b| text.contains(b));
                assert!(!broken, "{key} of {alert:?}");
            }
            self.alerts.remove(name);
        }
        // Nor is any other about to be.
        let near = prometheus.labels("ALERTS{alertname=~\"Octroi.+\"}", "alertname");
        assert!(near.is_subset(&expected), "{near:?}");
    }

    fn names(&self) -> String {
        let queries = self.queries.iter().map(|(what, _)| what.as_str());
        let all: Vec<&str> = queries
            .chain(self.alerts.iter().map(String::as_str))
            .collect();
        all.join(", ")
    }
}

/// Looks until everything has been seen once.
fn everything_is_seen(mut missing: Missing, prometheus: &Prometheus, alertmanager: &Alertmanager) {
    let mut last = String::new();
    within(
        IN_TIME,
        "every query has an answer, every alert is raised",
        || {
            missing.ask(prometheus);
            missing.hear(prometheus, alertmanager);
            let names = missing.names();
            if names != last {
                eprintln!("missing: {names}");
                last = names;
            }
            pause();
            last.is_empty().then_some(())
        },
    );
}

/// Between two looks at what moves once a second.
fn pause() {
    std::thread::park_timeout(Duration::from_millis(300));
}

#[test]
fn every_query_has_an_answer_and_the_demonstration_raises_its_alerts_and_no_other() {
    let demo = Demo::start(&MONTH);
    let dir = tempfile::tempdir().unwrap();
    let block = Block::claim();
    let alertmanager = Alertmanager::start(dir.path(), block);
    let address = alertmanager.address();
    let prometheus = Prometheus::start(dir.path(), block, demo.admin(), address);
    let mut asked = Vec::new();
    for (file, dashboard) in dashboards() {
        let of = |(title, expression): (String, String)| {
            (format!("{file}: `{title}`"), substitute(&expression))
        };
        asked.extend(queries(&dashboard).into_iter().map(of));
        for annotation in dashboard["annotations"]["list"].as_array().unwrap() {
            let expression = substitute(annotation["expr"].as_str().unwrap());
            prometheus.query(&expression).unwrap();
        }
    }
    assert!(asked.len() > 80, "only {} queries found", asked.len());
    asked.extend(recorded().into_iter().map(|name| (name.clone(), name)));
    let missing = Missing {
        queries: asked,
        alerts: RAISED.map(str::to_owned).into(),
    };
    everything_is_seen(missing, &prometheus, &alertmanager);
    for (file, dashboard) in dashboards() {
        for (name, metric, label) in variables(&dashboard) {
            let found = prometheus.labels(&metric, &label);
            assert!(!found.is_empty(), "{file}: ${name} has no value");
        }
    }
    every_rule_is_evaluated(&prometheus);
    every_line_of_the_runbook_finds_something(&demo);
}

/// Each `jq` of the runbook, asked of the audit log of this gate.
fn every_line_of_the_runbook_finds_something(demo: &Demo) {
    let text = std::fs::read_to_string(repository().join("dashboards/RUNBOOK.md")).unwrap();
    let spans = text.split('`').filter(|span| span.starts_with("jq -r "));
    let commands: Vec<String> = spans
        .map(|span| {
            span.replace("\"M\"", "\"interieur\"")
                .replace("\"S\"", "\"exchange-online\"")
                .replace("\"D\"", "\"D-2026-014\"")
        })
        .collect();
    assert!(commands.len() > 4, "{commands:?}");
    for command in &commands {
        let mut bash = tool("bash");
        bash.args(["-o", "pipefail", "-c", command]);
        bash.current_dir(demo.directory());
        let (code, said) = finish(&mut bash);
        let is_empty = said.trim().is_empty() || said.trim() == "0";
        assert!(code == Some(0) && !is_empty, "{command}\n{said}");
    }
}

/// Those too that are evaluated once in a (hurried) hour, and none goes wrong.
fn every_rule_is_evaluated(prometheus: &Prometheus) {
    let all: BTreeSet<String> = alerts().union(&recorded()).cloned().collect();
    within(IN_TIME, "every rule has been evaluated", || {
        let rules = prometheus.rules();
        for (name, wrong) in &rules {
            assert_eq!(*wrong, None, "{name}");
        }
        let names: BTreeSet<String> = rules.into_iter().map(|(name, _)| name).collect();
        (names == all).then_some(())
    });
}

#[test]
fn every_metric_named_is_in_the_scrape() {
    let demo = Demo::start(&["--month-seconds", "10"]);
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
    let families: BTreeSet<&str> = named
        .iter()
        .flat_map(|(_, expression)| metrics_in(expression))
        .map(|metric| metric.trim_end_matches("_bucket"))
        .map(|metric| match metric.strip_suffix("_count") {
            Some(histogram) if histogram.ends_with("_seconds") => histogram,
            _ => metric,
        })
        .collect();
    let mut missing = families.clone();
    within(IN_TIME, "every metric named is in a scrape", || {
        let text = demo.metrics().text;
        missing.retain(|family| !text.contains(&format!("# TYPE {family} ")));
        eprintln!("missing: {missing:?}");
        pause();
        missing.is_empty().then_some(())
    });
}

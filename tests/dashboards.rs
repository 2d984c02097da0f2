//! Every query of every panel, asked of a real Prometheus that scrapes a gate at work.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::harness::client::client_hello;
use crate::harness::eventually;
use crate::harness::origin::echo;
use crate::harness::pki::Pki;
use crate::harness::prometheus::Prometheus;
use crate::harness::world::{Plan, World, repository};

fn dashboards() -> Vec<(String, Value)> {
    let files = std::fs::read_dir(repository().join("dashboards")).unwrap();
    let files = files.map(|entry| entry.unwrap().path());
    let json = files.filter(|path| path.extension().is_some_and(|e| e == "json"));
    json.map(|path| {
        let text = std::fs::read_to_string(&path).unwrap();
        (
            path.display().to_string(),
            serde_json::from_str(&text).unwrap(),
        )
    })
    .collect()
}

/// Panels, those inside collapsed rows too.
fn panels(dashboard: &Value) -> Vec<&Value> {
    let top = dashboard["panels"].as_array().unwrap().iter();
    top.flat_map(|panel| {
        let inner = panel["panels"].as_array().into_iter().flatten();
        std::iter::once(panel).chain(inner)
    })
    .collect()
}

fn queries(dashboard: &Value) -> Vec<(String, String)> {
    let of_panel = |panel: &&Value| {
        let title = panel["title"].as_str().unwrap().to_owned();
        let targets = panel["targets"].as_array().cloned().unwrap_or_default();
        targets
            .into_iter()
            .map(move |t| (title.clone(), t["expr"].as_str().unwrap().to_owned()))
    };
    panels(dashboard).iter().flat_map(of_panel).collect()
}

fn substitute(expression: &str) -> String {
    let known = [
        ("$__rate_interval", "30s"),
        ("$__range", "30s"),
        ("$ministry", ".*"),
        ("$service", ".*"),
    ];
    let all = known
        .iter()
        .fold(expression.to_owned(), |e, (name, value)| {
            e.replace(name, value)
        });
    assert!(!all.contains('$'), "a variable that is not known: {all}");
    all
}

/// A gate with everything that the panels show: a derogation, a rate that is soon reached, a TLS
/// listener, and a state.
fn world() -> World {
    let plan = Plan::new();
    let dir = plan.path("tls");
    std::fs::create_dir(&dir).unwrap();
    let gate = Pki::new(&dir).issue(&["gate.example"]);
    let (certificate, key) = (gate.certificate.display(), gate.key.display());
    let tls = format!("tls: {{ certificate: {certificate}, key: {key} }}");
    let state = format!("path: {}", plan.path("state").display());
    let plan = plan.listener("secure", 3129, &tls).set("state", state).set(
        "limits",
        "new_flows: { workloads: { finances/postes: 1 }, burst: 1s }",
    );
    let world = plan
        .prepare(|_, policy| std::fs::write(policy.join("derogations.yaml"), DEROGATION).unwrap());
    let world = world.start();
    world.origin("steady.example", 10, 443, echo());
    world.origin("outlook.office.com", 11, 443, echo());
    world
}

const DEROGATION: &str = "derogations:
  - { id: D-1, ministry: culture, services: [messagerie], from: 2026-01-01, until: 2099-12-31, approved_by: A, reference: B }
";

/// One round of everything that the panels show.
fn traffic(world: &World) {
    for _ in 0..3 {
        world
            .wire([127, 0, 0, 1].into())
            .connect("nowhere.example:443");
    }
    world.ordinary().connect("no..name:443");
    let hello = client_hello(Some("steady.example"));
    let mut wire = world.ordinary();
    assert_eq!(wire.connect("steady.example:443").status, 200);
    wire.send(&hello);
    wire.exactly(hello.len());
    world.ordinary().connect("www.drop.example:443");
    world
        .wire(world.block.sensitive())
        .connect("outlook.office.com:443");
    let mut observed = world.ordinary();
    assert_eq!(observed.connect("outlook.office.com:443").status, 200);
    observed.send(client_hello(Some("outlook.office.com")));
    observed.finish();
    observed.rest();
    world.ordinary().connect("nowhere.example:443");
}

#[test]
fn every_query_of_every_panel_has_an_answer() {
    let world = world();
    let prometheus = Prometheus::start(world.dir.path(), world.block);
    let mut standing = world.ordinary();
    assert_eq!(standing.connect("steady.example:443").status, 200);
    standing.send(client_hello(Some("steady.example")));
    // A refused reload, for the panel that counts them.
    std::fs::write(world.policy.join("policy.yaml"), "version: [").unwrap();
    let mut asked = 0;
    for (file, dashboard) in dashboards() {
        for (title, expression) in queries(&dashboard) {
            let expression = substitute(&expression);
            asked += 1;
            eventually(
                &format!("{file}: `{title}`: an answer to {expression}"),
                || {
                    traffic(&world);
                    let answer = prometheus.query(&expression);
                    let values =
                        answer.unwrap_or_else(|e| panic!("{file}: `{title}`: {expression}: {e}"));
                    values.iter().any(|v| v.is_finite()).then_some(())
                },
            );
        }
    }
    assert!(asked > 20, "only {asked} queries found");
}

#[test]
fn every_metric_named_is_in_the_scrape() {
    let world = world();
    traffic(&world);
    world
        .gate
        .counted("octroi_sni_total", &[("outcome", "match")], 1);
    let text = world.gate.metrics().text;
    for (file, dashboard) in dashboards() {
        for (title, expression) in queries(&dashboard) {
            for metric in metrics_in(&expression) {
                let family = metric.trim_end_matches("_bucket");
                assert!(
                    text.contains(&format!("# TYPE {family} ")),
                    "{file}: `{title}`: no {family}"
                );
            }
        }
    }
}

fn metrics_in(expression: &str) -> Vec<&str> {
    let words = expression.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words.filter(|word| word.starts_with("octroi_")).collect()
}

#[test]
fn the_dashboards_are_well_formed() {
    let all = dashboards();
    assert!(!all.is_empty());
    for (file, dashboard) in &all {
        assert!(
            dashboard["uid"].is_string() && dashboard["title"].is_string(),
            "{file}"
        );
        let variables = dashboard["templating"]["list"].as_array().unwrap();
        assert!(
            variables.iter().any(|v| v["type"] == "datasource"),
            "{file}"
        );
        let mut ids = BTreeSet::new();
        for panel in panels(dashboard) {
            let title = &panel["title"];
            assert!(
                ids.insert(panel["id"].as_u64().unwrap()),
                "{file}: {title}: a second id"
            );
            if panel["type"] != "row" {
                assert_eq!(
                    panel["datasource"]["uid"], "${datasource}",
                    "{file}: {title}"
                );
                assert!(
                    panel["description"].is_string(),
                    "{file}: {title} explains nothing"
                );
                assert!(
                    panel["fieldConfig"]["defaults"]["unit"].is_string(),
                    "{file}: {title}"
                );
            }
        }
        for (title, expression) in queries(dashboard) {
            let fixed = expression
                .split('[')
                .skip(1)
                .any(|range| !range.starts_with('$'));
            assert!(!fixed, "{file}: `{title}`: a fixed range in {expression}");
        }
    }
}

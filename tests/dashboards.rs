//! What is shown and who is woken: dashboards, rules and the runbook as files. `dashboards/live.rs` asks
//! every query of a real Prometheus that scrapes a gate at work.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use serde_json::Value;

use crate::harness::prometheus::rules;
use crate::harness::tools::{finish, python_with, tool};
use crate::harness::world::repository;

mod live;

fn files(dir: &str, extension: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(repository().join(dir)).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    let mut of_kind: Vec<PathBuf> = paths
        .filter(|path| path.extension().is_some_and(|e| e == extension))
        .collect();
    of_kind.sort();
    assert!(!of_kind.is_empty(), "no *.{extension} in {dir}");
    of_kind
}

fn dashboard_files() -> Vec<PathBuf> {
    let all = files("dashboards", "json");
    let is_schema = |path: &PathBuf| path.ends_with("dashboard.schema.json");
    all.into_iter().filter(|path| !is_schema(path)).collect()
}

fn dashboards() -> Vec<(String, Value)> {
    let read = |path: PathBuf| {
        let text = std::fs::read_to_string(&path).unwrap();
        let name = path.file_name().unwrap().to_str().unwrap();
        (name.to_owned(), serde_json::from_str(&text).unwrap())
    };
    dashboard_files().into_iter().map(read).collect()
}

fn panels(dashboard: &Value) -> &[Value] {
    dashboard["panels"].as_array().unwrap()
}

/// Each query of a dashboard with the title of its panel.
fn queries(dashboard: &Value) -> Vec<(String, String)> {
    let of_panel = |panel: &Value| {
        let title = panel["title"].as_str().unwrap().to_owned();
        let targets = panel["targets"].as_array().cloned().unwrap_or_default();
        targets
            .into_iter()
            .map(move |t| (title.clone(), t["expr"].as_str().unwrap().to_owned()))
    };
    panels(dashboard).iter().flat_map(of_panel).collect()
}

/// The variables of a dashboard that ask Prometheus: name, metric, label.
fn variables(dashboard: &Value) -> Vec<(String, String, String)> {
    let list = dashboard["templating"]["list"].as_array().unwrap().iter();
    let asking = list.filter(|variable| variable["type"] == "query");
    asking
        .map(|variable| {
            let query = variable["definition"].as_str().unwrap();
            assert_eq!(query, variable["query"]["query"]);
            let inside = query.strip_prefix("label_values(").unwrap();
            let (metric, label) = inside.strip_suffix(')').unwrap().split_once(", ").unwrap();
            let name = variable["name"].as_str().unwrap();
            (name.to_owned(), metric.to_owned(), label.to_owned())
        })
        .collect()
}

/// What follows a key in the rule files.
fn values(key: &str) -> BTreeSet<String> {
    let files = rules();
    let lines = files.iter().flat_map(|(_, text)| text.lines());
    lines
        .filter_map(|line| line.trim().strip_prefix(key))
        .map(str::to_owned)
        .collect()
}

fn alerts() -> BTreeSet<String> {
    values("- alert: ")
}

fn recorded() -> BTreeSet<String> {
    values("- record: ")
}

fn words(expression: &str) -> impl Iterator<Item = &str> {
    expression.split(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != ':')
}

/// Metrics of the gate that an expression names.
fn metrics_in(expression: &str) -> Vec<&str> {
    let ours = words(expression).filter(|word| word.starts_with("octroi_") && !word.contains(':'));
    ours.collect()
}

#[test]
fn every_dashboard_keeps_to_the_schema() {
    let schema = repository().join("dashboards/dashboard.schema.json");
    let script = repository().join("tests/dashboards/validate.py");
    let mut python = python_with("jsonschema");
    python.arg(script).arg(schema).args(dashboard_files());
    let (code, said) = finish(&mut python);
    assert_eq!(code, Some(0), "{said}");
}

/// What a schema cannot say.
#[test]
fn ids_titles_variables_and_links_hold() {
    let all = dashboards();
    let uids: BTreeSet<&str> = all
        .iter()
        .map(|(_, d)| d["uid"].as_str().unwrap())
        .collect();
    assert_eq!(uids.len(), all.len(), "a uid twice");
    for (file, dashboard) in &all {
        let mut ids = BTreeSet::new();
        let mut places = BTreeSet::new();
        for panel in panels(dashboard) {
            let title = &panel["title"];
            assert!(
                ids.insert(panel["id"].as_u64().unwrap()),
                "{file}: {title}: an id twice"
            );
            for cell in cells(panel) {
                assert!(
                    places.insert(cell),
                    "{file}: {title} lies over another panel"
                );
                assert!(cell.0 < 24, "{file}: {title} is too wide");
            }
        }
        let known: Vec<String> = variables(dashboard).into_iter().map(|v| v.0).collect();
        let text = dashboard.to_string();
        for name in &known {
            assert!(
                text.contains(&format!("\\\"${name}\\\"")),
                "{file}: ${name} is used by no panel"
            );
        }
        for (title, expression) in queries(dashboard) {
            for used in expression.split('$').skip(1) {
                let end = used.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
                let used = &used[..end.unwrap_or(used.len())];
                assert!(
                    used.starts_with("__") || known.iter().any(|name| name == used),
                    "{file}: `{title}`: no variable ${used}"
                );
            }
        }
        for link in text.split("/d/").skip(1) {
            let uid = link.split(['?', '"']).next().unwrap();
            assert!(uids.contains(uid), "{file}: a link to {uid}");
        }
    }
}

fn cells(panel: &Value) -> Vec<(u64, u64)> {
    let of = |key: &str| panel["gridPos"][key].as_u64().unwrap();
    let (x, y, w, h) = (of("x"), of("y"), of("w"), of("h"));
    let columns = x..x + w;
    columns
        .flat_map(|column| (y..y + h).map(move |row| (column, row)))
        .collect()
}

#[test]
fn promtool_and_amtool_accept_what_is_shipped() {
    let at = |path: &str| repository().join(path);
    let mut check = tool("promtool");
    check.args(["check", "rules", "--lint=all", "--lint-fatal"]);
    check.args(files("dashboards/rules", "yaml"));
    let mut config = tool("promtool");
    config.args(["check", "config", "--lint=all", "--lint-fatal"]);
    config.arg(at("examples/prometheus/prometheus.yml"));
    let mut receivers = tool("amtool");
    receivers
        .arg("check-config")
        .arg(at("examples/prometheus/alertmanager.yml"));
    for command in [&mut check, &mut config, &mut receivers] {
        let (code, said) = finish(command);
        assert_eq!(code, Some(0), "{said}");
    }
}

#[test]
fn every_alert_fires_when_it_must_and_not_when_it_must_not() {
    let tests = files("dashboards/rules/tests", "yaml");
    let mut promtool = tool("promtool");
    promtool.args(["test", "rules"]).args(&tests);
    let (code, said) = finish(&mut promtool);
    assert_eq!(code, Some(0), "{said}");
    let text: String = tests
        .iter()
        .map(|path| std::fs::read_to_string(path).unwrap())
        .collect();
    for alert in alerts() {
        let fires = format!("ALERTS{{alertname=\"{alert}\",alertstate=\"firing\"");
        assert!(text.contains(&fires), "no test in which {alert} fires");
    }
    for name in recorded() {
        assert!(text.contains(&name), "no test of {name}");
    }
}

/// The headings of the runbook and what stands below each.
fn runbook() -> BTreeMap<String, String> {
    let text = std::fs::read_to_string(repository().join("dashboards/RUNBOOK.md")).unwrap();
    let entries = text.split("\n## ").skip(1);
    entries
        .map(|entry| {
            let (heading, below) = entry.split_once('\n').unwrap();
            (heading.to_owned(), below.to_owned())
        })
        .filter(|(heading, _)| heading.starts_with("Octroi"))
        .collect()
}

#[test]
fn every_alert_has_an_entry_in_the_runbook_and_every_entry_an_alert() {
    let (entries, alerts) = (runbook(), alerts());
    let readme = crate::readme::readme();
    let headings: BTreeSet<String> = entries.keys().cloned().collect();
    assert_eq!(headings, alerts);
    for (heading, entry) in &entries {
        for part in ["**Means.** ", "**Look.** ", "**Do.** ", "**Tell.** "] {
            assert!(entry.contains(part), "{heading} has no {part}");
        }
        for metric in metrics_in(entry) {
            assert!(
                readme.contains(&format!("| `{metric}` |")),
                "{heading}: no {metric}"
            );
        }
    }
    for alert in &alerts {
        assert!(readme.contains(&format!("`{alert}`")), "README: {alert}");
    }
    let anchors: BTreeSet<String> = alerts
        .iter()
        .map(|alert| format!("\"dashboards/RUNBOOK.md#{}\"", alert.to_lowercase()))
        .collect();
    assert_eq!(values("runbook_url: "), anchors);
}

/// Each rule says who is woken, what happened with its figure, and where to go on.
#[test]
fn every_alert_says_what_a_person_needs() {
    let uids: Vec<String> = dashboards()
        .iter()
        .map(|(_, d)| d["uid"].as_str().unwrap().to_owned())
        .collect();
    for (path, text) in rules() {
        for rule in text.split("- alert: ").skip(1) {
            let name = rule.lines().next().unwrap();
            let has =
                |what: &str| assert!(rule.contains(what), "{}: {name}: {what}", path.display());
            has("labels: { severity: ");
            has("          summary: \"");
            has("          description: \"");
            has("          dashboard: \"/d/octroi-");
            let anchor = format!("RUNBOOK.md#{}\"", name.to_lowercase());
            has(&anchor);
            let described = rule.split("description: ").nth(1).unwrap();
            let described = described.lines().next().unwrap();
            assert!(described.contains("$value"), "{name}: no figure");
            let severity = rule.split("severity: ").nth(1).unwrap();
            let severity = severity.split([' ', ',', '}']).next().unwrap();
            assert!(
                ["critical", "warning", "info"].contains(&severity),
                "{name}"
            );
            let uid = rule.split("dashboard: \"/d/").nth(1).unwrap();
            let uid = uid.split(['?', '"']).next().unwrap();
            assert!(uids.iter().any(|known| known == uid), "{name}: {uid}");
        }
    }
}

/// A name with colons is one that the rules record.
#[test]
fn every_recorded_name_is_recorded() {
    let recorded = recorded();
    let boards = dashboards();
    let of_panels = boards.iter().flat_map(|(_, d)| queries(d));
    let of_variables = boards.iter().flat_map(|(_, d)| variables(d));
    let mut named: Vec<String> = of_panels.map(|(_, expression)| expression).collect();
    named.extend(of_variables.map(|(_, metric, _)| metric));
    named.extend(rules().into_iter().map(|(_, text)| text));
    for text in &named {
        for word in words(text).filter(|word| word.contains(":octroi_")) {
            assert!(recorded.contains(word), "{word} is recorded nowhere");
        }
    }
}

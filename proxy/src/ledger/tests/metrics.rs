//! What the counters say.

use std::time::Duration;

use super::*;
use crate::ledger::metrics::Labels;
use crate::ledger::series::Label;

#[test]
fn each_decision_counts_its_source() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = books(&dir.path().join("audit.jsonl"), ClientAddress::None);
    let policy = policy();
    // Refused, watched, not listed, ended before any judgement; the office retries.
    for (client, target) in [
        ("192.0.2.4", "outlook.office.com"),
        ("192.0.2.70", "outlook.office.com"),
        ("192.0.2.70", "outlook.office.com"),
        ("192.0.2.71", "outlook.office.com"),
        ("192.0.2.70", "www.example.org"),
    ] {
        let opened = opened(client, target);
        let mut entry = ledger.open(opened.clone());
        judged(&policy, &opened, None, |decision, flow| {
            entry.decide(&policy, decision, flow)
        });
        entry.close(FINISHED);
    }
    drop(ledger.open(opened("192.0.2.4", "www.example.org")));
    let text = ledger.metrics().text();
    for sample in [
        "{ministry=\"interieur\",service=\"exchange-online\"} 1",
        "{ministry=\"culture\",service=\"exchange-online\"} 2",
        "{ministry=\"culture\",service=\"unlisted\"} 1",
        "{ministry=\"unassigned\",service=\"unlisted\"} 1",
    ] {
        let sample = format!("octroi_distinct_sources{sample}");
        assert!(text.contains(&sample), "{sample}\n{text}");
    }
    assert!(!text.contains("192.0.2."), "{text}");
}

#[test]
fn the_policy_in_force_is_shown_and_replaced() {
    let metrics = Metrics::new(10_000).unwrap();
    let at = "2026-11-23T00:00:00Z".parse().unwrap();
    let mut last = policy().model().clone();
    last.digest = "1a57".into();
    last.lists = vec![List {
        id: id("lists/gone.txt"),
        entries: 7,
    }];
    metrics.policy_loaded(&Policy::compile(last), at);
    assert!(
        metrics
            .text()
            .contains("octroi_list_entries{list=\"lists/gone.txt\"} 7")
    );
    let second = std::time::UNIX_EPOCH + Duration::from_millis(1500);
    metrics.lists_modified(&[(id("lists/gone.txt"), second)]);
    metrics.policy_loaded(&policy(), at);
    metrics.lists_modified(&[(id("lists/exchange.txt"), second)]);
    let text = metrics.text();
    assert!(
        !text.contains("gone.txt") && !text.contains("1a57"),
        "{text}"
    );
    for sample in [
        "octroi_policy_info{digest=\"d1ge57\",name=\"test\"} 1",
        "octroi_list_entries{list=\"lists/exchange.txt\"} 1",
        "octroi_list_modified_timestamp_seconds{list=\"lists/exchange.txt\"} 1.5",
        "octroi_policy_loaded_timestamp_seconds 1795392000",
    ] {
        assert!(text.contains(sample), "{sample}\n{text}");
    }
}

#[test]
fn promtool_finds_nothing_to_say_about_the_metrics() {
    let metrics = Metrics::new(10_000).unwrap();
    let policy = policy();
    metrics.policy_loaded(&policy, Timestamp::now());
    metrics.policy_reload("ok");
    metrics.upstream_error("refused");
    metrics.client_error("malformed-head");
    metrics.dns_lookup("cache");
    metrics.judged(Duration::from_micros(12));
    metrics.undecided();
    let labels = Labels::unknown();
    metrics.relayed(&labels, 1, 1);
    metrics.asked(&labels, "192.0.2.4".parse().unwrap(), Timestamp::now());
    drop(metrics.tunnel_opened(&labels));
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("metrics");
    std::fs::write(&file, metrics.text()).unwrap();
    let promtool = std::process::Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(std::fs::File::open(&file).unwrap())
        .output()
        .expect("promtool (Debian package prometheus)");
    let said = String::from_utf8_lossy(&promtool.stderr);
    assert!(promtool.status.success() && said.is_empty(), "{said}");
}

#[test]
fn live_series_stay_under_their_cap() {
    let metrics = Metrics::new(1000).unwrap();
    let names: Vec<Label> = (0..5000)
        .map(|n| Label::Id(id(&format!("service-{n}"))))
        .collect();
    let ministries: Vec<Label> = (0..20)
        .map(|n| Label::Id(id(&format!("ministry-{n}"))))
        .collect();
    for (n, service) in names.iter().enumerate() {
        let ministry = ministries[n % 20].clone();
        let labels = Labels {
            workload: ministry.clone(),
            ministry,
            service: service.clone(),
        };
        metrics.relayed(&labels, 1, 1);
        metrics.asked(&labels, "192.0.2.4".parse().unwrap(), Timestamp::now());
    }
    let text = metrics.text();
    let live = text.lines().filter(|line| !line.starts_with('#')).count();
    assert!(live <= 1000, "{live}");
    let up: u64 = samples(&metrics, "octroi_bytes_total").values().sum();
    assert_eq!(up, 10_000);
    assert!(text.contains("service=\"other\""));
}

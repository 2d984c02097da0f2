mod addresses;
mod attempts;
mod metrics;
mod watch;

use std::collections::HashMap;
use std::path::Path;

use octroi_policy::Policy;
use octroi_policy::address::Forbid;
use octroi_policy::catalogue::*;
use octroi_policy::decision::Decision;
use octroi_policy::flow::{Flow, Hello};
use octroi_policy::ministry::*;
use octroi_policy::model::{List, Model, NameOwner};
use octroi_policy::rule::{Condition, Effect, Mode, Rule as PolicyRule};
use octroi_policy::{DomainName, Pattern};
use serde_json::Value;

use super::*;
use crate::config::{ClientAddress, OnFailure, Sink};

fn id(text: &str) -> Id {
    Id::from(text)
}

fn both(text: &str) -> Localised {
    Localised {
        fr: text.into(),
        en: text.into(),
        alone: None,
    }
}

fn workload(
    id: &str,
    ministry: Option<u32>,
    sensitivity: Sensitivity,
    source: &[&str],
) -> Workload {
    Workload {
        id: id.into(),
        name: None,
        ministry: ministry.map(MinistryIx),
        sensitivity,
        sources: source.iter().map(|net| net.parse().unwrap()).collect(),
        certificates: Vec::new(),
        listeners: Vec::new(),
        default: None,
        connect_ports: PortSet::default_connect(),
        http_ports: PortSet::default_http(),
        tls_ports: PortSet::default_tls(),
        trust_original: Vec::new(),
        on: Actions::default(),
        place: Place::default(),
    }
}

fn ministry(name: &str) -> Ministry {
    Ministry {
        id: id(name),
        name: both(name),
        contact: None,
        default: None,
        layer: Layer::default(),
        place: Place::default(),
    }
}

fn rule(name: &str, mode: Mode, sensitivity: Sensitivity) -> PolicyRule {
    PolicyRule {
        id: id(name),
        effect: Effect::Deny,
        mode,
        when: Condition {
            sensitivities: Some(vec![sensitivity]),
            services: Some(vec![ServiceIx(0)]),
            ..Condition::default()
        },
        unless: Vec::new(),
        references: Vec::new(),
        reason: None,
        layer: None,
        place: Place::default(),
    }
}

/// Exchange is refused for payroll, watched for the office, unknown to nobody's sources.
fn policy() -> Arc<Policy> {
    Arc::new(Policy::compile(model()))
}

fn model() -> Model {
    let exchange = octroi_policy::catalogue::Service {
        id: id("exchange-online"),
        name: "Exchange Online".into(),
        provider: None,
        country: None,
        categories: Vec::new(),
        qualifications: Vec::new(),
        operator: None,
        shared: false,
        alternatives: Vec::new(),
        requires: Vec::new(),
        hosted_on: Vec::new(),
        url: None,
        layer: None,
        place: Place::default(),
    };
    Model {
        name: id("test"),
        digest: "d1ge57".into(),
        files: Vec::new(),
        default: Permission::Allow,
        procedure: None,
        contact: None,
        categories: Vec::new(),
        services: vec![exchange],
        providers: Vec::new(),
        references: Vec::new(),
        rules: vec![
            rule("r9", Mode::Enforce, Sensitivity::Sensitive),
            rule("office-watch", Mode::Observe, Sensitivity::Standard),
        ],
        ministries: vec![ministry("interieur"), ministry("culture")],
        workloads: vec![
            workload("paie", Some(0), Sensitivity::Sensitive, &["192.0.2.0/26"]),
            workload(
                "bureautique",
                Some(1),
                Sensitivity::Standard,
                &["192.0.2.64/26"],
            ),
            workload("unassigned", None, Sensitivity::Sensitive, &[]),
        ],
        derogations: Vec::new(),
        lists: vec![List {
            id: id("lists/exchange.txt"),
            entries: 1,
        }],
        names: vec![(
            "outlook.office.com".parse::<Pattern>().unwrap(),
            NameOwner::Service(ServiceIx(0)),
        )],
        addresses: Vec::new(),
        listed_names: Vec::new(),
        listed_addresses: Vec::new(),
        local_names: Vec::new(),
        tested_at: Timestamp::UNIX_EPOCH,
        tests: Vec::new(),
    }
}

fn books(path: &Path, client_address: ClientAddress) -> Ledger {
    let audit = Audit {
        sink: Sink::File(path.to_owned()),
        client_address,
        on_failure: OnFailure::Refuse,
        ..Audit::default()
    };
    Ledger::open_books(&audit, 10_000).unwrap()
}

fn opened(client: &str, target: &str) -> Opened {
    Opened {
        source: Source::from_address(client.parse().unwrap()),
        client_port: 50_000,
        balancer: None,
        protocol: Protocol::Connect,
        method: "CONNECT".to_owned(),
        target: Host::parse(target).unwrap(),
        port: 443,
        original: None,
        user_agent: Some("curl/8".to_owned()),
    }
}

/// Judges `opened` as it stands before and, with a hello, after the handshake began.
fn judged<R>(
    policy: &Policy,
    opened: &Opened,
    hello: Option<Hello>,
    then: impl FnOnce(&Decision, &Flow<'_>) -> R,
) -> R {
    let forbid = Forbid::none();
    let chain = [DomainName::parse("edge.example.net").unwrap()];
    let flow = Flow {
        source: &opened.source,
        original: None,
        protocol: opened.protocol,
        target: opened.target.clone(),
        port: opened.port,
        host: None,
        hello,
        chain: &chain,
        addresses: &["198.51.100.7".parse().unwrap()],
        resolved: true,
        forbid: &forbid,
        ours: &[],
    };
    then(&policy.judge(&flow, Timestamp::now()), &flow)
}

fn named(name: &str, ech: bool) -> Option<Hello> {
    Some(Hello::Name {
        name: DomainName::parse(name).unwrap(),
        ech,
    })
}

fn lines(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).expect(line))
        .collect()
}

fn samples(metrics: &Metrics, family: &str) -> HashMap<String, u64> {
    let text = metrics.text();
    let of_family = text
        .lines()
        .filter_map(|line| line.strip_prefix(family)?.strip_prefix('{'));
    let split = |line: &str| {
        let (labels, value) = line.rsplit_once("} ").unwrap();
        (labels.to_owned(), value.parse().unwrap())
    };
    of_family.map(split).collect()
}

const FINISHED: Close = Close {
    reason: CloseReason::Finished,
    detail: None,
    by: ClosedBy::Client,
    bytes_up: 10,
    bytes_down: 20,
};

#[tokio::test]
async fn counters_and_log_agree_whatever_happens_to_the_flows() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("audit.jsonl");
    let (ledger, policy) = (books(&path, ClientAddress::Plain), policy());
    let threads: Vec<_> = (0..4u8)
        .map(|thread| {
            let (ledger, policy) = (ledger.clone(), Arc::clone(&policy));
            std::thread::spawn(move || (0..250).for_each(|n| one_flow(&ledger, &policy, thread, n)))
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
    assert!(ledger.flush().await);

    let lines = lines(&path);
    let of = |action: &str| {
        lines
            .iter()
            .filter(|line| line["event"]["action"] == action)
            .count()
    };
    let attempts = samples(ledger.metrics(), "octroi_attempts_total");
    assert_eq!(of("decision"), 1000);
    assert_eq!(attempts.values().sum::<u64>(), 1000);
    assert_eq!(of("close"), 1000);
    for (labels, count) in attempts {
        let decided = lines.iter().filter(|line| {
            let o = &line["octroi"];
            let or = |key: &str, default: &str| o[key].as_str().unwrap_or(default).to_owned();
            let service = line["service"]["id"].as_str().unwrap_or("unlisted");
            line["event"]["action"] == "decision"
                && labels == format!(
                    "ministry=\"{}\",mode=\"{}\",service=\"{service}\",verdict=\"{}\",workload=\"{}\"",
                    or("ministry", "unassigned"), or("mode", ""), or("verdict", ""), or("workload", "unassigned"),
                )
        });
        assert_eq!(decided.count() as u64, count, "{labels}");
    }
    let ids = |action: &str| {
        let mut ids: Vec<String> = lines
            .iter()
            .filter(|line| line["event"]["action"] == action)
            .map(|line| line["event"]["id"].as_str().unwrap().to_owned())
            .collect();
        ids.sort();
        ids.dedup();
        ids
    };
    assert_eq!(ids("decision").len(), 1000);
    assert_eq!(ids("decision"), ids("close"));
    assert!(
        ledger
            .metrics()
            .text()
            .contains("octroi_tunnels_active{ministry=\"culture\"} 0")
    );
}

/// Every way in which a flow can go.
fn one_flow(ledger: &Ledger, policy: &Arc<Policy>, thread: u8, n: u32) {
    let client = format!("192.0.2.{}", [4, 70, 200][n as usize % 3]);
    let target = ["outlook.office.com", "www.example.org"][usize::from(thread) % 2];
    let opened = opened(&client, target);
    let mut entry = ledger.open(opened.clone());
    let hello = || named(target, false);
    match n % 5 {
        0 => return,
        1 => {
            return judged(policy, &opened, None, |decision, flow| {
                entry.note(policy, decision, flow)
            });
        }
        2 => judged(policy, &opened, hello(), |decision, flow| {
            entry.decide(policy, decision, flow)
        }),
        3 => judged(policy, &opened, hello(), |decision, flow| {
            entry.note(policy, decision, flow);
            entry.decide(policy, decision, flow);
            entry.decide(policy, decision, flow);
            entry.note(policy, decision, flow);
        }),
        _ => {
            judged(policy, &opened, hello(), |decision, flow| {
                entry.decide(policy, decision, flow)
            });
            entry.established(Some("198.51.100.7".parse().unwrap()));
            return;
        }
    }
    entry.established(None);
    entry.close(FINISHED);
}

#[tokio::test]
async fn a_decision_line_says_all_that_was_asked_and_answered() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("audit.jsonl");
    let (ledger, policy) = (books(&path, ClientAddress::Plain), policy());
    let opened = opened("192.0.2.4", "outlook.office.com");
    let mut entry = ledger.open(opened.clone());
    judged(
        &policy,
        &opened,
        named("outlook.office.com", true),
        |decision, flow| entry.decide(&policy, decision, flow),
    );
    entry.close(Close {
        reason: CloseReason::Denied,
        by: ClosedBy::Gate,
        bytes_up: 0,
        ..FINISHED
    });
    assert!(ledger.flush().await);
    let mut lines = lines(&path);
    for line in &mut lines {
        for place in [
            "/@timestamp",
            "/event/id",
            "/event/duration",
            "/octroi/judged_at",
        ] {
            if let Some(value) = line.pointer_mut(place) {
                *value = Value::from("<volatile>");
            }
        }
    }
    insta::assert_json_snapshot!(lines);
    let text = ledger.metrics().text();
    for sample in [
        "octroi_rule_hits_total{ministry=\"interieur\",mode=\"enforce\",rule=\"r9\"} 1",
        "octroi_sni_total{outcome=\"match\"} 1",
        "octroi_ech_total{ministry=\"interieur\"} 1",
        "octroi_bytes_total{direction=\"down\",ministry=\"interieur\",service=\"exchange-online\"} 20",
    ] {
        assert!(text.contains(sample), "{sample}\n{text}");
    }
    assert!(!text.contains("direction=\"up\""), "{text}");
}

#[tokio::test]
async fn hostile_text_stays_inside_its_string() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("audit.jsonl");
    let ledger = books(&path, ClientAddress::Plain);
    let hostile = "\"}\n{\"event\":{\"action\":\"decision\"}}\r\u{0}\u{2028}\u{1b}[31m<script>";
    let mut flow = opened("192.0.2.4", "www.example.org");
    flow.user_agent = Some(hostile.repeat(100));
    drop(ledger.open(flow));
    let rejected = Rejected {
        client: "2001:db8::1".parse().unwrap(),
        client_port: 1,
        balancer: None,
        listener: &id("explicit"),
        reason: "malformed-head",
        status: 400,
        detail: Some(hostile),
    };
    ledger.reject(&rejected);
    assert!(ledger.flush().await);
    let lines = lines(&path);
    assert_eq!(lines.len(), 3);
    assert_eq!(lines[2]["octroi"]["detail"], hostile);
    assert_eq!(lines[2]["http"]["response"]["status_code"], 400);
    let agent = lines[0]["user_agent"]["original"].as_str().unwrap();
    assert_eq!(agent.chars().count(), MAX_TEXT);
    let text = ledger.metrics().text();
    assert!(
        text.contains("octroi_client_errors_total{reason=\"malformed-head\"} 1"),
        "{text}"
    );
    assert!(!text.contains("<script"), "{text}");
}

/// The same attempt: its decision stands, and only its end says that it is permitted no more.
#[tokio::test]
async fn a_revoked_tunnel_is_closed_by_its_rule_and_not_counted_again() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("audit.jsonl");
    let (ledger, policy) = (books(&path, ClientAddress::Plain), policy());
    let opened = opened("192.0.2.70", "www.example.org");
    let mut entry = ledger.open(opened.clone());
    judged(
        &policy,
        &opened,
        named("www.example.org", false),
        |decision, flow| entry.decide(&policy, decision, flow),
    );
    entry.established(None);
    entry.revoked(Revocation {
        ground: "deny",
        rule: Some(id("no-drop")),
        policy: id("next"),
        digest: "n3xt".into(),
    });
    entry.close(Close {
        reason: CloseReason::Revoked,
        by: ClosedBy::Gate,
        ..FINISHED
    });
    assert!(ledger.flush().await);
    let [decision, close] = &lines(&path)[..] else {
        panic!("one decision line and one close line");
    };
    assert_eq!(decision["octroi"]["verdict"], "allow");
    assert_eq!(close["event"]["reason"], "revoked");
    assert_eq!(close["rule"]["id"], "no-drop");
    assert_eq!(close["rule"]["ruleset"], "next");
    assert_eq!(close["octroi"]["reason"], "revoked");
    assert_eq!(close["octroi"]["detail"], "deny");
    assert_eq!(close["octroi"]["policy"]["digest"], "n3xt");
    let revoked = samples(ledger.metrics(), "octroi_tunnels_revoked_total");
    assert_eq!(revoked["ministry=\"culture\""], 1);
    let attempts = samples(ledger.metrics(), "octroi_attempts_total");
    assert_eq!(attempts.values().sum::<u64>(), 1);
}

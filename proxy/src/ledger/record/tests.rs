mod question;

use octroi_policy::bundle::Bundle;
use octroi_policy::check::check;
use octroi_policy::decision::Disposition;
use serde_json::Value;

use question::{Dice, question};

use super::*;
use crate::config::{Audit, ClientAddress, OnFailure, Sink};
use crate::ledger::{Close, CloseReason, ClosedBy, Ledger, Rejected, Revocation};
use crate::shares::{Kind, Limited, Scope};

/// Something for every field of a line: conflicts of address and certificate, derogations with
/// what they require and stand on, lists, fronts, platforms, shared ranges, a ministry's own names.
const POLICY: &str = r#"
version: 1
name: all-fields
default: allow
references:
  r9: { title: { fr: R9, en: R9 }, from: 2023-05-31 }
rules:
  - { id: r9-sensitive, effect: deny, when: { sensitivity: sensitive, category: [messaging] }, unless: [ { qualification: secnumcloud } ], references: [r9] }
  - { id: no-us, effect: deny, when: { provider_jurisdiction: US } }
  - { id: watch, effect: deny, mode: observe, when: { service: mail } }
  - { id: open-mail, effect: allow, when: { service: post } }
  - { id: indicators, effect: block, when: { domains: [.bad.example], addresses: [203.0.113.66] } }
services:
  - { id: mail, name: Mail, provider: big, category: [messaging], domains: [.mail.example], requires: [login], addresses: [198.51.100.0/28] }
  - { id: twin, name: Twin, provider: big, category: [messaging], domains: [.twin.example], addresses: [198.51.100.0/28] }
  - { id: login, name: Login, provider: big, category: [identity], domains: [.login.example], shared: true }
  - id: post
    name: Post
    category: [messaging]
    domains: [.post.example]
    qualification: [ { scheme: secnumcloud, since: 2026-01-01, until: 2028-12-31, checked: 2026-03-01, source: 'https://list.example' } ]
    hosted_on: [ { provider: big, since: 2026-02-01, until: 2028-12-31, accepted_by: A, reference: B } ]
providers:
  - { id: big, name: Big, jurisdiction: US, suffixes: [ { names: [big.example] }, { names: [cloud.example], role: platform }, { names: [edge.example], role: front } ], addresses: [ { prefixes: [192.0.2.128/25], role: front } ] }
ministries:
  - id: interieur
    name: Interieur
    workloads: [ { id: paie, sensitivity: sensitive, sources: [192.0.2.0/26], on: { absent: observe } } ]
  - id: culture
    name: Culture
    workloads:
      - { id: office, sensitivity: standard, sources: [192.0.2.64/26], connect_ports: [443, 25] }
      - { id: paie, sensitivity: standard, certificates: ["*.office.culture.example"] }
derogations:
  - { id: D-1, ministry: culture, services: [mail], from: 2026-04-01, until: '2026-12-30', approved_by: A, reference: B }
tested_at: 2026-11-01
"#;

const OWN: &str = "
services:
  - { id: chatter, name: Chatter, category: [messaging], domains: [chatter.example] }
";

fn policy() -> Policy {
    let files = [
        ("policy.yaml".to_owned(), POLICY.into()),
        ("ministries/culture/own.yaml".to_owned(), OWN.into()),
    ];
    let bundle = Bundle::from_files(files).unwrap();
    let checked = check(&bundle, None);
    let found = checked
        .findings
        .render(&bundle, octroi_policy::diagnostic::Colour::Never);
    Policy::compile(checked.model.unwrap_or_else(|| panic!("{found}")))
}

fn books(client_address: ClientAddress) -> (tempfile::TempDir, Ledger) {
    let dir = tempfile::tempdir().unwrap();
    let audit = Audit {
        sink: Sink::File(dir.path().join("audit.jsonl")),
        client_address,
        on_failure: OnFailure::Refuse,
        ..Audit::default()
    };
    let ledger = Ledger::open_books(&audit, 10_000).unwrap();
    (dir, ledger)
}

fn lines(dir: &tempfile::TempDir) -> Vec<String> {
    let text = std::fs::read_to_string(dir.path().join("audit.jsonl")).unwrap();
    text.lines().map(str::to_owned).collect()
}

fn opened(question: &Question) -> Opened {
    Opened {
        source: question.source.clone(),
        client_port: 50_000,
        balancer: (question.port == 443).then(|| "203.0.113.7".parse().unwrap()),
        protocol: question.protocol,
        method: "CONNECT".to_owned(),
        target: question.target.clone(),
        port: question.port,
        original: question.original,
        user_agent: Some("curl/8".to_owned()),
    }
}

const ENDS: [CloseReason; 3] = [
    CloseReason::Finished,
    CloseReason::Denied,
    CloseReason::Revoked,
];

/// Flows of every kind, decided and closed; the decisions, in the order of their lines.
fn recorded(ledger: &Ledger, policy: &Policy, count: u64) -> Vec<(Question, Decision)> {
    let (mut dice, forbid) = (Dice(7), Forbid::default());
    let mut flows = Vec::new();
    for n in 0..count {
        let question = question(&mut dice);
        let at = "2026-11-24T10:15:33.123456789Z"
            .parse::<Timestamp>()
            .unwrap();
        let at = at
            .saturating_add(jiff::SignedDuration::from_hours(24 * (n % 60) as i64))
            .unwrap();
        let decision = policy.judge(&question.flow(&forbid), at);
        let mut entry = ledger.open(opened(&question));
        entry.decide(policy, &decision, &question.flow(&forbid));
        if n % 7 == 0 {
            entry.limited(Limited {
                scope: Scope::Source,
                kind: Kind::Flows,
                holder: None,
                most: 7,
                wait: None,
            });
        }
        let reason = ENDS[dice.below(3)];
        if reason == CloseReason::Revoked {
            entry.revoked(Revocation {
                ground: "deny",
                rule: (n % 2 == 0).then(|| "no-us".into()),
                policy: "next".into(),
                digest: "n3xt".into(),
            });
        }
        entry.close(Close {
            reason,
            detail: (n % 2 == 0).then_some("nxdomain"),
            by: ClosedBy::Upstream,
            bytes_up: n,
            bytes_down: n * 2,
        });
        flows.push((question, decision));
    }
    flows
}

fn of_action(lines: &[String], action: &str) -> Vec<Record> {
    let all = lines
        .iter()
        .map(|line| Record::parse(line.as_bytes()).expect(line));
    all.filter(|record| record.event.action == action).collect()
}

#[tokio::test]
async fn a_flow_rebuilt_from_its_line_has_the_same_decision() {
    let (dir, ledger) = books(ClientAddress::Plain);
    let policy = policy();
    let flows = recorded(&ledger, &policy, 6000);
    assert!(ledger.flush().await);
    let records = of_action(&lines(&dir), "decision");
    assert_eq!(records.len(), flows.len());
    let forbid = Forbid::default();
    for (record, (asked, decided)) in records.iter().zip(&flows) {
        let question = record.question().unwrap();
        assert_eq!(question, *asked);
        let decision = question.judge(&policy, &forbid, decided.at).unwrap();
        assert_eq!(decision, *decided);
        assert_eq!(question.answered(&policy, &decision), record.octroi);
    }
    covers_everything(&flows, &records);
}

/// The flows above are worth something only if each kind of answer is among them.
fn covers_everything(flows: &[(Question, Decision)], records: &[Record]) {
    let some = |test: &dyn Fn(&Decision) -> bool| flows.iter().any(|(_, decision)| test(decision));
    let has =
        |test: fn(Disposition) -> bool| some(&|it| it.hits.iter().any(|hit| test(hit.disposition)));
    assert!(some(&|it| it.who.is_conflict()));
    assert!(has(|it| matches!(it, Disposition::Lifted(_))));
    assert!(has(|it| it == Disposition::Hosted) && has(|it| it == Disposition::Exempt));
    for word in [
        "block",
        "deny",
        "forbidden-address",
        "sni-outcome",
        "evidence-outcome",
        "port",
        "default",
    ] {
        if word != "default" {
            assert!(
                some(&|it| it.grounds().iter().any(|ground| ground.as_str() == word)),
                "{word}"
            );
        }
    }
    for (what, has) in [
        (
            "gate",
            records.iter().any(|it| {
                it.octroi
                    .grounds
                    .iter()
                    .any(|it| it.what.as_deref() == Some("gate"))
            }),
        ),
        (
            "lifts",
            records
                .iter()
                .any(|it| it.octroi.lifts.iter().any(|it| it.cover == "required")),
        ),
        (
            "lists",
            records
                .iter()
                .any(|it| it.octroi.rules.iter().any(|it| it.list.is_some())),
        ),
        (
            "local",
            records.iter().any(|it| {
                it.octroi
                    .evidence
                    .iter()
                    .any(|it| it.local_service.is_some())
            }),
        ),
        (
            "sharing",
            records
                .iter()
                .any(|it| it.octroi.evidence.iter().any(|it| !it.sharing.is_empty())),
        ),
        (
            "front",
            records.iter().any(|it| {
                it.octroi
                    .evidence
                    .iter()
                    .any(|it| it.role.as_deref() == Some("front"))
            }),
        ),
    ] {
        assert!(has, "no flow with {what}");
    }
}

/// Without nulls and empty lists: what a line leaves out.
fn pruned(value: Value) -> Value {
    let kept = |value: &Value| !value.is_null() && *value != Value::Array(Vec::new());
    match value {
        Value::Object(map) => {
            let pruned = map.into_iter().map(|(key, value)| (key, pruned(value)));
            Value::Object(pruned.filter(|(_, value)| kept(value)).collect())
        }
        Value::Array(all) => all.into_iter().map(pruned).collect(),
        other => other,
    }
}

#[tokio::test]
async fn every_field_that_is_written_is_read() {
    let dir_of_key = tempfile::tempdir().unwrap();
    let key = dir_of_key.path().join("key");
    std::fs::write(&key, [7; 32]).unwrap();
    for how in [
        ClientAddress::Plain,
        ClientAddress::KeyedHash { key },
        ClientAddress::None,
    ] {
        let (dir, ledger) = books(how);
        let flows = recorded(&ledger, &policy(), 300);
        drop(ledger.open(opened(&flows[0].0)));
        for (status, detail) in [(400, Some("bad \u{1b}[31m head")), (0, None)] {
            ledger.reject(&Rejected {
                client: "2001:db8::1".parse().unwrap(),
                client_port: 1,
                balancer: Some("2001:db8::7".parse().unwrap()),
                listener: &"explicit".into(),
                reason: "malformed-head",
                status,
                detail,
            });
        }
        assert!(ledger.flush().await);
        let lines = lines(&dir);
        assert_eq!(lines.len(), 2 * 300 + 2 + 2);
        for line in lines {
            let written: Value = serde_json::from_str(&line).unwrap();
            let read = Record::parse(line.as_bytes()).unwrap();
            let read = serde_json::to_value(read).unwrap();
            assert_eq!(pruned(read), pruned(written), "{line}");
        }
    }
}

#[tokio::test]
async fn without_an_address_the_workloads_recorded_are_judged() {
    let (dir, ledger) = books(ClientAddress::None);
    let policy = policy();
    let flows = recorded(&ledger, &policy, 500);
    assert!(ledger.flush().await);
    let records = of_action(&lines(&dir), "decision");
    let forbid = Forbid::default();
    for (record, (_, decided)) in records.iter().zip(&flows) {
        let question = record.question().unwrap();
        assert!(matches!(question.asker(), Asker::Workloads(_)));
        let decision = question.judge(&policy, &forbid, decided.at).unwrap();
        assert_eq!(decision, *decided);
    }
    let mut renamed = records[0].clone();
    (renamed.octroi.ministry, renamed.octroi.conflict) = (Some("abolished".to_owned()), Vec::new());
    let question = renamed.question().unwrap();
    let error = question.judge(&policy, &forbid, flows[0].1.at).unwrap_err();
    assert!(error.to_string().contains("`abolished/"), "{error}");
}

#[tokio::test]
async fn a_flow_that_ended_unjudged_can_still_be_asked() {
    let (dir, ledger) = books(ClientAddress::Plain);
    let asked = question(&mut Dice(3));
    drop(ledger.open(opened(&asked)));
    assert!(ledger.flush().await);
    let question = of_action(&lines(&dir), "decision")[0].question().unwrap();
    assert_eq!(
        (&question.target, question.port),
        (&asked.target, asked.port)
    );
    assert_eq!(
        (question.protocol, &question.source),
        (asked.protocol, &asked.source)
    );
    assert!(!question.is_resolved());
}

#[test]
fn what_a_line_cannot_say_is_an_error() {
    let line = |question: &str| {
        format!(
            r#"{{"@timestamp":"2026-11-24T00:00:00Z","event":{{"action":"decision","id":"x"}},"octroi":{{"question":{question}}}}}"#
        )
    };
    let read = |question: &str| Record::parse(line(question).as_bytes()).unwrap().question();
    let field = |question: &str| match read(question).unwrap_err() {
        RecordError::Field { field, .. } => field,
        other => panic!("{other}"),
    };
    assert_eq!(read("null").unwrap_err(), RecordError::NoQuestion);
    assert!(read(r#"{"protocol":"http","target":"a.example","port":80}"#).is_ok());
    for (question, of) in [
        (r#"{"protocol":"gopher","target":"a.example"}"#, "protocol"),
        (r#"{"protocol":"http","target":"0x7f.1"}"#, "target"),
        (
            r#"{"protocol":"http","target":"a.example","host":""}"#,
            "host",
        ),
        (
            r#"{"protocol":"http","target":"a.example","chain":["a b"]}"#,
            "chain",
        ),
        (
            r#"{"protocol":"http","target":"a.example","hello":{"saw":"name"}}"#,
            "hello.saw",
        ),
        (
            r#"{"protocol":"http","target":"a.example","hello":{"saw":"name","name":"::1"}}"#,
            "hello.name",
        ),
        (
            r#"{"protocol":"http","target":"a.example","certificate":[""]}"#,
            "certificate",
        ),
    ] {
        assert_eq!(field(question), of, "{question}");
    }
    for line in [
        "",
        "{}",
        "null",
        r#"{"@timestamp":1}"#,
        r#"{"@timestamp":"x","event":{"id":7}}"#,
    ] {
        assert!(Record::parse(line.as_bytes()).is_err(), "{line}");
    }
}

use octroi_policy::bundle::Bundle;
use octroi_policy::check::check;
use octroi_policy::decision::Disposition;
use serde_json::Value;

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

fn name(text: &str) -> DomainName {
    DomainName::parse(text).unwrap()
}

/// Splitmix64: the same flows in every run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) as usize % sides
    }

    fn one<'a, T: ?Sized>(&mut self, of: &[&'a T]) -> &'a T {
        of[self.below(of.len())]
    }

    fn some(&mut self, most: usize, of: &[&str]) -> Vec<String> {
        let count = self.below(most + 1);
        (0..count).map(|_| self.one(of).to_owned()).collect()
    }
}

const NAMES: [&str; 12] = [
    "a.mail.example",
    "twin.example",
    "sso.login.example",
    "www.post.example",
    "x.big.example",
    "app.cloud.example",
    "cdn.edge.example",
    "c2.bad.example",
    "chatter.example",
    "www.unlisted.example",
    "xn--coles-9ra.example",
    "_dmarc.unlisted.example",
];
const ADDRESSES: [&str; 8] = [
    "198.51.100.3",
    "192.0.2.200",
    "203.0.113.66",
    "203.0.113.9",
    "10.1.2.3",
    "2001:db8::7",
    "::ffff:10.1.2.3",
    "169.254.169.254",
];
const CLIENTS: [&str; 5] = [
    "192.0.2.4",
    "192.0.2.70",
    "192.0.2.71",
    "10.9.9.9",
    "2001:db8::1",
];

fn question(dice: &mut Dice) -> Question {
    let target = if dice.below(6) == 0 {
        Host::from(dice.one(&ADDRESSES).parse::<IpAddr>().unwrap())
    } else {
        Host::parse(dice.one(&NAMES)).unwrap()
    };
    let hello = match dice.below(9) {
        0 => None,
        1 => Some(Hello::NotExpected),
        2 => Some(Hello::Absent),
        3 => Some(Hello::NotTls),
        4 => Some(Hello::Malformed),
        5 => Some(Hello::Timeout),
        _ => Some(Hello::Name {
            name: match target.name() {
                Some(name) if dice.below(2) == 0 => name.clone(),
                _ => name(dice.one(&NAMES)),
            },
            ech: dice.below(2) == 0,
        }),
    };
    let is_resolved = dice.below(3) > 0 || target.address().is_some();
    let (hops, found) = if is_resolved && target.name().is_some() {
        (dice.some(3, &NAMES), dice.some(3, &ADDRESSES))
    } else {
        Default::default()
    };
    let addresses: Vec<IpAddr> = found.iter().map(|text| text.parse().unwrap()).collect();
    let certificate = [
        "pc.office.culture.example",
        "spiffe://culture.example/pc",
        "poste@culture.example",
    ];
    Question {
        asker: Asker::Address,
        source: Source {
            certificate: dice
                .some(2, &certificate)
                .iter()
                .filter_map(|text| CertificateName::parse(text))
                .collect(),
            listener: (dice.below(2) == 0).then(|| "explicit".into()),
            ..Source::from_address(dice.one(&CLIENTS).parse().unwrap())
        },
        protocol: [Protocol::Connect, Protocol::Http, Protocol::Captured][dice.below(3)],
        original: (dice.below(3) == 0).then(|| dice.one(&ADDRESSES).parse().unwrap()),
        target,
        port: [443, 443, 80, 25, 8443][dice.below(5)],
        host: (dice.below(4) == 0).then(|| Host::parse(dice.one(&NAMES)).unwrap()),
        hello,
        chain: hops.iter().map(|text| name(text)).collect(),
        ours: addresses
            .iter()
            .copied()
            .filter(|_| dice.below(8) == 0)
            .collect(),
        addresses,
        resolved: is_resolved,
    }
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

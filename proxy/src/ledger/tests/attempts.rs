//! What the feed holds of each attempt, held to the counter and to the log.

use super::*;
use crate::ledger::feed::Attempt;

/// As the counter labels it.
fn labels(attempt: &Attempt) -> String {
    format!(
        "ministry=\"{}\",mode=\"{}\",service=\"{}\",verdict=\"{}\",workload=\"{}\"",
        attempt.ministry.as_str(),
        attempt.mode.as_str(),
        attempt.service.as_deref().unwrap_or("unlisted"),
        attempt.verdict.as_str(),
        attempt.workload.as_str(),
    )
}

#[tokio::test]
async fn every_attempt_that_is_counted_is_in_the_feed_once() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("audit.jsonl");
    let (ledger, policy) = (books(&path, ClientAddress::Plain), policy());
    std::thread::scope(|scope| {
        for thread in 0..4u8 {
            let (ledger, policy) = (&ledger, &policy);
            scope.spawn(move || (0..250).for_each(|n| one_flow(ledger, policy, thread, n)));
        }
    });
    let (_, kept) = ledger.feed().all();
    assert_eq!(kept.len(), 1000);
    let mut fed: HashMap<String, u64> = HashMap::new();
    for (_, attempt) in &kept {
        *fed.entry(labels(attempt)).or_default() += 1;
    }
    assert_eq!(fed, samples(ledger.metrics(), "octroi_attempts_total"));

    assert!(ledger.flush().await);
    let mut lines: HashMap<String, Value> = lines(&path)
        .into_iter()
        .filter(|line| line["event"]["action"] == "decision")
        .map(|line| (line["event"]["id"].as_str().unwrap().to_owned(), line))
        .collect();
    for (_, attempt) in &kept {
        let line = lines.remove(&attempt.incident.to_string()).unwrap();
        assert_eq!(line["@timestamp"], format!("{:.6}", attempt.at));
        assert_eq!(line["url"]["domain"], attempt.target.to_string());
        assert_eq!(line["event"]["reason"].as_str(), attempt.reason);
        assert_eq!(line["rule"]["id"].as_str(), attempt.rule.as_deref());
        assert_eq!(
            line["source"]["ip"].as_str().map(str::to_owned),
            ledger.client(attempt)
        );
        let outcome = attempt.agreement.map(|outcome| outcome.as_str());
        assert_eq!(line["octroi"]["outcome"].as_str(), outcome);
        let sni = attempt.sni.as_ref().map(|name| name.as_str());
        assert_eq!(line["tls"]["client"]["server_name"].as_str(), sni);
    }
    assert!(lines.is_empty());
}

#[test]
fn the_deciding_evidence_is_told_where_it_is_not_the_target() {
    let mut model = model();
    // What stands behind the target is Exchange's.
    let edge = "edge.example.net".parse().unwrap();
    model.names.push((edge, NameOwner::Service(ServiceIx(0))));
    let policy = Policy::compile(model);
    let dir = tempfile::tempdir().unwrap();
    let ledger = books(&dir.path().join("audit.jsonl"), ClientAddress::Plain);
    for target in ["mail.vendor.example", "outlook.office.com"] {
        let opened = opened("192.0.2.4", target);
        let mut entry = ledger.open(opened.clone());
        judged(&policy, &opened, None, |decision, flow| {
            entry.decide(&policy, decision, flow)
        });
    }
    let (_, kept) = ledger.feed().all();
    let told = |at: usize| {
        let evidence = kept[at].1.evidence.as_ref();
        evidence.map(|(kind, value)| (kind.as_str(), value.to_string()))
    };
    assert_eq!(told(1), Some(("cname", "edge.example.net".to_owned())));
    assert_eq!(told(0), None);
}

#[test]
fn clients_are_named_as_the_log_names_them() {
    let dir = tempfile::tempdir().unwrap();
    let key = dir.path().join("key");
    std::fs::write(&key, [0x6b; 32]).unwrap();
    for how in [
        ClientAddress::Plain,
        ClientAddress::KeyedHash { key },
        ClientAddress::None,
    ] {
        let ledger = books(&dir.path().join("audit.jsonl"), how.clone());
        drop(ledger.open(opened("192.0.2.4", "www.example.org")));
        let (_, kept) = ledger.feed().all();
        let attempt = &kept[0].1;
        let named = ledger.client(attempt);
        match how {
            ClientAddress::Plain => assert_eq!(named.as_deref(), Some("192.0.2.4")),
            ClientAddress::KeyedHash { .. } => {
                let hash = named.unwrap();
                assert!(hash.len() == 22 && !hash.contains("192"), "{hash}");
            }
            ClientAddress::None => {
                assert_eq!(named, None);
                assert_eq!(attempt.client, None, "nor is it remembered");
            }
        }
    }
}

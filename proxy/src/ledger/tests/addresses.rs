//! Whose addresses are written, and how.

use super::*;

#[tokio::test]
async fn no_address_of_a_client_is_written_where_none_is_wanted() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("audit.jsonl");
    let (ledger, policy) = (books(&path, ClientAddress::None), policy());
    let opened = opened("192.0.2.4", "www.example.org");
    let mut entry = ledger.open(opened.clone());
    judged(&policy, &opened, None, |decision, flow| {
        entry.decide(&policy, decision, flow)
    });
    entry.close(FINISHED);
    assert!(ledger.flush().await);
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(
        !text.contains("192.0.2.4") && !text.contains("50000"),
        "{text}"
    );
    assert_eq!(lines(&path)[1]["source"]["bytes"], 10);
}

#[tokio::test]
async fn a_keyed_hash_tells_machines_apart_and_names_none() {
    let dir = tempfile::tempdir().unwrap();
    let (path, key) = (dir.path().join("audit.jsonl"), dir.path().join("key"));
    std::fs::write(&key, [7; 32]).unwrap();
    let ledger = books(&path, ClientAddress::KeyedHash { key });
    let policy = policy();
    for client in ["192.0.2.4", "192.0.2.4", "192.0.2.5"] {
        let opened = opened(client, "www.example.org");
        let mut entry = ledger.open(opened.clone());
        judged(&policy, &opened, None, |decision, flow| {
            entry.decide(&policy, decision, flow)
        });
        entry.close(FINISHED);
    }
    ledger.reject(&Rejected {
        client: "192.0.2.5".parse().unwrap(),
        client_port: 50_000,
        balancer: None,
        listener: &id("explicit"),
        reason: "malformed-head",
        status: 400,
        detail: None,
    });
    assert!(ledger.flush().await);
    let text = std::fs::read_to_string(&path).unwrap();
    for shown in ["192.0.2.4", "192.0.2.5", "50000"] {
        assert!(!text.contains(shown), "{text}");
    }
    let lines = lines(&path);
    let hash = |line: &Value| line["client"]["hash"].as_str().unwrap().to_owned();
    let of: Vec<String> = lines.iter().map(hash).collect();
    let [first, second] = [&of[0], &of[5]];
    assert_ne!(first, second);
    assert_eq!(
        of,
        [first, first, first, first, second, second, second].map(String::clone)
    );
    assert_eq!(lines[1]["source"]["bytes"], 10);
}

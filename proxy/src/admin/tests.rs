use std::path::Path;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;
use crate::config::{Audit, Dns, OnFailure, PolicySource, Servers, Sink};

const POLICY: &str =
    "version: 1\nname: test\ndefault: allow\nunassigned: { sensitivity: standard }\n";

fn sight(directory: &Path, sink: Sink) -> Sight {
    let path = directory.join("policy.yaml");
    std::fs::write(&path, POLICY).unwrap();
    let audit = Audit {
        sink,
        on_failure: OnFailure::Refuse,
        ..Audit::default()
    };
    let ledger = Ledger::open_books(&audit, 10_000).unwrap();
    let policy = Handle::start(PolicySource::Path(path), None, ledger.clone()).unwrap();
    let dns = Dns {
        servers: Servers::Listed(vec!["127.0.0.1:1".parse().unwrap()]),
        ..Dns::default()
    };
    Sight {
        policy,
        ledger,
        pulse: Pulse::default(),
        resolver: Resolver::new(&dns).unwrap(),
        forbid: Forbid::none(),
        own: OwnAddrs::default(),
    }
}

fn admin(directory: &Path, sink: Sink) -> Arc<Admin> {
    let address = "127.0.0.1:9128".parse().unwrap();
    Admin::new(address, sight(directory, sink))
}

/// What is answered to a request: status and headers as text, and the body.
async fn ask(admin: &Arc<Admin>, request: &str) -> (String, String) {
    let (mut client, server) = tokio::io::duplex(65_536);
    let door = Door::new(Arc::clone(admin), None);
    let (_running, shutdown) = tokio::sync::watch::channel(false);
    let serving = async {
        let stream = Box::new(server);
        door.converse(stream, Visitor::default(), &shutdown).await;
    };
    let asking = async {
        client.write_all(request.as_bytes()).await.unwrap();
        client.shutdown().await.unwrap();
        let mut answer = Vec::new();
        client.read_to_end(&mut answer).await.unwrap();
        answer
    };
    let ((), answer) = tokio::join!(serving, asking);
    let answer = String::from_utf8(answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let (_, head) = head.split_once(' ').unwrap();
    (head.to_lowercase(), body.to_owned())
}

async fn status(admin: &Arc<Admin>, request: &str) -> u16 {
    ask(admin, request).await.0[..3].parse().unwrap()
}

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1:9128\r\n\r\n")
}

#[tokio::test]
async fn each_path_answers_to_its_methods_alone() {
    let directory = tempfile::tempdir().unwrap();
    let admin = admin(directory.path(), Sink::Off);
    let host = "Host: localhost:9128\r\n";
    for (line, expected) in [
        ("GET /metrics", 200),
        ("HEAD /metrics", 200),
        ("GET /-/healthy", 200),
        ("GET /-/ready", 200),
        ("GET /-/ready?verbose", 200),
        ("POST /-/reload", 200),
        ("GET /-/reload", 405),
        ("POST /metrics", 405),
        ("DELETE /-/ready", 405),
        ("GET /", 200),
        ("GET /console/none", 404),
        ("GET /metrics/", 404),
        ("GET /%3Cscript", 404),
    ] {
        let request = format!("{line} HTTP/1.1\r\n{host}Content-Length: 0\r\n\r\n");
        let (head, body) = ask(&admin, &request).await;
        assert_eq!(head[..3].parse(), Ok(expected), "{line}: {head}");
        assert!(!body.contains("%3C"), "{line}");
        assert!(head.contains("nosniff"), "{head}");
        assert_eq!(head.contains("no-store"), line != "GET /", "{head}");
        assert_eq!(head.contains("\r\nallow: "), expected == 405, "{head}");
        assert_eq!(body.is_empty(), line.starts_with("HEAD"), "{line}");
    }
}

#[tokio::test]
async fn pages_elsewhere_cannot_use_a_browser_against_it() {
    let directory = tempfile::tempdir().unwrap();
    let local = admin(directory.path(), Sink::Off);
    let with = |host: &str| format!("GET /metrics HTTP/1.1\r\nHost: {host}\r\n\r\n");
    for (host, expected) in [
        ("127.0.0.1:9128", 200),
        ("localhost", 200),
        ("[::1]:9128", 200),
        ("127.0.0.1", 200),
        ("rebound.example:9128", 421),
        ("192.0.2.1", 421),
    ] {
        assert_eq!(status(&local, &with(host)).await, expected, "{host}");
    }
    let post = "POST /-/reload HTTP/1.1\r\nHost: localhost\r\nOrigin: https://evil.example\r\nContent-Length: 0\r\n\r\n";
    assert_eq!(status(&local, post).await, 403);
    let address = "192.0.2.1:9128".parse().unwrap();
    let admin = Admin::new(address, sight(directory.path(), Sink::Off));
    assert_eq!(status(&admin, &with("gate.example:9128")).await, 200);
}

#[tokio::test]
async fn a_reload_answers_with_what_is_in_force_or_with_the_findings() {
    let directory = tempfile::tempdir().unwrap();
    let admin = admin(directory.path(), Sink::Off);
    let post = "POST /-/reload HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n";
    let path = directory.path().join("policy.yaml");
    let first = admin.policy.status().digest;
    assert_eq!(ask(&admin, post).await.1, format!("unchanged: {first}\n"));

    std::fs::write(&path, "version: 1\nname: test\ndefault: alow\n").unwrap();
    let (head, body) = ask(&admin, post).await;
    assert!(head.starts_with("422"), "{head}");
    assert!(body.contains("policy.yaml:3:"), "{body}");
    let (head, body) = ask(&admin, &get("/-/ready")).await;
    assert!(head.starts_with("200"), "{head}");
    let ready: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(ready["policy"]["digest"], *first);
    assert!(
        ready["rejected"]["findings"]
            .as_str()
            .unwrap()
            .contains("policy.yaml:3:"),
        "{body}"
    );

    std::fs::write(&path, POLICY.replace("default: allow", "default: deny")).unwrap();
    let (_, body) = ask(&admin, post).await;
    let second = admin.policy.status().digest;
    assert_ne!(first, second);
    assert_eq!(body, format!("in force: {second}\n"));
    let ready: Value = serde_json::from_str(&ask(&admin, &get("/-/ready")).await.1).unwrap();
    assert_eq!(
        (&ready["status"], &ready["rejected"]),
        (&Value::from("ready"), &Value::Null)
    );
}

#[tokio::test]
async fn a_gate_that_cannot_record_is_not_ready() {
    let directory = tempfile::tempdir().unwrap();
    let link = directory.path().join("audit.jsonl");
    std::os::unix::fs::symlink("/dev/full", &link).unwrap();
    let admin = admin(directory.path(), Sink::File(link));
    assert_eq!(status(&admin, &get("/-/ready")).await, 200);
    let rejected = crate::ledger::Rejected {
        client: "192.0.2.1".parse().unwrap(),
        client_port: 1,
        balancer: None,
        listener: &"explicit".into(),
        reason: "malformed-head",
        status: 400,
        detail: None,
    };
    admin.ledger.reject(&rejected);
    assert!(!admin.ledger.flush().await);
    let (head, body) = ask(&admin, &get("/-/ready")).await;
    assert!(head.starts_with("503"), "{head}");
    assert!(body.contains("cannot be written"), "{body}");
    let (_, metrics) = ask(&admin, &get("/metrics")).await;
    assert!(metrics.contains("octroi_client_errors_total{reason=\"malformed-head\"} 1"));
}

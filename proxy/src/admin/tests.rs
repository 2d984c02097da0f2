use std::path::Path;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;
use crate::config::{Audit, Dns, OnFailure, PolicySource, Servers, Sink};

const POLICY: &str = "version: 1\nname: test\ndefault: allow\nunassigned: { sensitivity: standard, default: allow }\n";

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
    Admin::new(address, (None, None), sight(directory, sink))
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
    let admin = Admin::new(address, (None, None), sight(directory.path(), Sink::Off));
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

    std::fs::write(&path, POLICY.replace("\ndefault: allow", "\ndefault: deny")).unwrap();
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

#[tokio::test]
async fn every_answer_guards_its_reader() {
    let directory = tempfile::tempdir().unwrap();
    let admin = admin(directory.path(), Sink::Off);
    let guards = [
        "content-security-policy: default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; require-trusted-types-for 'script'",
        "x-content-type-options: nosniff",
        "referrer-policy: no-referrer",
        "cross-origin-opener-policy: same-origin",
        "cross-origin-resource-policy: same-origin",
    ];
    let mut requests = vec![
        "BREW / HTTP/1.1\r\n\r\n".to_owned(),
        "nonsense\r\n\r\n".to_owned(),
    ];
    for path in [
        "/",
        "/metrics",
        "/-/ready",
        "/-/policy",
        "/none",
        "/api/v1/session",
        "/api/v1/attempts",
        "/api/v1/attempts?limit=0",
        "/api/v1/attempts/stream",
        "/api/v1/history",
        "/api/v1/policy",
        "/api/v1/explain",
        "/api/v1/none",
    ] {
        requests.push(get(path));
    }
    for request in requests {
        let (head, _) = ask(&admin, &request).await;
        for guard in guards {
            assert!(head.contains(guard), "{request}: {head}");
        }
    }
}

#[tokio::test]
async fn a_file_that_is_known_is_not_sent_again() {
    let directory = tempfile::tempdir().unwrap();
    let admin = admin(directory.path(), Sink::Off);
    let (head, body) = ask(&admin, &get("/")).await;
    assert!(
        head.starts_with("200") && head.contains("text/html; charset=utf-8"),
        "{head}"
    );
    assert!(head.contains("cache-control: no-cache") && !body.is_empty());
    let tag = head
        .split("etag: ")
        .nth(1)
        .unwrap()
        .split('\r')
        .next()
        .unwrap();
    let with =
        |tags: &str| format!("GET / HTTP/1.1\r\nHost: localhost\r\nIf-None-Match: {tags}\r\n\r\n");
    for known in [
        tag.to_owned(),
        format!("\"other\", W/{tag}"),
        "*".to_owned(),
    ] {
        let (head, body) = ask(&admin, &with(&known)).await;
        assert!(
            head.starts_with("304") && head.contains(tag),
            "{known}: {head}"
        );
        assert_eq!(body, "", "{known}");
    }
    assert!(ask(&admin, &with("\"other\"")).await.0.starts_with("200"));
}

#[tokio::test]
async fn what_is_wrong_with_a_question_is_told_by_its_field() {
    let directory = tempfile::tempdir().unwrap();
    let admin = admin(directory.path(), Sink::Off);
    let asked = "source=192.0.2.4&url=a.example&resolve=no";
    for (path, param) in [
        ("attempts?limit=0".to_owned(), "limit"),
        ("attempts?limit=1001".to_owned(), "limit"),
        ("attempts?limit=".to_owned() + &"9".repeat(99), "limit"),
        ("attempts?verdict=refused".to_owned(), "verdict"),
        ("attempts?after=1".to_owned(), "after"),
        ("attempts?ministry=a&ministry=b".to_owned(), "ministry"),
        ("attempts?service=%ff".to_owned(), "service"),
        ("attempts/stream?after=x".to_owned(), "after"),
        ("attempts/stream?limit=1".to_owned(), "limit"),
        ("explain?url=a.example".to_owned(), "source"),
        ("explain?source=192.0.2.4".to_owned(), "url"),
        ("explain?source=here&url=a.example".to_owned(), "source"),
        (
            "explain?source=192.0.2.4&url=ftp://a.example".to_owned(),
            "url",
        ),
        (format!("explain?{asked}&at=tomorrow"), "at"),
        (format!("explain?{asked}&sni=a..b"), "sni"),
        (format!("explain?{asked}&cname=a%20b"), "cname"),
        (format!("explain?{asked}&address=a"), "address"),
        (format!("explain?{asked}&original=a"), "original"),
        (format!("explain?{asked}&resolve=maybe"), "resolve"),
        (format!("explain?{asked}&policy=other"), "policy"),
        (
            format!("explain?{asked}{}", "&cname=a.example".repeat(17)),
            "cname",
        ),
    ] {
        let (head, body) = ask(&admin, &get(&format!("/api/v1/{path}"))).await;
        assert!(head.starts_with("400"), "{path}: {head}");
        assert!(head.contains("application/problem+json"), "{head}");
        let problem: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(problem["param"], param, "{path}: {body}");
        let detail = problem["detail"].as_str().unwrap();
        assert!(!detail.is_empty() && !detail.ends_with('.'), "{detail}");
    }
}

#[tokio::test]
async fn a_question_waits_for_no_place_and_one_too_many_is_told_so() {
    let directory = tempfile::tempdir().unwrap();
    let admin = admin(directory.path(), Sink::Off);
    let path = "/api/v1/explain?source=192.0.2.4&url=https://a.example&at=2026-11-24";
    let (head, body) = ask(&admin, &get(path)).await;
    assert!(head.starts_with("200"), "{head}");
    let told: Value = serde_json::from_str(&body).unwrap();
    let note = told["note"].as_str().unwrap();
    assert!(
        note.starts_with("`a.example` is judged by its name alone: "),
        "{note}"
    );
    assert_eq!(
        (&told["verdict"], &told["mode"]),
        (&"allow".into(), &"enforced".into())
    );
    let taken = admin.explainer.take_all();
    let (head, body) = ask(&admin, &get(path)).await;
    assert!(
        head.starts_with("503") && head.contains("retry-after: 1"),
        "{head}"
    );
    assert!(body.contains("ask again"), "{body}");
    drop(taken);
    assert_eq!(status(&admin, &get(path)).await, 200);
}

fn attempt(admin: &Admin) {
    drop(admin.ledger.open(crate::ledger::Opened {
        source: octroi_policy::flow::Source::from_address([192, 0, 2, 4].into()),
        client_port: 1,
        balancer: None,
        protocol: octroi_policy::flow::Protocol::Connect,
        method: "CONNECT".to_owned(),
        target: octroi_policy::name::Host::parse("a.example").unwrap(),
        port: 443,
        original: None,
        user_agent: None,
    }));
}

/// Reads more of a stream until it holds `words`.
async fn until(client: &mut tokio::io::DuplexStream, text: &mut String, words: &str) {
    let deadline = std::time::Duration::from_secs(20);
    let reading = async {
        let mut buffer = [0; 1024];
        while !text.contains(words) {
            let length = client.read(&mut buffer).await.unwrap();
            assert!(length > 0, "the stream ended: {text}");
            text.push_str(std::str::from_utf8(&buffer[..length]).unwrap());
        }
    };
    tokio::time::timeout(deadline, reading).await.unwrap();
}

#[tokio::test]
async fn who_reads_slowly_is_told_how_much_it_missed_and_takes_no_room() {
    let directory = tempfile::tempdir().unwrap();
    let admin = admin(directory.path(), Sink::Off);
    let (mut client, server) = tokio::io::duplex(2048);
    let (running, shutdown) = tokio::sync::watch::channel(false);
    let door = Door::new(Arc::clone(&admin), None);
    let serving = tokio::spawn(async move {
        let stream = Box::new(server);
        door.converse(stream, Visitor::default(), &shutdown).await;
    });
    let request = get("/api/v1/attempts/stream");
    client.write_all(request.as_bytes()).await.unwrap();
    let mut text = String::new();
    until(&mut client, &mut text, "retry: 1000\n\n").await;
    assert_eq!(admin.streams.available_permits(), stream::MOST - 1);
    const ATTEMPTS: u64 = 5000;
    for _ in 0..ATTEMPTS {
        attempt(&admin);
        tokio::task::yield_now().await;
    }
    let (newest, _) = admin.ledger.feed().all();
    until(&mut client, &mut text, &format!("id: {newest}\n")).await;
    // The last line is not read to its end; nothing before it is lost.
    let told = text.matches("event: attempt\n").count() as u64;
    let missed: u64 = text
        .split("event: missed\ndata: {\"count\":")
        .skip(1)
        .map(|rest| rest.split('}').next().unwrap().parse::<u64>().unwrap())
        .sum();
    assert!(missed > 0, "{told}");
    assert_eq!(told + missed, ATTEMPTS);

    // It ends when the gate leaves, in order.
    running.send(true).unwrap();
    let mut rest = Vec::new();
    client.read_to_end(&mut rest).await.unwrap();
    assert!(rest.ends_with(b"0\r\n\r\n"));
    serving.await.unwrap();
    assert_eq!(admin.streams.available_permits(), stream::MOST);
}

#[tokio::test]
async fn there_are_so_many_streams_and_a_reader_that_leaves_gives_its_place_back() {
    let directory = tempfile::tempdir().unwrap();
    let admin = admin(directory.path(), Sink::Off);
    let (running, shutdown) = tokio::sync::watch::channel(false);
    let mut readers = Vec::new();
    for _ in 0..stream::MOST {
        let (mut client, server) = tokio::io::duplex(4096);
        let (door, shutdown) = (Door::new(Arc::clone(&admin), None), shutdown.clone());
        let serving = tokio::spawn(async move {
            let stream = Box::new(server);
            door.converse(stream, Visitor::default(), &shutdown).await;
        });
        let request = get("/api/v1/attempts/stream");
        client.write_all(request.as_bytes()).await.unwrap();
        until(&mut client, &mut String::new(), "retry: ").await;
        readers.push((client, serving));
    }
    let (head, body) = ask(&admin, &get("/api/v1/attempts/stream")).await;
    assert!(
        head.starts_with("503") && head.contains("retry-after: 10"),
        "{head}"
    );
    assert!(body.contains("32 streams are read already"), "{body}");
    let (client, serving) = readers.pop().unwrap();
    drop(client);
    serving.await.unwrap();
    assert_eq!(admin.streams.available_permits(), 1);
    drop(running);
}

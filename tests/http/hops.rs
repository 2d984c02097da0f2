//! What belongs to one hop stays there: connection fields, credentials for a proxy, loops, counted hops.

use super::{answer, answers, ask, get};
use crate::harness::eventually;
use crate::harness::ledger::Became;
use crate::harness::origin::http;
use crate::harness::world::World;

#[test]
fn what_is_for_the_gate_never_reaches_an_origin() {
    let world = World::new();
    let origin = world.origin("news.example", 10, 80, http());
    let mut wire = world.ordinary();
    wire.send(ask(
        "POST",
        "news.example",
        "/",
        &[
            "Proxy-Authorization: Basic c2VjcmV0",
            "Proxy-Connection: keep-alive",
            "Keep-Alive: 300",
            "TE: trailers, gzip",
            "Trailer: X-After",
            "Connection: keep-alive, X-Hop, Authorization, Cookie, Host, Content-Length, Transfer-Encoding, Via",
            "X-Hop: 1",
            "Authorization: Basic x",
            "Cookie: a=b",
            "X-End: 1",
            "Content-Length: 4",
        ],
    ) + "body");
    let (status, said) = answer(&mut wire);
    assert_eq!((status, said.ends_with("body")), (200, true), "{said}");
    let seen = origin.text();
    let lower = seen.to_ascii_lowercase();
    for never in [
        "proxy-",
        "keep-alive",
        "\r\nte:",
        "trailer",
        "connection",
        "x-hop",
        "authorization",
        "cookie",
    ] {
        assert!(!lower.contains(never), "{never}: {seen}");
    }
    for kept in [
        "host: news.example",
        "content-length: 4",
        "x-end: 1",
        "via: 1.1 octroi",
    ] {
        assert_eq!(lower.matches(kept).count(), 1, "{kept}: {seen}");
    }
}

/// Who asks once leaves no connection behind that nobody could use again.
#[test]
fn an_origin_hears_that_it_is_asked_once() {
    let world = World::new();
    let origin = world.origin("news.example", 10, 80, http());
    let mut wire = world.ordinary();
    wire.send(get("news.example", "/kept", &[]));
    assert_eq!(answer(&mut wire).0, 200);
    assert!(
        !origin
            .text()
            .to_ascii_lowercase()
            .contains("\r\nconnection:")
    );
    wire.send(get("news.example", "/once", &["Connection: close"]));
    assert_eq!(answer(&mut wire).0, 200);
    assert!(wire.rest().is_empty());
    let seen = origin.text().to_ascii_lowercase();
    assert_eq!(
        seen.matches("\r\nconnection: close\r\n").count(),
        1,
        "{seen}"
    );
    eventually("the origin is let go", || {
        (origin.open() == 0).then_some(())
    });
}

#[test]
fn what_is_for_the_gate_never_reaches_a_client() {
    const TEXT: &str = "HTTP/1.1 200 OK\r\nConnection: X-Hop, Set-Cookie, Content-Length\r\nX-Hop: 1\r\nSet-Cookie: a=b\r\nKeep-Alive: timeout=5\r\nProxy-Authenticate: Basic\r\nProxy-Connection: keep-alive\r\nTE: trailers\r\nTrailer: X\r\nUpgrade: h2c\r\nX-End: 1\r\nContent-Length: 2\r\n\r\nab";
    let world = World::new();
    world.origin("news.example", 10, 80, answers(&[TEXT]));
    let mut wire = world.ordinary();
    wire.send(get("news.example", "/", &[]));
    let head = wire.head();
    assert_eq!(wire.body(&head), "ab");
    for never in [
        "x-hop",
        "set-cookie",
        "keep-alive",
        "proxy-authenticate",
        "proxy-connection",
        "te",
        "trailer",
        "upgrade",
    ] {
        assert_eq!(head.field(never), None, "{}", head.text);
    }
    assert_eq!(head.field("x-end"), Some("1"));
    assert!(
        head.field("via")
            .is_some_and(|via| via.starts_with("1.1 octroi"))
    );
}

/// The Via that the gate adds comes back: a loop. Another gate's, or an older one's, is none.
#[test]
fn a_request_that_comes_back_is_a_loop() {
    let world = World::new();
    let origin = world.origin("news.example", 10, 80, http());
    let mut wire = world.ordinary();
    wire.send(get(
        "news.example",
        "/",
        &["Via: 1.1 octroi, 1.1 octroi-00000000 (other)"],
    ));
    assert_eq!(answer(&mut wire).0, 200);
    let pseudonym = via(&origin.text());
    for text in [
        format!("1.1 {pseudonym}"),
        format!("1.0 a, 1.1 {}", pseudonym.to_ascii_uppercase()),
        format!("1.0 a,HTTP/1.1\t{pseudonym} (a, comment), 1.1 b"),
    ] {
        for method in ["GET", "CONNECT"] {
            let target = if method == "GET" {
                "http://news.example/"
            } else {
                "news.example:443"
            };
            let mut wire = world.ordinary();
            wire.send(format!(
                "{method} {target} HTTP/1.1\r\nHost: news.example\r\nVia: {text}\r\n\r\n"
            ));
            let head = wire.head();
            assert_eq!(head.status, 502, "{text}: {}", head.text);
            assert!(
                head.field("proxy-status")
                    .unwrap()
                    .contains("proxy_loop_detected"),
                "{}",
                head.text
            );
        }
    }
    assert_eq!(origin.connections(), 1);
    world
        .gate
        .counted("octroi_client_errors_total", &[("reason", "via-loop")], 6);
}

/// What the last gate before the origin wrote into Via.
fn via(seen: &str) -> String {
    let mut all = seen
        .lines()
        .filter_map(|line| line.strip_prefix("Via: 1.1 "));
    all.next_back().unwrap().to_owned()
}

/// Two gates one behind the other are no loop: each has a name of its own.
#[test]
fn two_gates_in_a_chain_do_not_refuse_each_other() {
    let worlds = [World::new(), World::new()];
    let mut passed: Vec<String> = Vec::new();
    for world in &worlds {
        let origin = world.origin("news.example", 10, 80, http());
        let fields: Vec<_> = passed
            .iter()
            .map(|name| format!("Via: 1.1 {name}"))
            .collect();
        let fields: Vec<_> = fields.iter().map(String::as_str).collect();
        let mut wire = world.ordinary();
        wire.send(get("news.example", "/", &fields));
        assert_eq!(answer(&mut wire).0, 200);
        passed.push(via(&origin.text()));
    }
    assert_ne!(passed[0], passed[1]);
}

#[test]
fn hops_are_counted_where_they_are_to_be_counted() {
    let world = World::new();
    let origin = world.origin("news.example", 10, 80, http());
    let mut wire = world.ordinary();
    wire.send(ask("OPTIONS", "news.example", "/", &["Max-Forwards: 3"]));
    assert_eq!(answer(&mut wire).0, 200);
    wire.send(ask("GET", "news.example", "/", &["Max-Forwards: 0"]));
    assert_eq!(answer(&mut wire).0, 200, "it means nothing with GET");
    let seen = origin.text();
    assert!(
        seen.contains("Max-Forwards: 2\r\n") && seen.contains("Max-Forwards: 0\r\n"),
        "{seen}"
    );
    let connections = origin.connections();

    wire.send(ask("OPTIONS", "news.example", "/", &["Max-Forwards: 0"]));
    let head = wire.head();
    wire.body(&head);
    assert_eq!(head.status, 200);
    assert!(
        head.field("allow")
            .is_some_and(|allow| allow.contains("CONNECT")),
        "{}",
        head.text
    );
    assert_eq!(origin.text(), seen, "the gate itself answered");
    assert_eq!(origin.connections(), connections);

    for fields in [
        &["Max-Forwards: -1"][..],
        &["Max-Forwards: 1, 2"],
        &["Max-Forwards: 1", "Max-Forwards: 1"],
    ] {
        let mut wire = world.ordinary();
        wire.send(ask("OPTIONS", "news.example", "/", fields));
        assert_eq!(wire.head().status, 400, "{fields:?}");
    }
}

/// A denied name is denied, whoever the last recipient would be.
#[test]
fn the_target_decides_and_a_host_that_differs_is_no_way_round() {
    let world = World::new();
    let origin = world.origin("news.example", 10, 80, http());
    let denied = world.origin("www.drop.example", 11, 80, http());
    for (target, host) in [
        ("http://news.example/", "www.drop.example"),
        ("http://www.drop.example/", "news.example"),
        ("http://www.drop.example/", "www.drop.example"),
    ] {
        let mut wire = world.ordinary();
        wire.send(format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n"));
        assert_eq!(wire.head().status, 403, "{target} with {host}");
    }
    denied.assert_untouched();
    origin.assert_untouched();
    world.recorded("www.drop.example", "culture", Became::Refused);
    for host in ["NEWS.example.", "news.example:80"] {
        let mut wire = world.ordinary();
        wire.send(format!(
            "GET http://news.example/ HTTP/1.1\r\nHost: {host}\r\n\r\n"
        ));
        assert_eq!(answer(&mut wire).0, 200, "{host} is the same name");
    }
    assert_eq!(origin.text().matches("Host: news.example\r\n").count(), 2);
}

/// Methods are what they are: case matters, and those nobody knows go through as they came.
#[test]
fn methods_go_on_as_they_came() {
    let world = World::new();
    let origin = world.origin("news.example", 10, 80, http());
    for method in ["get", "PROPFIND", "M-SEARCH", "X!#$%&'*+.^_`|~9"] {
        let mut wire = world.ordinary();
        wire.send(ask(method, "news.example", "/", &[]));
        let head = wire.head();
        assert_eq!(head.status, 200, "{method}: {}", head.text);
        assert!(
            wire.body(&head)
                .starts_with(&format!("{method} / HTTP/1.1"))
        );
    }
    assert_eq!(origin.text().matches(" / HTTP/1.1\r\n").count(), 4);
}

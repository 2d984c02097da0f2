//! The listener as a web server: a person's own last refusals, and the way out for browsers.

use std::net::Ipv4Addr;

use serde_json::Value;

use crate::harness::client::{chromium_by_pac, client_hello, curl};
use crate::harness::eventually;
use crate::harness::origin::{echo, http};
use crate::harness::world::{Plan, World};

/// The self-service page for an address, or the list of it.
fn page(world: &World, from: Ipv4Addr, arguments: &[&str]) -> crate::harness::client::Curled {
    let url = format!("{}/", world.gate.url());
    curl("", from, &[&["--noproxy", "*", &url], arguments].concat())
}

fn list(world: &World, from: Ipv4Addr) -> Vec<Value> {
    let answer = page(world, from, &["-H", "Accept: application/json"]);
    assert_eq!(answer.status, 200, "{}", answer.said);
    let heads = answer.heads.to_ascii_lowercase();
    assert!(heads.contains("content-type: application/json"), "{heads}");
    serde_json::from_str(&answer.body).unwrap_or_else(|e| panic!("{e}: {}", answer.body))
}

#[test]
fn a_person_sees_the_own_refusals_and_nobody_elses() {
    let world = Plan::example().start();
    let (person, other) = ([127, 0, 0, 1].into(), [127, 0, 0, 3].into());
    assert_eq!(
        world.curl(person, &["https://outlook.office.com/"]).connect,
        403
    );
    assert_eq!(
        world.curl(person, &["https://outlook.office.com/"]).connect,
        403
    );
    assert_eq!(
        world.curl(other, &["http://169.254.169.254/latest"]).status,
        403
    );

    let answer = page(&world, person, &[]);
    assert_eq!(answer.status, 200, "{}", answer.said);
    for expected in [
        "lang=\"fr\"",
        "Vos derniers refus",
        "127.0.0.1",
        "outlook.office.com:443",
        "Exchange Online",
        "r9-sensitive-data",
        "2 fois",
        "Circulaire",
        "6404/SG",
        "Messagerie",
        "Demander une dérogation",
        "essai@octroi.example",
    ] {
        assert!(
            answer.body.contains(expected),
            "no `{expected}` in\n{}",
            answer.body
        );
    }
    assert!(!answer.body.contains("169.254.169.254"), "{}", answer.body);
    let heads = answer.heads.to_ascii_lowercase();
    for expected in [
        "cache-control: no-store",
        "content-security-policy: default-src 'none'; style-src 'sha256-",
        "x-content-type-options: nosniff",
        "cross-origin-resource-policy: same-origin",
    ] {
        assert!(heads.contains(expected), "no `{expected}` in\n{heads}");
    }
    assert!(!heads.contains("unsafe-inline"), "{heads}");

    eventually("three tries, three decisions", || {
        (world.gate.decisions().len() == 3).then_some(())
    });
    // The incident number leads to the line of the last try.
    let refusals = list(&world, person);
    assert_eq!(
        (refusals.len(), &refusals[0]["times"]),
        (1, &Value::from(2))
    );
    let id = world.gate.decision("outlook.office.com").text("event.id");
    assert_eq!(refusals[0]["instance"], format!("urn:octroi:incident:{id}"));

    let others = list(&world, other);
    assert_eq!(others.len(), 1);
    assert_eq!(others[0]["asked"], "169.254.169.254:80");
    let nobody = page(
        &world,
        [127, 0, 0, 2].into(),
        &["-H", "Accept-Language: en"],
    );
    assert!(
        nobody.body.contains("refused nothing to this machine"),
        "{}",
        nobody.body
    );
    assert!(nobody.body.contains("lang=\"en\""), "{}", nobody.body);

    // Pages are no flows, and nothing that was refused.
    assert_eq!(world.gate.decisions().len(), 3);
    assert_eq!(
        world
            .gate
            .metrics()
            .total("octroi_client_errors_total", &[]),
        0
    );
}

#[test]
fn what_is_denied_after_the_200_is_on_the_page() {
    let world = World::new();
    let origin = world.origin("news.example", 10, 443, echo());
    let mut wire = world.ordinary();
    assert_eq!(wire.connect("news.example:443").status, 200);
    wire.send(client_hello(Some("www.drop.example")));
    wire.rest();
    origin.assert_no_byte();
    let refusals = eventually("the refusal is on the list", || {
        let found = list(&world, world.block.ordinary());
        (!found.is_empty()).then_some(found)
    });
    assert_eq!(refusals[0]["asked"], "news.example:443");
    assert_eq!(refusals[0]["because"]["value"], "www.drop.example");
    assert!(list(&world, world.block.sensitive()).is_empty());
}

#[test]
fn nothing_a_client_sends_gets_onto_the_page() {
    let world = World::new();
    let evil = "<script>alert(1)</script>";
    let from = world.block.sensitive();
    for head in [
        format!("CONNECT {evil}:443 HTTP/1.1\r\nHost: {evil}\r\n\r\n"),
        format!("GET http://outlook.office.com/{evil} HTTP/1.1\r\nHost: {evil}\r\n\r\n"),
        format!(
            "GET http://outlook.office.com/{evil} HTTP/1.1\r\nHost: outlook.office.com\r\nUser-Agent: {evil}\r\nReferer: {evil}\r\n\r\n"
        ),
        format!(
            "GET http://outlook.office.com/ HTTP/1.1\r\nHost: outlook.office.com\r\nX-Forwarded-For: {}\r\n\r\n",
            world.block.ordinary()
        ),
        "CONNECT outlook.office.com:443 HTTP/1.1\r\nHost: xn--a\"onload=alert.example\r\n\r\n"
            .to_owned(),
    ] {
        let mut wire = world.wire(from);
        wire.send(head);
        let head = wire.head();
        assert!([400, 403].contains(&head.status), "{}", head.text);
    }
    assert!(!list(&world, from).is_empty());
    assert!(list(&world, world.block.ordinary()).is_empty());
    let asked = [
        format!("GET /?{evil} HTTP/1.1\r\nHost: gate.example\r\nUser-Agent: {evil}\r\nAccept-Language: en,{evil}\r\n\r\n"),
        "GET / HTTP/1.1\r\nHost: evil.example\r\nX-Forwarded-For: 127.0.0.1\r\nForwarded: for=127.0.0.1\r\n\r\n".to_owned(),
    ];
    for head in asked {
        let mut wire = world.wire(from);
        wire.send(head);
        let head = wire.head();
        assert_eq!(head.status, 200, "{}", head.text);
        let body = wire.body(&head);
        assert!(body.contains("outlook.office.com:80"), "{body}");
        for trace in ["<script", "alert", "evil.example", "gate.example", "onload"] {
            assert!(
                !body.contains(trace) && !head.text.contains(trace),
                "`{trace}` in\n{body}"
            );
        }
    }
}

#[test]
fn pages_share_a_kept_connection_with_requests() {
    let world = World::new();
    let origin = world.origin("news.example", 10, 80, http());
    let mut wire = world.ordinary();
    for _ in 0..2 {
        wire.send("HEAD / HTTP/1.1\r\nHost: x\r\n\r\n");
        let head = wire.head();
        assert_eq!(head.status, 200, "{}", head.text);
        assert_ne!(head.field("content-length"), Some("0"));
        wire.send("GET http://news.example/a HTTP/1.1\r\nHost: news.example\r\n\r\n");
        let head = wire.head();
        assert_eq!(head.status, 200, "{}", head.text);
        wire.body(&head);
    }
    assert!(origin.connections() > 0);
    for line in [
        "GET /favicon.ico",
        "GET /proxy.pac/x",
        "PUT /",
        "POST /proxy.pac",
    ] {
        let mut wire = world.ordinary();
        wire.send(format!("{line} HTTP/1.1\r\nHost: x\r\n\r\n"));
        assert_eq!(wire.head().status, 421, "{line}");
    }
}

#[test]
fn the_pac_names_the_gate_as_it_was_reached() {
    let world = World::new();
    for path in ["proxy.pac", "wpad.dat"] {
        let url = format!("{}/{path}", world.gate.url());
        let from = world.block.ordinary();
        let arguments = ["--noproxy", "*", "-H", "Host: evil.example:80", &url];
        let answer = curl("", from, &arguments);
        assert_eq!(answer.status, 200, "{}", answer.said);
        let heads = answer.heads.to_ascii_lowercase();
        let kind = "content-type: application/x-ns-proxy-autoconfig\r\n";
        assert!(heads.contains(kind), "{heads}");
        let gate = format!("\"PROXY {}\"", world.gate.address());
        assert!(answer.body.contains(&gate), "{}", answer.body);
        assert!(!answer.body.contains("evil"), "{}", answer.body);
    }
}

#[test]
fn chromium_finds_its_way_by_the_pac() {
    let world = Plan::new().set("pac", "direct: [.intern.example]").start();
    let outside = world.origin("news.example", 10, 80, http());
    let inside = crate::harness::origin::Origin::tcp(world.block.ip(11), 80, http());
    let inside_map = format!("MAP wiki.intern.example {}", world.block.ip(11));
    let pac = format!("{}/proxy.pac", world.gate.url());

    let text = chromium_by_pac(&pac, &inside_map, "http://news.example/by-the-gate");
    assert!(text.contains("GET /by-the-gate"), "{text}");
    assert!(outside.connections() > 0);
    assert_eq!(
        world.gate.decision("news.example").text("url.domain"),
        "news.example"
    );

    let text = chromium_by_pac(&pac, &inside_map, "http://wiki.intern.example/directly");
    assert!(text.contains("GET /directly"), "{text}");
    assert!(inside.connections() > 0);
    let seen = world.gate.decisions();
    assert!(
        seen.iter()
            .all(|line| line.text("url.domain") != "wiki.intern.example")
    );

    assert_eq!(
        world
            .curl([127, 0, 0, 1].into(), &["https://www.drop.example/"])
            .connect,
        403
    );
    // The gate's own page is reached past the gate, and its style passes its own security policy.
    let text = chromium_by_pac(&pac, &inside_map, &format!("{}/", world.gate.url()));
    assert!(
        text.contains("<main>") && text.contains("www.drop.example:443"),
        "{text}"
    );
    assert!(!text.contains("Content Security Policy"), "{text}");
}

//! Behind a balancer: the PROXY header names the client, and nobody but the balancer may say it.

use std::net::{Ipv4Addr, SocketAddr};

use serde_json::Value;

use crate::harness::client::{Wire, curl};
use crate::harness::eventually;
use crate::harness::ledger::Became;
use crate::harness::origin::{http, silent};
use crate::harness::servers::Haproxy;
use crate::harness::world::{Plan, World};

const PORT: u16 = 3131;

/// A gate with a second listener behind the balancer at `.50`.
fn balanced() -> Plan {
    let plan = Plan::new();
    let trusted = format!("proxy_protocol: {{ trusted: [{}] }}", balancer(&plan));
    plan.listener("balanced", PORT, &trusted)
}

fn balancer(plan: &Plan) -> Ipv4Addr {
    plan.block().ip(50)
}

fn listener(world: &World) -> SocketAddr {
    (world.block.gate(), PORT).into()
}

fn from_balancer(world: &World) -> Wire {
    Wire::open(world.block.ip(50), listener(world))
}

/// The line that names a client, and the gate as what it reached.
fn named(world: &World, client: Ipv4Addr) -> String {
    format!(
        "PROXY TCP4 {client} {} 40000 {PORT}\r\n",
        world.block.gate()
    )
}

/// The last reject line with a reason, once it is written; the counter is seen to agree.
fn rejected(world: &World, reason: &str) -> crate::harness::scrape::Line {
    let line = eventually(&format!("a reject line for {reason}"), || {
        let audit = world.gate.audit().into_iter().rev();
        let mut rejects = audit.filter(|line| line.text("event.action") == "reject");
        rejects.find(|line| line.text("event.reason") == reason)
    });
    world
        .gate
        .counted("octroi_client_errors_total", &[("reason", reason)], 1);
    line
}

fn rejects(world: &World) -> u64 {
    world
        .gate
        .metrics()
        .total("octroi_client_errors_total", &[])
}

#[test]
fn haproxy_says_whose_connection_it_is() {
    let world = balanced().start();
    let outlook = world.origin("outlook.office.com", 10, 443, http());
    let news = world.tls_origin("news.example", 11, http());
    let identity = world.pki.issue(&["balancer.example"]);
    let bundle = world.dir.path().join("balancer.pem");
    let pem =
        [&identity.certificate, &identity.key].map(|path| std::fs::read_to_string(path).unwrap());
    std::fs::write(&bundle, pem.concat()).unwrap();
    let tls = format!("ssl crt {}", bundle.display());
    let at = world.block.ip(50);
    let _haproxy = Haproxy::start(
        world.dir.path(),
        at,
        listener(&world),
        &[
            (8001, "", "send-proxy"),
            (8002, "", "send-proxy-v2"),
            (8003, "", "send-proxy-v2 proxy-v2-options crc32c"),
            (8004, &tls, "send-proxy-v2-ssl"),
        ],
    );
    let authority = world.pki.authority();
    let authority = authority.to_str().unwrap();
    let trust = ["--cacert", authority, "--proxy-insecure"];
    for (port, scheme, keyword) in [
        (8001, "http", "PROXY"),
        (8002, "http", "PROXY"),
        (8003, "http", "PROXY"),
        (8004, "https", "HTTPS"),
    ] {
        let proxy = format!("{scheme}://{at}:{port}");
        let denied = curl(
            &proxy,
            world.block.sensitive(),
            &[&trust[..], &["https://outlook.office.com/"]].concat(),
        );
        assert_eq!(denied.connect, 403, "{proxy}: {}", denied.said);
        let line = world.recorded("outlook.office.com", "interieur", Became::Refused);
        assert_eq!(line.text("source.ip"), world.block.sensitive().to_string());
        assert_eq!(line.text("source.nat.ip"), at.to_string());
        assert_eq!(line.text("octroi.question.listener"), "balanced");

        let url = format!("https://news.example/by-{port}");
        let allowed = curl(
            &proxy,
            world.block.ordinary(),
            &[&trust[..], &[&url]].concat(),
        );
        assert_eq!(
            (allowed.connect, allowed.status),
            (200, 200),
            "{}",
            allowed.said
        );
        let line = world.recorded("news.example", "culture", Became::Allowed);
        assert_eq!(line.text("source.ip"), world.block.ordinary().to_string());
        let close = world.gate.close_of(&line);
        assert_eq!(close.text("source.nat.ip"), at.to_string());

        // The pages are the client's as well, and name the place that the client reached.
        let page = |from, path: &str| {
            let url = format!("{proxy}{path}");
            let arguments = [
                "--noproxy",
                "*",
                "-k",
                "-H",
                "Accept: application/json",
                &url,
            ];
            curl("", from, &arguments).body
        };
        let own: Value = serde_json::from_str(&page(world.block.sensitive(), "/")).unwrap();
        assert!(own.to_string().contains("outlook.office.com"), "{own}");
        let other = page(world.block.ordinary(), "/");
        assert!(!other.contains("outlook.office.com"), "{other}");
        let pac = page(world.block.ordinary(), "/proxy.pac");
        assert!(pac.contains(&format!("\"{keyword} {at}:{port}\"")), "{pac}");
    }
    outlook.assert_untouched();
    assert!(news.connections() >= 4);
    // Ten health checks a second were no errors, and no flows of the balancer's.
    assert_eq!(rejects(&world), 0, "{:?}", world.gate.audit().last());
    let decisions = world.gate.decisions();
    assert!(
        decisions
            .iter()
            .all(|line| line.text("source.ip") != at.to_string())
    );
}

#[test]
fn only_the_balancer_may_name_a_client() {
    let world = balanced().start();
    let origin = world.origin("news.example", 10, 443, http());
    for from in [
        world.block.ordinary(),
        world.block.stranger(),
        world.block.ip(51),
    ] {
        for claim in [named(&world, world.block.ordinary()), String::new()] {
            let mut wire = Wire::open(from, listener(&world));
            // The gate may have closed before the whole of it is written.
            let said =
                claim + "CONNECT news.example:443 HTTP/1.1\r\nHost: news.example:443\r\n\r\n";
            let _ = std::io::Write::write_all(&mut wire.stream, said.as_bytes());
            assert!(wire.rest().is_empty());
            let line = eventually("a reject line of this client", || {
                let line = rejected(&world, "proxy-untrusted");
                (line.text("source.ip") == from.to_string()).then_some(line)
            });
            assert_eq!(line.text("octroi.listener"), "balanced");
            assert_eq!(line.get("http.response.status_code"), None);
        }
    }
    assert_eq!(rejects(&world), 6);
    assert!(world.gate.decisions().is_empty());
    origin.assert_untouched();
}

#[test]
fn a_header_that_is_not_exact_gets_no_answer() {
    let world = balanced().start();
    let origin = world.origin("news.example", 10, 80, http());
    let request = "GET http://news.example/ HTTP/1.1\r\nHost: news.example\r\n\r\n";
    let v2 = |command: u8, family: u8, payload: &[u8]| {
        let mut header = b"\r\n\r\n\0\r\nQUIT\n".to_vec();
        header.extend([command, family]);
        header.extend(u16::try_from(payload.len()).unwrap().to_be_bytes());
        [&header[..], payload].concat()
    };
    let four = [192, 0, 2, 7, 198, 51, 100, 1, 0x9c, 0x40, 0x0c, 0x3b];
    let summed = [&four[..], &[3, 0, 4, 1, 2, 3, 4]].concat();
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("proxy-header-missing", Vec::new()),
        ("proxy-header-missing", b"\x16\x03\x01\x02\x00".to_vec()),
        (
            "proxy-header-malformed",
            b"PROXY TCP4 192.0.2.07 198.51.100.1 1 2\r\n".to_vec(),
        ),
        (
            "proxy-header-malformed",
            b"PROXY TCP4 192.0.2.7 198.51.100.1 1 2\n".to_vec(),
        ),
        (
            "proxy-header-malformed",
            b"PROXY TCP4 0.0.0.0 198.51.100.1 1 2\r\n".to_vec(),
        ),
        (
            "proxy-header-malformed",
            b"PROXY UDP4 192.0.2.7 198.51.100.1 1 2\r\n".to_vec(),
        ),
        ("proxy-header-malformed", v2(0x21, 0x31, &[0; 216])),
        ("proxy-header-malformed", v2(0x21, 0x12, &four)),
        ("proxy-header-malformed", v2(0x22, 0x11, &four)),
        ("proxy-header-malformed", v2(0x21, 0x11, &four[..11])),
        ("proxy-header-checksum", v2(0x21, 0x11, &summed)),
        ("proxy-header-too-long", v2(0x21, 0x11, &[0; 60_000])),
        (
            "proxy-header-too-long",
            [b"PROXY UNKNOWN ".to_vec(), vec![b'x'; 200]].concat(),
        ),
    ];
    for (count, (reason, header)) in cases.iter().enumerate() {
        let mut wire = from_balancer(&world);
        let _ = std::io::Write::write_all(&mut wire.stream, &[header, request.as_bytes()].concat());
        assert!(wire.rest().is_empty(), "{reason}");
        let line = rejected(&world, reason);
        assert_eq!(line.text("source.ip"), world.block.ip(50).to_string());
        assert_eq!(rejects(&world), count as u64 + 1, "{reason}");
    }
    // Cut short: refused; closed without a word, as a health check does it: nothing happened.
    for (said, counted) in [("PROXY TCP4 192.0.2.7", 1), ("", 0)] {
        let before = rejects(&world);
        let mut wire = from_balancer(&world);
        wire.send(said);
        wire.finish();
        assert!(wire.rest().is_empty());
        assert_eq!(rejects(&world), before + counted);
    }
    rejected(&world, "proxy-header-cut");
    assert!(world.gate.decisions().is_empty());
    origin.assert_untouched();
}

#[test]
fn a_header_comes_in_time_and_in_any_pieces() {
    let world = balanced().set("limits", "head_timeout: 700ms").start();
    world.origin("news.example", 10, 80, http());
    let mut late = from_balancer(&world);
    late.send("PROXY TCP4 192.0.2.7 ");
    let mut silent = from_balancer(&world);
    assert!(late.rest().is_empty() && silent.rest().is_empty());
    rejected(&world, "proxy-header-timeout");
    let reason = [("reason", "proxy-header-timeout")];
    world.gate.counted("octroi_client_errors_total", &reason, 2);

    // A byte a segment, and what follows the header in the same one.
    let request = "GET http://news.example/ HTTP/1.1\r\nHost: news.example\r\n\r\n";
    let mut wire = from_balancer(&world);
    let line = named(&world, world.block.ordinary()) + request;
    wire.trickle(&line.as_bytes()[..line.len() - request.len() / 2]);
    wire.send(&line[line.len() - request.len() / 2..]);
    let head = wire.head();
    assert_eq!(head.status, 200, "{}", head.text);
    world.recorded("news.example", "culture", Became::Allowed);
    // The balancer's own connection is judged by its own address: nobody's.
    for own in [
        "PROXY UNKNOWN\r\n".as_bytes(),
        b"\r\n\r\n\0\r\nQUIT\n\x20\x00\0\0",
    ] {
        let mut wire = from_balancer(&world);
        wire.send([own, request.as_bytes()].concat());
        assert_eq!(wire.head().status, 403);
        let line = world.recorded("news.example", "unassigned", Became::Refused);
        assert_eq!(line.text("source.ip"), world.block.ip(50).to_string());
        assert_eq!(line.get("source.nat"), None);
    }
}

#[test]
fn each_client_behind_the_balancer_counts_for_itself() {
    let plan = balanced().set("limits", "per_source: 2");
    let plan = plan.set("limits", "hello_timeout: 5m");
    let world = plan.set("limits", "connections: 5").start();
    world.origin("news.example", 10, 443, silent());
    // Tunnels: what has no flow under way makes room.
    let hold = |client: Ipv4Addr| {
        let mut wire = from_balancer(&world);
        wire.send(named(&world, client));
        let head = wire.connect("news.example:443");
        (wire, head.status)
    };
    let (ordinary, sensitive) = (world.block.ordinary(), world.block.sensitive());
    let held = [
        hold(ordinary),
        hold(ordinary),
        hold(sensitive),
        hold(sensitive),
    ];
    assert!(held.iter().all(|(_, status)| *status == 200));
    assert_eq!(hold(ordinary).1, 503);
    let line = rejected(&world, "source-limit");
    assert_eq!(line.text("source.ip"), ordinary.to_string());
    assert_eq!(line.text("source.nat.ip"), world.block.ip(50).to_string());
    // One that has not said anything yet takes a place among all, and gives it up to one that comes later.
    let mut silent = from_balancer(&world);
    world.gate.has_taken(5, 5);
    let other = Ipv4Addr::LOCALHOST;
    let last = eventually("the silent one makes room", || {
        let (wire, status) = hold(other);
        (status == 200).then_some(wire)
    });
    assert!(silent.rest().is_empty());
    let line = rejected(&world, "displaced");
    assert_eq!(line.text("source.ip"), world.block.ip(50).to_string());
    assert_eq!(hold(other).1, 503);
    let line = rejected(&world, "connection-limit");
    assert_eq!(line.text("source.ip"), world.block.ip(50).to_string());
    drop(last);
    eventually("its place is free", || (hold(other).1 == 200).then_some(()));
}

#[test]
fn elsewhere_a_header_is_a_malformed_request() {
    let world = balanced().start();
    let origin = world.origin("news.example", 10, 80, http());
    let request = "GET http://news.example/ HTTP/1.1\r\nHost: news.example\r\n\r\n";
    let line = named(&world, world.block.ordinary());
    for header in [line.as_bytes(), b"\r\n\r\n\0\r\nQUIT\n\x20\x00\0\0"] {
        // From the balancer and from a client that is permitted what it asks for.
        for from in [world.block.ip(50), world.block.ordinary()] {
            let mut wire = world.wire(from);
            wire.send([header, request.as_bytes()].concat());
            assert_eq!(wire.head().status, 400);
        }
    }
    assert!(world.gate.decisions().is_empty());
    origin.assert_untouched();
}

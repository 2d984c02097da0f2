//! What a captured client claims, and what is made of it.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use crate::harness::client::{Wire, client_hello, with_ech};
use crate::harness::eventually;
use crate::harness::hello::ACCESS_DENIED;
use crate::harness::ledger::{Became, field};
use crate::harness::netns::{Capture, Family};
use crate::harness::origin::{Origin, echo, http};
use crate::harness::proxy::octroi;
use crate::harness::tools::finish;
use crate::harness::world::{Plan, World};

fn plan() -> Plan {
    Plan::on_gateway().captured(Capture::Redirect)
}

/// Puts a key into the ordinary workload.
fn with_key(policy: &Path, key: &str) {
    let file = policy.join("ministries/ministries.yaml");
    let text = std::fs::read_to_string(&file).unwrap();
    let changed = text.replace("sources: [", &format!("{key}\n        sources: ["));
    assert_ne!(text, changed);
    // In a table on one line the key stands in the same line.
    let changed = changed.replace(
        &format!("sensitivity: sensitive, {key}\n        "),
        "sensitivity: sensitive, ",
    );
    let changed = changed.replace(
        &format!("sensitivity: standard, {key}\n        "),
        "sensitivity: standard, ",
    );
    std::fs::write(file, changed).unwrap();
}

fn wire(world: &World, last: u16, port: u16) -> Wire {
    let to = SocketAddr::from((Family::V4.origin(last), port));
    world.straight(Family::V4.client(201), to)
}

fn get(wire: &mut Wire, host: &str, path: &str) -> u16 {
    wire.send(format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n"));
    let head = wire.head();
    wire.body(&head);
    head.status
}

/// A ClientHello to one of two origins, and what comes back.
fn says(world: &World, hello: &[u8], last: u16) -> Vec<u8> {
    let mut wire = wire(world, last, 443);
    wire.send(hello);
    wire.finish();
    wire.rest()
}

#[test]
fn without_a_name_it_is_judged_by_its_address() {
    let world = plan().start();
    let origin = world.origin("www.partner.example", 10, 443, echo());
    assert_eq!(says(&world, &client_hello(None), 10), ACCESS_DENIED);
    origin.assert_untouched();
    let address = Family::V4.origin(10).to_string();
    let line = world.recorded(&address, "culture", Became::Refused);
    assert_eq!(line.text(field::SNI_OUTCOME), "absent");
    assert_eq!(line.text("octroi.question.protocol"), "captured");

    let policy = |key: &'static str| plan().prepare(move |_, policy| with_key(policy, key));
    let world = policy("on: { absent: allow }").start();
    let origin = world.origin("www.partner.example", 10, 443, echo());
    let hello = client_hello(None);
    assert_eq!(
        says(&world, &hello, 10),
        hello,
        "an unlisted address passes"
    );
    assert_eq!(origin.bytes(), hello);
    world.recorded(&address, "culture", Became::Allowed);
}

#[test]
fn each_request_is_judged_by_its_own_host() {
    let world = plan().start();
    let allowed = world.origin("www.partner.example", 10, 80, http());
    let denied = world.origin("www.drop.example", 11, 80, http());
    let mut wire = wire(&world, 10, 80);
    assert_eq!(get(&mut wire, "www.partner.example", "/one"), 200);
    assert_eq!(get(&mut wire, "www.drop.example", "/two"), 403);
    assert_eq!(get(&mut wire, "www.partner.example", "/three"), 200);
    let seen = allowed.text();
    assert!(
        seen.contains("GET /one ") && seen.contains("GET /three "),
        "{seen}"
    );
    assert!(!seen.contains("/two"), "{seen}");
    denied.assert_untouched();
    world.recorded("www.drop.example", "culture", Became::Refused);
    let labels = [("workload", "bureautique")];
    assert_eq!(world.gate.counted("octroi_attempts_total", &labels, 3), 3);
}

/// Two origins: one with the name, the other where the client goes.
fn two(world: &World) -> (Origin, Origin) {
    let named = world.origin("www.partner.example", 10, 443, echo());
    let other = world.origin("other.example", 11, 443, echo());
    (named, other)
}

#[test]
fn a_strict_workload_refuses_a_name_that_leads_elsewhere() {
    let strict = |_, policy: &Path| with_key(policy, "on: { misdirected: deny }");
    let world = plan().prepare(strict).start();
    let (named, other) = two(&world);
    let hello = client_hello(Some("www.partner.example"));
    assert_eq!(says(&world, &hello, 11), ACCESS_DENIED);
    named.assert_untouched();
    other.assert_untouched();
    let line = world.recorded("www.partner.example", "culture", Became::Refused);
    assert_eq!(line.text(field::OUTCOME), "misdirected");
    let original = Family::V4.origin(11).to_string();
    assert_eq!(line.text("octroi.question.original"), original);
    assert_eq!(says(&world, &hello, 10), hello, "at home it passes");
}

#[test]
fn an_outer_name_alone_is_believed_only_at_its_own_address() {
    let world = plan().start();
    let (named, other) = two(&world);
    let hello = with_ech(&client_hello(Some("www.partner.example")));
    assert_eq!(says(&world, &hello, 11), ACCESS_DENIED);
    named.assert_untouched();
    other.assert_untouched();
    let line = world.recorded("www.partner.example", "culture", Became::Refused);
    assert_eq!(line.text(field::SNI_OUTCOME), "ech_hidden");
    assert_eq!(says(&world, &hello, 10), hello);
    let line = world.recorded("www.partner.example", "culture", Became::Allowed);
    assert_eq!(line.text(field::SNI_OUTCOME), "match");
}

#[test]
fn an_odd_port_hides_no_name() {
    let world = plan().start();
    let origins = [8080, 8443].map(|port| world.origin("www.drop.example", 10, port, echo()));
    let wire_to = |port, bytes: &[u8]| {
        let mut wire = wire(&world, 10, port);
        wire.send(bytes);
        wire.finish();
        wire.rest()
    };
    let hello = client_hello(Some("www.drop.example"));
    assert_eq!(wire_to(8443, &hello), ACCESS_DENIED);
    let page = wire_to(8080, b"GET / HTTP/1.1\r\nHost: www.drop.example\r\n\r\n");
    assert!(page.starts_with(b"HTTP/1.1 403 "));
    for origin in &origins {
        origin.assert_untouched();
    }
}

#[test]
fn a_slow_client_is_not_taken_for_one_that_waits() {
    let world = plan().set("limits", "inspect_delay: 100ms").start();
    let origin = world.origin("www.partner.example", 10, 80, http());
    let mut slow = wire(&world, 10, 80);
    // On port 80 nothing else may pass than HTTP, so it is waited for.
    let mut served = wire(&world, 10, 80);
    assert_eq!(get(&mut served, "www.partner.example", "/"), 200);
    let waited = std::time::Instant::now();
    eventually("the delay is over", || {
        (waited.elapsed().as_millis() > 300).then_some(())
    });
    assert_eq!(get(&mut slow, "www.partner.example", "/late"), 200);
    assert!(origin.text().contains("GET /late "));
}

#[test]
fn a_name_that_only_clients_know_goes_where_they_go_if_that_is_trusted() {
    let trusting = |_, policy: &Path| with_key(policy, "trust_original: [203.0.113.11]");
    let world = plan().prepare(trusting).start();
    let (_, inside) = two(&world);
    let hello = client_hello(Some("intranet.partner.example"));
    assert_eq!(
        says(&world, &hello, 11),
        hello,
        "no resolver of ours knows it"
    );
    assert_eq!(inside.bytes(), hello);
    let line = world.recorded("intranet.partner.example", "culture", Became::Allowed);
    assert_ne!(line.text(field::OUTCOME), "misdirected");
    let denied = client_hello(Some("www.drop.example"));
    assert_eq!(says(&world, &denied, 11), ACCESS_DENIED, "trusted or not");
    assert_eq!(says(&world, &hello, 10), b"", "elsewhere it has no address");
    assert_eq!(inside.connections(), 1);
}

/// The rule sets keep clients from the gate's own ports; without that, the gate itself does.
#[test]
fn whoever_comes_to_the_gate_itself_goes_round_in_no_circle() {
    for by in Capture::BOTH {
        let world = Plan::on_gateway().captured(by).start();
        let net = world.net.as_deref().unwrap();
        net.gateway
            .nft(&["flush", "chain", "inet", "octroi", "own"]);
        for (family, port) in [(Family::V4, Capture::PORT4), (Family::V6, Capture::PORT6)] {
            let to = SocketAddr::from((family.gateway(), port));
            let mut wire = world.straight(family.client(201), to);
            wire.send(b"GET / HTTP/1.1\r\nHost: www.partner.example\r\n\r\n");
            assert_eq!(wire.rest(), b"", "{by:?} {family:?}");
        }
        let labels = [("reason", "loop")];
        assert_eq!(
            world.gate.counted("octroi_client_errors_total", &labels, 2),
            2,
            "{by:?}"
        );
    }
}

/// A port that clients reach without the firewall's doing is no way through the gate.
#[test]
fn whoever_no_firewall_brought_is_not_served() {
    let port = Capture::PORT4;
    let bare = format!(
        "{{ name: bare, mode: transparent, capture: redirect, address: \"0.0.0.0:{port}\" }}"
    );
    let world = Plan::on_gateway().set("listeners", bare).start();
    let origin = world.origin("www.partner.example", 10, 80, http());
    let to = SocketAddr::from((Family::V4.gateway(), port));
    let mut wire = world.straight(Family::V4.client(201), to);
    wire.send(b"GET / HTTP/1.1\r\nHost: www.partner.example\r\n\r\n");
    assert_eq!(wire.rest(), b"");
    let labels = [("reason", "not-captured")];
    assert_eq!(
        world.gate.counted("octroi_client_errors_total", &labels, 1),
        1
    );
    origin.assert_untouched();
}

/// `explain` answers as the wire does.
#[test]
fn explain_knows_where_it_was_on_its_way_to() {
    let world = plan().start();
    let ask = |original: IpAddr, address: IpAddr| {
        let mut command = octroi();
        command.args(["explain", "--policy"]).arg(&world.policy);
        command.args(["--source", "192.0.2.201", "--address", &address.to_string()]);
        command.args([
            "--original",
            &original.to_string(),
            "https://www.partner.example/",
        ]);
        finish(&mut command)
    };
    let (here, there) = (Family::V4.origin(10), Family::V4.origin(11));
    let (exit, said) = ask(there, here);
    assert_eq!(exit, Some(0), "{said}");
    for row in [
        "a captured connection to www.partner.example:443",
        "on its way to 203.0.113.11",
        "misdirected",
    ] {
        assert!(said.contains(row), "{row}: {said}");
    }
    let (_, said) = ask(here, here);
    assert!(!said.contains("misdirected"), "{said}");
}

//! What the ClientHello says against what was asked for.

use crate::harness::client::{chromium, client_hello, with_ech};
use crate::harness::eventually;
use crate::harness::hello::ACCESS_DENIED;
use crate::harness::ledger::{Became, field};
use crate::harness::origin::{Origin, echo, http};
use crate::harness::tools::{finish, tool};
use crate::harness::world::{Plan, World};

/// A tunnel to an allowed name, into which these bytes go.
fn tunnel(world: &World, bytes: &[u8]) -> (Origin, Vec<u8>) {
    let origin = world.origin("allowed.example", 10, 443, echo());
    let mut wire = world.ordinary();
    assert_eq!(wire.connect("allowed.example:443").status, 200);
    wire.send(bytes);
    (origin, wire.rest())
}

/// The outcome is in the metric and in the line.
fn assert_outcome(world: &World, outcome: &str, became: Became) -> crate::harness::scrape::Line {
    let line = world.recorded("allowed.example", "culture", became);
    assert_eq!(line.text(field::SNI_OUTCOME), outcome, "{line:?}");
    world
        .gate
        .counted("octroi_sni_total", &[("outcome", outcome)], 1);
    line
}

#[test]
fn a_denied_name_inside_an_allowed_tunnel_gets_an_alert_and_reaches_nobody() {
    let world = World::new();
    let (origin, answer) = tunnel(&world, &client_hello(Some("www.drop.example")));
    assert_eq!(answer, ACCESS_DENIED);
    origin.assert_no_byte();
    let line = assert_outcome(&world, "mismatch", Became::Refused);
    assert_eq!(line.text(field::OUTCOME), "fronted");
    assert!(
        line.text("tls.client.server_name")
            .contains("www.drop.example"),
        "{line:?}"
    );
    world.gate.counted(
        "octroi_evidence_total",
        &[("ministry", "culture"), ("outcome", "fronted")],
        1,
    );
}

#[test]
fn openssl_reports_the_alert() {
    let world = World::new();
    let origin = world.tls_origin("allowed.example", 10, http());
    let mut command = tool("openssl");
    let (gate, from) = (
        world.gate.address().to_string(),
        world.block.ordinary().to_string(),
    );
    command.args([
        "s_client",
        "-proxy",
        &gate,
        "-bind",
        &from,
        "-connect",
        "allowed.example:443",
    ]);
    command.args(["-servername", "outlook.office365.com"]);
    let (_, said) = finish(&mut command);
    assert!(
        said.contains("access denied") || said.contains("alert number 49"),
        "{said}"
    );
    origin.assert_no_byte();
    assert_outcome(&world, "mismatch", Became::Refused);
}

#[test]
fn a_permitted_other_name_is_fronting_all_the_same() {
    let world = World::new();
    let (origin, answer) = tunnel(&world, &client_hello(Some("another.example")));
    assert_eq!(answer, ACCESS_DENIED);
    origin.assert_no_byte();
    assert_outcome(&world, "mismatch", Became::Refused);
}

#[test]
fn a_hello_without_a_name_is_refused() {
    let world = World::new();
    let (origin, answer) = tunnel(&world, &client_hello(None));
    assert_eq!(answer, ACCESS_DENIED);
    origin.assert_no_byte();
    assert_outcome(&world, "absent", Became::Refused);
}

#[test]
fn bytes_that_are_no_tls_are_refused_on_a_tls_port() {
    let world = World::new();
    let (origin, _) = tunnel(&world, b"GET / HTTP/1.1\r\nHost: allowed.example\r\n\r\n");
    origin.assert_no_byte();
    assert_outcome(&world, "not_tls", Became::Refused);
}

#[test]
fn a_hello_that_breaks_the_rules_is_refused() {
    let world = World::new();
    let mut hello = client_hello(Some("allowed.example"));
    // The handshake's own length says more than the hello holds: its last vector now overruns.
    let end = hello.len() - 1;
    hello[end - 2] = 0xff;
    hello[43] = 0xff;
    let (origin, _) = tunnel(&world, &hello);
    origin.assert_no_byte();
    assert_outcome(&world, "malformed", Became::Refused);
}

#[test]
fn a_hello_that_never_comes_is_refused() {
    let world = Plan::new().set("limits", "hello_timeout: 500ms").start();
    let origin = world.origin("allowed.example", 10, 443, echo());
    let mut wire = world.ordinary();
    assert_eq!(wire.connect("allowed.example:443").status, 200);
    wire.send(&client_hello(Some("allowed.example"))[..40]);
    wire.rest();
    origin.assert_no_byte();
    assert_outcome(&world, "timeout", Became::Refused);
}

#[test]
fn a_hello_in_single_bytes_is_read_whole_and_arrives_whole() {
    let world = World::new();
    let origin = world.origin("allowed.example", 10, 443, echo());
    let hello = client_hello(Some("allowed.example"));
    let mut wire = world.ordinary();
    assert_eq!(wire.connect("allowed.example:443").status, 200);
    wire.trickle(&hello);
    wire.exactly(hello.len());
    assert_eq!(origin.bytes(), hello);
    assert_outcome(&world, "match", Became::Allowed);
}

#[test]
fn a_hello_over_two_records_is_read_whole_and_arrives_as_sent() {
    let world = World::new();
    let origin = world.origin("allowed.example", 10, 443, echo());
    let split = in_two_records(&client_hello(Some("allowed.example")));
    let mut wire = world.ordinary();
    assert_eq!(wire.connect("allowed.example:443").status, 200);
    wire.send(&split);
    wire.exactly(split.len());
    assert_eq!(origin.bytes(), split);
    assert_outcome(&world, "match", Became::Allowed);
}

/// The same handshake message cut into two TLS records (RFC 8446 section 5.1).
fn in_two_records(hello: &[u8]) -> Vec<u8> {
    let (first, second) = hello[5..].split_at(60);
    let record = |part: &[u8]| {
        let length = u16::try_from(part.len()).unwrap().to_be_bytes();
        [&[22, 3, 1], &length[..], part].concat()
    };
    [record(first), record(second)].concat()
}

#[test]
fn case_does_not_matter() {
    let world = World::new();
    let origin = world.origin("allowed.example", 10, 443, echo());
    let hello = client_hello(Some("allowed.example"));
    let mut wire = world.ordinary();
    assert_eq!(wire.connect("Allowed.EXAMPLE.:443").status, 200);
    wire.send(&hello);
    wire.exactly(hello.len());
    assert_eq!(origin.connections(), 1);
    assert_outcome(&world, "match", Became::Allowed);
}

#[test]
fn ech_with_the_targets_own_name_is_a_match() {
    let world = World::new();
    let origin = world.origin("allowed.example", 10, 443, echo());
    let hello = with_ech(&client_hello(Some("allowed.example")));
    let mut wire = world.ordinary();
    assert_eq!(wire.connect("allowed.example:443").status, 200);
    wire.send(&hello);
    wire.exactly(hello.len());
    assert_eq!(origin.bytes(), hello);
    assert_outcome(&world, "match", Became::Allowed);
    world
        .gate
        .counted("octroi_ech_total", &[("ministry", "culture")], 1);
}

#[test]
fn ech_with_another_outer_name_is_observed_and_never_fronted() {
    let world = World::new();
    let origin = world.origin("allowed.example", 10, 443, echo());
    let hello = with_ech(&client_hello(Some("public.ech.example")));
    let mut wire = world.ordinary();
    assert_eq!(wire.connect("allowed.example:443").status, 200);
    wire.send(&hello);
    wire.exactly(hello.len());
    assert_eq!(origin.connections(), 1);
    let line = assert_outcome(&world, "ech_outer", Became::Observed);
    assert_ne!(line.text(field::OUTCOME), "fronted");
}

#[test]
fn an_outer_name_that_is_denied_forbids() {
    let world = World::new();
    let (origin, answer) = tunnel(&world, &with_ech(&client_hello(Some("www.drop.example"))));
    assert_eq!(answer, ACCESS_DENIED);
    origin.assert_no_byte();
    assert_outcome(&world, "ech_outer", Became::Refused);
}

/// Chromium sends a GREASE ECH extension in every hello: that is a match, and it is counted.
#[test]
fn chromium_with_ech_grease_is_a_match() {
    let world = World::new();
    let origin = world.tls_origin("portal.example", 10, http());
    let page = chromium(&world.gate.url(), "https://portal.example/door");
    assert!(page.contains("GET /door"), "{page}");
    assert!(origin.connections() >= 1);
    let line = world.recorded("portal.example", "finances", Became::Allowed);
    assert_eq!(line.text(field::SNI_OUTCOME), "match");
    assert_eq!(line.text(field::OUTCOME), "unknown");
    world
        .gate
        .counted("octroi_ech_total", &[("ministry", "finances")], 1);
    let fronted = world
        .gate
        .metrics()
        .total("octroi_evidence_total", &[("outcome", "fronted")]);
    assert_eq!(fronted, 0);
}

#[test]
fn chromium_is_refused_where_curl_is() {
    let world = World::new();
    let origin = world.tls_origin("www.drop.example", 10, http());
    chromium(&world.gate.url(), "https://www.drop.example/");
    origin.assert_untouched();
    world.recorded("www.drop.example", "finances", Became::Refused);
    eventually("the refusal is counted", || {
        let labels = [("rule", "no-drop"), ("ministry", "finances")];
        (world
            .gate
            .metrics()
            .total("octroi_rule_hits_total", &labels)
            > 0)
        .then_some(())
    });
}

//! The explicit listener: what real clients see, and what the origins behind see.

use rustix::process::Signal;

use crate::harness::client::{client_hello, curl};
use crate::harness::eventually;
use crate::harness::hello::record;
use crate::harness::ledger::{Became, field};
use crate::harness::origin::{
    Origin, answer_after_end, canned, echo, end_first, http, server_first, silent,
};
use crate::harness::world::{Plan, World};

const SENSITIVE: std::net::Ipv4Addr = std::net::Ipv4Addr::new(127, 0, 0, 1);
const ORDINARY: std::net::Ipv4Addr = std::net::Ipv4Addr::new(127, 0, 0, 2);

#[test]
fn outlook_is_refused_to_the_sensitive_workload() {
    let world = Plan::example().start();
    let origin = world.tls_origin("outlook.office.com", 10, http());
    let answer = world.curl(SENSITIVE, &["https://outlook.office.com/"]);
    assert_eq!(answer.connect, 403, "{}", answer.said);
    assert!(
        answer.heads.to_ascii_lowercase().contains("proxy-status:"),
        "{}",
        answer.heads
    );
    origin.assert_untouched();
    assert_eq!(
        world.dns.asked("outlook.office.com"),
        0,
        "a denied name is never resolved"
    );
    let line = world.recorded("outlook.office.com", "essai", Became::Refused);
    assert_eq!(line.text(field::SERVICE), "exchange-online");
    assert!(line.text(field::RULE).contains("r9"), "{line:?}");
}

#[test]
fn outlook_is_let_through_and_counted_for_the_ordinary_workload() {
    let world = Plan::example().start();
    let origin = world.tls_origin("outlook.office.com", 10, http());
    let answer = world.curl(ORDINARY, &["https://outlook.office.com/inbox"]);
    assert_eq!(
        (answer.connect, answer.status),
        (200, 200),
        "{}",
        answer.said
    );
    assert!(answer.body.contains("GET /inbox"), "{}", answer.body);
    assert_eq!(origin.connections(), 1);
    let line = world.recorded("outlook.office.com", "essai", Became::Observed);
    assert_eq!(line.text(field::SERVICE), "exchange-online");
    assert_eq!(line.text(field::SNI_OUTCOME), "match");
    let close = world.gate.close_of(&line);
    assert!(
        close.text("destination.bytes").parse::<u64>().unwrap() > 0,
        "{close:?}"
    );
}

#[test]
fn the_page_speaks_french_first_and_names_rule_law_and_alternatives() {
    let world = Plan::example().start();
    let answer = world.curl(SENSITIVE, &["http://outlook.office.com/"]);
    assert_eq!(answer.status, 403);
    for expected in [
        "lang=\"fr\"",
        "r9-",
        "Circulaire",
        "6404/SG",
        "Exchange Online",
        "Messagerie",
    ] {
        assert!(
            answer.body.contains(expected),
            "no `{expected}` in\n{}",
            answer.body
        );
    }
    let english = ["-H", "Accept-Language: en", "http://outlook.office.com/"];
    let answer = world.curl(SENSITIVE, &english);
    for expected in ["lang=\"en\"", "Circular", "6404/SG"] {
        assert!(
            answer.body.contains(expected),
            "no `{expected}` in\n{}",
            answer.body
        );
    }
    world.recorded("outlook.office.com", "essai", Became::Refused);
}

#[test]
fn programs_get_problem_json_on_request() {
    let world = World::new();
    let asks = [
        "-H",
        "Accept: application/problem+json",
        "http://outlook.office.com/",
    ];
    let answer = world.curl(world.block.sensitive(), &asks);
    assert_eq!(answer.status, 403);
    assert!(
        answer.heads.contains("application/problem+json"),
        "{}",
        answer.heads
    );
    let problem: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
    assert_eq!(problem["status"], 403);
    assert!(answer.body.contains("r9-sensitive-data"), "{}", answer.body);
    // The incident number leads from the page to the log.
    let line = world.recorded("outlook.office.com", "interieur", Became::Refused);
    assert!(
        answer.body.contains(&line.text("event.id")),
        "{line:?} {}",
        answer.body
    );
}

#[test]
fn a_refused_connect_carries_the_reason_too() {
    let world = World::new();
    let mut wire = world.wire(world.block.sensitive());
    wire.send("CONNECT outlook.office.com:443 HTTP/1.1\r\nHost: outlook.office.com:443\r\nAccept: application/problem+json\r\n\r\n");
    let head = wire.head();
    assert_eq!(head.status, 403);
    let status = head.field("proxy-status").unwrap_or_default();
    assert!(status.contains("r9-sensitive-data"), "{}", head.text);
    let body = wire.body(&head);
    let problem: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!(problem["status"], 403);
    world.recorded("outlook.office.com", "interieur", Became::Refused);
}

#[test]
fn a_permitted_page_comes_through_plain_http_with_the_connection_kept() {
    let world = World::new();
    let origin = world.origin("news.example", 10, 80, http());
    let mut wire = world.ordinary();
    for page in ["/a", "/b?c=d", "/e"] {
        wire.send(format!(
            "GET http://news.example{page} HTTP/1.1\r\nHost: news.example\r\n\r\n"
        ));
        let head = wire.head();
        assert_eq!(head.status, 200);
        assert!(
            wire.body(&head)
                .starts_with(&format!("GET {page} HTTP/1.1")),
            "origin form upstream"
        );
    }
    assert_eq!(
        origin.connections(),
        1,
        "the upstream connection is kept too"
    );
    world.recorded("news.example", "culture", Became::Allowed);
    let attempts = [("ministry", "culture"), ("verdict", "allow")];
    assert_eq!(
        world.gate.counted("octroi_attempts_total", &attempts, 3),
        3,
        "each request is a flow"
    );
}

#[test]
fn each_request_on_a_kept_connection_is_judged_by_itself() {
    let world = World::new();
    let origin = world.origin("news.example", 10, 80, http());
    let drop = world.origin("www.drop.example", 11, 80, http());
    let mut wire = world.ordinary();
    let ask = |host: &str| format!("GET http://{host}/ HTTP/1.1\r\nHost: {host}\r\n\r\n");
    let mut seen = Vec::new();
    for host in ["news.example", "www.drop.example", "news.example"] {
        wire.send(ask(host));
        let head = wire.head();
        wire.body(&head);
        seen.push(head.status);
    }
    assert_eq!(seen, [200, 403, 200]);
    drop.assert_untouched();
    assert!(origin.connections() >= 1);
    world.recorded("www.drop.example", "culture", Became::Refused);
}

#[test]
fn get_then_connect_on_one_connection() {
    let world = World::new();
    world.origin("news.example", 10, 80, http());
    let tunnel = world.origin("tls.example", 11, 443, echo());
    let mut wire = world.ordinary();
    wire.send("GET http://news.example/ HTTP/1.1\r\nHost: news.example\r\n\r\n");
    let head = wire.head();
    wire.body(&head);
    assert_eq!(wire.connect("tls.example:443").status, 200);
    let hello = client_hello(Some("tls.example"));
    wire.send(&hello);
    wire.exactly(hello.len());
    assert_eq!(tunnel.bytes(), hello);
    world.recorded("tls.example", "culture", Became::Allowed);
}

#[test]
fn a_chunked_upload_arrives_whole() {
    let world = World::new();
    let origin = world.origin("upload.example", 10, 80, http());
    let file = world.dir.path().join("upload");
    std::fs::write(&file, "x".repeat(200_000)).unwrap();
    let data = format!("@{}", file.display());
    let chunked = ["-H", "Transfer-Encoding: chunked", "--data-binary", &data];
    let arguments = [&chunked[..], &["http://upload.example/in"]].concat();
    let answer = world.curl(world.block.ordinary(), &arguments);
    assert_eq!(answer.status, 200, "{}", answer.said);
    assert_eq!(answer.body.matches('x').count(), 200_000);
    assert!(
        origin
            .text()
            .to_ascii_lowercase()
            .contains("transfer-encoding: chunked")
    );
    let line = world.recorded("upload.example", "culture", Became::Allowed);
    let close = world.gate.close_of(&line);
    assert!(
        close.text("source.bytes").parse::<u64>().unwrap() >= 200_000,
        "{close:?}"
    );
}

#[test]
fn a_truncated_answer_stays_visibly_truncated() {
    let world = World::new();
    let short = "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nonly this";
    world.origin("short.example", 10, 80, canned(short));
    let answer = world.curl(world.block.ordinary(), &["http://short.example/"]);
    assert_eq!(answer.exit, 18, "curl sees a partial file: {}", answer.said);
    world.recorded("short.example", "culture", Became::Allowed);
}

#[test]
fn a_websocket_upgrade_is_carried_both_ways() {
    let world = World::new();
    world.origin("ws.example", 10, 80, http());
    let mut wire = world.ordinary();
    wire.send("GET http://ws.example/chat HTTP/1.1\r\nHost: ws.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n");
    assert_eq!(wire.head().status, 101);
    for message in ["hello", "octroi"] {
        wire.send(message);
        assert_eq!(wire.exactly(message.len()), message);
    }
    drop(wire);
    let line = world.recorded("ws.example", "culture", Became::Allowed);
    world.gate.close_of(&line);
}

#[test]
fn the_client_may_end_its_side_first() {
    let world = World::new();
    let origin = world.origin("half.example", 10, 443, answer_after_end());
    let mut wire = world.ordinary();
    assert_eq!(wire.connect("half.example:443").status, 200);
    let hello = client_hello(Some("half.example"));
    wire.send(&hello);
    let early = record(23, b"and more");
    wire.send(&early);
    wire.finish();
    let expected = format!("received {}", hello.len() + early.len());
    assert_eq!(String::from_utf8(wire.rest()).unwrap(), expected);
    assert_eq!(origin.bytes().len(), hello.len() + early.len());
    let line = world.recorded("half.example", "culture", Became::Allowed);
    let close = world.gate.close_of(&line);
    assert_eq!(
        close.text("source.bytes"),
        (hello.len() + early.len()).to_string(),
        "{close:?}"
    );
}

#[test]
fn the_origin_may_end_its_side_first() {
    let world = World::new();
    let origin = world.origin("half.example", 10, 443, end_first("bye"));
    let mut wire = world.ordinary();
    assert_eq!(wire.connect("half.example:443").status, 200);
    let hello = client_hello(Some("half.example"));
    wire.send(&hello);
    assert_eq!(wire.exactly(3), "bye");
    // The origin has ended its side; ours still carries.
    wire.send("late words");
    eventually("the late words arrive", || {
        origin.text().ends_with("late words").then_some(())
    });
    wire.finish();
    assert!(wire.rest().is_empty());
    world.recorded("half.example", "culture", Became::Allowed);
}

#[test]
fn bytes_behind_the_connect_head_belong_to_the_tunnel() {
    let world = World::new();
    let origin = world.origin("early.example", 10, 443, echo());
    let hello = client_hello(Some("early.example"));
    let mut wire = world.ordinary();
    let head = b"CONNECT early.example:443 HTTP/1.1\r\nHost: early.example:443\r\n\r\n";
    wire.send([&head[..], &hello].concat());
    assert_eq!(wire.head().status, 200);
    wire.exactly(hello.len());
    assert_eq!(origin.bytes(), hello);
    world.recorded("early.example", "culture", Became::Allowed);
}

#[test]
fn bytes_behind_a_refused_connect_reach_nobody() {
    let world = World::new();
    let origin = world.origin("www.drop.example", 10, 443, silent());
    let hello = client_hello(Some("www.drop.example"));
    let mut wire = world.ordinary();
    let head = b"CONNECT www.drop.example:443 HTTP/1.1\r\nHost: www.drop.example:443\r\n\r\n";
    wire.send([&head[..], &hello].concat());
    assert_eq!(wire.head().status, 403);
    wire.rest();
    origin.assert_untouched();
    world.recorded("www.drop.example", "culture", Became::Refused);
}

#[test]
fn a_server_that_speaks_first_works_on_a_permitted_port() {
    let world = World::new();
    world.origin(
        "mail.example",
        10,
        2525,
        server_first("220 mail.example ESMTP\r\n"),
    );
    let mut wire = world.ordinary();
    assert_eq!(wire.connect("mail.example:2525").status, 200);
    assert_eq!(wire.exactly(24), "220 mail.example ESMTP\r\n");
    wire.send("EHLO octroi\r\n");
    assert_eq!(wire.exactly(13), "EHLO octroi\r\n");
    let line = world.recorded("mail.example", "culture", Became::Allowed);
    assert_eq!(line.text(field::SNI_OUTCOME), "not_expected");
}

#[test]
fn another_port_is_refused() {
    let world = World::new();
    let origin = world.origin("ssh.example", 10, 22, server_first("SSH-2.0-test\r\n"));
    assert_eq!(world.ordinary().connect("ssh.example:22").status, 403);
    origin.assert_untouched();
    let line = world.recorded("ssh.example", "culture", Became::Refused);
    assert_eq!(line.text(field::REASON), "port", "{line:?}");
}

#[test]
fn strangers_are_judged_as_nobody() {
    let world = World::new();
    let origin = world.origin("news.example", 10, 443, echo());
    assert_eq!(
        world
            .wire(world.block.stranger())
            .connect("news.example:443")
            .status,
        403
    );
    origin.assert_untouched();
    world.recorded("news.example", "unassigned", Became::Refused);
}

#[test]
fn the_next_address_is_tried_when_the_first_is_dead() {
    let world = World::new();
    let (dead, alive) = (world.block.ip(10), world.block.ip(11));
    world.dns.name("two.example", &[dead.into(), alive.into()]);
    let origin = Origin::tcp(alive, 443, echo());
    let mut wire = world.ordinary();
    assert_eq!(wire.connect("two.example:443").status, 200);
    let hello = client_hello(Some("two.example"));
    wire.send(&hello);
    wire.exactly(hello.len());
    assert_eq!(origin.connections(), 1);
    drop(wire);
    let line = world.recorded("two.example", "culture", Became::Allowed);
    assert_eq!(
        world.gate.close_of(&line).text("destination.ip"),
        alive.to_string(),
        "what was dialled: {line:?}"
    );
}

#[test]
fn private_addresses_are_refused_by_name_and_by_literal() {
    let world = World::new();
    world.dns.v4("inside.example", "10.1.2.3".parse().unwrap());
    world
        .dns
        .v4("metadata.example", "169.254.169.254".parse().unwrap());
    world
        .dns
        .name("mapped.example", &["::ffff:10.1.2.3".parse().unwrap()]);
    world
        .dns
        .name("nat64.example", &["64:ff9b::a01:203".parse().unwrap()]);
    for target in [
        "inside.example",
        "metadata.example",
        "mapped.example",
        "nat64.example",
        "192.168.1.1",
    ] {
        let head = world.ordinary().connect(&format!("{target}:443"));
        assert_eq!(head.status, 403, "{target}: {}", head.text);
        let line = world.recorded(target, "culture", Became::Refused);
        assert_eq!(line.text(field::REASON), "forbidden-address", "{line:?}");
    }
}

#[test]
fn the_gate_does_not_connect_to_itself() {
    let world = World::new();
    world.dns.v4("loop.example", world.block.gate());
    let literal = world.block.gate().to_string();
    for host in ["loop.example", &literal] {
        for port in [3128, 9128] {
            let url = format!("http://{host}:{port}/");
            let answer = curl(&world.gate.url(), world.block.ordinary(), &[&url]);
            assert_eq!(answer.status, 403, "{url}");
        }
        let line = world.recorded(host, "culture", Became::Refused);
        assert_eq!(line.text(field::REASON), "forbidden-address", "{line:?}");
    }
    let labels = [("ministry", "culture"), ("verdict", "deny")];
    world.gate.counted("octroi_attempts_total", &labels, 4);
}

#[test]
fn sigterm_lets_an_open_tunnel_finish_and_takes_no_new_one() {
    let mut world = World::new();
    world.origin("long.example", 10, 443, echo());
    let mut wire = world.ordinary();
    assert_eq!(wire.connect("long.example:443").status, 200);
    let hello = client_hello(Some("long.example"));
    wire.send(&hello);
    wire.exactly(hello.len());
    world.gate.signal(Signal::TERM);
    eventually("the listener closes", || {
        std::net::TcpStream::connect(world.gate.address())
            .is_err()
            .then_some(())
    });
    wire.send("still here");
    assert_eq!(wire.exactly(10), "still here");
    assert!(world.gate.is_running());
    drop(wire);
    assert_eq!(world.gate.exit(), Some(0));
    let line = world.gate.decision("long.example");
    world.gate.close_of(&line);
}

#[test]
fn a_source_has_so_many_connections_and_no_more() {
    let world = Plan::new().set("limits", "per_source: 10").start();
    world.origin("news.example", 10, 443, echo());
    let mut held: Vec<_> = (0..10).map(|_| world.ordinary()).collect();
    for wire in &mut held {
        assert_eq!(wire.connect("news.example:443").status, 200);
    }
    let mut late = world.ordinary();
    late.send("CONNECT news.example:443 HTTP/1.1\r\nHost: news.example:443\r\n\r\n");
    let head = late.head();
    assert_eq!((head.status, head.field("retry-after")), (503, Some("5")));
    let elsewhere = world.wire(world.block.ip(203)).connect("news.example:443");
    assert_eq!(elsewhere.status, 200, "others are not hindered");
    world.gate.counted("octroi_client_errors_total", &[], 1);
    held.pop();
    eventually("there is room again", || {
        let mut wire = world.ordinary();
        wire.send("CONNECT news.example:443 HTTP/1.1\r\nHost: news.example:443\r\n\r\n");
        (wire.head().status == 200).then_some(())
    });
}

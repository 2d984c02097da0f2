//! What no well-behaved client, resolver or origin does: each has its own answer, and none a way in.

use std::net::{IpAddr, TcpListener};

use crate::harness::client::Wire;
use crate::harness::dns::Fault;
use crate::harness::eventually;
use crate::harness::ledger::Became;
use crate::harness::origin::{canned, http};
use crate::harness::world::{Plan, World};

/// Bytes sent on a connection of their own, the status they get and the word in metric and log.
const HEADS: &[(&str, &str, u16, &str)] = &[
    ("no request line", "GARBAGE\r\n\r\n", 400, "request-line"),
    (
        "a method that is none",
        "G(T http://news.example/ HTTP/1.1\r\nHost: news.example\r\n\r\n",
        400,
        "request-line",
    ),
    (
        "HTTP/0.9",
        "GET http://news.example/\r\n\r\n",
        400,
        "request-line",
    ),
    (
        "HTTP/3.0",
        "GET http://news.example/ HTTP/3.0\r\nHost: news.example\r\n\r\n",
        505,
        "http-version",
    ),
    (
        "https in absolute form",
        "GET https://news.example/ HTTP/1.1\r\nHost: news.example\r\n\r\n",
        400,
        "https-without-tunnel",
    ),
    (
        "ftp in absolute form",
        "GET ftp://news.example/ HTTP/1.1\r\nHost: news.example\r\n\r\n",
        501,
        "scheme",
    ),
    (
        "origin form",
        "GET /page HTTP/1.1\r\nHost: news.example\r\n\r\n",
        421,
        "origin-form",
    ),
    (
        "asterisk form",
        "OPTIONS * HTTP/1.1\r\nHost: news.example\r\n\r\n",
        400,
        "asterisk-form",
    ),
    (
        "TRACE",
        "TRACE http://news.example/ HTTP/1.1\r\nHost: news.example\r\n\r\n",
        501,
        "method-not-served",
    ),
    (
        "CONNECT without a port",
        "CONNECT news.example HTTP/1.1\r\nHost: news.example\r\n\r\n",
        400,
        "connect-port",
    ),
    (
        "CONNECT to port 0",
        "CONNECT news.example:0 HTTP/1.1\r\nHost: news.example\r\n\r\n",
        400,
        "target-host",
    ),
    (
        "CONNECT to port 65536",
        "CONNECT news.example:65536 HTTP/1.1\r\nHost: news.example\r\n\r\n",
        400,
        "target-host",
    ),
    (
        "CONNECT with a path",
        "CONNECT news.example:443/x HTTP/1.1\r\nHost: news.example\r\n\r\n",
        400,
        "target-host",
    ),
    (
        "no Host",
        "GET http://news.example/ HTTP/1.1\r\n\r\n",
        400,
        "host-missing",
    ),
    (
        "two Hosts",
        "GET http://news.example/ HTTP/1.1\r\nHost: news.example\r\nHost: news.example\r\n\r\n",
        400,
        "host-twice",
    ),
    (
        "two lengths",
        "POST http://news.example/ HTTP/1.1\r\nHost: news.example\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        400,
        "content-length",
    ),
    (
        "a list of lengths",
        "POST http://news.example/ HTTP/1.1\r\nHost: news.example\r\nContent-Length: 1, 2\r\n\r\nab",
        400,
        "content-length",
    ),
    (
        "a signed length",
        "POST http://news.example/ HTTP/1.1\r\nHost: news.example\r\nContent-Length: +1\r\n\r\na",
        400,
        "content-length",
    ),
    (
        "a length too long",
        "POST http://news.example/ HTTP/1.1\r\nHost: news.example\r\nContent-Length: 99999999999999999999999\r\n\r\na",
        400,
        "content-length",
    ),
    (
        "length and chunks",
        "POST http://news.example/ HTTP/1.1\r\nHost: news.example\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        400,
        "length-and-encoding",
    ),
    (
        "chunked twice",
        "POST http://news.example/ HTTP/1.1\r\nHost: news.example\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
        400,
        "transfer-encoding",
    ),
    (
        "chunked not last",
        "POST http://news.example/ HTTP/1.1\r\nHost: news.example\r\nTransfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n",
        400,
        "transfer-encoding",
    ),
    (
        "chunked disguised",
        "POST http://news.example/ HTTP/1.1\r\nHost: news.example\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        501,
        "transfer-coding",
    ),
    (
        "chunks in HTTP/1.0",
        "POST http://news.example/ HTTP/1.0\r\nHost: news.example\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        400,
        "transfer-encoding",
    ),
    (
        "a folded line",
        "GET http://news.example/ HTTP/1.1\r\nHost: news.example\r\nX: a\r\n b\r\n\r\n",
        400,
        "header-field",
    ),
    (
        "a blank before the colon",
        "GET http://news.example/ HTTP/1.1\r\nHost : news.example\r\n\r\n",
        400,
        "header-field",
    ),
    (
        "NUL in a value",
        "GET http://news.example/ HTTP/1.1\r\nHost: news.example\r\nX: a\0b\r\n\r\n",
        400,
        "control-character",
    ),
    (
        "CR in a value",
        "GET http://news.example/ HTTP/1.1\r\nHost: news.example\r\nX: a\rb\r\n\r\n",
        400,
        "line-end",
    ),
    (
        "lines that end in LF",
        "GET http://news.example/ HTTP/1.1\nHost: news.example\n\n",
        400,
        "line-end",
    ),
    ("SOCKS 5", "\x05\x01\x00\r\n\r\n", 400, "not-http"),
    (
        "a length on CONNECT",
        "CONNECT news.example:443 HTTP/1.1\r\nHost: news.example\r\nContent-Length: 3\r\n\r\nabc",
        400,
        "connect-body",
    ),
    (
        "an unknown expectation",
        "POST http://news.example/ HTTP/1.1\r\nHost: news.example\r\nExpect: miracles\r\nContent-Length: 1\r\n\r\na",
        417,
        "expectation",
    ),
];

/// CONNECT targets that are no name or address.
const TARGETS: &[&str] = &[
    "news%2eexample:443",
    "news..example:443",
    ".news.example:443",
    "news.exa\0mple:443",
    "user@news.example:443",
    "user:secret@news.example:443",
    "0177.0.0.1:443",
    "0x7f.0.0.1:443",
    "0x7f000001:443",
    "2130706433:443",
    "127.1:443",
    "127.0.0.1.5:443",
    "[fe80::1%25eth0]:443",
    "[fe80::1%eth0]:443",
    "[::1:443",
    "::1:443",
    "[v1.x]:443",
    ":443",
    "news.example:443:443",
    "new s.example:443",
    "news_example\u{7f}:443",
    "-:443\t",
];

fn refused_heads(world: &World) -> u64 {
    world
        .gate
        .metrics()
        .total("octroi_client_errors_total", &[])
}

/// The reasons of the reject lines so far.
fn rejected(world: &World) -> Vec<String> {
    let rejects = world
        .gate
        .audit()
        .into_iter()
        .filter(|l| l.text("event.action") == "reject");
    rejects.map(|line| line.text("event.reason")).collect()
}

#[test]
fn malformed_heads_each_get_their_status_metric_and_line() {
    let world = World::new();
    let origin = world.origin("news.example", 10, 80, http());
    let mut wrong = Vec::new();
    for (count, (what, bytes, status, reason)) in (1..).zip(HEADS) {
        let mut wire = world.ordinary();
        wire.send(bytes);
        let head = wire.head();
        wire.rest();
        let reasons = eventually(&format!("{what} has its line"), || {
            let reasons = rejected(&world);
            (reasons.len() >= count).then_some(reasons)
        });
        let got = (head.status, reasons[count - 1].as_str());
        if got != (*status, reason) {
            wrong.push(format!("{what}: {got:?} instead of {:?}", (status, reason)));
        }
        world
            .gate
            .counted("octroi_client_errors_total", &[("reason", got.1)], 1);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(refused_heads(&world), HEADS.len() as u64);
    origin.assert_untouched();
}

#[test]
fn absurd_targets_are_refused() {
    let world = World::new();
    let long = format!("{}:443", ["a"; 200].join("."));
    let label = format!("{}.example:443", "a".repeat(64));
    let targets = TARGETS
        .iter()
        .copied()
        .chain([long.as_str(), label.as_str()]);
    let mut wrong = Vec::new();
    for (count, target) in (1..).zip(targets) {
        let status = world.ordinary().connect(target).status;
        if status != 400 {
            wrong.push(format!("{target:?}: {status}"));
        }
        eventually("each has its line", || {
            (rejected(&world).len() >= count).then_some(())
        });
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(refused_heads(&world), rejected(&world).len() as u64);
}

#[test]
fn an_oversized_head_is_431() {
    let world = World::new();
    let origin = world.origin("news.example", 10, 80, http());
    let mut wire = world.ordinary();
    let filler = "x".repeat(70 * 1024);
    wire.send(format!(
        "GET http://news.example/ HTTP/1.1\r\nHost: news.example\r\nX: {filler}\r\n\r\n"
    ));
    assert_eq!(wire.head().status, 431);
    origin.assert_untouched();
    eventually("it is counted", || {
        (refused_heads(&world) > 0).then_some(())
    });
}

#[test]
fn a_head_that_never_ends_is_408() {
    let world = Plan::new().set("limits", "head_timeout: 500ms").start();
    let mut wire = world.ordinary();
    wire.send("CONNECT news.example:443 HT");
    assert_eq!(wire.head().status, 408);
    wire.rest();
    eventually("it is counted", || {
        (refused_heads(&world) > 0).then_some(())
    });
}

#[test]
fn a_silent_client_is_let_go_without_a_word() {
    let world = Plan::new().set("limits", "head_timeout: 500ms").start();
    let mut wire = world.ordinary();
    let said = String::from_utf8(wire.rest()).unwrap();
    assert!(
        said.is_empty() || said.starts_with("HTTP/1.1 408"),
        "{said}"
    );
}

#[test]
fn a_smuggled_second_request_is_never_sent() {
    let world = World::new();
    let origin = world.origin("news.example", 10, 80, http());
    let mut wire = world.ordinary();
    wire.send("POST http://news.example/ HTTP/1.1\r\nHost: news.example\r\nContent-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET http://news.example/smuggled HTTP/1.1\r\nHost: news.example\r\n\r\n");
    assert_eq!(wire.head().status, 400);
    wire.rest();
    origin.assert_untouched();
}

#[test]
fn dns_failures_each_get_their_status() {
    let world = Plan::new().set("dns", "timeout: 500ms").start();
    world.dns.fault("servfail.example", Fault::ServFail);
    world.dns.fault("nxdomain.example", Fault::NxDomain);
    world.dns.fault("silent.example", Fault::Silence);
    world.dns.name("empty.example", &[]);
    for (host, status) in [
        ("nxdomain", 502),
        ("servfail", 502),
        ("empty", 502),
        ("silent", 504),
    ] {
        let host = format!("{host}.example");
        let before = upstream_errors(&world);
        let head = world.ordinary().connect(&format!("{host}:443"));
        assert_eq!(head.status, status, "{host}: {}", head.text);
        let proxy_status = head.field("proxy-status").unwrap_or_default();
        assert!(
            proxy_status.contains("error=dns_"),
            "{host}: {proxy_status}"
        );
        eventually("it is counted", || {
            (upstream_errors(&world) > before).then_some(())
        });
        world
            .gate
            .close_of(&world.recorded(&host, "culture", Became::Allowed));
    }
}

fn upstream_errors(world: &World) -> u64 {
    world
        .gate
        .metrics()
        .total("octroi_upstream_errors_total", &[])
}

#[test]
fn a_dead_origin_is_502_and_a_silent_one_504() {
    let world = Plan::new().set("upstream", "connect_timeout: 1s").start();
    world.dns.v4("refused.example", world.block.ip(10));
    let full = Full::listen(world.block.ip(11).into());
    world.dns.v4("full.example", world.block.ip(11));
    for (host, status, error) in [
        ("refused.example", 502, "connection_refused"),
        ("full.example", 504, "connection_timeout"),
    ] {
        let head = world.ordinary().connect(&format!("{host}:443"));
        assert_eq!(head.status, status, "{host}: {}", head.text);
        let proxy_status = head.field("proxy-status").unwrap_or_default();
        assert!(proxy_status.contains(error), "{host}: {proxy_status}");
        world
            .gate
            .close_of(&world.recorded(host, "culture", Became::Allowed));
    }
    assert_eq!(upstream_errors(&world), 2);
    drop(full);
}

/// A listener whose queue is full: the kernel drops further SYNs, so a dial runs into its time-out.
struct Full {
    _listener: TcpListener,
    _waiting: Vec<socket2::Socket>,
}

impl Full {
    fn listen(address: IpAddr) -> Self {
        let at = std::net::SocketAddr::from((address, 443)).into();
        let listener =
            socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        listener.bind(&at).unwrap();
        listener.listen(0).unwrap();
        let waiting = (0..4).map(|_| {
            let socket =
                socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
            socket.set_nonblocking(true).unwrap();
            drop(socket.connect(&at));
            socket
        });
        Self {
            _waiting: waiting.collect(),
            _listener: listener.into(),
        }
    }
}

#[test]
fn an_origin_that_talks_nonsense_is_502() {
    let world = World::new();
    world.origin(
        "nonsense.example",
        10,
        80,
        canned("this is no HTTP\r\n\r\n"),
    );
    world.origin(
        "smuggle.example",
        11,
        80,
        canned("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nab"),
    );
    for host in ["nonsense.example", "smuggle.example"] {
        let answer = world.curl(world.block.ordinary(), &[&format!("http://{host}/")]);
        assert_eq!(answer.status, 502, "{host}: {}", answer.heads);
        world.recorded(host, "culture", Became::Allowed);
    }
}

#[test]
fn the_gate_outlives_random_bytes() {
    let mut world = World::new();
    // A small linear congruential generator: the bytes are the same in every run.
    let mut state = 42u32;
    for length in 1..60 {
        let bytes: Vec<u8> = (0..length * 7)
            .map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (state >> 24) as u8
            })
            .collect();
        let mut wire: Wire = world.ordinary();
        wire.send(bytes);
        wire.finish();
        wire.rest();
    }
    assert!(world.gate.is_running());
    assert_eq!(world.gate.ask("GET", "/-/healthy").status, 200);
}

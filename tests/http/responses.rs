//! Responses: what an origin may say, and what the client gets of it.

use std::sync::Arc;

use super::{answers, ask, get, repeats, say};
use crate::harness::client::Wire;
use crate::harness::origin::{canned, http, read_head};
use crate::harness::world::World;

/// Responses that two readers could read otherwise, or that are none.
const BAD: &[(&str, &str)] = &[
    (
        "two lengths",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nabc",
    ),
    (
        "a list of lengths",
        "HTTP/1.1 200 OK\r\nContent-Length: 2, 3\r\n\r\nabc",
    ),
    (
        "a signed length",
        "HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\nab",
    ),
    (
        "a negative length",
        "HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\nab",
    ),
    (
        "a length too long",
        "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\nab",
    ),
    (
        "an empty length",
        "HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\nab",
    ),
    (
        "another coding",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: xchunked\r\n\r\n2\r\nab\r\n0\r\n\r\n",
    ),
    (
        "identity",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\n\r\nab",
    ),
    (
        "two codings",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n",
    ),
    (
        "chunked twice",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n",
    ),
    (
        "chunked not last",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, gzip\r\n\r\n2\r\nab\r\n0\r\n\r\n",
    ),
    (
        "chunks in HTTP/1.0",
        "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n",
    ),
    (
        "CR in a value",
        "HTTP/1.1 200 OK\r\nX: a\rSet-Cookie: b\r\nContent-Length: 2\r\n\r\nab",
    ),
    (
        "NUL in a value",
        "HTTP/1.1 200 OK\r\nX: a\0b\r\nContent-Length: 2\r\n\r\nab",
    ),
    (
        "CR in the reason",
        "HTTP/1.1 200 O\rK\r\nContent-Length: 2\r\n\r\nab",
    ),
    (
        "a name that is none",
        "HTTP/1.1 200 OK\r\nX(: a\r\nContent-Length: 2\r\n\r\nab",
    ),
    (
        "a line without a colon",
        "HTTP/1.1 200 OK\r\nnonsense\r\nContent-Length: 2\r\n\r\nab",
    ),
    ("HTTP/0.9", "<html>hello</html>"),
    ("HTTP/2", "HTTP/2 200 OK\r\nContent-Length: 2\r\n\r\nab"),
    ("no status", "HTTP/1.1 OK\r\nContent-Length: 2\r\n\r\nab"),
    (
        "status 99",
        "HTTP/1.1 099 OK\r\nContent-Length: 2\r\n\r\nab",
    ),
    (
        "four digits",
        "HTTP/1.1 2000 OK\r\nContent-Length: 2\r\n\r\nab",
    ),
    (
        "a switch that nobody asked for",
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nab",
    ),
];

#[test]
fn a_response_that_two_readers_read_otherwise_is_502() {
    let world = World::new();
    let mut wrong = Vec::new();
    for (last, (what, text)) in (10..).zip(BAD) {
        let host = format!("bad{last}.example");
        world.origin(&host, last, 80, canned(text));
        let mut wire = world.ordinary();
        wire.send(get(&host, "/", &["Connection: close"]));
        let said = String::from_utf8_lossy(&wire.rest()).into_owned();
        let word = said.contains("origin-protocol");
        if !said.starts_with("HTTP/1.1 502 ") || !word {
            wrong.push(format!(
                "{what}: {}",
                said.escape_debug().take(160).collect::<String>()
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Chunked responses whose end nobody knows: the client must not take them for whole.
const BROKEN: &[(&str, &str)] = &[
    ("a size with a prefix", "2\r\nab\r\n0x2\r\ncd\r\n0\r\n\r\n"),
    ("a negative size", "2\r\nab\r\n-2\r\ncd\r\n0\r\n\r\n"),
    (
        "a size too large",
        "2\r\nab\r\nFFFFFFFFFFFFFFFFF\r\ncd\r\n0\r\n\r\n",
    ),
    ("LF behind the size", "2\r\nab\r\n2\ncd\r\n0\r\n\r\n"),
    ("nothing behind the chunk", "2\r\nab\r\n2\r\ncd0\r\n\r\n"),
    ("no last chunk", "2\r\nab\r\n"),
    ("half a chunk", "2\r\nab\r\n5\r\ncd"),
];

#[test]
fn chunks_that_break_off_stay_visibly_broken() {
    let world = World::new();
    for (last, (what, body)) in (10..).zip(BROKEN) {
        let host = format!("broken{last}.example");
        let text = format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{body}");
        world.origin(&host, last, 80, canned(text.leak()));
        let mut wire = world.ordinary();
        wire.send(get(&host, "/", &["Connection: close"]));
        let said = String::from_utf8_lossy(&wire.rest()).into_owned();
        assert!(said.starts_with("HTTP/1.1 200 "), "{what}: {said}");
        assert!(!said.ends_with("\r\n0\r\n\r\n"), "{what}: {said}");
    }
}

/// RFC 9112 section 5.2: a folded line is one line, and what looks like a field in it is none.
#[test]
fn folded_lines_are_unfolded() {
    const TEXT: &str = "HTTP/1.1 200 OK\r\nX: a\r\n Content-Length: 0\r\nX-B: b\r\n\tc\r\nContent-Length: 2\r\n\r\nab";
    let world = World::new();
    world.origin("fold.example", 10, 80, answers(&[TEXT]));
    let mut wire = world.ordinary();
    wire.send(get("fold.example", "/", &[]));
    let head = wire.head();
    assert_eq!(head.field("x"), Some("a Content-Length: 0"));
    assert_eq!(head.field("x-b"), Some("b c"));
    assert_eq!(wire.body(&head), "ab");
}

/// RFC 9112 section 6.3: chunks win, and the length goes no further.
#[test]
fn of_length_and_chunks_the_client_sees_one() {
    const TEXT: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nwhole\r\n0\r\n\r\n";
    let world = World::new();
    world.origin("both.example", 10, 80, answers(&[TEXT]));
    let mut wire = world.ordinary();
    wire.send(get("both.example", "/", &["Connection: close"]));
    let head = wire.head();
    assert_eq!((head.status, head.field("content-length")), (200, None));
    assert_eq!(head.field("transfer-encoding"), Some("chunked"));
    assert_eq!(wire.rest(), b"5\r\nwhole\r\n0\r\n\r\n");
}

/// What follows a response that has no body is no body, and no answer to the next request.
#[test]
fn a_response_without_a_body_has_none() {
    const CASES: [(&str, &str); 4] = [
        (
            "GET",
            "HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\nab",
        ),
        (
            "GET",
            "HTTP/1.1 304 Not Modified\r\nContent-Length: 2\r\n\r\nab",
        ),
        ("HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab"),
        (
            "HEAD",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n",
        ),
    ];
    let world = World::new();
    for (last, (method, text)) in (10..).zip(CASES) {
        let host = format!("none{last}.example");
        let honest = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhonest";
        world.origin(&host, last, 80, answers(vec![text, honest].leak()));
        let mut wire = world.ordinary();
        wire.send(ask(method, &host, "/", &[]));
        wire.head();
        wire.send(get(&host, "/", &[]));
        assert_eq!(super::answer(&mut wire), (200, "honest".into()), "{text}");
    }
}

#[test]
fn early_hints_and_other_interim_answers_pass_to_who_can_read_them() {
    const TEXT: &str = "HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\n\r\nHTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab";
    let world = World::new();
    world.origin("hints.example", 10, 80, answers(&[TEXT, TEXT]));
    let mut wire = world.ordinary();
    wire.send(get("hints.example", "/", &[]));
    let hints = wire.head();
    assert_eq!(
        (hints.status, hints.field("link")),
        (103, Some("</a>; rel=preload"))
    );
    assert_eq!(wire.head().status, 102);
    assert_eq!(super::answer(&mut wire), (200, "ab".into()));
    let mut old = world.ordinary();
    old.send("GET http://hints.example/ HTTP/1.0\r\n\r\n");
    let said = String::from_utf8_lossy(&old.rest()).into_owned();
    assert!(
        said.starts_with("HTTP/1.") && said.contains(" 200 OK\r\n"),
        "{said}"
    );
    assert!(!said.contains("103") && !said.contains("102"), "{said}");
}

#[test]
fn interim_answers_have_a_limit() {
    let world = World::new();
    let many = "HTTP/1.1 103 Early Hints\r\n\r\n".repeat(1000);
    let text = many + "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab";
    world.origin("flood.example", 10, 80, canned(text.leak()));
    let mut wire = world.ordinary();
    wire.send(get("flood.example", "/", &["Connection: close"]));
    let said = String::from_utf8_lossy(&wire.rest()).into_owned();
    assert!(said.matches(" 103 ").count() < 100, "{}", said.len());
    assert!(said.contains("HTTP/1.1 502 "), "{}", said.len());
}

#[test]
fn a_response_head_has_a_limit() {
    let world = World::new();
    let field = format!("X: {}\r\n", "x".repeat(1000));
    let many: String = (0..300).map(|n| format!("X{n}: 1\r\n")).collect();
    for (last, (host, fields)) in
        (10..).zip([("wide.example", field.repeat(100)), ("many.example", many)])
    {
        let text = format!("HTTP/1.1 200 OK\r\n{fields}Content-Length: 2\r\n\r\nab");
        world.origin(host, last, 80, canned(text.leak()));
        let mut wire = world.ordinary();
        wire.send(get(host, "/", &["Connection: close"]));
        let said = String::from_utf8_lossy(&wire.rest()).into_owned();
        assert!(said.starts_with("HTTP/1.1 502 "), "{host}: {}", said.len());
    }
}

/// A client that waits for leave to send its body, and an origin that gives it.
#[test]
fn leave_to_send_a_body_comes_from_the_origin() {
    let world = World::new();
    let origin = world.origin(
        "upload.example",
        10,
        80,
        Arc::new(|conn| {
            let Some(head) = read_head(conn) else { return };
            assert!(
                head.to_ascii_lowercase()
                    .contains("\r\nexpect: 100-continue\r\n")
            );
            let _ = say(conn, "HTTP/1.1 100 Continue\r\n\r\n");
            crate::harness::origin::read_body(conn, &head);
            let _ = say(conn, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab");
        }),
    );
    let mut wire = world.ordinary();
    wire.send(ask(
        "POST",
        "upload.example",
        "/",
        &["Expect: 100-continue", "Content-Length: 4"],
    ));
    assert_eq!(wire.head().status, 100);
    wire.send("body");
    assert_eq!(super::answer(&mut wire), (200, "ab".into()));
    assert!(origin.text().ends_with("\r\n\r\nbody"));
}

/// An answer instead of leave: what the client sends then is not known to be the body, so nothing of it goes on.
#[test]
fn after_an_answer_instead_of_leave_nothing_more_goes_on() {
    let world = World::new();
    let origin = world.origin(
        "upload.example",
        10,
        80,
        repeats("HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\n\r\nno"),
    );
    let mut wire = world.ordinary();
    let smuggled = "GET /smuggled HTTP/1.1\r\nHost: other.example\r\n\r\n";
    let length = format!("Content-Length: {}", smuggled.len());
    wire.send(ask(
        "POST",
        "upload.example",
        "/",
        &["Expect: 100-continue", &length],
    ));
    assert_eq!(super::answer(&mut wire), (401, "no".into()));
    // The gate may have hung up.
    let _ = std::io::Write::write_all(&mut wire.stream, smuggled.as_bytes());
    assert!(wire.rest().is_empty());
    assert!(!origin.text().contains("smuggled"), "{}", origin.text());
}

#[test]
fn a_switch_of_protocols_is_the_one_that_was_asked_for() {
    let world = World::new();
    for (last, answer) in (10..).zip([
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\nab",
        "HTTP/1.1 101 Switching Protocols\r\n\r\nab",
    ]) {
        let host = format!("ws{last}.example");
        world.origin(&host, last, 80, answers(vec![answer].leak()));
        let mut wire = world.ordinary();
        wire.send(get(&host, "/", WEBSOCKET));
        let said = String::from_utf8_lossy(&wire.rest()).into_owned();
        assert!(said.starts_with("HTTP/1.1 502 "), "{answer}: {said}");
    }
}

const WEBSOCKET: &[&str] = &[
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
];

/// h2c and TLS inside a plain connection would carry requests that nobody judges.
#[test]
fn other_upgrades_are_not_asked_for() {
    let world = World::new();
    let origin = world.origin("news.example", 10, 80, http());
    for fields in [
        &[
            "Connection: Upgrade, HTTP2-Settings",
            "Upgrade: h2c",
            "HTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA",
        ][..],
        &["Connection: Upgrade", "Upgrade: TLS/1.0"],
        &["Connection: Upgrade", "Upgrade: websocket, h2c"],
        &["Connection: Upgrade", "Upgrade: h2c", "Upgrade: websocket"],
    ] {
        let mut wire = world.ordinary();
        wire.send(get("news.example", "/", fields));
        assert_eq!(super::answer(&mut wire).0, 200);
    }
    let seen = origin.text().to_ascii_lowercase();
    for never in ["upgrade", "http2-settings", "h2c", "tls/1.0"] {
        assert!(!seen.contains(never), "{never}: {seen}");
    }
    // Prior knowledge of HTTP/2.
    let mut wire = world.ordinary();
    wire.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    assert_eq!(wire.head().status, 505);
}

/// Bytes sent with a refused upgrade are no part of anything.
#[test]
fn what_follows_a_refused_upgrade_is_judged_as_a_request() {
    let world = World::new();
    let no = repeats("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nno");
    let origin = world.origin("ws.example", 10, 80, no);
    let denied = world.origin("www.drop.example", 11, 80, http());
    let mut wire: Wire = world.ordinary();
    wire.send(get("ws.example", "/", WEBSOCKET) + &get("www.drop.example", "/next", &[]));
    assert_eq!(super::answer(&mut wire), (200, "no".into()));
    assert_eq!(super::answer(&mut wire).0, 403);
    denied.assert_untouched();
    assert!(!origin.text().contains("/next"), "{}", origin.text());
}

//! Bodies of requests: each ends in one place, and nothing behind it is taken for part of it.

use super::{ask, get};
use crate::harness::eventually;
use crate::harness::ledger::Became;
use crate::harness::origin::http;
use crate::harness::world::World;

/// Chunked bodies that are read, and what the origin gets of them.
const GOOD: &[(&str, &str, &str)] = &[
    ("two chunks", "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n", "abcde"),
    (
        "capitals and zeros",
        "00A\r\n0123456789\r\n00\r\n\r\n",
        "0123456789",
    ),
    (
        "an extension",
        "3;a=b;c=\"d\"\r\nabc\r\n0;last\r\n\r\n",
        "abc",
    ),
    ("a trailer", "3\r\nabc\r\n0\r\nX-After: 1\r\n\r\n", "abc"),
    (
        "trailers that would frame, route and authorise",
        "3\r\nabc\r\n0\r\nContent-Length: 9\r\nTransfer-Encoding: gzip\r\nHost: www.drop.example\r\nAuthorization: x\r\n\r\n",
        "abc",
    ),
];

/// Chunked bodies that two readers could read otherwise.
const BAD: &[(&str, &str)] = &[
    ("hexadecimal with a prefix", "0x3\r\nabc\r\n0\r\n\r\n"),
    ("a sign", "+3\r\nabc\r\n0\r\n\r\n"),
    ("negative", "-3\r\nabc\r\n0\r\n\r\n"),
    ("no number", "zz\r\nabc\r\n0\r\n\r\n"),
    ("no number at all", "\r\nabc\r\n0\r\n\r\n"),
    ("only an extension", ";a\r\nabc\r\n0\r\n\r\n"),
    ("more than 64 bits", "10000000000000003\r\nabc\r\n0\r\n\r\n"),
    ("all of 64 bits", "FFFFFFFFFFFFFFFF\r\nabc\r\n0\r\n\r\n"),
    (
        "zeros without end",
        "0000000000000000000000003\r\nabc\r\n0\r\n\r\n",
    ),
    ("LF behind the size", "3\nabc\r\n0\r\n\r\n"),
    ("LF behind the chunk", "3\r\nabc\n0\r\n\r\n"),
    ("LF in an extension", "3;a\nb\r\nabc\r\n0\r\n\r\n"),
    ("CR in an extension", "3;a\rb\r\nabc\r\n0\r\n\r\n"),
    ("NUL in an extension", "3;a\0b\r\nabc\r\n0\r\n\r\n"),
    ("nothing behind the chunk", "3\r\nabc0\r\n\r\n"),
    ("more than the chunk", "3\r\nabcdef\r\n0\r\n\r\n"),
    ("a blank before the size", " 3\r\nabc\r\n0\r\n\r\n"),
    ("a blank in the size", "0 3\r\nabc\r\n0\r\n\r\n"),
    (
        "a trailer line that ends in LF",
        "3\r\nabc\r\n0\r\nX: 1\n\r\n",
    ),
    ("a last line that ends in LF", "3\r\nabc\r\n0\r\n\n"),
];

const SECOND: &str = "GET http://news.example/second HTTP/1.1\r\nHost: news.example\r\n\r\n";

#[test]
fn chunks_are_read_to_their_end_and_written_anew() {
    let world = World::new();
    let origin = world.origin("news.example", 10, 80, http());
    let mut wire = world.ordinary();
    for (what, body, expected) in GOOD {
        let post = ask("POST", "news.example", "/", &["Transfer-Encoding: chunked"]);
        wire.send(format!("{post}{body}"));
        let (status, said) = super::answer(&mut wire);
        let arrived = said.split_once('\n').map(|(_, body)| body);
        assert_eq!((status, arrived), (200, Some(*expected)), "{what}");
    }
    let seen = origin.text().to_ascii_lowercase();
    for never in [
        "x-after",
        "authorization",
        "www.drop",
        "content-length",
        "gzip",
        ";a=b",
    ] {
        assert!(!seen.contains(never), "{never} got through: {seen}");
    }
}

#[test]
fn chunks_that_two_readers_read_otherwise_end_the_request() {
    let world = World::new();
    let origin = world.origin("news.example", 10, 80, http());
    let mut wrong = Vec::new();
    for (what, body) in BAD {
        let mut wire = world.ordinary();
        let post = ask("POST", "news.example", "/", &["Transfer-Encoding: chunked"]);
        wire.send(format!("{post}{body}{SECOND}"));
        wire.finish();
        let said = String::from_utf8_lossy(&wire.rest()).into_owned();
        if !said.starts_with("HTTP/1.1 400 ") || said.matches("HTTP/1.1").count() > 1 {
            wrong.push(format!(
                "{what}: {}",
                said.lines().next().unwrap_or_default()
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let seen = origin.text();
    assert!(
        !seen.contains("/second"),
        "what follows is no request: {seen}"
    );
    assert!(
        !seen.contains("\r\n0\r\n\r\n"),
        "no body was ended for them: {seen}"
    );
}

#[test]
fn trailers_have_a_limit() {
    let world = World::new();
    let origin = world.origin("news.example", 10, 80, http());
    let mut wire = world.ordinary();
    let post = ask("POST", "news.example", "/", &["Transfer-Encoding: chunked"]);
    let line = format!("X: {}\r\n", "x".repeat(1000));
    let trailers = line.repeat(80);
    // The gate may hang up before it has read all of it.
    let _ = std::io::Write::write_all(
        &mut wire.stream,
        format!("{post}3\r\nabc\r\n0\r\n{trailers}\r\n").as_bytes(),
    );
    let said = String::from_utf8_lossy(&wire.rest()).into_owned();
    assert!(said.starts_with("HTTP/1.1 400 "), "{said}");
    assert!(!origin.text().contains("\r\n0\r\n\r\n"));
}

#[test]
fn a_body_goes_with_any_method_and_what_follows_is_judged_by_itself() {
    let world = World::new();
    let origin = world.origin("news.example", 10, 80, http());
    let drop = world.origin("www.drop.example", 11, 80, http());
    let hidden = get("www.drop.example", "/hidden", &[]);
    for method in ["GET", "DELETE", "OPTIONS", "FROBNICATE"] {
        let mut wire = world.ordinary();
        let length = format!("Content-Length: {}", hidden.len());
        let first = ask(method, "news.example", "/first", &[&length]);
        let next = get("www.drop.example", "/next", &[]);
        wire.send(format!("{first}{hidden}{next}"));
        let (status, said) = super::answer(&mut wire);
        assert_eq!(status, 200, "{method}");
        assert!(
            said.contains("http://www.drop.example/hidden"),
            "the body, whole: {said}"
        );
        assert_eq!(
            super::answer(&mut wire).0,
            403,
            "{method}: the next is a request"
        );
    }
    drop.assert_untouched();
    assert!(!origin.text().contains("/next"));
    world.recorded("www.drop.example", "culture", Became::Refused);
}

#[test]
fn a_request_behind_a_body_in_pieces_is_never_part_of_it() {
    let world = World::new();
    let origin = world.origin("news.example", 10, 80, http());
    let drop = world.origin("www.drop.example", 11, 80, http());
    let mut wire = world.ordinary();
    wire.send(ask("POST", "news.example", "/", &["Content-Length: 6"]) + "abc");
    eventually("the first half is there", || {
        origin.text().ends_with("abc").then_some(())
    });
    wire.send(format!("def{}", get("www.drop.example", "/next", &[])));
    let (status, said) = super::answer(&mut wire);
    assert_eq!((status, said.ends_with("abcdef")), (200, true), "{said}");
    assert_eq!(super::answer(&mut wire).0, 403);
    drop.assert_untouched();
    assert!(origin.text().ends_with("abcdef"));
}

#[test]
fn an_upload_that_is_cut_short_is_never_whole_upstream() {
    let world = World::new();
    let origin = world.origin("news.example", 10, 80, http());
    for (framing, body) in [
        ("Content-Length: 10", "abc"),
        ("Transfer-Encoding: chunked", "3\r\nabc\r\n"),
    ] {
        let mut wire = world.ordinary();
        wire.send(ask("POST", "news.example", "/", &[framing]) + body);
        wire.finish();
        let said = String::from_utf8_lossy(&wire.rest()).into_owned();
        assert_eq!(said, "", "{framing}: nobody is there to be answered");
    }
    eventually("the origin is let go", || {
        (origin.open() == 0).then_some(())
    });
    let seen = origin.text();
    assert_eq!(seen.matches("POST / HTTP/1.1").count(), 2, "{seen}");
    assert!(!seen.contains("\r\n0\r\n\r\n"), "{seen}");
}

#[test]
fn an_old_client_is_served_once() {
    let world = World::new();
    let origin = world.origin("news.example", 10, 80, http());
    let mut wire = world.ordinary();
    let first = "GET http://news.example/old HTTP/1.0\r\nConnection: keep-alive\r\n\r\n";
    wire.send(format!("{first}{SECOND}"));
    let said = String::from_utf8_lossy(&wire.rest()).into_owned();
    assert_eq!(said.matches("HTTP/1.1 200 OK").count(), 1, "{said}");
    let seen = origin.text();
    assert!(
        seen.starts_with("GET /old HTTP/1.1\r\nHost: news.example\r\n"),
        "{seen}"
    );
    assert!(!seen.contains("/second"), "{seen}");
}

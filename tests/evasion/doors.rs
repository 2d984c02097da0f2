//! The gate's own front: what comes first on a connection, and what it serves itself.

use super::case::{Step, Table};
use super::flow::denied_drop;

/// First words that are no request of HTTP; the connection ends, whoever the rest is for.
const FIRST_WORDS: &[(&str, &[u8], &str)] = &[
    ("a PROXY header", b"PROXY TCP4 10.2.0.1 51.15.0.1 4000 3128\r\nCONNECT n1.partner.example:443 HTTP/1.1\r\n\r\n", "request-line"),
    ("a binary PROXY header", b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\x0a\x02\0\x01\x33\x0f\0\x01\x0f\xa0\x0c\x38", "not-http"),
    ("SOCKS 5", b"\x05\x01\x00\r\n\r\n", "not-http"),
    ("SOCKS 4", b"\x04\x01\x01\xbb\x42\xdc\x01\x01\0\r\n\r\n", "not-http"),
    ("a blank line", b"\r\nGET http://news.example/ HTTP/1.1\r\nHost: news.example\r\n\r\n", "not-http"),
    ("a blank", b" GET http://news.example/ HTTP/1.1\r\nHost: news.example\r\n\r\n", "not-http"),
    ("a NUL", b"\0GET http://news.example/ HTTP/1.1\r\nHost: news.example\r\n\r\n", "not-http"),
    ("a byte order mark", b"\xef\xbb\xbfGET http://news.example/ HTTP/1.1\r\nHost: news.example\r\n\r\n", "not-http"),
    ("the banner of SSH", b"SSH-2.0-OpenSSH_9.2\r\n\r\n", "request-line"),
    ("a greeting of SMTP", b"EHLO drop.example\r\n\r\n", "request-line"),
];

pub(super) fn cases(table: &mut Table) {
    for (what, bytes, reason) in FIRST_WORDS {
        table.add(format!("first of all {what}"), |case| {
            case.sends(bytes).step(Step::Answer).rejected(400, reason)
        });
    }
    table.add("first of all a hello of TLS", |case| {
        let hello = crate::harness::hello::Hello::named(&case.cast.bad).bytes();
        case.sends(hello)
            .step(Step::Answer)
            .rejected(400, "not-http")
    });
    table.add("first of all nothing", |mut case| {
        case.expect.answers.clear();
        case.step(Step::Finish)
    });
    for (path, host) in [
        ("/", "{bad}"),
        ("/proxy.pac", "{bad}"),
        ("/?http://{bad}/", "{bad}"),
    ] {
        table.add(
            format!("a page of the gate's own, {path}, with a denied Host"),
            |case| {
                let case = case.writes(&format!(
                    "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
                ));
                case.step(Step::Answer).answered(200)
            },
        );
    }
    table.add("a page of the gate's own, and a request to a denied host behind it", |case| {
        let bad = case.cast.bad.clone();
        let case = case.writes("GET / HTTP/1.1\r\nHost: gate\r\n\r\nGET http://{bad}/ HTTP/1.1\r\nHost: {bad}\r\nConnection: close\r\n\r\n");
        let case = case.step(Step::Answer).step(Step::Answer).answered(200).answered(403);
        case.flow(denied_drop(&bad))
    });
    table.add("a POST to a page of the gate's own", |case| {
        let case = case.writes("POST / HTTP/1.1\r\nHost: gate\r\nContent-Length: 0\r\n\r\n");
        case.step(Step::Answer).rejected(421, "origin-form")
    });
    table.add("a page of the gate's own that is none", |case| {
        let case = case.writes("GET /../-/reload HTTP/1.1\r\nHost: gate\r\n\r\n");
        case.step(Step::Answer).rejected(421, "origin-form")
    });
}

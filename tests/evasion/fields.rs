//! What of a head goes on, what is too much, and what origins answer.

use super::case::{Step, Table};
use super::flow::{allowed, denied_drop};
use super::requests::seen;
use crate::harness::origin::canned;

pub(super) fn cases(table: &mut Table) {
    fields(table);
    heads(table);
    upgrades(table);
    answers(table);
}

/// Fields that are for the gate or for one connection, and must not go on.
fn fields(table: &mut Table) {
    let hop = [
        (
            "Proxy-Authorization",
            "Proxy-Authorization: Basic c2VjcmV0\r\n",
            "c2VjcmV0",
        ),
        (
            "Proxy-Authorization in small letters",
            "proxy-authorization: Basic c2VjcmV0\r\n",
            "c2VjcmV0",
        ),
        (
            "Proxy-Connection",
            "Proxy-Connection: keep-alive\r\n",
            "proxy-connection",
        ),
        ("Keep-Alive", "Keep-Alive: timeout=5\r\n", "timeout=5"),
        ("TE", "TE: trailers\r\nConnection: TE\r\n", "te: trailers"),
        (
            "a field that Connection names",
            "X-Hop: secret\r\nConnection: X-Hop\r\n",
            "secret",
        ),
        (
            "a field that a second Connection names",
            "X-Hop: secret\r\nConnection: a\r\nConnection: b, x-hop\r\n",
            "secret",
        ),
        (
            "Upgrade to HTTP/2",
            "Upgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\nConnection: Upgrade, HTTP2-Settings\r\n",
            "h2c",
        ),
        (
            "Upgrade to TLS",
            "Upgrade: TLS/1.2\r\nConnection: Upgrade\r\n",
            "TLS/1.2",
        ),
        (
            "Proxy-Authenticate",
            "Proxy-Authenticate: Basic\r\n",
            "proxy-authenticate",
        ),
    ];
    for (what, fields, text) in hop {
        table.add(format!("a request with {what}"), |case| {
            let (ok, ip) = (case.cast.ok.clone(), case.cast.ok_ip);
            let origin = seen(&case, "/", "");
            let case = case.gets(&ok, "/", fields).answered(200).stays();
            case.flow(allowed(&ok))
                .reaches(ip, 80, origin)
                .leaks_if_seen(&[text])
        });
    }
    table.add("a Connection that names Host", |case| {
        let (ok, ip) = (case.cast.ok.clone(), case.cast.ok_ip);
        let origin = seen(&case, "/", "");
        let case = case
            .gets(&ok, "/", "Connection: Host\r\n")
            .answered(200)
            .stays();
        case.flow(allowed(&ok)).reaches(ip, 80, origin).ours_alone()
    });
    table.add("control: fields that are the origin's", |case| {
        let (ok, ip) = (case.cast.ok.clone(), case.cast.ok_ip);
        let fields = "Authorization: Basic eA==\r\nCookie: a=b\r\nX-Custom: 1\r\n";
        let origin = seen(&case, "/", fields);
        let case = case
            .gets(&ok, "/", fields)
            .answered(200)
            .stays()
            .must_serve();
        case.flow(allowed(&ok)).reaches(ip, 80, origin)
    });
}

/// Heads that are too much, too slow, or unfinished.
fn heads(table: &mut Table) {
    let heads = [
        (
            "so many fields",
            431,
            "too-many-fields",
            "X: 1\r\n".repeat(2000),
        ),
        (
            "one field of 70 KiB",
            431,
            "head-too-long",
            format!("X: {}\r\n", "x".repeat(70 << 10)),
        ),
    ];
    for (what, status, reason, fields) in heads {
        table.add(format!("a head with {what}"), |case| {
            let ok = case.cast.ok.clone();
            case.gets(&ok, "/", &fields)
                .rejected(status, reason)
                .ours_alone()
        });
    }
    table.add("a target of 70 KiB", |case| {
        let ok = case.cast.ok.clone();
        case.gets(&ok, &format!("/{}", "x".repeat(70 << 10)), "")
            .rejected(414, "target-too-long")
            .ours_alone()
    });
    table.add("a head that drips", |case| {
        let head = case
            .cast
            .fill("GET http://{bad}/ HTTP/1.1\r\nHost: {bad}\r\nX-Slow: 1234567890\r\n\r\n");
        case.step(Step::Linger(head.into_bytes()))
            .step(Step::Answer)
            .rejected(408, "head-timeout")
            .ours_alone()
    });
    table.add("a head that is left in the middle", |case| {
        let case = case
            .writes("GET http://{bad}/ HTTP/1.1\r\nHo")
            .step(Step::Finish)
            .step(Step::Answer);
        case.rejected(400, "head-cut")
    });
    table.add("an expectation that is none", |case| {
        let ok = case.cast.ok.clone();
        case.gets(&ok, "/", "Expect: miracles\r\n")
            .rejected(417, "expectation")
            .ours_alone()
    });
}

fn upgrades(table: &mut Table) {
    table.add("a WebSocket to a denied host", |case| {
        let bad = case.cast.bad.clone();
        let fields = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n";
        case.gets(&bad, "/chat", fields).answered(403).flow(denied_drop(&bad)).stays()
    });
    table.add("a 101 that nobody asked for", |case| {
        let (ok, ip) = (case.cast.ok.clone(), case.cast.ok_ip);
        let origin = seen(&case, "/", "");
        let answer = canned(
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n",
        );
        let case = case
            .behaves(ip, answer)
            .gets(&ok, "/", "")
            .answered(502)
            .reaches(ip, 80, origin);
        case.flow(allowed(&ok).failed("origin-protocol"))
            .ours_alone()
    });
}

/// What origins answer to poison whoever asks next.
fn answers(table: &mut Table) {
    let poisoned = [
        (
            "two lengths",
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nab",
        ),
        ("no HTTP at all", "SSH-2.0-x\r\n\r\n"),
        (
            "a length that is none",
            "HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\nab",
        ),
    ];
    for (what, answer) in poisoned {
        table.add(format!("an origin that answers with {what}"), |case| {
            let (ok, ip) = (case.cast.ok.clone(), case.cast.ok_ip);
            let origin = seen(&case, "/", "");
            let case = case
                .behaves(ip, canned(answer))
                .gets(&ok, "/", "")
                .answered(502);
            case.flow(allowed(&ok).failed("origin-protocol"))
                .reaches(ip, 80, origin)
                .ours_alone()
        });
    }
    table.add("control: two good requests on one connection", |case| {
        let (ok, ip) = (case.cast.ok.clone(), case.cast.ok_ip);
        let origin = seen(&case, "/1", "") + &seen(&case, "/2", "");
        let case = case
            .gets(&ok, "/1", "")
            .gets(&ok, "/2", "")
            .answered(200)
            .answered(200);
        case.flow(allowed(&ok))
            .flow(allowed(&ok))
            .reaches(ip, 80, origin)
            .stays()
            .must_serve()
    });
}

//! Plain HTTP on captured connections: the Host of each request is whom it is for.

use std::net::Ipv4Addr;

use crate::evasion::case::{Case, Step, Table, Who};
use crate::evasion::flow::{Flow, allowed, denied, denied_drop};
use crate::evasion::requests::seen;

pub(in crate::evasion) fn cases(table: &mut Table) {
    hosts(table);
    refused(table);
    turns(table);
}

/// A request in origin form to where the permitted host is.
fn asks(case: Case, text: &str) -> Case {
    let ip = case.cast.ok_ip;
    case.straight_to(ip, 80)
        .writes(text)
        .step(Step::Answer)
        .stays()
}

fn hosts(table: &mut Table) {
    for (what, host) in [
        ("as it is", "{bad}"),
        ("with a port", "{bad}:80"),
        ("with a dot", "{bad}."),
    ] {
        table.add(format!("a Host that names a denied host, {what}"), |case| {
            let bad = case.cast.bad.clone();
            let case = asks(case, &format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n"));
            case.answered(403).flow(denied_drop(&bad))
        });
    }
    table.add(
        "a permitted Host on the way to another host gets to its own",
        |case| {
            let (ok, ip, elsewhere) = (case.cast.ok.clone(), case.cast.ok_ip, case.cast.bad_ip);
            let origin = seen(&case, "/", "");
            let case =
                asks(case, "GET / HTTP/1.1\r\nHost: {ok}\r\n\r\n").straight_to(elsewhere, 80);
            case.answered(200)
                .flow(allowed(&ok).outcome("misdirected"))
                .reaches(ip, 80, origin)
        },
    );
    table.add("a permitted Host on the way to a denied range", |case| {
        let ok = case.cast.ok.clone();
        let case = asks(case, "GET / HTTP/1.1\r\nHost: {ok}\r\n\r\n")
            .straight_to(Ipv4Addr::new(66, 220, 7, 7), 80);
        case.answered(403)
            .flow(denied_drop(&ok).outcome("misdirected"))
    });
    table.add("a Host that only a partner may have", |case| {
        let (ok, ip) = (case.cast.ok.clone(), case.cast.partner_ip);
        let case =
            asks(case.of(Who::Paie), "GET / HTTP/1.1\r\nHost: {ok}\r\n\r\n").straight_to(ip, 80);
        case.answered(403).flow(denied(&ok, "default"))
    });
    table.add("a Host that is an address in a private network", |case| {
        let case = asks(case, "GET / HTTP/1.1\r\nHost: 10.7.7.7\r\n\r\n");
        let flow = denied("10.7.7.7", "forbidden-address").because("private");
        case.answered(403).flow(flow.outcome("misdirected"))
    });
    table.add(
        "absolute form for a denied host, and a permitted Host",
        |case| {
            let case = asks(case, "GET http://{bad}/ HTTP/1.1\r\nHost: {ok}\r\n\r\n");
            case.rejected(421, "misdirected-request")
        },
    );
    table.add(
        "absolute form with a port that is not the connection's",
        |case| {
            let case = asks(case, "GET http://{ok}:8080/ HTTP/1.1\r\nHost: {ok}\r\n\r\n");
            case.rejected(421, "misdirected-request")
        },
    );
    table.add("no Host in HTTP/1.0: it is for the address", |case| {
        let ip = case.cast.ok_ip;
        let origin =
            format!("GET / HTTP/1.1\r\nHost: {ip}\r\nVia: 1.0 octroi\r\nConnection: close\r\n\r\n");
        let mut case = asks(case, "GET / HTTP/1.0\r\n\r\n").answered(200);
        case.expect.stays = false;
        case.flow(allowed(&ip.to_string())).reaches(ip, 80, origin)
    });
    table.add(
        "no Host in HTTP/1.0, on the way to a denied range",
        |case| {
            let mut case =
                asks(case, "GET / HTTP/1.0\r\n\r\n").straight_to(Ipv4Addr::new(66, 220, 7, 8), 80);
            case.expect.stays = false;
            case.answered(403)
                .flow(denied_drop("66.220.7.8").outcome("agrees"))
        },
    );
    table.add("a denied Host of another port", |case| {
        let bad = case.cast.bad.clone();
        asks(case, "GET / HTTP/1.1\r\nHost: {bad}:8080\r\n\r\n")
            .answered(403)
            .flow(denied_drop(&bad))
    });
    table.add("the path of the gate's own page is the origin's", |case| {
        let (ok, ip) = (case.cast.ok.clone(), case.cast.ok_ip);
        let origin = seen(&case, "/proxy.pac", "");
        let case = asks(case, "GET /proxy.pac HTTP/1.1\r\nHost: {ok}\r\n\r\n");
        case.answered(200)
            .flow(allowed(&ok))
            .reaches(ip, 80, origin)
    });
    table.add("plain HTTP on a port for TLS", |case| {
        let (bad, ip) = (case.cast.bad.clone(), case.cast.ok_ip);
        let case = asks(case, "GET / HTTP/1.1\r\nHost: {bad}\r\n\r\n").straight_to(ip, 443);
        case.answered(403).flow(denied_drop(&bad))
    });
}

fn refused(table: &mut Table) {
    let wrong = [
        ("no Host", "GET / HTTP/1.1\r\n\r\n", 400, "host-missing"),
        (
            "two Hosts",
            "GET / HTTP/1.1\r\nHost: {ok}\r\nHost: {bad}\r\n\r\n",
            400,
            "host-twice",
        ),
        (
            "an empty Host",
            "GET / HTTP/1.1\r\nHost: \r\n\r\n",
            400,
            "host",
        ),
        (
            "a user in the Host",
            "GET / HTTP/1.1\r\nHost: {ok}@{bad}\r\n\r\n",
            400,
            "host",
        ),
        (
            "a list in the Host",
            "GET / HTTP/1.1\r\nHost: {ok}, {bad}\r\n\r\n",
            400,
            "host",
        ),
        (
            "an octal address as the Host",
            "GET / HTTP/1.1\r\nHost: 012.7.7.7\r\n\r\n",
            400,
            "host",
        ),
        (
            "a CONNECT",
            "CONNECT {bad}:443 HTTP/1.1\r\nHost: {bad}\r\n\r\n",
            403,
            "foreign-proxy",
        ),
        (
            "an https URL",
            "GET https://{bad}/ HTTP/1.1\r\nHost: {bad}\r\n\r\n",
            403,
            "foreign-proxy",
        ),
        (
            "TRACE",
            "TRACE / HTTP/1.1\r\nHost: {ok}\r\n\r\n",
            501,
            "method-not-served",
        ),
        (
            "HTTP/2",
            "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            505,
            "http-version",
        ),
        (
            "a length and chunks",
            "POST / HTTP/1.1\r\nHost: {ok}\r\nContent-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            400,
            "length-and-encoding",
        ),
        (
            "a folded Host",
            "GET / HTTP/1.1\r\nHost:\r\n {ok}\r\n\r\n",
            400,
            "header-field",
        ),
        (
            "lines that end in LF",
            "GET / HTTP/1.1\nHost: {ok}\n\n",
            400,
            "line-end",
        ),
        (
            "a NUL in the Host",
            "GET / HTTP/1.1\r\nHost: {ok}\0{bad}\r\n\r\n",
            400,
            "control-character",
        ),
    ];
    for (what, text, status, reason) in wrong {
        table.add(format!("a request with {what}"), |case| {
            let mut case = asks(case, text);
            case.expect.stays = false;
            case.rejected(status, reason)
        });
    }
}

/// Request after request, each for whom its Host says.
fn turns(table: &mut Table) {
    let good = "GET /1 HTTP/1.1\r\nHost: {ok}\r\n\r\n";
    table.add("a second request with a denied Host", |case| {
        let bad = case.cast.bad.clone();
        let case = asks(case, good)
            .writes("GET /2 HTTP/1.1\r\nHost: {bad}\r\n\r\n")
            .step(Step::Answer);
        first_served(case, 403).flow(denied_drop(&bad))
    });
    table.add(
        "a second request with a denied Host, sent with the first",
        |case| {
            let bad = case.cast.bad.clone();
            let case = asks(
                case,
                &format!("{good}GET /2 HTTP/1.1\r\nHost: {{bad}}\r\n\r\n"),
            )
            .step(Step::Answer);
            first_served(case, 403).flow(denied_drop(&bad))
        },
    );
    table.add("a CONNECT as the second request", |case| {
        let case = asks(case, good)
            .writes("CONNECT {bad}:443 HTTP/1.1\r\nHost: {bad}\r\n\r\n")
            .step(Step::Answer);
        let mut case = first_served(case, 403);
        case.expect.stays = false;
        case.expect.rejects.push("foreign-proxy");
        case
    });
    table.add("a hello as the second request", |case| {
        let hello = crate::harness::hello::Hello::named(&case.cast.bad).bytes();
        let case = asks(case, good).sends(hello).step(Step::Answer);
        let mut case = first_served(case, 400);
        case.expect.stays = false;
        case.expect.rejects.push("not-http");
        case
    });
}

fn first_served(case: Case, second: u16) -> Case {
    let (ok, ip) = (case.cast.ok.clone(), case.cast.ok_ip);
    let origin = seen(&case, "/1", "");
    let flow: Flow = allowed(&ok);
    case.answered(200)
        .answered(second)
        .flow(flow)
        .reaches(ip, 80, origin)
}

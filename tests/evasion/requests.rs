//! Whom a request is for, on a connection that carries several, and what of it goes on.

use super::case::{Case, Leak, Step, Table};
use super::flow::{Flow, allowed, denied, denied_drop};

pub(super) fn cases(table: &mut Table) {
    hosts(table);
    turns(table);
}

/// A request with a Host of its own.
fn hosted(case: Case, host: &str) -> Case {
    let head = format!("GET http://{{ok}}/page HTTP/1.1\r\nHost: {host}\r\n\r\n");
    case.writes(&head).step(Step::Answer).stays()
}

fn fronted(host: &str) -> Flow {
    denied(host, "evidence-outcome")
        .because("fronted")
        .outcome("fronted")
}

/// What the origin gets of `GET path` from the permitted host, with these fields.
pub(super) fn seen(case: &Case, path: &str, fields: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nHost: {}\r\n{fields}Via: 1.1 octroi\r\n\r\n",
        case.cast.ok
    )
}

fn hosts(table: &mut Table) {
    for (what, host) in [
        ("a denied host", "{bad}"),
        ("a denied host in capitals", "N3.DROP.EXAMPLE"),
        ("a denied host with a port", "{bad}:80"),
    ] {
        table.add(format!("a Host that names {what}"), |case| {
            let ok = case.cast.ok.clone();
            let case = hosted(case, host).leaks_if_seen(&[&format!("host: {host}")]);
            case.answered(403).flow(denied_drop(&ok).outcome("fronted"))
        });
    }
    for (what, host) in [
        ("another permitted host", "www.{ok}"),
        ("an address", "46.0.9.9"),
        ("the parent", "news.example"),
    ] {
        table.add(format!("a Host that names {what}"), |case| {
            let ok = case.cast.ok.clone();
            let case = hosted(case, host).leaks_if_seen(&[&format!("host: {host}")]);
            case.answered(403).flow(fronted(&ok))
        });
    }
    table.add("a Host that names a denied host, in a CONNECT", |case| {
        let ok = case.cast.ok.clone();
        let case = case
            .writes("CONNECT {ok}:443 HTTP/1.1\r\nHost: {bad}:443\r\n\r\n")
            .step(Step::Answer);
        case.answered(403)
            .flow(denied_drop(&ok).outcome("fronted"))
            .ours_alone()
    });
    let wrong = [
        ("none", "", "host-missing"),
        ("nothing in it", "Host: \r\n", "host"),
        ("two", "Host: {ok}\r\nHost: {bad}\r\n", "host-twice"),
        (
            "two that agree",
            "Host: {ok}\r\nHost: {ok}\r\n",
            "host-twice",
        ),
        ("two in one", "Host: {ok}, {bad}\r\n", "host"),
        ("a user", "Host: {bad}@{ok}\r\n", "host"),
        ("a path", "Host: {ok}/{bad}\r\n", "host"),
        ("a URL", "Host: http://{ok}/\r\n", "host"),
        ("a blank inside", "Host: {ok} {bad}\r\n", "host"),
        ("an octal address", "Host: 0177.0.0.1\r\n", "host"),
        ("a port that is none", "Host: {ok}:http\r\n", "host"),
        ("an encoded letter", "Host: %6e.news.example\r\n", "host"),
        ("letters in Unicode", "Host: ｄrop.example\r\n", "host"),
        (
            "a blank before the colon",
            "Host : {ok}\r\n",
            "header-field",
        ),
        ("a fold", "Host:\r\n {ok}\r\n", "header-field"),
    ];
    for (what, fields, reason) in wrong {
        table.add(format!("a Host with {what}"), |case| {
            let case = case.writes(&format!("GET http://{{ok}}/ HTTP/1.1\r\n{fields}\r\n"));
            case.step(Step::Answer)
                .rejected(400, reason)
                .leaks(Leak::Texts(vec!["host: n".into(), "drop".into()]))
        });
    }
    for (what, host) in [
        ("in capitals, with a dot and a port", "N%.NEWS.EXAMPLE.:80"),
        ("with another port", "{ok}:8080"),
    ] {
        table.add(
            format!("control: the Host {what} is the same host"),
            |case| {
                let (ok, ip) = (case.cast.ok.clone(), case.cast.ok_ip);
                let number = ok[1..].split('.').next().unwrap().to_owned();
                let origin = seen(&case, "/page", "");
                let case = hosted(case, &host.replace('%', &number))
                    .answered(200)
                    .must_serve();
                case.flow(allowed(&ok)).reaches(ip, 80, origin)
            },
        );
    }
}

/// Request after request on one connection.
fn turns(table: &mut Table) {
    let good = "GET http://{ok}/1 HTTP/1.1\r\nHost: {ok}\r\n\r\n";
    let bad = "GET http://{bad}/2 HTTP/1.1\r\nHost: {bad}\r\nConnection: close\r\n\r\n";
    table.add("a second request, to a denied host", |case| {
        let case = case
            .writes(good)
            .step(Step::Answer)
            .writes(bad)
            .step(Step::Answer);
        good_then_denied(case)
    });
    table.add(
        "a second request to a denied host, sent with the first",
        |case| {
            let case = case
                .writes(&format!("{good}{bad}"))
                .step(Step::Answer)
                .step(Step::Answer);
            good_then_denied(case)
        },
    );
    table.add(
        "a second request to a denied host, cut into the first one's segment",
        |case| {
            let (first, rest) = bad.split_at(20);
            let case = case
                .writes(&format!("{good}{first}"))
                .step(Step::Answer)
                .writes(rest)
                .step(Step::Answer);
            good_then_denied(case)
        },
    );
    table.add("a second request with a denied Host", |case| {
        let ok = case.cast.ok.clone();
        let second = "GET http://{ok}/2 HTTP/1.1\r\nHost: {bad}\r\nConnection: close\r\n\r\n";
        let case = case
            .writes(good)
            .step(Step::Answer)
            .writes(second)
            .step(Step::Answer);
        then(case, 403).flow(denied_drop(&ok).outcome("fronted"))
    });
    table.add("a CONNECT to a denied host as the second request", |case| {
        let bad = case.cast.bad.clone();
        let case = case.writes(good).step(Step::Answer);
        let case = case
            .writes("CONNECT {bad}:443 HTTP/1.1\r\nHost: {bad}\r\n\r\n")
            .step(Step::Answer);
        then(case, 403).flow(denied_drop(&bad))
    });
    table.add("a second request in origin form", |case| {
        let case = case.writes(good).step(Step::Answer);
        let case = case
            .writes("GET /2 HTTP/1.1\r\nHost: {bad}\r\n\r\n")
            .step(Step::Answer);
        let mut case = then(case, 421);
        case.expect.rejects.push("origin-form");
        case
    });
    table.add("a second request that is none", |case| {
        let case = case
            .writes(good)
            .step(Step::Answer)
            .writes("\r\n\r\n")
            .step(Step::Answer);
        let mut case = then(case, 400);
        case.expect.rejects.push("not-http");
        case
    });
    table.add("a second request to a denied host behind a body", |case| {
        let ip = case.cast.ok_ip;
        let post = format!(
            "POST http://{{ok}}/1 HTTP/1.1\r\nHost: {{ok}}\r\nContent-Length: 5\r\n\r\nhello{bad}"
        );
        let case = case
            .writes(&post)
            .step(Step::Answer)
            .step(Step::Answer)
            .answered(200)
            .answered(403);
        let (ok, bad, at) = (
            case.cast.ok.clone(),
            case.cast.bad.clone(),
            case.cast.bad_ip,
        );
        let origin = format!(
            "POST /1 HTTP/1.1\r\nHost: {ok}\r\nContent-Length: 5\r\nVia: 1.1 octroi\r\n\r\nhello"
        );
        case.flow(allowed(&ok))
            .flow(denied_drop(&bad))
            .reaches(ip, 80, origin)
            .leaks(Leak::At(at.into()))
    });
    table.add(
        "a request to a denied host first, then a good one",
        |case| {
            let (ok, bad, ip) = (case.cast.ok.clone(), case.cast.bad.clone(), case.cast.ok_ip);
            let first = "GET http://{bad}/1 HTTP/1.1\r\nHost: {bad}\r\n\r\n";
            let second = "GET http://{ok}/2 HTTP/1.1\r\nHost: {ok}\r\n\r\n";
            let origin = seen(&case, "/2", "");
            let case = case
                .stays()
                .writes(first)
                .step(Step::Answer)
                .writes(second)
                .step(Step::Answer)
                .answered(403)
                .answered(200);
            let at = case.cast.bad_ip;
            case.flow(denied_drop(&bad))
                .flow(allowed(&ok))
                .reaches(ip, 80, origin)
                .leaks(Leak::At(at.into()))
        },
    );
    table.add("bytes behind a refused CONNECT", |case| {
        let (bad, ok_ip) = (case.cast.bad.clone(), case.cast.ok_ip);
        let case = case.writes(&format!(
            "CONNECT {{bad}}:443 HTTP/1.1\r\nHost: {{bad}}\r\n\r\n{good}"
        ));
        let case = case
            .step(Step::Answer)
            .answered(403)
            .flow(denied_drop(&bad));
        case.leaks(Leak::At(ok_ip.into()))
    });
}

/// The first request went on, and the second got this status.
fn then(case: Case, status: u16) -> Case {
    let (ok, ip) = (case.cast.ok.clone(), case.cast.ok_ip);
    let origin = seen(&case, "/1", "");
    let case = case
        .answered(200)
        .answered(status)
        .flow(allowed(&ok))
        .reaches(ip, 80, origin);
    case.leaks(Leak::Texts(vec!["drop.example".into()]))
}

fn good_then_denied(case: Case) -> Case {
    let bad = case.cast.bad.clone();
    then(case, 403).flow(denied_drop(&bad))
}

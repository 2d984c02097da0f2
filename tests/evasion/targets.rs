//! Names, ports and forms of what is asked for.

use super::case::{Case, Leak, Step, Table, Who};
use super::flow::{Flow, allowed, denied, denied_drop};
use crate::harness::hello::Hello;

/// Spellings of a host of the denied service; the ledger has one.
const DENIED: &[(&str, &str)] = &[
    ("as it is", "{bad}"),
    ("in capitals", "N9.DROP.EXAMPLE"),
    ("in mixed case", "n9.DrOp.eXaMpLe"),
    ("with a dot behind", "n9.drop.example."),
    ("with three dots behind", "n9.drop.example..."),
    ("deep below", "a.b.c.d.e.f.n9.drop.example"),
    ("with an underscore", "_dmarc.n9.drop.example"),
    ("the service's own apex", "drop.example"),
    ("the apex with a dot, in capitals", "DROP.EXAMPLE."),
];

/// What is no host, and that some reader takes for one; each is refused for what it is.
const REFUSED: &[(&str, &str, &str)] = &[
    ("an encoded letter", "n9.%64rop.example", "target-host"),
    ("an encoded dot", "n9%2edrop.example", "target-host"),
    (
        "an encoded NUL",
        "n9.drop.example%00.news.example",
        "target-host",
    ),
    (
        "a user before it",
        "news.example@n9.drop.example",
        "target-host",
    ),
    (
        "user and password",
        "news.example:443@n9.drop.example",
        "target-host",
    ),
    (
        "an encoded at sign",
        "news.example%40n9.drop.example",
        "target-host",
    ),
    (
        "a backslash",
        "n9.drop.example\\.news.example",
        "target-host",
    ),
    ("a slash", "n9.drop.example/.news.example", "target-host"),
    (
        "a question mark",
        "n9.drop.example?.news.example",
        "target-host",
    ),
    ("a fragment", "n9.drop.example#.news.example", "target-form"),
    (
        "a semicolon",
        "n9.drop.example;.news.example",
        "target-host",
    ),
    ("a comma", "n9.drop.example,news.example", "target-host"),
    ("a star", "*.drop.example", "target-host"),
    ("quotes", "\"n9.drop.example\"", "target-host"),
    ("two dots inside", "n9..drop.example", "target-host"),
    ("a dot before", ".drop.example", "target-host"),
    ("dots alone", "...", "target-host"),
    ("nothing", "", "target-host"),
    ("a hyphen before", "-n9.drop.example", "target-host"),
    ("a hyphen behind", "n9-.drop.example", "target-host"),
    ("a scheme", "https://n9.drop.example", "target-host"),
    ("a bracket", "[n9.drop.example]", "target-host"),
    ("two ports", "n9.drop.example:443", "target-host"),
    ("letters in full width", "ｎ9.ｄrop.example", "target-form"),
    ("a dot in full width", "n9．drop．example", "target-form"),
    (
        "an ideographic full stop",
        "n9。drop。example",
        "target-form",
    ),
    ("digits in full width", "１０.0.0.1", "target-form"),
    ("a soft hyphen", "n9.dr\u{ad}op.example", "target-form"),
    (
        "a zero-width joiner",
        "n9.dr\u{200d}op.example",
        "target-form",
    ),
    ("a Kelvin sign", "\u{212a}.drop.example", "target-form"),
    ("a name in Unicode", "büro.example", "target-form"),
];

/// What is no request line: it cannot even be said what is asked for.
const BROKEN: &[(&str, &str, &str)] = &[
    (
        "a NUL",
        "n9.drop.example\0.news.example",
        "control-character",
    ),
    ("a tab", "n9.drop.example\t.news.example", "request-line"),
    ("a blank", "n9.drop.example .news.example", "request-line"),
    (
        "a carriage return",
        "n9.drop.example\r.news.example",
        "line-end",
    ),
    ("a line feed", "n9.drop.example\n.news.example", "line-end"),
    ("DEL", "n9.drop.example\u{7f}", "request-line"),
    ("a vertical tab", "n9.drop.example\u{b}", "request-line"),
];

/// Ports that are none.
const PORTS: &[(&str, &str, &str)] = &[
    ("none", "", "connect-port"),
    ("0", ":0", "target-host"),
    ("65536", ":65536", "target-host"),
    ("one that wraps to 443", ":65979", "target-host"),
    (
        "one of twenty digits",
        ":18446744073709552059",
        "target-host",
    ),
    ("a sign", ":+443", "target-host"),
    ("a negative one", ":-1", "target-host"),
    ("letters behind", ":443x", "target-host"),
    ("hexadecimal", ":0x1bb", "target-host"),
    ("a name", ":https", "target-host"),
    ("an encoded digit", ":%3443", "target-host"),
    ("a path behind", ":443/", "target-host"),
    ("only a colon", ":", "target-host"),
    ("zeros before it", ":00443", "target-host"),
];

/// Names that only look like those of a denied service: they are somebody else's.
const OTHERS: &[(&str, &str)] = &[
    ("a longer last label but one", "notoffice.com"),
    ("as labels before another", "office.com.evil.test"),
    ("with a hyphen", "my-office.com"),
    ("with a hyphen behind", "office.com-evil.test"),
    ("joined", "outlookoffice.com"),
    ("without the dot", "officecom.test"),
    ("another top", "office.co"),
    ("a Cyrillic o", "xn--ffice-iye.com"),
    ("a Greek omicron", "xn--drp-bzc.example"),
];

/// Names that only look like those of the only permitted partner.
const INTRUDERS: &[(&str, &str)] = &[
    ("a longer label", "notpartner.example"),
    ("as labels before another", "n9.partner.example.evil.test"),
    ("with a hyphen", "n9-partner.example"),
    ("another top", "partner.exampl"),
    ("the partner as a label", "partner.example.drop.test"),
    ("the top alone", "example"),
];

pub(super) fn cases(table: &mut Table) {
    denied_names(table);
    refused(table);
    ports(table);
    look_alikes(table);
    forms(table);
}

fn denied_names(table: &mut Table) {
    for (what, text) in DENIED {
        table.add(format!("CONNECT to a denied name {what}: {text}"), |case| {
            let host = case.cast.fill(text);
            let flow = denied_drop(&canonical(&host));
            case.connects(&format!("{host}:443"))
                .answered(403)
                .flow(flow)
        });
        table.add(format!("GET from a denied name {what}: {text}"), |case| {
            let host = case.cast.fill(text);
            let flow = denied_drop(&canonical(&host));
            case.gets(&host, "/", "Connection: close\r\n")
                .answered(403)
                .flow(flow)
        });
    }
    for text in ["xn--bro-hoa.example", "www.XN--BRO-HOA.example"] {
        table.add(
            format!("CONNECT to a denied name in its ASCII form: {text}"),
            |case| {
                let flow = denied(&canonical(text), "deny")
                    .rule("no-office")
                    .service("office");
                case.connects(&format!("{text}:443"))
                    .answered(403)
                    .flow(flow)
            },
        );
    }
}

fn canonical(text: &str) -> String {
    text.trim_end_matches('.').to_ascii_lowercase()
}

fn refused(table: &mut Table) {
    for (what, text, reason) in REFUSED.iter().chain(BROKEN) {
        table.add(format!("CONNECT to a name with {what}"), |case| {
            let head = format!("CONNECT {text}:443 HTTP/1.1\r\nHost: news.example\r\n\r\n");
            case.sends(head).step(Step::Answer).rejected(400, reason)
        });
    }
    let long_label = format!("{}.news.example", "a".repeat(64));
    let long_name = format!("{}news.example", "a.".repeat(121));
    for (what, text) in [("a label of 64", long_label), ("254 bytes", long_name)] {
        table.add(format!("CONNECT to a name with {what}"), |case| {
            case.connects(&format!("{text}:443"))
                .rejected(400, "target-host")
        });
    }
}

fn ports(table: &mut Table) {
    for (what, port, reason) in PORTS {
        table.add(format!("CONNECT to a port: {what}"), |case| {
            let target = format!("{}{port}", case.cast.ok);
            case.connects(&target).rejected(400, reason).ours_alone()
        });
    }
    table.add("CONNECT to a port that is not permitted", |case| {
        let ok = case.cast.ok.clone();
        case.connects(&format!("{ok}:25"))
            .answered(403)
            .flow(denied(&ok, "port").because("25").sni("not_expected"))
    });
    table.add("GET from a port that is not permitted", |case| {
        let ok = case.cast.ok.clone();
        let flow = denied(&ok, "port").because("22");
        case.gets(&format!("{ok}:22"), "/", "Connection: close\r\n")
            .answered(403)
            .flow(flow)
    });
}

fn look_alikes(table: &mut Table) {
    for (what, name) in OTHERS {
        table.add(format!("control: no denied name, {what}: {name}"), |case| {
            let ip = case.cast.ok_ip;
            let case = case.at(name, &[ip]).enters(name).must_serve();
            tunnelled(case, ip, name, allowed(name))
        });
    }
    for (what, name) in INTRUDERS {
        table.add(format!("not the permitted name, {what}: {name}"), |case| {
            let ip = case.cast.ok_ip;
            let case = case
                .of(Who::Paie)
                .at(name, &[ip])
                .connects(&format!("{name}:443"));
            case.answered(403).flow(denied(name, "default"))
        });
    }
    for (what, text) in [
        ("as it is", "n9.partner.example"),
        ("in capitals, with a dot", "M9.PARTNER.EXAMPLE."),
    ] {
        table.add(format!("control: the permitted name {what}"), |case| {
            let (ip, name) = (case.cast.partner_ip, canonical(text));
            let case = case
                .of(Who::Paie)
                .at(&name, &[ip])
                .enters(text)
                .must_serve();
            tunnelled(case, ip, &name, allowed(&name).rule("partners"))
        });
    }
}

/// The hello for a name goes through, and the rest of the tunnel with it.
fn tunnelled(case: Case, ip: std::net::Ipv4Addr, name: &str, flow: Flow) -> Case {
    let hello = Hello::named(name).bytes();
    case.echoes(ip, 443, &hello).flow(flow.sni("match"))
}

/// Requests in the wrong form, or whose parts could be taken for the host.
const FORMS: &[(&str, &str, u16, &str)] = &[
    (
        "https without a tunnel",
        "GET https://{bad}/ HTTP/1.1\r\nHost: {bad}\r\n\r\n",
        400,
        "https-without-tunnel",
    ),
    (
        "ftp",
        "GET ftp://{bad}/ HTTP/1.1\r\nHost: {bad}\r\n\r\n",
        501,
        "scheme",
    ),
    (
        "file",
        "GET file:///etc/passwd HTTP/1.1\r\nHost: {bad}\r\n\r\n",
        501,
        "scheme",
    ),
    (
        "a WebSocket scheme",
        "GET ws://{bad}/ HTTP/1.1\r\nHost: {bad}\r\n\r\n",
        501,
        "scheme",
    ),
    (
        "no scheme",
        "GET //{bad}/ HTTP/1.1\r\nHost: {bad}\r\n\r\n",
        421,
        "origin-form",
    ),
    (
        "one slash",
        "GET http:/{bad}/ HTTP/1.1\r\nHost: {bad}\r\n\r\n",
        400,
        "target-form",
    ),
    (
        "no slashes",
        "GET http:{bad} HTTP/1.1\r\nHost: {bad}\r\n\r\n",
        400,
        "target-form",
    ),
    (
        "no authority",
        "GET http:///page HTTP/1.1\r\nHost: {bad}\r\n\r\n",
        400,
        "target-host",
    ),
    (
        "the authority alone",
        "GET {bad}:80 HTTP/1.1\r\nHost: {bad}\r\n\r\n",
        400,
        "target-form",
    ),
    (
        "a user",
        "GET http://{ok}@{bad}/ HTTP/1.1\r\nHost: {ok}\r\n\r\n",
        400,
        "target-host",
    ),
    (
        "a user and a port",
        "GET http://{ok}:80@{bad}/ HTTP/1.1\r\nHost: {ok}\r\n\r\n",
        400,
        "target-host",
    ),
    (
        "a backslash before the user",
        "GET http://{ok}\\@{bad}/ HTTP/1.1\r\nHost: {ok}\r\n\r\n",
        400,
        "target-host",
    ),
    (
        "a fragment before the user",
        "GET http://{ok}#@{bad}/ HTTP/1.1\r\nHost: {ok}\r\n\r\n",
        400,
        "target-form",
    ),
    (
        "two ports",
        "GET http://{ok}:80:80/ HTTP/1.1\r\nHost: {ok}\r\n\r\n",
        400,
        "target-host",
    ),
    (
        "a blank in the path",
        "GET http://{ok}/a b HTTP/1.1\r\nHost: {ok}\r\n\r\n",
        400,
        "request-line",
    ),
    (
        "origin form",
        "GET /page HTTP/1.1\r\nHost: {bad}\r\n\r\n",
        421,
        "origin-form",
    ),
    (
        "origin form with a URL as the path",
        "GET /http://{bad}/ HTTP/1.1\r\nHost: {bad}\r\n\r\n",
        421,
        "origin-form",
    ),
    (
        "asterisk form",
        "OPTIONS * HTTP/1.1\r\nHost: {bad}\r\n\r\n",
        400,
        "asterisk-form",
    ),
    (
        "asterisk form with GET",
        "GET * HTTP/1.1\r\nHost: {bad}\r\n\r\n",
        400,
        "target-form",
    ),
    (
        "TRACE",
        "TRACE http://{ok}/ HTTP/1.1\r\nHost: {ok}\r\n\r\n",
        501,
        "method-not-served",
    ),
    (
        "connect in small letters",
        "connect {bad}:443 HTTP/1.1\r\nHost: {bad}\r\n\r\n",
        400,
        "target-form",
    ),
    (
        "CONNECT to a URL",
        "CONNECT http://{bad}/ HTTP/1.1\r\nHost: {bad}\r\n\r\n",
        400,
        "target-host",
    ),
    ("HTTP/0.9", "GET http://{bad}/\r\n\r\n", 400, "request-line"),
    (
        "HTTP/2.0",
        "GET http://{bad}/ HTTP/2.0\r\nHost: {bad}\r\n\r\n",
        505,
        "http-version",
    ),
    (
        "the preface of HTTP/2",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        505,
        "http-version",
    ),
];

/// What leaks if a request in such a form goes on: where only a permitted host is named, nothing does.
fn leak_of(text: &str, case: &Case) -> Leak {
    match (text.contains("{bad}"), text.contains("{ok}")) {
        (true, true) => Leak::At(case.cast.bad_ip.into()),
        (true, false) => Leak::Elsewhere,
        (false, _) => Leak::Ours,
    }
}

fn forms(table: &mut Table) {
    for (what, text, status, reason) in FORMS {
        table.add(format!("a request with {what}"), |case| {
            let leak = leak_of(text, &case);
            let case = case.writes(text).step(Step::Answer);
            case.rejected(*status, reason).leaks(leak)
        });
    }
    table.add(
        "a denied host before a question mark that looks like another",
        |case| {
            let bad = case.cast.bad.clone();
            let case = case.writes(
                "GET http://{bad}?.{ok}/ HTTP/1.1\r\nHost: {bad}\r\nConnection: close\r\n\r\n",
            );
            case.step(Step::Answer)
                .answered(403)
                .flow(denied_drop(&bad))
        },
    );
    table.add("a scheme in capitals, and a denied host", |case| {
        let bad = case.cast.bad.clone();
        let case =
            case.writes("GET HTTP://{bad}/ HTTP/1.1\r\nHost: {bad}\r\nConnection: close\r\n\r\n");
        case.step(Step::Answer)
            .answered(403)
            .flow(denied_drop(&bad))
    });
}

//! Where a request ends: heads and bodies that two readers would end in two places.

use super::case::{Case, Leak, Step, Table};
use super::flow::allowed;

/// What a second reader would take for a request of its own.
const HIDDEN: &str = "GET http://{bad}/smuggled HTTP/1.1\r\nHost: {bad}\r\n\r\n";

/// Fields of a POST whose body is `0\r\n\r\n` and then [`HIDDEN`]; what is ambiguous in them must not get on.
const FIELDS: &[(&str, &str, u16, &str, &[&str])] = &[
    (
        "a length, then chunks",
        "Content-Length: 6\r\nTransfer-Encoding: chunked\r\n",
        400,
        "length-and-encoding",
        &["content-length: 6", "transfer-encoding"],
    ),
    (
        "chunks, then a length",
        "Transfer-Encoding: chunked\r\nContent-Length: 6\r\n",
        400,
        "length-and-encoding",
        &["content-length: 6", "transfer-encoding"],
    ),
    (
        "no length and chunks",
        "Content-Length: 0\r\nTransfer-Encoding: chunked\r\n",
        400,
        "length-and-encoding",
        &["content-length: 0", "transfer-encoding"],
    ),
    (
        "two lengths",
        "Content-Length: 5\r\nContent-Length: 6\r\n",
        400,
        "content-length",
        &["smuggled"],
    ),
    (
        "two lengths that agree",
        "Content-Length: 5\r\nContent-Length: 5\r\n",
        400,
        "content-length",
        &["length: 5\r\ncontent-length: 5"],
    ),
    (
        "a list of lengths",
        "Content-Length: 5, 6\r\n",
        400,
        "content-length",
        &["5, 6"],
    ),
    (
        "a list of lengths that agree",
        "Content-Length: 5, 5\r\n",
        400,
        "content-length",
        &["5, 5"],
    ),
    (
        "a length with a plus",
        "Content-Length: +5\r\n",
        400,
        "content-length",
        &["+5"],
    ),
    (
        "a negative length",
        "Content-Length: -5\r\n",
        400,
        "content-length",
        &["-5"],
    ),
    (
        "a hexadecimal length",
        "Content-Length: 0x5\r\n",
        400,
        "content-length",
        &["0x5"],
    ),
    (
        "a length with an exponent",
        "Content-Length: 5e0\r\n",
        400,
        "content-length",
        &["5e0"],
    ),
    (
        "a length with a point",
        "Content-Length: 5.0\r\n",
        400,
        "content-length",
        &["5.0"],
    ),
    (
        "a length with a blank inside",
        "Content-Length: 5 6\r\n",
        400,
        "content-length",
        &["5 6"],
    ),
    (
        "a length in quotes",
        "Content-Length: \"5\"\r\n",
        400,
        "content-length",
        &["\"5\""],
    ),
    (
        "a length of nothing",
        "Content-Length: \r\n",
        400,
        "content-length",
        &["smuggled"],
    ),
    (
        "a length beyond 64 bits",
        "Content-Length: 18446744073709551621\r\n",
        400,
        "content-length",
        &["18446744073709551621"],
    ),
    (
        "a length in full-width digits",
        "Content-Length: ５\r\n",
        400,
        "content-length",
        &["５"],
    ),
    (
        "chunked twice",
        "Transfer-Encoding: chunked, chunked\r\n",
        400,
        "transfer-encoding",
        &["chunked, chunked"],
    ),
    (
        "chunked in two fields",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        400,
        "transfer-encoding",
        &["chunked\r\ntransfer-encoding: chunked"],
    ),
    (
        "chunked not last",
        "Transfer-Encoding: chunked, identity\r\n",
        400,
        "transfer-encoding",
        &["identity"],
    ),
    (
        "identity",
        "Transfer-Encoding: identity\r\n",
        501,
        "transfer-coding",
        &["encoding: identity"],
    ),
    (
        "identity, then chunked",
        "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n",
        501,
        "transfer-coding",
        &["identity"],
    ),
    (
        "an unknown coding",
        "Transfer-Encoding: xchunked\r\n",
        501,
        "transfer-coding",
        &["xchunked"],
    ),
    (
        "gzip alone",
        "Transfer-Encoding: gzip\r\n",
        501,
        "transfer-coding",
        &["encoding: gzip"],
    ),
    (
        "a parameter",
        "Transfer-Encoding: chunked;q=1\r\n",
        501,
        "transfer-coding",
        &["chunked;q"],
    ),
    (
        "quotes",
        "Transfer-Encoding: \"chunked\"\r\n",
        501,
        "transfer-coding",
        &["\"chunked\""],
    ),
    (
        "an empty coding",
        "Transfer-Encoding: \r\n",
        400,
        "transfer-encoding",
        &["smuggled"],
    ),
    (
        "a comma first",
        "Transfer-Encoding: ,chunked\r\n",
        400,
        "transfer-encoding",
        &[",chunked"],
    ),
    (
        "a vertical tab before",
        "Transfer-Encoding: \u{b}chunked\r\n",
        400,
        "header-field",
        &["\u{b}chunked"],
    ),
    (
        "a NUL behind",
        "Transfer-Encoding: chunked\0\r\n",
        400,
        "control-character",
        &["chunked\0"],
    ),
    (
        "a folded coding",
        "Transfer-Encoding:\r\n chunked\r\n",
        400,
        "header-field",
        &["\r\n chunked"],
    ),
    (
        "a folded field that hides one",
        "X: a\r\n Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
        400,
        "header-field",
        &["\r\n transfer-encoding"],
    ),
    (
        "a blank before the colon",
        "Transfer-Encoding : chunked\r\n",
        400,
        "header-field",
        &["encoding : chunked"],
    ),
    (
        "a tab before the colon",
        "Content-Length\t: 5\r\n",
        400,
        "header-field",
        &["length\t: 5"],
    ),
    (
        "a blank before the name",
        " Transfer-Encoding: chunked\r\n",
        400,
        "header-field",
        &["\r\n transfer-encoding"],
    ),
    (
        "a CR inside a name",
        "Transfer\r-Encoding: chunked\r\n",
        400,
        "line-end",
        &["transfer\r"],
    ),
    (
        "a bare LF before the field",
        "X: a\nTransfer-Encoding: chunked\r\n",
        400,
        "line-end",
        &["a\ntransfer-encoding"],
    ),
    (
        "a bare CR before the field",
        "X: a\rTransfer-Encoding: chunked\r\n",
        400,
        "line-end",
        &["a\rtransfer-encoding"],
    ),
    (
        "no colon",
        "Transfer-Encoding chunked\r\n",
        400,
        "header-field",
        &["encoding chunked"],
    ),
    (
        "no name",
        ": chunked\r\n",
        400,
        "header-field",
        &["\r\n: chunked"],
    ),
    (
        "a name in Unicode",
        "Tränsfer-Encoding: chunked\r\n",
        400,
        "header-field",
        &["Tränsfer"],
    ),
];

/// Bodies in chunks that are none: the field is good, the body is not.
const CHUNKS: &[(&str, &str)] = &[
    ("a size with a plus", "+5\r\nhello\r\n0\r\n\r\n"),
    ("a size with a sign", "-5\r\nhello\r\n0\r\n\r\n"),
    ("a size with 0x", "0x5\r\nhello\r\n0\r\n\r\n"),
    ("a size with a blank before", " 5\r\nhello\r\n0\r\n\r\n"),
    ("no size", "\r\nhello\r\n0\r\n\r\n"),
    ("a size that is none", "five\r\nhello\r\n0\r\n\r\n"),
    (
        "a size beyond 64 bits",
        "10000000000000005\r\nhello\r\n0\r\n\r\n",
    ),
    ("a size line that ends in LF", "5\nhello\r\n0\r\n\r\n"),
    ("a size line that ends in CR", "5\rhello\r\n0\r\n\r\n"),
    ("data longer than its size", "4\r\nhello\r\n0\r\n\r\n"),
    ("data without its end", "5\r\nhello0\r\n\r\n"),
    ("data that ends in LF", "5\r\nhello\n0\r\n\r\n"),
    (
        "an extension with a line feed",
        "5;a\nb\r\nhello\r\n0\r\n\r\n",
    ),
    ("an underscore in the size", "0_5\r\nhello\r\n0\r\n\r\n"),
];

pub(super) fn cases(table: &mut Table) {
    for (what, fields, status, reason, seen) in FIELDS {
        table.add(format!("a body with {what}"), |case| {
            let head = format!(
                "POST http://{{ok}}/ HTTP/1.1\r\nHost: {{ok}}\r\n{fields}\r\n0\r\n\r\n{HIDDEN}"
            );
            let case = case
                .writes(&head)
                .step(Step::Answer)
                .rejected(*status, reason);
            case.leaks_if_seen(seen)
        });
    }
    for (what, body) in CHUNKS {
        table.add(format!("chunks with {what}"), |case| chunks(case, body));
    }
    table.add("a body with an underscore for the hyphen", |case| {
        let (ok, ip) = (case.cast.ok.clone(), case.cast.ok_ip);
        let head = "POST http://{ok}/ HTTP/1.1\r\nHost: {ok}\r\nContent_Length: 5\r\n\r\n";
        let case = case.writes(&format!("{head}0\r\n\r\n{HIDDEN}"));
        let case = case.step(Step::Answer).step(Step::Answer).answered(200);
        let seen = format!(
            "POST / HTTP/1.1\r\nHost: {ok}\r\nContent_Length: 5\r\nVia: 1.1 octroi\r\n\r\n"
        );
        let case = case.rejected(400, "not-http").flow(allowed(&ok));
        case.reaches(ip, 80, seen).ours_alone()
    });
    table.add("chunks in HTTP/1.0", |case| {
        let case = case.writes("POST http://{ok}/ HTTP/1.0\r\nHost: {ok}\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n");
        let case = case.writes(HIDDEN).step(Step::Answer);
        case.rejected(400, "transfer-encoding").leaks_if_seen(&["HTTP/1.0", "transfer-encoding"])
    });
    table.add("a CONNECT with a body that is a request", |case| {
        let case = case
            .writes("CONNECT {ok}:80 HTTP/1.1\r\nHost: {ok}\r\nContent-Length: 9\r\n\r\n")
            .writes(HIDDEN);
        case.step(Step::Answer).rejected(400, "connect-body")
    });
    table.add("a GET with a body that is a request", |case| {
        let (ok, ip, bad) = (case.cast.ok.clone(), case.cast.ok_ip, case.cast.bad_ip);
        let hidden = case.cast.fill(HIDDEN);
        let head = format!(
            "GET http://{ok}/ HTTP/1.1\r\nHost: {ok}\r\nContent-Length: {}\r\n\r\n",
            hidden.len()
        );
        let case = case
            .sends(head + &hidden)
            .step(Step::Answer)
            .answered(200)
            .stays()
            .flow(allowed(&ok));
        let seen = format!(
            "GET / HTTP/1.1\r\nHost: {ok}\r\nContent-Length: {}\r\nVia: 1.1 octroi\r\n\r\n{hidden}",
            hidden.len()
        );
        case.reaches(ip, 80, seen).leaks(Leak::At(bad.into()))
    });
    controls(table);
}

fn controls(table: &mut Table) {
    table.add("control: a body by its length", |case| {
        let (ok, ip) = (case.cast.ok.clone(), case.cast.ok_ip);
        let case = case
            .writes("POST http://{ok}/ HTTP/1.1\r\nHost: {ok}\r\nContent-Length: 5\r\n\r\nhello");
        let case = case
            .step(Step::Answer)
            .answered(200)
            .stays()
            .flow(allowed(&ok))
            .must_serve();
        case.reaches(
            ip,
            80,
            format!(
                "POST / HTTP/1.1\r\nHost: {ok}\r\nContent-Length: 5\r\nVia: 1.1 octroi\r\n\r\nhello"
            ),
        )
    });
    table.add("control: a body in chunks, with an extension and a trailer", |case| {
        let (ok, ip) = (case.cast.ok.clone(), case.cast.ok_ip);
        let case = case.writes("POST http://{ok}/ HTTP/1.1\r\nHost: {ok}\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n");
        let case = case.step(Step::Answer).answered(200).stays().flow(allowed(&ok)).must_serve();
        case.reaches(ip, 80, format!("POST / HTTP/1.1\r\nHost: {ok}\r\nVia: 1.1 octroi\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"))
    });
}

/// Octroi has judged and connected when the body turns out to be none: the head and what was good before
/// may have gone out, the rest has not, and the answer is 400.
fn chunks(case: Case, body: &str) -> Case {
    let (ok, ip) = (case.cast.ok.clone(), case.cast.ok_ip);
    let case = case.writes(&format!("POST http://{{ok}}/ HTTP/1.1\r\nHost: {{ok}}\r\nTransfer-Encoding: chunked\r\n\r\n{body}{HIDDEN}"));
    let seen = format!(
        "POST / HTTP/1.1\r\nHost: {ok}\r\nVia: 1.1 octroi\r\nTransfer-Encoding: chunked\r\n\r\n"
    );
    let case = case
        .step(Step::Answer)
        .answered(400)
        .flow(allowed(&ok).broken("body-malformed"))
        .reaches(ip, 80, seen);
    case.leaks_if_seen(&["smuggled"])
}

use octroi_policy::NameError;
use proptest::prelude::*;

use super::*;

const LIMIT: usize = 64 * 1024;

/// Reads lines joined by CR LF, the blank line added.
fn head(lines: &[&str]) -> Result<Head, HeadError> {
    let text = lines.join("\r\n") + "\r\n\r\n";
    match read(text.as_bytes(), LIMIT)? {
        Status::Complete(head, taken) => {
            assert_eq!(taken, text.len());
            Ok(*head)
        }
        Status::NeedMore => panic!("{text:?} is whole"),
    }
}

fn authority(text: &str) -> Authority {
    Authority::parse(text).unwrap()
}

/// A GET of this target with this Host.
fn target(target: &str) -> Result<Target, HeadError> {
    head(&[&format!("GET {target} HTTP/1.1"), "Host: h.example"]).map(|head| head.target)
}

fn with(fields: &[&str]) -> Result<Head, HeadError> {
    head(
        &[
            &["POST http://h.example/ HTTP/1.1", "Host: h.example"],
            fields,
        ]
        .concat(),
    )
}

fn absolute(scheme: Scheme, host: &str, path: &str) -> Result<Target, HeadError> {
    Ok(Target::Absolute {
        scheme,
        authority: authority(host),
        path: path.to_owned(),
    })
}

#[test]
fn a_connect_names_host_and_port() {
    for (given, expected) in [
        ("Example.ORG.:443", Ok("example.org:443")),
        ("192.0.2.1:8443", Ok("192.0.2.1:8443")),
        ("[2001:db8::1]:443", Ok("[2001:db8::1]:443")),
        ("[::ffff:192.0.2.1]:443", Ok("192.0.2.1:443")),
        ("example.org", Err(HeadError::ConnectPort)),
        ("example.org:", Err(HeadError::TargetHost(NameError::Port))),
        ("example.org:0", Err(HeadError::TargetHost(NameError::Port))),
        (
            "u@example.org:443",
            Err(HeadError::TargetHost(NameError::Userinfo)),
        ),
        (
            "0x7f.1:443",
            Err(HeadError::TargetHost(NameError::NumberLike)),
        ),
        (
            "example%2eorg:443",
            Err(HeadError::TargetHost(NameError::Character)),
        ),
        (
            "a..b:443",
            Err(HeadError::TargetHost(NameError::EmptyLabel)),
        ),
        (
            "[fe80::1%25eth0]:443",
            Err(HeadError::TargetHost(NameError::Zone)),
        ),
        (
            "http://example.org:443",
            Err(HeadError::TargetHost(NameError::Port)),
        ),
        ("/", Err(HeadError::TargetHost(NameError::Character))),
        ("*:443", Err(HeadError::TargetHost(NameError::Character))),
    ] {
        let found = head(&[&format!("CONNECT {given} HTTP/1.1"), "Host: example.org"]);
        let expected = expected.map(|text| Target::Authority(authority(text)));
        assert_eq!(found.map(|head| head.target), expected, "{given}");
    }
    let bare = head(&["CONNECT example.org:443 HTTP/1.1"]).unwrap();
    assert_eq!((bare.host, bare.framing), (None, Framing::None));
    let lower = head(&["connect example.org:443 HTTP/1.1", "Host: example.org"]);
    assert_eq!(lower, Err(HeadError::Target), "methods are case-sensitive");
}

#[test]
fn targets_have_four_forms() {
    for (given, expected) in [
        (
            "http://a.example/x?y=|{}^`\\",
            absolute(Scheme::Http, "a.example", "/x?y=|{}^`\\"),
        ),
        ("HTTP://A.Example", absolute(Scheme::Http, "a.example", "/")),
        (
            "http://a.example?q",
            absolute(Scheme::Http, "a.example", "/?q"),
        ),
        (
            "http://a.example:8080/",
            absolute(Scheme::Http, "a.example:8080", "/"),
        ),
        (
            "https://a.example/",
            absolute(Scheme::Https, "a.example", "/"),
        ),
        (
            "/x//http://b.example",
            Ok(Target::Origin("/x//http://b.example".into())),
        ),
        ("ftp://a.example/", Err(HeadError::Scheme)),
        ("http:/a.example/", Err(HeadError::Target)),
        ("a.example/", Err(HeadError::Target)),
        ("*", Err(HeadError::Target)),
        ("http://a.example/#top", Err(HeadError::Target)),
        ("http://a.example/é", Err(HeadError::Target)),
        ("http://", Err(HeadError::TargetHost(NameError::Empty))),
        ("http:///x", Err(HeadError::TargetHost(NameError::Empty))),
        (
            "http://u:p@a.example/",
            Err(HeadError::TargetHost(NameError::Userinfo)),
        ),
        (
            "http://b.example\\@a.example/",
            Err(HeadError::TargetHost(NameError::Userinfo)),
        ),
        (
            "http://b.example\\/",
            Err(HeadError::TargetHost(NameError::Character)),
        ),
        (
            "http://a.example:80:80/",
            Err(HeadError::TargetHost(NameError::Port)),
        ),
        (
            "http://127.1/",
            Err(HeadError::TargetHost(NameError::NumberLike)),
        ),
    ] {
        assert_eq!(target(given), expected, "{given}");
    }
    let options = |target: &str| {
        head(&[&format!("OPTIONS {target} HTTP/1.1"), "Host: a.example"])
            .unwrap()
            .target
    };
    assert_eq!(options("*"), Target::Asterisk);
    assert_eq!(
        Ok(options("http://a.example")),
        absolute(Scheme::Http, "a.example", "*")
    );
}

#[test]
fn lines_and_fields_are_taken_literally() {
    use HeadError as E;
    for (what, given, expected) in [
        (
            "bare LF",
            &b"GET / HTTP/1.1\nHost: a\r\n\r\n"[..],
            E::LineEnd,
        ),
        (
            "bare LF at the end",
            b"GET / HTTP/1.1\r\nHost: a\r\n\n",
            E::LineEnd,
        ),
        (
            "bare CR",
            b"GET / HTTP/1.1\r\nHost: a\rb\r\n\r\n",
            E::LineEnd,
        ),
        ("two CR", b"GET / HTTP/1.1\r\r\nHost: a\r\n\r\n", E::LineEnd),
        ("NUL in the target", b"GET /\0 HTTP/1.1\r\n", E::Control),
        (
            "NUL in a value",
            b"GET / HTTP/1.1\r\nHost: a\0\r\n\r\n",
            E::Control,
        ),
        (
            "control in a value",
            b"GET / HTTP/1.1\r\nHost: a\x01\r\n\r\n",
            E::Field,
        ),
        (
            "DEL in a value",
            b"GET / HTTP/1.1\r\nHost: a\x7f\r\n\r\n",
            E::Field,
        ),
        ("fold", b"GET / HTTP/1.1\r\nHost: a\r\n b\r\n\r\n", E::Field),
        (
            "fold of the first",
            b"GET / HTTP/1.1\r\n Host: a\r\n\r\n",
            E::Field,
        ),
        (
            "blank before colon",
            b"GET / HTTP/1.1\r\nHost : a\r\n\r\n",
            E::Field,
        ),
        ("no colon", b"GET / HTTP/1.1\r\nHost\r\n\r\n", E::Field),
        ("no name", b"GET / HTTP/1.1\r\n: a\r\n\r\n", E::Field),
        ("odd name", b"GET / HTTP/1.1\r\nHo(st: a\r\n\r\n", E::Field),
        (
            "two blanks",
            b"GET  / HTTP/1.1\r\nHost: a\r\n\r\n",
            E::Syntax,
        ),
        (
            "two blanks later",
            b"GET /  HTTP/1.1\r\nHost: a\r\n\r\n",
            E::Syntax,
        ),
        ("tab", b"GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n", E::Syntax),
        (
            "blank in the target",
            b"GET /a b HTTP/1.1\r\nHost: a\r\n\r\n",
            E::Syntax,
        ),
        (
            "blank at the end",
            b"GET / HTTP/1.1 \r\nHost: a\r\n\r\n",
            E::LineEnd,
        ),
        ("no version", b"GET /\r\nHost: a\r\n\r\n", E::Syntax),
        ("version 2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", E::Version),
        ("version 1.2", b"GET / HTTP/1.2\r\n\r\n", E::Version),
        ("version 0.9", b"GET / HTTP/0.9\r\n\r\n", E::Version),
        ("tls", b"\x16\x03\x01", E::NotHttp),
        (
            "blank line first",
            b"\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
            E::NotHttp,
        ),
        (
            "blank first",
            b" GET / HTTP/1.1\r\nHost: a\r\n\r\n",
            E::NotHttp,
        ),
        ("socks", b"\x05\x01\x00", E::NotHttp),
    ] {
        assert_eq!(read(given, LIMIT), Err(expected), "{what}");
    }
    let found = with(&["X-A:  1 \t", "x-a:", "X-B: \u{e9}, 2"]).unwrap();
    assert_eq!(found.values("X-a").collect::<Vec<_>>(), [&b"1"[..], b""]);
    assert_eq!(found.fields().last(), Some(("X-B", "é, 2".as_bytes())));
}

#[test]
fn there_is_one_host() {
    use HeadError as E;
    let get = |fields: &[&str]| head(&[&["GET http://a.example/ HTTP/1.1"], fields].concat());
    assert_eq!(
        get(&["Host: B.example:80"]).unwrap().host,
        Some(authority("b.example:80"))
    );
    for (fields, expected) in [
        (&[][..], E::HostMissing),
        (&["Host: a.example", "host: a.example"], E::HostTwice),
        (&["Host: a.example", "Host: b.example"], E::HostTwice),
        (&["Host:"], E::Host(NameError::Empty)),
        (
            &["Host: a.example, b.example"],
            E::Host(NameError::Character),
        ),
        (&["Host: a.example/x"], E::Host(NameError::Character)),
        (&["Host: u@a.example"], E::Host(NameError::Userinfo)),
        (&["Host: a.example:x"], E::Host(NameError::Port)),
        (&["Host: 0177.0.0.1"], E::Host(NameError::NumberLike)),
        (&["Host: é.example"], E::Host(NameError::NotAscii)),
    ] {
        assert_eq!(get(fields), Err(expected), "{fields:?}");
    }
    assert_eq!(head(&["GET / HTTP/1.0"]).unwrap().host, None);
    assert_eq!(
        head(&["GET / HTTP/1.0", "Host: a b"]),
        Err(E::Host(NameError::Character))
    );
}

#[test]
fn the_body_ends_in_one_place_or_the_head_is_refused() {
    use HeadError as E;
    for (fields, expected) in [
        (&[][..], Ok(Framing::None)),
        (&["Content-Length: 0"], Ok(Framing::Length(0))),
        (&["Content-Length: 42"], Ok(Framing::Length(42))),
        (
            &["Content-Length: 18446744073709551615"],
            Ok(Framing::Length(u64::MAX)),
        ),
        (&["Transfer-Encoding: Chunked"], Ok(Framing::Chunked)),
        (
            &["Content-Length: 18446744073709551616"],
            Err(E::ContentLength),
        ),
        (
            &["Content-Length: 4", "Content-Length: 4"],
            Err(E::ContentLength),
        ),
        (
            &["Content-Length: 4", "content-length: 5"],
            Err(E::ContentLength),
        ),
        (&["Content-Length: 4, 4"], Err(E::ContentLength)),
        (&["Content-Length: +4"], Err(E::ContentLength)),
        (&["Content-Length: -4"], Err(E::ContentLength)),
        (&["Content-Length: 0x4"], Err(E::ContentLength)),
        (&["Content-Length: 4 4"], Err(E::ContentLength)),
        (&["Content-Length:"], Err(E::ContentLength)),
        (
            &["Content-Length: 4", "Transfer-Encoding: chunked"],
            Err(E::LengthAndEncoding),
        ),
        (
            &["Transfer-Encoding: chunked", "Content-Length: 0"],
            Err(E::LengthAndEncoding),
        ),
        (&["Transfer-Encoding: gzip"], Err(E::TransferCoding)),
        (&["Transfer-Encoding: identity"], Err(E::TransferCoding)),
        (
            &["Transfer-Encoding: gzip, chunked"],
            Err(E::TransferCoding),
        ),
        (&["Transfer-Encoding: xchunked"], Err(E::TransferCoding)),
        (
            &["Transfer-Encoding: chunked, chunked"],
            Err(E::TransferEncoding),
        ),
        (
            &["Transfer-Encoding: chunked, gzip"],
            Err(E::TransferEncoding),
        ),
        (
            &["Transfer-Encoding: chunked", "Transfer-Encoding: chunked"],
            Err(E::TransferEncoding),
        ),
        (&["Transfer-Encoding: chunked,"], Err(E::TransferEncoding)),
        (&["Transfer-Encoding: , chunked"], Err(E::TransferEncoding)),
        (&["Transfer-Encoding:"], Err(E::TransferEncoding)),
        (&["Transfer-Encoding: \u{b}chunked"], Err(E::Field)),
    ] {
        assert_eq!(
            with(fields).map(|head| head.framing),
            expected,
            "{fields:?}"
        );
    }
    let old = head(&["POST / HTTP/1.0", "Transfer-Encoding: chunked"]);
    assert_eq!(old, Err(E::TransferEncoding));
    let connect = |field: &str| head(&["CONNECT a.example:443 HTTP/1.1", "Host: a.example", field]);
    assert_eq!(connect("Content-Length: 5"), Err(E::ConnectBody));
    assert_eq!(connect("Transfer-Encoding: chunked"), Err(E::ConnectBody));
    assert_eq!(
        connect("Content-Length: 0").map(|head| head.framing),
        Ok(Framing::None)
    );
}

#[test]
fn persistence_expectation_and_upgrade() {
    use Persistence::{Close, KeepAlive};
    for (fields, expected) in [
        (&[][..], KeepAlive),
        (&["Connection: keep-alive"], KeepAlive),
        (&["Connection: Close"], Close),
        (&["Connection: x, close ,y"], Close),
        (&["Connection: x", "Connection: close"], Close),
        (&["Connection: closed"], KeepAlive),
    ] {
        assert_eq!(with(fields).unwrap().persistence, expected, "{fields:?}");
    }
    let old = head(&["GET / HTTP/1.0", "Connection: keep-alive"]).unwrap();
    assert_eq!(old.persistence, Close);

    assert!(
        with(&["Expect: 100-Continue", "Content-Length: 4"])
            .unwrap()
            .expect_continue
    );
    assert!(
        !with(&["Expect: 100-continue"]).unwrap().expect_continue,
        "nothing to wait for"
    );
    assert_eq!(with(&["Expect: 200-ok"]), Err(HeadError::Expectation));

    let upgrade = with(&["Connection: keep-alive, Upgrade", "Upgrade: WebSocket"]).unwrap();
    assert_eq!(
        (upgrade.upgrade.as_deref(), upgrade.is_websocket()),
        (Some("WebSocket"), true)
    );
    assert_eq!(with(&["Upgrade: websocket"]).unwrap().upgrade, None);
    let h2c = with(&["Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c"]).unwrap();
    assert!(!h2c.is_websocket());
}

#[test]
fn limits_have_their_own_status() {
    let long = "a".repeat(200);
    let line = format!("GET /{long} HTTP/1.1\r\n");
    let whole = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {long}\r\n\r\n");
    assert_eq!(read(line.as_bytes(), 100), Err(HeadError::TargetTooLong));
    assert_eq!(read(whole.as_bytes(), 100), Err(HeadError::TooLong));
    assert_eq!(
        read(whole.as_bytes(), whole.len() - 1),
        Err(HeadError::TooLong)
    );
    assert!(matches!(
        read(whole.as_bytes(), whole.len()),
        Ok(Status::Complete(..))
    ));
    assert_eq!(read(&whole.as_bytes()[..100], 101), Ok(Status::NeedMore));
    let fields = |count: usize| with(&vec!["X: 1"; count - 1]).map(|head| head.fields().count());
    assert_eq!(fields(MAX_FIELDS), Ok(MAX_FIELDS));
    assert_eq!(fields(MAX_FIELDS + 1), Err(HeadError::TooManyFields));
    for (error, status) in [
        (HeadError::TargetTooLong, 414),
        (HeadError::TooLong, 431),
        (HeadError::TooManyFields, 431),
        (HeadError::TransferCoding, 501),
        (HeadError::TransferEncoding, 400),
        (HeadError::Version, 505),
        (HeadError::Expectation, 417),
        (HeadError::HostTwice, 400),
    ] {
        assert_eq!(error.status(), status, "{}", error.reason());
    }
}

#[test]
fn bytes_behind_the_head_are_left_alone() {
    let bytes = b"CONNECT a.example:443 HTTP/1.1\r\n\r\n\x16\x03\x01\0\n";
    let Ok(Status::Complete(_, taken)) = read(bytes, LIMIT) else {
        panic!("whole")
    };
    assert_eq!(&bytes[taken..], b"\x16\x03\x01\0\n");
}

fn written(lines: &[&str]) -> String {
    let mut out = Vec::new();
    head(lines)
        .unwrap()
        .write_origin_form("octroi", &mut out)
        .unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn what_goes_on_is_written_from_what_was_understood() {
    let found = written(&[
        "POST http://A.Example.:80/x?y HTTP/1.1",
        "Host: b.example",
        "User-Agent: t",
        "Proxy-Authorization: Basic eDp5",
        "Proxy-Connection: keep-alive",
        "Keep-Alive: 5",
        "TE: trailers",
        "Connection: x-secret, close, host, content-length",
        "X-Secret: 1",
        "X-Kept:   2",
        "Via: 1.1 before",
        "Content-Length: 3",
        "Upgrade: websocket",
    ]);
    let expected = "POST /x?y HTTP/1.1\r\nHost: a.example\r\nUser-Agent: t\r\nX-Kept: 2\r\n\
                    Via: 1.1 before\r\nContent-Length: 3\r\nVia: 1.1 octroi\r\n\r\n";
    assert_eq!(found, expected);

    let found = written(&[
        "GET http://[2001:db8::1]:8080 HTTP/1.1",
        "Host: x.example",
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
    ]);
    let expected = "GET / HTTP/1.1\r\nHost: [2001:db8::1]:8080\r\nSec-WebSocket-Version: 13\r\n\
                    Connection: Upgrade\r\nUpgrade: websocket\r\nVia: 1.1 octroi\r\n\r\n";
    assert_eq!(found, expected);

    let found = written(&[
        "POST / HTTP/1.0",
        "Host: a.example:8080",
        "Content-Length: 0",
    ]);
    let expected =
        "POST / HTTP/1.1\r\nHost: a.example:8080\r\nContent-Length: 0\r\nVia: 1.0 octroi\r\n\r\n";
    assert_eq!(found, expected);

    let found = written(&[
        "PUT https://a.example:443/ HTTP/1.1",
        "Host: a.example",
        "Transfer-Encoding: chunked",
        "Expect: 100-continue",
    ]);
    let expected = "PUT / HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\n\
                    Expect: 100-continue\r\nVia: 1.1 octroi\r\n\r\n";
    assert_eq!(found, expected);

    for lines in [&["CONNECT a.example:443 HTTP/1.1"][..], &["GET / HTTP/1.0"]] {
        let found = head(lines)
            .unwrap()
            .write_origin_form("octroi", &mut Vec::new());
        assert_eq!(found, Err(HeadError::NotForwardable));
    }
}

/// Found by the fuzz target `head`: what stands beyond the limit decided the reason, and only where it came at once.
#[test]
fn what_is_beyond_the_limit_is_not_looked_at() {
    let start = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}", "x".repeat(100));
    for beyond in ["\rx", "\n", "\0", "\r\n\r\n"] {
        let bytes = format!("{start}{beyond}");
        let mut reader = HeadReader::new(60);
        assert_eq!(reader.read(&bytes.as_bytes()[..59]), Ok(Status::NeedMore));
        assert_eq!(reader.read(bytes.as_bytes()), Err(HeadError::TooLong));
        assert_eq!(read(bytes.as_bytes(), 60), Err(HeadError::TooLong));
    }
}

/// Heads that are often nearly right.
fn any_head() -> impl Strategy<Value = Vec<u8>> {
    let line =
        "(GET|POST|CONNECT|OPTIONS) (/|\\*|/a|http://a.example/|a.example:443) HTTP/1\\.[01]\r\n";
    let field = "(Host: (a|b)\\.example|Content-Length: [0-9]|Transfer-Encoding: (chunked|gzip)|\
                 Connection: (close|x|upgrade)|X: y|Upgrade: websocket|Expect: 100-continue)\r\n";
    (
        line,
        prop::collection::vec(field, 0..5),
        prop::option::of((any::<prop::sample::Index>(), any::<u8>())),
    )
        .prop_map(|(line, fields, damage)| {
            let mut bytes = (line + &fields.concat() + "\r\n").into_bytes();
            if let Some((index, byte)) = damage {
                let at = index.index(bytes.len());
                bytes[at] = byte;
            }
            bytes
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    #[test]
    fn any_split_reads_alike(bytes in any_head(), piece in 1usize..9) {
        let whole = read(&bytes, LIMIT);
        let mut reader = HeadReader::new(LIMIT);
        let mut last = Ok(Status::NeedMore);
        for end in (0..bytes.len()).step_by(piece).chain([bytes.len()]) {
            last = reader.read(&bytes[..end]);
            if last != Ok(Status::NeedMore) {
                break;
            }
        }
        prop_assert_eq!(last, whole);
    }

    #[test]
    fn what_is_written_reads_as_the_same_request(bytes in any_head()) {
        let Ok(Status::Complete(first, _)) = read(&bytes, LIMIT) else { return Ok(()) };
        let mut out = Vec::new();
        if first.write_origin_form("octroi", &mut out).is_err() {
            return Ok(());
        }
        let Ok(Status::Complete(second, taken)) = read(&out, LIMIT) else {
            return Err(TestCaseError::fail(out.escape_ascii().to_string()));
        };
        prop_assert_eq!(taken, out.len());
        prop_assert_eq!(second.framing, first.framing);
        prop_assert_eq!(second.is_websocket(), first.is_websocket());
        prop_assert_eq!(&second.method, &first.method);
        let asked = match &first.target {
            Target::Absolute { authority, .. } => Some(&authority.host),
            _ => first.host.as_ref().map(|authority| &authority.host),
        };
        prop_assert_eq!(second.host.as_ref().map(|authority| &authority.host), asked);
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Err(error) = read(&bytes, 100) {
            prop_assert!((400..600).contains(&error.status()) && !error.reason().is_empty());
        }
    }
}

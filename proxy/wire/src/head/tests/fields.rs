use super::*;

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
fn a_request_knows_whose_hands_it_went_through() {
    let via = |fields: &[&str]| with(fields).unwrap().came_through("octroi-1a2b");
    for (fields, expected) in [
        (&[][..], false),
        (&["Via: 1.1 octroi-1a2b"], true),
        (&["Via: 1.1 OCTROI-1A2B"], true),
        (&["Via: 1.0 a, HTTP/1.1\toctroi-1a2b (a gate),1.1 b"], true),
        (&["Via: 1.1 a", "Via: 1.1 octroi-1a2b"], true),
        (&["Via: 1.1 octroi-1a2b", "Connection: via"], true),
        (&["Via: 1.1 octroi"], false),
        (&["Via: 1.1 octroi-1a2bc"], false),
        (&["Via: octroi-1a2b"], false),
        (&["Via: 1.1 a (octroi-1a2b)"], false),
        (&["X-Via: 1.1 octroi-1a2b"], false),
    ] {
        assert_eq!(via(fields), expected, "{fields:?}");
    }
}

#[test]
fn hops_are_counted_with_options_only() {
    let asked = |method: &str, fields: &[&str]| {
        let line = format!("{method} http://h.example/ HTTP/1.1");
        head(&[&[&line, "Host: h.example"], fields].concat()).map(|head| head.max_forwards)
    };
    for (fields, expected) in [
        (&[][..], Ok(None)),
        (&["Max-Forwards: 0"], Ok(Some(0))),
        (&["Max-Forwards: 010"], Ok(Some(10))),
        (&["Max-Forwards:"], Err(HeadError::MaxForwards)),
        (&["Max-Forwards: -1"], Err(HeadError::MaxForwards)),
        (&["Max-Forwards: 1, 1"], Err(HeadError::MaxForwards)),
        (
            &["Max-Forwards: 18446744073709551616"],
            Err(HeadError::MaxForwards),
        ),
        (
            &["Max-Forwards: 1", "Max-Forwards: 1"],
            Err(HeadError::MaxForwards),
        ),
    ] {
        assert_eq!(asked("OPTIONS", fields), expected, "{fields:?}");
        assert_eq!(asked("GET", fields), Ok(None), "{fields:?}");
    }
}

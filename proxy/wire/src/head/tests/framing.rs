use super::*;

#[test]
fn the_body_ends_in_one_place_or_the_head_is_refused() {
    use HeadError as E;
    for (fields, expected) in [
        (&[][..], Ok(Framing::None)),
        (&["Content-Length: 0"], Ok(Framing::Length(0))),
        (&["Content-Length: 42"], Ok(Framing::Length(42))),
        (
            &["Content-Length: 9223372036854775807"],
            Ok(Framing::Length(i64::MAX as u64)),
        ),
        (&["Transfer-Encoding: Chunked"], Ok(Framing::Chunked)),
        (
            &["Content-Length: 9223372036854775808"],
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
        (&["Content-Length: 007"], Ok(Framing::Length(7))),
        (&["Transfer-Encoding: xchunked"], Err(E::TransferCoding)),
        (&["Transfer-Encoding: chunked;q=1"], Err(E::TransferCoding)),
        (&["Transfer-Encoding: \"chunked\""], Err(E::TransferCoding)),
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
    assert_eq!(upgrade.upgrade.as_deref(), Some("WebSocket"));
    assert_eq!(with(&["Upgrade: websocket"]).unwrap().upgrade, None);
}

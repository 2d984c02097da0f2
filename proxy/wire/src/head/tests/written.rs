use super::*;

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
        "PUT http://a.example:80/ HTTP/1.1",
        "Host: a.example",
        "Transfer-Encoding: chunked",
        "Expect: 100-continue",
    ]);
    let expected = "PUT / HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\n\
                    Expect: 100-continue\r\nVia: 1.1 octroi\r\n\r\n";
    assert_eq!(found, expected);

    for lines in [
        &["CONNECT a.example:443 HTTP/1.1"][..],
        &["GET https://a.example/ HTTP/1.1", "Host: a.example"],
        &["GET / HTTP/1.0"],
    ] {
        let found = head(lines)
            .unwrap()
            .write_origin_form("octroi", &mut Vec::new());
        assert_eq!(found, Err(HeadError::NotForwardable));
    }
}

#[test]
fn one_hop_less_is_left() {
    let ask = |method: &str| {
        written(&[
            &format!("{method} http://a.example/ HTTP/1.1"),
            "Host: a.example",
            "Max-Forwards: 3",
            "Trailer: X-After",
        ])
    };
    let fields = "HTTP/1.1\r\nHost: a.example\r\nMax-Forwards";
    let via = "\r\nVia: 1.1 octroi\r\n\r\n";
    assert_eq!(ask("OPTIONS"), format!("OPTIONS / {fields}: 2{via}"));
    assert_eq!(ask("PUT"), format!("PUT / {fields}: 3{via}"));
}

/// A body behind the opening of a WebSocket would be frames to another reader.
#[test]
fn a_websocket_opens_with_get_and_without_a_body() {
    let opens = |method: &str, more: &[&str]| {
        let line = format!("{method} http://a.example/ HTTP/1.1");
        let fields = ["Host: a.example", "Connection: upgrade"];
        head(&[&[line.as_str()], &fields[..], more].concat())
            .unwrap()
            .is_websocket()
    };
    assert!(opens("GET", &["Upgrade: WebSocket"]));
    assert!(!opens("POST", &["Upgrade: websocket"]));
    assert!(!opens("GET", &["Upgrade: websocket", "Content-Length: 1"]));
    assert!(!opens("GET", &["Upgrade: websocket, h2c"]));
    assert!(!opens("GET", &["Upgrade: websocket", "Upgrade: h2c"]));
}

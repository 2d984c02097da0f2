use super::*;

/// A GET of this target with this Host.
fn target(target: &str) -> Result<Target, HeadError> {
    head(&[&format!("GET {target} HTTP/1.1"), "Host: h.example"]).map(|head| head.target)
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

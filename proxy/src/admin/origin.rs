//! Whether a request comes from a page of the console, a person or a program, or from a page elsewhere that a browser
//! was led to.

use http::{HeaderMap, Method, header};

use super::Visitor;

/// Whether it comes from a page elsewhere, as far as that matters: for what changes something, and for all of the API,
/// for an answer may be work (*explain* asks the name servers).
pub(super) fn is_elsewhere(
    method: &Method,
    path: &str,
    headers: &HeaderMap,
    visitor: Visitor,
) -> bool {
    let is_safe = matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS);
    if is_safe && !path.starts_with("/api/") {
        return false;
    }
    let mut sites = headers.get_all("sec-fetch-site").iter();
    // `none`: a person typed it.
    let far = sites.any(|site| !matches!(site.as_bytes(), b"same-origin" | b"none"));
    let mut origins = headers.get_all(header::ORIGIN).iter();
    let host = headers
        .get(header::HOST)
        .and_then(|host| host.to_str().ok());
    let foreign = origins.any(|origin| {
        let origin = origin.to_str().ok();
        !origin
            .zip(host)
            .is_some_and(|(origin, host)| is_own(origin, host, visitor))
    });
    far || foreign
}

/// Whether an Origin is that of the host it was sent to. In clear also `https`: something before the gate may speak TLS.
fn is_own(origin: &str, host: &str, visitor: Visitor) -> bool {
    let Some((scheme, authority)) = origin.split_once("://") else {
        return false;
    };
    let port = match scheme {
        "https" => ":443",
        "http" if !visitor.over_tls => ":80",
        _ => return false,
    };
    let bare = |text: &str| text.strip_suffix(port).unwrap_or(text).to_ascii_lowercase();
    bare(authority) == bare(host)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn headers(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        let pair = |(name, value): &(&'static str, &'static str)| {
            let name = header::HeaderName::from_static(name);
            (name, HeaderValue::from_static(value))
        };
        lines.iter().map(pair).collect()
    }

    #[test]
    fn only_the_own_page_may_change_something() {
        let (clear, over_tls) = (
            Visitor::default(),
            Visitor {
                over_tls: true,
                certified: false,
            },
        );
        for (origin, host, visitor, expected) in [
            (
                "http://gate.example:9128",
                "gate.example:9128",
                clear,
                false,
            ),
            (
                "http://GATE.example:9128",
                "gate.example:9128",
                clear,
                false,
            ),
            ("http://gate.example", "gate.example:80", clear, false),
            ("https://gate.example", "gate.example", clear, false),
            ("https://gate.example", "gate.example:443", over_tls, false),
            ("http://gate.example", "gate.example", over_tls, true),
            ("http://gate.example", "gate.example:9128", clear, true),
            ("http://evil.example:9128", "gate.example:9128", clear, true),
            (
                "http://gate.example.evil.example",
                "gate.example",
                clear,
                true,
            ),
            ("null", "gate.example", clear, true),
            ("gate.example", "gate.example", clear, true),
            ("file://gate.example", "gate.example", clear, true),
        ] {
            let headers = headers(&[("origin", origin), ("host", host)]);
            for method in [Method::POST, Method::DELETE, Method::PUT] {
                assert_eq!(
                    is_elsewhere(&method, "/-/reload", &headers, visitor),
                    expected,
                    "{origin} {host}"
                );
            }
            assert!(!is_elsewhere(&Method::GET, "/metrics", &headers, visitor));
        }
        let no_host = headers(&[("origin", "http://gate.example")]);
        assert!(is_elsewhere(&Method::POST, "/-/reload", &no_host, clear));
    }

    #[test]
    fn what_a_browser_says_of_where_it_comes_from_is_heard() {
        for (site, expected) in [
            ("same-origin", false),
            ("none", false),
            ("same-site", true),
            ("cross-site", true),
            ("", true),
        ] {
            let headers = headers(&[("sec-fetch-site", site), ("host", "a.example")]);
            let is =
                |method: Method, path| is_elsewhere(&method, path, &headers, Visitor::default());
            assert_eq!(is(Method::GET, "/api/v1/explain"), expected, "{site}");
            assert_eq!(is(Method::POST, "/-/reload"), expected, "{site}");
            // A link from elsewhere leads to the console, and that is all.
            assert!(!is(Method::GET, "/"), "{site}");
        }
        let program = headers(&[("host", "a.example")]);
        assert!(!is_elsewhere(
            &Method::POST,
            "/-/reload",
            &program,
            Visitor::default()
        ));
    }
}

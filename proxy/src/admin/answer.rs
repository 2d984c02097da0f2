//! A whole answer of the admin listener, and what stands in the head of each.

use bytes::Bytes;
use http::header::{self, HeaderName, HeaderValue};
use http::{HeaderMap, Method, Response, StatusCode};
use serde::Serialize;

pub(super) const TEXT: &str = "text/plain; charset=utf-8";
pub(super) const JSON: &str = "application/json";
const PROBLEM: &str = "application/problem+json";

/// Everything that the console needs is the gate's own: no other origin, nothing inline, no frame around it, and no
/// text that becomes markup.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
    base-uri 'none'; form-action 'self'; frame-ancestors 'none'; require-trusted-types-for 'script'";

/// In every head.
const GUARDS: [(HeaderName, &str); 5] = [
    (header::CONTENT_SECURITY_POLICY, POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (
        HeaderName::from_static("cross-origin-opener-policy"),
        "same-origin",
    ),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        "same-origin",
    ),
];

/// Puts the fields that guard the reader into a head.
pub(super) fn guard(headers: &mut HeaderMap) {
    for (name, value) in GUARDS {
        headers.insert(name, HeaderValue::from_static(value));
    }
}

/// Status, fields and body.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    content_type: &'static str,
    pub(super) body: Bytes,
    caching: &'static str,
    fields: Vec<(HeaderName, HeaderValue)>,
}

/// What is wrong with a request (RFC 9457).
#[derive(Serialize)]
struct Problem<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    title: &'a str,
    status: u16,
    detail: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    param: Option<&'a str>,
}

impl Answer {
    pub(super) fn new(
        status: StatusCode,
        content_type: &'static str,
        body: impl Into<Bytes>,
    ) -> Self {
        Self {
            status,
            content_type,
            body: body.into(),
            caching: "no-store",
            fields: Vec::new(),
        }
    }

    pub(super) fn text(status: StatusCode, body: impl Into<String>) -> Self {
        Self::new(status, TEXT, body.into())
    }

    pub(super) fn json(value: &impl Serialize) -> Self {
        // Every key is a string and nothing here fails by itself.
        let mut body = serde_json::to_vec(value).unwrap_or_default();
        body.push(b'\n');
        Self::new(StatusCode::OK, JSON, body)
    }

    /// Without a body.
    pub(super) fn empty(status: StatusCode) -> Self {
        Self::text(status, "")
    }

    /// What is wrong, for a program and for a person; `param` names the field that it is about.
    pub(super) fn problem(status: StatusCode, detail: &str, param: Option<&str>) -> Self {
        let problem = Problem {
            kind: "about:blank",
            title: status.canonical_reason().unwrap_or_default(),
            status: status.as_u16(),
            detail,
            param,
        };
        let mut answer = Self::json(&problem);
        (answer.status, answer.content_type) = (status, PROBLEM);
        answer
    }

    /// What is wrong, as a program of the API or a person at a terminal reads it.
    pub(super) fn refusal(path: &str, status: StatusCode, detail: &str) -> Self {
        if path.starts_with("/api/") {
            Self::problem(status, detail, None)
        } else {
            Self::text(status, format!("{detail}\n"))
        }
    }

    pub(super) fn with(mut self, name: HeaderName, value: &str) -> Self {
        // All values are the gate's own words; one that is none would be left out.
        if let Ok(value) = HeaderValue::from_str(value) {
            self.fields.push((name, value));
        }
        self
    }

    /// May be kept, and is asked for again each time.
    pub(super) fn kept(mut self) -> Self {
        self.caching = "no-cache";
        self
    }

    /// The head, and the body where there is to be one.
    pub(super) fn into_response(self, method: &Method) -> (Response<()>, Bytes) {
        let mut response = Response::new(());
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        guard(headers);
        let word = HeaderValue::from_static;
        headers.insert(header::CONTENT_TYPE, word(self.content_type));
        headers.insert(header::CACHE_CONTROL, word(self.caching));
        if !matches!(
            self.status,
            StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED
        ) {
            headers.insert(header::CONTENT_LENGTH, self.body.len().into());
        }
        for (name, value) in self.fields {
            headers.insert(name, value);
        }
        let body = if *method == Method::HEAD {
            Bytes::new()
        } else {
            self.body
        };
        (response, body)
    }
}

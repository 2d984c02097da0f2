//! What clients are told: the 200, refusals in their language and format, faults in the same voice.

pub mod audience;
mod page;
mod problem;
pub mod recent;
pub mod refusal;
mod status;
#[cfg(test)]
mod tests;

use std::fmt::Write as _;
use std::sync::LazyLock;
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use octroi_policy::Policy;
use octroi_policy::catalogue::{Language, Localised};
use octroi_policy::decision::Who;

use crate::ledger::FlowId;

pub use audience::{Audience, Format};
pub use recent::Recent;
pub use refusal::Refusal;
pub use status::ProxyStatus;

/// The 200 to a CONNECT: no length, no encoding (RFC 9110 section 9.3.6).
pub const ESTABLISHED: &[u8] = b"HTTP/1.1 200 Connection Established\r\n\r\n";

/// What we are, in `Proxy-Status` and the like.
pub const PSEUDONYM: &str = "octroi";

/// Who this gate is, in `Via`: `octroi-` and eight letters drawn at its start. A request that says
/// so has been here before; one that comes from another gate says something else.
#[must_use]
pub fn pseudonym() -> &'static str {
    static NAME: LazyLock<String> = LazyLock::new(|| {
        let drawn = FlowId::draw().to_string().replace('-', "");
        format!("{PSEUDONYM}-{}", &drawn[..8])
    });
    &NAME
}

/// The media type of proxy auto-configuration: what browsers ask for.
const PAC: &str = "application/x-ns-proxy-autoconfig";

/// Seconds after which to ask again where nobody can know when there will be room.
const SOON: &str = "5";

/// What happens to the connection after a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum After {
    /// Another request may follow.
    KeepAlive,
    /// Nothing more is read.
    Close,
}

/// What is known of a request that failed.
#[derive(Clone, Copy, Debug, Default)]
pub struct About<'a> {
    /// What was asked for, as `host:port`.
    pub asked: Option<&'a str>,
    /// The ministry's name; `None` = nobody's machine, or not known.
    pub ministry: Option<&'a Localised>,
    /// Whom to ask.
    pub contact: Option<&'a str>,
}

impl<'a> About<'a> {
    /// `asked` by `who`, whom the policy tells whom to ask.
    #[must_use]
    pub fn new(policy: &'a Policy, who: &Who, asked: &'a str) -> Self {
        let ministry = who.ministry.map(|m| &policy.model().ministries[m.at()]);
        Self {
            asked: Some(asked),
            ministry: ministry.map(|ministry| &ministry.name),
            contact: refusal::contact(policy, who),
        }
    }
}

/// A whole answer of our own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The status.
    pub status: StatusCode,
    /// The fields, but for those that frame the message.
    pub fields: Vec<(&'static str, String)>,
    /// The body.
    pub body: String,
}

impl Reply {
    /// A refusal: 403, with everything the person or program needs to go on.
    #[must_use]
    pub fn refusal(refusal: &Refusal<'_>, audience: Audience) -> Self {
        let status = ProxyStatus::denied(&refusal.brief(), refusal.incident);
        let body = match audience.format {
            Format::Page => page::refusal(refusal, audience.language),
            Format::Problem => problem::refusal(refusal, audience.language),
        };
        Self::new(StatusCode::FORBIDDEN, Some(&status), audience, body)
    }

    /// Everything else that ends a request: our reading of it, or of the way to its origin, failed.
    #[must_use]
    pub fn fault(fault: &Fault, incident: &str, audience: Audience) -> Self {
        Self::fault_about(fault, incident, About::default(), audience)
    }

    /// The same, where it is known who asked for what.
    #[must_use]
    pub fn fault_about(
        fault: &Fault,
        incident: &str,
        about: About<'_>,
        audience: Audience,
    ) -> Self {
        let status = ProxyStatus::failed(fault.proxy_error, fault.reason, incident);
        let body = match audience.format {
            Format::Page => page::fault(fault, incident, about, audience.language),
            Format::Problem => problem::fault(fault, incident, audience.language),
        };
        Self::new(fault.status(), Some(&status), audience, body)
    }

    /// The self-service page: what the one who asks was refused of late.
    #[must_use]
    pub fn recent(recent: &Recent<'_>, audience: Audience) -> Self {
        let body = match audience.format {
            Format::Page => page::recent(recent, audience.language),
            Format::Problem => problem::recent(recent, audience.language),
        };
        let mut reply = Self::new(StatusCode::OK, None, audience, body);
        if audience.format == Format::Problem {
            // A list of problems is no problem of its own.
            reply.set("Content-Type", "application/json");
        }
        // No other site's page may load it into its own.
        reply.set("Cross-Origin-Resource-Policy", "same-origin");
        reply
    }

    /// What the gate answers to OPTIONS that goes no further: the methods it serves for others.
    #[must_use]
    pub fn options() -> Self {
        Self {
            status: StatusCode::OK,
            fields: vec![(
                "Allow",
                "CONNECT, GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS".to_owned(),
            )],
            body: String::new(),
        }
    }

    /// The file that tells browsers which way out to take.
    #[must_use]
    pub fn pac(text: String) -> Self {
        Self {
            status: StatusCode::OK,
            fields: vec![
                ("Content-Type", PAC.to_owned()),
                ("Cache-Control", "no-store".to_owned()),
                ("X-Content-Type-Options", "nosniff".to_owned()),
            ],
            body: text,
        }
    }

    /// The same, and when it is worth while to ask again.
    #[must_use]
    pub fn retry_after(mut self, wait: Duration) -> Self {
        let whole = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        self.set("Retry-After", &whole.max(1).to_string());
        self
    }

    fn set(&mut self, name: &'static str, value: &str) {
        self.fields.retain(|(field, _)| *field != name);
        self.fields.push((name, value.to_owned()));
    }

    fn new(
        status: StatusCode,
        proxy_status: Option<&ProxyStatus>,
        audience: Audience,
        body: String,
    ) -> Self {
        let mut fields = vec![
            ("Content-Type", audience.format.media_type().to_owned()),
            ("Content-Language", audience.language_tag().to_owned()),
        ];
        fields.extend(proxy_status.map(|status| ("Proxy-Status", status.to_string())));
        fields.push(("Cache-Control", "no-store".to_owned()));
        fields.push(("X-Content-Type-Options", "nosniff".to_owned()));
        if audience.format == Format::Page {
            fields.push(("Content-Security-Policy", page::SECURITY_POLICY.to_owned()));
            fields.push(("Referrer-Policy", "no-referrer".to_owned()));
        }
        if status == StatusCode::SERVICE_UNAVAILABLE {
            fields.push(("Retry-After", SOON.to_owned()));
        }
        Self {
            status,
            fields,
            body,
        }
    }

    /// The fields as they go on the wire: none holds a line break, whatever it is made of.
    pub fn wire_fields(&self) -> impl Iterator<Item = (&'static str, String)> {
        self.fields
            .iter()
            .map(|(name, value)| (*name, field_value(value)))
    }

    /// As it goes on the wire; without the body for a HEAD request.
    #[must_use]
    pub fn to_bytes(&self, after: After, is_head: bool) -> Bytes {
        let reason = self.status.canonical_reason().unwrap_or_default();
        let mut text = format!("HTTP/1.1 {} {reason}\r\n", self.status.as_str());
        for (name, value) in self.wire_fields() {
            let _ = write!(text, "{name}: {value}\r\n");
        }
        let _ = write!(text, "Content-Length: {}\r\n", self.body.len());
        if after == After::Close {
            text.push_str("Connection: close\r\n");
        }
        text.push_str("\r\n");
        if !is_head {
            text.push_str(&self.body);
        }
        text.into()
    }
}

/// Whatever a field is made of, it stays one field.
fn field_value(value: &str) -> String {
    let plain = |c: char| if (' '..='~').contains(&c) { c } else { '?' };
    value.chars().map(plain).collect()
}

/// Something other than the policy ended a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    status: u16,
    /// The word for it in logs, metrics and headers.
    pub reason: &'static str,
    /// The error type of RFC 9209 section 2.3.
    pub proxy_error: &'static str,
    french: &'static str,
    english: &'static str,
}

impl Fault {
    /// A fault: status, reason, RFC 9209 error type, and a sentence in French and in English.
    #[must_use]
    pub const fn new(
        status: u16,
        reason: &'static str,
        proxy_error: &'static str,
        french: &'static str,
        english: &'static str,
    ) -> Self {
        Self {
            status,
            reason,
            proxy_error,
            french,
            english,
        }
    }

    /// The status.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.status).unwrap_or(StatusCode::BAD_GATEWAY)
    }

    /// The sentence for people.
    #[must_use]
    pub fn sentence(&self, language: Language) -> &'static str {
        match language {
            Language::French => self.french,
            Language::English => self.english,
        }
    }
}

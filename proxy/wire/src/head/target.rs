//! The four forms of a request target (RFC 9112 §3.2).

use octroi_policy::Authority;

use super::HeadError;

/// What the request is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// CONNECT `host:port`; the port is always there.
    Authority(Authority),
    /// `http://host/path`, what a client sends to a proxy.
    Absolute {
        /// The scheme.
        scheme: Scheme,
        /// The host, and the port if it is written.
        authority: Authority,
        /// Path and query, beginning with `/`; or `*` for OPTIONS of the whole server.
        path: String,
    },
    /// `/path?query`, what a client sends to an origin.
    Origin(String),
    /// `*`, with OPTIONS only.
    Asterisk,
}

/// The schemes of an absolute target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// Plain HTTP.
    Http,
    /// HTTPS without a tunnel: the client asks the proxy to speak TLS in its place.
    Https,
}

impl Scheme {
    /// The port where none is written.
    #[must_use]
    pub fn default_port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}

impl Target {
    pub(super) fn parse(method: &str, text: &str) -> Result<Self, HeadError> {
        // A fragment is never sent (RFC 9110 §4.2.5), and URIs are ASCII (RFC 3986 §2).
        if !text
            .bytes()
            .all(|byte| matches!(byte, 0x21..=0x7e) && byte != b'#')
        {
            return Err(HeadError::Target);
        }
        if method == "CONNECT" {
            let authority = authority(text)?;
            return match authority.port {
                Some(_) => Ok(Self::Authority(authority)),
                None => Err(HeadError::ConnectPort),
            };
        }
        if text.starts_with('/') {
            return Ok(Self::Origin(text.to_owned()));
        }
        match (text, method) {
            ("*", "OPTIONS") => Ok(Self::Asterisk),
            _ => absolute(method, text),
        }
    }
}

fn absolute(method: &str, text: &str) -> Result<Target, HeadError> {
    let (scheme, rest) = text.split_once("://").ok_or(HeadError::Target)?;
    let scheme = match scheme {
        s if s.eq_ignore_ascii_case("http") => Scheme::Http,
        s if s.eq_ignore_ascii_case("https") => Scheme::Https,
        s if s
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b)) =>
        {
            return Err(HeadError::Scheme);
        }
        _ => return Err(HeadError::Target),
    };
    let (host, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    let path = match path {
        // RFC 9112 §3.2.4: OPTIONS without a path is for the server as a whole.
        "" if method == "OPTIONS" => "*".to_owned(),
        query if !query.starts_with('/') => format!("/{query}"),
        path => path.to_owned(),
    };
    Ok(Target::Absolute {
        scheme,
        authority: authority(host)?,
        path,
    })
}

fn authority(text: &str) -> Result<Authority, HeadError> {
    Authority::parse(text).map_err(HeadError::TargetHost)
}

//! The head as it goes on to the origin.

use octroi_policy::Authority;

use super::{Framing, Head, HeadError, Scheme, Target, Version};

/// Fields that concern one connection only (RFC 9110 §7.6.1), that are for the proxy, or that
/// are written anew from what was understood. Trailers are not passed on, so none is announced.
const NOT_COPIED: [&str; 14] = [
    "connection",
    "content-length",
    "host",
    "http2-settings",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authentication-info",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "expect",
];

impl Head {
    /// Appends the head to `out` in origin form and HTTP/1.1: one Host, taken from the target;
    /// framing as understood; without what concerns this connection or the proxy; with a Via
    /// that names `pseudonym` (RFC 9110 §7.6.3), and one hop less to go where hops are counted.
    /// Upgrade is kept for WebSocket alone (RFC 6455).
    ///
    /// # Errors
    /// [`HeadError::NotForwardable`] for CONNECT, for `https` (it would go out in clear), and where there is no host to name.
    pub fn write_origin_form(&self, pseudonym: &str, out: &mut Vec<u8>) -> Result<(), HeadError> {
        let (authority, path) = self.origin().ok_or(HeadError::NotForwardable)?;
        let mut line = |parts: &[&[u8]]| {
            parts.iter().for_each(|part| out.extend_from_slice(part));
            out.extend_from_slice(b"\r\n");
        };
        line(&[self.method.as_bytes(), b" ", path.as_bytes(), b" HTTP/1.1"]);
        line(&[b"Host: ", authority.as_bytes()]);
        for (name, value) in self.fields().filter(|(name, _)| self.is_copied(name)) {
            line(&[name.as_bytes(), b": ", value]);
        }
        match self.framing {
            Framing::None => {}
            Framing::Length(length) => line(&[b"Content-Length: ", length.to_string().as_bytes()]),
            Framing::Chunked => line(&[b"Transfer-Encoding: chunked"]),
        }
        if self.expect_continue {
            line(&[b"Expect: 100-continue"]);
        }
        if self.is_websocket() {
            line(&[b"Connection: Upgrade"]);
            line(&[b"Upgrade: websocket"]);
        }
        if let Some(left) = self.max_forwards {
            let left = left.saturating_sub(1).to_string();
            line(&[b"Max-Forwards: ", left.as_bytes()]);
        }
        let received: &[u8] = match self.version {
            Version::Http10 => b"1.0",
            Version::Http11 => b"1.1",
        };
        line(&[b"Via: ", received, b" ", pseudonym.as_bytes()]);
        line(&[]);
        Ok(())
    }

    /// Is this the opening handshake of a WebSocket (RFC 6455 §4.1)? With another method or a
    /// body it is none: what follows the head would be a body to one reader, and frames to another.
    #[must_use]
    pub fn is_websocket(&self) -> bool {
        let asked = self.upgrade.as_deref();
        asked.is_some_and(|protocol| protocol.eq_ignore_ascii_case("websocket"))
            && self.method == "GET"
            && self.framing == Framing::None
    }

    /// The Host to send, and the target in origin form.
    fn origin(&self) -> Option<(String, &str)> {
        match &self.target {
            Target::Authority(_)
            | Target::Absolute {
                scheme: Scheme::Https,
                ..
            } => None,
            Target::Absolute {
                scheme: Scheme::Http,
                authority,
                path,
            } => Some((host(authority, Scheme::Http.default_port()), path)),
            Target::Origin(path) => Some((host(self.host.as_ref()?, 80), path)),
            Target::Asterisk => Some((host(self.host.as_ref()?, 80), "*")),
        }
    }

    fn is_copied(&self, name: &str) -> bool {
        let counted = self.max_forwards.is_some() && name.eq_ignore_ascii_case("max-forwards");
        let ours = NOT_COPIED.iter().any(|not| not.eq_ignore_ascii_case(name));
        !ours && !counted && !self.connection_names(name)
    }
}

/// The default port is left out, as RFC 9110 §4.2.3 makes both spellings one.
fn host(authority: &Authority, default_port: u16) -> String {
    match authority.port {
        Some(port) if port == default_port => authority.host.to_string(),
        _ => authority.to_string(),
    }
}

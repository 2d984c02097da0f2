//! The header by which a balancer says whose connection it passes on: the PROXY protocol, versions 1
//! and 2 (HAProxy's `proxy-protocol.txt`).
//!
//! Whoever may write this header chooses the address that is judged. So it is read from trusted
//! balancers alone, and nothing in it is guessed: one spelling of every address and number, every
//! length exact, a checksum verified where there is one.

mod binary;
mod text;

use std::net::SocketAddr;

/// The longest header of version 1, its line end included (section 2.1).
pub const MAX_TEXT: usize = 107;

/// The longest header of version 2 that is read. Senders write some hundred bytes; with a client's
/// certificate in it, some thousand.
pub const MAX_BINARY: usize = 4096;

/// On whose behalf a balancer connects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sender {
    /// Its own: a health check (`LOCAL`), or a connection it has no address for (`UNKNOWN`).
    Balancer,
    /// A client's.
    Client {
        /// Where the client speaks from.
        source: SocketAddr,
        /// Where it reached the balancer.
        destination: SocketAddr,
        /// How it reached it.
        transport: Transport,
    },
}

/// How a client speaks to a balancer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// In clear, or the header does not say.
    Plain,
    /// Over TLS, which the balancer ends.
    Tls,
}

/// How far a header has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// It is good so far, and not whole.
    NeedMore,
    /// It is whole.
    Complete(Sender, usize),
}

/// Why a header is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProxyHeaderError {
    /// The first bytes begin none.
    #[error("the connection does not begin with a PROXY header")]
    Missing,
    /// Longer than [`MAX_TEXT`] or [`MAX_BINARY`].
    #[error("the PROXY header is longer than allowed")]
    TooLong,
    /// A line of version 1 that ends in LF alone, or holds a CR or another control character.
    #[error("the line does not end in CR LF, or holds a control character")]
    LineEnd,
    /// A line of version 1 that is not six words with one blank between each.
    #[error("the line is not PROXY, family, two addresses and two ports")]
    Syntax,
    /// A version other than 1 and 2.
    #[error("the version is not 1 or 2")]
    Version,
    /// A command other than LOCAL and PROXY.
    #[error("the command is neither LOCAL nor PROXY")]
    Command,
    /// Something other than TCP over IPv4 or IPv6.
    #[error("the connection passed on is not TCP over IPv4 or IPv6")]
    Family,
    /// An address that is none of the family, or not in its one canonical form.
    #[error("an address is not valid, or not in its canonical form")]
    Address,
    /// A source that no client has: unspecified, multicast or broadcast.
    #[error("no client has such a source address")]
    Source,
    /// A port that is no number from 0 to 65535 without leading zeros.
    #[error("a port is not a number from 0 to 65535 without leading zeros")]
    Port,
    /// A length that does not fit what it is the length of.
    #[error("a length does not fit what is there")]
    Length,
    /// Two fields that say how the client speaks to the balancer: senders write one, and readers
    /// that take the first and those that take the last would differ.
    #[error("the field on the client's TLS stands there twice")]
    Repeated,
    /// A checksum that does not match, or more than one.
    #[error("the checksum does not match")]
    Checksum,
}

impl ProxyHeaderError {
    /// The word for it in logs and metrics; the text of the error says more.
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self {
            Self::Missing => "proxy-header-missing",
            Self::TooLong => "proxy-header-too-long",
            Self::Checksum => "proxy-header-checksum",
            Self::LineEnd
            | Self::Syntax
            | Self::Version
            | Self::Command
            | Self::Family
            | Self::Address
            | Self::Source
            | Self::Port
            | Self::Length
            | Self::Repeated => "proxy-header-malformed",
        }
    }
}

/// Reads the header at the start of `bytes`; what follows it is not looked at.
///
/// # Errors
/// [`ProxyHeaderError`], as soon as what is there cannot become a good header.
pub fn read(bytes: &[u8]) -> Result<Status, ProxyHeaderError> {
    if begins(bytes, binary::SIGNATURE) {
        binary::read(bytes)
    } else if begins(bytes, text::SIGNATURE) {
        text::read(bytes)
    } else {
        Err(ProxyHeaderError::Missing)
    }
}

/// Whether `bytes` begin with `signature`, as far as they go.
fn begins(bytes: &[u8], signature: &[u8]) -> bool {
    let common = bytes.len().min(signature.len());
    bytes[..common] == signature[..common]
}

/// A client, unless its source is one that no client has.
fn client(
    source: SocketAddr,
    destination: SocketAddr,
    transport: Transport,
) -> Result<Sender, ProxyHeaderError> {
    let ip = source.ip().to_canonical();
    let is_broadcast = matches!(ip, std::net::IpAddr::V4(ip) if ip.is_broadcast());
    if ip.is_unspecified() || ip.is_multicast() || is_broadcast {
        return Err(ProxyHeaderError::Source);
    }
    Ok(Sender::Client {
        source,
        destination,
        transport,
    })
}

#[cfg(test)]
mod tests;

//! The first flight of a TLS client, read while it passes: server name, ALPN, ECH, versions.
//!
//! The bytes stay with the caller, who replays them; a [`HelloReader`] only looks. It has three
//! answers, and "cannot read" is none of the ones that mean "go on": a hello, surely not TLS, or
//! malformed. It resumes over any split of segments and records, looks at each byte once, and
//! refuses as soon as a header is enough to refuse.

mod cursor;
mod message;

use octroi_policy::{DomainName, NameError};
use std::net::IpAddr;

use crate::record::{HANDSHAKE, MAX_FRAGMENT};

/// The handshake type of a ClientHello (RFC 8446 §4).
const CLIENT_HELLO: u8 = 1;

/// A fatal `access_denied` alert in a plaintext record (RFC 8446 §6.2), the answer to a hello
/// that the policy refuses.
#[must_use]
pub const fn alert_access_denied() -> [u8; 7] {
    [21, 3, 3, 0, 2, 2, 49]
}

/// What the bytes seen so far are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Peek {
    /// The beginning of a hello; more bytes are needed.
    NeedMore,
    /// A whole hello.
    Hello(ClientHello),
    /// Surely not a TLS client: HTTP, SSH, an SSLv2 hello (which cannot carry a name), …
    NotTls,
    /// TLS by its first byte, but not a hello that can be read to the end.
    Malformed(Malformed),
}

/// What a ClientHello says in the clear (RFC 8446 §4.1.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientHello {
    /// The server name indication.
    pub sni: Sni,
    /// The protocols offered, in order (RFC 7301); empty if the extension is absent.
    pub alpn: Vec<Box<[u8]>>,
    /// An encrypted hello inside, genuine or GREASE: the two cannot be told apart.
    pub ech: Option<Ech>,
    /// The versions offered in order, GREASE values included (RFC 8446 §4.2.1); empty if the
    /// extension is absent, which means `legacy_version` and below.
    pub versions: Vec<u16>,
    /// The version field of the hello itself: 0x0303 for TLS 1.2 and all that follow.
    pub legacy_version: u16,
    /// The types of all extensions, in order.
    pub extensions: Vec<u16>,
}

/// The server name indication (RFC 6066 §3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sni {
    /// No such extension.
    Absent,
    /// A host name.
    Name(DomainName),
    /// A literal address, which the RFC forbids and some clients send all the same.
    Address(IpAddr),
}

/// The outer form of an encrypted hello (RFC 9849 §5). The name outside is only the public one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ech {
    /// The key derivation function, an HPKE number.
    pub kdf: u16,
    /// The cipher, an HPKE number.
    pub aead: u16,
    /// Which of the server's configurations was used.
    pub config_id: u8,
    /// The length of the encrypted inner hello, in bytes.
    pub payload: usize,
}

/// Why a hello is malformed; in every case the client is at fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Malformed {
    /// A TLS record, or a handshake message, that is no ClientHello.
    #[error("the connection begins with TLS but not with a ClientHello")]
    NotAHello,
    /// The record version is not 3.x.
    #[error("the record version is not one of TLS")]
    RecordVersion,
    /// A record that is empty or longer than 2^14 bytes.
    #[error("a record is empty or too long")]
    RecordLength,
    /// Another record before the hello is complete.
    #[error("the hello is interrupted by another record")]
    Interrupted,
    /// Longer than the limit, or announced to be.
    #[error("the hello is longer than the limit")]
    TooLong,
    /// A length that runs past what contains it, or leaves bytes over.
    #[error("a length inside the hello does not fit")]
    Length,
    /// An extension that stands there twice (RFC 8446 §4.2).
    #[error("an extension stands there twice")]
    DuplicateExtension,
    /// A server name list that is not exactly one host name.
    #[error("the server name list is not exactly one host name")]
    ServerNameList,
    /// A server name that is no host name.
    #[error("the server name is not valid: {0}")]
    ServerName(NameError),
    /// An encrypted hello of an unknown type, or of the inner type, which no client sends in
    /// the clear.
    #[error("the encrypted hello is not of the outer type")]
    EchType,
}

impl Malformed {
    /// The word for logs and metrics.
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self {
            Self::NotAHello => "not-a-hello",
            Self::RecordVersion => "record-version",
            Self::RecordLength => "record-length",
            Self::Interrupted => "interrupted",
            Self::TooLong => "too-long",
            Self::Length => "length",
            Self::DuplicateExtension => "duplicate-extension",
            Self::ServerNameList => "server-name-list",
            Self::ServerName(_) => "server-name",
            Self::EchType => "ech-type",
        }
    }
}

/// Reads a hello as it arrives.
#[derive(Debug)]
pub struct HelloReader {
    limit: usize,
    /// How many of the bytes seen have been looked at.
    done: usize,
    /// How many bytes of the current record are still to come.
    fragment_left: usize,
    /// The handshake message so far, put together from its records.
    message: Vec<u8>,
}

impl HelloReader {
    /// A reader that gives up on a hello of more than `limit` bytes, record headers included.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self {
            limit,
            done: 0,
            fragment_left: 0,
            message: Vec::new(),
        }
    }

    /// Looks at all the bytes `seen` so far: those of the last call and what came since.
    /// Bytes after the hello are not looked at, nor any beyond the limit, so that the answer does not depend on how
    /// much came at once.
    pub fn read(&mut self, seen: &[u8]) -> Peek {
        match self.advance(&seen[..seen.len().min(self.limit)]) {
            Ok(peek) => peek,
            Err(malformed) => Peek::Malformed(malformed),
        }
    }

    /// How many bytes the hello has, once it is there: what stands behind them is not of it.
    #[must_use]
    pub fn length(&self) -> usize {
        self.done
    }

    fn advance(&mut self, seen: &[u8]) -> Result<Peek, Malformed> {
        if let Some(peek) = first_bytes(seen)? {
            return Ok(peek);
        }
        loop {
            if self.fragment_left == 0 && !self.next_record(seen)? {
                return self.need_more(seen);
            }
            let rest = seen.get(self.done..).unwrap_or_default();
            let taken = rest.len().min(self.fragment_left);
            self.message.extend_from_slice(&rest[..taken]);
            self.done += taken;
            self.fragment_left -= taken;
            if let Some(hello) = self.complete()? {
                return Ok(Peek::Hello(hello));
            }
            if self.fragment_left > 0 {
                return self.need_more(seen);
            }
        }
    }

    /// Reads the header of the next record; false if it has not arrived yet.
    fn next_record(&mut self, seen: &[u8]) -> Result<bool, Malformed> {
        let header = seen.get(self.done..).unwrap_or_default();
        // What is there is judged at once, so that a bad first byte is not waited upon.
        match header {
            [kind, ..] if *kind != HANDSHAKE => return Err(Malformed::Interrupted),
            [_, major, ..] if *major != 3 => return Err(Malformed::RecordVersion),
            _ => {}
        }
        let [_, _, _, high, low, ..] = header else {
            return Ok(false);
        };
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        if length == 0 || length > MAX_FRAGMENT {
            return Err(Malformed::RecordLength);
        }
        self.done += 5;
        self.fragment_left = length;
        Ok(true)
    }

    /// The hello, once the whole message is there.
    fn complete(&self) -> Result<Option<ClientHello>, Malformed> {
        match self.message.first() {
            Some(&CLIENT_HELLO) | None => {}
            Some(_) => return Err(Malformed::NotAHello),
        }
        let [_, a, b, c, body @ ..] = self.message.as_slice() else {
            return Ok(None);
        };
        let length = u32::from_be_bytes([0, *a, *b, *c]) as usize;
        if length.saturating_add(9) > self.limit {
            return Err(Malformed::TooLong);
        }
        match body.len() {
            found if found < length => Ok(None),
            // Nothing may follow a hello before it is answered (RFC 8446 §5.1).
            found if found > length || self.fragment_left > 0 => Err(Malformed::Length),
            _ => message::read(body).map(Some),
        }
    }

    fn need_more(&self, seen: &[u8]) -> Result<Peek, Malformed> {
        if seen.len() >= self.limit {
            Err(Malformed::TooLong)
        } else {
            Ok(Peek::NeedMore)
        }
    }
}

/// What the very first bytes settle.
///
/// A TLS record of another type first is malformed, not "not TLS": servers exist that skip a
/// leading change_cipher_spec and then read a hello.
fn first_bytes(seen: &[u8]) -> Result<Option<Peek>, Malformed> {
    match seen {
        [] | [20..=24] => Ok(Some(Peek::NeedMore)),
        [HANDSHAKE, 3, ..] => Ok(None),
        [HANDSHAKE, ..] => Err(Malformed::RecordVersion),
        [20..=24, 3, ..] => Err(Malformed::NotAHello),
        _ => Ok(Some(Peek::NotTls)),
    }
}

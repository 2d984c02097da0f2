//! The head of an HTTP/1.1 request, read strictly and written anew.
//!
//! Two readers of one head must not disagree about where it ends, whom it is for, or how long its
//! body is (RFC 9112 §11.2). So whatever is ambiguous is refused, not repaired, and what goes on
//! to the origin is written from what was understood, never copied.

mod error;
mod fields;
mod target;
#[cfg(test)]
mod tests;
mod write;

use std::ops::Range;

use octroi_policy::Authority;

pub use error::HeadError;
pub use target::{Scheme, Target};

/// The most header fields of a head.
pub const MAX_FIELDS: usize = 100;

/// What the bytes seen so far are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Status {
    /// The beginning of a head; more bytes are needed.
    NeedMore,
    /// A whole head, and how many bytes it took. What follows is the body, or the tunnel.
    Complete(Box<Head>, usize),
}

/// A request head (RFC 9112 §2.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// The method as sent; methods are case-sensitive (RFC 9110 §9.1).
    pub method: String,
    /// The request target.
    pub target: Target,
    /// The protocol version.
    pub version: Version,
    /// The Host field, where there is one. With an absolute target it may name another host:
    /// the target decides, the difference is evidence.
    pub host: Option<Authority>,
    /// How the body is delimited.
    pub framing: Framing,
    /// May another request follow on the connection?
    pub persistence: Persistence,
    /// Does the client wait for `100 Continue` before the body (RFC 9110 §10.1.1)?
    pub expect_continue: bool,
    /// The protocol of the one Upgrade field, if Connection names it (RFC 9110 §7.8), as sent.
    pub upgrade: Option<String>,
    /// With OPTIONS, how many more hops the request may take (RFC 9110 §7.6.2).
    pub max_forwards: Option<u64>,
    /// The bytes of the head, which `fields` points into.
    bytes: Box<[u8]>,
    fields: Vec<Field>,
}

/// A header field, as places in the bytes of the head.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Field {
    name: Range<usize>,
    value: Range<usize>,
}

/// The versions that are spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// HTTP/1.0
    Http10,
    /// HTTP/1.1
    Http11,
}

/// How the end of the body is found (RFC 9112 §6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// There is no body.
    None,
    /// So many bytes.
    Length(u64),
    /// Chunks, the last one empty.
    Chunked,
}

/// What becomes of the connection after this exchange (RFC 9112 §9.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Persistence {
    /// Another request may follow.
    KeepAlive,
    /// It is closed.
    Close,
}

/// Reads a head as it arrives.
#[derive(Debug)]
pub struct HeadReader {
    limit: usize,
    /// How many bytes are known to be good and to hold no end of the head.
    scanned: usize,
}

impl HeadReader {
    /// A reader that gives up on a head of more than `limit` bytes, final blank line included.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self { limit, scanned: 0 }
    }

    /// Looks at all the bytes `seen` so far: those of the last call and what came since. Nothing beyond the limit is
    /// looked at, so that the answer does not depend on how much came at once.
    ///
    /// # Errors
    /// [`HeadError`] as soon as it is certain that no good head can come of it.
    pub fn read(&mut self, seen: &[u8]) -> Result<Status, HeadError> {
        let within = &seen[..seen.len().min(self.limit)];
        match self.find_end(within)? {
            Some(end) => Head::parse(&seen[..end]).map(|head| Status::Complete(head.into(), end)),
            None if within.len() < self.limit => Ok(Status::NeedMore),
            None if within.contains(&b'\n') => Err(HeadError::TooLong),
            None => Err(HeadError::TargetTooLong),
        }
    }

    /// The end of the head, if it is there: behind the first empty line. Every line must end in
    /// CR LF, and neither may stand alone, where some readers see the end of a line and others
    /// do not (RFC 9112 §2.2).
    fn find_end(&mut self, seen: &[u8]) -> Result<Option<usize>, HeadError> {
        if seen
            .first()
            .is_some_and(|first| !first.is_ascii_alphabetic())
        {
            return Err(HeadError::NotHttp);
        }
        while let Some(&byte) = seen.get(self.scanned) {
            let before = self
                .scanned
                .checked_sub(1)
                .and_then(|index| seen.get(index));
            let after_cr = before == Some(&b'\r');
            match byte {
                0 => return Err(HeadError::Control),
                b'\n' if !after_cr => return Err(HeadError::LineEnd),
                b'\n' if seen[..self.scanned].ends_with(b"\r\n\r") => {
                    return Ok(Some(self.scanned + 1));
                }
                b'\n' => {}
                _ if after_cr => return Err(HeadError::LineEnd),
                _ => {}
            }
            self.scanned += 1;
        }
        Ok(None)
    }
}

/// Reads a head from all the bytes there are, for a caller that keeps no state between reads.
///
/// # Errors
/// As [`HeadReader::read`].
pub fn read(seen: &[u8], limit: usize) -> Result<Status, HeadError> {
    HeadReader::new(limit).read(seen)
}

impl Head {
    /// Reads a whole head, its final blank line included.
    fn parse(bytes: &[u8]) -> Result<Self, HeadError> {
        let mut slots = [httparse::EMPTY_HEADER; MAX_FIELDS];
        let mut request = httparse::Request::new(&mut slots);
        // The whole head is there: what httparse calls partial is one it reads differently.
        let parsed = request
            .parse(bytes)
            .map_err(|error| refused(error, bytes))?;
        if parsed != httparse::Status::Complete(bytes.len()) {
            return Err(HeadError::Syntax);
        }
        let method = request.method.ok_or(HeadError::Syntax)?.to_owned();
        let version = match request.version {
            Some(0) => Version::Http10,
            Some(1) => Version::Http11,
            _ => return Err(HeadError::Version),
        };
        let target = Target::parse(&method, request.path.ok_or(HeadError::Syntax)?)?;
        let place = |part: &[u8]| {
            let start = part.as_ptr() as usize - bytes.as_ptr() as usize;
            start..start + part.len()
        };
        let fields = request.headers.iter();
        let mut head = Self {
            method,
            target,
            version,
            host: None,
            framing: Framing::None,
            persistence: Persistence::Close,
            expect_continue: false,
            upgrade: None,
            max_forwards: None,
            bytes: bytes.into(),
            fields: fields
                .map(|f| Field {
                    name: place(f.name.as_bytes()),
                    value: place(f.value),
                })
                .collect(),
        };
        head.understand()?;
        Ok(head)
    }

    /// The header fields in order: name as sent, value without the blanks around it.
    pub fn fields(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.fields.iter().map(|field| {
            let name = std::str::from_utf8(&self.bytes[field.name.clone()]).unwrap_or_default();
            (name, &self.bytes[field.value.clone()])
        })
    }

    /// The values of every field of this name, in order.
    pub fn values(&self, name: &str) -> impl Iterator<Item = &[u8]> {
        self.fields()
            .filter(move |(found, _)| found.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    }
}

/// Why httparse refuses a head. A third word that is no version at all, such as the rest of a
/// target with a blank in it, is a broken request line rather than a version that is not served.
fn refused(error: httparse::Error, head: &[u8]) -> HeadError {
    let third = head
        .splitn(3, |&byte| byte == b' ')
        .nth(2)
        .unwrap_or_default();
    match HeadError::from(error) {
        HeadError::Version if !third.starts_with(b"HTTP/") => HeadError::Syntax,
        error => error,
    }
}

//! The one canonical form of a host name, made once and used for the CONNECT target, the URI,
//! the Host field, the SNI, every CNAME and every entry of a policy list.
//!
//! Peers leak where two spellings of one name are judged as two names. So a [`DomainName`] has
//! exactly one spelling: lower case, A-labels, no trailing dot, letters, digits, `-` and `_`
//! only (RFC 1035 §2.3.1, RFC 1123 §2.1, and the underscore that real names carry). Whatever
//! does not fit is refused, never repaired; names that end like a number are refused too,
//! because `inet_aton` reads `0x7f.1` as 127.0.0.1.

mod host;
#[cfg(test)]
mod tests;

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

pub use host::{Authority, Host};

/// The longest name, in bytes without the trailing dot (RFC 1035 §3.1).
pub const MAX_NAME: usize = 253;
/// The longest label, in bytes (RFC 1035 §2.3.4).
pub const MAX_LABEL: usize = 63;

/// A host name in canonical form; cheap to clone.
///
/// Equality, order and hash are those of its text, so a map keyed by it may be asked with `&str`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DomainName(Arc<str>);

/// Why a text is no host name, address literal or authority.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum NameError {
    /// Nothing is left once the trailing dots are gone.
    #[error("the name is empty")]
    Empty,
    /// More than 253 bytes.
    #[error("the name is longer than 253 bytes")]
    TooLong,
    /// Two dots in a row, or a leading dot.
    #[error("the name has an empty label")]
    EmptyLabel,
    /// A label of more than 63 bytes.
    #[error("a label is longer than 63 bytes")]
    LabelTooLong,
    /// A label begins or ends with `-`.
    #[error("a label begins or ends with a hyphen")]
    Hyphen,
    /// A byte that no host name has: a control, a blank, `%`, `/`, `*`, …
    #[error("the name has a character that is not a letter, digit, `-`, `_` or `.`")]
    Character,
    /// A byte above 127 where only A-labels are understood.
    #[error("the name is not ASCII")]
    NotAscii,
    /// An internationalised name that UTS #46 does not permit.
    #[error("the internationalised name is not valid")]
    Idna,
    /// It ends like a number but is no address in dotted decimal: `0x7f.1`, `017.0.0.1`, `2130706433`.
    #[error("the name looks like an address but is not in dotted decimal")]
    NumberLike,
    /// A literal address where a name is required.
    #[error("a name is required, not an address")]
    Address,
    /// Brackets that hold no IPv6 address, or an IPv6 address without brackets.
    #[error("not an IPv6 address in brackets")]
    Ipv6,
    /// An IPv6 zone (`%eth0`), which means something on one machine only.
    #[error("an IPv6 zone is not accepted")]
    Zone,
    /// `user@host`.
    #[error("user information before the host is not accepted")]
    Userinfo,
    /// A port where none is expected, or one that is not 1–65535 in plain digits.
    #[error("the port is not a number from 1 to 65535")]
    Port,
}

impl DomainName {
    /// Reads a name as it comes from the wire: ASCII, nothing mapped, nothing repaired but the
    /// case and the trailing dots.
    ///
    /// # Errors
    /// The first fault found, as [`NameError`]; [`NameError::Address`] for a literal address.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let text = text.trim_end_matches('.');
        if text.is_empty() {
            return Err(NameError::Empty);
        }
        if text.len() > MAX_NAME {
            return Err(NameError::TooLong);
        }
        for label in text.split('.') {
            check_label(label)?;
        }
        check_not_number(text)?;
        Ok(Self(lower_case(text)))
    }

    /// Reads a name as people write it in a policy: as [`DomainName::parse`], and also an
    /// internationalised name in its Unicode form (UTS #46, non-transitional).
    ///
    /// # Errors
    /// [`NameError::Idna`] if the Unicode form is not valid, else as [`DomainName::parse`].
    pub fn from_unicode(text: &str) -> Result<Self, NameError> {
        if text.is_ascii() {
            return Self::parse(text);
        }
        // The deny list is left to `parse`, which is stricter and says which fault it is.
        let ascii = idna::domain_to_ascii_cow(text.as_bytes(), idna::AsciiDenyList::EMPTY)
            .map_err(|_| NameError::Idna)?;
        Self::parse(&ascii)
    }

    /// The canonical text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The labels from left to right; `.rev()` starts at the top-level domain.
    pub fn labels(&self) -> impl DoubleEndedIterator<Item = &str> + Clone {
        self.0.split('.')
    }
}

/// One label: 1–63 letters, digits, `-`, `_`; no hyphen at either end.
pub(crate) fn check_label(label: &str) -> Result<(), NameError> {
    let bytes = label.as_bytes();
    if !bytes.is_ascii() {
        return Err(NameError::NotAscii);
    }
    if !bytes.iter().all(|&b| is_name_byte(b)) {
        return Err(NameError::Character);
    }
    match bytes {
        [] => Err(NameError::EmptyLabel),
        [b'-', ..] | [.., b'-'] => Err(NameError::Hyphen),
        _ if bytes.len() > MAX_LABEL => Err(NameError::LabelTooLong),
        _ => Ok(()),
    }
}

fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_'
}

/// Refuses what some resolver would read as an IPv4 address: the last label is all digits or
/// `0x` and hexadecimal digits (the "ends in a number" test of the WHATWG URL standard).
fn check_not_number(text: &str) -> Result<(), NameError> {
    if !ends_in_number(text) {
        Ok(())
    } else if text.parse::<std::net::Ipv4Addr>().is_ok() {
        Err(NameError::Address)
    } else {
        Err(NameError::NumberLike)
    }
}

fn ends_in_number(text: &str) -> bool {
    let last = text.rsplit('.').next().unwrap_or(text).as_bytes();
    match last {
        [b'0', b'x' | b'X', hex @ ..] => hex.iter().all(u8::is_ascii_hexdigit),
        digits => digits.iter().all(u8::is_ascii_digit),
    }
}

fn lower_case(text: &str) -> Arc<str> {
    if text.bytes().any(|b| b.is_ascii_uppercase()) {
        text.to_ascii_lowercase().into()
    } else {
        text.into()
    }
}

impl fmt::Display for DomainName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for DomainName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DomainName({})", self.0)
    }
}

impl AsRef<str> for DomainName {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for DomainName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl From<DomainName> for Arc<str> {
    fn from(name: DomainName) -> Self {
        name.0
    }
}

impl std::str::FromStr for DomainName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        Self::parse(text)
    }
}

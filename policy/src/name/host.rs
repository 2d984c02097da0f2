//! Hosts and authorities: a name or a literal address, with or without a port.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

use super::{DomainName, NameError, ends_in_number};

/// The canonical host: a name, or a literal address with IPv4-mapped forms folded to IPv4.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Host {
    /// A host name.
    Name(DomainName),
    /// A literal address; never an IPv4-mapped IPv6 address.
    Address(IpAddr),
}

/// A host and the port written after it, if one was: the `authority` of RFC 9110 §7.2 without
/// user information.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Authority {
    /// The host.
    pub host: Host,
    /// The port, 1–65535, where one was written.
    pub port: Option<u16>,
}

impl Host {
    /// Reads a host as it stands in a URI, a CONNECT target or a Host field: a name, an IPv4
    /// address in dotted decimal, or an IPv6 address in brackets.
    ///
    /// # Errors
    /// The first fault found; in particular [`NameError::NumberLike`] for every other spelling
    /// of an IPv4 address, [`NameError::Zone`], [`NameError::Userinfo`] and, for `host:80`,
    /// [`NameError::Port`].
    pub fn parse(text: &str) -> Result<Self, NameError> {
        if text.contains('@') {
            return Err(NameError::Userinfo);
        }
        if let Some(rest) = text.strip_prefix('[') {
            let inside = rest.strip_suffix(']').ok_or(NameError::Ipv6)?;
            return ipv6(inside);
        }
        if text.parse::<Ipv6Addr>().is_ok() {
            return Err(NameError::Ipv6);
        }
        if text.contains(':') {
            return Err(NameError::Port);
        }
        // `1.2.3.4.` is no dotted decimal: `parse` of the name below calls it number-like.
        match text.parse::<std::net::Ipv4Addr>() {
            Ok(address) => Ok(Self::Address(address.into())),
            Err(_) if text.ends_with('.') && ends_in_number(text.trim_end_matches('.')) => {
                match DomainName::parse(text) {
                    Err(NameError::Address) => Err(NameError::NumberLike),
                    other => other.map(Self::Name),
                }
            }
            Err(_) => DomainName::parse(text).map(Self::Name),
        }
    }

    /// Reads the `host_name` of a TLS server name indication (RFC 6066 §3).
    ///
    /// # Errors
    /// [`NameError::Address`] for a literal address in any spelling, which RFC 6066 forbids
    /// there; else as [`DomainName::parse`].
    pub fn parse_sni(bytes: &[u8]) -> Result<DomainName, NameError> {
        let text = std::str::from_utf8(bytes).map_err(|_| NameError::NotAscii)?;
        let bare = text
            .strip_prefix('[')
            .and_then(|t| t.strip_suffix(']'))
            .unwrap_or(text);
        if bare.parse::<Ipv6Addr>().is_ok() {
            return Err(NameError::Address);
        }
        DomainName::parse(text)
    }

    /// The name, if it is one.
    #[must_use]
    pub fn name(&self) -> Option<&DomainName> {
        match self {
            Self::Name(name) => Some(name),
            Self::Address(_) => None,
        }
    }

    /// The literal address, if it is one.
    #[must_use]
    pub fn address(&self) -> Option<IpAddr> {
        match self {
            Self::Name(_) => None,
            Self::Address(address) => Some(*address),
        }
    }
}

impl Authority {
    /// Reads `host` or `host:port`.
    ///
    /// # Errors
    /// As [`Host::parse`]; [`NameError::Port`] for an empty port, 0, a sign, a leading zero,
    /// anything above 65535.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let (host, port) = split_port(text)?;
        Ok(Self {
            host: Host::parse(host)?,
            port: port.map(parse_port).transpose()?,
        })
    }
}

fn split_port(text: &str) -> Result<(&str, Option<&str>), NameError> {
    if text.contains('@') {
        return Err(NameError::Userinfo);
    }
    let host_end = if text.starts_with('[') {
        text.find(']').ok_or(NameError::Ipv6)? + 1
    } else {
        text.find(':').unwrap_or(text.len())
    };
    let (host, rest) = text.split_at(host_end);
    match rest.strip_prefix(':') {
        None if rest.is_empty() => Ok((host, None)),
        None => Err(NameError::Ipv6),
        Some(_) if text.parse::<Ipv6Addr>().is_ok() => Err(NameError::Ipv6),
        Some(port) => Ok((host, Some(port))),
    }
}

fn parse_port(text: &str) -> Result<u16, NameError> {
    let plain = text.bytes().all(|b| b.is_ascii_digit()) && !text.starts_with('0');
    if plain {
        text.parse().map_err(|_| NameError::Port)
    } else {
        Err(NameError::Port)
    }
}

fn ipv6(inside: &str) -> Result<Host, NameError> {
    if inside.contains('%') {
        return Err(NameError::Zone);
    }
    let address: Ipv6Addr = inside.parse().map_err(|_| NameError::Ipv6)?;
    Ok(Host::Address(IpAddr::V6(address).to_canonical()))
}

impl From<DomainName> for Host {
    fn from(name: DomainName) -> Self {
        Self::Name(name)
    }
}

impl From<IpAddr> for Host {
    fn from(address: IpAddr) -> Self {
        Self::Address(address.to_canonical())
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => name.fmt(f),
            Self::Address(IpAddr::V4(address)) => address.fmt(f),
            Self::Address(IpAddr::V6(address)) => write!(f, "[{address}]"),
        }
    }
}

impl fmt::Display for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.port {
            Some(port) => write!(f, "{}:{port}", self.host),
            None => self.host.fmt(f),
        }
    }
}

impl FromStr for Host {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        Self::parse(text)
    }
}

impl FromStr for Authority {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        Self::parse(text)
    }
}

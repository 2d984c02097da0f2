//! The question: who asks, and what the flow presents.

use std::net::IpAddr;
use std::sync::Arc;

use crate::address::{Forbid, carried_ipv4};
use crate::catalogue::Id;
use crate::decision::SniOutcome;
use crate::name::{DomainName, Host};

/// Where a flow comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// The client's address (IPv4-mapped forms folded).
    pub address: IpAddr,
    /// Names in the client's verified certificate (SAN), if it showed one.
    pub certificate: Vec<CertificateName>,
    /// The listener's name.
    pub listener: Option<Id>,
}

impl Source {
    /// A source known by its address alone.
    #[must_use]
    pub fn from_address(address: IpAddr) -> Self {
        Self {
            address: address.to_canonical(),
            certificate: Vec::new(),
            listener: None,
        }
    }
}

/// A name that a certificate is made out to (subjectAltName, RFC 5280 section 4.2.1.6).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CertificateName {
    /// The name of a machine.
    Dns(DomainName),
    /// A URI, such as a SPIFFE id; compared as it is written.
    Uri(Arc<str>),
    /// An e-mail address; the domain in lower case.
    Email(Arc<str>),
}

impl CertificateName {
    /// More characters than any such name has.
    const MOST: usize = 1024;

    /// Reads a URI: it has a scheme, and neither blanks nor control characters.
    #[must_use]
    pub fn uri(text: &str) -> Option<Self> {
        let (scheme, rest) = text.split_once(':')?;
        let is_scheme = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c));
        let is_good = is_scheme && !rest.is_empty() && is_written(text);
        is_good.then(|| Self::Uri(text.into()))
    }

    /// Reads an e-mail address: something, `@`, and the name of a host.
    #[must_use]
    pub fn email(text: &str) -> Option<Self> {
        let (mailbox, domain) = text.rsplit_once('@')?;
        let domain = DomainName::parse(domain).ok()?;
        let is_good = !mailbox.is_empty() && !mailbox.contains(['@', ':']) && is_written(mailbox);
        is_good.then(|| Self::Email(format!("{mailbox}@{domain}").into()))
    }

    /// Reads what people write: a URI has a colon, an e-mail address an `@`, all else is a host's name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text.contains(':') {
            Self::uri(text)
        } else if text.contains('@') {
            Self::email(text)
        } else {
            DomainName::from_unicode(text).ok().map(Self::Dns)
        }
    }

    /// As written in logs.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Dns(name) => name.as_str(),
            Self::Uri(text) | Self::Email(text) => text,
        }
    }
}

fn is_written(text: &str) -> bool {
    text.len() <= CertificateName::MOST && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// How the flow came to us.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// A CONNECT tunnel.
    Connect,
    /// A plain HTTP request: in absolute form, or captured on its way.
    Http,
    /// A captured connection that speaks anything but plain HTTP.
    Captured,
}

/// Where a piece of evidence was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum EvidenceKind {
    /// The CONNECT target or the URI's authority; of a captured connection its server name or Host, else the
    /// address it was on its way to.
    Target,
    /// The Host header.
    Host,
    /// The server name in the ClientHello (RFC 6066 section 3).
    Sni,
    /// The server name in a ClientHello that carries ECH and names another host: only forbids.
    OuterSni,
    /// A name of the CNAME chain.
    Cname,
    /// An address of the answer.
    Address,
    /// Where a captured connection was on its way to, whatever name it presents.
    Original,
}

impl EvidenceKind {
    /// All kinds, in the order they are judged and shown.
    pub const ALL: [Self; 7] = [
        Self::Target,
        Self::Host,
        Self::Sni,
        Self::OuterSni,
        Self::Cname,
        Self::Address,
        Self::Original,
    ];

    /// As written in tests, logs and explanations.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Target => "target",
            Self::Host => "host",
            Self::Sni => "sni",
            Self::OuterSni => "outer_sni",
            Self::Cname => "cname",
            Self::Address => "address",
            Self::Original => "original",
        }
    }

    /// Asked for (must be permitted), rather than found behind (can only forbid).
    #[must_use]
    pub fn is_asked_for(self) -> bool {
        matches!(self, Self::Target | Self::Host | Self::Sni)
    }
}

/// What the ClientHello showed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hello {
    /// Nothing is awaited on this port.
    NotExpected,
    /// A hello with a server name.
    Name {
        /// The name.
        name: DomainName,
        /// The hello carries Encrypted Client Hello.
        ech: bool,
    },
    /// A hello without a server name.
    Absent,
    /// Bytes that are no TLS.
    NotTls,
    /// A hello that breaks the rules.
    Malformed,
    /// No whole hello came in time.
    Timeout,
}

/// One flow: all that is known of it so far.
#[derive(Clone, Debug)]
pub struct Flow<'a> {
    /// Who asks.
    pub source: &'a Source,
    /// How.
    pub protocol: Protocol,
    /// The CONNECT target or the URI's authority. Of a captured connection: the server name, else the Host, else
    /// the address it was on its way to.
    pub target: Host,
    /// The port asked for.
    pub port: u16,
    /// Where a captured connection was on its way to; `None` where the client asked us.
    pub original: Option<IpAddr>,
    /// The Host header, where there is one.
    pub host: Option<Host>,
    /// What the ClientHello showed; `None` = not there yet, or never (plain HTTP).
    pub hello: Option<Hello>,
    /// The names that the target resolved through, without itself, in order.
    pub chain: &'a [DomainName],
    /// The addresses it resolved to. For a literal target: none.
    pub addresses: &'a [IpAddr],
    /// Whether `chain` and `addresses` are in (always so for a literal target).
    pub resolved: bool,
    /// Addresses that may not be dialled at all.
    pub forbid: &'a Forbid,
    /// Those of the addresses at which this gate itself listens on [`Flow::port`].
    pub ours: &'a [IpAddr],
}

impl Flow<'_> {
    /// Whether the connection was on its way to an address that we did not find behind the name it presents;
    /// `None` while that is not known, or where the client asked us.
    #[must_use]
    pub fn is_misdirected(&self) -> Option<bool> {
        let original = self.original.filter(|_| self.resolved)?.to_canonical();
        let carried = carried_ipv4(original).map(IpAddr::V4);
        let literal = self.target.address();
        let mut found = self
            .addresses
            .iter()
            .chain(&literal)
            .map(IpAddr::to_canonical);
        // Behind NAT64 a client goes to the IPv6 form of an IPv4 address that we know (RFC 6052).
        Some(!found.any(|address| address == original || Some(address) == carried))
    }

    /// How the ClientHello stands to the target. Of a captured connection whose hello carries ECH it is not known
    /// before the target is resolved: a browser that only greases ECH goes to an address of the name it shows.
    #[must_use]
    pub fn sni_outcome(&self) -> Option<SniOutcome> {
        Some(match self.hello.as_ref()? {
            Hello::Name { ech: true, .. } if self.original.is_some() => {
                match self.is_misdirected()? {
                    true => SniOutcome::EchHidden,
                    false => SniOutcome::Match,
                }
            }
            Hello::NotExpected => SniOutcome::NotExpected,
            Hello::Absent => SniOutcome::Absent,
            Hello::NotTls => SniOutcome::NotTls,
            Hello::Malformed => SniOutcome::Malformed,
            Hello::Timeout => SniOutcome::Timeout,
            Hello::Name { name, .. } if self.target.name() == Some(name) => SniOutcome::Match,
            Hello::Name { ech: true, .. } => SniOutcome::EchOuter,
            Hello::Name { ech: false, .. } => SniOutcome::Mismatch,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{CertificateName as Name, DomainName};

    #[test]
    fn a_name_is_read_by_its_kind() {
        for (text, expected) in [
            (
                "PC1.a.example",
                Some(Name::Dns(DomainName::parse("pc1.a.example").unwrap())),
            ),
            (
                "spiffe://a.example/Paie",
                Some(Name::Uri("spiffe://a.example/Paie".into())),
            ),
            ("urn:uuid:1234", Some(Name::Uri("urn:uuid:1234".into()))),
            (
                "mailto:x@a.example",
                Some(Name::Uri("mailto:x@a.example".into())),
            ),
            (
                "Jean.X@A.example",
                Some(Name::Email("Jean.X@a.example".into())),
            ),
            ("*.a.example", None),
            ("a b", None),
            ("@a.example", None),
            ("x@", None),
            ("x@y@a.example", None),
            ("x@*.example", None),
            (":x", None),
            ("1a:x", None),
            ("spiffe:", None),
            ("spiffe://a.example/a b", None),
            ("spiffe://é.example/", None),
            ("", None),
        ] {
            assert_eq!(Name::parse(text), expected, "{text}");
        }
        assert_eq!(Name::email("spiffe://a@a.example"), None);
        assert_eq!(Name::uri("a.example"), None);
        assert_eq!(Name::uri(&format!("a:{}", "x".repeat(2000))), None);
    }
}

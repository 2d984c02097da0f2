//! A question that a person asks, answered as the wire would answer it: by `octroi explain`, and by the console.

use std::net::IpAddr;
use std::str::FromStr;
use std::sync::Arc;

use jiff::Timestamp;
use octroi_policy::bundle::Bundle;
use octroi_policy::decision::{Decision, Verdict};
use octroi_policy::explain::explain;
use octroi_policy::flow::{Flow, Hello, Protocol, Source};
use octroi_policy::name::{Authority, DomainName, Host, NameError};
use octroi_policy::suite::Given;
use octroi_policy::validity::Moment;
use octroi_policy::{Forbid, Policy};

use crate::dns::{DnsError, Resolution};

/// A URL as a person types it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// How it is asked for.
    pub protocol: Protocol,
    /// What.
    pub host: Host,
    /// On which port.
    pub port: u16,
}

/// Who asks for what, and what is told of the flow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inquiry {
    /// The client's address.
    pub source: IpAddr,
    /// What it asks for.
    pub asked: Asked,
    /// The instant.
    pub at: Timestamp,
    /// The CNAME chain, if it is told.
    pub chain: Vec<DomainName>,
    /// The addresses of the answer, if they are told.
    pub addresses: Vec<IpAddr>,
    /// What the ClientHello shows; `None` = the target's name.
    pub hello: Option<Hello>,
    /// Where a captured connection was on its way to.
    pub original: Option<IpAddr>,
    /// Whether the name servers are asked.
    pub lookup: Lookup,
}

/// Whether the name servers are asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lookup {
    /// Where nothing is told of what stands behind the name.
    Asked,
    /// Not at all.
    None,
}

/// An answer, with all that it rests on but the policy.
#[derive(Clone, Debug)]
pub struct Answered {
    /// The answer.
    pub decision: Decision,
    /// Why the name was judged by itself alone, if it could not be resolved.
    pub unresolved: Option<DnsError>,
    given: Given,
    ours: Vec<IpAddr>,
    stage: Stage,
}

/// How far a flow came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// It was denied before anything was resolved.
    Named,
    /// All its evidence was in.
    Whole,
}

impl Inquiry {
    /// Asks `policy`, and `resolve` for what stands behind the name, unless that is told. As on the wire, a name that
    /// is denied by itself is not resolved. `ours` says which addresses would lead back to the gate.
    pub async fn answer(
        self,
        policy: &Policy,
        forbid: &Forbid,
        ours: impl Fn(IpAddr, u16) -> bool,
        resolve: impl AsyncFnOnce(&DomainName) -> Result<Arc<Resolution>, DnsError>,
    ) -> Answered {
        let at = self.at;
        let name = self.to_resolve();
        let mut given = self.given();
        let mut unresolved = None;
        if let Some(name) = name {
            let flow = Stage::Named.flow(&given, policy, forbid, &[]);
            let decision = policy.judge(&flow, at);
            if decision.verdict() == Verdict::Deny {
                let (ours, stage) = (Vec::new(), Stage::Named);
                return Answered {
                    decision,
                    unresolved,
                    given,
                    ours,
                    stage,
                };
            }
            let trusts = |&original: &IpAddr| policy.trusts_original(&decision.who, original);
            let trusted = given.original.filter(trusts);
            match resolve(&name).await {
                Ok(found) => {
                    given.chain.clone_from(&found.chain);
                    given.addresses.clone_from(&found.addresses);
                }
                Err(error) => unresolved = Some(error),
            }
            // There a captured connection goes on to where it was on its way to, whatever the name servers say.
            if let Some(original) = trusted {
                given.addresses = vec![original];
            }
        }
        let literal = given.target.address();
        let dialled = literal.iter().chain(&given.addresses).copied();
        let ours: Vec<_> = dialled.filter(|&ip| ours(ip, given.port)).collect();
        let stage = Stage::Whole;
        let decision = policy.judge(&stage.flow(&given, policy, forbid, &ours), at);
        Answered {
            decision,
            unresolved,
            given,
            ours,
            stage,
        }
    }

    /// Whether the name servers may have to be asked.
    #[must_use]
    pub fn may_resolve(&self) -> bool {
        self.to_resolve().is_some()
    }

    /// The name whose chain and addresses are not told.
    fn to_resolve(&self) -> Option<DomainName> {
        let is_told = !self.chain.is_empty() || !self.addresses.is_empty();
        let is_asked = self.lookup == Lookup::Asked && !is_told;
        self.asked.host.name().filter(|_| is_asked).cloned()
    }

    fn given(self) -> Given {
        let original = self.original.map(|address| address.to_canonical());
        let protocol = match self.asked.protocol {
            Protocol::Connect if original.is_some() => Protocol::Captured,
            protocol => protocol,
        };
        Given {
            source: Source::from_address(self.source),
            protocol,
            target: self.asked.host,
            port: self.asked.port,
            original,
            host: None,
            hello: self.hello,
            chain: self.chain,
            addresses: self.addresses,
            at: Some(self.at),
        }
    }
}

impl Stage {
    fn flow<'a>(
        self,
        given: &'a Given,
        policy: &Policy,
        forbid: &'a Forbid,
        ours: &'a [IpAddr],
    ) -> Flow<'a> {
        let mut flow = given.flow(policy, forbid);
        flow.ours = ours;
        if self == Self::Named {
            flow.resolved = false;
            if flow.protocol == Protocol::Connect {
                // It comes once the tunnel stands.
                flow.hello = None;
            }
        }
        flow
    }
}

impl Answered {
    /// The answer told to a person, without a line end behind it. With the bundle that the policy was made from, lines
    /// of lists are named.
    #[must_use]
    pub fn text(&self, policy: &Policy, forbid: &Forbid, bundle: Option<&Bundle>) -> String {
        let flow = self.stage.flow(&self.given, policy, forbid, &self.ours);
        let mut text = explain(policy, &flow, &self.decision, bundle);
        text.truncate(text.trim_end().len());
        text
    }

    /// What was asked for.
    #[must_use]
    pub fn target(&self) -> &Host {
        &self.given.target
    }
}

/// A day (its first second, UTC) or an RFC 3339 time.
///
/// # Errors
/// What to write instead.
pub fn instant(text: &str) -> Result<Timestamp, &'static str> {
    let moment = Moment::parse(text).map_err(|_| "write a day (2026-11-23) or an RFC 3339 time");
    moment.map(Moment::start)
}

/// What a ClientHello shows: a name, or the word for what came in its place.
///
/// # Errors
/// [`NameError`], if it is neither.
pub fn hello(text: &str) -> Result<Hello, NameError> {
    Ok(match text {
        "absent" => Hello::Absent,
        "not_tls" => Hello::NotTls,
        "malformed" => Hello::Malformed,
        "timeout" => Hello::Timeout,
        name => Hello::Name {
            name: DomainName::from_unicode(name)?,
            ech: false,
        },
    })
}

impl FromStr for Asked {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let (scheme, rest) = text.split_once("://").unwrap_or(("https", text));
        let (protocol, default_port) = match scheme {
            "http" => (Protocol::Http, 80),
            "https" => (Protocol::Connect, 443),
            _ => return Err(NameError::Character),
        };
        let written = rest.split(['/', '?', '#']).next().unwrap_or(rest);
        let Authority { host, port } = authority(written)?;
        Ok(Self {
            protocol,
            host,
            port: port.unwrap_or(default_port),
        })
    }
}

/// An authority whose host may be written in Unicode.
fn authority(text: &str) -> Result<Authority, NameError> {
    if text.is_ascii() {
        return Authority::parse(text);
    }
    let (name, port) = text.split_once(':').unwrap_or((text, ""));
    let name = DomainName::from_unicode(name)?;
    if port.is_empty() {
        Authority::parse(name.as_str())
    } else {
        Authority::parse(&format!("{name}:{port}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_read_as_people_type_it() {
        for (text, protocol, host, port) in [
            (
                "https://outlook.office.com/inbox?x=1",
                Protocol::Connect,
                "outlook.office.com",
                443,
            ),
            ("http://News.Example", Protocol::Http, "news.example", 80),
            (
                "http://news.example:8080/",
                Protocol::Http,
                "news.example",
                8080,
            ),
            ("ssh.example:22", Protocol::Connect, "ssh.example", 22),
            ("news.example", Protocol::Connect, "news.example", 443),
            (
                "https://écoles.example/",
                Protocol::Connect,
                "xn--coles-9ra.example",
                443,
            ),
            (
                "https://écoles.example:8443/",
                Protocol::Connect,
                "xn--coles-9ra.example",
                8443,
            ),
            (
                "https://[2001:db8::1]:8443/",
                Protocol::Connect,
                "[2001:db8::1]",
                8443,
            ),
        ] {
            let asked: Asked = text.parse().unwrap();
            assert_eq!((asked.protocol, asked.port), (protocol, port), "{text}");
            assert_eq!(asked.host.to_string(), host, "{text}");
        }
        for text in [
            "",
            "https://",
            "ftp://a.example",
            "https://user@a.example",
            "https://0x7f.1/",
        ] {
            assert!(text.parse::<Asked>().is_err(), "{text}");
        }
    }
}

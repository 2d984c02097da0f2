//! A flow that is asked about.

use std::net::IpAddr;

use libfuzzer_sys::arbitrary::{Result, Unstructured};
use octroi_policy::flow::{Flow, Hello, Protocol, Source};
use octroi_policy::{DomainName, Forbid, Host};

/// A flow with what it borrows.
#[derive(Debug)]
pub(super) struct Question {
    source: Source,
    protocol: Protocol,
    pub(super) target: Host,
    port: u16,
    original: Option<IpAddr>,
    host: Option<Host>,
    hello: Option<Hello>,
    chain: Vec<DomainName>,
    addresses: Vec<IpAddr>,
    ours: Vec<IpAddr>,
    forbid: Forbid,
}

const NAMES: [&str; 14] = [
    "s0.example",
    "www.s1.example",
    "s2.example",
    "a.s2.example",
    "s3.example",
    "p0.example",
    "x.p0.example",
    "x.p1.example",
    "s4.p1.example",
    "x.p2.example",
    "unlisted.example",
    "local.example",
    "a.local.example",
    "bad.example",
];
const ADDRESSES: [[u8; 4]; 9] = [
    [203, 0, 113, 1],
    [203, 0, 113, 17],
    [203, 0, 113, 33],
    [203, 0, 113, 49],
    [198, 51, 100, 1],
    [198, 51, 100, 65],
    [198, 51, 100, 129],
    [10, 0, 0, 1],
    [192, 0, 2, 250],
];

fn any_name(u: &mut Unstructured<'_>) -> Result<DomainName> {
    Ok(u.choose(&NAMES)?.parse().unwrap_or_else(|e| panic!("{e}")))
}

fn any_address(u: &mut Unstructured<'_>) -> Result<IpAddr> {
    let v4 = (*u.choose(&ADDRESSES)?).into();
    let bits = u128::from(u32::from(v4));
    Ok(match u.int_in_range(0..=7)? {
        0 => IpAddr::V6((0x64_ff9b << 96 | bits).into()),
        1 => IpAddr::V6((0x2002 << 112 | bits << 80).into()),
        _ => IpAddr::V4(v4),
    })
}

fn any_hello(u: &mut Unstructured<'_>, target: &Host) -> Result<Option<Hello>> {
    Ok(Some(match u.int_in_range(0..=8)? {
        0 => return Ok(None),
        1 => Hello::NotExpected,
        2 => Hello::Absent,
        3 => Hello::NotTls,
        4 => Hello::Malformed,
        5 => Hello::Timeout,
        6 if target.name().is_some() => Hello::Name {
            name: target.name().cloned().unwrap_or(any_name(u)?),
            ech: u.arbitrary()?,
        },
        _ => Hello::Name {
            name: any_name(u)?,
            ech: u.arbitrary()?,
        },
    }))
}

impl Question {
    pub(super) fn any(u: &mut Unstructured<'_>) -> Result<Self> {
        let source = IpAddr::from([192, 0, 2, *u.choose(&[4, 70, 130, 250])?]);
        let target = if u.ratio(1, 6)? {
            Host::from(any_address(u)?)
        } else {
            Host::Name(any_name(u)?)
        };
        let host = match u.int_in_range(0..=3)? {
            0 => Some(Host::Name(any_name(u)?)),
            1 => Some(target.clone()),
            _ => None,
        };
        let hello = any_hello(u, &target)?;
        let original = u.ratio(1, 3)?.then(|| any_address(u)).transpose()?;
        let (mut chain, mut addresses) = (Vec::new(), Vec::new());
        if target.name().is_some() {
            for _ in 0..u.int_in_range(0..=3)? {
                chain.push(any_name(u)?);
            }
            for _ in 0..u.int_in_range(0..=3)? {
                addresses.push(any_address(u)?);
            }
        }
        let ours = if u.ratio(1, 8)? {
            vec![any_address(u)?]
        } else {
            Vec::new()
        };
        Ok(Self {
            source: Source::from_address(source),
            protocol: match original {
                Some(_) if hello.is_some() => Protocol::Captured,
                None if u.arbitrary()? => Protocol::Connect,
                _ => Protocol::Http,
            },
            original,
            port: *u.choose(&[443, 443, 80, 25, 8443])?,
            forbid: if u.arbitrary()? {
                Forbid::default()
            } else {
                Forbid::none()
            },
            target,
            host,
            hello,
            chain,
            addresses,
            ours,
        })
    }

    pub(super) fn flow(&self) -> Flow<'_> {
        Flow {
            source: &self.source,
            protocol: self.protocol,
            target: self.target.clone(),
            port: self.port,
            original: self.original,
            host: self.host.clone(),
            hello: self.hello.clone(),
            chain: &self.chain,
            addresses: &self.addresses,
            resolved: true,
            forbid: &self.forbid,
            ours: &self.ours,
        }
    }
}

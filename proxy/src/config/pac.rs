//! `pac:` what `/proxy.pac` and `/wpad.dat` tell browsers.

use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;
use octroi_policy::name::{Authority, DomainName, NameError};
use serde::Deserialize;

use super::sense::{Sense, Text};

/// The most proxies, and the most entries of `direct`: browsers run the file for every request.
pub const MOST: usize = 1000;

/// What browsers are told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pac {
    /// The proxies to try in turn, each with its port; none = the listener as the client reached it.
    pub proxies: Vec<Authority>,
    /// What is reached without a proxy, beside names without a dot and this machine.
    pub direct: Vec<Direct>,
}

/// Something that is reached without a proxy; names as lists of the policy write them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Direct {
    /// `example.org`: that name alone.
    Exact(DomainName),
    /// `.example.org`: it and everything below.
    Subtree(DomainName),
    /// `*.example.org`: what is below.
    Below(DomainName),
    /// Addresses written as such; no name is looked up.
    Network(IpNet),
}

impl fmt::Display for Direct {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(name) => write!(f, "{name}"),
            Self::Subtree(name) => write!(f, ".{name}"),
            Self::Below(name) => write!(f, "*.{name}"),
            Self::Network(network) => write!(f, "{network}"),
        }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Typed {
    proxies: Option<Vec<Text>>,
    direct: Option<Vec<Text>>,
}

pub(super) fn meaning(typed: &Typed, sense: &mut Sense<'_>) -> Pac {
    let (proxies, direct) = (typed.proxies.iter(), typed.direct.iter());
    let pac = Pac {
        proxies: proxies
            .flatten()
            .filter_map(|text| proxy(text, sense))
            .collect(),
        direct: direct
            .flatten()
            .filter_map(|text| reached_directly(text, sense))
            .collect(),
    };
    for list in [&typed.proxies, &typed.direct].into_iter().flatten() {
        if let Some(beyond) = list.get(MOST) {
            let message = format!("there are more than {MOST} entries");
            sense.problem(beyond, message, "name whole domains and networks instead");
        }
    }
    pac
}

fn proxy(text: &Text, sense: &mut Sense<'_>) -> Option<Authority> {
    let authority = Authority::parse(&text.value).ok();
    let proxy = authority.filter(|authority| authority.port.is_some());
    if proxy.is_none() {
        let message = format!("`{}` is no proxy", text.value);
        sense.problem(
            text,
            message,
            "write a name or an address and a port, such as `proxy.example:3128`",
        );
    }
    proxy
}

fn reached_directly(text: &Text, sense: &mut Sense<'_>) -> Option<Direct> {
    let entry = direct(&text.value);
    if entry.is_none() {
        let message = format!("`{}` is neither a name nor a network", text.value);
        sense.problem(
            text,
            message,
            "write `example.org` for that name alone, `.example.org` for it and everything below, or a network such as `10.0.0.0/8`",
        );
    }
    entry
}

fn direct(text: &str) -> Option<Direct> {
    let single = || text.parse::<IpAddr>().ok().map(IpNet::from);
    if let Some(network) = text.parse().ok().or_else(single) {
        return Some(Direct::Network(network));
    }
    let name = |text: &str| -> Result<DomainName, NameError> { DomainName::from_unicode(text) };
    if let Some(rest) = text.strip_prefix("*.") {
        return name(rest).ok().map(Direct::Below);
    }
    if let Some(rest) = text.strip_prefix('.') {
        return name(rest).ok().map(Direct::Subtree);
    }
    name(text).ok().map(Direct::Exact)
}

//! What a flow presents, kept as long as the flow may have to be judged.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use octroi_policy::Forbid;
use octroi_policy::flow::{Flow, Hello, Protocol, Source};
use octroi_policy::name::Host;

use crate::addr::OwnAddrs;
use crate::dns::Resolution;

/// Everything a judgement of one flow rests on, but the policy and the instant. A tunnel keeps it
/// while it is open, so it holds the resolver's answer by reference and nothing of the policy.
#[derive(Debug)]
pub struct Evidence {
    /// Who asks.
    pub source: Source,
    /// How.
    pub protocol: Protocol,
    /// The CONNECT target or the URI's authority.
    pub target: Host,
    /// The port asked for.
    pub port: u16,
    /// Where a captured connection was on its way to.
    pub original: Option<IpAddr>,
    /// The Host header.
    pub host: Option<Host>,
    /// What the ClientHello showed.
    pub hello: Option<Hello>,
    /// What the target resolved to.
    pub resolution: Option<Arc<Resolution>>,
}

impl Evidence {
    /// The question that the policy is asked. `ours` is what [`Evidence::ours`] says.
    #[must_use]
    pub fn flow<'a>(&'a self, forbid: &'a Forbid, ours: &'a [IpAddr]) -> Flow<'a> {
        Flow {
            source: &self.source,
            protocol: self.protocol,
            target: self.target.clone(),
            port: self.port,
            original: self.original,
            host: self.host.clone(),
            hello: self.hello.clone(),
            chain: self.resolution.as_ref().map_or(&[], |found| &found.chain),
            addresses: self.addresses(),
            resolved: self.resolution.is_some() || self.target.address().is_some(),
            forbid,
            ours,
        }
    }

    /// Those of the addresses at which we ourselves listen: a flow to them would go round in circles.
    #[must_use]
    pub fn ours(&self, own: &OwnAddrs) -> Vec<IpAddr> {
        let literal = self.target.address();
        let dialled = literal.iter().chain(self.addresses()).copied();
        dialled
            .filter(|&address| own.contains(SocketAddr::new(address, self.port)))
            .collect()
    }

    fn addresses(&self) -> &[IpAddr] {
        let found = self.resolution.as_ref();
        found.map_or(&[], |found| &found.addresses)
    }
}

//! The one thing that `octroi demo` has and `octroi run` has not.

use std::net::{Ipv4Addr, SocketAddr};

/// Leads every dial to the demonstration's own origin on this machine.
///
/// The gate judges and records the addresses that DNS gave, as always, and a permit covers them; only the last step goes
/// elsewhere. Nothing in `octroi.yaml` makes one.
#[derive(Clone, Debug)]
pub struct Detour {
    port: u16,
}

impl Detour {
    /// To this port of loopback, and so never off the machine.
    // INVARIANT: seen by `crate::demo` alone, so that a gate of `octroi run` cannot have a detour.
    pub(super) fn to(port: u16) -> Self {
        Self { port }
    }

    /// Where the origin stands.
    pub(crate) fn origin(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.port))
    }
}

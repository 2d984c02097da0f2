//! `admin:` where the gate itself is watched and told to reload.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use serde::Deserialize;

use super::sense::{Sense, Text};

/// Where metrics, health and reload are served: this machine alone, for nothing asks who calls.
pub const DEFAULT_ADDRESS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9128);

/// Where the gate is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Admin {
    /// Where it is bound.
    pub address: SocketAddr,
}

impl Default for Admin {
    fn default() -> Self {
        Self {
            address: DEFAULT_ADDRESS,
        }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Typed {
    address: Option<Text>,
}

pub(super) fn meaning(typed: &Typed, sense: &mut Sense<'_>) -> Admin {
    let address = typed.address.as_ref().and_then(|text| sense.socket(text));
    Admin {
        address: address.unwrap_or(DEFAULT_ADDRESS),
    }
}

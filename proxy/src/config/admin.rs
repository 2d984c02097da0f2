//! `admin:` where the gate itself is watched and told to reload.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use serde::Deserialize;

use super::listeners::{Demand, Tls, TypedTls, tls};
use super::sense::{Sense, Text};

/// Where metrics, health, the console and reload are served: this machine alone, for nothing asks who calls.
pub const DEFAULT_ADDRESS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9128);

/// Where the gate is watched, and by whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admin {
    /// Where it is bound.
    pub address: SocketAddr,
    /// The file that holds the token of those who may read; `None` = no token is asked for.
    pub token: Option<PathBuf>,
    /// What it shows to those who come over TLS; `None` = they come in clear.
    pub tls: Option<Tls>,
}

impl Admin {
    /// Whether clients are asked for a certificate, and must have one.
    #[must_use]
    pub fn client_certificate(&self) -> Option<Demand> {
        let clients = self.tls.as_ref()?.clients.as_ref()?;
        Some(clients.demand)
    }

    /// Whether anybody is asked who they are.
    #[must_use]
    pub fn is_guarded(&self) -> bool {
        self.token.is_some() || self.client_certificate().is_some()
    }
}

impl Default for Admin {
    fn default() -> Self {
        Self {
            address: DEFAULT_ADDRESS,
            token: None,
            tls: None,
        }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Typed {
    address: Option<Text>,
    token: Option<Text>,
    tls: Option<TypedTls>,
}

pub(super) fn meaning(typed: &Typed, sense: &mut Sense<'_>) -> Admin {
    let address = typed.address.as_ref().and_then(|text| sense.socket(text));
    Admin {
        address: address.unwrap_or(DEFAULT_ADDRESS),
        token: typed.token.as_ref().map(|text| sense.path(text)),
        tls: typed.tls.as_ref().map(|typed| tls(typed, sense)),
    }
}

//! `dns:` who resolves names, and how many answers are remembered.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use serde::Deserialize;

use super::sense::{Sense, Text};

/// How long one server is waited for: stub resolvers wait 5 s, a person at a page does not.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(2);

/// How many names are remembered: what some tens of thousands of people use in an hour.
pub const DEFAULT_CACHE: usize = 100_000;

/// The port of a server that names none (RFC 1035 section 4.2).
const PORT: u16 = 53;

/// How names are resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dns {
    /// Who is asked.
    pub servers: Servers,
    /// How long one server is waited for.
    pub timeout: Duration,
    /// How many names are remembered.
    pub cache: usize,
}

/// Who is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Servers {
    /// What the machine is configured with (`/etc/resolv.conf`).
    System,
    /// These, in order; never empty.
    Listed(Vec<SocketAddr>),
}

impl Default for Dns {
    fn default() -> Self {
        Self {
            servers: Servers::System,
            timeout: DEFAULT_TIMEOUT,
            cache: DEFAULT_CACHE,
        }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Typed {
    servers: Option<Vec<Text>>,
    timeout: Option<Text>,
    cache: Option<Text>,
}

pub(super) fn meaning(typed: &Typed, sense: &mut Sense<'_>) -> Dns {
    let shortest = Duration::from_millis(50);
    let longest = Duration::from_secs(30);
    Dns {
        servers: typed
            .servers
            .as_deref()
            .map_or(Servers::System, |all| servers(all, sense)),
        timeout: sense.duration(
            "timeout",
            typed.timeout.as_ref(),
            DEFAULT_TIMEOUT,
            shortest..=longest,
        ),
        cache: sense.number(
            "cache",
            typed.cache.as_ref(),
            DEFAULT_CACHE,
            100..=10_000_000,
        ),
    }
}

fn servers(typed: &[Text], sense: &mut Sense<'_>) -> Servers {
    let mut listed = Vec::new();
    for text in typed {
        match text.value.as_str() {
            "system" if typed.len() == 1 => return Servers::System,
            "system" => sense.problem(
                text,
                "`system` stands beside other servers".to_owned(),
                "write `system` alone, or addresses alone",
            ),
            _ => listed.extend(server(text, sense)),
        }
    }
    if listed.is_empty() {
        Servers::System
    } else {
        Servers::Listed(listed)
    }
}

fn server(text: &Text, sense: &mut Sense<'_>) -> Option<SocketAddr> {
    let written = &text.value;
    let bare = written.parse().map(|ip: IpAddr| SocketAddr::new(ip, PORT));
    let server = bare.or_else(|_| written.parse()).ok();
    if server.is_none() {
        let message = format!("`{written}` is no DNS server");
        sense.problem(
            text,
            message,
            "write `system`, an address, or an address with a port such as `192.0.2.53:5353`",
        );
    }
    server
}

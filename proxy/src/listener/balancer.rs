//! Reads what a balancer says of the connection it passes on, before anything else is believed.

use std::net::IpAddr;
use std::time::Duration;

use bytes::{Buf, BytesMut};
use ipnet::IpNet;
use octroi_wire::proxy_header::{self, ProxyHeaderError, Sender, Status};
use pingora::protocols::Stream;
use pingora::server::ShutdownWatch;
use tokio::time::Instant;

use super::wait::{More, more};

/// Why a connection that should come from a balancer is not served; none gets an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unheard {
    /// It comes from somewhere else: it may claim no address.
    Untrusted,
    /// It did not say whose it is in time.
    Late,
    /// It ended before it had.
    Cut,
    /// What it said is no good header.
    Header(ProxyHeaderError),
}

impl Unheard {
    /// The word for it in logs and metrics.
    pub(super) fn reason(self) -> &'static str {
        match self {
            Self::Untrusted => "proxy-untrusted",
            Self::Late => "proxy-header-timeout",
            Self::Cut => "proxy-header-cut",
            Self::Header(error) => error.reason(),
        }
    }

    /// More about it.
    pub(super) fn detail(self) -> Option<String> {
        match self {
            Self::Header(error) => Some(error.to_string()),
            Self::Untrusted | Self::Late | Self::Cut => None,
        }
    }
}

/// Whether the one who connects may say whose connection it is. Asked before a byte is read.
pub(super) fn is_trusted(peer: IpAddr, trusted: &[IpNet]) -> bool {
    trusted.iter().any(|network| network.contains(&peer))
}

/// Whose connection it is; what follows the header stays in `buffer`. `None` if it ended without a
/// byte, as health checks do, or the gate is leaving.
pub(super) async fn sender(
    stream: &mut Stream,
    buffer: &mut BytesMut,
    patience: Duration,
    shutdown: &ShutdownWatch,
) -> Result<Option<Sender>, Unheard> {
    let deadline = Instant::now() + patience;
    loop {
        match proxy_header::read(buffer).map_err(Unheard::Header)? {
            Status::Complete(sender, length) => {
                buffer.advance(length);
                return Ok(Some(sender));
            }
            Status::NeedMore => {}
        }
        match more(stream, buffer, deadline, shutdown).await {
            More::Bytes => {}
            More::End | More::Leaving if buffer.is_empty() => return Ok(None),
            More::End | More::Leaving => return Err(Unheard::Cut),
            More::Late => return Err(Unheard::Late),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_named_networks_are_trusted() {
        let trusted = ["192.0.2.10/32", "2001:db8::/64"].map(|text| text.parse().unwrap());
        for (peer, expected) in [
            ("192.0.2.10", true),
            ("192.0.2.11", false),
            ("2001:db8::77", true),
            ("2001:db8:0:1::1", false),
            ("127.0.0.1", false),
        ] {
            assert_eq!(
                is_trusted(peer.parse().unwrap(), &trusted),
                expected,
                "{peer}"
            );
        }
        assert!(!is_trusted("192.0.2.10".parse().unwrap(), &[]));
    }
}

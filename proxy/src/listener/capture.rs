//! Where a captured connection was on its way to, by what the kernel says and nothing else.

use pingora::protocols::l4::socket::SocketAddr as PeerAddr;

use super::{Client, TurnedAway};
use crate::addr::{OriginalDst, OwnAddrs};
use crate::config::Capture;

/// Why a connection to a transparent listener is not served; none gets an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Uncaptured {
    /// The kernel does not know where it was on its way to: no firewall brought it here.
    Unknown,
    /// It was on its way to us: to go on would be to go round in circles.
    Loop(OriginalDst),
}

impl From<Uncaptured> for TurnedAway {
    fn from(uncaptured: Uncaptured) -> Self {
        let (reason, detail) = match uncaptured {
            Uncaptured::Unknown => ("not-captured", None),
            Uncaptured::Loop(original) => ("loop", Some(original.to_string())),
        };
        Self {
            reason,
            detail,
            answer: None,
        }
    }
}

/// Where the connection of `client` was on its way to. `own` are the addresses on which this process listens: whoever
/// connects to a transparent listener by its own address is not captured.
pub(super) fn original(
    client: &Client,
    capture: Capture,
    own: &OwnAddrs,
) -> Result<OriginalDst, Uncaptured> {
    let digest = client.stream.get_socket_digest();
    let found = digest.and_then(|digest| match capture {
        Capture::Redirect => digest.original_dst().and_then(PeerAddr::as_inet).copied(),
        Capture::Tproxy => digest.local_addr().and_then(PeerAddr::as_inet).copied(),
    });
    let original = OriginalDst::new(found.ok_or(Uncaptured::Unknown)?);
    match own.contains(original.socket()) {
        true => Err(Uncaptured::Loop(original)),
        false => Ok(original),
    }
}

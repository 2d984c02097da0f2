//! The only place that dials, and only on a permit: what was judged is what is dialled.

use std::future::{Future, poll_fn};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use octroi_policy::decision::{Decision, Verdict};
use octroi_policy::name::Host;
use rustix::io::Errno;
use thiserror::Error;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until, timeout};

use crate::addr::OwnAddrs;
use crate::demo::Detour;

mod peer;
#[cfg(test)]
mod tests;

pub use peer::{Lane, Peers};

/// How long the first address has the field to itself (RFC 8305 section 5: 250 ms).
pub const ATTEMPT_DELAY: Duration = Duration::from_millis(250);

/// Attempts under way at once: an answer with a hundred addresses is no reason for a hundred sockets.
const MOST_AT_ONCE: usize = 4;

/// The right to dial certain addresses, given by an allowing decision and by nothing else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Permit {
    addresses: Vec<SocketAddr>,
}

impl Permit {
    /// The permit that `decision` gives for `addresses`: `None` unless it allows the flow, and
    /// each of them was among its evidence.
    #[must_use]
    pub fn new(decision: &Decision, addresses: &[IpAddr], port: u16) -> Option<Self> {
        let was_judged = |address: &IpAddr| {
            let judged = Host::from(*address);
            decision.pieces.iter().any(|piece| piece.value == judged)
        };
        let whole = !addresses.is_empty() && addresses.iter().all(was_judged);
        (decision.verdict() == Verdict::Allow && whole).then(|| Self {
            addresses: interleave(addresses)
                .map(|ip| SocketAddr::new(ip, port))
                .collect(),
        })
    }

    /// What may be dialled, in the order in which it is tried.
    #[must_use]
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }
}

/// The families take turns, beginning with that of the first address (RFC 8305 section 4).
fn interleave(addresses: &[IpAddr]) -> impl Iterator<Item = IpAddr> {
    let first_is_v4 = addresses.first().is_some_and(IpAddr::is_ipv4);
    let (mut ours, mut theirs): (Vec<_>, Vec<_>) = (Vec::new(), Vec::new());
    for address in addresses.iter().map(IpAddr::to_canonical) {
        if address.is_ipv4() == first_is_v4 {
            ours.push(address);
        } else {
            theirs.push(address);
        }
    }
    let turns = ours.len().max(theirs.len());
    (0..turns).flat_map(move |turn| {
        [ours.get(turn).copied(), theirs.get(turn).copied()]
            .into_iter()
            .flatten()
    })
}

/// Why an origin could not be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Error)]
pub enum DialError {
    /// Nobody listens there.
    #[error("the origin refused the connection")]
    Refused,
    /// There is no way there.
    #[error("the origin cannot be reached from here")]
    Unreachable,
    /// Nothing came back in time.
    #[error("the origin did not answer in time")]
    Timeout,
    /// It hung up during the handshake.
    #[error("the origin reset the connection")]
    Reset,
    /// A local firewall forbids it.
    #[error("this machine's firewall does not let the gate out to the origin")]
    Forbidden,
    /// We have no descriptor, port or memory left.
    #[error("the gate has no descriptors or ports left")]
    Exhausted,
    /// The address is one of ours.
    #[error("the origin is the gate itself")]
    Loop,
    /// Something else.
    #[error("the connection to the origin failed")]
    Other,
}

impl DialError {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Refused,
        Self::Unreachable,
        Self::Timeout,
        Self::Reset,
        Self::Forbidden,
        Self::Exhausted,
        Self::Loop,
        Self::Other,
    ];

    /// The word for it in logs, metrics and headers.
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self {
            Self::Refused => "connection-refused",
            Self::Unreachable => "unreachable",
            Self::Timeout => "connect-timeout",
            Self::Reset => "connection-reset",
            Self::Forbidden => "local-firewall",
            Self::Exhausted => "exhausted",
            Self::Loop => "loop",
            Self::Other => "connect-failed",
        }
    }

    /// The status that tells a client about it.
    #[must_use]
    pub fn status(self) -> u16 {
        match self {
            Self::Timeout => 504,
            Self::Exhausted => 503,
            Self::Loop => 403,
            _ => 502,
        }
    }

    /// The error type of RFC 9209 section 2.3.
    #[must_use]
    pub fn proxy_error(self) -> &'static str {
        match self {
            Self::Refused => "connection_refused",
            Self::Unreachable => "destination_ip_unroutable",
            Self::Timeout => "connection_timeout",
            Self::Reset => "connection_terminated",
            Self::Forbidden | Self::Exhausted | Self::Other => "proxy_internal_error",
            Self::Loop => "proxy_loop_detected",
        }
    }

    fn of(error: &io::Error) -> Self {
        match Errno::from_io_error(error) {
            Some(Errno::CONNREFUSED) => Self::Refused,
            Some(
                Errno::NETUNREACH
                | Errno::HOSTUNREACH
                | Errno::NETDOWN
                | Errno::HOSTDOWN
                | Errno::ADDRNOTAVAIL,
            ) => Self::Unreachable,
            Some(Errno::TIMEDOUT) => Self::Timeout,
            Some(Errno::CONNRESET | Errno::CONNABORTED | Errno::PIPE) => Self::Reset,
            Some(Errno::ACCESS | Errno::PERM) => Self::Forbidden,
            Some(Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM | Errno::AGAIN) => {
                Self::Exhausted
            }
            _ => Self::Other,
        }
    }
}

/// Dials the origins that a permit names.
#[derive(Clone, Debug)]
pub struct Dialler {
    /// How long one address is waited for, and twice that all of them together.
    pub connect_timeout: Duration,
    /// What is never dialled because it is us.
    pub own: OwnAddrs,
    /// Where the origins of `octroi demo` stand.
    // INVARIANT: `None` in a gate of `octroi run`: only `crate::demo` can make one.
    pub detour: Option<Detour>,
}

impl Dialler {
    /// Connects to the first address of `permit` that answers: one after the other, the next one
    /// joining in when those before it fail or keep silent for [`ATTEMPT_DELAY`] (RFC 8305).
    ///
    /// # Errors
    /// [`DialError::Loop`] if any address is ours, before any is dialled; [`DialError::Timeout`]
    /// if time runs out; else what happened to the first address.
    pub async fn connect(&self, permit: &Permit) -> Result<TcpStream, DialError> {
        if permit
            .addresses
            .iter()
            .any(|&address| self.own.contains(address))
        {
            return Err(DialError::Loop);
        }
        let raced = timeout(self.connect_timeout * 2, self.race(&permit.addresses));
        let stream = raced.await.unwrap_or(Err(DialError::Timeout))?;
        // Our own writes are whole already; a failure costs a delay, not the tunnel.
        let _ = stream.set_nodelay(true);
        Ok(stream)
    }

    async fn race(&self, addresses: &[SocketAddr]) -> Result<TcpStream, DialError> {
        let mut waiting = addresses.iter();
        let mut attempts: Vec<Attempt<Result<TcpStream, DialError>>> = Vec::new();
        let mut first_error = None;
        loop {
            if attempts.len() < MOST_AT_ONCE
                && let Some(&address) = waiting.next()
            {
                let way = self.detour.as_ref().map_or(address, Detour::origin);
                attempts.push(Box::pin(attempt(way, self.connect_timeout)));
            }
            if attempts.is_empty() {
                return Err(first_error.unwrap_or(DialError::Other));
            }
            let may_join = attempts.len() < MOST_AT_ONCE && !waiting.as_slice().is_empty();
            let next = sleep_until(Instant::now() + ATTEMPT_DELAY);
            tokio::select! {
                biased;
                done = first_done(&mut attempts) => match done {
                    Ok(stream) => return Ok(stream),
                    Err(error) => { first_error.get_or_insert(error); }
                },
                () = next, if may_join => {}
            }
        }
    }
}

/// One connection under way.
type Attempt<T> = Pin<Box<dyn Future<Output = T> + Send>>;

#[expect(
    clippy::disallowed_methods,
    reason = "this is the one place that dials"
)]
async fn attempt(address: SocketAddr, patience: Duration) -> Result<TcpStream, DialError> {
    match timeout(patience, TcpStream::connect(address)).await {
        Ok(Ok(stream)) => Ok(stream),
        Ok(Err(error)) => Err(DialError::of(&error)),
        Err(_) => Err(DialError::Timeout),
    }
}

/// The first of the attempts to end, which leaves the list.
async fn first_done<T>(attempts: &mut Vec<Attempt<T>>) -> T {
    poll_fn(|cx| {
        for ix in 0..attempts.len() {
            if let Poll::Ready(output) = attempts[ix].as_mut().poll(cx) {
                drop(attempts.swap_remove(ix));
                return Poll::Ready(output);
            }
        }
        Poll::Pending
    })
    .await
}

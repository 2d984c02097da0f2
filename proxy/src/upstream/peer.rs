//! The same permit for Pingora's engine: a peer that it may pool, and connect only as permitted.

use std::hash::{BuildHasher, Hash, RandomState};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use octroi_policy::name::Host;
use pingora::connectors::L4Connect;
use pingora::protocols::l4::socket::SocketAddr as PeerAddr;
use pingora::protocols::l4::stream::Stream;
use pingora::upstreams::peer::HttpPeer;
use pingora::{Error, ErrorType};

use super::{Dialler, Permit};

/// How long an idle connection to an origin is kept for the client's next request.
const POOL_IDLE: Duration = Duration::from_secs(30);

/// Which connections to origins a client's connection may use again: those made for it, and no
/// others.
///
/// An origin may speak when nobody asked, and some logins (NTLM, Negotiate) hold for a connection
/// and not for a request. Whatever was left on one, it is left to the client that left it there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Lane(u64);

impl Lane {
    /// One that nobody had before.
    #[must_use]
    pub fn draw() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

/// Makes peers, and the keys under which their connections are pooled.
#[derive(Debug)]
pub struct Peers {
    dialler: Dialler,
    /// How long an origin may say nothing.
    silence: Duration,
    keys: RandomState,
}

impl Peers {
    /// Peers reached through `dialler`, given up after `silence`.
    #[must_use]
    pub fn new(dialler: Dialler, silence: Duration) -> Self {
        Self {
            dialler,
            silence,
            keys: RandomState::new(),
        }
    }

    /// The peer for a request to `target`. A pooled connection serves only the client it was made
    /// for, the same name, and whoever may reach the same addresses: what was judged is what is
    /// used.
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the place where permits become peers"
    )]
    #[must_use]
    pub fn peer(&self, target: &Host, permit: &Arc<Permit>, lane: Lane) -> HttpPeer {
        // The pool's key is all ours: `0.0.0.0` makes Pingora leave the address out of it.
        let port = permit.addresses().first().map_or(0, SocketAddr::port);
        let mut peer = HttpPeer::new((Ipv4Addr::UNSPECIFIED, port), false, String::new());
        peer.group_key = self.key(target, permit, lane);
        peer.options.idle_timeout = Some(POOL_IDLE);
        peer.options.read_timeout = Some(self.silence);
        peer.options.write_timeout = Some(self.silence);
        peer.options.custom_l4 = Some(Arc::new(OnPermit {
            dialler: self.dialler.clone(),
            permit: Arc::clone(permit),
        }));
        peer
    }

    fn key(&self, target: &Host, permit: &Permit, lane: Lane) -> u64 {
        let mut addresses = permit.addresses().to_vec();
        // An answer that only turned its addresses round is the same answer.
        addresses.sort_unstable();
        self.keys.hash_one(Key {
            target,
            addresses: &addresses,
            lane,
        })
    }
}

#[derive(Hash)]
struct Key<'a> {
    target: &'a Host,
    addresses: &'a [SocketAddr],
    lane: Lane,
}

/// Connects where a permit says; the address that Pingora passes is only the pool's name for it.
#[derive(Debug)]
struct OnPermit {
    dialler: Dialler,
    permit: Arc<Permit>,
}

#[async_trait]
impl L4Connect for OnPermit {
    async fn connect(&self, _: &PeerAddr) -> pingora::Result<Stream> {
        let dialled = self.dialler.connect(&self.permit).await;
        dialled
            .map(Stream::from)
            .map_err(|error| Error::new_up(ErrorType::Custom(error.reason())))
    }
}

#[cfg(test)]
mod tests {
    use pingora::upstreams::peer::Peer;

    use super::*;
    use crate::addr::OwnAddrs;

    fn permit(addresses: &[&str]) -> Arc<Permit> {
        let addresses = addresses
            .iter()
            .map(|address| address.parse().unwrap())
            .collect();
        Arc::new(Permit { addresses })
    }

    #[test]
    fn a_pooled_connection_is_for_one_client_one_name_and_one_set_of_addresses() {
        let second = Duration::from_secs(1);
        let dialler = Dialler {
            connect_timeout: second,
            own: OwnAddrs::default(),
            detour: None,
        };
        let peers = Peers::new(dialler, second);
        let lane = Lane::draw();
        let hash_in = |lane: Lane, name: &str, addresses: &[&str]| {
            let target = Host::parse(name).unwrap();
            peers.peer(&target, &permit(addresses), lane).reuse_hash()
        };
        let hash = |name: &str, addresses: &[&str]| hash_in(lane, name, addresses);
        let (one, two) = ("192.0.2.1:80", "192.0.2.2:80");
        assert_eq!(
            hash("a.example", &[one, two]),
            hash("A.example", &[two, one])
        );
        assert_ne!(hash("a.example", &[one]), hash("b.example", &[one]));
        assert_ne!(hash("a.example", &[one]), hash("a.example", &[one, two]));
        assert_ne!(
            hash("a.example", &[one]),
            hash("a.example", &["192.0.2.1:8080"])
        );
        let ours = hash("a.example", &[one]);
        assert_ne!(ours, hash_in(Lane::draw(), "a.example", &[one]));
    }
}

//! How many connections at once: in all, and from one source; and what the machine carries.

use std::collections::HashMap;
use std::collections::hash_map::{Entry, RandomState};
use std::hash::BuildHasher;
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::sync::Notify;

mod waiting;

pub use waiting::{Displaced, Engaged, GRACE, Visit};

use waiting::Line;

/// Idle connections to origins that are kept for the next plain HTTP request.
pub const POOL: usize = 256;

/// Descriptors kept for those, for listeners, the log, the resolver and reloads.
pub const RESERVE: usize = POOL + 128;

/// Descriptors of one connection: the client's and the origin's.
const PER_CONNECTION: usize = 2;

/// Tables of sources, so that cores do not wait for each other.
const SHARDS: usize = 16;

/// Why a connection is not served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Full {
    /// There are as many as the gate serves in all, and none of them has waited long.
    Connections,
    /// This source has as many as one source may have.
    PerSource,
}

impl Full {
    /// The word for it in logs, metrics and headers.
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self {
            Self::Connections => "connection-limit",
            Self::PerSource => "source-limit",
        }
    }
}

/// Counts live connections and refuses those beyond the limits.
#[derive(Debug)]
pub struct Admission {
    most: usize,
    most_per_source: usize,
    live: AtomicUsize,
    idle: Notify,
    waiting: Arc<Line>,
    sources: [Mutex<HashMap<IpAddr, usize>>; SHARDS],
    hasher: RandomState,
}

impl Admission {
    /// At most `most` connections in all and `most_per_source` from one address.
    #[must_use]
    pub fn new(most: usize, most_per_source: usize) -> Arc<Self> {
        Arc::new(Self {
            most,
            most_per_source,
            live: AtomicUsize::new(0),
            idle: Notify::new(),
            waiting: Arc::default(),
            sources: Default::default(),
            hasher: RandomState::new(),
        })
    }

    /// A connection that comes to the gate.
    #[must_use]
    pub fn visit(&self) -> Arc<Visit> {
        self.waiting.visit()
    }

    /// Takes a connection in before it is known whose it is; it counts until the place is dropped, and waits until it
    /// is [engaged](Visit::engage). When there is no room, the one that has waited longest gives its place up.
    ///
    /// # Errors
    /// [`Full::Connections`].
    pub fn enter(self: &Arc<Self>, visit: &Arc<Visit>) -> Result<Place, Full> {
        self.enter_at(visit, Instant::now)
    }

    fn enter_at(
        self: &Arc<Self>,
        visit: &Arc<Visit>,
        now: impl FnOnce() -> Instant,
    ) -> Result<Place, Full> {
        if self.live.fetch_add(1, Ordering::Relaxed) >= self.most {
            let is_displaced = self.waiting.displace(now());
            // Either on behalf of the one displaced, whose own place is none any more, or of this one.
            self.leave();
            if !is_displaced {
                return Err(Full::Connections);
            }
        }
        visit.wait();
        Ok(Place {
            admission: Arc::clone(self),
            visit: Arc::clone(visit),
        })
    }

    /// How many connections have no flow under way.
    #[cfg(test)]
    fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// How many connections there are.
    #[must_use]
    pub fn live(&self) -> usize {
        self.live.load(Ordering::Acquire)
    }

    /// How near the limits are, of all and of the source with most: 0 = unused, 1 = the next
    /// connection is refused.
    #[must_use]
    pub fn usage(&self) -> (f64, f64) {
        let of = |count: usize, most: usize| count as f64 / most as f64;
        let most_of = |shard| locked(shard).values().copied().max().unwrap_or(0);
        let of_source = self.sources.iter().map(most_of).max().unwrap_or(0);
        (
            of(self.live(), self.most),
            of(of_source, self.most_per_source),
        )
    }

    /// Waits until there are none.
    pub async fn none_left(&self) {
        loop {
            let idle = self.idle.notified();
            if self.live() == 0 {
                return;
            }
            idle.await;
        }
    }

    fn leave(&self) {
        if self.live.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.idle.notify_waiters();
        }
    }

    fn shard(&self, source: IpAddr) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        locked(&self.sources[self.hasher.hash_one(source) as usize % SHARDS])
    }
}

/// The table is whole after every statement that touches it: a panic elsewhere spoils nothing.
fn locked(shard: &Mutex<HashMap<IpAddr, usize>>) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A connection that counts among all.
#[derive(Debug)]
pub struct Place {
    admission: Arc<Admission>,
    visit: Arc<Visit>,
}

impl Place {
    /// Counts the connection among those of `source` as well, until the ticket is dropped.
    ///
    /// # Errors
    /// [`Full::PerSource`]; the place is free again.
    pub fn of(self, source: IpAddr) -> Result<Ticket, Full> {
        let most = self.admission.most_per_source;
        let mut shard = self.admission.shard(source);
        let count = shard.entry(source).or_default();
        if *count >= most {
            return Err(Full::PerSource);
        }
        *count += 1;
        drop(shard);
        Ok(Ticket {
            place: self,
            source,
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let was_displaced = self.visit.leave();
        if !was_displaced {
            self.admission.leave();
        }
    }
}

/// A connection that counts against the limits.
#[derive(Debug)]
pub struct Ticket {
    place: Place,
    source: IpAddr,
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut shard = self.place.admission.shard(self.source);
        if let Entry::Occupied(mut entry) = shard.entry(self.source) {
            *entry.get_mut() -= 1;
            if *entry.get() == 0 {
                entry.remove();
            }
        }
    }
}

/// Raises the soft limit of descriptors to the hard one and says what it then is.
#[must_use]
pub fn raise_descriptors() -> usize {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    // Not allowed in some sandboxes: then the soft limit is what there is.
    let current = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum,
        Err(_) => limit.current,
    };
    current.map_or(usize::MAX, |n| usize::try_from(n).unwrap_or(usize::MAX))
}

/// How many connections so many descriptors carry; at least one.
#[must_use]
pub fn connections_for(descriptors: usize) -> usize {
    (descriptors.saturating_sub(RESERVE) / PER_CONNECTION).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn admit(admission: &Arc<Admission>, source: &str) -> Result<Ticket, Full> {
        admission.enter(&admission.visit())?.of(ip(source))
    }

    #[test]
    fn a_place_is_free_again_when_its_ticket_is_gone() {
        let admission = Admission::new(3, 2);
        let one = admit(&admission, "192.0.2.1").unwrap();
        let _two = admit(&admission, "192.0.2.1").unwrap();
        assert_eq!(admit(&admission, "192.0.2.1").unwrap_err(), Full::PerSource);
        let _three = admit(&admission, "192.0.2.2").unwrap();
        assert_eq!(
            admit(&admission, "192.0.2.3").unwrap_err(),
            Full::Connections
        );
        assert_eq!(admission.live(), 3);
        drop(one);
        assert!(admit(&admission, "192.0.2.1").is_ok());
        assert_eq!(admission.live(), 2);
    }

    #[test]
    fn a_connection_counts_before_its_source_is_known() {
        let admission = Admission::new(2, 1);
        let unknown = admission.enter(&admission.visit()).unwrap();
        let known = admit(&admission, "192.0.2.1").unwrap();
        let another = admission.enter(&admission.visit());
        assert_eq!(another.unwrap_err(), Full::Connections);
        assert_eq!(unknown.of(ip("192.0.2.1")).unwrap_err(), Full::PerSource);
        assert_eq!(admission.live(), 1);
        drop(known);
        assert_eq!(admission.live(), 0);
        assert!(admit(&admission, "192.0.2.1").is_ok());
    }

    #[test]
    fn a_source_that_left_is_forgotten() {
        let admission = Admission::new(10, 10);
        drop(admit(&admission, "2001:db8::1").unwrap());
        assert!(
            admission
                .sources
                .iter()
                .all(|shard| shard.lock().unwrap().is_empty())
        );
    }

    #[tokio::test]
    async fn the_last_one_to_leave_is_noticed() {
        let admission = Admission::new(10, 10);
        let ticket = admit(&admission, "192.0.2.1").unwrap();
        let waiter = tokio::spawn({
            let admission = Arc::clone(&admission);
            async move { admission.none_left().await }
        });
        tokio::task::yield_now().await;
        assert!(!waiter.is_finished());
        drop(ticket);
        waiter.await.unwrap();
    }

    /// The place goes from one to the other: it is counted once, whatever they do afterwards.
    #[test]
    fn a_newcomer_takes_the_place_of_one_that_waits() {
        let admission = Admission::new(2, 2);
        let visits = [admission.visit(), admission.visit()];
        let [waits, works] = visits.each_ref().map(|visit| {
            let place = admission.enter(visit).unwrap();
            place.of(ip("192.0.2.1")).unwrap()
        });
        let engaged = visits[1].engage().unwrap();
        let newcomer = admission.visit();
        assert_eq!(admission.enter(&newcomer).unwrap_err(), Full::Connections);
        let later = || Instant::now() + GRACE;
        let newcomer = admission.enter_at(&newcomer, later).unwrap();
        assert_eq!((admission.live(), admission.waiting()), (2, 1));
        assert!(visits[0].engage().is_none());
        drop(waits);
        assert_eq!(admission.live(), 2, "the newcomer has it now");
        drop(newcomer);
        assert_eq!(admission.live(), 1);
        drop((engaged, works));
        assert_eq!((admission.live(), admission.waiting()), (0, 0));
    }

    #[test]
    fn descriptors_make_connections() {
        for (descriptors, connections) in [(0, 1), (384, 1), (1024, 320), (20_000, 9808)] {
            assert_eq!(connections_for(descriptors), connections);
        }
    }
}

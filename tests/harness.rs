//! What a test needs around the gate: addresses, names, origins, certificates, clients.

pub(crate) mod alertmanager;
pub(crate) mod browser;
pub(crate) mod client;
pub(crate) mod clock;
pub(crate) mod crowd;
pub(crate) mod demo;
pub(crate) mod disk;
pub(crate) mod dns;
pub(crate) mod hello;
pub(crate) mod ledger;
pub(crate) mod load;
pub(crate) mod manager;
pub(crate) mod netns;
pub(crate) mod origin;
pub(crate) mod pki;
pub(crate) mod prometheus;
pub(crate) mod proxy;
pub(crate) mod scrape;
pub(crate) mod servers;
pub(crate) mod tools;
pub(crate) mod turn;
pub(crate) mod viewer;
pub(crate) mod world;

use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

/// Long enough for a loaded two-core machine, short enough to notice.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

/// Asks again until there is an answer, and fails the test at the deadline.
pub(crate) fn eventually<T>(what: &str, probe: impl FnMut() -> Option<T>) -> T {
    within(DEADLINE, what, probe)
}

/// The same with a deadline of its own, for what takes its time by design.
pub(crate) fn within<T>(deadline: Duration, what: &str, mut probe: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(found) = probe() {
            return found;
        }
        assert!(started.elapsed() < deadline, "gave up waiting: {what}");
        std::thread::park_timeout(Duration::from_millis(3));
    }
}

/// The addresses of one test: 127.N.M.0/24 on the loopback, where N is this process and M the test, or the
/// clients' network of `netns`.
#[derive(Clone, Copy)]
pub(crate) struct Block {
    network: [u8; 3],
}

impl Block {
    pub(crate) fn claim() -> Self {
        static NEXT: AtomicU8 = AtomicU8::new(1);
        let process = u8::try_from(std::process::id() % 200).unwrap() + 20;
        let test = NEXT.fetch_add(1, Ordering::Relaxed);
        Self {
            network: [127, process, test],
        }
    }

    /// 192.0.2.0/24, which each test in networks of its own has for itself.
    pub(crate) fn of_clients() -> Self {
        Self {
            network: [192, 0, 2],
        }
    }

    pub(crate) fn is_of_clients(self) -> bool {
        self.network == [192, 0, 2]
    }

    pub(crate) fn ip(self, last: u8) -> Ipv4Addr {
        let [a, b, c] = self.network;
        Ipv4Addr::new(a, b, c, last)
    }

    /// Where the gate listens.
    pub(crate) fn gate(self) -> Ipv4Addr {
        self.ip(1)
    }

    /// Where the DNS server of the test listens.
    pub(crate) fn dns(self) -> Ipv4Addr {
        self.ip(2)
    }

    /// A client of the sensitive workload.
    pub(crate) fn sensitive(self) -> Ipv4Addr {
        self.ip(200)
    }

    /// A client of the ordinary workload.
    pub(crate) fn ordinary(self) -> Ipv4Addr {
        self.ip(201)
    }

    /// A client that belongs to nobody.
    pub(crate) fn stranger(self) -> Ipv4Addr {
        self.ip(202)
    }
}

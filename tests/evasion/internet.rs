//! A network of its own in which every address answers, and everything said to any of them is written down.
//!
//! All addresses, IPv4 and IPv6, are local to the namespace. So a flow that gets out reaches us
//! wherever it was sent to: private networks, metadata services and ranges of others included.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use super::octroi::{CAPTURE, GATE};
use crate::harness::netns::Space;
use crate::harness::origin::{Behaviour, Book, Recorded, echo, http};

/// Where origins listen, at every address.
const PORTS: [u16; 5] = [22, 80, 443, 8080, 8443];
/// Those that speak plain HTTP; the others send back what comes in.
const HTTP_PORTS: [u16; 2] = [80, 8080];

/// Where clients are.
const CLIENTS: &str = "10.1.0.0-10.2.255.255";

/// A network in which every address is local, and which captures what clients say to others than the gate.
pub(super) fn network() -> Space {
    let space = Space::new("internet");
    space.ip("link set lo up\nroute add local 0.0.0.0/0 dev lo\nroute add local ::/0 dev lo\n");
    let gate = GATE.ip();
    space.nft(&[&format!(
        "add table ip evasion; add chain ip evasion out {{ type nat hook output priority -100; }}; \
         add rule ip evasion out ip saddr {CLIENTS} ip daddr != {{ {gate}, 127.0.0.0/8 }} \
         meta l4proto tcp redirect to :{CAPTURE}"
    )]);
    space
}

/// What came to one address on one connection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Came {
    pub(super) to: Option<SocketAddr>,
    pub(super) bytes: Vec<u8>,
    is_open: bool,
}

#[derive(Default)]
struct Seen {
    came: Vec<Came>,
    behaviours: HashMap<IpAddr, Behaviour>,
}

/// The origins at all addresses.
#[derive(Clone)]
pub(super) struct Internet {
    seen: Arc<Mutex<Seen>>,
}

impl Internet {
    /// Listens everywhere in the namespace of the calling thread.
    pub(super) fn start() -> Self {
        let seen = Arc::new(Mutex::new(Seen::default()));
        for port in PORTS {
            // One socket for both families: an IPv4 address comes as a mapped one.
            let listener = TcpListener::bind((Ipv6Addr::UNSPECIFIED, port)).unwrap();
            let seen = Arc::clone(&seen);
            std::thread::spawn(move || {
                for stream in listener.incoming().flatten() {
                    let seen = Arc::clone(&seen);
                    std::thread::spawn(move || serve(stream, seen));
                }
            });
        }
        Self { seen }
    }

    /// What the origin at an address does, instead of what its port says.
    pub(super) fn behave(&self, address: IpAddr, behaviour: Behaviour) {
        self.seen
            .lock()
            .unwrap()
            .behaviours
            .insert(address, behaviour);
    }

    /// How many connections came so far.
    pub(super) fn count(&self) -> usize {
        self.seen.lock().unwrap().came.len()
    }

    /// The connections that came after so many.
    pub(super) fn since(&self, count: usize) -> Vec<Came> {
        self.seen.lock().unwrap().came[count..].to_vec()
    }

    /// Whether what came after so many connections, but for kept ones of plain HTTP, is over.
    pub(super) fn is_quiet(&self, count: usize) -> bool {
        let is_over = |came: &Came| !came.is_open || came.is_plain_http();
        self.since(count).iter().all(is_over)
    }
}

impl Came {
    fn is_plain_http(&self) -> bool {
        self.to.is_some_and(|to| HTTP_PORTS.contains(&to.port()))
    }
}

fn serve(stream: TcpStream, seen: Arc<Mutex<Seen>>) {
    let Ok(local) = stream.local_addr() else {
        return;
    };
    let to = SocketAddr::new(local.ip().to_canonical(), local.port());
    let (index, behaviour) = {
        let mut seen = seen.lock().unwrap();
        let bytes = Vec::new();
        seen.came.push(Came {
            to: Some(to),
            bytes,
            is_open: true,
        });
        (seen.came.len() - 1, seen.behaviours.get(&to.ip()).cloned())
    };
    let usual = || {
        if HTTP_PORTS.contains(&to.port()) {
            http()
        } else {
            echo()
        }
    };
    let behaviour = behaviour.unwrap_or_else(usual);
    let mut recorded = Recorded::new(stream, Page { seen, index });
    behaviour(&mut recorded);
    // What the behaviour leaves unread was said all the same.
    let _ = std::io::copy(&mut recorded, &mut std::io::sink());
}

/// Where a connection is written down.
struct Page {
    seen: Arc<Mutex<Seen>>,
    index: usize,
}

impl Book for Page {
    fn came(&mut self, bytes: &[u8]) {
        let mut seen = self.seen.lock().unwrap();
        seen.came[self.index].bytes.extend_from_slice(bytes);
    }

    fn ended(&mut self) {
        self.seen.lock().unwrap().came[self.index].is_open = false;
    }
}

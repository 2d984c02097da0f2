//! The process: sockets, services in their order, and an orderly end.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{IntoRawFd, RawFd};
use std::sync::Arc;
use std::thread::available_parallelism;
use std::time::Duration;

use async_trait::async_trait;
use pingora::listeners::ListenerConfig;
use pingora::protocols::l4::stream::L4BufferSettings;
use pingora::server::configuration::ServerConf;
use pingora::server::{ListenFds, RunArgs, Server, ShutdownWatch};
use pingora::services::listening::Service as Listening;
use pingora::services::{Service, ServiceWithDependents};
use socket2::{Domain, Protocol, Socket, Type};
use thiserror::Error;
use tokio::sync::watch;

use crate::forward::{self, Forwarder};
use crate::gate::Gate;
use crate::limits::POOL;
use crate::listener::{Bound, Front};
use crate::shares;
use crate::systemd::Notifier;
use crate::tunnels;

mod drain;
mod life;
mod pulse;
pub(crate) mod rehearsal;
pub mod start;
pub mod upgrade;

pub use drain::LastAct;
pub use pulse::{Pulse, Seat, Stuck};
pub use start::{StartError, start};
use upgrade::wire::OpenSocket;
use upgrade::{Arrival, Place, Upgrades};

/// Connections that may wait to be accepted; the kernel's `net.core.somaxconn` has the last word.
const BACKLOG: i32 = 65_535;

/// A socket could not be opened.
#[derive(Debug, Error)]
#[error("cannot listen on {address}: {error}{}", because(*.lacks_right))]
pub struct BindError {
    /// The address.
    pub address: SocketAddr,
    /// Why.
    pub error: io::Error,
    /// This user may not take what is meant for other addresses.
    pub lacks_right: bool,
}

fn because(lacks_right: bool) -> &'static str {
    match lacks_right {
        true => ": `capture: tproxy` takes CAP_NET_ADMIN",
        false => "",
    }
}

/// A listening socket, opened before anything else runs: a port that is taken stops the start.
#[derive(Debug)]
pub struct Listen {
    socket: Opened,
    address: SocketAddr,
}

#[derive(Debug)]
enum Opened {
    Here(std::net::TcpListener),
    /// By the gate that this one takes over from.
    Before(RawFd),
}

impl Listen {
    /// Opens a socket; port 0 lets the system choose. With `takes_all` it takes connections to any address that the
    /// firewall brings to it (`IP_TRANSPARENT`).
    ///
    /// # Errors
    /// [`BindError`] names the address.
    pub fn bind(address: SocketAddr, takes_all: bool) -> Result<Self, BindError> {
        let bound = || -> io::Result<Self> {
            let socket = Socket::new(
                Domain::for_address(address),
                Type::STREAM,
                Some(Protocol::TCP),
            )?;
            socket.set_reuse_address(true)?;
            if address.is_ipv6() {
                // One socket a family: an IPv4 client stays an IPv4 client.
                socket.set_only_v6(true)?;
            }
            socket.set_nonblocking(true)?;
            if takes_all {
                take_all(&socket, address)?;
            }
            socket.bind(&address.into())?;
            socket.listen(BACKLOG)?;
            let socket = std::net::TcpListener::from(socket);
            Ok(Self {
                address: socket.local_addr()?,
                socket: Opened::Here(socket),
            })
        };
        bound().map_err(|error| failed(address, takes_all, error))
    }

    /// Goes on with a socket that the gate before this one listened on.
    fn inherited(fd: RawFd, address: SocketAddr) -> Self {
        let socket = Opened::Before(fd);
        Self { socket, address }
    }

    /// Where it really is.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

fn failed(address: SocketAddr, takes_all: bool, error: io::Error) -> BindError {
    BindError {
        address,
        lacks_right: takes_all && error.kind() == io::ErrorKind::PermissionDenied,
        error,
    }
}

fn take_all(socket: &Socket, address: SocketAddr) -> io::Result<()> {
    match address {
        SocketAddr::V4(_) => socket.set_ip_transparent_v4(true),
        SocketAddr::V6(_) => socket.set_ip_transparent_v6(true),
    }
}

/// A Pingora service on sockets that are open already.
pub struct OnOpen<S> {
    service: S,
    sockets: Vec<Listen>,
    seat: Seat,
}

impl<S> OnOpen<S> {
    /// `service` must listen on the very addresses of `sockets`; `seat` is its place in the pulse.
    pub fn new(service: S, sockets: Vec<Listen>, seat: Seat) -> Self {
        Self {
            service,
            sockets,
            seat,
        }
    }
}

#[async_trait]
impl<S: Service> Service for OnOpen<S> {
    async fn start_service(
        &mut self,
        fds: Option<ListenFds>,
        shutdown: ShutdownWatch,
        listeners_per_fd: usize,
    ) {
        if let Some(fds) = &fds {
            let mut table = fds.lock();
            for Listen { socket, address } in self.sockets.drain(..) {
                // Pingora looks for inherited sockets under the address as text.
                let fd = match socket {
                    Opened::Here(socket) => socket.into_raw_fd(),
                    Opened::Before(fd) => fd,
                };
                table.add(address.to_string(), fd);
            }
        }
        let service = self.service.start_service(fds, shutdown, listeners_per_fd);
        self.seat.run(service).await;
    }

    fn name(&self) -> &str {
        self.service.name()
    }

    fn threads(&self) -> Option<usize> {
        self.service.threads()
    }

    fn listen_addresses(&self) -> Option<Vec<String>> {
        self.service.listen_addresses()
    }
}

/// Everything that runs beside the listeners: administration, reloads.
pub type Extra = Box<dyn ServiceWithDependents>;

/// The process around the gate.
#[derive(Debug, Default)]
pub struct Process {
    /// Whether it works.
    pub pulse: Pulse,
    /// Who is told.
    pub notifier: Notifier,
    /// Where it can be told to upgrade.
    pub place: Option<Place>,
    /// The gate that it takes over from.
    pub arrival: Option<Arrival>,
    /// All its listening sockets.
    pub sockets: Vec<OpenSocket>,
    /// What is done before it ends.
    pub last: LastAct,
}

/// Runs the gate until it is told to stop and has drained; then the process ends.
pub fn run(
    gate: Arc<Gate>,
    process: Process,
    bound: Vec<Bound>,
    sockets: Vec<Listen>,
    extras: Vec<Extra>,
) {
    let Process {
        pulse,
        notifier,
        place,
        arrival,
        sockets: all,
        last,
    } = process;
    let (ours, is_ours) = watch::channel(arrival.is_none());
    let (successor, succeeded) = watch::channel(None);
    let ledger = gate.ledger.clone();
    let upgrades = Upgrades::new(
        place,
        all,
        (notifier.clone(), pulse.clone()),
        ledger,
        is_ours,
        successor,
    );
    let drain_timeout = gate.config.drain_timeout;
    let conf = conf(drain_timeout + drain::MARGIN, cores());
    let mut server = Server::new_with_opt_and_conf(None, conf);
    server.bootstrap();
    for (bound, sockets) in together(bound, sockets) {
        let forwarder = Forwarder::new(Arc::clone(&gate), &server.configuration);
        let front = Front::new(Arc::clone(&gate), forwarder, bound);
        let front = listening(front, &sockets);
        server.add_service(OnOpen::new(front, sockets, pulse.seat("gate")));
    }
    for extra in extras {
        server.add_boxed_service(extra);
    }
    server.add_service(tunnels::service(Arc::clone(&gate)));
    if !gate.shares.is_unlimited() {
        server.add_service(shares::service(Arc::clone(&gate)));
    }
    server.add_service(upgrades);
    let signals = pulse.seat("signals");
    let to_manager = notifier.clone();
    server.add_service(life::service(
        Arc::clone(&gate),
        pulse,
        to_manager,
        arrival,
        ours,
    ));
    let drain = drain::service(gate, drain_timeout, notifier, succeeded.clone(), last);
    server.add_service(drain);
    server.run(RunArgs {
        shutdown_signal: Box::new(drain::Signals {
            succeeded,
            seat: signals,
        }),
    });
}

/// Which listeners are one service: all, but those that take connections to any address. Whatever reaches such a one
/// carries the address of somebody else, and could not be told from what reaches another listener.
fn together(bound: Vec<Bound>, sockets: Vec<Listen>) -> Vec<(Vec<Bound>, Vec<Listen>)> {
    let all = bound.into_iter().zip(sockets);
    let (alone, shared): (Vec<_>, Vec<_>) = all.partition(|(bound, _)| bound.listener.takes_all());
    let alone = alone
        .into_iter()
        .map(|(bound, socket)| (vec![bound], vec![socket]));
    let shared: (Vec<_>, Vec<_>) = shared.into_iter().unzip();
    let shared = (!shared.0.is_empty()).then_some(shared);
    shared.into_iter().chain(alone).collect()
}

/// One service for some listeners, so that they share one thread a core.
fn listening(front: Front, sockets: &[Listen]) -> Listening<Front> {
    let mut service = Listening::new("gate".to_owned(), front);
    service.threads = Some(cores());
    for socket in sockets {
        let listener = ListenerConfig::tcp(socket.address.to_string());
        // What a read buffer holds would be lost to whoever takes the bare socket over.
        service.add_listener(listener.l4_buffer(L4BufferSettings::default().read(0)));
    }
    service
}

/// Worker threads: one a core.
#[must_use]
pub fn cores() -> usize {
    available_parallelism().map_or(1, usize::from)
}

fn conf(grace: Duration, threads: usize) -> ServerConf {
    ServerConf {
        threads,
        grace_period_seconds: Some(grace.as_secs()),
        graceful_shutdown_timeout_seconds: Some(1),
        upstream_keepalive_pool_size: POOL,
        max_retries: forward::TRIES,
        ..ServerConf::default()
    }
}

//! Takes connections in: whether there is room, whose it is, then the path.

mod balancer;
mod capture;
mod ration;
pub(crate) mod tls;
pub(crate) mod wait;

use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::BytesMut;
use octroi_policy::catalogue::Id;
use octroi_policy::flow::Source;
use octroi_wire::proxy_header::{Sender, Transport};
use pingora::apps::ServerApp;
use pingora::protocols::Stream;
use pingora::server::ShutdownWatch;
use tokio::io::AsyncWriteExt;
use tokio::time::Instant;

use crate::addr::{ClientAddr, LocalAddr, OriginalDst};
use crate::certificate::Certificates;
use crate::config::{Listener, ProxyProtocol};
use crate::connection;
use crate::forward::Forwarder;
use crate::gate::Gate;
use crate::ledger::{FlowId, Rejected};
use crate::limits::{Displaced, Full, Place, Ticket, Visit};
use crate::linger::linger;
use crate::reply::{After, Audience, Fault, Reply};
use crate::upstream::Lane;

use balancer::Unheard;
use ration::Ration;

/// How long a client that is turned away may take to hear of it.
const FAREWELL: Duration = Duration::from_millis(100);

/// Lines of the audit log about connections that were displaced.
const LINES_A_SECOND: u32 = 20;

const FULL: Fault = Fault::new(
    503,
    "connection-limit",
    "connection_limit_reached",
    "La passerelle traite déjà autant de connexions qu’elle le peut. Réessayez dans quelques secondes.",
    "The gate already serves as many connections as it can. Try again in a few seconds.",
);

const FULL_FOR_SOURCE: Fault = Fault::new(
    503,
    "source-limit",
    "connection_limit_reached",
    "Ce poste a déjà autant de connexions ouvertes qu’un poste peut en avoir.",
    "This machine already has as many open connections as one machine may have.",
);

/// The application behind listeners: one for many, so that they share threads.
pub struct Front {
    gate: Arc<Gate>,
    forwarder: Forwarder,
    bound: Vec<Bound>,
    /// Of connections that were displaced: as many come as somebody cares to send.
    lines: Ration,
}

/// A listener and where it really is: the file may leave the port to the system.
#[derive(Clone, Debug)]
pub struct Bound {
    /// What the file says.
    pub listener: Listener,
    /// The address it got.
    pub address: SocketAddr,
    /// What it shows to clients that come over TLS.
    pub certificates: Option<Arc<Certificates>>,
}

/// An accepted connection.
pub struct Client {
    /// The connection.
    pub stream: Stream,
    /// What was read and not yet used.
    pub buffer: BytesMut,
    /// Where it comes from; behind a balancer, what the balancer says.
    pub address: ClientAddr,
    /// The same, as the policy asks for it.
    pub source: Source,
    /// The balancer that passed it on.
    pub balancer: Option<IpAddr>,
    /// Where it reached us; behind a balancer, where it reached the balancer.
    pub local: LocalAddr,
    /// Where it was on its way to, if it was captured; `None` where it came by itself.
    pub original: Option<OriginalDst>,
    /// How it speaks to that place.
    pub transport: Transport,
    /// The listener that took it in.
    pub listener: Id,
    /// The connections to origins that are its own.
    pub lane: Lane,
    /// Whether it waits or has a flow under way, for those who look for room.
    pub visit: Arc<Visit>,
}

/// Why a connection is not served.
struct TurnedAway {
    reason: &'static str,
    detail: Option<String>,
    /// What it is told; some are told nothing.
    answer: Option<Fault>,
}

impl Front {
    /// Serves `gate` on the listeners `bound`; plain HTTP goes through `forwarder`.
    #[must_use]
    pub fn new(gate: Arc<Gate>, forwarder: Forwarder, bound: Vec<Bound>) -> Self {
        Self {
            gate,
            forwarder,
            bound,
            lines: Ration::new(LINES_A_SECOND),
        }
    }

    /// The state that every connection shares.
    #[must_use]
    pub fn gate(&self) -> &Arc<Gate> {
        &self.gate
    }

    /// Where plain HTTP goes.
    #[must_use]
    pub fn forwarder(&self) -> &Forwarder {
        &self.forwarder
    }

    /// Who connects, and to which listener; `None` if the connection is gone already.
    fn meet(&self, stream: Stream) -> Option<(Client, &Bound)> {
        let digest = stream.get_socket_digest()?;
        let address = ClientAddr::new(*digest.peer_addr()?.as_inet()?);
        let local = LocalAddr::new(*digest.local_addr()?.as_inet()?);
        let bound = self.bound(local)?;
        let listener = bound.listener.name.clone();
        let source = Source {
            address: address.ip(),
            certificate: Vec::new(),
            listener: Some(listener.clone()),
        };
        let client = Client {
            stream,
            buffer: BytesMut::new(),
            address,
            source,
            balancer: None,
            local,
            original: None,
            transport: Transport::Plain,
            listener,
            lane: Lane::draw(),
            visit: self.gate.admission.visit(),
        };
        Some((client, bound))
    }

    /// The listener that took a connection in; a lone one need not be asked for.
    fn bound(&self, local: LocalAddr) -> Option<&Bound> {
        if let [only] = &*self.bound {
            return Some(only);
        }
        let local = local.socket();
        let at = |bound: &&Bound| bound.address.port() == local.port();
        let exact = |bound: &&Bound| bound.address.ip().to_canonical() == local.ip();
        let here = || self.bound.iter().filter(at);
        here()
            .find(exact)
            .or_else(|| here().find(|bound| bound.address.ip().is_unspecified()))
    }

    /// Learns whose connection has a place; `None` if it left meanwhile.
    async fn take_in(
        &self,
        client: &mut Client,
        bound: &Bound,
        place: Place,
        shutdown: &ShutdownWatch,
    ) -> Result<Option<Ticket>, TurnedAway> {
        if let Some(capture) = bound.listener.mode.capture() {
            let original = capture::original(client, capture, &self.gate.dialler.own)?;
            client.original = Some(original);
        }
        if let Some(ProxyProtocol { trusted }) = &bound.listener.proxy_protocol {
            if !balancer::is_trusted(client.address.ip(), trusted) {
                return Err(Unheard::Untrusted.into());
            }
            let patience = self.gate.config.limits.head_timeout;
            let (stream, buffer) = (&mut client.stream, &mut client.buffer);
            match balancer::sender(stream, buffer, patience, shutdown).await? {
                Some(sender) => client.is_sent_by(sender),
                None => return Ok(None),
            }
        }
        let ticket = place.of(client.address.ip());
        ticket.map(Some).map_err(|full| bound.full(full))
    }

    /// Serves a connection that has its ticket to the end.
    async fn serve(&self, client: Client, bound: &Bound, shutdown: &ShutdownWatch) {
        if let Some(client) = self.secure(client, bound, shutdown).await {
            connection::handle(self, client, shutdown).await;
        }
    }

    /// Takes the connection to its first request: over TLS, if the listener speaks it.
    async fn secure(
        &self,
        mut client: Client,
        bound: &Bound,
        shutdown: &ShutdownWatch,
    ) -> Option<Client> {
        let Some(certificates) = &bound.certificates else {
            return Some(client);
        };
        let deadline = Instant::now() + self.gate.config.limits.handshake_timeout;
        match tls::begins(&mut client, deadline, shutdown).await {
            Ok(true) => {}
            Ok(false) => return None,
            Err(away) => {
                self.turn_away(client, away).await;
                return None;
            }
        }
        let (address, balancer) = (client.address, client.balancer);
        match tls::secure(client, certificates.config(), deadline).await {
            Ok(client) => Some(client),
            Err(away) => {
                self.record(address, balancer, &bound.listener.name, &away);
                None
            }
        }
    }

    /// Records that a connection had to make room for another. It is told nothing: it asked nothing, or not to the end.
    fn displaced(&self, whose: (ClientAddr, Option<IpAddr>), bound: &Bound, visit: &Visit) {
        let (address, balancer) = whose;
        let reason = match visit.has_asked() {
            false => "displaced",
            true => "displaced-idle",
        };
        match self.lines.take(Instant::now()) {
            Some(unwritten) => {
                let away = TurnedAway::displaced(reason, unwritten);
                self.record(address, balancer, &bound.listener.name, &away);
            }
            None => self.gate.ledger.metrics().client_error(reason),
        }
    }

    fn record(
        &self,
        address: ClientAddr,
        balancer: Option<IpAddr>,
        listener: &Id,
        away: &TurnedAway,
    ) -> FlowId {
        self.gate.ledger.reject(&Rejected {
            client: address.ip(),
            client_port: address.port(),
            balancer,
            listener,
            reason: away.reason,
            status: away.answer.map_or(0, |fault| fault.status().as_u16()),
            detail: away.detail.as_deref(),
        })
    }

    async fn turn_away(&self, mut client: Client, away: TurnedAway) {
        let incident = self.record(client.address, client.balancer, &client.listener, &away);
        let Some(fault) = away.answer else { return };
        let reply = Reply::fault(&fault, &incident.to_string(), Audience::default());
        if client
            .stream
            .write_all(&reply.to_bytes(After::Close, false))
            .await
            .is_ok()
        {
            linger(&mut client.stream, FAREWELL).await;
        }
    }
}

impl Client {
    /// Takes a trusted balancer at its word.
    fn is_sent_by(&mut self, sender: Sender) {
        let Sender::Client {
            source,
            destination,
            transport,
        } = sender
        else {
            return;
        };
        self.balancer = Some(self.address.ip());
        self.address = ClientAddr::new(source);
        self.source.address = self.address.ip();
        self.local = LocalAddr::new(destination);
        self.transport = transport;
    }
}

impl Bound {
    fn full(&self, full: Full) -> TurnedAway {
        let speaks_tls = self.certificates.is_some() || self.listener.mode.capture().is_some();
        TurnedAway::for_want_of_room(full, speaks_tls)
    }
}

impl TurnedAway {
    /// With how many there were before of which no line was written.
    fn displaced(reason: &'static str, unwritten: u64) -> Self {
        Self {
            reason,
            detail: (unwritten > 0).then(|| format!("{unwritten} more since the last line")),
            answer: None,
        }
    }

    /// Who speaks TLS, or may, could not read an answer, and a handshake is more than a busy gate has to give.
    fn for_want_of_room(full: Full, speaks_tls: bool) -> Self {
        let fault = match full {
            Full::Connections => FULL,
            Full::PerSource => FULL_FOR_SOURCE,
        };
        Self {
            reason: fault.reason,
            detail: None,
            answer: (!speaks_tls).then_some(fault),
        }
    }
}

impl From<Unheard> for TurnedAway {
    fn from(unheard: Unheard) -> Self {
        Self {
            reason: unheard.reason(),
            detail: unheard.detail(),
            answer: None,
        }
    }
}

#[async_trait]
impl ServerApp for Front {
    async fn process_new(
        self: &Arc<Self>,
        stream: Stream,
        shutdown: &ShutdownWatch,
    ) -> Option<Stream> {
        let (mut client, bound) = self.meet(stream)?;
        let visit = Arc::clone(&client.visit);
        // Before a byte is read: whoever connects and says nothing counts as well.
        let place = match self.gate.admission.enter(&visit) {
            Ok(place) => place,
            Err(full) => {
                self.turn_away(client, bound.full(full)).await;
                return None;
            }
        };
        let taken = {
            let taken = pin!(self.take_in(&mut client, bound, place, shutdown));
            visit.unless_displaced(taken).await
        };
        let whose = (client.address, client.balancer);
        match taken {
            Ok(Ok(Some(ticket))) => {
                let served = pin!(self.serve(client, bound, shutdown));
                if let Err(Displaced) = visit.unless_displaced(served).await {
                    self.displaced(whose, bound, &visit);
                }
                drop(ticket);
            }
            Ok(Ok(None)) => {}
            Ok(Err(away)) => self.turn_away(client, away).await,
            Err(Displaced) => self.displaced(whose, bound, &visit),
        }
        None
    }

    async fn cleanup(&self) {
        self.forwarder.leave().await;
    }
}

//! Takes connections in: who it is, whether there is room, then the path.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::BytesMut;
use octroi_policy::catalogue::Id;
use octroi_policy::flow::Source;
use pingora::apps::ServerApp;
use pingora::protocols::Stream;
use pingora::server::ShutdownWatch;
use tokio::io::AsyncWriteExt;

use crate::addr::{ClientAddr, LocalAddr};
use crate::config::Listener;
use crate::connection;
use crate::forward::Forwarder;
use crate::gate::Gate;
use crate::ledger::Rejected;
use crate::limits::Full;
use crate::linger::linger;
use crate::reply::{After, Audience, Fault, Reply};

/// How long a client that is turned away may take to hear of it.
const FAREWELL: Duration = Duration::from_millis(100);

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

/// The application behind every explicit listener: one, so that they share threads.
pub struct Front {
    gate: Arc<Gate>,
    forwarder: Forwarder,
    bound: Vec<Bound>,
}

/// A listener and where it really is: the file may leave the port to the system.
#[derive(Clone, Debug)]
pub struct Bound {
    /// What the file says.
    pub listener: Listener,
    /// The address it got.
    pub address: SocketAddr,
}

/// An accepted connection.
pub struct Client {
    /// The connection.
    pub stream: Stream,
    /// What was read and not yet used.
    pub buffer: BytesMut,
    /// Where it comes from.
    pub address: ClientAddr,
    /// The same, as the policy asks for it.
    pub source: Source,
    /// Where it reached us.
    pub local: LocalAddr,
    /// The listener that took it in.
    pub listener: Id,
}

impl Front {
    /// Serves `gate` on the listeners `bound`; plain HTTP goes through `forwarder`.
    #[must_use]
    pub fn new(gate: Arc<Gate>, forwarder: Forwarder, bound: Vec<Bound>) -> Self {
        Self {
            gate,
            forwarder,
            bound,
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

    /// Who it is; `None` if the connection is gone already.
    fn meet(&self, stream: Stream) -> Option<Client> {
        let digest = stream.get_socket_digest()?;
        let address = ClientAddr::new(*digest.peer_addr()?.as_inet()?);
        let local = LocalAddr::new(*digest.local_addr()?.as_inet()?);
        let listener = self.listener(local)?;
        let source = Source {
            address: address.ip(),
            certificate: Vec::new(),
            listener: Some(listener.clone()),
        };
        Some(Client {
            stream,
            buffer: BytesMut::new(),
            address,
            local,
            source,
            listener,
        })
    }

    /// The name of the listener that took a connection in; a lone one need not be asked for.
    fn listener(&self, local: LocalAddr) -> Option<Id> {
        if let [only] = &*self.bound {
            return Some(only.listener.name.clone());
        }
        let local = local.socket();
        let at = |bound: &&Bound| bound.address.port() == local.port();
        let exact = |bound: &&Bound| bound.address.ip().to_canonical() == local.ip();
        let here = || self.bound.iter().filter(at);
        let found = here()
            .find(exact)
            .or_else(|| here().find(|bound| bound.address.ip().is_unspecified()));
        found.map(|bound| bound.listener.name.clone())
    }

    async fn turn_away(&self, mut client: Client, full: Full) {
        let fault = match full {
            Full::Connections => FULL,
            Full::PerSource => FULL_FOR_SOURCE,
        };
        let incident = self.gate.ledger.reject(&Rejected {
            client: client.address.ip(),
            client_port: client.address.port(),
            listener: &client.listener,
            reason: fault.reason,
            status: fault.status().as_u16(),
            detail: None,
        });
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

#[async_trait]
impl ServerApp for Front {
    async fn process_new(
        self: &Arc<Self>,
        stream: Stream,
        shutdown: &ShutdownWatch,
    ) -> Option<Stream> {
        let client = self.meet(stream)?;
        match self.gate.admission.admit(client.address.ip()) {
            Ok(ticket) => {
                connection::handle(self, client, shutdown).await;
                drop(ticket);
            }
            Err(full) => self.turn_away(client, full).await,
        }
        None
    }

    async fn cleanup(&self) {
        self.forwarder.leave().await;
    }
}

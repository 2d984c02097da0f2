//! Plain HTTP, through Pingora's proxy engine: it frames bodies, pools connections, carries
//! upgrades. What it is given is our own strict head, written anew; where it may connect is the
//! permit, and nothing else.

use std::any::Any;
use std::net::SocketAddr;
use std::os::fd::RawFd;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use http::StatusCode;
use http::header::CONNECTION;
use octroi_wire::head::{Persistence, Version};
use pingora::apps::HttpServerApp;
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::protocols::http::ServerSession;
use pingora::protocols::l4::socket::SocketAddr as PeerAddr;
use pingora::protocols::{Digest, SocketDigest};
use pingora::proxy::{FailToProxy, HttpProxy, ProxyHttp, ProxyWarnLogContext, Session, http_proxy};
use pingora::server::ShutdownWatch;
use pingora::server::configuration::ServerConf;
use pingora::upstreams::peer::HttpPeer;
use pingora::{Error, ErrorType};

use crate::fault::Fault;
use crate::gate::Gate;
use crate::ledger::{Close, CloseReason, ClosedBy};
use crate::listener::Client;
use crate::passage::Passage;
use crate::reply::pseudonym;
use crate::request::Request;
use crate::upstream::{Lane, Peers, Permit};

mod examine;
mod response;
mod screen;

use examine::{Allowed, examine};
use screen::{Screen, Switched};

/// Tries of one request: the second is for a pooled connection that had died.
pub const TRIES: usize = 2;

/// Sends permitted requests on.
pub struct Forwarder {
    proxy: Arc<HttpProxy<Egress>>,
    silence: Duration,
}

/// Whether the client may send its body (RFC 9110 section 10.1.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Leave {
    /// It did not ask, or the origin said so.
    Given,
    /// It asked, and waits.
    Awaited,
    /// The origin answered instead: nobody knows what the client sends now.
    Refused,
}

/// One request on its way through Pingora's phases.
struct Exchange {
    passage: Passage,
    permit: Arc<Permit>,
    lane: Lane,
    version: Version,
    persistence: Persistence,
    is_head: bool,
    /// What the client asks to switch to, and whether it came to that.
    asks_to_switch: bool,
    switched: Switched,
    leave: Leave,
    /// How many answers came that are not the last.
    interim: usize,
    /// Our own answer, where the origin's did not come.
    fault: Option<Fault>,
}

impl Forwarder {
    /// Forwards for `gate`.
    #[must_use]
    pub fn new(gate: Arc<Gate>, conf: &Arc<ServerConf>) -> Self {
        let silence = gate.config.limits.idle_timeout;
        let peers = Peers::new(gate.dialler.clone(), silence);
        Self {
            proxy: Arc::new(http_proxy(conf, Egress { gate, peers })),
            silence,
        }
    }

    /// Sends one request on and its response back; the client, if it may ask again.
    pub async fn forward(
        &self,
        client: Client,
        request: Request,
        passage: Passage,
        permit: Permit,
        shutdown: &ShutdownWatch,
    ) -> Option<Client> {
        let Client {
            stream,
            buffer,
            address,
            source,
            balancer,
            local,
            original,
            transport,
            listener,
            lane,
            visit,
        } = client;
        let mut head = Vec::with_capacity(1024);
        // INVARIANT: `Request::new` lets only forwardable targets through.
        request
            .head
            .write_origin_form(pseudonym(), &mut head)
            .ok()?;
        let switched = Switched::default();
        let screen = Screen::new(stream, buffer, request.head.framing, switched.clone());
        let exchange = Exchange::new(&request, passage, permit, lane, switched);

        let mut session = ServerSession::new_http1(Box::new(screen));
        session.set_read_timeout(Some(self.silence));
        session.set_write_timeout(Some(self.silence));
        session.set_pipelined_prefix(BytesMut::from(&head[..]));
        session.set_connection_user_context(Some(Box::new(exchange)));
        let reused = self.proxy.process_new_http(session, shutdown).await?;
        let (screen, _) = reused.consume();
        let screen: Box<Screen> = screen.into_any().downcast().ok()?;
        let (stream, buffer) = screen.into_parts()?;
        Some(Client {
            stream,
            buffer,
            address,
            source,
            balancer,
            local,
            original,
            transport,
            listener,
            lane,
            visit,
        })
    }

    /// Tells idle connections that the gate is leaving.
    pub async fn leave(&self) {
        self.proxy.http_cleanup().await;
    }
}

impl Exchange {
    fn new(
        request: &Request,
        passage: Passage,
        permit: Permit,
        lane: Lane,
        switched: Switched,
    ) -> Self {
        Self {
            permit: Arc::new(permit),
            lane,
            version: request.head.version,
            persistence: request.head.persistence,
            is_head: request.is_head(),
            asks_to_switch: request.head.is_websocket(),
            switched,
            leave: match request.head.expect_continue {
                true => Leave::Awaited,
                false => Leave::Given,
            },
            interim: 0,
            passage,
            fault: None,
        }
    }

    /// Takes note of a response's status; `body_is_done` if the client has sent all it announced.
    fn answered(&mut self, status: StatusCode, body_is_done: bool) {
        match (status, self.leave) {
            (StatusCode::CONTINUE, _) => self.leave = Leave::Given,
            (StatusCode::SWITCHING_PROTOCOLS, _) => self.switched.now(),
            (status, Leave::Awaited) if !status.is_informational() && !body_is_done => {
                self.leave = Leave::Refused;
            }
            _ => {}
        }
    }
}

/// The phases of a request.
struct Egress {
    gate: Arc<Gate>,
    peers: Peers,
}

#[async_trait]
impl ProxyHttp for Egress {
    type CTX = Option<Box<Exchange>>;

    fn new_ctx(&self) -> Self::CTX {
        None
    }

    /// Pingora hands over what [`Forwarder::forward`] put into the session.
    fn on_connection_reuse(
        &self,
        session: &mut Session,
        ctx: &mut Self::CTX,
        given: Box<dyn Any + Send + Sync>,
    ) {
        *ctx = given.downcast().ok();
        let Some(exchange) = ctx else { return };
        if exchange.persistence == Persistence::Close {
            session.set_keepalive(None);
        }
        if exchange.version == Version::Http10 {
            session.set_ignore_info_resp(true);
        }
    }

    async fn upstream_peer(
        &self,
        _: &mut Session,
        ctx: &mut Self::CTX,
    ) -> pingora::Result<Box<HttpPeer>> {
        match ctx {
            Some(exchange) => {
                let target = exchange.passage.target();
                let peer = self.peers.peer(target, &exchange.permit, exchange.lane);
                Ok(Box::new(peer))
            }
            None => Err(Error::new_in(ErrorType::InternalError)),
        }
    }

    async fn connected_to_upstream(
        &self,
        _: &mut Session,
        _reused: bool,
        _: &HttpPeer,
        fd: RawFd,
        _: Option<&Digest>,
        ctx: &mut Self::CTX,
    ) -> pingora::Result<()> {
        if let Some(exchange) = ctx {
            let socket = SocketDigest::from_raw_fd(fd);
            let origin = socket.peer_addr().and_then(PeerAddr::as_inet);
            exchange.passage.established(origin.map(SocketAddr::ip));
        }
        Ok(())
    }

    /// A client that asks once has no use for a connection that is kept.
    async fn upstream_request_filter(
        &self,
        _: &mut Session,
        request: &mut RequestHeader,
        ctx: &mut Self::CTX,
    ) -> pingora::Result<()> {
        let asks_once = ctx
            .as_ref()
            .is_some_and(|exchange| exchange.persistence == Persistence::Close);
        if asks_once && !request.headers.contains_key(CONNECTION) {
            request.insert_header(CONNECTION, "close")?;
        }
        Ok(())
    }

    /// After an answer in place of leave to send the body, nothing more of it goes out.
    async fn request_body_filter(
        &self,
        _: &mut Session,
        body: &mut Option<Bytes>,
        is_last: bool,
        ctx: &mut Self::CTX,
    ) -> pingora::Result<()> {
        let leave = ctx.as_ref().map(|exchange| exchange.leave);
        if leave != Some(Leave::Refused) {
            return Ok(());
        }
        if is_last {
            // To the origin it must not look like the end of a body.
            return Err(Error::new_down(ErrorType::ConnectionClosed));
        }
        *body = Some(Bytes::new());
        Ok(())
    }

    async fn upstream_response_filter(
        &self,
        session: &mut Session,
        response: &mut ResponseHeader,
        ctx: &mut Self::CTX,
    ) -> pingora::Result<()> {
        let Some(exchange) = ctx else { return Ok(()) };
        exchange.interim += usize::from(response.status.is_informational());
        let allowed = Allowed {
            head: self.gate.config.limits.head,
            switch: exchange.asks_to_switch,
            interim: exchange.interim,
        };
        examine(response, allowed)?;
        exchange.answered(response.status, session.as_mut().is_body_done());
        Ok(())
    }

    async fn response_filter(
        &self,
        _: &mut Session,
        response: &mut ResponseHeader,
        ctx: &mut Self::CTX,
    ) -> pingora::Result<()> {
        let version = ctx
            .as_ref()
            .map_or(Version::Http11, |exchange| exchange.version);
        response::clean(response, version)
    }

    async fn fail_to_proxy(
        &self,
        session: &mut Session,
        error: &Error,
        ctx: &mut Self::CTX,
    ) -> FailToProxy {
        let mut error_code = 0;
        if let (Some(exchange), Some(fault)) = (ctx, response::fault(error)) {
            exchange.fault = Some(fault);
            let written = session.response_written();
            if written.is_none_or(|it| response::is_interim(it.status)) {
                let reply = exchange.passage.fault(&fault);
                error_code = reply.status.as_u16();
                // A client that cannot be told has left.
                let _ = response::write(session, &reply, exchange.is_head).await;
            }
        }
        FailToProxy {
            error_code,
            can_reuse_downstream: false,
        }
    }

    async fn logging(&self, session: &mut Session, error: Option<&Error>, ctx: &mut Self::CTX) {
        let Some(exchange) = ctx.take() else { return };
        let (reason, by) = response::end(error);
        if let Some(fault) = exchange
            .fault
            .filter(|_| by == ClosedBy::Upstream || reason == CloseReason::Unreachable)
        {
            self.gate.ledger.metrics().upstream_error(fault.reason);
        }
        exchange.passage.close(Close {
            reason,
            detail: exchange.fault.map(|fault| fault.reason),
            by,
            bytes_up: session.body_bytes_read() as u64,
            bytes_down: session.body_bytes_sent() as u64,
        });
    }

    /// The ledger has it, in our words.
    fn suppress_error_log(&self, _: &Session, _: &Self::CTX, _: &Error) -> bool {
        true
    }

    fn suppress_proxy_warn_log(
        &self,
        _: &Session,
        _: &Self::CTX,
        _: &Error,
        _: ProxyWarnLogContext,
    ) -> bool {
        true
    }
}

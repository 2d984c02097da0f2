//! Plain HTTP, through Pingora's proxy engine: it frames bodies, pools connections, carries
//! upgrades. What it is given is our own strict head, written anew; where it may connect is the
//! permit, and nothing else.

use std::any::Any;
use std::net::SocketAddr;
use std::os::fd::RawFd;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::BytesMut;
use octroi_wire::head::{Framing, Persistence, Version};
use pingora::apps::HttpServerApp;
use pingora::http::ResponseHeader;
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
use crate::reply::PSEUDONYM;
use crate::request::Request;
use crate::upstream::{Peers, Permit};

mod response;

/// Tries of one request: the second is for a pooled connection that had died.
pub const TRIES: usize = 2;

/// Sends permitted requests on.
pub struct Forwarder {
    proxy: Arc<HttpProxy<Egress>>,
    silence: Duration,
}

/// One request on its way through Pingora's phases.
struct Exchange {
    passage: Passage,
    permit: Arc<Permit>,
    version: Version,
    persistence: Persistence,
    is_head: bool,
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
            mut buffer,
            address,
            source,
            balancer,
            local,
            original,
            transport,
            listener,
        } = client;
        let mut head = Vec::with_capacity(1024);
        // INVARIANT: `Request::new` lets only forwardable targets through.
        request.head.write_origin_form(PSEUDONYM, &mut head).ok()?;
        let body = begun_body(&mut buffer, request.head.framing);
        let mut prefix = BytesMut::from(&head[..]);
        prefix.extend_from_slice(&body);

        let mut session = ServerSession::new_http1(stream);
        session.set_read_timeout(Some(self.silence));
        session.set_write_timeout(Some(self.silence));
        session.set_pipelined_prefix(prefix);
        session
            .set_connection_user_context(Some(Box::new(Exchange::new(&request, passage, permit))));
        let reused = self.proxy.process_new_http(session, shutdown).await?;
        let (stream, _) = reused.consume();
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
        })
    }

    /// Tells idle connections that the gate is leaving.
    pub async fn leave(&self) {
        self.proxy.http_cleanup().await;
    }
}

impl Exchange {
    fn new(request: &Request, passage: Passage, permit: Permit) -> Self {
        Self {
            permit: Arc::new(permit),
            version: request.head.version,
            persistence: request.head.persistence,
            is_head: request.is_head(),
            passage,
            fault: None,
        }
    }
}

/// What of the buffer belongs to the body of a request; the rest is the next request.
fn begun_body(buffer: &mut BytesMut, framing: Framing) -> BytesMut {
    let length = match framing {
        Framing::None => 0,
        Framing::Length(length) => usize::try_from(length)
            .unwrap_or(usize::MAX)
            .min(buffer.len()),
        // Only the engine knows where it ends; should more follow, it closes afterwards.
        Framing::Chunked => buffer.len(),
    };
    buffer.split_to(length)
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
                let peer = self.peers.peer(exchange.passage.target(), &exchange.permit);
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
            if session.response_written().is_none() {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_body_goes_with_its_request() {
        for (framing, body, rest) in [
            (Framing::None, &b""[..], &b"GET next"[..]),
            (Framing::Length(3), b"GET", b" next"),
            (Framing::Length(u64::MAX), b"GET next", b""),
            (Framing::Chunked, b"GET next", b""),
        ] {
            let mut buffer = BytesMut::from(&b"GET next"[..]);
            assert_eq!(&begun_body(&mut buffer, framing)[..], body, "{framing:?}");
            assert_eq!(&buffer[..], rest, "{framing:?}");
        }
    }
}

//! A connection to the admin listener: whether there is room, over TLS where it is spoken, one request after another.
//!
//! Heads are read by the gate's own strict reader, with a limit and a deadline, and handed to Pingora's session,
//! which frames the answers.

mod places;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use http::{Method, StatusCode};
use octroi_wire::head::{Head, HeadError, HeadReader, Status};
use pingora::apps::ServerApp;
use pingora::protocols::Stream;
use pingora::protocols::http::ServerSession;
use pingora::server::ShutdownWatch;
use tokio::io::AsyncWriteExt;
use tokio::time::{Instant, timeout};

use super::answer::Answer;
use super::refused::Refused;
use super::{Admin, Reply, Visitor};
use crate::certificate::Certificates;
use crate::linger::linger;
use crate::listener::tls::{Begins, first, handshake};
use crate::listener::wait::{More, more};
use places::Places;

/// A head is no longer: a browser's with a cookie is a tenth of it.
const MOST_HEAD: usize = 16 << 10;
/// A body is no longer: a token is all that is ever sent.
const MOST_BODY: usize = 8 << 10;
/// How long a handshake, a head or a body may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a connection may wait for its next request.
const KEEP_ALIVE: Duration = Duration::from_secs(60);
/// How long an answer may take to be written.
const WRITE: Duration = Duration::from_secs(60);
/// How long somebody that is refused may take to hear of it.
const FAREWELL: Duration = Duration::from_secs(1);

const TLS_EXPECTED: &str = "this port speaks TLS: write `https://` before its address\n";

/// Takes connections to the admin listener in.
#[derive(Debug)]
pub struct Door {
    admin: Arc<Admin>,
    certificates: Option<Arc<Certificates>>,
    places: Places,
}

/// What came of waiting for a head.
enum Came {
    Head(Box<Head>),
    /// Nobody has anything more to ask.
    Nothing,
    Wrong(StatusCode, String),
}

/// A connection after a request: it, and what was read from it.
type Next = Option<(Stream, BytesMut)>;

impl Door {
    pub(super) fn new(admin: Arc<Admin>, certificates: Option<Arc<Certificates>>) -> Self {
        Self {
            admin,
            certificates,
            places: Places::default(),
        }
    }

    /// Over TLS, if that is spoken here: the connection, what was read of it, and who is at its other end.
    async fn secure(
        &self,
        mut stream: Stream,
        shutdown: &ShutdownWatch,
    ) -> Option<(Stream, Visitor)> {
        let Some(certificates) = &self.certificates else {
            return Some((stream, Visitor::default()));
        };
        let (mut buffer, deadline) = (BytesMut::new(), Instant::now() + PATIENCE);
        match first(&mut stream, &mut buffer, deadline, shutdown).await {
            Begins::Tls => {}
            Begins::Clear => {
                self.admin.count(Refused::Tls);
                let answer = Answer::text(StatusCode::BAD_REQUEST, TLS_EXPECTED);
                farewell(stream, answer).await;
                return None;
            }
            Begins::Otherwise | Begins::Never => {
                self.admin.count(Refused::Tls);
                return None;
            }
        }
        match handshake(stream, &buffer, certificates.config(), deadline).await {
            Ok((stream, shown)) => {
                let visitor = Visitor {
                    over_tls: true,
                    certified: shown.is_some(),
                };
                Some((stream, visitor))
            }
            Err(failed) => {
                self.admin.count(Refused::Tls);
                tracing::debug!(reason = failed.reason, detail = ?failed.detail, "a handshake with the admin listener failed");
                None
            }
        }
    }

    /// Serves one request after another.
    pub(super) async fn converse(
        &self,
        mut stream: Stream,
        visitor: Visitor,
        shutdown: &ShutdownWatch,
    ) {
        let (mut buffer, mut patience) = (BytesMut::new(), PATIENCE);
        loop {
            let head = match read_head(&mut stream, &mut buffer, patience, shutdown).await {
                Came::Head(head) => head,
                Came::Nothing => return,
                Came::Wrong(status, detail) => {
                    self.admin.count(Refused::Malformed);
                    return farewell(stream, Answer::text(status, format!("{detail}\n"))).await;
                }
            };
            let next = self
                .exchange(stream, buffer, &head, visitor, shutdown)
                .await;
            let Some(next) = next else { return };
            (stream, buffer) = next;
            patience = KEEP_ALIVE;
        }
    }

    /// One request, whose head begins `buffer`.
    async fn exchange(
        &self,
        stream: Stream,
        buffer: BytesMut,
        head: &Head,
        visitor: Visitor,
        shutdown: &ShutdownWatch,
    ) -> Next {
        let mut session = ServerSession::new_http1(stream);
        session.set_pipelining_enabled(true);
        session.set_pipelined_prefix(buffer);
        if !matches!(session.read_request().await, Ok(true)) {
            // Pingora reads less strictly than we do, so this does not happen; were it otherwise, nothing is answered.
            self.admin.count(Refused::Malformed);
            return None;
        }
        let reply = match self.body(&mut session, head).await {
            Ok(body) => self.admin.reply(session.req_header(), &body, visitor).await,
            Err(answer) => Reply::Whole(answer),
        };
        if *shutdown.borrow() {
            session.set_keepalive(None);
        }
        let method = session.req_header().method.clone();
        match reply {
            Reply::Whole(answer) => timeout(WRITE, write(&mut session, answer, &method))
                .await
                .ok()??,
            Reply::Live(live) => {
                session.set_keepalive(None);
                let head = super::Live::head(session.req_header().version);
                let head = Box::new(head.into_parts().0.into());
                timeout(WRITE, session.write_response_header(head))
                    .await
                    .ok()?
                    .ok()?;
                if method != Method::HEAD {
                    live.run(&mut session, shutdown).await;
                }
            }
        }
        let (stream, rest) = timeout(WRITE, session.finish())
            .await
            .ok()?
            .ok()??
            .into_parts();
        Some((stream, rest.unwrap_or_default()))
    }

    /// The body of a request that may have one.
    async fn body(&self, session: &mut ServerSession, head: &Head) -> Result<Bytes, Answer> {
        if !matches!(&*head.method, "POST" | "DELETE") {
            return Ok(Bytes::new());
        }
        if head.expect_continue && session.write_continue_response().await.is_err() {
            return Ok(Bytes::new());
        }
        let whole = async {
            let mut body = BytesMut::new();
            while let Ok(Some(piece)) = session.read_request_body().await {
                if body.len() + piece.len() > MOST_BODY {
                    return Err((
                        StatusCode::PAYLOAD_TOO_LARGE,
                        "the body is longer than 8 KiB\n",
                    ));
                }
                body.extend_from_slice(&piece);
            }
            Ok(body.freeze())
        };
        let late = (
            StatusCode::REQUEST_TIMEOUT,
            "the body did not come in time\n",
        );
        let read = timeout(PATIENCE, whole).await.unwrap_or(Err(late));
        read.map_err(|(status, detail)| {
            self.admin.count(Refused::Malformed);
            session.set_keepalive(None);
            Answer::text(status, detail)
        })
    }
}

async fn write(session: &mut ServerSession, answer: Answer, method: &Method) -> Option<()> {
    let (head, body) = answer.into_response(method);
    let head = Box::new(head.into_parts().0.into());
    session.write_response_header(head).await.ok()?;
    if !body.is_empty() {
        session.write_response_body(body, true).await.ok()?;
    }
    Some(())
}

/// Tells somebody that is sent away why, and nothing more.
async fn farewell(mut stream: Stream, answer: Answer) {
    let (head, body) = answer.into_response(&Method::GET);
    let mut text = format!("HTTP/1.1 {}\r\n", head.status()).into_bytes();
    for (name, value) in head.headers() {
        text.extend_from_slice(name.as_str().as_bytes());
        text.extend_from_slice(b": ");
        text.extend_from_slice(value.as_bytes());
        text.extend_from_slice(b"\r\n");
    }
    text.extend_from_slice(b"connection: close\r\n\r\n");
    text.extend_from_slice(&body);
    if let Ok(Ok(())) = timeout(FAREWELL, stream.write_all(&text)).await {
        linger(&mut stream, FAREWELL).await;
    }
}

/// Reads until `buffer` begins with a whole head, and leaves it there.
async fn read_head(
    stream: &mut Stream,
    buffer: &mut BytesMut,
    patience: Duration,
    shutdown: &ShutdownWatch,
) -> Came {
    if buffer.is_empty() {
        match more(stream, buffer, Instant::now() + patience, shutdown).await {
            More::Bytes => {}
            More::End | More::Late | More::Leaving => return Came::Nothing,
        }
    }
    let deadline = Instant::now() + PATIENCE;
    let mut reader = HeadReader::new(MOST_HEAD);
    loop {
        match reader.read(buffer) {
            Ok(Status::Complete(head, _)) => return Came::Head(head),
            Ok(Status::NeedMore) => {}
            Err(error) => return wrong(error),
        }
        match more(stream, buffer, deadline, shutdown).await {
            More::Bytes => {}
            More::Late => {
                return Came::Wrong(
                    StatusCode::REQUEST_TIMEOUT,
                    "the head did not come in time".to_owned(),
                );
            }
            More::End | More::Leaving => return Came::Nothing,
        }
    }
}

fn wrong(error: HeadError) -> Came {
    let status = match error {
        HeadError::TooLong | HeadError::TooManyFields => {
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE
        }
        HeadError::TargetTooLong => StatusCode::URI_TOO_LONG,
        HeadError::TransferCoding => StatusCode::NOT_IMPLEMENTED,
        HeadError::Version => StatusCode::HTTP_VERSION_NOT_SUPPORTED,
        _ => StatusCode::BAD_REQUEST,
    };
    Came::Wrong(status, error.to_string())
}

/// Whose connection it is.
fn peer(stream: &Stream) -> Option<IpAddr> {
    let digest = stream.get_socket_digest()?;
    Some(digest.peer_addr()?.as_inet()?.ip().to_canonical())
}

#[async_trait]
impl ServerApp for Door {
    async fn process_new(
        self: &Arc<Self>,
        stream: Stream,
        shutdown: &ShutdownWatch,
    ) -> Option<Stream> {
        let Some(_place) = self.places.take(peer(&stream)?) else {
            self.admin.count(Refused::Full);
            return None;
        };
        let (stream, visitor) = self.secure(stream, shutdown).await?;
        self.converse(stream, visitor, shutdown).await;
        None
    }
}

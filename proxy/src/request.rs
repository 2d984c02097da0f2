//! Reads request heads, however slowly they drip, and says what each one wants of a proxy.

use std::io;
use std::time::Duration;

use octroi_policy::flow::Protocol;
use octroi_policy::name::{Authority, Host};
use octroi_wire::head::{Head, HeadReader, Scheme, Status, Target};
use pingora::server::ShutdownWatch;
use tokio::io::AsyncReadExt;
use tokio::time::{Instant, timeout_at};

use crate::addr::OriginalDst;
use crate::config::Limits;
use crate::fault::{self, Fault};
use crate::listener::Client;
use crate::reply::{Audience, pseudonym};

/// How long a new client is waited for once the gate leaves: longer than any way to it.
const FIRST_WORDS: Duration = Duration::from_secs(1);

/// How long a kept-alive connection may wait for its next request.
pub const KEEP_ALIVE: Duration = Duration::from_secs(60);

/// One read's worth of a head.
const READ: usize = 4 * 1024;

/// A request that a proxy can serve.
#[derive(Debug)]
pub struct Request {
    /// The head.
    pub head: Box<Head>,
    /// CONNECT, or plain HTTP; captured connections carry plain HTTP alone.
    pub protocol: Protocol,
    /// What it is for.
    pub target: Host,
    /// On which port.
    pub port: u16,
    /// Who reads the answer.
    pub audience: Audience,
}

impl Request {
    /// The host that the Host field names.
    #[must_use]
    pub fn host(&self) -> Option<&Host> {
        self.head.host.as_ref().map(|authority| &authority.host)
    }

    /// What was asked for, as `host:port`.
    #[must_use]
    pub fn asked(&self) -> String {
        Authority {
            host: self.target.clone(),
            port: Some(self.port),
        }
        .to_string()
    }

    /// Whether the answer to it has no body.
    #[must_use]
    pub fn is_head(&self) -> bool {
        self.head.method == "HEAD"
    }

    /// What a head wants of a proxy.
    ///
    /// # Errors
    /// A fault for what no proxy serves: origin form, `*`, `https` without a tunnel, TRACE; and
    /// for what came through this gate before.
    pub fn new(head: Box<Head>) -> Result<Self, Refused> {
        let audience = audience(&head);
        if head.came_through(pseudonym()) {
            return Err(Refused::new(fault::VIA_LOOP, audience));
        }
        let (protocol, target, port) = match &head.target {
            Target::Authority(Authority { host, port }) => {
                (Protocol::Connect, host, port.unwrap_or(443))
            }
            _ if head.method == "TRACE" => return Err(Refused::new(fault::METHOD, audience)),
            Target::Absolute {
                scheme: Scheme::Http,
                authority,
                ..
            } => (
                Protocol::Http,
                &authority.host,
                authority.port.unwrap_or(80),
            ),
            Target::Absolute {
                scheme: Scheme::Https,
                ..
            } => {
                return Err(Refused::new(fault::HTTPS_WITHOUT_TUNNEL, audience));
            }
            // Never routed by Host: that would make a reverse proxy, and a loop, of the gate.
            Target::Origin(_) => return Err(Refused::new(fault::ORIGIN_FORM, audience)),
            Target::Asterisk => return Err(Refused::new(fault::ASTERISK_FORM, audience)),
        };
        let target = target.clone();
        Ok(Self {
            protocol,
            target,
            port,
            audience,
            head,
        })
    }
}

impl Request {
    /// What a head on a captured connection wants of the origin: its Host is the target, on the port that the
    /// connection was on its way to. Without a Host (HTTP/1.0 alone may do without) it is about the address.
    ///
    /// # Errors
    /// A fault for what is meant for a proxy, for TRACE, for what came through this gate before, and for a request
    /// in absolute form that names another host or port than the rest of it.
    pub fn captured(mut head: Box<Head>, original: OriginalDst) -> Result<Self, Refused> {
        let audience = audience(&head);
        let refused = |fault| Err(Refused::new(fault, audience));
        if head.came_through(pseudonym()) {
            return refused(fault::VIA_LOOP);
        }
        match &head.target {
            Target::Authority(_) => return refused(fault::FOREIGN_PROXY),
            _ if head.method == "TRACE" => return refused(fault::METHOD),
            Target::Absolute {
                scheme: Scheme::Https,
                ..
            } => return refused(fault::FOREIGN_PROXY),
            Target::Absolute {
                scheme: Scheme::Http,
                authority,
                ..
            } => {
                let is_same = |host: &Authority| host.host == authority.host;
                let port = authority.port.unwrap_or(Scheme::Http.default_port());
                if port != original.port() || !head.host.as_ref().is_none_or(is_same) {
                    return refused(fault::MISDIRECTED);
                }
                head.host = Some(authority.clone());
            }
            Target::Origin(_) | Target::Asterisk => {}
        }
        let host = head.host.get_or_insert_with(|| Authority {
            host: Host::Address(original.ip()),
            port: Some(original.port()),
        });
        Ok(Self {
            protocol: Protocol::Http,
            target: host.host.clone(),
            port: original.port(),
            audience,
            head,
        })
    }
}

/// A request that is not served, whatever the policy says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Why.
    pub fault: Fault,
    /// Who reads the answer.
    pub audience: Audience,
}

impl Refused {
    fn new(fault: Fault, audience: Audience) -> Self {
        Self { fault, audience }
    }
}

impl From<Fault> for Refused {
    fn from(fault: Fault) -> Self {
        Self::new(fault, Audience::default())
    }
}

/// Who reads the answer to a request.
pub(crate) fn audience(head: &Head) -> Audience {
    let first = |name| {
        head.values(name)
            .next()
            .and_then(|value| std::str::from_utf8(value).ok())
    };
    Audience::new(first("accept"), first("accept-language"))
}

/// Whether a connection has served a request before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Nothing was asked on it yet.
    First,
    /// It was kept alive.
    Next,
}

/// Reads the next head; what follows it stays in the client's buffer. `None` if the client has
/// nothing more to ask: it left or fell silent between requests, or the gate is leaving.
///
/// # Errors
/// A fault if no good head came within the limits.
pub async fn read_head(
    client: &mut Client,
    limits: &Limits,
    turn: Turn,
    shutdown: &ShutdownWatch,
) -> Result<Option<Box<Head>>, Fault> {
    if client.buffer.is_empty() && !begins(client, limits, turn, shutdown).await {
        return Ok(None);
    }
    let deadline = Instant::now() + limits.head_timeout;
    match timeout_at(deadline, read(client, limits.head)).await {
        Ok(read) => read,
        Err(_) => Err(fault::HEAD_TIMEOUT),
    }
}

/// Waits for the first byte; whether one came.
async fn begins(
    client: &mut Client,
    limits: &Limits,
    turn: Turn,
    shutdown: &ShutdownWatch,
) -> bool {
    let patience = match turn {
        Turn::First => limits.head_timeout,
        Turn::Next => KEEP_ALIVE,
    };
    client.buffer.reserve(READ);
    tokio::select! {
        biased;
        came = client.stream.read_buf(&mut client.buffer) => came.is_ok_and(|bytes| bytes > 0),
        () = left(turn, shutdown.clone()) => false,
        () = tokio::time::sleep(patience) => false,
    }
}

/// Waits until the gate leaves and a client that is silent has been waited for.
async fn left(turn: Turn, mut shutdown: ShutdownWatch) {
    // An error means that the server is gone: a reason to stop as well.
    let _ = shutdown.wait_for(|leaving| *leaving).await;
    if turn == Turn::First {
        // It came in while the gate still listened, and its request is under way.
        tokio::time::sleep(FIRST_WORDS).await;
    }
}

async fn read(client: &mut Client, most: usize) -> Result<Option<Box<Head>>, Fault> {
    let mut reader = HeadReader::new(most);
    loop {
        match reader.read(&client.buffer).map_err(fault::of_head)? {
            Status::Complete(head, length) => {
                bytes::Buf::advance(&mut client.buffer, length);
                return Ok(Some(head));
            }
            Status::NeedMore => {}
        }
        client.buffer.reserve(READ);
        match client.stream.read_buf(&mut client.buffer).await {
            Ok(0) => return Err(fault::HEAD_CUT),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return Err(fault::HEAD_CUT),
        }
    }
}

#[cfg(test)]
mod tests;

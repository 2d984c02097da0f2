//! The path of one connection, from its first byte to its last line in the ledger.

use std::sync::Arc;
use std::time::Duration;

use octroi_policy::flow::Protocol;
use octroi_wire::client_hello::alert_access_denied;
use octroi_wire::head::{Framing, Head, Persistence};
use octroi_wire::second_hello::SecondHello;
use pingora::server::ShutdownWatch;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::client_hello::{self, Patience, Peeked};
use crate::fault::{self, Fault};
use crate::gate::Gate;
use crate::ledger::{FlowId, Rejected};
use crate::linger::linger;
use crate::listener::{Client, Front};
use crate::passage::{Passage, Stopped};
use crate::relay::{self, End, Opening};
use crate::reply::{After, ESTABLISHED, Reply};
use crate::request::{self, Refused, Request, Turn};
use crate::selfservice::Page;

mod captured;

use captured::Spoken;

/// How long a client may take to hear that it is refused.
const FAREWELL: Duration = Duration::from_secs(2);

/// Serves a connection: request after request, each judged on its own, until a tunnel or the end.
pub async fn handle(front: &Front, mut client: Client, shutdown: &ShutdownWatch) {
    let gate = front.gate();
    if let Some(original) = client.original {
        match captured::first_words(gate, &mut client, original).await {
            Spoken::Http => {}
            Spoken::Other(opening) => {
                return captured::tunnel(gate, client, original, opening).await;
            }
            Spoken::Gone => return,
        }
    }
    let mut turn = Turn::First;
    loop {
        let asked = match next_request(gate, &mut client, turn, shutdown).await {
            Ok(Some(asked)) => asked,
            Ok(None) => return,
            Err(refused) => return reject(gate, client, &refused).await,
        };
        let kept = match asked {
            Asked::Passage(request) => {
                let Some(passage) = begin(gate, &client, &request) else {
                    return;
                };
                match request.protocol {
                    Protocol::Connect | Protocol::Captured => {
                        return tunnel(gate, client, passage).await;
                    }
                    Protocol::Http => exchange(front, client, request, passage, shutdown).await,
                }
            }
            Asked::Page(page, head) => {
                let reply = page.reply(gate, &client, &head);
                answer(client, &head, &reply).await
            }
        };
        client = match kept {
            Some(client) => client,
            None => return,
        };
        turn = Turn::Next;
    }
}

/// What a client wants of the gate.
enum Asked {
    /// To reach somebody.
    Passage(Request),
    /// A page of the gate's own: no flow, and nothing for the ledger.
    Page(Page, Box<Head>),
}

async fn next_request(
    gate: &Gate,
    client: &mut Client,
    turn: Turn,
    shutdown: &ShutdownWatch,
) -> Result<Option<Asked>, Refused> {
    let Some(head) = request::read_head(client, &gate.config.limits, turn, shutdown).await? else {
        return Ok(None);
    };
    let request = match client.original {
        // It speaks to the origin: nothing it asks for is ours.
        Some(original) => Request::captured(head, original)?,
        None => match Page::of(&head) {
            Some(page) => return Ok(Some(Asked::Page(page, head))),
            None => Request::new(head)?,
        },
    };
    let admitted = gate.ledger.admit().await;
    admitted.map_err(|_| Refused {
        fault: fault::UNRECORDED,
        audience: request.audience,
    })?;
    Ok(Some(Asked::Passage(request)))
}

/// From here on the connection has a flow under way; `None` if another got its place a moment before.
fn begin(gate: &Arc<Gate>, client: &Client, request: &Request) -> Option<Passage> {
    let engaged = client.visit.engage()?;
    Some(Passage::open(gate, client, request, engaged))
}

/// A CONNECT: the dial comes before the 200, and no byte of the client goes out before the last
/// judgement.
async fn tunnel(gate: &Arc<Gate>, mut client: Client, mut passage: Passage) {
    let permit = match passage.permit().await {
        Ok(permit) => permit,
        Err(stopped) => return refuse(client, passage, &stopped).await,
    };
    let origin = match gate.dialler.connect(&permit).await {
        Ok(origin) => origin,
        Err(error) => return refuse(client, passage, &error.into()).await,
    };
    if establish(&mut client).await.is_err() {
        return passage.close_abandoned();
    }
    let mut second = None;
    if passage.awaits_hello() {
        let limits = &gate.config.limits;
        let patience = Patience {
            timeout: limits.hello_timeout,
            most: limits.client_hello,
        };
        let stream = &mut client.stream;
        match client_hello::peek(stream, &mut client.buffer, passage.target(), patience).await {
            (Peeked::Gone, _) => return passage.close_abandoned(),
            (Peeked::Hello(hello), follows) => {
                second = follows;
                if let Err(stopped) = passage.judge_hello(hello) {
                    return hang_up(client, passage, &stopped).await;
                }
            }
        }
    }
    relay(gate, client, origin, passage, second).await;
}

/// Relays a permitted tunnel to its end. Where a second hello may follow the first, it must say
/// the same.
async fn relay(
    gate: &Gate,
    mut client: Client,
    mut origin: TcpStream,
    passage: Passage,
    second: Option<SecondHello>,
) {
    let tunnel = passage.into_tunnel(origin.peer_addr().ok().map(|address| address.ip()));
    let limits = &gate.config.limits;
    let opening = Opening {
        read: client.buffer.split().freeze(),
        second,
        hello_timeout: limits.hello_timeout,
    };
    let relayed = relay::run(
        &mut client.stream,
        &mut origin,
        opening,
        limits.idle_timeout,
        tunnel.stopped(),
    )
    .await;
    tunnel.close(&relayed);
    if matches!(relayed.end, End::SecondHello(_)) {
        drop(origin);
        alert(client).await;
    }
}

/// One plain HTTP request; the client comes back if it may ask again.
async fn exchange(
    front: &Front,
    client: Client,
    request: Request,
    mut passage: Passage,
    shutdown: &ShutdownWatch,
) -> Option<Client> {
    match passage.permit().await {
        Ok(permit) => {
            front
                .forwarder()
                .forward(client, request, passage, permit, shutdown)
                .await
        }
        Err(stopped) => {
            let reply = passage.reply(&stopped);
            passage.close_stopped(&stopped);
            answer(client, &request.head, &reply).await
        }
    }
}

async fn establish(client: &mut Client) -> std::io::Result<()> {
    client.stream.write_all(ESTABLISHED).await?;
    client.stream.flush().await
}

/// Answers a CONNECT that does not go on. What follows it was meant for the tunnel, so it is not
/// read as a request: the connection ends.
async fn refuse(client: Client, passage: Passage, stopped: &Stopped) {
    let reply = passage.reply(stopped);
    passage.close_stopped(stopped);
    say_goodbye(client, &reply, false).await;
}

/// Ends a tunnel that does not go on: TLS clients that are denied hear why.
async fn hang_up(mut client: Client, passage: Passage, stopped: &Stopped) {
    passage.close_stopped(stopped);
    if matches!(stopped, Stopped::Denied(_)) && client_hello::speaks_tls(&client.buffer) {
        alert(client).await;
    } else {
        linger(&mut client.stream, FAREWELL).await;
    }
}

/// Tells a TLS client that it is refused, and ends.
async fn alert(mut client: Client) {
    let told = client.stream.write_all(&alert_access_denied()).await;
    if told.is_ok() {
        linger(&mut client.stream, FAREWELL).await;
    }
}

/// Answers a request that never became a flow.
async fn reject(gate: &Gate, client: Client, refused: &Refused) {
    let Refused { fault, audience } = refused;
    let incident = record(gate, &client, fault, fault.status().as_u16());
    say_goodbye(
        client,
        &Reply::fault(fault, &incident.to_string(), *audience),
        false,
    )
    .await;
}

fn record(gate: &Gate, client: &Client, fault: &Fault, status: u16) -> FlowId {
    let original = client.original.map(|original| original.to_string());
    gate.ledger.reject(&Rejected {
        client: client.address.ip(),
        client_port: client.address.port(),
        balancer: client.balancer,
        listener: &client.listener,
        reason: fault.reason,
        status,
        detail: original.as_deref(),
    })
}

/// Answers a plain HTTP request ourselves; another may follow if this one has no body to skip.
async fn answer(mut client: Client, head: &Head, reply: &Reply) -> Option<Client> {
    let is_head = head.method == "HEAD";
    let keeps = head.persistence == Persistence::KeepAlive && head.framing == Framing::None;
    if !keeps {
        say_goodbye(client, reply, is_head).await;
        return None;
    }
    let bytes = reply.to_bytes(After::KeepAlive, is_head);
    client.stream.write_all(&bytes).await.ok()?;
    client.stream.flush().await.ok()?;
    Some(client)
}

async fn say_goodbye(mut client: Client, reply: &Reply, is_head: bool) {
    let bytes = reply.to_bytes(After::Close, is_head);
    if client.stream.write_all(&bytes).await.is_ok() {
        linger(&mut client.stream, FAREWELL).await;
    }
}

//! A captured connection: its client believes that it speaks to the origin, and has announced nothing.

use std::sync::Arc;

use octroi_policy::flow::Hello;
use octroi_policy::name::Host;
use octroi_wire::second_hello::SecondHello;

use super::{FAREWELL, hang_up, record, relay};
use crate::addr::OriginalDst;
use crate::client_hello::{self, Patience, Peeked};
use crate::fault;
use crate::first_words::{self, FirstWords};
use crate::gate::Gate;
use crate::linger::linger;
use crate::listener::Client;
use crate::passage::{Passage, expects_tls};

/// What a captured connection turned out to be.
pub(super) enum Spoken {
    /// Plain HTTP: it is read request by request, for the whole connection.
    Http,
    /// Anything else.
    Other(Opening),
    /// It ended without a word.
    Gone,
}

/// How a captured connection that speaks no plain HTTP begins.
pub(super) struct Opening {
    /// What its first bytes show.
    hello: Hello,
    /// What may follow a hello.
    second: Option<SecondHello>,
}

impl Opening {
    /// `hello` where TLS is awaited; elsewhere the lack of it says nothing.
    fn without_name(hello: Hello, expects_tls: bool, second: Option<SecondHello>) -> Self {
        let hello = match expects_tls {
            true => hello,
            false => Hello::NotExpected,
        };
        Self { hello, second }
    }
}

/// Waits for what the client says first. Where TLS is awaited its first words are waited for as a ClientHello is.
/// Elsewhere it may be one that waits for the server, and is not kept waiting where that may pass; where it may not,
/// a slow client loses nothing by being waited for.
pub(super) async fn first_words(gate: &Gate, client: &mut Client, original: OriginalDst) -> Spoken {
    let limits = &gate.config.limits;
    let expects_tls = expects_tls(gate, client, original.port());
    let wait = match expects_tls {
        true => limits.hello_timeout,
        false => limits.inspect_delay,
    };
    let unexpected =
        |hello, second| Spoken::Other(Opening::without_name(hello, expects_tls, second));
    let (stream, buffer) = (&mut client.stream, &mut client.buffer);
    let mut words = first_words::listen(stream, buffer, limits.head, wait).await;
    if words == FirstWords::Silence && !expects_tls {
        let passes = Passage::would_pass(gate, client, original, Hello::NotExpected);
        let more = limits.head_timeout.saturating_sub(wait);
        if !passes {
            let (stream, buffer) = (&mut client.stream, &mut client.buffer);
            words = first_words::listen(stream, buffer, limits.head, more).await;
        }
    }
    let (stream, buffer) = (&mut client.stream, &mut client.buffer);
    match words {
        FirstWords::Gone => Spoken::Gone,
        FirstWords::Http => Spoken::Http,
        FirstWords::Other => unexpected(Hello::NotTls, None),
        FirstWords::Silence => unexpected(Hello::Timeout, None),
        FirstWords::Tls => {
            let patience = Patience {
                timeout: limits.hello_timeout,
                most: limits.client_hello,
            };
            let target = Host::Address(original.ip());
            match client_hello::peek(stream, buffer, &target, patience).await {
                (Peeked::Gone, _) => Spoken::Gone,
                // A hello without a name is no worse than no hello where none is awaited.
                (Peeked::Hello(Hello::Absent), second) => unexpected(Hello::Absent, second),
                (Peeked::Hello(hello), second) => Spoken::Other(Opening { hello, second }),
            }
        }
    }
}

/// What was said first is judged with the name or address that it is for; then we dial, and relay.
pub(super) async fn tunnel(
    gate: &Arc<Gate>,
    client: Client,
    original: OriginalDst,
    opening: Opening,
) {
    let Opening { hello, second } = opening;
    if gate.ledger.admit().await.is_err() {
        return leave(gate, client).await;
    }
    // Otherwise another got its place a moment ago.
    let Some(engaged) = client.visit.engage() else {
        return;
    };
    let mut passage = Passage::captured(gate, &client, original, hello, engaged);
    let permit = match passage.permit().await {
        Ok(permit) => permit,
        Err(stopped) => return hang_up(client, passage, &stopped).await,
    };
    match gate.dialler.connect(&permit).await {
        Ok(origin) => relay(gate, client, origin, passage, second).await,
        Err(error) => hang_up(client, passage, &error.into()).await,
    }
}

/// Nothing goes through unrecorded; whoever does not speak HTTP could not read an answer.
async fn leave(gate: &Gate, mut client: Client) {
    record(gate, &client, &fault::UNRECORDED, 0);
    linger(&mut client.stream, FAREWELL).await;
}

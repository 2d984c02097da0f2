//! Waits for the first words inside a tunnel and tells the policy what they are, keeping every byte.

use std::time::Duration;

use bytes::BytesMut;
use octroi_policy::flow::Hello;
use octroi_policy::name::Host;
use octroi_wire::client_hello::{ClientHello, HelloReader, Peek, Sni};
use octroi_wire::second_hello::SecondHello;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::time::timeout;

/// One read's worth: a hello with post-quantum shares has 2 KiB.
const READ: usize = 4 * 1024;

/// What is awaited, and for how long.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// For the whole hello.
    pub timeout: Duration,
    /// Bytes of a hello, record headers included.
    pub most: usize,
}

/// What came first through the tunnel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Peeked {
    /// Something to judge.
    Hello(Hello),
    /// The client left without a word.
    Gone,
}

/// Reads from `client` until the bytes in `seen` (some may be there already) say what they are.
/// Every byte read stays in `seen`, to be replayed once it is permitted; where another hello may
/// follow, the relay is to look at what does.
pub async fn peek<R>(
    client: &mut R,
    seen: &mut BytesMut,
    target: &Host,
    patience: Patience,
) -> (Peeked, Option<SecondHello>)
where
    R: AsyncRead + Unpin,
{
    let mut second = None;
    let peeking = read(client, seen, target, patience.most, &mut second);
    let peeked = timeout(patience.timeout, peeking).await;
    (peeked.unwrap_or(Peeked::Hello(Hello::Timeout)), second)
}

async fn read<R>(
    client: &mut R,
    seen: &mut BytesMut,
    target: &Host,
    most: usize,
    second: &mut Option<SecondHello>,
) -> Peeked
where
    R: AsyncRead + Unpin,
{
    let mut reader = HelloReader::new(most);
    loop {
        if !seen.is_empty() {
            match reader.read(seen) {
                Peek::NeedMore => {}
                Peek::NotTls => return Peeked::Hello(Hello::NotTls),
                Peek::Malformed(_) => return Peeked::Hello(Hello::Malformed),
                Peek::Hello(hello) => {
                    *second = SecondHello::after(&hello, reader.length(), most);
                    return Peeked::Hello(understand(&hello, target));
                }
            }
        }
        seen.reserve(READ);
        match client.read_buf(seen).await {
            Ok(0) | Err(_) if seen.is_empty() => return Peeked::Gone,
            // What stops half-way is no hello, and must not be taken for silence.
            Ok(0) | Err(_) => return Peeked::Hello(Hello::Malformed),
            Ok(_) => {}
        }
    }
}

fn understand(hello: &ClientHello, target: &Host) -> Hello {
    match &hello.sni {
        Sni::Name(name) => Hello::Name {
            name: name.clone(),
            ech: hello.ech.is_some(),
        },
        Sni::Absent => Hello::Absent,
        // RFC 6066 forbids it, some clients write it: the target's own address says nothing new.
        Sni::Address(address) if target.address() == Some(*address) => Hello::Absent,
        Sni::Address(_) => Hello::Malformed,
    }
}

/// Whether the bytes begin like a TLS record, so that an alert would be understood.
#[must_use]
pub fn speaks_tls(seen: &[u8]) -> bool {
    matches!(seen, [22, 3, ..])
}

#[cfg(test)]
mod tests;

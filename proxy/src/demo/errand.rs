//! What a machine of the demonstration asks of the gate, over a real connection from its own address.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{sleep, timeout};

use super::hello::{Hello, Wish};

/// How long the gate may take for an answer.
const PATIENCE: Duration = Duration::from_secs(20);
/// Bytes of an answer's head.
const MOST_HEAD: usize = 64 << 10;

/// One attempt of one machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Errand {
    pub(super) source: Ipv4Addr,
    pub(super) what: What,
}

/// What it tries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum What {
    /// A tunnel, and what is said first in it.
    Tunnel {
        target: String,
        port: u16,
        words: Words,
    },
    /// Plain HTTP.
    Page { url: String },
}

/// What is said first in a tunnel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Words {
    Hello(Hello),
    /// A second hello for another name, after the first one was good.
    Switch {
        first: Hello,
        then: Hello,
    },
    /// Whatever these bytes are.
    Bytes(&'static [u8]),
}

impl Errand {
    /// A tunnel to `target`, as a program makes it.
    pub(super) fn visit(source: Ipv4Addr, target: &str, size: u16) -> Self {
        Self::tunnel(source, target, Words::Hello(Hello::to(target, size)))
    }

    pub(super) fn tunnel(source: Ipv4Addr, target: &str, words: Words) -> Self {
        let (target, port) = (target.to_owned(), 443);
        let what = What::Tunnel {
            target,
            port,
            words,
        };
        Self { source, what }
    }

    pub(super) fn page(source: Ipv4Addr, url: &str) -> Self {
        let url = url.to_owned();
        let what = What::Page { url };
        Self { source, what }
    }

    /// Asks, and waits for the answer: the gate has decided then. What is left is the open tunnel, if there is one.
    pub(super) async fn run(&self, gate: SocketAddr) -> Option<Open> {
        let asked = timeout(PATIENCE, self.ask(gate)).await;
        // A gate that cuts a connection has decided as well.
        asked.ok().and_then(Result::ok).flatten()
    }

    async fn ask(&self, gate: SocketAddr) -> io::Result<Option<Open>> {
        let mut stream = connect(self.source, gate).await?;
        match &self.what {
            What::Page { url } => {
                let request = format!(
                    "GET {url} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nUser-Agent: octroi-demo\r\n\r\n",
                    host(url)
                );
                stream.write_all(request.as_bytes()).await?;
                stream.read_to_end(&mut Vec::new()).await?;
                Ok(None)
            }
            What::Tunnel {
                target,
                port,
                words,
            } => {
                let request = format!(
                    "CONNECT {target}:{port} HTTP/1.1\r\nHost: {target}:{port}\r\nUser-Agent: octroi-demo\r\n\r\n"
                );
                stream.write_all(request.as_bytes()).await?;
                if !is_open(&head(&mut stream).await?) {
                    return Ok(None);
                }
                words
                    .say(&mut stream)
                    .await
                    .map(|is_answered| is_answered.then_some(Open { stream }))
            }
        }
    }
}

impl Words {
    /// Says them; whether anybody answered.
    async fn say(&self, stream: &mut TcpStream) -> io::Result<bool> {
        match self {
            Words::Hello(hello) => stream.write_all(&hello.bytes()).await?,
            Words::Bytes(bytes) => stream.write_all(bytes).await?,
            Words::Switch { first, then } => {
                stream.write_all(&first.bytes()).await?;
                if stream.read(&mut [0; 4096]).await? == 0 {
                    return Ok(false);
                }
                stream.write_all(&then.bytes()).await?;
            }
        }
        Ok(stream.read(&mut [0; 4096]).await? > 0)
    }
}

impl Hello {
    /// A plain one that fits its target.
    pub(super) fn to(target: &str, size: u16) -> Self {
        Self {
            sni: Some(target.to_owned()),
            ech: false,
            wish: Wish::Bytes(size),
        }
    }
}

/// A tunnel that stands.
#[derive(Debug)]
pub(super) struct Open {
    stream: TcpStream,
}

impl Open {
    /// Reads until the gate ends it, or for as long as this.
    pub(super) async fn stay(mut self, most: Duration) {
        let reading = async {
            let mut part = [0; 8192];
            while matches!(self.stream.read(&mut part).await, Ok(1..)) {}
        };
        tokio::select! {
            () = reading => {}
            () = sleep(most) => {}
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "a client of the gate; the gate itself dials in `upstream` alone"
)]
async fn connect(source: Ipv4Addr, gate: SocketAddr) -> io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::from((source, 0)))?;
    let stream = socket.connect(gate).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// The head of the gate's answer.
async fn head(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    let mut part = [0; 2048];
    while !head.windows(4).any(|end| end == b"\r\n\r\n") && head.len() < MOST_HEAD {
        let size = stream.read(&mut part).await?;
        if size == 0 {
            break;
        }
        head.extend_from_slice(&part[..size]);
    }
    Ok(head)
}

fn is_open(head: &[u8]) -> bool {
    head.starts_with(b"HTTP/1.1 200")
}

/// The authority of an `http://` address.
fn host(url: &str) -> &str {
    let rest = url.strip_prefix("http://").unwrap_or(url);
    rest.split('/').next().unwrap_or_default()
}

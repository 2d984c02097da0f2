//! Many connections that are held open and do as little as they can, from one thread.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::runtime::Runtime;

use super::eventually;

/// How often a dripping connection sends its next byte.
const DRIP: Duration = Duration::from_secs(2);

/// Connections that begin at the same time.
const AT_ONCE: usize = 256;

/// The receive buffer of a slow reader, as small as the kernel makes it.
const SMALL: u32 = 4096;

/// What one of the crowd does.
#[derive(Clone)]
pub(crate) enum Manner {
    /// Connects, and says nothing.
    Silent,
    /// Sends this much and then byte after byte of the rest, for ever.
    Drips { at_once: Vec<u8>, then: Vec<u8> },
    /// Has a tunnel to the target and then drips into it, the first byte at once.
    DripsInside { target: String, then: Vec<u8> },
    /// Asks for an endless answer and reads its head alone.
    ReadsNothing { request: String },
}

/// Connections that stay until this is dropped.
pub(crate) struct Crowd {
    runtime: Option<Runtime>,
    from: Ipv4Addr,
    gate: SocketAddr,
    state: Arc<State>,
    wanted: usize,
}

#[derive(Default)]
struct State {
    settled: AtomicUsize,
    gone: AtomicUsize,
}

impl Crowd {
    pub(crate) fn new(from: Ipv4Addr, gate: SocketAddr) -> Self {
        Self {
            runtime: Some(runtime()),
            from,
            gate,
            state: Arc::default(),
            wanted: 0,
        }
    }

    /// So many more, once all of them are where they want to be.
    pub(crate) fn grow(&mut self, many: usize, manner: &Manner) {
        let runtime = self.runtime.as_ref().unwrap();
        for _ in 0..many {
            self.wanted += 1;
            let (manner, state) = (manner.clone(), Arc::clone(&self.state));
            let (from, gate) = (self.from, self.gate);
            runtime.spawn(async move {
                // An end is an end, whatever brought it about.
                let _ = one(from, gate, manner, &state.settled).await;
                state.gone.fetch_add(1, Ordering::Relaxed);
            });
            // As fast as they are taken in; a flood of SYN is another test.
            eventually("the gate takes them in", || {
                (self.on_their_way() < AT_ONCE).then_some(())
            });
        }
        eventually("all are where they want to be", || {
            (self.on_their_way() == 0).then_some(())
        });
    }

    fn on_their_way(&self) -> usize {
        let settled = self.state.settled.load(Ordering::Relaxed);
        self.wanted.saturating_sub(settled + self.gone())
    }

    /// How many have ended by themselves or by the gate.
    pub(crate) fn gone(&self) -> usize {
        self.state.gone.load(Ordering::Relaxed)
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_timeout(Duration::from_secs(5));
        }
    }
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap()
}

async fn one(
    from: Ipv4Addr,
    gate: SocketAddr,
    manner: Manner,
    settled: &AtomicUsize,
) -> std::io::Result<()> {
    let socket = TcpSocket::new_v4()?;
    if matches!(manner, Manner::ReadsNothing { .. }) {
        socket.set_recv_buffer_size(SMALL)?;
    }
    socket.bind((from, 0).into())?;
    let mut stream = socket.connect(gate).await?;
    let now = || settled.fetch_add(1, Ordering::Relaxed);
    match manner {
        Manner::Silent => {
            now();
            stream.read_u8().await.map(drop)
        }
        Manner::Drips { at_once, then } => {
            stream.write_all(&at_once).await?;
            now();
            drip(stream, &then).await
        }
        Manner::DripsInside { target, then } => {
            connect(&mut stream, &target).await?;
            let (first, rest) = then.split_at(1);
            stream.write_all(first).await?;
            now();
            drip(stream, rest).await
        }
        Manner::ReadsNothing { request } => {
            if let Some(target) = request.strip_prefix("CONNECT ") {
                connect(&mut stream, target).await?;
                stream.write_all(b"go on").await?;
            } else {
                stream.write_all(request.as_bytes()).await?;
                head(&mut stream).await?;
            }
            now();
            std::future::pending().await
        }
    }
}

async fn connect(stream: &mut TcpStream, target: &str) -> std::io::Result<()> {
    let request = format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let head = head(stream).await?;
    assert!(
        head.starts_with(b"HTTP/1.1 200"),
        "{}",
        String::from_utf8_lossy(&head)
    );
    Ok(())
}

async fn head(stream: &mut TcpStream) -> std::io::Result<Vec<u8>> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    Ok(head)
}

async fn drip(mut stream: TcpStream, bytes: &[u8]) -> std::io::Result<()> {
    for byte in bytes.iter().cycle() {
        tokio::select! {
            ended = stream.read_u8() => return ended.map(drop),
            () = tokio::time::sleep(DRIP) => stream.write_all(&[*byte]).await?,
        }
    }
    Ok(())
}

/// An origin for crowds, from one thread: it takes connections and never lets them go.
pub(crate) struct Sink {
    _runtime: Runtime,
}

impl Sink {
    /// Holds connections; with `answers` it sends that once there is a byte, and then zeros without end.
    pub(crate) fn start(at: SocketAddr, answers: Option<&'static str>) -> Self {
        let runtime = runtime();
        let listener = std::net::TcpListener::bind(at).unwrap();
        listener.set_nonblocking(true).unwrap();
        runtime.spawn(async move {
            let listener = TcpListener::from_std(listener).unwrap();
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(hold(stream, answers));
            }
        });
        Self { _runtime: runtime }
    }
}

async fn hold(mut stream: TcpStream, answers: Option<&'static str>) -> std::io::Result<()> {
    let mut bytes = [0; 4096];
    while stream.read(&mut bytes).await? > 0 {
        if let Some(head) = answers {
            stream.write_all(head.as_bytes()).await?;
            let zeros = [0; 64 * 1024];
            loop {
                stream.write_all(&zeros).await?;
            }
        }
    }
    Ok(())
}

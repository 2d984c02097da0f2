//! A driver: new tunnels at a steady rate, each proven by an echo.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::MissedTickBehavior;

/// Counts of the tunnels tried so far.
#[derive(Default)]
pub(crate) struct Tally {
    pub(crate) good: AtomicU64,
    pub(crate) failed: AtomicU64,
    first_failure: std::sync::Mutex<Option<String>>,
}

/// Load that runs until it is stopped.
pub(crate) struct Load {
    stop: Arc<AtomicBool>,
    tally: Arc<Tally>,
    thread: Option<std::thread::JoinHandle<()>>,
    started: Instant,
}

/// What each tunnel does.
#[derive(Clone)]
pub(crate) struct Errand {
    pub(crate) gate: SocketAddr,
    pub(crate) from: Ipv4Addr,
    pub(crate) target: String,
    pub(crate) hello: Arc<Vec<u8>>,
}

impl Load {
    pub(crate) fn start(errand: Errand, per_second: u32) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let tally = Arc::new(Tally::default());
        let (for_stop, for_tally) = (Arc::clone(&stop), Arc::clone(&tally));
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .worker_threads(1)
                .enable_all()
                .build();
            runtime
                .unwrap()
                .block_on(drive(errand, per_second, for_stop, for_tally));
        });
        Self {
            stop,
            tally,
            thread: Some(thread),
            started: Instant::now(),
        }
    }

    pub(crate) fn good(&self) -> u64 {
        self.tally.good.load(Ordering::Relaxed)
    }

    /// Stops, waits for what is under way, and gives (good, failed, tunnels a second).
    pub(crate) fn stop(mut self) -> (u64, u64, f64) {
        self.stop.store(true, Ordering::Relaxed);
        let seconds = self.started.elapsed().as_secs_f64();
        self.thread.take().unwrap().join().unwrap();
        if let Some(cause) = self.tally.first_failure.lock().unwrap().take() {
            eprintln!("first failed tunnel: {cause}");
        }
        let (good, failed) = (self.good(), self.tally.failed.load(Ordering::Relaxed));
        (good, failed, good as f64 / seconds)
    }
}

async fn drive(errand: Errand, per_second: u32, stop: Arc<AtomicBool>, tally: Arc<Tally>) {
    let mut tick = tokio::time::interval(Duration::from_secs(1) / per_second);
    tick.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut under_way = tokio::task::JoinSet::new();
    while !stop.load(Ordering::Relaxed) {
        tick.tick().await;
        let (errand, tally) = (errand.clone(), Arc::clone(&tally));
        under_way.spawn(async move {
            match tokio::time::timeout(Duration::from_secs(10), once(&errand)).await {
                Ok(Ok(())) => {
                    tally.good.fetch_add(1, Ordering::Relaxed);
                }
                failure => {
                    tally.failed.fetch_add(1, Ordering::Relaxed);
                    let mut first = tally.first_failure.lock().unwrap();
                    first.get_or_insert_with(|| format!("{failure:?}"));
                }
            }
        });
        while under_way.try_join_next().is_some() {}
    }
    while under_way.join_next().await.is_some() {}
}

/// One tunnel: CONNECT, 200, hello, the hello back.
async fn once(errand: &Errand) -> std::io::Result<()> {
    let mut stream = open(errand).await?;
    let head = format!("CONNECT {0} HTTP/1.1\r\nHost: {0}\r\n\r\n", errand.target);
    stream.write_all(head.as_bytes()).await?;
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        answer.push(stream.read_u8().await?);
    }
    if !answer.starts_with(b"HTTP/1.1 200") {
        let line = String::from_utf8_lossy(&answer).into_owned();
        return Err(std::io::Error::other(line));
    }
    stream.write_all(&errand.hello).await?;
    let mut echo = vec![0; errand.hello.len()];
    stream.read_exact(&mut echo).await?;
    if echo == *errand.hello {
        return Ok(());
    }
    Err(std::io::Error::other("the echo differs"))
}

async fn open(errand: &Errand) -> std::io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind((errand.from, 0).into())?;
    socket.connect(errand.gate).await
}

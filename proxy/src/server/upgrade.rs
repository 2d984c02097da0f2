//! Another binary in place of this one, without a connection lost.
//!
//! The old gate starts the program at its own path once more. The new one calls back, does
//! everything that can fail, takes copies of the listening sockets over (Pingora's hand-over),
//! serves, and says so. Only then, in one place ([`Upgrade::hand_over`]), the old one lets go: it names
//! the new process to the service manager, stops accepting, and drains. Whatever happens before
//! leaves it as it was: it never stopped accepting.

mod arrival;
mod door;
pub mod program;
pub mod wire;

use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use std::{env, io};

use async_trait::async_trait;
use pingora::server::{ListenFds, ShutdownWatch};
use pingora::services::Service;
use rustix::process::{Pid, Signal, kill_process};
use thiserror::Error;
use tokio::net::UnixStream;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tokio::time::{sleep, timeout};

pub(super) use arrival::Inherited;
pub use arrival::{Arrival, ArrivalError};
pub use door::DoorError;
use program::Program;
use wire::{Called, Message, OpenSocket, PROTOCOL};

use crate::config;
use crate::ledger::Ledger;
use crate::server::pulse::Pulse;
use crate::systemd::Notifier;

/// How long a caller may take to say who it is.
const FIRST_WORD: Duration = Duration::from_secs(5);
/// How long a new gate that is told to end may take.
const LAST_WORDS: Duration = Duration::from_secs(3);
/// How often a child is looked at.
const LOOK: Duration = Duration::from_millis(20);
/// Descriptors that Pingora passes at once.
const MAX_SOCKETS: usize = 32;
/// Bytes that Pingora takes for the addresses of all of them.
const MAX_ADDRESSES: usize = 2048;

/// Why an upgrade did not happen. The old gate goes on.
#[derive(Debug, Error)]
pub enum UpgradeError {
    /// One at a time.
    #[error("an upgrade is under way already")]
    UnderWay,
    /// Nobody would start the container's first process anew.
    #[error("the gate is the first process of its container: replace the container")]
    FirstProcess,
    /// Pingora's hand-over carries only so much.
    #[error(
        "{0} listeners are more than a hand-over carries ({MAX_SOCKETS} and {MAX_ADDRESSES} bytes of addresses): restart the gate"
    )]
    TooManySockets(usize),
    /// The program does not start.
    #[error("cannot start `{}`: {error}", path.display())]
    Spawn {
        /// The program.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// It started and ended.
    #[error("`{}` ended before it served ({status})", path.display())]
    Ended {
        /// The program.
        path: PathBuf,
        /// How.
        status: ExitStatus,
    },
    /// The new gate says why it cannot serve.
    #[error("the new gate cannot serve: {0}")]
    Said(String),
    /// The new gate knows another hand-over.
    #[error(
        "the new gate (version {version}) speaks version {theirs} of the hand-over, this one {PROTOCOL}: restart the gate"
    )]
    Protocol {
        /// Its hand-over.
        theirs: u32,
        /// Its version.
        version: String,
    },
    /// The talk broke off.
    #[error("the new gate ended before it served: {0}")]
    Talk(#[from] io::Error),
    /// The sockets do not go over.
    #[error("cannot hand the listening sockets over: {0}")]
    Sockets(String),
    /// It took too long.
    #[error("the new gate does not serve after {0:?} (`upgrade.timeout`)")]
    Deadline(Duration),
    /// The gate was told to stop.
    #[error("the gate was told to stop")]
    Stopping,
}

impl UpgradeError {
    /// The label of `octroi_upgrades_total`.
    fn result(&self) -> &'static str {
        match self {
            Self::UnderWay | Self::FirstProcess | Self::TooManySockets(_) => REFUSED,
            _ => FAILED,
        }
    }
}

/// Labels of `octroi_upgrades_total`.
pub(crate) const RESULTS: [&str; 3] = [DONE, FAILED, REFUSED];
pub(super) const DONE: &str = "done";
const FAILED: &str = "failed";
const REFUSED: &str = "refused";

/// The process that serves in place of this one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Successor {
    /// Its id.
    pub pid: u32,
    /// Its version.
    pub version: String,
}

/// What a gate needs to be upgraded, made before anything runs.
#[derive(Debug)]
pub struct Place {
    directory: PathBuf,
    /// Open from the start, but for a gate that takes over: it opens it when the service is its own.
    door: Option<UnixListener>,
    program: Program,
    timeout: Duration,
}

impl Place {
    /// Whether [`Place::open`] would succeed, for a gate that does not take over; nothing is made.
    ///
    /// # Errors
    /// As there.
    pub(super) fn rehearse(config: &config::Upgrade) -> Result<(), DoorError> {
        let runtime = env::var_os("RUNTIME_DIRECTORY");
        let directory = door::directory(config.path.as_deref(), runtime.as_deref());
        directory.as_deref().map_or(Ok(()), door::rehearse)
    }

    /// The place that the configuration or systemd names, if any; `arrives` for a gate that is to
    /// take over.
    ///
    /// # Errors
    /// [`DoorError`] says what is wrong with the directory.
    pub fn open(config: &config::Upgrade, arrives: bool) -> Result<Option<Self>, DoorError> {
        let runtime = env::var_os("RUNTIME_DIRECTORY");
        let Some(directory) = door::directory(config.path.as_deref(), runtime.as_deref()) else {
            return Ok(None);
        };
        let program = Program::of_this_process().map_err(|error| DoorError::Io {
            path: PathBuf::from("/proc/self/exe"),
            error,
        })?;
        let door = if arrives {
            door::prepare(&directory)?;
            None
        } else {
            Some(door::open(&directory)?)
        };
        Ok(Some(Self {
            directory,
            door,
            program,
            timeout: config.timeout,
        }))
    }
}

/// The service that upgrades the gate when it is told to.
pub(super) struct Upgrades {
    door: Option<UnixListener>,
    shared: Option<Arc<Upgrade>>,
    /// Turns true when this process is the service.
    ours: watch::Receiver<bool>,
}

struct Upgrade {
    directory: PathBuf,
    program: Program,
    timeout: Duration,
    sockets: Vec<OpenSocket>,
    notifier: Notifier,
    pulse: Pulse,
    ledger: Ledger,
    successor: watch::Sender<Option<Successor>>,
    /// Where a new gate that calls is sent while an upgrade is under way.
    expecting: Mutex<Option<mpsc::Sender<Newcomer>>>,
    fds: Mutex<Option<ListenFds>>,
    /// Turns true when this process is told to stop.
    stopping: watch::Sender<bool>,
}

/// A new gate that has called.
struct Newcomer {
    called: Called,
    protocol: u32,
    successor: Successor,
}

impl Upgrades {
    pub(super) fn new(
        place: Option<Place>,
        sockets: Vec<OpenSocket>,
        (notifier, pulse): (Notifier, Pulse),
        ledger: Ledger,
        ours: watch::Receiver<bool>,
        successor: watch::Sender<Option<Successor>>,
    ) -> Self {
        let Some(place) = place else {
            let (door, shared) = (None, None);
            return Self { door, shared, ours };
        };
        let shared = Upgrade {
            directory: place.directory,
            program: place.program,
            timeout: place.timeout,
            sockets,
            notifier,
            pulse,
            ledger,
            successor,
            expecting: Mutex::default(),
            fds: Mutex::default(),
            stopping: watch::Sender::new(false),
        };
        Self {
            door: place.door,
            shared: Some(Arc::new(shared)),
            ours,
        }
    }

    /// Listens in the directory once this process is the service.
    async fn listen(&mut self, directory: &Path) -> io::Result<tokio::net::UnixListener> {
        // The sender lives as long as the server.
        let _ = self.ours.wait_for(|ours| *ours).await;
        let door = match self.door.take() {
            Some(door) => door,
            None => door::take(directory).map_err(io::Error::other)?,
        };
        tokio::net::UnixListener::from_std(door)
    }

    /// Answers signals and callers, as long as this process is the service.
    async fn run(&mut self) {
        // Listened for from now on: it would end the process otherwise.
        let mut told = match signal(SignalKind::user_defined2()) {
            Ok(told) => told,
            Err(error) => return tracing::error!(%error, "SIGUSR2 cannot be listened for"),
        };
        let Some(shared) = self.shared.clone() else {
            while told.recv().await.is_some() {
                tracing::error!("SIGUSR2: no upgrade without a directory: set `upgrade.path`");
            }
            return;
        };
        let door = match self.listen(&shared.directory).await {
            Ok(door) => door,
            Err(error) => return tracing::error!(%error, "this gate cannot be upgraded"),
        };
        loop {
            tokio::select! {
                Some(()) = told.recv() => {
                    tracing::info!("SIGUSR2: upgrading");
                    let shared = Arc::clone(&shared);
                    // Its outcome is logged and counted.
                    tokio::spawn(async move { drop(shared.attempt().await) });
                }
                called = door.accept() => match called {
                    Ok((stream, _)) => drop(tokio::spawn(Arc::clone(&shared).answer(stream))),
                    Err(error) => {
                        tracing::error!(%error, "a caller cannot be heard");
                        sleep(LAST_WORDS).await;
                    }
                },
            }
        }
    }
}

#[async_trait]
impl Service for Upgrades {
    async fn start_service(
        &mut self,
        fds: Option<ListenFds>,
        mut shutdown: ShutdownWatch,
        _listeners_per_fd: usize,
    ) {
        if let Some(shared) = &self.shared {
            *shared.fds.lock().unwrap_or_else(PoisonError::into_inner) = fds;
        }
        let leaving = shutdown.wait_for(|leaving| *leaving);
        tokio::select! {
            _ = leaving => {}
            () = self.run() => {}
        }
        // INVARIANT: an attempt that is under way now does not hand over.
        if let Some(shared) = &self.shared {
            shared.stopping.send_replace(true);
        }
    }

    fn name(&self) -> &str {
        "upgrade"
    }

    fn threads(&self) -> Option<usize> {
        Some(1)
    }

    /// It has none of its own, and takes part in the hand-over of the others'.
    fn listen_addresses(&self) -> Option<Vec<String>> {
        Some(Vec::new())
    }
}

impl Upgrade {
    /// Hears what a caller wants, and answers it.
    async fn answer(self: Arc<Self>, stream: UnixStream) {
        let mut called = Called::new(stream);
        let peer = match called.peer() {
            Ok(peer) => peer,
            Err(error) => return tracing::warn!(%error, "a caller of the gate is sent away"),
        };
        let Ok(Ok(said)) = timeout(FIRST_WORD, called.hear()).await else {
            return tracing::warn!(?peer, "a caller of the gate says nothing it understands");
        };
        match said {
            Message::Upgrade => {
                let answer = match self.attempt().await {
                    Ok(Successor { pid, version }) => {
                        // Said once every new connection is the new gate's.
                        let _ = timeout(LAST_WORDS, self.pulse.ended()).await;
                        Message::Upgraded { pid, version }
                    }
                    Err(error) => Message::NotUpgraded {
                        why: error.to_string(),
                    },
                };
                // If nobody waits for it any more, it is in the log.
                let _ = called.say(&answer).await;
            }
            Message::Hello { protocol, version } => {
                let pid = peer.and_then(|pid| u32::try_from(pid).ok()).unwrap_or(0);
                let newcomer = Newcomer {
                    called,
                    protocol,
                    successor: Successor { pid, version },
                };
                self.introduce(newcomer).await;
            }
            other => tracing::warn!(?peer, ?other, "a caller of the gate is not understood"),
        }
    }

    /// Leads a new gate to the upgrade that waits for it.
    async fn introduce(&self, newcomer: Newcomer) {
        let expecting = self.expecting().clone();
        let turned_away = match expecting {
            Some(expecting) => expecting.try_send(newcomer).err().map(|error| match error {
                mpsc::error::TrySendError::Full(newcomer)
                | mpsc::error::TrySendError::Closed(newcomer) => newcomer,
            }),
            None => Some(newcomer),
        };
        if let Some(mut newcomer) = turned_away {
            let why = "no upgrade waits for another gate".to_owned();
            let _ = newcomer.called.say(&Message::Failed { why }).await;
        }
    }

    fn expecting(&self) -> std::sync::MutexGuard<'_, Option<mpsc::Sender<Newcomer>>> {
        let expecting = self.expecting.lock();
        expecting.unwrap_or_else(PoisonError::into_inner)
    }

    fn expect(&self, sender: Option<mpsc::Sender<Newcomer>>) {
        *self.expecting() = sender;
    }

    /// One upgrade, from its beginning to its end in the log and the metrics.
    async fn attempt(&self) -> Result<Successor, UpgradeError> {
        let outcome = self.try_to().await;
        match &outcome {
            Ok(Successor { pid, version }) => {
                tracing::info!(pid, version, "another gate serves: this one only drains");
            }
            Err(error) => {
                self.ledger.metrics().upgrade(error.result());
                tracing::error!("no upgrade, this gate goes on: {error}");
            }
        }
        outcome
    }

    async fn try_to(&self) -> Result<Successor, UpgradeError> {
        if std::process::id() == 1 {
            return Err(UpgradeError::FirstProcess);
        }
        self.carried()?;
        let (sender, arrivals) = mpsc::channel(1);
        {
            let mut expecting = self.expecting();
            if expecting.is_some() {
                return Err(UpgradeError::UnderWay);
            }
            *expecting = Some(sender);
        }
        let outcome = self.with_a_child(arrivals).await;
        // After a hand-over this gate takes part in no other one.
        if outcome.is_err() {
            self.expect(None);
        }
        outcome
    }

    /// Whether Pingora's hand-over carries all sockets: it cuts what it does not.
    fn carried(&self) -> Result<(), UpgradeError> {
        let addresses = self.sockets.iter();
        let bytes: usize = addresses.map(|s| s.address.to_string().len() + 1).sum();
        if self.sockets.len() > MAX_SOCKETS || bytes > MAX_ADDRESSES {
            return Err(UpgradeError::TooManySockets(self.sockets.len()));
        }
        Ok(())
    }

    /// Starts the program and waits for the new gate that comes of it, up to the deadline.
    async fn with_a_child(
        &self,
        mut arrivals: mpsc::Receiver<Newcomer>,
    ) -> Result<Successor, UpgradeError> {
        let child = self.program.spawn(&self.directory);
        let mut child = child.map_err(|error| UpgradeError::Spawn {
            path: self.program.path.clone(),
            error,
        })?;
        let mut newcomer = None;
        let outcome = timeout(self.timeout, async {
            let arrived = tokio::select! {
                arrived = arrivals.recv() => arrived,
                status = failed(&mut child) => return Err(UpgradeError::Ended {
                    path: self.program.path.clone(),
                    status,
                }),
            };
            let newcomer = newcomer.insert(arrived.ok_or(UpgradeError::Stopping)?);
            self.hand_over(newcomer).await
        });
        let mut stopping = self.stopping.subscribe();
        let outcome = tokio::select! {
            biased;
            outcome = outcome => outcome.unwrap_or(Err(UpgradeError::Deadline(self.timeout))),
            _ = stopping.wait_for(|stopping| *stopping) => Err(UpgradeError::Stopping),
        };
        if outcome.is_err() {
            if let Some(newcomer) = newcomer {
                end(newcomer).await;
            }
            // One that only starts the new gate, and hangs.
            let _ = child.kill();
        }
        reap(child);
        outcome
    }

    /// Gives the new gate the sockets and, once it serves, the service.
    async fn hand_over(&self, newcomer: &mut Newcomer) -> Result<Successor, UpgradeError> {
        let Newcomer {
            called,
            protocol,
            successor,
        } = newcomer;
        if *protocol != PROTOCOL {
            let error = UpgradeError::Protocol {
                theirs: *protocol,
                version: successor.version.clone(),
            };
            let why = error.to_string();
            let _ = called.say(&Message::Failed { why }).await;
            return Err(error);
        }
        // One of an upgrade that failed is nobody's; if there is none, all the better.
        let _ = std::fs::remove_file(wire::sockets(&self.directory));
        let sockets = self.sockets.clone();
        called.say(&Message::Sockets { sockets }).await?;
        loop {
            match called.hear().await? {
                Message::Take => self.pass_sockets().await?,
                Message::Serving => break,
                Message::Failed { why } => return Err(UpgradeError::Said(why)),
                other => return Err(UpgradeError::Said(format!("it says {other:?}"))),
            }
        }
        if *self.stopping.borrow() {
            return Err(UpgradeError::Stopping);
        }
        // The one place where the service changes hands.
        self.notifier.main_pid(successor.pid);
        if let Err(error) = called.say(&Message::Yours).await {
            // It ended after all.
            self.notifier.main_pid(std::process::id());
            return Err(error.into());
        }
        self.notifier.mute();
        self.successor.send_replace(Some(successor.clone()));
        Ok(successor.clone())
    }

    /// Sends copies of all listening sockets, by Pingora's hand-over.
    async fn pass_sockets(&self) -> Result<(), UpgradeError> {
        let fds = self
            .fds
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let Some(fds) = fds else {
            return Err(UpgradeError::Sockets("there are none".to_owned()));
        };
        let path = wire::sockets(&self.directory);
        // The new gate makes the socket; Pingora would look for it once a second.
        while !path.exists() {
            sleep(LOOK).await;
        }
        let passing = tokio::task::spawn_blocking(move || {
            let path = path.to_str().unwrap_or_default();
            let passed = fds.lock().send_to_sock(path);
            passed.map(drop).map_err(|error| error.to_string())
        });
        let passed = passing.await.map_err(|error| error.to_string());
        passed
            .and_then(|passed| passed)
            .map_err(UpgradeError::Sockets)
    }
}

/// Waits until the child has failed; one that succeeds has started the new gate.
async fn failed(child: &mut Child) -> ExitStatus {
    loop {
        match child.try_wait() {
            Ok(Some(status)) if !status.success() => return status,
            Ok(Some(_)) => std::future::pending().await,
            Ok(None) => {}
            Err(error) => {
                tracing::warn!(%error, "the program that was started cannot be looked at")
            }
        }
        sleep(LOOK).await;
    }
}

/// Ends a new gate that does not take over: it lets go of what it has accepted, if it can.
async fn end(newcomer: Newcomer) {
    let Newcomer {
        mut called,
        successor,
        ..
    } = newcomer;
    // As long as the talk stands, the id is that of the one who talks.
    let gone = timeout(Duration::ZERO, called.gone()).await.is_ok();
    let pid = i32::try_from(successor.pid).ok().and_then(Pid::from_raw);
    let (Some(pid), false) = (pid, gone) else {
        return;
    };
    let _ = kill_process(pid, Signal::TERM);
    if timeout(LAST_WORDS, called.gone()).await.is_err() {
        let _ = kill_process(pid, Signal::KILL);
    }
}

/// Leaves no zombie behind.
fn reap(mut child: Child) {
    let reaping = std::thread::Builder::new().name("reap".to_owned());
    let waiting = reaping.spawn(move || drop(child.wait()));
    if let Err(error) = waiting {
        tracing::warn!(%error, "the program that was started is not waited for");
    }
}

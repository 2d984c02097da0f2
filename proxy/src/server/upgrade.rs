//! Another binary in place of this one, without a connection lost.
//!
//! The old gate starts the program at its own path once more. The new one calls back, does
//! everything that can fail, takes copies of the listening sockets over (Pingora's hand-over),
//! serves, and says so. Only then, in one place (`attempt`, at the end of `hand_over`), the old one lets go: it names
//! the new process to the service manager, stops accepting, and drains. Whatever happens before
//! leaves it as it was: it never stopped accepting.

mod arrival;
mod attempt;
mod door;
mod error;
pub mod program;
pub mod wire;

use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use std::{env, io};

use async_trait::async_trait;
use pingora::server::{ListenFds, ShutdownWatch};
use pingora::services::Service;
use tokio::net::UnixStream;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tokio::time::{sleep, timeout};

pub(super) use arrival::Inherited;
pub use arrival::{Arrival, ArrivalError};
pub use door::DoorError;
pub use error::UpgradeError;
use program::Program;
use wire::{Called, Message, OpenSocket};

use crate::config;
use crate::ledger::Ledger;
use crate::server::pulse::Pulse;
use crate::systemd::Notifier;

/// How long a caller may take to say who it is.
const FIRST_WORD: Duration = Duration::from_secs(5);
/// How long a new gate that is told to end may take.
const LAST_WORDS: Duration = Duration::from_secs(3);
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
}

//! One upgrade: a new gate is started, and the service handed over to it, or nothing changes.

use std::process::{Child, ExitStatus};
use std::sync::PoisonError;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

use super::wire::{self, Message, PROTOCOL};
use super::{LAST_WORDS, Newcomer, Successor, Upgrade, UpgradeError};

/// How often a child is looked at.
const LOOK: Duration = Duration::from_millis(20);
/// Descriptors that Pingora passes at once.
pub(super) const MAX_SOCKETS: usize = 32;
/// Bytes that Pingora takes for the addresses of all of them.
pub(super) const MAX_ADDRESSES: usize = 2048;

impl Upgrade {
    /// One upgrade, from its beginning to its end in the log and the metrics.
    pub(super) async fn attempt(&self) -> Result<Successor, UpgradeError> {
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

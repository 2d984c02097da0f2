//! The end: stop accepting, let tunnels finish, write the ledger, leave; at once when idle.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use pingora::server::{ShutdownSignal, ShutdownSignalWatch, ShutdownWatch};
use pingora::services::background::{BackgroundService, GenBackgroundService, background_service};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio::time::{interval, sleep, timeout};

use super::pulse::Seat;
use super::upgrade::Successor;
use crate::gate::Gate;
use crate::relay::Stop;
use crate::systemd::Notifier;

/// How long tunnels that are told to end may take to do so.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// How long connections accepted last may take until they are counted.
const SETTLE: Duration = Duration::from_millis(50);

/// The same where nobody waits for the end.
const SETTLE_SUCCEEDED: Duration = Duration::from_secs(1);

/// How often the service manager is asked for more time, and a third of what is asked for.
const EXTEND: Duration = Duration::from_secs(10);

/// How much longer than the drain Pingora waits before it drops everything: never used, because
/// the drain ends the process first.
pub(super) const MARGIN: Duration = Duration::from_secs(30);

/// What is done when everything else is, right before the process ends: nothing, unless somebody has left something to be
/// tidied up.
#[derive(Default)]
pub struct LastAct(Option<Box<dyn FnOnce() + Send>>);

impl LastAct {
    /// Does this.
    pub fn new(act: impl FnOnce() + Send + 'static) -> Self {
        Self(Some(Box::new(act)))
    }

    fn act(self) {
        if let Some(act) = self.0 {
            act();
        }
    }
}

impl fmt::Debug for LastAct {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = self.0.as_ref().map(|_| "something");
        f.debug_tuple("LastAct").field(&what).finish()
    }
}

/// SIGTERM and SIGINT both drain: Pingora's own handling of SIGINT cuts everything and can spin. So
/// does another gate that serves in place of this one.
pub(super) struct Signals {
    pub(super) succeeded: watch::Receiver<Option<Successor>>,
    /// Taken once signals are watched: until then one would end the process on the spot.
    pub(super) seat: Seat,
}

#[async_trait]
impl ShutdownSignalWatch for Signals {
    async fn recv(&self) -> ShutdownSignal {
        let mut succeeded = self.succeeded.clone();
        let told = async {
            tokio::select! {
                () = told_to_stop() => {}
                // Without its sender nobody can succeed.
                Ok(_) = succeeded.wait_for(Option::is_some) => {}
            }
        };
        self.seat.run(told).await;
        ShutdownSignal::GracefulTerminate
    }
}

/// Waits for the signal that ends a drain: the second one. For a gate that drains because another
/// serves, the first is the service manager's, which stops both.
async fn told_enough(is_succeeded: bool) {
    if is_succeeded {
        told_to_stop().await;
        tracing::info!("told to stop: waiting for tunnels as before");
    }
    told_to_stop().await;
}

async fn told_to_stop() {
    let (mut terminate, mut interrupt) = (
        watch(SignalKind::terminate()),
        watch(SignalKind::interrupt()),
    );
    tokio::select! {
        () = next(&mut terminate) => {}
        () = next(&mut interrupt) => {}
    }
}

fn watch(kind: SignalKind) -> Option<Signal> {
    let watched = signal(kind);
    if let Err(error) = &watched {
        tracing::error!(%error, "a signal cannot be watched");
    }
    watched.ok()
}

async fn next(signal: &mut Option<Signal>) {
    match signal {
        Some(signal) => {
            signal.recv().await;
        }
        None => std::future::pending().await,
    }
}

pub(super) fn service(
    gate: Arc<Gate>,
    drain_timeout: Duration,
    notifier: Notifier,
    succeeded: watch::Receiver<Option<Successor>>,
    last: LastAct,
) -> GenBackgroundService<Drain> {
    let drain = Drain {
        gate,
        drain_timeout,
        notifier,
        succeeded,
        last: Mutex::new(last),
    };
    background_service("drain", drain)
}

/// Waits for the end and makes it.
pub(super) struct Drain {
    gate: Arc<Gate>,
    drain_timeout: Duration,
    notifier: Notifier,
    succeeded: watch::Receiver<Option<Successor>>,
    last: Mutex<LastAct>,
}

#[async_trait]
impl BackgroundService for Drain {
    async fn start(&self, mut shutdown: ShutdownWatch) {
        // The sender lives as long as the server.
        let _ = shutdown.wait_for(|leaving| *leaving).await;
        self.notifier.stopping();
        tokio::select! {
            () = self.drain() => {}
            () = self.ask_for_time() => {}
        }
        if !self.gate.ledger.flush().await {
            tracing::error!("the last lines of the audit log could not be written");
        }
        if let Some(state) = self.gate.policy.state()
            && !state.finish(LAST_WORDS)
        {
            tracing::error!("the policy in force could not be saved to the state");
        }
        tracing::info!("stopped");
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *last).act();
        // Pingora would sleep its whole grace period now, however idle it is.
        std::process::exit(0);
    }
}

impl Drain {
    async fn drain(&self) {
        let admission = &self.gate.admission;
        tracing::info!(
            connections = admission.live(),
            "stopping: no new connections, waiting for tunnels"
        );
        let is_succeeded = self.succeeded.borrow().is_some();
        // What was accepted last is on its way to be counted.
        sleep(if is_succeeded {
            SETTLE_SUCCEEDED
        } else {
            SETTLE
        })
        .await;
        tokio::select! {
            () = admission.none_left() => return,
            () = sleep(self.drain_timeout) => {}
            () = told_enough(is_succeeded) => tracing::info!("told again: not waiting any longer"),
        }
        tracing::warn!(
            connections = admission.live(),
            "ending the tunnels that are left"
        );
        self.gate.stop.send_replace(Some(Stop::Shutdown));
        let _ = timeout(LAST_WORDS, admission.none_left()).await;
    }

    /// Tells the service manager, as long as it takes, that this is no hang; never ends.
    async fn ask_for_time(&self) {
        let mut tick = interval(EXTEND);
        loop {
            tick.tick().await;
            self.notifier.extend(EXTEND * 3);
        }
    }
}

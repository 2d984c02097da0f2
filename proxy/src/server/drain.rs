//! The end: stop accepting, let tunnels finish, write the ledger, leave; at once when idle.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use pingora::server::{ShutdownSignal, ShutdownSignalWatch, ShutdownWatch};
use pingora::services::background::{BackgroundService, GenBackgroundService, background_service};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{sleep, timeout};

use crate::gate::Gate;
use crate::relay::Stop;

/// How long tunnels that are told to end may take to do so.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// How much longer than the drain Pingora waits before it drops everything: never used, because
/// the drain ends the process first.
pub(super) const MARGIN: Duration = Duration::from_secs(30);

/// SIGTERM and SIGINT both drain: Pingora's own handling of SIGINT cuts everything and can spin.
pub(super) struct Signals;

#[async_trait]
impl ShutdownSignalWatch for Signals {
    async fn recv(&self) -> ShutdownSignal {
        told_to_stop().await;
        ShutdownSignal::GracefulTerminate
    }
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

pub(super) fn service(gate: Arc<Gate>, drain_timeout: Duration) -> GenBackgroundService<Drain> {
    background_service(
        "drain",
        Drain {
            gate,
            drain_timeout,
        },
    )
}

/// Waits for the end and makes it.
pub(super) struct Drain {
    gate: Arc<Gate>,
    drain_timeout: Duration,
}

#[async_trait]
impl BackgroundService for Drain {
    async fn start(&self, mut shutdown: ShutdownWatch) {
        // The sender lives as long as the server.
        let _ = shutdown.wait_for(|leaving| *leaving).await;
        self.drain().await;
        if !self.gate.ledger.flush().await {
            tracing::error!("the last lines of the audit log could not be written");
        }
        if let Some(state) = self.gate.policy.state()
            && !state.finish(LAST_WORDS)
        {
            tracing::error!("the policy in force could not be saved to the state");
        }
        tracing::info!("stopped");
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
        tokio::select! {
            () = admission.none_left() => return,
            () = sleep(self.drain_timeout) => {}
            () = told_to_stop() => tracing::info!("told again: not waiting any longer"),
        }
        tracing::warn!(
            connections = admission.live(),
            "ending the tunnels that are left"
        );
        self.gate.stop.send_replace(Some(Stop::Shutdown));
        let _ = timeout(LAST_WORDS, admission.none_left()).await;
    }
}

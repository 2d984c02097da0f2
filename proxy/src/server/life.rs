//! What the service manager hears while the gate lives: ready once every service stands, then that
//! it works, as long as it does.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use pingora::server::ShutdownWatch;
use pingora::services::background::{BackgroundService, GenBackgroundService, background_service};
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};

use super::pulse::Pulse;
use super::upgrade::{Arrival, DONE};
use crate::gate::Gate;
use crate::systemd::Notifier;

/// How often the status line is looked at.
const LOOK: Duration = Duration::from_secs(10);
/// How long the gate's threads may take to answer before the watchdog is left alone.
const PATIENCE: Duration = Duration::from_secs(5);

pub(super) fn service(
    gate: Arc<Gate>,
    pulse: Pulse,
    notifier: Notifier,
    arrival: Option<Arrival>,
    ours: watch::Sender<bool>,
) -> GenBackgroundService<Life> {
    let life = Life {
        gate,
        pulse,
        notifier,
        arrival: Mutex::new(arrival),
        ours,
    };
    background_service("life", life)
}

/// The service.
pub(super) struct Life {
    gate: Arc<Gate>,
    pulse: Pulse,
    notifier: Notifier,
    arrival: Mutex<Option<Arrival>>,
    /// Turns true when this process is the service.
    ours: watch::Sender<bool>,
}

#[async_trait]
impl BackgroundService for Life {
    /// Runs as long as the process: a manager waits for signs of life during a drain as well.
    async fn start(&self, leaving: ShutdownWatch) {
        self.pulse.started().await;
        self.take_over().await;
        tracing::info!("ready");
        self.notifier.ready();
        let period = period(self.notifier.watchdog());
        let mut tick = interval(period);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut said = String::new();
        loop {
            tick.tick().await;
            let is_leaving = *leaving.borrow();
            self.beat(is_leaving, period.min(PATIENCE)).await;
            let status = status(&self.gate, is_leaving);
            if status != said {
                self.notifier.status(&status);
                said = status;
            }
        }
    }
}

impl Life {
    /// Says to the gate before this one, if there is one, that this one serves.
    async fn take_over(&self) {
        let arrival = self
            .arrival
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let Some(arrival) = arrival else { return };
        let talking = tokio::task::spawn_blocking(move || arrival.serving());
        match talking.await {
            Ok(Ok(())) => {
                self.gate.ledger.metrics().upgrade(DONE);
                tracing::info!("took over: the gate before this one only drains");
                self.ours.send_replace(true);
            }
            // If the other one goes on, it ends this one.
            Ok(Err(error)) => {
                tracing::error!(%error, "serving without a word of the gate before this one")
            }
            Err(error) => tracing::error!(%error, "serving, but the talk was interrupted"),
        }
        self.notifier.unmute();
    }

    /// A sign of life, if there is life.
    async fn beat(&self, is_leaving: bool, patience: Duration) {
        if self.notifier.watchdog().is_none() {
            return;
        }
        let answered = if is_leaving {
            self.pulse.threads_answer(patience).await
        } else {
            self.pulse.answers(patience).await
        };
        match answered {
            Ok(()) => self.notifier.alive(),
            Err(stuck) => tracing::error!("{stuck}: the watchdog is not told that the gate works"),
        }
    }
}

/// Twice as often as the manager wants, and often enough for the status line.
fn period(watchdog: Option<Duration>) -> Duration {
    watchdog.map_or(LOOK, |watchdog| (watchdog / 2).min(LOOK))
}

fn status(gate: &Gate, is_leaving: bool) -> String {
    let policy = gate.policy.status();
    let digest = policy.digest.get(..12).unwrap_or(&policy.digest);
    let (tunnels, connections) = (gate.tunnels.open(), gate.admission.live());
    let stopping = if is_leaving { "stopping, " } else { "" };
    let rejected = match &policy.rejected {
        Some(_) => ", the last bundle was rejected",
        None => "",
    };
    format!(
        "{stopping}policy {} {digest}, {tunnels} tunnels, {connections} connections{rejected}",
        policy.name
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signs_of_life_come_twice_as_often_as_asked_for() {
        for (watchdog, expect) in [(None, 10), (Some(10), 5), (Some(120), 10)] {
            let watchdog = watchdog.map(Duration::from_secs);
            assert_eq!(period(watchdog), Duration::from_secs(expect));
        }
    }
}

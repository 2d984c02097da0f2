//! The machines at work: errands side by side, and a way to wait until all of them are decided.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;

use super::errand::{Errand, Open};

/// Errands under way at once: what is late is caught up with, and not all in one moment.
const MOST: u32 = 48;

/// All machines.
#[derive(Clone, Debug)]
pub(super) struct Crowd {
    gate: SocketAddr,
    room: Arc<Semaphore>,
}

impl Crowd {
    pub(super) fn new(gate: SocketAddr) -> Self {
        let room = Arc::new(Semaphore::new(MOST as usize));
        Self { gate, room }
    }

    /// Sends a machine out; its tunnel stays open for so long.
    pub(super) async fn send(&self, errand: Errand, stays: Duration) {
        let Ok(place) = Arc::clone(&self.room).acquire_owned().await else {
            return;
        };
        let gate = self.gate;
        tokio::spawn(async move {
            let open = errand.run(gate).await;
            drop(place);
            if let Some(open) = open {
                open.stay(stays).await;
            }
        });
    }

    /// Waits until whatever was asked for is decided.
    pub(super) async fn settle(&self) {
        // Never closed.
        let _ = self.room.acquire_many(MOST).await;
    }

    /// Has a machine ask, and waits; the tunnel, if it stands.
    pub(super) async fn ask(&self, errand: &Errand) -> Option<Open> {
        errand.run(self.gate).await
    }
}

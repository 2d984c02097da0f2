//! Notices that certificates changed: as for a bundle, at once by the kernel's word, within seconds by
//! looking, and on SIGHUP.

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use pingora::server::ShutdownWatch;
use pingora::services::background::BackgroundService;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use super::Certificates;
use crate::reload::fingerprint::Fingerprint;
use crate::reload::watch::{POLL, hung_up, settle, watcher};

/// Keeps what listeners show the one on disk; runs as a background service.
#[derive(Debug)]
pub struct Watch {
    all: Vec<Arc<Certificates>>,
}

impl Watch {
    /// Watches the files of `all`.
    #[must_use]
    pub fn new(all: Vec<Arc<Certificates>>) -> Self {
        Self { all }
    }

    /// Runs until `stop` completes.
    pub async fn run(&self, stop: impl Future<Output = ()>) {
        tokio::pin!(stop);
        let changed = Arc::new(Notify::new());
        let mut hangup = signal(SignalKind::hangup()).ok();
        let paths: Vec<PathBuf> = self.all.iter().flat_map(|it| it.paths().cloned()).collect();
        let mut watching = watcher(&paths, Arc::clone(&changed)).ok();
        if watching.is_none() {
            tracing::warn!("certificates cannot be watched: changes are noticed within {POLL:?}");
        }
        // Whatever changed between the start and the first watch is found by this look.
        let mut seen = vec![Fingerprint::default(); self.all.len()];
        let mut asked = false;
        loop {
            for (certificates, seen) in self.all.iter().zip(&mut seen) {
                *seen = look(certificates, *seen, asked).await;
            }
            asked = false;
            let due = Instant::now() + POLL;
            tokio::select! {
                () = &mut stop => return,
                () = changed.notified() => {
                    settle(&changed).await;
                    // Links may lead elsewhere now.
                    watching = watcher(&paths, Arc::clone(&changed)).ok().or(watching);
                }
                () = sleep_until(due) => {}
                Some(()) = hung_up(&mut hangup) => asked = true,
            }
        }
    }
}

/// Reloads one listener's files if they changed, or have come of age, or somebody asks for it.
async fn look(certificates: &Arc<Certificates>, seen: Fingerprint, asked: bool) -> Fingerprint {
    let certificates = Arc::clone(certificates);
    let looking = tokio::task::spawn_blocking(move || {
        let found = Fingerprint::of_all(certificates.paths());
        let now = Timestamp::now();
        let is_due = certificates.is_due(now);
        if asked || is_due || found != seen {
            certificates.reload(now);
        }
        found
    });
    looking.await.unwrap_or_default()
}

#[async_trait]
impl BackgroundService for Watch {
    async fn start(&self, mut shutdown: ShutdownWatch) {
        let stop = async move {
            // An error means that the server is gone: a reason to stop as well.
            while !*shutdown.borrow() && shutdown.changed().await.is_ok() {}
        };
        self.run(stop).await;
    }
}

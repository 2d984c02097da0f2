//! Notices that files beside the bundle changed, such as certificates: as for a bundle, at once by the kernel's word,
//! within seconds by looking, and on SIGHUP.

use std::fmt::Debug;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use pingora::server::ShutdownWatch;
use pingora::services::background::BackgroundService;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use super::fingerprint::Fingerprint;
use super::watch::{POLL, hung_up, settle, watcher};

/// Something that is made of files.
pub(crate) trait OnDisk: Debug + Send + Sync {
    /// All of them.
    fn paths(&self) -> Vec<PathBuf>;

    /// Whether they have to be read anew at the instant `now` although they did not change.
    fn is_due(&self, _now: Timestamp) -> bool {
        false
    }

    /// Reads them anew.
    fn read_anew(&self, now: Timestamp);
}

/// Keeps what is in force the one on disk; runs as a background service.
#[derive(Debug)]
pub(crate) struct Watch {
    all: Vec<Arc<dyn OnDisk>>,
}

impl Watch {
    /// Watches the files of `all`.
    pub(crate) fn new(all: Vec<Arc<dyn OnDisk>>) -> Self {
        Self { all }
    }

    /// Runs until `stop` completes.
    async fn run(&self, stop: impl Future<Output = ()>) {
        tokio::pin!(stop);
        let changed = Arc::new(Notify::new());
        let mut hangup = signal(SignalKind::hangup()).ok();
        let paths: Vec<PathBuf> = self.all.iter().flat_map(|it| it.paths()).collect();
        let mut watching = watcher(&paths, Arc::clone(&changed)).ok();
        if watching.is_none() {
            tracing::warn!(
                "certificates and tokens cannot be watched: changes are noticed within {POLL:?}"
            );
        }
        // Whatever changed between the start and the first watch is found by this look.
        let mut seen = vec![Fingerprint::default(); self.all.len()];
        let mut asked = false;
        loop {
            for (files, seen) in self.all.iter().zip(&mut seen) {
                *seen = look(files, *seen, asked).await;
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

/// Reads some files anew if they changed, or have come of age, or somebody asks for it.
async fn look(files: &Arc<dyn OnDisk>, seen: Fingerprint, asked: bool) -> Fingerprint {
    let files = Arc::clone(files);
    let looking = tokio::task::spawn_blocking(move || {
        let found = Fingerprint::of_all(&files.paths());
        let now = Timestamp::now();
        let is_due = files.is_due(now);
        if asked || is_due || found != seen {
            files.read_anew(now);
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

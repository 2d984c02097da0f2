//! Notices that a bundle changed: at once by the kernel's word, within seconds by looking.
//!
//! Directories are watched rather than files, because editors and Kubernetes replace files instead
//! of writing into them. Watches are set anew before each reading, so that no change falls between
//! a reading and the next watch.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use notify::event::{AccessKind, AccessMode};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use pingora::server::ShutdownWatch;
use pingora::services::background::BackgroundService;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until, timeout_at};

use super::Handle;
use super::fingerprint::{Fingerprint, directories};
use crate::config::PolicySource;
use crate::systemd::Notifier;

/// How long nothing must happen before a change is taken to be complete.
const QUIET: Duration = Duration::from_millis(100);
/// How long a change is waited for to be complete, however much happens.
const LONGEST: Duration = Duration::from_millis(500);
/// How often the files are looked at, in case the kernel said nothing (network file systems).
pub(crate) const POLL: Duration = Duration::from_secs(2);

/// Keeps the policy in force the one on disk; runs as a background service.
#[derive(Debug)]
pub struct Watch {
    handle: Handle,
    notifier: Notifier,
}

impl Watch {
    /// Watches the bundle of `handle`; `notifier` hears of each SIGHUP and of its end.
    #[must_use]
    pub fn new(handle: Handle, notifier: Notifier) -> Self {
        Self { handle, notifier }
    }

    /// Runs until `stop` completes: reloads on change and on SIGHUP.
    pub async fn run(&self, stop: impl Future<Output = ()>) {
        tokio::pin!(stop);
        let changed = Arc::new(Notify::new());
        let mut hangup = match signal(SignalKind::hangup()) {
            Ok(hangup) => Some(hangup),
            Err(error) => {
                tracing::error!(%error, "SIGHUP cannot be listened for");
                None
            }
        };
        let mut watcher = self.watch(&changed);
        // Whatever changed between the first load and the first watch is found by this look.
        let mut seen = self.reload_if_changed(Fingerprint::default()).await;
        loop {
            let due = Instant::now() + POLL;
            tokio::select! {
                () = &mut stop => return,
                () = changed.notified() => settle(&changed).await,
                () = sleep_until(due) => {
                    if self.fingerprint().await == seen {
                        continue;
                    }
                }
                Some(()) = hung_up(&mut hangup) => {
                    tracing::info!("SIGHUP: reloading");
                    self.notifier.reloading();
                    self.handle.shared.ledger.reopen();
                    self.handle.reload().await;
                    self.notifier.ready();
                    continue;
                }
            }
            watcher = self.watch(&changed).or(watcher);
            seen = self.reload_if_changed(seen).await;
        }
    }

    /// Reloads unless everything looks as it did before.
    async fn reload_if_changed(&self, seen: Fingerprint) -> Fingerprint {
        let now = self.fingerprint().await;
        if now != seen {
            self.handle.reload().await;
        }
        now
    }

    async fn fingerprint(&self) -> Fingerprint {
        let source = self.handle.shared.source.clone();
        let looking = tokio::task::spawn_blocking(move || Fingerprint::of(&source));
        looking.await.unwrap_or_default()
    }

    fn watch(&self, changed: &Arc<Notify>) -> Option<RecommendedWatcher> {
        let PolicySource::Path(path) = &self.handle.shared.source else {
            return None;
        };
        match watcher([path], Arc::clone(changed)) {
            Ok(watcher) => Some(watcher),
            Err(error) => {
                tracing::warn!(%error, "the bundle cannot be watched: changes are noticed within {POLL:?}");
                None
            }
        }
    }
}

#[async_trait]
impl BackgroundService for Watch {
    /// Runs as long as the process: tunnels that are left in a drain follow a new policy as well.
    async fn start(&self, _: ShutdownWatch) {
        self.run(std::future::pending()).await;
    }
}

/// Waits until a change is complete.
pub(crate) async fn settle(changed: &Notify) {
    let latest = Instant::now() + LONGEST;
    loop {
        let quiet = (Instant::now() + QUIET).min(latest);
        if timeout_at(quiet, changed.notified()).await.is_err() {
            return;
        }
    }
}

pub(crate) async fn hung_up(hangup: &mut Option<tokio::signal::unix::Signal>) -> Option<()> {
    match hangup {
        Some(hangup) => hangup.recv().await,
        None => std::future::pending().await,
    }
}

/// Tells `changed` whatever happens to files and directories, or where their links lead.
pub(crate) fn watcher<'a>(
    paths: impl IntoIterator<Item = &'a PathBuf>,
    changed: Arc<Notify>,
) -> notify::Result<RecommendedWatcher> {
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
        if event.is_ok_and(|event| !is_reading(event.kind)) {
            changed.notify_one();
        }
    })?;
    let every: BTreeSet<PathBuf> = paths
        .into_iter()
        .flat_map(|path| directories(path))
        .collect();
    for directory in every {
        // One that went away meanwhile is no reason not to watch the others.
        if let Err(error) = watcher.watch(&directory, RecursiveMode::NonRecursive) {
            tracing::debug!(%error, directory = %directory.display(), "a directory cannot be watched");
        }
    }
    Ok(watcher)
}

/// Our own reading of the bundle is no change.
fn is_reading(kind: EventKind) -> bool {
    match kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => false,
        EventKind::Access(_) => true,
        _ => false,
    }
}

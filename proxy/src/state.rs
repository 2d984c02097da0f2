//! What the gate remembers over a restart: the last good bundle, the one before, and the digests that were accepted.
//!
//! A gate that starts with a bundle that does not pass goes on with the last good one. A bundle that was accepted once
//! loads for ever, as far as it still has its meaning: a stricter program must not stop the perimeter. Nothing here is
//! needed to serve: what goes wrong is said loudly and counted, and the gate goes on.

mod directory;
mod record;
mod saver;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use octroi_policy::bundle::Bundle;

pub use directory::{StateError, can_make};
pub use record::Accepted;

use crate::ledger::Ledger;
use directory::Directory;
use record::Record;
use saver::Saver;

/// The state directory; cheap to clone.
#[derive(Clone, Debug)]
pub struct State {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    path: PathBuf,
    ledger: Ledger,
    accepted: Mutex<Vec<Accepted>>,
    problem: Mutex<Option<Arc<str>>>,
    saver: Arc<Saver>,
}

/// A bundle that was in force before, with when it was saved.
#[derive(Debug)]
pub struct LastGood {
    /// The bundle, as it was saved.
    pub bundle: Bundle,
    /// When it was saved.
    pub saved_at: Timestamp,
}

impl State {
    /// Looks what there is. What is wrong with it is logged and counted, and kept for
    /// [`State::problem`].
    #[must_use]
    pub fn open(path: &Path, ledger: &Ledger) -> Self {
        let state = Self {
            shared: Arc::new(Shared {
                path: path.to_owned(),
                ledger: ledger.clone(),
                accepted: Mutex::default(),
                problem: Mutex::default(),
                saver: Arc::default(),
            }),
        };
        match Directory::open(path).and_then(|directory| directory.record()) {
            Ok(record) => state.shared.remember(record.unwrap_or_default()),
            Err(error) => state.shared.report(&error),
        }
        state
    }

    /// Whether the directory can be used; nothing is made or written.
    ///
    /// # Errors
    /// What [`State::open`] or saving would report.
    pub fn rehearse(path: &Path) -> Result<(), StateError> {
        Directory::rehearse(path)
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.shared.path
    }

    /// When a bundle with this digest was accepted before, if it was.
    #[must_use]
    pub fn accepted(&self, digest: &str) -> Option<Accepted> {
        let accepted = self.shared.accepted.lock();
        let accepted = accepted.unwrap_or_else(PoisonError::into_inner);
        accepted.iter().find(|it| it.digest == digest).cloned()
    }

    /// The bundles that were in force before, the last one first, as far as they are whole. Damage is reported.
    ///
    /// # Errors
    /// Why the directory holds none, for people.
    pub fn last_good(&self) -> Result<Vec<LastGood>, StateError> {
        let directory = Directory::open(&self.shared.path)?;
        let _held = directory.hold();
        let record = directory.record()?.unwrap_or_default();
        let (mut whole, mut damage) = (Vec::new(), None);
        for saved in record.bundles() {
            match directory.bundle(saved) {
                Ok(bundle) => whole.push(LastGood {
                    bundle,
                    saved_at: saved.saved_at,
                }),
                Err(error) => {
                    self.shared.report(&error);
                    damage.get_or_insert(error);
                }
            }
        }
        match damage {
            Some(error) if whole.is_empty() => Err(error),
            _ => Ok(whole),
        }
    }

    /// Saves a bundle that was put in force, soon and beside everything else.
    pub fn keep(&self, bundle: Bundle) {
        self.shared.saver.put(bundle, &self.shared);
    }

    /// Waits until all is saved, for so long at most; whether it is.
    #[must_use]
    pub fn finish(&self, within: Duration) -> bool {
        self.shared.saver.finish(within)
    }

    /// What is wrong with it now; `None` = the last good bundle is saved, or will be.
    #[must_use]
    pub fn problem(&self) -> Option<Arc<str>> {
        self.shared.problem().clone()
    }
}

impl Shared {
    fn save(&self, bundle: &Bundle) -> Result<(), StateError> {
        let directory = Directory::open(&self.path);
        match directory.and_then(|it| it.save(bundle, Timestamp::now())) {
            Ok(record) => {
                self.remember(record);
                if self.problem().take().is_some() {
                    tracing::info!(digest = %bundle.digest(), "the state can be written again, and the policy in force is saved");
                }
                Ok(())
            }
            Err(error) => {
                self.report(&error);
                Err(error)
            }
        }
    }

    fn remember(&self, record: Record) {
        let mut accepted = self.accepted.lock().unwrap_or_else(PoisonError::into_inner);
        *accepted = record.accepted;
    }

    /// Counts each failure, and logs each that is another one than the last.
    fn report(&self, error: &StateError) {
        self.ledger.metrics().state_error(error.as_str());
        let text: Arc<str> = error.to_string().into();
        let last = self.problem().replace(text.clone());
        if last.as_ref() != Some(&text) {
            tracing::error!("{text}");
        }
    }

    fn problem(&self) -> std::sync::MutexGuard<'_, Option<Arc<str>>> {
        self.problem.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.saver.close();
    }
}

#[cfg(test)]
mod tests;

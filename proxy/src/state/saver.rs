//! Writes beside everything else: a disk that is slow, full or gone holds up no policy and no flow.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;
use std::time::Duration;

use octroi_policy::bundle::Bundle;

use super::Shared;

/// How long after a failure it is tried again.
const RETRY: Duration = Duration::from_secs(30);

/// What is to be saved: the latest bundle alone.
#[derive(Debug, Default)]
pub(super) struct Saver {
    slot: Mutex<Slot>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Slot {
    waiting: Option<Bundle>,
    is_running: bool,
    is_writing: bool,
    has_failed: bool,
    is_closed: bool,
}

impl Saver {
    /// Saves `bundle` in place of any that waits.
    pub(super) fn put(&self, bundle: Bundle, shared: &Arc<Shared>) {
        let mut slot = self.slot();
        slot.waiting = Some(bundle);
        slot.has_failed = false;
        if !slot.is_running {
            let (saver, shared) = (Arc::clone(&shared.saver), Arc::downgrade(shared));
            let thread = thread::Builder::new().name("state".to_owned());
            match thread.spawn(move || saver.run(&shared)) {
                Ok(_) => slot.is_running = true,
                Err(error) => tracing::error!(%error, "the state cannot be saved: no thread"),
            }
        }
        self.changed.notify_all();
    }

    /// Waits until nothing is left to be saved, or cannot be; whether all is saved.
    pub(super) fn finish(&self, within: Duration) -> bool {
        let busy =
            |slot: &mut Slot| slot.is_writing || (slot.waiting.is_some() && !slot.has_failed);
        let waited = self.changed.wait_timeout_while(self.slot(), within, busy);
        let (slot, _) = waited.unwrap_or_else(PoisonError::into_inner);
        slot.waiting.is_none() && !slot.is_writing
    }

    pub(super) fn close(&self) {
        self.slot().is_closed = true;
        self.changed.notify_all();
    }

    fn run(&self, shared: &Weak<Shared>) {
        while let Some(bundle) = self.next() {
            let saved = match shared.upgrade() {
                Some(shared) => shared.save(&bundle),
                None => return,
            };
            let mut slot = self.slot();
            slot.is_writing = false;
            if saved.is_err() && slot.waiting.is_none() {
                slot.waiting = Some(bundle);
                slot.has_failed = true;
            }
            self.changed.notify_all();
        }
    }

    /// The next bundle, once there is one, and after a failure once it is time to try again.
    fn next(&self) -> Option<Bundle> {
        let mut slot = self.slot();
        if slot.has_failed {
            let waits = |slot: &mut Slot| slot.has_failed && !slot.is_closed;
            let waited = self.changed.wait_timeout_while(slot, RETRY, waits);
            slot = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        let idle = |slot: &mut Slot| slot.waiting.is_none() && !slot.is_closed;
        let waited = self.changed.wait_while(slot, idle);
        slot = waited.unwrap_or_else(PoisonError::into_inner);
        if slot.is_closed {
            return None;
        }
        slot.has_failed = false;
        slot.is_writing = true;
        slot.waiting.take()
    }

    fn slot(&self) -> MutexGuard<'_, Slot> {
        self.slot.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

//! The audit log's writer: one thread, one queue, no line lost in silence.
//!
//! Lines are formatted where they arise and queued without waiting, so that no worker thread ever
//! stands still for a disk. The queue is bounded at its other end: [`Log::admit`] lets a new flow
//! begin only while there is room, and a flow adds at most two lines. With `on_failure: refuse` no
//! flow begins while the log cannot be written; with `serve` lines beyond the bound are dropped,
//! counted, and said.

mod file;
mod writer;

use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use prometheus::IntCounter;
use thiserror::Error;
use tokio::sync::{Notify, oneshot};

pub(super) use file::files;
pub(crate) use file::rotates;

use crate::config::{Audit, OnFailure, Sink};

/// Lines that may wait to be written before new flows wait too: some seconds of a busy gate.
const QUEUE: usize = 16_384;

/// How long a new flow waits for room.
const ADMIT_TIMEOUT: Duration = Duration::from_secs(5);

/// How long [`Log::flush`] waits: a disk that does not answer must not keep the gate from stopping.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(5);

/// The audit log cannot be written, and the gate is to refuse what it cannot record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the audit log cannot be written")]
pub struct Unwritable;

/// Whether the log could be opened as [`Log::start`] does it; no file is made.
///
/// # Errors
/// When it could not.
pub(super) fn rehearse(audit: &Audit) -> io::Result<()> {
    match &audit.sink {
        Sink::File(path) => file::rehearse(path),
        Sink::StandardOutput | Sink::Off => Ok(()),
    }
}

/// The audit log; cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Log {
    writer: Option<mpsc::Sender<Message>>,
    state: Arc<State>,
}

/// What the writer is told.
#[derive(Debug)]
enum Message {
    /// A whole line, its newline included.
    Line(Vec<u8>),
    /// Look whether the file was moved away.
    Reopen,
    /// Write everything before this, then answer whether that worked.
    Flush(oneshot::Sender<bool>),
}

/// What the writer and those who queue share.
#[derive(Debug)]
struct State {
    on_failure: OnFailure,
    capacity: usize,
    /// Lines queued and not yet written.
    waiting: AtomicUsize,
    failing: AtomicBool,
    /// Told when there is room again, or the log fails or recovers.
    changed: Notify,
    errors: IntCounter,
    lost: IntCounter,
}

impl Log {
    /// Opens the log and starts its writer.
    ///
    /// # Errors
    /// When the file cannot be opened for appending.
    pub(super) fn start(audit: &Audit, errors: IntCounter, lost: IntCounter) -> io::Result<Self> {
        Self::with_capacity(audit, errors, lost, QUEUE)
    }

    fn with_capacity(
        audit: &Audit,
        errors: IntCounter,
        lost: IntCounter,
        capacity: usize,
    ) -> io::Result<Self> {
        let state = Arc::new(State {
            on_failure: audit.on_failure,
            capacity,
            waiting: AtomicUsize::new(0),
            failing: AtomicBool::new(false),
            changed: Notify::new(),
            errors,
            lost,
        });
        let writer = match &audit.sink {
            Sink::Off => None,
            Sink::File(_) | Sink::StandardOutput => Some(writer::start(audit, Arc::clone(&state))?),
        };
        Ok(Self { writer, state })
    }

    /// Whether lines go anywhere.
    pub(super) fn is_on(&self) -> bool {
        self.writer.is_some()
    }

    /// Whether flows are let in, as far as failures are concerned.
    pub(super) fn is_writable(&self) -> bool {
        self.state.on_failure == OnFailure::Serve || !self.state.failing.load(Ordering::Acquire)
    }

    /// Waits until a new flow may begin.
    pub(super) async fn admit(&self) -> Result<(), Unwritable> {
        let state = &*self.state;
        if state.has_room() {
            return Ok(());
        }
        let waited = tokio::time::timeout(ADMIT_TIMEOUT, state.room()).await;
        match (waited, state.on_failure) {
            (Ok(Ok(())), _) | (_, OnFailure::Serve) => Ok(()),
            _ => Err(Unwritable),
        }
    }

    /// Queues a line, its newline included.
    pub(super) fn line(&self, line: Vec<u8>) {
        let Some(writer) = &self.writer else { return };
        let waiting = self.state.waiting.fetch_add(1, Ordering::AcqRel);
        // A flow that was admitted may still write its two lines, so the hard bound is higher.
        let full = waiting >= self.state.capacity * 2;
        let drop_it = full && self.state.on_failure == OnFailure::Serve;
        if drop_it || writer.send(Message::Line(line)).is_err() {
            self.state.lost.inc();
            self.state.waiting.fetch_sub(1, Ordering::AcqRel);
        }
    }

    /// Opens the file anew if it was moved away (log rotation).
    pub(super) fn reopen(&self) {
        if let Some(writer) = &self.writer {
            let gone = writer.send(Message::Reopen).is_err();
            debug_assert!(!gone, "the writer lives as long as its last sender");
        }
    }

    /// Writes everything queued before this call; whether that worked.
    pub(super) async fn flush(&self) -> bool {
        let Some(writer) = &self.writer else {
            return true;
        };
        let (answer, answered) = oneshot::channel();
        if writer.send(Message::Flush(answer)).is_err() {
            return false;
        }
        matches!(
            tokio::time::timeout(FLUSH_TIMEOUT, answered).await,
            Ok(Ok(true))
        )
    }
}

impl State {
    fn has_room(&self) -> bool {
        !self.failing.load(Ordering::Acquire)
            && self.waiting.load(Ordering::Acquire) < self.capacity
    }

    async fn room(&self) -> Result<(), Unwritable> {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            // Registered before the look, so that no change in between is missed.
            changed.as_mut().enable();
            if self.failing.load(Ordering::Acquire) {
                return Err(Unwritable);
            }
            if self.has_room() {
                return Ok(());
            }
            changed.await;
        }
    }

    /// These lines stand in the file.
    fn written(&self, lines: usize) {
        self.waiting.fetch_sub(lines, Ordering::AcqRel);
    }

    /// Everything that was pending is written.
    fn works(&self) {
        if self.failing.swap(false, Ordering::AcqRel) {
            tracing::warn!("the audit log can be written again");
        }
        self.changed.notify_waiters();
    }

    fn failed(&self, error: &io::Error, what: &str) {
        self.errors.inc();
        if !self.failing.swap(true, Ordering::AcqRel) {
            let consequence = match self.on_failure {
                OnFailure::Refuse => "new flows are refused until it can",
                OnFailure::Serve => "flows go on, lines may be lost",
            };
            tracing::error!(%error, audit = what, "the audit log cannot be written: {consequence}");
        }
        self.changed.notify_waiters();
    }

    /// Counts and says what failed and does not keep lines from being written.
    fn complain(&self, error: &io::Error, path: &str, what: &str) {
        self.errors.inc();
        tracing::error!(%error, audit = path, "{what}");
    }

    fn lose(&self, lines: usize) {
        self.lost.inc_by(lines as u64);
        self.waiting.fetch_sub(lines, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests;

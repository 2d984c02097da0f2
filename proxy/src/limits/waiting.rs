//! Who waits, and who goes when there is no room: the one that has waited longest.
//!
//! A connection waits while it has no flow under way: from its first byte or handshake until its request is read, and
//! again behind each answer. Such a one has a place among all, and gives it up to a newcomer when the gate is full:
//! whoever connects and says nothing cannot keep out those who do.
//!
//! It is the oldest, not one of the source that has most of them: that way every newcomer has as long as it takes for
//! as many others to come, a network behind one address is not worse off than one that is not, and to keep the line
//! costs two links. What one source may take is `limits.per_source`.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::{Duration, Instant};

use tokio::sync::Notify;

/// Nobody is sent away before: a gate that is full of true work must not let newcomers push each other out before
/// one of them has said what it wants. Longer than a handshake over TLS from overseas.
pub const GRACE: Duration = Duration::from_millis(500);

/// No place in the line.
const NOWHERE: u32 = u32::MAX;
/// Sent away.
const DISPLACED: u32 = u32::MAX - 1;

/// A connection as the line knows it, for as long as it is open.
#[derive(Debug)]
pub struct Visit {
    line: Arc<Line>,
    /// Its node in the line, [`NOWHERE`] or [`DISPLACED`]; written under the lock of the line alone.
    at: AtomicU32,
    has_asked: AtomicBool,
    displaced: Notify,
}

/// The proof that a connection has a flow under way: it is not displaced, and waits again once this is dropped.
#[derive(Debug)]
pub struct Engaged(Arc<Visit>);

/// Another connection got its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Displaced;

impl Visit {
    /// Takes the connection out of the line, for a flow; `None` if it was displaced a moment ago.
    #[must_use]
    pub fn engage(self: &Arc<Self>) -> Option<Engaged> {
        let mut queue = self.line.lock();
        match self.at.load(Ordering::Relaxed) {
            DISPLACED => return None,
            NOWHERE => {}
            at => queue.remove(at),
        }
        self.at.store(NOWHERE, Ordering::Relaxed);
        self.has_asked.store(true, Ordering::Relaxed);
        Some(Engaged(Arc::clone(self)))
    }

    /// Whether it has had a flow.
    #[must_use]
    pub fn has_asked(&self) -> bool {
        self.has_asked.load(Ordering::Relaxed)
    }

    /// Lets `serve` go on until it ends or the connection is displaced; then drop it where it stands. It is taken where
    /// it is pinned: moved in here, every connection would hold room for it twice.
    ///
    /// # Errors
    /// [`Displaced`].
    pub async fn unless_displaced<T>(
        &self,
        mut serve: Pin<&mut (impl Future<Output = T> + ?Sized)>,
    ) -> Result<T, Displaced> {
        let mut displaced = pin!(self.displaced.notified());
        poll_fn(|cx| {
            if let Poll::Ready(served) = serve.as_mut().poll(cx) {
                return Poll::Ready(Ok(served));
            }
            if self.at.load(Ordering::Relaxed) == NOWHERE {
                // With a flow under way nobody displaces it, and it must cost nothing.
                return Poll::Pending;
            }
            displaced.as_mut().poll(cx).map(|()| Err(Displaced))
        })
        .await
    }

    /// Puts the connection at the end of the line.
    pub(super) fn wait(self: &Arc<Self>) {
        let mut queue = self.line.lock();
        if self.at.load(Ordering::Relaxed) == NOWHERE {
            self.at
                .store(queue.push(Arc::clone(self)), Ordering::Relaxed);
        }
    }

    /// Takes the connection out of the line for good; whether it was displaced before.
    pub(super) fn leave(&self) -> bool {
        let mut queue = self.line.lock();
        match self.at.load(Ordering::Relaxed) {
            DISPLACED => return true,
            NOWHERE => {}
            at => queue.remove(at),
        }
        self.at.store(NOWHERE, Ordering::Relaxed);
        false
    }
}

impl Drop for Engaged {
    fn drop(&mut self) {
        self.0.wait();
    }
}

/// All that wait, in the order in which they began to.
#[derive(Debug, Default)]
pub(super) struct Line(Mutex<Queue>);

impl Line {
    /// A connection that does not wait yet.
    pub(super) fn visit(self: &Arc<Self>) -> Arc<Visit> {
        Arc::new(Visit {
            line: Arc::clone(self),
            at: AtomicU32::new(NOWHERE),
            has_asked: AtomicBool::new(false),
            displaced: Notify::new(),
        })
    }

    /// Sends the one away that has waited longest, if that is for [`GRACE`] at least; whether there was one.
    pub(super) fn displace(&self, now: Instant) -> bool {
        let mut queue = self.lock();
        let Some(visit) = queue.oldest(now) else {
            return false;
        };
        queue.remove(visit.at.swap(DISPLACED, Ordering::Relaxed));
        drop(queue);
        visit.displaced.notify_one();
        true
    }

    /// How many wait.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        let mut queue = self.lock();
        let (mut count, mut at) = (0, queue.first);
        while let Some(node) = queue.node(at) {
            (count, at) = (count + 1, node.after);
        }
        count
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        // Nothing in it panics half-way.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A doubly linked list in a table: to join, to leave from anywhere and to find the first take the same few steps
/// however long it is.
#[derive(Debug)]
struct Queue {
    nodes: Vec<Node>,
    /// Nodes without a connection, linked by `after`.
    free: u32,
    first: u32,
    last: u32,
}

#[derive(Debug)]
struct Node {
    waiter: Option<(Arc<Visit>, Instant)>,
    before: u32,
    after: u32,
}

impl Default for Queue {
    fn default() -> Self {
        Self {
            nodes: Vec::new(),
            free: NOWHERE,
            first: NOWHERE,
            last: NOWHERE,
        }
    }
}

impl Queue {
    fn push(&mut self, visit: Arc<Visit>) -> u32 {
        let node = Node {
            waiter: Some((visit, Instant::now())),
            before: self.last,
            after: NOWHERE,
        };
        let at = match self.node(self.free) {
            Some(free) => {
                let next = free.after;
                *free = node;
                std::mem::replace(&mut self.free, next)
            }
            None => {
                self.nodes.push(node);
                // Descriptors end long before.
                u32::try_from(self.nodes.len() - 1).unwrap_or(NOWHERE)
            }
        };
        match self.node(self.last) {
            Some(last) => last.after = at,
            None => self.first = at,
        }
        self.last = at;
        at
    }

    fn remove(&mut self, at: u32) {
        let free = self.free;
        let Some(node) = self.node(at) else { return };
        if node.waiter.take().is_none() {
            return;
        }
        let (before, after) = (node.before, node.after);
        node.after = free;
        self.free = at;
        match self.node(before) {
            Some(node) => node.after = after,
            None => self.first = after,
        }
        match self.node(after) {
            Some(node) => node.before = before,
            None => self.last = before,
        }
    }

    fn oldest(&mut self, now: Instant) -> Option<Arc<Visit>> {
        let first = self.first;
        let (visit, since) = self.node(first)?.waiter.as_ref()?;
        (now.saturating_duration_since(*since) >= GRACE).then(|| Arc::clone(visit))
    }

    fn node(&mut self, at: u32) -> Option<&mut Node> {
        self.nodes.get_mut(usize::try_from(at).ok()?)
    }
}

#[cfg(test)]
mod tests;

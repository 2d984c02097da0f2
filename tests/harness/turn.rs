//! Tests with figures run alone; all others side by side.

use std::cell::Cell;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Who runs, and who waits.
struct Turns {
    together: usize,
    is_alone: bool,
    /// How many wait to be alone: tests that begin wait behind them.
    waiting: usize,
}

static TURNS: Mutex<Turns> = Mutex::new(Turns {
    together: 0,
    is_alone: false,
    waiting: 0,
});
static CHANGED: Condvar = Condvar::new();

thread_local! {
    /// The test of this thread has begun: it has a thread of its own.
    static HAS_BEGUN: Cell<bool> = const { Cell::new(false) };
}

fn turns() -> MutexGuard<'static, Turns> {
    TURNS.lock().unwrap_or_else(PoisonError::into_inner)
}

fn wait_while(
    turns: MutexGuard<'static, Turns>,
    is_so: impl Fn(&Turns) -> bool,
) -> MutexGuard<'static, Turns> {
    let waited = CHANGED.wait_while(turns, |turns| is_so(turns));
    waited.unwrap_or_else(PoisonError::into_inner)
}

/// A test that runs beside others, until it is dropped. One test may hold several; only for the first of them does
/// it wait behind those that want to be alone.
#[derive(Debug)]
pub(crate) struct Together(());

impl Together {
    pub(crate) fn take() -> Self {
        let begins = !HAS_BEGUN.replace(true);
        let is_kept_out = |turns: &Turns| turns.is_alone || (begins && turns.waiting > 0);
        wait_while(turns(), is_kept_out).together += 1;
        Self(())
    }
}

impl Drop for Together {
    fn drop(&mut self) {
        turns().together -= 1;
        CHANGED.notify_all();
    }
}

/// A test beside which no other runs, until it is dropped.
#[derive(Debug)]
pub(crate) struct Alone(());

impl Alone {
    pub(crate) fn take() -> Self {
        let mut turns = turns();
        turns.waiting += 1;
        let mut turns = wait_while(turns, |turns| turns.together > 0 || turns.is_alone);
        turns.waiting -= 1;
        turns.is_alone = true;
        Self(())
    }
}

impl Drop for Alone {
    fn drop(&mut self) {
        turns().is_alone = false;
        CHANGED.notify_all();
    }
}

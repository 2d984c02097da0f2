//! So many lines a second and no more, and how many were not written: an attack must not fill the audit log.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

const SECOND: Duration = Duration::from_secs(1);

/// Lines that may be written.
#[derive(Debug)]
pub(super) struct Ration {
    a_second: u32,
    used: Mutex<Used>,
}

#[derive(Debug, Default)]
struct Used {
    /// The second that is counted.
    since: Option<Instant>,
    written: u32,
    unwritten: u64,
}

impl Ration {
    pub(super) fn new(a_second: u32) -> Self {
        let used = Mutex::default();
        Self { a_second, used }
    }

    /// Whether a line may be written, and then how many were not since the last one.
    pub(super) fn take(&self, now: Instant) -> Option<u64> {
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        let is_over = |since: Instant| now.saturating_duration_since(since) >= SECOND;
        if used.since.is_none_or(is_over) {
            used.since = Some(now);
            used.written = 0;
        }
        if used.written == self.a_second {
            used.unwritten += 1;
            return None;
        }
        used.written += 1;
        Some(std::mem::take(&mut used.unwritten))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_written_is_told_with_the_next_line() {
        let ration = Ration::new(2);
        let begin = Instant::now();
        let taken = |milliseconds| ration.take(begin + Duration::from_millis(milliseconds));
        assert_eq!([0, 1, 2, 999].map(taken), [Some(0), Some(0), None, None]);
        assert_eq!([1000, 1001, 1002].map(taken), [Some(2), Some(0), None]);
        assert_eq!(taken(9000), Some(1));
    }
}

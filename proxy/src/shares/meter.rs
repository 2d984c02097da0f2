//! Two counts of one holder, without a lock: flows under way, and a bucket of flows to begin.
//!
//! The bucket is kept as one instant, the one at which it is full again (the generic cell rate
//! algorithm): each flow moves it on by the time that one flow takes at the rate allowed, and it
//! may lie no further ahead than the bucket is deep.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use super::Kind;

const SECOND: u64 = 1_000_000_000;

/// An instant: nanoseconds of the monotonic clock since the gate began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Now(pub(super) u64);

/// What one holder may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Figure {
    under_way: Option<usize>,
    rate: Option<Rate>,
}

/// A rate, and how much of it can be saved up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Rate {
    a_second: usize,
    /// Nanoseconds between two flows at this rate.
    interval: u64,
    /// Nanoseconds that a full bucket lasts.
    depth: u64,
}

/// Why there is no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Full {
    /// Too many are under way.
    UnderWay,
    /// Too many began of late; the next may begin after so long.
    TooFast(Duration),
}

/// Which figure was reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Refused {
    pub(super) full: Full,
    pub(super) most: usize,
}

/// What one holder uses.
#[derive(Debug, Default)]
pub(super) struct Meter {
    under_way: AtomicUsize,
    /// When the bucket is full again.
    full_at: AtomicU64,
}

impl Figure {
    pub(super) fn new(under_way: Option<usize>, a_second: Option<usize>, burst: Duration) -> Self {
        let rate = a_second.map(|a_second| Rate::new(a_second, burst));
        Self { under_way, rate }
    }

    pub(super) fn is_unlimited(&self) -> bool {
        self.under_way.is_none() && self.rate.is_none()
    }
}

impl Rate {
    /// The bucket holds what `burst` allows for, and one flow at least.
    fn new(a_second: usize, burst: Duration) -> Self {
        let interval = (SECOND / (a_second as u64).max(1)).max(1);
        let burst = u64::try_from(burst.as_nanos()).unwrap_or(u64::MAX);
        let depth = burst.max(interval);
        Self {
            a_second,
            interval,
            depth,
        }
    }
}

impl Meter {
    /// One flow more.
    pub(super) fn take(&self, figure: &Figure, now: Now) -> Result<(), Refused> {
        self.enter(figure.under_way)?;
        let Some(rate) = &figure.rate else {
            return Ok(());
        };
        self.begin(rate, now).map_err(|wait| {
            self.leave();
            Refused {
                full: Full::TooFast(wait),
                most: rate.a_second,
            }
        })
    }

    /// One flow less.
    pub(super) fn leave(&self) {
        self.under_way.fetch_sub(1, Ordering::Relaxed);
    }

    /// The last flow did not begin after all. It still has to leave.
    pub(super) fn give_back(&self, figure: &Figure) {
        if let Some(rate) = &figure.rate {
            // An instant that lies before now counts as now, so no harm is done if time went on.
            self.full_at.fetch_sub(rate.interval, Ordering::Relaxed);
        }
    }

    /// Something is under way.
    pub(super) fn is_used(&self) -> bool {
        self.under_way.load(Ordering::Relaxed) > 0
    }

    /// Nothing is under way, and nothing remembered.
    pub(super) fn is_idle(&self, now: Now) -> bool {
        !self.is_used() && self.full_at.load(Ordering::Relaxed) <= now.0
    }

    /// How near each limit is.
    pub(super) fn usage(&self, figure: &Figure, now: Now) -> impl Iterator<Item = (Kind, f64)> {
        let under_way = figure.under_way.map(|most| {
            let count = self.under_way.load(Ordering::Relaxed);
            (Kind::Flows, count as f64 / most as f64)
        });
        let begun = figure.rate.map(|rate| {
            let spent = self.full_at.load(Ordering::Relaxed).saturating_sub(now.0);
            (Kind::NewFlows, spent as f64 / rate.depth as f64)
        });
        under_way.into_iter().chain(begun)
    }

    fn enter(&self, most: Option<usize>) -> Result<(), Refused> {
        let most = most.unwrap_or(usize::MAX);
        let room = |count| (count < most).then_some(count + 1);
        let moved = self
            .under_way
            .try_update(Ordering::Relaxed, Ordering::Relaxed, room);
        let full = Full::UnderWay;
        moved.map(drop).map_err(|_| Refused { full, most })
    }

    fn begin(&self, rate: &Rate, now: Now) -> Result<(), Duration> {
        let moved = self
            .full_at
            .try_update(Ordering::Relaxed, Ordering::Relaxed, |full_at| {
                let next = full_at.max(now.0) + rate.interval;
                (next - now.0 <= rate.depth).then_some(next)
            });
        moved.map(drop).map_err(|full_at| {
            Duration::from_nanos((full_at + rate.interval).saturating_sub(now.0 + rate.depth))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figure(under_way: Option<usize>, a_second: Option<usize>, burst: u64) -> Figure {
        Figure::new(under_way, a_second, Duration::from_secs(burst))
    }

    fn at(milliseconds: u64) -> Now {
        Now(milliseconds * 1_000_000)
    }

    /// How many can begin at an instant.
    fn begun(meter: &Meter, figure: &Figure, now: Now) -> usize {
        (0..1000)
            .take_while(|_| meter.take(figure, now).is_ok())
            .count()
    }

    #[test]
    fn a_full_bucket_empties_at_once_and_fills_at_the_rate() {
        let (meter, figure) = (Meter::default(), figure(None, Some(10), 5));
        assert_eq!(begun(&meter, &figure, at(0)), 50);
        for (time, more) in [(99, 0), (100, 1), (350, 2), (1000, 7), (1_000_000, 50)] {
            assert_eq!(begun(&meter, &figure, at(time)), more, "{time} ms");
        }
    }

    #[test]
    fn the_wait_that_is_told_is_the_true_one() {
        let (meter, figure) = (Meter::default(), figure(None, Some(2), 1));
        assert_eq!(begun(&meter, &figure, at(0)), 2);
        let refused = meter.take(&figure, at(100)).unwrap_err();
        let wait = Duration::from_millis(400);
        assert_eq!(
            refused,
            Refused {
                full: Full::TooFast(wait),
                most: 2
            }
        );
        assert!(meter.take(&figure, at(499)).is_err());
        assert!(meter.take(&figure, at(500)).is_ok());
    }

    #[test]
    fn a_slow_rate_still_lets_one_begin() {
        let (meter, figure) = (Meter::default(), figure(None, Some(1), 1));
        assert_eq!(begun(&meter, &figure, at(0)), 1);
        assert_eq!(begun(&meter, &figure, at(1000)), 1);
    }

    #[test]
    fn who_is_refused_leaves_no_trace() {
        let (meter, figure) = (Meter::default(), figure(Some(3), Some(100), 1));
        assert_eq!(begun(&meter, &figure, at(0)), 3);
        let most = 3;
        for _ in 0..1000 {
            let refused = meter.take(&figure, at(0)).unwrap_err();
            assert_eq!(
                refused,
                Refused {
                    full: Full::UnderWay,
                    most
                }
            );
        }
        meter.leave();
        assert!(
            meter.take(&figure, at(0)).is_ok(),
            "the refusals cost no rate"
        );
        (0..3).for_each(|_| meter.leave());
        assert!(!meter.is_idle(at(0)));
        assert!(meter.is_idle(at(40)));
    }

    #[test]
    fn what_is_given_back_can_be_taken_again() {
        let (meter, figure) = (Meter::default(), figure(None, Some(1), 1));
        for _ in 0..5 {
            meter.take(&figure, at(7)).unwrap();
            meter.give_back(&figure);
            meter.leave();
        }
        assert!(meter.is_idle(at(7)));
    }

    #[test]
    fn usage_is_one_when_the_next_is_refused() {
        let (meter, figure) = (Meter::default(), figure(Some(100), Some(10), 5));
        let usage = || meter.usage(&figure, at(0)).collect::<Vec<_>>();
        assert_eq!(usage(), [(Kind::Flows, 0.0), (Kind::NewFlows, 0.0)]);
        assert_eq!(begun(&meter, &figure, at(0)), 50);
        assert_eq!(usage(), [(Kind::Flows, 0.5), (Kind::NewFlows, 1.0)]);
    }

    #[test]
    fn threads_together_take_no_more_than_there_is() {
        let (meter, figure) = (Meter::default(), figure(Some(100), Some(1000), 1));
        let taken: usize = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4)
                .map(|_| scope.spawn(|| begun(&meter, &figure, at(0))))
                .collect();
            threads
                .into_iter()
                .map(|thread| thread.join().unwrap())
                .sum()
        });
        assert_eq!(taken, 100);
    }
}

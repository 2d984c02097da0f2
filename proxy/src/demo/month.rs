//! The month at speed: days of 24 hours, of which each takes seconds.

use std::fmt;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// Days of a month; the first is a Monday.
pub(super) const DAYS: u32 = 30;
/// Minutes of a day.
const DAY: u32 = 24 * 60;
const WEEKDAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];

/// Minutes since the month began.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Minute(u32);

/// A day of the month, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Day {
    pub(super) number: u32,
}

impl Day {
    pub(super) fn new(number: u32) -> Self {
        Self { number }
    }

    pub(super) fn is_weekend(self) -> bool {
        (self.number - 1) % 7 >= 5
    }

    pub(super) fn is_in(self, days: std::ops::Range<u32>) -> bool {
        days.contains(&self.number)
    }

    /// A minute of it.
    pub(super) fn at(self, minute: u32) -> Minute {
        Minute((self.number - 1) * DAY + minute)
    }
}

impl Minute {
    fn day(self) -> Day {
        Day::new(self.0 / DAY + 1)
    }
}

impl fmt::Display for Minute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let day = self.day().number;
        let weekday = WEEKDAYS[(day as usize - 1) % WEEKDAYS.len()];
        let (hour, minute) = (self.0 % DAY / 60, self.0 % 60);
        write!(f, "{weekday} {day:>2}, {hour:02}:{minute:02}")
    }
}

/// When the minutes of a month come.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    began: Instant,
    /// How long a month takes.
    month: Duration,
}

impl Clock {
    /// A month that begins now.
    pub(super) fn start(month: Duration) -> Self {
        let began = Instant::now();
        Self { began, month }
    }

    /// How long so many days take.
    pub(super) fn days(&self, days: u32) -> Duration {
        self.month * days / DAYS
    }

    /// Waits for a minute; not at all if it has passed.
    pub(super) async fn until(&self, minute: Minute) {
        let share = self
            .month
            .mul_f64(f64::from(minute.0) / f64::from(DAYS * DAY));
        sleep_until(self.began + share).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_have_names_and_weekends_rest() {
        let say = |day, minute| Day::new(day).at(minute).to_string();
        assert_eq!(say(1, 0), "Mon  1, 00:00");
        assert_eq!(say(30, 18 * 60 + 5), "Tue 30, 18:05");
        let weekend: Vec<u32> = (1..=14).filter(|&day| Day::new(day).is_weekend()).collect();
        assert_eq!(weekend, [6, 7, 13, 14]);
    }
}

//! When a fact holds: a half-open span of instants, judged at the instant of the request.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use thiserror::Error;

/// From when (inclusive) until when (exclusive) something holds; an open end holds for ever.
///
/// Dates in a bundle are whole days in UTC: `until: 2027-02-28` holds through the last second of that day.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Validity {
    /// First instant at which it holds; `None` = always held.
    pub from: Option<Timestamp>,
    /// First instant at which it no longer holds; `None` = no end.
    pub until: Option<Timestamp>,
}

impl Validity {
    /// Holds at every instant.
    pub const ALWAYS: Self = Self {
        from: None,
        until: None,
    };

    /// Whether it holds at `at`.
    #[must_use]
    pub fn holds(&self, at: Timestamp) -> bool {
        self.from.is_none_or(|from| from <= at) && self.until.is_none_or(|until| at < until)
    }

    /// The first instant after `after` at which it begins or ends to hold.
    #[must_use]
    pub fn next_change(&self, after: Timestamp) -> Option<Timestamp> {
        let changes = [self.from, self.until].into_iter().flatten();
        changes.filter(|&change| change > after).min()
    }

    /// Whether it held before `at` and holds no more.
    #[must_use]
    pub fn is_past(&self, at: Timestamp) -> bool {
        self.until.is_some_and(|until| until <= at)
    }
}

/// A day or an instant that could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("not a date")]
pub struct DateError;

/// A point in time as written in a bundle: a day (UTC) or an RFC 3339 instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// `2026-09-01`
    Day(Date),
    /// `2026-09-01T08:00:00+02:00`
    Instant(Timestamp),
}

impl Moment {
    /// Reads `YYYY-MM-DD` or an RFC 3339 instant.
    ///
    /// # Errors
    /// [`DateError`] when it is neither.
    pub fn parse(text: &str) -> Result<Self, DateError> {
        if text.len() == 10 {
            return text.parse().map(Moment::Day).map_err(|_| DateError);
        }
        text.parse().map(Moment::Instant).map_err(|_| DateError)
    }

    /// The first instant of it: midnight UTC of a day.
    #[must_use]
    pub fn start(self) -> Timestamp {
        match self {
            Moment::Day(day) => midnight(day),
            Moment::Instant(instant) => instant,
        }
    }

    /// The first instant after it: midnight UTC of the following day.
    #[must_use]
    pub fn end(self) -> Timestamp {
        match self {
            Moment::Day(day) => day.tomorrow().map_or(Timestamp::MAX, midnight),
            Moment::Instant(instant) => instant,
        }
    }

    /// The day (UTC) it falls on.
    #[must_use]
    pub fn day(self) -> Date {
        match self {
            Moment::Day(day) => day,
            Moment::Instant(instant) => instant.to_zoned_datetime(TimeZone::UTC).date(),
        }
    }
}

fn midnight(day: Date) -> Timestamp {
    day.to_zoned_datetime(TimeZone::UTC)
        .map_or(Timestamp::MAX, |zoned| zoned.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn a_day_holds_through_its_last_second() {
        let validity = Validity {
            from: Some(Moment::parse("2026-09-01").unwrap().start()),
            until: Some(Moment::parse("2027-02-28").unwrap().end()),
        };
        for (instant, holds) in [
            ("2026-08-31T23:59:59Z", false),
            ("2026-09-01T00:00:00Z", true),
            ("2027-02-28T23:59:59Z", true),
            ("2027-03-01T00:00:00Z", false),
        ] {
            assert_eq!(validity.holds(at(instant)), holds, "{instant}");
        }
        assert!(validity.is_past(at("2027-03-01T00:00:00Z")));
    }

    #[test]
    fn the_next_change_is_the_next_bound_and_none_when_both_are_over() {
        let bounded = |from: Option<&str>, until: Option<&str>| Validity {
            from: from.map(at),
            until: until.map(at),
        };
        let (begin, end) = ("2026-09-01T00:00:00Z", "2026-10-01T00:00:00Z");
        let whole = bounded(Some(begin), Some(end));
        for (validity, after, expect) in [
            (whole, "2026-08-31T23:59:59Z", Some(begin)),
            (whole, begin, Some(end)),
            (whole, "2026-09-30T23:59:59.999Z", Some(end)),
            (whole, end, None),
            (bounded(None, Some(end)), "2026-08-31T00:00:00Z", Some(end)),
            (
                bounded(Some(begin), None),
                "2026-08-31T00:00:00Z",
                Some(begin),
            ),
            (bounded(Some(begin), None), begin, None),
            (Validity::ALWAYS, begin, None),
        ] {
            assert_eq!(validity.next_change(at(after)), expect.map(at), "{after}");
        }
    }

    #[test]
    fn odd_dates_are_refused() {
        for text in [
            "",
            "2026-13-01",
            "2026-02-30",
            "01/09/2026",
            "2026-9-1",
            "soon",
            "2026-09-01T08:00",
        ] {
            assert!(Moment::parse(text).is_err(), "{text}");
        }
    }
}

//! Durations and sizes as people write them: a whole number and its unit, `5s`, `64KiB`.

use std::fmt;
use std::time::Duration;

use thiserror::Error;

/// Why a duration or a size could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum UnitError {
    /// Nothing but a number.
    #[error("has no unit")]
    NoUnit,
    /// No whole number before the unit.
    #[error("does not start with a whole number")]
    NoNumber,
    /// A unit that is not in the table.
    #[error("has an unknown unit")]
    UnknownUnit,
    /// More than 64 bits hold.
    #[error("is too large")]
    TooLarge,
}

const DURATION_UNITS: [(&str, u64); 5] = [
    ("ms", 1),
    ("s", 1_000),
    ("m", 60_000),
    ("h", 3_600_000),
    ("d", 86_400_000),
];

const SIZE_UNITS: [(&str, u64); 4] = [
    ("B", 1),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
];

/// The remedy for a duration that could not be read.
pub(super) const DURATION_HELP: &str =
    "write a whole number and one of `ms`, `s`, `m`, `h`, `d`, as in `250ms` or `5m`";

/// The remedy for a size that could not be read.
pub(super) const SIZE_HELP: &str =
    "write a whole number and one of `B`, `KiB`, `MiB`, `GiB`, as in `64KiB`";

/// Reads a duration: `250ms`, `5s`, `5m`, `1h`, `7d`.
///
/// # Errors
/// [`UnitError`] says what is wrong with it.
pub fn parse_duration(text: &str) -> Result<Duration, UnitError> {
    scaled(text, &DURATION_UNITS).map(Duration::from_millis)
}

/// Reads a size in bytes: `512B`, `64KiB`, `256MiB`, `1GiB`.
///
/// # Errors
/// [`UnitError`] says what is wrong with it.
pub fn parse_size(text: &str) -> Result<u64, UnitError> {
    scaled(text, &SIZE_UNITS)
}

fn scaled(text: &str, units: &[(&str, u64)]) -> Result<u64, UnitError> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    if number.is_empty() {
        return Err(UnitError::NoNumber);
    }
    if unit.is_empty() {
        return Err(UnitError::NoUnit);
    }
    let known = units.iter().find(|(name, _)| *name == unit);
    let (_, scale) = known.ok_or(UnitError::UnknownUnit)?;
    let number: u64 = number.parse().map_err(|_| UnitError::TooLarge)?;
    number.checked_mul(*scale).ok_or(UnitError::TooLarge)
}

/// A duration in the largest unit that divides it.
pub(super) struct ShownDuration(pub(super) Duration);

/// A size in the largest unit that divides it.
pub(super) struct ShownSize(pub(super) u64);

impl fmt::Display for ShownDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX);
        show(f, millis, &DURATION_UNITS)
    }
}

impl fmt::Display for ShownSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        show(f, self.0, &SIZE_UNITS)
    }
}

fn show(f: &mut fmt::Formatter<'_>, value: u64, units: &[(&str, u64)]) -> fmt::Result {
    let divides = |(_, scale): &&(&str, u64)| value != 0 && value.is_multiple_of(*scale);
    let (unit, scale) = units.iter().rev().find(divides).unwrap_or(&units[0]);
    write!(f, "{}{unit}", value / scale)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_and_sizes_are_read_with_their_unit() {
        for (text, millis) in [
            ("250ms", 250),
            ("5s", 5_000),
            ("5m", 300_000),
            ("1h", 3_600_000),
            ("7d", 604_800_000),
        ] {
            let duration = parse_duration(text).unwrap();
            assert_eq!(duration, Duration::from_millis(millis), "{text}");
            assert_eq!(ShownDuration(duration).to_string(), text);
        }
        for (text, bytes) in [
            ("512B", 512),
            ("64KiB", 65_536),
            ("256MiB", 268_435_456),
            ("1GiB", 1 << 30),
        ] {
            assert_eq!(parse_size(text), Ok(bytes), "{text}");
            assert_eq!(ShownSize(bytes).to_string(), text);
        }
    }

    #[test]
    fn what_has_no_clear_unit_is_refused() {
        for (text, error) in [
            ("5", UnitError::NoUnit),
            ("", UnitError::NoNumber),
            ("s", UnitError::NoNumber),
            ("-5s", UnitError::NoNumber),
            ("1.5s", UnitError::UnknownUnit),
            ("5 s", UnitError::UnknownUnit),
            ("5S", UnitError::UnknownUnit),
            ("5min", UnitError::UnknownUnit),
            ("99999999999999999999s", UnitError::TooLarge),
            ("18446744073709551615d", UnitError::TooLarge),
        ] {
            assert_eq!(parse_duration(text), Err(error), "{text}");
        }
        for text in ["64K", "64KB", "64kib", "64"] {
            assert!(parse_size(text).is_err(), "{text}");
        }
    }
}

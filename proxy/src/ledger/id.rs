//! The incident id: what a refused person reads out, and what the log is searched for.

use std::fmt;
use std::str::FromStr;

use rustls::crypto::SecureRandom;
use serde::{Serialize, Serializer};
use thiserror::Error;

/// Identifies one flow in the log, the answer to the client and the refusal page.
///
/// 80 random bits, so that nobody guesses another's; shown in Crockford's base 32, which has no
/// letter that is taken for a digit: `7ZQ4-0M1K-TXBE-93RA`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FlowId([u8; 10]);

const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// Letters in all.
const LETTERS: usize = 16;

/// Letters in a group.
const GROUP: usize = 4;

impl FlowId {
    /// Draws one from the system's random numbers.
    pub(crate) fn draw() -> Self {
        let mut bits = [0; 10];
        let random = RANDOM.fill(&mut bits);
        if random.is_err() {
            tracing::error!("the system gives no random numbers: an incident id may repeat");
        }
        Self(bits)
    }

    fn letters(self) -> impl Iterator<Item = char> {
        let mut wide = [0; 16];
        wide[6..].copy_from_slice(&self.0);
        let number = u128::from_be_bytes(wide);
        let letter = move |at: u32| ALPHABET[(number >> (5 * (15 - at))) as usize % 32] as char;
        (0..16).map(letter)
    }
}

static RANDOM: std::sync::LazyLock<&'static dyn SecureRandom> =
    std::sync::LazyLock::new(|| rustls::crypto::ring::default_provider().secure_random);

/// Before the number in answers to programs (RFC 9457 section 3.1.5).
pub const URN: &str = "urn:octroi:incident:";

/// A text that is no incident number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum IdError {
    /// A letter or sign that no number has.
    #[error("no incident number has a `{0}`")]
    Letter(char),
    /// Too many letters, or too few.
    #[error("an incident number has 16 letters and digits, and there are {0}")]
    Length(usize),
}

impl FromStr for FlowId {
    type Err = IdError;

    /// Reads what a person read out: small letters, blanks and any dashes or none, and by
    /// Crockford's rules O for 0, I and L for 1. What programs copy, the URN, is read as well.
    fn from_str(text: &str) -> Result<Self, IdError> {
        let text = text.trim();
        let text = text.strip_prefix(URN).unwrap_or(text);
        let (mut number, mut letters) = (0u128, 0);
        let between = |c: char| {
            c.is_whitespace()
                || matches!(
                    c,
                    '-' | '_' | '\u{ad}' | '\u{2010}'..='\u{2015}' | '\u{2212}'
                )
        };
        for letter in text.chars().filter(|&c| !between(c)) {
            let digit = match letter.to_ascii_uppercase() {
                'O' => '0',
                'I' | 'L' => '1',
                other => other,
            };
            let value = ALPHABET.iter().position(|&it| char::from(it) == digit);
            let value = value.ok_or(IdError::Letter(letter))?;
            letters += 1;
            if letters <= LETTERS {
                number = number << 5 | value as u128;
            }
        }
        if letters != LETTERS {
            return Err(IdError::Length(letters));
        }
        let mut bits = [0; 10];
        bits.copy_from_slice(&number.to_be_bytes()[6..]);
        Ok(Self(bits))
    }
}

impl fmt::Display for FlowId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use fmt::Write;
        for (at, letter) in self.letters().enumerate() {
            if at > 0 && at % GROUP == 0 {
                f.write_char('-')?;
            }
            f.write_char(letter)?;
        }
        Ok(())
    }
}

impl Serialize for FlowId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn ids_are_short_and_do_not_repeat() {
        let ids: HashSet<String> = (0..1000).map(|_| FlowId::draw().to_string()).collect();
        assert_eq!(ids.len(), 1000);
        assert!(
            ids.iter()
                .all(|id| id.len() == 19 && id.split('-').all(|group| group.len() == 4))
        );
    }

    #[test]
    fn a_number_is_read_as_people_say_it() {
        for _ in 0..1000 {
            let id = FlowId::draw();
            let text = id.to_string();
            let read_out = text.to_lowercase().replace('0', "o").replace('1', "l");
            for said in [
                &text,
                &text.replace('-', ""),
                &read_out,
                &text.replace('-', " \u{2013} "),
            ] {
                assert_eq!(said.parse(), Ok(id), "{said}");
            }
        }
        let read = |text: &str| text.parse::<FlowId>();
        assert_eq!(read(" 7zq4-om1k txbe_93ra\n"), read("7ZQ4-0M1K-TXBE-93RA"));
        assert_eq!(
            read("urn:octroi:incident:7ZQ4-0M1K-TXBE-93RA"),
            read("7ZQ4-0M1K-TXBE-93RA")
        );
        assert_eq!(read("7ZQ4-0MIK"), Err(IdError::Length(8)));
        assert_eq!(read(""), Err(IdError::Length(0)));
        assert_eq!(read(&"7".repeat(1000)), Err(IdError::Length(1000)));
        assert_eq!(read("7ZQ4-0M1K-TXBE-93RU"), Err(IdError::Letter('U')));
        assert_eq!(
            read("7ZQ4-0M1K-TXBE-93R\u{661}"),
            Err(IdError::Letter('\u{661}'))
        );
    }

    #[test]
    fn every_bit_is_shown() {
        assert_eq!(FlowId([0; 10]).to_string(), "0000-0000-0000-0000");
        assert_eq!(FlowId([0xff; 10]).to_string(), "ZZZZ-ZZZZ-ZZZZ-ZZZZ");
        assert_eq!(
            FlowId([0, 0, 0, 0, 0, 0, 0, 0, 0, 33]).to_string(),
            "0000-0000-0000-0011"
        );
        assert_eq!(
            FlowId([0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0]).to_string(),
            "G000-0000-0000-0000"
        );
    }
}

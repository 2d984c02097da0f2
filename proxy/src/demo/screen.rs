//! What a person sees on standard error: lines of the story, and below them, on a terminal, one that is written anew.

use std::io::{self, IsTerminal, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::termios::tcgetwinsize;
use tracing_subscriber::fmt::MakeWriter;

use super::month::Minute;
use crate::ledger::Ledger;
use crate::ledger::metrics::{Counts, Tally};

/// A terminal that does not say how wide it is.
const WIDTH: usize = 80;
/// Back to the first column, and everything behind it gone.
const CLEAR: &str = "\r\x1b[K";

/// Standard error; cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Screen {
    shared: Arc<Mutex<Shown>>,
}

#[derive(Debug, Default)]
struct Shown {
    /// The line at the bottom.
    bottom: String,
    when: Option<(u32, Minute)>,
    ledger: Option<Ledger>,
}

impl Screen {
    /// A line of the story.
    pub(super) fn tell(&self, text: &str) {
        let shown = self.shown();
        write(&shown, &format!("{text}\n"));
    }

    /// Whose counters are shown.
    pub(super) fn follow(&self, ledger: Ledger) {
        self.shown().ledger = Some(ledger);
    }

    /// What time it is.
    pub(super) fn at(&self, month: u32, minute: Minute) {
        self.shown().when = Some((month, minute));
    }

    /// What was decided so far.
    pub(super) fn tally(&self) -> String {
        self.shown().tally()
    }

    /// The same, and that of each ministry.
    pub(super) fn table(&self) -> String {
        let counts = self.shown().counts();
        let mut ministries: Vec<_> = counts
            .iter()
            .map(|(label, counts)| (label.as_str(), counts))
            .collect();
        ministries.sort_unstable();
        let rows = ministries
            .iter()
            .map(|(ministry, counts)| format!("\n  {ministry:<20} {}", figures(counts)));
        format!("{}{}", sum(&counts), rows.collect::<String>())
    }

    /// Writes the bottom line anew, if this is a terminal.
    pub(super) fn refresh(&self) {
        if !io::stderr().is_terminal() {
            return;
        }
        let mut shown = self.shown();
        if let Some((month, minute)) = shown.when {
            shown.bottom = format!("month {month}, {minute}  {}", shown.tally());
        }
        write(&shown, "");
    }

    /// Leaves the bottom line as it is and goes below it.
    pub(super) fn end(&self) {
        let mut shown = self.shown();
        if !shown.bottom.is_empty() && io::stderr().is_terminal() {
            shown.bottom.clear();
            write(&shown, "\n");
        }
    }

    fn shown(&self) -> MutexGuard<'_, Shown> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shown {
    fn tally(&self) -> String {
        sum(&self.counts())
    }

    /// What became of the attempts of each ministry.
    fn counts(&self) -> Tally {
        let ledger = self.ledger.as_ref();
        ledger.map_or_else(Tally::new, |ledger| ledger.metrics().tallies().0)
    }
}

/// Those of all ministries.
fn sum(counts: &Tally) -> String {
    let mut all = Counts::default();
    for counts in counts.values() {
        for (all, count) in all.iter_mut().zip(counts) {
            *all += count;
        }
    }
    figures(&all)
}

fn figures(counts: &Counts) -> String {
    let all = grouped(counts.iter().sum());
    let [allowed, observed, refused] = counts.map(grouped);
    format!("{all} attempts: {allowed} allowed, {observed} observed, {refused} refused")
}

/// Writes text above the bottom line, and the bottom line below it.
fn write(shown: &Shown, text: &str) {
    let mut stderr = io::stderr().lock();
    // A reader that has left wants no more of it.
    let _ = if stderr.is_terminal() && !shown.bottom.is_empty() {
        let columns = tcgetwinsize(&stderr).map_or(0, |size| usize::from(size.ws_col));
        let width = if columns == 0 { WIDTH } else { columns };
        let fitting = shown.bottom.chars().take(width - 1);
        let bottom: String = fitting.collect();
        write!(stderr, "{CLEAR}{text}{bottom}")
    } else {
        write!(stderr, "{text}")
    };
    let _ = stderr.flush();
}

/// 12345 as `12,345`.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut made = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            made.push(',');
        }
        made.push(digit);
    }
    made
}

/// The gate's own log goes above the bottom line.
impl<'a> MakeWriter<'a> for Screen {
    type Writer = Log;

    fn make_writer(&'a self) -> Log {
        Log(self.clone())
    }
}

/// One line of the log.
#[derive(Debug)]
pub struct Log(Screen);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        write(&self.0.shown(), &String::from_utf8_lossy(bytes));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_grouped() {
        for (number, expect) in [
            (0, "0"),
            (999, "999"),
            (1000, "1,000"),
            (1_234_567, "1,234,567"),
        ] {
            assert_eq!(grouped(number), expect);
        }
    }
}

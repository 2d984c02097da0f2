//! Connections that the kernel would not hand over: classed, counted, and told now and then.
//!
//! Pingora accepts, and all it makes of a failure is a line in its log. So it is the line that is read, on its way into
//! ours: it is the one place where the failure shows.

use std::fmt::{self, Debug};
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::{Duration, Instant};

use prometheus::{IntCounterVec, Opts};
use rustix::io::Errno;
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

/// What Pingora's line begins with.
const FAILED: &str = "Accept() failed";

/// Lines of the same kind are as many as the failures; one says it all.
const ONE_LINE_IN: Duration = Duration::from_secs(10);

/// How long a thread that accepts stops where the machine has nothing left: Pingora waits a second when the gate's own
/// descriptors are used up, and for nothing else, so that its loop would spin. Short, for it stops whatever else is on
/// this thread; there are others.
const PAUSE: Duration = Duration::from_millis(2);

/// All classes, the labels of `octroi_accept_errors_total`.
const CLASSES: [&str; 5] = [
    "descriptors",
    "system-descriptors",
    "memory",
    "aborted",
    "other",
];

/// One for the process, as the log is one for the process.
static COUNTED: LazyLock<prometheus::Result<IntCounterVec>> = LazyLock::new(|| {
    let help = "Connections that could not be accepted: no descriptors left to the gate or to the machine, no memory.";
    let errors = IntCounterVec::new(Opts::new("octroi_accept_errors_total", help), &["reason"])?;
    for class in CLASSES {
        errors.with_label_values(&[class]);
    }
    Ok(errors)
});

/// The failures of this process so far, by class.
pub(crate) fn counted() -> Option<IntCounterVec> {
    COUNTED.as_ref().ok().cloned()
}

/// Reads the log for failures to accept.
#[derive(Debug, Default)]
pub(crate) struct AcceptErrors {
    told: Mutex<Option<Instant>>,
}

impl AcceptErrors {
    /// Whether the line is to be written.
    fn met(&self, line: &str, now: Instant) -> bool {
        let class = class(line);
        if let Some(errors) = counted() {
            errors.with_label_values(&[class]).inc();
        }
        if ["system-descriptors", "memory"].contains(&class) {
            std::thread::sleep(PAUSE);
        }
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let is_over = |at: Instant| now.saturating_duration_since(at) >= ONE_LINE_IN;
        let tells = told.is_none_or(is_over);
        if tells {
            *told = Some(now);
        }
        tells
    }
}

impl<S: Subscriber> Layer<S> for AcceptErrors {
    fn event_enabled(&self, event: &Event<'_>, _: Context<'_, S>) -> bool {
        // Lines of those who write with `log` all have this target.
        if event.metadata().target() != "log" {
            return true;
        }
        let mut message = Message::default();
        event.record(&mut message);
        !message.0.starts_with(FAILED) || self.met(&message.0, Instant::now())
    }
}

#[derive(Default)]
struct Message(String);

impl Visit for Message {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if field.name() == "message" {
            // To a string it always works.
            let _ = fmt::write(&mut self.0, format_args!("{value:?}"));
        }
    }
}

/// What is missing, by the number that the kernel gave.
fn class(line: &str) -> &'static str {
    let number = line.rsplit_once("(os error ").map(|(_, rest)| rest);
    let number = number.and_then(|rest| rest.split(')').next()?.parse().ok());
    match number.map(Errno::from_raw_os_error) {
        Some(Errno::MFILE) => "descriptors",
        Some(Errno::NFILE) => "system-descriptors",
        Some(Errno::NOBUFS | Errno::NOMEM) => "memory",
        Some(Errno::CONNABORTED) => "aborted",
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_failure_has_its_class() {
        for (number, expected) in [
            (24, "descriptors"),
            (23, "system-descriptors"),
            (12, "memory"),
            (105, "memory"),
            (103, "aborted"),
            (1, "other"),
        ] {
            let error = std::io::Error::from_raw_os_error(number);
            let line = format!("{FAILED}  AcceptError context: Fail to accept() cause: {error}");
            assert_eq!(class(&line), expected, "{line}");
        }
        assert_eq!(class(FAILED), "other");
    }

    #[test]
    fn one_line_says_it_for_a_while() {
        let errors = AcceptErrors::default();
        let begin = Instant::now();
        let tells = [0, 1, 9, 10, 11].map(|s| errors.met(FAILED, begin + Duration::from_secs(s)));
        assert_eq!(tells, [true, false, false, true, false]);
    }
}

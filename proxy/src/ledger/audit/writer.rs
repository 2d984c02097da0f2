//! The thread that writes: gathers what is queued, appends it, tries again while it cannot.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::file::{Found, LogFile};
use super::{Message, State};
use crate::config::{Audit, OnFailure, Sink};

/// How long lines are gathered, so that a busy gate writes often enough and not too often.
const GATHER: Duration = Duration::from_millis(10);
/// How long until a log that could not be written is tried again.
const RETRY: Duration = Duration::from_secs(1);
/// How long until a full file that could not be set aside is tried again; it is written meanwhile.
const ROTATE_RETRY: Duration = Duration::from_secs(10);
/// Bytes after which gathering stops.
const BATCH: usize = 256 << 10;

/// Bytes that a pipe takes in one piece (POSIX): two gates may write to one.
const PIECE: usize = 4096;

struct Writer {
    output: Output,
    queue: Receiver<Message>,
    state: Arc<State>,
    /// Lines not yet written.
    pending: Vec<u8>,
    lines: usize,
    /// Bytes of the first pending line that stand in the file already.
    begun: usize,
    /// When the log is tried again; `None` = it can be written.
    retry_at: Option<Instant>,
    /// When a full file is tried to be set aside again; `None` = that works.
    rotate_at: Option<Instant>,
    /// Whether files of earlier runs were looked at. Not before the first write: a gate that is to take
    /// over, and does not, removes nothing.
    is_tidy: bool,
}

enum Output {
    StandardOutput,
    File(LogFile),
}

/// Opens the output and starts the thread.
pub(super) fn start(audit: &Audit, state: Arc<State>) -> io::Result<Sender<Message>> {
    let output = match &audit.sink {
        Sink::File(path) => Output::File(LogFile::open(path, audit.rotation)?),
        Sink::StandardOutput | Sink::Off => Output::StandardOutput,
    };
    let (sender, queue) = mpsc::channel();
    let writer = Writer {
        output,
        queue,
        state,
        pending: Vec::new(),
        lines: 0,
        begun: 0,
        retry_at: None,
        rotate_at: None,
        is_tidy: false,
    };
    thread::Builder::new()
        .name("audit".to_owned())
        .spawn(move || writer.run())?;
    Ok(sender)
}

impl Writer {
    /// Ends when the last sender is gone and everything is written, or cannot be.
    fn run(mut self) {
        loop {
            match self.next() {
                Ok(Message::Line(line)) => self.take(&line),
                Ok(Message::Reopen) => self.write(),
                Ok(Message::Flush(answer)) => self.flush(answer),
                Err(RecvTimeoutError::Timeout) => self.write(),
                Err(RecvTimeoutError::Disconnected) => return self.write(),
            }
        }
    }

    /// The next message, or `Timeout` when the log is to be tried again.
    fn next(&self) -> Result<Message, RecvTimeoutError> {
        let Some(at) = self.retry_at else {
            return self
                .queue
                .recv()
                .map_err(|_| RecvTimeoutError::Disconnected);
        };
        let wait = at.saturating_duration_since(Instant::now());
        if wait.is_zero() {
            return Err(RecvTimeoutError::Timeout);
        }
        self.queue.recv_timeout(wait)
    }

    fn take(&mut self, line: &[u8]) {
        self.push(line);
        if self.retry_at.is_some() {
            return self.shed();
        }
        let mut other = self.drain();
        if other.is_none() && self.pending.len() < BATCH {
            thread::sleep(GATHER);
            other = self.drain();
        }
        match other {
            Some(Message::Flush(answer)) => self.flush(answer),
            Some(Message::Reopen | Message::Line(_)) | None => self.write(),
        }
    }

    /// Takes the lines queued, up to a batch; the first message that is none is given back.
    fn drain(&mut self) -> Option<Message> {
        while self.pending.len() < BATCH {
            match self.queue.try_recv().ok()? {
                Message::Line(line) => self.push(&line),
                other => return Some(other),
            }
        }
        None
    }

    fn push(&mut self, line: &[u8]) {
        self.pending.extend_from_slice(line);
        self.lines += 1;
    }

    fn flush(&mut self, answer: oneshot::Sender<bool>) {
        self.write();
        if answer.send(self.pending.is_empty()).is_err() {
            tracing::debug!("nobody waits for the audit log any more");
        }
    }

    /// Writes what is pending, whether or not that failed before.
    fn write(&mut self) {
        self.retry_at = None;
        if !std::mem::replace(&mut self.is_tidy, true) {
            self.remove_oldest();
        }
        let all = self.write_all();
        if let Output::File(file) = &self.output {
            file.release();
        }
        if all {
            self.state.works();
            self.pending.shrink_to(BATCH);
        } else {
            self.shed();
        }
    }

    /// Writes everything pending, file after file; whether that worked. The last file stays held.
    fn write_all(&mut self) -> bool {
        loop {
            if !self.make_ready() {
                return false;
            }
            let end = self.fitting();
            let (done, result) = self.output.write(&self.pending[self.begun..end]);
            self.wrote(self.begun + done);
            match result {
                Err(error) => {
                    self.fail(&error);
                    return false;
                }
                Ok(()) if self.pending.is_empty() => return true,
                Ok(()) => {}
            }
        }
    }

    /// Notes that `bytes` of what is pending stand in the file.
    fn wrote(&mut self, bytes: usize) {
        let written = &self.pending[..bytes];
        let whole = memchr::memrchr(b'\n', written).map_or(0, |end| end + 1);
        let lines = memchr::memchr_iter(b'\n', written).count();
        self.begun = bytes - whole;
        self.pending.drain(..whole);
        self.lines -= lines;
        self.state.written(lines);
    }

    /// With `on_failure: serve`, keeps no more than the queue's bound.
    fn shed(&mut self) {
        if self.state.on_failure != OnFailure::Serve || self.lines <= self.state.capacity {
            return;
        }
        // A line that was begun is finished first: what stands in the file stays readable.
        let (kept, lines) = match self.begun {
            0 => (0, 0),
            _ => (self.first_line(), 1),
        };
        self.pending.truncate(kept);
        self.state.lose(self.lines - lines);
        self.lines = lines;
    }

    /// Bytes of the first pending line.
    fn first_line(&self) -> usize {
        let end = self.pending.iter().position(|&byte| byte == b'\n');
        end.map_or(self.pending.len(), |end| end + 1)
    }

    /// How many bytes of what is pending belong into this file: whole lines, at least one.
    fn fitting(&self) -> usize {
        let room = self.output.room().filter(|_| self.rotate_at.is_none());
        match room {
            Some(room) if room < self.pending.len() - self.begun => {
                let fits = &self.pending[..self.begun + room];
                let end = fits.iter().rposition(|&byte| byte == b'\n');
                end.map_or_else(|| self.first_line(), |end| end + 1)
            }
            _ => self.pending.len(),
        }
    }

    /// Whether the file that stands at the path is open and takes the next line.
    ///
    /// Looked at before each batch: lines written to a file that was removed would be lost in silence.
    fn make_ready(&mut self) -> bool {
        if !self.reopen() {
            return false;
        }
        if self.rotate_at.is_some_and(|at| Instant::now() >= at) {
            self.rotate_at = None;
        }
        if self.is_full() { self.rotate() } else { true }
    }

    fn is_full(&self) -> bool {
        let Output::File(file) = &self.output else {
            return false;
        };
        let can = self.begun == 0 && self.rotate_at.is_none() && !self.pending.is_empty();
        can && !file.is_empty() && file.room().is_some_and(|room| room < self.first_line())
    }

    /// Sets the full file aside. One that cannot be is written on: it is too long, but complete.
    fn rotate(&mut self) -> bool {
        let Output::File(file) = &self.output else {
            return true;
        };
        if let Err(error) = file.set_aside() {
            self.rotate_at = Some(Instant::now() + ROTATE_RETRY);
            let what = "a full file of the audit log cannot be set aside, it is written on";
            self.state.complain(&error, &self.output.name(), what);
            return true;
        }
        let ready = self.reopen();
        self.remove_oldest();
        ready
    }

    fn remove_oldest(&self) {
        let Output::File(file) = &self.output else {
            return;
        };
        if let Err(error) = file.remove_oldest() {
            let what = "old files of the audit log cannot be removed";
            self.state.complain(&error, &self.output.name(), what);
        }
    }

    /// Whether the file at the path is open now, and held.
    fn reopen(&mut self) -> bool {
        let Output::File(file) = &mut self.output else {
            return true;
        };
        match file.hold() {
            Ok(Found::Same) => true,
            Ok(Found::Another) => {
                // The line that was begun is written whole, where the others go or below them.
                self.begun = 0;
                true
            }
            Err(error) => {
                self.fail(&error);
                false
            }
        }
    }

    fn fail(&mut self, error: &io::Error) {
        self.retry_at = Some(Instant::now() + RETRY);
        self.state.failed(error, &self.output.name());
    }
}

/// Whole lines, as many as a pipe takes at once, at least one.
fn piece(bytes: &[u8]) -> &[u8] {
    let newline = |&byte: &u8| byte == b'\n';
    let fits = bytes[..bytes.len().min(PIECE)].iter().rposition(newline);
    let end = fits.or_else(|| bytes.iter().position(newline));
    end.map_or(bytes, |end| &bytes[..=end])
}

impl Output {
    fn name(&self) -> String {
        match self {
            Output::StandardOutput => "standard output".to_owned(),
            Output::File(file) => file.path().display().to_string(),
        }
    }

    /// Writes as much as it can; how much that was.
    fn write(&mut self, bytes: &[u8]) -> (usize, io::Result<()>) {
        let mut done = 0;
        while done < bytes.len() {
            let rest = &bytes[done..];
            let written = match self {
                Output::StandardOutput => io::stdout().lock().write(piece(rest)),
                Output::File(file) => file.write(rest),
            };
            match written {
                Ok(0) => return (done, Err(io::ErrorKind::WriteZero.into())),
                Ok(more) => done += more,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return (done, Err(error)),
            }
        }
        let flushed = match self {
            Output::StandardOutput => io::stdout().lock().flush(),
            Output::File(_) => Ok(()),
        };
        (done, flushed)
    }

    fn room(&self) -> Option<usize> {
        match self {
            Output::StandardOutput => None,
            Output::File(file) => file.room(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_piece_is_whole_lines() {
        let long = [&[b'x'; PIECE][..], b"\ny\n"].concat();
        assert_eq!(piece(&long).len(), PIECE + 1);
        let short = b"{1}\n".repeat(PIECE);
        assert_eq!(piece(&short).len(), PIECE);
        for all in [&b""[..], b"a\n", b"a"] {
            assert_eq!(piece(all), all);
        }
    }
}

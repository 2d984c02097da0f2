//! The thread that writes: gathers what is queued, appends it, tries again while it cannot.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::{Message, State};
use crate::config::{OnFailure, Sink};

/// How long lines are gathered, so that a busy gate writes often enough and not too often.
const GATHER: Duration = Duration::from_millis(10);
/// How long until a log that could not be written is tried again.
const RETRY: Duration = Duration::from_secs(1);
/// How often the path is looked at, in case the file was moved away without a signal.
const MOVED_CHECK: Duration = Duration::from_secs(1);
/// Bytes after which gathering stops.
const BATCH: usize = 256 << 10;
/// Owner writes, group reads: the log names people's machines.
const PERMISSIONS: u32 = 0o640;

struct Writer {
    output: Output,
    queue: Receiver<Message>,
    state: Arc<State>,
    /// Lines not yet written; the first may be the rest of one.
    pending: Vec<u8>,
    lines: usize,
    /// The first pending line was begun and not finished.
    cut: bool,
    checked: Instant,
    /// When the log is tried again; `None` = it can be written.
    retry_at: Option<Instant>,
}

enum Output {
    StandardOutput,
    File { path: PathBuf, file: File },
}

/// Opens the output and starts the thread.
pub(super) fn start(sink: &Sink, state: Arc<State>) -> io::Result<Sender<Message>> {
    let output = match sink {
        Sink::File(path) => Output::File {
            path: path.clone(),
            file: open(path)?,
        },
        Sink::StandardOutput | Sink::Off => Output::StandardOutput,
    };
    let (sender, queue) = mpsc::channel();
    let writer = Writer {
        output,
        queue,
        state,
        pending: Vec::new(),
        lines: 0,
        cut: false,
        checked: Instant::now(),
        retry_at: None,
    };
    thread::Builder::new()
        .name("audit".to_owned())
        .spawn(move || writer.run())?;
    Ok(sender)
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .append(true)
        .create(true)
        .mode(PERMISSIONS)
        .open(path)
}

impl Writer {
    /// Ends when the last sender is gone and everything is written, or cannot be.
    fn run(mut self) {
        loop {
            match self.next() {
                Ok(Message::Line(line)) => self.take(&line),
                Ok(Message::Reopen) => {
                    self.write();
                    self.reopen();
                }
                Ok(Message::Flush(answer)) => self.flush(answer),
                Err(RecvTimeoutError::Timeout) => self.retry(),
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
            Some(Message::Reopen) => {
                self.write();
                self.reopen();
            }
            Some(Message::Line(_)) | None => self.write(),
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

    fn retry(&mut self) {
        self.retry_at = None;
        self.reopen();
        if self.retry_at.is_none() {
            self.write();
        }
    }

    fn write(&mut self) {
        if self.checked.elapsed() >= MOVED_CHECK {
            self.reopen();
        }
        let (done, result) = self.output.write(&self.pending);
        if done > 0 {
            self.cut = self.pending[done - 1] != b'\n';
            self.pending.drain(..done);
        }
        match result {
            Ok(()) => {
                self.state.written(std::mem::take(&mut self.lines));
                self.pending.shrink_to(BATCH);
            }
            Err(error) => {
                self.fail(&error);
                self.shed();
            }
        }
    }

    /// With `on_failure: serve`, keeps no more than the queue's bound.
    fn shed(&mut self) {
        if self.state.on_failure != OnFailure::Serve || self.lines <= self.state.capacity {
            return;
        }
        // A line that was begun is finished first: what stands in the file stays readable.
        let rest = self.pending.iter().position(|&byte| byte == b'\n');
        let (kept, lines) = match rest {
            Some(end) if self.cut => (end + 1, 1),
            _ => (0, 0),
        };
        self.pending.truncate(kept);
        self.state.lose(self.lines - lines);
        self.lines = lines;
    }

    fn reopen(&mut self) {
        self.checked = Instant::now();
        if let Err(error) = self.output.reopen_if_moved() {
            self.fail(&error);
        }
    }

    fn fail(&mut self, error: &io::Error) {
        self.retry_at = Some(Instant::now() + RETRY);
        self.state.failed(error, &self.output.name());
    }
}

impl Output {
    fn name(&self) -> String {
        match self {
            Output::StandardOutput => "standard output".to_owned(),
            Output::File { path, .. } => path.display().to_string(),
        }
    }

    /// Writes as much as it can; how much that was.
    fn write(&mut self, bytes: &[u8]) -> (usize, io::Result<()>) {
        let mut done = 0;
        while done < bytes.len() {
            let rest = &bytes[done..];
            let written = match self {
                Output::StandardOutput => io::stdout().lock().write(rest),
                Output::File { file, .. } => file.write(rest),
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
            Output::File { .. } => Ok(()),
        };
        (done, flushed)
    }

    fn reopen_if_moved(&mut self) -> io::Result<()> {
        let Output::File { path, file } = self else {
            return Ok(());
        };
        let open_now = file.metadata()?;
        let same = std::fs::metadata(&path)
            .is_ok_and(|there| (there.dev(), there.ino()) == (open_now.dev(), open_now.ino()));
        if !same {
            *file = open(path)?;
        }
        Ok(())
    }
}

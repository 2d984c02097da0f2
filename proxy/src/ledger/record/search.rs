//! One flow's lines among millions: files read from their beginning, with bounded memory.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use memchr::memmem::Finder;
use serde::Deserialize;

use super::Record;
use crate::ledger::FlowId;
use crate::ledger::audit::files;

/// The longest line looked at; a decision line with a hundred addresses has 8 KiB.
const MOST_LINE: usize = 1 << 20;
/// Bytes read at once.
const CHUNK: usize = 256 << 10;

/// A search for the lines of one flow.
pub(crate) struct Search {
    id: FlowId,
    text: String,
    finder: Finder<'static>,
    order: Order,
    /// The line that decided the flow, or said that it became none.
    pub(crate) decision: Option<(Place, Record)>,
    /// The line of its end.
    pub(crate) close: Option<(Place, Record)>,
    /// Where it was searched, in turn.
    pub(crate) searched: Vec<Searched>,
}

/// In which order files come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// Newest first: a flow's end is never behind its decision.
    NewestFirst,
    /// Any.
    AsGiven,
}

/// Where a line stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// The file's name.
    pub(crate) file: String,
    /// Counted from 1.
    pub(crate) line: u64,
}

/// One file that was searched.
#[derive(Debug, Default)]
pub(crate) struct Searched {
    /// Its name.
    pub(crate) file: String,
    /// Lines read.
    pub(crate) lines: u64,
    /// Lines that are none of an audit log.
    pub(crate) skipped: u64,
    /// The time of its first line.
    pub(crate) first: Option<String>,
    /// The time of the last line read.
    pub(crate) last: Option<String>,
    /// Why it could not be read, or not to its end.
    pub(crate) error: Option<io::Error>,
}

impl Search {
    pub(crate) fn new(id: FlowId, order: Order) -> Self {
        let text = id.to_string();
        Self {
            id,
            finder: Finder::new(&text).into_owned(),
            text,
            order,
            decision: None,
            close: None,
            searched: Vec::new(),
        }
    }

    /// Which flow is searched.
    pub(crate) fn id(&self) -> FlowId {
        self.id
    }

    /// Searches the log at `path` and the files set aside, newest first, as long as need be.
    ///
    /// # Errors
    /// When the directory cannot be read.
    pub(crate) fn log(&mut self, path: &Path) -> io::Result<()> {
        let mut seen = HashSet::new();
        // The gate may set a file aside meanwhile: a second look finds what was renamed.
        for _ in 0..2 {
            for path in files(path)? {
                let file = match File::open(&path) {
                    Ok(file) => file,
                    // Removed as the oldest, or not there yet.
                    Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                    Err(error) => {
                        self.failed(&path.display().to_string(), error);
                        continue;
                    }
                };
                let meta = file.metadata()?;
                if seen.insert((meta.dev(), meta.ino())) {
                    self.stream(path.display().to_string(), file);
                }
                if self.is_done() {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// Searches a file.
    pub(crate) fn file(&mut self, path: &Path) {
        let name = path.display().to_string();
        match File::open(path) {
            Ok(file) => self.stream(name, file),
            Err(error) => self.failed(&name, error),
        }
    }

    /// Nothing else is to be found.
    pub(crate) fn is_done(&self) -> bool {
        let rejected = |(_, record): &(Place, Record)| record.event.action == "reject";
        match (&self.decision, self.order) {
            (None, _) => false,
            (Some(_), Order::NewestFirst) => true,
            (Some(decision), Order::AsGiven) => self.close.is_some() || rejected(decision),
        }
    }

    fn failed(&mut self, name: &str, error: io::Error) {
        // Each file is tried twice, and told of once.
        if self.searched.iter().all(|searched| searched.file != name) {
            self.searched.push(Searched {
                file: name.to_owned(),
                error: Some(error),
                ..Searched::default()
            });
        }
    }

    /// Searches whatever can be read.
    pub(crate) fn stream(&mut self, name: String, from: impl Read) {
        let mut lines = Lines::new(from);
        let mut searched = Searched {
            file: name,
            ..Searched::default()
        };
        if let Err(error) = self.lines(&mut lines, &mut searched) {
            searched.error = Some(error);
        }
        searched.lines = lines.number;
        searched.last = stamp(&lines.last);
        self.searched.push(searched);
    }

    fn lines(&mut self, lines: &mut Lines<impl Read>, searched: &mut Searched) -> io::Result<()> {
        while let Some(length) = lines.next()? {
            let line = lines.line.trim_ascii();
            match length {
                // A gate that writes, or one that was killed.
                Length::Unfinished if !line.ends_with(b"}") => {}
                Length::TooLong => searched.skipped += 1,
                _ if line.is_empty() => {}
                _ if !(line.starts_with(b"{") && line.ends_with(b"}")) => searched.skipped += 1,
                _ => {
                    if searched.first.is_none() {
                        searched.first = stamp(line);
                    }
                    if self.finder.find(line).is_some() && self.take(line, lines.number, searched) {
                        lines.keep();
                        return Ok(());
                    }
                    lines.keep();
                }
            }
        }
        Ok(())
    }

    /// Keeps a line that is about the flow; whether the search of this file is over.
    fn take(&mut self, line: &[u8], number: u64, searched: &mut Searched) -> bool {
        let Ok(record) = Record::parse(line) else {
            searched.skipped += 1;
            return false;
        };
        // A client may have written the id into a text of its own.
        if record.event.id != self.text {
            return false;
        }
        let place = Place {
            file: searched.file.clone(),
            line: number,
        };
        match record.event.action.as_str() {
            "decision" | "reject" => {
                self.decision.get_or_insert((place, record));
            }
            "close" => {
                self.close.get_or_insert((place, record));
            }
            _ => {}
        }
        let is_reject = |(_, record): &(Place, Record)| record.event.action == "reject";
        self.decision
            .as_ref()
            .is_some_and(|decision| self.close.is_some() || is_reject(decision))
    }
}

/// When a line was written.
fn stamp(line: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Stamped {
        #[serde(rename = "@timestamp")]
        timestamp: String,
    }
    let stamped: Stamped = serde_json::from_slice(line).ok()?;
    Some(stamped.timestamp)
}

/// How a line ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Length {
    Whole,
    /// The file ends within it.
    Unfinished,
    /// It was not kept.
    TooLong,
}

/// The lines of a file, none of them kept but the current one and the last good one.
struct Lines<R> {
    from: BufReader<R>,
    /// Without its newline.
    line: Vec<u8>,
    last: Vec<u8>,
    number: u64,
}

impl<R: Read> Lines<R> {
    fn new(from: R) -> Self {
        Self {
            from: BufReader::with_capacity(CHUNK, from),
            line: Vec::new(),
            last: Vec::new(),
            number: 0,
        }
    }

    fn next(&mut self) -> io::Result<Option<Length>> {
        self.line.clear();
        let mut limited = (&mut self.from).take(MOST_LINE as u64 + 1);
        if limited.read_until(b'\n', &mut self.line)? == 0 {
            return Ok(None);
        }
        self.number += 1;
        if self.line.pop_if(|last| *last == b'\n').is_some() {
            return Ok(Some(Length::Whole));
        }
        if self.line.len() <= MOST_LINE {
            return Ok(Some(Length::Unfinished));
        }
        self.line.clear();
        self.skip_rest()?;
        Ok(Some(Length::TooLong))
    }

    fn skip_rest(&mut self) -> io::Result<()> {
        loop {
            let chunk = self.from.fill_buf()?;
            let (length, end) = match memchr::memchr(b'\n', chunk) {
                Some(at) => (at + 1, true),
                None => (chunk.len(), chunk.is_empty()),
            };
            self.from.consume(length);
            if end {
                return Ok(());
            }
        }
    }

    /// The current line is the last good one.
    fn keep(&mut self) {
        std::mem::swap(&mut self.line, &mut self.last);
    }
}

#[cfg(test)]
mod tests;

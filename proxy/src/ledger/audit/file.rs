//! The file that the log is appended to: opened anew when it was moved away, set aside when it is
//! full, and the oldest of those set aside removed.
//!
//! During an upgrade two gates append to it. Each holds the file (`flock`) while it looks where it
//! stands, writes whole lines and sets it aside, so that neither cuts a line of the other, nor sets
//! aside the file that the other has only begun.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};
use rustix::fs::{Access, AtFlags, CWD, OFlags, accessat};
use rustix::io::Errno;

use crate::config::Rotation;

/// Owner writes, group reads: the log names people's machines.
const PERMISSIONS: u32 = 0o640;

/// What is put behind the name of a file set aside: when that was, in UTC, so that their names
/// sort by age. Files named otherwise, such as logrotate's, are nobody's business here.
const STAMP: &str = "%Y%m%dT%H%M%S%.6fZ";
const STAMP_LENGTH: usize = "20261124T101500.000000Z".len();

/// How every line begins.
const LINE_START: &[u8] = br#"{"@timestamp":"#;
/// More bytes than a line has: its longest parts are names of 253 bytes and what fits a DNS answer.
const LONGEST_LINE: u64 = 1 << 20;

/// How long another holder is waited for. A gate holds the file for milliseconds; whoever keeps it
/// longer is no gate, and must not stop this one.
const HOLD_TIMEOUT: Duration = Duration::from_secs(1);

/// How often the file is opened anew because it was moved away meanwhile.
const MOST_OPENINGS: usize = 8;

pub(super) struct LogFile {
    path: PathBuf,
    file: File,
    /// Bytes it had when it was last held; kept only for a regular file, which alone can be set aside.
    size: Option<u64>,
    rotation: Option<Rotation>,
}

/// What was found where the file should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// The file that is open, as it was left.
    Same,
    /// Another one or none, so that a file was opened; or somebody else wrote to this one.
    Another,
}

impl LogFile {
    pub(super) fn open(path: &Path, rotation: Option<Rotation>) -> io::Result<Self> {
        let (file, size) = open(path)?;
        let mut log = Self {
            path: path.to_owned(),
            file,
            size,
            rotation,
        };
        log.hold()?;
        log.release();
        Ok(log)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        if let Some(size) = &mut self.size {
            *size += written as u64;
        }
        Ok(written)
    }

    /// How many bytes it takes before it is to be set aside; `None` = any number.
    pub(super) fn room(&self) -> Option<usize> {
        let (rotation, size) = (self.rotation?, self.size?);
        let size = usize::try_from(size).unwrap_or(usize::MAX);
        Some(rotation.size.saturating_sub(size))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.size == Some(0)
    }

    /// Holds the file against another gate until [`LogFile::release`]; opens it anew unless it stands
    /// where it should.
    pub(super) fn hold(&mut self) -> io::Result<Found> {
        let mut found = Found::Same;
        for _ in 0..MOST_OPENINGS {
            self.lock();
            let open_now = self.file.metadata()?;
            let same = fs::metadata(&self.path)
                .is_ok_and(|there| (there.dev(), there.ino()) == (open_now.dev(), open_now.ino()));
            if same {
                let grown = self.catch_up(open_now.len())?;
                return Ok(if grown { Found::Another } else { found });
            }
            // What was held is let go with the old file.
            (self.file, self.size) = open(&self.path)?;
            found = Found::Another;
        }
        Err(io::Error::other("the file is moved away again and again"))
    }

    /// Lets the file go.
    pub(super) fn release(&self) {
        if self.size.is_some() {
            // One that cannot be unlocked was not locked either.
            let _ = self.file.unlock();
        }
    }

    fn lock(&self) {
        if self.size.is_none() {
            return;
        }
        let deadline = Instant::now() + HOLD_TIMEOUT;
        while let Err(TryLockError::WouldBlock) = self.file.try_lock() {
            if Instant::now() >= deadline {
                tracing::warn!(file = %self.path.display(), "another program keeps the audit log locked: it is written on");
                return;
            }
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// Takes note of what others wrote; whether they did. What they left in the middle of a line is
    /// nobody's any more: they would hold the file. A gate that could not end its line for want of
    /// room writes it anew.
    fn catch_up(&mut self, length: u64) -> io::Result<bool> {
        match self.size {
            Some(size) if size != length => {}
            _ => return Ok(false),
        }
        self.size = Some(self.without_torn_tail(length)?);
        Ok(true)
    }

    /// Ends the file with a whole line; its size then.
    fn without_torn_tail(&mut self, size: u64) -> io::Result<u64> {
        // A file that cannot be read is not looked at.
        let torn = torn_tail(&self.path, size).unwrap_or_default();
        if torn.is_empty() {
            return Ok(size);
        }
        let bytes = torn.len() as u64;
        if is_ours(&torn) && self.file.set_len(size - bytes).is_ok() {
            tracing::warn!(file = %self.path.display(), bytes, "the audit log ended in the middle of a line, which is removed");
            return Ok(size - bytes);
        }
        // Not ours to remove, or not allowed: what comes now is a line of its own.
        Ok(size + self.file.write(b"\n")? as u64)
    }

    /// Gives the file its last name. It stays open until [`LogFile::hold`].
    pub(super) fn set_aside(&self) -> io::Result<()> {
        // A link stays, and what it leads to is renamed.
        let path = self.path.canonicalize()?;
        let newest = aside(&path)?.pop();
        let stamp = stamp(Timestamp::now(), newest.as_deref());
        fs::rename(&path, named(&path, &stamp))
    }

    /// Removes the oldest files set aside, beyond those that are kept.
    pub(super) fn remove_oldest(&self) -> io::Result<()> {
        let (Some(rotation), Some(_)) = (self.rotation, self.size) else {
            return Ok(());
        };
        let path = self.path.canonicalize()?;
        let aside = aside(&path)?;
        let beyond = aside.len().saturating_sub(rotation.keep);
        for stamp in &aside[..beyond] {
            let file = named(&path, stamp);
            match fs::remove_file(&file) {
                Ok(()) => {
                    tracing::info!(file = %file.display(), "the oldest file of the audit log was removed");
                }
                // The gate that takes over was faster.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// The file, and 0 if it is a regular one: what it has is not known until it is held.
fn open(path: &Path) -> io::Result<(File, Option<u64>)> {
    let file = OpenOptions::new()
        .append(true)
        .create(true)
        .mode(PERMISSIONS)
        .open(path)?;
    let is_regular = file.metadata()?.is_file();
    Ok((file, is_regular.then_some(0)))
}

/// What stands behind the last line break, or a part of it if that is longer than any line.
fn torn_tail(path: &Path, size: u64) -> io::Result<Vec<u8>> {
    let length = size.min(LONGEST_LINE);
    let mut tail = vec![0; usize::try_from(length).unwrap_or(0)];
    File::open(path)?.read_exact_at(&mut tail, size - length)?;
    let start = tail.iter().rposition(|&byte| byte == b'\n');
    Ok(tail.split_off(start.map_or(0, |at| at + 1)))
}

/// A line of the log, or the beginning of one.
fn is_ours(torn: &[u8]) -> bool {
    let length = torn.len().min(LINE_START.len());
    torn[..length] == LINE_START[..length]
}

/// Whether [`LogFile::open`] would succeed. A file that is not there is not made: its directory is
/// asked instead.
pub(super) fn rehearse(path: &Path) -> io::Result<()> {
    let mut options = OpenOptions::new();
    // A pipe that nobody reads would keep us waiting.
    options
        .append(true)
        .custom_flags(OFlags::NONBLOCK.bits() as i32);
    match options.open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => may_write(directory(path)),
        Err(error) if error.raw_os_error() == Some(Errno::NXIO.raw_os_error()) => Ok(()),
        opened => opened.map(drop),
    }
}

/// Whether a file of the log that can be written can be set aside too: renamed, and another one made.
pub(crate) fn rotates(path: &Path) -> bool {
    let regular = fs::metadata(path).map_or(true, |meta| meta.is_file());
    let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    !regular || may_write(directory(&path)).is_ok()
}

fn directory(path: &Path) -> &Path {
    let directory = path.parent().unwrap_or(Path::new("/"));
    if directory.as_os_str().is_empty() {
        Path::new(".")
    } else {
        directory
    }
}

fn may_write(directory: &Path) -> io::Result<()> {
    let access = Access::WRITE_OK | Access::EXEC_OK;
    Ok(accessat(CWD, directory, access, AtFlags::EACCESS)?)
}

/// The file and those set aside beside it, newest first; some may be gone by now.
pub(in crate::ledger) fn files(path: &Path) -> io::Result<Vec<PathBuf>> {
    let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let aside = aside(&path)?;
    let older = aside.iter().rev().map(|stamp| named(&path, stamp));
    Ok(std::iter::once(path.clone()).chain(older).collect())
}

/// The stamps of the files set aside, oldest first.
fn aside(path: &Path) -> io::Result<Vec<String>> {
    let (Some(name), Some(directory)) = (path.file_name(), path.parent()) else {
        return Ok(Vec::new());
    };
    let mut stamps = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?.file_name();
        let rest = entry.as_bytes().strip_prefix(name.as_bytes());
        let stamp = rest.and_then(|rest| rest.strip_prefix(b"."));
        let stamp = stamp.and_then(|stamp| std::str::from_utf8(stamp).ok());
        stamps.extend(
            stamp
                .filter(|stamp| time_of(stamp).is_some())
                .map(str::to_owned),
        );
    }
    stamps.sort();
    Ok(stamps)
}

fn time_of(stamp: &str) -> Option<DateTime> {
    let time = DateTime::strptime(STAMP, stamp).ok()?;
    (stamp.len() == STAMP_LENGTH).then_some(time)
}

/// A stamp for now, but later than every other: after the clock was set back, the newest file
/// must not be taken for the oldest.
fn stamp(now: Timestamp, newest: Option<&str>) -> String {
    let now = TimeZone::UTC.to_datetime(now);
    let next = newest
        .and_then(time_of)
        .and_then(|newest| newest.checked_add(Span::new().microseconds(1)).ok());
    let at = next.map_or(now, |next| next.max(now));
    at.strftime(STAMP).to_string()
}

fn named(path: &Path, stamp: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(".");
    name.push(stamp);
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn stamps_sort_by_age_even_when_the_clock_is_set_back() {
        let first = stamp(at("2026-11-24T10:15:33.1234567Z"), None);
        assert_eq!(first, "20261124T101533.123456Z");
        let same = stamp(at("2026-11-24T10:15:33.123456Z"), Some(&first));
        assert_eq!(same, "20261124T101533.123457Z");
        let back = stamp(at("1970-01-01T00:00:00Z"), Some(&same));
        assert_eq!(back, "20261124T101533.123458Z");
        let on = stamp(at("2026-11-25T00:00:00Z"), Some(&back));
        assert_eq!(on, "20261125T000000.000000Z");
    }

    #[test]
    fn only_files_of_our_naming_are_taken_for_ours() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("audit.jsonl");
        for name in [
            "audit.jsonl",
            "audit.jsonl.1",
            "audit.jsonl.20261124",
            "audit.jsonl.20261124T101533.123456Z",
            "audit.jsonl.20261124T101533.123456Z.gz",
            "audit.jsonl.20261324T101533.123456Z",
            "audit.jsonl.20251124T101533.123456Z",
            "other.jsonl.20261124T101533.123456Z",
        ] {
            fs::write(dir.path().join(name), name).unwrap();
        }
        let ours = ["20251124T101533.123456Z", "20261124T101533.123456Z"];
        assert_eq!(aside(&path).unwrap(), ours);
        let rotation = Rotation {
            size: 1 << 20,
            keep: 1,
        };
        let log = LogFile::open(&path, Some(rotation)).unwrap();
        log.remove_oldest().unwrap();
        assert_eq!(aside(&path).unwrap(), ours[1..]);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 7);
    }

    /// Opens a file that says `before`, writes a line, and gives what it then says.
    fn continued(before: &str) -> String {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("audit.jsonl");
        fs::write(&path, before).unwrap();
        let mut log = LogFile::open(&path, None).unwrap();
        log.write(b"next\n").unwrap();
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(log.size, Some(text.len() as u64));
        text
    }

    #[test]
    fn a_line_that_was_never_finished_is_removed_if_it_is_ours() {
        let whole = "{\"@timestamp\":1}\n";
        for torn in [
            "{",
            "{\"@times",
            "{\"@timestamp\":",
            "{\"@timestamp\":\"2026-11-24T10",
        ] {
            assert_eq!(
                continued(&format!("{whole}{torn}")),
                format!("{whole}next\n")
            );
            assert_eq!(continued(torn), "next\n");
        }
        assert_eq!(continued(whole), format!("{whole}next\n"));
        for other in ["{\"n\":1}\n{\"n\":", "x", &"x".repeat(3 << 20)] {
            assert_eq!(continued(other), format!("{other}\nnext\n"));
        }
    }

    /// During an upgrade two gates write one file: what is half written is about to be whole.
    #[test]
    fn a_line_that_another_gate_is_writing_is_left_to_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("audit.jsonl");
        let mut old = LogFile::open(&path, None).unwrap();
        old.hold().unwrap();
        old.write(b"{\"@timestamp\":").unwrap();
        let there = path.clone();
        let opening = thread::spawn(move || LogFile::open(&there, None).unwrap());
        old.write(b"1}\n").unwrap();
        old.release();
        let mut new = opening.join().unwrap();
        new.write(b"next\n").unwrap();
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(text, "{\"@timestamp\":1}\nnext\n");
        // One that let go in the middle of a line, for want of room, learns that it is to write it anew.
        old.hold().unwrap();
        old.write(b"{\"@timestamp\":").unwrap();
        old.release();
        assert_eq!(new.hold().unwrap(), Found::Another);
        new.release();
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
        assert_eq!(old.hold().unwrap(), Found::Another);
        // When both are gone, who comes is alone.
        drop((old, new));
        fs::write(&path, "{\"@timestamp\":").unwrap();
        LogFile::open(&path, None).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"");
    }
}

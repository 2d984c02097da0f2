//! The directory on disk: what is written is there as a whole or not at all, whoever dies meanwhile.
//!
//! | path | holds |
//! | --- | --- |
//! | `state.json` | the [`Record`]; replaced by renaming a new one over it |
//! | `bundles/DIGEST/` | a bundle, byte for byte; renamed into place once it is whole |
//! | `lock` | held by the one process that writes |

use std::collections::BTreeSet;
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use octroi_policy::bundle::{Bundle, MAX_LIST, MAX_TOTAL};
use thiserror::Error;

use super::record::{FORMAT, Format, Record, Saved, is_inside};

/// The largest `state.json` read: two bundles of as many files as there may be, and the digests.
const MAX_RECORD: u64 = 64 << 20;
/// How long another process that writes is waited for.
const LOCK_WAIT: Duration = Duration::from_secs(10);
/// How often it is looked whether it has finished.
const LOCK_POLL: Duration = Duration::from_millis(20);

const RECORD: &str = "state.json";
const NEW_RECORD: &str = ".state.json.new";
const DAMAGED_RECORD: &str = "state.json.damaged";
const BUNDLES: &str = "bundles";
const NEW_BUNDLE: &str = ".new";
const LOCK: &str = "lock";

/// Why the state is of no use.
#[derive(Debug, Error)]
pub enum StateError {
    /// The directory is none, or not ours alone.
    #[error("the state directory `{path}` cannot be used: {why}")]
    Unusable {
        /// The directory.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// A later version of the program has written it.
    #[error(
        "the state in `{path}` has format {format}, which a later version writes; this one knows {FORMAT}, and leaves it as it is"
    )]
    Newer {
        /// The directory.
        path: PathBuf,
        /// The format found.
        format: u64,
    },
    /// It is not what was written.
    #[error("the state in `{path}` is damaged: {what}")]
    Damaged {
        /// The directory.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// It cannot be written.
    #[error("the state in `{path}` cannot be written: {why}")]
    Write {
        /// The directory.
        path: PathBuf,
        /// What the system says.
        why: String,
    },
}

impl StateError {
    /// The label of `octroi_state_errors_total`.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Unusable { .. } => "unusable",
            Self::Newer { .. } => "newer",
            Self::Damaged { .. } => "damaged",
            Self::Write { .. } => "write",
        }
    }

    /// All labels.
    pub const REASONS: [&str; 4] = ["unusable", "newer", "damaged", "write"];
}

/// A state directory that is ours.
#[derive(Debug)]
pub(super) struct Directory {
    path: PathBuf,
}

impl Directory {
    /// Opens it, or makes it.
    pub(super) fn open(path: &Path) -> Result<Self, StateError> {
        let unusable = |why: String| StateError::Unusable {
            path: path.to_owned(),
            why,
        };
        let mut builder = DirBuilder::new();
        builder.recursive(true).mode(0o700);
        match fs::metadata(path) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => builder
                .create(path)
                .map_err(|error| unusable(format!("it cannot be made: {error}")))?,
            Err(error) => return Err(unusable(error.to_string())),
        }
        Self::inspect(path)
    }

    /// Looks at one, or at where it would be made, and makes nothing.
    pub(super) fn rehearse(path: &Path) -> Result<(), StateError> {
        let unusable = |error: io::Error| StateError::Unusable {
            path: path.to_owned(),
            why: error.to_string(),
        };
        match fs::metadata(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                can_make(path).map_err(unusable)
            }
            _ => {
                let directory = Self::inspect(path)?;
                directory.record()?;
                can_write(path).map_err(|error| directory.write(error.to_string()))
            }
        }
    }

    /// One that is there and ours.
    fn inspect(path: &Path) -> Result<Self, StateError> {
        let unusable = |why: String| StateError::Unusable {
            path: path.to_owned(),
            why,
        };
        let meta = fs::metadata(path).map_err(|error| unusable(error.to_string()))?;
        if !meta.is_dir() {
            return Err(unusable("it is not a directory".to_owned()));
        }
        // Whoever can write there decides which policy is put in force after a bad start.
        let ours = rustix::process::geteuid().as_raw();
        if meta.uid() != ours {
            let owner = meta.uid();
            return Err(unusable(format!(
                "it belongs to user {owner}, and the gate runs as user {ours}"
            )));
        }
        if meta.mode() & 0o022 != 0 {
            return Err(unusable("others than its owner may write there".to_owned()));
        }
        Ok(Self {
            path: path.to_owned(),
        })
    }

    /// The record; `None` if nothing was ever saved.
    pub(super) fn record(&self) -> Result<Option<Record>, StateError> {
        let damaged = |what: String| self.damaged(format!("`{RECORD}` {what}"));
        let bytes = match read_bounded(&self.path.join(RECORD), MAX_RECORD) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(damaged(format!("cannot be read: {error}"))),
        };
        let Format { format } = serde_json::from_slice(&bytes)
            .map_err(|error| damaged(format!("is no state: {error}")))?;
        if format > FORMAT {
            return Err(StateError::Newer {
                path: self.path.clone(),
                format,
            });
        }
        let record: Record = serde_json::from_slice(&bytes)
            .map_err(|error| damaged(format!("is no state: {error}")))?;
        match record.nonsense() {
            _ if record.format != FORMAT => Err(damaged(format!("has format {format}"))),
            Some(what) => Err(damaged(format!("is no state: {what}"))),
            None => Ok(Some(record)),
        }
    }

    /// A saved bundle, if its bytes are those that were saved.
    pub(super) fn bundle(&self, saved: &Saved) -> Result<Bundle, StateError> {
        let root = self.path.join(BUNDLES).join(&saved.digest);
        let damaged =
            |what: &str| self.damaged(format!("the bundle in `{BUNDLES}/{}` {what}", saved.digest));
        let (mut files, mut left) = (Vec::new(), MAX_TOTAL);
        for path in &saved.files {
            let bytes = read_bounded(&root.join(path), left.min(MAX_LIST))
                .map_err(|error| damaged(&format!("lacks `{path}`: {error}")))?;
            left = left.saturating_sub(bytes.len() as u64);
            files.push((path.clone(), bytes));
        }
        let bundle = Bundle::from_files(files).map_err(|error| damaged(&error.to_string()))?;
        if **bundle.digest() != *saved.digest {
            return Err(damaged(&format!(
                "has the digest {}: its files are not those that were saved",
                bundle.digest()
            )));
        }
        Ok(bundle)
    }

    /// Keeps the directory as it is while it is read; reading goes on without where that cannot be.
    pub(super) fn hold(&self) -> Option<File> {
        let lock = File::open(self.path.join(LOCK)).ok()?;
        wait_for(&lock, File::try_lock_shared).ok()?;
        Some(lock)
    }

    /// Saves a bundle that was put in force as the last good one.
    pub(super) fn save(&self, bundle: &Bundle, now: Timestamp) -> Result<Record, StateError> {
        let write = |error: io::Error| self.write(error.to_string());
        // Looked at twice: a later version's directory does not even get a lock of ours.
        if let Err(newer @ StateError::Newer { .. }) = self.record() {
            return Err(newer);
        }
        let _lock = self.lock().map_err(write)?;
        let before = self.record_to_replace()?;
        let digest = &**bundle.digest();
        let saved = before.bundles().find(|saved| saved.digest == digest);
        if saved.is_none_or(|saved| self.bundle(saved).is_err()) {
            self.write_bundle(bundle).map_err(write)?;
        }
        let now = before.clone().with(bundle, now);
        if now != before {
            self.write_record(&now).map_err(write)?;
        }
        self.sweep(&now);
        Ok(now)
    }

    /// The record that the next one follows: a damaged one is set aside, a newer one is left alone.
    fn record_to_replace(&self) -> Result<Record, StateError> {
        match self.record() {
            Ok(record) => Ok(record.unwrap_or_default()),
            Err(StateError::Damaged { what, .. }) => {
                tracing::error!(directory = %self.path.display(), "the state is begun anew, the damaged one is set aside as `{DAMAGED_RECORD}`: {what}");
                fs::rename(self.path.join(RECORD), self.path.join(DAMAGED_RECORD))
                    .map_err(|error| self.write(error.to_string()))?;
                Ok(Record::default())
            }
            Err(error) => Err(error),
        }
    }

    fn lock(&self) -> io::Result<File> {
        let mut options = OpenOptions::new();
        let lock = options.create(true).append(true).mode(0o600);
        let lock = lock.open(self.path.join(LOCK))?;
        wait_for(&lock, File::try_lock)?;
        Ok(lock)
    }

    /// Writes all files beside, and moves them into place as a whole.
    fn write_bundle(&self, bundle: &Bundle) -> io::Result<()> {
        let bundles = self.path.join(BUNDLES);
        let (new, place) = (bundles.join(NEW_BUNDLE), bundles.join(&**bundle.digest()));
        remove(&new)?;
        make_directory(&new)?;
        let mut directories = BTreeSet::from([new.clone()]);
        for file in bundle.files() {
            let bytes = file.bytes().filter(|_| is_inside(file.path()));
            let bytes = bytes.ok_or_else(|| io::Error::other("the bundle has no bytes to save"))?;
            let path = new.join(file.path());
            for above in path.ancestors().skip(1).take_while(|it| *it != new) {
                directories.insert(above.to_owned());
            }
            make_directory(path.parent().unwrap_or(&new))?;
            write_file(&path, bytes)?;
        }
        directories.iter().try_for_each(|it| sync(it))?;
        // What lies there under this digest is a damaged copy, or one that nothing points to.
        remove(&place)?;
        fs::rename(&new, &place)?;
        sync(&bundles)?;
        sync(&self.path)
    }

    fn write_record(&self, record: &Record) -> io::Result<()> {
        let new = self.path.join(NEW_RECORD);
        let mut text = serde_json::to_vec_pretty(record).map_err(io::Error::other)?;
        text.push(b'\n');
        remove(&new)?;
        write_file(&new, &text)?;
        fs::rename(&new, self.path.join(RECORD))?;
        sync(&self.path)
    }

    /// Removes bundles that the record does not name, and what a process that died has left. What
    /// stays costs room and no more.
    fn sweep(&self, record: &Record) {
        let kept: BTreeSet<&str> = record.bundles().map(|it| &*it.digest).collect();
        let entries = fs::read_dir(self.path.join(BUNDLES)).into_iter().flatten();
        for entry in entries.flatten() {
            let name = entry.file_name();
            if name.to_str().is_some_and(|name| kept.contains(name)) {
                continue;
            }
            if let Err(error) = remove(&entry.path()) {
                tracing::warn!(%error, path = %entry.path().display(), "an old bundle of the state cannot be removed");
            }
        }
    }

    fn damaged(&self, what: String) -> StateError {
        StateError::Damaged {
            path: self.path.clone(),
            what,
        }
    }

    fn write(&self, why: String) -> StateError {
        StateError::Write {
            path: self.path.clone(),
            why,
        }
    }
}

fn wait_for(lock: &File, take: impl Fn(&File) -> Result<(), TryLockError>) -> io::Result<()> {
    let started = Instant::now();
    loop {
        match take(lock) {
            Ok(()) => return Ok(()),
            Err(TryLockError::Error(error)) => return Err(error),
            Err(TryLockError::WouldBlock) if started.elapsed() < LOCK_WAIT => {
                std::thread::sleep(LOCK_POLL);
            }
            Err(TryLockError::WouldBlock) => {
                return Err(io::Error::other("another process holds it"));
            }
        }
    }
}

/// Whether a directory that is not there could be made, with all above it that are not there either.
///
/// # Errors
/// What stands in the way.
pub fn can_make(path: &Path) -> io::Result<()> {
    let there = path.ancestors().skip(1).find(|above| above.exists());
    let there = there.filter(|above| !above.as_os_str().is_empty());
    can_write(there.unwrap_or(Path::new(".")))
}

fn can_write(directory: &Path) -> io::Result<()> {
    use rustix::fs::{Access, access};
    Ok(access(directory, Access::WRITE_OK | Access::EXEC_OK)?)
}

fn make_directory(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

fn write_file(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut options = OpenOptions::new();
    let mut file = options
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// A new name is on the disk once its directory is.
fn sync(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

fn remove(path: &Path) -> io::Result<()> {
    let removed = match fs::symlink_metadata(path) {
        Ok(meta) if meta.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

fn read_bounded(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(rustix::fs::OFlags::NONBLOCK.bits().cast_signed())
        .open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    let mut bytes = Vec::new();
    file.take(limit + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit {
        return Err(io::Error::other(format!(
            "it is larger than {} MiB",
            limit >> 20
        )));
    }
    Ok(bytes)
}

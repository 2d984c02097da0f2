//! A bundle from disk: the one place of this crate that reads files.
#![expect(
    clippy::disallowed_methods,
    reason = "the one place of this crate that reads files"
)]

use std::fs;
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};

use super::yaml::Document;
use super::{Bundle, Kind, MAX_FILES, MAX_LIST, MAX_TOTAL, MAX_YAML};

/// How deep directories may nest: also what ends a loop of links.
const MAX_DEPTH: usize = 8;

/// Why a bundle cannot be read at all.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The path given is not there, or may not be read.
    #[error("cannot read `{path}`: {source}")]
    Io {
        /// The path.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// It is neither a directory nor a file.
    #[error("`{0}` is neither a directory nor a YAML file")]
    NotABundle(PathBuf),
    /// More than [`MAX_FILES`] files.
    #[error("the bundle has more than {MAX_FILES} files")]
    TooManyFiles,
    /// More than [`MAX_TOTAL`] bytes together.
    #[error("the bundle is larger than {} MiB", MAX_TOTAL >> 20)]
    TooLarge,
    /// Directories deeper than any bundle needs, or a loop of links.
    #[error("the directories of the bundle nest deeper than {MAX_DEPTH} at `{0}`")]
    TooDeep(PathBuf),
}

type Files = Vec<(String, Result<Vec<u8>, String>)>;

impl Bundle {
    /// Reads a bundle: a directory, or one YAML file and the lists that it names.
    ///
    /// Hidden entries are skipped. Links are followed as long as they stay below the bundle, as those
    /// of a Kubernetes volume do; its `..data` is resolved once, so that all files are of one version.
    ///
    /// # Errors
    /// [`ReadError`] if there is nothing that could be judged. A single file that cannot be read is
    /// a finding of [`crate::check`] instead.
    pub fn read(path: &Path) -> Result<Self, ReadError> {
        let meta = fs::metadata(path).map_err(|source| io_error(path, source))?;
        let files = if meta.is_dir() {
            read_directory(path)?
        } else if meta.is_file() {
            read_single(path)?
        } else {
            return Err(ReadError::NotABundle(path.to_owned()));
        };
        Self::assemble(files, MAX_TOTAL)
    }
}

fn read_directory(path: &Path) -> Result<Files, ReadError> {
    let root = canonical(path)?;
    // A Kubernetes volume: every visible entry is a link into `..data`, which is itself a link that
    // is swapped in one step. Resolving it first pins the version.
    let data = root.join("..data");
    let root = if data.is_dir() {
        below(&canonical(&data)?, root)
    } else {
        root
    };
    let mut reader = Reader {
        root: root.clone(),
        total: 0,
        files: Vec::new(),
    };
    reader.directory(&root, "", 0)?;
    Ok(reader.files)
}

/// `inner` if it lies below `outer`, else `outer`.
fn below(inner: &Path, outer: PathBuf) -> PathBuf {
    if inner.starts_with(&outer) {
        inner.to_owned()
    } else {
        outer
    }
}

/// The file, and the lists its `*_from` keys name, relative to its directory.
fn read_single(path: &Path) -> Result<Files, ReadError> {
    let parent = match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    let name = path.file_name().and_then(|name| name.to_str());
    let name = name.ok_or_else(|| ReadError::NotABundle(path.to_owned()))?;
    let mut reader = Reader {
        root: canonical(parent)?,
        total: 0,
        files: Vec::new(),
    };
    // The file itself may be a link to anywhere: it is what the operator named.
    let bytes = read_bounded(path, MAX_YAML).map_err(|source| io_error(path, source))?;
    let text = String::from_utf8_lossy(&bytes).into_owned();
    reader.keep(name.to_owned(), Ok(bytes))?;
    // What cannot be parsed names no list; `check` says why.
    let lists = Document::read(&text, 0)
        .map(|document| document.list_paths())
        .unwrap_or_default();
    for list in lists {
        let inside = Path::new(&list)
            .components()
            .all(|part| matches!(part, Component::Normal(_)));
        let path = reader.root.join(&list);
        if inside && list != name && path.symlink_metadata().is_ok() {
            reader.file(&path, list)?;
        }
    }
    Ok(reader.files)
}

struct Reader {
    /// Canonical: nothing outside is read.
    root: PathBuf,
    total: u64,
    files: Files,
}

impl Reader {
    fn directory(&mut self, path: &Path, prefix: &str, depth: usize) -> Result<(), ReadError> {
        if depth > MAX_DEPTH {
            return Err(ReadError::TooDeep(path.to_owned()));
        }
        let entries = fs::read_dir(path).map_err(|source| io_error(path, source))?;
        let mut seen = 0;
        for entry in entries {
            let entry = entry.map_err(|source| io_error(path, source))?;
            seen += 1;
            if seen > MAX_FILES {
                return Err(ReadError::TooManyFiles);
            }
            let name = entry.file_name();
            let name = name.to_string_lossy();
            if !name.starts_with('.') {
                self.entry(&entry.path(), format!("{prefix}{name}"), depth)?;
            }
        }
        Ok(())
    }

    fn entry(&mut self, path: &Path, name: String, depth: usize) -> Result<(), ReadError> {
        match fs::metadata(path) {
            Ok(meta) if meta.is_dir() => match self.resolve(path) {
                Ok(real) => self.directory(&real, &format!("{name}/"), depth + 1),
                Err(why) => self.keep(name, Err(why)),
            },
            Ok(_) if is_part(&name) => self.file(path, name),
            Err(error) if is_part(&name) => self.keep(name, Err(error.to_string())),
            Ok(_) | Err(_) => Ok(()),
        }
    }

    fn file(&mut self, path: &Path, name: String) -> Result<(), ReadError> {
        let limit = if Kind::of(&name) == Kind::List {
            MAX_LIST
        } else {
            MAX_YAML
        };
        let bytes = self
            .resolve(path)
            .and_then(|real| read_bounded(&real, limit).map_err(|error| error.to_string()));
        self.keep(name, bytes)
    }

    fn keep(&mut self, name: String, bytes: Result<Vec<u8>, String>) -> Result<(), ReadError> {
        self.total += bytes.as_ref().map_or(0, |bytes| bytes.len() as u64);
        if self.total > MAX_TOTAL {
            return Err(ReadError::TooLarge);
        }
        if self.files.len() >= MAX_FILES {
            return Err(ReadError::TooManyFiles);
        }
        self.files.push((name, bytes));
        Ok(())
    }

    /// Where `path` really is, if that is inside the bundle.
    fn resolve(&self, path: &Path) -> Result<PathBuf, String> {
        let real = path.canonicalize().map_err(|error| error.to_string())?;
        if real.starts_with(&self.root) {
            Ok(real)
        } else {
            Err("the link leads out of the bundle".to_owned())
        }
    }
}

/// Whether a file belongs to a bundle by its path; READMEs and scripts beside it do not.
fn is_part(name: &str) -> bool {
    let ending = name.rsplit_once('.').map_or("", |(_, ending)| ending);
    name.starts_with("lists/") || matches!(ending, "yaml" | "yml" | "txt")
}

/// Reads a regular file of at most `limit` bytes; a pipe or device would never end.
fn read_bounded(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::other("not a regular file"));
    }
    let mut bytes = Vec::new();
    fs::File::open(path)?
        .take(limit + 1)
        .read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit {
        return Err(io::Error::other(format!("larger than {} MiB", limit >> 20)));
    }
    Ok(bytes)
}

fn canonical(path: &Path) -> Result<PathBuf, ReadError> {
    path.canonicalize().map_err(|source| io_error(path, source))
}

fn io_error(path: &Path, source: io::Error) -> ReadError {
    ReadError::Io {
        path: path.to_owned(),
        source,
    }
}

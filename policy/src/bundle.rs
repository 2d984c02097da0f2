//! The source files of a bundle, by their position in one sorted table.

mod find;
pub(crate) mod list;
mod read;
#[cfg(test)]
mod tests;
pub(crate) mod yaml;

use std::sync::Arc;

use sha2::{Digest, Sha256};

use crate::diagnostic::Sources;
pub use read::ReadError;

/// Files in one bundle.
pub const MAX_FILES: usize = 10_000;
/// Bytes of one YAML file.
pub const MAX_YAML: u64 = 4 << 20;
/// Bytes of one list: some ten million names.
pub const MAX_LIST: u64 = 256 << 20;
/// Bytes of a whole bundle.
pub const MAX_TOTAL: u64 = 1 << 30;

/// The files of a bundle. Reading it judges nothing: what cannot be read or is no text becomes a
/// finding of [`crate::check`], beside all others.
#[derive(Clone, Debug)]
pub struct Bundle {
    files: Vec<File>,
    digest: Arc<str>,
}

/// One file.
#[derive(Clone, Debug)]
pub struct File {
    path: String,
    kind: Kind,
    content: Content,
}

/// What a file is for, by its path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// YAML of the nation.
    National,
    /// YAML of one ministry: below `ministries/<id>/`.
    Layer,
    /// A plain list.
    List,
    /// Looks like YAML but has another ending, and so is not read.
    Ignored,
}

/// What a file holds.
#[derive(Clone, Debug)]
enum Content {
    Text(String),
    /// Text with a byte sequence that is not UTF-8 at this line and column; shown with replacements.
    NotUtf8 {
        text: String,
        line: u32,
        column: u32,
    },
    Unreadable(String),
}

impl Bundle {
    /// A bundle of the given files: paths relative to its root, with `/`.
    ///
    /// # Errors
    /// [`ReadError::TooManyFiles`], [`ReadError::TooLarge`].
    pub fn from_files(
        files: impl IntoIterator<Item = (String, Vec<u8>)>,
    ) -> Result<Self, ReadError> {
        let files = files.into_iter().map(|(path, bytes)| (path, Ok(bytes)));
        Self::assemble(files.collect(), MAX_TOTAL)
    }

    /// Sorts, counts and digests. A file is its bytes, or why it could not be read.
    fn assemble(
        mut files: Vec<(String, Result<Vec<u8>, String>)>,
        max_total: u64,
    ) -> Result<Self, ReadError> {
        if files.len() > MAX_FILES {
            return Err(ReadError::TooManyFiles);
        }
        let total: u64 = files
            .iter()
            .filter_map(|(_, bytes)| bytes.as_ref().ok())
            .map(|bytes| bytes.len() as u64)
            .sum();
        if total > max_total {
            return Err(ReadError::TooLarge);
        }
        files.sort_by(|a, b| a.0.cmp(&b.0));
        let digest = digest(&files).into();
        let files = files
            .into_iter()
            .map(|(path, bytes)| File::new(path, bytes))
            .collect();
        Ok(Self { files, digest })
    }

    /// SHA-256 over every file's path, length and bytes, in lower-case hexadecimal.
    #[must_use]
    pub fn digest(&self) -> &Arc<str> {
        &self.digest
    }

    /// The files, sorted by path; a [`crate::catalogue::Place`] counts in this table.
    #[must_use]
    pub fn files(&self) -> &[File] {
        &self.files
    }

    /// The position of the file with this path.
    #[must_use]
    pub fn position(&self, path: &str) -> Option<u32> {
        let at = self
            .files
            .binary_search_by(|file| file.path.as_str().cmp(path))
            .ok()?;
        u32::try_from(at).ok()
    }
}

impl File {
    fn new(path: String, bytes: Result<Vec<u8>, String>) -> Self {
        let kind = Kind::of(&path);
        let content = match bytes {
            Ok(bytes) => Content::new(bytes),
            Err(why) => Content::Unreadable(why),
        };
        Self {
            path,
            kind,
            content,
        }
    }

    /// Its path below the bundle.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// What it is for.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Its text; empty if it could not be read.
    #[must_use]
    pub fn text(&self) -> &str {
        match &self.content {
            Content::Text(text) | Content::NotUtf8 { text, .. } => text,
            Content::Unreadable(_) => "",
        }
    }

    /// Its bytes as they were read; `None` if it could not be read or is no text, so that it is in no bundle that may
    /// be put in force.
    #[must_use]
    pub fn bytes(&self) -> Option<&[u8]> {
        match &self.content {
            Content::Text(text) => Some(text.as_bytes()),
            Content::NotUtf8 { .. } | Content::Unreadable(_) => None,
        }
    }

    /// Why it could not be read.
    pub(crate) fn unreadable(&self) -> Option<&str> {
        match &self.content {
            Content::Unreadable(why) => Some(why),
            _ => None,
        }
    }

    /// Line and column of the first bytes that are not UTF-8.
    pub(crate) fn not_utf8(&self) -> Option<(u32, u32)> {
        match self.content {
            Content::NotUtf8 { line, column, .. } => Some((line, column)),
            _ => None,
        }
    }

    /// The ministry whose own file it is.
    pub(crate) fn ministry(&self) -> Option<&str> {
        self.path
            .strip_prefix("ministries/")?
            .split_once('/')
            .map(|(ministry, _)| ministry)
    }
}

impl Content {
    fn new(bytes: Vec<u8>) -> Self {
        String::from_utf8(bytes).map_or_else(
            |error| {
                let valid = error.utf8_error().valid_up_to();
                let before = String::from_utf8_lossy(&error.as_bytes()[..valid]).into_owned();
                let (line, column) = place_behind(&before);
                let text = String::from_utf8_lossy(error.as_bytes()).into_owned();
                Self::NotUtf8 { text, line, column }
            },
            Self::Text,
        )
    }
}

/// Line and column of what comes next, both from 1.
fn place_behind(before: &str) -> (u32, u32) {
    let line = before.matches('\n').count() + 1;
    let last = before.rsplit('\n').next().unwrap_or_default();
    let narrow = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    (narrow(line), narrow(last.chars().count() + 1))
}

impl Kind {
    fn of(path: &str) -> Self {
        let below_lists = path.starts_with("lists/");
        let layer = path
            .strip_prefix("ministries/")
            .is_some_and(|rest| rest.contains('/'));
        match path.rsplit_once('.').map(|(_, ending)| ending) {
            Some("yaml") if !below_lists && layer => Self::Layer,
            Some("yaml") if !below_lists => Self::National,
            Some("yml" | "YAML" | "YML" | "json") if !below_lists => Self::Ignored,
            _ => Self::List,
        }
    }
}

impl Sources for Bundle {
    fn path(&self, file: u32) -> &str {
        self.files.get(file as usize).map_or("?", File::path)
    }

    fn text(&self, file: u32) -> &str {
        self.files.get(file as usize).map_or("", File::text)
    }
}

fn digest(files: &[(String, Result<Vec<u8>, String>)]) -> String {
    let mut hash = Sha256::new();
    for (path, bytes) in files {
        let bytes = bytes.as_deref().unwrap_or_default();
        for part in [path.as_bytes(), bytes] {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
    }
    hash.finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

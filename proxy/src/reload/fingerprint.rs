//! What the files of a bundle look like from outside: whether they changed, without reading them.

use std::collections::BTreeSet;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::config::PolicySource;

/// As deep as a bundle is read.
const MAX_DEPTH: usize = 8;
/// As many entries as are looked at.
const MAX_ENTRIES: usize = 20_000;

/// Path, device, inode, size and times of everything in the bundle, as one number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Fingerprint(u64);

impl Fingerprint {
    pub(super) fn of(source: &PolicySource) -> Self {
        match source {
            PolicySource::Path(path) => Self::of_all([path]),
            PolicySource::Embedded => Self::default(),
        }
    }

    /// Of files and directories together.
    pub(crate) fn of_all<'a>(paths: impl IntoIterator<Item = &'a PathBuf>) -> Self {
        let mut hasher = DefaultHasher::new();
        for path in paths {
            walk(path, &mut |path, _| look(path, &mut hasher));
        }
        Self(hasher.finish())
    }
}

fn look(path: &Path, hasher: &mut DefaultHasher) {
    path.hash(hasher);
    match fs::metadata(path) {
        Ok(meta) => (
            meta.dev(),
            meta.ino(),
            meta.size(),
            meta.mtime(),
            meta.mtime_nsec(),
            meta.ctime(),
            meta.ctime_nsec(),
        )
            .hash(hasher),
        Err(error) => error.raw_os_error().hash(hasher),
    }
}

/// Every directory in which something may happen that changes the bundle: those it consists of,
/// those its links lead to, and the one it lies in.
pub(super) fn directories(path: &Path) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    let mut note = |path: &Path| {
        found.extend(parent(path));
        found.extend(path.canonicalize().ok().as_deref().and_then(parent));
    };
    note(path);
    let mut inside = BTreeSet::new();
    walk(path, &mut |path, is_directory| {
        if is_directory {
            inside.extend(path.canonicalize().ok());
        }
        note(path);
    });
    found.append(&mut inside);
    found
}

fn parent(path: &Path) -> Option<PathBuf> {
    let parent = path.parent()?;
    let here = parent.as_os_str().is_empty();
    Some(if here {
        PathBuf::from(".")
    } else {
        parent.to_owned()
    })
}

/// Calls `seen` for `root` and everything below, in a fixed order, links followed. Hidden entries
/// are passed over, but for the link by which Kubernetes swaps a whole volume.
fn walk(root: &Path, seen: &mut dyn FnMut(&Path, bool)) {
    let mut left = MAX_ENTRIES;
    visit(root, 0, &mut left, seen);
}

fn visit(path: &Path, depth: usize, left: &mut usize, seen: &mut dyn FnMut(&Path, bool)) {
    if depth > MAX_DEPTH || *left == 0 {
        return;
    }
    *left -= 1;
    let is_directory = path.is_dir();
    seen(path, is_directory);
    if !is_directory {
        return;
    }
    let Ok(entries) = fs::read_dir(path) else {
        return;
    };
    let mut names: Vec<_> = entries
        .filter_map(|entry| Some(entry.ok()?.file_name()))
        .collect();
    names.sort();
    for name in names {
        let hidden = name.as_encoded_bytes().starts_with(b".");
        if !hidden || name == "..data" {
            visit(&path.join(name), depth + 1, left, seen);
        }
    }
}

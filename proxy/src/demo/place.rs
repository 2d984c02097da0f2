//! The temporary directory of the demonstration: the files that it edits as a policy author would, and what the gate writes.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::reload::embedded_files;

/// The files below `examples/demo`.
static FILES: &[(&str, &[u8])] = include!(concat!(env!("OUT_DIR"), "/embedded_demo.rs"));

/// Directories tried until one is not there yet, and how often one is removed until it is gone.
const TRIES: u32 = 100;
const PAUSE: Duration = Duration::from_millis(10);

/// Where the gate and its world meet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Addresses {
    pub(super) listen: SocketAddr,
    pub(super) admin: SocketAddr,
    pub(super) dns: SocketAddr,
}

/// The directory. It is removed with all that is in it when this value is dropped, or before.
#[derive(Debug)]
pub(super) struct Place {
    root: PathBuf,
}

impl Drop for Place {
    fn drop(&mut self) {
        remove(&self.root);
    }
}

/// Removes the directory of a demonstration that ends.
pub(super) fn remove(root: &Path) {
    // A thread of the gate may be at its last file; and nobody is left who could be told.
    for _ in 0..TRIES {
        if fs::remove_dir_all(root).is_ok() || !root.exists() {
            return;
        }
        std::thread::sleep(PAUSE);
    }
}

/// The text of a file of the demonstration; empty if there is none.
pub(super) fn file(name: &str) -> &'static str {
    find(FILES, name).unwrap_or_default()
}

/// The text of a file of the bundle, as the demonstration brings it; empty if there is none.
pub(super) fn shipped(name: &str) -> &'static str {
    let own = find(FILES, &format!("policy/{name}"));
    own.or_else(|| find(embedded_files(), name))
        .unwrap_or_default()
}

fn find(files: &[(&str, &'static [u8])], name: &str) -> Option<&'static str> {
    let (_, bytes) = files.iter().find(|(known, _)| *known == name)?;
    std::str::from_utf8(bytes).ok()
}

impl Place {
    /// Makes the directory, for this user alone.
    pub(super) fn make() -> io::Result<Self> {
        let (parent, pid) = (std::env::temp_dir(), std::process::id());
        for number in 0..TRIES {
            let root = parent.join(format!("octroi-demo-{pid}-{number}"));
            match fs::DirBuilder::new().mode(0o700).create(&root) {
                Ok(()) => return Ok(Self { root }),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
        Err(io::ErrorKind::AlreadyExists.into())
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// Writes the bundle, and `octroi.yaml` with these addresses.
    pub(super) fn fill(&self, addresses: Addresses) -> io::Result<()> {
        let kept = embedded_files().iter().filter(|(name, _)| is_kept(name));
        for (name, bytes) in kept {
            self.write(&format!("policy/{name}"), bytes)?;
        }
        let own = FILES.iter().filter(|(name, _)| name.starts_with("policy/"));
        for (name, bytes) in own {
            self.write(name, bytes)?;
        }
        let Addresses { listen, admin, dns } = addresses;
        let secure = SocketAddr::new(listen.ip(), 0);
        let config = file("octroi.yaml")
            .replace("127.0.0.1:3128", &listen.to_string())
            .replace("127.0.0.1:3129", &secure.to_string())
            .replace("127.0.0.1:9128", &admin.to_string())
            .replace("127.0.0.1:5353", &dns.to_string());
        self.write("octroi.yaml", config.as_bytes())
    }

    fn write(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let path = self.root.join(name);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::write(path, bytes)
    }
}

/// Of the example bundle: what is not about its own ministries' addresses.
fn is_kept(name: &str) -> bool {
    let is_sources = name.starts_with("ministries/") && name.matches('/').count() == 1;
    let is_test = name.ends_with("tests.yaml") || name.starts_with("tests/");
    !is_test && (!is_sources || name == "ministries/essai.yaml")
}

/// The bundle as its author edits it: real files, saved as an editor saves them.
#[derive(Clone, Debug)]
pub(super) struct Desk {
    policy: PathBuf,
}

impl Desk {
    pub(super) fn new(place: &Place) -> Self {
        Self {
            policy: place.root.join("policy"),
        }
    }

    /// Replaces a file as a whole, so that nobody reads half of it.
    pub(super) fn save(&self, name: &str, text: &str) -> io::Result<()> {
        let (path, draft) = (self.policy.join(name), self.policy.with_extension("draft"));
        fs::write(&draft, text)?;
        fs::rename(draft, path)
    }

    /// What a file says.
    pub(super) fn read(&self, name: &str) -> io::Result<String> {
        fs::read_to_string(self.policy.join(name))
    }

    /// Puts a file back as the demonstration brought it.
    pub(super) fn restore(&self, name: &str) -> io::Result<()> {
        self.save(name, shipped(name))
    }

    /// Has a derogation end at this instant.
    pub(super) fn end_derogation(&self, id: &str, until: Timestamp) -> io::Result<()> {
        let text = self.read(DEROGATIONS)?;
        self.save(DEROGATIONS, &with_end(&text, id, &until.to_string()))
    }
}

/// The file of derogations.
pub(super) const DEROGATIONS: &str = "derogations.yaml";

/// The day that is so many days after `now`, as it is written in a bundle.
pub(super) fn day_after(now: Timestamp, days: i64) -> String {
    let then = now + SignedDuration::from_hours(24 * days);
    then.to_string().chars().take("2026-11-24".len()).collect()
}

/// The text in which the derogation `id` has this end.
pub(super) fn with_end(text: &str, id: &str, until: &str) -> String {
    let mut is_inside = false;
    let line = |line: &str| {
        if let Some(found) = line.trim_start().strip_prefix("- id: ") {
            is_inside = found == id;
        }
        match line.find("until: ") {
            Some(at) if is_inside => format!("{}until: {until}\n", &line[..at]),
            _ => format!("{line}\n"),
        }
    };
    text.lines().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_is_written_into_one_derogation_alone() {
        let text = "d:\n  - id: A\n    until: 2026-01-01\n  - id: B\n    until: 2026-02-02\n";
        let written = with_end(text, "B", "2026-03-03");
        assert_eq!(written, text.replace("2026-02-02", "2026-03-03"));
    }

    #[test]
    fn every_file_that_the_story_edits_is_there() {
        for name in [
            "names.txt",
            "octroi.yaml",
            "policy/derogations.yaml",
            "policy/lists/indicators.txt",
        ] {
            assert_ne!(file(name), "", "{name}");
        }
        for name in ["policy.yaml", "lists/denied-names.txt", DEROGATIONS] {
            assert_ne!(shipped(name), "", "{name}");
        }
    }

    #[test]
    fn the_directory_is_for_this_user_alone_and_gone_when_dropped() {
        use std::os::unix::fs::PermissionsExt;
        let place = Place::make().unwrap();
        let root = place.root().to_owned();
        let mode = fs::metadata(&root).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
        drop(place);
        assert!(!root.exists());
    }
}

//! The program that this process runs, as it was started: what an upgrade starts anew.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// Tells the new gate where the old one listens.
pub const TAKE_OVER: &str = "--take-over";
/// Tells the new gate that it is nobody's child.
pub const DETACHED: &str = "--detached";

/// A program and its arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Program {
    /// Its path, links kept: whoever replaces the file or the link replaces the program.
    pub(super) path: PathBuf,
    arguments: Vec<OsString>,
}

impl Program {
    /// The program of this process. To be asked at the start, before its file may be replaced.
    pub(super) fn of_this_process() -> io::Result<Self> {
        let mut arguments = env::args_os();
        let name = arguments.next().unwrap_or_default();
        let running = env::current_exe()?;
        let started = as_started(&name).filter(|path| is_same(path, &running));
        Ok(Self {
            path: started.unwrap_or(running),
            arguments: plain(arguments),
        })
    }

    /// Starts it, to take over from the gate that listens in `directory`. The child only starts
    /// the new gate and ends, so that the new gate is not the child of the one that leaves.
    pub(super) fn spawn(&self, directory: &Path) -> io::Result<Child> {
        Command::new(&self.path)
            .args(&self.arguments)
            .arg(TAKE_OVER)
            .arg(directory)
            // The watchdog is meant for whoever is the service.
            .env_remove("WATCHDOG_PID")
            .stdin(Stdio::null())
            .spawn()
    }
}

/// The file that a process was started from by this name.
fn as_started(name: &OsStr) -> Option<PathBuf> {
    let name = Path::new(name);
    if name.components().count() > 1 {
        return std::path::absolute(name).ok();
    }
    let path = env::var_os("PATH")?;
    let mut found = env::split_paths(&path).map(|directory| directory.join(name));
    found.find(|path| path.is_absolute() && path.is_file())
}

fn is_same(one: &Path, other: &Path) -> bool {
    let identity = |path| fs::metadata(path).map(|meta| (meta.dev(), meta.ino()));
    matches!((identity(one), identity(other)), (Ok(one), Ok(other)) if one == other)
}

/// The arguments without those of an earlier upgrade.
fn plain(arguments: impl Iterator<Item = OsString>) -> Vec<OsString> {
    let mut arguments = arguments.filter(|argument| argument != DETACHED);
    let mut plain = Vec::new();
    while let Some(argument) = arguments.next() {
        if argument == TAKE_OVER {
            arguments.next();
        } else {
            plain.push(argument);
        }
    }
    if plain.is_empty() {
        // The command that no command means.
        plain.push("run".into());
    }
    plain
}

/// Starts this very command once more, as nobody's child.
///
/// # Errors
/// When it cannot be started.
pub fn detach() -> io::Result<()> {
    let program = Program::of_this_process()?;
    let arguments = env::args_os().skip(1);
    let child = Command::new(program.path)
        .args(arguments)
        .arg(DETACHED)
        .stdin(Stdio::null())
        .spawn()?;
    // It is to outlive us: nobody waits for it here.
    drop(child);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_of_earlier_upgrades_are_left_out() {
        let cases: [(&[&str], &[&str]); 4] = [
            (&[], &["run"]),
            (&["run", "--config", "a"], &["run", "--config", "a"]),
            (
                &["run", "--take-over", "/run/octroi", "--detached"],
                &["run"],
            ),
            (&["--take-over", "/x", "--take-over", "/y"], &["run"]),
        ];
        for (given, expect) in cases {
            let found = plain(given.iter().map(OsString::from));
            assert_eq!(found, expect, "{given:?}");
        }
    }

    #[test]
    fn a_link_to_the_program_stays_a_link() {
        let dir = tempfile::tempdir().unwrap();
        let link = dir.path().join("octroi");
        let running = env::current_exe().unwrap();
        std::os::unix::fs::symlink(&running, &link).unwrap();
        let started = as_started(link.as_os_str()).unwrap();
        assert_eq!(started, link);
        assert!(is_same(&started, &running));
        assert!(!is_same(Path::new("/bin/sh"), &running));
        let sh = as_started(OsStr::new("sh")).unwrap();
        assert!(sh.is_absolute() && sh.ends_with("sh"), "{sh:?}");
    }
}

//! The directory where old and new gate meet, and the socket in it: nobody else gets there.

use std::ffi::OsStr;
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use thiserror::Error;

use super::wire::control;

/// Rights of the directory: whoever may enter could take every connection over.
const PERMISSIONS: u32 = 0o700;

/// Bytes of the directory's path, so that the sockets in it fit into a socket address (108).
const MAX_PATH: usize = 80;

/// Why there is no place to meet.
#[derive(Debug, Error)]
pub enum DoorError {
    /// It cannot be made or looked at.
    #[error("cannot use the directory `{}` of `upgrade.path`: {error}", path.display())]
    Io {
        /// The directory.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// Others may enter it.
    #[error(
        "the directory `{}` of `upgrade.path` is not the gate's alone: {what}\nhelp: make it with `install -d -m 0700 -o USER`, or leave it to the gate to make",
        path.display()
    )]
    Open {
        /// The directory.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// Another gate listens there.
    #[error(
        "another gate listens in the directory `{}` of `upgrade.path`\nhelp: give each gate a directory of its own, or tell that one to upgrade",
        path.display()
    )]
    Taken {
        /// The directory.
        path: PathBuf,
    },
}

/// The directory: what the file says, else the first that systemd made for the service.
pub(super) fn directory(configured: Option<&Path>, runtime: Option<&OsStr>) -> Option<PathBuf> {
    let systemd = || {
        let first = runtime?.as_bytes().split(|&byte| byte == b':').next()?;
        let path = Path::new(OsStr::from_bytes(first));
        path.is_absolute().then_some(path)
    };
    configured.or_else(systemd).map(Path::to_owned)
}

/// Makes the directory unless it is there, and looks at it.
///
/// # Errors
/// [`DoorError`] unless it is a directory of our own that nobody else may enter.
pub(super) fn prepare(path: &Path) -> Result<(), DoorError> {
    let failed = failed(path);
    short_enough(path)?;
    let made = DirBuilder::new().mode(PERMISSIONS).create(path);
    match made {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(failed(error)),
        _ => {}
    }
    inspect(path)
}

/// Looks at the directory, or where it would be made, and makes nothing.
///
/// # Errors
/// [`DoorError`], where [`open`] would fail.
pub(super) fn rehearse(path: &Path) -> Result<(), DoorError> {
    short_enough(path)?;
    match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            crate::state::can_make(path).map_err(failed(path))
        }
        _ => inspect(path).and_then(|()| match is_taken(path) {
            true => Err(DoorError::Taken {
                path: path.to_owned(),
            }),
            false => Ok(()),
        }),
    }
}

fn failed(path: &Path) -> impl Fn(io::Error) -> DoorError {
    move |error| DoorError::Io {
        path: path.to_owned(),
        error,
    }
}

fn short_enough(path: &Path) -> Result<(), DoorError> {
    if path.as_os_str().len() <= MAX_PATH {
        return Ok(());
    }
    let error = format!("its path has more than {MAX_PATH} bytes");
    Err(failed(path)(io::Error::other(error)))
}

/// Whether it is a directory of our own that nobody else may enter.
fn inspect(path: &Path) -> Result<(), DoorError> {
    let found = fs::metadata(path).map_err(failed(path))?;
    let open = |what| DoorError::Open {
        path: path.to_owned(),
        what,
    };
    if !found.is_dir() {
        return Err(open("it is no directory".to_owned()));
    }
    let own = rustix::process::geteuid().as_raw();
    if found.uid() != own {
        let what = format!("it belongs to user {}, the gate runs as {own}", found.uid());
        return Err(open(what));
    }
    let rights = found.mode() & 0o7777;
    if rights & 0o077 != 0 {
        return Err(open(format!(
            "its mode is {rights:04o}, not {PERMISSIONS:04o}"
        )));
    }
    Ok(())
}

/// Whether a gate listens in the directory.
fn is_taken(path: &Path) -> bool {
    UnixStream::connect(control(path)).is_ok()
}

/// Listens in the directory, where no other gate does.
///
/// # Errors
/// [`DoorError`] says what is wrong with the directory.
pub(super) fn open(path: &Path) -> Result<UnixListener, DoorError> {
    prepare(path)?;
    if is_taken(path) {
        let path = path.to_owned();
        return Err(DoorError::Taken { path });
    }
    take(path)
}

/// Listens in the directory in place of whoever did.
///
/// # Errors
/// [`DoorError`] says what is wrong with the directory.
pub(super) fn take(path: &Path) -> Result<UnixListener, DoorError> {
    prepare(path)?;
    let beside = path.join(format!("{}.sock", std::process::id()));
    let listening = || -> io::Result<UnixListener> {
        match fs::remove_file(&beside) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = UnixListener::bind(&beside)?;
        // In one step: there is a socket to call at every moment.
        fs::rename(&beside, control(path))?;
        listener.set_nonblocking(true)?;
        Ok(listener)
    };
    listening().map_err(|error| DoorError::Io {
        path: path.to_owned(),
        error,
    })
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn the_file_comes_before_systemd() {
        let (file, list) = (Path::new("/a"), OsStr::new("/run/octroi:/run/b"));
        for (configured, runtime, expect) in [
            (None, None, None),
            (Some(file), Some(list), Some("/a")),
            (None, Some(list), Some("/run/octroi")),
            (None, Some(OsStr::new("")), None),
            (None, Some(OsStr::new("relative")), None),
        ] {
            let found = directory(configured, runtime);
            assert_eq!(found.as_deref(), expect.map(Path::new));
        }
    }

    #[test]
    fn the_directory_is_made_for_us_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("run");
        let first = open(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, PERMISSIONS);
        assert!(matches!(open(&path), Err(DoorError::Taken { .. })));
        drop(first);
        open(&path).expect("what a killed gate left behind is no gate");
    }

    #[test]
    fn a_directory_that_others_may_enter_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        for mode in [0o755, 0o770, 0o701] {
            fs::set_permissions(dir.path(), Permissions::from_mode(mode)).unwrap();
            let error = open(dir.path()).unwrap_err();
            assert!(matches!(error, DoorError::Open { .. }), "{mode:o}: {error}");
        }
        let file = dir.path().join("file");
        fs::write(&file, "").unwrap();
        let error = open(&file).unwrap_err().to_string();
        assert!(error.contains("no directory"), "{error}");
        let long = dir.path().join("a".repeat(MAX_PATH));
        assert!(matches!(open(&long), Err(DoorError::Io { .. })));
    }

    #[test]
    fn whoever_takes_the_door_is_called_from_then_on() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("run");
        let old = open(&path).unwrap();
        let new = take(&path).unwrap();
        UnixStream::connect(control(&path)).unwrap();
        assert!(new.accept().is_ok());
        assert!(old.accept().is_err());
    }
}

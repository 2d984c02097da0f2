//! A disk that can be full.

use super::tools::{finish, tool};

/// A small file system, gone at the end.
pub(crate) struct Disk(pub(crate) tempfile::TempDir);

impl Disk {
    pub(crate) fn mount(size: &str) -> Self {
        let place = tempfile::tempdir().unwrap();
        let mut mount = tool("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"]);
        let (code, said) = finish(mount.arg(place.path()));
        assert_eq!(code, Some(0), "this test needs root: {said}");
        Self(place)
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Lazily: a gate that still runs after a failure must not keep it.
        finish(tool("umount").arg("-l").arg(self.0.path()));
    }
}

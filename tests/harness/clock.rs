//! A wall clock that jumps, by libfaketime. The monotonic clock goes on, as it does on a machine
//! whose time is set.

use std::path::{Path, PathBuf};

use super::tools::tool;
use super::world::Plan;

/// The wall clock of one gate.
pub(crate) struct Clock(PathBuf);

impl Clock {
    /// A clock that is right, and the plan of a gate that reads it.
    pub(crate) fn of(plan: Plan) -> (Self, Plan) {
        let clock = Self(plan.path("clock"));
        clock.jump("+0");
        let plan = plan
            .environment("LD_PRELOAD", library().display().to_string())
            .environment("FAKETIME_TIMESTAMP_FILE", clock.0.display().to_string())
            .environment("FAKETIME_NO_CACHE", "1")
            .environment("FAKETIME_DONT_FAKE_MONOTONIC", "1")
            // The times of files are what they were.
            .environment("NO_FAKE_STAT", "1");
        (clock, plan)
    }

    /// Sets it off from the true time: `+1d`, `-1y`, `+0`.
    pub(crate) fn jump(&self, offset: &str) {
        let beside = self.0.with_extension("new");
        std::fs::write(&beside, format!("{offset}\n")).unwrap();
        std::fs::rename(beside, &self.0).unwrap();
    }
}

fn library() -> PathBuf {
    // Fails with the name of the package.
    drop(tool("faketime"));
    let places = std::fs::read_dir("/usr/lib").unwrap().flatten();
    let mut found = places.map(|place| place.path().join("faketime/libfaketime.so.1"));
    let library = found.find(|path: &PathBuf| Path::is_file(path));
    library.expect("the package faketime brings libfaketime.so.1")
}

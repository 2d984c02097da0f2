//! README's pictures: the script that takes them still does, and they are there.

use std::collections::BTreeSet;
use std::path::Path;

use crate::harness::tools::{finish, tool};
use crate::harness::turn::Together;
use crate::harness::world::repository;

const FOLDER: &str = "dashboards/screenshots";
/// As the script has it.
const MOST_BYTES: u64 = 150_000;

fn pictures(folder: &Path) -> BTreeSet<String> {
    let entries = folder.read_dir().unwrap().map(|entry| entry.unwrap());
    let names = entries.map(|entry| {
        let bytes = std::fs::read(entry.path()).unwrap();
        assert!(bytes.starts_with(b"\x89PNG\r\n\x1a\n"), "{entry:?}");
        assert!(bytes.len() as u64 <= MOST_BYTES, "{entry:?}");
        entry.file_name().into_string().unwrap()
    });
    names.collect()
}

#[test]
fn every_picture_that_is_committed_is_taken_and_shown() {
    let _turn = Together::take();
    let committed = pictures(&repository().join(FOLDER));
    let readme = crate::readme::readme();
    let places = readme.split("](").skip(1);
    let linked = places.filter_map(|rest| rest.split(')').next()?.strip_prefix(FOLDER));
    let shown: BTreeSet<String> = linked.map(|name| name[1..].to_owned()).collect();
    assert_eq!(shown, committed);

    let bench = repository().join("tests/browser");
    assert!(
        bench.join("node_modules/playwright-core").is_dir(),
        "tests/browser/node_modules is missing: `npm ci` in tests/browser (tests/run does it)"
    );
    drop((tool("chromium"), tool("node")));
    let folder = tempfile::tempdir().unwrap();
    let mut script = tool("timeout");
    script.args([
        "180",
        "node",
        "screenshots.mjs",
        env!("CARGO_BIN_EXE_octroi"),
    ]);
    script.arg(folder.path()).current_dir(bench);
    let (code, said) = finish(&mut script);
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(pictures(folder.path()), committed);
}

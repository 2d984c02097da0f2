//! The threat model names tests and fuzz targets: they are there.

use std::path::Path;

use crate::harness::world::repository;

/// The texts of every Rust file below a folder.
fn sources(folder: &Path, into: &mut String) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.ends_with("target") {
            sources(&path, into);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            into.push_str(&std::fs::read_to_string(path).unwrap());
        }
    }
}

/// What stands in backquotes in the last column of the tables.
fn holders(page: &str) -> Vec<&str> {
    let rows = page.lines().filter(|line| line.starts_with('|'));
    let last = rows.map(|row| {
        row.trim_end_matches([' ', '|'])
            .rsplit(" | ")
            .next()
            .unwrap()
    });
    last.flat_map(|cell| cell.split('`').skip(1).step_by(2))
        .collect()
}

#[test]
fn the_threat_model_names_tests_that_are_there() {
    let root = repository();
    let page = std::fs::read_to_string(root.join("proxy/src/threat_model.md")).unwrap();
    let mut code = String::new();
    for folder in ["policy", "proxy", "tests"] {
        sources(&root.join(folder), &mut code);
    }
    let holders = holders(&page);
    let missing: Vec<_> = holders
        .iter()
        .filter(|name| !code.contains(&format!("fn {name}(")))
        .filter(|name| !root.join(format!("tests/fuzz/targets/{name}.rs")).exists())
        .collect();
    assert!(holders.len() > 60, "only {} found", holders.len());
    assert!(missing.is_empty(), "no test is called {missing:?}");
}

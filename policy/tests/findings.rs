//! One bundle for each finding, and what is shown of it.
//!
//! A fixture is a whole bundle in one text: `--- path` begins a file, and a word in parentheses after the path
//! says what is odd about it. Each is written to disk and read as any bundle is.
#![allow(
    clippy::disallowed_methods,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests"
)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use octroi_policy::bundle::Bundle;
use octroi_policy::check::compile;
use octroi_policy::diagnostic::{Code, Colour, Findings};

const TODAY: &str = "2026-11-24T00:00:00Z";

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/findings")
}

/// Writes a fixture to disk and reads it.
fn bundle(name: &str) -> Bundle {
    let text = fs::read_to_string(fixtures().join(name).with_extension("txt")).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().join("bundle");
    for file in text.split("--- ").skip(1) {
        let (head, body) = file.split_once('\n').unwrap();
        let (path, oddity) = head.split_once(" (").unwrap_or((head, ""));
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        match oddity.trim_end_matches(')') {
            "" => fs::write(path, body).unwrap(),
            "latin-1" => {
                fs::write(path, body.chars().map(|c| c as u8).collect::<Vec<_>>()).unwrap()
            }
            "link out of the bundle" => {
                let outside = directory.path().join("outside.txt");
                fs::write(&outside, "outside.example\n").unwrap();
                std::os::unix::fs::symlink(outside, path).unwrap();
            }
            other => panic!("{name}: {other} is not known"),
        }
    }
    Bundle::read(&root).unwrap()
}

fn findings(bundle: &Bundle) -> Findings {
    let compiled = compile(bundle, Some(TODAY.parse().unwrap()));
    assert_eq!(compiled.policy.is_none(), compiled.findings.has_errors());
    compiled.findings
}

#[test]
fn every_code_has_a_bundle_that_shows_it() {
    for code in Code::ALL {
        let bundle = bundle(code.as_str());
        let findings = findings(&bundle);
        let shown = findings.render(&bundle, Colour::Never);
        assert!(
            findings.iter().any(|finding| finding.code == code),
            "{}:\n{shown}",
            code.as_str()
        );
        insta::assert_snapshot!(code.as_str(), shown);
    }
}

#[test]
fn every_bundle_is_for_a_code() {
    let known: BTreeSet<String> = Code::ALL
        .iter()
        .map(|code| code.as_str().to_owned())
        .chain(["ten-mistakes".to_owned()])
        .collect();
    let there: BTreeSet<String> = fs::read_dir(fixtures())
        .unwrap()
        .map(|entry| {
            entry
                .unwrap()
                .path()
                .file_stem()
                .unwrap()
                .display()
                .to_string()
        })
        .collect();
    assert_eq!(there, known);
}

#[test]
fn ten_mistakes_are_ten_findings() {
    let bundle = bundle("ten-mistakes");
    let findings = findings(&bundle);
    let shown = findings.render(&bundle, Colour::Never);
    assert_eq!(findings.iter().len(), 10, "{shown}");
    insta::assert_snapshot!("ten-mistakes", shown);
    insta::assert_json_snapshot!("ten-mistakes-json", findings.to_json(&bundle));
}

#[test]
fn what_only_the_date_says_is_never_an_error() {
    for code in Code::ALL {
        let bundle = bundle(code.as_str());
        let errors = |today: Option<&str>| {
            compile(&bundle, today.map(|day| day.parse().unwrap()))
                .findings
                .has_errors()
        };
        let whenever = errors(None);
        for day in [TODAY, "2020-01-01T00:00:00Z", "2099-01-01T00:00:00Z"] {
            assert_eq!(errors(Some(day)), whenever, "{} on {day}", code.as_str());
        }
    }
}

//! List files: every line is an entry, a blank, a comment or a finding, whatever stands around it.

use std::collections::BTreeSet;

use octroi_policy::bundle::Bundle;
use octroi_policy::check::{Checked, check};
use octroi_policy::model::Model;
use octroi_policy::{Forbid, Pattern};

/// More lines than this cost time and show nothing new.
const MAX_LINES: usize = 24;

/// Reads the bytes as names, as suffixes and as addresses.
pub fn run(data: &[u8]) {
    for reading in [Reading::Names, Reading::Suffixes, Reading::Addresses] {
        let checked = read(data, reading);
        if let Some(model) = &checked.model {
            entries_print_as_they_read(model);
            lines_stand_alone(data, reading, model);
        } else {
            assert!(checked.findings.has_errors());
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum Reading {
    Names,
    Suffixes,
    Addresses,
}

fn read(list: &[u8], reading: Reading) -> Checked {
    let section = match reading {
        Reading::Names => {
            "rules:\n  - { id: r, effect: deny, when: { domains_from: lists/l.txt } }\n"
        }
        Reading::Suffixes => "providers:\n  - { id: p, suffixes: [ { from: lists/l.txt } ] }\n",
        Reading::Addresses => {
            "rules:\n  - { id: r, effect: deny, when: { addresses_from: lists/l.txt } }\n"
        }
    };
    let policy = format!("version: 1\nname: n\ndefault: allow\ntested_at: 2026-01-01\n{section}");
    let files = [
        ("policy.yaml", policy.into_bytes()),
        ("lists/l.txt", list.to_vec()),
    ];
    let bundle = Bundle::from_files(files.map(|(path, bytes)| (path.to_owned(), bytes)))
        .unwrap_or_else(|error| panic!("{error}"));
    let checked = check(&bundle, None);
    let _ = checked
        .findings
        .render(&bundle, octroi_policy::diagnostic::Colour::Never);
    checked
}

/// What the list holds.
fn held(model: &Model) -> (BTreeSet<&Pattern>, BTreeSet<String>) {
    let names = model.listed_names.iter().map(|(pattern, _)| pattern);
    let suffixes = model.names.iter().map(|(pattern, _)| pattern);
    let ranges = model.listed_addresses.iter().map(|(range, _)| range);
    let own = model.addresses.iter().map(|(range, _)| range);
    (
        names.chain(suffixes).collect(),
        ranges.chain(own).map(ToString::to_string).collect(),
    )
}

fn entries_print_as_they_read(model: &Model) {
    let (patterns, _) = held(model);
    for pattern in patterns {
        assert!(!pattern.is_too_wide(), "{pattern}");
        assert_eq!(Pattern::parse(&pattern.to_string()).as_ref(), Ok(pattern));
    }
    let ranges = model.listed_addresses.iter().map(|(range, _)| range);
    for range in ranges {
        assert_eq!(range.addr(), range.network(), "{range}");
        assert!(range.prefix_len() > 0);
        // A range is asked with a canonical address, so it must be of that family.
        assert_eq!(range.addr(), range.addr().to_canonical(), "{range}");
        let _ = Forbid::default().verdict(range.addr());
    }
}

/// The list is the union of its lines, each read with the first one's format.
fn lines_stand_alone(data: &[u8], reading: Reading, model: &Model) {
    let Ok(text) = std::str::from_utf8(data) else {
        panic!("a list that is not UTF-8 is an error");
    };
    let lines: Vec<_> = text.lines().collect();
    let format = lines
        .first()
        .filter(|line| line.trim_start_matches('\u{feff}').starts_with("#!format:"));
    if lines.len() > MAX_LINES {
        return;
    }
    let (mut patterns, mut ranges) = (BTreeSet::new(), BTreeSet::new());
    for line in &lines {
        let alone = match format {
            Some(format) => format!("{format}\n{line}\n"),
            None => format!("\n{line}\n"),
        };
        let checked = read(alone.as_bytes(), reading);
        // A line without an entry makes an empty list, which is a finding.
        if let Some(model) = checked.model {
            let (p, r) = held(&model);
            patterns.extend(p.into_iter().cloned());
            ranges.extend(r);
        }
    }
    let (held_patterns, held_ranges) = held(model);
    assert_eq!(
        held_patterns.into_iter().cloned().collect::<BTreeSet<_>>(),
        patterns
    );
    assert_eq!(held_ranges, ranges);
}

//! Entries that say nothing new: covered by another entry of the same owner.
//!
//! Names are compared by a 64-bit hash of their labels from the right, so that a list of millions
//! costs one map of numbers. A collision could only produce a wrong warning.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hasher};

use ipnet::IpNet;

use super::Check;
use super::catalogue::{Catalogue, Named};
use crate::catalogue::{ListIx, Place};
use crate::diagnostic::{Code, Diagnostic};
use crate::model::{AddressOwner, NameOwner};
use crate::pattern::{Depth, Label, Pattern};

/// Who has entries at one spot of the tree of names.
#[derive(Clone, Copy)]
struct Spot<O> {
    /// `None` = several owners.
    owner: Option<O>,
    /// Bit 0 exact, bit 1 below, bit 2 with below.
    depths: u8,
}

const EXACT: u8 = 1;
const BELOW: u8 = 2;
const WITH_BELOW: u8 = 4;

/// Entries at every spot, to see what covers what.
struct Tree<O> {
    spots: HashMap<u64, Spot<O>>,
}

impl<O: Copy + PartialEq> Tree<O> {
    fn with_capacity(capacity: usize) -> Self {
        Self {
            spots: HashMap::with_capacity(capacity),
        }
    }

    /// Takes an entry in; the text of what covers it is returned if the very same one was there.
    fn insert(&mut self, pattern: &Pattern, owner: O) -> bool {
        let depth = bit(pattern.depth());
        let spot = self
            .spots
            .entry(hashes(pattern).pop().unwrap_or_default())
            .or_insert(Spot {
                owner: Some(owner),
                depths: 0,
            });
        let again = spot.owner == Some(owner) && spot.depths & depth != 0;
        if spot.owner != Some(owner) {
            spot.owner = None;
        }
        spot.depths |= depth;
        again
    }

    /// The nearest entry around `pattern`, if it is of the same owner.
    fn cover(&self, pattern: &Pattern, owner: O) -> Option<String> {
        if pattern
            .labels()
            .any(|label| !matches!(label, Label::Literal(_)))
        {
            return None;
        }
        let same = bit(pattern.depth());
        for (above, key) in hashes(pattern).into_iter().rev().enumerate() {
            let Some(spot) = self.spots.get(&key) else {
                continue;
            };
            // At its own spot, only a wider entry than itself covers; above, any that reaches down.
            let wider = if above > 0 {
                BELOW | WITH_BELOW
            } else {
                !((same << 1) - 1)
            };
            let covering = match (above, pattern.depth()) {
                // `*.x` does not reach `x` itself.
                (0, Depth::Exact) => spot.depths & WITH_BELOW,
                _ => spot.depths & wider,
            };
            match spot.owner {
                None => return None,
                Some(other) if other != owner => return None,
                Some(_) if covering != 0 => {
                    let sign = if covering & WITH_BELOW != 0 {
                        "."
                    } else {
                        "*."
                    };
                    let name: Vec<&str> = pattern.labels().skip(above).map(text).collect();
                    return Some(format!("{sign}{}", name.join(".")));
                }
                Some(_) => {}
            }
        }
        None
    }
}

fn bit(depth: Depth) -> u8 {
    match depth {
        Depth::Exact => EXACT,
        Depth::Below => BELOW,
        Depth::WithBelow => WITH_BELOW,
    }
}

fn text(label: Label<'_>) -> &str {
    match label {
        Label::Any => "*",
        Label::Glob(text) | Label::Literal(text) => text,
    }
}

/// The hash of each tail of the labels, the shortest first.
fn hashes(pattern: &Pattern) -> Vec<u64> {
    let mut hasher = DefaultHasher::new();
    let mut all = Vec::with_capacity(8);
    for label in pattern.labels().rev() {
        hasher.write(text(label).as_bytes());
        hasher.write_u8(b'.');
        all.push(hasher.finish());
    }
    all
}

/// What is redundant in one list or with one owner: the first, and how many.
struct Redundant {
    message: String,
    place: Place,
    count: usize,
}

fn report(check: &mut Check<'_>, redundant: Option<Redundant>) {
    let Some(Redundant {
        message,
        place,
        count,
    }) = redundant
    else {
        return;
    };
    let more = match count {
        1 => String::new(),
        2 => " (and one more entry like it)".to_owned(),
        count => format!(" (and {} more entries like it)", count - 1),
    };
    let finding = Diagnostic::warning(Code::RedundantEntry, format!("{message}{more}"))
        .at(place)
        .help("remove what is covered: an entry that changes nothing misleads");
    check.report(finding);
}

fn count(redundant: &mut Option<Redundant>, place: Place, message: impl FnOnce() -> String) {
    match redundant {
        Some(redundant) => redundant.count += 1,
        None => {
            *redundant = Some(Redundant {
                message: message(),
                place,
                count: 1,
            })
        }
    }
}

fn say(pattern: &Pattern, cover: Option<String>) -> String {
    match cover {
        Some(cover) => format!("`{pattern}` is covered by `{cover}`"),
        None => format!("`{pattern}` is written twice"),
    }
}

/// The names of one list file; `places` are lines and columns in it.
pub(super) fn check_list(
    check: &mut Check<'_>,
    names: &[(Pattern, ListIx)],
    places: &[(u32, u32)],
    file: u32,
) {
    let mut tree = Tree::with_capacity(names.len());
    let mut redundant = None;
    let place = |at: usize| {
        let (line, column) = places.get(at).copied().unwrap_or_default();
        Place { file, line, column }
    };
    let mut again = vec![false; names.len()];
    for (at, (pattern, _)) in names.iter().enumerate() {
        again[at] = tree.insert(pattern, ());
    }
    for (at, (pattern, _)) in names.iter().enumerate() {
        let cover = tree.cover(pattern, ());
        if cover.is_some() || again[at] {
            count(&mut redundant, place(at), || say(pattern, cover));
        }
    }
    report(check, redundant);
}

/// Ranges of one list: what lies inside another one.
pub(super) fn check_ranges(check: &mut Check<'_>, ranges: &[(IpNet, Place)]) {
    let covered = covered_ranges(
        ranges
            .iter()
            .map(|&(range, place)| (range, place))
            .collect(),
    );
    report(check, covered);
}

fn covered_ranges(mut ranges: Vec<(IpNet, Place)>) -> Option<Redundant> {
    // A range sorts before all that lie inside it.
    ranges.sort_unstable_by_key(|&(range, place)| (range.network(), range.prefix_len(), place));
    let mut redundant: Option<Redundant> = None;
    let mut outer: Option<IpNet> = None;
    for (range, place) in ranges {
        match outer {
            Some(outer) if outer.contains(&range) => count(&mut redundant, place, || {
                if outer == range {
                    format!("{range} is written twice")
                } else {
                    format!("{range} lies inside {outer}")
                }
            }),
            _ => outer = Some(range),
        }
    }
    redundant
}

/// Names and ranges of every owner of the catalogue.
pub(super) fn check_catalogue(check: &mut Check<'_>, catalogue: &Catalogue) {
    names(check, catalogue);
    // Between a range and the wider one of its owner may lie another owner's: then it is needed.
    let mut owners: HashMap<AddressOwner, Vec<(IpNet, Place)>> = HashMap::new();
    let mut by_range: HashMap<IpNet, Vec<AddressOwner>> = HashMap::new();
    for ranged in &catalogue.addresses {
        owners
            .entry(ranged.owner)
            .or_default()
            .push((ranged.range, ranged.place));
        by_range.entry(ranged.range).or_default().push(ranged.owner);
    }
    let mut findings: Vec<Redundant> = Vec::new();
    for (owner, ranges) in owners {
        let needed = |range: IpNet| owned_between(range, owner, &by_range);
        findings.extend(covered_ranges(
            ranges
                .into_iter()
                .filter(|(range, _)| !needed(*range))
                .collect(),
        ));
    }
    findings.sort_by_key(|redundant| redundant.place);
    for redundant in findings {
        report(check, Some(redundant));
    }
}

/// Whether the nearest range around or at `range` that others own comes before one of `owner`'s.
fn owned_between(
    range: IpNet,
    owner: AddressOwner,
    by_range: &HashMap<IpNet, Vec<AddressOwner>>,
) -> bool {
    let mut around = Some(range);
    while let Some(outer) = around {
        if let Some(owners) = by_range.get(&outer) {
            if owners.iter().any(|other| *other != owner) {
                return true;
            }
            if outer != range {
                return false;
            }
        }
        around = outer.supernet();
    }
    false
}

fn names(check: &mut Check<'_>, catalogue: &Catalogue) {
    let mut tree = Tree::with_capacity(catalogue.names.len());
    let again: Vec<bool> = catalogue
        .names
        .iter()
        .map(|named| tree.insert(&named.pattern, named.owner))
        .collect();
    let wild: Vec<&Named> = catalogue
        .names
        .iter()
        .filter(|named| named.pattern.literal().is_none())
        .collect();
    let mut by_owner: HashMap<NameOwner, Redundant> = HashMap::new();
    for (named, again) in catalogue.names.iter().zip(again) {
        let cover = tree.cover(&named.pattern, named.owner);
        if !again && (cover.is_none() || is_between(named, &wild)) {
            continue;
        }
        match by_owner.get_mut(&named.owner) {
            Some(redundant) => redundant.count += 1,
            None => {
                let message = say(&named.pattern, cover);
                by_owner.insert(
                    named.owner,
                    Redundant {
                        message,
                        place: named.place,
                        count: 1,
                    },
                );
            }
        }
    }
    let mut all: Vec<Redundant> = by_owner.into_values().collect();
    all.sort_by_key(|redundant| redundant.place);
    for redundant in all {
        report(check, Some(redundant));
    }
}

/// Whether another owner's wildcard reaches the name too: the narrow entry may then be what decides.
fn is_between(named: &Named, wild: &[&Named]) -> bool {
    let Some(name) = named.pattern.literal().and_then(|text| text.parse().ok()) else {
        return true;
    };
    wild.iter()
        .any(|other| other.owner != named.owner && other.pattern.matches(&name))
}

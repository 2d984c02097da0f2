//! Where in a list a name or address stands: asked by people, not on the path of a flow.

use super::list::{Entry, Reading, read};
use super::{Bundle, Kind};
use crate::catalogue::Place;
use crate::name::Host;

impl Bundle {
    /// The line of the list at `path` that holds `value`: of several, the most specific name or the longest prefix.
    #[must_use]
    pub fn find(&self, path: &str, value: &Host) -> Option<Place> {
        let file = self.position(path)?;
        let list = self.files().get(file as usize)?;
        if list.kind() != Kind::List {
            return None;
        }
        // A plain name stands for itself in a list of names, and for all below it in one of suffixes.
        let readings: &[Reading] = match value {
            Host::Name(_) => &[Reading::Names, Reading::Suffixes],
            Host::Address(_) => &[Reading::Addresses],
        };
        let line = readings
            .iter()
            .find_map(|&reading| line(list.text(), reading, value))?;
        Some(Place {
            file,
            line,
            column: 0,
        })
    }
}

fn line(list: &str, reading: Reading, value: &Host) -> Option<u32> {
    let mut best: Option<(Entry, u32)> = None;
    read(list, reading, |item| {
        if let Ok(entry) = item.entry
            && holds(&entry, value)
            && best.as_ref().is_none_or(|(other, _)| beats(&entry, other))
        {
            best = Some((entry, item.line));
        }
    });
    best.map(|(_, line)| line)
}

fn holds(entry: &Entry, value: &Host) -> bool {
    match (entry, value) {
        (Entry::Name(pattern), Host::Name(name)) => pattern.matches(name),
        (Entry::Range(range), Host::Address(address)) => range.contains(address),
        _ => false,
    }
}

fn beats(entry: &Entry, other: &Entry) -> bool {
    match (entry, other) {
        (Entry::Name(a), Entry::Name(b)) => a.specificity() > b.specificity(),
        (Entry::Range(a), Entry::Range(b)) => a.prefix_len() > b.prefix_len(),
        _ => false,
    }
}

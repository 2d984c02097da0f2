//! Entries without wildcards, which is nearly all of every list: one probe of a hash table for
//! each suffix of the name.
//!
//! The suffixes are hashed in one pass from the right with a hash keyed at random, and every hit
//! is verified against the text, so names made to collide cost nothing and decide nothing.
//! An entry takes its text, 16 bytes, its value, and about 5 bytes of table.

use std::cmp::Ordering;
use std::hash::{BuildHasher, Hasher, RandomState};

use crate::name::DomainName;
use crate::pattern::{Depth, Pattern, Specificity};

#[derive(Debug)]
pub(super) struct Literals<V> {
    key: RandomState,
    /// Open addressing with linear probing: an index into `groups` plus one, or 0.
    /// The index is that of the first group of a text.
    slots: Box<[u32]>,
    /// Groups of one text are neighbours, the most specific depth last.
    // INVARIANT: fewer than 2^32 groups and values: that many would fill 160 GB.
    groups: Box<[Group]>,
    /// Every distinct text, one after the other.
    text: Box<str>,
    values: Box<[V]>,
    /// No entry has more labels, so no longer suffix needs a probe.
    most_labels: usize,
}

/// All entries with one text and one depth.
#[derive(Clone, Copy, Debug)]
struct Group {
    start: usize,
    /// Where its values end; they begin where those of the group before it end.
    values_end: u32,
    /// Some bits of the hash, to compare texts only where it is worth it.
    tag: u16,
    len: u8,
    depth: Depth,
}

/// The most specific literal entry that matches a name.
pub(super) struct Longest<'a, V> {
    labels: usize,
    depth: Depth,
    pub(super) values: &'a [V],
}

impl<V> Longest<'_, V> {
    /// Is it preferred to a pattern with wildcards that matches the same name?
    pub(super) fn beats(&self, other: &Specificity) -> bool {
        other.cmp_literal(self.labels, self.depth) == Ordering::Less
    }
}

impl<V: Copy> Literals<V> {
    pub(super) fn new(mut entries: Vec<(Pattern, V)>) -> Self {
        // Stable, so that the values of a group stay in the order they were given.
        entries.sort_by(|(a, _), (b, _)| a.cmp(b));
        let mut groups: Vec<Group> = Vec::new();
        let mut text = String::new();
        let mut values = Vec::with_capacity(entries.len());
        let mut most_labels = 0;
        for run in entries.chunk_by(|(a, _), (b, _)| a == b) {
            let Some((pattern, literal)) = run.first().and_then(|(p, _)| Some((p, p.literal()?)))
            else {
                continue;
            };
            let known = groups.last().filter(|group| group.text(&text) == literal);
            let start = known.map_or(text.len(), |group| group.start);
            if known.is_none() {
                text.push_str(literal);
            }
            values.extend(run.iter().map(|&(_, value)| value));
            most_labels = most_labels.max(pattern.labels().count());
            groups.push(Group {
                start,
                values_end: values.len() as u32,
                tag: 0,
                len: literal.len() as u8,
                depth: pattern.depth(),
            });
        }
        let mut literals = Self {
            key: RandomState::new(),
            slots: vec![0; groups.len() + groups.len() / 3 + 1].into(),
            groups: groups.into(),
            text: text.into(),
            values: values.into(),
            most_labels,
        };
        literals.fill_slots();
        literals
    }

    fn fill_slots(&mut self) {
        for index in 0..self.groups.len() {
            let text = self.groups[index].text(&self.text);
            let hash = suffix_hashes(&self.key, text)
                .last()
                .map_or(0, |(hash, _)| hash);
            self.groups[index].tag = tag(hash);
            let same_as_before =
                index > 0 && self.groups[index - 1].start == self.groups[index].start;
            if !same_as_before {
                let mut slot = self.first_slot(hash);
                while self.slots[slot] != 0 {
                    slot = (slot + 1) % self.slots.len();
                }
                self.slots[slot] = index as u32 + 1;
            }
        }
    }

    /// The upper bits of the hash choose the slot, without a division.
    fn first_slot(&self, hash: u64) -> usize {
        ((u128::from(hash) * self.slots.len() as u128) >> 64) as usize
    }

    /// The groups whose text is `suffix`.
    fn groups_of(&self, suffix: &str, hash: u64) -> impl Iterator<Item = usize> {
        let mut slot = self.first_slot(hash);
        let mut first = None;
        // There is always an empty slot: a quarter of them, and at least one.
        while let Some(index) = (self.slots[slot] as usize).checked_sub(1) {
            let group = self.groups[index];
            if group.tag == tag(hash) && group.text(&self.text) == suffix {
                first = Some(index);
                break;
            }
            slot = (slot + 1) % self.slots.len();
        }
        let start = first.map(|index| self.groups[index].start);
        (first.unwrap_or(self.groups.len())..self.groups.len())
            .take_while(move |&index| Some(self.groups[index].start) == start)
    }

    /// Gives `found` every matching group: the number of its labels, and its index. The most
    /// specific comes last.
    fn matching(&self, name: &DomainName, mut found: impl FnMut(usize, usize)) {
        let name = name.as_str();
        let suffixes = suffix_hashes(&self.key, name).take(self.most_labels);
        for (labels, (hash, start)) in (1..).zip(suffixes) {
            for index in self.groups_of(&name[start..], hash) {
                let fits = match self.groups[index].depth {
                    Depth::Exact => start == 0,
                    Depth::Below => start > 0,
                    Depth::WithBelow => true,
                };
                if fits {
                    found(labels, index);
                }
            }
        }
    }

    pub(super) fn best(&self, name: &DomainName) -> Option<Longest<'_, V>> {
        let mut best = None;
        self.matching(name, |labels, index| best = Some((labels, index)));
        best.map(|(labels, index)| Longest {
            labels,
            depth: self.groups[index].depth,
            values: self.values_of(index),
        })
    }

    pub(super) fn all(&self, name: &DomainName, found: &mut impl FnMut(V)) {
        self.matching(name, |_, index| {
            self.values_of(index).iter().copied().for_each(&mut *found)
        });
    }

    fn values_of(&self, index: usize) -> &[V] {
        let start = index
            .checked_sub(1)
            .map_or(0, |before| self.groups[before].values_end);
        &self.values[start as usize..self.groups[index].values_end as usize]
    }

    pub(super) fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }
}

impl Group {
    fn text(self, all: &str) -> &str {
        &all[self.start..self.start + usize::from(self.len)]
    }
}

fn tag(hash: u64) -> u16 {
    hash as u16
}

/// For each suffix of whole labels, from the shortest: its hash, and where it starts in `name`.
fn suffix_hashes(key: &RandomState, name: &str) -> impl Iterator<Item = (u64, usize)> {
    let mut hasher = key.build_hasher();
    let mut start = name.len() + 1;
    name.rsplit('.').map(move |label| {
        // The label and the dot after it (or the end): a label never contains a dot, so no two
        // suffixes feed the same bytes.
        start -= label.len() + 1;
        hasher.write(label.as_bytes());
        hasher.write(b".");
        (hasher.finish(), start)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_name_takes_at_most_sixty_bytes() {
        let names = 100_000;
        let entries = (0..names)
            .map(|n| {
                (
                    Pattern::parse(&format!("host-{n:06}.site.example")).unwrap(),
                    n,
                )
            })
            .collect();
        let table = Literals::<u32>::new(entries);
        let bytes = size_of_val(&*table.slots)
            + size_of_val(&*table.groups)
            + size_of_val(&*table.text)
            + size_of_val(&*table.values);
        assert!(
            bytes / names as usize <= 60,
            "{} bytes a name",
            bytes / names as usize
        );
        assert_eq!(size_of::<Group>(), 16);
    }

    #[test]
    fn suffixes_start_at_labels() {
        let key = RandomState::new();
        let starts: Vec<usize> = suffix_hashes(&key, "ab.c.def")
            .map(|(_, start)| start)
            .collect();
        assert_eq!(starts, [5, 3, 0]);
    }
}

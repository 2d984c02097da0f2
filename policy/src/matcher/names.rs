//! Names: a hash table of literal entries, and a small tree for those with wildcards.

mod literals;
mod wildcards;

use crate::name::DomainName;
use crate::pattern::Pattern;
use literals::Literals;
use wildcards::Wildcards;

/// Values attached to name patterns.
#[derive(Debug)]
pub struct NameMatcher<V> {
    literals: Literals<V>,
    wildcards: Wildcards<V>,
}

/// The values of the most specific pattern, without an allocation unless wildcards tie
/// (`a*.example.org` and `*b.example.org` for `ab.example.org`).
#[derive(Clone, Debug)]
pub struct Best<'a, V> {
    first: std::slice::Iter<'a, V>,
    ties: std::vec::IntoIter<&'a [V]>,
}

impl<V: Copy> NameMatcher<V> {
    /// Compiles the entries; the same pattern may come with several values.
    #[must_use]
    pub fn new(entries: impl IntoIterator<Item = (Pattern, V)>) -> Self {
        let mut wildcards = Wildcards::default();
        let mut literal = Vec::new();
        for (pattern, value) in entries {
            if pattern.literal().is_some() {
                literal.push((pattern, value));
            } else {
                wildcards.add(&pattern, value);
            }
        }
        Self {
            literals: Literals::new(literal),
            wildcards,
        }
    }

    /// Every value of the most specific pattern that matches `name`.
    #[must_use]
    pub fn best(&self, name: &DomainName) -> Best<'_, V> {
        let wild = self.wildcards.best(name);
        let literal = self.literals.best(name);
        match (wild, literal) {
            (Some(wild), Some(literal)) if literal.beats(wild.specificity) => {
                Best::new(literal.values, Vec::new())
            }
            (Some(wild), _) => Best::new(wild.values, wild.ties),
            (None, Some(literal)) => Best::new(literal.values, Vec::new()),
            (None, None) => Best::new(&[], Vec::new()),
        }
    }

    /// Gives `found` every value of every pattern that matches `name`, in no order.
    pub fn all(&self, name: &DomainName, found: &mut impl FnMut(V)) {
        self.literals.all(name, found);
        self.wildcards.all(name, found);
    }

    /// Is there no entry at all?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.literals.is_empty() && self.wildcards.is_empty()
    }
}

impl<'a, V> Best<'a, V> {
    fn new(first: &'a [V], ties: Vec<&'a [V]>) -> Self {
        Self {
            first: first.iter(),
            ties: ties.into_iter(),
        }
    }
}

impl<V: Copy> Iterator for Best<'_, V> {
    type Item = V;

    fn next(&mut self) -> Option<V> {
        loop {
            if let Some(&value) = self.first.next() {
                return Some(value);
            }
            self.first = self.ties.next()?.iter();
        }
    }
}

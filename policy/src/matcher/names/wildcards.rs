//! Entries with a wildcard inside: a tree of labels from the right, walked in the order of
//! specificity.
//!
//! A lookup enters each node at most once, so it costs no more than the number of patterns with
//! wildcards that share the name's literal suffix.

use std::cmp::Ordering;
use std::collections::HashMap;

use crate::name::DomainName;
use crate::pattern::{Depth, Label, Pattern, Specificity};

#[derive(Debug)]
pub(super) struct Wildcards<V> {
    /// The root is the first.
    nodes: Vec<Node<V>>,
}

#[derive(Debug)]
struct Node<V> {
    literals: HashMap<Box<str>, usize>,
    globs: Vec<(Box<str>, usize)>,
    any: Option<usize>,
    /// The patterns that end here, the most specific depth first.
    ends: Vec<End<V>>,
}

#[derive(Debug)]
struct End<V> {
    depth: Depth,
    specificity: Specificity,
    values: Vec<V>,
}

/// The most specific patterns that match a name: several only if their wildcards tie.
pub(super) struct Top<'a, V> {
    pub(super) specificity: &'a Specificity,
    pub(super) values: &'a [V],
    pub(super) ties: Vec<&'a [V]>,
}

impl<V: Copy> Wildcards<V> {
    pub(super) fn add(&mut self, pattern: &Pattern, value: V) {
        if self.nodes.is_empty() {
            self.nodes.push(Node::default());
        }
        let node = pattern
            .labels()
            .rev()
            .fold(0, |node, label| self.child(node, label));
        let ends = &mut self.nodes[node].ends;
        let depth = pattern.depth();
        match ends.iter_mut().find(|end| end.depth == depth) {
            Some(end) => end.values.push(value),
            None => {
                let specificity = pattern.specificity();
                ends.push(End {
                    depth,
                    specificity,
                    values: vec![value],
                });
                ends.sort_by_key(|end| std::cmp::Reverse(end.depth));
            }
        }
    }

    /// The child of `node` for `label`, made if there is none.
    fn child(&mut self, node: usize, label: Label<'_>) -> usize {
        let new = self.nodes.len();
        let parent = &mut self.nodes[node];
        let child = match label {
            Label::Any => *parent.any.get_or_insert(new),
            Label::Literal(text) => *parent.literals.entry(text.into()).or_insert(new),
            Label::Glob(text) => match parent.globs.iter().find(|(glob, _)| **glob == *text) {
                Some(&(_, child)) => child,
                None => {
                    parent.globs.push((text.into(), new));
                    new
                }
            },
        };
        if child == new {
            self.nodes.push(Node::default());
        }
        child
    }

    pub(super) fn best(&self, name: &DomainName) -> Option<Top<'_, V>> {
        let mut top = None;
        if let Some(root) = self.nodes.first() {
            self.best_below(root, name.labels().rev(), &mut top);
        }
        top
    }

    /// Adds the most specific matches below `node` to `top`; says if there was one.
    fn best_below<'a, 'n>(
        &'a self,
        node: &'a Node<V>,
        mut labels: impl Iterator<Item = &'n str> + Clone,
        top: &mut Option<Top<'a, V>>,
    ) -> bool {
        let here = labels.clone();
        if let Some(label) = labels.next() {
            let mut go = |child: usize| self.best_below(&self.nodes[child], labels.clone(), top);
            if node.literals.get(label).is_some_and(|&child| go(child)) {
                return true;
            }
            // Globs of one rank: which of them wins is decided further down.
            let globs = node
                .globs
                .iter()
                .filter(|(glob, _)| Label::Glob(glob).matches(label));
            let hits = globs.fold(false, |hit, &(_, child)| go(child) | hit);
            if hits || node.any.is_some_and(go) {
                return true;
            }
        }
        let end = node.ends.iter().find(|end| end.fits(here.clone()));
        end.map(|end| end.add_to(top)).is_some()
    }

    pub(super) fn all(&self, name: &DomainName, found: &mut impl FnMut(V)) {
        if let Some(root) = self.nodes.first() {
            self.all_below(root, name.labels().rev(), found);
        }
    }

    fn all_below<'n>(
        &self,
        node: &Node<V>,
        mut labels: impl Iterator<Item = &'n str> + Clone,
        found: &mut impl FnMut(V),
    ) {
        for end in node.ends.iter().filter(|end| end.fits(labels.clone())) {
            end.values.iter().copied().for_each(&mut *found);
        }
        let Some(label) = labels.next() else { return };
        let globs = node
            .globs
            .iter()
            .filter(|(glob, _)| Label::Glob(glob).matches(label));
        let children = globs.map(|(_, child)| child);
        for &child in children.chain(node.literals.get(label)).chain(&node.any) {
            self.all_below(&self.nodes[child], labels.clone(), found);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }
}

impl<V> End<V> {
    /// Does the pattern match a name of which `rest` is left at this node?
    fn fits<'n>(&self, mut rest: impl Iterator<Item = &'n str>) -> bool {
        match self.depth {
            Depth::Exact => rest.next().is_none(),
            Depth::Below => rest.next().is_some(),
            Depth::WithBelow => true,
        }
    }

    fn add_to<'a>(&'a self, top: &mut Option<Top<'a, V>>) {
        let order = top.as_ref().map_or(Ordering::Greater, |top| {
            self.specificity.cmp(top.specificity)
        });
        match (order, top) {
            (Ordering::Less, _) => {}
            (Ordering::Equal, Some(top)) => top.ties.push(&self.values),
            (_, top) => {
                *top = Some(Top {
                    specificity: &self.specificity,
                    values: &self.values,
                    ties: Vec::new(),
                });
            }
        }
    }
}

impl<V> Default for Wildcards<V> {
    fn default() -> Self {
        Self { nodes: Vec::new() }
    }
}

impl<V> Default for Node<V> {
    fn default() -> Self {
        Self {
            literals: HashMap::new(),
            globs: Vec::new(),
            any: None,
            ends: Vec::new(),
        }
    }
}

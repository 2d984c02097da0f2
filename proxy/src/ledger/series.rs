//! Metric families whose labels are ids of the policy, and the cap on how many series they make.

use std::collections::HashMap;
use std::hash::{Hash, Hasher};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use octroi_policy::catalogue::Id;
use prometheus::{IntCounter, IntCounterVec, IntGauge, IntGaugeVec};

/// What stands for everything beyond the cap.
pub(super) const OTHER: Label = Label::Word("other");

/// The value of a label: an id of the policy or a word of ours, never a client's text.
#[derive(Clone, Debug)]
pub(crate) enum Label {
    Id(Id),
    Word(&'static str),
}

impl Label {
    pub(crate) fn as_str(&self) -> &str {
        match self {
            Label::Id(id) => id,
            Label::Word(word) => word,
        }
    }
}

impl PartialEq for Label {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Label {}

impl Hash for Label {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}

/// How many series may live, shared by all families.
#[derive(Debug)]
pub(super) struct Budget {
    most: usize,
    live: AtomicUsize,
    folded: IntCounter,
}

/// The share of the budget, in tenths, that series with every label may use; the rest is kept
/// for those that say `other` in place of a service or rule, so that ministries stay told apart.
const DETAILED_TENTHS: usize = 9;

impl Budget {
    /// `folded` counts the samples that went to `other`.
    pub(super) fn new(most: usize, folded: IntCounter) -> Arc<Self> {
        Arc::new(Self {
            most,
            live: AtomicUsize::new(0),
            folded,
        })
    }

    /// How many may live.
    pub(super) fn most(&self) -> usize {
        self.most
    }

    /// Series that live whatever the traffic.
    pub(super) fn reserve(&self, series: usize) {
        self.live.fetch_add(series, Ordering::Relaxed);
    }

    /// Gives back what [`Budget::reserve`] took.
    pub(super) fn release(&self, series: usize) {
        self.live.fetch_sub(series, Ordering::Relaxed);
    }

    fn has_room(&self, step: usize) -> bool {
        let most = if step == 0 {
            self.most / 10 * DETAILED_TENTHS
        } else {
            self.most
        };
        self.live.load(Ordering::Relaxed) < most
    }
}

/// A family of `prometheus` with label values to be filled in.
pub(super) trait Children: Clone {
    type Child: Clone;
    fn make(&self, labels: &[&str]) -> Option<Self::Child>;
}

impl Children for IntCounterVec {
    type Child = IntCounter;
    fn make(&self, labels: &[&str]) -> Option<IntCounter> {
        self.get_metric_with_label_values(labels).ok()
    }
}

impl Children for IntGaugeVec {
    type Child = IntGauge;
    fn make(&self, labels: &[&str]) -> Option<IntGauge> {
        self.get_metric_with_label_values(labels).ok()
    }
}

/// Label positions that become `other`, step by step, as the budget runs out. What is left after
/// the last step are words of ours: a handful of series that need no budget.
pub(super) type Folding = &'static [&'static [usize]];

/// A family of metrics with `N` labels.
#[derive(Debug)]
pub(super) struct Family<V: Children, const N: usize> {
    children: V,
    folding: Folding,
    budget: Arc<Budget>,
    known: RwLock<HashMap<[Label; N], V::Child>>,
}

impl<V: Children, const N: usize> Family<V, N> {
    pub(super) fn new(children: V, folding: Folding, budget: &Arc<Budget>) -> Self {
        Self {
            children,
            folding,
            budget: Arc::clone(budget),
            known: RwLock::default(),
        }
    }

    /// The metric for these labels, or for fewer of them if there are too many series.
    pub(super) fn child(&self, mut labels: [Label; N]) -> Option<V::Child> {
        for step in 0..=self.folding.len() {
            if step > 0 {
                for &position in self.folding[step - 1] {
                    labels[position] = OTHER;
                }
            }
            if let Some(child) = self.known_or_new(&labels, step) {
                if step > 0 {
                    self.budget.folded.inc();
                }
                return Some(child);
            }
        }
        None
    }

    /// Looks at every metric there is, with its labels; no new one is made meanwhile.
    pub(super) fn each(&self, mut look: impl FnMut(&[Label; N], &V::Child)) {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        for (labels, child) in known.iter() {
            look(labels, child);
        }
    }

    /// Every metric there is, with its labels.
    pub(super) fn all(&self) -> Vec<([Label; N], V::Child)> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let pairs = known.iter();
        pairs
            .map(|(labels, child)| (labels.clone(), child.clone()))
            .collect()
    }

    /// Begins anew, as if nothing had been counted. What `children` still shows is not its matter.
    pub(super) fn forget(&self) {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        self.budget.release(known.len());
        known.clear();
    }

    fn known_or_new(&self, labels: &[Label; N], step: usize) -> Option<V::Child> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(child) = known.get(labels) {
            return Some(child.clone());
        }
        drop(known);
        if step < self.folding.len() && !self.budget.has_room(step) {
            return None;
        }
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(child) = known.get(labels) {
            return Some(child.clone());
        }
        let child = self.children.make(&labels.each_ref().map(Label::as_str))?;
        self.budget.reserve(1);
        known.insert(labels.clone(), child.clone());
        Some(child)
    }
}

#[cfg(test)]
mod tests {
    use prometheus::Opts;

    use super::*;

    fn family(most: usize) -> (Family<IntCounterVec, 2>, IntCounter) {
        let folded = IntCounter::new("folded_total", "test").unwrap();
        let budget = Budget::new(most, folded.clone());
        let vec =
            IntCounterVec::new(Opts::new("hits_total", "test"), &["ministry", "service"]).unwrap();
        (Family::new(vec, &[&[1], &[0]], &budget), folded)
    }

    fn count(family: &Family<IntCounterVec, 2>, ministry: &'static str, service: usize) {
        let labels = [
            Label::Word(ministry),
            Label::Id(Id::from(format!("s{service}"))),
        ];
        family.child(labels).unwrap().inc();
    }

    #[test]
    fn beyond_the_cap_the_service_is_other_and_nothing_is_lost() {
        let (family, folded) = family(100);
        for service in 0..1000 {
            count(&family, "culture", service);
        }
        assert_eq!(family.budget.live.load(Ordering::Relaxed), 91);
        let other = family.child([Label::Word("culture"), OTHER]).unwrap();
        assert_eq!(other.get(), 910);
        assert_eq!(folded.get(), 910);
        count(&family, "culture", 5);
        let fifth = family
            .child([Label::Word("culture"), Label::Word("s5")])
            .unwrap();
        assert_eq!(fifth.get(), 2);
    }

    #[test]
    fn when_even_ministries_are_too_many_all_is_other() {
        let (family, _) = family(100);
        let ministries: Vec<&'static str> = (0..500).map(|n| &*format!("m{n}").leak()).collect();
        for (service, ministry) in ministries.iter().enumerate() {
            count(&family, ministry, service);
        }
        assert_eq!(family.budget.live.load(Ordering::Relaxed), 101);
        assert_eq!(family.child([OTHER, OTHER]).unwrap().get(), 400);
    }
}

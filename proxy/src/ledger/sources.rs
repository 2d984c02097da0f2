//! From how many different addresses each service was tried today, and in vain: desktop programs
//! retry all day, so that counts of tries say little about how many machines are concerned.
//!
//! No address is kept: each is hashed under a key drawn at random when the process starts, and
//! only a sketch of the hashes is held. Everything is forgotten at midnight UTC.
//!
//! Memory: one sketch a series, of 4 bytes an address and at most 16 KiB; at most
//! [`Shape::most`] of them in a family: 64 MiB for those that try, 32 MiB for those denied. Beyond
//! that the service is `other`. Time: 0.1 µs a decision, 2 to 13 µs a sketch and scrape.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{IntCounter, IntGaugeVec, Opts};

use super::series::{Budget, Children, Family, Folding, Label};
use super::sketch::Sketch;

/// A family of sketches.
#[derive(Debug)]
pub(super) struct Shape<const N: usize> {
    name: &'static str,
    help: &'static str,
    labels: [&'static str; N],
    folding: Folding,
    /// The most sketches at a time.
    most: usize,
    /// The share of `limits.metric_series` kept for them, if that is less.
    share: usize,
}

/// Who tried.
pub(super) const TRIED: Shape<2> = Shape {
    name: "octroi_distinct_sources",
    help: "Different client addresses since midnight UTC, by a sketch (error 0.8 %).",
    labels: ["ministry", "service"],
    folding: &[&[1], &[0]],
    most: 4096,
    share: 8,
};

/// Who was denied, or would have been.
pub(super) const DENIED: Shape<3> = Shape {
    name: "octroi_distinct_sources_denied",
    help: "Those of them that were denied the service, or would have been in observe mode, by the sensitivity of the workload.",
    labels: ["ministry", "sensitivity", "service"],
    folding: &[&[2], &[0]],
    most: 2048,
    share: 16,
};

const SECONDS_A_DAY: i64 = 86_400;

/// The sketches of today; cheap to clone. `K` hashes addresses.
#[derive(Clone, Debug)]
pub(super) struct Sources<const N: usize, K = RandomState>(Arc<Inner<N, K>>);

#[derive(Debug)]
struct Inner<const N: usize, K> {
    /// SipHash under a random key: who does not know it cannot choose addresses that collide.
    keyed: K,
    shape: Shape<N>,
    empty: IntGaugeVec,
    sketches: Family<Shelf, N>,
    /// Days since 1970.
    day: AtomicI64,
    /// Held while the day changes.
    turn: Mutex<()>,
}

/// Where new sketches come from.
#[derive(Clone, Copy, Debug)]
struct Shelf;

impl Children for Shelf {
    type Child = Arc<Mutex<Sketch>>;
    fn make(&self, _: &[&str]) -> Option<Self::Child> {
        Some(Arc::default())
    }
}

impl<const N: usize> Sources<N> {
    /// Takes its part of `budget`, which allows `most_series`; `folded` counts what went to `other`.
    pub(super) fn new(
        shape: Shape<N>,
        budget: &Budget,
        most_series: usize,
        folded: IntCounter,
    ) -> prometheus::Result<Self> {
        Self::keyed(RandomState::new(), shape, budget, most_series, folded)
    }
}

impl<const N: usize, K: BuildHasher> Sources<N, K> {
    fn keyed(
        keyed: K,
        shape: Shape<N>,
        budget: &Budget,
        most_series: usize,
        folded: IntCounter,
    ) -> prometheus::Result<Self> {
        let most = shape.most.min(most_series / shape.share);
        budget.reserve(most);
        let budget = Budget::new(most, folded);
        Ok(Self(Arc::new(Inner {
            keyed,
            empty: gauge(&shape)?,
            sketches: Family::new(Shelf, shape.folding, &budget),
            shape,
            day: AtomicI64::new(day_of(Timestamp::now())),
            turn: Mutex::new(()),
        })))
    }

    /// Notes that `client` is one of those with these labels today.
    pub(super) fn note(&self, labels: [Label; N], client: IpAddr, at: Timestamp) {
        self.begin_day(at);
        if let Some(sketch) = self.0.sketches.child(labels) {
            let hash = self.0.keyed.hash_one(client.to_canonical());
            let mut sketch = sketch.lock().unwrap_or_else(PoisonError::into_inner);
            sketch.insert(hash);
        }
    }

    /// Forgets everything when the day is another. A flow of yesterday that is recorded just
    /// after midnight counts for today; a clock set back by more than a day begins anew.
    fn begin_day(&self, at: Timestamp) {
        let today = day_of(at);
        let is_same = |day: i64| day == today || day == today + 1;
        if is_same(self.0.day.load(Ordering::Acquire)) {
            return;
        }
        let _turn = self.0.turn.lock().unwrap_or_else(PoisonError::into_inner);
        if !is_same(self.0.day.load(Ordering::Acquire)) {
            self.0.sketches.forget();
            self.0.day.store(today, Ordering::Release);
        }
    }

    /// About how many different clients there were today for each value of one label.
    pub(super) fn by(&self, position: usize, at: Timestamp) -> HashMap<Label, u64> {
        self.begin_day(at);
        let mut merged: HashMap<Label, Sketch> = HashMap::new();
        for (labels, sketch) in self.0.sketches.all() {
            let sketch = sketch.lock().unwrap_or_else(PoisonError::into_inner);
            merged
                .entry(labels[position].clone())
                .or_default()
                .merge(&sketch);
        }
        let count = |sketch: Sketch| sketch.estimate().round() as u64;
        merged
            .into_iter()
            .map(|(label, sketch)| (label, count(sketch)))
            .collect()
    }

    fn collect_at(&self, at: Timestamp) -> Vec<MetricFamily> {
        self.begin_day(at);
        let Ok(gauge) = gauge(&self.0.shape) else {
            return Vec::new();
        };
        for (labels, sketch) in self.0.sketches.all() {
            let sketch = sketch.lock().unwrap_or_else(PoisonError::into_inner);
            let sources = sketch.estimate().round();
            drop(sketch);
            gauge
                .with_label_values(&labels.each_ref().map(Label::as_str))
                .set(sources as i64);
        }
        gauge.collect()
    }
}

impl<const N: usize, K: BuildHasher + Send + Sync> Collector for Sources<N, K> {
    fn desc(&self) -> Vec<&Desc> {
        self.0.empty.desc()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        self.collect_at(Timestamp::now())
    }
}

fn gauge<const N: usize>(shape: &Shape<N>) -> prometheus::Result<IntGaugeVec> {
    IntGaugeVec::new(Opts::new(shape.name, shape.help), &shape.labels)
}

fn day_of(at: Timestamp) -> i64 {
    at.as_second().div_euclid(SECONDS_A_DAY)
}

#[cfg(test)]
mod tests {
    use std::hash::{BuildHasherDefault, DefaultHasher};
    use std::net::Ipv4Addr;

    use octroi_policy::catalogue::Id;

    use super::*;

    const EXCHANGE: Label = Label::Word("exchange-online");

    /// The same hashes in every run: under a random key two of fifty addresses share a register,
    /// and count as one, in one run of fourteen.
    type Fixed = BuildHasherDefault<DefaultHasher>;

    fn sources(most_series: usize) -> Sources<2, Fixed> {
        let folded = IntCounter::new("folded_total", "test").unwrap();
        let budget = Budget::new(most_series, folded.clone());
        Sources::keyed(Fixed::default(), TRIED, &budget, most_series, folded).unwrap()
    }

    fn machine(number: u32) -> IpAddr {
        Ipv4Addr::from_bits(0x0a00_0000 + number).into()
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn shown(sources: &Sources<2, Fixed>, now: Timestamp) -> Vec<(String, i64)> {
        let families = sources.collect_at(now);
        let metrics = families.iter().flat_map(MetricFamily::get_metric);
        let mut shown: Vec<_> = metrics
            .map(|metric| {
                let labels = metric.get_label().iter().map(|label| label.value());
                let labels: Vec<&str> = labels.collect();
                (labels.join("/"), metric.get_gauge().get_value() as i64)
            })
            .collect();
        shown.sort();
        shown
    }

    #[test]
    fn one_machine_that_insists_and_a_hundred_that_ask_once_are_told_apart() {
        let (sources, now) = (sources(50_000), at("2026-11-24T09:00:00Z"));
        for _ in 0..10_000 {
            sources.note([Label::Word("culture"), EXCHANGE], machine(1), now);
        }
        for number in 0..100 {
            sources.note([Label::Word("interieur"), EXCHANGE], machine(number), now);
        }
        for number in 0..100_000 {
            let labels = ["finances", "unlisted"].map(Label::Word);
            sources.note(labels, machine(number), now);
        }
        let shown = shown(&sources, now);
        assert_eq!(shown.len(), 3);
        assert_eq!(shown[0], ("culture/exchange-online".to_owned(), 1));
        assert_eq!(shown[2].0, "interieur/exchange-online");
        assert!((97..=103).contains(&shown[2].1), "{shown:?}");
        assert!((97_000..=103_000).contains(&shown[1].1), "{shown:?}");
    }

    #[test]
    fn a_mapped_address_is_the_one_it_maps() {
        let (sources, now) = (sources(50_000), at("2026-11-24T09:00:00Z"));
        for client in ["192.0.2.1", "::ffff:192.0.2.1"] {
            let labels = [Label::Word("culture"), EXCHANGE];
            sources.note(labels, client.parse().unwrap(), now);
        }
        assert_eq!(shown(&sources, now)[0].1, 1);
    }

    #[test]
    fn at_midnight_everything_is_forgotten() {
        let sources = sources(50_000);
        let labels = [Label::Word("culture"), EXCHANGE];
        let note = |number, at| sources.note(labels.clone(), machine(number), at);
        let (evening, morning) = (at("2031-11-24T23:59:59Z"), at("2031-11-25T00:00:00Z"));
        (0..50).for_each(|number| note(number, evening));
        assert_eq!(shown(&sources, evening)[0].1, 50);
        assert!(shown(&sources, morning).is_empty());
        note(1, morning);
        // Recorded late: it does not bring yesterday back.
        note(2, evening);
        assert_eq!(shown(&sources, morning)[0].1, 2);
        // The clock was wrong, and is set right.
        let right = at("2026-11-24T09:00:00Z");
        note(3, right);
        assert_eq!(shown(&sources, right)[0].1, 1);
    }

    #[test]
    fn the_number_of_sketches_is_bounded_and_comes_back() {
        let (sources, now) = (sources(1000), at("2026-11-24T09:00:00Z"));
        for number in 0..500 {
            let service = Label::Id(Id::from(format!("service-{number:03}")));
            sources.note([Label::Word("culture"), service], machine(number), now);
        }
        let today = shown(&sources, now);
        assert!(today.len() <= 1000 / TRIED.share, "{}", today.len());
        let others = today.iter().find(|(labels, _)| labels == "culture/other");
        // Those beyond are told from each other still.
        let others = others.unwrap().1;
        assert!((380..=398).contains(&others), "{others}");
        let tomorrow = at("2026-11-25T09:00:00Z");
        sources.note([Label::Word("culture"), EXCHANGE], machine(1), tomorrow);
        assert_eq!(shown(&sources, tomorrow)[0].0, "culture/exchange-online");
    }
}

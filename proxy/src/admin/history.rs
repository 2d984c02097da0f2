//! The last 24 hours in steps of five minutes, in memory, sampled from the counters: no decision pays for it.
//!
//! It begins at zero when the process does, after an upgrade too, as the counters do. Steps are counted by a clock that
//! is never set, and named by the one on the wall: a clock that is put right moves the names of all steps and loses
//! nothing. Bounded: 256 rows of ministries and 2,048 of services, beyond them `other`: at most 9 MiB, and with
//! 50 ministries and 1,000 services at most 4 MiB.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use jiff::Timestamp;
use pingora::server::ShutdownWatch;
use pingora::services::background::BackgroundService;
use tokio::time::sleep;

use crate::ledger::Ledger;
use crate::ledger::metrics::{Counts, Label, Metrics, Tally};

/// Seconds of a step.
pub(super) const STEP: u64 = 300;
/// Steps of a day.
pub(super) const STEPS: usize = 288;
/// Rows of ministries.
const MOST_MINISTRIES: usize = 256;
/// Rows of services.
const MOST_SERVICES: usize = 2048;
/// What stands for the rows beyond, as in the metrics.
const OTHER: Label = Label::Word("other");
/// A sample is not older than this when it is told.
const FRESH: Duration = Duration::from_secs(1);

/// Bytes of the counts at 50 ministries and 1,000 services, and in each the two rows that are none of the policy's.
#[cfg(test)]
const BYTES: usize = (50 + 2 + 1000 + 2) * size_of::<(Label, Box<Row>, Row)>();

/// The counts of one ministry or service, by the place of their step.
#[derive(Clone, Debug)]
struct Row {
    steps: [[u32; 3]; STEPS],
    /// What the counters said when they were read last.
    seen: Counts,
}

type Rows = HashMap<Label, Box<Row>>;

/// The counts of a day.
#[derive(Debug)]
pub(super) struct History {
    started: Instant,
    /// How far into a step the process started.
    phase: Duration,
    day: Mutex<Day>,
}

#[derive(Debug, Default)]
struct Day {
    /// The step under way, counted from the one in which the process started.
    step: u64,
    sampled: Option<Duration>,
    ministries: Rows,
    services: Rows,
    /// Different addresses that tried each service, since midnight UTC.
    machines: HashMap<Label, u64>,
}

/// One row as it is told, the oldest step first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Told {
    pub(super) id: Label,
    pub(super) steps: Vec<[u32; 3]>,
}

impl Told {
    /// Of the whole day.
    pub(super) fn total(&self) -> Counts {
        let mut total = Counts::default();
        for step in &self.steps {
            for (sum, count) in total.iter_mut().zip(step) {
                *sum += u64::from(*count);
            }
        }
        total
    }
}

impl History {
    /// Begins at an instant of the wall clock.
    pub(super) fn new(now: Timestamp) -> Self {
        let into = now.as_millisecond().rem_euclid(STEP as i64 * 1000);
        Self {
            started: Instant::now(),
            phase: Duration::from_millis(into.unsigned_abs()),
            day: Mutex::default(),
        }
    }

    /// Samples the counters at the end of each step.
    async fn keep(&self, metrics: &Metrics) {
        loop {
            let into = (self.phase + self.started.elapsed()).as_millis() % u128::from(STEP * 1000);
            let left = u128::from(STEP * 1000) - into;
            sleep(Duration::from_millis(u64::try_from(left).unwrap_or(STEP))).await;
            self.sample(metrics);
        }
    }

    /// The rows of ministries and of services up to now, these with how many machines tried them today.
    pub(super) fn tell(&self, metrics: &Metrics) -> (Vec<Told>, Vec<(Told, u64)>) {
        let elapsed = self.started.elapsed();
        let is_fresh = |at: Duration| elapsed.saturating_sub(at) < FRESH;
        if !self.day().sampled.is_some_and(is_fresh) {
            self.sample(metrics);
        }
        let day = self.day();
        let services = day.rows(&day.services).into_iter();
        let machines = |row: &Told| day.machines.get(&row.id).copied().unwrap_or(0);
        let services = services.map(|row| {
            let machines = machines(&row);
            (row, machines)
        });
        (day.rows(&day.ministries), services.collect())
    }

    fn sample(&self, metrics: &Metrics) {
        let (tallies, machines) = (metrics.tallies(), metrics.machines(Timestamp::now()));
        let elapsed = self.started.elapsed();
        let mut day = self.day();
        day.sample(self.phase, elapsed, tallies);
        day.machines = machines;
    }

    fn day(&self) -> MutexGuard<'_, Day> {
        self.day.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Samples the counters as long as the process lasts; runs as a background service.
#[derive(Debug)]
pub struct Keeper {
    history: Arc<History>,
    ledger: Ledger,
}

impl Keeper {
    pub(super) fn new(history: &Arc<History>, ledger: &Ledger) -> Self {
        Self {
            history: Arc::clone(history),
            ledger: ledger.clone(),
        }
    }
}

#[async_trait]
impl BackgroundService for Keeper {
    async fn start(&self, mut shutdown: ShutdownWatch) {
        tokio::select! {
            () = self.history.keep(self.ledger.metrics()) => {}
            // Nobody reads it any more.
            _ = shutdown.changed() => {}
        }
    }
}

/// The beginning of the first of the steps of which the last is under way.
pub(super) fn from(now: Timestamp) -> Timestamp {
    let step = now.as_second().div_euclid(STEP as i64);
    let first = step - (STEPS as i64 - 1);
    Timestamp::from_second(first * STEP as i64).unwrap_or(now)
}

impl Day {
    /// What was counted since the last sample belongs to the step that was under way then; then the present one is.
    fn sample(
        &mut self,
        phase: Duration,
        elapsed: Duration,
        (ministries, services): (Tally, Tally),
    ) {
        let place = place(self.step);
        note(&mut self.ministries, MOST_MINISTRIES, ministries, place);
        note(&mut self.services, MOST_SERVICES, services, place);
        self.sampled = Some(elapsed);
        self.advance((phase + elapsed).as_secs() / STEP);
    }

    /// Goes on to a step; those that are passed over, and what stood a day ago in their place, are empty.
    fn advance(&mut self, to: u64) {
        let passed = to.saturating_sub(self.step).min(STEPS as u64);
        for step in 0..passed {
            let place = place(to - step);
            for row in self
                .ministries
                .values_mut()
                .chain(self.services.values_mut())
            {
                row.steps[place] = [0; 3];
            }
        }
        if passed > 0 {
            self.step = to;
        }
    }

    fn rows(&self, rows: &Rows) -> Vec<Told> {
        let next = place(self.step + 1);
        let told = |(id, row): (&Label, &Row)| {
            let (late, early) = row.steps.split_at(next);
            let steps = [early, late].concat();
            let id = id.clone();
            Told { id, steps }
        };
        let is_empty = |row: &Told| row.total() == Counts::default();
        let mut told: Vec<_> = rows
            .iter()
            .map(|(id, row)| told((id, row)))
            .filter(|row| !is_empty(row))
            .collect();
        told.sort_by(|one, other| one.id.as_str().cmp(other.id.as_str()));
        told
    }
}

fn place(step: u64) -> usize {
    usize::try_from(step % STEPS as u64).unwrap_or_default()
}

/// Adds what the counters gained to the step at `place`. Rows are never given up: their number is bounded, and with
/// them goes what the counters said last.
fn note(rows: &mut Rows, most: usize, mut tally: Tally, place: usize) {
    let mut beyond = tally.remove(&OTHER).unwrap_or_default();
    for (id, counts) in tally {
        if rows.len() >= most && !rows.contains_key(&id) {
            for (sum, count) in beyond.iter_mut().zip(counts) {
                *sum += count;
            }
            continue;
        }
        rows.entry(id).or_default().note(counts, place);
    }
    if beyond != Counts::default() {
        rows.entry(OTHER).or_default().note(beyond, place);
    }
}

impl Default for Row {
    fn default() -> Self {
        Self {
            steps: [[0; 3]; STEPS],
            seen: Counts::default(),
        }
    }
}

impl Row {
    fn note(&mut self, counts: Counts, place: usize) {
        for ((held, seen), count) in self.steps[place].iter_mut().zip(&mut self.seen).zip(counts) {
            let gained = count.saturating_sub(*seen);
            *held = held.saturating_add(u32::try_from(gained).unwrap_or(u32::MAX));
            *seen = count;
        }
    }
}

#[cfg(test)]
mod tests;

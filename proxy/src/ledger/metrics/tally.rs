//! Sums over the counter of attempts, for the console's history.

use std::collections::HashMap;

use jiff::Timestamp;

use super::{Label, Metrics};

/// Attempts allowed, observed and denied.
pub(crate) type Counts = [u64; 3];

/// The counts of each ministry, or of each service.
pub(crate) type Tally = HashMap<Label, Counts>;

impl Metrics {
    /// What the counter of attempts says of each ministry and of each service.
    pub(crate) fn tallies(&self) -> (Tally, Tally) {
        let (mut ministries, mut services) = (Tally::new(), Tally::new());
        self.attempts
            .each(|[ministry, _, service, verdict, mode], counter| {
                let column = match (verdict.as_str(), mode.as_str()) {
                    ("allow", _) => 0,
                    (_, "observed") => 1,
                    _ => 2,
                };
                for (tally, label) in [(&mut ministries, ministry), (&mut services, service)] {
                    match tally.get_mut(label) {
                        Some(counts) => counts[column] += counter.get(),
                        None => {
                            let mut counts = Counts::default();
                            counts[column] = counter.get();
                            tally.insert(label.clone(), counts);
                        }
                    }
                }
            });
        (ministries, services)
    }

    /// From how many different addresses each service was tried since midnight UTC, whoever they belong to.
    pub(crate) fn machines(&self, now: Timestamp) -> HashMap<Label, u64> {
        self.distinct_sources.by(1, now)
    }
}

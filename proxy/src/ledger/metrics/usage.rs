//! How near each limit is: asked at each scrape.

use std::fmt;

use prometheus::GaugeVec;
use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;

use super::declare::gauges;
use crate::ledger::series::Budget;
use crate::shares::{Holder, Usage};

const NAME: &str = "octroi_limit_usage_ratio";
const HELP: &str = "How much of each limit is used: 1 = the next is refused. Of sources, the one nearest to its limit.";
const LABELS: [&str; 3] = ["limit", "ministry", "workload"];

/// The most limits shown, those nearest to their figure first.
const MOST_SHOWN: usize = 1000;
/// The share of `limits.metric_series` kept for them, if that is less.
const SHARE: usize = 8;

/// How near one limit is.
#[derive(Clone, Debug, PartialEq)]
pub struct LimitUsage {
    /// The word for the limit.
    pub limit: &'static str,
    /// Whose it is; `None` = the gate's, or the fullest source's.
    pub holder: Option<Holder>,
    /// 0 = unused, 1 = the next is refused.
    pub ratio: f64,
}

impl From<Usage> for LimitUsage {
    fn from(usage: Usage) -> Self {
        Self {
            limit: usage.reason(),
            holder: usage.holder,
            ratio: usage.ratio,
        }
    }
}

/// Asks how near the limits are.
pub(super) struct Usages<F> {
    limits: F,
    most: usize,
    shape: GaugeVec,
}

impl<F: Fn() -> Vec<LimitUsage>> Usages<F> {
    /// Takes its part of `budget`.
    pub(super) fn new(limits: F, budget: &Budget) -> prometheus::Result<Self> {
        let most = MOST_SHOWN.min(budget.most() / SHARE);
        budget.reserve(most);
        Ok(Self {
            limits,
            most,
            shape: gauges(NAME, HELP, &LABELS)?,
        })
    }
}

impl<F: Fn() -> Vec<LimitUsage> + Send + Sync> Collector for Usages<F> {
    fn desc(&self) -> Vec<&Desc> {
        self.shape.desc()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let Ok(family) = gauges(NAME, HELP, &LABELS) else {
            return Vec::new();
        };
        let mut limits = (self.limits)();
        limits.sort_by(|one, other| other.ratio.total_cmp(&one.ratio));
        for LimitUsage {
            limit,
            holder,
            ratio,
        } in limits.iter().take(self.most)
        {
            let ministry = holder.as_ref().map_or("", |holder| &holder.ministry);
            let workload = holder
                .as_ref()
                .and_then(|holder| holder.workload.as_deref());
            family
                .with_label_values(&[limit, ministry, workload.unwrap_or_default()])
                .set(*ratio);
        }
        family.collect()
    }
}

impl<F> fmt::Debug for Usages<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Usages")
            .field("most", &self.most)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use prometheus::{IntCounter, TextEncoder};

    use super::*;

    #[test]
    fn only_those_nearest_to_their_limit_are_shown() {
        let folded = IntCounter::new("folded_total", "test").unwrap();
        let budget = Budget::new(1000, folded);
        let ministries = || {
            let each = (0..5000).map(|n| LimitUsage {
                limit: "ministry-flows",
                holder: Some(Holder {
                    ministry: format!("m{n}").into(),
                    workload: None,
                }),
                ratio: f64::from(n % 100) / 100.0,
            });
            each.collect()
        };
        let usages = Usages::new(ministries, &budget).unwrap();
        let text = TextEncoder::new()
            .encode_to_string(&usages.collect())
            .unwrap();
        let shown: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
        assert_eq!(shown.len(), 125);
        let near = shown.iter().filter(|line| line.ends_with(" 0.99"));
        assert_eq!(near.count(), 50, "{text}");
    }
}

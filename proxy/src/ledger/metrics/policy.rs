//! What the metrics say of the policy in force.

use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;
use octroi_policy::Policy;
use prometheus::{Gauge, GaugeVec, Registry};

use super::declare::{gauges, register};
use crate::ledger::series::Budget;

/// What is known of the policy in force; replaced as a whole when it is.
#[derive(Debug)]
pub(super) struct PolicyFamilies {
    info: GaugeVec,
    loaded: Gauge,
    derogation_expires: GaugeVec,
    list_entries: GaugeVec,
    series: Mutex<usize>,
}

impl PolicyFamilies {
    pub(super) fn new(r: &Registry) -> prometheus::Result<Self> {
        let loaded = Gauge::new(
            "octroi_policy_loaded_timestamp_seconds",
            "When the policy in force was put in force.",
        )?;
        Ok(Self {
            info: register(
                r,
                gauges(
                    "octroi_policy_info",
                    "The policy in force; always 1.",
                    &["name", "digest"],
                )?,
            )?,
            loaded: register(r, loaded)?,
            derogation_expires: register(
                r,
                gauges(
                    "octroi_derogation_expires_timestamp_seconds",
                    "The end of each derogation.",
                    &["derogation"],
                )?,
            )?,
            list_entries: register(
                r,
                gauges(
                    "octroi_list_entries",
                    "Names and addresses in each list.",
                    &["list"],
                )?,
            )?,
            series: Mutex::new(0),
        })
    }

    pub(super) fn show(&self, policy: &Policy, at: Timestamp, budget: &Budget) {
        let mut series = self.series.lock().unwrap_or_else(PoisonError::into_inner);
        let model = policy.model();
        self.info.reset();
        self.info
            .with_label_values(&[policy.name(), policy.digest()])
            .set(1.0);
        self.loaded.set(seconds(at));
        self.derogation_expires.reset();
        for derogation in &model.derogations {
            if let Some(until) = derogation.validity.until {
                self.derogation_expires
                    .with_label_values(&[&*derogation.id])
                    .set(seconds(until));
            }
        }
        self.list_entries.reset();
        for list in &model.lists {
            self.list_entries
                .with_label_values(&[&*list.id])
                .set(list.entries as f64);
        }
        budget.release(*series);
        *series = model.derogations.len() + model.lists.len();
        budget.reserve(*series);
    }
}

fn seconds(at: Timestamp) -> f64 {
    at.as_millisecond() as f64 / 1e3
}

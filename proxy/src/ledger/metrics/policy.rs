//! What the metrics say of the policy in force.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use jiff::Timestamp;
use octroi_policy::Policy;
use octroi_policy::catalogue::Id;
use octroi_policy::diagnostic::Severity;
use octroi_policy::rule::Mode;
use prometheus::{Gauge, GaugeVec, IntCounterVec, IntGauge, IntGaugeVec, Registry};

use super::declare::{counters, gauges, int_gauges, register};
use crate::ledger::series::Budget;
use crate::state::StateError;

const SEVERITIES: [Severity; 3] = [Severity::Error, Severity::Warning, Severity::Note];

/// The share of `limits.metric_series` that each family of the policy may use.
const SHARE: usize = 8;

/// What is known of the policy in force; replaced as a whole when it is.
#[derive(Debug)]
pub(super) struct PolicyFamilies {
    loaded: Gauge,
    from_state: IntGauge,
    last_reload_successful: IntGauge,
    findings: IntGaugeVec,
    state_errors: IntCounterVec,
    replaced: Mutex<Replaced>,
}

/// Families whose series are those of the policy in force.
#[derive(Debug)]
struct Replaced {
    info: Shown<2>,
    derogation_expires: Shown<2>,
    rule_info: Shown<3>,
    workload_info: Shown<3>,
    list_entries: Shown<1>,
    list_modified: Shown<1>,
    series: usize,
}

/// A family, and the label values it shows.
#[derive(Debug)]
struct Shown<const N: usize> {
    family: GaugeVec,
    labels: BTreeSet<[Id; N]>,
}

impl<const N: usize> Shown<N> {
    fn new(family: GaugeVec) -> Self {
        Self {
            family,
            labels: BTreeSet::new(),
        }
    }

    /// Shows these and no others; at no moment is one missing that was there and stays.
    fn replace(&mut self, series: impl IntoIterator<Item = ([Id; N], f64)>) {
        let mut now = BTreeSet::new();
        for (labels, value) in series {
            self.family
                .with_label_values(&labels.each_ref().map(|id| &**id))
                .set(value);
            now.insert(labels);
        }
        for gone in self.labels.difference(&now) {
            let labels = gone.each_ref().map(|id| &**id);
            if let Err(error) = self.family.remove_label_values(&labels) {
                tracing::debug!(%error, "a series of the last policy was gone already");
            }
        }
        self.labels = now;
    }
}

impl PolicyFamilies {
    pub(super) fn new(r: &Registry) -> prometheus::Result<Self> {
        let loaded = Gauge::new(
            "octroi_policy_loaded_timestamp_seconds",
            "When the policy in force was put in force.",
        )?;
        let from_state = IntGauge::new(
            "octroi_policy_from_state",
            "1 while the policy in force is the last good one from the state: the bundle did not pass at the start.",
        )?;
        let last_reload_successful = IntGauge::new(
            "octroi_policy_last_reload_successful",
            "0 from when a bundle was rejected until one is read that passes; what is in force is an older one.",
        )?;
        let findings = int_gauges(
            r,
            "octroi_policy_findings",
            "What was found in the policy in force; an error only where it was accepted before.",
            &["severity"],
        )?;
        let state_errors = counters(
            r,
            "octroi_state_errors_total",
            "Attempts to read or write the state directory that failed.",
            &["reason"],
        )?;
        for reason in StateError::REASONS {
            state_errors.with_label_values(&[reason]);
        }
        let info = gauges(
            "octroi_policy_info",
            "The policy in force; always 1.",
            &["name", "digest"],
        )?;
        let expires = gauges(
            "octroi_derogation_expires_timestamp_seconds",
            "The end of each derogation.",
            &["derogation", "ministry"],
        )?;
        let rule_info = gauges(
            "octroi_rule_info",
            "The rules of the policy in force; always 1.",
            &["effect", "mode", "rule"],
        )?;
        let workload_info = gauges(
            "octroi_workload_info",
            "The workloads of the policy in force; always 1.",
            &["ministry", "sensitivity", "workload"],
        )?;
        let entries = gauges(
            "octroi_list_entries",
            "Names and addresses in each list.",
            &["list"],
        )?;
        let modified = gauges(
            "octroi_list_modified_timestamp_seconds",
            "When the file of each list was last modified.",
            &["list"],
        )?;
        Ok(Self {
            loaded: register(r, loaded)?,
            from_state: register(r, from_state)?,
            last_reload_successful: register(r, last_reload_successful)?,
            findings,
            state_errors,
            replaced: Mutex::new(Replaced {
                info: Shown::new(register(r, info)?),
                derogation_expires: Shown::new(register(r, expires)?),
                rule_info: Shown::new(register(r, rule_info)?),
                workload_info: Shown::new(register(r, workload_info)?),
                list_entries: Shown::new(register(r, entries)?),
                list_modified: Shown::new(register(r, modified)?),
                series: 0,
            }),
        })
    }

    pub(super) fn show(&self, policy: &Policy, at: Timestamp, budget: &Budget) {
        let mut replaced = self.replaced.lock().unwrap_or_else(PoisonError::into_inner);
        let model = policy.model();
        let (name, digest) = (policy.name().clone(), policy.digest().clone());
        replaced.info.replace([([name, digest], 1.0)]);
        self.loaded.set(seconds(at));
        // Of each family the first so many: their ids cannot be `other`.
        let most = budget.most() / SHARE;
        let (derogations, lists) = (model.derogations.len(), model.lists.len());
        let (rules, workloads) = (model.rules.len(), model.workloads.len());
        if [derogations, lists, rules, workloads]
            .iter()
            .any(|&n| n > most)
        {
            tracing::warn!(
                most,
                derogations,
                lists,
                rules,
                workloads,
                "limits.metric_series has no room for all derogations, lists, rules or workloads"
            );
        }
        let ends = model.derogations.iter().filter_map(|derogation| {
            let until = derogation.validity.until?;
            let ministry = model.ministries[derogation.ministry.at()].id.clone();
            Some(([derogation.id.clone(), ministry], seconds(until)))
        });
        replaced.derogation_expires.replace(ends.take(most));
        let shown = model.rules.iter().map(|rule| {
            let words = [rule.effect.as_str(), mode_word(rule.mode)];
            let [effect, mode] = words.map(Id::from);
            ([effect, mode, rule.id.clone()], 1.0)
        });
        replaced.rule_info.replace(shown.take(most));
        let shown = model.workloads.iter().map(|workload| {
            let ministry = Id::from(policy.ministry_id(workload.ministry));
            let sensitivity = Id::from(workload.sensitivity.as_str());
            ([ministry, sensitivity, workload.id.clone()], 1.0)
        });
        replaced.workload_info.replace(shown.take(most));
        let entries = model
            .lists
            .iter()
            .map(|list| ([list.id.clone()], list.entries as f64));
        replaced.list_entries.replace(entries.take(most));
        budget.release(replaced.series);
        let all = [derogations, lists, rules, workloads];
        replaced.series = all.iter().map(|&n| n.min(most)).sum();
        budget.reserve(replaced.series);
    }

    /// Shows whether it comes from the state.
    pub(super) fn show_from_state(&self, is: bool) {
        self.from_state.set(i64::from(is));
    }

    /// Shows whether the bundle passed when it was last read.
    pub(super) fn show_last_reload(&self, successful: bool) {
        self.last_reload_successful.set(i64::from(successful));
    }

    /// Shows how many findings it has.
    pub(super) fn show_findings(&self, found: impl Iterator<Item = Severity>) {
        let mut counts = SEVERITIES.map(|severity| (severity, 0));
        for severity in found {
            for (_, count) in counts.iter_mut().filter(|(of, _)| *of == severity) {
                *count += 1;
            }
        }
        for (severity, count) in counts {
            let gauge = self.findings.with_label_values(&[severity.as_str()]);
            gauge.set(count);
        }
    }

    /// Counts a failure of the state directory.
    pub(super) fn count_state_error(&self, reason: &'static str) {
        self.state_errors.with_label_values(&[reason]).inc();
    }

    /// Shows how old these lists are, and no others.
    pub(super) fn show_modified(&self, lists: &[(Id, SystemTime)], budget: &Budget) {
        let mut replaced = self.replaced.lock().unwrap_or_else(PoisonError::into_inner);
        let before = replaced.list_modified.labels.len();
        let most = budget.most() / SHARE;
        let times = lists.iter().take(most).map(|(list, modified)| {
            // A file may say that it is older than time itself.
            let since = modified.duration_since(UNIX_EPOCH).unwrap_or_default();
            ([list.clone()], since.as_secs_f64())
        });
        replaced.list_modified.replace(times);
        budget.release(before);
        budget.reserve(replaced.list_modified.labels.len());
    }
}

/// How the mode of a rule is written in labels.
pub(super) fn mode_word(mode: Mode) -> &'static str {
    match mode {
        Mode::Enforce => "enforce",
        Mode::Observe => "observe",
    }
}

fn seconds(at: Timestamp) -> f64 {
    at.as_millisecond() as f64 / 1e3
}

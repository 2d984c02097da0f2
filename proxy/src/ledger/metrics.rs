//! Every metric of the gate, declared once with its help. Labels are ids of the policy or words
//! of ours, never a client's text; times are in seconds, amounts in bytes.

mod declare;
mod flows;
mod policy;
mod tally;
mod usage;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use octroi_policy::Policy;
use octroi_policy::catalogue::Id;
use octroi_policy::decision::Decision;
use octroi_policy::diagnostic::Severity;
use prometheus::process_collector::ProcessCollector;
use prometheus::{Histogram, IntCounter, IntCounterVec, IntGaugeVec, Registry, TextEncoder};

use declare::{counter, counters, gauges, histogram, int_gauges, register};
use policy::PolicyFamilies;
pub(crate) use tally::{Counts, Tally};
pub use usage::LimitUsage;
use usage::Usages;

use super::refused::Refused;
pub(crate) use super::series::Label;
use super::series::{Budget, Family};
use super::sources::{DENIED, Sources, TRIED};
use crate::accept_errors;
use crate::admin::refused::Refused as Refusal;
use crate::certificate::Outcome;

/// What is shown where nobody's source asks.
pub(super) const UNASSIGNED: Label = Label::Word("unassigned");
/// What is shown where no listed service is concerned.
pub(super) const UNLISTED: Label = Label::Word("unlisted");

/// The content type of [`Metrics::text`].
pub const CONTENT_TYPE: &str = prometheus::TEXT_FORMAT;

/// Judging takes microseconds; more than a millisecond is worth a look.
const DECISION_BUCKETS: [f64; 12] = [
    0.000_001, 0.000_002, 0.000_005, 0.000_01, 0.000_025, 0.000_05, 0.000_1, 0.000_25, 0.001,
    0.005, 0.025, 0.1,
];
/// From a cached name beside a near origin to the last address of a far one.
const SETUP_BUCKETS: [f64; 13] = [
    0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0,
];
/// Samples that exist whatever the traffic: histograms, build, process, and words of ours.
const FIXED_SERIES: usize = 170;

type Counters<const N: usize> = Family<IntCounterVec, N>;

/// The families and the registry that shows them.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    budget: Arc<Budget>,
    attempts: Counters<5>,
    distinct_sources: Sources<2>,
    distinct_denied: Sources<3>,
    found_behind: Counters<2>,
    rule_hits: Counters<3>,
    evidence: Counters<2>,
    sni: IntCounterVec,
    ech: Counters<1>,
    derogation_uses: Counters<2>,
    derogation_after_refusal: Counters<2>,
    refused: Refused,
    bytes: Counters<3>,
    tunnels_active: Family<IntGaugeVec, 1>,
    tunnels_revoked: Counters<1>,
    second_hellos_refused: Counters<1>,
    limited: Counters<2>,
    decision_seconds: Histogram,
    setup_seconds: Histogram,
    upstream_errors: IntCounterVec,
    client_errors: IntCounterVec,
    admin_refused: IntCounterVec,
    pub(super) audit_errors: IntCounter,
    pub(super) audit_lost: IntCounter,
    dns_cache: IntCounterVec,
    policy: PolicyFamilies,
    policy_reloads: IntCounterVec,
    upgrades: IntCounterVec,
    certificate_expires: IntGaugeVec,
    certificate_reloads: IntCounterVec,
}

/// Who a flow belongs to and what it is about, as labels.
#[derive(Clone, Debug)]
pub(super) struct Labels {
    pub(super) ministry: Label,
    pub(super) workload: Label,
    pub(super) service: Label,
}

impl Labels {
    pub(super) fn of(policy: &Policy, decision: &Decision) -> Self {
        let model = policy.model();
        let ministry = decision
            .who
            .ministry
            .map(|ix| &model.ministries[ix.at()].id);
        let service = decision.service().map(|ix| &model.services[ix.at()].id);
        let workload = &model.workloads[decision.who.workload().at()].id;
        Self {
            ministry: ministry.map_or(UNASSIGNED, |id| Label::Id(id.clone())),
            workload: Label::Id(workload.clone()),
            service: service.map_or(UNLISTED, |id| Label::Id(id.clone())),
        }
    }

    /// For a flow that ended before anything was known of it.
    pub(super) fn unknown() -> Self {
        Self {
            ministry: UNASSIGNED,
            workload: UNASSIGNED,
            service: UNLISTED,
        }
    }
}

impl Metrics {
    /// Declares everything; at most about `most_series` series live at a time.
    ///
    /// # Errors
    /// Never in practice: only if two families had the same name.
    pub fn new(most_series: usize) -> prometheus::Result<Self> {
        let registry = Registry::new();
        let r = &registry;
        let folded = counter(
            r,
            "octroi_metric_series_limited_total",
            "Samples counted under `other` because limits.metric_series was reached.",
        )?;
        let budget = Budget::new(most_series, folded.clone());
        budget.reserve(FIXED_SERIES);
        let b = &budget;
        register(
            r,
            gauges(
                "octroi_build_info",
                "The version of this gate; always 1.",
                &["version"],
            )?,
        )?
        .with_label_values(&[env!("CARGO_PKG_VERSION")])
        .set(1.0);
        r.register(Box::new(ProcessCollector::for_self()))?;
        if let Some(errors) = accept_errors::counted() {
            r.register(Box::new(errors))?;
        }
        Ok(Self {
            attempts: Family::new(
                counters(
                    r,
                    "octroi_attempts_total",
                    "Flows decided, one for each decision line of the audit log.",
                    &["ministry", "workload", "service", "verdict", "mode"],
                )?,
                &[&[2], &[0, 1]],
                b,
            ),
            distinct_sources: register(r, Sources::new(TRIED, b, most_series, folded.clone())?)?,
            distinct_denied: register(r, Sources::new(DENIED, b, most_series, folded)?)?,
            found_behind: Family::new(
                counters(
                    r,
                    "octroi_found_behind_total",
                    "Flows for a listed service behind which DNS led to a provider.",
                    &["service", "provider"],
                )?,
                &[&[1], &[0]],
                b,
            ),
            rule_hits: Family::new(
                counters(
                    r,
                    "octroi_rule_hits_total",
                    "Flows that a rule matched and decided, or would have decided in observe mode.",
                    &["rule", "ministry", "mode"],
                )?,
                &[&[0], &[1]],
                b,
            ),
            evidence: Family::new(
                counters(
                    r,
                    "octroi_evidence_total",
                    "How the evidence of decided flows agrees with itself.",
                    &["ministry", "outcome"],
                )?,
                &[&[0]],
                b,
            ),
            sni: counters(
                r,
                "octroi_sni_total",
                "How the ClientHello of decided flows stands to the target.",
                &["outcome"],
            )?,
            ech: Family::new(
                counters(
                    r,
                    "octroi_ech_total",
                    "Decided flows whose ClientHello carries Encrypted Client Hello, GREASE included.",
                    &["ministry"],
                )?,
                &[&[0]],
                b,
            ),
            derogation_uses: Family::new(
                counters(
                    r,
                    "octroi_derogation_uses_total",
                    "Flows let through by a derogation that would otherwise have been denied.",
                    &["derogation", "ministry"],
                )?,
                &[&[0], &[1]],
                b,
            ),
            derogation_after_refusal: Family::new(
                counters(
                    r,
                    "octroi_derogation_after_refusal_total",
                    "Sources let through by a derogation that were refused the same service within the 24 hours before; each refusal counts once.",
                    &["derogation", "ministry"],
                )?,
                &[&[0], &[1]],
                b,
            ),
            refused: Refused::new(),
            bytes: Family::new(
                counters(
                    r,
                    "octroi_bytes_total",
                    "Bytes relayed: up from clients, down to them.",
                    &["ministry", "service", "direction"],
                )?,
                &[&[1], &[0]],
                b,
            ),
            tunnels_active: Family::new(
                int_gauges(
                    r,
                    "octroi_tunnels_active",
                    "Tunnels open now.",
                    &["ministry"],
                )?,
                &[&[0]],
                b,
            ),
            tunnels_revoked: Family::new(
                counters(
                    r,
                    "octroi_tunnels_revoked_total",
                    "Open tunnels ended because the policy in force permits them no more.",
                    &["ministry"],
                )?,
                &[&[0]],
                b,
            ),
            second_hellos_refused: Family::new(
                counters(
                    r,
                    "octroi_second_hellos_refused_total",
                    "Tunnels ended because a ClientHello after the first one did not say the same.",
                    &["ministry"],
                )?,
                &[&[0]],
                b,
            ),
            limited: Family::new(
                counters(
                    r,
                    "octroi_limited_total",
                    "Flows that the policy permits and limits.flows or limits.new_flows refuse.",
                    &["limit", "ministry"],
                )?,
                &[&[1]],
                b,
            ),
            decision_seconds: histogram(
                r,
                "octroi_decision_seconds",
                "Time to judge a flow once.",
                &DECISION_BUCKETS,
            )?,
            setup_seconds: histogram(
                r,
                "octroi_setup_seconds",
                "Time from a request's arrival until its origin is connected and the flow permitted.",
                &SETUP_BUCKETS,
            )?,
            upstream_errors: counters(
                r,
                "octroi_upstream_errors_total",
                "Origins that could not be resolved or reached.",
                &["reason"],
            )?,
            client_errors: counters(
                r,
                "octroi_client_errors_total",
                "Requests refused before they became a flow.",
                &["reason"],
            )?,
            admin_refused: admin_refused(r)?,
            audit_errors: counter(
                r,
                "octroi_audit_errors_total",
                "Writes, rotations and removals of the audit log that failed.",
            )?,
            audit_lost: counter(
                r,
                "octroi_audit_lost_lines_total",
                "Lines of the audit log that were lost, with audit.on_failure: serve.",
            )?,
            dns_cache: counters(
                r,
                "octroi_dns_lookups_total",
                "Names looked up, by where the answer came from.",
                &["from"],
            )?,
            policy: PolicyFamilies::new(r)?,
            policy_reloads: counters(
                r,
                "octroi_policy_reloads_total",
                "Attempts to put a bundle in force.",
                &["result"],
            )?,
            upgrades: upgrades(r)?,
            certificate_expires: int_gauges(
                r,
                "octroi_certificate_expires_timestamp_seconds",
                "The end of the certificate in force on each TLS listener.",
                &["listener"],
            )?,
            certificate_reloads: counters(
                r,
                "octroi_certificate_reloads_total",
                "Attempts to put the certificate files of a listener in force.",
                &["listener", "result"],
            )?,
            registry,
            budget,
        })
    }

    /// Everything, as Prometheus reads it.
    #[must_use]
    pub fn text(&self) -> String {
        let families = self.registry.gather();
        TextEncoder::new()
            .encode_to_string(&families)
            .unwrap_or_default()
    }

    /// Shows which policy is in force.
    pub fn policy_loaded(&self, policy: &Policy, at: Timestamp) {
        self.policy.show(policy, at, &self.budget);
    }

    /// Shows when the files of the lists were last modified, and of no others.
    pub fn lists_modified(&self, lists: &[(Id, SystemTime)]) {
        self.policy.show_modified(lists, &self.budget);
    }

    /// Shows what was found in the policy in force.
    pub fn policy_findings(&self, found: impl Iterator<Item = Severity>) {
        self.policy.show_findings(found);
    }

    /// Shows whether the policy in force comes from the state.
    pub fn policy_from_state(&self, is: bool) {
        self.policy.show_from_state(is);
    }

    /// Shows whether the bundle passed when it was last read.
    pub fn policy_last_reload(&self, successful: bool) {
        self.policy.show_last_reload(successful);
    }

    /// Counts a failure of the state directory.
    pub fn state_error(&self, reason: &'static str) {
        self.policy.count_state_error(reason);
    }

    /// Counts an attempt to put a bundle in force.
    pub fn policy_reload(&self, result: &'static str) {
        self.policy_reloads.with_label_values(&[result]).inc();
    }

    /// Counts an attempt to replace the running program.
    pub fn upgrade(&self, result: &'static str) {
        self.upgrades.with_label_values(&[result]).inc();
    }

    /// Shows when the certificate in force on a listener ends.
    pub fn certificate_in_force(&self, listener: &Id, not_after: Timestamp) {
        // All results from the start, so that a first rejection is an increase.
        for outcome in Outcome::ALL {
            self.certificate_reloads
                .with_label_values(&[&**listener, outcome.as_str()]);
        }
        self.certificate_expires
            .with_label_values(&[&**listener])
            .set(not_after.as_second());
    }

    /// Counts an attempt to put certificate files in force.
    pub fn certificate_reload(&self, listener: &Id, result: &'static str) {
        self.certificate_reloads
            .with_label_values(&[&**listener, result])
            .inc();
    }

    /// Counts a name looked up.
    pub fn dns_lookup(&self, from: &'static str) {
        self.dns_cache.with_label_values(&[from]).inc();
    }

    /// Counts an origin that could not be resolved or reached.
    pub fn upstream_error(&self, reason: &'static str) {
        self.upstream_errors.with_label_values(&[reason]).inc();
    }

    /// Counts a request that never became a flow.
    pub fn client_error(&self, reason: &'static str) {
        self.client_errors.with_label_values(&[reason]).inc();
    }

    /// Counts a request to the admin listener that is not served.
    pub fn admin_refused(&self, reason: &'static str) {
        self.admin_refused.with_label_values(&[reason]).inc();
    }

    /// Records how long judging took.
    pub fn judged(&self, took: Duration) {
        self.decision_seconds.observe(took.as_secs_f64());
    }

    /// Records how long it took until a flow was set up.
    pub fn set_up(&self, took: Duration) {
        self.setup_seconds.observe(took.as_secs_f64());
    }

    /// Shows how near each limit is, from now on, as `limits` says it at each scrape.
    ///
    /// # Errors
    /// Never in practice: only if it is called twice.
    pub fn show_limits(
        &self,
        limits: impl Fn() -> Vec<LimitUsage> + Send + Sync + 'static,
    ) -> prometheus::Result<()> {
        let collector = Usages::new(limits, &self.budget)?;
        self.registry.register(Box::new(collector))
    }
}

/// All results from the start, so that a first failure is an increase.
fn upgrades(registry: &Registry) -> Result<IntCounterVec, prometheus::Error> {
    let help = "Attempts to replace the running program; `done` is counted by the new one.";
    let upgrades = counters(registry, "octroi_upgrades_total", help, &["result"])?;
    for result in crate::server::upgrade::RESULTS {
        upgrades.with_label_values(&[result]);
    }
    Ok(upgrades)
}

/// All reasons from the start, so that a first refusal is an increase.
fn admin_refused(registry: &Registry) -> Result<IntCounterVec, prometheus::Error> {
    let help = "Requests and connections to the admin listener that are not served.";
    let refused = counters(registry, "octroi_admin_refused_total", help, &["reason"])?;
    for reason in Refusal::ALL {
        refused.with_label_values(&[reason.as_str()]);
    }
    Ok(refused)
}

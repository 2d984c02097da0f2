//! The last 24 hours as JSON.

use std::cmp::Reverse;
use std::sync::Arc;

use http::StatusCode;
use jiff::Timestamp;
use serde::Serialize;

use super::names::{Both, Names};
use crate::admin::answer::Answer;
use crate::admin::history::{History, STEP, STEPS, Told, from};
use crate::ledger::Ledger;
use crate::reload::Handle;

#[derive(Serialize)]
struct Whole<'a> {
    /// The beginning of the first step.
    from: String,
    step_seconds: u64,
    /// How many; the last one is under way.
    steps: usize,
    ministries: Vec<Ministry<'a>>,
    /// The most tried first.
    services: Vec<Service<'a>>,
}

#[derive(Serialize)]
struct Ministry<'a> {
    id: &'a str,
    name: Option<Both<'a>>,
    allow: Vec<u32>,
    observed: Vec<u32>,
    deny: Vec<u32>,
}

#[derive(Serialize)]
struct Service<'a> {
    id: &'a str,
    name: Option<&'a str>,
    allow: u64,
    observed: u64,
    deny: u64,
    /// Different addresses that tried it since midnight UTC, by a sketch.
    machines: u64,
}

/// All of it, on a thread of its own: counters and sketches are gone through.
pub(in crate::admin) async fn tell(
    history: &Arc<History>,
    policy: &Handle,
    ledger: &Ledger,
) -> Answer {
    let (history, policy, ledger) = (Arc::clone(history), policy.clone(), ledger.clone());
    let told = tokio::task::spawn_blocking(move || {
        let policy = policy.policy_to_keep();
        let names = Names::of(&policy);
        let (ministries, services) = history.tell(ledger.metrics());
        let mut services: Vec<_> = services.iter().map(|it| service(it, &names)).collect();
        services.sort_by_key(|it| Reverse(it.allow + it.observed + it.deny));
        Answer::json(&Whole {
            from: from(Timestamp::now()).to_string(),
            step_seconds: STEP,
            steps: STEPS,
            ministries: ministries.iter().map(|it| ministry(it, &names)).collect(),
            services,
        })
    });
    let interrupted = || Answer::problem(StatusCode::INTERNAL_SERVER_ERROR, "interrupted", None);
    told.await.unwrap_or_else(|_| interrupted())
}

fn ministry<'a>(told: &'a Told, names: &'a Names<'_>) -> Ministry<'a> {
    let named = names.ministry(told.id.as_str());
    let column = |at: usize| told.steps.iter().map(|step| step[at]).collect();
    Ministry {
        id: named.id,
        name: named.name,
        allow: column(0),
        observed: column(1),
        deny: column(2),
    }
}

fn service<'a>((told, machines): &'a (Told, u64), names: &'a Names<'_>) -> Service<'a> {
    let named = names.service(told.id.as_str());
    let [allow, observed, deny] = told.total();
    Service {
        id: named.id,
        name: named.name,
        allow,
        observed,
        deny,
        machines: *machines,
    }
}

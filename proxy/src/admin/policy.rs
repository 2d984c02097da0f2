//! What the policy in force is, where it comes from, and what is wrong with it or with what should replace it.

use std::time::SystemTime;

use http::StatusCode;
use jiff::{SignedDuration, Timestamp};
use octroi_policy::Policy;
use octroi_policy::model::{List, Model};
use octroi_policy::rule::{Derogation, Mode, Rule};
use serde::Serialize;

use super::answer::{Answer, JSON};
use crate::config::PolicySource;
use crate::reload::{Finding, Handle, Origin, Status};
use crate::state::{Accepted, State};

/// Rows of each table that are told; of the others the number is.
const MOST_ROWS: usize = 10_000;

/// `R` and `D` are rows of rules and derogations, as much as is told of each.
#[derive(Serialize)]
pub(super) struct Told<'a, R, D> {
    name: &'a str,
    digest: &'a str,
    loaded_at: String,
    from: &'static str,
    /// Where bundles are read from; none for the one inside the program.
    path: Option<String>,
    /// When the state saved it, if it comes from there.
    saved_at: Option<String>,
    accepted: Option<&'a Accepted>,
    state: Option<ToldState>,
    findings: &'a [Finding],
    rejected: Option<ToldRejected<'a>>,
    rules: Vec<R>,
    derogations: Vec<D>,
    lists: Vec<ToldList<'a>>,
    /// Rows of the three tables that are not told.
    left_out: usize,
}

#[derive(Serialize)]
struct ToldState {
    path: String,
    problem: Option<String>,
}

#[derive(Serialize)]
struct ToldRejected<'a> {
    at: String,
    findings: &'a [Finding],
}

#[derive(Serialize)]
pub(super) struct ToldRule<'a> {
    id: &'a str,
    effect: &'static str,
    mode: &'static str,
    /// Whose own rule it is; none for the nation's.
    ministry: Option<&'a str>,
}

#[derive(Serialize)]
pub(super) struct ToldDerogation<'a> {
    id: &'a str,
    ministry: &'a str,
    from: Option<String>,
    until: Option<String>,
    days_left: Option<i64>,
    in_force: bool,
}

#[derive(Serialize)]
struct ToldList<'a> {
    id: &'a str,
    entries: usize,
    modified: Option<String>,
    age_seconds: Option<i64>,
}

/// How an answer is written.
type Writing = fn(&Handle, &Policy, &Status, Timestamp) -> Vec<u8>;

pub(super) async fn tell(handle: &Handle) -> Answer {
    apart(handle, json).await
}

/// Written on a thread of its own: a large bundle makes a long answer.
pub(super) async fn apart(handle: &Handle, write: Writing) -> Answer {
    let handle = handle.clone();
    let told = tokio::task::spawn_blocking(move || {
        let (policy, status) = handle.in_force();
        let mut body = write(&handle, &policy, &status, Timestamp::now());
        body.push(b'\n');
        Answer::new(StatusCode::OK, JSON, body)
    });
    told.await
        .unwrap_or_else(|_| Answer::text(StatusCode::INTERNAL_SERVER_ERROR, "interrupted\n"))
}

fn json(handle: &Handle, policy: &Policy, status: &Status, now: Timestamp) -> Vec<u8> {
    let model = policy.model();
    let rules = |it| rule(it, model);
    let derogations = |it| derogation(it, model, now);
    let told = told(handle, (policy, status), now, rules, derogations);
    serde_json::to_vec_pretty(&told).unwrap_or_default()
}

/// The answer, with rows as `rules` and `derogations` make them.
pub(super) fn told<'a, R, D>(
    handle: &'a Handle,
    (policy, status): (&'a Policy, &'a Status),
    now: Timestamp,
    rules: impl Fn(&'a Rule) -> R,
    derogations: impl Fn(&'a Derogation) -> D,
) -> Told<'a, R, D> {
    let model = policy.model();
    let tables = [
        model.rules.len(),
        model.derogations.len(),
        model.lists.len(),
    ];
    Told {
        name: &status.name,
        digest: &status.digest,
        loaded_at: status.loaded_at.to_string(),
        from: status.origin.as_str(),
        path: match handle.source() {
            PolicySource::Path(path) => Some(path.display().to_string()),
            PolicySource::Embedded => None,
        },
        saved_at: match status.origin {
            Origin::State { saved_at } => Some(saved_at.to_string()),
            Origin::Path | Origin::Embedded => None,
        },
        accepted: status.accepted.as_ref(),
        state: handle.state().map(state),
        findings: &status.findings,
        rejected: status.rejected.as_ref().map(|(at, rejected)| ToldRejected {
            at: at.to_string(),
            findings: rejected.findings(),
        }),
        rules: rows(&model.rules, rules),
        derogations: rows(&model.derogations, derogations),
        lists: rows(&model.lists, |it| list(it, status, now)),
        left_out: tables
            .map(|rows| rows.saturating_sub(MOST_ROWS))
            .iter()
            .sum(),
    }
}

pub(super) fn rows<'a, T, R>(table: &'a [T], tell: impl Fn(&'a T) -> R) -> Vec<R> {
    table.iter().take(MOST_ROWS).map(tell).collect()
}

fn state(state: &State) -> ToldState {
    ToldState {
        path: state.path().display().to_string(),
        problem: state.problem().map(|problem| problem.to_string()),
    }
}

pub(super) fn rule<'a>(rule: &'a Rule, model: &'a Model) -> ToldRule<'a> {
    ToldRule {
        id: &rule.id,
        effect: rule.effect.as_str(),
        mode: match rule.mode {
            Mode::Enforce => "enforce",
            Mode::Observe => "observe",
        },
        ministry: rule.layer.map(|ix| &*model.ministries[ix.at()].id),
    }
}

pub(super) fn derogation<'a>(
    it: &'a Derogation,
    model: &'a Model,
    now: Timestamp,
) -> ToldDerogation<'a> {
    let left = it.validity.until.map(|until| now.duration_until(until));
    ToldDerogation {
        id: &it.id,
        ministry: &model.ministries[it.ministry.at()].id,
        from: it.validity.from.map(|from| from.to_string()),
        until: it.validity.until.map(|until| until.to_string()),
        // Whole days: 0 on the last one, and ever after.
        days_left: left.map(|left| left.max(SignedDuration::ZERO).as_hours() / 24),
        in_force: it.validity.holds(now),
    }
}

fn list<'a>(list: &'a List, status: &Status, now: Timestamp) -> ToldList<'a> {
    let known = status
        .lists
        .binary_search_by(|(id, _)| id.cmp(&list.id))
        .ok();
    let modified = known.and_then(|at| instant(status.lists[at].1));
    // A clock that was put back makes files of the future: they are as young as can be.
    let age = modified.map(|modified| modified.duration_until(now).max(SignedDuration::ZERO));
    ToldList {
        id: &list.id,
        entries: list.entries,
        modified: modified.map(|modified| modified.to_string()),
        age_seconds: age.map(|age| age.as_secs()),
    }
}

fn instant(time: SystemTime) -> Option<Timestamp> {
    let whole = Timestamp::try_from(time).ok()?;
    Timestamp::from_second(whole.as_second()).ok()
}

#[cfg(test)]
mod tests;

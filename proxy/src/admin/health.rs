//! Whether the gate should get traffic, and what is wrong although it does.

use http::StatusCode;
use serde::Serialize;

use super::answer::{Answer, JSON};
use crate::reload::{Handle, Origin, Status};
use crate::state::State;

#[derive(Serialize)]
struct Ready<'a> {
    status: &'static str,
    policy: Policy<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rejected: Option<RejectedReload<'a>>,
    audit: &'static str,
    state: String,
}

#[derive(Serialize)]
struct Policy<'a> {
    name: &'a str,
    digest: &'a str,
    loaded_at: String,
    from: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
}

#[derive(Serialize)]
struct RejectedReload<'a> {
    at: String,
    findings: &'a str,
}

/// Ready while flows are served, and once every service stands: a bundle that was rejected is told and is no reason to take the
/// gate out of service, for the last good one is in force.
pub(super) fn ready(handle: &Handle, has_started: bool, is_writable: bool) -> Answer {
    let status = handle.status();
    let rejected = status.rejected.as_ref();
    let ready = Ready {
        status: match (has_started, is_writable) {
            (false, _) => "starting",
            (true, false) => "not ready",
            (true, true) => "ready",
        },
        policy: Policy {
            name: &status.name,
            digest: &status.digest,
            loaded_at: status.loaded_at.to_string(),
            from: status.origin.as_str(),
            detail: detail(&status),
        },
        rejected: rejected.map(|(at, rejected)| RejectedReload {
            at: at.to_string(),
            findings: rejected.as_str(),
        }),
        audit: if is_writable {
            "writable"
        } else {
            "cannot be written: new flows are refused"
        },
        state: state(handle),
    };
    let code = if has_started && is_writable {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    let mut body = serde_json::to_vec_pretty(&ready).unwrap_or_default();
    body.push(b'\n');
    Answer::new(code, JSON, body)
}

/// What is out of the ordinary about the policy in force.
fn detail(status: &Status) -> Option<String> {
    if let Origin::State { saved_at } = status.origin {
        return Some(format!(
            "the last good one, saved {saved_at}: the bundle did not pass when the gate started"
        ));
    }
    let accepted = status.accepted.as_ref()?;
    Some(format!(
        "it has errors, and is in force because it was accepted {} by version {}",
        accepted.at, accepted.version
    ))
}

fn state(handle: &Handle) -> String {
    match handle.state().map(State::problem) {
        None => "off".to_owned(),
        Some(None) => "good".to_owned(),
        Some(Some(problem)) => problem.to_string(),
    }
}

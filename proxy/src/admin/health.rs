//! Whether the gate should get traffic, and what is wrong although it does.

use http::StatusCode;
use serde::Serialize;

use super::{Answer, JSON};
use crate::reload::Status;

#[derive(Serialize)]
struct Ready<'a> {
    status: &'static str,
    policy: Policy<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rejected: Option<RejectedReload<'a>>,
    audit: &'static str,
}

#[derive(Serialize)]
struct Policy<'a> {
    name: &'a str,
    digest: &'a str,
    loaded_at: String,
}

#[derive(Serialize)]
struct RejectedReload<'a> {
    at: String,
    findings: &'a str,
}

/// Ready while flows are served: a bundle that was rejected is told and is no reason to take the
/// gate out of service, for the last good one is in force.
pub(super) fn ready(status: &Status, is_writable: bool) -> Answer {
    let rejected = status.rejected.as_ref();
    let ready = Ready {
        status: if is_writable { "ready" } else { "not ready" },
        policy: Policy {
            name: &status.name,
            digest: &status.digest,
            loaded_at: status.loaded_at.to_string(),
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
    };
    let code = if is_writable {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    let mut body = serde_json::to_vec_pretty(&ready).unwrap_or_default();
    body.push(b'\n');
    Answer::new(code, JSON, body)
}

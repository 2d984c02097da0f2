//! When open tunnels are judged again: after each swap, and when a date in the policy passes.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use jiff::Timestamp;
use octroi_policy::Policy;
use pingora::server::ShutdownWatch;
use pingora::services::background::{BackgroundService, GenBackgroundService, background_service};
use tokio::sync::watch;
use tokio::time::sleep;

use super::{REVOKE_WITHIN, Tally, judge_again};
use crate::gate::Gate;

/// How often the clock is looked at: timers do not follow a wall clock that jumps, nor a machine
/// that slept. Less than [`REVOKE_WITHIN`], which holds then too.
const LOOK: Duration = Duration::from_secs(3);
/// A date that is due at once on a clock that lags behind the timer is not spun for.
const LEAST: Duration = Duration::from_millis(1);

/// Judges the open tunnels of `gate` again whenever their verdicts may have changed.
#[must_use]
pub fn service(gate: Arc<Gate>) -> GenBackgroundService<Rejudge> {
    let swaps = gate.policy.swaps();
    background_service("tunnels", Rejudge { gate, swaps })
}

/// The service.
pub struct Rejudge {
    gate: Arc<Gate>,
    swaps: watch::Receiver<()>,
}

#[async_trait]
impl BackgroundService for Rejudge {
    /// Runs as long as the process: dates pass during a drain as well.
    async fn start(&self, _: ShutdownWatch) {
        let mut swaps = self.swaps.clone();
        let mut judged_at = Timestamp::now();
        // A round that failed is owed.
        let mut owed = false;
        loop {
            let pause = pause(&self.gate.policy.policy(), judged_at, Timestamp::now());
            let swapped = tokio::select! {
                Ok(()) = swaps.changed() => true,
                () = sleep(pause) => false,
            };
            let now = Timestamp::now();
            if owed || swapped || changed_between(&self.gate.policy.policy(), judged_at, now) {
                owed = !self.judge_all(now).await;
            }
            judged_at = now;
        }
    }
}

impl Rejudge {
    /// One round; whether it came to its end.
    async fn judge_all(&self, at: Timestamp) -> bool {
        let gate = Arc::clone(&self.gate);
        let began = Instant::now();
        let judging = tokio::task::spawn_blocking(move || {
            gate.tunnels.judge_all(|| {
                let policy = gate.policy.policy_to_keep();
                let gate = &gate;
                move |evidence: &_| judge_again(gate, &policy, evidence, at)
            })
        });
        let Ok(Tally { judged, revoked }) = judging.await else {
            tracing::error!("judging the open tunnels again was interrupted");
            return false;
        };
        let took = began.elapsed();
        tracing::info!(judged, revoked, ?took, "open tunnels judged again");
        if took > REVOKE_WITHIN {
            tracing::warn!(?took, due = ?REVOKE_WITHIN, "judging the open tunnels again took too long");
        }
        true
    }
}

/// How long to wait for the next date, or for the next look at the clock.
fn pause(policy: &Policy, judged_at: Timestamp, now: Timestamp) -> Duration {
    let next = policy.next_change(judged_at);
    let left = next.map_or(LOOK, |next| {
        Duration::try_from(now.until(next).unwrap_or_default()).unwrap_or_default()
    });
    left.clamp(LEAST, LOOK)
}

/// Whether a date of the policy lies between two readings of the clock, which may have been set back.
fn changed_between(policy: &Policy, one: Timestamp, other: Timestamp) -> bool {
    let (earlier, later) = (one.min(other), one.max(other));
    policy
        .next_change(earlier)
        .is_some_and(|change| change <= later)
}

#[cfg(test)]
mod tests {
    use octroi_policy::bundle::Bundle;
    use octroi_policy::check::check;

    use super::*;

    const DATED: &str = "
version: 1
name: dated
default: allow
rules:
  - { id: no-mail, effect: deny, when: { service: mail } }
services:
  - { id: mail, name: Mail, category: [messaging], domains: [.mail.example] }
ministries:
  - id: culture
    name: Culture
    workloads: [ { id: office, sensitivity: standard, sources: [192.0.2.0/26] } ]
derogations:
  - { id: D-1, ministry: culture, services: [mail], from: 2026-04-01, until: '2026-09-30T10:00:00Z', approved_by: A, reference: B }
tested_at: 2026-05-01
";

    fn policy() -> Policy {
        let bundle = Bundle::from_files([("policy.yaml".to_owned(), DATED.into())]).unwrap();
        Policy::compile(check(&bundle, None).model.unwrap())
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn a_date_between_two_looks_is_seen_whichever_way_the_clock_went() {
        let policy = policy();
        for (one, other, expect) in [
            ("2026-09-30T09:59:58Z", "2026-09-30T09:59:59Z", false),
            ("2026-09-30T09:59:59Z", "2026-09-30T10:00:00Z", true),
            ("2026-09-30T10:00:00Z", "2026-09-30T10:00:30Z", false),
            // Set ahead over a date, and back over it.
            ("2026-09-01T00:00:00Z", "2027-01-01T00:00:00Z", true),
            ("2027-01-01T00:00:00Z", "2026-09-01T00:00:00Z", true),
            ("2026-09-01T00:00:05Z", "2026-09-01T00:00:00Z", false),
        ] {
            let seen = changed_between(&policy, at(one), at(other));
            assert_eq!(seen, expect, "{one} {other}");
        }
    }

    #[test]
    fn the_pause_ends_at_the_next_date_and_never_lasts_long() {
        let policy = policy();
        for (now, expect) in [
            ("2026-09-30T09:59:58Z", Duration::from_secs(2)),
            ("2026-09-30T09:00:00Z", LOOK),
            ("2026-09-30T10:00:00Z", LOOK),
        ] {
            assert_eq!(pause(&policy, at(now), at(now)), expect, "{now}");
        }
        // The date passed while its round was under way.
        let due = pause(
            &policy,
            at("2026-09-30T09:59:59Z"),
            at("2026-09-30T10:00:07Z"),
        );
        assert_eq!(due, LEAST);
    }
}

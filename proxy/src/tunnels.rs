//! The tunnels that are open. They are judged again whenever the policy is replaced or a date in
//! it passes, by the evidence they were permitted on; those now denied are ended.
//!
//! A tunnel whose denial is only observed goes on, and nothing is counted again: it is the same
//! attempt. Judging happens on a thread of its own ([`service`]), so that the data path goes on.

mod rejudge;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use octroi_policy::Policy;
use octroi_policy::decision::Verdict;
use tokio::sync::Notify;

pub use rejudge::service;

use crate::gate::Gate;
use crate::ledger::Revocation;
use crate::passage::Evidence;

/// Within which time after a swap, or after a date has passed, tunnels now denied are ended. It
/// takes milliseconds; more is said aloud.
pub const REVOKE_WITHIN: Duration = Duration::from_secs(5);

/// Tables of tunnels, each with a lock of its own, so that opening one does not wait for all
/// others to be listed.
const SHARDS: usize = 16;

/// The open tunnels.
#[derive(Debug, Default)]
pub struct Tunnels {
    shards: [Mutex<HashMap<u64, Arc<Live>>>; SHARDS],
    next: AtomicU64,
    /// Rounds of judging begun so far.
    rounds: AtomicU64,
}

#[derive(Debug)]
struct Live {
    evidence: Evidence,
    revocation: OnceLock<Revocation>,
    told: Notify,
}

impl Live {
    /// Judges it; whether it is denied from now on.
    fn judge(&self, judge: impl FnOnce(&Evidence) -> Option<Revocation>) -> bool {
        if self.revocation.get().is_some() {
            return false;
        }
        let Some(revocation) = judge(&self.evidence) else {
            return false;
        };
        let is_first = self.revocation.set(revocation).is_ok();
        self.told.notify_one();
        is_first
    }
}

/// How many rounds of judging had begun when a flow was judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Round(u64);

/// What a round came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Tunnels judged.
    pub judged: usize,
    /// Those of them that are now denied.
    pub revoked: usize,
}

impl Tunnels {
    /// The round to remember with a judgement. Take it before the policy: one that begins later
    /// may have seen another.
    #[must_use]
    pub fn round(&self) -> Round {
        Round(self.rounds.load(Ordering::SeqCst))
    }

    /// Takes a tunnel in. If a round has begun since it was judged, which may have missed it, it is
    /// judged again at once.
    #[must_use]
    pub fn enter(
        self: &Arc<Self>,
        evidence: Evidence,
        judged_in: Round,
        judge: impl FnOnce(&Evidence) -> Option<Revocation>,
    ) -> Member {
        let key = self.next.fetch_add(1, Ordering::Relaxed);
        let live = Arc::new(Live {
            evidence,
            revocation: OnceLock::new(),
            told: Notify::new(),
        });
        self.shard(key).insert(key, Arc::clone(&live));
        // INVARIANT: looked at after the tunnel can be found. A round that begins after this look
        // finds it; one that began before is seen here.
        if self.round() != judged_in {
            live.judge(judge);
        }
        Member {
            tunnels: Arc::clone(self),
            key,
            live,
        }
    }

    /// Judges every open tunnel again and tells those that are denied to end. Takes as long as it
    /// takes: not for a thread that moves bytes. `begin` is called once the round has begun, and
    /// gives the judge: whatever policy it sees is not older than what later entrants are judged by.
    pub fn judge_all<J>(&self, begin: impl FnOnce() -> J) -> Tally
    where
        J: Fn(&Evidence) -> Option<Revocation>,
    {
        self.rounds.fetch_add(1, Ordering::SeqCst);
        let judge = begin();
        let mut tally = Tally::default();
        for shard in &self.shards {
            // Listed first, judged without the lock.
            let open: Vec<_> = locked(shard).values().cloned().collect();
            for live in open {
                tally.judged += 1;
                tally.revoked += usize::from(live.judge(&judge));
            }
        }
        tally
    }

    /// How many are open.
    #[must_use]
    pub fn open(&self) -> usize {
        self.shards.iter().map(|shard| locked(shard).len()).sum()
    }

    fn shard(&self, key: u64) -> MutexGuard<'_, HashMap<u64, Arc<Live>>> {
        let at = usize::try_from(key % SHARDS as u64).unwrap_or(0);
        locked(&self.shards[at])
    }
}

/// No code of ours can leave a table half changed.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One tunnel among the live ones; dropped, it is no more.
#[derive(Debug)]
pub struct Member {
    tunnels: Arc<Tunnels>,
    key: u64,
    live: Arc<Live>,
}

impl Member {
    /// Waits until it is denied. For one waiter.
    pub async fn revoked(&self) {
        self.live.told.notified().await;
    }

    /// Why it is denied, if it is.
    #[must_use]
    pub fn revocation(&self) -> Option<&Revocation> {
        self.live.revocation.get()
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.tunnels.shard(self.key).remove(&self.key);
    }
}

/// Judges an open tunnel: `None` while the policy permits it or only observes.
#[must_use]
pub fn judge_again(
    gate: &Gate,
    policy: &Policy,
    evidence: &Evidence,
    at: Timestamp,
) -> Option<Revocation> {
    let ours = evidence.ours(&gate.dialler.own);
    let flow = evidence.flow(&gate.config.upstream.forbid, &ours);
    let decision = policy.judge(&flow, at);
    let ground = decision.enforced.grounds.first();
    (decision.verdict() == Verdict::Deny).then(|| Revocation {
        ground: ground.map_or("deny", |ground| ground.as_str()),
        rule: ground
            .and_then(|ground| ground.rule())
            .map(|ix| policy.rule(ix).id.clone()),
        policy: policy.name().clone(),
        digest: policy.digest().clone(),
    })
}

//! From a changed file to the policy in force: watch → read → check → test → compile → swap.
//!
//! All of it happens off the data path. A bundle that does not pass leaves the last good one in
//! force, loudly: an error in the log, a metric, the detail of `/-/ready`.

mod bundle;
mod finding;
pub(crate) mod fingerprint;
mod first;
pub(crate) mod on_disk;
pub(crate) mod watch;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use arc_swap::{ArcSwap, Guard};
use jiff::Timestamp;
use octroi_policy::Policy;
use octroi_policy::bundle::Bundle;
use octroi_policy::catalogue::Id;
use tokio::sync::watch as swap;

pub use bundle::{Fault, Rejected, embedded};
pub use finding::Finding;
pub use first::{NoEarlier, NoPolicy};
pub use watch::Watch;

use crate::config::PolicySource;
use crate::ledger::Ledger;
use crate::state::{Accepted, State};
use bundle::Loaded;
use fingerprint::Fingerprint;
use first::First;

/// How often a bundle that changes while it is read is read anew before it is taken as it is.
const MOST_READINGS: usize = 5;
/// How long a bundle that changed while it was read is given to settle.
const SETTLE: Duration = Duration::from_millis(100);

/// The policy in force, and the way to replace it; cheap to clone.
#[derive(Clone, Debug)]
pub struct Handle {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    source: PolicySource,
    state: Option<State>,
    ledger: Ledger,
    policy: ArcSwap<Policy>,
    status: Mutex<Status>,
    /// Told of each policy that was put in force after the first.
    swaps: swap::Sender<()>,
    /// One reload at a time.
    turn: tokio::sync::Mutex<()>,
}

/// How the policy in force came there, and what became of the last attempt to replace it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// The policy's name.
    pub name: Arc<str>,
    /// SHA-256 of its bundle, in hexadecimal.
    pub digest: Arc<str>,
    /// When it was put in force.
    pub loaded_at: Timestamp,
    /// Where it comes from.
    pub origin: Origin,
    /// What was found when it was loaded.
    pub findings: Arc<[Finding]>,
    /// Set if errors are among the findings: it is in force because it was accepted before.
    pub accepted: Option<Accepted>,
    /// When its lists were last modified, as far as that is known.
    pub lists: Arc<[(Id, SystemTime)]>,
    /// The last attempt, if it failed: when, and what was found.
    pub rejected: Option<(Timestamp, Rejected)>,
}

/// Where the policy in force comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The bundle named in `octroi.yaml`.
    Path,
    /// The example bundle inside the program.
    Embedded,
    /// The state directory: the bundle named did not pass when the gate started, and has not since.
    State {
        /// When it was saved there.
        saved_at: Timestamp,
    },
}

impl Origin {
    fn of(source: &PolicySource) -> Self {
        match source {
            PolicySource::Path(_) => Self::Path,
            PolicySource::Embedded => Self::Embedded,
        }
    }

    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Path => "path",
            Self::Embedded => "embedded",
            Self::State { .. } => "state",
        }
    }
}

/// What became of a reload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// A new policy is in force.
    Swapped {
        /// Its digest.
        digest: Arc<str>,
    },
    /// The bundle is the one in force.
    Unchanged {
        /// Its digest.
        digest: Arc<str>,
    },
    /// The bundle does not pass; the last good one stays in force.
    Rejected(Rejected),
}

impl Outcome {
    /// The label of `octroi_policy_reloads_total`.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Outcome::Swapped { .. } => "swapped",
            Outcome::Unchanged { .. } => "unchanged",
            Outcome::Rejected(_) => "rejected",
        }
    }
}

impl Handle {
    /// Loads the first policy: the bundle of `source`, else the last good one that `state` holds.
    ///
    /// # Errors
    /// [`NoPolicy`] holds everything that was found, ready to be shown.
    pub fn start(
        source: PolicySource,
        state: Option<State>,
        ledger: Ledger,
    ) -> Result<Self, NoPolicy> {
        let First { loaded, instead } = first::first(&source, state.as_ref())?;
        let at = Timestamp::now();
        let (origin, lists, rejected) = match instead {
            None => {
                let lists = bundle::list_times(&source, &loaded.policy);
                (Origin::of(&source), lists, None)
            }
            Some((saved_at, rejected)) => {
                tracing::error!(in_force = %loaded.policy.digest(), %saved_at, "the policy does not pass, the last good one from the state is put in force:\n{rejected}");
                ledger.metrics().policy_reload("rejected");
                let origin = Origin::State { saved_at };
                (origin, Vec::new(), Some((at, rejected)))
            }
        };
        announce(&loaded);
        let status = Status {
            rejected,
            ..Status::of(&loaded, at, origin, lists.into())
        };
        status.show(&loaded.policy, &ledger);
        let Loaded { policy, bundle, .. } = loaded;
        if let (Some(state), Origin::Path) = (&state, origin) {
            state.keep(bundle);
        }
        Ok(Self {
            shared: Arc::new(Shared {
                source,
                state,
                ledger,
                policy: ArcSwap::from_pointee(policy),
                status: Mutex::new(status),
                swaps: swap::Sender::new(()),
                turn: tokio::sync::Mutex::new(()),
            }),
        })
    }

    /// The policy in force, for one judgement or a few: do not keep it across a wait.
    #[must_use]
    pub fn policy(&self) -> Guard<Arc<Policy>> {
        self.shared.policy.load()
    }

    /// The policy in force, to be kept as long as needed.
    #[must_use]
    pub fn policy_to_keep(&self) -> Arc<Policy> {
        self.shared.policy.load_full()
    }

    /// Changes each time that another policy has been put in force.
    #[must_use]
    pub fn swaps(&self) -> swap::Receiver<()> {
        self.shared.swaps.subscribe()
    }

    /// How it came there.
    #[must_use]
    pub fn status(&self) -> Status {
        self.shared.status().clone()
    }

    /// The policy in force and how it came there, of one moment.
    #[must_use]
    pub fn in_force(&self) -> (Arc<Policy>, Status) {
        let status = self.shared.status();
        (self.shared.policy.load_full(), status.clone())
    }

    /// The bundle that `policy` was made from, read anew, where it is still to be found: a policy itself keeps no
    /// lines. Blocks as long as reading takes.
    #[must_use]
    pub fn bundle_of(&self, policy: &Policy) -> Option<Bundle> {
        let is_its = |bundle: &Bundle| bundle.digest() == policy.digest();
        let named = match self.source() {
            PolicySource::Path(path) => Bundle::read(path).ok(),
            PolicySource::Embedded => embedded().ok(),
        };
        let saved = || self.state()?.last_good().ok();
        named.filter(is_its).or_else(|| {
            let mut saved = saved()?.into_iter().map(|good| good.bundle);
            saved.find(is_its)
        })
    }

    /// Where bundles are read from.
    #[must_use]
    pub fn source(&self) -> &PolicySource {
        &self.shared.source
    }

    /// What is remembered over a restart, if anything is.
    #[must_use]
    pub fn state(&self) -> Option<&State> {
        self.shared.state.as_ref()
    }

    /// Reads the bundle and puts it in force if it passes. Must run inside a Tokio runtime.
    pub async fn reload(&self) -> Outcome {
        let _turn = self.shared.turn.lock().await;
        let mut outcome = self.attempt().await;
        for _ in 1..MOST_READINGS {
            let Attempt { before, after, .. } = &outcome;
            if before == after {
                break;
            }
            tokio::time::sleep(SETTLE).await;
            outcome = self.attempt().await;
        }
        self.settle(outcome)
    }

    /// Loads once, and looks whether the files changed meanwhile: a bundle half written, or half
    /// of one version and half of the next, is nobody's policy.
    async fn attempt(&self) -> Attempt {
        let shared = Arc::clone(&self.shared);
        let loading = tokio::task::spawn_blocking(move || {
            let before = Fingerprint::of(&shared.source);
            let in_force = shared.policy.load();
            let state = shared.state.as_ref();
            let result = bundle::load_if_new(&shared.source, state, in_force.digest());
            let times = match &result {
                Ok(Some(loaded)) => bundle::list_times(&shared.source, &loaded.policy),
                Ok(None) => bundle::list_times(&shared.source, &in_force),
                Err(_) => Vec::new(),
            };
            Attempt {
                after: Fingerprint::of(&shared.source),
                before,
                result,
                times,
            }
        });
        loading.await.unwrap_or_else(|_| Attempt {
            before: Fingerprint::default(),
            after: Fingerprint::default(),
            result: Err(Rejected::unread(
                "loading the bundle was interrupted",
                Fault::Machine,
            )),
            times: Vec::new(),
        })
    }

    fn settle(&self, Attempt { result, times, .. }: Attempt) -> Outcome {
        let shared = &*self.shared;
        let at = Timestamp::now();
        let mut status = shared.status();
        let outcome = match result {
            Ok(Some(loaded)) => {
                announce(&loaded);
                let origin = Origin::of(&shared.source);
                *status = Status::of(&loaded, at, origin, times.into());
                status.show(&loaded.policy, &shared.ledger);
                let Loaded { policy, bundle, .. } = loaded;
                shared.policy.store(Arc::new(policy));
                shared.swaps.send_replace(());
                if let (Some(state), Origin::Path) = (&shared.state, origin) {
                    state.keep(bundle);
                }
                Outcome::Swapped {
                    digest: status.digest.clone(),
                }
            }
            Ok(None) => {
                status.is_found_unchanged(Origin::of(&shared.source), times.into());
                status.show_where_from(&shared.ledger);
                Outcome::Unchanged {
                    digest: status.digest.clone(),
                }
            }
            Err(rejected) => {
                tracing::error!(in_force = %status.digest, "the new policy is not put in force, the last good one stays:\n{rejected}");
                status.rejected = Some((at, rejected.clone()));
                shared.ledger.metrics().policy_last_reload(false);
                Outcome::Rejected(rejected)
            }
        };
        shared.ledger.metrics().policy_reload(outcome.as_str());
        outcome
    }
}

impl Shared {
    fn status(&self) -> MutexGuard<'_, Status> {
        self.status.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Status {
    fn of(
        loaded: &Loaded,
        loaded_at: Timestamp,
        origin: Origin,
        lists: Arc<[(Id, SystemTime)]>,
    ) -> Self {
        Self {
            name: loaded.policy.name().clone(),
            digest: loaded.policy.digest().clone(),
            loaded_at,
            origin,
            findings: loaded.findings.clone(),
            accepted: loaded.accepted.clone(),
            lists,
            rejected: None,
        }
    }

    /// The bundle named is the one in force: also where it came from the state, and has been mended since.
    fn is_found_unchanged(&mut self, origin: Origin, lists: Arc<[(Id, SystemTime)]>) {
        if matches!(self.origin, Origin::State { .. }) {
            tracing::info!(digest = %self.digest, "the bundle is mended: it is the policy in force");
        }
        self.origin = origin;
        self.lists = lists;
        self.rejected = None;
    }

    fn show(&self, policy: &Policy, ledger: &Ledger) {
        let metrics = ledger.metrics();
        metrics.policy_loaded(policy, self.loaded_at);
        let severities = self.findings.iter().map(|finding| finding.severity);
        metrics.policy_findings(severities);
        self.show_where_from(ledger);
    }

    fn show_where_from(&self, ledger: &Ledger) {
        let metrics = ledger.metrics();
        metrics.lists_modified(&self.lists);
        metrics.policy_from_state(matches!(self.origin, Origin::State { .. }));
        metrics.policy_last_reload(self.rejected.is_none());
    }
}

struct Attempt {
    before: Fingerprint,
    after: Fingerprint,
    result: Result<Option<Loaded>, Rejected>,
    /// When the lists were last modified; empty if the bundle was rejected.
    times: Vec<(Id, SystemTime)>,
}

fn announce(loaded: &Loaded) {
    let (policy, notes) = (&loaded.policy, &loaded.notes);
    let model = policy.model();
    tracing::info!(
        name = %policy.name(),
        digest = %policy.digest(),
        rules = model.rules.len(),
        services = model.services.len(),
        ministries = model.ministries.len(),
        derogations = model.derogations.len(),
        "policy in force"
    );
    match &loaded.accepted {
        Some(Accepted { at, version, .. }) => {
            tracing::error!(accepted_at = %at, accepted_by = %version, "the policy in force does not pass: it is in force because the same bundle was accepted before:\n{notes}");
        }
        None if !notes.is_empty() => {
            tracing::warn!("the policy in force has findings:\n{notes}");
        }
        None => {}
    }
}

#[cfg(test)]
mod tests;

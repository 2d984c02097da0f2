//! From a changed file to the policy in force: watch → read → check → test → compile → swap.
//!
//! All of it happens off the data path. A bundle that does not pass leaves the last good one in
//! force, loudly: an error in the log, a metric, the detail of `/-/ready`.

mod bundle;
pub(crate) mod fingerprint;
pub(crate) mod watch;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use arc_swap::{ArcSwap, Guard};
use jiff::Timestamp;
use octroi_policy::Policy;
use octroi_policy::catalogue::Id;
use tokio::sync::watch as swap;

pub use bundle::{Rejected, embedded};
pub use watch::Watch;

use crate::config::PolicySource;
use crate::ledger::Ledger;
use bundle::Loaded;
use fingerprint::Fingerprint;

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
    /// The last attempt, if it failed: when, and what was found.
    pub rejected: Option<(Timestamp, Rejected)>,
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
    /// Loads the first policy.
    ///
    /// # Errors
    /// [`Rejected`] holds everything that was found, ready to be shown.
    pub fn start(source: PolicySource, ledger: Ledger) -> Result<Self, Rejected> {
        let Loaded { policy, notes } = bundle::load(&source)?;
        let at = Timestamp::now();
        let status = Status {
            name: policy.name().clone(),
            digest: policy.digest().clone(),
            loaded_at: at,
            rejected: None,
        };
        ledger.metrics().policy_loaded(&policy, at);
        let times = bundle::list_times(&source, &policy);
        ledger.metrics().lists_modified(&times);
        announce(&policy, &notes);
        Ok(Self {
            shared: Arc::new(Shared {
                source,
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
        self.shared
            .status
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
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
            let result = bundle::load_if_new(&shared.source, in_force.digest());
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
            result: Err(Rejected::new("loading the bundle was interrupted")),
            times: Vec::new(),
        })
    }

    fn settle(&self, Attempt { result, times, .. }: Attempt) -> Outcome {
        let shared = &*self.shared;
        if result.is_ok() {
            shared.ledger.metrics().lists_modified(&times);
        }
        let at = Timestamp::now();
        let mut status = shared.status.lock().unwrap_or_else(PoisonError::into_inner);
        let outcome = match result {
            Ok(Some(Loaded { policy, notes })) => {
                announce(&policy, &notes);
                shared.ledger.metrics().policy_loaded(&policy, at);
                let digest = policy.digest().clone();
                *status = Status {
                    name: policy.name().clone(),
                    digest: digest.clone(),
                    loaded_at: at,
                    rejected: None,
                };
                shared.policy.store(Arc::new(policy));
                shared.swaps.send_replace(());
                Outcome::Swapped { digest }
            }
            Ok(None) => {
                status.rejected = None;
                Outcome::Unchanged {
                    digest: status.digest.clone(),
                }
            }
            Err(rejected) => {
                tracing::error!(in_force = %status.digest, "the new policy is not put in force, the last good one stays:\n{rejected}");
                status.rejected = Some((at, rejected.clone()));
                Outcome::Rejected(rejected)
            }
        };
        shared.ledger.metrics().policy_reload(outcome.as_str());
        outcome
    }
}

struct Attempt {
    before: Fingerprint,
    after: Fingerprint,
    result: Result<Option<Loaded>, Rejected>,
    /// When the lists were last modified; empty if the bundle was rejected.
    times: Vec<(Id, SystemTime)>,
}

fn announce(policy: &Policy, notes: &str) {
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
    if !notes.is_empty() {
        tracing::warn!("the policy in force has findings:\n{notes}");
    }
}

#[cfg(test)]
mod tests;

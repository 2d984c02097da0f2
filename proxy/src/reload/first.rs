//! The first policy: the bundle named, else the last good one from the state, else none.

use std::path::PathBuf;

use jiff::Timestamp;
use thiserror::Error;

use super::bundle::{self, Loaded, Rejected};
use crate::config::PolicySource;
use crate::state::{State, StateError};

/// A policy to start with.
#[derive(Debug)]
pub(super) struct First {
    pub(super) loaded: Loaded,
    /// If it comes from the state: when it was saved there, and what is wrong with the bundle named.
    pub(super) instead: Option<(Timestamp, Rejected)>,
}

/// There is no policy to start with.
#[derive(Debug, Error)]
#[error("{rejected}\nerror: the policy does not pass, and {earlier}: the gate does not start")]
pub struct NoPolicy {
    /// What is wrong with the bundle named.
    pub rejected: Rejected,
    /// Why no earlier one is put in force.
    pub earlier: NoEarlier,
}

/// Why there is no earlier policy.
#[derive(Debug, Error)]
pub enum NoEarlier {
    /// None is kept.
    #[error("no earlier one is kept (`state.path` names no directory)")]
    NotKept,
    /// None was saved.
    #[error("the state in `{0}` holds no earlier one")]
    NoneSaved(PathBuf),
    /// The state is of no use.
    #[error("{0}")]
    State(StateError),
    /// What was saved does not pass either.
    #[error("what the state in `{path}` holds does not pass either:\n{rejected}")]
    DoesNotPass {
        /// The directory.
        path: PathBuf,
        /// What is wrong with the last good one.
        rejected: Rejected,
    },
}

pub(super) fn first(source: &PolicySource, state: Option<&State>) -> Result<First, NoPolicy> {
    let rejected = match bundle::load(source, state) {
        Ok(loaded) => {
            return Ok(First {
                loaded,
                instead: None,
            });
        }
        Err(rejected) => rejected,
    };
    match earlier(state) {
        Ok((loaded, saved_at)) => Ok(First {
            loaded,
            instead: Some((saved_at, rejected)),
        }),
        Err(earlier) => Err(NoPolicy { rejected, earlier }),
    }
}

/// The last bundle that was in force and still is whole and has its meaning.
fn earlier(state: Option<&State>) -> Result<(Loaded, Timestamp), NoEarlier> {
    let state = state.ok_or(NoEarlier::NotKept)?;
    let path = || state.path().to_owned();
    let mut why = NoEarlier::NoneSaved(path());
    for saved in state.last_good().map_err(NoEarlier::State)? {
        let (digest, saved_at) = (saved.bundle.digest().clone(), saved.saved_at);
        match bundle::load_saved(saved, state) {
            Ok(loaded) => return Ok((loaded, saved_at)),
            Err(rejected) => {
                tracing::error!(%digest, "a bundle that was in force before does not pass any more:\n{rejected}");
                if matches!(why, NoEarlier::NoneSaved(_)) {
                    why = NoEarlier::DoesNotPass {
                        path: path(),
                        rejected,
                    };
                }
            }
        }
    }
    Err(why)
}

#[cfg(test)]
mod tests;

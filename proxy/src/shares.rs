//! How many flows each source, ministry and workload may have under way, and begin in a second.
//!
//! A flow takes its place after the policy has let its names pass and before anything is resolved
//! or dialled, and gives it back when it ends, whatever way. A flow in several workloads takes a
//! place in each. What has no figure in `octroi.yaml` is not counted, and time is the monotonic
//! clock's: a wall clock that jumps changes nothing.
//!
//! Counts are atomics, one a ministry and workload, and tables of sources, each with a lock of its
//! own. Figures are read at start; whom they hold for follows the policy in force by its ids.

mod limit;
mod meter;
mod named;
mod service;
mod sources;
#[cfg(test)]
mod tests;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use octroi_policy::Policy;
use octroi_policy::catalogue::Id;
use octroi_policy::decision::Who;

pub use limit::{Holder, Kind, Limited, Scope};
pub use named::unknown;
pub use service::{Follow, service};

use crate::config;
use meter::{Figure, Full, Now, Refused};
use named::{Named, Share};
use sources::Sources;

/// Who belongs to nobody, as a ministry and as its workload.
const UNASSIGNED: &str = "unassigned";

/// The shares of all.
#[derive(Debug)]
pub struct Shares {
    began: Instant,
    config: config::Shares,
    is_unlimited: bool,
    source: Figure,
    sources: Sources,
    named: Named,
}

/// How near a limit somebody is.
#[derive(Clone, Debug, PartialEq)]
pub struct Usage {
    /// Whose.
    pub scope: Scope,
    /// Of what.
    pub kind: Kind,
    /// The one concerned; `None` = whichever source is nearest to it.
    pub holder: Option<Holder>,
    /// 0 = unused, 1 = the next flow is refused.
    pub ratio: f64,
}

/// A place that a flow has taken; dropped, it is free again.
#[derive(Debug, Default)]
pub struct Place {
    shares: Vec<Arc<Share>>,
    source: Option<(Arc<Shares>, IpAddr)>,
}

impl Shares {
    /// With the figures of `limits.flows` and `limits.new_flows`.
    #[must_use]
    pub fn new(config: config::Shares) -> Arc<Self> {
        let source = Figure::new(
            config.flows.per_source,
            config.new_flows.per_source,
            config.burst,
        );
        Arc::new(Self {
            began: Instant::now(),
            is_unlimited: config.flows == config::Figures::default()
                && config.new_flows == config::Figures::default(),
            source,
            sources: Sources::default(),
            named: Named::default(),
            config,
        })
    }

    /// Takes a place for a flow of `source`, which the policy takes for `who`.
    ///
    /// # Errors
    /// [`Limited`] says which limit is reached; then nothing is taken.
    pub fn take(
        self: &Arc<Self>,
        policy: &Policy,
        who: &Who,
        source: IpAddr,
    ) -> Result<Place, Box<Limited>> {
        self.take_at(policy, who, source, self.now())
    }

    fn take_at(
        self: &Arc<Self>,
        policy: &Policy,
        who: &Who,
        source: IpAddr,
        now: Now,
    ) -> Result<Place, Box<Limited>> {
        let mut place = Place::default();
        if self.is_unlimited {
            return Ok(place);
        }
        // The nearest first: a machine that asks too much must not use up what its ministry has.
        if !self.source.is_unlimited() {
            let taken = self.sources.take(source, &self.source, now);
            if taken.map_err(|refused| Limited::new(Scope::Source, None, refused))? {
                place.source = Some((Arc::clone(self), source));
            }
        }
        for (scope, holder) in holders(policy, who) {
            let Some(share) = self.named.share(&holder, &self.config) else {
                continue;
            };
            if let Err(refused) = share.meter.take(&share.figure, now) {
                place.undo();
                return Err(Limited::new(scope, Some(holder), refused).into());
            }
            place.shares.push(share);
        }
        Ok(place)
    }

    /// Counts for the ministries and workloads of `policy` from now on, and no more for those that
    /// it does not have, once their flows have ended. What `octroi.yaml` names and the policy does
    /// not have is told.
    #[must_use]
    pub fn follow(&self, policy: &Policy) -> Vec<String> {
        self.named.follow(policy, &self.config);
        let problems = unknown(&self.config, policy);
        problems.into_iter().map(|it| it.message).collect()
    }

    /// How near everybody is to the limits that hold for them.
    #[must_use]
    pub fn usage(&self) -> Vec<Usage> {
        let now = self.now();
        let mut all = Vec::new();
        let fullest = self.sources.fullest(&self.source, now).into_iter();
        all.extend(fullest.map(|(kind, ratio)| Usage {
            scope: Scope::Source,
            kind,
            holder: None,
            ratio,
        }));
        self.named.usage(now, &mut all);
        all
    }

    /// Whether there is no figure at all.
    #[must_use]
    pub fn is_unlimited(&self) -> bool {
        self.is_unlimited
    }

    fn now(&self) -> Now {
        // 584 years.
        Now(u64::try_from(self.began.elapsed().as_nanos()).unwrap_or(u64::MAX))
    }
}

/// Everybody whose share a flow uses: its workloads, then their ministries, each once.
fn holders(policy: &Policy, who: &Who) -> Vec<(Scope, Holder)> {
    let mut workloads = Vec::with_capacity(2);
    let mut ministries = Vec::with_capacity(1);
    for &ix in &who.workloads {
        let workload = policy.workload(ix);
        let ministry: Id = match workload.ministry {
            Some(ix) => policy.model().ministries[ix.at()].id.clone(),
            None => workload.id.clone(),
        };
        let of_ministry = Holder {
            ministry: ministry.clone(),
            workload: None,
        };
        if !ministries.contains(&(Scope::Ministry, of_ministry.clone())) {
            ministries.push((Scope::Ministry, of_ministry));
        }
        let workload = Some(workload.id.clone());
        workloads.push((Scope::Workload, Holder { ministry, workload }));
    }
    workloads.append(&mut ministries);
    workloads
}

impl Place {
    /// Gives everything back, as if it had never been taken.
    fn undo(self) {
        for share in &self.shares {
            share.meter.give_back(&share.figure);
        }
        if let Some((shares, source)) = &self.source {
            shares.sources.give_back(*source, &shares.source);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        for share in self.shares.drain(..) {
            share.meter.leave();
        }
        if let Some((shares, source)) = self.source.take() {
            shares.sources.leave(source, shares.now());
        }
    }
}

//! Ministries and workloads by their ids, which outlive a policy.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, PoisonError, RwLock};

use octroi_policy::Policy;
use octroi_policy::catalogue::Id;
use octroi_policy::diagnostic::suggest::nearest;

use super::{Holder, Scope, UNASSIGNED, Usage};
use crate::config::{self, Problem};

use super::meter::{Figure, Meter, Now};

/// How many ids are told where none is near what was written.
const SHOWN: usize = 8;

/// What one holder may use, and uses.
#[derive(Debug)]
pub(super) struct Share {
    pub(super) figure: Figure,
    pub(super) meter: Meter,
}

/// The shares there are; `None` for those without a figure.
#[derive(Debug, Default)]
pub(super) struct Named {
    known: RwLock<HashMap<Holder, Option<Arc<Share>>>>,
}

impl Named {
    /// The share of a holder; `None` if nothing limits it.
    pub(super) fn share(&self, holder: &Holder, config: &config::Shares) -> Option<Arc<Share>> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(share) = known.get(holder) {
            return share.clone();
        }
        drop(known);
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        let share = known
            .entry(holder.clone())
            .or_insert_with(|| new_share(holder, config));
        share.clone()
    }

    /// Holds the shares of those in `policy`, and of those gone whose flows have not ended.
    pub(super) fn follow(&self, policy: &Policy, config: &config::Shares) {
        let holders: HashSet<_> = everybody(policy).collect();
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        known.retain(|holder, share| {
            let is_used = share.as_ref().is_some_and(|share| share.meter.is_used());
            is_used || holders.contains(holder)
        });
        for holder in holders {
            let new = || new_share(&holder, config);
            known.entry(holder.clone()).or_insert_with(new);
        }
    }

    pub(super) fn usage(&self, now: Now, all: &mut Vec<Usage>) {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        for (holder, share) in known.iter() {
            let Some(share) = share else { continue };
            let usage = share.meter.usage(&share.figure, now);
            all.extend(usage.map(|(kind, ratio)| Usage {
                scope: match holder.workload {
                    Some(_) => Scope::Workload,
                    None => Scope::Ministry,
                },
                kind,
                holder: Some(holder.clone()),
                ratio,
            }));
        }
    }
}

fn new_share(holder: &Holder, config: &config::Shares) -> Option<Arc<Share>> {
    let most = |figures: &config::Figures| match &holder.workload {
        Some(workload) => figures.workload(&holder.ministry, workload),
        None => figures.ministry(&holder.ministry),
    };
    let figure = Figure::new(most(&config.flows), most(&config.new_flows), config.burst);
    (!figure.is_unlimited()).then(|| {
        Arc::new(Share {
            figure,
            meter: Meter::default(),
        })
    })
}

/// Every ministry and every workload of a policy, those of nobody included.
fn everybody(policy: &Policy) -> impl Iterator<Item = Holder> {
    let model = policy.model();
    let unassigned = || Id::from(UNASSIGNED);
    let ministries = model.ministries.iter().map(|ministry| ministry.id.clone());
    let ministries = ministries.chain([unassigned()]).map(|ministry| Holder {
        ministry,
        workload: None,
    });
    let workloads = model.workloads.iter().map(move |workload| Holder {
        ministry: workload
            .ministry
            .map_or_else(unassigned, |ix| model.ministries[ix.at()].id.clone()),
        workload: Some(workload.id.clone()),
    });
    ministries.chain(workloads)
}

/// What `limits.flows` and `limits.new_flows` name and `policy` does not have.
#[must_use]
pub fn unknown(config: &config::Shares, policy: &Policy) -> Vec<Problem> {
    let (mut ministries, mut workloads) = (HashSet::new(), HashSet::new());
    for Holder { ministry, workload } in everybody(policy) {
        if let Some(workload) = workload {
            workloads.insert(format!("{ministry}/{workload}"));
            workloads.insert(workload.to_string());
        }
        ministries.insert(ministry.to_string());
    }
    let mut problems = Vec::new();
    for figures in [&config.flows, &config.new_flows] {
        for (what, named, known) in [
            ("ministry", &figures.ministries, &ministries),
            ("workload", &figures.workloads, &workloads),
        ] {
            let missing = named.iter().filter(|named| !known.contains(&named.id));
            problems.extend(missing.map(|named| named.unknown(what, instead(&named.id, known))));
        }
    }
    problems
}

fn instead(id: &str, known: &HashSet<String>) -> String {
    if let Some(near) = nearest(id, known.iter().map(String::as_str)) {
        return format!("did you mean `{near}`?");
    }
    let mut some: Vec<_> = known.iter().map(|id| format!("`{id}`")).collect();
    some.sort();
    let more = if some.len() > SHOWN { ", …" } else { "" };
    some.truncate(SHOWN);
    format!("it has {}{more}", some.join(", "))
}

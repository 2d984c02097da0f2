//! What was refused to whom of late: the memory behind the self-service page.
//!
//! Browsers hide the body of a refused CONNECT, and what is denied after the 200 has none. So the
//! gate keeps the last refusals of each source, and shows them to that source alone. Kept are ids and
//! small facts; the words come from the policy in force when somebody reads them. Nothing of it is
//! written anywhere.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ipnet::IpNet;
use jiff::Timestamp;
use octroi_policy::Policy;
use octroi_policy::catalogue::Id;
use octroi_policy::decision::{Decision, Ground, Piece};
use octroi_policy::explain::denied_services;
use octroi_policy::flow::EvidenceKind;
use octroi_policy::name::Host;

use crate::ledger::FlowId;

/// Different refusals kept of one source: what a person reads through.
pub const PER_SOURCE: usize = 20;

/// Sources kept; the one refused longest ago is forgotten first.
pub const SOURCES: usize = 50_000;

/// Refusals kept in all: some 60 MB.
pub const IN_ALL: usize = 200_000;

/// How long a refusal is kept: what happened yesterday is looked for in the audit log.
pub const KEPT_FOR: Duration = Duration::from_hours(24);

/// A refusal as it is kept: ids of the policy that refused, which a later one may not know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// When, the last time.
    pub at: Timestamp,
    /// How often so far; programs try all day.
    pub times: u32,
    /// The incident number, of the last time.
    pub incident: FlowId,
    /// What was asked for.
    pub target: Host,
    /// On which port.
    pub port: u16,
    /// The weightiest ground.
    pub ground: Option<Ground>,
    /// The rules that refused; the ground's, if it has one, comes first.
    pub rules: Box<[Id]>,
    /// The services that it was taken for.
    pub services: Box<[Id]>,
    /// The deciding evidence, where that is not what was asked for.
    pub because: Option<Box<Because>>,
}

/// The evidence that decided, as it is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Because {
    /// Where it was seen.
    pub kind: EvidenceKind,
    /// The name or address.
    pub value: Host,
    /// The published range that holds an address.
    pub range: Option<IpNet>,
}

impl Because {
    /// What is shown of a piece of evidence, unless it is what was asked for, which is shown anyway.
    #[must_use]
    pub fn of(piece: &Piece) -> Option<Self> {
        (piece.kind != EvidenceKind::Target).then(|| Self {
            kind: piece.kind,
            value: piece.value.clone(),
            range: piece.class.range,
        })
    }
}

impl Kept {
    /// What is worth keeping of a decision by `policy` that denies.
    #[must_use]
    pub fn new(
        policy: &Policy,
        decision: &Decision,
        target: &Host,
        port: u16,
        incident: FlowId,
    ) -> Self {
        let ground = decision.ground();
        let mut rules: Vec<Id> = Vec::new();
        for rule in decision.grounds().iter().filter_map(Ground::rule) {
            let id = &policy.rule(rule).id;
            if !rules.contains(id) {
                rules.push(id.clone());
            }
        }
        // The service that the flow is about is the one named; the others follow.
        let mut services = denied_services(decision);
        if let Some(about) = decision.service() {
            services.retain(|&service| service != about);
            services.insert(0, about);
        }
        let services = services.into_iter();
        let piece = ground.and_then(|ground| decision.piece(ground.piece()?));
        Self {
            at: decision.at,
            times: 1,
            incident,
            target: target.clone(),
            port,
            ground,
            rules: rules.into(),
            services: services.map(|s| policy.service(s).id.clone()).collect(),
            because: piece.and_then(Because::of).map(Box::new),
        }
    }

    /// The rule that decided, where one did.
    #[must_use]
    pub fn rule(&self) -> Option<&Id> {
        self.ground?.rule().and(self.rules.first())
    }

    /// Whether this is the same refusal once more.
    fn repeats(&self, earlier: &Self) -> bool {
        self.target == earlier.target
            && self.port == earlier.port
            && self.rules == earlier.rules
            && self.because == earlier.because
            && self.ground.map(|ground| ground.as_str())
                == earlier.ground.map(|ground| ground.as_str())
    }

    fn is_old(&self, now: Timestamp) -> bool {
        now.duration_since(self.at).unsigned_abs() > KEPT_FOR && now > self.at
    }
}

/// The last refusals of each source.
#[derive(Debug, Default)]
pub struct Refusals(Mutex<Table>);

#[derive(Debug, Default)]
struct Table {
    sources: HashMap<IpAddr, Source>,
    /// Sources by their last refusal, the one longest ago first.
    order: BTreeMap<u64, IpAddr>,
    /// Refusals in all.
    held: usize,
    /// Grows with each refusal.
    turn: u64,
}

#[derive(Debug, Default)]
struct Source {
    turn: u64,
    /// The last one first.
    kept: VecDeque<Kept>,
}

impl Refusals {
    /// Keeps a refusal for `source`, an address in its canonical form.
    pub fn keep(&self, source: IpAddr, refusal: Kept) {
        let now = refusal.at;
        let mut table = self.table();
        table.keep(source, refusal);
        table.forget(now);
    }

    /// What `source` was refused of late, the last one first.
    #[must_use]
    pub fn of(&self, source: IpAddr, now: Timestamp) -> Vec<Kept> {
        let mut table = self.table();
        table.forget(now);
        let Some(found) = table.sources.get(&source.to_canonical()) else {
            return Vec::new();
        };
        let fresh = found.kept.iter().filter(|kept| !kept.is_old(now));
        fresh.cloned().collect()
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        // A panic in the middle of a change spoils at most what one source is shown.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn keep(&mut self, source: IpAddr, mut refusal: Kept) {
        self.turn += 1;
        let address = source.to_canonical();
        let source = self.sources.entry(address).or_default();
        self.order.remove(&source.turn);
        self.order.insert(self.turn, address);
        source.turn = self.turn;
        let before = source.kept.len();
        source.kept.retain(|kept| !kept.is_old(refusal.at));
        let same = source.kept.iter().position(|kept| refusal.repeats(kept));
        if let Some(earlier) = same.and_then(|at| source.kept.remove(at)) {
            refusal.times = earlier.times.saturating_add(1);
        }
        source.kept.push_front(refusal);
        source.kept.truncate(PER_SOURCE);
        self.held = self.held - before + source.kept.len();
    }

    /// Drops the sources beyond the limits and those whose last refusal is too long ago.
    fn forget(&mut self, now: Timestamp) {
        while let Some(first) = self.order.first_entry() {
            let source = self.sources.get(first.get());
            let last = source.and_then(|source| source.kept.front());
            let is_old = last.is_none_or(|kept| kept.is_old(now));
            if !is_old && self.sources.len() <= SOURCES && self.held <= IN_ALL {
                return;
            }
            if let Some(gone) = self.sources.remove(&first.remove()) {
                self.held -= gone.kept.len();
            }
        }
    }
}

#[cfg(test)]
mod tests;

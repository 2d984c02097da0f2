//! Who was refused which service within the last day: so that somebody notices when the same
//! source is let through by a derogation soon after.
//!
//! No address is kept, only a hash of address and service under a key drawn at random when the
//! process starts. A restart forgets. At most two generations of [`MOST`] hashes: some 6 MiB.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;

/// Refusals in one generation; when it is full, or a day old, the generation before is forgotten.
const MOST: usize = 65_536;

const SECONDS_A_DAY: i64 = 86_400;

/// The refusals of the last day.
#[derive(Debug)]
pub(super) struct Refused<K = RandomState> {
    keyed: K,
    generations: Mutex<Generations>,
}

#[derive(Debug, Default)]
struct Generations {
    /// By hash, the second in which the last refusal was.
    young: HashMap<u64, i64>,
    old: HashMap<u64, i64>,
    /// When the young one began.
    since: i64,
}

impl Refused {
    pub(super) fn new() -> Self {
        Self {
            keyed: RandomState::new(),
            generations: Mutex::default(),
        }
    }
}

impl<K: BuildHasher> Refused<K> {
    /// Notes that `client` was refused `service`.
    pub(super) fn note(&self, client: IpAddr, service: &str, at: Timestamp) {
        let (key, now) = (self.key(client, service), at.as_second());
        let mut all = self.lock();
        let is_full = all.young.len() >= MOST && !all.young.contains_key(&key);
        if is_full || now - all.since > SECONDS_A_DAY {
            all.old = std::mem::take(&mut all.young);
            all.since = now;
        }
        all.young.insert(key, now);
    }

    /// Whether it was refused within the day before `at`; asked again, it was not.
    pub(super) fn take(&self, client: IpAddr, service: &str, at: Timestamp) -> bool {
        let key = self.key(client, service);
        let mut all = self.lock();
        let of = [all.young.remove(&key), all.old.remove(&key)];
        let last = of.into_iter().flatten().max();
        last.is_some_and(|last| at.as_second() - last <= SECONDS_A_DAY)
    }

    fn key(&self, client: IpAddr, service: &str) -> u64 {
        self.keyed.hash_one((client.to_canonical(), service))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Generations> {
        self.generations
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MACHINE: &str = "192.0.2.70";

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn note(refused: &Refused, client: &str, service: &str, when: &str) {
        refused.note(client.parse().unwrap(), service, at(when));
    }

    fn take(refused: &Refused, client: &str, service: &str, when: &str) -> bool {
        refused.take(client.parse().unwrap(), service, at(when))
    }

    #[test]
    fn a_refusal_is_found_once_by_the_same_source_for_the_same_service() {
        let refused = Refused::new();
        note(&refused, MACHINE, "exchange-online", "2026-11-24T09:00:00Z");
        let noon = "2026-11-24T12:00:00Z";
        assert!(!take(&refused, "192.0.2.71", "exchange-online", noon));
        assert!(!take(&refused, MACHINE, "microsoft-teams", noon));
        assert!(take(&refused, "::ffff:192.0.2.70", "exchange-online", noon));
        assert!(!take(&refused, MACHINE, "exchange-online", noon));
    }

    #[test]
    fn after_a_day_it_is_none_any_more() {
        let refused = Refused::new();
        note(&refused, MACHINE, "a", "2026-11-24T09:00:00Z");
        // Another one a day later begins a new generation: the old one is still known.
        note(&refused, MACHINE, "b", "2026-11-25T08:59:00Z");
        assert!(take(&refused, MACHINE, "a", "2026-11-25T09:00:00Z"));
        assert!(!take(&refused, MACHINE, "b", "2026-11-26T09:00:00Z"));
    }

    #[test]
    fn what_is_kept_is_bounded_and_the_newest_stays() {
        let refused = Refused::new();
        let now = "2026-11-24T09:00:00Z";
        for number in 0..3 * MOST as u32 {
            let client = std::net::Ipv4Addr::from_bits(0x0a00_0000 + number);
            refused.note(client.into(), "exchange-online", at(now));
        }
        let kept = refused.lock();
        assert!(kept.young.len() + kept.old.len() <= 2 * MOST);
        drop(kept);
        assert!(take(&refused, "10.2.255.255", "exchange-online", now));
        assert!(!take(&refused, "10.0.0.0", "exchange-online", now));
    }
}

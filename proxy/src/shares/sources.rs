//! What each source address uses: tables that forget who is quiet.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::Kind;
use super::meter::{Figure, Meter, Now, Refused};

/// Tables, so that cores do not wait for each other.
const SHARDS: usize = 16;

/// Sources of one table, at most: 64 bytes each, 64 MiB in all. Whoever comes when it is full of
/// sources at work is not held to its own figure, but to those of workload and ministry.
const MOST: usize = 1 << 16;

/// Sources of one table that are no reason yet to look for quiet ones.
const FEW: usize = 256;

/// The sources at work.
#[derive(Debug, Default)]
pub(super) struct Sources {
    shards: [Mutex<Shard>; SHARDS],
    hasher: RandomState,
}

/// A full table is looked through no more often: it takes a millisecond.
const LOOK: u64 = 1_000_000_000;

#[derive(Debug, Default)]
struct Shard {
    meters: HashMap<IpAddr, Meter>,
    /// How many there were after the quiet ones were last forgotten, and when that was.
    kept: usize,
    looked: Now,
}

impl Shard {
    /// Forgets who is quiet, whenever the table has doubled since: a constant cost a flow. Whether
    /// there is room for one more.
    fn has_room(&mut self, now: Now) -> bool {
        let has_doubled = self.meters.len() >= FEW.max(2 * self.kept);
        let is_full = self.meters.len() >= MOST;
        if has_doubled || is_full && now.0.saturating_sub(self.looked.0) > LOOK {
            self.meters.retain(|_, meter| !meter.is_idle(now));
            self.kept = self.meters.len();
            self.looked = now;
        }
        self.meters.len() < MOST
    }
}

impl Sources {
    /// One flow more of `source`; whether it is counted, and has to leave.
    pub(super) fn take(&self, source: IpAddr, figure: &Figure, now: Now) -> Result<bool, Refused> {
        let mut shard = self.shard(source);
        if !shard.meters.contains_key(&source) && !shard.has_room(now) {
            return Ok(false);
        }
        let meter = shard.meters.entry(source).or_default();
        meter.take(figure, now).map(|()| true)
    }

    /// One flow less of `source`.
    pub(super) fn leave(&self, source: IpAddr, now: Now) {
        let mut shard = self.shard(source);
        if let Some(meter) = shard.meters.get(&source) {
            meter.leave();
            if meter.is_idle(now) {
                shard.meters.remove(&source);
            }
        }
    }

    /// The last flow of `source` did not begin after all. It still has to leave.
    pub(super) fn give_back(&self, source: IpAddr, figure: &Figure) {
        if let Some(meter) = self.shard(source).meters.get(&source) {
            meter.give_back(figure);
        }
    }

    /// How near to each limit that source is which is nearest.
    pub(super) fn fullest(&self, figure: &Figure, now: Now) -> Vec<(Kind, f64)> {
        let mut fullest: Vec<_> = Meter::default().usage(figure, now).collect();
        for shard in &self.shards {
            for meter in locked(shard).meters.values() {
                for (most, (_, ratio)) in fullest.iter_mut().zip(meter.usage(figure, now)) {
                    most.1 = most.1.max(ratio);
                }
            }
        }
        fullest
    }

    fn shard(&self, source: IpAddr) -> MutexGuard<'_, Shard> {
        locked(&self.shards[self.hasher.hash_one(source) as usize % SHARDS])
    }
}

/// No code of ours can leave a table half changed.
fn locked(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::time::Duration;

    use super::*;

    fn machine(number: usize) -> IpAddr {
        Ipv4Addr::from_bits(0x0a00_0000 + number as u32).into()
    }

    fn held(sources: &Sources) -> usize {
        sources.shards.iter().map(|s| locked(s).meters.len()).sum()
    }

    #[test]
    fn who_is_quiet_is_forgotten_and_who_is_not_is_kept() {
        let sources = Sources::default();
        let figure = Figure::new(Some(10), Some(10), Duration::from_secs(1));
        let second = |n: u64| Now(n * 1_000_000_000);
        sources.take(machine(0), &figure, second(1)).unwrap();
        for number in 1..100_000 {
            let now = second(1 + number as u64 / 1000);
            sources.take(machine(number), &figure, now).unwrap();
            sources.leave(machine(number), now);
        }
        assert!(held(&sources) < 2 * SHARDS * FEW, "{}", held(&sources));
        let usage = sources.fullest(&figure, second(1000));
        assert_eq!(usage, [(Kind::Flows, 0.1), (Kind::NewFlows, 0.0)]);
        sources.leave(machine(0), second(1000));
        let usage = sources.fullest(&figure, second(1000));
        assert_eq!(usage[0].1, 0.0);
    }

    #[test]
    fn without_a_rate_a_source_is_forgotten_with_its_last_flow() {
        let sources = Sources::default();
        let figure = Figure::new(Some(2), None, Duration::from_secs(1));
        for _ in 0..2 {
            sources.take(machine(1), &figure, Now(0)).unwrap();
        }
        assert!(sources.take(machine(1), &figure, Now(0)).is_err());
        assert!(sources.take(machine(2), &figure, Now(0)).is_ok());
        sources.leave(machine(1), Now(0));
        assert!(sources.take(machine(1), &figure, Now(0)).is_ok());
        for number in [1, 1, 2] {
            sources.leave(machine(number), Now(0));
        }
        assert_eq!(held(&sources), 0);
    }

    #[test]
    fn a_flood_of_sources_takes_no_more_memory_than_stated() {
        let sources = Sources::default();
        let figure = Figure::new(None, Some(1), Duration::from_secs(1));
        for number in 0..(SHARDS * MOST + 100_000) {
            sources.take(machine(number), &figure, Now(0)).unwrap();
        }
        assert!(held(&sources) <= SHARDS * MOST);
        let counted = |now| {
            let more = (1..1000).map(|n| sources.take(machine(0x00ff_0000 + n), &figure, now));
            more.filter(|taken| *taken == Ok(true)).count()
        };
        assert!(counted(Now(0)) < 999, "no table is full");
        for number in 0..(SHARDS * MOST) {
            sources.leave(machine(number), Now(0));
        }
        assert_eq!(counted(Now(3 * LOOK)), 999);
        let each = std::mem::size_of::<(IpAddr, Meter)>();
        assert!(each <= 64, "{each} bytes");
    }
}

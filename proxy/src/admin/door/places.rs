//! How many connections the admin listener has at once: few read it, and whoever floods it must not take the gate's
//! descriptors.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Connections at once.
const MOST: usize = 256;
/// Of one address.
const MOST_OF_ONE: usize = 96;

/// The places.
#[derive(Clone, Debug, Default)]
pub(super) struct Places(Arc<Mutex<Taken>>);

#[derive(Debug, Default)]
struct Taken {
    all: usize,
    of: HashMap<IpAddr, usize>,
}

/// One place; given back when it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    places: Places,
    whose: IpAddr,
}

impl Places {
    /// A place, if there is one.
    pub(super) fn take(&self, whose: IpAddr) -> Option<Place> {
        let mut taken = self.taken();
        let own = taken.of.get(&whose).copied().unwrap_or(0);
        if taken.all >= MOST || own >= MOST_OF_ONE {
            return None;
        }
        taken.all += 1;
        taken.of.insert(whose, own + 1);
        drop(taken);
        let places = self.clone();
        Some(Place { places, whose })
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.taken();
        taken.all = taken.all.saturating_sub(1);
        let own = taken.of.get(&self.whose).copied().unwrap_or(0);
        if own > 1 {
            taken.of.insert(self.whose, own - 1);
        } else {
            taken.of.remove(&self.whose);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_takes_all_and_what_is_given_back_is_free() {
        let places = Places::default();
        let [one, other, third] = [1, 2, 3].map(|last| IpAddr::from([192, 0, 2, last]));
        let mut held: Vec<_> = (0..MOST_OF_ONE)
            .map(|_| places.take(one).unwrap())
            .collect();
        assert!(places.take(one).is_none());
        held.extend((0..MOST_OF_ONE).map(|_| places.take(other).unwrap()));
        let left = MOST - 2 * MOST_OF_ONE;
        held.extend((0..left).map(|_| places.take(third).unwrap()));
        assert!(places.take([192, 0, 2, 4].into()).is_none());
        held.clear();
        assert!(places.taken().of.is_empty());
        assert!(places.take(one).is_some());
    }
}

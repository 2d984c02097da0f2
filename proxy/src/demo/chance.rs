//! What looks like chance and is the same for the same seed.

/// SplitMix64 (Steele, Lea, Flood 2014): small, and good enough for a play.
#[derive(Clone, Debug)]
pub(super) struct Chance(u64);

impl Chance {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Another one for a part of the play, so that a change in one part leaves the others as they are.
    pub(super) fn part(&self, number: u64) -> Self {
        let mut part = Self(self.0 ^ number.wrapping_mul(0xd134_2543_de82_ef95));
        part.next();
        part
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// One of `0..end`; 0 if that is empty.
    pub(super) fn below(&mut self, end: u32) -> u32 {
        let drawn = self.next() % u64::from(end.max(1));
        u32::try_from(drawn).unwrap_or_default()
    }

    /// True so many times in a hundred.
    pub(super) fn percent(&mut self, share: u32) -> bool {
        self.below(100) < share
    }

    /// A name of lower-case letters.
    pub(super) fn word(&mut self, length: usize) -> String {
        let letter = |_| char::from(b'a' + u8::try_from(self.below(26)).unwrap_or_default());
        (0..length).map(letter).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_draws_the_same_and_each_part_its_own() {
        let draw = |mut chance: Chance| -> Vec<u32> { (0..50).map(|_| chance.below(9)).collect() };
        assert_eq!(draw(Chance::new(7)), draw(Chance::new(7)));
        assert_ne!(draw(Chance::new(7)), draw(Chance::new(8)));
        let whole = Chance::new(7);
        assert_ne!(draw(whole.part(1)), draw(whole.part(2)));
        let drawn = draw(whole);
        assert!((0..9).all(|one| drawn.contains(&one)), "{drawn:?}");
    }
}

//! The order in which ready tasks run, if it is to be another one than that of their wakes.
//!
//! The run queue is dealt with in rounds: whoever is ready when a round begins is polled in it, in a
//! random order, and whoever becomes ready meanwhile comes in the next. So nobody is overtaken by the
//! same task more than once: what is shuffled is what fairness leaves open.

use crate::slab::Key;

/// A source of orders; the same seed gives the same ones.
pub(super) struct Shuffle {
    /// What the next random number is made from.
    state: u64,
}

impl Shuffle {
    /// The orders of a seed.
    pub(super) fn new(seed: u64) -> Shuffle {
        Shuffle { state: seed }
    }

    /// Puts whose turn it is to the front of those who are left of a round.
    pub(super) fn choose(&mut self, round: &mut [Key]) {
        if !round.is_empty() {
            round.swap(0, self.below(round.len()));
        }
    }

    /// A random number below `end`, by the generator SplitMix64 (Steele, Lea and Flood, "Fast
    /// Splittable Pseudorandom Number Generators", 2014) and, since `end` is small against 2⁶⁴, a
    /// plain remainder.
    fn below(&mut self, end: usize) -> usize {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.state ^ (self.state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % end as u64) as usize
    }
}

//! The order in which ready tasks run, if it is to be another one than that of their wakes.
//!
//! The run queue is dealt with in rounds: whoever is ready when a round begins is polled in it, in a
//! random order, and whoever becomes ready meanwhile comes in the next. So nobody is overtaken by the
//! same task more than once: what is shuffled is what fairness leaves open.

use crate::slab::Key;
use std::cell::Cell;
use std::collections::VecDeque;

/// A source of orders; the same seed gives the same ones.
pub(super) struct Shuffle {
    /// What the next random number is made from.
    state: Cell<u64>,
    /// How many tasks are left in this round: so many from the front of the queue on.
    round: Cell<usize>,
}

impl Shuffle {
    /// The orders of a seed.
    pub(super) fn new(seed: u64) -> Shuffle {
        Shuffle {
            state: Cell::new(seed),
            round: Cell::new(0),
        }
    }

    /// Puts whose turn it is to the front of the queue.
    pub(super) fn choose(&self, ready: &mut VecDeque<Key>) {
        let round = match self.round.get() {
            0 => ready.len(),
            round => round,
        };
        if round > 0 {
            ready.swap(0, self.below(round));
            self.round.set(round - 1);
        }
    }

    /// A random number below `end`, by the generator SplitMix64 (Steele, Lea and Flood, "Fast
    /// Splittable Pseudorandom Number Generators", 2014) and, since `end` is small against 2⁶⁴, a
    /// plain remainder.
    fn below(&self, end: usize) -> usize {
        let state = self.state.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
        self.state.set(state);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % end as u64) as usize
    }
}

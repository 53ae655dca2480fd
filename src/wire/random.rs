//! [`Random`]: the random numbers of a simulation.

use std::ops::RangeInclusive;

/// What SplitMix64 adds to its state for each number: 2⁶⁴ divided by the golden ratio, made odd.
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// A stream of random numbers that its seed determines: SplitMix64, whose whole state is one number.
#[derive(Clone, Debug)]
pub(crate) struct Random {
    /// The state.
    state: u64,
}

impl Random {
    /// Creates the stream of a seed.
    pub(crate) fn new(seed: u64) -> Random {
        // Mixed once, so that the streams of successive seeds have nothing in common.
        Random {
            state: mixed(seed ^ GOLDEN),
        }
    }

    /// Creates another stream, which depends on the seed of this one and on `label`, and takes nothing from this one.
    pub(crate) fn fork(&self, label: u64) -> Random {
        Random::new(self.state ^ mixed(label.wrapping_add(GOLDEN)))
    }

    /// Returns the next number.
    pub(crate) fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(GOLDEN);
        mixed(self.state)
    }

    /// Returns a number below `end`, or 0 if `end` is 0.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        // The high half of the product is uniform up to one part in 2⁶⁴ / `end`, and costs no division.
        ((u128::from(self.next()) * u128::from(end)) >> 64) as u64
    }

    /// Returns a number of a range, both ends included.
    pub(crate) fn within(&mut self, range: RangeInclusive<u64>) -> u64 {
        let (least, most) = range.into_inner();
        match most.saturating_sub(least) {
            0 => least,
            u64::MAX => self.next(),
            span => least + self.below(span + 1),
        }
    }

    /// Returns true with this probability. Takes no number if the outcome is certain.
    pub(crate) fn chance(&mut self, probability: f64) -> bool {
        if probability <= 0.0 {
            return false;
        }
        // 53 bits: as many as the fraction of an `f64` has.
        probability >= 1.0 || ((self.next() >> 11) as f64) < probability * (1_u64 << 53) as f64
    }
}

/// Mixes the bits of a number: the output function of SplitMix64.
fn mixed(number: u64) -> u64 {
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_determines_the_numbers() {
        let numbers = |seed| {
            let mut random = Random::new(seed);
            [random.next(), random.next(), random.next()]
        };
        assert_eq!(numbers(4), numbers(4));
        assert_ne!(numbers(4), numbers(5));
    }

    #[test]
    fn numbers_stay_in_their_range_and_reach_both_ends() {
        let mut random = Random::new(1);
        let mut seen = [0; 3];
        for _ in 0..1000 {
            seen[random.within(5..=7) as usize - 5] += 1;
        }
        assert!(seen.iter().all(|count| *count > 200), "{seen:?}");
        assert_eq!(random.below(0), 0);
        assert_eq!(random.within(9..=9), 9);
    }

    #[test]
    fn a_chance_comes_true_as_often_as_it_says() {
        let mut random = Random::new(1);
        let count = (0..10_000).filter(|_| random.chance(0.25)).count();
        assert!((2_300..2_700).contains(&count), "{count}");
        assert!(!random.chance(0.0));
        assert!(random.chance(1.0));
    }

    #[test]
    fn a_fork_depends_on_its_label_and_takes_nothing() {
        let random = Random::new(1);
        assert_ne!(random.fork(1).next(), random.fork(2).next());
        assert_eq!(random.fork(1).next(), random.fork(1).next());
    }
}

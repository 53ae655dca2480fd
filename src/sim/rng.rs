//! [`Rng`]: the random numbers of a simulation, each stream of which the seed determines.

use std::fmt;
use std::ops::{Range, RangeInclusive};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The distance between two states of SplitMix64, by its authors: 2⁶⁴ divided by the golden ratio, made odd.
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// A stream of random numbers that depends only on the seed of the simulation.
///
/// [`sim::rng`](super::rng) returns the stream of the host that calls it, and [`Sim::rng`](super::Sim::rng) the stream of the
/// test itself. The streams are independent: a host that draws more numbers changes nothing for the others. The
/// clones of a stream share its state.
///
/// The numbers are those of SplitMix64. They are not fit for cryptography.
///
/// # Examples
///
/// ```
/// use glassfrog::sim::Sim;
///
/// let (one, other) = (Sim::new(7), Sim::new(7));
/// assert_eq!(one.rng().next_u64(), other.rng().next_u64());
/// ```
#[derive(Clone)]
pub struct Rng {
    /// The state. Relaxed is enough, because it guards no memory: one thread at a time draws from a stream, or the
    /// simulation is not deterministic anyway.
    state: Arc<AtomicU64>,
}

impl Rng {
    /// Creates the stream of a seed.
    pub(super) fn new(seed: u64) -> Rng {
        Rng {
            state: Arc::new(AtomicU64::new(seed)),
        }
    }

    /// Creates another stream from the next number of this one.
    pub(super) fn fork(&self) -> Rng {
        Rng::new(self.next_u64())
    }

    /// Returns a number, each with the same probability.
    ///
    /// # Examples
    ///
    /// ```
    /// let sim = glassfrog::sim::Sim::new(1);
    /// assert_ne!(sim.rng().next_u64(), sim.rng().next_u64());
    /// ```
    pub fn next_u64(&self) -> u64 {
        let state = self.state.fetch_add(GOLDEN, Ordering::Relaxed);
        mix(state.wrapping_add(GOLDEN))
    }

    /// Returns a number from 0 to `n - 1`, each with the same probability.
    ///
    /// # Panics
    ///
    /// Panics if `n` is zero.
    ///
    /// # Examples
    ///
    /// ```
    /// let sim = glassfrog::sim::Sim::new(1);
    /// assert!(sim.rng().below(6) < 6);
    /// ```
    #[track_caller]
    pub fn below(&self, n: u64) -> u64 {
        assert!(n > 0, "no number is below 0: `below` takes at least 1");
        // The high half of a product: what it prefers is less than a part in 2⁶⁴ / n.
        ((u128::from(self.next_u64()) * u128::from(n)) >> 64) as u64
    }

    /// Returns true with probability `p`, which is from 0.0 to 1.0.
    ///
    /// # Examples
    ///
    /// ```
    /// let sim = glassfrog::sim::Sim::new(1);
    /// assert!(sim.rng().chance(1.0));
    /// assert!(!sim.rng().chance(0.0));
    /// ```
    pub fn chance(&self, p: f64) -> bool {
        // The 53 bits that a `f64` between 0 and 1 can hold.
        let part = (self.next_u64() >> 11) as f64 / (1_u64 << 53) as f64;
        part < p
    }

    /// Returns an integer or a duration of a range, each with the same probability.
    ///
    /// # Panics
    ///
    /// Panics if the range is empty.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let sim = glassfrog::sim::Sim::new(1);
    /// let rng = sim.rng();
    /// assert!((10..20).contains(&rng.range(10..20)));
    /// assert!((-3..=3_i8).contains(&rng.range(-3..=3)));
    /// let (least, most) = (Duration::from_millis(1), Duration::from_secs(1));
    /// assert!((least..most).contains(&rng.range(least..most)));
    /// ```
    #[track_caller]
    pub fn range<T: Uniform>(&self, range: impl UniformRange<T>) -> T {
        match range.bounds() {
            Some((least, most)) => T::at(least, self.offset(most.wrapping_sub(least) as u128)),
            None => panic!("the range is empty: `range` takes a range with at least one value"),
        }
    }

    /// Returns a number from 0 to `most`.
    fn offset(&self, most: u128) -> u128 {
        match u64::try_from(most) {
            Ok(u64::MAX) => u128::from(self.next_u64()),
            Ok(most) => u128::from(self.below(most + 1)),
            Err(_) => {
                let number = (u128::from(self.next_u64()) << 64) | u128::from(self.next_u64());
                // No type of more than 64 bits has more than 2⁹⁴ values, so this prefers none noticeably.
                number % (most + 1)
            }
        }
    }

    /// Brings the elements of a slice into a random order, each with the same probability.
    ///
    /// # Examples
    ///
    /// ```
    /// let mut cards = [1, 2, 3, 4];
    /// let sim = glassfrog::sim::Sim::new(1);
    /// sim.rng().shuffle(&mut cards);
    /// cards.sort();
    /// assert_eq!(cards, [1, 2, 3, 4]);
    /// ```
    pub fn shuffle<T>(&self, slice: &mut [T]) {
        for last in (1..slice.len()).rev() {
            slice.swap(last, self.below(last as u64 + 1) as usize);
        }
    }

    /// Returns an element of a slice, each with the same probability, or `None` if the slice is empty.
    ///
    /// # Examples
    ///
    /// ```
    /// let sim = glassfrog::sim::Sim::new(1);
    /// assert!(["a", "b"].contains(sim.rng().pick(&["a", "b"]).unwrap()));
    /// assert_eq!(sim.rng().pick::<u8>(&[]), None);
    /// ```
    pub fn pick<'a, T>(&self, slice: &'a [T]) -> Option<&'a T> {
        match slice.len() {
            0 => None,
            len => slice.get(self.below(len as u64) as usize),
        }
    }
}

impl fmt::Debug for Rng {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rng").finish_non_exhaustive()
    }
}

/// Mixes the bits of a number (the output function of SplitMix64).
pub(super) fn mix(mut number: u64) -> u64 {
    number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

mod sealed {
    /// Keeps other crates from implementing the traits of this module.
    pub trait Sealed {}
}

/// A type of which [`Rng::range`] returns values: an integer of at most 64 bits, or a [`Duration`].
///
/// This trait is sealed.
pub trait Uniform: sealed::Sealed + Copy + PartialOrd + Sized {
    /// Returns the place of the value among all values of the type.
    #[doc(hidden)]
    fn place(self) -> i128;

    /// Returns the value `offset` places after the place `least`.
    #[doc(hidden)]
    fn at(least: i128, offset: u128) -> Self;
}

/// A range that [`Rng::range`] takes: `a..b` or `a..=b`.
///
/// This trait is sealed.
pub trait UniformRange<T>: sealed::Sealed {
    /// Returns the places of the first and the last value, or `None` if the range is empty.
    #[doc(hidden)]
    fn bounds(self) -> Option<(i128, i128)>;
}

impl<T: Uniform> sealed::Sealed for Range<T> {}
impl<T: Uniform> sealed::Sealed for RangeInclusive<T> {}

impl<T: Uniform> UniformRange<T> for Range<T> {
    fn bounds(self) -> Option<(i128, i128)> {
        (self.start < self.end).then(|| (self.start.place(), self.end.place() - 1))
    }
}

impl<T: Uniform> UniformRange<T> for RangeInclusive<T> {
    fn bounds(self) -> Option<(i128, i128)> {
        let (least, most) = self.into_inner();
        (least <= most).then(|| (least.place(), most.place()))
    }
}

/// Implements [`Uniform`] for integers.
macro_rules! uniform {
    ($($type:ty)*) => {$(
        impl sealed::Sealed for $type {}

        impl Uniform for $type {
            fn place(self) -> i128 {
                self as i128
            }

            fn at(least: i128, offset: u128) -> $type {
                (least + offset as i128) as $type
            }
        }
    )*};
}

uniform!(u8 u16 u32 u64 usize i8 i16 i32 i64 isize);

impl sealed::Sealed for Duration {}

impl Uniform for Duration {
    fn place(self) -> i128 {
        self.as_nanos() as i128
    }

    fn at(least: i128, offset: u128) -> Duration {
        const SECOND: u128 = 1_000_000_000;
        let nanos = least as u128 + offset;
        Duration::new((nanos / SECOND) as u64, (nanos % SECOND) as u32)
    }
}

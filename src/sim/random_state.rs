//! [`RandomState`]: hash keys that the seed of a simulation determines.

use super::inside;
use std::collections::hash_map;
use std::hash::{BuildHasher, DefaultHasher, Hasher};

/// A [`BuildHasher`] for `HashMap` and `HashSet`: deterministic inside a simulation, and random outside.
///
/// The standard library's [`RandomState`](hash_map::RandomState) draws its keys from the operating system, so a program that
/// iterates over a `HashMap` does so in another order in each process. Inside a host of a simulation, this type draws
/// its keys from the host's [stream](super::rng). Everywhere else it is the standard library's.
///
/// The order of iteration may change with the version of the standard library, and a seed then leads to another run.
///
/// # Examples
///
/// ```
/// use glassfrog::sim;
/// use std::collections::HashMap;
///
/// let mut ages: HashMap<&str, u32, sim::RandomState> = HashMap::default();
/// ages.insert("Kermit", 69);
/// assert_eq!(ages["Kermit"], 69);
/// ```
#[derive(Clone, Debug)]
pub struct RandomState {
    /// The keys.
    keys: Keys,
}

/// The keys of a [`RandomState`].
#[derive(Clone, Debug)]
enum Keys {
    /// The simulation has determined them.
    Seeded(u64),
    /// The operating system has.
    Random(hash_map::RandomState),
}

impl RandomState {
    /// Creates new keys.
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::sim::RandomState;
    /// use std::collections::HashSet;
    ///
    /// let mut seen = HashSet::with_hasher(RandomState::new());
    /// assert!(seen.insert(1));
    /// ```
    pub fn new() -> RandomState {
        let keys = match inside::try_here() {
            Some(here) => Keys::Seeded(here.rng.next_u64()),
            None => Keys::Random(hash_map::RandomState::new()),
        };
        RandomState { keys }
    }
}

impl Default for RandomState {
    fn default() -> RandomState {
        RandomState::new()
    }
}

impl BuildHasher for RandomState {
    type Hasher = DefaultHasher;

    fn build_hasher(&self) -> DefaultHasher {
        match &self.keys {
            Keys::Seeded(seed) => {
                let mut hasher = DefaultHasher::new();
                hasher.write_u64(*seed);
                hasher
            }
            Keys::Random(keys) => keys.build_hasher(),
        }
    }
}

//! The slab, compared with a map from every key that it has ever returned.

use crate::slab::{Key, Slab};
use proptest::prelude::*;
use std::collections::HashMap;

proptest! {
    /// A slab answers like a map from every key ever returned, even after it has freed memory. There are many times
    /// as many slots as a slab keeps.
    #[test]
    fn a_slab_behaves_like_a_map_with_unique_keys(
        steps in prop::collection::vec((0..4, any::<prop::sample::Index>(), 0..3000_usize), 0..60)
    ) {
        let mut slab = Slab::new();
        let mut oracle: HashMap<(usize, u32), usize> = HashMap::new();
        let mut given: Vec<Key> = Vec::new();
        for (step, (what, which, count)) in steps.into_iter().enumerate() {
            match what {
                0 | 1 => for _ in 0..count {
                    let expected = slab.next_key();
                    let key = slab.insert(step);
                    prop_assert_eq!(key, expected);
                    prop_assert!(oracle.insert((key.index(), key.generation()), step).is_none());
                    given.push(key);
                },
                // Removes a range of the keys returned so far, stale ones too.
                2 => for key in given.iter().skip(which.index(given.len().max(1))).take(2 * count) {
                    prop_assert_eq!(slab.remove(*key), oracle.remove(&(key.index(), key.generation())));
                },
                _ => slab.shrink(),
            }
            prop_assert_eq!(slab.len(), oracle.len());
        }
        for key in &given {
            prop_assert_eq!(slab.get_mut(*key), oracle.get_mut(&(key.index(), key.generation())));
        }
        let mut left: Vec<usize> = oracle.into_values().collect();
        left.sort_unstable();
        prop_assert_eq!(slab.iter_mut().count(), left.len());
        let mut drained: Vec<usize> = slab.drain().collect();
        drained.sort_unstable();
        prop_assert_eq!(drained, left);
        prop_assert_eq!(slab.len(), 0);
    }
}

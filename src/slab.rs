//! A slab with generations: the one container of tasks, sources and timers.
//!
//! A key is an index and the generation that its slot had when the key was given out. Removing a
//! value moves the slot to the next generation, so a key that is kept too long finds nothing
//! instead of somebody else's value. A slot comes back to the same generation after 2³² reuses;
//! those who keep keys for that long see a spurious wake at worst.

/// Names a value in a [`Slab`]; worthless once the value is removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Key {
    /// Which slot.
    index: u32,
    /// What the slot's generation was when the value was put in.
    generation: u32,
}

impl Key {
    /// A key that no slab ever gives out.
    pub(crate) const NONE: Key = Key {
        index: u32::MAX,
        generation: u32::MAX,
    };

    /// The position of the slot; small, and shared by all generations.
    pub(crate) fn index(self) -> usize {
        self.index as usize
    }

    /// How many values had the slot before (modulo 2³²).
    pub(crate) fn generation(self) -> u32 {
        self.generation
    }
}

/// A vector with holes, in which every slot counts its reuses.
pub(crate) struct Slab<T> {
    /// All slots, occupied or not.
    slots: Vec<Slot<T>>,
    /// The first vacant slot, or `slots.len()` if there is none.
    vacant: u32,
    /// How many slots are occupied.
    len: usize,
}

/// One place in a slab.
struct Slot<T> {
    /// Raised whenever a value is removed.
    generation: u32,
    /// The value, or the way to the next vacant slot.
    state: State<T>,
}

/// What a slot holds.
enum State<T> {
    /// A value.
    Occupied(T),
    /// Nothing; the index of the next vacant slot.
    Vacant(u32),
}

impl<T> Slab<T> {
    /// An empty slab, without an allocation.
    pub(crate) const fn new() -> Slab<T> {
        Slab {
            slots: Vec::new(),
            vacant: 0,
            len: 0,
        }
    }

    /// How many values it holds.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// The key that the next [`insert`](Slab::insert) will return.
    pub(crate) fn next_key(&self) -> Key {
        Key {
            index: self.vacant,
            generation: self
                .slots
                .get(self.vacant as usize)
                .map_or(0, |slot| slot.generation),
        }
    }

    /// Puts a value in.
    ///
    /// # Panics
    ///
    /// With 2³² − 1 values in it, which no machine has room for.
    pub(crate) fn insert(&mut self, value: T) -> Key {
        let index = self.vacant;
        self.len += 1;
        if let Some(slot) = self.slots.get_mut(index as usize) {
            if let State::Vacant(next) = slot.state {
                self.vacant = next;
            }
            slot.state = State::Occupied(value);
            let generation = slot.generation;
            return Key { index, generation };
        }
        assert!(index < u32::MAX, "a slab holds at most 2^32 - 1 values");
        let generation = 0;
        self.slots.push(Slot {
            generation,
            state: State::Occupied(value),
        });
        self.vacant = index + 1;
        Key { index, generation }
    }

    /// The value of a key, if it is still there.
    pub(crate) fn get_mut(&mut self, key: Key) -> Option<&mut T> {
        match self.slots.get_mut(key.index()) {
            Some(Slot {
                generation,
                state: State::Occupied(value),
            }) if *generation == key.generation => Some(value),
            _ => None,
        }
    }

    /// The value at a position, whatever its generation, with the full key.
    pub(crate) fn at(&self, index: usize) -> Option<(Key, &T)> {
        match self.slots.get(index) {
            Some(Slot {
                generation,
                state: State::Occupied(value),
            }) => Some((
                Key {
                    index: index as u32,
                    generation: *generation,
                },
                value,
            )),
            _ => None,
        }
    }

    /// The value at a position that a structure inside the slab refers to.
    ///
    /// # Panics
    ///
    /// If there is none, which is a bug of that structure.
    pub(crate) fn occupied(&mut self, position: u32) -> &mut T {
        match self.slots.get_mut(position as usize) {
            Some(Slot {
                state: State::Occupied(value),
                ..
            }) => value,
            _ => panic!("position {position} of the slab is referred to but vacant"),
        }
    }

    /// Takes a value out, if it is still there.
    pub(crate) fn remove(&mut self, key: Key) -> Option<T> {
        self.vacate(key, |state, vacant| {
            match std::mem::replace(state, vacant) {
                State::Occupied(value) => Some(value),
                State::Vacant(_) => None,
            }
        })?
    }

    /// Drops a value where it is, if it is still there.
    pub(crate) fn discard(&mut self, key: Key) {
        self.vacate(key, |state, vacant| *state = vacant);
    }

    /// Frees the slot of a value, by a function that exchanges its state for another.
    fn vacate<R>(
        &mut self,
        key: Key,
        exchange: impl FnOnce(&mut State<T>, State<T>) -> R,
    ) -> Option<R> {
        let slot = self.slots.get_mut(key.index())?;
        if slot.generation != key.generation || matches!(slot.state, State::Vacant(_)) {
            return None;
        }
        slot.generation = slot.generation.wrapping_add(1);
        let vacant = State::Vacant(self.vacant);
        self.vacant = key.index;
        self.len -= 1;
        Some(exchange(&mut slot.state, vacant))
    }

    /// Takes everything out; the keys that were given out find nothing from now on.
    pub(crate) fn drain(&mut self) -> Vec<T> {
        let keys: Vec<Key> = self.keys().collect();
        keys.into_iter()
            .filter_map(|key| self.remove(key))
            .collect()
    }

    /// The keys of all values, in the order of their positions.
    pub(crate) fn keys(&self) -> impl Iterator<Item = Key> + '_ {
        (0..self.slots.len()).filter_map(|index| self.at(index).map(|(key, _)| key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashMap;

    #[test]
    fn a_key_outlived_by_its_slot_finds_nothing() {
        let mut slab = Slab::new();
        let old = slab.insert("old");
        assert_eq!(slab.remove(old), Some("old"));
        let new = slab.insert("new");
        assert_eq!(old.index(), new.index());
        assert_eq!(slab.get_mut(old), None);
        assert_eq!(slab.remove(old), None);
        assert_eq!(slab.get_mut(new), Some(&mut "new"));
    }

    proptest! {
        /// Against a map from every key ever given out: what a slab answers is what the map answers.
        #[test]
        fn a_slab_is_a_map_whose_keys_are_never_reused(steps in prop::collection::vec((any::<bool>(), any::<prop::sample::Index>()), 0..200)) {
            let mut slab = Slab::new();
            let mut oracle: HashMap<(usize, u32), usize> = HashMap::new();
            let mut given = Vec::new();
            for (step, (insert, which)) in steps.into_iter().enumerate() {
                if insert || given.is_empty() {
                    let expected = slab.next_key();
                    let key = slab.insert(step);
                    prop_assert_eq!(key, expected);
                    prop_assert!(oracle.insert((key.index(), key.generation()), step).is_none());
                    given.push(key);
                } else {
                    let key: Key = given[which.index(given.len())];
                    prop_assert_eq!(slab.remove(key), oracle.remove(&(key.index(), key.generation())));
                }
                prop_assert_eq!(slab.len(), oracle.len());
                for key in &given {
                    prop_assert_eq!(slab.get_mut(*key), oracle.get_mut(&(key.index(), key.generation())));
                }
            }
            let mut left: Vec<usize> = oracle.into_values().collect();
            left.sort_unstable();
            prop_assert_eq!(slab.keys().count(), left.len());
            let mut drained = slab.drain();
            drained.sort_unstable();
            prop_assert_eq!(drained, left);
            prop_assert_eq!(slab.len(), 0);
        }
    }
}

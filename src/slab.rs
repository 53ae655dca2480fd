//! [`Slab`]: a vector with vacant slots, and keys that are never reused.
//!
//! Slabs hold tasks, sources, deadlines, and the members of sets and scopes. A key consists of an index and a
//! generation. The slab counts its insertions, and that count is the generation of the inserted value, unless the
//! caller supplies a number that never repeats. So a stale key finds nothing instead of another value, even in a
//! slot that was freed and allocated again. Generations have 32 bits: a stale key could match only after a multiple
//! of 2³² insertions, the last of them into the same slot.
//!
//! ```text
//!     slots   | A | - | B | - | - | C | - | - | - | - |
//!     vacant      3<--1<------4<------6                   a linked list of vacant slots
//!     end                                 ^               all slots from here on are vacant
//! ```
//!
//! A slab frees its memory after a burst. The owner calls [`shrink`](Slab::shrink) once a turn or after a
//! removal, which lowers the end past vacant slots, and frees the slots behind the end if they are more than half
//! of all slots. It examines at most one slot for each removed value, so a turn without a removal costs nothing.

use std::mem;

/// The key of a value in a [`Slab`]. Once the value is removed, the key finds nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Key {
    /// The index of the slot.
    index: u32,
    /// The generation of the value.
    generation: u32,
}

impl Key {
    /// A key that no slab ever returns.
    pub(crate) const NONE: Key = Key {
        index: u32::MAX,
        generation: u32::MAX,
    };

    /// Creates the key of a slot and a generation.
    pub(crate) fn new(index: u32, generation: u32) -> Key {
        Key { index, generation }
    }

    /// Returns the key as one number.
    pub(crate) fn number(self) -> u64 {
        u64::from(self.generation) << 32 | u64::from(self.index)
    }

    /// Creates the key with this number.
    pub(crate) fn from_number(number: u64) -> Key {
        Key {
            index: number as u32,
            generation: (number >> 32) as u32,
        }
    }

    /// Returns the index of the slot. Indices are small, and later values use them again.
    pub(crate) fn index(self) -> usize {
        self.index as usize
    }

    /// Returns the generation, which distinguishes the value from earlier values in the slot.
    pub(crate) fn generation(self) -> u32 {
        self.generation
    }
}

/// The number of slots up to which a slab never shrinks, so that a small program does not pay for shrinking.
pub(crate) const KEPT_SLOTS: usize = 1024;

/// A vector with vacant slots, and keys that are never reused.
pub(crate) struct Slab<T> {
    /// All slots, occupied or vacant.
    slots: Vec<Slot<T>>,
    /// The index of the first vacant slot in the list, or `slots.len()` if there is none.
    vacant: u32,
    /// All slots from this index on are vacant.
    end: u32,
    /// The number of insertions. The low half is the generation of the next value.
    inserted: u64,
    /// The number of removals.
    removed: u64,
    /// The number of slots that [`shrink`](Slab::shrink) has examined.
    examined: u64,
}

/// A slot of a slab.
struct Slot<T> {
    /// The generation of the value in the slot, or of the last value if the slot is vacant.
    generation: u32,
    /// The value, or the index of the next vacant slot.
    state: State<T>,
}

/// The state of a slot.
enum State<T> {
    /// The slot holds a value.
    Occupied(T),
    /// The slot is vacant. This is the index of the next vacant slot.
    Vacant(u32),
}

impl<T> Slab<T> {
    /// Creates an empty slab, without allocating.
    pub(crate) const fn new() -> Slab<T> {
        Slab {
            slots: Vec::new(),
            vacant: 0,
            end: 0,
            inserted: 0,
            removed: 0,
            examined: 0,
        }
    }

    /// Returns the number of values.
    pub(crate) fn len(&self) -> usize {
        (self.inserted - self.removed) as usize
    }

    /// Returns the number of slots, occupied or vacant.
    #[inline]
    pub(crate) fn slots(&self) -> usize {
        self.slots.len()
    }

    /// Returns the key that the next [`insert`](Slab::insert) will return.
    pub(crate) fn next_key(&self) -> Key {
        self.next_key_as(self.inserted as u32)
    }

    /// Returns the key that the next [`insert_as`](Slab::insert_as) with this generation will return.
    pub(crate) fn next_key_as(&self, generation: u32) -> Key {
        Key::new(self.vacant, generation)
    }

    /// Inserts a value.
    ///
    /// # Panics
    ///
    /// Panics if the slab holds 2³² − 1 values.
    pub(crate) fn insert(&mut self, value: T) -> Key {
        self.insert_as(self.inserted as u32, value)
    }

    /// Inserts a value with a generation that no other value of this slab has had.
    ///
    /// # Panics
    ///
    /// Panics if the slab holds 2³² − 1 values.
    #[inline]
    pub(crate) fn insert_as(&mut self, generation: u32, value: T) -> Key {
        let index = self.vacant;
        let occupied = Slot {
            generation,
            state: State::Occupied(value),
        };
        match self.slots.get_mut(index as usize) {
            Some(slot) => {
                if let State::Vacant(next) = slot.state {
                    self.vacant = next;
                }
                // A vacant slot has nothing to drop, but the compiler cannot know that.
                mem::forget(mem::replace(slot, occupied));
            }
            None => {
                assert!(index < u32::MAX, "a slab holds at most 2^32 - 1 values");
                self.slots.push(occupied);
                self.vacant = index + 1;
            }
        }
        self.end = self.end.max(index + 1);
        self.inserted += 1;
        Key::new(index, generation)
    }

    /// Returns the value of a key, unless it was removed.
    #[inline]
    pub(crate) fn get_mut(&mut self, key: Key) -> Option<&mut T> {
        match self.slots.get_mut(key.index()) {
            Some(Slot {
                generation,
                state: State::Occupied(value),
            }) if *generation == key.generation => Some(value),
            _ => None,
        }
    }

    /// Returns the value at an index and its key, whatever its generation.
    pub(crate) fn at(&self, index: usize) -> Option<(Key, &T)> {
        let slot = self.slots.get(index)?;
        match &slot.state {
            State::Occupied(value) => Some((Key::new(index as u32, slot.generation), value)),
            State::Vacant(_) => None,
        }
    }

    /// Returns the value at a position to which another value of the slab refers.
    ///
    /// # Panics
    ///
    /// Panics if the slot is vacant, which is a bug in the caller.
    pub(crate) fn occupied(&mut self, position: u32) -> &mut T {
        match self.slots.get_mut(position as usize) {
            Some(Slot {
                state: State::Occupied(value),
                ..
            }) => value,
            _ => panic!("slot {position} of the slab is vacant, but another value refers to it"),
        }
    }

    /// Removes and returns a value, unless it was removed before.
    #[inline]
    pub(crate) fn remove(&mut self, key: Key) -> Option<T> {
        self.remove_if(key, |_| true)
    }

    /// Removes and returns a value if `wanted` returns true, unless it was removed before.
    #[inline]
    pub(crate) fn remove_if(&mut self, key: Key, wanted: impl FnOnce(&T) -> bool) -> Option<T> {
        let slot = self.slots.get_mut(key.index())?;
        match &slot.state {
            State::Occupied(value) if slot.generation == key.generation && wanted(value) => {}
            _ => return None,
        }
        let vacant = State::Vacant(mem::replace(&mut self.vacant, key.index));
        self.removed += 1;
        match mem::replace(&mut slot.state, vacant) {
            State::Occupied(value) => Some(value),
            State::Vacant(_) => None,
        }
    }

    /// Removes all values, and frees the memory.
    pub(crate) fn drain(&mut self) -> impl Iterator<Item = T> + use<T> {
        self.removed = self.inserted;
        (self.vacant, self.end) = (0, 0);
        let slots = mem::take(&mut self.slots).into_iter();
        slots.filter_map(|slot| match slot.state {
            State::Occupied(value) => Some(value),
            State::Vacant(_) => None,
        })
    }

    /// Frees the slots from the end on, if they are more than half of all slots and the slab has more than
    /// [`KEPT_SLOTS`].
    #[inline]
    pub(crate) fn shrink(&mut self) {
        if self.slots.len() > KEPT_SLOTS {
            self.lower_end();
            let (end, len) = (self.end as usize, self.slots.len());
            if end < len / 2 {
                self.cut_off(end);
            }
        }
    }

    /// Lowers the end past vacant slots, at most one for each removed value.
    fn lower_end(&mut self) {
        if self.len() == 0 {
            self.end = 0;
        }
        while self.examined < self.removed
            && let Some(last) = self.end.checked_sub(1)
            && self.at(last as usize).is_none()
        {
            self.examined += 1;
            self.end = last;
        }
    }

    /// Frees the slots from `end` on, which are vacant, and rebuilds the list of the remaining vacant slots, lowest
    /// index first.
    #[cold]
    fn cut_off(&mut self, end: usize) {
        self.slots.truncate(end);
        self.slots.shrink_to(KEPT_SLOTS);
        self.vacant = end as u32;
        for (index, slot) in self.slots.iter_mut().enumerate().rev() {
            if let State::Vacant(next) = &mut slot.state {
                *next = mem::replace(&mut self.vacant, index as u32);
            }
        }
    }

    /// Returns an iterator over all values and their keys, in the order of their indices.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Key, &T)> {
        (0..self.end as usize).filter_map(|index| self.at(index))
    }

    /// Returns an iterator that allows modifying each value, in the order of their indices.
    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (Key, &mut T)> {
        let slots = self.slots[..self.end as usize].iter_mut().enumerate();
        slots.filter_map(|(index, slot)| match &mut slot.state {
            State::Occupied(value) => Some((Key::new(index as u32, slot.generation), value)),
            State::Vacant(_) => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stale_key_finds_nothing() {
        let mut slab = Slab::new();
        let old = slab.insert("old");
        assert_eq!(slab.remove(old), Some("old"));
        let new = slab.insert("new");
        assert_eq!(old.index(), new.index());
        assert_eq!(slab.get_mut(old), None);
        assert_eq!(slab.remove(old), None);
        assert_eq!(slab.get_mut(new), Some(&mut "new"));
    }

    /// Returns a slab after a burst of `count` values, without those for which `stays` returns false.
    fn after_a_burst(count: u32, stays: impl Fn(u32) -> bool) -> Slab<u32> {
        let mut slab = Slab::new();
        let keys: Vec<Key> = (0..count).map(|value| slab.insert(value)).collect();
        for (value, key) in keys.into_iter().enumerate() {
            if !stays(value as u32) {
                slab.remove(key);
            }
        }
        slab
    }

    #[test]
    fn the_memory_of_a_burst_is_freed() {
        let mut slab = after_a_burst(1_000_000, |_| false);
        slab.shrink();
        assert!(slab.slots.capacity() <= KEPT_SLOTS);
    }

    #[test]
    fn only_the_slots_up_to_the_last_value_are_kept() {
        let mut slab = after_a_burst(1_000_000, |value| value == 100_000 || value == 700_000);
        slab.shrink();
        // Fewer than half of the slots are behind the last value.
        assert_eq!(slab.slots.len(), 1_000_000);
        let (last, _) = slab.iter().last().expect("two are left");
        slab.remove(last);
        slab.shrink();
        assert_eq!(slab.slots.len(), 100_001);
        assert!(slab.slots.capacity() < 200_002);
        assert_eq!(
            slab.iter().map(|(_, value)| *value).collect::<Vec<_>>(),
            [100_000]
        );
    }

    #[test]
    fn a_slot_that_is_allocated_again_has_a_new_generation() {
        let mut slab = Slab::new();
        let burst: Vec<Key> = (0..10_000).map(|value| slab.insert(value)).collect();
        for key in &burst {
            slab.remove(*key);
        }
        slab.shrink();
        let again: Vec<Key> = (0..10_000).map(|value| slab.insert(value)).collect();
        let stale = |key: &&Key| {
            slab.at(key.index())
                .is_some_and(|(found, _)| found == **key)
        };
        assert_eq!(burst.iter().filter(stale).count(), 0);
        assert_eq!(again.iter().filter(stale).count(), 10_000);
    }

    #[test]
    fn a_steady_load_never_reallocates() {
        let mut slab = Slab::new();
        let mut keys = std::collections::VecDeque::new();
        keys.extend((0..10_000).map(|value| slab.insert(value)));
        let capacity = slab.slots.capacity();
        for value in 0..100_000 {
            slab.remove(keys.pop_front().expect("it is full"));
            slab.shrink();
            keys.push_back(slab.insert(value));
            assert_eq!(slab.slots.capacity(), capacity);
        }
    }

    #[test]
    fn shrinking_examines_at_most_one_slot_for_each_removed_value() {
        for count in [100_000, 200_000] {
            let mut slab = after_a_burst(count, |value| value % 10 == 0);
            for value in 0..count {
                let key = slab.insert(value);
                slab.shrink();
                slab.remove(key);
                slab.shrink();
            }
            assert!(slab.examined <= slab.removed);
        }
    }
}

//! [`Slab`]: a vector with vacant slots, and keys that are never reused.
//!
//! It holds tasks, sources, deadlines, and the members of sets and scopes. A key consists of an index and a
//! generation. The slab counts its insertions, and that count is the generation of the inserted value, unless
//! the caller has a number of its own that never repeats. So a stale key finds nothing instead of another
//! value, even in a slot that was freed and allocated again. Generations have 32 bits: a stale key could match
//! only after a multiple of 2³² insertions, the last of them into the same slot.
//!
//! ```text
//!     slots   | A | - | B | - | - | C | - | - | - | - |
//!     vacant      3<--1<------4<------6                   a linked list of vacant slots
//!     end                                 ^               all slots from here on are vacant
//! ```
//!
//! A slab frees its memory after a burst. The owner calls [`shrink`](Slab::shrink) once a turn or after a
//! removal. It lowers the end past vacant slots, and frees the slots behind the end if they are more than half
//! of all. It looks at one slot for each value that was removed, so a turn without a removal costs nothing.

use std::mem;

/// The key of a value in a [`Slab`]. It finds nothing once the value is removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Key {
    /// The position of the slot.
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

    /// Makes the key of a slot and a generation.
    pub(crate) fn new(index: u32, generation: u32) -> Key {
        Key { index, generation }
    }

    /// Returns the key as one number.
    pub(crate) fn number(self) -> u64 {
        u64::from(self.generation) << 32 | u64::from(self.index)
    }

    /// Makes the key with this number.
    pub(crate) fn from_number(number: u64) -> Key {
        Key {
            index: number as u32,
            generation: (number >> 32) as u32,
        }
    }

    /// Returns the position of the slot, which is small, and the same for all generations.
    pub(crate) fn index(self) -> usize {
        self.index as usize
    }

    /// Returns the generation, which distinguishes the value from others that had the slot.
    pub(crate) fn generation(self) -> u32 {
        self.generation
    }
}

/// How many vacant slots a slab keeps, so that a small program never pays for shrinking.
pub(crate) const KEPT_SLOTS: usize = 1024;

/// A vector with vacant slots, and keys that are never reused.
pub(crate) struct Slab<T> {
    /// All slots, occupied or not.
    slots: Vec<Slot<T>>,
    /// The position of the first vacant slot, or `slots.len()` if there is none.
    vacant: u32,
    /// All slots from this position on are vacant.
    end: u32,
    /// How many values were ever inserted; the low half is the generation of the next one.
    inserted: u64,
    /// How many values were ever removed.
    removed: u64,
    /// How many slots [`shrink`](Slab::shrink) has ever looked at.
    looked_at: u64,
}

/// A slot of a slab.
struct Slot<T> {
    /// The generation of the value in it, or of the last one.
    generation: u32,
    /// The value, or the position of the next vacant slot.
    state: State<T>,
}

/// What a slot holds.
enum State<T> {
    /// A value.
    Occupied(T),
    /// The position of the next vacant slot.
    Vacant(u32),
}

impl<T> Slab<T> {
    /// Makes an empty slab, without an allocation.
    pub(crate) const fn new() -> Slab<T> {
        Slab {
            slots: Vec::new(),
            vacant: 0,
            end: 0,
            inserted: 0,
            removed: 0,
            looked_at: 0,
        }
    }

    /// Returns the number of values.
    pub(crate) fn len(&self) -> usize {
        (self.inserted - self.removed) as usize
    }

    /// Returns the number of slots, occupied or not.
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
    /// If the slab holds 2³² − 1 values, which exceeds the memory of every machine.
    pub(crate) fn insert(&mut self, value: T) -> Key {
        self.insert_as(self.inserted as u32, value)
    }

    /// Inserts a value with a generation that this slab has never had.
    ///
    /// # Panics
    ///
    /// As [`insert`](Slab::insert).
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
                // There is nothing to drop in a vacant slot, but the compiler can't know that.
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

    /// Returns the value at a position and its key, whatever its generation.
    pub(crate) fn at(&self, index: usize) -> Option<(Key, &T)> {
        let slot = self.slots.get(index)?;
        match &slot.state {
            State::Occupied(value) => Some((Key::new(index as u32, slot.generation), value)),
            State::Vacant(_) => None,
        }
    }

    /// Returns the value at a position that another value of the slab refers to.
    ///
    /// # Panics
    ///
    /// If the slot is vacant, which is a bug of the caller.
    pub(crate) fn occupied(&mut self, position: u32) -> &mut T {
        match self.slots.get_mut(position as usize) {
            Some(Slot {
                state: State::Occupied(value),
                ..
            }) => value,
            _ => panic!("position {position} of the slab is referred to but vacant"),
        }
    }

    /// Removes a value, unless it was removed before.
    #[inline]
    pub(crate) fn remove(&mut self, key: Key) -> Option<T> {
        self.remove_if(key, |_| true)
    }

    /// Removes a value if `wanted` returns true, unless it was removed before.
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

    /// Frees the slots behind the last occupied one, if they are many and more than half of all.
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

    /// Lowers the end past vacant slots: at most one for each value that was removed.
    fn lower_end(&mut self) {
        if self.len() == 0 {
            self.end = 0;
        }
        while self.looked_at < self.removed
            && let Some(last) = self.end.checked_sub(1)
            && self.at(last as usize).is_none()
        {
            self.looked_at += 1;
            self.end = last;
        }
    }

    /// Frees the slots from `end` on, which are vacant, and rebuilds the list of the vacant slots before it, the
    /// lowest first.
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

    /// Returns all values with their keys, in the order of their positions.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Key, &T)> {
        (0..self.end as usize).filter_map(|index| self.at(index))
    }

    /// Returns all values with their keys, in the order of their positions.
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
    fn a_key_of_a_removed_value_finds_nothing() {
        let mut slab = Slab::new();
        let old = slab.insert("old");
        assert_eq!(slab.remove(old), Some("old"));
        let new = slab.insert("new");
        assert_eq!(old.index(), new.index());
        assert_eq!(slab.get_mut(old), None);
        assert_eq!(slab.remove(old), None);
        assert_eq!(slab.get_mut(new), Some(&mut "new"));
    }

    /// Returns a slab after a burst of `count` values, of which those remain that `stays` selects.
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
    fn the_slab_frees_its_memory_after_a_burst() {
        let mut slab = after_a_burst(1_000_000, |_| false);
        slab.shrink();
        assert!(slab.slots.capacity() <= KEPT_SLOTS);
    }

    #[test]
    fn the_slab_keeps_only_the_slots_up_to_its_last_value() {
        let mut slab = after_a_burst(1_000_000, |value| value == 100_000 || value == 700_000);
        slab.shrink();
        // Less than half of the slots are after the last value.
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
    fn a_slot_that_is_recreated_gets_a_new_generation() {
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
    fn shrinking_visits_one_slot_per_removed_value() {
        for count in [100_000, 200_000] {
            let mut slab = after_a_burst(count, |value| value % 10 == 0);
            for value in 0..count {
                let key = slab.insert(value);
                slab.shrink();
                slab.remove(key);
                slab.shrink();
            }
            assert!(slab.looked_at <= slab.removed);
        }
    }
}

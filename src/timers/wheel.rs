//! A hierarchical timing wheel: exact deadlines in nanoseconds, at a cost that does not depend on their number.
//!
//! Eleven wheels of 64 slots each cover the 64 bits of a deadline, six bits per wheel. A deadline is stored on
//! the wheel of the highest digit in which it differs from the wheel's own time, in the slot of its own digit:
//!
//! ```text
//!                     wheel 2       wheel 1       wheel 0
//!    wheel's time     .. 17         40            3
//!    deadline A       .. 17         40            9      -> wheel 0, slot 9
//!    deadline B       .. 17         41            0      -> wheel 1, slot 41
//!    deadline C       .. 20         2             63     -> wheel 2, slot 20
//! ```
//!
//! So the first used slot of the lowest used wheel holds the earliest deadlines. When the time reaches the
//! beginning of that slot, its due deadlines fire and the others move to lower wheels. A deadline moves at most
//! ten times, and most are cancelled before they move at all.
//!
//! The timers hold the wheel under a lock. It knows neither clocks nor threads.
//!
//! See Varghese and Lauck, "Hashed and Hierarchical Timing Wheels" (1987).

use crate::slab::{Key, Slab};
use crate::waiter::Waiter;
use std::mem;
use std::panic::Location;

/// The number of bits of a deadline that one wheel resolves.
const DIGIT_BITS: u32 = 6;

/// The number of slots of a wheel: as many as a word has bits, so that one instruction finds the first used
/// slot.
const SLOTS: usize = 1 << DIGIT_BITS;

/// The number of wheels that cover all 64 bits.
const WHEELS: usize = u64::BITS.div_ceil(DIGIT_BITS) as usize;

/// The maximum number of deadlines in a slot that are searched for the earliest. For a fuller slot, the loop
/// wakes up at the beginning of the slot instead, and moves more than this many deadlines to lower wheels.
const MOST_SEARCHED: usize = 32;

/// The end of a list.
const NIL: u32 = u32::MAX;

/// Deadlines with their waiters.
pub(crate) struct Wheel {
    /// The entries of all lists.
    entries: Slab<Entry>,
    /// Where the program has set the deadline in each slot of the slab; `None` if the crate has set it itself. Inside the
    /// entries, a location would be copied with each of their moves.
    locations: Vec<Option<&'static Location<'static>>>,
    /// The first entry of each slot's circular list, ordered by wheel.
    slots: Box<[u32; SLOTS * WHEELS]>,
    /// A bit for each slot of each wheel, set if the slot is not empty.
    used: [u64; WHEELS],
    /// The time up to which all deadlines have fired.
    time: u64,
    /// The earliest deadline, if it is known.
    earliest: Option<u64>,
    /// The number of deadlines that have ever been inserted.
    inserted: u64,
    /// The number of deadlines that have fired.
    fired: u64,
}

/// One deadline.
struct Entry {
    /// The deadline.
    deadline: u64,
    /// The waiter to wake.
    waiter: Waiter,
    /// The place of the entry in a list.
    links: Links,
}

/// The place of an entry in the list of a slot.
#[derive(Clone, Copy)]
struct Links {
    /// The position of the next entry in the slot.
    next: u32,
    /// The position of the previous entry in the slot.
    previous: u32,
    /// The slot.
    slot: u32,
}

/// A deadline that has fired.
#[derive(Debug)]
pub(crate) struct Due {
    /// The deadline.
    pub(crate) deadline: u64,
    /// The waiter to wake.
    pub(crate) waiter: Waiter,
}

/// A deadline that has not fired.
pub(crate) struct Pending<'a> {
    /// The key of the deadline.
    pub(crate) key: Key,
    /// The deadline.
    pub(crate) deadline: u64,
    /// The waiter to wake.
    pub(crate) waiter: &'a Waiter,
    /// Where the program has set the deadline; `None` if the crate has set it itself.
    pub(crate) location: Option<&'static Location<'static>>,
}

impl Wheel {
    /// Creates an empty wheel at time 0.
    pub(crate) fn new() -> Wheel {
        Wheel {
            entries: Slab::new(),
            locations: Vec::new(),
            slots: Box::new([NIL; SLOTS * WHEELS]),
            used: [0; WHEELS],
            time: 0,
            earliest: None,
            inserted: 0,
            fired: 0,
        }
    }

    /// Returns whether there are no deadlines.
    pub(crate) fn is_empty(&self) -> bool {
        self.entries.len() == 0
    }

    /// Inserts a deadline. Returns its key, and whether it may now be the earliest. A deadline that has passed
    /// fires at the next [`advance`](Wheel::advance).
    pub(crate) fn insert(
        &mut self,
        deadline: u64,
        waiter: Waiter,
        location: Option<&'static Location<'static>>,
    ) -> (Key, bool) {
        let position = self.entries.next_key().index() as u32;
        let links = self.join(deadline, position);
        let key = self.entries.insert(Entry {
            deadline,
            waiter,
            links,
        });
        match self.locations.get_mut(key.index()) {
            Some(slot) => *slot = location,
            // The slab appends one slot at a time.
            None => self.locations.push(location),
        }
        self.inserted += 1;
        (key, self.note(deadline))
    }

    /// Changes a deadline that has not fired. Returns whether it may now be the earliest, or `None` if it has
    /// fired.
    pub(crate) fn reset(&mut self, key: Key, deadline: u64) -> Option<bool> {
        let entry = self.entries.get_mut(key)?;
        let former = mem::replace(&mut entry.deadline, deadline);
        let links = entry.links;
        self.leave(links, key.index() as u32);
        self.link(key);
        self.forget(former);
        Some(self.note(deadline))
    }

    /// Updates the earliest deadline after an insertion. Returns whether the new deadline may be the earliest.
    fn note(&mut self, deadline: u64) -> bool {
        let alone = self.entries.len() == 1;
        let earliest = alone || self.earliest.is_none_or(|earliest| deadline < earliest);
        if alone || (earliest && self.earliest.is_some()) {
            self.earliest = Some(deadline);
        }
        earliest
    }

    /// Updates the earliest deadline after a removal.
    fn forget(&mut self, deadline: u64) {
        if self.earliest.is_some_and(|earliest| deadline <= earliest) {
            self.earliest = None;
        }
    }

    /// Returns the waiter of a deadline that has not fired.
    pub(crate) fn waiter_mut(&mut self, key: Key) -> Option<&mut Waiter> {
        Some(&mut self.entries.get_mut(key)?.waiter)
    }

    /// Removes a deadline that has not fired.
    pub(crate) fn remove(&mut self, key: Key) -> Option<Waiter> {
        let entry = self.entries.remove(key)?;
        self.leave(entry.links, key.index() as u32);
        self.forget(entry.deadline);
        Some(entry.waiter)
    }

    /// Frees the capacity that a burst of deadlines has left.
    pub(crate) fn shrink(&mut self) {
        self.entries.shrink();
        let slots = self.entries.slots();
        if self.locations.len() > slots {
            self.locations.truncate(slots);
            self.locations.shrink_to(slots);
        }
    }

    /// Returns the time of the next [`advance`](Wheel::advance): the earliest deadline, or an earlier time if very
    /// many deadlines share its slot.
    pub(crate) fn next(&mut self) -> Option<u64> {
        if self.earliest.is_none()
            && let Some((slot, begin)) = self.first_slot()
        {
            self.earliest = self.earliest_in(slot);
            return self.earliest.or(Some(begin));
        }
        self.earliest
    }

    /// Advances the time to `now` and removes the deadlines that are due, ordered by deadline and then by
    /// insertion.
    pub(crate) fn advance(&mut self, now: u64, due: &mut Vec<Due>) {
        while let Some((slot, begin)) = self.first_slot()
            && begin <= now
        {
            self.time = self.time.max(begin);
            self.empty(slot, now, due);
        }
        self.time = self.time.max(now);
        if self.earliest.is_some_and(|earliest| earliest <= now) {
            self.earliest = None;
        }
        due.sort_by_key(|due| due.deadline);
    }

    /// Returns the numbers of deadlines that have ever been inserted, that have fired, and that have been removed.
    pub(crate) fn counts(&self) -> (u64, u64, u64) {
        let gone = self.inserted - self.entries.len() as u64;
        (self.inserted, self.fired, gone - self.fired)
    }

    /// Returns all deadlines that have not fired, in arbitrary order.
    pub(crate) fn pending(&self) -> impl Iterator<Item = Pending<'_>> {
        self.entries.iter().map(|(key, entry)| Pending {
            key,
            deadline: entry.deadline,
            waiter: &entry.waiter,
            location: self.locations.get(key.index()).copied().flatten(),
        })
    }

    /// Removes all deadlines.
    pub(crate) fn drain(&mut self) -> Vec<Waiter> {
        self.slots.fill(NIL);
        self.used.fill(0);
        self.earliest = None;
        self.entries.drain().map(|entry| entry.waiter).collect()
    }

    /// Empties a slot: removes the deadlines that are due, and links the others anew by the wheel's time.
    fn empty(&mut self, slot: usize, now: u64, due: &mut Vec<Due>) {
        let first = mem::replace(&mut self.slots[slot], NIL);
        self.used[slot / SLOTS] &= !(1 << (slot % SLOTS));
        let mut position = first;
        while let Some((key, entry)) = self.entries.at(position as usize) {
            let next = entry.links.next;
            if entry.deadline <= now {
                if let Some(Entry {
                    deadline, waiter, ..
                }) = self.entries.remove(key)
                {
                    self.fired += 1;
                    due.push(Due { deadline, waiter });
                }
            } else {
                self.link(key);
            }
            if next == first {
                break;
            }
            position = next;
        }
    }

    /// Returns the slot with the earliest deadlines, and the time at which it begins.
    fn first_slot(&self) -> Option<(usize, u64)> {
        let wheel = self.used.iter().position(|used| *used != 0)?;
        let digit = u64::from(self.used[wheel].trailing_zeros());
        let shift = wheel as u32 * DIGIT_BITS;
        // The digits above the wheel's own are the same in the time and in all deadlines on the wheel.
        let above = u64::MAX.checked_shl(shift + DIGIT_BITS).unwrap_or(0);
        let begin = (self.time & above) | digit << shift;
        Some((wheel * SLOTS + digit as usize, begin))
    }

    /// Returns the earliest deadline in a slot, unless the slot holds too many to search.
    fn earliest_in(&self, slot: usize) -> Option<u64> {
        let first = self.slots[slot];
        let mut position = first;
        let mut earliest = u64::MAX;
        for _ in 0..MOST_SEARCHED {
            let (_, entry) = self.entries.at(position as usize)?;
            earliest = earliest.min(entry.deadline);
            position = entry.links.next;
            if position == first {
                return Some(earliest);
            }
        }
        None
    }

    /// Appends an entry that is in no list to the list of its slot.
    fn link(&mut self, key: Key) {
        let Some(entry) = self.entries.get_mut(key) else {
            return;
        };
        let deadline = entry.deadline;
        let links = self.join(deadline, key.index() as u32);
        self.entries.occupied(key.index() as u32).links = links;
    }

    /// Appends a position to the list of the slot for a deadline. Returns the links of the entry at that position, which
    /// need not exist yet.
    #[inline]
    fn join(&mut self, deadline: u64, position: u32) -> Links {
        // A deadline that has passed goes to the slot of the current time, which is always due.
        let deadline = deadline.max(self.time);
        let digits = (u64::BITS - (deadline ^ self.time).leading_zeros()).max(1);
        let wheel = ((digits - 1) / DIGIT_BITS) as usize;
        let digit = (deadline >> (wheel as u32 * DIGIT_BITS)) as usize % SLOTS;
        let slot = wheel * SLOTS + digit;
        let first = self.slots[slot];
        let (next, previous) = if first == NIL {
            self.slots[slot] = position;
            self.used[wheel] |= 1 << digit;
            (position, position)
        } else {
            let last = mem::replace(&mut self.entries.occupied(first).links.previous, position);
            self.entries.occupied(last).links.next = position;
            (first, last)
        };
        Links {
            next,
            previous,
            slot: slot as u32,
        }
    }

    /// Removes a position with these links from its list. The entry need not exist any more.
    fn leave(&mut self, links: Links, position: u32) {
        let Links {
            next,
            previous,
            slot,
        } = links;
        let slot = slot as usize;
        if next == position {
            self.slots[slot] = NIL;
            self.used[slot / SLOTS] &= !(1 << (slot % SLOTS));
        } else {
            self.entries.occupied(previous).links.next = next;
            self.entries.occupied(next).links.previous = previous;
            if self.slots[slot] == position {
                self.slots[slot] = next;
            }
        }
    }
}

//! [`Ring`]: the newest events, which one thread writes and any thread copies.
//!
//! The loop writes without a lock, so that a reader can look while a poll blocks it. A reader may copy a slot while the
//! writer overwrites it. It detects this by the number of events, and drops the copy:
//!
//! ```text
//!    writer    fence(Release)    store the words of event n       store n + 1 in `head` (Release)
//!
//!    reader    load `head` (Acquire)    load the words    fence(Acquire)    load `head` again
//! ```
//!
//! A reader that has loaded a word of event n sees, behind its fence, that `head` is at least n: the fences pair, and the
//! writer has stored n in `head` before its fence. Event n overwrites event n − capacity. So the reader drops every event
//! up to the last value of `head` minus the capacity, and no other event can be torn.

use crate::primitives::{AtomicU64, Ordering, fence};

/// The greatest capacity, in events: 16 GiB, which no program wants, but which is no overflow either.
const LARGEST: usize = 1 << 30;

/// The newest events, as pairs of words.
#[derive(Debug)]
pub(crate) struct Ring {
    /// The words of the events. The number of slots is a power of two, and event n is in slot n modulo this number.
    /// Written by the loop.
    slots: Box<[[AtomicU64; 2]]>,
    /// The number of events that were ever written. Written by the loop.
    head: AtomicU64,
}

impl Ring {
    /// Creates a ring of this many slots, rounded up to a power of two. A reader gets one event less, because the writer
    /// may be overwriting the oldest.
    pub(crate) fn new(events: usize) -> Ring {
        let capacity = events.clamp(1, LARGEST).next_power_of_two();
        Ring {
            slots: (0..capacity)
                .map(|_| [AtomicU64::new(0), AtomicU64::new(0)])
                .collect(),
            head: AtomicU64::new(0),
        }
    }

    /// Returns the number of slots.
    pub(crate) fn capacity(&self) -> u64 {
        self.slots.len() as u64
    }

    /// Returns the number of events that were ever written.
    pub(crate) fn head(&self) -> u64 {
        // Relaxed is enough: this is a position, and no word is read by it.
        self.head.load(Ordering::Relaxed)
    }

    /// Returns the slot of an event.
    #[inline]
    fn slot(&self, event: u64) -> &[AtomicU64; 2] {
        &self.slots[event as usize & (self.slots.len() - 1)]
    }

    /// Writes an event. Only the thread of the loop may call this.
    #[inline]
    pub(crate) fn push(&self, [first, second]: [u64; 2]) {
        let event = self.head.load(Ordering::Relaxed);
        let slot = self.slot(event);
        // Pairs with the fence in `copy`; see the head of this file.
        fence(Ordering::Release);
        slot[0].store(first, Ordering::Relaxed);
        slot[1].store(second, Ordering::Relaxed);
        // Release: pairs with the first Acquire in `copy`, so that a reader finds the words of all counted events.
        self.head.store(event.wrapping_add(1), Ordering::Release);
    }

    /// Copies the events, the oldest first. Returns also the number of older events that are gone. Any thread may call
    /// this.
    pub(crate) fn copy(&self) -> (u64, Vec<[u64; 2]>) {
        let end = self.head.load(Ordering::Acquire);
        let begin = end.saturating_sub(self.capacity());
        let mut words = Vec::with_capacity((end - begin) as usize);
        words.extend((begin..end).map(|event| {
            let slot = self.slot(event);
            // Relaxed is enough: the fence below orders the loads of the words before the load of `head`.
            [
                slot[0].load(Ordering::Relaxed),
                slot[1].load(Ordering::Relaxed),
            ]
        }));
        fence(Ordering::Acquire);
        let newest = self.head.load(Ordering::Relaxed);
        // The writer may be overwriting the event that is `capacity` before the one that it writes now.
        let overwritten = (newest + 1).saturating_sub(self.capacity());
        let torn = overwritten.saturating_sub(begin).min(end - begin);
        words.drain(..torn as usize);
        (begin + torn, words)
    }
}

//! The readiness of one descriptor, and its waiters.
//!
//! Each [`Source`](super::source::Source) owns a [`Readiness`]. Every operation reads its word, without a
//! lock. The bits of the word:
//!
//! ```text
//!    READABLE, WRITABLE                      set by an event; cleared by an operation that would block
//!    READ_CLOSED, WRITE_CLOSED, ERROR,       set by an event, for good
//!    URGENT
//!    HANDED_OUT, ENDED, DEAD, GIVEN_UP       set by this crate, for good
//!    tick: the rest of the word              incremented by every event
//! ```
//!
//! # Why no wake-up is lost
//!
//! An operation that finds its direction not ready locks the waiters, *loads the word again*, and joins
//! the wait queue only if the direction is still not ready. The reactor *first* sets the bits of an
//! event, *then* locks the waiters and takes the queue.
//!
//! - If the operation gets the lock first, its waker is in the queue when the reactor takes the queue.
//! - If the reactor gets the lock first, the lock orders the two, so the second load of the operation
//!   sees the bit. If the bit is gone by then, another operation has cleared it.
//! - An operation clears a bit only after the call has returned `WouldBlock`, or after a short read or
//!   write has shown that the next call would. It compares the tick with the one that it loaded before
//!   the call, and clears nothing if an event has incremented the tick since. So no operation clears the
//!   bit of an event that it has not seen, and after a bit has been cleared, the next change of the
//!   descriptor causes another event.
//!
//! The shutdown sets `DEAD` and takes both queues by the same two steps.

use super::attempts::Buffer;
pub(crate) use super::waiters::Direction;
use super::waiters::{Removed, Swept, Taken, Wait, WaitCounters, WaiterKey, Waiters};
use crate::primitives::{AtomicUsize, Mutex, Ordering, lock};
use crate::waiter::{Tries, Waiter, WaiterInfo};
use std::num::NonZeroU32;

/// A read, a peek or an accept would return something: data, a connection, the end or an error.
pub(crate) const READABLE: usize = 1;
/// A write would send something or return an error.
pub(crate) const WRITABLE: usize = 1 << 1;
/// The peer will send nothing more. Data that it sent before may still be unread.
pub(crate) const READ_CLOSED: usize = 1 << 2;
/// Nothing more can be sent.
pub(crate) const WRITE_CLOSED: usize = 1 << 3;
/// The socket has an error that no operation has returned yet.
pub(crate) const ERROR: usize = 1 << 4;
/// Urgent data has arrived at least once.
pub(crate) const URGENT: usize = 1 << 5;
/// Other code has, or had, access to the descriptor: it was adopted or handed out.
pub(crate) const HANDED_OUT: usize = 1 << 6;
/// Everything that the peer has sent has been read, and it has closed.
pub(crate) const ENDED: usize = 1 << 7;
/// The runtime has ended, or the descriptor could not be registered. No operation waits any more.
pub(crate) const DEAD: usize = 1 << 8;
/// An operation was given up while it was pending. From now on, operations that complete are counted.
pub(crate) const GIVEN_UP: usize = 1 << 9;
/// One tick. The tick counter occupies the rest of the word, at least 22 bits. An operation mistakes a
/// newer event for the one that it has seen only if an exact multiple of 2²² events arrive during its
/// call.
const TICK: usize = 1 << 10;

impl Direction {
    /// Returns the bit that is set while the direction is ready.
    pub(crate) fn bit(self) -> usize {
        match self {
            Direction::Read => READABLE,
            Direction::Write => WRITABLE,
        }
    }
}

/// The word of readiness at one moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Snapshot(usize);

impl Snapshot {
    /// Returns whether an operation in this direction is worth trying.
    pub(crate) fn is_ready(self, direction: Direction) -> bool {
        self.0 & direction.bit() != 0
    }

    /// Returns whether at least one of these bits is set.
    pub(crate) fn has(self, bits: usize) -> bool {
        self.0 & bits != 0
    }
}

/// The readiness and the waiters of one descriptor.
#[derive(Debug)]
pub(crate) struct Readiness {
    /// The word that the module documentation describes. The reactor sets its bits, and operations clear
    /// them.
    word: AtomicUsize,
    /// The waiters. An operation that succeeds at once does not lock them.
    waiters: Mutex<Waiters>,
}

impl Readiness {
    /// Creates the readiness of a descriptor, with these bits and no waiters.
    pub(crate) fn new(bits: usize) -> Readiness {
        Readiness {
            word: AtomicUsize::new(bits),
            waiters: Mutex::new(Waiters::NONE),
        }
    }

    /// Loads the word.
    pub(crate) fn load(&self) -> Snapshot {
        // Acquire: pairs with the Release in `publish` and `mark`. An operation that sees `DEAD` also
        // sees everything that happened before the shutdown.
        Snapshot(self.word.load(Ordering::Acquire))
    }

    /// Clears the bit of a direction in which an operation would block, unless an event has come since
    /// `seen` was loaded.
    pub(crate) fn clear(&self, direction: Direction, seen: Snapshot) {
        let mut word = seen.0;
        while word / TICK == seen.0 / TICK {
            // Relaxed is enough: the bits guard no memory, and a caller that goes on to wait loads the
            // word again under the lock.
            match self.word.compare_exchange_weak(
                word,
                word & !direction.bit(),
                Ordering::Relaxed,
                Ordering::Relaxed,
            ) {
                Ok(_) => return,
                Err(newer) => word = newer,
            }
        }
    }

    /// Sets bits for good.
    pub(crate) fn mark(&self, bits: usize) {
        // Release: pairs with the Acquire in `load`.
        self.word.fetch_or(bits, Ordering::Release);
    }

    /// Sets the bits of an event and moves the queues that wait for it to `taken`. The caller
    /// [subtracts](WaitCounters::subtract) them.
    #[inline(always)]
    pub(crate) fn publish(&self, bits: usize, taken: &mut Taken) {
        // Release: pairs with the Acquire in `load`.
        let _always = self
            .word
            .fetch_update(Ordering::Release, Ordering::Relaxed, |word| {
                Some(word.wrapping_add(TICK) | bits)
            });
        self.take(bits, taken);
    }

    /// Joins the wait queue of a direction, under a key or on the list of the poll methods, unless the
    /// direction is ready.
    ///
    /// The caller clones the waker before the call, and drops the returned waiter after it, so neither
    /// happens under the lock. `buffer` is the buffer of a `poll_read`.
    #[inline(always)]
    pub(crate) fn wait(
        &self,
        direction: Direction,
        key: Option<&mut WaiterKey>,
        waiter: Waiter,
        buffer: Buffer,
        counters: &WaitCounters,
    ) -> Wait {
        let mut waiters = lock(&self.waiters);
        if self.load().has(direction.bit() | DEAD) {
            return Wait::Ready(waiter);
        }
        if waiters.is_empty(direction) {
            // Nearly all waiters take this path. It returns here, because a shared exit would have to
            // distinguish the outcomes.
            waiters.begin(direction, key, waiter, buffer, counters);
            drop(waiters);
            return Wait::Waiting(None);
        }
        let wait = waiters.join(direction, key, waiter, buffer, counters);
        if waiters.has_attempts() {
            self.mark(GIVEN_UP);
        }
        wait
    }

    /// Records that a task has dropped an operation that was pending.
    pub(crate) fn give_up(&self, direction: Direction, task: u32) {
        lock(&self.waiters).give_up(direction, task);
        self.mark(GIVEN_UP);
    }

    /// Records that an operation has completed, after another was given up. A `poll_read` has read `count` bytes.
    pub(crate) fn complete(&self, direction: Direction, task: u32, buffer: Buffer, count: usize) {
        lock(&self.waiters).complete(direction, task, buffer, count);
    }

    /// Returns how often a task has given up and completed operations.
    pub(crate) fn tries(&self, direction: Direction, task: u32) -> Tries {
        lock(&self.waiters).tries(direction, task)
    }

    /// Removes the waiter with this key.
    pub(crate) fn remove(
        &self,
        direction: Direction,
        key: NonZeroU32,
        counters: &WaitCounters,
    ) -> Removed {
        lock(&self.waiters).remove(direction, key, counters)
    }

    /// Keeps the wakers of a sweep after it has woken them, as [`Waiters::keep`] does.
    pub(crate) fn keep(&self, direction: Direction, swept: Swept) -> Vec<Waiter> {
        lock(&self.waiters).keep(direction, swept)
    }

    /// Returns the number of directions that have waiters.
    #[inline(always)]
    pub(crate) fn nonempty_queues(&self) -> usize {
        lock(&self.waiters).nonempty_queues()
    }

    /// Returns the waiters with their directions.
    pub(crate) fn waiting(&self) -> Vec<(Direction, WaiterInfo)> {
        lock(&self.waiters).waiting()
    }

    /// Returns the wakers that are kept although they do not wait, with their directions.
    pub(crate) fn kept(&self) -> Vec<(Direction, WaiterInfo)> {
        lock(&self.waiters).kept()
    }

    /// Ends all waits for the descriptor for good and moves all queues to `taken`. The caller
    /// [subtracts](WaitCounters::subtract) them.
    pub(crate) fn kill(&self, taken: &mut Taken) {
        self.mark(DEAD);
        self.take(READABLE | WRITABLE, taken);
    }

    /// Moves the queues that wait for one of these bits to `taken`.
    #[inline(always)]
    fn take(&self, bits: usize, taken: &mut Taken) {
        let mut waiters = lock(&self.waiters);
        for direction in [Direction::Read, Direction::Write] {
            if bits & direction.bit() != 0 {
                waiters.take(direction, taken);
            }
        }
    }
}

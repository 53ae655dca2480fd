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
use crate::primitives::{AtomicU32, Mutex, MutexGuard, Ordering, lock};
use crate::waiter::{Tag, Tries, Waiter, WaiterInfo};
use std::num::NonZeroU32;
use std::ptr;

/// A read, a peek or an accept would return something: data, a connection, the end or an error.
pub(crate) const READABLE: u32 = 1;
/// A write would send something or return an error.
pub(crate) const WRITABLE: u32 = 1 << 1;
/// The peer will send nothing more. Data that it sent before may still be unread.
pub(crate) const READ_CLOSED: u32 = 1 << 2;
/// Nothing more can be sent.
pub(crate) const WRITE_CLOSED: u32 = 1 << 3;
/// The socket has an error that no operation has returned yet.
pub(crate) const ERROR: u32 = 1 << 4;
/// Urgent data has arrived at least once.
pub(crate) const URGENT: u32 = 1 << 5;
/// Other code has, or had, access to the descriptor: it was adopted or handed out.
pub(crate) const HANDED_OUT: u32 = 1 << 6;
/// Everything that the peer has sent has been read, and it has closed.
pub(crate) const ENDED: u32 = 1 << 7;
/// The runtime has ended, or the descriptor could not be registered. No operation waits any more.
pub(crate) const DEAD: u32 = 1 << 8;
/// An operation was given up while it was pending. From now on, operations that complete are counted.
pub(crate) const GIVEN_UP: u32 = 1 << 9;
/// One tick. The tick counter occupies the rest of the word, 22 bits. An operation mistakes a
/// newer event for the one that it has seen only if an exact multiple of 2²² events arrive during its
/// call.
const TICK: u32 = 1 << 10;

impl Direction {
    /// Returns the bit that is set while the direction is ready.
    pub(crate) fn bit(self) -> u32 {
        match self {
            Direction::Read => READABLE,
            Direction::Write => WRITABLE,
        }
    }
}

/// The word of readiness at one moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Snapshot(u32);

impl Snapshot {
    /// Returns whether an operation in this direction is worth trying.
    pub(crate) fn is_ready(self, direction: Direction) -> bool {
        self.0 & direction.bit() != 0
    }

    /// Returns whether at least one of these bits is set.
    pub(crate) fn has(self, bits: u32) -> bool {
        self.0 & bits != 0
    }
}

/// The readiness and the waiters of one descriptor.
#[derive(Debug)]
pub(crate) struct Readiness {
    /// The word that the module documentation describes. The reactor sets its bits, and operations clear
    /// them.
    word: AtomicU32,
    /// The [address](Buffer::address) of the buffer of the last `poll_read` that was pending, if its waiter is alone in
    /// the queue; otherwise 0. Beside the word, it costs no memory.
    ///
    /// Only a holder of the lock of the waiters uses it, so Relaxed is enough.
    reading: AtomicU32,
    /// The waiters. An operation that succeeds at once does not lock them.
    waiters: Mutex<Waiters>,
}

impl Readiness {
    /// Creates the readiness of a descriptor, with these bits and no waiters.
    pub(crate) fn new(bits: u32) -> Readiness {
        Readiness {
            word: AtomicU32::new(bits),
            reading: AtomicU32::new(0),
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
    pub(crate) fn mark(&self, bits: u32) {
        // Release: pairs with the Acquire in `load`.
        self.word.fetch_or(bits, Ordering::Release);
    }

    /// Sets the bits of an event and moves the queues that wait for it to `taken`. The caller
    /// [subtracts](WaitCounters::subtract) them.
    #[inline(always)]
    pub(crate) fn publish(&self, bits: u32, taken: &mut Taken) {
        // Release: pairs with the Acquire in `load`.
        let _always = self
            .word
            .fetch_update(Ordering::Release, Ordering::Relaxed, |word| {
                Some(word.wrapping_add(TICK) | bits)
            });
        self.take(bits, taken);
    }

    /// Joins the wait queue of a direction, under a key or on the list of the poll methods, unless the
    /// direction is ready. If operations are counted, behaves as if it were, so that the caller comes back to
    /// [`wait_again`](Readiness::wait_again).
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
        let now = self.load();
        if now.has(direction.bit() | DEAD | GIVEN_UP) || !waiters.is_empty(direction) {
            if now.has(direction.bit() | DEAD | GIVEN_UP) {
                return Wait::Ready(waiter);
            }
            return self.join(waiters, direction, key, waiter, buffer, counters);
        }
        // Nearly all waiters take this path. It returns here, because a shared exit would have to
        // distinguish the outcomes.
        if let Direction::Read = direction {
            let pending = buffer.unless_shared().address;
            self.reading.store(pending, Ordering::Relaxed);
        }
        waiters.begin(direction, key, waiter, counters);
        drop(waiters);
        Wait::Waiting(None)
    }

    /// Joins the wait queue of a direction, as [`wait`](Readiness::wait) does, whether or not operations are counted.
    pub(crate) fn wait_again(
        &self,
        direction: Direction,
        key: Option<&mut WaiterKey>,
        waiter: Waiter,
        buffer: Buffer,
        counters: &WaitCounters,
    ) -> Wait {
        let waiters = lock(&self.waiters);
        if self.load().has(direction.bit() | DEAD) {
            return Wait::Ready(waiter);
        }
        self.join(waiters, direction, key, waiter, buffer, counters)
    }

    /// Joins the wait queue of a direction that others wait for, or on which an operation was given up.
    #[inline(never)]
    fn join(
        &self,
        mut waiters: MutexGuard<'_, Waiters>,
        direction: Direction,
        key: Option<&mut WaiterKey>,
        waiter: Waiter,
        buffer: Buffer,
        counters: &WaitCounters,
    ) -> Wait {
        let tag = waiter.tag;
        let was_alone = waiters.is_alone(direction);
        let wait = waiters.join(direction, key, waiter, counters);
        if let Direction::Read = direction {
            let is_alone = waiters.is_alone(direction);
            let pending = buffer.unless_shared().address;
            let former = self.reading.load(Ordering::Relaxed);
            let reading = if is_alone { pending } else { 0 };
            self.reading.store(reading, Ordering::Relaxed);
            drop(waiters);
            let is_repeated = was_alone && is_alone;
            self.note_pending(tag, is_repeated.then_some(former), pending, counters);
        }
        wait
    }

    /// Records that a read is pending. `former` is the buffer of the last one, if the same waiter polls again before any
    /// event. No read has completed meanwhile, so if the buffer has changed, the former read was given up.
    fn note_pending(&self, tag: Tag, former: Option<u32>, pending: u32, counters: &WaitCounters) {
        let former = former.filter(|former| ![0, pending].contains(former) && pending != 0);
        let is_counted = self.load().has(GIVEN_UP);
        let Some((task, _)) = tag.parts() else {
            return;
        };
        if let (Some(former), false) = (former, is_counted) {
            counters.attempted.pend(self.id(), task, former);
            self.mark(GIVEN_UP);
        }
        if former.is_some() || is_counted {
            counters.attempted.pend(self.id(), task, pending);
        }
    }

    /// Returns the identity of the descriptor among those whose attempts are counted: an address that does not change
    /// while an operation is pending.
    fn id(&self) -> usize {
        ptr::from_ref(self).addr()
    }

    /// Records that a task has dropped an operation that was pending.
    pub(crate) fn give_up(&self, direction: Direction, task: u32, counters: &WaitCounters) {
        counters.attempted.give_up(self.id(), direction, task);
        self.mark(GIVEN_UP);
    }

    /// Records that an operation has completed, if another was given up. A `poll_read` has read `count` bytes.
    pub(crate) fn complete(
        &self,
        direction: Direction,
        task: u32,
        buffer: Buffer,
        count: usize,
        counters: &WaitCounters,
    ) {
        if self.load().has(GIVEN_UP) {
            let (attempted, buffer) = (&counters.attempted, buffer.unless_shared());
            attempted.complete(self.id(), direction, task, buffer, count);
        }
    }

    /// Returns how often a task has given up and completed operations.
    pub(crate) fn tries(&self, direction: Direction, task: u32, counters: &WaitCounters) -> Tries {
        match self.load().has(GIVEN_UP) {
            true => counters.attempted.of(self.id(), direction, task),
            false => Tries::default(),
        }
    }

    /// Forgets the operations that were given up. The descriptor is about to be closed.
    #[inline]
    pub(crate) fn forget_attempts(&self, counters: &WaitCounters) {
        if self.load().has(GIVEN_UP) {
            counters.attempted.forget(self.id());
        }
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
    fn take(&self, bits: u32, taken: &mut Taken) {
        let mut waiters = lock(&self.waiters);
        for direction in [Direction::Read, Direction::Write] {
            if bits & direction.bit() != 0 {
                waiters.take(direction, taken);
            }
        }
    }
}

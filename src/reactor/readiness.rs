//! The readiness of one descriptor: what an operation on it may find, and who waits for that.
//!
//! Every operation reads the word of readiness, without a lock. Its bits:
//!
//! ```text
//!    READABLE, WRITABLE                      an event sets it; an operation that hits `WouldBlock`
//!                                            clears it
//!    READ_CLOSED, WRITE_CLOSED, ERROR,       an event sets it, for good
//!    URGENT
//!    HANDED_OUT, ENDED, DEAD                 the crate sets it, for good
//!    tick: the rest of the word              every event adds one
//! ```
//!
//! # Why no wake-up is lost
//!
//! An operation that finds its direction not ready takes the lock of the waiters, *looks at the word
//! again*, and joins the line only if the direction is still not ready. The reactor *first* sets the
//! bits of an event, *then* takes the lock, and takes the line.
//!
//! - If the operation has the lock first, its waker is in the line when the reactor takes the line.
//! - If the reactor has the lock first, the operation sees the bit when it looks again: the lock
//!   orders the two.
//! - No operation clears a bit that it has not tried. It names the tick under which it tried, and
//!   clears nothing if an event has raised the tick since.
//!
//! The end of the runtime sets `DEAD` and takes both lines by the same two steps.

use super::waiters::{Common, Left, Seat, Taken, Wait, Waiters};
use crate::primitives::{AtomicUsize, Mutex, Ordering, lock};
use crate::waiter::{Seen, Waiter};
use std::num::NonZeroU32;

/// A read, an accept or a peek would bring something (or the end, or an error).
pub(crate) const READABLE: usize = 1;
/// A write would get rid of something (or bring an error).
pub(crate) const WRITABLE: usize = 1 << 1;
/// The peer will send no more; what it sent before may still be there.
pub(crate) const READ_CLOSED: usize = 1 << 2;
/// Nothing can be sent any more.
pub(crate) const WRITE_CLOSED: usize = 1 << 3;
/// An error waits to be fetched.
pub(crate) const ERROR: usize = 1 << 4;
/// Urgent data came at least once.
pub(crate) const URGENT: usize = 1 << 5;
/// The descriptor is, or was, in other hands too: it was adopted or handed out.
pub(crate) const HANDED_OUT: usize = 1 << 6;
/// Everything that the peer sent has been read.
pub(crate) const ENDED: usize = 1 << 7;
/// The descriptor has left its runtime, or the runtime has ended: nobody waits any more.
pub(crate) const DEAD: usize = 1 << 8;
/// One event. The tick has the rest of the word, at least 23 bits: an operation would mistake a newer
/// event for the one it tried under only if it slept through exactly a multiple of 2²³ events.
const TICK: usize = 1 << 9;

/// What an operation waits for. Also the index of its line among the waiters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    /// To receive or to accept.
    Read,
    /// To send, or to be connected.
    Write,
}

impl Direction {
    /// The bit that says that it is ready.
    pub(crate) fn bit(self) -> usize {
        match self {
            Direction::Read => READABLE,
            Direction::Write => WRITABLE,
        }
    }
}

/// The word of readiness as it was at one moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Snapshot(usize);

impl Snapshot {
    /// Whether an operation in this direction is worth trying.
    pub(crate) fn is_ready(self, direction: Direction) -> bool {
        self.0 & direction.bit() != 0
    }

    /// Whether at least one of these bits is set.
    pub(crate) fn has(self, bits: usize) -> bool {
        self.0 & bits != 0
    }
}

/// Readiness and waiters of one descriptor.
#[derive(Debug)]
pub(crate) struct Readiness {
    /// The word that the head of this file draws. The reactor sets it, operations clear it.
    word: AtomicUsize,
    /// Who waits. An operation that succeeds at once does not touch it.
    waiters: Mutex<Waiters>,
}

impl Readiness {
    /// Creates a readiness that begins with these bits and without waiters.
    pub(crate) fn new(bits: usize) -> Readiness {
        Readiness {
            word: AtomicUsize::new(bits),
            waiters: Mutex::new(Waiters::NONE),
        }
    }

    /// Returns the word as it is now.
    pub(crate) fn load(&self) -> Snapshot {
        // Acquire: pairs with the Release in `publish` and `mark`. An operation that sees the end of
        // the runtime sees what happened before it.
        Snapshot(self.word.load(Ordering::Acquire))
    }

    /// Notes that an operation found nothing, unless an event has come since `seen` was loaded.
    pub(crate) fn clear(&self, direction: Direction, seen: Snapshot) {
        let mut word = seen.0;
        while word / TICK == seen.0 / TICK {
            // Relaxed is enough: the bits guard no memory, and a caller that goes on to wait looks again
            // under the lock.
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

    /// Sets bits that stay.
    pub(crate) fn mark(&self, bits: usize) {
        // Release: pairs with the Acquire in `load`.
        self.word.fetch_or(bits, Ordering::Release);
    }

    /// Sets the bits of an event and moves the lines that wait for it to `taken`. The caller
    /// [subtracts](Common::subtract) them.
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

    /// Joins the line of a direction, in a seat or on the list of the poll methods, or finds that the
    /// direction is ready.
    ///
    /// The waker was cloned before the call, and a waiter that does not stay in the line is returned,
    /// to be dropped after it: neither runs under the lock.
    #[inline(always)]
    pub(crate) fn wait(
        &self,
        direction: Direction,
        seat: Option<&mut Seat>,
        waiter: Waiter,
        common: &Common,
    ) -> Wait {
        let mut waiters = lock(&self.waiters);
        if self.load().has(direction.bit() | DEAD) {
            return Wait::Ready(waiter);
        }
        if waiters.is_empty(direction) {
            // The way of nearly all waiters. It does not meet the other way again before the end, or
            // each would have to ask at the end which one it was.
            waiters.begin(direction, seat, waiter, common);
            drop(waiters);
            return Wait::Waiting(None);
        }
        waiters.join(direction, seat, waiter, common)
    }

    /// Gives up a seat.
    pub(crate) fn leave(&self, direction: Direction, seat: NonZeroU32, common: &Common) -> Left {
        lock(&self.waiters).leave(direction, seat, common)
    }

    /// Keeps the wakers of a sweep that has woken them; see [`Waiters::keep`].
    pub(crate) fn keep(&self, direction: Direction, swept: Vec<Waiter>) -> Vec<Waiter> {
        lock(&self.waiters).keep(direction, swept)
    }

    /// Returns the number of directions in which somebody waits.
    #[inline(always)]
    pub(crate) fn waited_for(&self) -> usize {
        lock(&self.waiters).waited_for()
    }

    /// Returns who waits in which direction.
    pub(crate) fn look(&self) -> Vec<(Direction, Seen)> {
        lock(&self.waiters).look()
    }

    /// Marks the end of the descriptor in this runtime and moves all lines to `taken`. The caller
    /// [subtracts](Common::subtract) them.
    pub(crate) fn kill(&self, taken: &mut Taken) {
        self.mark(DEAD);
        self.take(READABLE | WRITABLE, taken);
    }

    /// Moves the lines that wait for one of these bits to `taken`.
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

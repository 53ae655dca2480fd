//! What one file descriptor is ready for, and who waits for it.
//!
//! The word of readiness is read on every operation and takes no lock. Its bits:
//!
//! ```text
//!    tick ...                     | DEAD | ENDED | HANDED_OUT | URGENT | ERROR | WRITE_CLOSED | READ_CLOSED | WRITABLE | READABLE
//!    +1 with every event          |  set once, never cleared                                             |  set by events,
//!                                                                                                           cleared by those who
//!                                                                                                           hit `WouldBlock`
//! ```
//!
//! Why no wake-up is lost: whoever finds its direction not ready takes the lock and looks again
//! before it leaves its waker; the reactor first sets the bit and then takes the lock to collect
//! the wakers. Whichever comes second under the lock sees what the first has done. And a bit is
//! only cleared by who tried under the very tick that it clears, so an event that came meanwhile
//! stays.

use crate::sync::{AtomicBool, AtomicUsize, Mutex, Ordering, lock};
use crate::waiter::{Seen, Tag, Waiter};
use std::mem;
use std::num::NonZeroU32;
use std::task::Waker;

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
/// The runtime has ended.
pub(crate) const DEAD: usize = 1 << 8;
/// One event. The tick has the rest of the word, 23 bits at the least; to be fooled, an operation
/// would have to sleep through exactly a multiple of 2²³ events of its socket.
const TICK: usize = 1 << 9;

/// How many wakers of poll methods a descriptor keeps in each direction before it asks who is
/// still there.
///
/// They cannot be taken out (nobody tells when a task loses interest), so a full list is swept: all
/// in it are woken, and those who still care come back. More than two halves of a stream are rarely
/// polled by more than one task each.
const SHARED_WAITERS: usize = 8;

/// How many turns of the reactor have to lie between two sweeps.
///
/// Those who come back must find room, however many they are, or sweeping them again and again
/// would keep the loop busy. What is dead is at most what this many turns left behind.
const TURNS_BETWEEN_SWEEPS: u32 = 1024;

/// What is waited for.
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

/// The seat of an async method among the waiters, once it has had to wait; its drop clears it.
pub(crate) type Seat = Option<NonZeroU32>;

/// Where a waker is left.
#[derive(Debug)]
pub(crate) enum Place<'a> {
    /// In a seat of its own, which is filled in by the first wait.
    Seat(&'a mut Seat),
    /// In the list of the poll methods, in which the same waker stands once. It is swept when it
    /// is full, but not too often.
    Shared {
        /// The turn that the reactor is in.
        turn: u32,
    },
}

/// Readiness and waiters of one descriptor.
#[derive(Debug)]
pub(crate) struct Readiness {
    /// See the head of this file. Set by the reactor, cleared by operations.
    word: AtomicUsize,
    /// Who waits. Never touched on an operation that succeeds at once.
    waiters: Mutex<Waiters>,
    /// Whether anybody does, for the loop, which asks before each park. Written under the lock.
    is_waited_for: AtomicBool,
}

/// Those who wait for one descriptor, in both directions.
#[derive(Debug, Default)]
struct Waiters {
    /// The first of them: mostly there is one, and it costs no allocation.
    first: Option<Entry>,
    /// The others, in no order.
    rest: Vec<Entry>,
    /// The last seat that was given out.
    last_seat: u32,
    /// The turn of the last sweep, if there was one.
    swept: Option<u32>,
}

/// One who waits.
#[derive(Debug)]
struct Entry {
    /// What it waits for.
    direction: Direction,
    /// The seat of an async method; `None` for poll methods, which share a list.
    seat: Seat,
    /// Whom to wake.
    waiter: Waiter,
}

/// What came of the wish to wait.
#[derive(Debug)]
#[must_use]
pub(crate) enum Wait {
    /// There is nothing to wait for: try again. The waker comes back.
    Ready(Waker),
    /// The waker is left; this is the one that it replaces.
    Waiting(Option<Waker>),
    /// The waker is left, and the list was swept: these are to be woken.
    Swept(Vec<Waker>),
}

impl Entry {
    /// Whether it stands in the list of the poll methods of that direction.
    fn shares(&self, direction: Direction) -> bool {
        self.direction == direction && self.seat.is_none()
    }
}

impl Waiters {
    /// A seat that nobody has.
    fn new_seat(&mut self) -> Seat {
        self.last_seat = self.last_seat.wrapping_add(1).max(1);
        NonZeroU32::new(self.last_seat)
    }

    /// Takes out those who share the list of a direction, if they are many and it is time.
    fn sweep(&mut self, direction: Direction, turn: u32) -> Vec<Waker> {
        let mut swept = Vec::new();
        let shares = |entry: &Entry| entry.shares(direction);
        let full = self.iter_mut().filter(|entry| shares(entry)).count() >= SHARED_WAITERS;
        let is_time = self
            .swept
            .is_none_or(|last| turn.wrapping_sub(last) >= TURNS_BETWEEN_SWEEPS);
        if full && is_time {
            self.swept = Some(turn);
            self.take(shares, |waker| swept.push(waker));
        }
        swept
    }

    /// All entries.
    fn iter_mut(&mut self) -> impl Iterator<Item = &mut Entry> {
        self.first.iter_mut().chain(&mut self.rest)
    }

    /// Adds somebody to others who wait, or puts a waker in the place of its former one.
    fn join(&mut self, direction: Direction, place: Place<'_>, waiter: Waiter) -> Wait {
        let former = match &place {
            Place::Seat(None) => None,
            Place::Seat(seat) => self.iter_mut().find(|entry| entry.seat == **seat),
            Place::Shared { .. } => self.iter_mut().find(|entry| {
                entry.shares(direction) && entry.waiter.waker.will_wake(&waiter.waker)
            }),
        };
        if let Some(entry) = former {
            return Wait::Waiting(Some(mem::replace(&mut entry.waiter, waiter).waker));
        }
        let (seat, swept) = match place {
            Place::Seat(seat) => {
                *seat = self.new_seat();
                (*seat, Vec::new())
            }
            Place::Shared { turn } => (None, self.sweep(direction, turn)),
        };
        let entry = Entry {
            direction,
            seat,
            waiter,
        };
        match self.first {
            None => self.first = Some(entry),
            Some(_) => self.rest.push(entry),
        }
        match swept.is_empty() {
            true => Wait::Waiting(None),
            false => Wait::Swept(swept),
        }
    }

    /// Takes out the entries that are chosen.
    fn take(&mut self, chosen: impl Fn(&Entry) -> bool, mut taken: impl FnMut(Waker)) {
        if !self.rest.is_empty() {
            for entry in self.rest.extract_if(.., |entry| chosen(entry)) {
                taken(entry.waiter.waker);
            }
        }
        if self.first.as_ref().is_some_and(&chosen)
            && let Some(entry) = self.first.take()
        {
            taken(entry.waiter.waker);
            if !self.rest.is_empty() {
                self.first = self.rest.pop();
            }
        }
    }
}

impl Readiness {
    /// Readiness that begins with these bits and without waiters.
    pub(crate) fn new(bits: usize) -> Readiness {
        Readiness {
            word: AtomicUsize::new(bits),
            waiters: Mutex::default(),
            is_waited_for: AtomicBool::new(false),
        }
    }

    /// The word as it is now.
    pub(crate) fn load(&self) -> Snapshot {
        // Acquire: pairs with the Release in `publish` and `mark`; who sees that the runtime has
        // ended sees what ended it.
        Snapshot(self.word.load(Ordering::Acquire))
    }

    /// Says that an operation found nothing, unless an event has come since `seen` was loaded.
    pub(crate) fn clear(&self, direction: Direction, seen: Snapshot) {
        // Relaxed is enough: the bits guard no memory, and who goes on to wait looks again under
        // the lock.
        let _newer_event = self
            .word
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |word| {
                (word / TICK == seen.0 / TICK).then_some(word & !direction.bit())
            });
    }

    /// Sets bits that stay.
    pub(crate) fn mark(&self, bits: usize) {
        // Release: pairs with the Acquire in `load`.
        self.word.fetch_or(bits, Ordering::Release);
    }

    /// Sets what an event brought, and hands out those who waited for it.
    pub(crate) fn publish(&self, bits: usize, mut woken: impl FnMut(Waker)) {
        // Release: pairs with the Acquire in `load`.
        let _always = self
            .word
            .fetch_update(Ordering::Release, Ordering::Relaxed, |word| {
                Some(word.wrapping_add(TICK) | bits)
            });
        self.take(|entry| bits & entry.direction.bit() != 0, &mut woken);
    }

    /// Leaves a waker until the direction is ready, or says that it is.
    ///
    /// The waker is a clone that was made before, and what is not left here comes back to be dropped
    /// afterwards: neither runs under the lock.
    #[inline]
    pub(crate) fn wait(
        &self,
        direction: Direction,
        place: Place<'_>,
        waker: Waker,
        tag: Tag,
    ) -> Wait {
        let mut waiters = lock(&self.waiters);
        if self.load().has(direction.bit() | DEAD) {
            return Wait::Ready(waker);
        }
        let waiter = Waiter { waker, tag };
        // The first place is never empty while others wait.
        if waiters.first.is_some() {
            return waiters.join(direction, place, waiter);
        }
        let seat = match place {
            Place::Seat(seat) => {
                *seat = waiters.new_seat();
                *seat
            }
            Place::Shared { .. } => None,
        };
        waiters.first = Some(Entry {
            direction,
            seat,
            waiter,
        });
        self.is_waited_for.store(true, Ordering::Relaxed);
        Wait::Waiting(None)
    }

    /// Gives up a seat. The waker that was in it is the caller's to drop.
    pub(crate) fn leave(&self, seat: NonZeroU32) -> Option<Waker> {
        let mut left = None;
        self.take(|entry| entry.seat == Some(seat), |waker| left = Some(waker));
        left
    }

    /// Takes out the entries that are chosen.
    #[inline]
    fn take(&self, chosen: impl Fn(&Entry) -> bool, taken: impl FnMut(Waker)) {
        let mut waiters = lock(&self.waiters);
        waiters.take(chosen, taken);
        let is_waited_for = waiters.first.is_some();
        self.is_waited_for.store(is_waited_for, Ordering::Relaxed);
    }

    /// Who waits in which direction.
    pub(crate) fn waiting(&self) -> Vec<(Direction, Seen)> {
        lock(&self.waiters)
            .iter_mut()
            .map(|entry| (entry.direction, entry.waiter.look()))
            .collect()
    }

    /// Whether anybody waits. The first place is never empty while others do.
    pub(crate) fn has_waiters(&self) -> bool {
        self.is_waited_for.load(Ordering::Relaxed)
    }

    /// Marks the end of the runtime, and hands out all who wait.
    pub(crate) fn kill(&self, mut woken: impl FnMut(Waker)) {
        self.mark(DEAD);
        self.take(|_| true, &mut woken);
    }
}

//! A registered descriptor: the shape that every operation has.
//!
//! ```text
//!    ready? --yes--> try --done--> settle (short reads and writes) --> Ready
//!      |              |
//!      no             +--WouldBlock--> clear this direction, if no newer event has come
//!      |                                 |
//!      +---------------------------------+--> leave the waker, look again --> Pending
//! ```

use super::Sources;
use super::platform::Lesson;
use super::readiness::{
    DEAD, Direction, ENDED, HANDED_OUT, READABLE, Readiness, Snapshot, WRITABLE,
};
use super::refusal::Refusal;
use super::waiters::{Seat, Taken, Wait};
use crate::foreign::log_panics;
use crate::slab::Key;
use crate::waiter::{Seen, Tag, Waiter};
use std::fmt;
use std::io;
use std::task::Poll;
use std::task::Waker;

/// What a socket begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// This crate has just begun to connect it: nothing is worth trying before the first event.
    Connecting,
    /// This crate has just accepted it: there is room to write.
    Accepted,
    /// This crate made it, for something other than a stream of bytes.
    Created,
    /// It comes from outside, in an unknown state.
    Adopted,
}

impl Origin {
    /// The readiness to begin with.
    fn bits(self) -> usize {
        match self {
            Origin::Connecting | Origin::Created => 0,
            Origin::Accepted => WRITABLE,
            Origin::Adopted => HANDED_OUT,
        }
    }
}

/// A descriptor that the reactor watches.
pub(crate) struct Source<S: ?Sized> {
    /// What it is ready for, and who waits.
    readiness: Readiness,
    /// Its place among the sources of the reactor, if it has one.
    place: Registration,
    /// The descriptor. Last, so that a source can be shared without its type being known.
    io: S,
}

/// Whether the reactor knows a source.
enum Registration {
    /// Under this key.
    Done(Key),
    /// No: every operation fails for this reason.
    Refused(Refusal),
}

/// What every operation on a survivor of its runtime answers.
pub(crate) fn runtime_ended() -> io::Error {
    io::Error::other("the runtime that this socket was made in has ended")
}

impl<S> Source<S> {
    /// A source that has its place but has had no event.
    pub(super) fn new(io: S, origin: Origin, key: Key) -> Source<S> {
        Source {
            readiness: Readiness::new(origin.bits()),
            place: Registration::Done(key),
            io,
        }
    }

    /// A source of which the reactor knows nothing, and which fails for this reason whatever is tried.
    pub(crate) fn refused(io: S, refusal: Refusal) -> Source<S> {
        let readiness = Readiness::new(Origin::Adopted.bits());
        readiness.mark(DEAD);
        Source {
            readiness,
            place: Registration::Refused(refusal),
            io,
        }
    }

    /// Gives the descriptor back. The source has left the reactor.
    pub(crate) fn into_io(self) -> S {
        self.io
    }

    /// The place among the sources of the reactor; `Key::NONE` if it has none.
    pub(super) fn key(&self) -> Key {
        match self.place {
            Registration::Done(key) => key,
            Registration::Refused(_) => Key::NONE,
        }
    }

    /// Notes that the descriptor is in other hands too, so that nothing is concluded any more.
    pub(crate) fn share(&self) {
        self.readiness.mark(HANDED_OUT);
    }

    /// Whether the descriptor is, or was, in other hands too.
    pub(super) fn is_shared(&self) -> bool {
        self.readiness.load().has(HANDED_OUT)
    }

    /// The readiness at this moment; an error once the runtime has ended.
    fn snapshot(&self) -> io::Result<Snapshot> {
        let seen = self.readiness.load();
        if seen.has(DEAD) {
            return Err(match self.place {
                Registration::Refused(refusal) => refusal.error(),
                Registration::Done(_) => runtime_ended(),
            });
        }
        Ok(seen)
    }

    /// Tries an operation if it is worth trying, and notes what it taught. `None`: it would block.
    fn attempt<R>(
        &self,
        direction: Direction,
        op: &mut impl FnMut(&S, Snapshot) -> io::Result<(R, Lesson)>,
    ) -> Option<io::Result<R>> {
        loop {
            let seen = match self.snapshot() {
                Ok(seen) => seen,
                Err(ended) => return Some(Err(ended)),
            };
            if !seen.is_ready(direction) {
                return None;
            }
            match op(&self.io, seen) {
                Ok((result, lesson)) => {
                    match lesson {
                        Lesson::Nothing => {}
                        Lesson::Exhausted => self.readiness.clear(direction, seen),
                        Lesson::Ended => self.readiness.mark(ENDED),
                    }
                    return Some(Ok(result));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.readiness.clear(direction, seen);
                }
                // A signal came first (`signal(7)`).
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Some(Err(error)),
            }
        }
    }

    /// Tries an operation if it is worth trying. Does not wait: `WouldBlock` says that it would.
    pub(crate) fn try_op<R>(
        &self,
        direction: Direction,
        mut op: impl FnMut(&S, Snapshot) -> io::Result<(R, Lesson)>,
    ) -> io::Result<R> {
        self.attempt(direction, &mut op)
            .unwrap_or_else(|| Err(io::ErrorKind::WouldBlock.into()))
    }

    /// Tries an operation until it does something. If it would block, leaves the waker, with the tag,
    /// in the seat of an async method or with `None` on the list of the poll methods.
    pub(crate) fn poll_op<R>(
        &self,
        sources: &Sources,
        direction: Direction,
        mut seat: Option<&mut Seat>,
        waker: &Waker,
        tag: impl Fn() -> Tag,
        mut op: impl FnMut(&S, Snapshot) -> io::Result<(R, Lesson)>,
    ) -> Poll<io::Result<R>> {
        let common = sources.common();
        loop {
            if let Some(result) = self.attempt(direction, &mut op) {
                if let Some(seat) = seat {
                    // If it has waited, the event that ended that has emptied its seat, or is about to.
                    *seat = None;
                }
                return Poll::Ready(result);
            }
            let seat = seat.as_deref_mut();
            let waiter = Waiter {
                waker: waker.clone(),
                tag: tag(),
            };
            match self.readiness.wait(direction, seat, waiter, common) {
                Wait::Ready(unused) => drop(unused),
                Wait::Waiting(former) => {
                    drop(former);
                    return Poll::Pending;
                }
                Wait::Swept(swept) => {
                    for waiter in &swept {
                        log_panics("a waker", || waiter.waker.wake_by_ref());
                    }
                    drop(self.readiness.keep(direction, swept));
                    return Poll::Pending;
                }
            }
        }
    }

    /// Gives up the seat of an async method that no longer waits, and drops the waker in it.
    #[inline]
    pub(crate) fn leave(&self, sources: &Sources, direction: Direction, seat: &mut Seat) {
        if let Some(seat) = seat.take() {
            drop(self.readiness.leave(direction, seat, sources.common()));
        }
    }
}

impl<S: ?Sized> Source<S> {
    /// The descriptor, for what needs no readiness.
    pub(crate) fn io(&self) -> &S {
        &self.io
    }

    /// Who waits in which direction.
    pub(super) fn waiting(&self) -> Vec<(Direction, Seen)> {
        self.readiness.look()
    }

    /// The number of directions in which somebody waits.
    pub(super) fn waited_for(&self) -> usize {
        self.readiness.waited_for()
    }

    /// Notes an event, as [`Readiness::publish`] does.
    #[inline(always)]
    pub(super) fn publish(&self, bits: usize, taken: &mut Taken) {
        self.readiness.publish(bits, taken);
    }

    /// Ends all waiting, as [`Readiness::kill`] does.
    pub(super) fn kill(&self, taken: &mut Taken) {
        self.readiness.kill(taken);
    }
}

impl<S: fmt::Debug + ?Sized> fmt::Debug for Source<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seen = self.readiness.load();
        let waiting = self.waiting().into_iter();
        let waiting: Vec<_> = waiting.map(|(what, who)| (what, who.tag)).collect();
        f.debug_struct("Source")
            .field("io", &&self.io)
            .field("readable", &seen.has(READABLE))
            .field("writable", &seen.has(WRITABLE))
            .field("waiting", &waiting)
            .finish()
    }
}

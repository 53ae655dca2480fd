//! A registered descriptor, and the steps that every operation on it takes.
//!
//! ```text
//!    ready? --yes--> try --done--> record the conclusion of a short read or write --> Ready
//!    ^ |              |
//!    | no             +--WouldBlock--> clear this direction, unless a newer event has come
//!    | |                                |
//!    | |                                +--> back to "ready?"
//!    | v
//!    | leave the waker, check again --not ready--> Pending
//!    |                         |
//!    +----------ready----------+
//! ```
//!
//! Sockets call this module. It chooses no syscalls: the caller passes the operation as a closure. The
//! documentation of [`readiness`](super::readiness) proves that a task whose operation returned `Pending`
//! is always woken.

use super::attempts::Buffer;
use super::platform::Conclusion;
use super::proc_net::Connecting;
use super::readiness::{
    DEAD, Direction, ENDED, GIVEN_UP, HANDED_OUT, READABLE, Readiness, Snapshot, WRITABLE,
};
use super::refusal::{Refusal, runtime_ended};
use super::waiters::{Swept, Taken, Wait, WaitCounters, WaiterKey};
use super::{Io, Sources};
use crate::foreign::log_panics;
use crate::slab::Key;
use crate::waiter::{Tag, Tries, Waiter, WaiterInfo};
use std::fmt;
use std::io;
use std::num::NonZeroU32;
use std::task::Poll;

/// No bits of the readiness.
const NO_BITS: u32 = 0;

/// The state in which a socket is registered, which determines its initial readiness.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum InitialState {
    /// This crate has just begun to connect it. No operation is worth trying before the first event.
    Connecting,
    /// This crate has just accepted or connected it, or created it for datagrams. There is room to write.
    Open,
    /// This crate has created it to listen. No operation is worth trying before the first event.
    Created,
    /// Other code has created it. Its state is unknown.
    Adopted,
}

impl InitialState {
    /// Returns the bits of the initial readiness.
    fn bits(self) -> u32 {
        match self {
            InitialState::Connecting | InitialState::Created => 0,
            InitialState::Open => WRITABLE,
            InitialState::Adopted => HANDED_OUT,
        }
    }
}

/// Where an operation leaves its waiter, and what identifies a `poll_read`.
pub(crate) struct Place<'a, R> {
    /// The key of an async method; `None` for the list of the poll methods.
    pub(crate) key: Option<&'a mut WaiterKey>,
    /// The buffer of a `poll_read`.
    pub(crate) buffer: Buffer,
    /// Returns how many bytes such a read has read.
    pub(crate) count: fn(&R) -> usize,
}

/// What polls an operation. Its methods run without a lock.
pub(crate) trait Poller {
    /// Returns the waker, and the task that leaves it.
    fn waiter(&self) -> Waiter;

    /// Notes that the waiter has joined the queue of the source with this key, and was not there before.
    fn joined(&self, direction: Direction, source: Key);

    /// Notes that the operation is pending.
    fn pending(&self, direction: Direction);

    /// Notes that the operation has completed or failed.
    fn completed(&self);
}

/// An operation whose type is erased. The rare paths are compiled once for all operations with the same result.
type DynOp<'a, S, R> = dyn FnMut(&S, Snapshot) -> io::Result<(R, Conclusion)> + 'a;

/// A descriptor that the reactor watches.
pub(crate) struct Source<S: ?Sized> {
    /// The readiness of the descriptor, and its waiters.
    readiness: Readiness,
    /// The registration with the reactor, or the reason why there is none.
    registration: Registration,
    /// The descriptor. The last field, so that a source can be shared as `Source<dyn Io>`.
    io: S,
}

/// The registration of a source with the reactor.
enum Registration {
    /// The reactor knows the source by this key.
    Done(Key),
    /// The source is not registered, and every operation fails for this reason.
    Refused(Refusal),
}

impl<S> Source<S> {
    /// Creates a source that is registered under this key.
    pub(super) fn new(io: S, initial: InitialState, key: Key) -> Source<S> {
        Source {
            readiness: Readiness::new(initial.bits()),
            registration: Registration::Done(key),
            io,
        }
    }

    /// Creates a source that is not registered. Every operation on it fails for this reason.
    pub(crate) fn refused(io: S, refusal: Refusal) -> Source<S> {
        let readiness = Readiness::new(InitialState::Adopted.bits());
        readiness.mark(DEAD);
        Source {
            readiness,
            registration: Registration::Refused(refusal),
            io,
        }
    }

    /// Returns the descriptor. The source has been removed from the reactor.
    pub(crate) fn into_io(self) -> S {
        self.io
    }

    /// Records that other code has access to the descriptor. From now on, no syscall is skipped.
    pub(crate) fn share(&self) {
        self.readiness.mark(HANDED_OUT);
    }

    /// Returns the error of an operation after the runtime has ended, or on a source that is not registered.
    #[cold]
    fn dead(&self) -> io::Error {
        match self.registration {
            Registration::Refused(refusal) => refusal.error(),
            Registration::Done(_) => runtime_ended(),
        }
    }

    /// Tries an operation once, if the direction is ready and none of the bits `except` is set, and applies its
    /// conclusion. Returns `None` if the operation was not tried, would block, or was interrupted.
    #[inline(always)]
    fn attempt_once<R>(
        &self,
        direction: Direction,
        except: u32,
        op: &mut impl FnMut(&S, Snapshot) -> io::Result<(R, Conclusion)>,
    ) -> Option<io::Result<R>> {
        let seen = self.readiness.load();
        // One test for both, because nearly no descriptor has these bits.
        if seen.has(DEAD | except) {
            return match seen.has(DEAD) {
                true => Some(Err(self.dead())),
                false => None,
            };
        }
        if !seen.is_ready(direction) {
            return None;
        }
        match op(&self.io, seen) {
            Ok((result, conclusion)) => {
                match conclusion {
                    Conclusion::Nothing => {}
                    Conclusion::Exhausted => self.readiness.clear(direction, seen),
                    Conclusion::Ended => self.readiness.mark(ENDED),
                }
                Some(Ok(result))
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.readiness.clear(direction, seen);
                None
            }
            // A signal interrupted the call (`signal(7)`). The direction is still ready.
            Err(error) if error.kind() == io::ErrorKind::Interrupted => None,
            Err(error) => Some(Err(error)),
        }
    }

    /// Tries an operation while the direction is ready. Returns `None` if the operation would block.
    fn attempt<R>(
        &self,
        direction: Direction,
        op: &mut impl FnMut(&S, Snapshot) -> io::Result<(R, Conclusion)>,
    ) -> Option<io::Result<R>> {
        loop {
            if let Some(result) = self.attempt_once(direction, NO_BITS, op) {
                return Some(result);
            }
            if !self.readiness.load().has(direction.bit() | DEAD) {
                return None;
            }
        }
    }

    /// Tries an operation without waiting. Returns an error of the kind `WouldBlock` if it would block.
    pub(crate) fn try_op<R>(
        &self,
        direction: Direction,
        mut op: impl FnMut(&S, Snapshot) -> io::Result<(R, Conclusion)>,
    ) -> io::Result<R> {
        self.attempt(direction, &mut op)
            .unwrap_or_else(|| Err(io::ErrorKind::WouldBlock.into()))
    }

    /// Polls an operation. If it would block, leaves the waiter: under the key of an async
    /// method, or, without a key, on the list of the poll methods.
    pub(crate) fn poll_op<R>(
        &self,
        sources: &Sources,
        direction: Direction,
        place: Place<'_, R>,
        poller: impl Poller,
        mut op: impl FnMut(&S, Snapshot) -> io::Result<(R, Conclusion)>,
    ) -> Poll<io::Result<R>> {
        let counters = sources.counters();
        let Place {
            mut key,
            buffer,
            count,
        } = place;
        if let Some(result) = self.attempt_once(direction, GIVEN_UP, &mut op) {
            if let Some(key) = key {
                // If the method has waited, the event that ended the wait has taken the waiter, or is
                // about to take it.
                *key = None;
            }
            poller.completed();
            return Poll::Ready(result);
        }
        let waiting_key = key.as_deref_mut();
        let waiter = poller.waiter();
        match self
            .readiness
            .wait(direction, waiting_key, waiter, buffer, counters)
        {
            Wait::Ready(waiter) => {
                let place = Place { key, buffer, count };
                // Moved: if the address of `op` were passed on, every poll would keep `op` in memory.
                let mut op = move |io: &S, seen| op(io, seen);
                return self.poll_again(counters, direction, place, (poller, waiter), &mut op);
            }
            Wait::Waiting(None) => poller.joined(direction, self.key()),
            Wait::Waiting(former) => drop(former),
            Wait::Swept(swept) => {
                self.end_sweep(direction, *swept);
                poller.joined(direction, self.key());
            }
        }
        poller.pending(direction);
        Poll::Pending
    }

    /// Polls an operation again: an event has come just before it could wait, or another operation was given up before,
    /// so that this one is counted if it completes.
    ///
    /// Out of line, because both are rare. Without the loop, the usual path has less to keep in registers.
    #[cold]
    #[inline(never)]
    fn poll_again<R>(
        &self,
        counters: &WaitCounters,
        direction: Direction,
        place: Place<'_, R>,
        (poller, mut waiter): (impl Poller, Waiter),
        mut op: &mut DynOp<'_, S, R>,
    ) -> Poll<io::Result<R>> {
        let Place {
            mut key,
            buffer,
            count,
        } = place;
        let task = waiter.tag.parts();
        loop {
            if let Some(result) = self.attempt(direction, &mut op) {
                if let Some(key) = key {
                    *key = None;
                }
                if let Some((task, _)) = task {
                    let count = result.as_ref().map_or(0, count);
                    let readiness = &self.readiness;
                    readiness.complete(direction, task, buffer, count, counters);
                }
                drop(waiter);
                poller.completed();
                return Poll::Ready(result);
            }
            let waiting_key = key.as_deref_mut();
            match self
                .readiness
                .wait_again(direction, waiting_key, waiter, buffer, counters)
            {
                Wait::Ready(unused) => waiter = unused,
                Wait::Waiting(former) => {
                    if former.is_none() {
                        poller.joined(direction, self.key());
                    }
                    break;
                }
                Wait::Swept(swept) => {
                    self.end_sweep(direction, *swept);
                    poller.joined(direction, self.key());
                    break;
                }
            }
        }
        poller.pending(direction);
        Poll::Pending
    }

    /// Wakes the wakers of a sweep, and keeps them.
    #[cold]
    #[inline(never)]
    fn end_sweep(&self, direction: Direction, swept: Swept) {
        swept.wake();
        let dropped = self.readiness.keep(direction, swept);
        log_panics("dropping wakers", || drop(dropped));
    }

    /// Removes the waiter of an async method that is dropped before it has completed, and drops its waker. `task` is
    /// the task that drops the method.
    pub(crate) fn remove_waiter(
        &self,
        sources: &Sources,
        direction: Direction,
        key: NonZeroU32,
        task: Option<u32>,
    ) {
        drop(self.readiness.remove(direction, key, sources.counters()));
        if let Some(task) = task {
            self.readiness.give_up(direction, task, sources.counters());
        }
    }
}

impl<S: ?Sized> Source<S> {
    /// Returns the key among the sources of the reactor, or `Key::NONE` if the source is not registered.
    pub(crate) fn key(&self) -> Key {
        match self.registration {
            Registration::Done(key) => key,
            Registration::Refused(_) => Key::NONE,
        }
    }

    /// Describes the operation of a task that waits in this direction.
    pub(crate) fn describe(&self, direction: Direction) -> String
    where
        S: Io,
    {
        let connecting = Connecting::unknown();
        match self.is_shared() {
            true => self.io.describe(direction, &connecting),
            false => self.io.describe_own(direction, &connecting),
        }
    }

    /// Returns the descriptor, for operations that need no readiness.
    pub(crate) fn io(&self) -> &S {
        &self.io
    }

    /// Returns whether other code has, or had, access to the descriptor.
    pub(super) fn is_shared(&self) -> bool {
        self.readiness.load().has(HANDED_OUT)
    }

    /// Returns the waiters with their directions.
    pub(super) fn waiting(&self) -> Vec<(Direction, WaiterInfo)> {
        self.readiness.waiting()
    }

    /// Returns the wakers that are kept although they do not wait, with their directions.
    pub(super) fn kept(&self) -> Vec<(Direction, WaiterInfo)> {
        self.readiness.kept()
    }

    /// Returns how often a task has given up and completed operations.
    pub(super) fn tries(&self, direction: Direction, tag: Tag, counters: &WaitCounters) -> Tries {
        let task = tag.parts();
        task.map_or(Tries::default(), |(task, _)| {
            self.readiness.tries(direction, task, counters)
        })
    }

    /// Forgets the operations that were given up; see [`Readiness::forget_attempts`].
    #[inline]
    pub(super) fn forget_attempts(&self, counters: &WaitCounters) {
        self.readiness.forget_attempts(counters);
    }

    /// Returns the number of directions that have waiters.
    pub(super) fn nonempty_queues(&self) -> usize {
        self.readiness.nonempty_queues()
    }

    /// Publishes an event; see [`Readiness::publish`].
    #[inline(always)]
    pub(super) fn publish(&self, bits: u32, taken: &mut Taken) {
        self.readiness.publish(bits, taken);
    }

    /// Ends all waits; see [`Readiness::kill`].
    pub(super) fn kill(&self, taken: &mut Taken) {
        self.readiness.kill(taken);
    }
}

impl<S: fmt::Debug + ?Sized> fmt::Debug for Source<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seen = self.readiness.load();
        let waiting = self.waiting().into_iter();
        let waiting: Vec<_> = waiting
            .map(|(direction, waiter)| (direction, waiter.tag))
            .collect();
        f.debug_struct("Source")
            .field("io", &&self.io)
            .field("readable", &seen.has(READABLE))
            .field("writable", &seen.has(WRITABLE))
            .field("waiting", &waiting)
            .finish()
    }
}

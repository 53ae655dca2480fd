//! [`Oneshot`]: a channel for a single value, which may cross threads.
//!
//! It carries the outcomes of jobs and of tasks that were spawned from other threads. Wakers run outside its
//! lock.

use crate::foreign::{log_panics, wake_all};
use crate::primitives::{AtomicUsize, Mutex, Ordering, lock};
use crate::waiter::{Tag, Waiter, WaiterInfo};
use std::task::{Context, Poll};

/// A channel for a single value, shared by a sender and a receiver.
///
/// ```text
///    empty ----- send -----> sent ----- poll -----> received
///      |                       |
///      +-------- close --------+--> closed
/// ```
///
/// `close` returns a value that was sent and not received. After it, `send` returns its value.
pub(crate) struct Oneshot<T> {
    /// The state of both sides.
    state: Mutex<State<T>>,
}

/// The state of a [`Oneshot`].
struct State<T> {
    /// The value that was sent and has not been received.
    value: Option<T>,
    /// Whether a value has been sent.
    sent: bool,
    /// Whether the receiver has closed the channel.
    closed: bool,
    /// The waiter of the receiver, until the value is sent.
    waiter: Option<Waiter>,
}

/// Counts the channels that tasks wait for: those whose waiter has the tag of a task.
#[derive(Clone, Copy)]
pub(crate) struct Count<'a>(pub(crate) Option<&'a AtomicUsize>);

impl Count<'_> {
    /// Counts nothing.
    pub(crate) const NONE: Count<'static> = Count(None);

    /// Notes that a waiter replaces another one. The caller holds the lock of the channel, so the number is exact.
    fn note(self, former: Option<&Waiter>, new: Option<&Waiter>) {
        let Count(Some(count)) = self else {
            return;
        };
        let is_task = |waiter: Option<&Waiter>| waiter.is_some_and(|it| it.tag != Tag::NONE);
        // Relaxed is enough, since the number guards nothing. A dump reads it on the thread that polls the tasks.
        match (is_task(former), is_task(new)) {
            (false, true) => drop(count.fetch_add(1, Ordering::Relaxed)),
            (true, false) => drop(count.fetch_sub(1, Ordering::Relaxed)),
            _ => {}
        }
    }
}

impl<T> Oneshot<T> {
    /// Creates an empty channel.
    pub(crate) fn new() -> Oneshot<T> {
        Oneshot {
            state: Mutex::new(State {
                value: None,
                sent: false,
                closed: false,
                waiter: None,
            }),
        }
    }

    /// Sends the value and wakes the receiver.
    ///
    /// # Errors
    ///
    /// Returns the value if the receiver has closed the channel.
    pub(crate) fn send(&self, value: T, count: Count<'_>) -> Result<(), T> {
        let mut state = lock(&self.state);
        state.sent = true;
        if state.closed {
            return Err(value);
        }
        state.value = Some(value);
        let waiter = state.waiter.take();
        count.note(waiter.as_ref(), None);
        drop(state);
        wake_all(waiter.map(|waiter| waiter.waker));
        Ok(())
    }

    /// Returns whether a value has been sent.
    pub(crate) fn is_sent(&self) -> bool {
        lock(&self.state).sent
    }

    /// Receives the value, or stores the waker in place of the former one.
    pub(crate) fn poll(&self, cx: &mut Context<'_>, tag: Tag, count: Count<'_>) -> Poll<T> {
        let waker = cx.waker().clone();
        let mut state = lock(&self.state);
        if let Some(value) = state.value.take() {
            return Poll::Ready(value);
        }
        let former = state.waiter.replace(Waiter { waker, tag });
        count.note(former.as_ref(), state.waiter.as_ref());
        drop(state);
        drop(former);
        Poll::Pending
    }

    /// Closes the channel. Returns a value that was sent and has not been received.
    pub(crate) fn close(&self, count: Count<'_>) -> Option<T> {
        let mut state = lock(&self.state);
        state.closed = true;
        let (value, waiter) = (state.value.take(), state.waiter.take());
        count.note(waiter.as_ref(), None);
        drop(state);
        log_panics("dropping a waker", || drop(waiter));
        value
    }

    /// Returns whether the receiver has closed the channel.
    pub(crate) fn is_closed(&self) -> bool {
        lock(&self.state).closed
    }

    /// Returns the waiter of the receiver, if there is one.
    pub(crate) fn awaited_by(&self) -> Option<WaiterInfo> {
        lock(&self.state).waiter.as_ref().map(Waiter::info)
    }
}

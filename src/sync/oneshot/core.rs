//! [`Core`]: the state that both ends of a oneshot channel share, and why neither misses a wake-up.
//!
//! Each end reads the state and leaves its waker under one lock. The other end changes the state and takes that waker
//! under the same lock. This file clones, calls and drops wakers and values outside the lock.

use crate::foreign::wake_all;
use crate::primitives::{Mutex, lock};
use std::task::{Context, Poll, Waker};

/// The state that both ends share.
///
/// ```text
///    open ----- send -----> sent ----- poll_recv -----> done
///     | \                    |                           ^
///     |  +-- drop_sender ----|---------------------------+
///     +-- close --> closed --|---------------------------+
///                            +----- drop_receiver -------+
/// ```
///
/// `close` after `send` leaves the value to the receiver.
pub(crate) struct Core<T> {
    /// The state.
    state: Mutex<State<T>>,
}

/// The state of a [`Core`].
struct State<T> {
    /// The value that was sent and has not been received.
    value: Option<T>,
    /// Whether the sender has sent the value or has been dropped.
    is_complete: bool,
    /// Whether the receiver has been closed or dropped.
    is_closed: bool,
    /// The waker of the receiver, which waits for the value.
    receiver: Option<Waker>,
    /// The waker of the sender, which waits until the channel is closed.
    sender: Option<Waker>,
}

/// The end that a waker belongs to.
#[derive(Clone, Copy)]
enum Side {
    /// The sender.
    Sender,
    /// The receiver.
    Receiver,
}

impl<T> State<T> {
    /// Returns the place of a waker.
    fn waker(&mut self, side: Side) -> &mut Option<Waker> {
        match side {
            Side::Sender => &mut self.sender,
            Side::Receiver => &mut self.receiver,
        }
    }
}

impl<T> Core<T> {
    /// Creates an open channel.
    pub(crate) fn new() -> Core<T> {
        Core {
            state: Mutex::new(State {
                value: None,
                is_complete: false,
                is_closed: false,
                receiver: None,
                sender: None,
            }),
        }
    }

    /// Sends the value and wakes the receiver.
    ///
    /// # Errors
    ///
    /// Returns the value if the channel is closed.
    pub(crate) fn send(&self, value: T) -> Result<(), T> {
        let mut state = lock(&self.state);
        state.is_complete = true;
        let former = state.sender.take();
        if state.is_closed {
            drop(state);
            drop(former);
            return Err(value);
        }
        state.value = Some(value);
        let receiver = state.receiver.take();
        drop(state);
        wake_all(receiver);
        drop(former);
        Ok(())
    }

    /// Marks the sender as dropped, and wakes the receiver if no value was sent.
    pub(crate) fn drop_sender(&self) {
        let mut state = lock(&self.state);
        state.is_complete = true;
        let (receiver, former) = (state.receiver.take(), state.sender.take());
        drop(state);
        wake_all(receiver);
        drop(former);
    }

    /// Closes the channel and wakes the sender. A value that was sent can still be received.
    pub(crate) fn close(&self) {
        let mut state = lock(&self.state);
        state.is_closed = true;
        let sender = state.sender.take();
        drop(state);
        wake_all(sender);
    }

    /// Closes the channel, wakes the sender, and returns the value that was sent and has not been received.
    #[must_use]
    pub(crate) fn drop_receiver(&self) -> Option<T> {
        let mut state = lock(&self.state);
        state.is_closed = true;
        let (value, sender) = (state.value.take(), state.sender.take());
        let former = state.receiver.take();
        drop(state);
        wake_all(sender);
        drop(former);
        value
    }

    /// Returns whether the channel is closed.
    pub(crate) fn is_closed(&self) -> bool {
        lock(&self.state).is_closed
    }

    /// Returns whether the sender has sent the value or has been dropped.
    pub(crate) fn is_complete(&self) -> bool {
        lock(&self.state).is_complete
    }

    /// Returns whether there is a value to receive.
    pub(crate) fn has_value(&self) -> bool {
        lock(&self.state).value.is_some()
    }

    /// Receives the value. Returns `Ready(None)` if the channel can no longer yield a value, and `Pending` if it can.
    pub(crate) fn try_recv(&self) -> Poll<Option<T>> {
        Self::take(&mut lock(&self.state))
    }

    /// Receives the value, or leaves the waker for the sender.
    pub(crate) fn poll_recv(&self, cx: &mut Context<'_>) -> Poll<Option<T>> {
        self.poll(cx, Side::Receiver, Self::take)
    }

    /// Returns `Ready` if the channel is closed, or leaves the waker for the receiver.
    pub(crate) fn poll_closed(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.poll(cx, Side::Sender, |state| match state.is_closed {
            true => Poll::Ready(()),
            false => Poll::Pending,
        })
    }

    /// Takes the value out of the state.
    fn take(state: &mut State<T>) -> Poll<Option<T>> {
        match state.value.take() {
            None if !state.is_complete && !state.is_closed => Poll::Pending,
            value => Poll::Ready(value),
        }
    }

    /// Calls `ask` with the state, and leaves the waker if there is no result.
    fn poll<R>(
        &self,
        cx: &mut Context<'_>,
        side: Side,
        mut ask: impl FnMut(&mut State<T>) -> Poll<R>,
    ) -> Poll<R> {
        let mut state = lock(&self.state);
        let polled = ask(&mut state);
        let is_left = |waker: &Waker| waker.will_wake(cx.waker());
        if polled.is_ready() || state.waker(side).as_ref().is_some_and(is_left) {
            return polled;
        }
        // Clones the waker outside the lock, because a waker is foreign code. The state may change meanwhile.
        drop(state);
        let waker = cx.waker().clone();
        let mut state = lock(&self.state);
        let polled = ask(&mut state);
        let unused = match polled.is_ready() {
            true => Some(waker),
            false => state.waker(side).replace(waker),
        };
        drop(state);
        drop(unused);
        polled
    }
}

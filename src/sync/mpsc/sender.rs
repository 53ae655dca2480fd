//! [`Sender`], and [`Tx`], which both kinds of senders share.

use super::error::{SendError, TrySendError};
use super::{CLOSED, SEND, Seen};
use crate::executor::budget::{poll_budget, spend_budget};
use crate::executor::waits::Wait;
use crate::sync::assert_may_block;
use crate::sync::ends::Slot;
use pin_project_lite::pin_project;
use std::fmt;
use std::panic::Location;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

/// A sender of either kind.
pub(super) struct Tx<T> {
    /// The sender.
    inner: async_channel::Sender<T>,
    /// The state of the channel for dumps.
    seen: Arc<Seen>,
    /// The position of the mark of this sender.
    slot: Slot,
}

impl<T> Tx<T> {
    /// Wraps a sender.
    pub(super) fn new(
        inner: async_channel::Sender<T>,
        seen: &Arc<Seen>,
        location: &'static Location<'static>,
    ) -> Tx<T> {
        let seen = Arc::clone(seen);
        let slot = seen.senders.enter(location);
        Tx { inner, seen, slot }
    }

    /// Clones the sender.
    pub(super) fn clone_at(&self, location: &'static Location<'static>) -> Tx<T> {
        Tx::new(self.inner.clone(), &self.seen, location)
    }

    /// Returns a sender that does not keep the channel open.
    pub(super) fn downgrade(&self) -> WeakTx<T> {
        WeakTx {
            inner: self.inner.downgrade(),
            seen: Arc::clone(&self.seen),
        }
    }

    /// See [`Sender::try_send`].
    pub(super) fn try_send(&self, value: T) -> Result<(), TrySendError<T>> {
        self.inner.try_send(value).map_err(|error| match error {
            async_channel::TrySendError::Full(value) => TrySendError::Full(value),
            async_channel::TrySendError::Closed(value) => TrySendError::Closed(value),
        })
    }

    /// See [`Sender::closed`].
    pub(super) fn closed(&self, location: &'static Location<'static>) -> Closed<'_, T> {
        Closed {
            slow: None,
            sender: self,
            location,
            wait: Wait::default(),
        }
    }

    /// Returns the queue.
    pub(super) fn queue(&self) -> &async_channel::Sender<T> {
        &self.inner
    }
}

impl<T> Drop for Tx<T> {
    fn drop(&mut self) {
        self.seen.senders.leave(&self.slot);
    }
}

/// A weak sender of either kind.
pub(super) struct WeakTx<T> {
    /// The weak sender.
    inner: async_channel::WeakSender<T>,
    /// The state of the channel for dumps.
    seen: Arc<Seen>,
}

impl<T> WeakTx<T> {
    /// Returns a sender, if the channel is open.
    pub(super) fn upgrade(&self, location: &'static Location<'static>) -> Option<Tx<T>> {
        Some(Tx::new(self.inner.upgrade()?, &self.seen, location))
    }
}

impl<T> Clone for WeakTx<T> {
    fn clone(&self) -> WeakTx<T> {
        WeakTx {
            inner: self.inner.clone(),
            seen: Arc::clone(&self.seen),
        }
    }
}

/// A sender of a [`channel`](super::channel). Clones send to the same receiver.
///
/// # Examples
///
/// See [`mpsc`](super).
pub struct Sender<T>(pub(super) Tx<T>);

impl<T> Sender<T> {
    /// Sends a value, waiting until the channel has room.
    ///
    /// # Errors
    ///
    /// Returns the value if the receiver has been closed or dropped.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped before it completes, the value is dropped and not sent.
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::sync::mpsc;
    ///
    /// glassfrog::block_on(async {
    ///     let (sender, mut receiver) = mpsc::channel(1);
    ///     sender.send(1).await.unwrap();
    ///     let second = glassfrog::spawn(async move { sender.send(2).await });
    ///     assert_eq!(receiver.recv().await, Some(1));
    ///     second.await.unwrap().unwrap();
    ///     assert_eq!(receiver.recv().await, Some(2));
    /// });
    /// ```
    #[inline]
    #[track_caller]
    pub fn send(&self, value: T) -> Send<'_, T> {
        Send {
            slow: None,
            value: Some(value),
            sender: &self.0,
            location: Location::caller(),
            wait: Wait::default(),
        }
    }

    /// Sends a value if the channel has room.
    ///
    /// # Errors
    ///
    /// Returns the value if the channel is full, or if the receiver has been closed or dropped.
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::sync::mpsc::{self, error::TrySendError};
    ///
    /// let (sender, receiver) = mpsc::channel(1);
    /// sender.try_send(1).unwrap();
    /// assert_eq!(sender.try_send(2), Err(TrySendError::Full(2)));
    /// # drop(receiver);
    /// ```
    #[inline]
    pub fn try_send(&self, value: T) -> Result<(), TrySendError<T>> {
        self.0.try_send(value)
    }

    /// Sends a value, blocking the thread until the channel has room.
    ///
    /// # Errors
    ///
    /// Returns the value if the receiver has been closed or dropped.
    ///
    /// # Panics
    ///
    /// Panics on a thread that runs a loop: while blocked, the thread polls no task, not even the one that owns the
    /// receiver.
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::sync::mpsc;
    ///
    /// glassfrog::block_on(async {
    ///     let (sender, mut receiver) = mpsc::channel(1);
    ///     let job = glassfrog::task::spawn_blocking(move || {
    ///         for number in 1..=3 {
    ///             sender.blocking_send(number).unwrap();
    ///         }
    ///     });
    ///     for number in 1..=3 {
    ///         assert_eq!(receiver.recv().await, Some(number));
    ///     }
    ///     job.await.unwrap();
    /// });
    /// ```
    #[track_caller]
    pub fn blocking_send(&self, value: T) -> Result<(), SendError<T>> {
        assert_may_block("blocking_send");
        let sent = self.0.queue().send_blocking(value);
        sent.map_err(|error| SendError(error.0))
    }

    /// Waits until the receiver is closed or dropped.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future has no effect.
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::sync::mpsc;
    ///
    /// glassfrog::block_on(async {
    ///     let (sender, receiver) = mpsc::channel::<u32>(1);
    ///     glassfrog::spawn(async move { drop(receiver) });
    ///     sender.closed().await;
    ///     assert!(sender.is_closed());
    /// });
    /// ```
    #[track_caller]
    pub fn closed(&self) -> Closed<'_, T> {
        self.0.closed(Location::caller())
    }

    /// Returns whether the receiver has been closed or dropped.
    ///
    /// # Examples
    ///
    /// See [`closed`](Sender::closed).
    pub fn is_closed(&self) -> bool {
        self.0.queue().is_closed()
    }

    /// Returns whether both senders belong to the same channel.
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::sync::mpsc;
    ///
    /// let (sender, _receiver) = mpsc::channel::<u32>(1);
    /// let (other, _receiver) = mpsc::channel::<u32>(1);
    /// assert!(sender.same_channel(&sender.clone()));
    /// assert!(!sender.same_channel(&other));
    /// ```
    pub fn same_channel(&self, other: &Sender<T>) -> bool {
        self.0.queue().same_channel(other.0.queue())
    }

    /// Returns the number of values that the channel has room for now.
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::sync::mpsc;
    ///
    /// let (sender, _receiver) = mpsc::channel(2);
    /// sender.try_send(7).unwrap();
    /// assert_eq!(sender.capacity(), 1);
    /// assert_eq!(sender.max_capacity(), 2);
    /// ```
    pub fn capacity(&self) -> usize {
        self.max_capacity().saturating_sub(self.0.queue().len())
    }

    /// Returns the number of values that the empty channel has room for.
    ///
    /// # Examples
    ///
    /// See [`capacity`](Sender::capacity).
    pub fn max_capacity(&self) -> usize {
        self.0.queue().capacity().unwrap_or(usize::MAX)
    }

    /// Returns a sender that does not keep the channel open.
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::sync::mpsc;
    ///
    /// let (sender, receiver) = mpsc::channel(1);
    /// let weak = sender.downgrade();
    /// weak.upgrade().unwrap().try_send(7).unwrap();
    /// drop(sender);
    /// assert!(weak.upgrade().is_none());
    /// # drop(receiver);
    /// ```
    pub fn downgrade(&self) -> WeakSender<T> {
        WeakSender(self.0.downgrade())
    }
}

impl<T> Clone for Sender<T> {
    #[track_caller]
    fn clone(&self) -> Sender<T> {
        Sender(self.0.clone_at(Location::caller()))
    }
}

impl<T> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender")
            .field("capacity", &self.capacity())
            .field("is_closed", &self.is_closed())
            .finish_non_exhaustive()
    }
}

/// A sender of a [`channel`](super::channel) that does not keep it open.
///
/// # Examples
///
/// See [`Sender::downgrade`].
pub struct WeakSender<T>(WeakTx<T>);

impl<T> WeakSender<T> {
    /// Returns a sender, or `None` if the channel is closed. The channel closes when its last sender is dropped.
    ///
    /// # Examples
    ///
    /// See [`Sender::downgrade`].
    #[track_caller]
    pub fn upgrade(&self) -> Option<Sender<T>> {
        self.0.upgrade(Location::caller()).map(Sender)
    }
}

impl<T> Clone for WeakSender<T> {
    fn clone(&self) -> WeakSender<T> {
        WeakSender(self.0.clone())
    }
}

impl<T> fmt::Debug for WeakSender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WeakSender").finish_non_exhaustive()
    }
}

pin_project! {
    /// The future of [`Sender::send`].
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::sync::mpsc::{self, Send};
    ///
    /// glassfrog::block_on(async {
    ///     let (sender, mut receiver) = mpsc::channel(1);
    ///     let send: Send<'_, i32> = sender.send(7);
    ///     send.await.unwrap();
    ///     assert_eq!(receiver.recv().await, Some(7));
    /// });
    /// ```
    #[must_use = "futures do nothing unless you `.await` or poll them"]
    pub struct Send<'a, T> {
        // The send operation, if the channel was full.
        #[pin]
        slow: Option<async_channel::Send<'a, T>>,
        // The value, until it is sent or handed to the operation.
        value: Option<T>,
        // The sender.
        sender: &'a Tx<T>,
        // Where `send` was called.
        location: &'static Location<'static>,
        // The wait, if the channel was full.
        wait: Wait,
    }
}

impl<T> Future for Send<'_, T> {
    type Output = Result<(), SendError<T>>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), SendError<T>>> {
        ready!(poll_budget(cx));
        let this = self.as_mut().project();
        let mut refusal = None;
        if let Some(value) = this.value.take() {
            match this.sender.inner.try_send(value) {
                Ok(()) => {
                    spend_budget();
                    return Poll::Ready(Ok(()));
                }
                Err(error) => refusal = Some(error),
            }
        }
        self.poll_slow(refusal, cx)
    }
}

impl<T> Send<'_, T> {
    /// Waits for room, after the channel has refused the value in the first poll.
    #[cold]
    #[inline(never)]
    fn poll_slow(
        self: Pin<&mut Self>,
        refusal: Option<async_channel::TrySendError<T>>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), SendError<T>>> {
        let mut this = self.project();
        match refusal {
            Some(async_channel::TrySendError::Closed(value)) => {
                return Poll::Ready(Err(SendError(value)));
            }
            Some(async_channel::TrySendError::Full(value)) => {
                this.slow.set(Some(this.sender.inner.send(value)));
            }
            None => {}
        }
        let seen = &this.sender.seen;
        let sent = this
            .wait
            .poll_slow(this.slow, cx, this.location, seen, SEND, || {
                unreachable!("polled again after it was ready")
            });
        let sent = ready!(sent);
        Poll::Ready(sent.map_err(|error| SendError(error.0)))
    }
}

impl<T> fmt::Debug for Send<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Send").finish_non_exhaustive()
    }
}

pin_project! {
    /// The future of [`Sender::closed`].
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::sync::mpsc::{self, Closed};
    ///
    /// glassfrog::block_on(async {
    ///     let (sender, receiver) = mpsc::channel(1);
    ///     drop(receiver);
    ///     let closed: Closed<'_, i32> = sender.closed();
    ///     closed.await;
    /// });
    /// ```
    #[must_use = "futures do nothing unless you `.await` or poll them"]
    pub struct Closed<'a, T> {
        // The operation, from the first poll on.
        #[pin]
        slow: Option<async_channel::Closed<'a, T>>,
        // The sender.
        sender: &'a Tx<T>,
        // Where `closed` was called.
        location: &'static Location<'static>,
        // The wait.
        wait: Wait,
    }
}

impl<T> Future for Closed<'_, T> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.project();
        let sender: &Tx<T> = this.sender;
        this.wait
            .poll_slow(this.slow, cx, this.location, &sender.seen, CLOSED, || {
                sender.inner.closed()
            })
    }
}

impl<T> fmt::Debug for Closed<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Closed").finish_non_exhaustive()
    }
}

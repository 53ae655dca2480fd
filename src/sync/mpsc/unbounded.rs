//! [`UnboundedSender`] and [`UnboundedReceiver`].

use super::error::{SendError, TryRecvError};
use super::receiver::{Recv, RecvMany, Rx};
use super::sender::{Closed, Tx, WeakTx};
use futures_core::Stream;
use std::fmt;
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll};

/// A sender of an [`unbounded_channel`](super::unbounded_channel). Clones send to the same receiver.
///
/// # Examples
///
/// ```
/// use glassfrog::sync::mpsc;
/// use std::thread;
///
/// let (sender, mut receiver) = mpsc::unbounded_channel();
/// thread::spawn(move || sender.send("from a thread").unwrap());
/// glassfrog::block_on(async {
///     assert_eq!(receiver.recv().await, Some("from a thread"));
///     assert_eq!(receiver.recv().await, None);
/// });
/// ```
pub struct UnboundedSender<T>(pub(super) Tx<T>);

impl<T> UnboundedSender<T> {
    /// Sends a value, without waiting.
    ///
    /// # Errors
    ///
    /// Returns the value if the receiver has been closed or dropped.
    ///
    /// # Examples
    ///
    /// See [`UnboundedSender`].
    #[inline]
    pub fn send(&self, value: T) -> Result<(), SendError<T>> {
        let sent = self.0.try_send(value);
        sent.map_err(|error| SendError(error.into_inner()))
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
    ///     let (sender, receiver) = mpsc::unbounded_channel::<u32>();
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
    /// See [`closed`](UnboundedSender::closed).
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
    /// let (sender, _receiver) = mpsc::unbounded_channel::<u32>();
    /// assert!(sender.same_channel(&sender.clone()));
    /// ```
    pub fn same_channel(&self, other: &UnboundedSender<T>) -> bool {
        self.0.queue().same_channel(other.0.queue())
    }

    /// Returns a sender that does not keep the channel open.
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::sync::mpsc;
    ///
    /// let (sender, _receiver) = mpsc::unbounded_channel();
    /// let weak = sender.downgrade();
    /// weak.upgrade().unwrap().send(7).unwrap();
    /// drop(sender);
    /// assert!(weak.upgrade().is_none());
    /// ```
    pub fn downgrade(&self) -> WeakUnboundedSender<T> {
        WeakUnboundedSender(self.0.downgrade())
    }
}

impl<T> Clone for UnboundedSender<T> {
    #[track_caller]
    fn clone(&self) -> UnboundedSender<T> {
        UnboundedSender(self.0.clone_at(Location::caller()))
    }
}

impl<T> fmt::Debug for UnboundedSender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UnboundedSender")
            .field("is_closed", &self.is_closed())
            .finish_non_exhaustive()
    }
}

/// A sender of an [`unbounded_channel`](super::unbounded_channel) that does not keep it open.
///
/// # Examples
///
/// See [`UnboundedSender::downgrade`].
pub struct WeakUnboundedSender<T>(WeakTx<T>);

impl<T> WeakUnboundedSender<T> {
    /// Returns a sender, or `None` if the channel is closed. The channel closes when its last sender is dropped.
    ///
    /// # Examples
    ///
    /// See [`UnboundedSender::downgrade`].
    #[track_caller]
    pub fn upgrade(&self) -> Option<UnboundedSender<T>> {
        self.0.upgrade(Location::caller()).map(UnboundedSender)
    }
}

impl<T> Clone for WeakUnboundedSender<T> {
    fn clone(&self) -> WeakUnboundedSender<T> {
        WeakUnboundedSender(self.0.clone())
    }
}

impl<T> fmt::Debug for WeakUnboundedSender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WeakUnboundedSender")
            .finish_non_exhaustive()
    }
}

/// The receiver of an [`unbounded_channel`](super::unbounded_channel).
///
/// As a [`Stream`], it yields the values, and ends when the channel is closed and empty.
///
/// # Examples
///
/// See [`UnboundedSender`].
pub struct UnboundedReceiver<T>(pub(super) Rx<T>);

impl<T> UnboundedReceiver<T> {
    /// Receives the next value, waiting until there is one. Returns `None` if the channel is empty and closed.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses no value.
    ///
    /// # Examples
    ///
    /// See [`UnboundedSender`].
    #[inline]
    #[track_caller]
    pub fn recv(&mut self) -> Recv<'_, T> {
        self.0.recv(Location::caller())
    }

    /// Receives up to `limit` values, and appends them to the buffer, like
    /// [`Receiver::recv_many`](super::Receiver::recv_many).
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses no value, because a future that waits has received none.
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::sync::mpsc;
    ///
    /// glassfrog::block_on(async {
    ///     let (sender, mut receiver) = mpsc::unbounded_channel();
    ///     sender.send(1).unwrap();
    ///     sender.send(2).unwrap();
    ///     let mut batch = Vec::new();
    ///     assert_eq!(receiver.recv_many(&mut batch, 10).await, 2);
    ///     assert_eq!(batch, [1, 2]);
    /// });
    /// ```
    #[track_caller]
    pub fn recv_many<'a>(&'a mut self, buffer: &'a mut Vec<T>, limit: usize) -> RecvMany<'a, T> {
        self.0.recv_many(buffer, limit, Location::caller())
    }

    /// Receives the next value if there is one.
    ///
    /// # Errors
    ///
    /// Returns an error if the channel is empty.
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::sync::mpsc::{self, error::TryRecvError};
    ///
    /// let (sender, mut receiver) = mpsc::unbounded_channel();
    /// assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
    /// sender.send(7).unwrap();
    /// assert_eq!(receiver.try_recv(), Ok(7));
    /// ```
    #[inline]
    #[track_caller]
    pub fn try_recv(&mut self) -> Result<T, TryRecvError> {
        self.0.try_recv(Location::caller())
    }

    /// Receives the next value, blocking the thread until there is one. Returns `None` if the channel is empty and
    /// closed.
    ///
    /// # Panics
    ///
    /// Panics on a thread that runs a loop: while blocked, the thread polls no task, not even one that owns the sender.
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::sync::mpsc;
    /// use std::thread;
    ///
    /// let (sender, mut receiver) = mpsc::unbounded_channel();
    /// let printer = thread::spawn(move || receiver.blocking_recv());
    /// sender.send("hello").unwrap();
    /// assert_eq!(printer.join().unwrap(), Some("hello"));
    /// ```
    #[track_caller]
    pub fn blocking_recv(&mut self) -> Option<T> {
        self.0.blocking_recv(Location::caller())
    }

    /// Polls for the next value, for futures that are written by hand. Returns `Ready(None)` if the channel is empty
    /// and closed.
    ///
    /// The channel wakes only the waker of the latest call.
    ///
    /// # Examples
    ///
    /// See [`Receiver::poll_recv`](super::Receiver::poll_recv).
    #[track_caller]
    pub fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Option<T>> {
        self.0.poll_recv(cx, Location::caller())
    }

    /// Closes the channel, so that sending returns an error. Values that were sent before can still be received.
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::sync::mpsc;
    ///
    /// let (sender, mut receiver) = mpsc::unbounded_channel();
    /// sender.send(1).unwrap();
    /// receiver.close();
    /// assert!(sender.send(2).is_err());
    /// assert_eq!(receiver.try_recv(), Ok(1));
    /// ```
    pub fn close(&mut self) {
        self.0.queue().close();
    }

    /// Returns whether the channel is closed: all senders have been dropped, or [`close`](UnboundedReceiver::close)
    /// was called. The channel may still contain values.
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::sync::mpsc;
    ///
    /// let (sender, receiver) = mpsc::unbounded_channel::<u32>();
    /// drop(sender);
    /// assert!(receiver.is_closed());
    /// ```
    pub fn is_closed(&self) -> bool {
        self.0.queue().is_closed()
    }

    /// Returns the number of values in the channel.
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::sync::mpsc;
    ///
    /// let (sender, receiver) = mpsc::unbounded_channel();
    /// sender.send(7).unwrap();
    /// assert_eq!(receiver.len(), 1);
    /// assert!(!receiver.is_empty());
    /// ```
    pub fn len(&self) -> usize {
        self.0.queue().len()
    }

    /// Returns whether the channel is empty.
    ///
    /// # Examples
    ///
    /// See [`len`](UnboundedReceiver::len).
    pub fn is_empty(&self) -> bool {
        self.0.queue().is_empty()
    }
}

impl<T> Stream for UnboundedReceiver<T> {
    type Item = T;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T>> {
        // Uses the place where the channel was made, because the caller is a combinator.
        let made = self.0.made();
        self.0.poll_recv(cx, made)
    }
}

impl<T> fmt::Debug for UnboundedReceiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UnboundedReceiver")
            .field("len", &self.len())
            .field("is_closed", &self.is_closed())
            .finish_non_exhaustive()
    }
}

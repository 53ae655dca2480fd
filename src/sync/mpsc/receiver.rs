//! [`Receiver`], and [`Rx`], which both kinds of receivers share.

use super::error::TryRecvError;
use super::{RECV, Seen};
use crate::executor::budget::{poll_budget, spend_budget};
use crate::executor::kept::KeptWait;
use crate::executor::primitive::Primitive;
use crate::executor::waits::Subject;
use crate::foreign::log_panics;
use crate::sync::assert_may_block;
use futures_core::Stream;
use pin_project_lite::pin_project;
use std::fmt;
use std::panic::Location;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

/// A receiver of either kind.
pub(super) struct Rx<T> {
    /// The receiver.
    inner: async_channel::Receiver<T>,
    /// Another one, which keeps the waker of `poll_recv`. Created when `poll_recv` waits for the first time.
    polled: Option<Pin<Box<async_channel::Receiver<T>>>>,
    /// The wait for a value.
    wait: KeptWait,
    /// Whether the last `recv` had to wait. The next one probably has to wait too, so it skips the fast path.
    has_waited: bool,
    /// The state of the channel for dumps.
    seen: Arc<Seen>,
}

// No field is pinned in place: `polled` is in a box.
impl<T> Unpin for Rx<T> {}

impl<T> Rx<T> {
    /// Wraps a receiver.
    pub(super) fn new(inner: async_channel::Receiver<T>, seen: Arc<Seen>) -> Rx<T> {
        Rx {
            inner,
            polled: None,
            wait: KeptWait::default(),
            has_waited: false,
            seen,
        }
    }

    /// See [`Receiver::recv`].
    #[inline]
    pub(super) fn recv(&mut self, location: &'static Location<'static>) -> Recv<'_, T> {
        Recv {
            slow: None,
            inner: &self.inner,
            seen: &self.seen,
            location,
            wait: &mut self.wait,
            has_waited: &mut self.has_waited,
        }
    }

    /// See [`Receiver::recv_many`].
    pub(super) fn recv_many<'a>(
        &'a mut self,
        buffer: &'a mut Vec<T>,
        limit: usize,
        location: &'static Location<'static>,
    ) -> RecvMany<'a, T> {
        RecvMany {
            recv: self.recv(location),
            buffer,
            limit,
        }
    }

    /// See [`Receiver::try_recv`].
    #[inline]
    pub(super) fn try_recv(
        &mut self,
        location: &'static Location<'static>,
    ) -> Result<T, TryRecvError> {
        self.seen.receiver.use_at(location);
        self.wait.withdraw();
        self.inner.try_recv().map_err(|error| match error {
            async_channel::TryRecvError::Empty => TryRecvError::Empty,
            async_channel::TryRecvError::Closed => TryRecvError::Disconnected,
        })
    }

    /// See [`Receiver::blocking_recv`].
    #[track_caller]
    pub(super) fn blocking_recv(&mut self, location: &'static Location<'static>) -> Option<T> {
        assert_may_block("blocking_recv");
        self.seen.receiver.use_at(location);
        self.inner.recv_blocking().ok()
    }

    /// See [`Receiver::poll_recv`].
    pub(super) fn poll_recv(
        &mut self,
        cx: &mut Context<'_>,
        location: &'static Location<'static>,
    ) -> Poll<Option<T>> {
        ready!(poll_budget(cx));
        let received = match self.inner.try_recv() {
            Ok(value) => Poll::Ready(Some(value)),
            Err(async_channel::TryRecvError::Closed) => Poll::Ready(None),
            Err(async_channel::TryRecvError::Empty) => {
                let inner = &self.inner;
                let polled = self.polled.get_or_insert_with(|| Box::pin(inner.clone()));
                polled.as_mut().poll_next(cx)
            }
        };
        self.seen.receiver.use_at(location);
        match &received {
            Poll::Ready(value) => {
                self.wait.withdraw();
                if value.is_some() {
                    spend_budget();
                }
            }
            Poll::Pending => {
                let seen = &self.seen;
                self.wait.declare(cx.waker(), location, || subject(seen));
            }
        }
        received
    }

    /// Returns where the channel was made.
    pub(super) fn made(&self) -> &'static Location<'static> {
        self.seen.about.made
    }

    /// Returns the queue.
    pub(super) fn queue(&self) -> &async_channel::Receiver<T> {
        &self.inner
    }
}

impl<T> Drop for Rx<T> {
    fn drop(&mut self) {
        self.inner.close();
        // The senders own the queue too, so without this, its values would live as long as the senders.
        while let Ok(value) = self.inner.try_recv() {
            log_panics("dropping a value in a channel", || drop(value));
        }
    }
}

/// The receiver of a [`channel`](super::channel).
///
/// As a [`Stream`], it yields the values, and ends when the channel is closed and empty.
///
/// # Examples
///
#[cfg_attr(feature = "prelude", doc = "```")]
#[cfg_attr(not(feature = "prelude"), doc = "```ignore")]
/// use glassfrog::prelude::*;
/// use glassfrog::sync::mpsc;
///
/// glassfrog::block_on(async {
///     let (sender, receiver) = mpsc::channel(3);
///     for number in 1..=3 {
///         sender.send(number).await.unwrap();
///     }
///     drop(sender);
///     let numbers: Vec<i32> = receiver.collect().await;
///     assert_eq!(numbers, [1, 2, 3]);
/// });
/// ```
pub struct Receiver<T>(pub(super) Rx<T>);

impl<T> Receiver<T> {
    /// Receives the next value, waiting until there is one. Returns `None` if the channel is empty and closed.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses no value.
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::sync::mpsc;
    ///
    /// glassfrog::block_on(async {
    ///     let (sender, mut receiver) = mpsc::channel(1);
    ///     glassfrog::spawn(async move { sender.send("hello").await.unwrap() });
    ///     assert_eq!(receiver.recv().await, Some("hello"));
    ///     assert_eq!(receiver.recv().await, None);
    /// });
    /// ```
    #[inline]
    #[track_caller]
    pub fn recv(&mut self) -> Recv<'_, T> {
        self.0.recv(Location::caller())
    }

    /// Receives up to `limit` values, and appends them to the buffer. Waits only if the channel is empty. Returns the
    /// number of values, which is 0 if the channel is empty and closed, or if the limit is 0.
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
    ///     let (sender, mut receiver) = mpsc::channel(3);
    ///     for number in 1..=3 {
    ///         sender.send(number).await.unwrap();
    ///     }
    ///     let mut batch = Vec::new();
    ///     assert_eq!(receiver.recv_many(&mut batch, 2).await, 2);
    ///     assert_eq!(receiver.recv_many(&mut batch, 2).await, 1);
    ///     assert_eq!(batch, [1, 2, 3]);
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
    /// let (sender, mut receiver) = mpsc::channel(1);
    /// assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
    /// sender.try_send(7).unwrap();
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
    /// let (sender, mut receiver) = mpsc::channel(1);
    /// let printer = thread::spawn(move || receiver.blocking_recv());
    /// glassfrog::block_on(async { sender.send("hello").await.unwrap() });
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
    /// ```
    /// use glassfrog::sync::mpsc;
    /// use std::future::poll_fn;
    ///
    /// glassfrog::block_on(async {
    ///     let (sender, mut receiver) = mpsc::channel(1);
    ///     sender.send(7).await.unwrap();
    ///     assert_eq!(poll_fn(|cx| receiver.poll_recv(cx)).await, Some(7));
    /// });
    /// ```
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
    /// glassfrog::block_on(async {
    ///     let (sender, mut receiver) = mpsc::channel(2);
    ///     sender.send(1).await.unwrap();
    ///     receiver.close();
    ///     assert!(sender.send(2).await.is_err());
    ///     assert_eq!(receiver.recv().await, Some(1));
    ///     assert_eq!(receiver.recv().await, None);
    /// });
    /// ```
    pub fn close(&mut self) {
        self.0.queue().close();
    }

    /// Returns whether the channel is closed: all senders have been dropped, or [`close`](Receiver::close) was called.
    /// The channel may still contain values.
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::sync::mpsc;
    ///
    /// let (sender, receiver) = mpsc::channel::<u32>(1);
    /// assert!(!receiver.is_closed());
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
    /// let (sender, receiver) = mpsc::channel(2);
    /// sender.try_send(7).unwrap();
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
    /// See [`len`](Receiver::len).
    pub fn is_empty(&self) -> bool {
        self.0.queue().is_empty()
    }

    /// Returns the number of values that the channel has room for now.
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::sync::mpsc;
    ///
    /// let (sender, receiver) = mpsc::channel(2);
    /// sender.try_send(7).unwrap();
    /// assert_eq!(receiver.capacity(), 1);
    /// assert_eq!(receiver.max_capacity(), 2);
    /// ```
    pub fn capacity(&self) -> usize {
        self.max_capacity().saturating_sub(self.len())
    }

    /// Returns the number of values that the empty channel has room for.
    ///
    /// # Examples
    ///
    /// See [`capacity`](Receiver::capacity).
    pub fn max_capacity(&self) -> usize {
        self.0.queue().capacity().unwrap_or(usize::MAX)
    }
}

impl<T> Stream for Receiver<T> {
    type Item = T;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T>> {
        // Uses the place where the channel was made, because the caller is a combinator.
        let made = self.0.made();
        self.0.poll_recv(cx, made)
    }
}

impl<T> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver")
            .field("len", &self.len())
            .field("is_closed", &self.is_closed())
            .finish_non_exhaustive()
    }
}

pin_project! {
    /// The future of [`Receiver::recv`].
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::sync::mpsc::{self, Recv};
    ///
    /// glassfrog::block_on(async {
    ///     let (sender, mut receiver) = mpsc::channel(1);
    ///     sender.send(7).await.unwrap();
    ///     let recv: Recv<'_, i32> = receiver.recv();
    ///     assert_eq!(recv.await, Some(7));
    /// });
    /// ```
    #[must_use = "futures do nothing unless you `.await` or poll them"]
    pub struct Recv<'a, T> {
        // The receive operation, if the channel was empty.
        #[pin]
        slow: Option<async_channel::Recv<'a, T>>,
        // The receiver.
        inner: &'a async_channel::Receiver<T>,
        // The state of the channel for dumps.
        seen: &'a Arc<Seen>,
        // Where `recv` was called.
        location: &'static Location<'static>,
        // The wait, if the channel was empty.
        wait: &'a mut KeptWait,
        // Whether the last `recv` had to wait.
        has_waited: &'a mut bool,
    }

    impl<T> PinnedDrop for Recv<'_, T> {
        fn drop(this: Pin<&mut Self>) {
            this.project().wait.give_up();
        }
    }
}

/// Returns what a task waits for.
#[cold]
fn subject(seen: &Arc<Seen>) -> Subject {
    Subject::Primitive(Arc::clone(seen) as Arc<dyn Primitive>, RECV)
}

impl<T> Future for Recv<'_, T> {
    type Output = Option<T>;

    // Always: a task that receives in a loop would otherwise pay for two calls at each value, this one and `poll_slow`.
    #[inline(always)]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T>> {
        ready!(poll_budget(cx));
        if !*self.has_waited
            && self.slow.is_none()
            && let Ok(value) = self.inner.try_recv()
        {
            self.seen.receiver.use_at(self.location);
            spend_budget();
            return Poll::Ready(Some(value));
        }
        self.poll_slow(cx)
    }
}

impl<T> Recv<'_, T> {
    /// Waits for a value.
    #[cold]
    #[inline(never)]
    fn poll_slow(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T>> {
        let mut this = self.project();
        if this.slow.is_none() {
            **this.has_waited = false;
            this.slow.set(Some(this.inner.recv()));
        }
        let slow = this.slow.as_pin_mut().expect("the operation has begun");
        let Poll::Ready(received) = slow.poll(cx) else {
            **this.has_waited = true;
            let seen = *this.seen;
            this.wait
                .declare(cx.waker(), this.location, || subject(seen));
            return Poll::Pending;
        };
        this.wait.withdraw();
        this.seen.receiver.use_at(this.location);
        spend_budget();
        Poll::Ready(received.ok())
    }
}

impl<T> fmt::Debug for Recv<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recv").finish_non_exhaustive()
    }
}

pin_project! {
    /// The future of [`Receiver::recv_many`].
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::sync::mpsc::{self, RecvMany};
    ///
    /// glassfrog::block_on(async {
    ///     let (sender, mut receiver) = mpsc::channel(1);
    ///     sender.send(7).await.unwrap();
    ///     let mut batch = Vec::new();
    ///     let recv: RecvMany<'_, i32> = receiver.recv_many(&mut batch, 10);
    ///     assert_eq!(recv.await, 1);
    /// });
    /// ```
    #[must_use = "futures do nothing unless you `.await` or poll them"]
    pub struct RecvMany<'a, T> {
        // Receives the first value.
        #[pin]
        recv: Recv<'a, T>,
        // The values are appended to it.
        buffer: &'a mut Vec<T>,
        // The largest number of values.
        limit: usize,
    }
}

impl<T> Future for RecvMany<'_, T> {
    type Output = usize;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<usize> {
        let this = self.project();
        if *this.limit == 0 {
            return Poll::Ready(0);
        }
        let inner = this.recv.inner;
        let Some(first) = ready!(this.recv.poll(cx)) else {
            return Poll::Ready(0);
        };
        this.buffer.push(first);
        let mut count = 1;
        while count < *this.limit
            && let Ok(value) = inner.try_recv()
        {
            this.buffer.push(value);
            spend_budget();
            count += 1;
        }
        Poll::Ready(count)
    }
}

impl<T> fmt::Debug for RecvMany<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecvMany")
            .field("limit", &self.limit)
            .finish_non_exhaustive()
    }
}

//! [`Receiver`]: receives each value.

use super::Shared;
use super::error::{RecvError, TryRecvError};
use super::message::Message;
use crate::executor::budget::{poll_budget, spend_budget};
use crate::executor::kept::KeptWait;
use crate::executor::primitive::Primitive;
use crate::executor::waits::Subject;
use crate::slab::Key;
use crate::sync::assert_may_block;
use std::fmt;
use std::panic::Location;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

/// Why there is a receiver.
const EXISTS: &str = "only the destructor takes the receiver";

/// A receiver of a [`channel`](super::channel).
///
/// # Examples
///
/// See [`broadcast`](super).
pub struct Receiver<T> {
    /// The receiver; `None` while it is being dropped.
    inner: Option<async_broadcast::Receiver<Message<T>>>,
    /// The state that all ends share.
    shared: Arc<Shared<T>>,
    /// The number of values that were sent before the next one that this receiver receives or misses.
    position: u64,
    /// The wait for a value.
    wait: KeptWait,
    /// Whether the last `recv` had to wait. The next one probably has to wait too, so it skips the fast path.
    has_waited: bool,
}

impl<T> Receiver<T> {
    /// Wraps a receiver.
    pub(super) fn new(
        inner: async_broadcast::Receiver<Message<T>>,
        shared: Arc<Shared<T>>,
        position: u64,
    ) -> Receiver<T> {
        Receiver {
            inner: Some(inner),
            shared,
            position,
            wait: KeptWait::default(),
            has_waited: false,
        }
    }

    /// Returns the receiver.
    fn inner(&self) -> &async_broadcast::Receiver<Message<T>> {
        self.inner.as_ref().expect(EXISTS)
    }

    /// Returns the receiver.
    #[inline]
    fn inner_mut(&mut self) -> &mut async_broadcast::Receiver<Message<T>> {
        self.inner.as_mut().expect(EXISTS)
    }

    /// Returns the number of values that were sent and that this receiver has not received, including missed values
    /// that no `recv` has reported yet.
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::sync::broadcast;
    ///
    /// let (sender, mut receiver) = broadcast::channel(16);
    /// sender.send(1).unwrap();
    /// sender.send(2).unwrap();
    /// assert_eq!(receiver.len(), 2);
    /// receiver.try_recv().unwrap();
    /// assert_eq!(receiver.len(), 1);
    /// ```
    pub fn len(&self) -> usize {
        let left = self.shared.messages.sent().saturating_sub(self.position);
        usize::try_from(left).unwrap_or(usize::MAX)
    }

    /// Returns whether this receiver has received or missed all values.
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::sync::broadcast;
    ///
    /// let (sender, receiver) = broadcast::channel(16);
    /// assert!(receiver.is_empty());
    /// sender.send(1).unwrap();
    /// assert!(!receiver.is_empty());
    /// ```
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns whether all senders have been dropped. The receiver may still have values to receive.
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::sync::broadcast;
    ///
    /// let (sender, receiver) = broadcast::channel::<u32>(16);
    /// assert!(!receiver.is_closed());
    /// drop(sender);
    /// assert!(receiver.is_closed());
    /// ```
    pub fn is_closed(&self) -> bool {
        self.inner().is_closed()
    }

    /// Returns whether both receivers belong to the same channel.
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::sync::broadcast;
    ///
    /// let (_sender, receiver) = broadcast::channel::<u32>(16);
    /// assert!(receiver.same_channel(&receiver.resubscribe()));
    /// ```
    pub fn same_channel(&self, other: &Receiver<T>) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }
}

impl<T: Clone> Receiver<T> {
    /// Receives the next value, waiting until there is one.
    ///
    /// # Errors
    ///
    /// Returns [`RecvError::Lagged`] if this receiver has [missed](super#lagging) values, and [`RecvError::Closed`] if
    /// all senders have been dropped and it has received all values.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses no value.
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::sync::broadcast;
    ///
    /// glassfrog::block_on(async {
    ///     let (sender, mut receiver) = broadcast::channel(16);
    ///     glassfrog::spawn(async move { sender.send("hello").unwrap() });
    ///     assert_eq!(receiver.recv().await, Ok("hello"));
    ///     assert!(receiver.recv().await.is_err());
    /// });
    /// ```
    #[track_caller]
    pub fn recv(&mut self) -> Recv<'_, T> {
        Recv {
            receiver: self,
            ticket: None,
            location: Location::caller(),
        }
    }

    /// Receives the next value if there is one.
    ///
    /// # Errors
    ///
    /// Returns [`TryRecvError::Lagged`] if this receiver has [missed](super#lagging) values, and the other errors if
    /// there is no value.
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::sync::broadcast::{self, error::TryRecvError};
    ///
    /// let (sender, mut receiver) = broadcast::channel(16);
    /// assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
    /// sender.send(7).unwrap();
    /// assert_eq!(receiver.try_recv(), Ok(7));
    /// ```
    pub fn try_recv(&mut self) -> Result<T, TryRecvError> {
        let received = self.inner_mut().try_recv();
        match self.finish(received) {
            Poll::Ready(Ok(value)) => Ok(value),
            Poll::Ready(Err(RecvError::Lagged(missed))) => Err(TryRecvError::Lagged(missed)),
            Poll::Ready(Err(RecvError::Closed)) => Err(TryRecvError::Closed),
            Poll::Pending => Err(TryRecvError::Empty),
        }
    }

    /// Receives the next value, blocking the thread until there is one.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`recv`](Receiver::recv).
    ///
    /// # Panics
    ///
    /// Panics on a thread that runs a loop: while blocked, the thread polls no task, not even one that owns the sender.
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::sync::broadcast;
    /// use std::thread;
    ///
    /// let (sender, mut receiver) = broadcast::channel(16);
    /// let printer = thread::spawn(move || receiver.blocking_recv());
    /// sender.send("hello").unwrap();
    /// assert_eq!(printer.join().unwrap(), Ok("hello"));
    /// ```
    #[track_caller]
    pub fn blocking_recv(&mut self) -> Result<T, RecvError> {
        assert_may_block("blocking_recv");
        // The queue wakes this thread under its lock, but to unpark a thread is no foreign code.
        let received = self
            .inner_mut()
            .recv_blocking()
            .map_err(|error| match error {
                async_broadcast::RecvError::Overflowed(missed) => {
                    async_broadcast::TryRecvError::Overflowed(missed)
                }
                async_broadcast::RecvError::Closed => async_broadcast::TryRecvError::Closed,
            });
        match self.finish(received) {
            Poll::Ready(received) => received,
            Poll::Pending => unreachable!("a blocking receive has waited for the value"),
        }
    }

    /// Creates a receiver of the values that are sent from now on.
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::sync::broadcast;
    ///
    /// let (sender, receiver) = broadcast::channel(16);
    /// sender.send(1).unwrap();
    /// let mut receiver = receiver.resubscribe();
    /// sender.send(2).unwrap();
    /// assert_eq!(receiver.try_recv(), Ok(2));
    /// ```
    pub fn resubscribe(&self) -> Receiver<T> {
        let gate = self.shared.messages.lock();
        let inner = self.inner().new_receiver();
        let position = gate.add_receiver();
        drop(gate);
        Receiver::new(inner, Arc::clone(&self.shared), position)
    }
}

impl<T: Clone> Receiver<T> {
    /// Opens a message that was received by a call that waits. Returns `Pending` if there is none yet.
    #[inline]
    fn finish(
        &mut self,
        received: Result<Message<T>, async_broadcast::TryRecvError>,
    ) -> Poll<Result<T, RecvError>> {
        Poll::Ready(match received {
            Ok(message) => {
                self.position += 1;
                Ok(self.shared.messages.open(message))
            }
            Err(async_broadcast::TryRecvError::Overflowed(missed)) => {
                self.position += missed;
                Err(RecvError::Lagged(missed))
            }
            Err(async_broadcast::TryRecvError::Closed) => Err(RecvError::Closed),
            Err(async_broadcast::TryRecvError::Empty) => return Poll::Pending,
        })
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        use async_broadcast::TryRecvError::Overflowed;
        let Some(mut inner) = self.inner.take() else {
            return;
        };
        // Takes out the values, which the queue would drop under its lock. See the head of `message.rs`.
        let gate = self.shared.messages.lock();
        let mut left = Vec::new();
        loop {
            match inner.try_recv() {
                Ok(message) => left.push(message),
                Err(Overflowed(_)) => {}
                Err(_) => break,
            }
        }
        gate.remove_receiver();
        drop(inner);
        drop(gate);
        for message in left {
            self.shared.messages.discard(message);
        }
    }
}

impl<T> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver")
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}

/// The future of [`Receiver::recv`].
///
/// # Examples
///
/// ```
/// use glassfrog::sync::broadcast::{self, Recv};
///
/// glassfrog::block_on(async {
///     let (sender, mut receiver) = broadcast::channel(16);
///     sender.send(7).unwrap();
///     let recv: Recv<'_, i32> = receiver.recv();
///     assert_eq!(recv.await, Ok(7));
/// });
/// ```
#[must_use = "futures do nothing unless you `.await` or poll them"]
pub struct Recv<'a, T> {
    /// The receiver.
    receiver: &'a mut Receiver<T>,
    /// The key of the waker that the last pending poll has left. The wait is declared as long as there is one.
    ticket: Option<Key>,
    /// Where `recv` was called.
    location: &'static Location<'static>,
}

impl<T> Drop for Recv<'_, T> {
    #[inline]
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            self.receiver.wait.give_up();
            self.withdraw(ticket);
        }
    }
}

impl<T: Clone> Future for Recv<'_, T> {
    type Output = Result<T, RecvError>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<T, RecvError>> {
        ready!(poll_budget(cx));
        let this = &mut *self;
        if this.receiver.has_waited && this.ticket.is_none() {
            return this.poll_slow(cx);
        }
        let received = this.receiver.inner_mut().try_recv();
        match this.receiver.finish(received) {
            Poll::Pending => this.poll_slow(cx),
            received => {
                this.end();
                spend_budget();
                received
            }
        }
    }
}

impl<T> Recv<'_, T> {
    /// Ends the wait, if there is one.
    #[inline]
    fn end(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            self.withdraw(ticket);
        }
    }

    /// Removes the waker, and withdraws the wait.
    #[cold]
    #[inline(never)]
    fn withdraw(&mut self, ticket: Key) {
        self.receiver.wait.withdraw();
        self.receiver.shared.messages.withdraw(ticket);
    }
}

impl<T: Clone> Recv<'_, T> {
    /// Waits for a value.
    #[cold]
    #[inline(never)]
    fn poll_slow(&mut self, cx: &mut Context<'_>) -> Poll<Result<T, RecvError>> {
        // A clone may run foreign code, so not under the lock.
        let waker = cx.waker().clone();
        let Receiver {
            inner,
            shared,
            wait,
            has_waited,
            ..
        } = &mut *self.receiver;
        let mut gate = shared.messages.lock();
        let received = inner.as_mut().expect(EXISTS).try_recv();
        if matches!(received, Err(async_broadcast::TryRecvError::Empty)) {
            let older = gate.wait(&mut self.ticket, waker);
            drop(gate);
            drop(older);
            *has_waited = true;
            let seen = &shared.seen;
            wait.declare(cx.waker(), self.location, || {
                Subject::Primitive(Arc::clone(seen) as Arc<dyn Primitive>, 0)
            });
            return Poll::Pending;
        }
        drop(gate);
        drop(waker);
        // The next `recv` tries before it waits.
        *has_waited = false;
        self.end();
        spend_budget();
        self.receiver.finish(received)
    }
}

impl<T> fmt::Debug for Recv<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recv").finish_non_exhaustive()
    }
}

//! [`Sender`]: sends to all receivers.

use super::error::SendError;
use super::message::Message;
use super::receiver::Receiver;
use super::{Shared, create};
use crate::sync::ends::Slot;
use async_broadcast::TrySendError;
use std::fmt;
use std::panic::Location;
use std::sync::Arc;

/// A sender of a [`channel`](super::channel). Clones send to the same receivers.
///
/// # Examples
///
/// See [`broadcast`](super).
pub struct Sender<T> {
    /// The sender. Dropped before the rest, and closes the queue if it is the last one.
    inner: async_broadcast::Sender<Message<T>>,
    /// The rest.
    end: End<T>,
}

/// What a sender consists of beside its part of the queue.
struct End<T> {
    /// What all ends share.
    shared: Arc<Shared<T>>,
    /// The position of the mark of this sender.
    slot: Slot,
}

impl<T> Sender<T> {
    /// Creates a channel without a receiver; [`subscribe`](Sender::subscribe) creates one.
    ///
    /// # Panics
    ///
    /// See [`channel`](super::channel).
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::sync::broadcast;
    ///
    /// let sender = broadcast::Sender::new(16);
    /// assert!(sender.send(1).is_err());
    /// let mut receiver = sender.subscribe();
    /// sender.send(2).unwrap();
    /// assert_eq!(receiver.try_recv(), Ok(2));
    /// ```
    #[track_caller]
    pub fn new(capacity: usize) -> Sender<T> {
        create(None, Location::caller(), capacity).0
    }

    /// Wraps a sender.
    pub(super) fn new_at(
        inner: async_broadcast::Sender<Message<T>>,
        shared: Arc<Shared<T>>,
        location: &'static Location<'static>,
    ) -> Sender<T> {
        let slot = shared.seen.senders.enter(location);
        let end = End { shared, slot };
        Sender { inner, end }
    }

    /// Sends a value to all receivers, and returns their number. Never waits: if the channel is full, drops the oldest
    /// value, and the receivers that have not received it [lag](super#lagging).
    ///
    /// A return value of `Ok` does not mean that the value will be received: a receiver may lag or be dropped before
    /// that.
    ///
    /// # Errors
    ///
    /// Returns the value if there is no receiver.
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::sync::broadcast;
    ///
    /// let (sender, mut receiver) = broadcast::channel(16);
    /// assert_eq!(sender.send(7), Ok(1));
    /// assert_eq!(receiver.try_recv(), Ok(7));
    /// drop(receiver);
    /// assert!(sender.send(8).is_err());
    /// ```
    pub fn send(&self, value: T) -> Result<usize, SendError<T>> {
        let messages = &self.end.shared.messages;
        let mut gate = messages.lock();
        let receivers = messages.receivers();
        if receivers == 0 {
            drop(gate);
            return Err(SendError(value));
        }
        let message = gate.wrap(value);
        let sent = self.inner.try_broadcast(message);
        match sent {
            Ok(oldest) => {
                gate.count();
                let is_awaited = gate.is_awaited();
                drop(gate);
                if is_awaited {
                    messages.wake();
                }
                if let Some(oldest) = oldest {
                    messages.discard(oldest);
                }
                Ok(receivers)
            }
            Err(
                TrySendError::Inactive(mut message)
                | TrySendError::Closed(mut message)
                | TrySendError::Full(mut message),
            ) => {
                drop(gate);
                let value = message.take();
                Err(SendError(value.expect("the queue has refused the message")))
            }
        }
    }

    /// Creates a receiver of the values that are sent from now on.
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::sync::broadcast;
    ///
    /// let (sender, _receiver) = broadcast::channel(16);
    /// sender.send(1).unwrap();
    /// let mut receiver = sender.subscribe();
    /// sender.send(2).unwrap();
    /// assert_eq!(receiver.try_recv(), Ok(2));
    /// ```
    pub fn subscribe(&self) -> Receiver<T> {
        let gate = self.end.shared.messages.lock();
        let inner = self.inner.new_receiver();
        let position = gate.add_receiver();
        drop(gate);
        Receiver::new(inner, Arc::clone(&self.end.shared), position)
    }

    /// Returns the number of receivers.
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::sync::broadcast;
    ///
    /// let (sender, receiver) = broadcast::channel::<u32>(16);
    /// let other = receiver.resubscribe();
    /// assert_eq!(sender.receiver_count(), 2);
    /// # drop(other);
    /// ```
    pub fn receiver_count(&self) -> usize {
        self.end.shared.messages.receivers()
    }

    /// Returns the number of values in the channel: those that at least one receiver has not received.
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::sync::broadcast;
    ///
    /// let (sender, mut receiver) = broadcast::channel(16);
    /// sender.send(7).unwrap();
    /// assert_eq!(sender.len(), 1);
    /// receiver.try_recv().unwrap();
    /// assert!(sender.is_empty());
    /// ```
    pub fn len(&self) -> usize {
        self.inner.len()
    }

    /// Returns whether all receivers have received all values.
    ///
    /// # Examples
    ///
    /// See [`len`](Sender::len).
    pub fn is_empty(&self) -> bool {
        self.inner.is_empty()
    }

    /// Returns whether both senders belong to the same channel.
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::sync::broadcast;
    ///
    /// let (sender, _receiver) = broadcast::channel::<u32>(16);
    /// assert!(sender.same_channel(&sender.clone()));
    /// ```
    pub fn same_channel(&self, other: &Sender<T>) -> bool {
        Arc::ptr_eq(&self.end.shared, &other.end.shared)
    }
}

impl<T> Clone for Sender<T> {
    #[track_caller]
    fn clone(&self) -> Sender<T> {
        let shared = Arc::clone(&self.end.shared);
        Sender::new_at(self.inner.clone(), shared, Location::caller())
    }
}

impl<T> Drop for End<T> {
    fn drop(&mut self) {
        let shared = &self.shared;
        shared.seen.senders.leave(&self.slot);
        if shared.keep_open.is_closed() {
            shared.messages.wake();
        }
    }
}

impl<T> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender")
            .field("len", &self.len())
            .field("receiver_count", &self.receiver_count())
            .finish_non_exhaustive()
    }
}

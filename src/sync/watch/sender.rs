//! [`Sender`]: changes the value.

use super::error::SendError;
use super::receiver::{Receiver, Ref};
use super::{CLOSED, Listening, Shared};
use crate::executor::budget::{poll_budget, spend_budget};
use crate::sync::ends::Slot;
use crate::sync::seen::About;
use std::fmt;
use std::mem;
use std::panic::Location;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

/// A sender of a [`channel`](super::channel). Clones change the same value.
///
/// # Examples
///
/// See [`watch`](super).
pub struct Sender<T> {
    /// The state that all ends share.
    shared: Arc<Shared<T>>,
    /// The position of the mark of this sender.
    slot: Slot,
}

impl<T> Sender<T> {
    /// Creates a channel without a receiver; [`subscribe`](Sender::subscribe) creates one.
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::sync::watch;
    ///
    /// let sender = watch::Sender::new(7);
    /// assert_eq!(*sender.subscribe().borrow(), 7);
    /// ```
    #[track_caller]
    pub fn new(value: T) -> Sender<T> {
        let made = Location::caller();
        let about = About { name: None, made };
        Sender::new_at(Shared::new(about, value, 0), made)
    }

    /// Creates a sender of a channel that has counted it.
    pub(super) fn new_at(
        shared: Arc<Shared<T>>,
        location: &'static Location<'static>,
    ) -> Sender<T> {
        let slot = shared.seen.senders.enter(location);
        Sender { shared, slot }
    }

    /// Replaces the value and notifies the receivers. Drops the former value.
    ///
    /// # Errors
    ///
    /// Returns the value if there is no receiver.
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::sync::watch;
    ///
    /// let (sender, receiver) = watch::channel(1);
    /// sender.send(2).unwrap();
    /// assert_eq!(*receiver.borrow(), 2);
    /// drop(receiver);
    /// assert!(sender.send(3).is_err());
    /// ```
    #[track_caller]
    pub fn send(&self, value: T) -> Result<(), SendError<T>> {
        if self.is_closed() {
            return Err(SendError(value));
        }
        drop(self.send_replace(value));
        Ok(())
    }

    /// Replaces the value, notifies the receivers, and returns the former value. Works even without receivers.
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::sync::watch;
    ///
    /// let (sender, _receiver) = watch::channel(1);
    /// assert_eq!(sender.send_replace(2), 1);
    /// assert_eq!(sender.send_replace(3), 2);
    /// ```
    #[track_caller]
    pub fn send_replace(&self, mut value: T) -> T {
        self.send_modify(|current| mem::swap(current, &mut value));
        value
    }

    /// Changes the value in place, and notifies the receivers. Works even without receivers.
    ///
    /// The closure runs under the [lock](super#locks) of the value.
    ///
    /// # Panics
    ///
    /// Panics if the closure panics. The value is then as the closure left it, and the receivers are not notified.
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::sync::watch;
    ///
    /// let (sender, receiver) = watch::channel(vec![1]);
    /// sender.send_modify(|list| list.push(2));
    /// assert_eq!(*receiver.borrow(), [1, 2]);
    /// ```
    #[track_caller]
    pub fn send_modify<F: FnOnce(&mut T)>(&self, modify: F) {
        self.send_if_modified(|value| {
            modify(value);
            true
        });
    }

    /// Changes the value in place, and notifies the receivers if the closure returns true. Returns what the closure
    /// returns. Works even without receivers.
    ///
    /// The closure runs under the [lock](super#locks) of the value.
    ///
    /// # Panics
    ///
    /// Panics if the closure panics. The value is then as the closure left it, and the receivers are not notified.
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::sync::watch;
    ///
    /// let (sender, receiver) = watch::channel(1);
    /// let raise_to = |new| move |value: &mut i32| *value < new && { *value = new; true };
    /// assert!(!sender.send_if_modified(raise_to(1)));
    /// assert!(!receiver.has_changed().unwrap());
    /// assert!(sender.send_if_modified(raise_to(2)));
    /// assert!(receiver.has_changed().unwrap());
    /// ```
    #[track_caller]
    pub fn send_if_modified<F: FnOnce(&mut T) -> bool>(&self, modify: F) -> bool {
        let location = Location::caller();
        let seen = &self.shared.seen;
        let mut value = self.shared.write();
        let is_modified = modify(&mut value);
        if is_modified {
            seen.sent.set(location);
            seen.core.advance();
        }
        drop(value);
        if is_modified {
            seen.core.notify();
        }
        is_modified
    }

    /// Returns a reference to the value, which holds the [lock](super#locks).
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::sync::watch;
    ///
    /// let (sender, _receiver) = watch::channel(7);
    /// assert_eq!(*sender.borrow(), 7);
    /// ```
    pub fn borrow(&self) -> Ref<'_, T> {
        Ref::new(self.shared.read(), false)
    }

    /// Returns whether there is no receiver.
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::sync::watch;
    ///
    /// let (sender, receiver) = watch::channel(7);
    /// drop(receiver);
    /// assert!(sender.is_closed());
    /// let receiver = sender.subscribe();
    /// assert!(!sender.is_closed());
    /// # drop(receiver);
    /// ```
    pub fn is_closed(&self) -> bool {
        self.receiver_count() == 0
    }

    /// Waits until there is no receiver.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future has no effect.
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::sync::watch;
    ///
    /// glassfrog::block_on(async {
    ///     let (sender, receiver) = watch::channel(7);
    ///     glassfrog::spawn(async move { drop(receiver) });
    ///     sender.closed().await;
    /// });
    /// ```
    #[track_caller]
    pub fn closed(&self) -> Closed<'_, T> {
        Closed {
            sender: self,
            location: Location::caller(),
            listening: Listening::default(),
        }
    }

    /// Creates a receiver that has seen the current value.
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::sync::watch;
    ///
    /// let (sender, _receiver) = watch::channel(1);
    /// sender.send(2).unwrap();
    /// let receiver = sender.subscribe();
    /// assert!(!receiver.has_changed().unwrap());
    /// assert_eq!(*receiver.borrow(), 2);
    /// ```
    pub fn subscribe(&self) -> Receiver<T> {
        let core = self.shared.core();
        core.add_receiver();
        Receiver::new(Arc::clone(&self.shared), core.version())
    }

    /// Returns the number of receivers.
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::sync::watch;
    ///
    /// let (sender, receiver) = watch::channel(7);
    /// let other = receiver.clone();
    /// assert_eq!(sender.receiver_count(), 2);
    /// # drop(other);
    /// ```
    pub fn receiver_count(&self) -> usize {
        self.shared.core().receivers()
    }

    /// Returns the number of senders.
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::sync::watch;
    ///
    /// let (sender, _receiver) = watch::channel(7);
    /// let other = sender.clone();
    /// assert_eq!(sender.sender_count(), 2);
    /// # drop(other);
    /// ```
    pub fn sender_count(&self) -> usize {
        self.shared.core().senders()
    }

    /// Returns whether both senders belong to the same channel.
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::sync::watch;
    ///
    /// let (sender, _receiver) = watch::channel(7);
    /// assert!(sender.same_channel(&sender.clone()));
    /// ```
    pub fn same_channel(&self, other: &Sender<T>) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }
}

impl<T> Clone for Sender<T> {
    #[track_caller]
    fn clone(&self) -> Sender<T> {
        self.shared.core().add_sender();
        Sender::new_at(Arc::clone(&self.shared), Location::caller())
    }
}

impl<T: Default> Default for Sender<T> {
    #[track_caller]
    fn default() -> Sender<T> {
        Sender::new(T::default())
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        self.shared.seen.senders.leave(&self.slot);
        self.shared.core().drop_sender();
    }
}

impl<T> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender")
            .field("receiver_count", &self.receiver_count())
            .finish_non_exhaustive()
    }
}

/// The future of [`Sender::closed`].
///
/// # Examples
///
/// ```
/// use glassfrog::sync::watch::{self, Closed};
///
/// glassfrog::block_on(async {
///     let (sender, receiver) = watch::channel(7);
///     drop(receiver);
///     let closed: Closed<'_, i32> = sender.closed();
///     closed.await;
/// });
/// ```
#[must_use = "futures do nothing unless you `.await` or poll them"]
pub struct Closed<'a, T> {
    /// The sender.
    sender: &'a Sender<T>,
    /// Where `closed` was called.
    location: &'static Location<'static>,
    /// The wait.
    listening: Listening,
}

impl<T> Future for Closed<'_, T> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        ready!(poll_budget(cx));
        let this = &mut *self;
        let sender = this.sender;
        let seen = &sender.shared.seen;
        let is_closed = || sender.is_closed().then_some(());
        ready!(
            this.listening
                .poll_until(cx, this.location, seen, CLOSED, is_closed)
        );
        spend_budget();
        Poll::Ready(())
    }
}

impl<T> fmt::Debug for Closed<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Closed").finish_non_exhaustive()
    }
}

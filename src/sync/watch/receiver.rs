//! [`Receiver`]: reads the value and waits for changes.

use super::core::News;
use super::error::RecvError;
use super::{CHANGED, Listening, Shared};
use crate::executor::budget::{poll_budget, spend_budget};
use std::fmt;
use std::ops::Deref;
use std::panic::Location;
use std::pin::Pin;
use std::sync::{Arc, RwLockReadGuard};
use std::task::{Context, Poll, ready};

/// A receiver of a [`channel`](super::channel). A clone has seen the same value, and sees later ones independently.
///
/// # Examples
///
/// See [`watch`](super).
pub struct Receiver<T> {
    /// The state that all ends share.
    shared: Arc<Shared<T>>,
    /// The version that this receiver has seen.
    version: u64,
}

impl<T> Receiver<T> {
    /// Creates a receiver of a channel that has counted it.
    pub(super) fn new(shared: Arc<Shared<T>>, version: u64) -> Receiver<T> {
        Receiver { shared, version }
    }

    /// Returns a reference to the value, which holds the [lock](super#locks). Does not mark the value as seen.
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::sync::watch;
    ///
    /// let (sender, receiver) = watch::channel(1);
    /// sender.send(2).unwrap();
    /// assert_eq!(*receiver.borrow(), 2);
    /// assert!(receiver.has_changed().unwrap());
    /// ```
    pub fn borrow(&self) -> Ref<'_, T> {
        let value = self.shared.read();
        let has_changed = self.shared.core().version() != self.version;
        Ref::new(value, has_changed)
    }

    /// Returns a reference to the value, which holds the [lock](super#locks), and marks the value as seen.
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::sync::watch;
    ///
    /// let (sender, mut receiver) = watch::channel(1);
    /// sender.send(2).unwrap();
    /// assert_eq!(*receiver.borrow_and_update(), 2);
    /// assert!(!receiver.has_changed().unwrap());
    /// ```
    pub fn borrow_and_update(&mut self) -> Ref<'_, T> {
        let value = self.shared.read();
        let version = self.shared.core().version();
        let has_changed = version != self.version;
        self.version = version;
        Ref::new(value, has_changed)
    }

    /// Waits until the value has changed since this receiver saw it, and marks the change as seen.
    ///
    /// # Errors
    ///
    /// Returns an error if all senders have been dropped and this receiver has seen the last value.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future marks no value as seen.
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::sync::watch;
    ///
    /// glassfrog::block_on(async {
    ///     let (sender, mut receiver) = watch::channel(0);
    ///     glassfrog::spawn(async move { sender.send(1).unwrap() });
    ///     receiver.changed().await.unwrap();
    ///     assert_eq!(*receiver.borrow(), 1);
    ///     assert!(receiver.changed().await.is_err());
    /// });
    /// ```
    #[track_caller]
    pub fn changed(&mut self) -> Changed<'_, T> {
        Changed {
            receiver: self,
            location: Location::caller(),
            listening: Listening::default(),
        }
    }

    /// Returns whether the value has changed since this receiver saw it. Does not mark the value as seen.
    ///
    /// # Errors
    ///
    /// Returns an error if all senders have been dropped, whether the value has changed or not.
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::sync::watch;
    ///
    /// let (sender, receiver) = watch::channel(1);
    /// assert!(!receiver.has_changed().unwrap());
    /// sender.send(2).unwrap();
    /// assert!(receiver.has_changed().unwrap());
    /// drop(sender);
    /// assert!(receiver.has_changed().is_err());
    /// ```
    pub fn has_changed(&self) -> Result<bool, RecvError> {
        let core = self.shared.core();
        if core.has_no_senders() {
            return Err(RecvError(()));
        }
        Ok(core.version() != self.version)
    }

    /// Waits until the closure returns true for a value, and returns a reference to that value, which holds the
    /// [lock](super#locks). Calls the closure first with the current value, and then after each change that the
    /// receiver sees. Marks these values as seen.
    ///
    /// The closure runs under the lock of the value.
    ///
    /// # Errors
    ///
    /// Returns an error if all senders have been dropped, and the closure returns false for the last value.
    ///
    /// # Panics
    ///
    /// Panics if the closure panics.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the values for which the closure returned false stay marked as seen.
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::sync::watch;
    ///
    /// glassfrog::block_on(async {
    ///     let (sender, mut receiver) = watch::channel(0);
    ///     glassfrog::spawn(async move {
    ///         for number in 1..=3 {
    ///             sender.send(number).unwrap();
    ///         }
    ///     });
    ///     assert!(*receiver.wait_for(|number| *number >= 2).await.unwrap() >= 2);
    /// });
    /// ```
    #[track_caller]
    pub fn wait_for<F: FnMut(&T) -> bool>(&mut self, is_wanted: F) -> WaitFor<'_, T, F> {
        WaitFor {
            shared: &self.shared,
            version: &mut self.version,
            is_first: true,
            is_wanted,
            location: Location::caller(),
            listening: Listening::default(),
        }
    }

    /// Marks the value as not seen, so that [`changed`](Receiver::changed) returns at once.
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::sync::watch;
    ///
    /// glassfrog::block_on(async {
    ///     let (_sender, mut receiver) = watch::channel(1);
    ///     receiver.mark_changed();
    ///     receiver.changed().await.unwrap();
    /// });
    /// ```
    pub fn mark_changed(&mut self) {
        self.version = self.shared.core().version().wrapping_sub(1);
    }

    /// Marks the value as seen.
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::sync::watch;
    ///
    /// let (sender, mut receiver) = watch::channel(1);
    /// sender.send(2).unwrap();
    /// receiver.mark_unchanged();
    /// assert!(!receiver.has_changed().unwrap());
    /// ```
    pub fn mark_unchanged(&mut self) {
        self.version = self.shared.core().version();
    }

    /// Returns whether both receivers belong to the same channel.
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::sync::watch;
    ///
    /// let (_sender, receiver) = watch::channel(7);
    /// assert!(receiver.same_channel(&receiver.clone()));
    /// ```
    pub fn same_channel(&self, other: &Receiver<T>) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }
}

impl<T> Clone for Receiver<T> {
    fn clone(&self) -> Receiver<T> {
        self.shared.core().add_receiver();
        Receiver::new(Arc::clone(&self.shared), self.version)
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        self.shared.core().drop_receiver();
    }
}

impl<T> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver")
            .field("has_changed", &self.has_changed())
            .finish_non_exhaustive()
    }
}

/// A reference to the value of a channel, which holds the [lock](super#locks) for reading.
///
/// # Examples
///
/// ```
/// use glassfrog::sync::watch::{self, Ref};
///
/// let (_sender, receiver) = watch::channel(7);
/// let value: Ref<'_, i32> = receiver.borrow();
/// assert_eq!(*value, 7);
/// ```
pub struct Ref<'a, T> {
    /// The lock.
    value: RwLockReadGuard<'a, T>,
    /// Whether the receiver had not seen the value.
    has_changed: bool,
}

impl<'a, T> Ref<'a, T> {
    /// Wraps a lock.
    pub(super) fn new(value: RwLockReadGuard<'a, T>, has_changed: bool) -> Ref<'a, T> {
        Ref { value, has_changed }
    }

    /// Returns whether the receiver had not marked this value as seen. It is false for the reference of a sender.
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::sync::watch;
    ///
    /// let (sender, mut receiver) = watch::channel(1);
    /// sender.send(2).unwrap();
    /// assert!(receiver.borrow_and_update().has_changed());
    /// assert!(!receiver.borrow_and_update().has_changed());
    /// ```
    pub fn has_changed(&self) -> bool {
        self.has_changed
    }
}

impl<T> Deref for Ref<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T: fmt::Debug> fmt::Debug for Ref<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

/// The future of [`Receiver::changed`].
///
/// # Examples
///
/// ```
/// use glassfrog::sync::watch::{self, Changed};
///
/// glassfrog::block_on(async {
///     let (sender, mut receiver) = watch::channel(1);
///     sender.send(2).unwrap();
///     let changed: Changed<'_, i32> = receiver.changed();
///     changed.await.unwrap();
/// });
/// ```
#[must_use = "futures do nothing unless you `.await` or poll them"]
pub struct Changed<'a, T> {
    /// The receiver.
    receiver: &'a mut Receiver<T>,
    /// Where `changed` was called.
    location: &'static Location<'static>,
    /// The wait.
    listening: Listening,
}

impl<T> Future for Changed<'_, T> {
    type Output = Result<(), RecvError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), RecvError>> {
        ready!(poll_budget(cx));
        let this = &mut *self;
        let Receiver { shared, version } = &mut *this.receiver;
        let seen = &shared.seen;
        let ask = || match seen.core.news(*version) {
            News::Changed(current) => {
                *version = current;
                Some(Ok(()))
            }
            News::Closed => Some(Err(RecvError(()))),
            News::Nothing => None,
        };
        let changed = this
            .listening
            .poll_until(cx, this.location, seen, CHANGED, ask);
        let changed = ready!(changed);
        spend_budget();
        Poll::Ready(changed)
    }
}

impl<T> fmt::Debug for Changed<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Changed").finish_non_exhaustive()
    }
}

/// The future of [`Receiver::wait_for`].
///
/// # Examples
///
/// ```
/// use glassfrog::sync::watch::{self, WaitFor};
///
/// glassfrog::block_on(async {
///     let (_sender, mut receiver) = watch::channel(7);
///     let wait: WaitFor<'_, i32, _> = receiver.wait_for(|number| *number == 7);
///     assert_eq!(*wait.await.unwrap(), 7);
/// });
/// ```
#[must_use = "futures do nothing unless you `.await` or poll them"]
pub struct WaitFor<'a, T, F> {
    /// The state that all ends share.
    shared: &'a Arc<Shared<T>>,
    /// The version that the receiver has seen.
    version: &'a mut u64,
    /// Whether the closure has not been called.
    is_first: bool,
    /// The closure.
    is_wanted: F,
    /// Where `wait_for` was called.
    location: &'static Location<'static>,
    /// The wait.
    listening: Listening,
}

// No field is pinned in place: the closure is only called.
impl<T, F> Unpin for WaitFor<'_, T, F> {}

impl<'a, T, F: FnMut(&T) -> bool> Future for WaitFor<'a, T, F> {
    type Output = Result<Ref<'a, T>, RecvError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        ready!(poll_budget(cx));
        let this = &mut *self;
        let shared: &'a Arc<Shared<T>> = this.shared;
        let core = shared.core();
        let ask = || {
            // Loaded before the version: if no sender is left, the version is the last one.
            let is_closed = core.has_no_senders();
            let value = shared.read();
            let version = core.version();
            let has_changed = version != *this.version;
            if has_changed || this.is_first {
                *this.version = version;
                this.is_first = false;
                if (this.is_wanted)(&value) {
                    return Some(Ok(Ref::new(value, has_changed)));
                }
            }
            is_closed.then_some(Err(RecvError(())))
        };
        let found = this
            .listening
            .poll_until(cx, this.location, &shared.seen, CHANGED, ask);
        let found = ready!(found);
        spend_budget();
        Poll::Ready(found)
    }
}

impl<T, F> fmt::Debug for WaitFor<'_, T, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WaitFor").finish_non_exhaustive()
    }
}

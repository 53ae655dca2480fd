//! [`Message`]: a value in the queue, and [`Messages`]: those that are not in it.
//!
//! The queue of `async-broadcast` clones and drops its items under a lock of its own. If the items were the values, a
//! destructor that used the channel would wait for itself, and a `clone` that panicked would poison the channel. So the
//! queue has references to the values, and whoever removes one clones or drops the value outside that lock.
//!
//! One case needs more: a receiver that is dropped removes itself from the items that it has not received, and drops
//! those that nobody else awaits. It takes them out before, under the lock of [`Messages`], so that no sender adds
//! another one meanwhile.

use crate::primitives::{AtomicU64, AtomicUsize, Mutex, MutexGuard, Ordering, lock};
use std::sync::Arc;

/// Why a message has a value.
const FULL: &str = "only the last owner takes the value";

/// A value in the queue. Clones share the value.
pub(super) struct Message<T>(Arc<Option<T>>);

impl<T> Clone for Message<T> {
    fn clone(&self) -> Message<T> {
        Message(Arc::clone(&self.0))
    }
}

impl<T> Message<T> {
    /// Returns the value, if this is the only reference to it.
    pub(super) fn take(&mut self) -> Option<T> {
        Arc::get_mut(&mut self.0).and_then(Option::take)
    }
}

/// The messages that are not in the queue.
pub(super) struct Messages<T> {
    /// Empty messages, whose memory later values use.
    empty: Mutex<Vec<Message<T>>>,
    /// The largest number of empty messages: the capacity of the queue.
    capacity: usize,
    /// The number of values that were ever sent. Written under the lock.
    sent: AtomicU64,
    /// The number of receivers. Written under the lock.
    receivers: AtomicUsize,
}

/// The lock of [`Messages`]. While it exists, no value is sent.
pub(super) struct Gate<'a, T> {
    /// The empty messages.
    empty: MutexGuard<'a, Vec<Message<T>>>,
    /// The messages.
    messages: &'a Messages<T>,
}

impl<T> Messages<T> {
    /// Creates the state of an empty channel.
    pub(super) fn new(capacity: usize) -> Messages<T> {
        Messages {
            empty: Mutex::new(Vec::new()),
            capacity,
            sent: AtomicU64::new(0),
            receivers: AtomicUsize::new(1),
        }
    }

    /// Keeps senders out.
    pub(super) fn lock(&self) -> Gate<'_, T> {
        Gate {
            empty: lock(&self.empty),
            messages: self,
        }
    }

    /// Returns the number of values that were ever sent.
    pub(super) fn sent(&self) -> u64 {
        // Relaxed: the number protects nothing. Whoever needs the exact one holds the lock.
        self.sent.load(Ordering::Relaxed)
    }

    /// Returns the number of receivers.
    pub(super) fn receivers(&self) -> usize {
        // Relaxed, for the same reason.
        self.receivers.load(Ordering::Relaxed)
    }

    /// Takes the value out of a message that was received, or clones it if other receivers await it.
    pub(super) fn open(&self, mut message: Message<T>) -> T
    where
        T: Clone,
    {
        // The only owner knows that it is the only one: nobody else can clone the reference meanwhile.
        if let Some(content) = Arc::get_mut(&mut message.0) {
            let value = content.take();
            self.keep(message);
            return value.expect(FULL);
        }
        let value = message.0.as_ref().clone().expect(FULL);
        // The other receivers may have received it meanwhile.
        self.discard(message);
        value
    }

    /// Drops the value of a message that nobody else awaits, such as one that the queue had no room for.
    pub(super) fn discard(&self, mut message: Message<T>) {
        if let Some(content) = Arc::get_mut(&mut message.0) {
            drop(content.take());
            self.keep(message);
        }
    }

    /// Keeps an empty message, which has no other owner, for a later value.
    #[inline]
    fn keep(&self, message: Message<T>) {
        let mut empty = lock(&self.empty);
        if empty.len() < self.capacity {
            empty.push(message);
        }
    }
}

impl<T> Gate<'_, T> {
    /// Puts a value into a message.
    pub(super) fn wrap(&mut self, value: T) -> Message<T> {
        match self.empty.pop() {
            Some(mut message) => {
                let content = Arc::get_mut(&mut message.0).expect("an empty message has one owner");
                *content = Some(value);
                message
            }
            None => Message(Arc::new(Some(value))),
        }
    }

    /// Counts a value that has been sent.
    pub(super) fn count(&self) {
        // Only the owner of the lock writes, so this needs no atomic addition.
        let sent = self.messages.sent() + 1;
        self.messages.sent.store(sent, Ordering::Relaxed);
    }

    /// Counts a receiver that is created. Returns its position.
    pub(super) fn add_receiver(&self) -> u64 {
        let receivers = self.messages.receivers() + 1;
        self.messages.receivers.store(receivers, Ordering::Relaxed);
        self.messages.sent()
    }

    /// Counts a receiver that is being dropped.
    pub(super) fn remove_receiver(&self) {
        let receivers = self.messages.receivers() - 1;
        self.messages.receivers.store(receivers, Ordering::Relaxed);
    }
}

//! [`Message`]: a value in the queue, and [`Messages`]: the empty messages that are not in it.
//!
//! The queue of `async-broadcast` clones and drops its items under a lock of its own. If the items were the values, a
//! destructor that uses the channel would deadlock, and a `clone` that panics would poison the channel. So the queue
//! contains references to the values, and the code that removes one clones or drops the value outside that lock.
//!
//! Two cases need more. A receiver that is dropped removes itself from the items that it has not received, and drops
//! those that nobody else awaits. It takes them out before, under the lock of [`Messages`], so that no sender adds
//! another one meanwhile. And the queue would call wakers under its lock, so it gets none: a receiver that finds no
//! value leaves its waker in [`Messages`].
//!
//! # No wake-up is lost
//!
//! A receiver looks for a value and leaves its waker under one lock. A sender sends under the same lock, and
//! then takes the wakers under it. The last sender closes the queue first. The wakers are cloned, called and dropped
//! outside of the lock.

use crate::foreign::{log_panics, wake_all};
use crate::primitives::{AtomicU64, AtomicUsize, Mutex, MutexGuard, Ordering, lock};
use crate::slab::{Key, Slab};
use std::sync::Arc;
use std::task::Waker;

/// Why a message has a value.
const FULL: &str = "only the last owner takes the value";

/// What a log message calls the destructor of a value.
const DESTRUCTOR: &str = "the destructor of a value in a channel";

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

/// The messages that are not in the queue, and the receivers that wait for one.
pub(super) struct Messages<T> {
    /// The messages and the wakers.
    state: Mutex<State<T>>,
    /// The largest number of empty messages: the capacity of the queue.
    capacity: usize,
    /// The number of values that were ever sent. Written under the lock.
    sent: AtomicU64,
    /// The number of receivers. Written under the lock.
    receivers: AtomicUsize,
}

/// What the lock of [`Messages`] guards.
struct State<T> {
    /// Empty messages, whose memory later values use.
    empty: Vec<Message<T>>,
    /// The wakers of the receivers that wait.
    waiting: Slab<Waker>,
}

/// The lock of [`Messages`]. While it exists, no value is sent.
pub(super) struct Gate<'a, T> {
    /// What the lock guards.
    state: MutexGuard<'a, State<T>>,
    /// The messages.
    messages: &'a Messages<T>,
}

impl<T> Messages<T> {
    /// Creates the state of an empty channel.
    pub(super) fn new(capacity: usize) -> Messages<T> {
        Messages {
            state: Mutex::new(State {
                empty: Vec::new(),
                waiting: Slab::new(),
            }),
            capacity,
            sent: AtomicU64::new(0),
            receivers: AtomicUsize::new(1),
        }
    }

    /// Keeps senders out.
    pub(super) fn lock(&self) -> Gate<'_, T> {
        Gate {
            state: lock(&self.state),
            messages: self,
        }
    }

    /// Returns the number of values that were ever sent.
    pub(super) fn sent(&self) -> u64 {
        // Relaxed: the number guards no memory. A caller that needs the exact number holds the lock.
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

    /// Drops the value of a message that nobody else awaits, such as one that the queue had no room for. If the
    /// destructor panics, logs the panic.
    #[inline(never)]
    pub(super) fn discard(&self, mut message: Message<T>) {
        if let Some(content) = Arc::get_mut(&mut message.0) {
            let value = content.take();
            log_panics(DESTRUCTOR, || drop(value));
            self.keep(message);
        } else {
            // Another receiver may have dropped its reference in the meantime, so this may be the last one.
            log_panics(DESTRUCTOR, || drop(message));
        }
    }

    /// Keeps an empty message, which has no other owner, for a later value.
    #[inline]
    fn keep(&self, message: Message<T>) {
        let mut state = lock(&self.state);
        if state.empty.len() < self.capacity {
            state.empty.push(message);
        }
    }

    /// Wakes the receivers that wait.
    #[cold]
    #[inline(never)]
    pub(super) fn wake(&self) {
        let wakers = lock(&self.state).waiting.drain();
        wake_all(wakers);
    }

    /// Removes the waker of a receiver that no longer waits, unless a sender has taken it.
    pub(super) fn withdraw(&self, ticket: Key) {
        let removed = lock(&self.state).waiting.remove(ticket);
        log_panics("the destructor of a waker", || drop(removed));
    }
}

impl<T> Gate<'_, T> {
    /// Puts a value into a message.
    pub(super) fn wrap(&mut self, value: T) -> Message<T> {
        match self.state.empty.pop() {
            Some(mut message) => {
                let content = Arc::get_mut(&mut message.0).expect("an empty message has one owner");
                *content = Some(value);
                message
            }
            None => Message(Arc::new(Some(value))),
        }
    }

    /// Leaves the waker of a receiver that has found no value, in the place of an older one of it. Returns the older
    /// one, which the caller drops outside the lock.
    pub(super) fn wait(&mut self, ticket: &mut Option<Key>, waker: Waker) -> Option<Waker> {
        let waiting = &mut self.state.waiting;
        if let Some(older) = ticket.and_then(|ticket| waiting.get_mut(ticket)) {
            return Some(std::mem::replace(older, waker));
        }
        *ticket = Some(waiting.insert(waker));
        None
    }

    /// Returns whether receivers wait. The caller calls [`wake`](Messages::wake) when it has released the lock.
    #[inline]
    pub(super) fn is_awaited(&self) -> bool {
        self.state.waiting.len() > 0
    }

    /// Counts a value that has been sent.
    pub(super) fn count(&self) {
        // Only the owner of the lock writes the number, so no atomic addition is needed.
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

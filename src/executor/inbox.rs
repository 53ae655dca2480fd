//! The way in for other threads: messages to a loop that may be asleep.
//!
//! ```text
//!             announce_park, nothing in it
//!   +-------+ -----------------------------> +--------+
//!   | awake |                                | parked |
//!   +-------+ <----------------------------- +--------+
//!             post or nudge: wakes the loop, once
//!             drain: the loop came back by itself
//!
//!   at the end of the runtime, for ever: closed, which hands every message back
//! ```
//!
//! Whether the loop is parked stands under the same lock as the messages, and this is the whole
//! proof: a message is either there when the loop announces that it will park, and then it
//! doesn't, or it comes later, and then its sender sees the announcement and wakes the loop.

use crate::sync::{AtomicUsize, Mutex, Ordering, lock};
use std::mem;
use std::ops::Deref;
use std::sync::Arc;
use std::task::Waker;

/// A locked queue, and whether its reader sleeps.
pub(crate) struct Inbox<M> {
    /// Everything that other threads see of the loop.
    state: Mutex<State<M>>,
    /// Ends the park of the loop. Called without the lock.
    unpark: Waker,
    /// How many hold a way in by which they may say anything at any time.
    outsiders: AtomicUsize,
}

/// A way into the inbox, of somebody who may say anything at any time, and so is counted.
pub(crate) struct Outsider<M> {
    /// The inbox.
    inbox: Arc<Inbox<M>>,
}

impl<M> Outsider<M> {
    /// Lets somebody in.
    pub(crate) fn new(inbox: &Arc<Inbox<M>>) -> Outsider<M> {
        let inbox = Arc::clone(inbox);
        // Relaxed is enough: whoever makes another is one already, or is the loop's own thread.
        inbox.outsiders.fetch_add(1, Ordering::Relaxed);
        Outsider { inbox }
    }
}

impl<M> Clone for Outsider<M> {
    fn clone(&self) -> Outsider<M> {
        Outsider::new(&self.inbox)
    }
}

impl<M> Drop for Outsider<M> {
    fn drop(&mut self) {
        // Release: pairs with the Acquire in `has_outsiders`, so that who sees that nobody is left sees
        // the messages that they left.
        if self.inbox.outsiders.fetch_sub(1, Ordering::Release) == 1 {
            // The loop may want to know that nobody is left.
            self.inbox.nudge();
        }
    }
}

impl<M> Deref for Outsider<M> {
    type Target = Arc<Inbox<M>>;

    fn deref(&self) -> &Arc<Inbox<M>> {
        &self.inbox
    }
}

/// What stands under the lock.
struct State<M> {
    /// What has come since the last `drain`, oldest first.
    messages: Vec<M>,
    /// The loop sleeps, or is about to, and nobody has woken it yet.
    parked: bool,
    /// The runtime has ended; nothing is taken any more.
    closed: bool,
}

impl<M> Inbox<M> {
    /// An open, empty inbox. `unpark` is to end the park of the loop that reads it.
    pub(crate) fn new(unpark: Waker) -> Inbox<M> {
        Inbox {
            state: Mutex::new(State {
                messages: Vec::new(),
                parked: false,
                closed: false,
            }),
            unpark,
            outsiders: AtomicUsize::new(0),
        }
    }

    /// Whether anybody is there who may say anything at any time.
    pub(crate) fn has_outsiders(&self) -> bool {
        self.outsiders.load(Ordering::Acquire) > 0
    }

    /// Whether nothing has come since the park was announced.
    pub(crate) fn is_quiet(&self) -> bool {
        let state = lock(&self.state);
        state.parked && state.messages.is_empty()
    }

    /// Leaves a message and wakes the loop if it is parked. A closed inbox hands it back.
    pub(crate) fn post(&self, message: M) -> Result<(), M> {
        let mut state = lock(&self.state);
        if state.closed {
            return Err(message);
        }
        state.messages.push(message);
        let parked = mem::take(&mut state.parked);
        drop(state);
        if parked {
            self.unpark.wake_by_ref();
        }
        Ok(())
    }

    /// Wakes the loop if it is parked, because its next deadline has become an earlier one.
    pub(crate) fn nudge(&self) {
        let parked = mem::take(&mut lock(&self.state).parked);
        if parked {
            self.unpark.wake_by_ref();
        }
    }

    /// Says that the loop is about to park; false if it must not, because something has come.
    pub(crate) fn announce_park(&self) -> bool {
        let mut state = lock(&self.state);
        state.parked = state.messages.is_empty();
        state.parked
    }

    /// Takes all messages, and says that the loop is awake. `into` has to be empty.
    pub(crate) fn drain(&self, into: &mut Vec<M>) {
        let mut state = lock(&self.state);
        state.parked = false;
        mem::swap(&mut state.messages, into);
    }

    /// Ends the inbox and returns what is in it.
    pub(crate) fn close(&self) -> Vec<M> {
        let mut state = lock(&self.state);
        state.closed = true;
        mem::take(&mut state.messages)
    }

    /// Whether the runtime has ended.
    pub(crate) fn is_closed(&self) -> bool {
        lock(&self.state).closed
    }
}

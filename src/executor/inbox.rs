//! The way in for other threads: messages to a loop that may be asleep.
//!
//! ```text
//!                       announce_park
//!          +-------+ -----------------> +--------+
//!          | AWAKE |                    | PARKED |
//!          +-------+ <----------------- +--------+
//!            |   ^     awake: nobody         |
//!       call |   |     has called            | call: wakes the loop
//!            v   | awake: it has             v
//!          +-------------------------------------+
//!          |               CALLED                |
//!          +-------------------------------------+
//!
//!   at the end of the runtime, for ever: closed, which hands every message back
//! ```
//!
//! One word says whether the loop is parked and whether it was called since it looked last. A call is a
//! [`post`](Inbox::post), whose message is in the queue by then, or a [`nudge`](Inbox::nudge).
//!
//! Why no call is lost: calls and the announcement of a park are read-modify-writes of this word. A call
//! that comes before the announcement makes it fail, and the loop looks again; a call that comes after it
//! finds the word at `PARKED`, and wakes the loop.

use super::ended::Ended;
use crate::sync::{AtomicBool, AtomicU8, AtomicUsize, Mutex, Ordering, lock};
use std::mem;
use std::ops::Deref;
use std::sync::Arc;
use std::task::Waker;

/// The loop runs, and has not been called since it looked.
const AWAKE: u8 = 0;
/// The loop sleeps, or is about to, and has not been called.
const PARKED: u8 = 1;
/// The loop has been called, and has not looked yet.
const CALLED: u8 = 2;

/// A locked queue, and whether its reader sleeps.
pub(crate) struct Inbox<M> {
    /// See the head of this file. Written by the loop and by those who call it.
    reader: AtomicU8,
    /// The runtime has ended; nothing is taken any more. Written under the lock.
    closed: AtomicBool,
    /// What others have left.
    state: Mutex<State<M>>,
    /// Ends the park of the loop. Called without the lock.
    unpark: Waker,
    /// How many hold a way in by which they may say anything at any time.
    outsiders: AtomicUsize,
    /// What can be known of the loop's tasks without a message. Written by the loop.
    pub(crate) ended: Ended,
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
        // Relaxed is enough: a loop that finds nobody left goes on to take the lock, after the outsiders
        // have held it for the last time.
        if self.inbox.outsiders.fetch_sub(1, Ordering::Relaxed) == 1 {
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
}

impl<M> Inbox<M> {
    /// An open, empty inbox. `unpark` is to end the park of the loop that reads it.
    pub(crate) fn new(unpark: Waker) -> Inbox<M> {
        Inbox {
            reader: AtomicU8::new(AWAKE),
            closed: AtomicBool::new(false),
            state: Mutex::new(State {
                messages: Vec::new(),
            }),
            unpark,
            outsiders: AtomicUsize::new(0),
            ended: Ended::new(),
        }
    }

    /// Whether anybody is there who may say anything at any time.
    pub(crate) fn has_outsiders(&self) -> bool {
        self.outsiders.load(Ordering::Relaxed) > 0
    }

    /// Whether nothing has come since the park was announced.
    pub(crate) fn is_quiet(&self) -> bool {
        self.reader.load(Ordering::Acquire) == PARKED && lock(&self.state).messages.is_empty()
    }

    /// Leaves a message and wakes the loop if it is parked. A closed inbox hands it back.
    pub(crate) fn post(&self, message: M) -> Result<(), M> {
        let mut state = lock(&self.state);
        if self.is_closed() {
            return Err(message);
        }
        state.messages.push(message);
        drop(state);
        self.nudge();
        Ok(())
    }

    /// Calls the loop, and wakes it if it is parked. Without a message the call says that something has
    /// changed: the next deadline has become an earlier one, or the last outsider has left.
    pub(crate) fn nudge(&self) {
        // Release: pairs with the Acquire in `awake`.
        if self.reader.swap(CALLED, Ordering::Release) == PARKED {
            self.unpark.wake_by_ref();
        }
    }

    /// Says that the loop is about to park; false if it must not, because it was called.
    pub(crate) fn announce_park(&self) -> bool {
        // Relaxed is enough: a loop that finds itself called goes on to `awake`.
        let parked = Ordering::Relaxed;
        let announced = self.reader.compare_exchange(AWAKE, PARKED, parked, parked);
        announced.is_ok()
    }

    /// Says that the loop is awake; true if it was called, so that it has to
    /// [take](Inbox::drain) the messages that have come.
    #[inline]
    pub(crate) fn awake(&self) -> bool {
        // A stale AWAKE does no harm: the announcement of the next park fails. Acquire: pairs with the
        // Release in `nudge`, so that what the caller did before is seen.
        self.reader.load(Ordering::Relaxed) != AWAKE
            && self.reader.swap(AWAKE, Ordering::Acquire) == CALLED
    }

    /// Takes all messages. `into` has to be empty.
    pub(crate) fn drain(&self, into: &mut Vec<M>) {
        mem::swap(&mut lock(&self.state).messages, into);
    }

    /// Ends the inbox and returns what is in it.
    pub(crate) fn close(&self) -> Vec<M> {
        let mut state = lock(&self.state);
        // Release: who sees the end sees what came before it.
        self.closed.store(true, Ordering::Release);
        mem::take(&mut state.messages)
    }

    /// Whether the runtime has ended.
    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }
}

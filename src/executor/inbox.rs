//! [`Inbox`]: the messages from other threads to a loop, which may be parked.
//!
//! Wakers, handles and sleeps post and nudge from any thread. The executor takes the messages, and the event
//! loop announces its parks. The inbox does not interpret the messages, which [`message`](super::message) defines.
//!
//! ```text
//!                       announce_park
//!          +-------+ -----------------> +--------+
//!          | AWAKE |                    | PARKED |
//!          +-------+ <----------------- +--------+
//!            |   ^     awake: no call        |
//!       call |   |                           | call: wakes the loop
//!            v   | awake: called             v
//!          +-------------------------------------+
//!          |               CALLED                |
//!          +-------------------------------------+
//!
//!   from the end of the runtime on: closed, and returns every message to its sender
//! ```
//!
//! One word says whether the loop is parked, and whether it has been called since it last read messages. A call is a
//! [`post`](Inbox::post), which queues its message first, or a [`nudge`](Inbox::nudge).
//!
//! Why no call is lost: calls and the announcement of a park are read-modify-writes of this word. If a call comes
//! before the announcement, the announcement fails, and the loop reads messages again. If a call comes after the
//! announcement, it finds the word at `PARKED`, and wakes the loop.
//!
//! A foreign loop waits for the descriptor of the event queue between two turns. To the inbox that is a park: the
//! loop announces it when it has left the runtime, and is awake at the beginning of the next turn. If the
//! announcement fails, the loop makes its descriptor readable itself.

use super::aborters::Aborters;
use super::children::MemberRef;
use super::ended::Ended;
use crate::primitives::{AtomicBool, AtomicU8, AtomicUsize, Mutex, Ordering, lock};
use crate::slab::Slab;
use std::mem;
use std::ops::Deref;
use std::sync::Arc;
use std::task::Waker;

/// The loop runs, and has not been called since it last read messages.
const AWAKE: u8 = 0;
/// The loop is parked, or about to park, and has not been called.
const PARKED: u8 = 1;
/// The loop has been called, and has not read messages since.
const CALLED: u8 = 2;

/// A queue of messages, and whether its reader is parked. `R` records what other threads do.
pub(crate) struct Inbox<M, R = ()> {
    /// The state of the reader, which is the loop: [`AWAKE`], [`PARKED`] or [`CALLED`]. The loop and its callers
    /// write it.
    reader: AtomicU8,
    /// Whether the runtime has ended, after which no message is accepted. Written under the lock.
    closed: AtomicBool,
    /// The messages since the last [`drain`](Inbox::drain), oldest first.
    messages: Mutex<Vec<M>>,
    /// Ends the park of the loop. Called without the lock.
    unpark: Waker,
    /// Whether every call wakes the loop, even if it is not parked.
    #[cfg(feature = "sim")]
    wakes_always: bool,
    /// The number of [handles](InboxHandle).
    handles: AtomicUsize,
    /// The record of which tasks have ended, for handles on other threads. Written by the loop.
    pub(crate) ended: Ended,
    /// Records the wakes of other threads. Set at the creation.
    pub(crate) recorder: R,
    /// The tasks that have abort handles. Written by the handles.
    pub(crate) aborters: Aborters,
    /// The sets for which tasks of the runtime have waited. Written by the sets, on any thread.
    pub(crate) sets: Mutex<Slab<MemberRef>>,
}

/// A counted reference to an inbox, whose owner may post a message at any time. While there is one, the loop is not
/// in a deadlock.
pub(crate) struct InboxHandle<M, R = ()> {
    /// The inbox.
    inbox: Arc<Inbox<M, R>>,
}

impl<M, R> InboxHandle<M, R> {
    /// Creates a handle.
    pub(crate) fn new(inbox: &Arc<Inbox<M, R>>) -> InboxHandle<M, R> {
        let inbox = Arc::clone(inbox);
        // Relaxed is enough: a new handle is created from another one, or on the loop's own thread.
        inbox.handles.fetch_add(1, Ordering::Relaxed);
        InboxHandle { inbox }
    }
}

impl<M, R> Clone for InboxHandle<M, R> {
    fn clone(&self) -> InboxHandle<M, R> {
        InboxHandle::new(&self.inbox)
    }
}

impl<M, R> Drop for InboxHandle<M, R> {
    fn drop(&mut self) {
        // Relaxed is enough: a loop that finds no handle takes the lock next, and by then the handles have held the
        // lock for the last time.
        if self.inbox.handles.fetch_sub(1, Ordering::Relaxed) == 1 {
            // Without handles, the loop may be in a deadlock.
            self.inbox.nudge();
        }
    }
}

impl<M, R> Deref for InboxHandle<M, R> {
    type Target = Arc<Inbox<M, R>>;

    fn deref(&self) -> &Arc<Inbox<M, R>> {
        &self.inbox
    }
}

impl<M, R> Inbox<M, R> {
    /// Creates an open, empty inbox. `unpark` ends the park of the loop that reads it.
    pub(crate) fn new(unpark: Waker, recorder: R) -> Inbox<M, R> {
        Inbox {
            reader: AtomicU8::new(AWAKE),
            closed: AtomicBool::new(false),
            messages: Mutex::new(Vec::new()),
            unpark,
            #[cfg(feature = "sim")]
            wakes_always: false,
            handles: AtomicUsize::new(0),
            ended: Ended::new(),
            recorder,
            aborters: Aborters::new(),
            sets: Mutex::new(Slab::new()),
        }
    }

    /// Makes every call wake the loop, even if it is not parked. The loop of a simulated host is woken by a bell, which
    /// finds out which thread has called.
    #[cfg(feature = "sim")]
    pub(crate) fn waking_always(mut self) -> Inbox<M, R> {
        self.wakes_always = true;
        self
    }

    /// Returns whether the inbox is that of a simulated host.
    pub(crate) fn is_of_host(&self) -> bool {
        #[cfg(feature = "sim")]
        return self.wakes_always;
        #[cfg(not(feature = "sim"))]
        return false;
    }

    /// Returns whether there is a handle, whose owner may post a message at any time.
    pub(crate) fn has_handles(&self) -> bool {
        self.handles.load(Ordering::Relaxed) > 0
    }

    /// Returns whether there has been no call and no message since the park was announced.
    pub(crate) fn is_quiet(&self) -> bool {
        self.reader.load(Ordering::Acquire) == PARKED && lock(&self.messages).is_empty()
    }

    /// Returns whether there is such a message that the loop has not read.
    pub(crate) fn has_message(&self, is_such: impl Fn(&M) -> bool) -> bool {
        lock(&self.messages).iter().any(is_such)
    }

    /// Posts a message, and wakes the loop if it is parked. If the inbox is closed, returns the message.
    pub(crate) fn post(&self, message: M) -> Result<(), M> {
        let mut messages = lock(&self.messages);
        if self.is_closed() {
            return Err(message);
        }
        messages.push(message);
        drop(messages);
        self.nudge();
        Ok(())
    }

    /// Calls the loop, and wakes it if it is parked. A call without a message says that something else has
    /// changed, such as the earliest deadline or the number of handles.
    pub(crate) fn nudge(&self) {
        // Release: pairs with the Acquire in `awake`.
        let is_parked = self.reader.swap(CALLED, Ordering::Release) == PARKED;
        #[cfg(feature = "sim")]
        let is_parked = is_parked || self.wakes_always;
        if is_parked {
            self.unpark.wake_by_ref();
        }
    }

    /// Ends the park of the loop, or the wait of a foreign loop for its descriptor, without a call.
    pub(crate) fn unpark(&self) {
        self.unpark.wake_by_ref();
    }

    /// Announces that the loop is about to park. Returns false if the loop was called and must not park.
    pub(crate) fn announce_park(&self) -> bool {
        // Relaxed is enough: a loop that was called calls `awake` next.
        let parked = Ordering::Relaxed;
        let announced = self.reader.compare_exchange(AWAKE, PARKED, parked, parked);
        announced.is_ok()
    }

    /// Notes that the loop is awake. Returns true if the loop was called and has to [take](Inbox::drain) the
    /// messages.
    #[inline]
    pub(crate) fn awake(&self) -> bool {
        // A stale AWAKE does no harm: the announcement of the next park fails. Acquire: pairs with the
        // Release in `nudge`, so that the loop sees what the caller did before.
        self.reader.load(Ordering::Relaxed) != AWAKE
            && self.reader.swap(AWAKE, Ordering::Acquire) == CALLED
    }

    /// Takes all messages. `into` must be empty.
    pub(crate) fn drain(&self, into: &mut Vec<M>) {
        mem::swap(&mut *lock(&self.messages), into);
    }

    /// Closes the inbox and returns the messages in it.
    pub(crate) fn close(&self) -> Vec<M> {
        let mut messages = lock(&self.messages);
        // Release: pairs with the Acquire in `is_closed`, so that a thread that sees the end sees what came
        // before it.
        self.closed.store(true, Ordering::Release);
        mem::take(&mut *messages)
    }

    /// Returns whether the runtime has ended.
    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }
}

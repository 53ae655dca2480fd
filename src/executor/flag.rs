//! [`QueuedFlag`] and [`TaskFlags`]: the flags of a task that is in the run queue, or about to be.
//!
//! Wakers raise the flags, and the executor lowers them before a poll. A group of tasks (`task/group.rs`) has such
//! a flag for each member.
//!
//! ```text
//!              raise: true                    raise: false
//!   +--------+ ----------------> +--------+ ---------------+
//!   |  down  |                   | raised |                |
//!   +--------+ <---------------- +--------+ <--------------+
//!                 lower
//! ```
//!
//! Many wakes cause one entry in the queue: only the wake that finds the flag down queues the task.

use crate::primitives::{AtomicBool, Ordering};

/// A flag that any thread may raise.
#[derive(Debug, Default)]
pub(crate) struct QueuedFlag {
    /// Set by a wake, on any thread; cleared before the poll that follows.
    raised: AtomicBool,
}

impl QueuedFlag {
    /// Raises the flag. Returns true if it was down, and the caller has to queue the task.
    pub(crate) fn raise(&self) -> bool {
        // Release: pairs with the Acquire in `lower`, so that the poll that follows sees what this
        // thread did before, even if the wake of another thread queued the task.
        !self.raised.swap(true, Ordering::Release)
    }

    /// Returns whether the flag is raised, for a dump.
    pub(crate) fn is_raised(&self) -> bool {
        self.raised.load(Ordering::Relaxed)
    }

    /// Lowers the flag. The caller polls the task next.
    pub(crate) fn lower(&self) {
        // A swap, not a store: only a read-modify-write acquires what the last `raise` released.
        self.raised.swap(false, Ordering::Acquire);
    }
}

/// The flags of a task: one for wakes on its own thread, and one for wakes on other threads.
///
/// The run queue belongs to the task's own thread, so the first flag needs no locked instruction. A wake on
/// another thread raises the other flag and posts a message; the flag is lowered when the message is read. The
/// first flag is lowered before the poll: a wake during the poll queues the task again, and the poll covers every
/// earlier wake. A task that is woken on both threads may be polled twice.
///
/// ```text
///    own thread       wake_local --------------------------+
///                                                          v      begin_poll
///    another thread   wake_remote --> message --> receive --> run queue --> poll
/// ```
#[derive(Debug, Default)]
pub(crate) struct TaskFlags {
    /// Whether the task is in the run queue. Relaxed is enough, because only its own thread writes it.
    queued: AtomicBool,
    /// Whether a wake was posted as a message that has not been read.
    posted: QueuedFlag,
}

impl TaskFlags {
    /// Notes a wake on the task's own thread. Returns true if the caller has to push the task to the run queue.
    #[inline]
    pub(crate) fn wake_local(&self) -> bool {
        let was_down = !self.queued.load(Ordering::Relaxed);
        self.queued.store(true, Ordering::Relaxed);
        was_down
    }

    /// Notes a wake on another thread. Returns true if the caller has to post a message.
    pub(crate) fn wake_remote(&self) -> bool {
        self.posted.raise()
    }

    /// Notes that the message was read. Returns true if the caller has to push the task to the run queue. It is never
    /// called during a poll.
    pub(crate) fn receive(&self) -> bool {
        self.posted.lower();
        self.wake_local()
    }

    /// Notes that the task was popped from the run queue and is polled next.
    #[inline]
    pub(crate) fn begin_poll(&self) {
        self.queued.store(false, Ordering::Relaxed);
    }

    /// Returns whether the task will be polled, for a dump.
    pub(crate) fn is_queued(&self) -> bool {
        self.queued.load(Ordering::Relaxed) || self.posted.is_raised()
    }

    /// Returns whether the task is in the run queue. It is called only on the task's own thread.
    pub(crate) fn is_queued_here(&self) -> bool {
        self.queued.load(Ordering::Relaxed)
    }

    /// Lowers both flags, to reuse them for another task. Nothing else holds the waker.
    pub(crate) fn reset(&self) {
        self.queued.store(false, Ordering::Relaxed);
        self.posted.raised.store(false, Ordering::Relaxed);
    }
}

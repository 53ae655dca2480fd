//! The flags that say whether a task is in the run queue, or on its way there.
//!
//! ```text
//!              raise: true                    raise: false
//!   +--------+ ----------------> +--------+ ---------------+
//!   |  down  |                   | raised |                |
//!   +--------+ <---------------- +--------+ <--------------+
//!                 lower
//! ```
//!
//! Many wakes become one place in the queue: only a wake that finds the flag down queues the task.

use crate::primitives::{AtomicBool, Ordering};

/// A flag that any thread raises.
#[derive(Debug, Default)]
pub(crate) struct QueuedFlag {
    /// Set by a wake, from any thread; cleared before the poll that the wake asks for.
    raised: AtomicBool,
}

impl QueuedFlag {
    /// Raises the flag; true if it was down, so that the caller has to queue the task.
    pub(crate) fn raise(&self) -> bool {
        // Release: pairs with the Acquire in `lower`, so that the poll that follows sees what the
        // waking thread did before, even if somebody else's wake queued the task.
        !self.raised.swap(true, Ordering::Release)
    }

    /// Whether it is raised, for somebody who only looks.
    pub(crate) fn is_raised(&self) -> bool {
        self.raised.load(Ordering::Relaxed)
    }

    /// Lowers the flag. The caller polls the task next.
    pub(crate) fn lower(&self) {
        // A swap and not a store: only a read-modify-write reads, and so acquires, what the last
        // `raise` released.
        self.raised.swap(false, Ordering::Acquire);
    }
}

/// The flags of a task: one for the wakes of its own thread, one for those of all others.
///
/// The run queue belongs to the task's own thread, so the flag for it needs no locked instruction. A
/// wake on another thread posts a message instead, under a flag of its own, which goes down when the
/// message is read. Both go down before the poll: a wake that comes during the poll queues the task once
/// more, and a wake that came before is covered by the poll. A task that is woken from both sides may be
/// polled twice.
///
/// ```text
///    own thread       wake_here -----------------------------+
///                                                            v        begin_poll
///    another thread   wake_from_afar --> message --> receive --> run queue --> poll
/// ```
#[derive(Debug, Default)]
pub(crate) struct TaskFlags {
    /// Whether the task is in the run queue. Written by its own thread alone, so Relaxed is enough.
    queued: AtomicBool,
    /// Whether a message that asks for that is on its way.
    posted: QueuedFlag,
}

impl TaskFlags {
    /// Notes a wake on the task's own thread; true if the caller has to push the task to the run queue.
    #[inline]
    pub(crate) fn wake_here(&self) -> bool {
        let was_down = !self.queued.load(Ordering::Relaxed);
        self.queued.store(true, Ordering::Relaxed);
        was_down
    }

    /// Notes a wake on another thread; true if the caller has to post a message.
    pub(crate) fn wake_from_afar(&self) -> bool {
        self.posted.raise()
    }

    /// Notes that the message has come; true if the caller has to push the task to the run queue. While
    /// the task is being polled no message is read.
    pub(crate) fn receive(&self) -> bool {
        self.posted.lower();
        self.wake_here()
    }

    /// Notes that the task has left the run queue and is polled next.
    #[inline]
    pub(crate) fn begin_poll(&self) {
        self.queued.store(false, Ordering::Relaxed);
    }

    /// Whether a poll is coming, for somebody who only looks.
    pub(crate) fn is_queued(&self) -> bool {
        self.queued.load(Ordering::Relaxed) || self.posted.is_raised()
    }

    /// Lowers both for another task. No other thread has a way to them.
    pub(crate) fn reset(&self) {
        self.queued.store(false, Ordering::Relaxed);
        self.posted.raised.store(false, Ordering::Relaxed);
    }
}

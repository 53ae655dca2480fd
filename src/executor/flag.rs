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

use crate::primitives::{AtomicBool, AtomicU8, Ordering};

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

/// The task is in the run queue.
const QUEUED: u8 = 1;
/// The next wake of the task on its own thread is recorded. Set by an observed poll, so that a wake that is not recorded
/// costs no comparison more.
const RECORDED: u8 = 1 << 1;

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
    /// Whether the task is in the run queue: a set of [`QUEUED`] and [`RECORDED`]. Relaxed is enough, because only its
    /// own thread writes it.
    queued: AtomicU8,
    /// Whether a wake was posted as a message that has not been read.
    posted: QueuedFlag,
}

impl TaskFlags {
    /// Notes a wake on the task's own thread. Returns true if the caller has to push the task to the run queue. Otherwise
    /// the wake may be [recorded](TaskFlags::wake_recorded).
    #[inline(always)]
    pub(crate) fn wake_local(&self) -> bool {
        let is_first = self.queued.load(Ordering::Relaxed) == 0;
        if is_first {
            self.queued.store(QUEUED, Ordering::Relaxed);
        }
        is_first
    }

    /// Notes a wake on the task's own thread that is recorded. Returns true if it is, and the caller has to push the task to
    /// the run queue.
    pub(crate) fn wake_recorded(&self) -> bool {
        let is_first = self.queued.load(Ordering::Relaxed) == RECORDED;
        if is_first {
            self.queued.store(QUEUED | RECORDED, Ordering::Relaxed);
        }
        is_first
    }

    /// Notes that the wakes of the task are recorded until its next poll.
    pub(crate) fn record(&self) {
        let queued = self.queued.load(Ordering::Relaxed);
        self.queued.store(queued | RECORDED, Ordering::Relaxed);
    }

    /// Notes a wake on another thread. Returns true if the caller has to post a message.
    pub(crate) fn wake_remote(&self) -> bool {
        self.posted.raise()
    }

    /// Notes that the message was read. Returns true if the caller has to push the task to the run queue. It is never
    /// called during a poll.
    pub(crate) fn receive(&self) -> bool {
        self.posted.lower();
        // The other thread has recorded the wake.
        self.wake_local() || self.wake_recorded()
    }

    /// Notes that the task was popped from the run queue and is polled next.
    #[inline]
    pub(crate) fn begin_poll(&self) {
        self.queued.store(0, Ordering::Relaxed);
    }

    /// Returns whether the task will be polled, for a dump.
    pub(crate) fn is_queued(&self) -> bool {
        self.is_in_queue() || self.posted.is_raised()
    }

    /// Returns whether the task is in the run queue.
    pub(crate) fn is_in_queue(&self) -> bool {
        self.queued.load(Ordering::Relaxed) & QUEUED != 0
    }

    /// Lowers both flags, to reuse them for another task. Nothing else holds the waker.
    pub(crate) fn reset(&self) {
        self.queued.store(0, Ordering::Relaxed);
        self.posted.raised.store(false, Ordering::Relaxed);
    }
}

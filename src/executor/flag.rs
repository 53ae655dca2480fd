//! The flag that says whether a task is in the run queue or on its way there.
//!
//! ```text
//!              raise: true                    raise: false
//!   +--------+ ----------------> +--------+ ---------------+
//!   |  down  |                   | raised |                |
//!   +--------+ <---------------- +--------+ <--------------+
//!                 lower (just before the poll)
//! ```
//!
//! The flag goes down *before* the task is polled. A wake that comes during the poll raises it
//! again and queues the task once more; a wake that came before is covered by the poll.

use crate::sync::{AtomicBool, Ordering};

/// Makes many wakes of one task into one place in the run queue.
#[derive(Debug, Default)]
pub(crate) struct QueuedFlag {
    /// Set by whoever wakes the task, from any thread; cleared by the executor.
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

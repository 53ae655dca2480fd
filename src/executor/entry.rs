//! [`TaskEntry`]: a task as it is in the slab of the executor.

use super::id::Id;
use super::task::Run;
use super::waker::TaskWaker;
use crate::clock::Stamp;
use crate::slab::Key;
use crate::waiter::Waiter;
use std::panic::Location;
use std::pin::Pin;
use std::sync::Arc;

/// A task in the slab. The low half of its id is its generation there. There may be a million tasks, so this
/// has no byte to spare.
pub(super) struct TaskEntry {
    /// The future, or the outcome. Taken out while the task is being polled.
    pub(super) body: Option<Body>,
    /// The waiter that awaits the join handle.
    pub(super) joiner: Option<Waiter>,
    /// Where the task was spawned.
    pub(super) location: &'static Location<'static>,
    /// When the task was spawned.
    pub(super) spawned: Stamp,
    /// When the turn began in which the task was polled last.
    pub(super) polled: Stamp,
    /// How many times the task was polled (modulo 2³²).
    pub(super) polls: u32,
    /// The high part of the id.
    pub(super) id_high: u16,
    /// Whether the task is alive, aborted or finished.
    pub(super) phase: Phase,
    /// [`DETACHED`], [`NAMED`] and [`REMOTE`].
    pub(super) marks: u8,
}

/// The join handle was dropped, so nobody will take the outcome.
pub(super) const DETACHED: u8 = 1;
/// The task has a name, which is in the table of names: most tasks have none.
pub(super) const NAMED: u8 = 1 << 1;
/// Another thread spawned the task: its handle takes the outcome from a [`RemoteTask`](super::RemoteTask), not from the slab.
pub(super) const REMOTE: u8 = 1 << 2;

/// The phase of a task.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// The task is polled whenever it is woken.
    Alive,
    /// The next poll drops the future.
    Aborted,
    /// The body is the outcome.
    Finished,
}

/// The part of a task that a poll takes out of the slab.
pub(super) struct Body {
    /// The future, or the outcome.
    pub(super) run: Pin<Box<dyn Run>>,
    /// The waker of the task, between its first poll and its last.
    pub(super) waker: Option<Arc<TaskWaker>>,
}

impl TaskEntry {
    /// Returns the id of the task, which has this key.
    pub(super) fn id(&self, key: Key) -> Id {
        Id::from_halves(self.id_high, key.generation())
    }

    /// Returns whether the task has this mark.
    pub(super) fn has(&self, mark: u8) -> bool {
        self.marks & mark != 0
    }
}

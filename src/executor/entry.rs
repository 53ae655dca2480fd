//! [`TaskEntry`]: a task in the slab of the executor.
//!
//! The executor, the join handles and the snapshots read and write entries. An entry has no behavior of its own.

use super::id::Id;
use super::task::Run;
use super::waker::TaskWaker;
use crate::clock::Stamp;
use crate::slab::Key;
use crate::waiter::Waiter;
use std::panic::Location;
use std::pin::Pin;
use std::sync::Arc;

/// A task in the slab. The low half of its id is the generation of its key. There may be a million tasks, so the
/// entry is kept small.
pub(super) struct TaskEntry {
    /// The future, or the outcome. Taken out while the task is being polled.
    pub(super) body: Option<Body>,
    /// The waiter of the join handle.
    pub(super) joiner: Option<Waiter>,
    /// Where the task was spawned.
    pub(super) location: &'static Location<'static>,
    /// When the task was spawned.
    pub(super) spawned: Stamp,
    /// When the turn began in which the task was polled last.
    pub(super) polled: Stamp,
    /// How many times the task was polled (modulo 2³²).
    pub(super) polls: u32,
    /// The high half of the id.
    pub(super) id_high: u16,
    /// Whether the task is alive, aborted or finished.
    pub(super) phase: Phase,
    /// A set of [`DETACHED`], [`NAMED`], [`REMOTE`] and [`IN_SET`].
    pub(super) marks: u8,
}

/// The mark of a task whose outcome no handle will take from the slab: when the task ends, the executor removes it.
pub(super) const DETACHED: u8 = 1;
/// The mark of a task with a name, which is in the table of names: most tasks have none.
pub(super) const NAMED: u8 = 1 << 1;
/// The mark of a task that a [`Handle`](crate::Handle) spawned: the outcome is sent to the join handle, and does not
/// wait in the slab.
pub(super) const REMOTE: u8 = 1 << 2;

/// The mark of a task whose joiner is a [`JoinSet`](crate::task::JoinSet): the waker of the joiner belongs to the set,
/// which gives it to nothing else.
pub(super) const IN_SET: u8 = 1 << 3;

/// The phase of a task.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// The task has not ended: it is polled when it is woken.
    Alive,
    /// The task was aborted: instead of the next poll, its future is dropped.
    Aborted,
    /// The task has ended: its body is the outcome.
    Finished,
}

/// The part of a task that a poll takes out of the slab.
pub(super) struct Body {
    /// The future, or the outcome.
    pub(super) run: Pin<Box<dyn Run>>,
    /// The waker of the task, from its first poll until its end.
    pub(super) waker: Option<Arc<TaskWaker>>,
}

impl TaskEntry {
    /// Returns the id of the task, whose key is `key`.
    pub(super) fn id(&self, key: Key) -> Id {
        Id::from_halves(self.id_high, key.generation())
    }

    /// Returns whether the task has this mark.
    pub(super) fn has(&self, mark: u8) -> bool {
        self.marks & mark != 0
    }
}

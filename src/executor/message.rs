//! [`Message`]: what other threads ask of an executor.
//!
//! Handles and wakers post messages to the [`Inbox`] of a runtime, from any thread. The executor reads them
//! between two polls, on its own thread.

use super::id::Id;
use super::inbox::{self, Inbox};
use super::task::Run;
use crate::slab::Key;
use futures_task::ArcWake;
use std::panic::Location;
use std::pin::Pin;
use std::sync::Arc;

/// The inbox of an executor.
pub(crate) type Remote = Inbox<Message>;

/// A counted reference to the inbox of an executor.
pub(crate) type InboxHandle = inbox::InboxHandle<Message>;

/// Ends the park of the loop, if there is one, without a message: something has changed that the loop has to
/// look at.
impl ArcWake for Remote {
    fn wake_by_ref(this: &Arc<Self>) {
        this.nudge();
    }
}

/// Builds a task on the thread of its runtime. The argument is the key that the task will have.
pub(crate) type MakeTask = Box<dyn FnOnce(Key) -> Pin<Box<dyn Run>> + Send>;

/// A request to an executor.
pub(crate) enum Message {
    /// Polls this task.
    Wake(Key),
    /// Detaches this task: its handle was dropped.
    Detach(Key),
    /// Cancels this task.
    Abort(Key),
    /// Cancels this task, which an earlier message spawns.
    AbortRemote(Arc<dyn RemoteTask>),
    /// Spawns a task.
    Spawn {
        /// Builds the task.
        make: MakeTask,
        /// Describes it.
        info: SpawnInfo,
    },
    /// Runs a closure on the thread of the loop, for example to take a dump.
    Run(Box<dyn FnOnce() + Send>),
}

/// A task that another thread spawned. Its handle may know it before it has a key.
pub(crate) trait RemoteTask: Send + Sync {
    /// Returns the key of the task, or `None` if it has none yet.
    fn key(&self) -> Option<Key>;

    /// Cancels the task if it is a blocking job that waits for a thread. Returns whether it is a blocking job.
    fn cancel_job(&self) -> bool;

    /// Returns whether the task has ended.
    fn is_finished(&self) -> bool;
}

/// What is known of a task when it is spawned.
pub(crate) struct SpawnInfo {
    /// Its id.
    pub(crate) id: Id,
    /// The name that its spawner gave it.
    pub(crate) name: Option<Box<str>>,
    /// Where it was spawned.
    pub(crate) location: &'static Location<'static>,
}

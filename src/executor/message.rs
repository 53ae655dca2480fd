//! [`Message`]: a request from another thread to an executor.
//!
//! Handles and wakers post messages to the [`Inbox`] of a runtime, from any thread. The executor reads them
//! between polls, on its own thread; see `executor/receive.rs`.

use super::id::Id;
use super::inbox::{self, Inbox};
use super::task::Run;
use crate::slab::Key;
use crate::timeline::recorder::Recorder;
use futures_task::ArcWake;
use std::panic::Location;
use std::pin::Pin;
use std::sync::Arc;

/// The recorder of the timeline, if the runtime records one.
type Recorded = Option<Arc<Recorder>>;

/// The inbox of an executor.
pub(crate) type Remote = Inbox<Message, Recorded>;

/// A counted reference to the inbox of an executor.
pub(crate) type InboxHandle = inbox::InboxHandle<Message, Recorded>;

/// Nudges the loop: ends its park without a message.
impl ArcWake for Remote {
    fn wake_by_ref(this: &Arc<Self>) {
        this.nudge();
    }
}

/// A closure that builds a task on the thread of its runtime. The argument is the key of the task.
pub(crate) type MakeTask = Box<dyn FnOnce(Key) -> Pin<Box<dyn Run>> + Send>;

/// A request to an executor.
pub(crate) enum Message {
    /// Wakes this task.
    Wake(Key),
    /// Detaches this task: its handle was dropped.
    Detach(Key),
    /// Aborts this task.
    Abort(Key),
    /// Aborts this task, which an earlier message spawns.
    AbortRemote(Arc<dyn RemoteTask>),
    /// Spawns a task.
    Spawn {
        /// Builds the task.
        make: MakeTask,
        /// The id, the name and the location of the task.
        info: SpawnInfo,
    },
    /// Runs a closure on the thread of the loop, for example to take a dump. If the closure returns an error, the loop
    /// panics with it: the panic comes out of `block_on` or the turn.
    Run(Box<dyn FnOnce() -> Result<(), String> + Send>),
    /// Notes the panic of a job or a task of a simulated host, which no handle returns.
    #[cfg(feature = "sim")]
    Panicked(super::unreceived::TaskPanic),
}

/// A task that another thread spawned. Its handle exists before the task has a key.
pub(crate) trait RemoteTask: Send + Sync {
    /// Returns the key of the task, or `None` if it has none yet.
    fn key(&self) -> Option<Key>;

    /// If the task is a blocking job that has not begun, cancels it. Returns whether the task is a blocking job.
    fn cancel_job(&self) -> bool;

    /// Returns whether the task is a blocking job.
    fn is_job(&self) -> bool;

    /// Returns whether the task has ended.
    fn is_finished(&self) -> bool;
}

/// The description of a task that is spawned.
pub(crate) struct SpawnInfo {
    /// The id of the task.
    pub(crate) id: Id,
    /// The name of the task, if it has one.
    pub(crate) name: Option<Box<str>>,
    /// Where the task was spawned.
    pub(crate) location: &'static Location<'static>,
}

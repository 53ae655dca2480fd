//! [`AbortHandle`]: aborts a task from any thread.

use super::Id;
use crate::executor::join::has_ended;
use crate::executor::{InboxHandle, Message, Remote, RemoteTask, current};
use crate::slab::Key;
use std::fmt;
use std::sync::Arc;

/// An owned permission to abort a task, from any thread; see [`JoinHandle::abort`](super::JoinHandle::abort).
///
/// The handle keeps neither the task nor its runtime alive. While it exists, a circle of tasks that contains the task is
/// no certain deadlock. The runtime does not report that no task can be woken either, unless no other thread could use
/// the handle; see [`Builder::on_deadlock`](crate::Builder::on_deadlock).
///
/// # Examples
///
/// ```
/// glassfrog::block_on(async {
///     let task = glassfrog::spawn(std::future::pending::<()>());
///     let abort = task.abort_handle();
///     std::thread::spawn(move || abort.abort());
///     assert!(task.await.unwrap_err().is_cancelled());
/// });
/// ```
pub struct AbortHandle {
    /// The id of the task.
    id: Id,
    /// The task to abort.
    task: TaskRef,
}

/// A reference to a task. It holds an [`InboxHandle`], because it may send a message at any time.
#[derive(Clone)]
pub(super) enum TaskRef {
    /// A task in the slab of the runtime with this inbox.
    Local {
        /// The key in the slab.
        key: Key,
        /// The inbox of its runtime.
        inbox: InboxHandle,
    },
    /// A task that may still be on its way to the runtime with this inbox, or a blocking job.
    Remote {
        /// The task, which knows its key once it has one.
        task: Arc<dyn RemoteTask>,
        /// The inbox of its runtime.
        inbox: InboxHandle,
    },
    /// A task that had ended when the handle was created.
    Ended,
}

impl AbortHandle {
    /// Creates a handle for this task.
    pub(super) fn new(id: Id, task: TaskRef) -> AbortHandle {
        if let Some(inbox) = task.inbox() {
            inbox.aborters.add(id.0);
        }
        AbortHandle { id, task }
    }

    /// Aborts the task; see [`JoinHandle::abort`](super::JoinHandle::abort).
    ///
    /// # Examples
    ///
    /// ```
    /// glassfrog::block_on(async {
    ///     let task = glassfrog::spawn(std::future::pending::<()>());
    ///     task.abort_handle().abort();
    ///     assert!(task.await.unwrap_err().is_cancelled());
    /// });
    /// ```
    pub fn abort(&self) {
        match &self.task {
            TaskRef::Local { key, inbox } => abort_local(inbox, *key),
            TaskRef::Remote { task, inbox } => abort_remote(inbox, Arc::clone(task)),
            TaskRef::Ended => {}
        }
    }

    /// Returns whether the task has finished; see
    /// [`JoinHandle::is_finished`](super::JoinHandle::is_finished).
    ///
    /// This function may be called on any thread, even after the [`JoinHandle`](super::JoinHandle) has been
    /// dropped.
    ///
    /// # Examples
    ///
    /// ```
    /// glassfrog::block_on(async {
    ///     let task = glassfrog::spawn(std::future::pending::<()>());
    ///     let abort = task.abort_handle();
    ///     assert!(!abort.is_finished());
    ///     abort.abort();
    ///     assert!(task.await.is_err());
    ///     assert!(abort.is_finished());
    /// });
    /// ```
    pub fn is_finished(&self) -> bool {
        match &self.task {
            TaskRef::Local { key, inbox } => has_ended(inbox, *key, self.id),
            TaskRef::Remote { task, .. } => task.is_finished(),
            TaskRef::Ended => true,
        }
    }

    /// Returns the id of the task.
    ///
    /// # Examples
    ///
    /// ```
    /// glassfrog::block_on(async {
    ///     let task = glassfrog::spawn(async {});
    ///     assert_eq!(task.abort_handle().id(), task.id());
    /// });
    /// ```
    pub fn id(&self) -> Id {
        self.id
    }
}

/// Aborts a task in the slab of the runtime with this inbox.
pub(super) fn abort_local(inbox: &Arc<Remote>, key: Key) {
    match current::here(inbox) {
        Some(executor) => executor.abort(key),
        // A runtime that has ended has cancelled its tasks, and refuses the message.
        None => drop(inbox.post(Message::Abort(key))),
    }
}

/// Aborts a task that may still be on its way to the runtime with this inbox, or a blocking job.
pub(super) fn abort_remote(inbox: &Arc<Remote>, task: Arc<dyn RemoteTask>) {
    if !task.cancel_job() {
        drop(inbox.post(Message::AbortRemote(task)));
    }
}

impl TaskRef {
    /// Returns the inbox of the task's runtime, unless the task had ended.
    fn inbox(&self) -> Option<&InboxHandle> {
        match self {
            TaskRef::Local { inbox, .. } | TaskRef::Remote { inbox, .. } => Some(inbox),
            TaskRef::Ended => None,
        }
    }
}

impl Clone for AbortHandle {
    fn clone(&self) -> AbortHandle {
        AbortHandle::new(self.id, self.task.clone())
    }
}

impl Drop for AbortHandle {
    fn drop(&mut self) {
        if let Some(inbox) = self.task.inbox() {
            inbox.aborters.remove(self.id.0);
        }
    }
}

impl fmt::Debug for AbortHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AbortHandle")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

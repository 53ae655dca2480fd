//! [`AbortHandle`]: cancelling a task from anywhere.

use super::Id;
use crate::executor::join::has_ended;
use crate::executor::{InboxHandle, Message, RemoteTask, current};
use crate::slab::Key;
use std::fmt;
use std::sync::Arc;

/// Cancels a task, from any thread; see [`JoinHandle::abort`](super::JoinHandle::abort). It keeps
/// neither the task nor its runtime alive.
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
#[derive(Clone)]
pub struct AbortHandle {
    /// The number of the task.
    id: Id,
    /// What is to be aborted.
    target: Target,
}

/// Where the task is that is to be aborted.
#[derive(Clone)]
pub(super) enum Target {
    /// In the slab of the runtime that has this inbox.
    Local {
        /// The place in the slab.
        key: Key,
        /// Which runtime it is, and how to reach it from elsewhere.
        inbox: InboxHandle,
    },
    /// The same, or still on its way there.
    Remote {
        /// Knows the place in the slab.
        task: Arc<dyn RemoteTask>,
        /// How to reach the runtime.
        inbox: InboxHandle,
    },
    /// It had ended when the handle was made.
    Ended,
}

impl AbortHandle {
    /// A handle for this task.
    pub(super) fn new(id: Id, target: Target) -> AbortHandle {
        AbortHandle { id, target }
    }

    /// Cancels the task; see [`JoinHandle::abort`](super::JoinHandle::abort).
    ///
    /// # Examples
    ///
    /// See [`AbortHandle`].
    pub fn abort(&self) {
        // A runtime that has ended has cancelled its tasks, and refuses the message.
        match &self.target {
            Target::Local { key, inbox } => match current::here(inbox) {
                Some(executor) => executor.abort(*key),
                None => drop(inbox.post(Message::Abort(*key))),
            },
            Target::Remote { task, inbox } => {
                if !task.cancel_job() {
                    drop(inbox.post(Message::AbortRemote(Arc::clone(task))));
                }
            }
            Target::Ended => {}
        }
    }

    /// Returns whether the task has ended; see [`JoinHandle::is_finished`](super::JoinHandle::is_finished).
    ///
    /// It answers on any thread, also after the task's [`JoinHandle`](super::JoinHandle) is gone.
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
        match &self.target {
            Target::Local { key, inbox } => has_ended(inbox, *key, self.id),
            Target::Remote { task, .. } => task.is_finished(),
            Target::Ended => true,
        }
    }

    /// Returns the number of the task.
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

impl fmt::Debug for AbortHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AbortHandle")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

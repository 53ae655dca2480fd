//! The end of a task without an output, because it was aborted or panicked, and [`OnTaskPanic`].
//!
//! The executor calls this when it has caught the panic of a task, or finds that a task was aborted. The outcome
//! of the task is then a [`JoinError`]. [`OnTaskPanic`] is the policy that users choose.

use super::Executor;
use super::id::Id;
use super::join_error::{JoinError, Payload};
use super::task::Run;
use crate::foreign::{log_panics, panic_message};
use crate::slab::Key;
use crate::timeline::event::Outcome;
use std::mem;
use std::pin::Pin;

/// The policy of a runtime for panics in tasks; see [`Builder::on_task_panic`](crate::Builder::on_task_panic).
///
/// In every case, the [`JoinHandle`](crate::task::JoinHandle) of the task returns an error.
///
/// # Examples
///
/// See [`Builder::on_task_panic`](crate::Builder::on_task_panic).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum OnTaskPanic {
    /// Logs the panic if the task has no handle.
    #[default]
    Log,
    /// Ends the runtime: cancels all tasks, and resumes the panic in `block_on`.
    EndRuntime,
}

impl Executor {
    /// Makes a panic the outcome of its task. Returns the panic if it ends the runtime.
    #[cold]
    pub(super) fn take_panic(
        &self,
        key: Key,
        run: Pin<&mut dyn Run>,
        mut payload: Payload,
    ) -> Option<Payload> {
        let mut fatal = None;
        self.record_outcome(Outcome::Panicked);
        if self.on_panic == OnTaskPanic::EndRuntime {
            // The loop gets the payload itself, and the handle gets the message.
            let message: Payload = Box::new(String::from(panic_message(&*payload)));
            fatal = Some(mem::replace(&mut payload, message));
        }
        let error = self.error_of(key, |id| JoinError::panicked(id, payload));
        #[cfg(feature = "sim")]
        self.note_unawaited(key, &error);
        // This drops the future, whose destructor may panic too.
        log_panics("dropping a task that had panicked", || run.fail(error));
        fatal
    }

    /// Cancels a task that was aborted: drops its future. Returns true, since this ends the task.
    #[cold]
    pub(super) fn cancel(&self, key: Key, run: Pin<&mut dyn Run>) -> bool {
        self.record_outcome(Outcome::Aborted);
        run.fail(self.error_of(key, JoinError::cancelled));
        true
    }

    /// Creates the error of the task with this key, and adds the name of the task.
    fn error_of(&self, key: Key, error: impl FnOnce(Id) -> JoinError) -> JoinError {
        let mut tasks = self.tasks.borrow_mut();
        let id = tasks.slab.get_mut(key).map(|task| task.id(key));
        drop(tasks);
        let error = error(id.unwrap_or_default());
        let name = self.name_of(key.generation());
        error.with_name(name)
    }
}

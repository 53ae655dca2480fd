//! How a task ends without an output: it was aborted, or it panicked.
//!
//! The executor catches the panic and hands it over. [`OnTaskPanic`] is the policy that users choose, and
//! [`JoinError`] is what they see.

use super::Executor;
use super::id::Id;
use super::join_error::{JoinError, Payload};
use super::task::Run;
use crate::foreign::{log_panics, panic_message};
use crate::slab::Key;
use std::mem;
use std::pin::Pin;

/// What the panic of a task does, besides going to its [`JoinHandle`](crate::task::JoinHandle); see
/// [`Builder::on_task_panic`](crate::Builder::on_task_panic).
///
/// # Examples
///
/// See [`Builder::on_task_panic`](crate::Builder::on_task_panic).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum OnTaskPanic {
    /// Does nothing else. If the task has no handle, the panic is logged.
    #[default]
    Log,
    /// Ends the runtime: all tasks are cancelled, and `block_on` panics with the panic of the task.
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
        if self.on_panic == OnTaskPanic::EndRuntime {
            // The loop gets the panic itself, and the handle its message.
            let message: Payload = Box::new(String::from(panic_message(&*payload)));
            fatal = Some(mem::replace(&mut payload, message));
        }
        // This drops what is left of the future, which may panic once more.
        log_panics("dropping a task that had panicked", || {
            run.fail(self.error_of(key, |id| JoinError::panicked(id, payload)));
        });
        fatal
    }

    /// Cancels a task that was aborted: drops its future. Returns true, since this ends the task.
    #[cold]
    pub(super) fn cancel(&self, key: Key, run: Pin<&mut dyn Run>) -> bool {
        run.fail(self.error_of(key, JoinError::cancelled));
        true
    }

    /// Makes the error of the task with this key, which has the name of the task.
    fn error_of(&self, key: Key, error: impl FnOnce(Id) -> JoinError) -> JoinError {
        let mut tasks = self.tasks.borrow_mut();
        let id = tasks.slab.get_mut(key).map(|task| task.id(key));
        drop(tasks);
        let error = error(id.unwrap_or_default());
        let name = self.names.borrow().get(&key.generation()).cloned();
        error.with_name(name)
    }
}

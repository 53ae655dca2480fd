//! [`TaskPanic`]: the panic of a task of a simulated host that nothing has received.
//!
//! A panic that a `JoinHandle` returns to a task is the business of the program. Any other one would go unnoticed, so
//! the executor of a host reports it to the driver of the simulation.

use super::entry::DETACHED;
use super::message::Message;
use super::{Executor, Id, JoinError, Remote};
use crate::slab::Key;
use std::panic::Location;

/// The panic of a task or of a blocking job.
#[derive(Debug)]
pub(crate) struct TaskPanic {
    /// The id of the task.
    pub(crate) id: Id,
    /// What the log says: the id and the name of the task, and the message of the panic.
    pub(crate) text: String,
    /// Where the task was spawned.
    pub(crate) location: &'static Location<'static>,
    /// Whether the task has a handle, for which nothing was waiting when the task panicked. The program may still
    /// receive the panic.
    pub(crate) has_handle: bool,
}

impl TaskPanic {
    /// Describes the panic of a task whose outcome no handle returns.
    fn discarded(error: &JoinError, location: &'static Location<'static>) -> TaskPanic {
        TaskPanic {
            id: error.id(),
            text: error.to_string(),
            location,
            has_handle: false,
        }
    }
}

/// Reports to a simulated host that a panic was discarded, from any thread.
pub(crate) fn report(remote: &Remote, error: &JoinError, location: &'static Location<'static>) {
    if remote.is_of_host() && error.is_panic() {
        let panic = TaskPanic::discarded(error, location);
        // A host that has ended needs no reports.
        drop(remote.post(Message::Panicked(panic)));
    }
}

impl Executor {
    /// Notes that a panic was discarded, if the runtime is a simulated host.
    pub(super) fn note_discarded(&self, error: &JoinError, location: &'static Location<'static>) {
        if self.remote.is_of_host() && error.is_panic() {
            let panic = TaskPanic::discarded(error, location);
            self.note_panic(panic);
        }
    }

    /// Notes that a task with a handle has panicked, if the runtime is a simulated host and nothing waits for the task.
    pub(super) fn note_unawaited(&self, key: Key, error: &JoinError) {
        if !self.remote.is_of_host() {
            return;
        }
        let mut tasks = self.tasks.borrow_mut();
        let task = tasks.slab.get_mut(key);
        // The panic of a detached task is about to be discarded.
        let task = task.filter(|task| task.joiner.is_none() && !task.has(DETACHED));
        let location = task.map(|task| task.location);
        drop(tasks);
        if let Some(location) = location {
            let panic = TaskPanic {
                has_handle: true,
                ..TaskPanic::discarded(error, location)
            };
            self.note_panic(panic);
        }
    }

    /// Keeps a panic for the driver.
    pub(super) fn note_panic(&self, panic: TaskPanic) {
        self.panics.borrow_mut().push(panic);
    }

    /// Takes the panics that were noted, oldest first.
    pub(crate) fn take_panics(&self) -> Vec<TaskPanic> {
        self.panics.take()
    }

    /// Returns whether the outcome of the task with this id, which has a handle, still waits for it. At the end of a
    /// simulation, this tells a panic that nothing has received. Visits all tasks.
    pub(crate) fn has_outcome(&self, id: Id) -> bool {
        let tasks = self.tasks.borrow();
        tasks.slab.iter().any(|(key, task)| task.id(key) == id)
    }
}

//! What join handles and abort handles do with the tasks of their own thread's executor.

use super::task::Run;
use super::{DETACHED, Executor, Id, Phase, Remote, local};
use crate::slab::Key;
use crate::waiter::{Waiter, shielded};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Waker;

/// The answer to a join.
pub(crate) enum Joined {
    /// There is no such task any more.
    Gone,
    /// The task has ended; this holds its outcome.
    Ended(Pin<Box<dyn Run>>),
    /// The task runs, and this very waker is registered.
    Waiting,
    /// The task runs, and a clone of the waker is to be [registered](Executor::register_joiner).
    Unregistered,
}

/// Whether the task with this key and number has ended, asked on any thread.
pub(crate) fn has_ended(remote: &Arc<Remote>, key: Key, id: Id) -> bool {
    let here = local::with(remote, |executor| executor.is_finished(key));
    here.unwrap_or_else(|| remote.ended.has(key.index(), id.0))
}

impl Executor {
    /// Takes the outcome of a task that has ended, or finds out whether `waker` is registered to be
    /// woken at its end.
    #[inline]
    pub(crate) fn join(&self, key: Key, waker: &Waker) -> Joined {
        let mut tasks = self.tasks.borrow_mut();
        let slab = &mut tasks.slab;
        if let Some(task) = slab.remove_if(key, |task| task.phase == Phase::Finished) {
            return self.leave(key, task).0.map_or(Joined::Gone, Joined::Ended);
        }
        let Some(task) = slab.get_mut(key) else {
            return Joined::Gone;
        };
        match &mut task.joiner {
            Some(joiner) if joiner.waker.will_wake(waker) => {
                joiner.tag = self.current_tag();
                Joined::Waiting
            }
            _ => Joined::Unregistered,
        }
    }

    /// Registers a waker to be woken at the end of a task. Returns the former one, to be dropped.
    #[inline]
    pub(crate) fn register_joiner(&self, key: Key, waker: Waker) -> Option<Waiter> {
        let tag = self.current_tag();
        let waiter = Waiter { waker, tag };
        match self.tasks.borrow_mut().slab.get_mut(key) {
            Some(task) => task.joiner.replace(waiter),
            None => Some(waiter),
        }
    }

    /// Makes a task drop its future in place of its next poll. A poll that is going on may still end it.
    pub(crate) fn abort(&self, key: Key) {
        let mut tasks = self.tasks.borrow_mut();
        if let Some(task) = tasks.slab.get_mut(key)
            && task.phase == Phase::Alive
        {
            task.phase = Phase::Aborted;
            // The task may stand in the queue twice now; the second time it is finished.
            tasks.ready.push(key);
        }
    }

    /// Whether a task has ended.
    fn is_finished(&self, key: Key) -> bool {
        let mut tasks = self.tasks.borrow_mut();
        let task = tasks.slab.get_mut(key);
        task.is_none_or(|task| task.phase == Phase::Finished)
    }

    /// Lets a task run on without a handle, or drops its outcome.
    pub(crate) fn detach(&self, key: Key) {
        let mut tasks = self.tasks.borrow_mut();
        let slab = &mut tasks.slab;
        if let Some(task) = slab.remove_if(key, |task| task.phase == Phase::Finished) {
            let (run, location) = self.leave(key, task);
            drop(tasks);
            if let Some(run) = run {
                self.discard(run, location);
            }
        } else if let Some(task) = slab.get_mut(key) {
            task.marks |= DETACHED;
            let joiner = task.joiner.take();
            drop(tasks);
            shielded("dropping a waker", || drop(joiner));
        }
    }
}

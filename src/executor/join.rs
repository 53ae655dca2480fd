//! Joining, aborting and detaching: what the handles of tasks ask of the executor on their own thread.
//!
//! From other threads, handles post messages instead. The handles themselves are in `task/join.rs` and
//! `task/abort.rs`.

use super::entry::{DETACHED, Phase};
use super::id::Id;
use super::message::Remote;
use super::task::Run;
use super::{Executor, current};
use crate::foreign::log_panics;
use crate::slab::Key;
use crate::waiter::Waiter;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Waker;

/// What [`Executor::join`] finds.
pub(crate) enum Joined {
    /// The task is gone.
    Gone,
    /// The task has ended; this holds its outcome.
    Ended(Pin<Box<dyn Run>>),
    /// The task runs, and the waker is registered.
    Waiting,
    /// The task runs, and the caller has to [register](Executor::register_joiner) a clone of the waker.
    Unregistered,
}

/// Returns whether the task with this key and id has ended. It may be called on any thread.
pub(crate) fn has_ended(remote: &Arc<Remote>, key: Key, id: Id) -> bool {
    let here = current::with(remote, |executor| executor.is_finished(key));
    here.unwrap_or_else(|| remote.ended.has(key.index(), id.0))
}

impl Executor {
    /// Takes the outcome of a task that has ended, or finds out whether its end will wake `waker`.
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

    /// Registers a waker to be woken at the end of a task. Returns the previous one, for the caller to drop.
    #[inline]
    pub(crate) fn register_joiner(&self, key: Key, waker: Waker) -> Option<Waiter> {
        let tag = self.current_tag();
        let waiter = Waiter { waker, tag };
        match self.tasks.borrow_mut().slab.get_mut(key) {
            Some(task) => task.joiner.replace(waiter),
            None => Some(waiter),
        }
    }

    /// Aborts a task: instead of its next poll, its future is dropped. A poll that is going on may still
    /// finish the task.
    pub(crate) fn abort(&self, key: Key) {
        let mut tasks = self.tasks.borrow_mut();
        if let Some(task) = tasks.slab.get_mut(key)
            && task.phase == Phase::Alive
        {
            task.phase = Phase::Aborted;
            // The task may be in the queue twice now; the second time it is finished.
            tasks.ready.push(key);
        }
    }

    /// Returns whether a task has ended.
    fn is_finished(&self, key: Key) -> bool {
        let mut tasks = self.tasks.borrow_mut();
        let task = tasks.slab.get_mut(key);
        task.is_none_or(|task| task.phase == Phase::Finished)
    }

    /// Detaches a task: it runs on without a handle, or its outcome is dropped.
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
            log_panics("dropping a waker", || drop(joiner));
        }
    }
}

//! Joining, aborting and detaching tasks.
//!
//! The handles in `task/join.rs` and `task/abort.rs` call this on the executor's own thread. On other threads,
//! they post messages instead.

use super::entry::{DETACHED, IN_SET, Phase};
use super::id::Id;
use super::message::Remote;
use super::task::Run;
use super::waits::Waits;
use super::{Executor, actor, current};
use crate::foreign::log_panics;
use crate::slab::Key;
use crate::waiter::{Tag, Waiter, WaiterInfo};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Waker;

/// The result of [`Executor::join`].
pub(crate) enum Joined {
    /// The task is gone.
    Gone,
    /// The task has ended. This is its outcome.
    Ended(Pin<Box<dyn Run>>),
    /// The task has not ended, and the waker is registered.
    Waiting,
    /// The task has not ended, and the caller has to [register](Executor::register_joiner) a clone of the waker.
    Unregistered,
}

/// Returns whether the task with this key and id has ended. It may be called on any thread.
pub(crate) fn has_ended(remote: &Arc<Remote>, key: Key, id: Id) -> bool {
    let here = current::with(remote, |executor| executor.is_finished(key));
    here.unwrap_or_else(|| remote.ended.has(key.index(), id.0))
}

/// The outcome of [`Executor::register_joiner`].
pub(crate) struct Registered {
    /// The waiter that the new one replaces, or the new one itself if the task is gone. The caller drops it.
    pub(crate) former: Option<Waiter>,
    /// The table of declared waits, if the runtime traces or records waits.
    pub(crate) noted: Option<Arc<Waits>>,
    /// The task that waits.
    pub(crate) tag: Tag,
}

impl Executor {
    /// Takes the outcome of a task that has ended. Otherwise returns whether `waker` is registered.
    #[inline]
    pub(crate) fn join(&self, key: Key, waker: &Waker) -> Joined {
        let mut tasks = self.tasks.borrow_mut();
        let slab = &mut tasks.slab;
        if let Some(task) = slab.remove_if(key, |task| task.phase == Phase::Finished) {
            let (outcome, _) = self.take_apart(key, task);
            return outcome.map_or(Joined::Gone, Joined::Ended);
        }
        let Some(task) = slab.get_mut(key) else {
            return Joined::Gone;
        };
        match &mut task.joiner {
            Some(joiner) if joiner.waker.will_wake(waker) => {
                joiner.tag = self.current_tag();
                self.record_join(joiner.tag, key.generation());
                // Another wait of the task may have ended.
                actor::note_join(joiner.tag);
                Joined::Waiting
            }
            _ => Joined::Unregistered,
        }
    }

    /// Registers a waker, which the end of the task wakes. `in_set` says whether it is the waker of a `JoinSet`. Returns
    /// the previous waiter, which the caller drops.
    #[inline]
    pub(crate) fn register_joiner(&self, key: Key, waker: Waker, in_set: bool) -> Registered {
        let tag = self.current_tag();
        actor::note_join(tag);
        let waiter = Waiter { waker, tag };
        let former = match self.tasks.borrow_mut().slab.get_mut(key) {
            Some(task) => {
                match in_set {
                    true => task.marks |= IN_SET,
                    false => task.marks &= !IN_SET,
                }
                task.joiner.replace(waiter)
            }
            None => Some(waiter),
        };
        Registered {
            noted: self.waits.is_noted.then(|| Arc::clone(&self.waits)),
            former,
            tag,
        }
    }

    /// Returns the waiter that awaits a local task.
    pub(crate) fn joiner(&self, key: Key) -> Option<WaiterInfo> {
        let mut tasks = self.tasks.borrow_mut();
        let task = tasks.slab.get_mut(key)?;
        task.joiner.as_ref().map(Waiter::info)
    }

    /// Aborts a task: instead of its next poll, its future is dropped. The current poll may still finish the
    /// task.
    pub(crate) fn abort(&self, key: Key) {
        let mut tasks = self.tasks.borrow_mut();
        if let Some(task) = tasks.slab.get_mut(key)
            && task.phase == Phase::Alive
        {
            task.phase = Phase::Aborted;
            let waker = task.body.as_ref().and_then(|body| body.waker.as_ref());
            let waits = waker.is_some_and(|waker| !waker.flags.is_in_queue());
            // The task may be in the queue twice now. The second time, it has finished.
            tasks.ready.push(key);
            if waits {
                self.record_abort(key.generation());
            }
        }
    }

    /// Returns whether a task has ended.
    fn is_finished(&self, key: Key) -> bool {
        let mut tasks = self.tasks.borrow_mut();
        let task = tasks.slab.get_mut(key);
        task.is_none_or(|task| task.phase == Phase::Finished)
    }

    /// Detaches a task: it keeps running without a handle. If it has ended, drops its outcome.
    pub(crate) fn detach(&self, key: Key) {
        let mut tasks = self.tasks.borrow_mut();
        let slab = &mut tasks.slab;
        if let Some(task) = slab.remove_if(key, |task| task.phase == Phase::Finished) {
            let (run, location) = self.take_apart(key, task);
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

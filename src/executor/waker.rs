//! [`TaskWaker`]: the implementation of the [`Waker`](std::task::Waker) of a task.
//!
//! The waker does not own the future. It consists of the key of the task, two flags, and the inbox of the
//! executor. So no future is dropped on another thread, a leaked waker keeps no future alive, and a task that
//! holds its own waker is not a reference cycle.

use super::flag::TaskFlags;
use super::message::{Message, Remote};
use super::{Executor, current};
use crate::slab::Key;
use futures_task::ArcWake;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering, fence};

/// The waker of a task.
pub(crate) struct TaskWaker {
    /// The inbox of the task's executor.
    pub(super) remote: Arc<Remote>,
    /// The key of the task, as a number. Written only while nothing else holds the waker.
    key: AtomicU64,
    /// Whether the task is in the run queue, or about to be.
    pub(super) flags: TaskFlags,
}

impl TaskWaker {
    /// Creates the waker of a task that is not in the run queue.
    pub(super) fn new(remote: Arc<Remote>, key: Key) -> TaskWaker {
        TaskWaker {
            remote,
            key: AtomicU64::new(key.number()),
            flags: TaskFlags::default(),
        }
    }

    /// Reuses this waker for another task. Nothing else holds it.
    #[inline]
    pub(super) fn reuse(&self, key: Key) {
        // Acquire: pairs with the Release in the drop of each other `Arc`, so that every earlier use of the waker
        // happens before this.
        fence(Ordering::Acquire);
        self.key.store(key.number(), Ordering::Relaxed);
        self.flags.reset();
    }

    /// Returns the key of the task.
    #[inline]
    pub(super) fn key(&self) -> Key {
        // Relaxed is enough: a thread that holds the waker got it after the key was written.
        Key::from_number(self.key.load(Ordering::Relaxed))
    }

    /// Returns the low half of the id of the task; 0 for the root future.
    pub(super) fn task(&self) -> u32 {
        match self.key() {
            Key::NONE => 0,
            key => key.generation(),
        }
    }

    /// Wakes the task, which was not pushed to the run queue at once: it is there already, its wakes are recorded, or this
    /// thread does not run its executor.
    ///
    /// All of this is here, so that the compiler inlines the rest of a wake.
    #[cold]
    #[inline(never)]
    fn wake_otherwise(&self) {
        let is_here = current::with(&self.remote, |executor| executor.wake_recorded(self));
        if is_here.is_none() {
            self.wake_remote();
        }
    }

    /// Wakes the task from a thread that does not run its executor.
    fn wake_remote(&self) {
        if self.flags.wake_remote() {
            if let Some(recorder) = &self.remote.recorder {
                recorder.woken_outside(self.task());
            }
            // A closed inbox refuses the wake: there is nothing left to poll.
            let _refused = self.remote.post(Message::Wake(self.key()));
        }
    }
}

impl Executor {
    /// Returns the waker for the first poll of a task. Its flags are lowered.
    #[inline]
    pub(super) fn new_waker(&self, key: Key) -> Arc<TaskWaker> {
        match self.spare.take() {
            Some(waker) => {
                waker.reuse(key);
                waker
            }
            None => Arc::new(TaskWaker::new(Arc::clone(&self.remote), key)),
        }
    }

    /// Keeps the waker of a finished task for a new task, if nothing else holds it.
    #[inline]
    pub(super) fn recycle(&self, waker: Arc<TaskWaker>) {
        if Arc::strong_count(&waker) == 1 {
            self.spare.set(Some(waker));
        }
    }
}

impl ArcWake for TaskWaker {
    #[inline]
    fn wake_by_ref(this: &Arc<Self>) {
        let is_pushed = current::with(&this.remote, |executor| executor.wake(this));
        if is_pushed != Some(true) {
            this.wake_otherwise();
        }
    }
}

//! One task: its future and then its output, in one allocation; and its waker.
//!
//! ```text
//!              poll: Ready, or fail            take
//!   +---------+ ------------------> +----------+ ------> +-------+
//!   | Running |                     | Finished |         | Taken |
//!   +---------+                     +----------+         +-------+
//! ```
//!
//! The waker does not own the future. It is a key into the slab of the thread that owns the
//! runtime and a way to get there, so a future is never dropped on a foreign thread, a waker that
//! is kept for ever keeps nothing alive, and a task that holds its own waker is no cycle.

use super::flag::TaskFlags;
use super::local::wake_here;
use super::outcome::JoinError;
use super::{Message, Remote};
use crate::slab::Key;
use crate::waiter::Seen;
use futures_task::ArcWake;
use pin_project_lite::pin_project;
use std::any::Any;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering, fence};
use std::task::{Context, Poll, ready};

/// A future of any kind, on its way to its output.
pub(crate) trait Run {
    /// Polls the future. When it is ready its output stays inside and the future is dropped.
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()>;

    /// Drops the future, or the output, and keeps the error instead.
    fn fail(self: Pin<&mut Self>, error: JoinError);

    /// Moves the outcome, if there is one, into `out`, an `Option<Result<T, JoinError>>` for the
    /// task's `T`.
    fn take(self: Pin<&mut Self>, out: &mut dyn Any);

    /// The error, if it ended in one that nobody has taken.
    fn error(self: Pin<&mut Self>) -> Option<&JoinError>;

    /// Who awaits the outcome outside the slab, for somebody who only looks.
    fn awaited_by(self: Pin<&mut Self>) -> Option<Seen> {
        None
    }

    /// Hands the outcome to a handle that looks for it outside the slab. Without one it stays.
    fn deliver(self: Pin<&mut Self>) {}
}

pin_project! {
    /// The phases of a task, see the head of this file.
    #[project = StageRef]
    #[project_replace = StageOwned]
    pub(crate) enum Stage<F, T> {
        // It has not ended.
        Running { #[pin] future: F },
        // It has ended, and nobody has taken what came of it.
        Finished { outcome: Result<T, JoinError> },
        // Nothing is left.
        Taken,
    }
}

impl<F> Stage<F, F::Output>
where
    F: Future + 'static,
{
    /// A task that has not been polled yet.
    pub(crate) fn boxed(future: F) -> Pin<Box<dyn Run>> {
        Box::pin(Stage::Running { future })
    }
}

impl<F> Run for Stage<F, F::Output>
where
    F: Future,
    F::Output: 'static,
{
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if let StageRef::Running { future } = self.as_mut().project() {
            let outcome = Ok(ready!(future.poll(cx)));
            self.set(Stage::Finished { outcome });
        }
        Poll::Ready(())
    }

    fn fail(mut self: Pin<&mut Self>, error: JoinError) {
        let outcome = Err(error);
        self.set(Stage::Finished { outcome });
    }

    fn take(mut self: Pin<&mut Self>, out: &mut dyn Any) {
        if let StageRef::Finished { .. } = self.as_mut().project()
            && let Some(out) = out.downcast_mut()
            && let StageOwned::Finished { outcome } = self.project_replace(Stage::Taken)
        {
            *out = Some(outcome);
        }
    }

    fn error(self: Pin<&mut Self>) -> Option<&JoinError> {
        match self.project() {
            StageRef::Finished { outcome } => outcome.as_ref().err(),
            StageRef::Running { .. } | StageRef::Taken => None,
        }
    }
}

/// What is behind the `Waker` of a task: where it lives, and how to get there.
pub(crate) struct TaskWaker {
    /// The executor of the task.
    pub(super) remote: Arc<Remote>,
    /// The key of the task, as a number. Written only while nobody else holds the waker.
    key: AtomicU64,
    /// Whether the task is in the run queue, or on its way there.
    pub(super) flags: TaskFlags,
}

impl TaskWaker {
    /// The waker of a task, which is not in the run queue.
    pub(super) fn new(remote: Arc<Remote>, key: Key) -> TaskWaker {
        TaskWaker {
            remote,
            key: AtomicU64::new(key.number()),
            flags: TaskFlags::default(),
        }
    }

    /// Makes it the waker of another task. Nobody else holds it.
    #[inline]
    pub(super) fn reuse(&self, key: Key) {
        // Pairs with the Release of the `Arc`s that others dropped: what they did with the waker comes
        // before this.
        fence(Ordering::Acquire);
        self.key.store(key.number(), Ordering::Relaxed);
        self.flags.reset();
    }

    /// The key of the task.
    #[inline]
    pub(super) fn key(&self) -> Key {
        // Relaxed is enough: a thread that holds the waker got it after the key was written.
        Key::from_number(self.key.load(Ordering::Relaxed))
    }

    /// A wake on a thread that does not run the executor of this task.
    #[cold]
    fn wake_from_afar(&self) {
        if self.flags.wake_from_afar() {
            // An inbox that is closed discards the wake: there is nothing left to poll.
            let _discarded = self.remote.post(Message::Wake(self.key()));
        }
    }
}

impl ArcWake for TaskWaker {
    #[inline]
    fn wake_by_ref(this: &Arc<Self>) {
        if !wake_here(this) {
            this.wake_from_afar();
        }
    }
}

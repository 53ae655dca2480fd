//! One task: its future and then its output, in one allocation; and its waker.
//!
//! ```text
//!                 poll: Ready            take
//!   +---------+ -------------> +----------+ ------> +-------+
//!   | Running |                | Finished |         | Taken |
//!   +---------+ -------------> +----------+ ------> +-------+
//!                 a panic        Panicked    take
//! ```
//!
//! The waker does not own the future. It is a key into the slab of the thread that owns the
//! runtime and a way to get there, so a future is never dropped on a foreign thread, a waker that
//! is kept for ever keeps nothing alive, and a task that holds its own waker is no cycle.

use super::flag::QueuedFlag;
use super::local::push_here;
use super::{Message, Remote};
use crate::slab::Key;
use futures_task::ArcWake;
use pin_project_lite::pin_project;
use std::any::Any;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

/// What a panic carries.
pub(crate) type Payload = Box<dyn Any + Send>;

/// How a task ended: with its output, or with a panic.
pub(crate) type Outcome<T> = Result<T, Payload>;

/// A future of any kind, on its way to its output.
pub(crate) trait Run {
    /// Polls the future. When it is ready its output stays inside and the future is dropped.
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()>;

    /// Drops the future, or the output, because of a panic, and keeps that instead.
    fn fail(self: Pin<&mut Self>, payload: Payload);

    /// Moves the outcome into `out`, which has to be an `Option<Outcome<T>>` for the task's `T`.
    fn take(self: Pin<&mut Self>, out: &mut dyn Any);

    /// Takes the panic out, if it ended in one that nobody has taken.
    fn take_panic(self: Pin<&mut Self>) -> Option<Payload>;
}

pin_project! {
    /// The phases of a task, see the head of this file.
    #[project = StageRef]
    #[project_replace = StageOwned]
    pub(crate) enum Stage<F, T> {
        Running { #[pin] future: F },
        Finished { output: T },
        Panicked { payload: Payload },
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
            let output = ready!(future.poll(cx));
            self.set(Stage::Finished { output });
        }
        Poll::Ready(())
    }

    fn fail(mut self: Pin<&mut Self>, payload: Payload) {
        self.set(Stage::Panicked { payload });
    }

    fn take(self: Pin<&mut Self>, out: &mut dyn Any) {
        if let Some(out) = out.downcast_mut::<Option<Outcome<F::Output>>>() {
            *out = match self.project_replace(Stage::Taken) {
                StageOwned::Finished { output } => Some(Ok(output)),
                StageOwned::Panicked { payload } => Some(Err(payload)),
                StageOwned::Running { .. } | StageOwned::Taken => None,
            };
        }
    }

    fn take_panic(mut self: Pin<&mut Self>) -> Option<Payload> {
        if let StageRef::Panicked { .. } = self.as_mut().project()
            && let StageOwned::Panicked { payload } = self.project_replace(Stage::Taken)
        {
            return Some(payload);
        }
        None
    }
}

/// What is behind the `Waker` of a task: where it lives, and how to get there.
#[derive(Debug)]
pub(crate) struct TaskWaker {
    /// The executor of the task.
    pub(super) remote: Arc<Remote>,
    /// The task. Written only while nobody else holds the waker.
    pub(super) key: Key,
    /// Whether the task is in the run queue, or on its way there.
    pub(super) queued: QueuedFlag,
}

impl ArcWake for TaskWaker {
    fn wake_by_ref(this: &Arc<Self>) {
        if this.queued.raise() && !push_here(&this.remote, this.key) {
            // An inbox that is closed discards the wake: there is nothing left to poll.
            let _discarded = this.remote.post(Message::Wake(this.key));
        }
    }
}

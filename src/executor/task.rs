//! [`Run`] and [`Stage`]: the future of a task, and later its outcome, in one allocation.
//!
//! The executor stores tasks of any type as `dyn Run`. [`Stage`] is a task that was spawned on the executor's own
//! thread. `task/remote.rs` has another kind, which delivers its outcome to another thread.
//!
//! ```text
//!              poll: Ready, or fail            take
//!   +---------+ ------------------> +----------+ ------> +-------+
//!   | Running |                     | Finished |         | Taken |
//!   +---------+                     +----------+         +-------+
//! ```

use super::join_error::JoinError;
use crate::waiter::WaiterInfo;
use pin_project_lite::pin_project;
use std::any::Any;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

/// A task of any type.
pub(crate) trait Run {
    /// Polls the future. When it is ready, the task drops it and keeps its output.
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()>;

    /// Drops the future or the output, and keeps the error instead.
    fn fail(self: Pin<&mut Self>, error: JoinError);

    /// Moves the outcome, if there is one, into `out`, an `Option<Result<T, JoinError>>` for the output type `T` of
    /// the task.
    fn take(self: Pin<&mut Self>, out: &mut dyn Any);

    /// Returns the error, if the task has ended with one that has not been taken.
    fn error(self: Pin<&mut Self>) -> Option<&JoinError>;

    /// Returns the waiter of the handle, if it is not in the slab.
    fn awaited_by(self: Pin<&mut Self>) -> Option<WaiterInfo> {
        None
    }

    /// Sends the outcome to the handle, if the handle does not take it from the slab. Otherwise the task keeps the
    /// outcome.
    fn deliver(self: Pin<&mut Self>) {}
}

pin_project! {
    /// A future that becomes its outcome. A diagram of the stages is at the head of this file.
    #[project = StageRef]
    #[project_replace = StageOwned]
    pub(crate) enum Stage<F, T> {
        // The task has not ended.
        Running { #[pin] future: F },
        // The task has ended, and its outcome has not been taken.
        Finished { outcome: Result<T, JoinError> },
        // The outcome has been taken.
        Taken,
    }
}

impl<F> Stage<F, F::Output>
where
    F: Future + 'static,
{
    /// Creates a task that has not been polled yet.
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

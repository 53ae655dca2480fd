//! The output of a task on its way to another thread: a promise, kept by the task, and the cell in
//! which a [`JoinHandle`](super::JoinHandle) looks for it.

use super::error::Failure;
use crate::sync::{Mutex, lock};
use crate::waiter::wake_all;
use pin_project_lite::pin_project;
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};

/// What is in a cell: the output, or why there is none.
type Kept<T> = Result<T, Failure>;

/// A cell that two threads share.
struct Cell<T> {
    /// Everything, under one lock.
    state: Mutex<State<T>>,
}

/// What stands under the lock.
struct State<T> {
    /// What the task left and nobody has taken.
    kept: Option<Kept<T>>,
    /// Who awaits it.
    waker: Option<Waker>,
    /// Nobody will: the handle is gone.
    detached: bool,
}

/// The side of a cell that the [`JoinHandle`](super::JoinHandle) holds, whatever the type.
pub(crate) trait Output: Send + Sync {
    /// Moves what is kept into `out`, an `Option<Result<T, Failure>>`, or leaves the waker.
    fn poll(&self, cx: &mut Context<'_>, out: &mut dyn Any) -> Poll<()>;

    /// Says that nobody will ask any more, and drops what is kept.
    fn detach(&self);
}

/// The side of a cell that the task holds. Dropping it unkept says that the task was cancelled.
pub(crate) struct Promise<T> {
    /// The cell, until something is in it.
    cell: Option<Arc<Cell<T>>>,
}

/// A cell, seen from both sides.
pub(crate) fn promise<T: Send + 'static>() -> (Promise<T>, Arc<dyn Output>) {
    let cell = Arc::new(Cell {
        state: Mutex::new(State {
            kept: None,
            waker: None,
            detached: false,
        }),
    });
    let output = Arc::clone(&cell);
    (Promise { cell: Some(cell) }, output)
}

impl<T> Promise<T> {
    /// Leaves what came of the task; hands it back if nobody will ask for it.
    fn keep(&mut self, kept: Kept<T>) -> Result<(), Kept<T>> {
        let Some(cell) = self.cell.take() else {
            return Err(kept);
        };
        let mut state = lock(&cell.state);
        if state.detached {
            return Err(kept);
        }
        state.kept = Some(kept);
        let waker = state.waker.take();
        drop(state);
        wake_all(waker);
        Ok(())
    }
}

impl<T> Drop for Promise<T> {
    fn drop(&mut self) {
        // If the promise has been kept, or nobody waits for it, this changes nothing.
        drop(self.keep(Err(Failure::Cancelled)));
    }
}

impl<T: Send + 'static> Output for Cell<T> {
    fn poll(&self, cx: &mut Context<'_>, out: &mut dyn Any) -> Poll<()> {
        let waker = cx.waker().clone();
        let mut state = lock(&self.state);
        let Some(kept) = state.kept.take() else {
            let former = state.waker.replace(waker);
            drop(state);
            drop(former);
            return Poll::Pending;
        };
        drop(state);
        if let Some(out) = out.downcast_mut::<Option<Kept<T>>>() {
            *out = Some(kept);
        }
        Poll::Ready(())
    }

    fn detach(&self) {
        let mut state = lock(&self.state);
        state.detached = true;
        let left = (state.kept.take(), state.waker.take());
        drop(state);
        drop(left);
    }
}

pin_project! {
    /// Runs a future and keeps a promise with what comes of it.
    pub(crate) struct Delivery<F: Future> {
        // Before the promise, so that it is dropped before anybody hears that it was cancelled.
        #[pin]
        future: F,
        promise: Promise<F::Output>,
    }
}

impl<F: Future> Delivery<F> {
    /// A delivery that has not begun.
    pub(crate) fn new(future: F, promise: Promise<F::Output>) -> Delivery<F> {
        Delivery { future, promise }
    }
}

impl<F: Future> Future for Delivery<F> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.project();
        let polled = catch_unwind(AssertUnwindSafe(|| this.future.poll(cx)));
        let kept = match polled {
            Ok(poll) => Ok(ready!(poll)),
            Err(payload) => Err(Failure::Panicked(payload)),
        };
        match this.promise.keep(kept) {
            // Nobody asks for the output; what nobody asks for of a panic is for the log, which
            // the executor writes.
            Err(Err(Failure::Panicked(payload))) => resume_unwind(payload),
            Ok(()) | Err(_) => Poll::Ready(()),
        }
    }
}

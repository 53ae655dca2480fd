//! The futures that [`Handle`](crate::Handle) gives to the executor: [`Promised`] delivers its outcome to another
//! thread, and [`Lazy`] is built on the thread of its runtime.

use super::JoinError;
use super::promise::Promise;
use crate::executor::task::{Run, Stage};
use crate::slab::Key;
use crate::waiter::WaiterInfo;
use pin_project_lite::pin_project;
use std::any::Any;
use std::pin::Pin;
use std::task::{Context, Poll};

pin_project! {
    /// A task that delivers its outcome through a [`Promise`]. To the executor it is a detached task, which
    /// delivers its outcome when the executor discards it.
    pub(crate) struct Promised<F: Future> {
        // The task. Declared before the promise, so that it is dropped before the promise reports the end.
        #[pin]
        stage: Stage<F, F::Output>,
        // The promise of the outcome.
        promise: Promise<F::Output>,
    }
}

impl<F> Promised<F>
where
    F: Future + 'static,
    F::Output: 'static,
{
    /// Creates a task that has this key in the executor.
    pub(crate) fn boxed(future: F, promise: Promise<F::Output>, key: Key) -> Pin<Box<dyn Run>> {
        promise.set_key(key);
        let stage = Stage::Running { future };
        Box::pin(Promised { stage, promise })
    }
}

impl<F: Future> Run for Promised<F>
where
    F::Output: 'static,
{
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        Run::poll(self.project().stage, cx)
    }

    fn fail(self: Pin<&mut Self>, error: JoinError) {
        self.project().stage.fail(error);
    }

    fn take(self: Pin<&mut Self>, out: &mut dyn Any) {
        self.project().stage.take(out);
    }

    fn error(self: Pin<&mut Self>) -> Option<&JoinError> {
        self.project().stage.error()
    }

    fn awaited_by(self: Pin<&mut Self>) -> Option<WaiterInfo> {
        self.project().promise.awaited_by()
    }

    fn deliver(self: Pin<&mut Self>) {
        let mut this = self.project();
        let mut outcome = None;
        this.stage.as_mut().take(&mut outcome);
        if let Some(outcome) = outcome
            && let Err(outcome) = this.promise.deliver(outcome)
        {
            this.stage.set(Stage::Finished { outcome });
        }
    }
}

pin_project! {
    /// A future that a closure builds during the first poll.
    #[project = LazyRef]
    pub(crate) enum Lazy<C, F> {
        // The closure, until the first poll calls it.
        Unbuilt { build: Option<C> },
        // The future, pinned in place.
        Built { #[pin] future: F },
    }
}

impl<C, F> Lazy<C, F> {
    /// Creates a future that is not built yet.
    pub(crate) fn new(build: C) -> Lazy<C, F> {
        Lazy::Unbuilt { build: Some(build) }
    }
}

impl<C, F> Future for Lazy<C, F>
where
    C: FnOnce() -> F,
    F: Future,
{
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        if let LazyRef::Unbuilt { build } = self.as_mut().project()
            && let Some(build) = build.take()
        {
            let future = build();
            self.set(Lazy::Built { future });
        }
        match self.project() {
            LazyRef::Built { future } => future.poll(cx),
            LazyRef::Unbuilt { .. } => unreachable!("polled after its closure panicked"),
        }
    }
}

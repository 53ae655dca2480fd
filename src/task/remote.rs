//! The outcome of a task on its way to another thread: a promise, kept by the task (or by a blocking
//! job), and the place in which a [`JoinHandle`](super::JoinHandle) looks for it.

use super::JoinError;
use crate::executor::task::{Run, Stage};
use crate::executor::{Id, Payload, Remote, RemoteTask, SpawnInfo};
use crate::foreign::{log_panics, wake_all};
use crate::pool::{About, Pool};
use crate::primitives::{Mutex, lock};
use crate::slab::Key;
use crate::waiter::{Tag, Waiter, WaiterInfo};
use pin_project_lite::pin_project;
use std::any::Any;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};

/// How a task ended: with its output, or why there is none.
type Outcome<T> = Result<T, JoinError>;

/// What the two sides share.
///
/// ```text
///    empty ----- keep -----> kept ----- poll -----> taken
///      |                       |
///      +------- detach --------+--> detached: what is kept is dropped, what comes is handed back
/// ```
struct Oneshot<T> {
    /// Where the task is, once it has come to its runtime.
    key: OnceLock<Key>,
    /// The pool that has the job, if it is a blocking job and no task.
    pool: Option<Arc<Pool>>,
    /// Who the task is.
    info: SpawnInfo,
    /// Its runtime.
    inbox: Arc<Remote>,
    /// Everything, under one lock.
    state: Mutex<State<T>>,
}

/// What stands under the lock.
struct State<T> {
    /// What the task left and nobody has taken.
    outcome: Option<Outcome<T>>,
    /// Whether the task has ended.
    finished: bool,
    /// Who awaits it.
    waiter: Option<Waiter>,
    /// Nobody will: the handle is gone.
    detached: bool,
}

/// The side of a oneshot that the [`JoinHandle`](super::JoinHandle) holds, whatever the type.
pub(crate) trait Output: RemoteTask + About {
    /// The runtime of the task.
    fn inbox(&self) -> &Arc<Remote>;

    /// Moves the outcome into `out`, an `Option<Result<T, JoinError>>`, or leaves the waker.
    fn poll(&self, cx: &mut Context<'_>, tag: Tag, out: &mut dyn Any) -> Poll<()>;

    /// Says that nobody will ask any more, and drops what is there; a panic is logged, not lost.
    fn detach(&self);
}

/// The side of a oneshot that the task holds. Dropping it unkept says that the task was cancelled.
pub(crate) struct Promise<T> {
    /// The other side, until the promise is kept.
    oneshot: Option<Arc<Oneshot<T>>>,
}

/// Makes both sides of a oneshot, of a task or of a job for this pool.
pub(crate) fn promise<T: Send + 'static>(
    info: SpawnInfo,
    inbox: Arc<Remote>,
    pool: Option<Arc<Pool>>,
) -> (Promise<T>, Arc<dyn Output>) {
    let oneshot = Arc::new(Oneshot {
        key: OnceLock::new(),
        pool,
        info,
        inbox,
        state: Mutex::new(State {
            outcome: None,
            finished: false,
            waiter: None,
            detached: false,
        }),
    });
    let output = Arc::clone(&oneshot);
    let oneshot = Some(oneshot);
    (Promise { oneshot }, output)
}

impl<T> Oneshot<T> {
    /// The error of its task, or job, with its name.
    fn error(&self, error: impl FnOnce(Id) -> JoinError) -> JoinError {
        error(self.info.id).with_name(self.info.name.clone())
    }

    /// Drops an outcome for which nobody will ask; a panic is logged, not lost.
    fn discard(&self, outcome: Option<Outcome<T>>) {
        if let Some(Err(error)) = &outcome {
            error.log_panic(self.info.location);
        }
        log_panics("dropping what a task left", || drop(outcome));
    }
}

impl<T> Promise<T> {
    /// The number of its task, or job, while nobody has kept it.
    pub(super) fn id(&self) -> Id {
        self.oneshot
            .as_ref()
            .map_or(Id(0), |oneshot| oneshot.info.id)
    }

    /// Leaves what came of a job, or logs its panic if nobody will ask for it.
    pub(super) fn keep_job(mut self, outcome: Result<T, Payload>) {
        let Some(oneshot) = &self.oneshot else {
            return;
        };
        let oneshot = Arc::clone(oneshot);
        let outcome =
            outcome.map_err(|payload| oneshot.error(|id| JoinError::panicked(id, payload)));
        if let Err(outcome) = self.keep(outcome) {
            oneshot.discard(Some(outcome));
        }
    }

    /// Says that there was no thread for a job.
    pub(super) fn refuse(mut self, error: &io::Error) {
        if let Some(oneshot) = &self.oneshot {
            // An `io::Error` cannot be cloned.
            let error = match error.raw_os_error() {
                Some(code) => io::Error::from_raw_os_error(code),
                None => io::Error::new(error.kind(), error.to_string()),
            };
            let error = oneshot.error(|id| JoinError::no_thread(id, error));
            // Nobody who would want it: handed back, and dropped.
            drop(self.keep(Err(error)));
        }
    }

    /// Leaves what came of the task; hands it back if nobody will ask for it.
    fn keep(&mut self, outcome: Outcome<T>) -> Result<(), Outcome<T>> {
        let Some(oneshot) = self.oneshot.take() else {
            return Err(outcome);
        };
        let mut state = lock(&oneshot.state);
        state.finished = true;
        if state.detached {
            return Err(outcome);
        }
        state.outcome = Some(outcome);
        let waiter = state.waiter.take();
        drop(state);
        wake_all(waiter.map(|waiter| waiter.waker));
        Ok(())
    }
}

impl<T> Drop for Promise<T> {
    fn drop(&mut self) {
        if let Some(oneshot) = &self.oneshot {
            let error = oneshot.error(JoinError::cancelled);
            // Nobody who would want it: handed back, and dropped.
            drop(self.keep(Err(error)));
        }
    }
}

impl<T: Send + 'static> RemoteTask for Oneshot<T> {
    fn key(&self) -> Option<Key> {
        self.key.get().copied()
    }

    fn cancel_job(&self) -> bool {
        let Some(pool) = &self.pool else {
            return false;
        };
        // The pool drops the job, and with it the promise, which says so. One that has begun runs on.
        pool.cancel(self.info.id.0);
        true
    }

    fn is_finished(&self) -> bool {
        lock(&self.state).finished
    }
}

impl<T: Send + 'static> About for Oneshot<T> {
    fn describe(&self) -> String {
        match &self.info.name {
            Some(name) => format!("blocking job ({})", name.escape_debug()),
            None => format!("blocking job {} ({})", self.info.id, self.info.location),
        }
    }

    fn awaited_by(&self) -> Option<WaiterInfo> {
        lock(&self.state).waiter.as_ref().map(Waiter::info)
    }
}

impl<T: Send + 'static> Output for Oneshot<T> {
    fn inbox(&self) -> &Arc<Remote> {
        &self.inbox
    }

    fn poll(&self, cx: &mut Context<'_>, tag: Tag, out: &mut dyn Any) -> Poll<()> {
        let waker = cx.waker().clone();
        let mut state = lock(&self.state);
        let Some(outcome) = state.outcome.take() else {
            let former = state.waiter.replace(Waiter { waker, tag });
            drop(state);
            drop(former);
            return Poll::Pending;
        };
        drop(state);
        if let Some(out) = out.downcast_mut() {
            *out = Some(outcome);
        }
        Poll::Ready(())
    }

    fn detach(&self) {
        let mut state = lock(&self.state);
        state.detached = true;
        let (outcome, waiter) = (state.outcome.take(), state.waiter.take());
        drop(state);
        self.discard(outcome);
        drop(waiter);
    }
}

pin_project! {
    /// A task whose outcome crosses threads.
    pub(crate) struct Crossing<F: Future> {
        // The task. Before the promise, so that it is dropped before anybody hears of that.
        #[pin]
        stage: Stage<F, F::Output>,
        // Where the outcome goes.
        promise: Promise<F::Output>,
    }
}

impl<F> Crossing<F>
where
    F: Future + 'static,
    F::Output: 'static,
{
    /// A task that has not been polled yet, and that has its place under this key.
    pub(crate) fn boxed(future: F, promise: Promise<F::Output>, key: Key) -> Pin<Box<dyn Run>> {
        if let Some(oneshot) = &promise.oneshot {
            // Nobody else sets it.
            let _first = oneshot.key.set(key);
        }
        let stage = Stage::Running { future };
        Box::pin(Crossing { stage, promise })
    }
}

impl<F: Future> Run for Crossing<F>
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
        let oneshot = self.project().promise.oneshot.as_ref()?;
        lock(&oneshot.state).waiter.as_ref().map(Waiter::info)
    }

    fn deliver(self: Pin<&mut Self>) {
        let mut this = self.project();
        let mut outcome = None;
        this.stage.as_mut().take(&mut outcome);
        if let Some(outcome) = outcome
            && let Err(outcome) = this.promise.keep(outcome)
        {
            this.stage.set(Stage::Finished { outcome });
        }
    }
}

pin_project! {
    /// A future that a closure builds, as the first thing that its task does.
    #[project = LazyRef]
    pub(crate) enum Lazy<C, F> {
        // The closure, until the first poll takes it.
        Unbuilt { build: Option<C> },
        // The future, which stays where it was built.
        Built { #[pin] future: F },
    }
}

impl<C, F> Lazy<C, F> {
    /// A future that is not built yet.
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
            LazyRef::Unbuilt { .. } => unreachable!("polled after its closure had panicked"),
        }
    }
}

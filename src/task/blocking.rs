//! [`spawn_blocking`]: what blocks, on a thread where it may.

use super::JoinHandle;
use super::remote::{Promise, promise};
use crate::context;
use crate::event_loop::Shared;
use crate::executor::SpawnInfo;
use crate::foreign::{log_panics, trace};
use crate::pool::{About, Job, Lane};
use std::io;
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::sync::Arc;

/// Runs a closure that blocks, or computes for long, on a thread of its own.
///
/// The runtime starts threads when jobs need them, at most
/// [`blocking_threads`](crate::Builder::blocking_threads). They are named, and exit after ten seconds
/// without a job. If all are busy, or no other can be started, the job waits for one of them; jobs
/// begin in the order of their submission. If there is no thread and none can be started (`EAGAIN` of
/// `pthread_create(3)`), the handle yields a [`JoinError`](super::JoinError) that says so.
///
/// The [`JoinHandle`] works on any thread; a panic of the closure is its
/// [`JoinError`](super::JoinError). Aborting a job that waits for a thread cancels it at once: the
/// closure is dropped on the thread that aborts it. So does the end of the runtime. A job that runs
/// cannot be stopped, and only [`Runtime::shutdown_timeout`](crate::Runtime::shutdown_timeout) waits
/// for it.
///
/// # Jobs that wait for jobs
///
/// A job is outside any runtime: it may call [`block_on`](crate::block_on), use a
/// [`Handle`](crate::Handle) that it was given, or wait for a channel. A job that waits for another job
/// of the same runtime occupies a thread while that job needs one; if all threads wait like this, no
/// job goes on. If all threads are busy and no job has begun for ten seconds while others wait, a
/// warning is logged, once. (While jobs wait, another thread watches for this.) A warning is also
/// logged if a job has to wait because no thread could be started.
///
/// # Panics
///
/// Outside a runtime. On other threads, use [`Handle::spawn_blocking`](crate::Handle::spawn_blocking).
///
/// # Examples
///
/// ```
/// glassfrog::block_on(async {
///     let text = glassfrog::task::spawn_blocking(|| std::fs::read_to_string("Cargo.toml")).await?;
///     assert!(text?.contains("glassfrog"));
///     std::io::Result::Ok(())
/// })?;
/// # std::io::Result::Ok(())
/// ```
#[track_caller]
pub fn spawn_blocking<F, T>(work: F) -> JoinHandle<T>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    let shared = &context::current().shared;
    submit(shared, Lane::Jobs, None, Location::caller(), work)
}

/// Hands a closure to the threads of a runtime.
pub(crate) fn submit<F, T>(
    shared: &Shared,
    lane: Lane,
    name: Option<Box<str>>,
    location: &'static Location<'static>,
    work: F,
) -> JoinHandle<T>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    let id = shared.new_id();
    let (inbox, pool) = (Arc::clone(&shared.inbox), Arc::clone(&shared.pool));
    let (promise, output) = promise(SpawnInfo { id, name, location }, inbox, Some(pool));
    let job = Box::new(Blocking { work, promise });
    let about = Arc::clone(&output) as Arc<dyn About>;
    shared.pool.submit(lane, id.0, job, about);
    JoinHandle::remote(id, output)
}

/// A closure on its way to a thread.
struct Blocking<F, T> {
    /// What is to be done. Before the promise, so that it is dropped before anybody hears of that.
    work: F,
    /// Where its outcome goes.
    promise: Promise<T>,
}

impl<F, T> Job for Blocking<F, T>
where
    F: FnOnce() -> T + Send,
    T: Send,
{
    fn run(self: Box<Self>) {
        let Blocking { work, promise } = *self;
        let id = promise.id();
        trace!("glassfrog::blocking", "job {id} begins");
        promise.keep_job(catch_unwind(AssertUnwindSafe(work)));
        trace!("glassfrog::blocking", "job {id} has ended");
    }

    fn refuse(self: Box<Self>, error: &io::Error) {
        let Blocking { work, promise } = *self;
        log_panics("dropping a job that was never run", || drop(work));
        promise.refuse(error);
    }
}

//! [`spawn_blocking`]: runs blocking closures on the threads of the pool.

use super::JoinHandle;
use super::promise::{Promise, promise};
use crate::context;
use crate::event_loop::Shared;
use crate::executor::SpawnInfo;
use crate::foreign::{log_panics, trace};
use crate::pool::{About, Job, Lane};
use crate::timeline::recorder::RecordedJob;
use std::io;
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::sync::Arc;

/// Runs a blocking closure on a thread where blocking is acceptable.
///
/// Use it for blocking calls and for long computations. The runtime starts threads when jobs need them, at
/// most [`blocking_threads`](crate::Builder::blocking_threads). The threads are named, and exit after ten
/// seconds without a job. If all of them are busy and no other can be started, the job is queued; queued jobs
/// start in the order of their submission. If there is no thread and none can be started (`EAGAIN` of
/// `pthread_create(3)`), the handle returns a [`JoinError`](super::JoinError) that says so.
///
/// The [`JoinHandle`] works on any thread. If the closure panics, the handle returns the panic as a
/// [`JoinError`](super::JoinError). Aborting a queued job cancels it at once: the closure is dropped on the
/// thread that aborts the job. The end of the runtime cancels queued jobs too. A running job cannot be stopped,
/// and only [`Runtime::shutdown_timeout`](crate::Runtime::shutdown_timeout) waits for it.
///
/// # Jobs that wait for jobs
///
/// A job runs outside any runtime: it may call [`block_on`](crate::block_on), use a
/// [`Handle`](crate::Handle) that was passed to it, or block on a channel. A job that waits for another job of
/// the same runtime occupies a thread while the other job needs one. If all threads are occupied in this way,
/// the pool has stalled. A warning is logged once if all threads are busy and no job has started for ten
/// seconds while others are queued; another thread watches for this while jobs are queued. A warning is also
/// logged if a job is queued because no thread could be started.
///
/// # Panics
///
/// Panics outside a runtime. On other threads, use
/// [`Handle::spawn_blocking`](crate::Handle::spawn_blocking).
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
    let shared = context::shared();
    submit(&shared, Lane::Jobs, None, Location::caller(), work)
}

/// Submits a closure to the pool of a runtime.
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
    if let Some(recorder) = &shared.recorder {
        let is_lookup = matches!(lane, Lane::Lookups);
        shared.record_job(recorder, id, is_lookup, name.as_deref(), location);
    }
    let recorded = RecordedJob::new(shared.recorder.as_ref(), id.low());
    let (inbox, pool) = (Arc::clone(&shared.inbox), Arc::clone(&shared.pool));
    let (promise, join) = promise(SpawnInfo { id, name, location }, inbox, Some((pool, lane)));
    let job = Box::new(BlockingJob {
        work,
        recorded,
        promise,
    });
    let about = Arc::clone(&join) as Arc<dyn About>;
    shared.pool.submit(lane, id.0, job, about);
    JoinHandle::remote(id, join)
}

/// A closure with the promise of its outcome.
struct BlockingJob<F, T> {
    /// The closure. Declared before the promise, so that it is dropped before the promise reports the end.
    work: F,
    /// Records the begin and the end, if the runtime records a timeline. Declared before the promise, so that the job
    /// ends before it wakes a task.
    recorded: RecordedJob,
    /// The promise of the outcome.
    promise: Promise<T>,
}

impl<F, T> Job for BlockingJob<F, T>
where
    F: FnOnce() -> T + Send,
    T: Send,
{
    fn run(self: Box<Self>) {
        let BlockingJob {
            work,
            mut recorded,
            promise,
        } = *self;
        let id = promise.id();
        trace!("glassfrog::blocking", "job {id} started");
        let _running = recorded.begin();
        let outcome = catch_unwind(AssertUnwindSafe(work));
        recorded.end();
        promise.deliver_job(outcome);
        trace!("glassfrog::blocking", "job {id} finished");
    }

    fn refuse(self: Box<Self>, error: &io::Error) {
        let BlockingJob { work, promise, .. } = *self;
        log_panics("dropping a job that was never started", || drop(work));
        promise.refuse(error);
    }
}

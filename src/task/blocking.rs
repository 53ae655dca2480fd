//! [`spawn_blocking`]: what blocks, on a thread where it may.

use super::JoinHandle;
use super::remote::{Promise, promise};
use crate::context;
use crate::executor::Origin;
use crate::pool::{About, Job, Lane};
use crate::runtime::Shared;
use crate::waiter::{shielded, trace};
use std::io;
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::sync::Arc;

/// Runs a closure that blocks or computes for long, on a thread where that holds up nobody.
///
/// The threads are started when they are needed, at most
/// [`blocking_threads`](crate::Builder::blocking_threads) of them; they are named, and end when
/// they have had nothing to do for ten seconds. If all are busy, or no other can be started, the job
/// waits for one of them. If there is none at all and none can be started (`EAGAIN` of
/// `pthread_create(3)`), the handle yields a [`JoinError`](super::JoinError) that says so.
///
/// The [`JoinHandle`] works on any thread; a panic of the closure is its
/// [`JoinError`](super::JoinError). Aborting it, or the end of the runtime, cancels a job that waits
/// for a thread, at once. One that runs cannot be stopped, and nobody waits for it but
/// [`Runtime::shutdown_timeout`](crate::Runtime::shutdown_timeout).
///
/// # Jobs that wait for jobs
///
/// A job is outside any runtime: it may call [`block_on`](crate::block_on), use a
/// [`Handle`](crate::Handle) that it was given, or wait for a channel. If it waits for another job of
/// the same runtime, it takes a thread while that one needs one; if all threads wait like this, none
/// goes on. A full pool that has not begun a job for ten seconds although some wait logs a warning,
/// once. (While jobs wait, another thread watches for that.) So does a pool whose job has to wait
/// because no thread could be started for it.
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
    let (promise, output) = promise(
        Origin { id, name, location },
        Arc::clone(&shared.inbox),
        true,
    );
    let job = Box::new(Blocking { work, promise });
    let about = Arc::clone(&output) as Arc<dyn About>;
    if let Some(job) = shared.pool.submit(lane, job, about) {
        output.set_job(&shared.pool, job);
    }
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
        if promise.begin() {
            let id = promise.id();
            trace!("glassfrog::blocking", "job {id} begins");
            promise.keep_job(catch_unwind(AssertUnwindSafe(work)));
            trace!("glassfrog::blocking", "job {id} has ended");
        }
    }

    fn refuse(self: Box<Self>, error: &io::Error) {
        let Blocking { work, promise } = *self;
        shielded("dropping a job that was never run", || drop(work));
        promise.refuse(error);
    }
}

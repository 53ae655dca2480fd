//! [`Promise`]: delivers the outcome of a task or of a blocking job to a
//! [`JoinHandle`](super::JoinHandle) on any thread.

use super::JoinError;
use super::oneshot::{Count, Oneshot};
use crate::dump::label;
use crate::executor::{Id, Payload, Remote, RemoteTask, SpawnInfo};
use crate::foreign::log_panics;
use crate::pool::{About, Lane, Pool, copy_error};
use crate::slab::Key;
use crate::waiter::{Tag, WaiterInfo};
use std::any::Any;
use std::io;
use std::panic::Location;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};

/// The output of a task, or the reason why there is none.
type Outcome<T> = Result<T, JoinError>;

/// The operations of a [`JoinHandle`](super::JoinHandle) on a task whose outcome crosses threads, whatever the
/// type of the output.
pub(crate) trait RemoteJoin: RemoteTask + About {
    /// Returns the inbox of the task's runtime.
    fn inbox(&self) -> &Arc<Remote>;

    /// Moves the outcome into `out`, an `Option<Result<T, JoinError>>`, or leaves the waker.
    fn poll(&self, cx: &mut Context<'_>, tag: Tag, out: &mut dyn Any) -> Poll<()>;

    /// Detaches the task: its outcome is dropped, and a panic is logged.
    fn detach(&self);
}

/// The state that the promise and the join handle share.
struct Completion<T> {
    /// The key of the task, once it has arrived in its runtime. Set once, by that runtime.
    key: OnceLock<Key>,
    /// The pool that runs the job and the kind of the job, if this is a blocking job and not a task.
    job: Option<(Arc<Pool>, Lane)>,
    /// The id, name and location of the task or job.
    info: SpawnInfo,
    /// The inbox of the runtime.
    inbox: Arc<Remote>,
    /// The channel for the outcome.
    outcome: Oneshot<Outcome<T>>,
}

/// The task's side of a [`Completion`]. Dropping it without an outcome reports the task as cancelled.
pub(crate) struct Promise<T> {
    /// The state shared with the join handle, until the promise delivers the outcome.
    completion: Option<Arc<Completion<T>>>,
}

/// Creates both sides of a [`Completion`], for a task, or for a job of this pool and this kind.
pub(crate) fn promise<T: Send + 'static>(
    info: SpawnInfo,
    inbox: Arc<Remote>,
    job: Option<(Arc<Pool>, Lane)>,
) -> (Promise<T>, Arc<dyn RemoteJoin>) {
    let completion = Arc::new(Completion {
        key: OnceLock::new(),
        job,
        info,
        inbox,
        outcome: Oneshot::new(),
    });
    let join = Arc::clone(&completion);
    let completion = Some(completion);
    (Promise { completion }, join)
}

impl<T> Completion<T> {
    /// Returns the count of the awaited jobs, if this is a job.
    fn count(&self) -> Count<'_> {
        Count(self.job.as_ref().map(|(pool, _)| &pool.awaited))
    }

    /// Creates an error of the task or job, with its id and name.
    fn error(&self, error: impl FnOnce(Id) -> JoinError) -> JoinError {
        error(self.info.id).with_name(self.info.name.clone())
    }

    /// Drops an outcome that has no handle. A panic is logged.
    fn discard(&self, outcome: Option<Outcome<T>>) {
        if let Some(Err(error)) = &outcome {
            error.log_panic(self.info.location);
            #[cfg(feature = "sim")]
            crate::executor::unreceived::report(&self.inbox, error, self.info.location);
        }
        log_panics("dropping the output of a task", || drop(outcome));
    }
}

impl<T> Promise<T> {
    /// Returns the id of the task or job, before the outcome has been delivered.
    pub(super) fn id(&self) -> Id {
        self.completion
            .as_ref()
            .map_or(Id(0), |completion| completion.info.id)
    }

    /// Records the key of the task.
    pub(super) fn set_key(&self, key: Key) {
        if let Some(completion) = &self.completion {
            // Nothing else sets the key, so this succeeds.
            let _first = completion.key.set(key);
        }
    }

    /// Returns the waiter for the outcome, if there is one.
    pub(super) fn awaited_by(&self) -> Option<WaiterInfo> {
        self.completion.as_ref()?.outcome.awaited_by()
    }

    /// Delivers the outcome of a job. If the job is detached, its panic is logged.
    pub(super) fn deliver_job(mut self, outcome: Result<T, Payload>) {
        let Some(completion) = &self.completion else {
            return;
        };
        let completion = Arc::clone(completion);
        let outcome =
            outcome.map_err(|payload| completion.error(|id| JoinError::panicked(id, payload)));
        if let Err(outcome) = self.deliver(outcome) {
            completion.discard(Some(outcome));
        }
    }

    /// Reports that no thread could be started for a job.
    pub(super) fn refuse(mut self, error: &io::Error) {
        if let Some(completion) = &self.completion {
            let error = completion.error(|id| JoinError::no_thread(id, copy_error(error)));
            // If the job is detached, this drops the error.
            drop(self.deliver(Err(error)));
        }
    }

    /// Delivers the outcome of the task.
    ///
    /// # Errors
    ///
    /// Returns the outcome if the task is detached.
    pub(super) fn deliver(&mut self, outcome: Outcome<T>) -> Result<(), Outcome<T>> {
        match self.completion.take() {
            Some(completion) => completion.outcome.send(outcome, completion.count()),
            None => Err(outcome),
        }
    }
}

impl<T> Drop for Promise<T> {
    fn drop(&mut self) {
        if let Some(completion) = &self.completion {
            let error = completion.error(JoinError::cancelled);
            // If the task is detached, this drops the error.
            drop(self.deliver(Err(error)));
        }
    }
}

impl<T: Send + 'static> RemoteTask for Completion<T> {
    fn key(&self) -> Option<Key> {
        self.key.get().copied()
    }

    fn cancel_job(&self) -> bool {
        let Some((pool, _)) = &self.job else {
            return false;
        };
        // The pool drops a queued job and with it the promise, which reports the job as cancelled. A job
        // that has started runs to its end.
        pool.cancel(self.info.id.0);
        true
    }

    fn is_job(&self) -> bool {
        self.job.is_some()
    }

    fn is_finished(&self) -> bool {
        self.outcome.is_sent()
    }
}

impl<T: Send + 'static> About for Completion<T> {
    fn describe(&self) -> String {
        match (&self.job, &self.info.name) {
            // The name of a lookup says what it looks up, and its place is in this crate.
            (Some((_, Lane::Lookups)), Some(name)) => name.escape_debug().to_string(),
            (_, name) => {
                let job = label(self.info.id.0, name.as_deref());
                format!("blocking job {job} ({})", self.info.location)
            }
        }
    }

    fn name(&self) -> Option<&str> {
        self.info.name.as_deref()
    }

    fn location(&self) -> Option<&'static Location<'static>> {
        match &self.job {
            Some((_, Lane::Lookups)) => None,
            _ => Some(self.info.location),
        }
    }

    fn is_detached(&self) -> bool {
        self.outcome.is_closed()
    }

    fn awaited_by(&self) -> Option<WaiterInfo> {
        self.outcome.awaited_by()
    }
}

impl<T: Send + 'static> RemoteJoin for Completion<T> {
    fn inbox(&self) -> &Arc<Remote> {
        &self.inbox
    }

    fn poll(&self, cx: &mut Context<'_>, tag: Tag, out: &mut dyn Any) -> Poll<()> {
        self.outcome.poll(cx, tag, self.count()).map(|outcome| {
            if let Some(out) = out.downcast_mut() {
                *out = Some(outcome);
            }
        })
    }

    fn detach(&self) {
        self.discard(self.outcome.close(self.count()));
    }
}

//! [`JoinHandle`]: awaits, detaches and aborts a task.
//!
//! The outcome of a task comes from the slab of the executor or from a [`Promise`](super::promise::Promise);
//! the handle stores none.

use super::abort::{AbortHandle, TaskRef, abort_local, abort_remote};
use super::promise::RemoteJoin;
use super::{Id, JoinError};
use crate::executor::budget::{poll_budget, spend_budget};
use crate::executor::join::{Joined, Registered, has_ended};
use crate::executor::waits::Waits;
use crate::executor::{InboxHandle, Message, Remote, RemoteTask, current};
use crate::slab::Key;
use crate::timeline::event::Reason;
use crate::traces::{Ask, Slot};
use crate::waiter::Tag;
use std::any::Any;
use std::fmt;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};
use std::thread;

/// An owned permission to join on a task: to await its end and take its output.
///
/// Awaiting the handle returns the task's output, or a [`JoinError`] if the task panicked or was cancelled.
/// Dropping the handle *detaches* the task, which keeps running. The panic of a detached task is logged.
///
/// The handle is always `Send` and `Sync`, so it can be stored in futures that must be. The way in which the
/// task was spawned determines where the handle may be *awaited*:
///
/// | spawned by | may be awaited |
/// | --- | --- |
/// | [`spawn`](crate::spawn) | on the thread of its runtime, because the output may not be `Send` |
/// | [`Handle::spawn`](crate::Handle::spawn), [`Handle::spawn_with`](crate::Handle::spawn_with) | anywhere |
/// | [`spawn_blocking`](super::spawn_blocking) | anywhere |
///
/// # Panics
///
/// Polling a handle of [`spawn`](crate::spawn) panics outside the `block_on` and the turns of its runtime, whether on the
/// same thread or on another. Polling any handle panics after it has returned the output.
///
/// # Cancel safety
///
/// A `&mut handle` may be awaited repeatedly; dropping that future loses nothing, and does not end the task.
/// Neither does a [`timeout`](crate::time::timeout); only [`abort`](JoinHandle::abort) does.
///
/// # Examples
///
/// ```
/// glassfrog::block_on(async {
///     let task = glassfrog::spawn(async { 6 * 7 });
///     assert_eq!(task.await.unwrap(), 42);
/// });
/// ```
pub struct JoinHandle<T> {
    /// The id of the task.
    id: Id,
    /// The origin of the outcome.
    origin: Origin,
    /// The handle returns a `T` but does not own one, so it is `Send` whatever `T` is.
    output: PhantomData<fn() -> T>,
}

/// The origin of the outcome of a task.
enum Origin {
    /// The slab of the runtime with this inbox.
    Local {
        /// The position in the slab. Together with the id of the task it makes the key.
        index: u32,
        /// The inbox of the runtime, which identifies the runtime and takes messages for it.
        inbox: Arc<Remote>,
        /// The name of the task, for when its runtime has ended. Boxed twice to keep handles small, because
        /// few tasks have a name.
        name: Option<Box<Box<str>>>,
    },
    /// A [`Promise`](super::promise::Promise), of which this is the receiving side.
    Remote(Arc<dyn RemoteJoin>),
    /// None: the outcome has been taken.
    Taken,
}

impl<T> JoinHandle<T> {
    /// Creates the handle of a task in the slab.
    #[inline]
    pub(super) fn local(
        id: Id,
        name: Option<Box<str>>,
        key: Key,
        inbox: Arc<Remote>,
    ) -> JoinHandle<T> {
        let index = key.index() as u32;
        let name = name.map(Box::new);
        JoinHandle {
            id,
            origin: Origin::Local { index, inbox, name },
            output: PhantomData,
        }
    }

    /// Creates the handle of a task that delivers its outcome through a promise.
    pub(crate) fn remote(id: Id, task: Arc<dyn RemoteJoin>) -> JoinHandle<T> {
        JoinHandle {
            id,
            origin: Origin::Remote(task),
            output: PhantomData,
        }
    }

    /// Returns the id of the task.
    ///
    /// # Examples
    ///
    /// ```
    /// glassfrog::block_on(async {
    ///     let first = glassfrog::spawn(async {});
    ///     let second = glassfrog::spawn(async {});
    ///     assert_ne!(first.id(), second.id());
    /// });
    /// ```
    pub fn id(&self) -> Id {
        self.id
    }

    /// Aborts the task: its future is dropped instead of being polled again, and awaiting the handle returns a
    /// [`JoinError`] for which [`is_cancelled`](JoinError::is_cancelled) is true.
    ///
    /// | state of the task | effect |
    /// | --- | --- |
    /// | never polled, or waiting | the future is dropped at the task's next turn in the run queue, on the thread of its runtime and inside its context |
    /// | aborts itself, in its own poll | the same if this poll returns `Pending`; if it returns `Ready`, the task keeps its output |
    /// | finished or panicked | none: the outcome stays |
    /// | panics while it is dropped | that panic is the [`JoinError`] |
    /// | a queued [blocking job](super::spawn_blocking) | the job is cancelled at once |
    /// | a running blocking job | none: the job runs to its end |
    ///
    /// This function may be called on any thread, and repeatedly. The handle need not be awaited afterwards.
    ///
    /// # Examples
    ///
    /// ```
    /// glassfrog::block_on(async {
    ///     let task = glassfrog::spawn(std::future::pending::<()>());
    ///     task.abort();
    ///     assert!(task.await.unwrap_err().is_cancelled());
    /// });
    /// ```
    pub fn abort(&self) {
        // This creates no `AbortHandle`, because its drop may wake the loop.
        match &self.origin {
            Origin::Local { index, inbox, .. } => {
                abort_local(inbox, Key::new(*index, self.id.low()));
            }
            Origin::Remote(task) => {
                abort_remote(task.inbox(), Arc::clone(task) as Arc<dyn RemoteTask>);
            }
            Origin::Taken => {}
        }
    }

    /// Returns a handle that can abort the task but not await it.
    ///
    /// # Examples
    ///
    /// ```
    /// glassfrog::block_on(async {
    ///     let task = glassfrog::spawn(async {});
    ///     let abort = task.abort_handle();
    ///     task.await.unwrap();
    ///     assert!(abort.is_finished());
    /// });
    /// ```
    pub fn abort_handle(&self) -> AbortHandle {
        let task = match &self.origin {
            Origin::Local { index, inbox, .. } => TaskRef::Local {
                key: Key::new(*index, self.id.low()),
                inbox: InboxHandle::new(inbox),
            },
            Origin::Remote(task) => TaskRef::Remote {
                task: Arc::clone(task) as Arc<dyn RemoteTask>,
                inbox: InboxHandle::new(task.inbox()),
            },
            Origin::Taken => TaskRef::Ended,
        };
        AbortHandle::new(self.id, task)
    }

    /// Returns whether the task has finished: it has an output, has panicked, or has been cancelled.
    ///
    /// This function may be called on any thread, inside a runtime or not, and never waits for the loop.
    /// Inside the task's runtime the answer is exact. Other threads see the end of a task, and the effects of
    /// what it did, a moment later. An aborted task is finished once its future has been dropped. When the
    /// runtime ends, all its tasks are finished.
    ///
    /// # Examples
    ///
    /// ```
    /// let runtime = glassfrog::Runtime::new()?;
    /// let task = runtime.block_on(async {
    ///     let task = glassfrog::spawn(async {});
    ///     assert!(!task.is_finished());
    ///     glassfrog::task::yield_now().await;
    ///     assert!(task.is_finished());
    ///     task
    /// });
    /// // It also works between two calls of `block_on`, and on other threads.
    /// assert!(task.is_finished());
    /// assert!(std::thread::spawn(move || task.is_finished()).join().unwrap());
    /// # std::io::Result::Ok(())
    /// ```
    pub fn is_finished(&self) -> bool {
        match &self.origin {
            Origin::Local { index, inbox, .. } => {
                has_ended(inbox, Key::new(*index, self.id.low()), self.id)
            }
            Origin::Remote(task) => task.is_finished(),
            Origin::Taken => true,
        }
    }
}

impl<T: 'static> JoinHandle<T> {
    /// Takes the outcome, regardless of the budget of the running poll. `in_set` says whether a `JoinSet` polls the
    /// handle.
    #[track_caller]
    pub(super) fn poll_outcome(
        &mut self,
        cx: &mut Context<'_>,
        in_set: bool,
    ) -> Poll<Result<T, JoinError>> {
        let mut outcome: Option<Result<T, JoinError>> = None;
        ready!(self.origin.poll(self.id, cx, &mut outcome, in_set));
        let outcome = outcome.unwrap_or_else(|| Err(self.cancelled()));
        self.origin = Origin::Taken;
        Poll::Ready(outcome)
    }

    /// Returns the error of a task that was cancelled and left no outcome.
    #[cold]
    fn cancelled(&mut self) -> JoinError {
        let name = match &mut self.origin {
            Origin::Local { name, .. } => name.take().map(|name| *name),
            Origin::Remote(_) | Origin::Taken => None,
        };
        JoinError::cancelled(self.id).with_name(name)
    }
}

impl<T: 'static> Future for JoinHandle<T> {
    type Output = Result<T, JoinError>;

    #[track_caller]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        ready!(poll_budget(cx));
        let outcome = ready!(self.poll_outcome(cx, false));
        spend_budget();
        Poll::Ready(outcome)
    }
}

/// Registers a clone of the waker, which the end of the task wakes.
fn register_waker(inbox: &Arc<Remote>, id: Id, key: Key, waker: &Waker, in_set: bool) {
    // The clone and the drop of a waker are foreign code, so they run outside the borrow of the executor.
    let waker = waker.clone();
    let registered = current::with(inbox, |executor| {
        executor.register_joiner(key, waker, in_set)
    });
    let Some(Registered { former, noted, tag }) = registered else {
        return;
    };
    drop(former);
    if let Some(waits) = noted {
        note_join(&waits, tag, id, key);
    }
}

/// Records that a task waits for another and, if that is new, traces it.
#[cold]
#[inline(never)]
fn note_join(waits: &Waits, tag: Tag, id: Id, key: Key) {
    let Some((task, _)) = tag.parts() else {
        return;
    };
    if let Some(recorder) = &waits.recorder {
        recorder.waits(task, Reason::Task(id.low()));
    }
    let slot = Slot::Awaited(id.0);
    if let Some(traces) = &waits.traces
        && traces.get(task, slot).is_none()
    {
        traces.note(task, slot, Ask::Task(key.number()));
    }
}

/// Panics because a handle of a local task was polled outside its runtime.
#[track_caller]
fn panic_outside_runtime(id: Id) -> ! {
    let thread = thread::current();
    let name = thread.name().unwrap_or("<unnamed>");
    panic!(
        "the `JoinHandle` of task {id} was polled on thread {name} ({:?}), outside the task's runtime: \
         await a handle of `glassfrog::spawn` inside its runtime, or use `Handle::spawn`, whose handles \
         work anywhere",
        thread.id()
    );
}

impl<T> Drop for JoinHandle<T> {
    #[inline]
    fn drop(&mut self) {
        if !matches!(self.origin, Origin::Taken) {
            self.origin.detach(self.id);
        }
    }
}

impl Origin {
    /// Moves the outcome of the task with this id into `out`, an `Option<Result<T, JoinError>>`. If the
    /// task was cancelled and left no outcome, `out` stays empty.
    #[track_caller]
    fn poll(&self, id: Id, cx: &mut Context<'_>, out: &mut dyn Any, in_set: bool) -> Poll<()> {
        match self {
            Origin::Local { index, inbox, .. } => {
                let key = Key::new(*index, id.low());
                match current::with(inbox, |executor| executor.join(key, cx.waker())) {
                    Some(Joined::Ended(mut run)) => run.as_mut().take(out),
                    Some(Joined::Gone) => {}
                    Some(Joined::Waiting) => return Poll::Pending,
                    Some(Joined::Unregistered) => {
                        register_waker(inbox, id, key, cx.waker(), in_set);
                        return Poll::Pending;
                    }
                    // The runtime has ended, and has cancelled its tasks.
                    None if inbox.is_closed() => {}
                    None => panic_outside_runtime(id),
                }
                Poll::Ready(())
            }
            Origin::Remote(task) => {
                let executor = current::here(task.inbox());
                let tag = executor.as_ref();
                let tag = tag.map_or(Tag::NONE, |executor| executor.current_tag());
                let traces = executor
                    .as_ref()
                    .and_then(|executor| executor.waits.traces.clone());
                let traces = traces.filter(|_traces| task.awaited_by().is_none());
                let polled = task.poll(cx, tag, out);
                if polled.is_pending()
                    && let Some(executor) = &executor
                    && let Some(recorder) = &executor.waits.recorder
                    && let Some((waiting, _)) = tag.parts()
                {
                    let reason = match task.is_job() {
                        true => Reason::Job(id.low()),
                        false => Reason::Task(id.low()),
                    };
                    recorder.waits(waiting, reason);
                }
                if polled.is_pending()
                    && let Some(traces) = traces
                    && let Some((waiting, _)) = tag.parts()
                {
                    let task = Arc::downgrade(task);
                    let by = move || {
                        let (waiting, _) = task.upgrade()?.awaited_by()?.tag.parts()?;
                        Some(waiting)
                    };
                    traces.note(waiting, Slot::Awaited(id.0), Ask::Awaited(Arc::new(by)));
                }
                polled
            }
            Origin::Taken => {
                panic!("the `JoinHandle` of task {id} was polled after it had returned the output")
            }
        }
    }

    /// Detaches the task with this id, or drops its outcome if it has finished.
    fn detach(&self, id: Id) {
        match self {
            Origin::Local { index, inbox, .. } => {
                let key = Key::new(*index, id.low());
                match current::here(inbox) {
                    Some(executor) => executor.detach(key),
                    // A runtime that has ended refuses the message.
                    None => drop(inbox.post(Message::Detach(key))),
                }
            }
            Origin::Remote(task) => task.detach(),
            Origin::Taken => {}
        }
    }
}

impl<T> fmt::Debug for JoinHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinHandle")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

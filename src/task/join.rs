//! [`JoinHandle`]: the output of a task, awaited.

use super::abort::{AbortHandle, Target};
use super::remote::Output;
use super::{Id, JoinError};
use crate::executor::budget::{poll_budget, spend_budget};
use crate::executor::join::{Joined, has_ended};
use crate::executor::{InboxHandle, Message, Remote, RemoteTask, current};
use crate::slab::Key;
use crate::waiter::Tag;
use std::any::Any;
use std::fmt;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};
use std::thread;

/// A spawned task, to be awaited. Dropping it detaches the task, which then runs on by itself.
///
/// Awaiting gives the task's output, or a [`JoinError`] if it panicked or was cancelled. The panic
/// of a task that is detached is logged.
///
/// The type is always `Send` and `Sync`, so that it can be kept in futures that have to be. Where
/// it may be *awaited* depends on where it comes from:
///
/// | from | may be awaited |
/// | --- | --- |
/// | [`spawn`](crate::spawn) | on the thread of its runtime, since the output may not be `Send` |
/// | [`Handle::spawn`](crate::Handle::spawn), [`Handle::spawn_with`](crate::Handle::spawn_with) | anywhere |
/// | [`spawn_blocking`](super::spawn_blocking) | anywhere |
///
/// # Panics
///
/// Polling panics if the handle comes from [`spawn`](crate::spawn) and this is not inside its
/// runtime's `block_on`, be it on another thread or on the same, and if it has given its output
/// already.
///
/// # Cancel safety
///
/// Awaiting a reference (`&mut handle`) can be given up and taken up again; nothing is lost. Giving
/// up, by a [`timeout`](crate::time::timeout) for example, does not end the task:
/// [`abort`](JoinHandle::abort) does.
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
    /// The number of the task.
    id: Id,
    /// Where the output is to be found.
    origin: Origin,
    /// The handle hands out a `T` and holds none: what its threads are is the place's concern.
    output: PhantomData<fn() -> T>,
}

/// Where a handle looks for its output.
enum Origin {
    /// In the table of the runtime that has this inbox.
    Local {
        /// The position in the table: with the number it makes the key.
        index: u32,
        /// Which runtime it is, and how to reach it from elsewhere.
        inbox: Arc<Remote>,
        /// What its spawner calls it, for when its runtime cannot tell any more. Boxed twice, so that
        /// handles, which nearly always are of tasks without a name, travel light.
        name: Option<Box<Box<str>>>,
    },
    /// In a oneshot of its own: this is its side of it.
    Remote(Arc<dyn Output>),
    /// It has been taken.
    Taken,
}

impl<T> JoinHandle<T> {
    /// The handle of a task in the slab.
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

    /// The handle of a task whose output comes in a oneshot.
    pub(crate) fn remote(id: Id, output: Arc<dyn Output>) -> JoinHandle<T> {
        JoinHandle {
            id,
            origin: Origin::Remote(output),
            output: PhantomData,
        }
    }

    /// The number of the task.
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

    /// Cancels the task: its future is dropped in place of its next poll, and awaiting the handle
    /// gives a [`JoinError`] that [is cancelled](JoinError::is_cancelled).
    ///
    /// | the task | what happens |
    /// | --- | --- |
    /// | was never polled, or waits | it is dropped when its turn in the run queue comes, on the thread of its runtime and inside its context |
    /// | aborts itself, in its own poll | the same, if that poll returns `Pending`; if it returns `Ready`, the output stands |
    /// | has ended, or panicked | nothing: the outcome stands |
    /// | panics while it is dropped | that panic is the handle's [`JoinError`] |
    /// | is a [blocking job](super::spawn_blocking) that waits for a thread | it is cancelled at once |
    /// | is a blocking job that runs | nothing: the outcome stands |
    ///
    /// It may be called on any thread, and more than once. The handle need not be awaited.
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
        self.abort_handle().abort();
    }

    /// A handle that can do nothing but abort the task.
    ///
    /// # Examples
    ///
    /// See [`AbortHandle`].
    pub fn abort_handle(&self) -> AbortHandle {
        let target = match &self.origin {
            Origin::Local { index, inbox, .. } => Target::Local {
                key: Key::new(*index, self.id.low()),
                inbox: InboxHandle::new(inbox),
            },
            Origin::Remote(output) => Target::Remote {
                task: Arc::clone(output) as Arc<dyn RemoteTask>,
                inbox: InboxHandle::new(output.inbox()),
            },
            Origin::Taken => Target::Ended,
        };
        AbortHandle::new(self.id, target)
    }

    /// Returns whether the task has ended: by its output, by a panic, or because it was cancelled.
    ///
    /// It answers on any thread, inside a runtime or not, without waiting for the loop. Inside the task's
    /// runtime the answer is exact. On other threads the end of a task is seen a moment after it has come,
    /// and so are the effects of what the task did. A task that was aborted has ended once its future has
    /// been dropped. The end of the runtime ends all tasks.
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
    /// // Between two calls of `block_on`, and on other threads.
    /// assert!(task.is_finished());
    /// assert!(std::thread::spawn(move || task.is_finished()).join().unwrap());
    /// # std::io::Result::Ok(())
    /// ```
    pub fn is_finished(&self) -> bool {
        match &self.origin {
            Origin::Local { index, inbox, .. } => {
                has_ended(inbox, Key::new(*index, self.id.low()), self.id)
            }
            Origin::Remote(output) => output.is_finished(),
            Origin::Taken => true,
        }
    }
}

impl<T: 'static> JoinHandle<T> {
    /// Takes the outcome, whatever is left of the budget of the running poll.
    #[track_caller]
    pub(super) fn poll_outcome(&mut self, cx: &mut Context<'_>) -> Poll<Result<T, JoinError>> {
        let mut outcome: Option<Result<T, JoinError>> = None;
        ready!(self.origin.poll(self.id, cx, &mut outcome));
        let outcome = outcome.unwrap_or_else(|| Err(self.cancelled()));
        self.origin = Origin::Taken;
        Poll::Ready(outcome)
    }

    /// The error of a task that has left no outcome.
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
        let outcome = ready!(self.poll_outcome(cx));
        spend_budget();
        Poll::Ready(outcome)
    }
}

/// Leaves a clone of the waker with a task, to be woken at its end.
fn register(inbox: &Arc<Remote>, key: Key, waker: &Waker) {
    // Cloned and dropped while nothing is borrowed: both are foreign code.
    let waker = waker.clone();
    drop(current::with(inbox, |executor| {
        executor.register_joiner(key, waker)
    }));
}

/// Says what is wrong with polling a local handle here.
#[track_caller]
fn not_here(id: Id) -> ! {
    let thread = thread::current();
    let name = thread.name().unwrap_or("without a name");
    panic!(
        "the `JoinHandle` of task {id} was polled on thread {name} ({:?}), which is not inside the \
         task's runtime: a handle of `glassfrog::spawn` works only there; one of `Handle::spawn` \
         works anywhere",
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
    /// Moves the outcome of the task with this number into `out`, an `Option<Result<T, JoinError>>`,
    /// which stays empty if the task has left none.
    #[track_caller]
    fn poll(&self, id: Id, cx: &mut Context<'_>, out: &mut dyn Any) -> Poll<()> {
        match self {
            Origin::Local { index, inbox, .. } => {
                let key = Key::new(*index, id.low());
                match current::with(inbox, |executor| executor.join(key, cx.waker())) {
                    Some(Joined::Ended(mut run)) => run.as_mut().take(out),
                    Some(Joined::Gone) => {}
                    Some(Joined::Waiting) => return Poll::Pending,
                    Some(Joined::Unregistered) => {
                        register(inbox, key, cx.waker());
                        return Poll::Pending;
                    }
                    // Its tasks are cancelled.
                    None if inbox.is_closed() => {}
                    None => not_here(id),
                }
                Poll::Ready(())
            }
            Origin::Remote(output) => {
                let executor = current::here(output.inbox());
                let tag = executor.map_or(Tag::NONE, |executor| executor.current_tag());
                output.poll(cx, tag, out)
            }
            Origin::Taken => {
                panic!("the `JoinHandle` of task {id} was polled after it had given its output")
            }
        }
    }

    /// Lets the task with this number run on without a handle, or drops its outcome.
    fn detach(&self, id: Id) {
        match self {
            Origin::Local { index, inbox, .. } => {
                let key = Key::new(*index, id.low());
                match current::here(inbox) {
                    Some(executor) => executor.detach(key),
                    // A runtime that has ended has nothing to detach.
                    None => drop(inbox.post(Message::Detach(key))),
                }
            }
            Origin::Remote(output) => output.detach(),
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

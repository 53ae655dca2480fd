//! [`JoinHandle`]: the output of a task, awaited.

use super::abort::{AbortHandle, Target};
use super::remote::Output;
use super::{Id, JoinError};
use crate::executor::local::{self, poll_budget, spend_budget};
use crate::executor::{Message, Outsider, Placed, Remote};
use crate::slab::Key;
use crate::waiter::Tag;
use std::fmt;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
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
    /// What its spawner calls it, for when its runtime cannot tell any more.
    name: Option<Box<str>>,
    /// Where the output is to be found.
    place: Place,
    /// The handle hands out a `T` and holds none: what its threads are is the place's concern.
    output: PhantomData<fn() -> T>,
}

/// Where a handle looks for its output.
enum Place {
    /// In the slab of the runtime that has this inbox.
    Local {
        /// The place in the slab.
        key: Key,
        /// Which runtime it is, and how to reach it from elsewhere.
        inbox: Arc<Remote>,
    },
    /// In a oneshot of its own.
    Remote {
        /// Its side of the oneshot.
        output: Arc<dyn Output>,
        /// The runtime of the task.
        inbox: Arc<Remote>,
    },
    /// It has been taken.
    Taken,
}

impl<T> JoinHandle<T> {
    /// The handle of a task in the slab.
    pub(super) fn local(
        id: Id,
        name: Option<Box<str>>,
        key: Key,
        inbox: Arc<Remote>,
    ) -> JoinHandle<T> {
        JoinHandle {
            id,
            name,
            place: Place::Local { key, inbox },
            output: PhantomData,
        }
    }

    /// The handle of a task whose output comes in a oneshot.
    pub(crate) fn remote(id: Id, output: Arc<dyn Output>, inbox: Arc<Remote>) -> JoinHandle<T> {
        JoinHandle {
            id,
            name: None,
            place: Place::Remote { output, inbox },
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
        let target = match &self.place {
            Place::Local { key, inbox } => Target::Local {
                key: *key,
                inbox: Outsider::new(inbox),
            },
            Place::Remote { output, inbox } => Target::Placed {
                task: Arc::clone(output) as Arc<dyn Placed>,
                inbox: Outsider::new(inbox),
            },
            Place::Taken => Target::Ended,
        };
        AbortHandle::new(self.id, target)
    }

    /// Whether the task has ended: awaiting the handle gives its outcome at once.
    ///
    /// # Panics
    ///
    /// As polling: if the handle comes from [`spawn`](crate::spawn) and this is not inside the
    /// task's runtime.
    ///
    /// # Examples
    ///
    /// ```
    /// glassfrog::block_on(async {
    ///     let task = glassfrog::spawn(async {});
    ///     assert!(!task.is_finished());
    ///     glassfrog::task::yield_now().await;
    ///     assert!(task.is_finished());
    /// });
    /// ```
    #[track_caller]
    pub fn is_finished(&self) -> bool {
        match &self.place {
            Place::Local { key, inbox } => match local::here(inbox) {
                Some(executor) => executor.is_finished(*key),
                None if inbox.is_closed() => true,
                None => not_here(self.id, "asked"),
            },
            Place::Remote { output, .. } => output.is_finished(),
            Place::Taken => true,
        }
    }
}

impl<T: 'static> JoinHandle<T> {
    /// Takes the outcome, whatever is left of the budget of the running poll.
    #[track_caller]
    pub(super) fn poll_outcome(&mut self, cx: &mut Context<'_>) -> Poll<Result<T, JoinError>> {
        let mut outcome: Option<Result<T, JoinError>> = None;
        match &self.place {
            Place::Local { key, inbox } => match local::here(inbox) {
                Some(executor) => ready!(executor.poll_join(*key, cx.waker(), &mut outcome)),
                // Its tasks are cancelled.
                None if inbox.is_closed() => {}
                None => not_here(self.id, "polled"),
            },
            Place::Remote { output, inbox } => {
                let executor = local::here(inbox);
                let tag = executor.map_or(Tag::NONE, |executor| executor.current_tag());
                ready!(output.poll(cx, tag, &mut outcome));
            }
            Place::Taken => panic!(
                "the `JoinHandle` of task {} was polled after it had given its output",
                self.id
            ),
        }
        self.place = Place::Taken;
        Poll::Ready(outcome.unwrap_or_else(|| {
            let error = JoinError::cancelled(self.id);
            Err(error.with_name(self.name.take()))
        }))
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

/// Says what is wrong with using a local handle here.
#[track_caller]
fn not_here(id: Id, what: &str) -> ! {
    let thread = thread::current();
    let name = thread.name().unwrap_or("without a name");
    panic!(
        "the `JoinHandle` of task {id} was {what} on thread {name} ({:?}), which is not inside the \
         task's runtime: a handle of `glassfrog::spawn` works only there; one of `Handle::spawn` \
         works anywhere",
        thread.id()
    );
}

impl<T> Drop for JoinHandle<T> {
    fn drop(&mut self) {
        match std::mem::replace(&mut self.place, Place::Taken) {
            Place::Local { key, inbox } => match local::here(&inbox) {
                Some(executor) => executor.detach(key),
                // A runtime that has ended has nothing to detach.
                None => drop(inbox.post(Message::Detach(key))),
            },
            Place::Remote { output, .. } => output.detach(),
            Place::Taken => {}
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

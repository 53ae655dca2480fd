//! Tasks: futures that run side by side on one thread.
//!
//! [`spawn`] gives a future to the runtime of this thread. It runs on while others run, until it
//! ends or the runtime does. Tasks take turns at their `.await`s; nothing preempts them.
//!
//! # Fairness
//!
//! The run queue is first in, first out. It promises:
//!
//! - a task that is ready is polled after at most one poll of each other task;
//! - a socket that becomes ready, a timer that is due and a wake from another thread are noticed
//!   after at most 128 polls;
//! - while polls take long, they are noticed within a millisecond or one poll, whichever is longer.
//!   When polls become long after a run of short ones, the first notice may come up to 16 polls late,
//!   once. The task that is woken then waits for at most one poll of each ready task; a deadline
//!   that its task sets anew at each wake may take two such steps;
//! - one poll awaits at most 128 operations that bring something (reads, writes, accepts, joins),
//!   even if every one of them could succeed at once. Then the operation wakes its task and is
//!   `Pending`, and the others run. What does not wait (`try_read`, `try_write`) is not counted;
//! - a [`sleep_until`](crate::time::sleep_until) whose deadline has passed ends at once in a poll that has
//!   done these 128 operations, so that a deadline beside operations that always succeed comes; at most 128
//!   times a poll, so that a task that goes on after its deadline lets the others run.
//!
//! With a [seed](crate::Builder::seed), which is for tests, the order is another one, and the promise is
//! that a ready task is passed over at most 64 times in a row.
//!
//! A future that computes for long without an `.await`, or blocks, holds up everything else on its
//! thread; [`spawn_blocking`] has threads for that. A task that computes for a while and then yields holds
//! up the others by one such piece at a time.
//!
//! # How a task ends
//!
//! A task ends when its future is ready, when it panics, and when it is cancelled: by
//! [`abort`](JoinHandle::abort) or by the end of its runtime. What a call does depends on how far the
//! task is:
//!
//! | | was never polled, or waits | is being polled | has ended | has panicked |
//! | --- | --- | --- | --- | --- |
//! | `abort` | the future is dropped in place of the next poll | the same, if this poll returns `Pending`; if it returns `Ready`, the output stands | nothing: the output stands | nothing: the panic stands |
//! | drop of the handle | the task goes on | the task goes on | the output is dropped | the panic is logged |
//! | await of the handle | waits for the end | waits for the end | gives the output | gives a [`JoinError`] that is the panic |
//! | drop of the runtime | the future is dropped | cannot be | the output is dropped, unless it comes from [`Handle::spawn`](crate::Handle::spawn): then it stands | the panic is logged, or stands likewise |
//!
//! A cancelled task's handle gives a [`JoinError`] that says so. A future is always dropped on the
//! thread of its runtime and inside it. So is the output of a local [`spawn`]; that of `Handle::spawn`
//! belongs to the handle and is dropped where that is. A call from another thread is a message to the
//! loop, and takes effect when the loop reads it, as soon as it notices a wake.

mod abort;
pub(crate) mod blocking;
mod builder;
mod group;
mod join;
mod join_set;
pub(crate) mod remote;
mod scope;
mod spawner;
mod yield_now;

pub use self::abort::AbortHandle;
pub use self::blocking::spawn_blocking;
pub use self::builder::Builder;
pub use self::join::JoinHandle;
pub use self::join_set::{JoinSet, JoinSetBuilder};
pub use self::scope::{Scope, ScopedJoinHandle, TryScope, scope, try_scope};
pub use self::spawner::LocalSpawner;
pub use self::yield_now::{YieldNow, yield_now};
pub use crate::executor::{Id, JoinError};

use crate::context;
use crate::dump::Dump;
use crate::executor::SpawnInfo;
use crate::executor::task::Stage;
use crate::foreign::trace;
use std::panic::Location;
use std::sync::Arc;

/// Gives a future to the runtime of this thread, which runs it beside the others.
///
/// It is not polled before `spawn` returns: it takes its place at the end of the run queue. It
/// need not be `Send`; it stays on this thread and is dropped there. To spawn from elsewhere, use a
/// [`Handle`](crate::Handle).
///
/// # Panics
///
/// Outside a runtime.
///
/// # Examples
///
/// ```
/// use std::rc::Rc;
///
/// glassfrog::block_on(async {
///     let shared = Rc::new(20);
///     let tasks: Vec<_> = (1..=3)
///         .map(|n| {
///             let shared = Rc::clone(&shared);
///             glassfrog::spawn(async move { *shared * n })
///         })
///         .collect();
///     let mut sum = 0;
///     for task in tasks {
///         sum += task.await.unwrap();
///     }
///     assert_eq!(sum, 120);
/// });
/// ```
#[track_caller]
pub fn spawn<F>(future: F) -> JoinHandle<F::Output>
where
    F: Future + 'static,
    F::Output: 'static,
{
    spawn_named(None, Location::caller(), future)
}

/// What every task of this thread's runtime waits for; see [`Dump`].
///
/// # Panics
///
/// Outside a runtime. From other threads there is [`Handle::dump`](crate::Handle::dump).
///
/// # Examples
///
/// See [`Dump`].
#[track_caller]
pub fn dump() -> Dump {
    context::current().dump()
}

/// Gives a future to the runtime of this thread, under a name if it has one.
#[inline]
#[track_caller]
fn spawn_named<F>(
    name: Option<Box<str>>,
    location: &'static Location<'static>,
    future: F,
) -> JoinHandle<F::Output>
where
    F: Future + 'static,
    F::Output: 'static,
{
    let run = Stage::boxed(future);
    let (handle, refused) = context::with(|core| {
        let id = core.shared.new_id();
        let inbox = Arc::clone(&core.shared.inbox);
        let known = name.clone();
        let info = SpawnInfo { id, name, location };
        let (key, refused) = core.executor.spawn(run, info);
        (JoinHandle::local(id, known, key, inbox), refused)
    });
    trace!(
        "glassfrog::task",
        "task {} is spawned at {location}",
        handle.id()
    );
    // A runtime that is ending takes no task: no task has this key, and the handle says so.
    drop(refused);
    handle
}

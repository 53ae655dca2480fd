//! Asynchronous tasks.
//!
//! ```
//! glassfrog::block_on(async {
//!     let task = glassfrog::spawn(async { 6 * 7 });
//!     // The task runs while this future waits.
//!     assert_eq!(task.await.unwrap(), 42);
//! });
//! ```
//!
//! A task is a future that the runtime polls independently of the future that spawned it. [`spawn`] gives a
//! future to the runtime of this thread. Tasks run concurrently on that thread: they switch at `.await`, and
//! nothing preempts them.
//!
//! # Fairness
//!
//! The run queue is first in, first out, except that tasks woken by a socket, a deadline or another thread may go
//! before tasks that were already ready. The runtime guarantees:
//!
//! - A ready task is polled after at most one poll of each other task, or two of a task that a socket, a deadline
//!   or another thread has woken in between.
//! - The loop checks for ready sockets, due timers and wakes from other threads after at most 128 polls.
//! - If polls are slow, it checks after a millisecond or after one poll, whichever is longer. When polls
//!   become slow after a series of fast ones, the first check may come up to 16 polls late, once. A task that
//!   the check wakes waits for at most one poll of each ready task. If a single task computes and yields, it
//!   delays others by one of its polls at a time. If several tasks do, a deadline that a task renews at each
//!   wake may be late by two such delays.
//! - One poll completes at most 128 operations that make progress: reads, writes, accepts, joins, and with the
//!   feature `sync` every future of its locks, channels and notifications. After that, each operation wakes its task and
//!   returns `Pending` even if it could complete, so that other tasks run. Operations that never wait, such as
//!   `try_read`, do not count.
//! - After these 128 operations, a [`sleep_until`](crate::time::sleep_until) whose deadline has passed completes
//!   in its first poll. A deadline therefore takes effect even beside operations that always complete at once.
//!   This applies to 128 sleeps per poll, so that a task that continues after its deadline still lets other tasks
//!   run.
//!
//! With a [seed](crate::Builder::seed), which is intended for tests, the order is random. A ready task is then
//! passed over at most 64 times in a row.
//!
//! A future that blocks, or computes for a long time without an `.await`, delays everything else on its thread.
//! Move such work to [`spawn_blocking`], or divide it and [yield](yield_now) between the pieces.
//!
//! # Spinning
//!
//! A task *spins* if each of its polls does nothing but make the task ready again. It calls [`yield_now`],
//! `sleep(Duration::ZERO)` or its own waker in a loop until something happens, and keeps the thread busy meanwhile. The
//! runtime logs a warning with the place and the rate of such a task two or three seconds after it has begun to spin, and
//! does not repeat the warning for this task. Await the event instead, or sleep for a nonzero duration between attempts.
//!
//! These tasks are not reported, however often they are polled:
//!
//! - a task whose polls complete [operations](#fairness), spawn tasks or wake other tasks;
//! - a task that computes for more than a few microseconds between two yields;
//! - a task that wakes itself through something that this crate cannot see, such as the channel of another crate between
//!   two futures of the same task;
//! - a task that polls the body or a child of a [`scope`](scope()), because these may get on by waking one another;
//! - a task that spins only while others let the loop park now and then, or that other tasks or threads wake.
//!
//! A dump shows how often [each task](crate::dump::TaskDump::polls_per_second) is polled, reported or not. Under a
//! [virtual clock](crate::Builder#standstill), a task that spins while a deadline is pending stops the
//! clock, and is part of the report of that.
//!
//! # How a task ends
//!
//! A task ends when its future completes, when it panics, or when it is cancelled: by
//! [`abort`](JoinHandle::abort) or by the end of its runtime. The effect of a call depends on the state of the
//! task:
//!
//! | | never polled, or waiting | being polled | completed | panicked |
//! | --- | --- | --- | --- | --- |
//! | `abort` | the future is dropped instead of the next poll | the same if this poll returns `Pending`; if it returns `Ready`, the output stays | no effect: the output stays | no effect: the panic stays |
//! | drop of the handle | the task continues | the task continues | the output is dropped | the panic is logged |
//! | await of the handle | waits for the end | waits for the end | returns the output | returns the panic as a [`JoinError`] |
//! | drop of the runtime | the future is dropped | impossible | the output is dropped; that of [`Handle::spawn`](crate::Handle::spawn) stays | the panic is logged; that of `Handle::spawn` stays |
//!
//! The handle of a cancelled task returns a [`JoinError`] that says so. A future is always dropped on the
//! thread of its runtime and inside its context, and so is the output of a local [`spawn`]. The output of
//! `Handle::spawn` belongs to the handle and is dropped with it. A call from another thread sends a message to
//! the loop, and takes effect when the loop receives it.

mod abort;
pub(crate) mod blocking;
mod builder;
mod group;
mod join;
mod join_set;
mod mark;
pub(crate) mod oneshot;
pub(crate) mod promise;
pub(crate) mod remote;
mod scope;
mod spawner;
mod waiting_for;
mod yield_now;

pub use self::abort::AbortHandle;
pub use self::blocking::spawn_blocking;
pub use self::builder::Builder;
pub use self::join::JoinHandle;
pub use self::join_set::{JoinSet, JoinSetBuilder};
pub use self::mark::mark;
pub use self::scope::{Scope, ScopedJoinHandle, TryScope, scope, try_scope};
pub use self::spawner::LocalSpawner;
pub use self::waiting_for::{WaitingFor, waiting_for};
pub use self::yield_now::{YieldNow, yield_now};
pub use crate::executor::{Id, JoinError};

use crate::context;
use crate::dump::Dump;
use crate::executor::SpawnInfo;
use crate::executor::task::Stage;
use crate::foreign::trace;
use std::panic::Location;
use std::sync::Arc;

/// Spawns a future as a task on the runtime of this thread.
///
/// The task is not polled before `spawn` returns: it joins the end of the run queue. The future need not be
/// `Send`, because it stays on this thread and is dropped here. To spawn from another thread, use a
/// [`Handle`](crate::Handle).
///
/// # Panics
///
/// Panics outside a runtime.
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

/// Returns what every task of this thread's runtime waits for.
///
/// Print the [`Dump`], or ask it for a task. On other threads, use [`Handle::dump`](crate::Handle::dump). To see in which
/// async function each task waits, turn on [`Builder::trace_waits`](crate::Builder::trace_waits).
///
/// # Panics
///
/// Panics outside a runtime.
///
/// # Examples
///
/// ```
/// use glassfrog::task;
///
/// glassfrog::block_on(async {
///     let server = task::Builder::new().name("server").spawn(std::future::pending::<()>());
///     task::yield_now().await;
///     assert!(task::dump().to_string().contains("server"));
///     # drop(server);
/// });
/// ```
#[track_caller]
pub fn dump() -> Dump {
    context::current().dump()
}

/// Spawns a future on the runtime of this thread, with an optional name.
#[inline]
#[track_caller]
pub(crate) fn spawn_named<F>(
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
        let name_of_handle = name.clone();
        let info = SpawnInfo { id, name, location };
        let (key, refused) = core.executor.spawn(run, info);
        (JoinHandle::local(id, name_of_handle, key, inbox), refused)
    });
    trace!(
        "glassfrog::task",
        "task {} spawned at {location}",
        handle.id()
    );
    // A runtime that is ending refuses the future. No task then has this key, and the handle reports the task
    // as cancelled.
    drop(refused);
    handle
}

//! Locks, channels and notifications that a [dump](crate::task::dump) can see through.
//!
//! The primitives have the names and the signatures of tokio's. They work on any thread and under any executor. A task of
//! glassfrog that waits for one appears in a dump with the name of the primitive, the place where it was made, and
//! whoever must act before the wait ends:
//!
//! ```text
//! 2 "auditor"  src/audit.rs:9    3.2 s  1  waiting  sleep, 56.7 s to go (src/audit.rs:25)
//! 3            src/client.rs:31  3.1 s  1  waiting  lock "accounts" (made at src/bank.rs:12), taken by task 2 "auditor"
//!                                                   3.2 s ago at src/audit.rs:24; waiting at src/client.rs:40 for 3.1 s
//! ```
//!
//! | to share | |
//! | --- | --- |
//! | a value, one at a time | [`Mutex`] |
//! | a value, many readers or one writer | [`RwLock`] |
//! | a number of permits | [`Semaphore`] |
//! | a value that is made once | [`OnceCell`] |
//!
//! | to send | |
//! | --- | --- |
//! | one value | [`oneshot`] |
//! | values to one receiver | [`mpsc`] |
//! | each value to all receivers | [`broadcast`] |
//! | the latest value | [`watch`] |
//! | no value | [`Notify`], [`CancellationToken`], [`Barrier`] |
//!
//! Each constructor has a form with a name ([`Mutex::named`], [`mpsc::channel_named`]), which dumps show. Tasks of one
//! runtime need none of this to share a value without an `.await` in between: they run on one thread, so a
//! [`Cell`](std::cell::Cell) or a [`RefCell`](std::cell::RefCell) suffices.
//!
//! # What a dump knows
//!
//! A guard, a permit and the end of a channel are values, which can be moved to another task. A primitive notes who took,
//! cloned or last used them, and where. It cannot know where they lie now, so a dump says "taken by" and "last used by".
//! It names a task of another runtime with that runtime, and a thread outside any task with the name of the thread.
//!
//! If a lock is free although a task waits for it, the lock was handed to a future that its task has stopped polling:
//! "free, and next for it is a future of task 4, not polled since its poll 2 of 9". Such a future is often the branch of
//! a `select` that another branch holds up, or one in a buffer of futures.
//!
//! [`held`] lists all locks and permits that are held at the moment, with or without waiters.
//!
//! # What it costs
//!
//! A primitive notes its holder in three words, without reading a clock and without a lock of its own. A wait is entered
//! in a table of the runtime when a poll returns `Pending`, and removed when it ends. Names and descriptions are put
//! together when a dump is taken.
//!
//! # What it stands on
//!
//! The queues are those of `async-lock`, `async-channel` and `async-broadcast`. `event-listener` wakes the tasks that wait
//! in the first two, for a [`CancellationToken`] and for a [`watch`] channel. [`Notify`], [`Semaphore`], [`oneshot`] and
//! [`broadcast`] keep the wakers of their waiters themselves, and call them outside of any lock.
//!
//! `event-listener` calls, clones and drops wakers under a lock of its own. So a waker that uses the same primitive from
//! within `wake` waits for itself. If a waker panics, the panic unwinds into the call that woke it (a cancellation logs it
//! instead), the waiters behind it in the queue may never be woken, and dropping the future that left the waker may panic
//! too. The wakers of glassfrog, tokio, futures and smol do neither.
//!
//! If the program panics while it holds a guard or a permit, in a closure, a `clone` or a destructor, nothing is
//! poisoned: the lock is released, and the primitive works as before.

mod mutex;
mod rwlock;
mod semaphore;
mod barrier;
mod once_cell;
mod notify;
mod cancellation_token;
pub mod mpsc;
pub mod oneshot;
pub mod broadcast;
pub mod watch;
mod ends;
mod held;
mod holders;
pub(crate) mod seen;

pub use self::barrier::{Barrier, BarrierWait, BarrierWaitResult};
pub use self::cancellation_token::{
    CancellationToken, Cancelled, CancelledOwned, DropGuard, RunUntilCancelled,
};
pub use self::held::{Held, HeldThing, Holder, held};
pub use self::mutex::{Lock, LockOwned, Mutex, MutexGuard, OwnedMutexGuard};
pub use self::notify::{Notified, Notify};
pub use self::once_cell::{OnceCell, SetError};
pub use self::rwlock::{
    OwnedRwLockReadGuard, OwnedRwLockWriteGuard, RwLock, RwLockRead, RwLockReadGuard, RwLockWrite,
    RwLockWriteGuard,
};
pub use self::semaphore::{
    Acquire, AcquireError, AcquireOwned, OwnedSemaphorePermit, Semaphore, SemaphorePermit,
    TryAcquireError,
};

use crate::context;
use std::error::Error;
use std::fmt;

/// The error of `try_lock`, `try_read` and `try_write`: somebody holds the lock.
///
/// # Examples
///
/// ```
/// use glassfrog::sync::{Mutex, TryLockError};
///
/// let mutex = Mutex::new(7);
/// let guard = mutex.try_lock().unwrap();
/// let error: TryLockError = mutex.try_lock().unwrap_err();
/// assert_eq!(error.to_string(), "the lock is held");
/// # drop(guard);
/// ```
#[derive(Debug, PartialEq, Eq)]
pub struct TryLockError(());

impl fmt::Display for TryLockError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the lock is held")
    }
}

impl Error for TryLockError {}

/// Panics if this thread runs a loop, whose tasks would stand still while the thread is blocked.
#[track_caller]
fn assert_may_block(method: &str) {
    assert!(
        context::running().is_none(),
        "`{method}` inside a runtime would block its tasks: await the method without `blocking_`, or call this in \
         `spawn_blocking`"
    );
}

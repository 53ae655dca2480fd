//! Locks, channels and notifications whose holders and senders a [dump](crate::task::dump) names. This module needs the
//! feature `sync`.
//!
//! The types and methods have the names that they have in tokio, and take the same arguments. [The
//! guide](crate::guide#locks-and-channels) lists what is missing and what behaves differently. The primitives work on any
//! thread and under any executor. If a task of glassfrog waits for one, a dump shows the name of the primitive, the
//! place where the program made it, and the task that must act before the wait ends:
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
//! A program can move a guard, a permit or the end of a channel to another task. A primitive records which task took,
//! cloned or last used it, and where. It cannot know which task owns it now, so a dump says "taken by" and "last used
//! by". It names a task of another runtime with that runtime, and a thread outside any task with the name of the
//! thread.
//!
//! If a lock is free although a task waits for it, the future that is next in the queue has been woken, but its task
//! has not polled it since: "free; next for this lock: a future of task 4, not polled since its poll 2 of 9". Such a
//! future is often a branch of a `select` while another branch runs, or an element of a buffer of futures. A task that "has
//! been woken" is only about to take the lock.
//!
//! `examples/stuck.rs` prints the dumps of programs that are stuck: a lock held across a sleep, a pool without permits,
//! a circle of a channel and a lock, a future that is not polled, and a sender that keeps a channel open.
//!
//! [`held`] returns all locks and permits that are held at the moment, with or without waiters.
//!
//! # What it costs
//!
//! A primitive records its holder in three words. It reads no clock and takes no lock for that. A future adds its wait
//! to a table of the runtime when a poll returns `Pending`, and removes it when the wait ends. Only a dump formats
//! names and descriptions.
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

/// The error of `try_lock`, `try_read` and `try_write`: the lock is already locked.
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

/// Panics if this thread runs a loop: it would poll no task while it is blocked.
#[track_caller]
fn assert_may_block(method: &str) {
    assert!(
        context::running().is_none(),
        "`{method}` inside a runtime would block its tasks: await the method without `blocking_`, or call this in \
         `spawn_blocking`"
    );
}

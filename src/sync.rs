//! Locks, channels and notifications that a dump can see through.

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

//! Mutexes, condition variables and atomics, in one place so that the model checker loom can replace them.
//!
//! Every file that implements a protocol between threads takes these types from here. `tests/loom` compiles some of
//! these files again (`executor/inbox.rs`, `executor/flag.rs`, `executor/ended.rs`, `reactor/readiness.rs`,
//! `reactor/waiters.rs`, `threads/resting.rs`, `timeline/ring.rs`, and of `sync`: `semaphore/permits.rs`,
//! `notify/signal.rs`, `cancellation_token/tree.rs`, `oneshot/core.rs`, `watch/core.rs`), with a module of the same name
//! that exports the types of the model checker loom.
//! So the model checker checks the code that runs here.

pub(crate) use std::sync::atomic::{
    AtomicBool, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering,
};
pub(crate) use std::sync::{Condvar, Mutex, MutexGuard};

#[cfg(feature = "timeline")]
pub(crate) use std::sync::atomic::fence;

#[cfg(feature = "sync")]
pub(crate) use event_listener::{Event, EventListener};

/// Locks a mutex, whether it is poisoned or not. No foreign code runs under a lock, so no panic leaves the value
/// inconsistent.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}

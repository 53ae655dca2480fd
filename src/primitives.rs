//! Mutexes, condition variables and atomics, under one name.
//!
//! Everything that crosses threads takes these types from here. The model checker in `tests/loom` compiles
//! the files that hold a protocol between threads (`executor/inbox.rs`, `executor/flag.rs`,
//! `executor/ended.rs`, `reactor/readiness.rs`, `reactor/waiters.rs`) once more, against a module of this name
//! that has loom's types. So the code that is proved there is the code that runs here.

pub(crate) use std::sync::atomic::{
    AtomicBool, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering,
};
pub(crate) use std::sync::{Condvar, Mutex, MutexGuard};

/// Locks a mutex, whether it is poisoned or not. No holder runs foreign code, so none leaves the value inconsistent.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}

//! The locks and atomics of what crosses threads, under one name.
//!
//! The files that hold a protocol between threads (`executor/inbox.rs`, `executor/flag.rs`,
//! `executor/ended.rs`, `reactor/readiness.rs`, `reactor/waiters.rs`) take these types from here and from nowhere else. The model checker in
//! `tests/loom` compiles the very same files against a `sync` module of its own, made of loom's
//! types, so what is proved there is what runs here.

pub(crate) use std::sync::atomic::{
    AtomicBool, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering,
};
pub(crate) use std::sync::{Condvar, Mutex, MutexGuard};

/// Locks a mutex whose holders never run foreign code, so that poison has no meaning for it.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}

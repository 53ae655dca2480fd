//! Models of all state that glassfrog shares between threads, checked under every interleaving.
//!
//! This package compiles the files of the crate once more: they take their locks and atomics from
//! `crate::primitives`, which here consists of loom's types. Run with `cargo test --release -p glassfrog-loom`.
#![cfg(test)]

#[path = "../../../src/executor/aborters.rs"]
#[expect(dead_code, reason = "the inbox has a table that the models do not use")]
mod aborters;
#[path = "../../../src/reactor/attempts.rs"]
#[expect(dead_code, reason = "the models use a part of it")]
mod attempts;
#[path = "../../../src/executor/ended.rs"]
#[expect(dead_code, reason = "the models use a part of it")]
mod ended;
#[path = "../../../src/executor/flag.rs"]
#[expect(dead_code, reason = "the models use a part of it")]
mod flag;
#[path = "../../../src/executor/inbox.rs"]
#[expect(dead_code, reason = "the models use a part of it")]
mod inbox;
#[path = "../../../src/foreign.rs"]
#[expect(
    dead_code,
    unused_macros,
    unused_imports,
    reason = "the models use a part of it"
)]
mod foreign;
#[path = "../../../src/sync/semaphore/permits.rs"]
mod permits;
#[path = "../../../src/reactor/readiness.rs"]
#[expect(dead_code, reason = "the models use a part of it")]
mod readiness;
#[path = "../../../src/timeline/ring.rs"]
#[expect(dead_code, reason = "the models use a part of it")]
mod ring;
#[path = "../../../src/threads/resting.rs"]
mod resting;
#[path = "../../../src/slab.rs"]
#[expect(dead_code, reason = "the inbox has a table that the models do not use")]
mod slab;
#[path = "../../../src/sync/notify/signal.rs"]
mod signal;
#[path = "../../../src/sync/cancellation_token/tree.rs"]
#[expect(dead_code, reason = "the models use a part of it")]
mod tree;
#[path = "../../../src/waiter.rs"]
#[expect(dead_code, reason = "the models use a part of it")]
mod waiter;
#[path = "../../../src/reactor/waiters.rs"]
#[expect(dead_code, reason = "the models use a part of it")]
mod waiters;

/// What the inbox takes from the module of this name, in a table that the models do not use.
mod children {
    pub(crate) type MemberRef = std::sync::Weak<()>;
}

/// The crate's `primitives`, made of loom's types.
mod primitives {
    pub(crate) use crate::event_listener::{Event, EventListener};
    pub(crate) use loom::sync::atomic::{
        AtomicBool, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence,
    };
    pub(crate) use loom::sync::{Mutex, MutexGuard};

    pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
        mutex.lock().expect("no holder panics")
    }
}

#[path = "../../../src/sync/oneshot/core.rs"]
#[expect(dead_code, reason = "the models use a part of it")]
mod oneshot_core;
#[path = "../../../src/sync/watch/core.rs"]
#[expect(dead_code, reason = "the models use a part of it")]
mod watch_core;

mod channels_model;
mod event_listener;
mod executor_model;
mod permits_model;
mod reactor_model;
mod ring_model;
mod sync_model;
mod threads_model;

//! [`Resting`]: which of the crate's own threads rest.
//!
//! A thread *rests* while it waits for work of this crate and runs no foreign code. It wakes no task until its rest has
//! ended. The head of `event_loop/only_thread.rs` says what the loop concludes from this.
//!
//! ```text
//!                 begin
//!    +--------+ ---------> +-------+
//!    | active |            | rests |
//!    +--------+ <--------- +-------+
//!         |        end
//!         v
//!       exits
//! ```
//!
//! The set and the number of its changes are under one lock. If the number is the same before and after something, then no
//! thread has begun or ended a rest in between.

use crate::primitives::{Mutex, lock};
use std::collections::BTreeSet;

/// The threads that rest, by the numbers that the kernel has given them.
pub(crate) struct Resting(Mutex<State>);

/// The state under the lock of [`Resting`].
struct State {
    /// The threads that rest. Each thread adds and removes itself.
    threads: BTreeSet<u32>,
    /// How many times a thread has begun or ended a rest (modulo 2⁶⁴).
    changes: u64,
}

/// What [`Resting::changes`] returned.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Changes(u64);

impl Resting {
    /// Creates a set without threads.
    pub(crate) const fn new() -> Resting {
        Resting(Mutex::new(State {
            threads: BTreeSet::new(),
            changes: 0,
        }))
    }

    /// Begins the rest of a thread. The caller is this thread.
    pub(crate) fn begin(&self, thread: u32) {
        let mut state = lock(&self.0);
        state.threads.insert(thread);
        state.changes = state.changes.wrapping_add(1);
    }

    /// Ends the rest of a thread. The caller is this thread, and does nothing else before.
    pub(crate) fn end(&self, thread: u32) {
        let mut state = lock(&self.0);
        state.threads.remove(&thread);
        state.changes = state.changes.wrapping_add(1);
    }

    /// Returns the number of changes so far.
    pub(crate) fn changes(&self) -> Changes {
        Changes(lock(&self.0).changes)
    }

    /// Returns whether all of these threads rest.
    pub(crate) fn all_rest(&self, threads: &[u32]) -> bool {
        let state = lock(&self.0);
        threads.iter().all(|thread| state.threads.contains(thread))
    }
}

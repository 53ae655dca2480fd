//! [`Resting`]: which of the crate's own threads rest, and [`ask`]: whether all threads do.
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
//! The set and the number of its changes are under one lock. If the number is the same before and after something, then
//! no thread has begun or ended a rest in between.

use crate::primitives::{Mutex, lock};
use std::collections::BTreeSet;

/// The threads that rest.
pub(crate) struct Resting {
    /// Their numbers, as the kernel counts. Each thread adds and removes itself.
    threads: BTreeSet<u32>,
    /// How many times a thread has begun or ended a rest (modulo 2⁶⁴).
    changes: u64,
}

/// The answer to the question whether all threads rest.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// All threads rest, and no job is queued. The value is the number of the threads.
    AllRest(usize),
    /// A thread does not rest, a job is queued, or the threads cannot be listed.
    NotAll,
    /// A thread has begun or ended a rest meanwhile, so the answer is not known.
    Changed,
}

impl Resting {
    /// Creates an empty set.
    pub(crate) const fn new() -> Resting {
        Resting {
            threads: BTreeSet::new(),
            changes: 0,
        }
    }

    /// Begins the rest of a thread, which calls this itself.
    pub(crate) fn begin(&mut self, thread: u32) {
        self.threads.insert(thread);
        self.changes = self.changes.wrapping_add(1);
    }

    /// Ends the rest of a thread, which calls this itself, before it does anything else.
    pub(crate) fn end(&mut self, thread: u32) {
        self.threads.remove(&thread);
        self.changes = self.changes.wrapping_add(1);
    }
}

/// Asks whether all threads rest that `list` returns, and no job is queued. The lock is free while these functions run.
///
/// The steps are those in the head of `event_loop/only_thread.rs`.
pub(crate) fn ask(
    resting: &Mutex<Resting>,
    list: impl FnOnce() -> Option<Vec<u32>>,
    has_queued_jobs: impl FnOnce() -> bool,
) -> Answer {
    let before = lock(resting).changes;
    let Some(threads) = list() else {
        return Answer::NotAll;
    };
    let state = lock(resting);
    let all_rest = threads.iter().all(|thread| state.threads.contains(thread));
    drop(state);
    if !all_rest || has_queued_jobs() {
        return Answer::NotAll;
    }
    match lock(resting).changes == before {
        true => Answer::AllRest(threads.len()),
        false => Answer::Changed,
    }
}

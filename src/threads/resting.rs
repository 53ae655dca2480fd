//! [`Resting`]: how many of the crate's own threads rest, and [`ask`]: whether all threads do.
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
//! The number of resting threads and the number of changes are under one lock. If the latter is the same before and after
//! something, then no thread has begun or ended a rest in between.

use crate::primitives::{Mutex, lock};

/// The threads that rest.
#[derive(Clone, Copy)]
pub(crate) struct Resting {
    /// The number of these threads. Each of them exists until its rest has ended.
    threads: usize,
    /// How many times a thread has begun or ended a rest (modulo 2⁶⁴).
    changes: u64,
}

/// The answer to the question whether all threads rest.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// All other threads rest, and no job is queued. The value is the number of the threads that rest.
    AllRest(usize),
    /// A thread does not rest, a job is queued, or the threads cannot be counted.
    NotAll,
    /// A thread has begun or ended a rest meanwhile, so the answer is not known.
    Changed,
}

impl Resting {
    /// Creates the state in which no thread rests.
    pub(crate) const fn new() -> Resting {
        Resting {
            threads: 0,
            changes: 0,
        }
    }

    /// Begins the rest of a thread, which calls this itself.
    pub(crate) fn begin(&mut self) {
        self.threads += 1;
        self.changes = self.changes.wrapping_add(1);
    }

    /// Ends the rest of a thread, which calls this itself, before it does anything else.
    pub(crate) fn end(&mut self) {
        self.threads -= 1;
        self.changes = self.changes.wrapping_add(1);
    }
}

/// Asks whether all threads but this one rest, and no job is queued. `count` returns the number of all threads. The lock
/// is free while these functions run.
///
/// The steps are those in the head of `event_loop/only_thread.rs`.
pub(crate) fn ask(
    resting: &Mutex<Resting>,
    count: impl FnOnce() -> Option<usize>,
    has_queued_jobs: impl FnOnce() -> bool,
) -> Answer {
    let before = *lock(resting);
    let all_rest = count() == Some(before.threads + 1);
    if !all_rest || has_queued_jobs() {
        return Answer::NotAll;
    }
    match lock(resting).changes == before.changes {
        true => Answer::AllRest(before.threads),
        false => Answer::Changed,
    }
}

//! The threads of this process, as the kernel counts them, and those of them that the crate has started and that rest.
//!
//! The threads of the pool, of a watchdog and of the signals that print a dump or write a timeline say when they
//! [rest], and so does a thread that waits for a test. The deadlock detector asks whether all other threads of the
//! process rest. Only Linux answers. On other systems and without `/proc`, the answer is that not all rest.

mod resting;

pub(crate) use self::resting::Answer;
use self::resting::{Resting, ask};
use crate::primitives::{Mutex, lock};
use std::fs;
use std::sync::atomic::{Ordering, fence};

/// The threads that rest.
static RESTING: Mutex<Resting> = Mutex::new(Resting::new());

/// Whether this system can count the threads of a process.
pub(crate) const CAN_COUNT: bool = cfg!(target_os = "linux");

/// Begins a rest of this thread, which does not rest already. It ends when the guard is dropped. While the guard exists,
/// the thread waits for work, runs no foreign code, and wakes no task.
pub(crate) fn rest() -> Rest {
    if CAN_COUNT {
        lock(&RESTING).begin();
    }
    Rest(())
}

/// A guard of a rest; see [`rest`]. It stays on its thread.
#[must_use = "the rest ends when this is dropped"]
pub(crate) struct Rest(());

impl Drop for Rest {
    fn drop(&mut self) {
        if CAN_COUNT {
            lock(&RESTING).end();
        }
    }
}

/// Asks whether all other threads of this process rest, and no job is queued. This thread does not rest.
pub(crate) fn do_others_rest(has_queued_jobs: impl FnOnce() -> bool) -> Answer {
    ask(&RESTING, count, has_queued_jobs)
}

/// Returns the number of threads of this process, if the system reports it (`Threads` in `proc(5)`, `/proc/pid/status`).
///
/// The kernel counts exactly: a new thread counts before the call that starts it returns, and until it has exited. A list
/// of the threads (`/proc/pid/task`) would not do, because the kernel ends it early at a thread that exits.
fn count() -> Option<usize> {
    if !CAN_COUNT {
        return None;
    }
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let mut lines = status.lines();
    let count = lines.find_map(|line| line.strip_prefix("Threads:"))?;
    let count = count.trim().parse().ok();
    // The kernel has counted, and the caller reads memory that threads may have written before they exited. The fence
    // keeps these reads in order; an exit is a fence on the other side.
    fence(Ordering::SeqCst);
    count
}

//! The threads of this process, as the kernel counts them, and those of them that the crate has started and that rest.
//!
//! The threads of the pool, of a watchdog and of the signals that print a dump or write a timeline say when they
//! [rest](OwnThread::rest), and so does a thread that waits for a test. The deadlock detector asks whether all other
//! threads of the process rest. Only Linux answers. On other systems and without `/proc`, no thread has a number, and the answer is that not all rest.

mod resting;

pub(crate) use self::resting::Answer;
use self::resting::{Resting, ask};
use crate::primitives::{Mutex, lock};
use std::fs;
use std::sync::atomic::{Ordering, fence};

/// The threads that rest.
static RESTING: Mutex<Resting> = Mutex::new(Resting::new());

/// The current thread, as the kernel knows it.
pub(crate) struct OwnThread {
    /// The number that the kernel has given the thread; `None` if it is not known.
    number: Option<u32>,
}

impl OwnThread {
    /// Returns the current thread. The value belongs to it and must not reach another thread.
    pub(crate) fn current() -> OwnThread {
        OwnThread {
            number: own_number(),
        }
    }

    /// Begins a rest of the thread, which ends when the guard is dropped. While the guard exists, the thread waits for
    /// work, runs no foreign code, and wakes no task.
    pub(crate) fn rest(&self) -> Rest {
        if let Some(number) = self.number {
            lock(&RESTING).begin(number);
        }
        Rest(self.number)
    }
}

/// A guard of a rest; see [`OwnThread::rest`].
#[must_use = "the rest ends when this is dropped"]
pub(crate) struct Rest(Option<u32>);

impl Drop for Rest {
    fn drop(&mut self) {
        if let Some(number) = self.0 {
            lock(&RESTING).end(number);
        }
    }
}

/// Returns the number of the current thread.
fn own_number() -> Option<u32> {
    if !CAN_LIST {
        return None;
    }
    // `PID/task/TID` (`proc(5)`), with the numbers of the namespace that `/proc` shows.
    let link = fs::read_link("/proc/thread-self").ok()?;
    link.file_name()?.to_str()?.parse().ok()
}

/// Whether this system can list the threads of a process.
pub(crate) const CAN_LIST: bool = cfg!(target_os = "linux");

/// Asks whether all other threads of this process rest, and no job is queued.
pub(crate) fn do_others_rest(has_queued_jobs: impl FnOnce() -> bool) -> Answer {
    ask(&RESTING, others, has_queued_jobs)
}

/// Returns the numbers of all other threads of this process, or `None` if the system does not list them or the list is not
/// complete.
///
/// The kernel ends its walk early at a thread that exits, and then misses all threads behind it, such as one that the
/// exiting thread has just started. But it counts the threads exactly: a new thread counts before the call that starts it
/// returns, and until it has exited. So the list is complete if it has as many threads as the kernel counts afterwards.
fn others() -> Option<Vec<u32>> {
    let own = own_number()?;
    let mut threads = Vec::new();
    for thread in fs::read_dir("/proc/self/task").ok()? {
        threads.push(thread.ok()?.file_name().to_str()?.parse().ok()?);
    }
    let counted = count()?;
    // The kernel has read its list and its count, and the caller reads memory that threads may have written before they
    // exited. The fence keeps these reads in order; an exit is a fence on the other side.
    fence(Ordering::SeqCst);
    let listed = threads.len();
    threads.retain(|thread| *thread != own);
    (listed == counted && threads.len() + 1 == listed).then_some(threads)
}

/// Returns the number of threads of this process (`Threads` in `proc(5)`, `/proc/pid/status`).
fn count() -> Option<usize> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("Threads:"))?;
    line.trim().parse().ok()
}

//! [`is_only_thread`]: finds out that nothing but the loop's own thread could wake a task.
//!
//! The deadlock detector asks this of a loop inside `block_on` that waits only for wakes, although something outside the
//! runtime holds a waker or a handle. A waker is only called by a thread. If the loop's thread is about to park, and all
//! other threads of the process rest, no thread is left that could call it.
//!
//! A thread rests (`threads.rs`) while it waits for work of this crate: an idle thread of a pool, a watchdog or a writer of
//! timelines between two looks, a thread that waits for a signal to print a dump or to write a timeline, a thread that
//! waits for a test to end. Each ends its rest before it does anything else. Any other thread, known or not, may wake a task.
//!
//! # Why the answer is right
//!
//! A check takes these steps in this order, on the loop's thread, which is between two polls and has announced its park:
//!
//! 1. read how many threads rest, and the number of changes: how often a thread has begun or ended a rest;
//! 2. let the kernel count the threads of the process, and find that there is one more, this one;
//! 3. find that no pool of any runtime has a queued job;
//! 4. read the number of changes again, and find it the same;
//! 5. find that the inbox is quiet: no message has come since the park was announced.
//!
//! Steps 1 and 4 make one instant of the steps between them: the threads of step 1 have rested until step 4. A thread that
//! rests starts no thread, submits no job and exits only after its rest. So:
//!
//! - *The count is complete.* This thread and the threads of step 1 exist all the time. The kernel counts exactly, so in
//!   step 2 there was no other thread. And a thread can only be started by another one that does not rest.
//! - *A thread that starts.* Its starter does not rest. The new thread counts before its starter can exit, and does not
//!   rest before it has done what it was started for.
//! - *A thread that wakes a task and exits, or rests, before it counts.* It posts its message first. If it rests in
//!   step 1, the lock of the resting threads orders the message before step 5. If it has exited, the kernel does, with
//!   the fence in `threads.rs`. The message is in the inbox in step 5, and the loop reads it.
//! - *A pool's thread that has been called to a job, but has not woken up.* It still rests. The job is in its queue, and
//!   as no thread acts between steps 1 and 4, it is still there in step 3. A thread that has taken a job has ended its
//!   rest before.
//! - *A watchdog that reports a poll that has ended.* The logger that it calls is foreign code. It ends its rest before
//!   it reads which task is being polled. If it does so before step 4, the numbers differ; if later, the lock makes it
//!   see that the loop polls nothing.
//! - *A thread that writes a timeline.* It has ended its rest, so it counts until the file is written. The thread that
//!   writes one after the panic of a task never rests. Both may call the logger.
//!
//! A check that fails because a thread came or went is repeated by the detector, after twice the time.
//!
//! # What the answer leaves out
//!
//! - A signal handler runs on any thread, and may wake a waker itself. [`Builder::on_deadlock`] says that this is not
//!   supported. The handlers of `signal` write into pipes. A task that waits for such a pipe waits for
//!   a socket, and the detector does not ask.
//! - A thread of a pool that exits, after ten seconds without a job, runs the destructors of the thread-locals that jobs
//!   have used. The documentation excludes those that wake a task, too.
//! - A foreign loop that makes turns may wake anything itself, so the detector is never asked in a turn. The root future
//!   of a worker waits for the thread that owns the workers, so the answer for a worker is always "no".
//!
//! `threads/resting.rs` has steps 1 to 4. `tests/loom` checks all five with threads that post, start others, exit and rest.
//!
//! [`Builder::on_deadlock`]: crate::Builder::on_deadlock

use super::{EventLoop, others};
use crate::threads::{self, Answer};

/// The maximum number of attempts of one check. A watchdog with the shortest interval ends its rest every millisecond,
/// and an attempt takes a few dozen microseconds, so three attempts hardly ever fail.
const ATTEMPTS: u32 = 3;

/// The proof that no thread can wake a task.
pub(super) struct OnlyThread {
    /// The number of the other threads, which rest.
    pub(super) resting: usize,
}

/// Returns whether [`is_only_thread`] could ever return a proof for this loop.
pub(super) fn can_be_only_thread(event_loop: &EventLoop) -> bool {
    threads::CAN_COUNT && event_loop.shared.worker.is_none()
}

/// Returns a proof if no thread can wake a task of this loop, which waits only for wakes and has announced its park.
pub(super) fn is_only_thread(event_loop: &EventLoop) -> Option<OnlyThread> {
    if !can_be_only_thread(event_loop) {
        return None;
    }
    for _ in 0..ATTEMPTS {
        match threads::do_others_rest(others::have_queued_jobs) {
            Answer::Changed => {}
            Answer::NotAll => return None,
            Answer::AllRest(resting) => {
                let is_quiet = event_loop.shared.inbox.is_quiet();
                // An event of a socket might still wake a task that no longer waits for it.
                let is_kept = || !event_loop.shared.sources.kept_waiters().is_empty();
                return (is_quiet && !is_kept()).then_some(OnlyThread { resting });
            }
        }
    }
    None
}

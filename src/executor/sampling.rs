//! [`Sampling`]: a look at single polls of the tasks that are polled very often.
//!
//! The event loop opens a sample about once a second, if there are such tasks. `observe.rs` records the polls until the
//! sample is full. While no sample is open, a poll pays nothing for this.
//!
//! A sampled poll is *idle* if all that it has achieved is to be polled again: it returned `Pending`, its task woke itself
//! or made a sleep of length zero, and it completed no operation of this crate, spawned no task and woke no other task. It
//! is also short, because a task that computes and yields gets on. The poll of the child of a scope is an operation: the
//! children may get on by waking one another.

use super::Executor;
use super::budget::is_unspent;
use super::waker::TaskWaker;
use crate::clock::Stopwatch;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::time::Duration;

/// The number of polls in a sample.
///
/// Recording a poll takes a fraction of a microsecond, so a sample a second takes less than a thousandth of the time.
const SAMPLE: u32 = 1024;

/// The duration of a poll that is too long to be idle.
///
/// A poll that only checks a condition and yields takes a tenth of a microsecond, and half a microsecond in a debug build.
/// A task that computes for longer between two yields spends most of its time on its own work.
const SHORT: Duration = Duration::from_micros(3);

thread_local! {
    /// The number of sleeps of length zero that were made on this thread (modulo 2³²).
    static ZERO_SLEEPS: Cell<u32> = const { Cell::new(0) };
}

/// Records that the program makes a sleep of length zero, which wakes its task in the same turn of the loop.
#[cold]
pub(crate) fn note_zero_sleep() {
    ZERO_SLEEPS.set(ZERO_SLEEPS.get().wrapping_add(1));
}

/// The sample of one executor.
#[derive(Default)]
pub(super) struct Sampling {
    /// The number of polls that the open sample still records; 0 if none is open.
    left: Cell<u32>,
    /// The counts of the tasks that are sampled, by the low halves of their ids.
    tasks: RefCell<HashMap<u32, Sample>>,
}

/// The counts of a task in a sample.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sample {
    /// The number of its polls.
    pub(crate) polls: u32,
    /// The number of these polls that were idle.
    pub(crate) idle: u32,
}

/// The state at the beginning of a poll that is recorded.
pub(super) struct Before {
    /// The number of tasks that were spawned.
    spawned: u64,
    /// The number of wakes on this thread.
    wakes: u64,
    /// The number of sleeps of length zero.
    zero_sleeps: u32,
    /// When the poll began.
    since: Stopwatch,
}

impl Sampling {
    /// Returns whether a sample is open.
    pub(super) fn is_open(&self) -> bool {
        self.left.get() > 0
    }
}

impl Executor {
    /// Opens a sample of the polls of these tasks, given by the low halves of their ids. No task is being polled.
    pub(crate) fn open_sample(&self, tasks: impl Iterator<Item = u32>) {
        let tasks = tasks.map(|id| (id, Sample::default()));
        self.sampling.tasks.replace(tasks.collect());
        self.sampling.left.set(SAMPLE);
        self.set_observed();
    }

    /// Closes the sample, which may not be full yet. Returns its counts by the low halves of the ids. No task is being polled.
    pub(crate) fn take_sample(&self) -> HashMap<u32, Sample> {
        self.sampling.left.set(0);
        self.set_observed();
        self.sampling.tasks.take()
    }

    /// Notes that a poll begins which the open sample records.
    pub(super) fn sample_begin(&self) -> Option<Before> {
        self.sampling.is_open().then(|| Before {
            spawned: self.counters.spawned.get(),
            wakes: self.counters.local_wakes.get(),
            zero_sleeps: ZERO_SLEEPS.get(),
            since: Stopwatch::start(),
        })
    }

    /// Records a poll of the task `id`, which has just ended.
    pub(super) fn sample_end(&self, id: u32, before: &Before, is_ready: bool, waker: &TaskWaker) {
        let took = before.since.elapsed();
        let sampling = &self.sampling;
        let Some(left) = sampling.left.get().checked_sub(1) else {
            return;
        };
        sampling.left.set(left);
        if left == 0 {
            self.set_observed();
        }
        let mut tasks = sampling.tasks.borrow_mut();
        let Some(task) = tasks.get_mut(&id) else {
            return;
        };
        // Only the task itself has run on this thread since the poll began.
        let has_woken_itself = waker.flags.is_in_queue();
        let wakes = self.counters.local_wakes.get() - before.wakes;
        let is_idle = !is_ready
            && (has_woken_itself || ZERO_SLEEPS.get() != before.zero_sleeps)
            && wakes == u64::from(has_woken_itself)
            && self.counters.spawned.get() == before.spawned
            && is_unspent()
            && took < SHORT;
        task.polls += 1;
        task.idle += u32::from(is_idle);
    }
}

#[cfg(test)]
mod tests {
    use super::super::repeats::PAUSE;
    use super::super::status::LoopStatus;
    use super::super::{Choices, Remote};
    use super::*;
    use crate::executor::OnTaskPanic;
    use std::sync::Arc;

    #[test]
    fn a_sample_that_is_closed_early_leaves_no_poll_observed() {
        let choices = Choices {
            seed: None,
            on_panic: OnTaskPanic::default(),
            watchdog: None,
            pause: PAUSE,
        };
        let remote = Arc::new(Remote::new(futures_task::noop_waker(), None));
        let status = Arc::new(LoopStatus::new(false));
        let executor = Executor::new(0, remote, status, Arc::default(), None, choices);
        executor.open_sample([7].into_iter());
        assert!(executor.is_observed.get() && executor.is_always_observed.get());
        assert_eq!(executor.take_sample()[&7].polls, 0);
        assert!(!executor.is_observed.get() && !executor.is_always_observed.get());
    }
}

//! [`HeldJob`]: a job of a simulated host, which its driver runs.
//!
//! The pool of a host starts no thread. It holds its jobs in their queues, and calls the loop for each, so that the
//! driver learns of it. The driver takes a job when it chooses to, and runs it on a thread of its own, where the job may
//! block.

use super::{About, Job, Lane, Pool, discard};
use crate::foreign::log_panics;
use crate::pool::queue::Queued;
use crate::primitives::lock;
use std::fmt;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Instant;

/// A job that counts as running. Dropping it cancels it.
pub(crate) struct HeldJob {
    /// The pool that has held the job.
    pool: Arc<Pool>,
    /// The kind of the job.
    lane: Lane,
    /// The place of the job in the queue of its kind.
    place: usize,
    /// The job; `None` once it runs.
    job: Option<Box<dyn Job>>,
    /// The description of the job.
    about: Arc<dyn About>,
}

impl Pool {
    /// Makes the pool hold its jobs, and start no thread.
    pub(crate) fn holding_jobs(self) -> Pool {
        lock(&self.state).holds_jobs = true;
        self
    }

    /// Returns the number of jobs that are held.
    pub(crate) fn held_jobs(&self) -> usize {
        self.counts().1
    }

    /// Takes one of the jobs, which counts as running until it is dropped. `id` chooses from the ids of those in the first
    /// lane that has any; an id that no job has stands for the next newer one.
    pub(crate) fn take_held(
        self: &Arc<Self>,
        id: impl FnOnce(RangeInclusive<u64>) -> u64,
    ) -> Option<HeldJob> {
        let mut state = lock(&self.state);
        let mut lanes = Lane::ALL.into_iter();
        let lane = lanes.find(|lane| state.queues[*lane as usize].may_begin())?;
        let (place, job) = state.queues[lane as usize].begin_any(id)?;
        // The driver's thread belongs to the pool while it runs the job.
        state.threads += 1;
        let about = state.queues[lane as usize].about(place)?;
        Some(HeldJob {
            pool: Arc::clone(self),
            lane,
            place,
            job: Some(job),
            about,
        })
    }
}

impl HeldJob {
    /// Describes the job as a dump does, such as `blocking job 3 "hash" (src/main.rs:7)`.
    pub(crate) fn describe(&self) -> String {
        self.about.describe()
    }

    /// Runs the job, on any thread. Its end wakes the tasks that wait for it, and calls the loop.
    pub(crate) fn run(mut self) {
        if let Some(job) = self.job.take() {
            log_panics("a blocking job", || job.run());
        }
    }
}

impl Drop for HeldJob {
    fn drop(&mut self) {
        if let Some(job) = self.job.take() {
            let (about, since) = (Arc::clone(&self.about), Instant::now());
            discard(Queued { job, about, since });
        }
        let pool = &self.pool;
        let mut state = lock(&pool.state);
        let about = state.queues[self.lane as usize].end(self.place);
        state.threads -= 1;
        pool.note_busy(&state);
        drop(state);
        drop(about);
        pool.gone.notify_all();
        // After `note_busy`, because the loop checks `is_busy` next.
        pool.ended.wake_by_ref();
    }
}

impl fmt::Debug for HeldJob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HeldJob({})", self.describe())
    }
}

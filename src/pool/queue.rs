//! [`Queue`]: the jobs of one lane, from their submission to their end.
//!
//! The [pool](super) calls the queue under its lock. The queue starts no threads and runs no jobs. It returns every
//! value that has to be dropped, so that no destructor runs under the lock.

use super::job::{About, Job};
use std::collections::BTreeMap;
use std::mem;
use std::sync::Arc;

/// The jobs of one lane, by their ids. The oldest job has the smallest id.
pub(crate) struct Queue<Id = u64> {
    /// The jobs that wait for a thread.
    queued: BTreeMap<Id, Queued>,
    /// The descriptions of the running jobs that were not abandoned.
    running: BTreeMap<Id, Arc<dyn About>>,
    /// The number of running jobs that were abandoned.
    pub(crate) abandoned: usize,
    /// The maximum number of jobs in `running`.
    max_running: usize,
    /// The maximum number of threads that run jobs of this lane, abandoned ones included.
    pub(crate) max_threads: usize,
    /// The number of jobs that have begun (modulo 2⁶⁴).
    pub(crate) begun: u64,
    /// Whether a thread watches for a stall of the lane, or a stall was reported.
    pub(crate) watched: bool,
}

/// A job that waits for a thread.
pub(crate) struct Queued {
    /// The job.
    pub(crate) job: Box<dyn Job>,
    /// The description of the job for dumps.
    pub(crate) about: Arc<dyn About>,
}

impl<Id: Ord> Queue<Id> {
    /// Creates a queue without jobs.
    pub(crate) fn new(max_running: usize, max_threads: usize) -> Queue<Id> {
        Queue {
            queued: BTreeMap::new(),
            running: BTreeMap::new(),
            abandoned: 0,
            max_running,
            max_threads,
            begun: 0,
            watched: false,
        }
    }

    /// Adds a job.
    pub(crate) fn submit(&mut self, id: Id, job: Queued) {
        self.queued.insert(id, job);
    }

    /// Returns whether a job is queued and may begin.
    pub(crate) fn may_begin(&self) -> bool {
        !self.queued.is_empty()
            && self.running.len() < self.max_running
            && self.threads() < self.max_threads
    }

    /// Returns whether a job is queued while the lane occupies all its threads.
    pub(crate) fn is_stuck(&self) -> bool {
        !self.queued.is_empty() && self.threads() == self.max_threads
    }

    /// Begins the oldest job, if it may begin.
    pub(crate) fn begin(&mut self) -> Option<(Id, Box<dyn Job>)>
    where
        Id: Copy,
    {
        if !self.may_begin() {
            return None;
        }
        let (id, Queued { job, about }) = self.queued.pop_first()?;
        self.running.insert(id, about);
        self.begun = self.begun.wrapping_add(1);
        Some((id, job))
    }

    /// Removes a job that has returned. Returns its description, unless it was abandoned.
    pub(crate) fn end(&mut self, id: Id) -> Option<Arc<dyn About>> {
        let about = self.running.remove(&id);
        if about.is_none() {
            self.abandoned -= 1;
        }
        about
    }

    /// Removes and returns a job that has not begun.
    pub(crate) fn cancel(&mut self, id: Id) -> Option<Queued> {
        self.queued.remove(&id)
    }

    /// Abandons a running job: another job may begin, but the thread is still occupied.
    pub(crate) fn abandon(&mut self, id: Id) -> Option<Arc<dyn About>> {
        let about = self.running.remove(&id)?;
        self.abandoned += 1;
        Some(about)
    }

    /// Removes and returns all jobs that have not begun, oldest first.
    pub(crate) fn clear(&mut self) -> impl Iterator<Item = Queued> + use<Id> {
        mem::take(&mut self.queued).into_values()
    }

    /// Returns the number of jobs that wait for a thread.
    pub(crate) fn len(&self) -> usize {
        self.queued.len()
    }

    /// Returns the number of threads that run jobs of this lane, abandoned ones included.
    pub(crate) fn threads(&self) -> usize {
        self.running.len() + self.abandoned
    }

    /// Returns whether a job is queued or running, not counting abandoned jobs.
    pub(crate) fn is_busy(&self) -> bool {
        !self.queued.is_empty() || !self.running.is_empty()
    }

    /// Returns the ids and the descriptions of the jobs that were not abandoned, and whether each has begun.
    pub(crate) fn jobs(&self) -> impl Iterator<Item = (&Id, Arc<dyn About>, bool)> {
        let running = self.running.iter();
        let running = running.map(|(id, about)| (id, Arc::clone(about), true));
        let queued = self.queued.iter();
        running.chain(queued.map(|(id, queued)| (id, Arc::clone(&queued.about), false)))
    }
}

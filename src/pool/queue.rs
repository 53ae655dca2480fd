//! [`Queue`]: the jobs of one lane, from their submission to their end.
//!
//! The [pool](super) calls it under its lock. It starts no thread and runs no job, and it returns whatever has
//! to be dropped.

use super::job::{About, Job};
use std::collections::BTreeMap;
use std::mem;
use std::sync::Arc;

/// The jobs of one lane, by their ids. The oldest job has the smallest id.
pub(crate) struct Queue<Id = u64> {
    /// The jobs that wait for a thread.
    queued: BTreeMap<Id, Queued>,
    /// The jobs that run and were not given up, as a dump sees them.
    running: BTreeMap<Id, Arc<dyn About>>,
    /// The number of jobs that were given up and still run.
    pub(crate) abandoned: usize,
    /// How many jobs may be `running` at a time.
    max_running: usize,
    /// How many threads the lane may occupy with jobs that are `running` or `abandoned`.
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
    /// The job as a dump sees it.
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

    /// Returns whether a job waits and may begin.
    pub(crate) fn may_begin(&self) -> bool {
        !self.queued.is_empty()
            && self.running.len() < self.max_running
            && self.threads() < self.max_threads
    }

    /// Returns whether a job waits while the lane occupies all its threads.
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

    /// Ends a job that has begun.
    pub(crate) fn end(&mut self, id: Id) -> Option<Arc<dyn About>> {
        let about = self.running.remove(&id);
        if about.is_none() {
            self.abandoned -= 1;
        }
        about
    }

    /// Takes out a job that has not begun.
    pub(crate) fn cancel(&mut self, id: Id) -> Option<Queued> {
        self.queued.remove(&id)
    }

    /// Gives up a job that runs: another job may begin, but its thread is still occupied.
    pub(crate) fn abandon(&mut self, id: Id) -> Option<Arc<dyn About>> {
        let about = self.running.remove(&id)?;
        self.abandoned += 1;
        Some(about)
    }

    /// Takes out all jobs that have not begun, oldest first.
    pub(crate) fn clear(&mut self) -> impl Iterator<Item = Queued> + use<Id> {
        mem::take(&mut self.queued).into_values()
    }

    /// Returns the number of jobs that wait for a thread.
    pub(crate) fn len(&self) -> usize {
        self.queued.len()
    }

    /// Returns the number of threads that run its jobs.
    pub(crate) fn threads(&self) -> usize {
        self.running.len() + self.abandoned
    }

    /// Returns whether a job waits, or runs and was not given up.
    pub(crate) fn is_busy(&self) -> bool {
        !self.queued.is_empty() || !self.running.is_empty()
    }

    /// Returns the jobs that were not given up, and whether each has begun.
    pub(crate) fn jobs(&self) -> impl Iterator<Item = (Arc<dyn About>, bool)> {
        let running = self.running.values().map(|about| (Arc::clone(about), true));
        let queued = self.queued.values();
        running.chain(queued.map(|queued| (Arc::clone(&queued.about), false)))
    }
}

//! [`Queue`]: the jobs of one lane, from their submission to their end.
//!
//! The [pool](super) calls the queue under its lock. The queue starts no threads and runs no jobs. It returns every
//! value that has to be dropped, so that no destructor runs under the lock.

use super::job::{About, Job};
use std::collections::BTreeMap;
use std::mem;
use std::ops::RangeBounds;
#[cfg(feature = "sim")]
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Instant;

/// Up to this number of places for running jobs are kept while no job runs.
const KEPT_PLACES: usize = 64;

/// The jobs of one lane. The oldest job has the smallest id.
pub(crate) struct Queue<Id = u64> {
    /// The jobs that wait for a thread, by their ids.
    queued: BTreeMap<Id, Queued>,
    /// The running jobs, each at the place that [`begin`](Queue::begin) has returned. A place is empty after its job
    /// has returned. In a map by id, each of the jobs that begin alone would allocate and free a node.
    places: Vec<Option<Running<Id>>>,
    /// The indices of the empty places.
    empty: Vec<usize>,
    /// The number of running jobs that were not abandoned.
    running: usize,
    /// The number of running jobs that were abandoned.
    pub(crate) abandoned: usize,
    /// The maximum of `running`.
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
    /// When the job was submitted.
    pub(crate) since: Instant,
}

/// A job that a thread runs.
struct Running<Id> {
    /// The id of the job.
    id: Id,
    /// The description of the job for dumps.
    about: Arc<dyn About>,
    /// When the job began.
    since: Instant,
    /// Whether the job was abandoned.
    is_abandoned: bool,
}

/// A job of a lane, as a dump shows it.
pub(crate) struct Seen<Id = u64> {
    /// The id of the job.
    pub(crate) id: Id,
    /// The description of the job.
    pub(crate) about: Arc<dyn About>,
    /// Whether the job has begun, and whether it was abandoned since.
    pub(crate) phase: Phase,
    /// When the job was submitted, if it is queued; when it began, otherwise.
    pub(crate) since: Instant,
}

/// The phase of a job that has not returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// The job waits for a thread.
    Queued,
    /// A thread runs the job.
    Running,
    /// A thread runs the job, which nothing waits for.
    Abandoned,
}

impl<Id: Ord> Queue<Id> {
    /// Creates a queue without jobs.
    pub(crate) fn new(max_running: usize, max_threads: usize) -> Queue<Id> {
        Queue {
            queued: BTreeMap::new(),
            places: Vec::new(),
            empty: Vec::new(),
            running: 0,
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
            && self.running < self.max_running
            && self.threads() < self.max_threads
    }

    /// Returns whether a job is queued while the lane occupies all its threads.
    pub(crate) fn is_stuck(&self) -> bool {
        !self.queued.is_empty() && self.threads() == self.max_threads
    }

    /// Begins the oldest job, if it may begin. Returns the job and its place, which [`end`](Queue::end) needs. `now`
    /// reads the clock.
    pub(crate) fn begin(&mut self, now: impl FnOnce() -> Instant) -> Option<(usize, Box<dyn Job>)> {
        if !self.may_begin() {
            return None;
        }
        let (id, queued) = self.queued.pop_first()?;
        Some(self.run(id, queued, now()))
    }

    /// Begins one of the jobs, if one may begin: that with the given id, or the next newer one. `id` returns an id from the
    /// range of the queued jobs.
    #[cfg(feature = "sim")]
    pub(crate) fn begin_any(
        &mut self,
        id: impl FnOnce(RangeInclusive<Id>) -> Id,
    ) -> Option<(usize, Box<dyn Job>)>
    where
        Id: Copy,
    {
        if !self.may_begin() {
            return None;
        }
        let (oldest, newest) = (
            self.queued.first_key_value()?,
            self.queued.last_key_value()?,
        );
        let id = id(*oldest.0..=*newest.0);
        let id = *self.queued.range(id..).next()?.0;
        let queued = self.queued.remove(&id)?;
        Some(self.run(id, queued, Instant::now()))
    }

    /// Notes that a job runs. Returns it and its place.
    fn run(&mut self, id: Id, queued: Queued, now: Instant) -> (usize, Box<dyn Job>) {
        let Queued { job, about, .. } = queued;
        let running = Some(Running {
            id,
            about,
            since: now,
            is_abandoned: false,
        });
        let place = match self.empty.pop() {
            Some(place) => {
                self.places[place] = running;
                place
            }
            None => {
                self.places.push(running);
                self.places.len() - 1
            }
        };
        self.running += 1;
        self.begun = self.begun.wrapping_add(1);
        (place, job)
    }

    /// Removes the job at this place, which has returned. Returns its description.
    pub(crate) fn end(&mut self, place: usize) -> Option<Arc<dyn About>> {
        let ended = self.places.get_mut(place)?.take()?;
        match ended.is_abandoned {
            true => self.abandoned -= 1,
            false => self.running -= 1,
        }
        self.empty.push(place);
        if self.threads() == 0 && self.places.len() > KEPT_PLACES {
            self.places = Vec::new();
            self.empty = Vec::new();
        }
        Some(ended.about)
    }

    /// Returns the description of the running job at this place.
    #[cfg(feature = "sim")]
    pub(crate) fn about(&self, place: usize) -> Option<Arc<dyn About>> {
        let running = self.places.get(place)?.as_ref()?;
        Some(Arc::clone(&running.about))
    }

    /// Removes and returns a job that has not begun.
    pub(crate) fn cancel(&mut self, id: Id) -> Option<Queued> {
        self.queued.remove(&id)
    }

    /// Abandons a running job: another job may begin, but the thread is still occupied. Returns whether there was such
    /// a job. The search visits at most as many jobs as the lane has threads.
    pub(crate) fn abandon(&mut self, id: Id) -> bool {
        let mut running = self.places.iter_mut().flatten();
        let Some(job) = running.find(|job| job.id == id && !job.is_abandoned) else {
            return false;
        };
        job.is_abandoned = true;
        self.running -= 1;
        self.abandoned += 1;
        true
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
        self.running + self.abandoned
    }

    /// Returns whether a job is queued or running, not counting abandoned jobs.
    pub(crate) fn is_busy(&self) -> bool {
        !self.queued.is_empty() || self.running > 0
    }

    /// Returns the running jobs, in no order.
    pub(crate) fn seen_running(&self) -> impl Iterator<Item = Seen<Id>>
    where
        Id: Copy,
    {
        self.places.iter().flatten().map(|job| Seen {
            id: job.id,
            about: Arc::clone(&job.about),
            phase: match job.is_abandoned {
                true => Phase::Abandoned,
                false => Phase::Running,
            },
            since: job.since,
        })
    }

    /// Returns the queued jobs whose ids are in a range, oldest first.
    pub(crate) fn seen_queued(
        &self,
        ids: impl RangeBounds<Id>,
    ) -> impl DoubleEndedIterator<Item = Seen<Id>>
    where
        Id: Copy,
    {
        self.queued.range(ids).map(|(id, job)| Seen {
            id: *id,
            about: Arc::clone(&job.about),
            phase: Phase::Queued,
            since: job.since,
        })
    }
}

//! [`PoolSnapshot`]: the threads and jobs of a pool at one moment, and the waits of tasks for jobs.
//!
//! Any thread may take a snapshot. Its cost follows the number of the threads, however many jobs are queued.
//! The descriptions of the jobs leave the lock before they are asked or dropped.

use super::queue::{Phase, Queue, Seen};
use super::{About, Lane, Pool, State};
use crate::primitives::{Ordering, lock};
use crate::waiter::WaiterInfo;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Instant;

/// The maximum number of queued jobs of a lane in a snapshot, the oldest ones. They say what waits; the rest is a
/// number.
const MOST_QUEUED: usize = 8;

/// How many queued jobs each end of the search for awaited jobs takes out under one lock, so that the threads and the
/// submitters of jobs wait for a few microseconds at most.
const CHUNK: usize = 256;

/// The lanes whose jobs have handles.
const WITH_HANDLES: [Lane; 2] = [Lane::Jobs, Lane::Lookups];

/// The threads and the jobs of a pool.
pub(crate) struct PoolSnapshot {
    /// The number of threads that run a job, are idle, or are about to start.
    pub(crate) threads: usize,
    /// The number of these threads that run no job.
    pub(crate) idle: usize,
    /// The number of queued jobs.
    pub(crate) queued: usize,
    /// When the oldest queued job was submitted.
    pub(crate) oldest: Option<Instant>,
    /// The running jobs, those that have run for the longest time first, and the oldest queued jobs, oldest first.
    pub(crate) jobs: Vec<PoolJob>,
}

/// A job of a pool.
pub(crate) struct PoolJob {
    /// The kind of the job.
    pub(crate) lane: Lane,
    /// The id of the job.
    pub(crate) id: u64,
    /// The description of the job.
    pub(crate) about: Arc<dyn About>,
    /// Whether the job has begun, and whether it was abandoned since.
    pub(crate) phase: Phase,
    /// When the job was submitted, if it is queued; when it began, otherwise.
    pub(crate) since: Instant,
    /// The waiter of the job's handle, or the first waiter for the standard stream.
    pub(crate) waiter: Option<WaiterInfo>,
}

/// The wait of a task for a job or for a standard stream.
pub(crate) struct JobWait {
    /// The id of the job or the stream.
    pub(crate) id: u64,
    /// The waiter.
    pub(crate) waiter: WaiterInfo,
    /// The description of the job or the stream.
    pub(crate) text: String,
}

impl PoolJob {
    /// Creates a job outside the lock.
    fn new(lane: Lane, seen: Seen) -> PoolJob {
        PoolJob {
            lane,
            id: seen.id,
            waiter: seen.about.awaited_by(),
            about: seen.about,
            phase: seen.phase,
            since: seen.since,
        }
    }

    /// Describes the job for the wait of a task.
    pub(crate) fn text(&self) -> String {
        let note = match self.phase {
            Phase::Queued => ", queued",
            Phase::Running | Phase::Abandoned => "",
        };
        self.about.describe() + note
    }

    /// Returns the wait of the task that waits for the job, if there is one.
    fn wait(&self) -> Option<JobWait> {
        let waiter = self.waiter.filter(|waiter| waiter.tag.parts().is_some())?;
        Some(JobWait {
            id: self.id,
            waiter,
            text: self.text(),
        })
    }
}

impl State {
    /// Returns the running jobs of all lanes.
    fn seen_running(&self) -> Vec<(Lane, Seen)> {
        let lanes = Lane::ALL.into_iter();
        let running = lanes.flat_map(|lane| {
            let running = self.queues[lane as usize].seen_running();
            running.map(move |seen| (lane, seen))
        });
        running.collect()
    }

    /// Returns the oldest queued jobs of all lanes.
    fn seen_queued(&self) -> Vec<(Lane, Seen)> {
        let lanes = Lane::ALL.into_iter();
        let queued = lanes.flat_map(|lane| {
            let queued = self.queues[lane as usize].seen_queued(..);
            queued.take(MOST_QUEUED).map(move |seen| (lane, seen))
        });
        queued.collect()
    }
}

impl Pool {
    /// Takes a snapshot.
    pub(crate) fn snapshot(&self) -> PoolSnapshot {
        let state = lock(&self.state);
        let (threads, idle) = (state.threads, state.free());
        let queued = state.queues.iter().map(Queue::len).sum();
        let (mut running, mut waiting) = (state.seen_running(), state.seen_queued());
        drop(state);
        running.sort_by_key(|(_, job)| (job.since, job.id));
        waiting.sort_by_key(|(_, job)| (job.since, job.id));
        let oldest = waiting.first().map(|(_, job)| job.since);
        let jobs = running.into_iter().chain(waiting);
        let mut jobs: Vec<PoolJob> = jobs.map(|(lane, seen)| PoolJob::new(lane, seen)).collect();
        if self.awaits_streams() {
            self.note_stream_waiters(&mut jobs);
        }
        PoolSnapshot {
            threads,
            idle,
            queued,
            oldest,
            jobs,
        }
    }

    /// Notes which tasks wait for the jobs that read or write the standard streams.
    fn note_stream_waiters(&self, jobs: &mut [PoolJob]) {
        let waiters = self.stream_waiters();
        for job in jobs {
            if matches!(job.lane, Lane::Output | Lane::Input) {
                let text = job.about.describe();
                let of_stream = waiters.iter().flat_map(|(_, waiters)| waiters);
                let mut of_stream = of_stream.filter(|(_, stream)| *stream == text);
                job.waiter = of_stream.next().map(|(waiter, _)| *waiter);
            }
        }
    }

    /// Returns the waits of the tasks of this runtime for jobs and lookups, and for the standard streams, whichever
    /// runtime reads or writes for them. The caller is on the thread of the loop and has just taken the snapshot.
    ///
    /// The search in the queue begins at both ends, and stops when it has found all awaited jobs. So it visits few jobs
    /// if nothing awaits the others, or if a task awaits its jobs in their order.
    pub(crate) fn waits(&self, snapshot: &PoolSnapshot) -> Vec<JobWait> {
        let with_handles = |lane: &Lane| WITH_HANDLES.contains(lane);
        let jobs = snapshot.jobs.iter().filter(|job| with_handles(&job.lane));
        let mut waits: Vec<JobWait> = jobs.filter_map(PoolJob::wait).collect();
        // Relaxed is enough: only the polls of tasks add to the number, and they run on this thread. A job that ends
        // meanwhile makes the search longer, but the search stays complete.
        let awaited = self.awaited.load(Ordering::Relaxed);
        if waits.len() < awaited {
            let mut found: HashSet<u64> = waits.iter().map(|wait| wait.id).collect();
            for lane in WITH_HANDLES {
                self.search(lane, awaited, &mut found, &mut waits);
            }
            // A job that has begun before the search came to it is running or over.
            if waits.len() < awaited {
                let running = lock(&self.state).seen_running();
                let running = running.into_iter().filter(|(lane, _)| with_handles(lane));
                let running = running.map(|(lane, seen)| PoolJob::new(lane, seen));
                let running = running.filter(|job| !found.contains(&job.id));
                waits.extend(running.filter_map(|job| job.wait()));
            }
        }
        if self.awaits_streams() {
            for (id, waiters) in self.stream_waiters() {
                waits.extend(waiters.into_iter().map(|(waiter, text)| JobWait {
                    id,
                    waiter,
                    text,
                }));
            }
        }
        waits
    }

    /// Searches the queue of a lane for jobs that tasks wait for, until `awaited` are found.
    fn search(
        &self,
        lane: Lane,
        awaited: usize,
        found: &mut HashSet<u64>,
        waits: &mut Vec<JobWait>,
    ) {
        let (mut low, mut high) = (0, u64::MAX);
        while waits.len() < awaited && low < high {
            let state = lock(&self.state);
            let queue = &state.queues[lane as usize];
            let oldest: Vec<Seen> = queue.seen_queued(low..high).take(CHUNK).collect();
            low = oldest.last().map_or(high, |job| job.id + 1);
            let newest = queue.seen_queued(low..high).rev();
            let newest: Vec<Seen> = newest.take(CHUNK).collect();
            high = newest.last().map_or(low, |job| job.id);
            drop(state);
            for seen in oldest.into_iter().chain(newest) {
                let job = PoolJob::new(lane, seen);
                if let Some(wait) = job.wait()
                    && found.insert(wait.id)
                {
                    waits.push(wait);
                }
            }
        }
    }
}

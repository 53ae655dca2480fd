//! [`Jobs`]: the blocking jobs of a simulation, which run one at a time on one thread while the simulation waits.
//!
//! So a job is a step of the simulation like any other: nothing else happens while it runs. For each job, the seed chooses
//! a moment soon after the submission, and at each of these moments one of the host's jobs, as if a thread had become free.

use super::bell::Bells;
use super::rng::Rng;
use crate::clock::Stopwatch;
use crate::wire::HostId;
use std::collections::BTreeSet;
use std::io;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// How long a job may run, in real time. A job that waits for a task of the simulation would never end.
pub(super) const LIMIT: Duration = Duration::from_secs(10);

/// The longest simulated time between the submission of a job and its begin, in nanoseconds: a few milliseconds, in
/// which other hosts can do much.
const LONGEST_DELAY: u64 = 5_000_000;

/// A closure that a thread runs.
type Work = Box<dyn FnOnce() + Send>;

/// The blocking jobs of a simulation.
pub(super) struct Jobs {
    /// When to run a job of which host, in order. The number in between is that of the job.
    due: BTreeSet<(u64, u64, HostId)>,
    /// The number of jobs that were ever scheduled.
    scheduled: u64,
    /// How long a job may run, in real time.
    pub(super) limit: Duration,
    /// The thread, once there was a job.
    thread: Option<Worker>,
}

/// The thread that runs the jobs.
struct Worker {
    /// Takes the jobs.
    jobs: Sender<Work>,
    /// Sends a message after each job.
    ended: Receiver<()>,
    /// The thread.
    thread: JoinHandle<()>,
}

impl Jobs {
    /// Creates an empty schedule.
    pub(super) fn new(limit: Duration) -> Jobs {
        Jobs {
            due: BTreeSet::new(),
            scheduled: 0,
            limit,
            thread: None,
        }
    }

    /// Chooses a moment for a job of a host.
    pub(super) fn schedule(&mut self, now: u64, host: HostId, rng: &Rng) {
        let at = now + rng.range(0..=LONGEST_DELAY);
        self.due.insert((at, self.scheduled, host));
        self.scheduled += 1;
    }

    /// Forgets the jobs of a host.
    pub(super) fn forget(&mut self, host: HostId) {
        self.due.retain(|(_, _, other)| *other != host);
    }

    /// Returns when the next job is due.
    pub(super) fn next(&self) -> Option<u64> {
        self.due.first().map(|(at, ..)| *at)
    }

    /// Takes the host of the next job, if one is due.
    pub(super) fn take(&mut self, now: u64) -> Option<HostId> {
        self.due.first().filter(|(at, ..)| *at <= now)?;
        self.due.pop_first().map(|(_, _, host)| host)
    }

    /// Runs a job, and waits until it has ended. Returns whether it has within the limit.
    ///
    /// # Errors
    ///
    /// Returns an error if the thread cannot be started.
    pub(super) fn run(&mut self, work: Work, bells: &Bells) -> io::Result<bool> {
        let worker = match &mut self.thread {
            Some(worker) => worker,
            none => none.insert(Worker::start(bells)?),
        };
        let began = Stopwatch::start();
        let has_ended = worker.jobs.send(work).is_ok()
            && worker
                .ended
                .recv_timeout(self.limit.saturating_sub(began.elapsed()))
                .is_ok();
        if !has_ended {
            // The thread is left behind. Later jobs, if there are any, get another one.
            drop(self.thread.take());
        }
        Ok(has_ended)
    }
}

impl Worker {
    /// Starts the thread.
    fn start(bells: &Bells) -> io::Result<Worker> {
        let (jobs, inbox) = mpsc::channel::<Work>();
        let (end, ended) = mpsc::channel();
        let run = move || {
            for work in inbox {
                work();
                if end.send(()).is_err() {
                    break;
                }
            }
        };
        let name = String::from("glassfrog-sim-jobs");
        let thread = thread::Builder::new().name(name).spawn(run)?;
        bells.set_job_thread(thread.thread().id());
        Ok(Worker {
            jobs,
            ended,
            thread,
        })
    }
}

impl Drop for Jobs {
    fn drop(&mut self) {
        if let Some(Worker {
            jobs,
            ended,
            thread,
        }) = self.thread.take()
        {
            drop((jobs, ended));
            // The thread waits for jobs, so it ends at once. Only the destructors of its thread-locals are foreign.
            let _panicked = thread.join();
        }
    }
}

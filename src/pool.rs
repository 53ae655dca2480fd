//! The pool: threads for what blocks.
//!
//! [`spawn_blocking`](crate::task::spawn_blocking) hands it jobs; it knows neither tasks nor the
//! loop. A thread is started when a job finds none that is idle, and ends when it has had nothing to
//! do for a while. Jobs come in lanes, each with a bound of its own, so that those of one lane do not
//! wait for those of another.
//!
//! ```text
//!                  submit                        nothing to do
//!    (no thread) ----------> busy <-------> idle --------------> (gone)
//!                                   submit       for KEEP_IDLE
//!
//!   at the end of the runtime: what waits is dropped, who is idle goes, and who is busy when done
//! ```

use crate::slab::{Key, Slab};
use crate::sync::{Condvar, Mutex, MutexGuard, lock};
use crate::waiter::{Seen, muffled, shielded};
use std::collections::VecDeque;
use std::io;
use std::mem;
use std::sync::Arc;
use std::sync::PoisonError;
use std::task::Waker;
use std::thread;
use std::time::Duration;

/// How many threads there are at most if nobody says otherwise: enough that jobs which wait for the
/// network or for one another do not run out of them, and few enough for every system's limits.
pub(crate) const DEFAULT_THREADS: usize = 512;

/// How long a thread without a job stays for the next one: jobs tend to come in bursts, and a
/// thread costs a few dozen microseconds to start.
const KEEP_IDLE: Duration = Duration::from_secs(10);

/// How long a full pool may stay without beginning a job while others wait, before it says so. A
/// job that waits for one of those would otherwise hang in silence.
const STALLED: Duration = Duration::from_secs(10);

/// How many names are looked up at a time. An answer takes microseconds or, where a server is silent,
/// ten seconds and more: a few of those must not hold up the others.
const LOOK_UPS: usize = 32;

/// Something to be done on a thread of the pool. Dropping it says that it will not be.
pub(crate) trait Job: Send {
    /// Does it.
    fn run(self: Box<Self>);

    /// Says that no thread could be started for it.
    fn refuse(self: Box<Self>, error: &io::Error);
}

/// What a job is to somebody who only looks.
pub(crate) trait About: Send + Sync {
    /// Says in words what it is.
    fn describe(&self) -> String;

    /// Who awaits it.
    fn awaited_by(&self) -> Option<Seen>;
}

/// Which jobs a job waits behind.
#[derive(Clone, Copy)]
pub(crate) enum Lane {
    /// Those of users.
    Jobs = 0,
    /// Look-ups of names.
    LookUps = 1,
}

/// The threads of one runtime, and the jobs that wait for one.
pub(crate) struct Pool {
    /// Everything, under one lock.
    state: Mutex<State>,
    /// Wakes an idle thread: there is a job, or nothing will come any more.
    work: Condvar,
    /// Wakes who waits for the pool to be empty, and the watch: it is closed, or a thread has gone.
    gone: Condvar,
    /// Called when a job has ended: that makes a difference to the loop even where nobody awaits the
    /// job.
    ended: Waker,
}

/// What stands under the lock.
struct State {
    /// The jobs of each lane.
    lanes: [LaneState; 2],
    /// All jobs, waiting or being run, as they are to be seen.
    about: Slab<Arc<dyn About>>,
    /// How many threads there are, busy, idle, or being started.
    threads: usize,
    /// How many threads were started, for their names.
    started: usize,
    /// Whether somebody watches for a stall, or it has been told.
    watched: bool,
    /// The runtime has ended; nothing is taken any more.
    closed: bool,
}

/// A job that waits for a thread.
struct Waiting {
    /// The job.
    job: Box<dyn Job>,
    /// Its place among those that are to be seen.
    about: Key,
}

/// The jobs of one lane.
struct LaneState {
    /// Those that wait for a thread, oldest first.
    queue: VecDeque<Waiting>,
    /// How many are being run.
    running: usize,
    /// How many may be run at a time.
    most: usize,
    /// How many were begun (modulo 2⁶⁴).
    begun: u64,
}

impl LaneState {
    /// A lane without jobs.
    fn new(most: usize) -> LaneState {
        LaneState {
            queue: VecDeque::new(),
            running: 0,
            most,
            begun: 0,
        }
    }

    /// How many of those that wait may be begun.
    fn ready(&self) -> usize {
        self.queue.len().min(self.most - self.running)
    }
}

impl State {
    /// Begins the next job that may be begun.
    fn begin(&mut self) -> Option<(Lane, Waiting)> {
        for lane in [Lane::Jobs, Lane::LookUps] {
            let state = &mut self.lanes[lane as usize];
            if state.ready() > 0
                && let Some(waiting) = state.queue.pop_front()
            {
                state.running += 1;
                state.begun = state.begun.wrapping_add(1);
                return Some((lane, waiting));
            }
        }
        None
    }

    /// How many jobs wait that may be begun.
    fn ready(&self) -> usize {
        self.lanes.iter().map(LaneState::ready).sum()
    }

    /// How many jobs are being run.
    fn running(&self) -> usize {
        self.lanes.iter().map(|lane| lane.running).sum()
    }

    /// Takes all jobs that wait.
    fn take_queues(&mut self) -> Vec<Box<dyn Job>> {
        let queues = self.lanes.iter_mut().map(|lane| &mut lane.queue);
        let waiting: Vec<Waiting> = queues.flat_map(mem::take).collect();
        let about = &mut self.about;
        waiting
            .into_iter()
            .map(|waiting| {
                about.remove(waiting.about);
                waiting.job
            })
            .collect()
    }
}

impl Pool {
    /// A pool with room for so many jobs at a time, without a thread yet.
    pub(crate) fn new(most: usize, ended: Waker) -> Pool {
        Pool {
            state: Mutex::new(State {
                lanes: [LaneState::new(most), LaneState::new(LOOK_UPS)],
                about: Slab::new(),
                threads: 0,
                started: 0,
                watched: false,
                closed: false,
            }),
            work: Condvar::new(),
            gone: Condvar::new(),
            ended,
        }
    }

    /// Has a job done, and says where it is until then. One that comes after the end of the runtime is
    /// dropped.
    pub(crate) fn submit(
        self: &Arc<Self>,
        lane: Lane,
        job: Box<dyn Job>,
        about: Arc<dyn About>,
    ) -> Option<Key> {
        let mut state = lock(&self.state);
        if state.closed {
            drop(state);
            shielded("dropping a job that was never run", || drop(job));
            return None;
        }
        let about = state.about.insert(about);
        let jobs = &mut state.lanes[lane as usize];
        jobs.queue.push_back(Waiting { job, about });
        let is_full = jobs.running == jobs.most;
        // Those that are not busy: each will take one of the jobs that are ready.
        let free = state.threads - state.running();
        if state.ready() > free {
            self.start_thread(state);
        } else if !is_full {
            self.work.notify_one();
        } else if matches!(lane, Lane::Jobs) && !state.watched {
            state.watched = true;
            drop(state);
            self.start_watch();
        }
        Some(about)
    }

    /// Drops a job that still waits.
    pub(crate) fn discard(&self, about: Key) {
        let mut state = lock(&self.state);
        let mut discarded = None;
        for lane in &mut state.lanes {
            if let Some(at) = lane.queue.iter().position(|waiting| waiting.about == about) {
                discarded = lane.queue.remove(at);
            }
        }
        let Some(Waiting { job, about }) = discarded else {
            return;
        };
        state.about.remove(about);
        drop(state);
        shielded("dropping a job that was never run", || drop(job));
        self.ended.wake_by_ref();
    }

    /// Starts a thread. If that fails, the job waits for another one, or is refused if there is none.
    fn start_thread(self: &Arc<Self>, mut state: MutexGuard<'_, State>) {
        state.threads += 1;
        state.started += 1;
        let name = format!("glassfrog-job-{}", state.started);
        drop(state);
        let pool = Arc::clone(self);
        let started = thread::Builder::new().name(name).spawn(move || pool.work());
        if let Err(error) = started {
            let mut state = lock(&self.state);
            state.threads -= 1;
            let busy = state.threads;
            let refused = match busy {
                0 => state.take_queues(),
                _ => Vec::new(),
            };
            drop(state);
            // Who waits for the pool to be empty counted this thread too.
            self.gone.notify_all();
            if busy > 0 {
                muffled(|| {
                    log::warn!(
                        target: "glassfrog::blocking",
                        "no thread could be started for a blocking job, which now waits for one of \
                         the {busy} that run: {error}"
                    );
                });
            }
            for job in refused {
                shielded("refusing a job", || job.refuse(&error));
            }
            self.ended.wake_by_ref();
        }
    }

    /// What a thread does.
    fn work(&self) {
        let mut state = lock(&self.state);
        loop {
            if let Some((lane, Waiting { job, about })) = state.begin() {
                drop(state);
                shielded("a blocking job", || job.run());
                state = lock(&self.state);
                state.lanes[lane as usize].running -= 1;
                // The outcome has gone to the handle, or with it: nothing foreign is left.
                state.about.remove(about);
                drop(state);
                // After the count, so that the loop which it wakes sees that.
                self.ended.wake_by_ref();
                state = lock(&self.state);
                continue;
            }
            if state.closed {
                break;
            }
            let (locked, wait) = self
                .work
                .wait_timeout(state, KEEP_IDLE)
                .unwrap_or_else(PoisonError::into_inner);
            state = locked;
            if wait.timed_out() && state.ready() == 0 {
                break;
            }
        }
        state.threads -= 1;
        self.gone.notify_all();
    }

    /// Starts a thread that says so if the pool stalls. Where it can't be, nobody will.
    fn start_watch(self: &Arc<Self>) {
        let pool = Arc::clone(self);
        let name = String::from("glassfrog-pool");
        let started = thread::Builder::new()
            .name(name)
            .spawn(move || pool.watch());
        if started.is_err() {
            lock(&self.state).watched = false;
        }
    }

    /// Watches while jobs wait for a thread, and tells the first stall.
    fn watch(&self) {
        let mut state = lock(&self.state);
        let jobs = Lane::Jobs as usize;
        while !state.lanes[jobs].queue.is_empty() {
            let begun = state.lanes[jobs].begun;
            let (locked, wait) = self
                .gone
                .wait_timeout(state, STALLED)
                .unwrap_or_else(PoisonError::into_inner);
            state = locked;
            let LaneState { queue, most, .. } = &state.lanes[jobs];
            let (waiting, most) = (queue.len(), *most);
            if wait.timed_out() && waiting > 0 && state.lanes[jobs].begun == begun {
                drop(state);
                muffled(|| {
                    log::warn!(
                        target: "glassfrog::blocking",
                        "all {most} blocking threads have been busy for {} s while jobs wait for \
                         one (waiting: {waiting}); if a job waits for another, neither will end, \
                         unless there may be more threads (`Builder::blocking_threads`)",
                        STALLED.as_secs(),
                    );
                });
                return;
            }
        }
        state.watched = false;
    }

    /// The jobs that wait or are being run: what they are, and who awaits them.
    pub(crate) fn look(&self) -> Vec<(Option<Seen>, String)> {
        let about: Vec<Arc<dyn About>> = {
            let state = lock(&self.state);
            let about = state.about.keys();
            let about = about.filter_map(|key| state.about.at(key.index()));
            about.map(|(_, about)| Arc::clone(about)).collect()
        };
        about
            .iter()
            .map(|about| (about.awaited_by(), about.describe()))
            .collect()
    }

    /// How many threads there are, and how many jobs wait for one.
    pub(crate) fn counts(&self) -> (usize, usize) {
        let state = lock(&self.state);
        let waiting = state.lanes.iter().map(|lane| lane.queue.len()).sum();
        (state.threads, waiting)
    }

    /// Whether there are jobs, waiting or being run.
    pub(crate) fn is_busy(&self) -> bool {
        let lanes = &lock(&self.state).lanes;
        lanes
            .iter()
            .any(|lane| lane.running > 0 || !lane.queue.is_empty())
    }

    /// Ends the pool: drops the jobs that wait, and lets the others end by themselves.
    pub(crate) fn shut_down(&self) {
        let mut state = lock(&self.state);
        state.closed = true;
        let jobs = state.take_queues();
        drop(state);
        self.work.notify_all();
        self.gone.notify_all();
        for job in jobs {
            shielded("dropping a job that was never run", || drop(job));
        }
    }

    /// Waits until all threads have gone, at most for `timeout`. The pool has been shut down.
    pub(crate) fn wait(&self, timeout: Duration) {
        let state = lock(&self.state);
        drop(
            self.gone
                .wait_timeout_while(state, timeout, |state| state.threads > 0),
        );
    }
}

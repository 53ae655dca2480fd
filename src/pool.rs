//! The pool: threads for what blocks.
//!
//! [`spawn_blocking`](crate::task::spawn_blocking) hands it jobs; it knows neither tasks nor the
//! loop. A thread is started when a job finds none that is idle, up to a bound, and ends when it has
//! had nothing to do for a while.
//!
//! ```text
//!                  submit                        nothing to do
//!    (no thread) ----------> busy <-------> idle --------------> (gone)
//!                                   submit       for KEEP_IDLE
//!
//!   at the end of the runtime: what waits is dropped, who is idle goes, and who is busy when done
//! ```

use crate::sync::{Condvar, Mutex, MutexGuard, lock};
use crate::waiter::{muffled, shielded};
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

/// Something to be done on a thread of the pool. Dropping it says that it will not be.
pub(crate) trait Job: Send {
    /// Does it.
    fn run(self: Box<Self>);

    /// Says that no thread could be started for it.
    fn refuse(self: Box<Self>, error: &io::Error);
}

/// The threads of one runtime, and the jobs that wait for one.
pub(crate) struct Pool {
    /// Everything, under one lock.
    state: Mutex<State>,
    /// Wakes an idle thread: there is a job, or nothing will come any more.
    work: Condvar,
    /// Wakes who waits for the pool to be empty, and the watch: it is closed, or a thread has gone.
    gone: Condvar,
    /// How many threads there may be.
    most: usize,
    /// Called when a job has ended, if that makes a difference to the loop even where nobody awaits
    /// the job: under a virtual clock.
    ended: Option<Waker>,
}

/// What stands under the lock.
struct State {
    /// Jobs that wait for a thread, oldest first.
    queue: VecDeque<Box<dyn Job>>,
    /// How many threads there are, busy, idle, or being started.
    threads: usize,
    /// How many of them wait for a job.
    idle: usize,
    /// How many jobs are being run.
    running: usize,
    /// How many jobs were begun (modulo 2⁶⁴).
    begun: u64,
    /// How many threads were started, for their names.
    started: usize,
    /// Whether somebody watches for a stall, or it has been told.
    watched: bool,
    /// The runtime has ended; nothing is taken any more.
    closed: bool,
}

impl Pool {
    /// A pool of at most so many threads, with none yet.
    pub(crate) fn new(most: usize, ended: Option<Waker>) -> Pool {
        Pool {
            state: Mutex::new(State {
                queue: VecDeque::new(),
                threads: 0,
                idle: 0,
                running: 0,
                begun: 0,
                started: 0,
                watched: false,
                closed: false,
            }),
            work: Condvar::new(),
            gone: Condvar::new(),
            most,
            ended,
        }
    }

    /// Has a job done. One that comes after the end of the runtime is dropped.
    pub(crate) fn submit(self: &Arc<Self>, job: Box<dyn Job>) {
        let mut state = lock(&self.state);
        if state.closed {
            drop(state);
            shielded("dropping a job that was never run", || drop(job));
            return;
        }
        state.queue.push_back(job);
        if state.queue.len() <= state.idle {
            self.work.notify_one();
        } else if state.threads < self.most {
            self.start_thread(state);
        } else if !state.watched {
            state.watched = true;
            drop(state);
            self.start_watch();
        }
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
            let refused = match state.threads {
                0 => mem::take(&mut state.queue),
                _ => VecDeque::new(),
            };
            drop(state);
            for job in refused {
                shielded("refusing a job", || job.refuse(&error));
            }
        }
    }

    /// What a thread does.
    fn work(&self) {
        let mut state = lock(&self.state);
        loop {
            if let Some(job) = state.queue.pop_front() {
                state.running += 1;
                state.begun = state.begun.wrapping_add(1);
                drop(state);
                shielded("a blocking job", || job.run());
                state = lock(&self.state);
                state.running -= 1;
                if let Some(ended) = &self.ended {
                    // After the count, so that the loop which it wakes sees that.
                    drop(state);
                    ended.wake_by_ref();
                    state = lock(&self.state);
                }
                continue;
            }
            if state.closed {
                break;
            }
            state.idle += 1;
            let (locked, wait) = self
                .work
                .wait_timeout(state, KEEP_IDLE)
                .unwrap_or_else(PoisonError::into_inner);
            state = locked;
            state.idle -= 1;
            if wait.timed_out() && state.queue.is_empty() {
                break;
            }
        }
        state.threads -= 1;
        self.gone.notify_all();
    }

    /// Starts a thread that says so if the pool stalls. Where it can't be, nobody will.
    fn start_watch(self: &Arc<Self>) {
        let pool = Arc::clone(self);
        let name = String::from("glassfrog-watch");
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
        while !state.queue.is_empty() {
            let begun = state.begun;
            let (locked, wait) = self
                .gone
                .wait_timeout(state, STALLED)
                .unwrap_or_else(PoisonError::into_inner);
            state = locked;
            let waiting = state.queue.len();
            if wait.timed_out() && waiting > 0 && state.begun == begun {
                drop(state);
                muffled(|| {
                    log::warn!(
                        target: "glassfrog::blocking",
                        "all {} blocking threads have been busy for {} s while {waiting} jobs wait \
                         for one: if a job waits for another, neither will end, unless there may \
                         be more threads (`Builder::blocking_threads`)",
                        self.most,
                        STALLED.as_secs(),
                    );
                });
                return;
            }
        }
        state.watched = false;
    }

    /// Whether there are jobs, waiting or being run.
    pub(crate) fn is_busy(&self) -> bool {
        let state = lock(&self.state);
        state.running > 0 || !state.queue.is_empty()
    }

    /// Ends the pool: drops the jobs that wait, and lets the others end by themselves.
    pub(crate) fn shut_down(&self) {
        let mut state = lock(&self.state);
        state.closed = true;
        let queue = mem::take(&mut state.queue);
        drop(state);
        self.work.notify_all();
        self.gone.notify_all();
        for job in queue {
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

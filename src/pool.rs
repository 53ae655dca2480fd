//! The pool: threads for blocking jobs, for name lookups and for the standard streams.
//!
//! A job waits in the [`Queue`] of its lane until it may begin. If a job may begin and no thread is free, the pool
//! starts a thread. A thread takes the job out of its queue to run it, or a caller takes it out to cancel it.
//! The one that takes the job owns it, and no other state records whether the job has begun.
//!
//! ```text
//!     submit            a thread is free, the lane has room            returns
//!    --------> queued ------------------------------------> running ----------> over
//!                |                                             |                 ^
//!                | cancel, give_up, shut_down                  | give_up         |
//!                v                                             v       returns   |
//!             dropped                                      abandoned ------------+
//! ```
//!
//! [`spawn_blocking`](crate::task::spawn_blocking), [`net`](crate::net) and the standard streams submit jobs. The pool
//! knows neither tasks nor the loop; it only wakes the loop when a job ends.

#[cfg(feature = "sim")]
mod held;
pub(crate) mod input;
mod job;
pub(crate) mod output;
mod queue;
mod snapshot;
mod stream;

use self::input::INPUT;
pub(crate) use self::job::{About, Job, copy_error};
use self::output::{STDERR, STDOUT};
pub(crate) use self::queue::Phase;
use self::queue::{Queue, Queued};
pub(crate) use self::snapshot::{PoolJob, PoolSnapshot};
use crate::foreign::{log_panics, swallow_panics};
use crate::primitives::{AtomicBool, AtomicUsize, Condvar, Mutex, MutexGuard, Ordering, lock};
use crate::threads;
use crate::waiter::WaiterInfo;
use std::mem;
use std::sync::Arc;
use std::sync::PoisonError;
use std::task::Waker;
use std::thread;
use std::time::{Duration, Instant};

/// The maximum number of threads that run blocking jobs, unless `Builder::blocking_threads` sets another. It is large
/// enough for jobs that wait for the network or for one another, and small enough for the limits of most systems.
pub(crate) const DEFAULT_THREADS: usize = 512;

/// How long an idle thread waits for a job before it exits. Jobs tend to come in bursts, and starting a thread takes
/// a few dozen microseconds.
const KEEP_IDLE: Duration = Duration::from_secs(10);

/// How long jobs may wait without any of them beginning before the pool reports a stall. If the running jobs wait
/// for the queued ones, they would otherwise hang silently.
const STALLED: Duration = Duration::from_secs(10);

/// The maximum number of lookups that run at a time, not counting abandoned ones. It is small enough not to flood a
/// name server. It is large enough that a few names whose servers do not answer, which take ten seconds or more, do
/// not delay other lookups.
const LOOKUPS: usize = 32;

/// The maximum number of threads that run lookups. `getaddrinfo(3)` cannot be interrupted, so an abandoned lookup
/// occupies its thread until the resolver returns. There is room for four rounds of [`LOOKUPS`], three of them
/// abandoned. So a program that abandons each lookup after three seconds never waits for a thread, even if the
/// resolver takes ten seconds for each because the name server does not answer.
const LOOKUP_THREADS: usize = 4 * LOOKUPS;

/// The kind of a job. The jobs of one lane do not wait for those of the other. The lanes share idle threads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lane {
    /// The blocking jobs of users.
    Jobs = 0,
    /// Name lookups.
    Lookups = 1,
    /// Writes to the standard streams: at most one job for each of the two.
    Output = 2,
    /// Reads of standard input: at most one job. It may never end, so neither a virtual clock nor a shutdown waits
    /// for it.
    Input = 3,
}

impl Lane {
    /// All lanes, in the order in which their jobs begin.
    const ALL: [Lane; 4] = [Lane::Jobs, Lane::Lookups, Lane::Output, Lane::Input];
}

/// How many jobs write to standard streams: each stream has one.
const OUTPUTS: usize = 2;

/// How many jobs read standard input.
const INPUTS: usize = 1;

/// The pool of one runtime.
pub(crate) struct Pool {
    /// The jobs and the threads, under one lock.
    state: Mutex<State>,
    /// Whether a job is queued or running, not counting abandoned lookups and reads of standard input. The loop
    /// reads this before each park. Written under the lock.
    busy: AtomicBool,
    /// The number of waiters of this runtime for standard streams.
    stream_waiters: AtomicUsize,
    /// The number of jobs and lookups that tasks of this runtime wait for. A dump stops its search for them when it has
    /// found so many.
    pub(crate) awaited: AtomicUsize,
    /// Wakes an idle thread, because a job may begin or the pool was shut down.
    work: Condvar,
    /// Wakes [`wait`](Pool::wait) and [`watch`](Pool::watch), because a thread has exited or the pool was shut down.
    gone: Condvar,
    /// Wakes the loop when a job ends, even if no task awaits the job: it may have stopped a virtual clock.
    ended: Waker,
    /// How long an idle thread waits for a job: [`KEEP_IDLE`], unless a test has set another duration.
    keep_idle: Duration,
    /// How long no job begins before the pool reports a stall: [`STALLED`], unless a test has set another duration.
    stalled: Duration,
}

/// The part of the pool that the lock protects.
struct State {
    /// The jobs of each lane.
    queues: [Queue; Lane::ALL.len()],
    /// The number of threads that run a job, are idle, or are about to start.
    threads: usize,
    /// The number of threads that the pool has started, for their names.
    started: usize,
    /// Whether the last attempt to start a thread failed, so that repeated failures are reported once.
    start_failed: bool,
    /// Whether the runtime has ended, after which the pool accepts no jobs.
    closed: bool,
    /// Whether the pool belongs to a simulated host: it holds its jobs, and starts no thread.
    #[cfg(feature = "sim")]
    holds_jobs: bool,
}

/// The id that stands for the standard input in dumps. The ids of jobs have 48 bits.
pub(crate) const INPUT_ID: u64 = u64::MAX;

impl State {
    /// Begins the oldest job that may begin. Returns the job, its lane, and its place in the queue of the lane.
    fn begin(&mut self) -> Option<(Lane, usize, Box<dyn Job>)> {
        Lane::ALL.into_iter().find_map(|lane| {
            let (place, job) = self.queues[lane as usize].begin(Instant::now)?;
            Some((lane, place, job))
        })
    }

    /// Returns whether a job waits and may begin.
    fn may_begin(&self) -> bool {
        self.queues.iter().any(Queue::may_begin)
    }

    /// Returns the number of threads that run no job. Each of them begins a job that may begin.
    fn free(&self) -> usize {
        self.threads - self.queues.iter().map(Queue::threads).sum::<usize>()
    }

    /// Takes out all jobs that have not begun.
    fn clear(&mut self) -> Vec<Queued> {
        self.queues.iter_mut().flat_map(Queue::clear).collect()
    }
}

impl Pool {
    /// Creates a pool without threads, which runs at most `max_jobs` blocking jobs at a time. A test may replace the
    /// timeouts with `test_patience`.
    pub(crate) fn new(max_jobs: usize, test_patience: Option<Duration>, ended: Waker) -> Pool {
        Pool {
            state: Mutex::new(State {
                queues: [
                    Queue::new(max_jobs, max_jobs),
                    Queue::new(LOOKUPS, LOOKUP_THREADS),
                    Queue::new(OUTPUTS, OUTPUTS),
                    Queue::new(INPUTS, INPUTS),
                ],
                threads: 0,
                started: 0,
                start_failed: false,
                closed: false,
                #[cfg(feature = "sim")]
                holds_jobs: false,
            }),
            busy: AtomicBool::new(false),
            stream_waiters: AtomicUsize::new(0),
            awaited: AtomicUsize::new(0),
            work: Condvar::new(),
            gone: Condvar::new(),
            ended,
            keep_idle: test_patience.unwrap_or(KEEP_IDLE),
            stalled: test_patience.unwrap_or(STALLED),
        }
    }

    /// Notes whether the pool is busy, after a queue has changed.
    fn note_busy(&self, state: &State) {
        // Release: pairs with the Acquire in `is_busy`, so that a loop that finds no job sees the effects of the
        // last job.
        let mut held = Lane::ALL
            .into_iter()
            .filter(|lane| !matches!(lane, Lane::Input));
        let busy = held.any(|lane| state.queues[lane as usize].is_busy());
        self.busy.store(busy, Ordering::Release);
    }

    /// Submits a job, or drops it if the runtime has ended. `id` must be greater than the ids of earlier jobs.
    pub(crate) fn submit(
        self: &Arc<Self>,
        lane: Lane,
        id: u64,
        job: Box<dyn Job>,
        about: Arc<dyn About>,
    ) {
        let since = Instant::now();
        let queued = Queued { job, about, since };
        let mut state = lock(&self.state);
        if state.closed {
            drop(state);
            return discard(queued);
        }
        state.queues[lane as usize].submit(id, queued);
        self.note_busy(&state);
        self.find_thread(state);
    }

    /// Cancels a job that has not begun, and drops it. Returns whether there was such a job.
    pub(crate) fn cancel(&self, id: u64) -> bool {
        let mut state = lock(&self.state);
        let cancelled = state.queues.iter_mut().find_map(|queue| queue.cancel(id));
        self.note_busy(&state);
        drop(state);
        let Some(queued) = cancelled else {
            return false;
        };
        discard(queued);
        self.ended.wake_by_ref();
        true
    }

    /// Gives up a lookup: cancels it if it has not begun, and abandons it otherwise. An abandoned lookup does not stop
    /// a virtual clock or delay other lookups, and a later shutdown does not wait for it.
    pub(crate) fn give_up(self: &Arc<Self>, id: u64) {
        if self.cancel(id) {
            return;
        }
        let mut state = lock(&self.state);
        if state.closed {
            return;
        }
        if state.queues[Lane::Lookups as usize].abandon(id) {
            self.note_busy(&state);
            self.find_thread(state);
            self.ended.wake_by_ref();
        }
    }

    /// Finds a thread for the next job that may begin, or watches or reports the lanes whose jobs must wait. It is
    /// called whenever another job may begin: after a submission, after a lookup was abandoned, and by a thread that
    /// has begun a job.
    fn find_thread(self: &Arc<Self>, mut state: MutexGuard<'_, State>) {
        #[cfg(feature = "sim")]
        if state.holds_jobs {
            drop(state);
            return self.ended.wake_by_ref();
        }
        if state.may_begin() {
            return match state.free() {
                0 => self.start_thread(state),
                _ => self.work.notify_one(),
            };
        }
        for lane in [Lane::Jobs, Lane::Lookups] {
            let queue = &mut state.queues[lane as usize];
            if queue.is_stuck() && !mem::replace(&mut queue.watched, true) {
                let (waiting, abandoned) = (queue.len(), queue.abandoned);
                drop(state);
                return match lane {
                    // Many concurrent jobs are normal, so only a stall is reported.
                    Lane::Jobs => self.start_watch(),
                    _ => report_hanging(waiting, abandoned),
                };
            }
        }
    }

    /// Starts a thread. If that fails, the jobs wait for another thread, or fail if there is none.
    fn start_thread(self: &Arc<Self>, mut state: MutexGuard<'_, State>) {
        state.threads += 1;
        state.started += 1;
        let name = format!("glassfrog-job-{}", state.started);
        drop(state);
        let pool = Arc::clone(self);
        let started = thread::Builder::new().name(name).spawn(move || pool.work());
        let Err(error) = started else {
            return;
        };
        let mut state = lock(&self.state);
        state.threads -= 1;
        let threads = state.threads;
        let is_news = !mem::replace(&mut state.start_failed, true);
        let refused = match threads {
            0 => state.clear(),
            _ => Vec::new(),
        };
        self.note_busy(&state);
        drop(state);
        // `wait` may have counted this thread.
        self.gone.notify_all();
        if threads > 0 && is_news {
            swallow_panics(|| {
                log::warn!(
                    target: "glassfrog::blocking",
                    "no thread could be started for a blocking job, which now waits for one of the \
                     {threads} running threads: {error}"
                );
            });
        }
        for Queued { job, about, .. } in refused {
            log_panics("refusing a blocking job", || job.refuse(&error));
            drop(about);
        }
        self.ended.wake_by_ref();
    }

    /// Runs jobs until there are none. This is the body of each thread.
    fn work(self: Arc<Self>) {
        let mut state = lock(&self.state);
        state.start_failed = false;
        loop {
            if let Some((lane, place, job)) = state.begin() {
                self.find_thread(state);
                log_panics("a blocking job", || job.run());
                state = lock(&self.state);
                let about = state.queues[lane as usize].end(place);
                self.note_busy(&state);
                drop(state);
                drop(about);
                // The loop is woken after `note_busy`, because it checks `is_busy` next.
                self.ended.wake_by_ref();
                state = lock(&self.state);
                continue;
            }
            if state.closed {
                break;
            }
            let rest = threads::rest();
            let (locked, wait) = self
                .work
                .wait_timeout(state, self.keep_idle)
                .unwrap_or_else(PoisonError::into_inner);
            // Before a job leaves its queue.
            drop(rest);
            state = locked;
            if wait.timed_out() && !state.may_begin() {
                break;
            }
        }
        state.threads -= 1;
        self.gone.notify_all();
    }

    /// Starts a thread that watches for a stall. If that fails, the next job that has to wait tries again.
    fn start_watch(self: &Arc<Self>) {
        let pool = Arc::clone(self);
        let name = String::from("glassfrog-pool");
        let started = thread::Builder::new()
            .name(name)
            .spawn(move || pool.watch());
        if started.is_err() {
            lock(&self.state).queues[Lane::Jobs as usize].watched = false;
        }
    }

    /// Watches while jobs wait for a thread, and reports the first stall.
    fn watch(&self) {
        let jobs = Lane::Jobs as usize;
        let mut state = lock(&self.state);
        while state.queues[jobs].len() > 0 {
            let begun = state.queues[jobs].begun;
            let rest = threads::rest();
            let (locked, wait) = self
                .gone
                .wait_timeout(state, self.stalled)
                .unwrap_or_else(PoisonError::into_inner);
            drop(rest);
            state = locked;
            let queue = &state.queues[jobs];
            let (waiting, threads) = (queue.len(), queue.max_threads);
            if wait.timed_out() && waiting > 0 && queue.begun == begun {
                drop(state);
                return report_stall(waiting, threads, self.stalled);
            }
        }
        state.queues[jobs].watched = false;
    }

    /// Returns the waiters of this runtime for the standard streams.
    fn stream_waiters(&self) -> [(u64, Vec<(WaiterInfo, String)>); 3] {
        let of_output = |output: &output::Output| (output.id, output.waiters_of(self));
        [
            of_output(&STDOUT),
            of_output(&STDERR),
            (INPUT_ID, INPUT.waiters_of(self)),
        ]
    }

    /// Returns the waiters of this runtime for the standard stream with this id.
    pub(crate) fn waiters_for_stream(&self, id: u64) -> Vec<WaiterInfo> {
        if !self.awaits_streams() {
            return Vec::new();
        }
        let streams = self.stream_waiters().into_iter();
        let waiters = streams.filter(|(stream, _)| *stream == id);
        let waiters = waiters.flat_map(|(_, waiters)| waiters);
        waiters.map(|(waiter, _)| waiter).collect()
    }

    /// Returns the number of threads, and the number of queued jobs.
    pub(crate) fn counts(&self) -> (usize, usize) {
        let state = lock(&self.state);
        (state.threads, state.queues.iter().map(Queue::len).sum())
    }

    /// Returns whether a job is queued, in any lane.
    pub(crate) fn has_queued_jobs(&self) -> bool {
        lock(&self.state).queues.iter().any(|queue| queue.len() > 0)
    }

    /// Returns whether a job is queued or running, not counting abandoned lookups and reads of standard input.
    pub(crate) fn is_busy(&self) -> bool {
        self.busy.load(Ordering::Acquire)
    }

    /// Returns whether something in this runtime waits for a standard stream.
    pub(crate) fn awaits_streams(&self) -> bool {
        // Relaxed is enough, since this guards nothing.
        self.stream_waiters.load(Ordering::Relaxed) > 0
    }

    /// Returns whether the runtime has ended.
    fn is_closed(&self) -> bool {
        lock(&self.state).closed
    }

    /// Shuts the pool down: drops the queued jobs. The running jobs continue until they return.
    pub(crate) fn shut_down(&self) {
        let mut state = lock(&self.state);
        state.closed = true;
        let dropped = state.clear();
        self.note_busy(&state);
        drop(state);
        self.work.notify_all();
        self.gone.notify_all();
        dropped.into_iter().for_each(discard);
        if self.awaits_streams() {
            INPUT.wake_waiters_of(self);
            STDOUT.wake_waiters_of(self);
            STDERR.wake_waiters_of(self);
        }
    }

    /// Waits until all threads have exited, for at most `timeout`. Does not wait for threads whose lookups were
    /// abandoned before the shutdown, nor for a read of standard input.
    pub(crate) fn wait(&self, timeout: Duration) {
        let state = lock(&self.state);
        drop(self.gone.wait_timeout_while(state, timeout, |state| {
            let abandoned = state.queues.iter().map(|queue| queue.abandoned);
            let reading = state.queues[Lane::Input as usize].threads();
            state.threads > abandoned.sum::<usize>() + reading
        }));
    }
}

/// Drops a job without running it.
fn discard(queued: Queued) {
    log_panics("dropping a job that was never run", || drop(queued));
}

/// Logs a warning that no job has begun for a while.
fn report_stall(waiting: usize, threads: usize, stalled: Duration) {
    swallow_panics(|| {
        log::warn!(
            target: "glassfrog::blocking",
            "all {threads} blocking threads have been busy for {} s while jobs wait for a thread (waiting: \
             {waiting}): a job that waits for a queued job may never end; submit fewer such jobs, or allow \
             more threads with `Builder::blocking_threads`",
            stalled.as_secs(),
        );
    });
}

/// Logs a warning that all threads for lookups are busy.
fn report_hanging(waiting: usize, abandoned: usize) {
    swallow_panics(|| {
        log::warn!(
            target: "glassfrog::blocking",
            "all {LOOKUP_THREADS} threads for name lookups are busy, {abandoned} of them with abandoned \
             lookups that have not returned, so other lookups wait (waiting: {waiting}): check that the name \
             servers of this machine answer, or give the resolver a shorter timeout (`resolv.conf(5)`, \
             `options timeout`)",
        );
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;
    use std::panic::Location;
    use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};

    /// A job that runs until its test lets it return.
    struct Hanging {
        /// The id of the job.
        id: u64,
        /// The job sends its id here when it begins.
        begun: Sender<u64>,
        /// The job returns when this is closed.
        held: Receiver<()>,
        /// Closed when the job has returned, or was dropped without running.
        _over: Sender<()>,
    }

    impl Job for Hanging {
        fn run(self: Box<Self>) {
            self.begun.send(self.id).unwrap();
            self.held.recv().unwrap_err();
        }

        fn refuse(self: Box<Self>, error: &io::Error) {
            panic!("no thread for a test: {error}");
        }
    }

    impl About for u64 {
        fn describe(&self) -> String {
            self.to_string()
        }

        fn name(&self) -> Option<&str> {
            None
        }

        fn location(&self) -> Option<&'static Location<'static>> {
            None
        }

        fn awaited_by(&self) -> Option<WaiterInfo> {
            None
        }

        fn is_detached(&self) -> bool {
            false
        }
    }

    /// The test's end of a job.
    struct Held {
        /// The id of the job.
        id: u64,
        /// Dropped to let the job return.
        _hold: Sender<()>,
        /// Closed when the job has returned or was dropped.
        over: Receiver<()>,
    }

    /// A pool with one thread for jobs.
    struct Fixture {
        /// The pool.
        pool: Arc<Pool>,
        /// The ids of the started jobs.
        begun: Receiver<u64>,
        /// The jobs send their ids here.
        begin: Sender<u64>,
        /// The id of the next job.
        next: u64,
    }

    impl Fixture {
        /// Creates the pool.
        fn new() -> Fixture {
            let (begin, begun) = channel();
            let pool = Arc::new(Pool::new(1, None, Waker::noop().clone()));
            let next = 0;
            Fixture {
                pool,
                begun,
                begin,
                next,
            }
        }

        /// Submits a job.
        fn submit(&mut self, lane: Lane) -> Held {
            let id = self.next;
            self.next += 1;
            let ((_hold, held), (_over, over)) = (channel(), channel());
            let begun = self.begin.clone();
            let job = Box::new(Hanging {
                id,
                begun,
                held,
                _over,
            });
            self.pool.submit(lane, id, job, Arc::new(id));
            Held { id, _hold, over }
        }

        /// Submits `count` lookups, and waits until all have begun.
        fn lookups(&mut self, count: usize) -> Vec<Held> {
            let lookups: Vec<Held> = (0..count).map(|_| self.submit(Lane::Lookups)).collect();
            let mut begun: Vec<u64> = self.begun.iter().take(count).collect();
            begun.sort_unstable();
            assert!(lookups.iter().map(|it| it.id).eq(begun));
            lookups
        }

        /// Submits `count` lookups, and gives up each when it has begun.
        fn given_up(&mut self, count: usize) -> Vec<Held> {
            let mut all = Vec::new();
            while all.len() < count {
                let lookups = self.lookups(1);
                self.pool.give_up(lookups[0].id);
                all.extend(lookups);
            }
            all
        }

        /// Returns the descriptions of the jobs that were not abandoned, as a dump shows them.
        fn seen(&self) -> Vec<String> {
            let jobs = self.pool.snapshot().jobs.into_iter();
            let jobs = jobs.filter(|job| job.phase != Phase::Abandoned);
            jobs.map(|job| job.text()).collect()
        }
    }

    impl Drop for Fixture {
        fn drop(&mut self) {
            self.pool.shut_down();
        }
    }

    #[test]
    fn a_lookup_that_is_given_up_makes_room_for_the_next() {
        let mut fixture = Fixture::new();
        let running = fixture.lookups(LOOKUPS);
        let next = fixture.submit(Lane::Lookups);
        assert_eq!(fixture.pool.counts(), (LOOKUPS, 1));
        assert_eq!(fixture.begun.try_recv(), Err(TryRecvError::Empty));
        assert_eq!(fixture.seen()[LOOKUPS], format!("{}, queued", next.id));
        fixture.pool.give_up(running[7].id);
        assert_eq!(fixture.begun.recv(), Ok(next.id));
        assert_eq!(fixture.pool.counts(), (LOOKUPS + 1, 0));
        assert_eq!(fixture.seen().len(), LOOKUPS);
        // A second time, like a handle that is dropped late.
        fixture.pool.give_up(running[7].id);
        assert_eq!(fixture.seen().len(), LOOKUPS);
    }

    #[test]
    fn a_lookup_that_is_given_up_in_the_queue_is_dropped_at_once() {
        let mut fixture = Fixture::new();
        let _running = fixture.lookups(LOOKUPS);
        let waiting: Vec<Held> = (0..100).map(|_| fixture.submit(Lane::Lookups)).collect();
        for (left, lookup) in waiting.iter().enumerate().rev() {
            fixture.pool.give_up(lookup.id);
            assert_eq!(lookup.over.try_recv(), Err(TryRecvError::Disconnected));
            assert_eq!(fixture.pool.counts(), (LOOKUPS, left));
        }
        assert_eq!(fixture.seen().len(), LOOKUPS);
    }

    #[test]
    fn abandoned_lookups_delay_others_only_when_they_occupy_all_threads() {
        let mut fixture = Fixture::new();
        let mut hanging = fixture.given_up(LOOKUP_THREADS);
        assert_eq!(fixture.pool.counts(), (LOOKUP_THREADS, 0));
        assert!(!fixture.pool.is_busy());
        assert!(fixture.seen().is_empty());
        let snapshot = fixture.pool.snapshot();
        let abandoned = snapshot.jobs.iter();
        let abandoned = abandoned.filter(|job| job.phase == Phase::Abandoned);
        assert_eq!(abandoned.count(), LOOKUP_THREADS);
        let waiting = fixture.submit(Lane::Lookups);
        assert_eq!(fixture.pool.counts(), (LOOKUP_THREADS, 1));
        assert!(fixture.pool.is_busy());
        assert_eq!(fixture.seen(), [format!("{}, queued", waiting.id)]);
        // Jobs have a separate thread.
        let job = fixture.submit(Lane::Jobs);
        assert_eq!(fixture.begun.recv(), Ok(job.id));
        hanging.remove(9);
        assert_eq!(fixture.begun.recv(), Ok(waiting.id));
        assert_eq!(fixture.pool.counts(), (LOOKUP_THREADS + 1, 0));
    }

    #[test]
    fn lookups_run_on_all_threads_that_abandoned_lookups_leave() {
        let mut fixture = Fixture::new();
        let _hanging = fixture.given_up(LOOKUP_THREADS - LOOKUPS);
        let running = fixture.lookups(LOOKUPS);
        let waiting = fixture.submit(Lane::Lookups);
        fixture.pool.give_up(running[0].id);
        assert_eq!(fixture.pool.counts(), (LOOKUP_THREADS, 1));
        drop(running);
        assert_eq!(fixture.begun.recv(), Ok(waiting.id));
    }

    #[test]
    fn a_shutdown_does_not_wait_for_a_lookup_that_was_abandoned_before() {
        let mut fixture = Fixture::new();
        let _hanging = fixture.given_up(2);
        let running = fixture.lookups(2);
        fixture.pool.shut_down();
        // A lookup that is given up after the shutdown still counts.
        fixture.pool.give_up(running[0].id);
        thread::spawn(move || drop(running));
        fixture.pool.wait(Duration::MAX);
        assert_eq!(fixture.pool.counts(), (2, 0));
    }

    #[test]
    fn a_job_cannot_be_abandoned() {
        let mut fixture = Fixture::new();
        let job = fixture.submit(Lane::Jobs);
        assert_eq!(fixture.begun.recv(), Ok(job.id));
        fixture.pool.give_up(job.id);
        assert!(fixture.pool.is_busy());
        assert_eq!(fixture.seen(), [job.id.to_string()]);
    }
}

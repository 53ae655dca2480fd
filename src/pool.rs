//! The pool: threads for blocking jobs, for name lookups and for the standard streams.
//!
//! A job waits under its id in the [`Queue`] of its lane until it may begin. The pool starts a
//! thread whenever a job may begin and no thread is free. Two parties may take a job out of its queue: a
//! thread, to run it, and a caller, to cancel it. The one that does owns the job, and no other state
//! says whether the job has begun.
//!
//! ```text
//!     submit            a thread is free, the lane has room            returns
//!    --------> queued ------------------------------------> running ----------> over
//!                |                                             |                 ^
//!                | cancel, give_up, shut_down                  | give_up         |
//!                v                                             v       returns   |
//!         dropped unrun                                    abandoned ------------+
//! ```
//!
//! [`spawn_blocking`](crate::task::spawn_blocking), [`net`](crate::net) and the standard streams
//! submit jobs. The pool knows neither tasks nor the loop, which it only wakes.

pub(crate) mod input;
mod job;
pub(crate) mod output;
mod queue;
mod stream;

use self::input::INPUT;
pub(crate) use self::job::{About, Job, copy_error};
use self::output::{STDERR, STDOUT};
use self::queue::{Queue, Queued};
use crate::foreign::{log_panics, swallow_panics};
use crate::primitives::{AtomicBool, AtomicUsize, Condvar, Mutex, MutexGuard, Ordering, lock};
use crate::waiter::WaiterInfo;
use std::mem;
use std::sync::Arc;
use std::sync::PoisonError;
use std::task::Waker;
use std::thread;
use std::time::Duration;

/// How many threads run blocking jobs at most, unless `Builder::blocking_threads` sets another limit.
/// Enough for jobs that wait for the network or for one another, and few enough for the limits of
/// every system.
pub(crate) const DEFAULT_THREADS: usize = 512;

/// How long a thread without a job stays for the next one: jobs tend to come in bursts, and starting a
/// thread takes a few dozen microseconds.
const KEEP_IDLE: Duration = Duration::from_secs(10);

/// How long all threads for jobs may go without beginning one, while others wait, before the pool
/// reports it: a job that waits for one of those would otherwise hang in silence.
const STALLED: Duration = Duration::from_secs(10);

/// How many lookups run at a time, not counting those that were given up. Few enough not to flood a name
/// server, and enough that a few silent names, each of which takes ten seconds or more, do not delay the others.
const LOOK_UPS: usize = 32;

/// How many threads look up names at most. `getaddrinfo(3)` cannot be interrupted, so a lookup that
/// was given up occupies its thread until the resolver returns. There is room for four rounds of
/// [`LOOK_UPS`], three of them given up. So a program that gives up after three seconds never waits for a
/// thread, even if every name takes the ten seconds of a silent name server.
const LOOK_UP_THREADS: usize = 4 * LOOK_UPS;

/// The kind of a job. The jobs of one lane do not wait for those of the other, but the lanes share their
/// idle threads.
#[derive(Clone, Copy)]
pub(crate) enum Lane {
    /// The blocking jobs of users.
    Jobs = 0,
    /// Name lookups.
    LookUps = 1,
    /// Writes to the standard streams: at most one job for each of the two.
    Output = 2,
    /// Reads of standard input: at most one job. It may never end, so neither a virtual clock nor a shutdown waits
    /// for it.
    Input = 3,
}

impl Lane {
    /// All lanes, in the order in which their jobs begin.
    const ALL: [Lane; 4] = [Lane::Jobs, Lane::LookUps, Lane::Output, Lane::Input];
}

/// How many jobs write to standard streams: each stream has one.
const OUTPUTS: usize = 2;

/// How many jobs read standard input.
const INPUTS: usize = 1;

/// The pool of one runtime.
pub(crate) struct Pool {
    /// The jobs and the threads, under one lock.
    state: Mutex<State>,
    /// Whether a job waits or runs, except for lookups that were given up and reads of standard input. The loop
    /// asks before each park. Written under the lock.
    busy: AtomicBool,
    /// The number of waiters of this runtime for standard streams.
    stream_waiters: AtomicUsize,
    /// Wakes an idle thread: a job may begin, or none will any more.
    work: Condvar,
    /// Wakes [`wait`](Pool::wait) and [`watch`](Pool::watch): a thread has exited, or the pool was shut down.
    gone: Condvar,
    /// Wakes the loop when a job ends, even if nobody awaits it: it may have held a virtual clock.
    ended: Waker,
    /// How long a thread without a job stays: [`KEEP_IDLE`], unless a test has chosen otherwise.
    keep_idle: Duration,
    /// How long no job begins before the pool reports that: [`STALLED`], unless a test has chosen otherwise.
    stalled: Duration,
}

/// What is under the lock of the pool.
struct State {
    /// The jobs of each lane.
    queues: [Queue; Lane::ALL.len()],
    /// The number of threads: in a job, idle, or about to start.
    threads: usize,
    /// The number of threads that were ever started, for their names.
    started: usize,
    /// Whether the last attempt to start a thread failed, which is reported once.
    start_failed: bool,
    /// Whether the runtime has ended, after which the pool takes no job.
    closed: bool,
}

impl State {
    /// Begins the oldest job that may begin.
    fn begin(&mut self) -> Option<(Lane, u64, Box<dyn Job>)> {
        Lane::ALL.into_iter().find_map(|lane| {
            let (id, job) = self.queues[lane as usize].begin()?;
            Some((lane, id, job))
        })
    }

    /// Returns whether a job waits and may begin.
    fn may_begin(&self) -> bool {
        self.queues.iter().any(Queue::may_begin)
    }

    /// Returns the number of threads that are not in a job: each will begin one if it may.
    fn free(&self) -> usize {
        self.threads - self.queues.iter().map(Queue::threads).sum::<usize>()
    }

    /// Takes out all jobs that have not begun.
    fn clear(&mut self) -> Vec<Queued> {
        self.queues.iter_mut().flat_map(Queue::clear).collect()
    }
}

impl Pool {
    /// Makes a pool without threads, which runs at most `most_jobs` blocking jobs at a time. A test may replace its
    /// timeouts.
    pub(crate) fn new(most_jobs: usize, test_patience: Option<Duration>, ended: Waker) -> Pool {
        Pool {
            state: Mutex::new(State {
                queues: [
                    Queue::new(most_jobs, most_jobs),
                    Queue::new(LOOK_UPS, LOOK_UP_THREADS),
                    Queue::new(OUTPUTS, OUTPUTS),
                    Queue::new(INPUTS, INPUTS),
                ],
                threads: 0,
                started: 0,
                start_failed: false,
                closed: false,
            }),
            busy: AtomicBool::new(false),
            stream_waiters: AtomicUsize::new(0),
            work: Condvar::new(),
            gone: Condvar::new(),
            ended,
            keep_idle: test_patience.unwrap_or(KEEP_IDLE),
            stalled: test_patience.unwrap_or(STALLED),
        }
    }

    /// Notes whether the pool is busy, after jobs have come or gone.
    fn note_busy(&self, state: &State) {
        // Release: pairs with the Acquire in `is_busy`, so that a loop that finds no job finds what the
        // last one did.
        let mut held = Lane::ALL
            .into_iter()
            .filter(|lane| !matches!(lane, Lane::Input));
        let busy = held.any(|lane| state.queues[lane as usize].is_busy());
        self.busy.store(busy, Ordering::Release);
    }

    /// Submits a job, or drops it if the runtime has ended. Each id is greater than those before it.
    pub(crate) fn submit(
        self: &Arc<Self>,
        lane: Lane,
        id: u64,
        job: Box<dyn Job>,
        about: Arc<dyn About>,
    ) {
        let queued = Queued { job, about };
        let mut state = lock(&self.state);
        if state.closed {
            drop(state);
            return discard(queued);
        }
        state.queues[lane as usize].submit(id, queued);
        self.note_busy(&state);
        self.staff(state);
    }

    /// Cancels a job that has not begun: drops it. Returns whether there was such a job.
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

    /// Gives up a lookup: cancels it, or abandons it to its thread if it has begun. An abandoned lookup delays
    /// neither a virtual clock nor other lookups, and no shutdown that begins later waits for it.
    pub(crate) fn give_up(self: &Arc<Self>, id: u64) {
        if self.cancel(id) {
            return;
        }
        let mut state = lock(&self.state);
        if state.closed {
            return;
        }
        let abandoned = state.queues[Lane::LookUps as usize].abandon(id);
        if abandoned.is_some() {
            self.note_busy(&state);
            self.staff(state);
            self.ended.wake_by_ref();
        }
    }

    /// Finds a thread for the next job that may begin, or reports why it waits. It is called when a job may
    /// newly begin: after a submission, after a lookup was given up, and by a thread that begins another job.
    fn staff(self: &Arc<Self>, mut state: MutexGuard<'_, State>) {
        if state.may_begin() {
            return match state.free() {
                0 => self.start_thread(state),
                _ => self.work.notify_one(),
            };
        }
        for lane in [Lane::Jobs, Lane::LookUps] {
            let queue = &mut state.queues[lane as usize];
            if queue.is_stuck() && !mem::replace(&mut queue.watched, true) {
                let (waiting, abandoned) = (queue.len(), queue.abandoned);
                drop(state);
                return match lane {
                    // Many jobs at a time are normal.
                    Lane::Jobs => self.start_watch(),
                    _ => report_hanging(waiting, abandoned),
                };
            }
        }
    }

    /// Starts a thread. If that fails, the jobs wait for another thread, or are refused if there is none.
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
        // `wait` has counted this thread too.
        self.gone.notify_all();
        if threads > 0 && is_news {
            swallow_panics(|| {
                log::warn!(
                    target: "glassfrog::blocking",
                    "no thread could be started for a blocking job, which now waits for one of the \
                     {threads} that run: {error}"
                );
            });
        }
        for Queued { job, about } in refused {
            log_panics("refusing a job", || job.refuse(&error));
            drop(about);
        }
        self.ended.wake_by_ref();
    }

    /// Runs jobs, on one of the threads.
    fn work(self: Arc<Self>) {
        let mut state = lock(&self.state);
        state.start_failed = false;
        loop {
            if let Some((lane, id, job)) = state.begin() {
                self.staff(state);
                log_panics("a blocking job", || job.run());
                state = lock(&self.state);
                let about = state.queues[lane as usize].end(id);
                self.note_busy(&state);
                drop(state);
                drop(about);
                // After the job was counted out: the loop looks at that when it is woken.
                self.ended.wake_by_ref();
                state = lock(&self.state);
                continue;
            }
            if state.closed {
                break;
            }
            let (locked, wait) = self
                .work
                .wait_timeout(state, self.keep_idle)
                .unwrap_or_else(PoisonError::into_inner);
            state = locked;
            if wait.timed_out() && !state.may_begin() {
                break;
            }
        }
        state.threads -= 1;
        self.gone.notify_all();
    }

    /// Starts a thread that watches for a stall. If that fails, the next job that waits tries again.
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
            let (locked, wait) = self
                .gone
                .wait_timeout(state, self.stalled)
                .unwrap_or_else(PoisonError::into_inner);
            state = locked;
            let queue = &state.queues[jobs];
            let (waiting, threads) = (queue.len(), queue.most_threads);
            if wait.timed_out() && waiting > 0 && queue.begun == begun {
                drop(state);
                return report_stall(waiting, threads, self.stalled);
            }
        }
        state.queues[jobs].watched = false;
    }

    /// Returns descriptions of the jobs that wait or run, and what awaits each. For standard streams, these are
    /// the waiters, whichever runtime reads or writes for them.
    pub(crate) fn jobs(&self) -> Vec<(Option<WaiterInfo>, String)> {
        let state = lock(&self.state);
        let lanes = [Lane::Jobs, Lane::LookUps].map(|lane| &state.queues[lane as usize]);
        let jobs: Vec<_> = lanes.into_iter().flat_map(Queue::jobs).collect();
        drop(state);
        let described = jobs.iter().map(|(about, has_begun)| {
            let state = if *has_begun { "" } else { ", queued" };
            (about.awaited_by(), about.describe() + state)
        });
        let mut described: Vec<_> = described.collect();
        if self.awaits_streams() {
            let streams = [&STDOUT, &STDERR].map(|stream| stream.waiters_of(self));
            let streams = streams.into_iter().flatten().chain(INPUT.waiters_of(self));
            described.extend(streams.map(|(waiter, text)| (Some(waiter), text)));
        }
        described
    }

    /// Returns the number of threads, and of jobs that wait for one.
    pub(crate) fn counts(&self) -> (usize, usize) {
        let state = lock(&self.state);
        (state.threads, state.queues.iter().map(Queue::len).sum())
    }

    /// Returns whether a job waits or runs, except for lookups that were given up and reads of standard input.
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

    /// Shuts the pool down: drops the jobs that wait, and lets those that run end by themselves.
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

    /// Waits until all threads have exited, at most for `timeout`. Does not wait for threads whose lookups were
    /// given up before the shutdown, and not for a read of standard input.
    pub(crate) fn wait(&self, timeout: Duration) {
        let state = lock(&self.state);
        drop(self.gone.wait_timeout_while(state, timeout, |state| {
            let abandoned = state.queues.iter().map(|queue| queue.abandoned);
            let reading = state.queues[Lane::Input as usize].threads();
            state.threads > abandoned.sum::<usize>() + reading
        }));
    }
}

/// Drops a job unrun.
fn discard(queued: Queued) {
    log_panics("dropping a job that was never run", || drop(queued));
}

/// Reports that no job has begun for a while.
fn report_stall(waiting: usize, threads: usize, stalled: Duration) {
    swallow_panics(|| {
        log::warn!(
            target: "glassfrog::blocking",
            "all {threads} blocking threads have been busy for {} s while jobs wait for one (waiting: \
             {waiting}): a job that waits for another one may never end; keep such jobs fewer, or allow \
             more threads with `Builder::blocking_threads`",
            stalled.as_secs(),
        );
    });
}

/// Reports that every thread for look-ups is busy.
fn report_hanging(waiting: usize, abandoned: usize) {
    swallow_panics(|| {
        log::warn!(
            target: "glassfrog::blocking",
            "all {LOOK_UP_THREADS} threads for name look-ups are busy, {abandoned} of them with \
             look-ups that were given up and have not returned; others wait (waiting: {waiting}) \
             until one returns: check that the name servers of this machine answer, or give the \
             resolver a shorter timeout (`resolv.conf(5)`, `options timeout`)",
        );
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;
    use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};

    /// A job that runs until its test lets it return.
    struct Hanging {
        /// Its id.
        id: u64,
        /// Where it sends its id when it begins.
        begun: Sender<u64>,
        /// Closed when it may return.
        held: Receiver<()>,
        /// Closed when it has returned, or was dropped unrun.
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

        fn awaited_by(&self) -> Option<WaiterInfo> {
            None
        }
    }

    /// What a test keeps of a job.
    struct Held {
        /// Its id.
        id: u64,
        /// Dropped to let it return.
        _hold: Sender<()>,
        /// Closed when it is over.
        over: Receiver<()>,
    }

    /// A pool with one thread for jobs.
    struct Fixture {
        /// The pool.
        pool: Arc<Pool>,
        /// The ids of the jobs that have begun.
        begun: Receiver<u64>,
        /// Where jobs send them.
        begin: Sender<u64>,
        /// The id of the next job.
        next: u64,
    }

    impl Fixture {
        /// Makes the pool.
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

        /// Submits so many look-ups, and waits until all have begun.
        fn look_ups(&mut self, count: usize) -> Vec<Held> {
            let look_ups: Vec<Held> = (0..count).map(|_| self.submit(Lane::LookUps)).collect();
            let mut begun: Vec<u64> = self.begun.iter().take(count).collect();
            begun.sort_unstable();
            assert!(look_ups.iter().map(|it| it.id).eq(begun));
            look_ups
        }

        /// Submits so many look-ups, and gives up each when it has begun.
        fn given_up(&mut self, count: usize) -> Vec<Held> {
            let mut all = Vec::new();
            while all.len() < count {
                let look_ups = self.look_ups(1);
                self.pool.give_up(look_ups[0].id);
                all.extend(look_ups);
            }
            all
        }

        /// The jobs as the dump shows them.
        fn seen(&self) -> Vec<String> {
            let seen = self.pool.jobs().into_iter();
            seen.map(|(_, description)| description).collect()
        }
    }

    impl Drop for Fixture {
        fn drop(&mut self) {
            self.pool.shut_down();
        }
    }

    #[test]
    fn a_look_up_that_is_given_up_makes_room_for_the_next() {
        let mut fixture = Fixture::new();
        let running = fixture.look_ups(LOOK_UPS);
        let next = fixture.submit(Lane::LookUps);
        assert_eq!(fixture.pool.counts(), (LOOK_UPS, 1));
        assert_eq!(fixture.begun.try_recv(), Err(TryRecvError::Empty));
        assert_eq!(fixture.seen()[LOOK_UPS], format!("{}, queued", next.id));
        fixture.pool.give_up(running[7].id);
        assert_eq!(fixture.begun.recv(), Ok(next.id));
        assert_eq!(fixture.pool.counts(), (LOOK_UPS + 1, 0));
        assert_eq!(fixture.seen().len(), LOOK_UPS);
        // Once more, as a handle that is dropped late does.
        fixture.pool.give_up(running[7].id);
        assert_eq!(fixture.seen().len(), LOOK_UPS);
    }

    #[test]
    fn a_look_up_that_is_given_up_in_the_queue_is_dropped_at_once() {
        let mut fixture = Fixture::new();
        let _running = fixture.look_ups(LOOK_UPS);
        let waiting: Vec<Held> = (0..100).map(|_| fixture.submit(Lane::LookUps)).collect();
        for (left, look_up) in waiting.iter().enumerate().rev() {
            fixture.pool.give_up(look_up.id);
            assert_eq!(look_up.over.try_recv(), Err(TryRecvError::Disconnected));
            assert_eq!(fixture.pool.counts(), (LOOK_UPS, left));
        }
        assert_eq!(fixture.seen().len(), LOOK_UPS);
    }

    #[test]
    fn look_ups_that_were_given_up_hold_up_others_only_when_they_occupy_all_threads() {
        let mut fixture = Fixture::new();
        let mut hanging = fixture.given_up(LOOK_UP_THREADS);
        assert_eq!(fixture.pool.counts(), (LOOK_UP_THREADS, 0));
        assert!(!fixture.pool.is_busy());
        assert!(fixture.seen().is_empty());
        let waiting = fixture.submit(Lane::LookUps);
        assert_eq!(fixture.pool.counts(), (LOOK_UP_THREADS, 1));
        assert!(fixture.pool.is_busy());
        assert_eq!(fixture.seen(), [format!("{}, queued", waiting.id)]);
        // Jobs have a thread of their own.
        let job = fixture.submit(Lane::Jobs);
        assert_eq!(fixture.begun.recv(), Ok(job.id));
        hanging.remove(9);
        assert_eq!(fixture.begun.recv(), Ok(waiting.id));
        assert_eq!(fixture.pool.counts(), (LOOK_UP_THREADS + 1, 0));
    }

    #[test]
    fn look_ups_run_on_all_threads_that_those_given_up_have_left() {
        let mut fixture = Fixture::new();
        let _hanging = fixture.given_up(LOOK_UP_THREADS - LOOK_UPS);
        let running = fixture.look_ups(LOOK_UPS);
        let waiting = fixture.submit(Lane::LookUps);
        fixture.pool.give_up(running[0].id);
        assert_eq!(fixture.pool.counts(), (LOOK_UP_THREADS, 1));
        drop(running);
        assert_eq!(fixture.begun.recv(), Ok(waiting.id));
    }

    #[test]
    fn a_shutdown_waits_for_no_look_up_that_was_given_up_before() {
        let mut fixture = Fixture::new();
        let _hanging = fixture.given_up(2);
        let running = fixture.look_ups(2);
        fixture.pool.shut_down();
        // Those that the end of the runtime gives up have still been waited for.
        fixture.pool.give_up(running[0].id);
        thread::spawn(move || drop(running));
        fixture.pool.wait(Duration::MAX);
        assert_eq!(fixture.pool.counts(), (2, 0));
    }

    #[test]
    fn a_job_cannot_be_given_up() {
        let mut fixture = Fixture::new();
        let job = fixture.submit(Lane::Jobs);
        assert_eq!(fixture.begun.recv(), Ok(job.id));
        fixture.pool.give_up(job.id);
        assert!(fixture.pool.is_busy());
        assert_eq!(fixture.seen(), [job.id.to_string()]);
    }
}

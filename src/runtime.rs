//! The runtime: THE loop, and the three engines that it turns.
//!
//! Executor, reactor and timers do not know one another; they meet here. A turn of the loop:
//!
//! 1. poll the ready tasks, until about [`BATCH`] polls are made or [`LONGEST_BATCH`] is over;
//! 2. turn the reactor: wake those whose descriptors are ready. If nobody is ready to run, this is
//!    the park, and it lasts until something happens;
//! 3. take what other threads have left in the inbox;
//! 4. if the clock is virtual and there is still nothing to do, move it to the next deadline;
//! 5. fire the timers that are due;
//! 6. if the clock is virtual, see whether it [stands still](standstill) although a deadline waits.
//!
//! What can end the park:
//!
//! 1. an event of a registered descriptor (data, room, a connection, a hang-up);
//! 2. the earliest deadline among the timers;
//! 3. a message from another thread, in [`Inbox::post`]: the wake of a task, a new task, an
//!    abort, a handle that was dropped there;
//! 4. a sleep that another thread begins and that ends before all others, in [`Inbox::nudge`];
//! 5. a signal that the process handles (`EINTR`), after which the loop parks again;
//! 6. the end of a blocking job, even if nobody awaits it: under a virtual clock it has held the time,
//!    and what it might have woken it wakes no more;
//! 7. once in each time of quiet without anything but wakes to wait for: the question whether there is
//!    anybody who could wake a task, in [`stall`].
//!
//! The clock is read when a turn begins, before a park, and between two [strides](pace) of polls.

mod census;
mod pace;
pub(crate) mod stall;
mod standstill;
mod watch;

use self::pace::{LONGEST_BATCH, Pace};
use self::stall::{OnDeadlock, Stall};
use self::standstill::Standstill;
use self::watch::Watch;

use crate::clock::{Clock, Stamp};
use crate::executor::inbox::Inbox;
use crate::executor::outcome::{Id, OnTaskPanic, Payload};
use crate::executor::pulse::Pulse;
use crate::executor::{Executor, Polled, Remote, local};
use crate::metrics::Metrics;
use crate::pool::{DEFAULT_THREADS, Pool};
use crate::reactor::{Reactor, Sources};
use crate::timers::Timers;
use crate::waiter::{Tag, trace};
use std::cell::Cell;
use std::fmt;
use std::io;
use std::panic::resume_unwind;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::Poll;
use std::time::{Duration, Instant};

/// How many polls there are at most before the loop looks at the reactor, the timers and the inbox.
///
/// The look costs a syscall. One in 128 polls is below a hundredth of a call for each, and at a
/// microsecond a poll an event waits an eighth of a millisecond for it.
const BATCH: u32 = 128;

/// What can be chosen about a runtime.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// Whether its clock stands still until it is moved.
    pub(crate) virtual_clock: bool,
    /// By what the order of its tasks is shuffled, if it is.
    pub(crate) seed: Option<u64>,
    /// How many threads its blocking jobs may have.
    pub(crate) blocking_threads: usize,
    /// What the panic of a task does.
    pub(crate) on_task_panic: OnTaskPanic,
    /// How long a poll may take without being told of.
    pub(crate) watchdog: Option<Duration>,
    /// The same for a thread that tells it meanwhile.
    pub(crate) watchdog_thread: Option<Duration>,
    /// What happens when no task will ever be woken.
    pub(crate) on_deadlock: OnDeadlock,
    /// After how long it is told that this is possible.
    pub(crate) stall_report: Option<Duration>,
    /// Whether its warnings go to the standard error stream too: most tests have no logger.
    pub(crate) stall_to_stderr: bool,
    /// How long it waits where it otherwise waits for seconds; see `Builder::test_patience`.
    pub(crate) test_patience: Option<Duration>,
}

/// How long a poll may take in a debug build without being told of: enough for all but what blocks,
/// on a machine under load too.
const WATCHDOG: Duration = Duration::from_millis(100);

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            virtual_clock: false,
            seed: None,
            blocking_threads: DEFAULT_THREADS,
            on_task_panic: OnTaskPanic::default(),
            // Two readings of the clock make a poll that does little four times as dear.
            watchdog: cfg!(debug_assertions).then_some(WATCHDOG),
            watchdog_thread: None,
            on_deadlock: OnDeadlock::default(),
            stall_report: None,
            stall_to_stderr: false,
            test_patience: None,
        }
    }
}

/// The engines of one runtime, and what other threads see of them.
pub(crate) struct Core {
    /// Tasks and run queue.
    pub(crate) executor: Rc<Executor>,
    /// Descriptors and readiness.
    reactor: Reactor,
    /// The part that is reached from any thread.
    pub(crate) shared: Arc<Shared>,
    /// When the clock was read last, in nanoseconds since the runtime was made.
    looked: Cell<u64>,
    /// How many polls there had been by then.
    polls: Cell<u64>,
    /// How many polls to make before it is read again.
    pace: Pace,
    /// Whether it waits for something that cannot come.
    stall: Stall,
    /// Whether its tasks hold a virtual clock; only where the clock is one.
    standstill: Option<Standstill>,
    /// The watchdog's thread, if there is one.
    _watch: Option<Watch>,
}

/// The part of a runtime that handles, sockets and sleeps hold, on any thread. It keeps no future
/// and, once the runtime has ended, no descriptor alive.
pub(crate) struct Shared {
    /// Messages to the loop.
    pub(crate) inbox: Arc<Remote>,
    /// Deadlines and wakers.
    pub(crate) timers: Timers,
    /// Where sockets register.
    pub(crate) sources: Arc<Sources>,
    /// Who is asked for the time.
    pub(crate) clock: Clock,
    /// Threads for what blocks.
    pub(crate) pool: Arc<Pool>,
    /// Who is being polled.
    pub(crate) pulse: Arc<Pulse>,
    /// How long a dump waits for the loop, if a test has chosen that.
    pub(crate) test_patience: Option<Duration>,
    /// The id of the last task that was spawned; 0 is the root future's.
    last_id: AtomicU64,
    /// Whether a socket or a sleep was ever waited for by something other than a task of this runtime:
    /// then nobody knows what else may happen to it. Relaxed is enough, since it guards nothing.
    is_visited: AtomicBool,
}

impl Shared {
    /// The id of a new task.
    pub(crate) fn new_id(&self) -> Id {
        // Relaxed is enough: nothing but the number depends on it.
        Id(self.last_id.fetch_add(1, Ordering::Relaxed) + 1)
    }

    /// Who is being polled, if that is a task of this runtime: the numbers of others mean nothing
    /// here.
    pub(crate) fn current_tag(&self) -> Tag {
        match local::is_here(&self.inbox) {
            true => self.pulse.polling(),
            false => {
                self.is_visited.store(true, Ordering::Relaxed);
                Tag::NONE
            }
        }
    }

    /// How much has been done.
    pub(crate) fn metrics(&self) -> Metrics {
        let pulse = &self.pulse;
        let (timers_set, timers_fired, timers_cancelled) = self.timers.counts();
        let (blocking_threads, blocking_queue) = self.pool.counts();
        // In this order, so that no more seem to have ended than were spawned.
        let tasks_finished = pulse.finished.get_acquired();
        let tasks_spawned = pulse.spawned.get();
        Metrics {
            tasks_spawned,
            tasks_finished,
            tasks_alive: tasks_spawned.saturating_sub(tasks_finished),
            polls: pulse.polls.get(),
            slow_polls: pulse.slow_polls.get(),
            wakes_local: pulse.local_wakes.get(),
            wakes_remote: pulse.remote_wakes.get(),
            turns: pulse.turns.get(),
            parks: pulse.parks.get(),
            time_parked: Duration::from_nanos(pulse.parked.get()),
            time_busy: Duration::from_nanos(pulse.busy.get()),
            io_events: pulse.events.get(),
            sockets: self.sources.len(),
            timers_set,
            timers_fired,
            timers_cancelled,
            blocking_threads,
            blocking_queue,
        }
    }
}

impl Core {
    /// Engines that are at rest.
    ///
    /// # Errors
    ///
    /// If the operating system has no descriptors or memory left for the event queue.
    pub(crate) fn new(settings: &Settings) -> io::Result<Core> {
        let rounds = Arc::default();
        let reactor = Reactor::new(Arc::clone(&rounds))?;
        let clock = match settings.virtual_clock {
            true => Clock::stopped(),
            false => Clock::Real,
        };
        let inbox = Arc::new(Inbox::new(reactor.unparker()));
        let pulse = Arc::new(Pulse::new(
            settings.watchdog.or(settings.watchdog_thread).is_some(),
        ));
        let watch = match settings.watchdog_thread {
            Some(limit) => Some(Watch::new(Arc::clone(&pulse), limit)?),
            None => None,
        };
        let executor = Rc::new(Executor::new(
            Arc::clone(&inbox),
            Arc::clone(&pulse),
            rounds,
            settings.seed,
            settings.on_task_panic,
            settings.watchdog,
        ));
        let job_ended = futures_task::waker(Arc::clone(&inbox));
        let shared = Arc::new(Shared {
            inbox,
            timers: Timers::new(clock.now()),
            sources: Arc::clone(reactor.sources()),
            clock,
            pool: Arc::new(Pool::new(
                settings.blocking_threads,
                settings.test_patience,
                job_ended,
            )),
            pulse,
            test_patience: settings.test_patience,
            last_id: AtomicU64::new(0),
            is_visited: AtomicBool::new(false),
        });
        Ok(Core {
            executor,
            reactor,
            shared,
            looked: Cell::new(0),
            polls: Cell::new(0),
            pace: Pace::new(),
            stall: Stall::new(settings),
            standstill: settings.virtual_clock.then(Standstill::default),
            _watch: watch,
        })
    }

    /// The loop: runs until the root future ends.
    ///
    /// # Panics
    ///
    /// With the panic of the root future, of a task if that is to end the runtime, and at the end of a
    /// virtual clock.
    pub(crate) fn run<F: Future>(&self, mut root: Pin<&mut F>) -> F::Output {
        assert!(
            !self.executor.is_closed(),
            "this runtime has ended: one of its tasks panicked, and `OnTaskPanic::EndRuntime` was \
             asked for"
        );
        // Time between two calls of `block_on` counts as neither busy nor parked.
        self.looked.set(self.nanos());
        self.begin_turn(false);
        let _running = Running(self);
        self.executor.take_messages();
        self.executor.queue_root();
        loop {
            self.stall.awake_if(!self.executor.is_idle());
            let begun = self.looked.get();
            let (mut polls, mut stride) = (0, self.pace.stride());
            let mut left = stride;
            loop {
                match self.executor.poll_next() {
                    Polled::Task => {}
                    Polled::Root => {
                        if let Poll::Ready(output) = self.executor.poll_root(root.as_mut()) {
                            return output;
                        }
                    }
                    Polled::Nothing => break,
                    Polled::Panicked(payload) => self.end(payload),
                }
                left -= 1;
                if left == 0 {
                    polls += stride;
                    if polls >= BATCH || self.look() - begun >= LONGEST_BATCH {
                        break;
                    }
                    stride = self.pace.stride();
                    left = stride;
                }
            }
            self.executor.rest();
            // Asked before the events are looked at and again before the inbox is: what a job does
            // there comes before its end, and both before any deadline.
            let might_leap = self.may_leap();
            let parked = self.wait();
            let may_leap = might_leap && self.may_leap();
            self.executor.take_messages();
            if may_leap
                && self.executor.is_idle()
                && let Some(deadline) = self.shared.timers.next()
                && let Some(deadline) = self.shared.timers.instant(deadline)
            {
                self.leap(deadline);
            }
            let now = self.begin_turn(parked);
            self.shared.timers.fire(now);
            if let Some(standstill) = &self.standstill {
                standstill.look(self, now);
            }
        }
    }

    /// Turns the reactor, and parks in it if no task is ready. Returns whether it parked.
    fn wait(&self) -> bool {
        let mut timeout = Some(Duration::ZERO);
        let mut parked = false;
        // The park is announced before the deadlines are looked at: a sleep that another thread
        // begins in between sees the announcement and nudges.
        if self.announce_park() {
            timeout = self.park_timeout(self.look());
            parked = timeout != Some(Duration::ZERO);
            if parked {
                trace!(
                    "glassfrog::reactor",
                    "nobody is ready: waiting for events, {}",
                    match timeout {
                        Some(timeout) => format!("for {timeout:?} at most"),
                        None => String::from("as long as it takes"),
                    }
                );
            }
            // A logger or a report is foreign code, and may have woken a task.
            if !self.executor.is_idle() {
                timeout = Some(Duration::ZERO);
            }
        }
        self.executor.publish();
        let events = self.reactor.turn(timeout);
        self.shared.pulse.events.add(events as u64);
        parked
    }

    /// Nanoseconds since the runtime was made.
    fn nanos(&self) -> u64 {
        self.shared.timers.nanos(self.shared.clock.now())
    }

    /// Reads the clock. The time since the last reading was spent on the polls since then.
    #[inline(never)]
    fn look(&self) -> u64 {
        let now = self.nanos();
        let mut spent = now.saturating_sub(self.looked.replace(now));
        // A virtual clock is moved, and what it shows is not spent.
        if self.shared.clock.is_virtual() {
            spent = 0;
        }
        self.shared.pulse.busy.add(spent);
        let polls = self.executor.polls();
        let made = polls - self.polls.replace(polls);
        if made > 0 {
            self.pace.note(made, spent);
        }
        now
    }

    /// Reads the clock as a turn begins, before which the loop may have parked.
    fn begin_turn(&self, parked: bool) -> u64 {
        let now = match parked {
            false => self.look(),
            true => {
                let pulse = &self.shared.pulse;
                let now = self.nanos();
                pulse.parks.add(1);
                pulse
                    .parked
                    .add(now.saturating_sub(self.looked.replace(now)));
                now
            }
        };
        self.executor.begin_turn(Stamp::new(now));
        now
    }

    /// Announces a park if no task is ready and no message has come.
    fn announce_park(&self) -> bool {
        while self.executor.is_idle() {
            if self.shared.inbox.announce_park() {
                return true;
            }
            self.executor.take_messages();
        }
        false
    }

    /// How long a park that begins now may last: until the next deadline, or without end. Not at all
    /// where a virtual clock can be moved to that deadline instead.
    fn park_timeout(&self, now: u64) -> Option<Duration> {
        match self.shared.timers.next() {
            None => self.stall.patience(self),
            Some(_) if self.shared.clock.is_virtual() => self.may_leap().then_some(Duration::ZERO),
            Some(deadline) => Some(Duration::from_nanos(deadline.saturating_sub(now))),
        }
    }

    /// Whether there is nothing to wait for but the wakes of others: no deadline, no socket, and no
    /// blocking job. The caller has seen no deadline that comes. One that never comes is still waited
    /// for by the real clock, but a virtual one cannot get there.
    fn has_only_wakes_to_wait_for(&self) -> bool {
        let shared = &self.shared;
        let has_deadline = !shared.clock.is_virtual() && !shared.timers.is_empty();
        // First what is found at once in most programs.
        !shared.sources.has_waiters() && !has_deadline && !shared.pool.is_busy()
    }

    /// Whether there is anybody who could wake a task, where there is nothing else to wait for.
    fn can_be_woken(&self) -> bool {
        let shared = &self.shared;
        // The deadlines that are left never come, so their wakers are held for nothing.
        let deadlines = || shared.timers.look().into_iter().map(|(waiter, _)| waiter);
        shared.is_visited.load(Ordering::Relaxed)
            || shared.inbox.has_outsiders()
            || self.executor.is_held(deadlines())
            // Last: who has gone meanwhile has left a message before.
            || !shared.inbox.is_quiet()
    }

    /// Whether the clock may be moved when there is nothing to do: a virtual one that no blocking
    /// job holds.
    fn may_leap(&self) -> bool {
        self.shared.clock.is_virtual() && !self.shared.pool.is_busy()
    }

    /// Moves a virtual clock to the next deadline.
    ///
    /// # Panics
    ///
    /// If that lies past the end of the clock.
    fn leap(&self, deadline: Instant) {
        let clock = &self.shared.clock;
        if !clock.can_show(deadline) {
            panic!(
                "the virtual clock has come to its end, 200 years after its runtime was made: no task is \
                 ready, and the next deadline is {:?} away; sleep for less, or for `Duration::MAX` if the \
                 sleep is to last for ever:\n{}",
                deadline.saturating_duration_since(clock.now()),
                self.dump()
            );
        }
        clock.advance_to(deadline);
        // Time that passes by itself is nobody's.
        self.looked.set(self.nanos());
    }

    /// Ends the runtime with the panic of a task.
    fn end(&self, panic: Payload) -> ! {
        self.shut_down();
        resume_unwind(panic)
    }

    /// Cancels everything. The caller has made this the context of the thread.
    pub(crate) fn shut_down(&self) {
        let messages = self.shared.inbox.close();
        // Before the tasks: what their drops submit is not begun any more.
        self.shared.pool.shut_down();
        self.executor.shut_down(messages);
        self.reactor.shut_down();
        self.shared.timers.shut_down();
    }
}

/// Says that the loop has stopped, when it is dropped, and what it has done until then.
struct Running<'a>(&'a Core);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.executor.rest();
        if let Some(standstill) = &self.0.standstill {
            standstill.end();
        }
        self.0.begin_turn(false);
        self.0.executor.publish();
    }
}

impl fmt::Debug for Core {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (tasks, sockets) = (self.executor.len(), self.shared.sources.len());
        f.debug_struct("Runtime")
            .field("tasks", &tasks)
            .field("sockets", &sockets)
            .finish_non_exhaustive()
    }
}

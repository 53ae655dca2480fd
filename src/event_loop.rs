//! The event loop: it polls the ready tasks, turns the reactor and fires the timers, until the future of
//! `block_on` ends.
//!
//! A [`Runtime`](crate::Runtime) makes an [`EventLoop`] and runs it. The loop owns an executor, a reactor,
//! timers and a pool, which do not know one another: they meet here. The steps of a turn are numbered in
//! [`EventLoop::run`]. What can end the park is listed at [`EventLoop::turn_reactor`].

pub(crate) mod deadlock;
mod dump;
mod pace;
mod settings;
mod shared;
mod standstill;
mod watchdog;

pub(crate) use self::settings::Settings;
pub(crate) use self::shared::Shared;

use self::deadlock::DeadlockDetector;
use self::pace::{LONGEST_BATCH, Pace};
use self::standstill::Standstill;
use self::watchdog::Watchdog;
use crate::clock::{Clock, Stamp};
use crate::executor::status::LoopStatus;
use crate::executor::{Executor, Payload, Polled, Remote};
use crate::foreign::trace;
use crate::pool::Pool;
use crate::reactor::Reactor;
use crate::timers::Timers;
use std::cell::Cell;
use std::fmt;
use std::io;
use std::panic::resume_unwind;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::task::Poll;
use std::thread;
use std::time::{Duration, Instant};

/// How many polls the loop makes at most before it turns the reactor, fires timers and reads messages.
///
/// Turning the reactor costs a syscall. One in 128 polls is below a hundredth of a call for each, and at a
/// microsecond a poll an event waits an eighth of a millisecond for it.
const BATCH: u32 = 128;

/// The loop of one runtime, and the engines that it turns.
pub(crate) struct EventLoop {
    /// The tasks and the run queue.
    pub(crate) executor: Rc<Executor>,
    /// The descriptors and their readiness.
    reactor: Reactor,
    /// The part that any thread may use.
    pub(crate) shared: Arc<Shared>,
    /// When the clock was read last, in nanoseconds since the runtime was made.
    read_at: Cell<u64>,
    /// How many polls had begun when the clock was read last.
    polls: Cell<u64>,
    /// Chooses how many polls to make before the clock is read again.
    pace: Pace,
    /// Finds out whether the loop waits for something that cannot come.
    deadlock: DeadlockDetector,
    /// Finds out whether the tasks hold a virtual clock. A real clock has none.
    standstill: Option<Standstill>,
    /// The watchdog's thread, if there is one.
    _watchdog: Option<Watchdog>,
}

impl EventLoop {
    /// Makes a loop without tasks.
    ///
    /// # Errors
    ///
    /// If the operating system has no descriptors or memory left for the event queue, or no thread for the
    /// watchdog.
    pub(crate) fn new(settings: &Settings) -> io::Result<EventLoop> {
        let rounds = Arc::default();
        let reactor = Reactor::new(Arc::clone(&rounds))?;
        let clock = match settings.virtual_clock {
            true => Clock::stopped(),
            false => Clock::Real,
        };
        let inbox = Arc::new(Remote::new(reactor.unparker()));
        let is_watched = settings.watchdog.or(settings.watchdog_thread).is_some();
        let status = Arc::new(LoopStatus::new(is_watched));
        let watchdog = match settings.watchdog_thread {
            Some(limit) => Some(Watchdog::new(Arc::clone(&status), limit)?),
            None => None,
        };
        let executor = Rc::new(Executor::new(
            Arc::clone(&inbox),
            Arc::clone(&status),
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
            owner: thread::current().id(),
            status,
            test_patience: settings.test_patience,
            last_id: AtomicU64::new(0),
            is_visited: AtomicBool::new(false),
        });
        Ok(EventLoop {
            executor,
            reactor,
            shared,
            read_at: Cell::new(0),
            polls: Cell::new(0),
            pace: Pace::new(),
            deadlock: DeadlockDetector::new(
                settings.on_deadlock,
                settings.stall_report,
                settings.stall_to_stderr,
            ),
            standstill: settings.virtual_clock.then(Standstill::default),
            _watchdog: watchdog,
        })
    }

    /// Runs the loop until the root future ends.
    ///
    /// # Panics
    ///
    /// With the panic of the root future, with that of a task if it ends the runtime, and at the end of a
    /// virtual clock.
    pub(crate) fn run<F: Future>(&self, mut root: Pin<&mut F>) -> F::Output {
        assert!(
            !self.executor.is_closed(),
            "this runtime has ended: one of its tasks panicked under `OnTaskPanic::EndRuntime`"
        );
        // The time between two calls of `block_on` counts as neither busy nor parked.
        self.read_at.set(self.nanos());
        self.begin_turn(false);
        let _running = Running::new(self);
        self.executor.take_messages();
        self.executor.queue_root();
        loop {
            // 1. Poll the ready tasks, until about `BATCH` polls are made or `LONGEST_BATCH` has passed. The
            //    clock is read between two strides of polls.
            self.deadlock.awake_if(!self.executor.is_idle());
            let begun = self.read_at.get();
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
                    if polls >= BATCH || self.read_clock() - begun >= LONGEST_BATCH {
                        break;
                    }
                    stride = self.pace.stride();
                    left = stride;
                }
            }
            let left = self.executor.end_polls();

            // 2. Turn the reactor, which wakes the tasks whose descriptors are ready. If no task is ready,
            //    this is the park. Whether a virtual clock may advance is asked before the reactor is turned
            //    and again before messages are read: what a blocking job does comes before its end, and both
            //    come before any deadline.
            let might_advance = self.may_advance_clock();
            let parked = self.turn_reactor();
            let may_advance = might_advance && self.may_advance_clock();

            // 3. Read the messages of other threads.
            self.executor.take_messages();

            // 4. Advance a virtual clock to the next deadline, if still no task is ready.
            if may_advance
                && self.executor.is_idle()
                && let Some(deadline) = self.shared.timers.next()
                && let Some(deadline) = self.shared.timers.instant(deadline)
            {
                self.advance_clock(deadline);
            }

            // 5. Fire the timers that are due.
            let now = self.begin_turn(parked);
            self.shared.timers.fire(now);

            // 6. Let the tasks that steps 2 to 5 have woken go first, if a new round of the run queue begins.
            //    A task that computes and yields then delays them by one poll, not by two.
            self.executor.postpone(left);

            // 7. Find out whether a virtual clock stands still although a deadline waits.
            if let Some(standstill) = &self.standstill {
                standstill.check(self, now);
            }
        }
    }

    /// Turns the reactor, and parks in it if no task is ready. Returns whether it parked.
    ///
    /// What can end the park:
    ///
    /// 1. an event of a registered descriptor;
    /// 2. the earliest deadline of the timers;
    /// 3. a message of another thread ([`Inbox::post`]): a wake, a spawn, an abort, a dropped handle, a
    ///    request for a dump;
    /// 4. a nudge of another thread ([`Inbox::nudge`]), which has set an earlier deadline or dropped the last
    ///    handle;
    /// 5. the end of a blocking job, even if nobody awaits it: it may have held a virtual clock;
    /// 6. a signal that the process handles (`EINTR`), after which the loop parks again;
    /// 7. a timeout of the [deadlock detector](deadlock), if the loop waits for nothing but wakes.
    ///
    /// [`Inbox::post`]: crate::executor::inbox::Inbox::post
    /// [`Inbox::nudge`]: crate::executor::inbox::Inbox::nudge
    fn turn_reactor(&self) -> bool {
        let mut timeout = Some(Duration::ZERO);
        let mut parked = false;
        // The park is announced before the deadlines are read. A thread that begins a sleep in between
        // sees the announcement and nudges.
        if self.announce_park() {
            timeout = self.park_timeout(self.read_clock());
            parked = timeout != Some(Duration::ZERO);
            if parked {
                trace!(
                    "glassfrog::reactor",
                    "no task is ready: waiting for events, {}",
                    match timeout {
                        Some(timeout) => format!("for {timeout:?} at most"),
                        None => String::from("without a timeout"),
                    }
                );
            }
            // The logger and the report of a deadlock are foreign code, and may have woken a task.
            if !self.executor.is_idle() {
                timeout = Some(Duration::ZERO);
            }
        }
        self.executor.publish();
        let events = self.reactor.turn(timeout);
        self.shared.status.events.add(events as u64);
        parked
    }

    /// Announces a park, if no task is ready and no message has come.
    fn announce_park(&self) -> bool {
        while self.executor.is_idle() {
            if self.shared.inbox.announce_park() {
                return true;
            }
            self.executor.take_messages();
        }
        false
    }

    /// Returns how long a park that begins now may last: until the next deadline, or without a limit. If a
    /// virtual clock can be advanced to that deadline, the loop does not park.
    fn park_timeout(&self, now: u64) -> Option<Duration> {
        match self.shared.timers.next() {
            None => self.deadlock.park_timeout(self),
            Some(_) if self.shared.clock.is_virtual() => {
                self.may_advance_clock().then_some(Duration::ZERO)
            }
            Some(deadline) => Some(Duration::from_nanos(deadline.saturating_sub(now))),
        }
    }

    /// Returns the time in nanoseconds since the runtime was made.
    fn nanos(&self) -> u64 {
        self.shared.timers.nanos(self.shared.clock.now())
    }

    /// Reads the clock during a turn. The time since the last reading was spent on the polls since then.
    #[inline(never)]
    fn read_clock(&self) -> u64 {
        let now = self.nanos();
        let mut spent = now.saturating_sub(self.read_at.replace(now));
        // A virtual clock is advanced; the time that it shows is not spent.
        if self.shared.clock.is_virtual() {
            spent = 0;
        }
        self.shared.status.busy.add(spent);
        let polls = self.executor.polls();
        let made = polls - self.polls.replace(polls);
        if made > 0 {
            self.pace.note(made, spent);
        }
        now
    }

    /// Reads the clock and begins a turn. Before it, the loop may have parked.
    fn begin_turn(&self, parked: bool) -> u64 {
        let now = match parked {
            false => self.read_clock(),
            true => {
                let status = &self.shared.status;
                let now = self.nanos();
                status.parks.add(1);
                status
                    .parked
                    .add(now.saturating_sub(self.read_at.replace(now)));
                now
            }
        };
        self.executor.begin_turn(Stamp::new(now));
        now
    }

    /// Returns whether the clock may be advanced when no task is ready: it is virtual, and no blocking job
    /// holds it.
    fn may_advance_clock(&self) -> bool {
        self.shared.clock.is_virtual() && !self.shared.pool.is_busy()
    }

    /// Advances a virtual clock to the next deadline.
    ///
    /// # Panics
    ///
    /// If the deadline is past the end of the clock.
    fn advance_clock(&self, deadline: Instant) {
        let clock = &self.shared.clock;
        if !clock.can_show(deadline) {
            panic!(
                "the virtual clock has come to its end, 200 years after its runtime was made: no task is \
                 ready, and the next deadline is {:?} away; sleep for less, or use `Duration::MAX` for a \
                 sleep that never ends:\n{}",
                deadline.saturating_duration_since(clock.now()),
                self.dump()
            );
        }
        clock.advance_to(deadline);
        // This time counts as neither busy nor parked.
        self.read_at.set(self.nanos());
    }

    /// Ends the runtime with the panic of a task.
    fn end(&self, panic: Payload) -> ! {
        self.shut_down();
        resume_unwind(panic)
    }

    /// Cancels all tasks, jobs, waits and sleeps. The caller has entered the context.
    pub(crate) fn shut_down(&self) {
        let messages = self.shared.inbox.close();
        // Before the tasks, so that the pool takes no job that their drops submit.
        self.shared.pool.shut_down();
        self.executor.shut_down(messages);
        self.reactor.shut_down();
        self.shared.timers.shut_down();
    }
}

/// Ends the last turn when dropped, also when a panic unwinds.
struct Running<'a>(&'a EventLoop);

impl<'a> Running<'a> {
    /// Notes that the loop runs.
    fn new(event_loop: &'a EventLoop) -> Running<'a> {
        event_loop.shared.status.set_running(true);
        Running(event_loop)
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.shared.status.set_running(false);
        self.0.executor.end_polls();
        if let Some(standstill) = &self.0.standstill {
            standstill.reset();
        }
        self.0.begin_turn(false);
        self.0.executor.publish();
    }
}

impl fmt::Debug for EventLoop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (tasks, sockets) = (self.executor.len(), self.shared.sources.len());
        f.debug_struct("Runtime")
            .field("tasks", &tasks)
            .field("sockets", &sockets)
            .finish_non_exhaustive()
    }
}

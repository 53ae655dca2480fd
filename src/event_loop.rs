//! The event loop: polls the ready tasks, turns the reactor and fires the timers.
//!
//! A [`Runtime`](crate::Runtime) creates an [`EventLoop`]. The loop owns an executor, a reactor, timers and a pool,
//! which do not know one another and meet only here. A turn has two halves, whose steps are numbered:
//! [`EventLoop::poll_batch`] and [`EventLoop::look_around`]. [`EventLoop::turn_reactor`] lists the events that can
//! end the park.
//!
//! [`EventLoop::run`] makes turns until the future of `block_on` completes, and [`EventLoop::turn`] makes one turn
//! for a foreign loop. A foreign loop waits in the operating system itself, for the descriptor of the event queue.
//! The descriptor is readable when a socket is ready. Between two turns the event loop is [at rest](EventLoop::rest):
//! it counts as parked, and any message or nudge makes the descriptor readable.

mod circles;
pub(crate) mod deadlock;
#[cfg(unix)]
mod descriptor;
mod dump;
#[cfg(feature = "sim")]
mod host;
mod inspection;
mod only_thread;
pub(crate) mod others;
mod pace;
mod pool_dump;
mod settings;
mod shared;
mod spinning;
mod standstill;
#[cfg(feature = "sim")]
mod step;
mod traces;
mod turned;
mod watchdog;

#[cfg(feature = "sim")]
pub(crate) use self::host::SimulatedHost;
pub(crate) use self::settings::{Settings, TIMELINE_EVENTS, TimelineOutput};
pub(crate) use self::shared::Shared;
#[cfg(feature = "sim")]
pub(crate) use self::step::Stepped;
pub use self::turned::Turned;

use self::deadlock::DeadlockDetector;
use self::inspection::Inspector;
use self::pace::{LONGEST_BATCH, Pace};
use self::standstill::StandstillDetector;
use self::watchdog::Watchdog;
use crate::clock::Stamp;
use crate::executor::repeats::PAUSE;
use crate::executor::status::LoopStatus;
use crate::executor::{Choices, Executor, Payload, Polled};
use crate::foreign::trace;
use crate::reactor::Reactor;
use crate::timers::Timers;
use crate::traces::Traces;
use std::cell::Cell;
use std::fmt;
use std::io;
use std::panic::{Location, resume_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::task::Poll;
use std::thread;
use std::time::{Duration, Instant};

/// The maximum number of polls before the loop turns the reactor, fires timers and reads messages.
///
/// Turning the reactor costs a syscall, and each of 128 polls bears less than a hundredth of it. If a poll takes a
/// microsecond, an event waits for at most an eighth of a millisecond.
const BATCH: u32 = 128;

/// The text of the panic or error of a loop that has ended before its `Runtime` was dropped.
const ENDED: &str =
    "this runtime has ended: one of its tasks panicked under `OnTaskPanic::EndRuntime`";

/// The loop of one runtime, and the engines that it turns.
pub(crate) struct EventLoop {
    /// The tasks and the run queue.
    pub(crate) executor: Rc<Executor>,
    /// The descriptors and their readiness.
    reactor: Reactor,
    /// The part that any thread may use.
    pub(crate) shared: Arc<Shared>,
    /// When the clock was read last, in nanoseconds since the runtime was created.
    read_at: Cell<u64>,
    /// How many polls had begun when the clock was read last.
    polls: Cell<u64>,
    /// Chooses how many polls to make before the clock is read again.
    pace: Pace,
    /// Finds out whether anything can still wake a task.
    deadlock: DeadlockDetector,
    /// Looks for circles and for tasks that do not get on.
    inspector: Inspector,
    /// Finds out whether the tasks stop a virtual clock. `None` with a real clock.
    standstill: Option<StandstillDetector>,
    /// Whether a foreign loop has obtained the descriptor of the event queue.
    is_handed_out: Cell<bool>,
    /// The watchdog's thread, if there is one.
    _watchdog: Option<Watchdog>,
    /// The thread that writes the timeline during a slow poll, if there is one.
    _flight_recorder: Option<Watchdog>,
}

impl EventLoop {
    /// Creates a loop without tasks.
    ///
    /// # Errors
    ///
    /// Returns an error if the operating system has no descriptors or memory left for the event queue, or cannot
    /// start the thread of the watchdog.
    pub(crate) fn new(settings: &Settings) -> io::Result<EventLoop> {
        let number = others::new_number();
        let rounds = Arc::default();
        let clock = settings.clock();
        let epoch = clock.now();
        let recorder = settings.recorder(&clock, epoch);
        let reactor = settings.reactor(Arc::clone(&rounds), recorder.clone())?;
        let inbox = Arc::new(settings.inbox(&reactor, recorder.clone()));
        let is_watched = settings.watchdog.or(settings.watchdog_thread).is_some();
        let status = Arc::new(LoopStatus::new(is_watched));
        let pause = settings.test_patience.unwrap_or(PAUSE);
        let watchdog = match settings.watchdog_thread {
            Some(limit) => Some(Watchdog::new(Arc::clone(&status), limit, pause)?),
            None => None,
        };
        let flight_recorder = match (&settings.timeline_on_slow_poll, &recorder) {
            (Some((limit, path)), Some(recorder)) => Some(Watchdog::flight_recorder(
                Arc::clone(&status),
                *limit,
                recorder,
                path,
            )?),
            _ => None,
        };
        let traces = settings.traces_waits().then(|| Arc::new(Traces::new()));
        let executor = Rc::new(Executor::new(
            number,
            Arc::clone(&inbox),
            Arc::clone(&status),
            rounds,
            traces.clone(),
            Choices {
                seed: settings.seed,
                on_panic: settings.on_task_panic,
                watchdog: settings.watchdog,
                pause,
            },
        ));
        let job_ended = futures_task::waker(Arc::clone(&inbox));
        let shared = Arc::new(Shared {
            number,
            worker: settings.worker,
            inbox,
            timers: Timers::new(epoch),
            sources: Arc::clone(reactor.sources()),
            clock,
            pool: Arc::new(settings.pool(job_ended)),
            owner: thread::current().id(),
            status,
            test_patience: settings.test_patience,
            traces,
            recorder,
            #[cfg(feature = "sim")]
            host: settings.host.as_ref().map(|host| host.host.clone()),
            last_id: AtomicU64::new(0),
            had_outside_waiter: AtomicBool::new(false),
        });
        others::enlist(&shared);
        if let Some(traces) = &shared.traces {
            let engines = Arc::downgrade(&shared);
            traces.set_engines(engines);
        }
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
            inspector: Inspector::new(),
            standstill: settings.virtual_clock.then(StandstillDetector::default),
            is_handed_out: Cell::new(false),
            _watchdog: watchdog,
            _flight_recorder: flight_recorder,
        })
    }

    /// Runs the loop until the root future completes. The program has called `block_on` at `location`.
    ///
    /// # Panics
    ///
    /// Panics if the root future panics, if the panic of a task ends or has ended the runtime, if a virtual clock
    /// reaches its end, if another thread tells the loop to panic (`executor/message.rs`), and in a deadlock under
    /// [`OnDeadlock::Panic`](deadlock::OnDeadlock::Panic).
    pub(crate) fn run<F: Future>(
        &self,
        mut root: Pin<&mut F>,
        location: Option<&'static Location<'static>>,
    ) -> F::Output {
        assert!(!self.executor.is_closed(), "{ENDED}");
        let _running = self.begin(true);
        self.executor.set_root_location(location);
        self.begin_turn(false);
        self.executor.queue_root();
        loop {
            let root = || self.executor.poll_root(root.as_mut());
            if let Poll::Ready(output) = self.poll_batch(root) {
                return output;
            }
            if let Err(error) = self.look_around(Wait::Reporting) {
                panic!("the event queue of the operating system failed: {error}");
            }
        }
    }

    /// Makes one turn for a foreign loop, which waits for at most `timeout`. The turn checks for events before it
    /// polls, so an event and the poll that it causes are in the same turn.
    ///
    /// # Errors
    ///
    /// Returns an error if the runtime has ended, or if the event queue has become unusable.
    ///
    /// # Panics
    ///
    /// Panics if the panic of a task ends the runtime, and if a virtual clock reaches its end.
    pub(crate) fn turn(&self, timeout: Option<Duration>) -> io::Result<Turned> {
        if self.executor.is_closed() {
            return Err(io::Error::other(ENDED));
        }
        let _running = self.begin(false);
        let before = self.executor.polls();
        let events = self.look_around(Wait::AtMost(timeout))?;
        let Poll::Pending = self.poll_batch(|| self.executor.skip_root());
        self.executor.end_polls();
        self.executor.take_messages();
        Ok(Turned {
            polled: usize::try_from(self.executor.polls() - before).unwrap_or(usize::MAX),
            events,
            is_ready: self.has_work(),
        })
    }

    /// Begins to run the loop, with a root future or without, until the guard is dropped.
    fn begin(&self, has_root: bool) -> Running<'_> {
        // The time at rest counts as neither busy nor parked.
        self.read_at.set(self.nanos());
        if let Some(recorder) = &self.shared.recorder {
            recorder.begin_run();
        }
        self.executor.begin(has_root);
        self.shared.status.set_running(true);
        let running = Running {
            event_loop: self,
            was_panicking: thread::panicking(),
        };
        self.executor.take_messages();
        running
    }

    /// The first half of a turn: polls. `root` polls the root future. Returns its output if it ends.
    #[inline(always)]
    fn poll_batch<T>(&self, mut root: impl FnMut() -> Poll<T>) -> Poll<T> {
        // 1. Poll the ready tasks, for at most `BATCH` polls or until `LONGEST_BATCH` has passed. The clock is read
        //    after each stride of polls.
        self.deadlock.reset_if(!self.executor.is_idle());
        let begun = self.read_at.get();
        let (mut polls, mut stride) = (0, self.pace.stride());
        let mut left = stride;
        loop {
            match self.executor.poll_next() {
                Polled::Task => {}
                Polled::Root => {
                    if let Poll::Ready(output) = root() {
                        return Poll::Ready(output);
                    }
                }
                Polled::Nothing => return Poll::Pending,
                Polled::Panicked(payload) => self.end(payload),
            }
            left -= 1;
            if left == 0 {
                polls += stride;
                if polls >= BATCH || self.read_clock() - begun >= LONGEST_BATCH {
                    return Poll::Pending;
                }
                stride = self.pace.stride().min(BATCH - polls);
                left = stride;
            }
        }
    }

    /// The second half of a turn: looks for events, messages and deadlines. Returns the number of events.
    ///
    /// # Errors
    ///
    /// Returns an error if the event queue has become unusable.
    // Inlined like the other half: calls in each turn made a lone echo 3 % more expensive.
    #[inline(always)]
    fn look_around(&self, wait: Wait) -> io::Result<usize> {
        let left = self.executor.end_polls();

        // 2. Look for circles of waits and for tasks that do not get on, at most once a second.
        self.inspector.inspect(self, self.read_at.get());

        // 3. Turn the reactor, which wakes the tasks whose descriptors are ready. If no task is ready, this is the
        //    park. The loop checks whether a virtual clock may advance both before it turns the reactor and before
        //    it reads messages. So the effects of a blocking job, and its end, are seen before any deadline passes.
        let might_advance = self.may_advance_clock();
        let (events, parked) = self.turn_reactor(wait)?;
        let may_advance = might_advance && self.may_advance_clock();

        // 4. Read the messages from other threads.
        self.executor.take_messages();

        // 5. If still no task is ready, advance a virtual clock to the next deadline.
        if may_advance
            && self.executor.is_idle()
            && let Some(deadline) = self.next_deadline()
        {
            self.advance_clock(deadline);
        }

        // 6. Fire the timers that are due.
        let now = self.begin_turn(parked);
        self.shared.fire_timers(now);

        // 7. If a new round of the run queue begins, let the tasks that steps 3 to 6 have woken go first. A task
        //    that computes and yields then delays them by one poll, not two.
        self.executor.postpone(left);

        // 8. Check whether a virtual clock stands still although a deadline is pending.
        if let Some(standstill) = &self.standstill {
            standstill.check(self, now);
        }
        Ok(events)
    }

    /// Turns the reactor, and parks in it if no task is ready. Returns the number of events, and whether it parked.
    ///
    /// These events end the park:
    ///
    /// 1. an event of a registered descriptor;
    /// 2. the earliest deadline of the timers;
    /// 3. a message from another thread ([`Inbox::post`]): a wake, a spawn, an abort, a dropped handle, or a
    ///    request for a dump;
    /// 4. a nudge from another thread ([`Inbox::nudge`]), which has set an earlier deadline or dropped the last
    ///    handle;
    /// 5. the end of a blocking job, even if no task awaits it: it may have stopped a virtual clock;
    /// 6. a signal that the process handles (`EINTR`), after which the loop parks again;
    /// 7. a timeout of the [deadlock detector](deadlock), if the loop waits only for wakes;
    /// 8. a timeout of the [inspector](inspection), once after tasks have begun to wait for one another.
    ///
    /// [`Inbox::post`]: crate::executor::inbox::Inbox::post
    /// [`Inbox::nudge`]: crate::executor::inbox::Inbox::nudge
    ///
    /// # Errors
    ///
    /// Returns an error if the event queue has become unusable.
    #[inline(always)]
    fn turn_reactor(&self, wait: Wait) -> io::Result<(usize, bool)> {
        let mut timeout = Some(Duration::ZERO);
        let mut parked = false;
        // The park is announced before the deadlines are read. A thread that sets a deadline in between sees the
        // announcement and nudges the loop.
        if wait != Wait::AtMost(Some(Duration::ZERO)) && self.announce_park() {
            timeout = self.park_timeout(self.read_clock(), wait);
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
            // The logger and the handler of a deadlock are foreign code, which may have woken a task.
            if !self.executor.is_idle() {
                timeout = Some(Duration::ZERO);
            } else if let Some(recorder) = self.shared.recorder.as_ref().filter(|_| parked) {
                recorder.begin_park();
            }
        }
        self.executor.publish();
        let events = self.reactor.turn(timeout)?;
        self.shared.status.events.add(events as u64);
        Ok((events, parked))
    }

    /// Announces a park. Returns false if a task is ready instead.
    fn announce_park(&self) -> bool {
        while self.executor.is_idle() {
            if self.shared.inbox.announce_park() {
                return true;
            }
            self.executor.take_messages();
        }
        false
    }

    /// Returns the timeout of a park that begins now, which ends at the next deadline. If a virtual clock can be
    /// advanced to that deadline, the timeout is zero, and the loop does not park.
    fn park_timeout(&self, now: u64, wait: Wait) -> Option<Duration> {
        let timeout = match self.shared.timers.next() {
            None if wait == Wait::Reporting => self.deadlock.park_timeout(self),
            None => None,
            Some(_) if self.shared.clock.is_virtual() => {
                self.may_advance_clock().then_some(Duration::ZERO)
            }
            Some(deadline) => Some(Duration::from_nanos(deadline.saturating_sub(now))),
        };
        match wait {
            Wait::Reporting => self.inspector.park_timeout(self, now, timeout),
            Wait::AtMost(Some(limit)) => Some(timeout.map_or(limit, |timeout| timeout.min(limit))),
            Wait::AtMost(None) => timeout,
        }
    }

    /// Returns the next deadline, or `None` if no deadline is ever reached.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        let deadline = self.shared.timers.next()?;
        self.shared.timers.instant(deadline)
    }

    /// Returns whether another turn would poll a task without waiting. Under a virtual clock, a turn does not wait
    /// for deadlines.
    fn has_work(&self) -> bool {
        let advances = || self.may_advance_clock() && self.shared.timers.next().is_some();
        !self.executor.is_idle() || advances()
    }

    /// Puts the loop at rest when the thread has left the runtime. From then on, wakes and spawns on this thread are
    /// messages, like those of other threads, and make the descriptor readable for a foreign loop. If there is work
    /// already, makes it readable now.
    pub(crate) fn rest(&self) {
        if self.is_handed_out.get() && (self.has_work() || !self.shared.inbox.announce_park()) {
            self.shared.inbox.unpark();
        }
    }

    /// Returns the time in nanoseconds since the runtime was created.
    fn nanos(&self) -> u64 {
        self.shared.timers.nanos(self.shared.clock.now())
    }

    /// Reads the clock during a turn. The time since the last reading was spent on the polls since then.
    #[inline(never)]
    fn read_clock(&self) -> u64 {
        let now = self.nanos();
        let mut spent = now.saturating_sub(self.read_at.replace(now));
        // A virtual clock jumps: no time was spent.
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

    /// Reads the clock and begins a turn. `parked` says whether the loop parked just before.
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
    /// stops it.
    fn may_advance_clock(&self) -> bool {
        self.shared.clock.is_virtual() && !self.shared.pool.is_busy()
    }

    /// Advances a virtual clock to the next deadline.
    ///
    /// # Panics
    ///
    /// Panics if the deadline is past the end of the clock.
    fn advance_clock(&self, deadline: Instant) {
        let clock = &self.shared.clock;
        if !clock.can_show(deadline) {
            panic!(
                "the virtual clock has reached its end, 200 years after its runtime was created: no task is \
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
        if let Some(recorder) = &self.shared.recorder {
            recorder.finish();
        }
        let messages = self.shared.inbox.close();
        // The pool comes before the tasks, so that it refuses jobs that the destructors of tasks submit.
        self.shared.pool.shut_down();
        self.executor.shut_down(messages);
        self.reactor.shut_down();
        self.shared.timers.shut_down();
        if let Some(traces) = &self.shared.traces {
            traces.clear();
        }
        others::strike_off(&self.shared);
    }
}

/// How long a loop without ready tasks waits.
#[derive(Clone, Copy, PartialEq)]
enum Wait {
    /// Until something happens. A deadlock is reported.
    Reporting,
    /// For at most this long; `None`: until something happens. There are no reports, because the runtime does not
    /// know what a foreign loop waits for.
    AtMost(Option<Duration>),
}

/// A guard that ends the last turn when dropped, even if a panic unwinds.
struct Running<'a> {
    /// The loop.
    event_loop: &'a EventLoop,
    /// Whether the thread was panicking when the turn began: then it runs in a destructor.
    was_panicking: bool,
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        let event_loop = self.event_loop;
        if let Some(recorder) = &event_loop.shared.recorder {
            recorder.end_unwound_poll();
            if thread::panicking() && !self.was_panicking {
                recorder.write();
            }
        }
        event_loop.executor.end_polls();
        if let Some(standstill) = &event_loop.standstill {
            standstill.reset();
        }
        event_loop.read_clock();
        event_loop.executor.rest();
        event_loop.executor.publish();
        event_loop.shared.status.set_running(false);
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

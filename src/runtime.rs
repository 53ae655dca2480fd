//! The runtime: THE loop, and the three engines that it turns.
//!
//! Executor, reactor and timers do not know one another; they meet here. A turn of the loop:
//!
//! 1. poll the ready tasks, at most [`BATCH`] polls;
//! 2. turn the reactor: wake those whose descriptors are ready. If nobody is ready to run, this is
//!    the park, and it lasts until something happens;
//! 3. take what other threads have left in the inbox;
//! 4. if the clock is virtual and there is still nothing to do, move it to the next deadline;
//! 5. fire the timers that are due.
//!
//! What can end the park:
//!
//! 1. an event of a registered descriptor (data, room, a connection, a hang-up);
//! 2. the earliest deadline among the timers;
//! 3. a message from another thread, in [`Inbox::post`]: the wake of a task, a new task, an
//!    abort, a handle that was dropped there;
//! 4. a sleep that another thread begins and that ends before all others, in [`Inbox::nudge`];
//! 5. a signal that the process handles (`EINTR`), after which the loop parks again;
//! 6. the end of a blocking job, under a virtual clock, which the job has held.
//!
//! The clock is read before and after a park if there are deadlines, and once in a turn that does
//! not park if there are; without deadlines never.

use crate::clock::Clock;
use crate::executor::inbox::Inbox;
use crate::executor::outcome::{Id, OnTaskPanic, Payload};
use crate::executor::{Executor, Next, Remote};
use crate::pool::{DEFAULT_THREADS, Pool};
use crate::reactor::{Reactor, Sources};
use crate::timers::Timers;
use std::fmt;
use std::io;
use std::panic::resume_unwind;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;
use std::time::Duration;

/// How many polls there are at most before the reactor, the timers and the inbox are looked at.
///
/// The look costs a syscall. One in 128 polls is below a hundredth of a call for each, and at a
/// microsecond a poll an event waits an eighth of a millisecond for it.
const BATCH: usize = 128;

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
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            virtual_clock: false,
            seed: None,
            blocking_threads: DEFAULT_THREADS,
            on_task_panic: OnTaskPanic::default(),
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
    /// The id of the last task that was spawned; 0 is the root future's.
    last_id: AtomicU64,
}

impl Shared {
    /// The id of a new task.
    pub(crate) fn new_id(&self) -> Id {
        // Relaxed is enough: nothing but the number depends on it.
        Id(self.last_id.fetch_add(1, Ordering::Relaxed) + 1)
    }
}

impl Core {
    /// Engines that are at rest.
    ///
    /// # Errors
    ///
    /// If the operating system has no descriptors or memory left for the event queue.
    pub(crate) fn new(settings: &Settings) -> io::Result<Core> {
        let reactor = Reactor::new()?;
        let clock = match settings.virtual_clock {
            true => Clock::stopped(),
            false => Clock::Real,
        };
        let job_ended = settings.virtual_clock.then(|| reactor.unparker());
        let inbox = Arc::new(Inbox::new(reactor.unparker()));
        let executor = Rc::new(Executor::new(
            Arc::clone(&inbox),
            settings.seed,
            settings.on_task_panic,
        ));
        let shared = Arc::new(Shared {
            inbox,
            timers: Timers::new(clock.now()),
            sources: Arc::clone(reactor.sources()),
            clock,
            pool: Arc::new(Pool::new(settings.blocking_threads, job_ended)),
            last_id: AtomicU64::new(0),
        });
        Ok(Core {
            executor,
            reactor,
            shared,
        })
    }

    /// The loop: runs until the root future ends.
    ///
    /// # Panics
    ///
    /// With the panic of the root future, or of a task if that is to end the runtime.
    pub(crate) fn run<F: Future>(&self, mut root: Pin<&mut F>) -> F::Output {
        assert!(
            !self.executor.is_closed(),
            "this runtime has ended: one of its tasks panicked, and `OnTaskPanic::EndRuntime` was \
             asked for"
        );
        self.executor.take_messages();
        self.executor.queue_root();
        loop {
            for _ in 0..BATCH {
                match self.executor.next() {
                    Some(Next::Task(key)) => {
                        if let Some(panic) = self.executor.poll(key) {
                            self.end(panic);
                        }
                    }
                    Some(Next::Root) => {
                        if let Poll::Ready(output) = self.executor.poll_root(root.as_mut()) {
                            return output;
                        }
                    }
                    None => break,
                }
            }
            self.reactor.turn(self.patience());
            // Asked before the inbox is emptied: what a job leaves there comes before its end.
            let may_leap = self.may_leap();
            self.executor.take_messages();
            if may_leap
                && self.executor.is_idle()
                && let Some(deadline) = self.shared.timers.next()
            {
                self.shared.clock.advance_to(deadline);
            }
            self.shared.timers.fire(|| self.shared.clock.now());
        }
    }

    /// How long the reactor may wait: not at all if somebody is ready, else until the next
    /// deadline, or without end.
    fn patience(&self) -> Option<Duration> {
        // The park is announced before the deadlines are looked at: a sleep that another thread
        // begins in between sees the announcement and nudges.
        if !self.executor.is_idle() || !self.shared.inbox.announce_park() {
            return Some(Duration::ZERO);
        }
        let deadline = self.shared.timers.next()?;
        if self.shared.clock.is_virtual() {
            return self.may_leap().then_some(Duration::ZERO);
        }
        Some(deadline.saturating_duration_since(self.shared.clock.now()))
    }

    /// Whether the clock may be moved when there is nothing to do: a virtual one that no blocking
    /// job holds.
    fn may_leap(&self) -> bool {
        self.shared.clock.is_virtual() && !self.shared.pool.is_busy()
    }

    /// Ends the runtime with the panic of a task.
    fn end(&self, panic: Payload) -> ! {
        self.shut_down();
        resume_unwind(panic)
    }

    /// Cancels everything. The caller has made this the context of the thread.
    pub(crate) fn shut_down(&self) {
        let messages = self.shared.inbox.close();
        self.executor.shut_down(messages);
        self.shared.pool.shut_down();
        self.reactor.shut_down();
        self.shared.timers.shut_down();
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

//! The runtime: THE loop, and the three engines that it turns.
//!
//! Executor, reactor and timers do not know one another; they meet here. A turn of the loop:
//!
//! 1. poll the ready tasks, at most [`BATCH`] polls;
//! 2. turn the reactor: wake those whose descriptors are ready. If nobody is ready to run, this is
//!    the park, and it lasts until something happens;
//! 3. fire the timers that are due;
//! 4. take what other threads have left in the inbox.
//!
//! What can end the park:
//!
//! 1. an event of a registered descriptor (data, room, a connection, a hang-up);
//! 2. the earliest deadline among the timers;
//! 3. a message from another thread, in [`Inbox::post`]: the wake of a task, a new task, an
//!    abort, a handle that was dropped there;
//! 4. a sleep that another thread begins and that ends before all others, in [`Inbox::nudge`];
//! 5. a signal that the process handles (`EINTR`), after which the loop parks again.
//!
//! The clock is read before and after a park if there are deadlines, and once in a turn that does
//! not park if there are; without deadlines never.

use crate::clock::Clock;
use crate::executor::inbox::Inbox;
use crate::executor::outcome::Id;
use crate::executor::{Executor, Next, Remote};
use crate::reactor::{Reactor, Sources};
use crate::timers::Timers;
use std::fmt;
use std::io;
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
    pub(crate) fn new() -> io::Result<Core> {
        let reactor = Reactor::new()?;
        let clock = Clock;
        let inbox = Arc::new(Inbox::new(reactor.unparker()));
        let executor = Rc::new(Executor::new(Arc::clone(&inbox)));
        let shared = Arc::new(Shared {
            inbox,
            timers: Timers::new(clock.now()),
            sources: Arc::clone(reactor.sources()),
            clock,
            last_id: AtomicU64::new(0),
        });
        Ok(Core {
            executor,
            reactor,
            shared,
        })
    }

    /// The loop: runs until the root future ends.
    pub(crate) fn run<F: Future>(&self, mut root: Pin<&mut F>) -> F::Output {
        self.executor.take_messages();
        self.executor.queue_root();
        loop {
            for _ in 0..BATCH {
                match self.executor.next() {
                    Some(Next::Task(key)) => self.executor.poll(key),
                    Some(Next::Root) => {
                        if let Poll::Ready(output) = self.executor.poll_root(root.as_mut()) {
                            return output;
                        }
                    }
                    None => break,
                }
            }
            self.reactor.turn(self.patience());
            self.shared.timers.fire(|| self.shared.clock.now());
            self.executor.take_messages();
        }
    }

    /// How long the reactor may wait: not at all if somebody is ready, else until the next
    /// deadline, or without end.
    fn patience(&self) -> Option<Duration> {
        // The park is announced before the deadlines are looked at: a sleep that another thread
        // begins in between sees the announcement and nudges.
        if self.executor.is_idle() && self.shared.inbox.announce_park() {
            self.shared.timers.next(|| self.shared.clock.now())
        } else {
            Some(Duration::ZERO)
        }
    }

    /// Cancels everything. The caller has made this the context of the thread.
    pub(crate) fn shut_down(&self) {
        let messages = self.shared.inbox.close();
        self.executor.shut_down(messages);
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

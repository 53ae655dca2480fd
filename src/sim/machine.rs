//! [`Machine`]: a host or a client, as the driver sees it.
//!
//! ```text
//!             boot                 pause
//!    fresh ----------> running <----------> paused
//!                       |  ^      resume      |
//!      crash, kill,     |  | boot             | crash, kill
//!      the software     v  |                  v
//!      has ended       down <------------------
//! ```

use super::Result;
use super::clock::Clock;
use super::inside::{self, Here};
use super::origin::Origins;
use crate::clock::host::HostClock;
use crate::context;
use crate::dump::Dump;
use crate::event_loop::{EventLoop, Settings, SimulatedHost, Stepped, TimelineOutput};
use crate::executor::unreceived::TaskPanic;
use crate::foreign::panic_message;
use crate::task::{self, JoinHandle};
use crate::wire::{Host, Mask};
use std::any::Any;
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::{io, mem};

/// Creates the software of a host.
pub(super) type Software = Box<dyn FnMut() -> Pin<Box<dyn Future<Output = Result>>>>;

/// A host or a client.
pub(super) struct Machine {
    /// What the host may ask of the simulation.
    pub(super) here: Arc<Here>,
    /// Rings when the host has something to do.
    bell: Waker,
    /// Creates the software.
    software: Software,
    /// Where the test has added the machine.
    location: &'static Location<'static>,
    /// Whether the run waits for the end of the software, which cannot be restarted.
    pub(super) is_client: bool,
    /// Whether a client has ended.
    pub(super) has_ended: bool,
    /// Whether the host has power. Without it, its kernel does not answer either.
    pub(super) has_power: bool,
    /// Whether a fault that the seed has chosen has ended the process, and its end will start it again. No longer so once
    /// the test has crashed, killed or restarted the host.
    pub(super) is_felled: bool,
    /// Who has stopped the process.
    pub(super) paused: Origins,
    /// The clock.
    pub(super) clock: Arc<HostClock>,
    /// What the test has made of the clock.
    pub(super) clock_set: Clock,
    /// By how many parts in a million a fault that the seed has chosen makes the clock fast, besides.
    pub(super) drift: i64,
    /// By how many nanoseconds a fault that the seed has chosen has set the wall clock ahead, and will set it back.
    pub(super) step: i64,
    /// The process, if the host runs.
    process: Option<Process>,
    /// The sockets that have become ready since the last step.
    pub(super) ready: Vec<(usize, Mask)>,
    /// When the driver has planned to look at the timers of the host.
    pub(super) timer: Option<u64>,
    /// For how many jobs of the process the driver has planned when to run one: at least as many as the pool holds.
    pub(super) due_jobs: usize,
    /// The panics of tasks that nothing was waiting for, but whose handles may still receive them.
    panics: Vec<TaskPanic>,
}

/// The process of a host.
struct Process {
    /// The runtime.
    event_loop: Rc<EventLoop>,
    /// The task of the software, until it has ended.
    main: Option<JoinHandle<Result>>,
}

/// What a step of a host came to.
pub(super) struct Step {
    /// The number of polls.
    pub(super) polls: u64,
    /// Whether the host has more to do at this moment.
    pub(super) is_ready_again: bool,
    /// The number of jobs that nobody has run.
    pub(super) held_jobs: usize,
    /// How the software ended, if it has ended in this step.
    pub(super) outcome: Option<Outcome>,
    /// When the host has to be looked at again because of its timers.
    pub(super) timer: Option<u64>,
}

/// How the software of a host ended.
pub(super) enum Outcome {
    /// It returned this.
    Returned(Result),
    /// A task has panicked with this message.
    Panicked(String),
}

impl Machine {
    /// Creates a machine that has not booted.
    pub(super) fn new(
        here: Arc<Here>,
        bell: Waker,
        clock: Arc<HostClock>,
        is_client: bool,
        software: Software,
        location: &'static Location<'static>,
    ) -> Machine {
        Machine {
            here,
            bell,
            software,
            location,
            is_client,
            has_ended: false,
            has_power: true,
            is_felled: false,
            paused: Origins::default(),
            clock,
            clock_set: Clock::default(),
            drift: 0,
            step: 0,
            process: None,
            ready: Vec::new(),
            timer: None,
            due_jobs: 0,
            panics: Vec::new(),
        }
    }

    /// Returns by how many parts in a million the clock is fast.
    pub(super) fn ppm(&self) -> i64 {
        let ppm = self.clock_set.ppm + self.drift;
        ppm.clamp(HostClock::SLOWEST, HostClock::FASTEST)
    }

    /// Returns whether the machine has a process.
    pub(super) fn is_up(&self) -> bool {
        self.process.is_some()
    }

    /// Returns the runtime of the process.
    pub(super) fn event_loop(&self) -> Option<&Rc<EventLoop>> {
        self.process.as_ref().map(|process| &process.event_loop)
    }

    /// Starts the process. Returns the message of the panic if the closure that creates the software panics.
    ///
    /// # Errors
    ///
    /// Returns an error if no runtime can be created.
    pub(super) fn boot(&mut self) -> io::Result<Option<String>> {
        let timeline = self.here.simulation.timeline.as_ref();
        let recorder = timeline.map(|timeline| {
            let clock = Arc::clone(&self.clock);
            timeline.host(
                self.here.id,
                &self.here.name,
                crate::clock::Clock::Simulated(clock),
            )
        });
        let settings = Settings {
            seed: Some(self.here.rng.next_u64()),
            // The time of a simulated poll is real, so what a watchdog reports differs from run to run.
            watchdog: None,
            // The simulation writes one file for all its hosts.
            output: TimelineOutput::Chosen(None),
            host: Some(SimulatedHost {
                host: Host {
                    wire: Arc::clone(&self.here.simulation.wire),
                    id: self.here.id,
                },
                clock: Arc::clone(&self.clock),
                bell: self.bell.clone(),
                recorder,
            }),
            ..Settings::default()
        };
        let event_loop = Rc::new(EventLoop::new(&settings)?);
        let inside = inside::enter(&self.here);
        let context = context::enter(&event_loop);
        let software = &mut self.software;
        // The closure is foreign code. If it panics, the host has failed, not the driver.
        let main = catch_unwind(AssertUnwindSafe(|| {
            task::spawn_named(Some("main".into()), self.location, software())
        }));
        drop(context);
        drop(inside);
        let (main, panic) = match main {
            Ok(main) => (Some(main), None),
            Err(panic) => (None, Some(in_words("its software", &*panic))),
        };
        self.paused = Origins::default();
        self.process = Some(Process { event_loop, main });
        Ok(panic)
    }

    /// Lets the process do all that it can at this moment, in at most `most_polls` polls, or until a poll has asked
    /// something of the driver. Returns `None` if there is no process that runs.
    pub(super) fn step(&mut self, most_polls: u64) -> Option<Step> {
        if self.paused.is_any() {
            return None;
        }
        let Process { event_loop, main } = self.process.as_mut()?;
        let ready = mem::take(&mut self.ready);
        let _inside = inside::enter(&self.here);
        let context = context::enter(event_loop);
        let Stepped {
            polls,
            is_ready_again,
            panics,
            panicked,
        } = event_loop.step(&ready, most_polls, || self.here.simulation.has_commands());
        let mut outcome = None;
        if let Some(payload) = panicked {
            outcome = Some(Outcome::Panicked(in_words("its runtime", &*payload)));
        } else if let Some(panic) = panics.iter().find(|panic| !panic.has_handle) {
            outcome = Some(Outcome::Panicked(describe(panic)));
        } else if let Some(mut task) = main.take_if(|main| main.is_finished()) {
            let task = Pin::new(&mut task);
            outcome = match task.poll(&mut Context::from_waker(Waker::noop())) {
                Poll::Ready(Ok(result)) => Some(Outcome::Returned(result)),
                Poll::Ready(Err(error)) => Some(Outcome::Panicked(error.to_string())),
                Poll::Pending => None,
            };
        }
        // The handle of the software is the driver's.
        self.panics.extend(
            panics
                .into_iter()
                .filter(|panic| main.as_ref().is_none_or(|main| main.id() != panic.id)),
        );
        drop(context);
        // The buffer is used again.
        self.ready = ready;
        self.ready.clear();
        let deadline = event_loop.next_deadline();
        Some(Step {
            polls,
            is_ready_again,
            held_jobs: event_loop.shared.pool.held_jobs(),
            outcome,
            timer: deadline.map(|deadline| self.clock.true_time_of(deadline)),
        })
    }

    /// Returns whether a task has panicked for which nothing was waiting.
    pub(super) fn has_panics(&self) -> bool {
        !self.panics.is_empty()
    }

    /// Returns the description of a panic that nothing has received, if there is one.
    pub(super) fn unreceived_panic(&self) -> Option<String> {
        let event_loop = self.event_loop()?;
        let mut panics = self.panics.iter();
        let panic = panics.find(|panic| event_loop.executor.has_outcome(panic.id))?;
        Some(describe(panic))
    }

    /// Ends the process: drops its tasks and its sockets.
    pub(super) fn shut_down(&mut self) {
        self.ready.clear();
        self.panics.clear();
        self.paused = Origins::default();
        self.due_jobs = 0;
        if let Some(Process { event_loop, main }) = self.process.take() {
            let _inside = inside::enter(&self.here);
            let context = context::enter(&event_loop);
            event_loop.shut_down();
            drop(main);
            drop(context);
        }
    }

    /// Returns the text of a dump of the process, if there is one.
    pub(super) fn dump(&self) -> Option<Dump> {
        let event_loop = self.event_loop()?;
        let _inside = inside::enter(&self.here);
        let _context = context::enter(event_loop);
        Some(event_loop.dump())
    }
}

/// Describes a panic outside tasks.
fn in_words(what: &str, panic: &(dyn Any + Send)) -> String {
    format!("{what} panicked: {}", panic_message(panic))
}

/// Describes the panic of a task.
fn describe(panic: &TaskPanic) -> String {
    format!("{} (spawned at {})", panic.text, panic.location)
}

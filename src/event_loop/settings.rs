//! [`Settings`]: the settings of a runtime, which a [`Builder`](crate::Builder) collects.

use super::deadlock::OnDeadlock;
#[cfg(feature = "sim")]
use super::host::SimulatedHost;
use crate::clock::Clock;
use crate::executor::{OnTaskPanic, Remote};
use crate::pool::{DEFAULT_THREADS, Pool};
use crate::primitives::AtomicU32;
use crate::reactor::Reactor;
use crate::timeline::output::Output;
use crate::timeline::recorder::Recorder;
use std::env;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::task::Waker;
use std::time::{Duration, Instant};

/// The settings of a runtime.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// Whether the clock is virtual: it shows the same time until it is advanced.
    pub(crate) virtual_clock: bool,
    /// The seed that shuffles the order of the tasks, if there is one.
    pub(crate) seed: Option<u64>,
    /// The maximum number of threads that run blocking jobs.
    pub(crate) blocking_threads: usize,
    /// What happens when a task panics.
    pub(crate) on_task_panic: OnTaskPanic,
    /// How long a poll may take before the loop logs a warning after it.
    pub(crate) watchdog: Option<Duration>,
    /// How long a poll may take before a thread logs a warning during it.
    pub(crate) watchdog_thread: Option<Duration>,
    /// What happens in a deadlock.
    pub(crate) on_deadlock: OnDeadlock,
    /// How long a deadlock must be possible before it is reported.
    pub(crate) stall_report: Option<Duration>,
    /// Whether the reports of possible deadlocks and of standstills also go to the standard error stream: most
    /// tests have no logger.
    pub(crate) stall_to_stderr: bool,
    /// Whether the waits of the tasks are traced, if that was set. Otherwise the environment decides.
    pub(crate) trace_waits: Option<bool>,
    /// The number of the worker, if the runtime belongs to [`Workers`](crate::Workers).
    pub(crate) worker: Option<usize>,
    /// The number of events of the timeline, if the runtime records one.
    pub(crate) timeline: Option<usize>,
    /// The file of the timeline that is written without being asked.
    pub(crate) output: TimelineOutput,
    /// How long a poll may take before a thread writes the timeline during it, and the file.
    pub(crate) timeline_on_slow_poll: Option<(Duration, PathBuf)>,
    /// Replaces timeouts of several seconds in tests; see `Builder::test_patience`.
    pub(crate) test_patience: Option<Duration>,
    /// What makes the runtime a host of a simulation, if it is one.
    #[cfg(feature = "sim")]
    pub(crate) host: Option<SimulatedHost>,
}

/// Chooses the file of the timeline that a runtime writes without being asked.
#[derive(Clone, Debug)]
pub(crate) enum TimelineOutput {
    /// The file that the environment names, if it does.
    ByEnvironment,
    /// This file, which the runtime shares with others; `None` for no file.
    Chosen(Option<Arc<Output>>),
}

/// How long a poll may take in a debug build before a warning is logged. Even on a machine under load, only a poll
/// that blocks takes this long.
const WATCHDOG: Duration = Duration::from_millis(100);

/// The number of events of a timeline if the program has not chosen one: a megabyte.
pub(crate) const TIMELINE_EVENTS: usize = 65_536;

/// The environment variable that turns the traces of waits on, unless it is empty or `0`.
const TRACE_WAITS: &str = "GLASSFROG_TRACE_WAITS";

impl Settings {
    /// Returns whether the waits of the tasks are traced.
    pub(crate) fn traces_waits(&self) -> bool {
        let by_environment =
            || env::var_os(TRACE_WAITS).is_some_and(|value| !value.is_empty() && value != "0");
        self.trace_waits.unwrap_or_else(by_environment)
    }

    /// Returns the file of the timeline that the runtime writes without being asked, if there is one.
    pub(crate) fn output(&self) -> Option<Arc<Output>> {
        match &self.output {
            TimelineOutput::ByEnvironment => Output::by_environment(),
            TimelineOutput::Chosen(output) => output.clone(),
        }
    }

    /// Creates the clock of the runtime.
    pub(super) fn clock(&self) -> Clock {
        #[cfg(feature = "sim")]
        if let Some(host) = &self.host {
            return host.boot();
        }
        match self.virtual_clock {
            true => Clock::stopped(),
            false => Clock::Real,
        }
    }

    /// Creates the reactor of the runtime.
    ///
    /// # Errors
    ///
    /// Returns an error if the operating system has no descriptor or memory left for its queue.
    pub(super) fn reactor(
        &self,
        rounds: Arc<AtomicU32>,
        recorder: Option<Arc<Recorder>>,
    ) -> io::Result<Reactor> {
        #[cfg(feature = "sim")]
        if self.host.is_some() {
            return Reactor::of_host(rounds, recorder);
        }
        Reactor::new(rounds, recorder)
    }

    /// Creates the inbox of the runtime, which ends the parks of this reactor.
    pub(super) fn inbox(&self, reactor: &Reactor, recorder: Option<Arc<Recorder>>) -> Remote {
        #[cfg(feature = "sim")]
        if let Some(host) = &self.host {
            return Remote::new(host.bell.clone(), recorder).waking_always();
        }
        Remote::new(reactor.unparker(), recorder)
    }

    /// Creates the pool of the runtime, which wakes its loop with `ended`.
    pub(super) fn pool(&self, ended: Waker) -> Pool {
        let pool = Pool::new(self.blocking_threads, self.test_patience, ended);
        #[cfg(feature = "sim")]
        if self.host.is_some() {
            return pool.holding_jobs();
        }
        pool
    }

    /// Creates the recorder of the runtime, if its timeline is recorded. That of a host may belong to its simulation.
    pub(super) fn recorder(&self, clock: &Clock, epoch: Instant) -> Option<Arc<Recorder>> {
        #[cfg(feature = "sim")]
        if let Some(recorder) = self.host.as_ref().and_then(|host| host.recorder.as_ref()) {
            return Some(Arc::clone(recorder));
        }
        let output = self.output();
        let events = self.recorded_events(output.is_some());
        Recorder::start(events, clock, epoch, self.worker, output)
    }

    /// Returns the number of events that the runtime records, if it records any. `has_output` says whether it writes a file
    /// without being asked.
    fn recorded_events(&self, has_output: bool) -> Option<usize> {
        let is_needed = has_output || self.timeline_on_slow_poll.is_some();
        self.timeline.or(is_needed.then_some(TIMELINE_EVENTS))
    }
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            virtual_clock: false,
            seed: None,
            blocking_threads: DEFAULT_THREADS,
            on_task_panic: OnTaskPanic::default(),
            // Not in release builds: two readings of the clock make a short poll four times as expensive.
            watchdog: cfg!(debug_assertions).then_some(WATCHDOG),
            watchdog_thread: None,
            on_deadlock: OnDeadlock::default(),
            stall_report: None,
            stall_to_stderr: false,
            trace_waits: None,
            worker: None,
            timeline: None,
            output: TimelineOutput::ByEnvironment,
            timeline_on_slow_poll: None,
            test_patience: None,
            #[cfg(feature = "sim")]
            host: None,
        }
    }
}

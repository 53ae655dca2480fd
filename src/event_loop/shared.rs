//! [`Shared`]: the part of a runtime that any thread may use.
//!
//! Handles, sockets and sleeps hold it. Once the runtime has ended, it keeps neither futures nor descriptors
//! alive.

use crate::clock::Clock;
use crate::executor::status::LoopStatus;
use crate::executor::{Id, Remote, current};
use crate::metrics::Metrics;
use crate::pool::Pool;
use crate::reactor::Sources;
use crate::timeline::recorder::Recorder;
use crate::timeline::tables::Subject;
use crate::timers::Timers;
use crate::traces::{Ask, Slot, Traces};
use crate::waiter::Tag;
#[cfg(feature = "sim")]
use crate::wire::Host;
use std::panic::Location;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::ThreadId;
use std::time::Duration;

/// The shared part of a runtime.
pub(crate) struct Shared {
    /// The number of the runtime, unique within the process and counted from 1.
    pub(crate) number: u32,
    /// The number of the worker, if the runtime belongs to [`Workers`](crate::Workers).
    pub(crate) worker: Option<usize>,
    /// The messages to the executor.
    pub(crate) inbox: Arc<Remote>,
    /// The deadlines, and the waiters to wake when they are reached.
    pub(crate) timers: Timers,
    /// The registered sockets.
    pub(crate) sources: Arc<Sources>,
    /// The clock, real or virtual.
    pub(crate) clock: Clock,
    /// The threads for blocking jobs.
    pub(crate) pool: Arc<Pool>,
    /// The thread that created the runtime, and runs its loop.
    pub(crate) owner: ThreadId,
    /// The task that the loop is polling, and the counters of the loop.
    pub(crate) status: Arc<LoopStatus>,
    /// How long a dump and `Handle::block_on` wait for the loop, if a test has set this.
    pub(crate) test_patience: Option<Duration>,
    /// The traces of the waits, if the runtime traces waits.
    pub(crate) traces: Option<Arc<Traces>>,
    /// Records the timeline, if the runtime has one.
    pub(crate) recorder: Option<Arc<Recorder>>,
    /// The door to the network of the simulation, if the runtime is a host.
    #[cfg(feature = "sim")]
    pub(crate) host: Option<Host>,
    /// The id of the newest task or job. The root future has 0.
    pub(super) last_id: AtomicU64,
    /// Whether anything other than a task of this runtime has ever waited for one of its sockets or sleeps. Such a
    /// waiter may wake a task later. Relaxed is enough, because this guards no memory.
    pub(super) had_outside_waiter: AtomicBool,
}

impl Shared {
    /// Returns an id for a new task or job.
    pub(crate) fn new_id(&self) -> Id {
        // Relaxed is enough: the id must be unique, but guards no memory.
        Id(self.last_id.fetch_add(1, Ordering::Relaxed) + 1)
    }

    /// Returns the tag of the task that is being polled, if the task belongs to this runtime. Ids of other runtimes
    /// have no meaning here.
    pub(crate) fn current_tag(&self) -> Tag {
        match current::is_here(&self.inbox) {
            true => self.status.polling(),
            false => {
                self.had_outside_waiter.store(true, Ordering::Relaxed);
                Tag::NONE
            }
        }
    }

    /// Returns the tag of the task that is being polled, if the task belongs to this runtime, for a socket that is
    /// registered. Opening a socket is no wait, so it does not make its thread an outside waiter.
    pub(crate) fn current_opener(&self) -> Tag {
        match current::is_here(&self.inbox) {
            true => self.status.polling(),
            false => Tag::NONE,
        }
    }

    /// Returns the low half of the id of the task that is being polled, if the task belongs to this runtime.
    pub(crate) fn current_task(&self) -> Option<u32> {
        let (task, _) = self.current_opener().parts()?;
        Some(task)
    }

    /// Notes that the task that is being polled has begun to wait. A runtime that traces waits captures a trace. The
    /// caller holds no lock.
    #[inline(always)]
    pub(crate) fn note_wait(&self, slot: impl FnOnce() -> Slot) {
        if let Some(traces) = &self.traces {
            self.trace_wait(traces, slot());
        }
    }

    /// Captures the trace of a wait that has just begun.
    #[cold]
    fn trace_wait(&self, traces: &Traces, slot: Slot) {
        if let Some((task, _)) = self.current_tag().parts() {
            traces.note(task, slot, Ask::Engines);
        }
    }

    /// Returns the task that is being polled, if this thread runs the loop; otherwise the outer `None`.
    fn recorded_by(&self) -> Option<Option<u32>> {
        let polling = self.status.polling().parts();
        current::is_here(&self.inbox).then(|| polling.map(|(task, _poll)| task))
    }

    /// Records that a job or a name lookup is submitted on this thread.
    #[cold]
    pub(crate) fn record_job(
        &self,
        recorder: &Recorder,
        job: Id,
        is_lookup: bool,
        name: Option<&str>,
        place: &'static Location<'static>,
    ) {
        let by = self.recorded_by();
        let (is_loop, by) = (by.is_some(), by.flatten());
        recorder.queued(is_loop, (job.low(), by), is_lookup, name, place);
    }

    /// Records a mark of the program, if the runtime records a timeline.
    pub(crate) fn record_mark(&self, text: &str) {
        if let Some(recorder) = &self.recorder {
            let by = self.recorded_by();
            recorder.marked(by.is_some(), by.flatten(), text);
        }
    }

    /// Records that the task with this tag waits for a socket or a standard stream. `describe` describes it.
    #[cold]
    pub(crate) fn record_wait(
        &self,
        recorder: &Recorder,
        subject: &Subject,
        describe: impl FnOnce() -> String,
    ) {
        if let Some((task, _)) = self.current_tag().parts() {
            recorder.waits_for(task, subject, || (describe(), None));
        }
    }

    /// Fires the deadlines up to `now`, in nanoseconds since the runtime was created.
    pub(crate) fn fire_timers(&self, now: u64) {
        self.timers.fire(now, |count| {
            if let Some(recorder) = &self.recorder
                && current::is_here(&self.inbox)
            {
                recorder.fired(count);
            }
        });
    }

    /// Returns the metrics of the runtime.
    pub(crate) fn metrics(&self) -> Metrics {
        let status = &self.status;
        let (timers_set, timers_fired, timers_cancelled) = self.timers.counts();
        let (blocking_threads, blocking_queue) = self.pool.counts();
        // Read in this order, so that the number of finished tasks never exceeds the number of spawned tasks.
        let tasks_finished = status.finished.get_acquired();
        let tasks_spawned = status.spawned.get();
        Metrics {
            tasks_spawned,
            tasks_finished,
            tasks_alive: tasks_spawned.saturating_sub(tasks_finished),
            polls: status.polls.get(),
            slow_polls: status.slow_polls.get(),
            wakes_local: status.local_wakes.get(),
            wakes_remote: status.remote_wakes.get(),
            turns: status.turns.get(),
            parks: status.parks.get(),
            time_parked: Duration::from_nanos(status.parked.get()),
            time_busy: Duration::from_nanos(status.busy.get()),
            io_events: status.events.get(),
            sockets: self.sources.len(),
            timers_set,
            timers_fired,
            timers_cancelled,
            blocking_threads,
            blocking_queue,
        }
    }
}

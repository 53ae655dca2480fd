//! [`Inspector`]: looks at all tasks now and then, at most once a second.
//!
//! Some faults show only if one looks at all tasks together: tasks that wait for one another, and tasks that are polled
//! again and again without getting on. The event loop calls [`Inspector::inspect`] once a turn. The inspector looks at
//! the tasks only if there is a reason, at most once a second, and for at most a hundredth of the time, or a tenth while it
//! watches a circle that is reported only if it stands. The reasons are:
//!
//! - a task has begun to wait for a join, a scope or a primitive of `sync` since the last inspection, or the last one
//!   has found a circle that is reported only if it stands: then [`Circles`] searches for circles;
//! - the loop has made many polls since the last inspection: then [`Spinners`] finds out which tasks it has polled.
//!
//! A loop that parks wakes up for the first reason only, so a loop whose tasks wait for sockets and deadlines sleeps on.

use super::EventLoop;
use super::circles::Circles;
use super::spinning::Spinners;
use crate::clock::Stopwatch;
use crate::executor::actor;
use std::cell::Cell;
use std::time::Duration;

/// The time between two inspections, in nanoseconds.
const INTERVAL: u64 = 1_000_000_000;

/// After an inspection, the inspector pauses for at least this many times as long as the inspection took.
const PAUSE: u64 = 100;

/// The same, while it watches a circle that is reported only if it stands. That takes some seconds.
const PAUSE_WHILE_WATCHING: u64 = 10;

/// The number of polls since the last inspection that is a reason for the next one.
///
/// Inspections are a second apart, so a loop that makes fewer polls has no task that is polled a thousand times a
/// second.
const MANY_POLLS: u64 = 1000;

/// The inspector of one loop.
#[derive(Debug)]
pub(super) struct Inspector {
    /// Measures the time since the inspector was created.
    clock: Stopwatch,
    /// The time before which there is no inspection, in nanoseconds of real time since the runtime was created.
    due: Cell<u64>,
    /// The number of waits that had begun on this thread at the last inspection.
    waits: Cell<u32>,
    /// The number of polls of the loop at the last inspection.
    polls: Cell<u64>,
    /// Searches for circles.
    pub(super) circles: Circles,
    /// Searches for tasks that do not get on.
    pub(super) spinners: Spinners,
}

impl Inspector {
    /// Creates the inspector of a new loop, which may inspect its tasks at once.
    pub(super) fn new() -> Inspector {
        Inspector {
            clock: Stopwatch::start(),
            due: Cell::new(0),
            waits: Cell::new(actor::waits_begun()),
            polls: Cell::new(0),
            circles: Circles::default(),
            spinners: Spinners::default(),
        }
    }

    /// Returns the timeout of a park that begins at `now` and would otherwise last for `timeout`.
    pub(super) fn park_timeout(
        &self,
        event_loop: &EventLoop,
        now: u64,
        timeout: Option<Duration>,
    ) -> Option<Duration> {
        if !self.has_new_waits() {
            return timeout;
        }
        let left = self.due.get().saturating_sub(self.real(event_loop, now));
        let left = Duration::from_nanos(left);
        Some(timeout.map_or(left, |timeout| timeout.min(left)))
    }

    /// Inspects the tasks, if there is a reason and the pause is over. `now` is a recent time of the clock; no task is
    /// being polled.
    ///
    /// # Panics
    ///
    /// Panics if a circle is certain and the policy for deadlocks is to panic.
    #[inline]
    pub(super) fn inspect(&self, event_loop: &EventLoop, now: u64) {
        let polls = event_loop.executor.polls() - self.polls.get();
        if polls >= MANY_POLLS || self.has_new_waits() {
            let now = self.real(event_loop, now);
            if now >= self.due.get() {
                self.inspect_now(event_loop, now);
            }
        }
    }

    /// Inspects the tasks.
    #[cold]
    fn inspect_now(&self, event_loop: &EventLoop, now: u64) {
        let stopwatch = Stopwatch::start();
        let has_new_waits = self.has_new_waits();
        self.waits.set(actor::waits_begun());
        self.polls.set(event_loop.executor.polls());
        // The search for circles may panic.
        self.due.set(now + INTERVAL);
        self.spinners.inspect(event_loop, now);
        if has_new_waits {
            self.circles.inspect(event_loop, now);
        }
        if let Some(recorder) = &event_loop.shared.recorder {
            recorder.end_other();
        }
        let took = u64::try_from(stopwatch.elapsed().as_nanos()).unwrap_or(u64::MAX);
        let pause = match self.circles.has_candidates() {
            true => PAUSE_WHILE_WATCHING,
            false => PAUSE,
        };
        self.due
            .set(now.saturating_add(INTERVAL.max(took.saturating_mul(pause))));
    }

    /// Returns whether there is a reason to search for circles.
    #[inline]
    fn has_new_waits(&self) -> bool {
        actor::waits_begun() != self.waits.get() || self.circles.has_candidates()
    }

    /// Returns the real time in nanoseconds since the runtime was created, at the time `now` of its clock.
    #[inline]
    fn real(&self, event_loop: &EventLoop, now: u64) -> u64 {
        match event_loop.shared.clock.is_virtual() {
            false => now,
            true => u64::try_from(self.clock.elapsed().as_nanos()).unwrap_or(u64::MAX),
        }
    }
}

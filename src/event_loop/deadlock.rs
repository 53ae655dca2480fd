//! [`DeadlockDetector`]: finds out whether anything can still wake a task.
//!
//! The event loop calls the detector before it parks. The detector acts only if the loop waits only for wakes:
//! no task waits for a deadline, a socket or a blocking job. If nothing outside the runtime can wake a task
//! either, the deadlock is certain; otherwise it is possible.
//!
//! ```text
//!               parks              after the grace: nothing can wake a task
//!    +-------+ ------> +-------+ ----------------------------------------------> certain: acts once
//!    | awake |         | quiet |
//!    +-------+ <------ +-------+ ----------------------------------------------> possible: reports once
//!       a task is ready            after `stall_report`: something might
//! ```
//!
//! If something else ends the park (a dump, a signal, an event that wakes no task), the loop calls the detector
//! again, and parks for the time that is left.

use super::EventLoop;
use crate::dump::{Dump, Time};
use crate::foreign::swallow_panics;
use std::cell::Cell;
use std::fmt;
use std::io::{self, Write};
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

/// How long the loop is quiet before the detector searches for a deadlock. A program that other threads wake
/// often does not pay for the search.
const GRACE: Duration = Duration::from_millis(20);

/// The longest grace. The search takes snapshots of all tasks, so the grace doubles whenever the search finds
/// that a task can be woken: the next search would probably find the same.
const LONGEST_GRACE: Duration = Duration::from_secs(2);

/// The policy of a runtime for deadlocks; see [`Builder::on_deadlock`](crate::Builder::on_deadlock).
///
/// # Examples
///
/// See [`Builder::on_deadlock`](crate::Builder::on_deadlock).
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub enum OnDeadlock {
    /// Does nothing. `block_on` keeps waiting.
    Ignore,
    /// Logs an error with a dump. `block_on` keeps waiting.
    #[default]
    Log,
    /// Panics in `block_on`, with a dump as the message.
    Panic,
    /// Calls this function with a dump, on the thread of the runtime. `block_on` keeps waiting.
    Call(fn(&Dump)),
}

/// The deadlock detector of one loop.
#[derive(Debug)]
pub(super) struct DeadlockDetector {
    /// What happens when a deadlock is certain.
    policy: OnDeadlock,
    /// How long the loop is quiet before a possible deadlock is reported; `None` for no report.
    report_after: Option<Duration>,
    /// Whether warnings also go to the standard error stream.
    to_stderr: bool,
    /// The time since which the loop has had nothing to do, if it has nothing to do.
    quiet_since: Cell<Option<Instant>>,
    /// How long the loop is quiet before the next search.
    grace: Cell<Duration>,
    /// Whether the search has found, since a task ran, that a deadlock is possible but not certain.
    is_possible: Cell<bool>,
    /// Whether the detector has nothing left to report until a task runs.
    is_reported: Cell<bool>,
}

impl DeadlockDetector {
    /// Creates the detector of a loop that has not parked.
    pub(super) fn new(
        policy: OnDeadlock,
        report_after: Option<Duration>,
        to_stderr: bool,
    ) -> DeadlockDetector {
        DeadlockDetector {
            policy,
            report_after,
            to_stderr,
            quiet_since: Cell::new(None),
            grace: Cell::new(GRACE),
            is_possible: Cell::new(false),
            is_reported: Cell::new(false),
        }
    }

    /// Resets the detector if a task is ready.
    pub(super) fn reset_if(&self, is_ready: bool) {
        if is_ready && self.quiet_since.take().is_some() {
            self.is_possible.set(false);
            self.is_reported.set(false);
        }
    }

    /// Searches for a deadlock if the loop has been quiet for long enough. Returns the timeout of the park, in
    /// which no deadline is pending.
    ///
    /// # Panics
    ///
    /// Panics if a deadlock is certain and the policy is to panic.
    pub(super) fn park_timeout(&self, event_loop: &EventLoop) -> Option<Duration> {
        let is_ignored = matches!(self.policy, OnDeadlock::Ignore);
        let is_off = is_ignored && self.report_after.is_none();
        if is_off || self.is_reported.get() || !waits_only_for_wakes(event_loop) {
            return None;
        }
        let quiet_since = self.quiet_since.get().unwrap_or_else(Instant::now);
        self.quiet_since.set(Some(quiet_since));
        let left = |of: Duration| {
            of.checked_sub(quiet_since.elapsed())
                .filter(|left| !left.is_zero())
        };
        if let Some(left) = left(self.grace.get()).filter(|_| !self.is_possible.get()) {
            return Some(left);
        }
        // A certain deadlock that is ignored is still a possible one, which is reported after `report_after`.
        if !is_ignored && !can_be_woken(event_loop) {
            self.is_reported.set(true);
            self.act(event_loop);
            return None;
        }
        if !self.is_possible.replace(true) {
            self.grace.set((self.grace.get() * 2).min(LONGEST_GRACE));
        }
        let report_after = self.report_after?;
        if left(report_after).is_none() {
            self.is_reported.set(true);
            self.warn(&format!(
                "nothing has happened for {}, and only something outside this runtime can wake a task:\n{}",
                Time(report_after),
                event_loop.dump()
            ));
        }
        left(report_after)
    }

    /// Logs a warning. If the settings request it, also prints the warning to the standard error stream, with the name
    /// of the thread: that of a test bears the test's name.
    pub(super) fn warn(&self, text: &str) {
        swallow_panics(|| log::warn!(target: "glassfrog::task", "{text}"));
        if self.to_stderr {
            let thread = thread::current();
            let test = thread.name().unwrap_or("(without a name)");
            // Not `eprint!`: the test harness captures its output until the test ends, which may be long after.
            let _unread = writeln!(io::stderr(), "\ntest `{test}`: {text}");
        }
    }

    /// Follows the policy in a deadlock.
    fn act(&self, event_loop: &EventLoop) {
        // A panic writes the timeline when it leaves `block_on`.
        if let Some(recorder) = &event_loop.shared.recorder
            && !matches!(self.policy, OnDeadlock::Panic)
        {
            recorder.write();
        }
        match self.policy {
            OnDeadlock::Ignore => {}
            OnDeadlock::Log => swallow_panics(|| {
                log::error!(target: "glassfrog::task", "{}", Deadlock(&event_loop.dump()));
            }),
            OnDeadlock::Panic => panic!("{}", Deadlock(&event_loop.dump())),
            OnDeadlock::Call(call) => call(&event_loop.dump()),
        }
    }
}

/// Returns whether the loop waits only for wakes: no task waits for a deadline, a socket, a standard stream or a
/// blocking job.
///
/// The caller has found no deadline that the timers can count. A later deadline is still a wait under the real
/// clock, but a virtual clock cannot reach it.
fn waits_only_for_wakes(event_loop: &EventLoop) -> bool {
    let shared = &event_loop.shared;
    let has_deadline = !shared.clock.is_virtual() && !shared.timers.is_empty();
    // Sockets come first, because most programs wait for one.
    !shared.sources.has_waiters()
        && !has_deadline
        && !shared.pool.is_busy()
        && !shared.pool.awaits_streams()
}

/// Returns whether anything can wake a task of a loop that waits only for wakes.
fn can_be_woken(event_loop: &EventLoop) -> bool {
    let shared = &event_loop.shared;
    // The remaining deadlines are never reached, so the timers never wake these waiters.
    let deadlines = || {
        shared
            .timers
            .waiters()
            .into_iter()
            .map(|timer| timer.waiter)
    };
    shared.had_outside_waiter.load(Ordering::Relaxed)
        || shared.inbox.has_handles()
        || event_loop.executor.is_held(deadlines())
        // This comes last: a handle that was dropped in the meantime has posted its messages first.
        || !shared.inbox.is_quiet()
}

/// The message of a deadlock.
struct Deadlock<'a>(&'a Dump);

impl fmt::Display for Deadlock<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "deadlock: no task will ever be woken: there is no deadline, no socket and no blocking job to \
             wait for, and nothing holds a waker or a handle:\n{}",
            self.0
        )
    }
}

//! [`DeadlockDetector`]: finds out whether the loop waits for something that cannot come.
//!
//! The event loop asks before it parks. The detector acts only if the loop has nothing to wait for but wakes:
//! no deadline, no socket, no blocking job. If then nothing outside the runtime can wake a task either, the
//! deadlock is certain; otherwise it is possible.
//!
//! ```text
//!               parks              after the grace: nothing can wake a task
//!    +-------+ ------> +-------+ ----------------------------------------------> certain: acts once
//!    | awake |         | quiet |
//!    +-------+ <------ +-------+ ----------------------------------------------> possible: reports once
//!       a task is ready            after `stall_report`: something might
//! ```
//!
//! If something else ends the park (a dump, a signal, an event that wakes no task), the loop asks again, and
//! the rest of the time still counts.

use super::EventLoop;
use crate::dump::{Dump, Time};
use crate::foreign::swallow_panics;
use std::cell::Cell;
use std::fmt;
use std::io::{self, Write};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// How long the loop is quiet before the detector looks for a deadlock. A program that is woken from outside now
/// and then does not pay for the search.
const GRACE: Duration = Duration::from_millis(20);

/// The longest grace. The search takes snapshots of all tasks, so the grace is doubled whenever it finds that a
/// task can be woken: a program in which that is so mostly stays like that.
const LONGEST_GRACE: Duration = Duration::from_secs(2);

/// What happens when it is certain that no task will ever be woken; see
/// [`Builder::on_deadlock`](crate::Builder::on_deadlock).
///
/// # Examples
///
/// See [`Builder::on_deadlock`](crate::Builder::on_deadlock).
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub enum OnDeadlock {
    /// Does nothing. `block_on` waits for ever.
    Ignore,
    /// Logs an error with the dump. `block_on` waits for ever.
    #[default]
    Log,
    /// Makes `block_on` panic with the dump.
    Panic,
    /// Calls this function with the dump, on the thread of the runtime. `block_on` waits for ever.
    Call(fn(&Dump)),
}

/// The search for deadlocks of one loop.
#[derive(Debug)]
pub(super) struct DeadlockDetector {
    /// What happens when a deadlock is certain.
    policy: OnDeadlock,
    /// After how long a possible deadlock is reported, if it is.
    report_after: Option<Duration>,
    /// Whether warnings go to the standard error stream too.
    to_stderr: bool,
    /// Since when the loop has had nothing to do.
    quiet_since: Cell<Option<Instant>>,
    /// How long the loop is quiet before the search.
    grace: Cell<Duration>,
    /// Whether the search has found a deadlock possible since a task ran.
    is_possible: Cell<bool>,
    /// Whether everything is reported until a task runs.
    is_reported: Cell<bool>,
}

impl DeadlockDetector {
    /// Makes the detector of a loop that has not parked.
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

    /// Ends the quiet if a task is ready.
    pub(super) fn awake_if(&self, is_ready: bool) {
        if is_ready && self.quiet_since.take().is_some() {
            self.is_possible.set(false);
            self.is_reported.set(false);
        }
    }

    /// Looks for a deadlock when it is time. Returns how long to park where there is no deadline.
    ///
    /// # Panics
    ///
    /// If a deadlock is certain and the policy is to panic.
    pub(super) fn park_timeout(&self, event_loop: &EventLoop) -> Option<Duration> {
        let is_off = matches!(self.policy, OnDeadlock::Ignore) && self.report_after.is_none();
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
        if !can_be_woken(event_loop) {
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

    /// Logs a warning, and prints it to the standard error stream if that was asked for.
    pub(super) fn warn(&self, text: &str) {
        swallow_panics(|| log::warn!(target: "glassfrog::task", "{text}"));
        if self.to_stderr {
            // Not `eprint!`: a harness keeps that back until the test ends, which may never happen.
            let _unread = writeln!(io::stderr(), "\n{text}");
        }
    }

    /// Follows the policy in a deadlock.
    fn act(&self, event_loop: &EventLoop) {
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

/// Returns whether there is nothing to wait for but wakes: no deadline, no socket, no blocking job, no standard
/// stream.
///
/// The caller has found no deadline that will come. The real clock still waits for one that is as good as
/// never, but a virtual one cannot get there.
fn waits_only_for_wakes(event_loop: &EventLoop) -> bool {
    let shared = &event_loop.shared;
    let has_deadline = !shared.clock.is_virtual() && !shared.timers.is_empty();
    // Sockets first: most programs wait for one.
    !shared.sources.has_waiters()
        && !has_deadline
        && !shared.pool.is_busy()
        && !shared.pool.awaits_streams()
}

/// Returns whether anything can wake a task, where there is nothing else to wait for.
fn can_be_woken(event_loop: &EventLoop) -> bool {
    let shared = &event_loop.shared;
    // The deadlines that are left never come, so the timers hold their wakers for nothing.
    let deadlines = || {
        shared
            .timers
            .waiters()
            .into_iter()
            .map(|(waiter, _)| waiter)
    };
    shared.is_visited.load(Ordering::Relaxed)
        || shared.inbox.has_handles()
        || event_loop.executor.is_held(deadlines())
        // Last: a handle that was dropped meanwhile has posted its messages before.
        || !shared.inbox.is_quiet()
}

/// Displays a deadlock.
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

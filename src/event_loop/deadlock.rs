//! [`DeadlockDetector`]: finds out whether anything can still wake a task.
//!
//! The event loop calls the detector before it parks. The detector acts only if the loop waits only for wakes:
//! no task waits for a deadline, a socket or a blocking job. If nothing outside the runtime can wake a task
//! either, the deadlock is certain; otherwise it is possible. Nothing can wake a task if nothing holds a waker or a
//! handle, or if no other thread of the process could use one ([`only_thread`](super::only_thread)).
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
//! again, and parks for the time that is left. Nothing ends the park when another thread exits, so the detector looks
//! again itself, each time after twice the time: a loop that is quiet for a day wakes up about twenty times for it.

use super::EventLoop;
use super::only_thread::{OnlyThread, can_be_only_thread, is_only_thread};
use crate::dump::{Circle, Dump, Time, What};
use crate::foreign::swallow_panics;
use log::Level;
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

/// The target of the reports.
const TARGET: &str = "glassfrog::task";

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
    /// Logs an error with a dump. Without a logger that accepts errors, prints it to the standard error stream.
    /// `block_on` keeps waiting.
    #[default]
    Log,
    /// Panics in `block_on` or in the turn, with a dump in the message.
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
    /// How long the loop is quiet before it searches once more for a certain deadlock, if `is_possible`. A thread may
    /// have exited by then.
    again: Cell<Duration>,
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
            again: Cell::new(Duration::ZERO),
            is_reported: Cell::new(false),
        }
    }

    /// Resets the detector if a task is ready.
    pub(super) fn reset_if(&self, is_ready: bool) {
        if is_ready && self.quiet_since.take().is_some() {
            self.is_possible.set(false);
            self.again.set(Duration::ZERO);
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
        if !is_ignored && let Some(proof) = is_certain(event_loop) {
            self.is_reported.set(true);
            self.act(event_loop, &proof);
            return None;
        }
        if !self.is_possible.replace(true) {
            self.grace.set((self.grace.get() * 2).min(LONGEST_GRACE));
        }
        if let Some(report_after) = self.report_after
            && left(report_after).is_none()
        {
            self.is_reported.set(true);
            let dump = event_loop.dump();
            self.warn(&Possible::new(event_loop, report_after, &dump).to_string());
            return None;
        }
        let again = (!is_ignored && can_be_only_thread(event_loop)).then(|| {
            if left(self.again.get()).is_none() {
                self.again.set(quiet_since.elapsed().saturating_mul(2));
            }
            left(self.again.get()).unwrap_or_default()
        });
        let report = self.report_after.and_then(left);
        again.into_iter().chain(report).min()
    }

    /// Logs a warning. If the settings request it, also prints the warning to the standard error stream, with the name
    /// of the thread: that of a test bears the test's name.
    pub(super) fn warn(&self, text: &str) {
        swallow_panics(|| log::warn!(target: TARGET, "{text}"));
        if self.to_stderr {
            print_for_test(text);
        }
    }

    /// Logs a text that must not go unnoticed. If no logger accepts errors, prints it to the standard error stream. If
    /// the settings request it, prints it there in any case, as [`warn`](Self::warn) does, and only once.
    pub(super) fn announce(&self, level: Level, text: &str) {
        swallow_panics(|| log::log!(target: TARGET, level, "{text}"));
        let mut is_logged = false;
        swallow_panics(|| is_logged = log::log_enabled!(target: TARGET, Level::Error));
        if self.to_stderr {
            print_for_test(text);
        } else if !is_logged {
            print(&format!("glassfrog: {text}"));
        }
    }

    /// Follows the policy in a deadlock, unless a certain circle has been reported and no task has run since. A panic is
    /// repeated: the program may have called `block_on` again.
    fn act(&self, event_loop: &EventLoop, proof: &Proof) {
        let dump = event_loop.dump();
        let circles = &event_loop.inspector.circles;
        circles.note_all(&dump);
        let is_known = circles.have_just_been_reported(event_loop);
        if !is_known || matches!(self.policy, OnDeadlock::Panic) {
            self.follow_policy(event_loop, &Deadlock { proof, dump: &dump }, &dump);
        }
    }

    /// Reports circles of tasks that certainly wait for one another forever. Other tasks may go on.
    ///
    /// # Panics
    ///
    /// Panics if the policy is to panic.
    pub(super) fn report_certain(
        &self,
        event_loop: &EventLoop,
        circles: &[Circle<'_>],
        dump: &Dump,
    ) {
        self.follow_policy(event_loop, &Certain { circles, dump }, dump);
    }

    /// Follows the policy with this message.
    fn follow_policy(&self, event_loop: &EventLoop, message: &dyn fmt::Display, dump: &Dump) {
        // A panic writes the timeline when it leaves `block_on`.
        if let Some(recorder) = &event_loop.shared.recorder
            && !matches!(self.policy, OnDeadlock::Panic)
        {
            recorder.write();
        }
        match self.policy {
            OnDeadlock::Ignore => {}
            OnDeadlock::Log => self.announce(Level::Error, &message.to_string()),
            OnDeadlock::Panic => panic!("{message}"),
            OnDeadlock::Call(call) => call(dump),
        }
    }
}

/// Prints a report with the name of this thread: that of a test bears the test's name.
fn print_for_test(text: &str) {
    let thread = thread::current();
    let test = thread.name().unwrap_or("(without a name)");
    print(&format!("\ntest `{test}`: {text}"));
}

/// Prints a report to the standard error stream, which may be closed. The output of other threads does not split it.
///
/// Not `eprint!`: the test harness captures its output until the test ends, which may be long after.
fn print(text: &str) {
    let end = if text.ends_with('\n') { "" } else { "\n" };
    let _unread = io::stderr().write_all(format!("{text}{end}").as_bytes());
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

/// Why no task will ever be woken.
enum Proof {
    /// Nothing holds a waker or a handle.
    Unheld,
    /// No other thread of the process could use a waker or a handle.
    OnlyThread(OnlyThread),
}

/// Returns a proof if nothing can ever wake a task of a loop that waits only for wakes.
fn is_certain(event_loop: &EventLoop) -> Option<Proof> {
    match can_be_woken(event_loop) {
        false => Some(Proof::Unheld),
        true => is_only_thread(event_loop).map(Proof::OnlyThread),
    }
}

/// Returns whether something holds what could wake a task of a loop that waits only for wakes.
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
struct Deadlock<'a> {
    /// Why it is certain.
    proof: &'a Proof,
    /// All tasks.
    dump: &'a Dump,
}

impl fmt::Display for Deadlock<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "deadlock: no task will ever be woken: there is no deadline, no socket and no blocking job to \
             wait for, and ",
        )?;
        match self.proof {
            Proof::Unheld => f.write_str("nothing holds a waker or a handle"),
            Proof::OnlyThread(OnlyThread { resting: 0 }) => {
                f.write_str("this process has no other thread")
            }
            Proof::OnlyThread(OnlyThread { resting: 1 }) => {
                f.write_str("the only other thread of this process is an idle one of glassfrog")
            }
            Proof::OnlyThread(OnlyThread { resting }) => write!(
                f,
                "the {resting} other threads of this process are idle ones of glassfrog"
            ),
        }?;
        write!(f, ":\n{}", WithCircles(self.dump))
    }
}

/// The message of circles that certainly last.
struct Certain<'a> {
    /// The circles.
    circles: &'a [Circle<'a>],
    /// All tasks.
    dump: &'a Dump,
}

impl fmt::Display for Certain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for circle in self.circles {
            write!(f, "deadlock: {circle}. Nothing else can wake or end ")?;
            f.write_str(match circle.tasks().len() {
                1 => "this task.",
                _ => "these tasks.",
            })?;
            let places = circle.places();
            match places.is_empty() {
                true => writeln!(f)?,
                false => writeln!(f, " {places}.")?,
            }
        }
        self.dump.fmt(f)
    }
}

/// The message of a possible deadlock.
struct Possible<'a> {
    /// How long the loop has been quiet.
    quiet: Duration,
    /// Whether something outside the runtime is known that can wake a task.
    has_outside: bool,
    /// All tasks.
    dump: &'a Dump,
}

impl<'a> Possible<'a> {
    /// Creates the message about a loop that waits only for wakes.
    fn new(event_loop: &EventLoop, quiet: Duration, dump: &'a Dump) -> Possible<'a> {
        let shared = &event_loop.shared;
        let is_outside = |what: &What| matches!(what, What::Outside(Some(1..)));
        let awaits_outside = dump.waits().any(|(_, wait)| is_outside(&wait.what));
        let has_outside = awaits_outside
            || shared.inbox.has_handles()
            || shared.had_outside_waiter.load(Ordering::Relaxed);
        Possible {
            quiet,
            has_outside,
            dump,
        }
    }
}

impl fmt::Display for Possible<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "nothing has happened for {}, and ", Time(self.quiet))?;
        f.write_str(match self.has_outside {
            true => "only something outside this runtime can wake a task",
            false => "no task waits for a deadline, a socket or a blocking job",
        })?;
        write!(f, ":\n{}", WithCircles(self.dump))
    }
}

/// Displays a dump after its circles.
struct WithCircles<'a>(&'a Dump);

impl fmt::Display for WithCircles<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for circle in self.0.circles() {
            writeln!(f, "circle: {circle}")?;
        }
        self.0.fmt(f)
    }
}

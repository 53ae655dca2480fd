//! Whether the loop waits for something that cannot come.
//!
//! It is looked for when the loop has nothing to wait for but wakes from outside: no deadline, no
//! socket, no blocking job. If then nobody is outside who could wake a task, that is certain; if
//! there is somebody, it is possible.
//!
//! ```text
//!               parks              grace over: nobody can wake a task
//!    +-------+ ------> +-------+ -------------------------------------> certain: told once
//!    | awake |         | quiet |
//!    +-------+ <------ +-------+ -------------------------------------> possible: told once
//!         a task ran               patience over: somebody could
//! ```
//!
//! Whatever else ends the park (a dump, a signal, an event that wakes nobody) leads to the same
//! question again, with what is left of the time.

use super::{Core, Settings};
use crate::dump::{Dump, Time};
use crate::waiter::muffled;
use std::cell::Cell;
use std::fmt;
use std::io::{self, Write};
use std::time::{Duration, Instant};

/// How long the loop has had nothing to do before it is asked whether it ever will. So who is woken
/// from outside again and again does not pay for the question.
const GRACE: Duration = Duration::from_millis(20);

/// How long that becomes at most. It is doubled whenever the answer was that somebody could wake a
/// task: the answer takes a look at all tasks, and a program in which it is so mostly stays like that.
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
    /// Nothing: `block_on` waits for ever.
    Ignore,
    /// It is logged as an error, with the dump. `block_on` waits for ever.
    #[default]
    Log,
    /// `block_on` panics, with the dump.
    Panic,
    /// This is called with the dump, on the thread of the runtime. `block_on` waits for ever.
    Call(fn(&Dump)),
}

/// What is done about it.
#[derive(Debug)]
pub(super) struct Stall {
    /// What happens when it is certain.
    pub(super) policy: OnDeadlock,
    /// After how long it is told that it is possible, if it is to be told.
    pub(super) patience: Option<Duration>,
    /// Whether warnings go to the standard error stream too.
    to_stderr: bool,
    /// Since when the loop has had nothing to do.
    quiet: Cell<Option<Instant>>,
    /// How long it may have nothing to do before the question.
    grace: Cell<Duration>,
    /// Whether the answer has been "possible" since somebody ran.
    asked: Cell<bool>,
    /// Whether everything has been told that there is to tell until somebody runs.
    told: Cell<bool>,
}

impl Stall {
    /// The search in a loop that has not parked.
    pub(super) fn new(settings: &Settings) -> Stall {
        Stall {
            policy: settings.on_deadlock,
            patience: settings.stall_report,
            to_stderr: settings.stall_to_stderr,
            quiet: Cell::new(None),
            grace: Cell::new(GRACE),
            asked: Cell::new(false),
            told: Cell::new(false),
        }
    }

    /// Notes whether somebody is about to run.
    pub(super) fn awake_if(&self, runs: bool) {
        if runs && self.quiet.take().is_some() {
            self.asked.set(false);
            self.told.set(false);
        }
    }

    /// How long to park where there is no deadline.
    ///
    /// # Panics
    ///
    /// If a deadlock is certain and is to be a panic.
    pub(super) fn patience(&self, core: &Core) -> Option<Duration> {
        let is_idle = matches!(self.policy, OnDeadlock::Ignore) && self.patience.is_none();
        if is_idle || self.told.get() || !core.has_only_wakes_to_wait_for() {
            return None;
        }
        let quiet = self.quiet.get().unwrap_or_else(Instant::now);
        self.quiet.set(Some(quiet));
        let left = |of: Duration| {
            of.checked_sub(quiet.elapsed())
                .filter(|left| !left.is_zero())
        };
        if let Some(left) = left(self.grace.get()).filter(|_| !self.asked.get()) {
            return Some(left);
        }
        if !core.can_be_woken() {
            self.told.set(true);
            self.act(core);
            return None;
        }
        if !self.asked.replace(true) {
            self.grace.set((self.grace.get() * 2).min(LONGEST_GRACE));
        }
        let patience = self.patience?;
        if left(patience).is_none() {
            self.told.set(true);
            self.warn(&format!(
                "nothing has happened for {}, and only something outside this runtime can wake a task:\n{}",
                Time(patience),
                core.dump()
            ));
        }
        left(patience)
    }

    /// Logs a warning, and prints it to the standard error stream if that was asked for.
    pub(super) fn warn(&self, text: &str) {
        muffled(|| log::warn!(target: "glassfrog::task", "{text}"));
        if self.to_stderr {
            // Not `eprint!`: what that prints a harness keeps to the end of the test, which may not come.
            let _unread = writeln!(io::stderr(), "\n{text}");
        }
    }

    /// Does what is to be done when it is certain.
    fn act(&self, core: &Core) {
        match self.policy {
            OnDeadlock::Ignore => {}
            OnDeadlock::Log => muffled(|| {
                log::error!(target: "glassfrog::task", "{}", Deadlock(&core.dump()));
            }),
            OnDeadlock::Panic => panic!("{}", Deadlock(&core.dump())),
            OnDeadlock::Call(call) => call(&core.dump()),
        }
    }
}

/// A deadlock, in words.
struct Deadlock<'a>(&'a Dump);

impl fmt::Display for Deadlock<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "deadlock: no task will ever be woken, since there is no deadline, no socket and no \
             blocking job to wait for, and nobody holds a waker or a handle:\n{}",
            self.0
        )
    }
}

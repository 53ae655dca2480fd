//! [`Settings`]: what a [`Builder`](crate::Builder) chooses about a runtime.

use super::deadlock::OnDeadlock;
use crate::executor::OnTaskPanic;
use crate::pool::DEFAULT_THREADS;
use std::time::Duration;

/// The settings of a runtime.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// Whether the clock is virtual: it stands still until it is advanced.
    pub(crate) virtual_clock: bool,
    /// The seed that shuffles the order of the tasks, if there is one.
    pub(crate) seed: Option<u64>,
    /// How many threads run blocking jobs at most.
    pub(crate) blocking_threads: usize,
    /// What the panic of a task does.
    pub(crate) on_task_panic: OnTaskPanic,
    /// How long a poll may take before the loop logs a warning afterwards.
    pub(crate) watchdog: Option<Duration>,
    /// How long a poll may take before a thread logs a warning meanwhile.
    pub(crate) watchdog_thread: Option<Duration>,
    /// What a deadlock does.
    pub(crate) on_deadlock: OnDeadlock,
    /// After how long a possible deadlock is reported.
    pub(crate) stall_report: Option<Duration>,
    /// Whether the reports of possible deadlocks and of standstills go to the standard error stream too: most
    /// tests have no logger.
    pub(crate) stall_to_stderr: bool,
    /// How long the runtime waits where it otherwise waits for seconds; see `Builder::test_patience`.
    pub(crate) test_patience: Option<Duration>,
}

/// How long a poll may take in a debug build before a warning is logged. Only polls that block take as long, even on
/// a machine under load.
const WATCHDOG: Duration = Duration::from_millis(100);

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
            test_patience: None,
        }
    }
}

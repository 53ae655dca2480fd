//! [`Spinners`]: finds tasks that are polled again and again without getting on, and reports them.

use super::EventLoop;

/// The search for such tasks in one loop.
#[derive(Debug, Default)]
pub(super) struct Spinners {}

impl Spinners {
    /// Counts the polls of the tasks since the last inspection. `now` is the real time in nanoseconds since the runtime
    /// was created.
    pub(super) fn inspect(&self, _event_loop: &EventLoop, _now: u64) {}
}

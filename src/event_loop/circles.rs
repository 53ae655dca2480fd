//! [`Circles`]: finds tasks that wait for one another, and reports them.

use super::EventLoop;

/// The search for circles of one loop.
#[derive(Debug, Default)]
pub(super) struct Circles {}

impl Circles {
    /// Returns whether the last search has found a circle that is reported only if it stands.
    pub(super) fn has_candidates(&self) -> bool {
        false
    }

    /// Searches for circles, and reports those that are certain, and those that have stood for a second. `now` is the
    /// real time in nanoseconds since the runtime was created.
    ///
    /// # Panics
    ///
    /// Panics if a circle is certain and the policy for deadlocks is to panic.
    pub(super) fn inspect(&self, _event_loop: &EventLoop, _now: u64) {}
}

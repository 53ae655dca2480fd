//! The clock: the one place where the time is read.

use std::time::Instant;

/// What every part of a runtime that asks for the time asks.
pub(crate) struct Clock;

impl Clock {
    /// The time of the operating system's monotonic clock (`clock_gettime(2)`).
    pub(crate) fn now(&self) -> Instant {
        Instant::now()
    }
}

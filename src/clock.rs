//! The clock: the one place where the time is read.

use crate::sync::{Mutex, lock};
use std::time::Instant;

/// What every part of a runtime that asks for the time asks.
pub(crate) enum Clock {
    /// The operating system's monotonic clock (`clock_gettime(2)`).
    Real,
    /// One that stands still until it is moved; what it shows.
    Virtual(Mutex<Instant>),
}

impl Clock {
    /// A clock that stands still, at the present.
    pub(crate) fn stopped() -> Clock {
        Clock::Virtual(Mutex::new(Instant::now()))
    }

    /// The time.
    pub(crate) fn now(&self) -> Instant {
        match self {
            Clock::Real => Instant::now(),
            Clock::Virtual(shown) => *lock(shown),
        }
    }

    /// Whether it only moves when it is moved.
    pub(crate) fn is_virtual(&self) -> bool {
        matches!(self, Clock::Virtual(_))
    }

    /// Moves a virtual clock, which never goes back. The real one moves by itself.
    pub(crate) fn advance_to(&self, time: Instant) {
        if let Clock::Virtual(shown) = self {
            let mut shown = lock(shown);
            *shown = time.max(*shown);
        }
    }
}

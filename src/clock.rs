//! The clock: the one place where the time is read.

use crate::sync::{Mutex, lock};
use std::time::{Duration, Instant};

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

/// A moment, coarsely: what tasks keep of the time. It is taken once a turn of the loop.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Stamp(u32);

impl Stamp {
    /// How many bits of the nanoseconds are left out: the grain is 17 ms, and the number does not
    /// come round within two years.
    const COARSE: u32 = 24;

    /// The moment so many nanoseconds after the beginning of the runtime.
    pub(crate) fn new(nanos: u64) -> Stamp {
        Stamp((nanos >> Stamp::COARSE) as u32)
    }

    /// How much time passed between this and a later moment.
    pub(crate) fn until(self, later: Stamp) -> Duration {
        let nanos = u64::from(later.0.wrapping_sub(self.0)) << Stamp::COARSE;
        Duration::from_nanos(nanos)
    }
}

/// Measures how long something really takes, whatever the clock of the runtime.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stopwatch(Instant);

impl Stopwatch {
    /// Begins to measure.
    pub(crate) fn start() -> Stopwatch {
        Stopwatch(Instant::now())
    }

    /// How long ago that was.
    pub(crate) fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
}

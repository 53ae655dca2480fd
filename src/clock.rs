//! [`Clock`]: where a runtime reads the time, from the operating system or from a virtual clock.
//!
//! All deadlines are measured by it. [`Stopwatch`] measures real time, whatever the clock of the runtime.

use crate::primitives::{Mutex, lock};
use std::time::{Duration, Instant};

/// How far a virtual clock can be moved from the moment at which it was made: 200 years.
///
/// The timers count 584 years from then on, and treat a later deadline as one that never comes. A sleep
/// that begins when the clock ends may still last 384 years. So the loop can distinguish a program that
/// has used up its time from one that waits forever.
const SPAN: Duration = Duration::from_secs(200 * 365 * 24 * 60 * 60);

/// The clock of a runtime.
pub(crate) enum Clock {
    /// The operating system's monotonic clock (`clock_gettime(2)`).
    Real,
    /// A clock that stands still until it is advanced.
    Virtual {
        /// The time that it shows.
        shown: Mutex<Instant>,
        /// The last moment that it can show.
        end: Instant,
    },
}

impl Clock {
    /// Creates a virtual clock that shows the present.
    pub(crate) fn stopped() -> Clock {
        let now = Instant::now();
        Clock::Virtual {
            shown: Mutex::new(now),
            end: now + SPAN,
        }
    }

    /// Returns the time.
    pub(crate) fn now(&self) -> Instant {
        match self {
            Clock::Real => Instant::now(),
            Clock::Virtual { shown, .. } => *lock(shown),
        }
    }

    /// Returns whether the clock is virtual.
    pub(crate) fn is_virtual(&self) -> bool {
        matches!(self, Clock::Virtual { .. })
    }

    /// Returns whether the clock can be advanced to this time, or whether that is past its end.
    pub(crate) fn can_show(&self, time: Instant) -> bool {
        match self {
            Clock::Real => true,
            Clock::Virtual { end, .. } => time <= *end,
        }
    }

    /// Advances a virtual clock, which never goes back. Does nothing to the real one.
    pub(crate) fn advance_to(&self, time: Instant) {
        debug_assert!(self.can_show(time), "the clock was moved past its end");
        if let Clock::Virtual { shown, .. } = self {
            let mut shown = lock(shown);
            *shown = time.max(*shown);
        }
    }
}

/// A coarse time, of which tasks keep two. The loop takes one at the beginning of each turn.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Stamp(u32);

impl Stamp {
    /// How many low bits of the nanoseconds are dropped. The grain is 17 ms, and the number wraps around after two
    /// years.
    const COARSE: u32 = 24;

    /// Creates a stamp from the nanoseconds since the runtime was made.
    pub(crate) fn new(nanos: u64) -> Stamp {
        Stamp((nanos >> Stamp::COARSE) as u32)
    }

    /// Returns the time from this stamp to a later one.
    pub(crate) fn until(self, later: Stamp) -> Duration {
        let nanos = u64::from(later.0.wrapping_sub(self.0)) << Stamp::COARSE;
        Duration::from_nanos(nanos)
    }
}

/// Measures how long something takes by the real clock, even if the clock of the runtime is virtual.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stopwatch(Instant);

impl Stopwatch {
    /// Starts a measurement.
    pub(crate) fn start() -> Stopwatch {
        Stopwatch(Instant::now())
    }

    /// Returns the time since the start.
    pub(crate) fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
}

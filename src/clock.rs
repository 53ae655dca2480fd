//! The clock: the one place where the time is read.

use crate::primitives::{Mutex, lock};
use std::time::{Duration, Instant};

/// How far a virtual clock can be moved from the moment at which it was made: 200 years.
///
/// The timers count 584 years from then on, and take a later deadline for one that never comes. A sleep
/// that begins at the last moment of the clock still has 384 of them. So the loop can tell a program that
/// has used up its time from one that waits for ever.
const SPAN: Duration = Duration::from_secs(200 * 365 * 24 * 60 * 60);

/// What every part of a runtime that asks for the time asks.
pub(crate) enum Clock {
    /// The operating system's monotonic clock (`clock_gettime(2)`).
    Real,
    /// One that stands still until it is moved.
    Virtual {
        /// The time that it shows.
        shown: Mutex<Instant>,
        /// The last moment that it can show.
        end: Instant,
    },
}

impl Clock {
    /// A clock that stands still, at the present.
    pub(crate) fn stopped() -> Clock {
        let now = Instant::now();
        Clock::Virtual {
            shown: Mutex::new(now),
            end: now + SPAN,
        }
    }

    /// The time.
    pub(crate) fn now(&self) -> Instant {
        match self {
            Clock::Real => Instant::now(),
            Clock::Virtual { shown, .. } => *lock(shown),
        }
    }

    /// Whether it only moves when it is moved.
    pub(crate) fn is_virtual(&self) -> bool {
        matches!(self, Clock::Virtual { .. })
    }

    /// Whether it can be moved to this moment. A later one is past its end.
    pub(crate) fn can_show(&self, time: Instant) -> bool {
        match self {
            Clock::Real => true,
            Clock::Virtual { end, .. } => time <= *end,
        }
    }

    /// Moves a virtual clock, which never goes back. The real one moves by itself.
    pub(crate) fn advance_to(&self, time: Instant) {
        debug_assert!(self.can_show(time), "the clock was moved past its end");
        if let Clock::Virtual { shown, .. } = self {
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

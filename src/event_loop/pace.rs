//! [`Pace`]: how many polls the event loop makes before it reads the clock.
//!
//! Reading the clock after each poll would make a short poll two fifths more expensive. So the loop reads it
//! after a *stride* of polls: as many as would have fitted into [`LONGEST_BATCH`] at the last reading. The
//! loop decides whether the batch goes on.
//!
//! ```text
//!                twice as many, after 64 polls during which they would have fitted
//!          -------------------------------------------------------------------->
//!        1           2            4             8            16
//!          <--------------------------------------------------------------------
//!                at once, if fewer fit
//! ```
//!
//! A new loop begins with a stride of one poll, so a first poll that is long is noticed at once.
//! The stride grows slowly, because one short poll between long ones says little. If it grew with
//! every reading, each short poll between two long ones would double it.

use std::cell::Cell;

/// How long a batch of polls may take before the loop turns the reactor and fires timers, in nanoseconds.
///
/// Turning the reactor costs a syscall, 0.3 µs, which is little in a millisecond. A millisecond is also the grain of
/// `epoll_wait(2)`, so shorter batches would not make sleeps more precise.
pub(super) const LONGEST_BATCH: u64 = 1_000_000;

/// The longest stride. The loop may notice this many polls late that polls have become long.
///
/// A reading takes 20 ns, and a poll that does nothing takes 10. A reading every 16 polls is an eighth of that.
const LONGEST_STRIDE: u32 = 16;

/// After how many short polls the stride is doubled.
const QUICK_POLLS: u32 = 64;

/// The stride of one loop, which adapts to the length of the polls.
#[derive(Debug)]
pub(super) struct Pace {
    /// How many polls the loop makes between two readings of the clock.
    stride: Cell<u32>,
    /// How many polls in a row were short enough for a longer stride.
    quick: Cell<u32>,
}

impl Pace {
    /// Makes the pace of a loop that has made no poll yet, with the shortest stride.
    pub(super) fn new() -> Pace {
        Pace {
            stride: Cell::new(1),
            quick: Cell::new(0),
        }
    }

    /// Returns how many polls to make before the next reading.
    #[inline]
    pub(super) fn stride(&self) -> u32 {
        self.stride.get()
    }

    /// Notes that `polls` polls have taken `nanos` nanoseconds.
    #[inline]
    pub(super) fn note(&self, polls: u64, nanos: u64) {
        let is_quick = nanos <= polls * (LONGEST_BATCH / u64::from(LONGEST_STRIDE));
        if !is_quick || self.stride.get() < LONGEST_STRIDE {
            self.adapt(polls, nanos);
        }
    }

    /// Shortens the stride at once, or lengthens it after enough short polls.
    #[cold]
    fn adapt(&self, polls: u64, nanos: u64) {
        let stride = self.stride.get();
        // How many polls like these fit into a batch.
        let fitting = polls * LONGEST_BATCH / nanos.max(1);
        let fitting = fitting.clamp(1, u64::from(2 * LONGEST_STRIDE)) as u32;
        if fitting < stride {
            self.stride.set(fitting);
        }
        let quick = match fitting < 2 * stride {
            true => 0,
            false => self.quick.get() + polls as u32,
        };
        self.quick.set(quick);
        if quick >= QUICK_POLLS {
            self.quick.set(0);
            self.stride.set((2 * stride).min(LONGEST_STRIDE));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A millisecond, in nanoseconds.
    const MILLI: u64 = 1_000_000;

    /// Runs batches as the loop does, in which the `n`th poll takes `length(n)`, until `count` polls were made.
    /// Returns the numbers of the polls after which it looked for events.
    fn looks(count: u64, length: impl Fn(u64) -> u64) -> Vec<u64> {
        let pace = Pace::new();
        let (mut polls, mut looks) = (0, Vec::new());
        while polls < count {
            let (mut batch, mut batch_time) = (0, 0);
            while batch < 128 && batch_time < LONGEST_BATCH {
                let stride = pace.stride();
                let time = (polls..polls + u64::from(stride)).map(&length).sum();
                pace.note(stride.into(), time);
                polls += u64::from(stride);
                batch += stride;
                batch_time += time;
            }
            looks.push(polls);
        }
        looks
    }

    #[test]
    fn the_loop_turns_the_reactor_after_128_quick_polls() {
        assert_eq!(looks(512, |_| 1_000), [128, 256, 384, 512]);
        assert_eq!(looks(512, |_| 0), [128, 256, 384, 512]);
    }

    #[test]
    fn the_loop_turns_the_reactor_after_each_long_poll() {
        for millis in [1, 5, 20, 1_000] {
            let looks = looks(50, |_| millis * MILLI);
            assert_eq!(looks, (1..=50).collect::<Vec<_>>());
        }
    }

    #[test]
    fn polls_that_become_long_are_noticed_once_after_16_polls() {
        let looks = looks(2_050, |poll| if poll < 2_000 { 100 } else { 5 * MILLI });
        let late: Vec<u64> = looks.into_iter().filter(|&look| look > 2_000).collect();
        assert!(late[0] <= 2_016, "{late:?}");
        assert!(late.windows(2).all(|pair| pair[1] - pair[0] == 1));
    }

    #[test]
    fn a_batch_lasts_one_millisecond_or_one_poll() {
        for micros in [7, 30, 63, 100, 400, 700, 999] {
            let length = micros * 1_000;
            let looks = looks(10_000, |_| length);
            for pair in looks.windows(2).skip(1) {
                let took = (pair[1] - pair[0]) * length;
                // The batch ends with the stride in which its time runs out.
                assert!(took <= 2 * MILLI, "{micros} µs: {took} ns");
            }
        }
    }

    #[test]
    fn a_short_poll_between_long_ones_does_not_lengthen_the_stride() {
        let looks = looks(10_000, |poll| if poll % 2 == 0 { 5 * MILLI } else { 100 });
        assert!(looks.windows(2).all(|pair| pair[1] - pair[0] <= 2));
    }

    #[test]
    fn quick_polls_lengthen_the_stride_again() {
        // One long poll, and then none.
        let looks = looks(4_000, |poll| if poll == 1_000 { 50 * MILLI } else { 100 });
        let last = looks.windows(2).next_back().expect("many");
        assert_eq!(last[1] - last[0], 128);
        // It took 64 polls at a stride of one, two, four and eight each.
        assert!(looks.len() < 40, "{looks:?}");
    }
}

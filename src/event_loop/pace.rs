//! [`Pace`]: how many polls the event loop makes before it reads the clock.
//!
//! Reading the clock after each poll would make a short poll 40% more expensive. So the loop reads it after a
//! *stride* of polls: at most as many as fit into [`LONGEST_BATCH`], judged by the polls before the last reading.
//! After each reading, the loop decides whether to continue the batch.
//!
//! ```text
//!                twice as many, after 64 polls during which twice as many would have fit
//!          -------------------------------------------------------------------->
//!        1           2            4             8            16
//!          <--------------------------------------------------------------------
//!                at once, when fewer fit
//! ```
//!
//! A new loop begins with a stride of one poll, so it notices at once if the first poll is long. The stride grows
//! slowly, because one short poll does not show that the next is short. If the stride grew at every reading,
//! each short poll between two long ones would double it.

use std::cell::Cell;

/// How long a batch of polls may take before the loop turns the reactor and fires timers, in nanoseconds.
///
/// Turning the reactor costs a syscall of 0.3 µs, a small part of a millisecond. A millisecond is also the
/// granularity of `epoll_wait(2)`, so shorter batches would not make sleeps more precise.
pub(super) const LONGEST_BATCH: u64 = 1_000_000;

/// The longest stride. When polls become long, the loop may notice it this many polls late.
///
/// Reading the clock takes 20 ns, and a poll that does nothing takes 10 ns. Reading it every 16 polls adds an
/// eighth to such polls.
const LONGEST_STRIDE: u32 = 16;

/// The number of short polls after which the stride doubles.
const QUICK_POLLS: u32 = 64;

/// The stride of one loop, which adapts to the length of the polls.
#[derive(Debug)]
pub(super) struct Pace {
    /// The number of polls between two readings of the clock.
    stride: Cell<u32>,
    /// The number of consecutive polls that were short enough for a longer stride.
    quick: Cell<u32>,
}

impl Pace {
    /// Creates the pace of a new loop, with the shortest stride.
    pub(super) fn new() -> Pace {
        Pace {
            stride: Cell::new(1),
            quick: Cell::new(0),
        }
    }

    /// Returns the number of polls to make before the next reading of the clock.
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
        // The number of polls of this length that fit into a batch.
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

    /// Simulates the loop for `count` polls, of which the `n`th takes `length(n)`. Returns the numbers of the
    /// polls after which it turns the reactor.
    fn turns(count: u64, length: impl Fn(u64) -> u64) -> Vec<u64> {
        let pace = Pace::new();
        let (mut polls, mut turns) = (0, Vec::new());
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
            turns.push(polls);
        }
        turns
    }

    #[test]
    fn the_reactor_turns_after_128_quick_polls() {
        assert_eq!(turns(512, |_| 1_000), [128, 256, 384, 512]);
        assert_eq!(turns(512, |_| 0), [128, 256, 384, 512]);
    }

    #[test]
    fn the_reactor_turns_after_each_long_poll_even_the_first() {
        for millis in [1, 5, 20, 1_000] {
            let turns = turns(50, |_| millis * MILLI);
            assert_eq!(turns, (1..=50).collect::<Vec<_>>());
        }
    }

    #[test]
    fn polls_that_become_long_delay_the_reactor_once_by_16_polls_at_most() {
        let turns = turns(2_050, |poll| if poll < 2_000 { 100 } else { 5 * MILLI });
        let late: Vec<u64> = turns.into_iter().filter(|&turn| turn > 2_000).collect();
        assert!(late[0] <= 2_016, "{late:?}");
        assert!(late.windows(2).all(|pair| pair[1] - pair[0] == 1));
    }

    #[test]
    fn a_batch_lasts_one_millisecond_or_one_poll() {
        for micros in [7, 30, 63, 100, 400, 700, 999] {
            let length = micros * 1_000;
            let turns = turns(10_000, |_| length);
            for pair in turns.windows(2).skip(1) {
                let took = (pair[1] - pair[0]) * length;
                // The batch ends with the stride in which its time runs out.
                assert!(took <= 2 * MILLI, "{micros} µs: {took} ns");
            }
        }
    }

    #[test]
    fn a_short_poll_between_long_ones_does_not_lengthen_the_stride() {
        let turns = turns(10_000, |poll| if poll % 2 == 0 { 5 * MILLI } else { 100 });
        assert!(turns.windows(2).all(|pair| pair[1] - pair[0] <= 2));
    }

    #[test]
    fn quick_polls_lengthen_the_stride_again() {
        // One long poll, and then none.
        let turns = turns(4_000, |poll| if poll == 1_000 { 50 * MILLI } else { 100 });
        let last = turns.windows(2).next_back().expect("many");
        assert_eq!(last[1] - last[0], 128);
        // It took 64 polls at a stride of one, two, four and eight each.
        assert!(turns.len() < 40, "{turns:?}");
    }
}

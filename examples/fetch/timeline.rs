//! The number of fetches in each phase over time: a row of bins, each of which sums the time that fetches
//! spent in it.

use std::time::Duration;

use crate::timing::Phase;

/// The number of bins: more than a line of a terminal has cells.
const BINS: usize = 512;

/// The initial width of a bin.
const FIRST_WIDTH: Duration = Duration::from_millis(1);

/// The number of fetches in each phase over time.
#[derive(Debug)]
pub(crate) struct Timeline {
    /// The width of a bin. It doubles when the run exceeds the last bin.
    width: Duration,
    /// For each bin and phase, the time spent there by all fetches.
    bins: Vec<[Duration; Phase::ALL.len()]>,
}

impl Timeline {
    /// Creates an empty timeline.
    pub(crate) fn new() -> Self {
        Self {
            width: FIRST_WIDTH,
            bins: vec![Default::default(); BINS],
        }
    }

    /// Adds the time that a fetch spent in a phase.
    pub(crate) fn add(&mut self, phase: Phase, begin: Duration, end: Duration) {
        while end > self.width * BINS as u32 {
            self.widen();
        }
        let width = self.width;
        let first = self.bin(begin);
        for (number, bin) in (first..).zip(&mut self.bins[first..]) {
            let bin_begin = width * number as u32;
            if bin_begin >= end {
                break;
            }
            bin[phase as usize] += overlap(begin..end, bin_begin..bin_begin + width);
        }
    }

    /// Returns the mean number of fetches in a phase over a period.
    pub(crate) fn mean(&self, phase: Phase, begin: Duration, end: Duration) -> f64 {
        if begin >= end {
            return 0.0;
        }
        let width = self.width.as_secs_f64();
        let first = self.bin(begin);
        let mut spent = 0.0;
        for (number, bin) in (first..).zip(&self.bins[first..]) {
            let bin_begin = self.width * number as u32;
            if bin_begin >= end {
                break;
            }
            let shared = overlap(begin..end, bin_begin..bin_begin + self.width);
            spent += bin[phase as usize].as_secs_f64() * shared.as_secs_f64() / width;
        }
        spent / (end - begin).as_secs_f64()
    }

    /// Returns the index of the bin of a moment, or of the last bin.
    fn bin(&self, moment: Duration) -> usize {
        let number = moment.as_nanos() / self.width.as_nanos();
        usize::try_from(number).unwrap_or(usize::MAX).min(BINS - 1)
    }

    /// Merges each pair of bins into one.
    fn widen(&mut self) {
        self.width *= 2;
        for number in 0..BINS {
            let pair = self
                .bins
                .get(2 * number..2 * number + 2)
                .unwrap_or_default();
            self.bins[number] =
                std::array::from_fn(|phase| pair.iter().map(|bin| bin[phase]).sum());
        }
    }
}

/// Returns the duration of the overlap of two periods.
fn overlap(one: std::ops::Range<Duration>, other: std::ops::Range<Duration>) -> Duration {
    let end = one.end.min(other.end);
    end.saturating_sub(one.start.max(other.start))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns a duration in milliseconds.
    fn ms(count: u64) -> Duration {
        Duration::from_millis(count)
    }

    #[test]
    fn the_mean_is_the_number_of_fetches_in_the_phase() {
        let mut timeline = Timeline::new();
        for _ in 0..3 {
            timeline.add(Phase::Wait, ms(10), ms(20));
        }
        timeline.add(Phase::Wait, ms(15), ms(30));
        timeline.add(Phase::Read, ms(0), ms(40));
        for (phase, begin, end, mean) in [
            (Phase::Wait, 10, 15, 3.0),
            (Phase::Wait, 15, 20, 4.0),
            (Phase::Wait, 10, 20, 3.5),
            (Phase::Wait, 20, 30, 1.0),
            (Phase::Wait, 30, 1_000, 0.0),
            (Phase::Read, 0, 40, 1.0),
            (Phase::Connect, 0, 40, 0.0),
            (Phase::Read, 7, 7, 0.0),
        ] {
            let found = timeline.mean(phase, ms(begin), ms(end));
            assert!((found - mean).abs() < 1e-9, "{phase:?} {begin}: {found}");
        }
    }

    #[test]
    fn a_long_run_widens_the_bins_and_loses_nothing() {
        let mut timeline = Timeline::new();
        timeline.add(Phase::Wait, ms(0), ms(256));
        timeline.add(Phase::Wait, ms(0), ms(1_000_000));
        assert_eq!(timeline.bins.len(), BINS);
        let end = timeline.width * BINS as u32;
        assert!(end >= ms(1_000_000));
        let spent = timeline.mean(Phase::Wait, ms(0), end) * end.as_secs_f64();
        assert!((spent - 1_000.256).abs() < 1e-6, "{spent}");
    }
}

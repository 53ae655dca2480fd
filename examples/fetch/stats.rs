//! The statistics of a run.
//!
//! Their memory does not grow with the number of fetches: some fetches are kept to be drawn, and the others
//! contribute only to counts, histograms and a timeline.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::fetch::Fetch;
use crate::histogram::Histogram;
use crate::timeline::Timeline;
use crate::timing::Phase;

/// The size of the largest run of which all fetches are kept.
const MOST_ROWS: usize = 20;

/// The number of fetches kept of a larger run, at regular intervals.
const SAMPLES: usize = 12;

/// The number of different failures that are kept.
const MOST_FAILURES: usize = 20;

/// The statistics of a run.
#[derive(Debug)]
pub(crate) struct Stats {
    /// The number of fetches of the whole run.
    pub(crate) total: usize,
    /// One in this many fetches is kept.
    pub(crate) every: usize,
    /// The kept fetches, in the order of their ends.
    pub(crate) rows: Vec<Fetch>,
    /// The number of successful fetches.
    pub(crate) well: u64,
    /// The number of failed fetches.
    pub(crate) failed: u64,
    /// The number of bytes of all received bodies.
    pub(crate) bytes: u64,
    /// The number of fetches by their last status.
    pub(crate) statuses: BTreeMap<u16, u64>,
    /// The failures with their counts, in the order of their first occurrence.
    pub(crate) failures: Vec<(String, u64)>,
    /// The number of failures beyond those.
    pub(crate) other_failures: u64,
    /// The durations of the phases of successful fetches.
    pub(crate) phases: [Times; Phase::ALL.len()],
    /// The durations of successful fetches.
    pub(crate) wholes: Times,
    /// The sum of the durations of all fetches.
    pub(crate) spent: Duration,
    /// The end of the last fetch.
    pub(crate) took: Duration,
    /// The number of fetches in each phase over time.
    pub(crate) timeline: Timeline,
}

impl Stats {
    /// Creates the statistics of a run that has not started.
    pub(crate) fn new(total: usize) -> Self {
        Self {
            total,
            every: match total <= MOST_ROWS {
                true => 1,
                false => total.div_ceil(SAMPLES),
            },
            rows: Vec::new(),
            well: 0,
            failed: 0,
            bytes: 0,
            statuses: BTreeMap::new(),
            failures: Vec::new(),
            other_failures: 0,
            phases: Default::default(),
            wholes: Times::default(),
            spent: Duration::ZERO,
            took: Duration::ZERO,
            timeline: Timeline::new(),
        }
    }

    /// Returns whether the run is large, so that only a sample of the fetches is kept.
    pub(crate) fn is_sampled(&self) -> bool {
        self.every > 1
    }

    /// Returns the number of fetches that are over.
    pub(crate) fn over(&self) -> u64 {
        self.well + self.failed
    }

    /// Adds a fetch that is over.
    pub(crate) fn add(&mut self, fetch: Fetch) {
        let timing = &fetch.timing;
        self.spent += timing.took();
        self.took = self.took.max(timing.ended);
        for (phase, begin, end) in timing.phases() {
            self.timeline.add(phase, begin, end);
        }
        if let Some(last) = fetch.exchanges.last() {
            *self.statuses.entry(last.head.status).or_default() += 1;
        }
        match &fetch.outcome {
            Ok(received) => {
                self.well += 1;
                self.bytes += received.bytes;
                self.wholes.add(timing.took());
                for (phase, times) in Phase::ALL.into_iter().zip(&mut self.phases) {
                    if let Some(spent) = timing.spent(phase) {
                        times.add(spent);
                    }
                }
            }
            Err(failure) => {
                self.failed += 1;
                let failure = format!("{}: {failure}", fetch.job.target.text);
                let mut known = self.failures.iter_mut();
                if let Some((_, count)) = known.find(|(other, _)| *other == failure) {
                    *count += 1;
                } else if self.failures.len() < MOST_FAILURES {
                    self.failures.push((failure, 1));
                } else {
                    self.other_failures += 1;
                }
            }
        }
        if (fetch.job.number - 1).is_multiple_of(self.every) {
            self.rows.push(fetch);
        }
    }

    /// Returns the kept fetches in the order of their numbers.
    pub(crate) fn sorted_rows(&self) -> Vec<&Fetch> {
        let mut rows: Vec<&Fetch> = self.rows.iter().collect();
        rows.sort_by_key(|fetch| fetch.job.number);
        rows
    }

    /// Returns a count per second of this run.
    pub(crate) fn per_second(&self, count: u64) -> f64 {
        // The clock may be too coarse to measure a very short run.
        count as f64 / self.took.max(Duration::from_micros(1)).as_secs_f64()
    }
}

/// A set of durations.
#[derive(Debug, Default)]
pub(crate) struct Times {
    /// The durations in microseconds.
    histogram: Histogram,
    /// The longest duration.
    pub(crate) longest: Duration,
}

impl Times {
    /// Adds a duration.
    fn add(&mut self, duration: Duration) {
        let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        self.histogram.add(micros);
        self.longest = self.longest.max(duration);
    }

    /// Returns whether the set is empty.
    pub(crate) fn is_empty(&self) -> bool {
        self.histogram.is_empty()
    }

    /// Returns the duration that `percent` of the durations do not exceed.
    pub(crate) fn percentile(&self, percent: f64) -> Duration {
        let micros = self.histogram.percentile(percent);
        // The histogram rounds up.
        Duration::from_micros(micros).min(self.longest)
    }
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use super::*;
    use crate::fetch::{Job, Received, Target};
    use crate::timing::Timing;

    /// Returns a fetch with a number and a duration in milliseconds, which may have failed.
    fn fetch(number: usize, millis: u64, fails: bool) -> Fetch {
        let begun = [(Phase::Connect, Duration::ZERO)];
        Fetch {
            job: Job {
                number,
                target: Rc::new(Target::new("http://a/".to_string())),
            },
            timing: Timing::made_up(&begun, Duration::from_millis(millis)),
            exchanges: Vec::new(),
            outcome: match fails {
                true => Err(format!("reason {}", number % 30)),
                false => Ok(Received {
                    bytes: 10,
                    saved: None,
                }),
            },
        }
    }

    #[test]
    fn a_large_run_keeps_statistics_and_some_fetches() {
        let mut stats = Stats::new(10_000);
        for number in (1..=10_000).rev() {
            stats.add(fetch(number, number as u64 / 10, number > 9_000));
        }
        assert!(stats.is_sampled());
        assert_eq!(
            (stats.well, stats.failed, stats.bytes),
            (9_000, 1_000, 90_000)
        );
        assert_eq!(stats.took, Duration::from_secs(1));
        let numbers: Vec<usize> = stats
            .sorted_rows()
            .iter()
            .map(|row| row.job.number)
            .collect();
        assert_eq!(numbers.len(), SAMPLES);
        assert!(
            numbers
                .windows(2)
                .all(|pair| pair[1] - pair[0] == stats.every)
        );
        assert_eq!(numbers[0], 1);

        for (percent, millis) in [(50.0, 450), (99.0, 891), (100.0, 900)] {
            let percentile = stats.wholes.percentile(percent).as_millis();
            assert!(percentile.abs_diff(millis) <= 1, "{percentile}");
        }
        assert!(stats.phases[0].is_empty());
        assert!(!stats.phases[1].is_empty());

        assert_eq!(stats.failures.len(), MOST_FAILURES);
        let listed: u64 = stats.failures.iter().map(|(_, count)| count).sum();
        assert_eq!(listed + stats.other_failures, stats.failed);
    }

    #[test]
    fn a_small_run_keeps_all_fetches() {
        let mut stats = Stats::new(MOST_ROWS);
        for number in 1..=MOST_ROWS {
            stats.add(fetch(number, 1, false));
        }
        assert!(!stats.is_sampled());
        assert_eq!(stats.rows.len(), MOST_ROWS);
        assert_eq!(stats.per_second(stats.over()), 20_000.0);
    }
}

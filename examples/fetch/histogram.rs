//! How often each of a lot of numbers occurred, to three digits, in memory that does not grow with
//! how many there are.
//!
//! Numbers below 2,048 have a bucket each. Above, each power of two is divided into 1,024 buckets of
//! the same width, so that a bucket is never wider than a thousandth of the numbers in it:
//!
//! ```text
//!    numbers           0 .. 2047    2048 .. 4095    4096 .. 8191    ...
//!    width             1            2               4
//!    buckets           2048         1024            1024
//! ```

/// The logarithm of how many buckets a power of two is divided into: 1,024 give three digits, which
/// is as many as the report shows.
const PRECISION: u32 = 10;

/// How many buckets a power of two is divided into.
const BUCKETS: usize = 1 << PRECISION;

/// A histogram of numbers.
#[derive(Debug, Default)]
pub(crate) struct Histogram {
    /// How many numbers fell into each bucket, up to that of the largest.
    counts: Vec<u64>,
    /// How many numbers there are.
    total: u64,
}

impl Histogram {
    /// Adds a number.
    pub(crate) fn add(&mut self, number: u64) {
        let bucket = bucket(number);
        if bucket >= self.counts.len() {
            self.counts.resize(bucket + 1, 0);
        }
        self.counts[bucket] += 1;
        self.total += 1;
    }

    /// Whether there are no numbers.
    pub(crate) fn is_empty(&self) -> bool {
        self.total == 0
    }

    /// The number that `percent` of all numbers do not exceed: the largest of its bucket. Zero if
    /// there are no numbers.
    pub(crate) fn percentile(&self, percent: f64) -> u64 {
        let rank = (self.total as f64 * percent / 100.0).ceil().max(1.0) as u64;
        let mut seen = 0;
        for (bucket, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= rank {
                return largest(bucket);
            }
        }
        0
    }
}

/// The bucket of a number.
fn bucket(number: u64) -> usize {
    let bits = u64::BITS - number.leading_zeros();
    let shift = bits.saturating_sub(PRECISION + 1);
    shift as usize * BUCKETS + (number >> shift) as usize
}

/// The largest number of a bucket.
fn largest(bucket: usize) -> u64 {
    let shift = (bucket / BUCKETS).saturating_sub(1);
    let leading = (bucket - shift * BUCKETS) as u64;
    (leading << shift) | ((1 << shift) - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers of every magnitude, and their neighbours.
    fn numbers() -> Vec<u64> {
        let magnitudes = (0..u64::BITS).map(|bits| u64::MAX >> bits);
        let parts = magnitudes.flat_map(|top| (1..=50).map(move |part| top / part));
        parts
            .flat_map(|number| [number.saturating_sub(1), number, number.saturating_add(1)])
            .collect()
    }

    #[test]
    fn a_bucket_is_no_wider_than_a_thousandth_of_its_numbers() {
        for number in numbers() {
            let bucket = bucket(number);
            let largest = largest(bucket);
            assert!(number <= largest, "{number} is beyond its bucket");
            assert_eq!(super::bucket(largest), bucket, "{number}");
            assert!(largest - number <= number / 1000, "{number}, {largest}");
            if let Some(next) = largest.checked_add(1) {
                assert_eq!(super::bucket(next), bucket + 1, "{number}");
            }
        }
    }

    #[test]
    fn a_percentile_is_that_of_a_sorted_list() {
        let mut sorted = numbers();
        let mut histogram = Histogram::default();
        for &number in &sorted {
            histogram.add(number);
        }
        sorted.sort_unstable();
        for percent in [0.0, 0.1, 25.0, 50.0, 90.0, 99.0, 99.9, 100.0] {
            let rank = (sorted.len() as f64 * percent / 100.0).ceil() as usize;
            let exact = sorted[rank.max(1) - 1];
            let found = histogram.percentile(percent);
            assert!(found >= exact && found - exact <= exact / 1000);
        }
    }

    #[test]
    fn a_histogram_of_nothing_has_no_percentiles() {
        let histogram = Histogram::default();
        assert!(histogram.is_empty());
        assert_eq!(histogram.percentile(50.0), 0);
    }
}

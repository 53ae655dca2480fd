//! A histogram of numbers with a precision of three digits, in memory that does not grow with their count.
//!
//! Each number below 2,048 has a bucket of its own. Above, each power of two is divided into 1,024 buckets of
//! the same width, so the width of a bucket is at most a thousandth of its numbers:
//!
//! ```text
//!    numbers           0 .. 2047    2048 .. 4095    4096 .. 8191    ...
//!    width             1            2               4
//!    buckets           2048         1024            1024
//! ```

/// The binary logarithm of the number of buckets per power of two: 1,024 buckets give three digits, as many
/// as the report shows.
const PRECISION: u32 = 10;

/// The number of buckets per power of two.
const BUCKETS: usize = 1 << PRECISION;

/// A histogram of numbers.
#[derive(Debug, Default)]
pub(crate) struct Histogram {
    /// The count of each bucket, up to that of the largest number.
    counts: Vec<u64>,
    /// The count of all numbers.
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

    /// Returns whether the histogram is empty.
    pub(crate) fn is_empty(&self) -> bool {
        self.total == 0
    }

    /// Returns the number that `percent` of all numbers do not exceed, rounded up to the largest of its
    /// bucket. Returns zero if the histogram is empty.
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

/// Returns the bucket of a number.
fn bucket(number: u64) -> usize {
    let bits = u64::BITS - number.leading_zeros();
    let shift = bits.saturating_sub(PRECISION + 1);
    shift as usize * BUCKETS + (number >> shift) as usize
}

/// Returns the largest number of a bucket.
fn largest(bucket: usize) -> u64 {
    let shift = (bucket / BUCKETS).saturating_sub(1);
    let leading = (bucket - shift * BUCKETS) as u64;
    (leading << shift) | ((1 << shift) - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns numbers of every magnitude, and their neighbors.
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
    fn an_empty_histogram_has_no_percentiles() {
        let histogram = Histogram::default();
        assert!(histogram.is_empty());
        assert_eq!(histogram.percentile(50.0), 0);
    }
}

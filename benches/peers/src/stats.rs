//! Medians and quartiles of ratios, and the format of numbers.

/// The median of values that were measured in rounds, and their quartiles.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Spread {
    /// The lower quartile: a quarter of the values is less.
    pub(crate) low: f64,
    /// The median.
    pub(crate) median: f64,
    /// The upper quartile: a quarter of the values is greater.
    pub(crate) high: f64,
}

impl Spread {
    /// Returns the spread of `values`, or `None` if there are none.
    pub(crate) fn of(values: impl IntoIterator<Item = f64>) -> Option<Spread> {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_unstable_by(f64::total_cmp);
        let last = values.len().checked_sub(1)?;
        // Interpolates between two values.
        let quantile = |share: f64| {
            let rank = share * last as f64;
            let below = values[rank.floor() as usize];
            let above = values[rank.ceil() as usize];
            below + (above - below) * rank.fract()
        };
        Some(Spread {
            low: quantile(0.25),
            median: quantile(0.5),
            high: quantile(0.75),
        })
    }

    /// Returns the spread of the ratios of two runtimes in the same rounds.
    pub(crate) fn of_ratios(values: &[f64], reference: &[f64]) -> Option<Spread> {
        let rounds = values.iter().zip(reference);
        Spread::of(rounds.map(|(value, reference)| value / reference))
    }
}

/// Returns the minimum of `values`.
pub(crate) fn least(values: &[f64]) -> f64 {
    values.iter().copied().fold(f64::INFINITY, f64::min)
}

/// Formats a ratio with its significant digits.
pub(crate) fn ratio(value: f64) -> String {
    match value {
        ..9.995 => format!("{value:.2}"),
        ..99.95 => format!("{value:.1}"),
        _ => grouped(value),
    }
}

/// Formats a whole number with commas between groups of three digits.
pub(crate) fn grouped(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{Spread, grouped, ratio};

    #[test]
    fn quartiles_lie_between_values() {
        let spread = Spread::of([4.0, 1.0, 3.0, 2.0, 5.0]).expect("there are values");
        let expected = Spread {
            low: 2.0,
            median: 3.0,
            high: 4.0,
        };
        assert_eq!(spread, expected);
        assert_eq!(Spread::of([1.0, 2.0]).expect("two values").median, 1.5);
        assert_eq!(Spread::of([]), None);
    }

    #[test]
    fn ratios_are_of_the_same_round() {
        let spread = Spread::of_ratios(&[2.0, 20.0], &[1.0, 10.0]).expect("two rounds");
        assert_eq!((spread.low, spread.high), (2.0, 2.0));
    }

    #[test]
    fn numbers_have_their_significant_digits() {
        assert_eq!(ratio(0.126), "0.13");
        assert_eq!(ratio(12.34), "12.3");
        assert_eq!(ratio(1234.5), "1,234");
        assert_eq!(grouped(1_000_000.0), "1,000,000");
        assert_eq!(grouped(12.0), "12");
    }
}

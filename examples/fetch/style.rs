//! The style of the output: characters, colors and width, and the format of numbers and durations.

use std::env;
use std::io::IsTerminal;
use std::time::Duration;

use crate::timing::Phase;

/// The width if the output is not a terminal or the terminal does not report its width.
const DEFAULT_WIDTH: usize = 80;

/// The narrowest report: a narrower one has no room for the legend.
const MIN_WIDTH: usize = 64;

/// The widest report: no screen has more columns.
const MAX_WIDTH: usize = 1000;

/// Resets the color.
const PLAIN: &str = "\x1b[0m";

/// The style of the output.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Style {
    /// Whether the output may contain more than ASCII.
    pub(crate) unicode: bool,
    /// Whether the output may contain colors.
    pub(crate) color: bool,
    /// The number of columns.
    pub(crate) width: usize,
}

impl Style {
    /// Returns the style for an output and the environment. `TERM=dumb` counts as no terminal, `NO_COLOR`
    /// means what <https://no-color.org> says, and `COLUMNS` overrides the width of the terminal.
    pub(crate) fn new(out: &impl Terminal) -> Self {
        let is_set = |name| env::var_os(name).is_some_and(|value| !value.is_empty());
        let is_terminal = out.is_terminal();
        let unicode = is_terminal && env::var_os("TERM").is_none_or(|term| term != "dumb");
        let columns = env::var("COLUMNS").ok();
        let width = columns
            .and_then(|text| text.parse().ok())
            .filter(|&columns| columns > 0)
            .or_else(|| out.width().filter(|_| is_terminal))
            .unwrap_or(DEFAULT_WIDTH);
        Self {
            unicode,
            color: unicode && !is_set("NO_COLOR"),
            width: width.clamp(MIN_WIDTH, MAX_WIDTH),
        }
    }

    /// Returns the symbol of a phase.
    pub(crate) fn symbol(self, phase: Phase) -> char {
        match (phase, self.unicode) {
            (Phase::Resolve, true) => '┄',
            (Phase::Connect, true) => '▚',
            (Phase::Wait, true) => '░',
            (Phase::Read, true) => '█',
            (Phase::Resolve, false) => '~',
            (Phase::Connect, false) => '%',
            (Phase::Wait, false) => '.',
            (Phase::Read, false) => '#',
        }
    }

    /// Returns the symbol of a failure, in the table and at the end of a bar.
    pub(crate) fn failed(self) -> char {
        if self.unicode { '×' } else { 'x' }
    }

    /// Returns the symbols of the time axis: its line, its start and its ticks.
    pub(crate) fn axis(self) -> [char; 3] {
        if self.unicode {
            ['─', '├', '┼']
        } else {
            ['-', '+', '+']
        }
    }

    /// Truncates a text to `width` characters.
    pub(crate) fn shorten(self, text: &str, width: usize) -> String {
        if text.chars().count() <= width {
            return text.to_string();
        }
        let dots = if self.unicode { "…" } else { "..." };
        let kept = width.saturating_sub(dots.chars().count());
        text.chars().take(kept).chain(dots.chars()).collect()
    }

    /// Formats a duration in at most 7 characters.
    pub(crate) fn duration(self, duration: Duration) -> String {
        let seconds = duration.as_secs_f64();
        if seconds < 1e-3 {
            format!("{:.0} {}", seconds * 1e6, self.micros())
        } else if seconds < 10e-3 {
            format!("{:.1} ms", seconds * 1e3)
        } else if seconds < 1.0 {
            format!("{:.0} ms", seconds * 1e3)
        } else {
            format!("{seconds:.1} s")
        }
    }

    /// Returns the unit of microseconds.
    pub(crate) fn micros(self) -> &'static str {
        if self.unicode { "µs" } else { "us" }
    }

    /// Adds colors to the symbols of phases and failures in a text, if colors are allowed.
    pub(crate) fn paint(self, text: &str) -> String {
        if !self.color {
            return text.to_string();
        }
        let mut painted = String::with_capacity(text.len());
        let mut current = PLAIN;
        for c in text.chars() {
            let color = color(c);
            if color != current {
                painted += color;
                current = color;
            }
            painted.push(c);
        }
        painted
    }
}

/// An output that may be a terminal.
pub(crate) trait Terminal: IsTerminal {
    /// Returns the number of columns, if the terminal reports it.
    fn width(&self) -> Option<usize>;
}

#[cfg(unix)]
impl<T: IsTerminal + std::os::fd::AsFd> Terminal for T {
    fn width(&self) -> Option<usize> {
        let size = rustix::termios::tcgetwinsize(self).ok()?;
        // A serial line does not know its width and reports 0.
        Some(size.ws_col.into()).filter(|&columns| columns > 0)
    }
}

#[cfg(not(unix))]
impl<T: IsTerminal> Terminal for T {
    fn width(&self) -> Option<usize> {
        None
    }
}

/// Returns the color of a character. Only the symbols of pictures have one, and they occur nowhere else.
fn color(c: char) -> &'static str {
    match c {
        '┄' => "\x1b[35m",
        '▚' => "\x1b[33m",
        '░' => "\x1b[34m",
        '█' => "\x1b[32m",
        '×' => "\x1b[31m",
        _ => PLAIN,
    }
}

/// Formats a number with commas between groups of three digits.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// Formats a rate per second, with a decimal if it is low.
pub(crate) fn rate(per_second: f64) -> String {
    match per_second {
        ..10.0 => format!("{per_second:.1}"),
        _ => grouped(per_second.round() as u64),
    }
}

/// Formats a number of bytes with a unit.
pub(crate) fn bytes(count: f64) -> String {
    match count {
        ..1e3 => format!("{count:.0} bytes"),
        ..1e6 => format!("{:.1} kB", count / 1e3),
        ..1e9 => format!("{:.1} MB", count / 1e6),
        _ => format!("{:.1} GB", count / 1e9),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The style of a terminal.
    const TERMINAL: Style = Style {
        unicode: true,
        color: true,
        width: 80,
    };

    #[test]
    fn durations_are_short_and_numbers_are_grouped() {
        for (micros, text) in [
            (0, "0 µs"),
            (412, "412 µs"),
            (4_120, "4.1 ms"),
            (41_200, "41 ms"),
            (412_000, "412 ms"),
            (4_120_000, "4.1 s"),
            (30_000_000, "30.0 s"),
        ] {
            assert_eq!(TERMINAL.duration(Duration::from_micros(micros)), text);
        }
        for (number, text) in [
            (0, "0"),
            (999, "999"),
            (1_000, "1,000"),
            (16_777_216, "16,777,216"),
        ] {
            assert_eq!(grouped(number), text);
        }
        for (per_second, text) in [
            (0.04, "0.0"),
            (2.36, "2.4"),
            (11.9, "12"),
            (54_321.0, "54,321"),
        ] {
            assert_eq!(rate(per_second), text);
        }
        for (count, text) in [
            (0.0, "0 bytes"),
            (12_345.0, "12.3 kB"),
            (50e6, "50.0 MB"),
            (1.25e9, "1.2 GB"),
        ] {
            assert_eq!(bytes(count), text);
        }
    }

    #[test]
    fn only_the_symbols_of_pictures_have_colors() {
        assert_eq!(TERMINAL.paint("1 ░██ x"), "1 \x1b[34m░\x1b[32m██\x1b[0m x");
        let plain = Style {
            color: false,
            ..TERMINAL
        };
        assert_eq!(plain.paint("1 ░██ x"), "1 ░██ x");
        for phase in Phase::ALL {
            assert_ne!(color(TERMINAL.symbol(phase)), PLAIN);
        }
        assert_ne!(color(TERMINAL.failed()), PLAIN);
    }

    #[test]
    fn a_shortened_text_fits_its_width() {
        let ascii = Style {
            unicode: false,
            ..TERMINAL
        };
        assert_eq!(TERMINAL.shorten("12345", 5), "12345");
        assert_eq!(TERMINAL.shorten("123456", 5), "1234…");
        assert_eq!(ascii.shorten("123456", 5), "12...");
    }
}

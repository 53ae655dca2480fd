//! The report of a run as text: a table of the fetches, and a picture with one bar for each on a
//! common time axis.
//!
//! It knows how wide the terminal is and nothing else about it: no colours, no cursor movements, so
//! that the same text can be piped into a file.

use std::env;
use std::time::Duration;

use crate::{Fetch, Timing};

/// The width for a terminal that does not tell its own, and for a pipe.
const DEFAULT_WIDTH: usize = 80;

/// The narrowest report: below this the legend does not fit.
const MIN_WIDTH: usize = 64;

/// How far apart the labels of the time axis stand at least. The longest, `500 ms`, needs 6 cells.
const MIN_TICK_DISTANCE: usize = 10;

/// The width of the numbers in the table: three durations and the bytes, each with two blanks.
const NUMBERS_WIDTH: usize = 3 * 9 + 12;

/// The width of a bar's length, to its right: two blanks and a duration.
const LENGTH_WIDTH: usize = 9;

/// Marks a failure, in the table and at the end of its bar.
const FAILED: char = '×';

/// The whole report: table, picture and a closing line.
pub(crate) fn report(fetches: &[Fetch], width: usize) -> String {
    format!(
        "{}\n{}\n{}",
        table(fetches, width),
        picture(fetches, width),
        summary(fetches)
    )
}

/// How many columns the report may have: as many as `COLUMNS` says, or 80.
pub(crate) fn terminal_width() -> usize {
    env::var("COLUMNS")
        .ok()
        .and_then(|columns| columns.parse().ok())
        .unwrap_or(DEFAULT_WIDTH)
        .max(MIN_WIDTH)
}

/// What a fetch is doing at a time.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Phase {
    /// Until the connection is established.
    Connect,
    /// Sending the request, and waiting for the first byte of the answer.
    Wait,
    /// From the first byte of the answer to the last.
    Read,
}

impl Phase {
    /// What the phase is drawn with.
    fn symbol(self) -> char {
        match self {
            Phase::Connect => '▚',
            Phase::Wait => '░',
            Phase::Read => '█',
        }
    }
}

impl Timing {
    /// The phases that the fetch went through, each with its end.
    fn phases(&self) -> Vec<(Phase, Duration)> {
        let mut phases = vec![(Phase::Connect, self.connected.unwrap_or(self.ended))];
        if self.connected.is_some() {
            phases.push((Phase::Wait, self.first_byte.unwrap_or(self.ended)));
        }
        if self.first_byte.is_some() {
            phases.push((Phase::Read, self.ended));
        }
        phases
    }
}

/// Two lines a fetch: what was fetched, and how it went.
fn table(fetches: &[Fetch], width: usize) -> String {
    let gutter = gutter(fetches);
    let mut table = format!(
        "{:gutter$}{:>7}  {:>7}  {:>7}  {:>10}  answer\n",
        "", "connect", "wait", "read", "bytes"
    );
    for (number, fetch) in (1..).zip(fetches) {
        let url = shorten(&fetch.url.text, width - gutter);
        table += &format!("{}{url}\n", label(number, gutter));
        match &fetch.outcome {
            Ok(answer) => {
                let mut begin = fetch.timing.started;
                table += &" ".repeat(gutter);
                for (_, end) in fetch.timing.phases() {
                    table += &format!("{:>7}  ", duration(end - begin));
                    begin = end;
                }
                let status_line = shorten(&answer.status_line, width - gutter - NUMBERS_WIDTH);
                table += &format!("{:>10}  {status_line}\n", grouped(answer.bytes));
            }
            // Never shortened: this is what somebody has to act upon.
            Err(failure) => table += &format!("{:gutter$}{FAILED} {failure}\n", ""),
        }
    }
    table
}

/// The time axis, a bar for each fetch, and a legend.
fn picture(fetches: &[Fetch], width: usize) -> String {
    let gutter = gutter(fetches);
    let cells = width - gutter - LENGTH_WIDTH;
    let end = fetches.iter().map(|fetch| fetch.timing.ended).max();
    let scale = Scale::new(end.unwrap_or_default(), cells);

    let (labels, axis) = scale.axis();
    let mut picture = format!("{:gutter$}{labels}\n{:gutter$}{axis}\n", "", "");
    for (number, fetch) in (1..).zip(fetches) {
        let failed = fetch.outcome.is_err();
        let length = match failed {
            true => "failed".to_string(),
            false => duration(fetch.timing.ended - fetch.timing.started),
        };
        let bar = scale.bar(&fetch.timing, failed);
        picture += &format!("{}{bar}  {length:>7}\n", label(number, gutter));
    }

    let [connect, wait, read] = [Phase::Connect, Phase::Wait, Phase::Read].map(Phase::symbol);
    picture += &format!(
        "{:gutter$}{connect} connect   {wait} wait for the first byte   {read} read",
        ""
    );
    if fetches.iter().any(|fetch| fetch.outcome.is_err()) {
        picture += &format!("   {FAILED} failed");
    }
    picture + "\n"
}

/// The closing line: how long it took, and how long it would have taken one after the other.
fn summary(fetches: &[Fetch]) -> String {
    let took = fetches.iter().map(|fetch| fetch.timing.ended).max();
    let took = duration(took.unwrap_or_default());
    let one_by_one: Duration = fetches
        .iter()
        .map(|fetch| fetch.timing.ended - fetch.timing.started)
        .sum();
    let failed = fetches.iter().filter(|f| f.outcome.is_err()).count();

    let mut summary = match fetches.len() {
        1 => format!("1 fetch in {took}"),
        several => {
            let one_by_one = duration(one_by_one);
            format!(
                "{several} fetches in {took} on one thread; \
                 one by one they would have taken {one_by_one}"
            )
        }
    };
    if failed > 0 {
        summary += &format!(".\n{failed} failed");
    }
    summary + ".\n"
}

/// How wide the column with the numbers of the fetches is.
fn gutter(fetches: &[Fetch]) -> usize {
    fetches.len().to_string().len() + 3
}

/// The number of a fetch, in the column for it.
fn label(number: usize, gutter: usize) -> String {
    let digits = gutter - 2;
    format!("{number:>digits$}  ")
}

/// Cuts a text that is longer than `width` characters.
fn shorten(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_string();
    }
    text.chars().take(width - 1).chain(['…']).collect()
}

/// A number with a comma between its groups of three digits.
fn grouped(number: usize) -> String {
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

/// A duration in at most 7 characters.
fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs_f64();
    if seconds < 1e-3 {
        format!("{:.0} µs", seconds * 1e6)
    } else if seconds < 10e-3 {
        format!("{:.1} ms", seconds * 1e3)
    } else if seconds < 1.0 {
        format!("{:.0} ms", seconds * 1e3)
    } else {
        format!("{seconds:.1} s")
    }
}

/// Maps the time of the run to the cells of a line.
struct Scale {
    /// How many cells a line has for the whole run.
    cells: usize,
    /// How many of them a second takes.
    cells_per_second: f64,
}

impl Scale {
    /// The scale that maps `end` to the end of the line.
    fn new(end: Duration, cells: usize) -> Self {
        // A run of no time at all would be drawn infinitely large.
        let end = end.max(Duration::from_micros(1));
        Self {
            cells,
            cells_per_second: cells as f64 / end.as_secs_f64(),
        }
    }

    /// The cell boundary nearest to a time.
    fn cell(&self, time: Duration) -> usize {
        // A cast from a float saturates, so that not even a wild value leaves the line.
        ((time.as_secs_f64() * self.cells_per_second).round() as usize).min(self.cells)
    }

    /// Two lines: the labels of the time axis, and the axis.
    fn axis(&self) -> (String, String) {
        let step = self.tick_step();
        let mut labels = String::new();
        let mut axis = vec!['─'; self.cells];
        for tick in 0.. {
            let cell = self.cell(step * tick);
            if cell >= self.cells {
                break;
            }
            axis[cell] = if tick == 0 { '├' } else { '┼' };
            // A label stands right over its tick, and none is longer than the distance of the
            // ticks.
            let padding = cell - labels.chars().count();
            labels += &" ".repeat(padding);
            labels += &tick_label(step, tick);
        }
        (labels, axis.into_iter().collect())
    }

    /// The smallest round time, of the series 1, 2, 5, 10, that leaves enough room for the labels.
    fn tick_step(&self) -> Duration {
        let far_enough = |step: &Duration| {
            step.as_secs_f64() * self.cells_per_second >= MIN_TICK_DISTANCE as f64
        };
        (0..)
            .flat_map(|power| [1, 2, 5].map(|factor| factor * 10_u64.pow(power)))
            .map(Duration::from_micros)
            .find(far_enough)
            .expect("the series is endless")
    }

    /// A line with the phases of a fetch.
    ///
    /// Each phase is at least one cell wide, or the shortest would not be seen. So a bar can be off
    /// by as many cells as it has phases.
    fn bar(&self, timing: &Timing, failed: bool) -> String {
        let mut segments: Vec<(char, Duration)> = timing
            .phases()
            .into_iter()
            .map(|(phase, end)| (phase.symbol(), end))
            .collect();
        if failed {
            segments.push((FAILED, timing.ended));
        }

        // First to the right, where a phase would have no cell of its own ...
        let mut edges = vec![self.cell(timing.started)];
        for (_, end) in &segments {
            let previous = edges[edges.len() - 1];
            edges.push(self.cell(*end).max(previous + 1));
        }
        // ... and then to the left, where that went beyond the end of the line.
        let mut limit = self.cells;
        for edge in edges.iter_mut().rev() {
            *edge = limit.min(*edge);
            limit = edge.saturating_sub(1);
        }

        let mut bar = vec![' '; self.cells];
        for ((symbol, _), ends) in segments.iter().zip(edges.windows(2)) {
            bar[ends[0]..ends[1]].fill(*symbol);
        }
        bar.into_iter().collect()
    }
}

/// The label of a tick. All labels of an axis have the same unit.
fn tick_label(step: Duration, tick: u32) -> String {
    let time = step * tick;
    if step < Duration::from_millis(1) {
        format!("{} µs", time.as_micros())
    } else if step < Duration::from_secs(1) {
        format!("{} ms", time.as_millis())
    } else {
        format!("{} s", time.as_secs())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::answer::Answer;
    use crate::url::Url;

    /// A timing with these times in milliseconds.
    fn timing(started: u64, connected: Option<u64>, first_byte: Option<u64>, ended: u64) -> Timing {
        Timing {
            origin: Instant::now(),
            started: Duration::from_millis(started),
            connected: connected.map(Duration::from_millis),
            first_byte: first_byte.map(Duration::from_millis),
            ended: Duration::from_millis(ended),
        }
    }

    /// A bar of 20 cells in a run of 100 ms, so that a cell is 5 ms.
    fn bar(timing: Timing, failed: bool) -> String {
        Scale::new(Duration::from_millis(100), 20).bar(&timing, failed)
    }

    #[test]
    fn a_bar_shows_each_phase_to_scale() {
        assert_eq!(
            bar(timing(0, Some(10), Some(50), 100), false),
            "▚▚░░░░░░░░██████████"
        );
        assert_eq!(
            bar(timing(20, Some(30), Some(40), 60), false),
            "    ▚▚░░████        "
        );
    }

    #[test]
    fn a_phase_too_short_for_a_cell_gets_one() {
        assert_eq!(
            bar(timing(0, Some(0), Some(0), 0), false),
            "▚░█                 "
        );
        assert_eq!(
            bar(timing(0, Some(0), Some(50), 50), false),
            "▚░░░░░░░░░█         "
        );
        // Also at the end of the line, where there is no room to the right.
        assert_eq!(
            bar(timing(0, Some(100), Some(100), 100), false),
            "▚▚▚▚▚▚▚▚▚▚▚▚▚▚▚▚▚▚░█"
        );
        assert_eq!(
            bar(timing(100, Some(100), Some(100), 100), true),
            "                ▚░█×"
        );
    }

    #[test]
    fn a_failed_bar_ends_with_the_phase_it_failed_in() {
        assert_eq!(bar(timing(0, None, None, 0), true), "▚×                  ");
        assert_eq!(
            bar(timing(0, Some(10), None, 100), true),
            "▚▚░░░░░░░░░░░░░░░░░×"
        );
        assert_eq!(
            bar(timing(0, Some(10), Some(50), 75), true),
            "▚▚░░░░░░░░█████×    "
        );
    }

    #[test]
    fn the_axis_has_round_labels_right_over_its_ticks() {
        for (end, labels, axis) in [
            (
                Duration::from_millis(412),
                "0 ms         100 ms      200 ms       300 ms      400 ms",
                "├────────────┼───────────┼────────────┼───────────┼─",
            ),
            (
                Duration::from_secs(30),
                "0 s              10 s              20 s",
                "├────────────────┼─────────────────┼────────────────",
            ),
            (
                Duration::from_micros(900),
                "0 µs        200 µs      400 µs     600 µs      800 µs",
                "├───────────┼───────────┼──────────┼───────────┼─────",
            ),
        ] {
            assert_eq!(
                Scale::new(end, axis.chars().count()).axis(),
                (labels.to_string(), axis.to_string())
            );
        }
    }

    #[test]
    fn any_run_fits_the_line() {
        for end in [
            Duration::ZERO,
            Duration::from_nanos(1),
            Duration::from_millis(999),
            Duration::from_secs(86_400),
        ] {
            for cells in 40..200 {
                let scale = Scale::new(end, cells);
                let timing = Timing {
                    connected: Some(end),
                    first_byte: Some(end),
                    ended: end,
                    ..timing(0, None, None, 0)
                };
                let (labels, axis) = scale.axis();
                assert_eq!(axis.chars().count(), cells);
                assert!(labels.chars().count() <= cells + LENGTH_WIDTH);
                assert_eq!(scale.bar(&timing, true).chars().count(), cells);
            }
        }
    }

    #[test]
    fn a_report_keeps_to_its_width_except_for_failures() {
        let answer = |status_line: &str| {
            Ok(Answer {
                status_line: status_line.to_string(),
                bytes: 1_234_567,
            })
        };
        let fetch = |path: &str, outcome| Fetch {
            url: Url::parse(&format!("http://127.0.0.1/{path}")).unwrap(),
            timing: timing(0, Some(10), Some(20), 30),
            outcome,
        };
        let failure = format!("connecting to {}", "x".repeat(100));
        let fetches = [
            fetch("a", answer("HTTP/1.0 200 OK")),
            fetch(&"b".repeat(300), answer(&"c".repeat(300))),
            fetch("d", Err(failure.clone())),
        ];
        for width in [MIN_WIDTH, DEFAULT_WIDTH, 200] {
            let report = table(&fetches, width) + &picture(&fetches, width);
            let too_wide: Vec<&str> = report
                .lines()
                .filter(|line| line.chars().count() > width && !line.contains(&failure))
                .collect();
            assert!(too_wide.is_empty(), "{width}: {too_wide:#?}");
            assert!(report.contains(&failure));
        }
        for line in summary(&fetches).lines() {
            assert!(line.chars().count() <= DEFAULT_WIDTH, "{line}");
        }
    }

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
            assert_eq!(duration(Duration::from_micros(micros)), text);
        }
        for (number, text) in [
            (0, "0"),
            (999, "999"),
            (1_000, "1,000"),
            (16_777_216, "16,777,216"),
        ] {
            assert_eq!(grouped(number), text);
        }
    }
}

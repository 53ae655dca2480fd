//! The picture of a run: a bar per fetch, under a common time axis.

use std::time::Duration;

use crate::fetch::Fetch;
use crate::style::Style;
use crate::timing::{Phase, Timing};

/// The smallest distance between two labels of the time axis. The longest label, `500 ms`, needs 6 cells.
const MIN_TICK_DISTANCE: usize = 10;

/// The width of the duration to the right of a bar, with two spaces before it.
pub(crate) const LENGTH_WIDTH: usize = 9;

/// Returns a line per fetch: its number, its bar, and its duration.
pub(crate) fn bars(rows: &[&Fetch], scale: &Scale, gutter: usize) -> String {
    let mut bars = String::new();
    for fetch in rows {
        let failed = fetch.outcome.is_err();
        let length = match failed {
            true => "failed".to_string(),
            false => scale.style.duration(fetch.timing.took()),
        };
        let bar = scale.bar(&fetch.timing, failed);
        let number = label(fetch.job.number, gutter);
        bars += &format!("{number}{bar}  {length:>7}\n");
    }
    bars
}

/// Returns the meaning of the symbols.
pub(crate) fn legend(phases: &[Phase], failed: bool, style: Style) -> String {
    let mut parts: Vec<String> = phases
        .iter()
        .map(|&phase| {
            let name = match phase {
                Phase::Wait => "wait for the first byte",
                phase => phase.name(),
            };
            format!("{} {name}", style.symbol(phase))
        })
        .collect();
    if failed {
        parts.push(format!("{} failed", style.failed()));
    }
    parts.join("   ")
}

/// Formats the number of a fetch for its column.
pub(crate) fn label(number: impl ToString, gutter: usize) -> String {
    let digits = gutter - 2;
    format!("{:>digits$}  ", number.to_string())
}

/// Maps the time of the run to the cells of a line.
pub(crate) struct Scale {
    /// The style of the picture.
    style: Style,
    /// The number of cells for the whole run.
    pub(crate) cells: usize,
    /// The number of cells per second.
    cells_per_second: f64,
}

impl Scale {
    /// Creates the scale that maps `end` to the end of the line.
    pub(crate) fn new(end: Duration, cells: usize, style: Style) -> Self {
        // A run that takes no time would have an infinite scale.
        let end = end.max(Duration::from_micros(1));
        Self {
            style,
            cells,
            cells_per_second: cells as f64 / end.as_secs_f64(),
        }
    }

    /// Returns the cell boundary nearest to a time.
    fn cell(&self, time: Duration) -> usize {
        // The cast from a float saturates, so no value leaves the line.
        ((time.as_secs_f64() * self.cells_per_second).round() as usize).min(self.cells)
    }

    /// Returns the time at which a cell begins.
    pub(crate) fn time(&self, cell: usize) -> Duration {
        Duration::from_secs_f64(cell as f64 / self.cells_per_second)
    }

    /// Returns two lines: the labels of the time axis, and the axis.
    pub(crate) fn axis(&self) -> (String, String) {
        let [line, beginning, mark] = self.style.axis();
        let step = self.tick_step();
        let mut labels = String::new();
        let mut axis = vec![line; self.cells];
        for tick in 0.. {
            let cell = self.cell(step * tick);
            if cell >= self.cells {
                break;
            }
            axis[cell] = if tick == 0 { beginning } else { mark };
            // A label begins above its tick and is shorter than the distance of the ticks.
            let padding = cell - labels.chars().count();
            labels += &" ".repeat(padding);
            labels += &self.tick_label(step, tick);
        }
        (labels, axis.into_iter().collect())
    }

    /// Returns the smallest time of the series 1, 2, 5, 10 that leaves enough room for the labels.
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

    /// Returns the label of a tick. All labels of an axis have the same unit.
    fn tick_label(&self, step: Duration, tick: u32) -> String {
        let time = step * tick;
        if step < Duration::from_millis(1) {
            format!("{} {}", time.as_micros(), self.style.micros())
        } else if step < Duration::from_secs(1) {
            format!("{} ms", time.as_millis())
        } else {
            format!("{} s", time.as_secs())
        }
    }

    /// Returns a line with the phases of a fetch.
    ///
    /// Each phase is at least one cell wide, so that short phases are visible. A bar can therefore be off by
    /// as many cells as it has phases.
    fn bar(&self, timing: &Timing, failed: bool) -> String {
        let mut segments: Vec<(char, Duration)> = timing
            .phases()
            .map(|(phase, _, end)| (self.style.symbol(phase), end))
            .collect();
        if failed {
            segments.push((self.style.failed(), timing.ended));
        }

        // First move edges to the right, where a phase would have no cell ...
        let mut edges = vec![self.cell(timing.started)];
        for (_, end) in &segments {
            let previous = edges[edges.len() - 1];
            edges.push(self.cell(*end).max(previous + 1));
        }
        // ... and then to the left, where an edge is beyond the end of the line.
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

#[cfg(test)]
mod tests {
    use super::*;

    /// A terminal without colors.
    const STYLE: Style = Style {
        unicode: true,
        color: false,
        width: 80,
    };

    /// Returns a timing with these times in milliseconds.
    fn timing(started: u64, connected: Option<u64>, first_byte: Option<u64>, ended: u64) -> Timing {
        let begins = [
            (Phase::Connect, Some(started)),
            (Phase::Wait, connected),
            (Phase::Read, first_byte),
        ];
        let entered: Vec<(Phase, Duration)> = begins
            .into_iter()
            .filter_map(|(phase, begin)| Some((phase, Duration::from_millis(begin?))))
            .collect();
        Timing::made_up(&entered, Duration::from_millis(ended))
    }

    /// Returns a bar of 20 cells in a run of 100 ms: 5 ms per cell.
    fn bar(timing: Timing, failed: bool) -> String {
        Scale::new(Duration::from_millis(100), 20, STYLE).bar(&timing, failed)
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
        // Also at the end of the line, without room to the right.
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
        let never_began = Timing::made_up(&[], Duration::from_millis(50));
        assert_eq!(bar(never_began, true), "          ×         ");
    }

    #[test]
    fn a_redirected_fetch_enters_the_phases_again() {
        let ms = Duration::from_millis;
        let hops = [
            (Phase::Resolve, ms(0)),
            (Phase::Connect, ms(10)),
            (Phase::Wait, ms(20)),
            (Phase::Read, ms(30)),
            (Phase::Connect, ms(40)),
            (Phase::Wait, ms(60)),
            (Phase::Read, ms(80)),
        ];
        let timing = Timing::made_up(&hops, ms(100));
        assert_eq!(bar(timing.clone(), false), "┄┄▚▚░░██▚▚▚▚░░░░████");
        assert_eq!(timing.spent(Phase::Connect), Some(ms(30)));

        // More phases than cells.
        let many: Vec<_> = hops.into_iter().cycle().take(50).collect();
        let timing = Timing::made_up(&many, ms(100));
        assert_eq!(bar(timing, false).chars().count(), 20);
    }

    #[test]
    fn the_axis_has_round_labels_above_its_ticks() {
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
                Scale::new(end, axis.chars().count(), STYLE).axis(),
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
                let scale = Scale::new(end, cells, STYLE);
                let begins = [(Phase::Connect, Duration::ZERO), (Phase::Read, end)];
                let timing = Timing::made_up(&begins, end);
                let (labels, axis) = scale.axis();
                assert_eq!(axis.chars().count(), cells);
                assert!(labels.chars().count() <= cells + LENGTH_WIDTH);
                assert_eq!(scale.bar(&timing, true).chars().count(), cells);
            }
        }
    }
}

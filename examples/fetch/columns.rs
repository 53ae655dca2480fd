//! The picture of a large run: the number of fetches in each phase, over the time of the run.

use crate::picture::{Scale, label};
use crate::style::{Style, grouped};
use crate::timeline::Timeline;
use crate::timing::Phase;

/// The height of the highest column in lines.
const HEIGHT: usize = 10;

/// The phases from the bottom to the top of a column: fetches that make progress are at the bottom.
const STACK: [Phase; 4] = [Phase::Read, Phase::Wait, Phase::Connect, Phase::Resolve];

/// Returns lines with a column for each cell of the time axis. The height of a column is the mean number of running
/// fetches in that time. The value of the highest column is to the left.
pub(crate) fn columns(timeline: &Timeline, scale: &Scale, style: Style, gutter: usize) -> String {
    let columns: Vec<[f64; STACK.len()]> = (0..scale.cells)
        .map(|cell| column(timeline, scale, cell))
        .collect();
    // The last phase of the stack includes all others.
    let highest = columns.iter().map(|column| column[STACK.len() - 1]);
    let highest = highest.fold(1.0, f64::max);

    let mut lines = String::new();
    for line in (0..HEIGHT).rev() {
        let middle = (line as f64 + 0.5) * highest / HEIGHT as f64;
        lines += &match line == HEIGHT - 1 {
            true => label(grouped(highest.round() as u64), gutter),
            false => label("", gutter),
        };
        let cells: String = columns
            .iter()
            .map(|column| {
                let reached = STACK.iter().zip(column).find(|&(_, &top)| top >= middle);
                reached.map_or(' ', |(&phase, _)| style.symbol(phase))
            })
            .collect();
        lines += cells.trim_end();
        lines.push('\n');
    }
    lines
}

/// Returns the mean number of fetches in the time of a cell, for each phase together with those below it.
fn column(timeline: &Timeline, scale: &Scale, cell: usize) -> [f64; STACK.len()] {
    let (begin, end) = (scale.time(cell), scale.time(cell + 1));
    let mut sum = 0.0;
    STACK.map(|phase| {
        sum += timeline.mean(phase, begin, end);
        sum
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_height_of_a_column_is_the_number_of_fetches() {
        let style = Style {
            unicode: false,
            color: false,
            width: 80,
        };
        let ms = Duration::from_millis;
        let mut timeline = Timeline::new();
        for number in 0..1000 {
            let read = ms(10 + number / 50);
            timeline.add(Phase::Connect, ms(0), ms(10));
            timeline.add(Phase::Wait, ms(10), read);
            timeline.add(Phase::Read, read, ms(30));
        }
        timeline.add(Phase::Read, ms(30), ms(40));
        let scale = Scale::new(ms(40), 20, style);
        assert_eq!(
            columns(&timeline, &scale, style, 8),
            " 1,000  %%%%%.........#
        %%%%%........##
        %%%%%.......###
        %%%%%......####
        %%%%%.....#####
        %%%%%....######
        %%%%%...#######
        %%%%%..########
        %%%%%.#########
        %%%%%##########
"
        );
    }
}

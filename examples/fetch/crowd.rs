//! The picture of a crowd: how many fetches were in which phase, over the time of the run.

use crate::picture::{Scale, label};
use crate::style::{Style, grouped};
use crate::timeline::Timeline;
use crate::timing::Phase;

/// How many lines the highest column has.
const HEIGHT: usize = 10;

/// What is stacked, from the bottom: what gets on stands low, what is held up stands on top of it.
const STACK: [Phase; 4] = [Phase::Read, Phase::Wait, Phase::Connect, Phase::Resolve];

/// Lines with a column for each cell of the time axis, as high as there were fetches under way on the
/// average of that time; to the left, what the highest stands for.
pub(crate) fn columns(timeline: &Timeline, scale: &Scale, style: Style, gutter: usize) -> String {
    let columns: Vec<[f64; STACK.len()]> = (0..scale.cells)
        .map(|cell| column(timeline, scale, cell))
        .collect();
    // The last of the stack is all of them.
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

/// How many fetches were under way in the time of a cell, in each phase of the stack and those below
/// it.
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
    fn a_column_is_as_high_as_there_were_fetches_in_its_phases() {
        let style = Style {
            unicode: false,
            colour: false,
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

//! Who ran on the thread of the loop, and when, without overlaps; and how many tasks were ready meanwhile.
//!
//! A scope polls its children within its own poll. A child's piece interrupts that of its parent, so each moment
//! belongs to one task only, and no time is counted twice.

use super::model::{Kind, Lane, LaneIndex, Time};
use std::cmp::Reverse;

/// A time in which one task ran.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    /// When it began.
    pub(super) start: Time,
    /// When it ended.
    pub(super) end: Time,
    /// The task.
    pub(super) lane: LaneIndex,
}

/// Intervals in the order of their ends, two of which are either apart or one inside the other.
#[derive(Default)]
pub(super) struct Nest {
    /// The intervals that no later one contains yet: starts and ends.
    outer: Vec<(Time, Time)>,
}

/// The shortest length of which an event gives only the microseconds.
const ROUNDED: Time = u32::MAX as Time / 1000 * 1000;

/// The nanoseconds by which such a length may be too short.
const ROUNDED_BY: Time = 1000;

impl Nest {
    /// Adds an interval and returns its start, which is moved if the interval would overlap an earlier one in part.
    pub(super) fn add(&mut self, start: Time, end: Time) -> Time {
        let is_rounded = end - start >= ROUNDED;
        let mut start = start;
        while let Some(&(top, until)) = self.outer.last() {
            if top < start {
                if until <= start {
                    break;
                }
                if !is_rounded || top <= start - ROUNDED_BY {
                    start = until.min(end);
                    break;
                }
                // A poll of seconds has polled this child at once, in the microsecond that its length lacks.
                start = top;
            }
            self.outer.pop();
        }
        self.outer.push((start, end));
        start
    }
}

/// Returns the pieces of all polls.
pub(super) fn pieces(lanes: &[Lane]) -> Vec<Piece> {
    let mut polls: Vec<(Time, Reverse<Time>, LaneIndex)> = Vec::new();
    for (index, lane) in lanes.iter().enumerate() {
        if lane.kind.is_on_loop() {
            let of_lane = lane.polls.iter().filter(|poll| poll.length > 0);
            polls.extend(of_lane.map(|poll| (poll.start, Reverse(poll.end()), index)));
        }
    }
    polls.sort_unstable();
    let mut pieces = Pieces::default();
    let mut open: Vec<(Time, LaneIndex)> = Vec::new();
    for (start, Reverse(end), lane) in polls {
        while let Some(&(until, outer)) = open.last()
            && until <= start
        {
            pieces.extend(until, outer);
            open.pop();
        }
        if let Some(&(_, outer)) = open.last() {
            pieces.extend(start, outer);
        }
        pieces.done = pieces.done.max(start);
        open.push((end, lane));
    }
    while let Some((until, outer)) = open.pop() {
        pieces.extend(until, outer);
    }
    pieces.list
}

/// The pieces found so far.
#[derive(Default)]
struct Pieces {
    /// The pieces.
    list: Vec<Piece>,
    /// The end of the last piece, or a later time from which on the next one begins.
    done: Time,
}

impl Pieces {
    /// Adds the piece of a task up to this time.
    fn extend(&mut self, until: Time, lane: LaneIndex) {
        if until > self.done {
            self.list.push(Piece {
                start: self.done,
                end: until,
                lane,
            });
            self.done = until;
        }
    }
}

/// Returns the length of the run queue from each time on at which it changes. Children are never in the queue.
pub(super) fn queue(lanes: &[Lane]) -> Vec<(Time, u32)> {
    let mut changes: Vec<(Time, i64)> = Vec::new();
    let in_queue = |lane: &&Lane| matches!(lane.kind, Kind::Main | Kind::Task);
    for lane in lanes.iter().filter(in_queue) {
        for poll in &lane.polls {
            if let Some(ready) = poll.ready
                && ready < poll.start
            {
                changes.extend([(ready, 1), (poll.start, -1)]);
            }
        }
        if let Some((ready, _)) = lane.queued {
            changes.push((ready, 1));
        }
    }
    changes.sort_unstable();
    let mut queue: Vec<(Time, u32)> = Vec::new();
    let (mut length, mut index) = (0, 0);
    while index < changes.len() {
        let now = changes[index].0;
        while index < changes.len() && changes[index].0 == now {
            length += changes[index].1;
            index += 1;
        }
        let length = u32::try_from(length).unwrap_or(0);
        if queue.last().map_or(0, |(_, last)| *last) != length {
            queue.push((now, length));
        }
    }
    queue
}

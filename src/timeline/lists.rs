//! The lists of a [`Timeline`](super::Timeline): the longest polls, and the polls that began latest.

use super::model::{End, Group, Lane, LaneIndex, Model, Poll, Time};
use super::words::{self, Nanos};
use std::cmp::Reverse;
use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

/// The task of a poll in a [`Timeline`](super::Timeline).
///
/// # Examples
///
/// See [`Timeline::longest_polls`](super::Timeline::longest_polls).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Task {
    /// The id of the task, modulo 2³².
    id: u64,
    /// The name of the task, if it has one.
    name: Option<String>,
    /// Where the task was spawned, if that is known.
    place: Option<String>,
    /// The name of the runtime, or an empty string.
    runtime: String,
    /// The kind and the id of the task, and its name.
    label: String,
}

impl Task {
    /// Describes a lane.
    fn new(group: &Group, lane: &Lane) -> Task {
        Task {
            id: u64::from(lane.id),
            name: lane.name.clone(),
            place: lane.place.clone(),
            runtime: group.name.clone(),
            label: words::label(lane.kind, lane.id, lane.name.as_deref()),
        }
    }

    /// Returns the id of the task, modulo 2³²; 0 for the future of `block_on`.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// Returns the name of the task, if it has one.
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// Returns the file and line where the task was spawned or, for the future of `block_on`, where that was called:
    /// `src/main.rs:12`. Returns `None` if the recorder no longer knows it.
    pub fn place(&self) -> Option<&str> {
        self.place.as_deref()
    }

    /// Returns the name of the runtime, such as `worker 0`, or an empty string if there is only one runtime.
    pub fn runtime(&self) -> &str {
        &self.runtime
    }
}

/// Displays the task as `task 5 "conn 3" (src/main.rs:12)`.
impl fmt::Display for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.label)?;
        if let Some(place) = &self.place {
            write!(f, " ({place})")?;
        }
        match self.runtime.as_str() {
            "" => Ok(()),
            runtime => write!(f, " on {runtime}"),
        }
    }
}

/// A poll in the list of the [longest](super::Timeline::longest_polls).
///
/// # Examples
///
/// See [`Timeline::longest_polls`](super::Timeline::longest_polls).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LongPoll {
    /// The task.
    task: Task,
    /// When the poll began.
    start: Time,
    /// Its length.
    length: Time,
    /// The time on a core, if that is known.
    cpu: Option<u64>,
    /// Whether the poll has not ended.
    is_running: bool,
}

impl LongPoll {
    /// Returns the task.
    pub fn task(&self) -> &Task {
        &self.task
    }

    /// Returns when the poll began, from the beginning of the timeline.
    pub fn start(&self) -> Duration {
        duration(self.start)
    }

    /// Returns how long the poll took, or has taken so far.
    pub fn length(&self) -> Duration {
        duration(self.length)
    }

    /// Returns how long the thread ran on a core during the poll, if the operating system reports it.
    ///
    /// If this is much shorter than the [length](LongPoll::length), the operating system has given the core to another
    /// thread, or the poll has made a system call that blocks.
    pub fn cpu_time(&self) -> Option<Duration> {
        self.cpu.map(Duration::from_nanos)
    }

    /// Returns whether the poll has not returned yet.
    pub fn is_running(&self) -> bool {
        self.is_running
    }
}

/// Displays the poll as `12.3 ms at 1.25 s: task 5 "conn 3" (src/main.rs:12)`.
impl fmt::Display for LongPoll {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}", Nanos(self.length), Nanos(self.start))?;
        if let Some(cpu) = self.cpu {
            let cpu = i64::try_from(cpu).unwrap_or(i64::MAX);
            write!(f, ", {} on a core", Nanos(cpu))?;
        }
        if self.is_running {
            f.write_str(", not returned yet")?;
        }
        write!(f, ": {}", self.task)
    }
}

/// A poll in the list of the [latest starts](super::Timeline::latest_starts).
///
/// # Examples
///
/// See [`Timeline::latest_starts`](super::Timeline::latest_starts).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LateStart {
    /// The task.
    task: Task,
    /// Since when the task was ready.
    ready: Time,
    /// How long it was ready before the poll began.
    delay: Time,
    /// Whether the poll has begun.
    has_started: bool,
    /// Who ran longest meanwhile, and for how long.
    behind: Option<(Task, Time)>,
}

impl LateStart {
    /// Returns the task.
    pub fn task(&self) -> &Task {
        &self.task
    }

    /// Returns since when the task was ready to run, from the beginning of the timeline. Returns zero if the task became
    /// ready before.
    pub fn ready(&self) -> Duration {
        duration(self.ready)
    }

    /// Returns how long the task was ready before its poll began, or has been ready so far.
    pub fn delay(&self) -> Duration {
        duration(self.delay)
    }

    /// Returns whether the poll has begun. If not, the task was ready when the timeline was recorded.
    pub fn has_started(&self) -> bool {
        self.has_started
    }

    /// Returns the task that ran longest while this one was ready.
    ///
    /// Returns `None` if no task ran: the loop itself was at work, or its thread had no core.
    pub fn behind(&self) -> Option<&Task> {
        self.behind.as_ref().map(|(task, _)| task)
    }

    /// Returns how long [that task](LateStart::behind) ran meanwhile, in one or more polls.
    pub fn behind_for(&self) -> Duration {
        duration(self.behind.as_ref().map_or(0, |(_, time)| *time))
    }
}

/// Displays the start as `11 ms late at 1.25 s: task 7 (src/main.rs:30), behind task 5 (src/main.rs:12), which ran for
/// 10.9 ms`.
impl fmt::Display for LateStart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (delay, start) = (Nanos(self.delay), Nanos(self.ready + self.delay));
        match self.has_started {
            true => write!(f, "{delay} late at {start}: {}", self.task)?,
            false => write!(f, "{delay} so far: {}", self.task)?,
        }
        match &self.behind {
            Some((task, time)) => write!(f, ", behind {task}, which ran for {}", Nanos(*time)),
            None => f.write_str(", while no task ran"),
        }
    }
}

/// Returns a time as a duration; zero if it lies before the picture.
fn duration(time: Time) -> Duration {
    Duration::from_nanos(u64::try_from(time).unwrap_or(0))
}

/// The delay above which a start counts as late, in nanoseconds. The loop looks for events after a millisecond of
/// polls, so a longer delay means that some task was polled for longer than it should be.
pub(super) const LATE: Time = 1_000_000;

/// A start after a delay: since when the task was ready, and the poll, unless it has not begun.
pub(super) struct Start<'a> {
    /// The runtime.
    group: &'a Group,
    /// The lane.
    lane: LaneIndex,
    /// Since when the task was ready.
    ready: Time,
    /// How long the task was ready.
    pub(super) delay: Time,
    /// Whether the poll has begun.
    has_started: bool,
}

impl Model {
    /// Returns all polls of tasks.
    pub(super) fn polls(&self) -> impl Iterator<Item = (&Group, &Lane, &Poll)> {
        let lanes = self.groups.iter().flat_map(|group| {
            let lanes = group.lanes.iter().filter(|lane| lane.kind.is_on_loop());
            lanes.map(move |lane| (group, lane))
        });
        lanes.flat_map(|(group, lane)| lane.polls.iter().map(move |poll| (group, lane, poll)))
    }

    /// Returns all starts after a delay.
    pub(super) fn starts(&self) -> Vec<Start<'_>> {
        let mut starts = Vec::new();
        for group in &self.groups {
            for (lane, found) in group.lanes.iter().enumerate() {
                if !found.kind.is_on_loop() {
                    continue;
                }
                let mut add = |ready, delay, has_started| {
                    if delay > 0 {
                        starts.push(Start {
                            group,
                            lane,
                            ready,
                            delay,
                            has_started,
                        });
                    }
                };
                for poll in &found.polls {
                    add(poll.start - poll.delay(), poll.delay(), true);
                }
                if let Some((ready, _)) = found.queued {
                    add(ready, group.known.1 - ready, false);
                }
            }
        }
        starts
    }
}

impl Group {
    /// Returns the lane that ran longest between two times, apart from one, and for how long.
    fn longest_between(
        &self,
        from: Time,
        until: Time,
        not: LaneIndex,
    ) -> Option<(LaneIndex, Time)> {
        let first = self.strip.partition_point(|piece| piece.end <= from);
        let pieces = self.strip[first..].iter();
        let mut sums: HashMap<LaneIndex, Time> = HashMap::new();
        for piece in pieces.take_while(|piece| piece.start < until) {
            if piece.lane != not {
                *sums.entry(piece.lane).or_default() +=
                    piece.end.min(until) - piece.start.max(from);
            }
        }
        sums.into_iter()
            .max_by_key(|(lane, time)| (*time, Reverse(*lane)))
    }
}

impl Model {
    /// Returns the list that [`Timeline::longest_polls`](super::Timeline::longest_polls) documents.
    pub(super) fn longest_polls(&self, n: usize) -> Vec<LongPoll> {
        // Under a virtual clock, no poll has a length.
        let polls = self.polls().filter(|(_, _, poll)| poll.length > 0);
        let mut polls: Vec<_> = polls.collect();
        polls.sort_by_key(|(_, _, poll)| (Reverse(poll.length), poll.start));
        let list = polls.into_iter().take(n);
        list.map(|(group, lane, poll)| LongPoll {
            task: Task::new(group, lane),
            start: poll.start,
            length: poll.length,
            cpu: poll.cpu,
            is_running: poll.end == End::Running,
        })
        .collect()
    }

    /// Returns the list that [`Timeline::latest_starts`](super::Timeline::latest_starts) documents.
    pub(super) fn latest_starts(&self, n: usize) -> Vec<LateStart> {
        let mut starts = self.starts();
        starts.sort_by_key(|start| (Reverse(start.delay), start.ready));
        let list = starts.into_iter().take(n);
        list.map(|start| {
            let (group, until) = (start.group, start.ready + start.delay);
            let behind = group.longest_between(start.ready, until, start.lane);
            LateStart {
                task: Task::new(group, &group.lanes[start.lane]),
                ready: start.ready,
                delay: start.delay,
                has_started: start.has_started,
                behind: behind.map(|(lane, time)| (Task::new(group, &group.lanes[lane]), time)),
            }
        })
        .collect()
    }
}

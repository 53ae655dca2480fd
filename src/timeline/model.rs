//! [`Model`]: when each task ran, what it waited for, and what woke it, derived from recordings.
//!
//! What an event says is certain. The rest follows from two rules. A task is *ready* from the wake that puts it into the
//! run queue, or from the end of its poll if it was woken during that, until its next poll begins. It *waits* from
//! the end of a poll until the next wake, for everything that the poll has left.
//!
//! ```text
//!      poll    │ wait: read tcp … or sleep 20 ms │ ready, not running │   poll
//!    ──────────┤                                 ├────────────────────┤──────────
//!            its end                            wake                 its begin
//! ```
//!
//! The ring forgets the oldest events. A task whose events begin in the middle of the story has waited for something
//! that is *unknown*, and a poll whose wake is missing has an unknown time of being ready. Unknown is not zero, and
//! the model keeps the two apart.

use super::event::What;
use super::reader;
use super::recording::Recording;
use super::strip::Piece;
use std::collections::HashMap;
use std::time::Instant;

/// A time in nanoseconds since the beginning of the picture.
///
/// Only what other threads did, and when a task was spawned, may have a negative time: it is known although the ring has
/// lost the loop's own events of that time.
pub(super) type Time = i64;

/// The position of a lane in its group.
pub(super) type LaneIndex = usize;

/// The position of a text among those of the model.
pub(super) type TextIndex = u32;

/// What happened in one or more runtimes.
#[derive(Clone, Debug)]
pub(super) struct Model {
    /// The runtimes.
    pub(super) groups: Vec<Group>,
    /// The texts of waits, wakes and marks. Each exists once.
    pub(super) texts: Vec<String>,
    /// The end of the picture.
    pub(super) span: Time,
    /// The number of older events that were overwritten.
    pub(super) lost: u64,
    /// The time of each recorder's creation. Adding it to a time of an event yields a time of the picture.
    pub(super) shifts: Vec<Time>,
    /// What went from group to group, if these are the hosts of a simulation.
    pub(super) network: Option<Network>,
}

/// What happened in one runtime.
#[derive(Clone, Debug, Default)]
pub(super) struct Group {
    /// The name of the runtime among several, or an empty string.
    pub(super) name: String,
    /// When the loop's own events begin, and when the copy was made.
    pub(super) known: (Time, Time),
    /// The parks, ordered by time: when each began, and its length.
    pub(super) parks: Vec<(Time, Time)>,
    /// The length of the run queue from each of these times on.
    pub(super) queue: Vec<(Time, u32)>,
    /// The marks of the program, ordered by time.
    pub(super) marks: Vec<Mark>,
    /// The wakes that led to a poll, or that have put a task into the run queue at last.
    pub(super) wakes: Vec<Wake>,
    /// The tasks and jobs, ordered by the first event that mentions them.
    pub(super) lanes: Vec<Lane>,
    /// Who ran on the thread of the loop. The pieces do not overlap, and are ordered by time.
    pub(super) strip: Vec<Piece>,
    /// For a simulated host, when each of its runtimes began and ended.
    pub(super) lives: Vec<(Time, Time)>,
    /// The lane of each poll of a task, in the order in which the polls ended. In a simulation, many have the same time.
    pub(super) order: Vec<LaneIndex>,
}

/// What went over the network of a simulation, and what befell it.
#[derive(Clone, Debug, Default)]
pub(super) struct Network {
    /// The true time at which the picture begins.
    pub(super) origin: Time,
    /// The segments, ordered by the times at which they were sent.
    pub(super) flows: Vec<Flow>,
    /// The number of older segments that were dropped from the list.
    pub(super) lost: u64,
    /// The faults, ordered by time: when each happened, to which host if it was one, and what happened.
    pub(super) faults: Vec<(Time, Option<usize>, TextIndex)>,
}

/// A segment that one host has sent to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Flow {
    /// The position of the group that sent it.
    pub(super) from: usize,
    /// The position of the group to which it was sent.
    pub(super) to: usize,
    /// When it was sent.
    pub(super) sent: Time,
    /// When it arrived or was lost; the end of the picture if it was on its way then.
    pub(super) end: Time,
    /// What became of it.
    pub(super) fate: FlowFate,
    /// What it is.
    pub(super) text: TextIndex,
}

/// What became of a segment. The numbers are those of the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(not(feature = "sim"), expect(dead_code, reason = "never constructed"))]
pub(super) enum FlowFate {
    /// It has arrived.
    Arrived = 0,
    /// It was lost.
    Lost = 1,
    /// It was on its way at the end of the picture.
    OnItsWay = 2,
}

/// A moment that the program has marked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    /// When.
    pub(super) time: Time,
    /// The task that was polled.
    pub(super) lane: Option<LaneIndex>,
    /// The text of the mark.
    pub(super) text: TextIndex,
}

/// A wake of a task, its spawn, or the submission of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wake {
    /// When.
    pub(super) time: Time,
    /// The task or job that has woken the task.
    pub(super) by: Option<LaneIndex>,
    /// Why. Empty if the waker says it all.
    pub(super) text: TextIndex,
}

/// A task, the child of a scope, a blocking job or a name lookup.
#[derive(Clone, Debug)]
pub(super) struct Lane {
    /// What it is.
    pub(super) kind: Kind,
    /// How often the host had been started again when the lane began. Zero but for simulated hosts.
    pub(super) restart: u32,
    /// The low half of its id.
    pub(super) id: u32,
    /// The name, if it has one.
    pub(super) name: Option<String>,
    /// Where it was spawned or submitted.
    pub(super) place: Option<String>,
    /// When it was spawned or submitted, if that is known.
    pub(super) spawned: Option<Time>,
    /// The task that spawned or submitted it.
    pub(super) by: Option<LaneIndex>,
    /// For a child, the task or child whose future contains it, if that is known.
    pub(super) parent: Option<LaneIndex>,
    /// When it ended, if it has.
    pub(super) ended: Option<Time>,
    /// The polls of the task, ordered by time; the run of a job.
    pub(super) polls: Vec<Poll>,
    /// The waits of the task, ordered by time.
    pub(super) waits: Vec<Wait>,
    /// The wake that has put the task into the run queue, where it still is. The time is that since when it was ready.
    pub(super) queued: Option<(Time, Option<usize>)>,
}

/// What a lane shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// The future of `block_on`.
    Main,
    /// A spawned task.
    Task,
    /// A child of a scope.
    Child,
    /// A blocking job.
    Job,
    /// A name lookup.
    Lookup,
}

/// A poll of a task, or the run of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Poll {
    /// When it began.
    pub(super) start: Time,
    /// Its length in nanoseconds: up to the end of the picture, if it has not ended.
    pub(super) length: Time,
    /// Since when the task was ready, or the job was queued, if that is known.
    pub(super) ready: Option<Time>,
    /// The position of the wake that led to it.
    pub(super) wake: Option<usize>,
    /// How it ended.
    pub(super) end: End,
    /// The time that the thread spent on a core meanwhile, if that is known.
    pub(super) cpu: Option<u64>,
}

/// How a poll ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The task has to be woken before its next poll.
    Pending,
    /// The task or job has ended.
    Ended,
    /// The task has panicked.
    Panicked,
    /// The task was aborted: its future was dropped instead of a poll.
    Aborted,
    /// It has not ended.
    Running,
}

/// A time in which a task waited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wait {
    /// When it began. A wait that began before the picture begins with it.
    pub(super) start: Time,
    /// Its length in nanoseconds.
    pub(super) length: Time,
    /// What the task waited for.
    pub(super) text: TextIndex,
    /// The kind of the first reason.
    pub(super) kind: WaitKind,
    /// Whether the task still waits.
    pub(super) is_open: bool,
}

/// What kind of thing a task waits for. The numbers are those of the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum WaitKind {
    /// A socket or a standard stream.
    Socket = 0,
    /// A deadline.
    Deadline = 1,
    /// A task, the children of a scope, or the members of a set.
    Task = 2,
    /// A blocking job or a name lookup. For a job, a thread.
    Job = 3,
    /// A primitive of `sync`, or what a label says.
    Declared = 4,
    /// Something outside glassfrog, or unknown.
    Outside = 5,
}

impl Kind {
    /// Returns whether the lane is polled by the loop.
    pub(super) fn is_on_loop(self) -> bool {
        matches!(self, Kind::Main | Kind::Task | Kind::Child)
    }

    /// Returns the word for the kind that the page knows.
    pub(super) fn word(self) -> &'static str {
        match self {
            Kind::Main => "main",
            Kind::Task => "task",
            Kind::Child => "child",
            Kind::Job => "job",
            Kind::Lookup => "lookup",
        }
    }
}

impl Poll {
    /// Returns when the poll ended.
    pub(super) fn end(&self) -> Time {
        self.start + self.length
    }

    /// Returns how long the task was ready before the poll began. Returns zero if that is unknown.
    pub(super) fn delay(&self) -> Time {
        self.ready.map_or(0, |ready| self.start - ready)
    }
}

impl Model {
    /// Finds out what happened.
    pub(super) fn new(recordings: &[Recording]) -> Model {
        let first = recordings.iter().filter_map(|each| each.created).min();
        let offset = |recording: &Recording| match (first, recording.created) {
            (Some(first), Some(created)) => nanos(first, created),
            _ => 0,
        };
        // Where the picture begins.
        let begins = recordings
            .iter()
            .map(|recording| begin(recording).saturating_add(offset(recording)));
        let origin = begins.min().unwrap_or(0);
        let mut texts = Texts::default();
        let mut model = Model {
            groups: Vec::new(),
            texts: Vec::new(),
            span: 0,
            lost: 0,
            shifts: Vec::new(),
            network: None,
        };
        for recording in recordings {
            let shift = offset(recording) - origin;
            let group = reader::read(recording, shift, &mut texts);
            model.span = model.span.max(group.known.1);
            model.lost = model.lost.saturating_add(recording.lost);
            model.groups.push(group);
            model.shifts.push(shift);
        }
        model.texts = texts.list;
        model
    }

    /// Returns a text.
    pub(super) fn text(&self, index: TextIndex) -> &str {
        &self.texts[index as usize]
    }
}

impl Group {
    /// Returns how long the loop was in polls, in nanoseconds.
    pub(super) fn busy(&self) -> Time {
        self.strip.iter().map(|piece| piece.end - piece.start).sum()
    }

    /// Returns the poll of a lane during which a wake was made. A task that ends wakes another one after its last poll.
    pub(super) fn waking_poll(&self, wake: &Wake) -> Option<(LaneIndex, &Poll)> {
        let by = wake.by?;
        let lane = &self.lanes[by];
        let after = lane.polls.partition_point(|poll| poll.start <= wake.time);
        let poll = lane.polls[..after].last()?;
        let ends = !matches!(poll.end, End::Pending | End::Running);
        (ends || wake.time <= poll.end()).then_some((by, poll))
    }
}

/// Returns a time of a recorder, in nanoseconds, as a time of the picture would be.
pub(super) fn time(nanos: u64) -> Time {
    // A quarter of the range, which is 73 years, leaves room for sums.
    nanos.min(u64::MAX / 8) as Time
}

/// Returns the nanoseconds from one instant to a later one.
fn nanos(from: Instant, to: Instant) -> Time {
    time(u64::try_from((to - from).as_nanos()).unwrap_or(u64::MAX))
}

/// Returns when the picture of a recording begins.
///
/// Events of other threads are kept apart from the ring, so a job may have been queued long before. If the ring has
/// lost events, such an event does not stretch the picture over a time of which nothing else is known.
pub(super) fn begin(recording: &Recording) -> Time {
    let start = |what: &What| match *what {
        What::Polled { length, .. } | What::Parked { length } => Some(length),
        What::Spawned { .. }
        | What::OnCore { .. }
        | What::Waits { .. }
        | What::Ready { .. }
        | What::Fired { .. } => Some(0),
        What::Woken { cause, .. } => reader::is_by_loop(cause).then_some(0),
        What::Marked { task, .. } => task.map(|_| 0),
        What::Queued { by, .. } => by.map(|_| 0),
        What::Began { .. } | What::Ended { .. } => None,
    };
    let starts = |is_own: bool| {
        let events = recording.events.iter();
        let start = move |event: &super::event::Event| match start(&event.what) {
            Some(length) => Some(event.time.saturating_sub(length)),
            None => (!is_own).then_some(event.time),
        };
        events.filter_map(start)
    };
    let running = recording.running.map(|(_, since)| since);
    let running = running.or(recording.parked);
    let first = match recording.lost {
        0 => starts(false).chain(running).min(),
        _ => starts(true).chain(running).min(),
    };
    time(first.unwrap_or(recording.now))
}

/// Texts, each of which exists once.
#[derive(Default)]
pub(super) struct Texts {
    /// The texts.
    pub(super) list: Vec<String>,
    /// The positions of the texts.
    index: HashMap<String, TextIndex>,
}

impl Texts {
    /// Returns the position of a text, which is added if it is new.
    pub(super) fn add(&mut self, text: &str) -> TextIndex {
        if let Some(index) = self.index.get(text) {
            return *index;
        }
        let index = self.list.len() as TextIndex;
        self.list.push(String::from(text));
        self.index.insert(String::from(text), index);
        index
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::timeline::event::{Event, Outcome};

    #[test]
    fn a_park_that_lasts_reaches_to_the_end() {
        let polled = What::Polled {
            task: 0,
            length: 10,
            outcome: Outcome::Pending,
        };
        let recording = Recording {
            events: vec![Event {
                time: 20,
                what: polled,
            }],
            parked: Some(25),
            now: 100,
            ..Recording::default()
        };
        let model = Model::new(&[recording]);
        assert_eq!(model.groups[0].parks, [(15, 75)]);
        assert_eq!(model.span, 90);
    }
}

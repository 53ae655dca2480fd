//! [`Circles`]: finds tasks that wait for one another, and reports them.
//!
//! The search has two stages. The first stage follows only the ids of tasks that wait for other tasks through joins,
//! scopes and declared waits. A program without a circle pays for nothing else: one pass over the tasks and the waits.
//! If there is a circle of any kind, the second stage takes a dump, which shows what else each task waits for and what
//! else may wake it. [`Dump::circles`] keeps the circles whose tasks cannot go on, and says whether each of them is
//! certain or likely.
//!
//! ```text
//!                    certain                              the policy for deadlocks, at once
//!   a new circle  -------------------------------------> reported
//!        |                                                  ^
//!        | likely        +-----------+  stands for 1 to 6 s |  a warning
//!        +-------------> | candidate | ---------------------+
//!                        +-----------+
//!                          |  a member is polled, again and again, or the circle is gone
//!                          v
//!                        dropped
//! ```
//!
//! Each circle is reported once. If the next search finds that a likely circle has become certain, because a handle was
//! dropped, the circle is reported again. The drop of a handle is no reason for a search.

use super::EventLoop;
use crate::dump::{Circle, Dump, MayHave, Time};
use crate::executor::primitive::Lines;
use crate::executor::waits::Subject;
use crate::threads::{self, Answer};
use log::Level;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::time::Duration;

/// How long a likely circle stands before it is reported, in nanoseconds. A task may hold a lock for some time, so a
/// circle that ends by itself usually ends sooner.
const STANDS: u64 = 1_000_000_000;

/// How long a circle stands before it is reported, in nanoseconds, if it leads through a receiver that has never been
/// used. A consumer may take its time before it receives for the first time.
const STANDS_UNUSED: u64 = 3_000_000_000;

/// The same, if a task outside the circle, a blocking job or a foreign thread may have the receiver. A consumer that
/// connects to a database first has usually begun by then.
const STANDS_UNUSED_AMONG_OTHERS: u64 = 6_000_000_000;

/// The number of times that a member of a candidate may have been polled between two searches. A circle of tasks that
/// are polled again and again is none that stands, and would wake the loop once a second forever.
const RESTARTS: u32 = 5;

/// The search for circles of one loop.
#[derive(Debug, Default)]
pub(super) struct Circles {
    /// The likely circles of the last search that are reported if they stand, by the ids of their members.
    candidates: RefCell<HashMap<Vec<u64>, Candidate>>,
    /// The members of the circles that have been reported and still exist, by their ids, and whether the circle of each
    /// is certain.
    reported: RefCell<HashMap<u64, bool>>,
    /// The number of polls of the loop at the last report of a certain circle.
    reported_at: Cell<Option<u64>>,
}

/// A likely circle that has not been reported.
#[derive(Debug)]
struct Candidate {
    /// The number of polls of each member.
    polls: Vec<u32>,
    /// Since when no member has been polled, as far as the searches have seen, in nanoseconds.
    since: u64,
    /// How many searches have seen that a member had been polled.
    restarts: u32,
}

impl Circles {
    /// Returns whether the last search has found a circle that is reported only if it stands.
    pub(super) fn has_candidates(&self) -> bool {
        !self.candidates.borrow().is_empty()
    }

    /// Searches for circles, and reports those that are certain, and those that have stood for a second. `now` is the
    /// real time in nanoseconds since the runtime was created.
    ///
    /// # Panics
    ///
    /// Panics if a circle is certain and the policy for deadlocks is to panic.
    pub(super) fn inspect(&self, event_loop: &EventLoop, now: u64) {
        if !has_circle(edges(event_loop)) {
            self.candidates.borrow_mut().clear();
            self.reported.borrow_mut().clear();
            return;
        }
        let dump = event_loop.dump();
        let circles = dump.circles();
        self.forget_all_but(&circles);
        let (mut certain, mut likely) = (Vec::new(), Vec::new());
        let former = self.candidates.take();
        let mut candidates = HashMap::new();
        for circle in circles {
            if self.is_reported(&circle) {
                continue;
            }
            if !circle.is_likely() {
                self.note(&circle);
                certain.push(circle);
                continue;
            }
            let members: Vec<u64> = circle.tasks().iter().map(|task| task.id()).collect();
            let Some(candidate) = Candidate::new(&circle, former.get(&members), now) else {
                continue;
            };
            let stood = now - candidate.since;
            if !has_stood(&circle, stood) {
                candidates.insert(members, candidate);
            } else {
                self.note(&circle);
                likely.push((circle, stood));
            }
        }
        // The reports run foreign code, and may panic.
        self.candidates.replace(candidates);
        for (circle, stood) in &likely {
            let text = likely_text(circle, Duration::from_nanos(*stood));
            event_loop.deadlock.announce(Level::Warn, &text);
        }
        if !certain.is_empty() {
            self.reported_at.set(Some(event_loop.executor.polls()));
            event_loop
                .deadlock
                .report_certain(event_loop, &certain, &dump);
        }
    }

    /// Notes that the circles of a dump are being reported with it.
    pub(super) fn note_all(&self, dump: &Dump) {
        let circles = dump.circles();
        self.forget_all_but(&circles);
        circles.iter().for_each(|circle| self.note(circle));
    }

    /// Returns whether a certain circle has been reported and nothing has been polled since. That report has shown all
    /// tasks as they are now.
    pub(super) fn have_just_been_reported(&self, event_loop: &EventLoop) -> bool {
        self.reported_at.get() == Some(event_loop.executor.polls())
    }

    /// Returns whether a circle has been reported. A circle has a member in common with one that was reported only if it
    /// is the same, or has grown.
    fn is_reported(&self, circle: &Circle<'_>) -> bool {
        let reported = self.reported.borrow();
        let mut members = circle.tasks().iter();
        members.any(|task| {
            let as_certain = reported.get(&task.id());
            as_certain.is_some_and(|is_certain| *is_certain || circle.is_likely())
        })
    }

    /// Notes that a circle is reported.
    fn note(&self, circle: &Circle<'_>) {
        let members = circle.tasks().iter().map(|task| task.id());
        let is_certain = !circle.is_likely();
        let mut reported = self.reported.borrow_mut();
        reported.extend(members.map(|id| (id, is_certain)));
    }

    /// Forgets the reported circles that are gone.
    fn forget_all_but(&self, circles: &[Circle<'_>]) {
        let reported = &mut *self.reported.borrow_mut();
        if reported.is_empty() {
            return;
        }
        let mut kept = HashMap::new();
        for task in circles.iter().flat_map(|circle| circle.tasks()) {
            if let Some(is_certain) = reported.get(&task.id()) {
                kept.insert(task.id(), *is_certain);
            }
        }
        *reported = kept;
    }
}

impl Candidate {
    /// Creates a candidate, which was `former` in the last search if it was one then. Returns `None` if its members were
    /// polled too often.
    fn new(circle: &Circle<'_>, former: Option<&Candidate>, now: u64) -> Option<Candidate> {
        let polls: Vec<u32> = circle.tasks().iter().map(|task| task.polls()).collect();
        let (since, restarts) = match former {
            None => (now, 0),
            Some(former) if former.polls == polls => (former.since, former.restarts),
            Some(former) => (now, former.restarts + 1),
        };
        (restarts <= RESTARTS).then_some(Candidate {
            polls,
            since,
            restarts,
        })
    }
}

/// Returns whether a likely circle has stood for long enough to be reported. `stood` is in nanoseconds.
fn has_stood(circle: &Circle<'_>, stood: u64) -> bool {
    match circle.unused_receiver() {
        None => stood >= STANDS,
        Some(_) if stood < STANDS_UNUSED => false,
        Some(_) if stood >= STANDS_UNUSED_AMONG_OTHERS => true,
        Some(MayHave::Others) => false,
        Some(MayHave::Stuck) => matches!(threads::do_others_rest(|| false), Answer::AllRest(_)),
    }
}

/// Returns the waits of tasks for tasks, as pairs of the low halves of their ids.
fn edges(event_loop: &EventLoop) -> Vec<(u32, u32)> {
    let mut edges = event_loop.executor.joins();
    let declared = event_loop.executor.waits.declared();
    let lines = Lines::new(&declared);
    let runtime = event_loop.shared.number;
    for wait in &declared {
        if let Subject::Primitive(primitive, _) = &wait.subject
            && let Some(task) = wait.task()
        {
            let blockers = primitive.blocked_by(wait, runtime, &lines);
            edges.extend(blockers.all().map(|blocker| (task, blocker)));
        }
    }
    edges
}

/// Returns whether a graph with these edges has a circle.
///
/// A task that no other task waits for is in no circle, so it is removed with its edges, until nothing changes. What is
/// left has a circle.
fn has_circle(mut edges: Vec<(u32, u32)>) -> bool {
    edges.sort_unstable();
    let mut tasks: Vec<u32> = edges.iter().map(|(from, _)| *from).collect();
    tasks.dedup();
    let positions = Positions::new(&tasks);
    // The position of the first edge of each task, the ends of the edges, and the number of edges that end at each task.
    // A task that waits for nobody is in no circle, and neither are the edges that end there.
    let (mut first, mut ends) = (vec![0], Vec::with_capacity(edges.len()));
    let mut ending = vec![0_u32; tasks.len()];
    let mut edges = edges.into_iter().peekable();
    for task in &tasks {
        while let Some((_, to)) = edges.next_if(|(from, _)| from == task) {
            if let Some(to) = positions.of(to) {
                ends.push(to);
                ending[to] += 1;
            }
        }
        first.push(ends.len());
    }
    let mut unwanted: Vec<usize> = (0..tasks.len()).filter(|task| ending[*task] == 0).collect();
    let mut left = tasks.len();
    while let Some(task) = unwanted.pop() {
        left -= 1;
        for end in &ends[first[task]..first[task + 1]] {
            ending[*end] -= 1;
            if ending[*end] == 0 {
                unwanted.push(*end);
            }
        }
    }
    left > 0
}

/// The positions of tasks in a sorted list of them.
struct Positions<'a> {
    /// The tasks.
    tasks: &'a [u32],
    /// The position of each number from that of the first task to that of the last one, and [`NO_TASK`] for a number that
    /// no task has. Empty if there are many more numbers than tasks.
    dense: Vec<u32>,
}

/// The position of a number that no task has.
const NO_TASK: u32 = u32::MAX;

/// The most numbers for each task in a dense table, which finds a task ten times as fast as a binary search.
const DENSE: usize = 16;

impl<'a> Positions<'a> {
    /// Creates the table of these tasks.
    fn new(tasks: &'a [u32]) -> Positions<'a> {
        let mut dense = Vec::new();
        if let (Some(first), Some(last)) = (tasks.first(), tasks.last()) {
            let numbers = (last - first) as usize + 1;
            if numbers / DENSE <= tasks.len() {
                dense.resize(numbers, NO_TASK);
                for (position, task) in tasks.iter().enumerate() {
                    dense[(task - first) as usize] = position as u32;
                }
            }
        }
        Positions { tasks, dense }
    }

    /// Returns the position of a task, if it is in the list.
    fn of(&self, task: u32) -> Option<usize> {
        if self.dense.is_empty() {
            return self.tasks.binary_search(&task).ok();
        }
        let number = task.checked_sub(*self.tasks.first()?)?;
        let position = self.dense.get(number as usize)?;
        (*position != NO_TASK).then_some(*position as usize)
    }
}

/// Returns the warning about a likely circle, no member of which has been polled for this time.
fn likely_text(circle: &Circle<'_>, stood: Duration) -> String {
    let sentence = circle.sentence();
    let unless = match circle.leads_through_sync() {
        true => "no guard, permit or end of a channel has been moved to another task",
        false => "nothing aborts or ends one of them",
    };
    let mut text = format!(
        "likely circle: {sentence}. None of these tasks has been polled for {}. If {unless}, they wait forever.",
        Time(stood)
    );
    let places = circle.places();
    if !places.is_empty() {
        text.push_str(&format!(" {places}."));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_graph_has_a_circle_if_a_task_can_reach_itself() {
        // All graphs of three tasks: a bit for each edge. The ids are adjacent, or far apart, as those of tasks that live
        // for long are.
        for (graph, apart) in (0..1_u32 << 9).flat_map(|graph| [(graph, 1), (graph, 1000)]) {
            let bits = (0..9).filter(|bit| graph & 1 << bit != 0);
            let edges: Vec<(u32, u32)> = bits
                .map(|bit| (7 + bit / 3 * apart, 7 + bit % 3 * apart))
                .collect();
            let mut reach = edges.clone();
            for _ in 0..3 {
                let further: Vec<(u32, u32)> = reach
                    .iter()
                    .flat_map(|(from, over)| {
                        let on = edges.iter().filter(move |(next, _)| next == over);
                        on.map(|(_, to)| (*from, *to))
                    })
                    .collect();
                reach.extend(further);
                reach.sort_unstable();
                reach.dedup();
            }
            let expected = reach.iter().any(|(from, to)| from == to);
            assert_eq!(has_circle(edges), expected, "{graph:b}");
        }
    }

    #[test]
    fn a_chain_is_no_circle() {
        let chain: Vec<(u32, u32)> = (0..100_000).map(|task| (task, task + 1)).collect();
        assert!(!has_circle(chain.clone()));
        let ring = [&chain[..], &[(100_000, 0)]].concat();
        assert!(has_circle(ring));
    }
}

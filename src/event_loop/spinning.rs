//! [`Spinners`]: finds tasks that are polled again and again without getting on, and measures how often tasks are polled.
//!
//! The inspector calls [`Spinners::inspect`] about once a second while the loop is busy. Each inspection notes the number
//! of polls of each task, so that the next one, and every dump, can tell how often a task was polled lately. That alone
//! does not make a spinner: a busy connection is polled often too. So the executor samples the polls of the tasks that are
//! polled very often, as `executor/sampling.rs` describes.
//!
//! ```text
//!             1000 polls a second      idle in two samples
//!    +------+ ---------------> +---------+ -----------> +----------+
//!    | calm |                  | sampled |              | reported |
//!    +------+ <--------------- +---------+              +----------+
//!               fewer polls, a poll that is not idle, or a park of the loop
//! ```
//!
//! A spinner is always ready, so the loop never parks. A task whose waker is held by something that this crate cannot see
//! is never reported: its polls may move messages through a channel of another crate.

use super::EventLoop;
use crate::dump::Grouped;
use crate::executor::snapshot::TaskSnapshot;
use crate::executor::status::describe_task;
use crate::executor::waits::Subject;
use crate::reactor::opened::Opened;
use std::cell::{Ref, RefCell};
use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};
use std::fmt;

/// A second, in nanoseconds.
const SECOND: u64 = 1_000_000_000;

/// The number of polls in a second that makes a task suspicious. A task that waits for deadlines is polled less often,
/// because the loop parks for at least a millisecond.
const SUSPICIOUS: u64 = 1000;

/// The fewest polls after which an inspection notes a task. If a task with fewer polls is polled often afterwards, these
/// hardly change its rate. Most tasks of a large program have fewer.
const FEWEST: u32 = 32;

/// The maximum number of tasks that an inspection notes, so that the notes of a million tasks do not outlive them.
const MOST: usize = 16 * 1024;

/// The number of consecutive samples in which a task is idle before it is reported.
const SAMPLES: u32 = 2;

/// The number of sampled polls of a task before it is reported. If a thousand tasks spin, a sample has one of each.
const POLLS: u32 = 16;

/// A sampled task is idle if at most one in this many polls is not. A loaded machine makes some polls long.
const TOLERANCE: u32 = 20;

/// The maximum number of tasks that a report lists.
const LISTED: usize = 5;

/// The search for spinners in one loop, and the notes for the rates in dumps.
#[derive(Debug, Default)]
pub(super) struct Spinners {
    /// The notes of the last inspection.
    latest: RefCell<Notes>,
    /// The notes of the inspection before, at least a second earlier.
    former: RefCell<Notes>,
    /// The tasks that were idle in all recent samples.
    idle: RefCell<HashMap<u32, Idle>>,
    /// The tasks that were reported and have not ended, by the low halves of their ids.
    reported: RefCell<HashSet<u32>>,
}

/// What an inspection notes. The notes of a new loop say that nothing has happened yet.
#[derive(Debug, Default)]
struct Notes {
    /// The time of the inspection, in nanoseconds of real time since the runtime was created.
    at: u64,
    /// The number of polls of each task that was polled at least [`FEWEST`] times, by the low half of its id.
    polls: HashMap<u32, u32>,
    /// Whether only the [`MOST`] of these tasks are noted.
    is_partial: bool,
    /// The number of sockets that were registered.
    opened: u64,
    /// The number of parks of the loop.
    parks: u64,
}

/// The samples of a task that was idle in all of them.
#[derive(Clone, Copy, Debug, Default)]
struct Idle {
    /// The number of samples.
    samples: u32,
    /// The number of its polls in these samples.
    polls: u32,
}

impl Notes {
    /// Takes notes at the time `at`.
    fn new(event_loop: &EventLoop, at: u64) -> Notes {
        let mut polls = event_loop.executor.poll_counts(FEWEST);
        let is_partial = polls.len() > MOST;
        if is_partial {
            polls.select_nth_unstable_by_key(MOST, |(_, polls)| Reverse(*polls));
            polls.truncate(MOST);
        }
        Notes {
            at,
            polls: polls.into_iter().collect(),
            is_partial,
            opened: event_loop.shared.sources.opened_count(),
            parks: event_loop.shared.status.parks.get(),
        }
    }

    /// Returns the number of polls of a task since the notes, if they tell. The task was polled `polls` times in all.
    fn polls_since(&self, id: u32, polls: u32) -> Option<u32> {
        match self.polls.get(&id) {
            Some(before) => Some(polls.wrapping_sub(*before)),
            None if self.is_partial && polls >= FEWEST => None,
            None => Some(polls),
        }
    }
}

impl Spinners {
    /// Counts the polls of the tasks since the last inspection, reports the spinners, and opens the next sample. `now` is
    /// the real time in nanoseconds since the runtime was created.
    pub(super) fn inspect(&self, event_loop: &EventLoop, now: u64) {
        let notes = Notes::new(event_loop, now);
        let spinners = self.find(event_loop, &notes);
        self.former.swap(&self.latest);
        self.latest.replace(notes);
        if !spinners.is_empty() {
            self.report(event_loop, spinners);
        }
    }

    /// Opens the next sample. Returns the tasks that were idle in enough samples, with the number of their polls in a
    /// second.
    fn find(&self, event_loop: &EventLoop, notes: &Notes) -> HashMap<u32, u64> {
        let sample = event_loop.executor.take_sample();
        let latest = self.latest.borrow();
        let elapsed = notes.at.saturating_sub(latest.at).max(1);
        let mut reported = self.reported.borrow_mut();
        reported.retain(|id| notes.polls.contains_key(id));
        let polled = notes.polls.iter().filter_map(|(id, polls)| {
            let polls = u64::from(latest.polls_since(*id, *polls)?);
            let rate = u128::from(polls) * u128::from(SECOND) / u128::from(elapsed);
            Some((*id, polls, u64::try_from(rate).ok()?))
        });
        // The first inspection comes soon after the start, when every rate is high.
        let often = polled.filter(|(_, polls, rate)| (*polls).min(*rate) >= SUSPICIOUS);
        let suspects: HashMap<u32, u64> = often
            .filter(|(id, ..)| !reported.contains(id))
            .map(|(id, _, rate)| (id, rate))
            .collect();
        let mut idle = self.idle.borrow_mut();
        let has_parked = notes.parks != latest.parks;
        // A task that keeps a virtual clock from its next deadline is left to the standstill detector.
        let stops_clock =
            event_loop.may_advance_clock() && event_loop.shared.timers.next().is_some();
        if has_parked || stops_clock {
            idle.clear();
        }
        idle.retain(|id, _| suspects.contains_key(id));
        for (id, sample) in sample {
            if has_parked || stops_clock || sample.polls == 0 || !suspects.contains_key(&id) {
                continue;
            }
            if (sample.polls - sample.idle) * TOLERANCE > sample.polls {
                idle.remove(&id);
                continue;
            }
            let idle = idle.entry(id).or_default();
            idle.samples += 1;
            idle.polls += sample.polls;
        }
        if !suspects.is_empty() {
            event_loop.executor.open_sample(suspects.keys().copied());
        }
        let is_spinner = |id: &u32| {
            let idle = idle.get(id);
            idle.is_some_and(|idle| idle.samples >= SAMPLES && idle.polls >= POLLS)
        };
        let spinners = suspects.into_iter().filter(|(id, _)| is_spinner(id));
        spinners.collect()
    }

    /// Reports those of these tasks whose wakers are held by nothing unseen.
    fn report(&self, event_loop: &EventLoop, spinners: HashMap<u32, u64>) {
        let mut tasks = event_loop.executor.snapshot();
        let seen = seen_holders(event_loop, &tasks);
        tasks.retain(|task| {
            let is_seen = task.waker.is_none_or(|(waker, others)| {
                others <= seen.get(&waker).copied().unwrap_or_default()
            });
            is_seen && spinners.contains_key(&task.id.low())
        });
        let rate = |task: &TaskSnapshot| spinners[&task.id.low()];
        tasks.sort_by_key(|task| Reverse(rate(task)));
        self.reported
            .borrow_mut()
            .extend(tasks.iter().map(|task| task.id.low()));
        if !tasks.is_empty() {
            let tasks = tasks.iter().map(|task| {
                let (id, name) = (task.id.low(), task.name.as_deref());
                (describe_task(id, name, task.location), rate(task))
            });
            let report = Report(tasks.collect());
            event_loop.deadlock.warn(&report.to_string());
        }
    }

    /// Returns how often tasks were polled and sockets were opened lately. Returns `None` in the first second of a
    /// runtime, and under a virtual clock, where a second has no fixed length.
    pub(super) fn rates(&self, event_loop: &EventLoop) -> Option<Rates<'_>> {
        let shared = &event_loop.shared;
        if shared.clock.is_virtual() {
            return None;
        }
        let now = event_loop.nanos();
        let latest = self.latest.borrow();
        let notes = match now.saturating_sub(latest.at) >= SECOND {
            true => latest,
            false => self.former.borrow(),
        };
        let elapsed = now.saturating_sub(notes.at);
        if elapsed < SECOND {
            return None;
        }
        let opened = shared.sources.opened();
        Some(Rates {
            seconds: elapsed as f64 / SECOND as f64,
            opened: opened_by_task(&opened, notes.opened),
            notes,
        })
    }
}

/// How often tasks were polled and sockets were opened since an inspection.
pub(super) struct Rates<'a> {
    /// The time since the inspection.
    seconds: f64,
    /// The notes of the inspection.
    notes: Ref<'a, Notes>,
    /// The number of sockets that each task has opened since, by the low half of its id.
    opened: HashMap<u32, f64>,
}

impl Rates<'_> {
    /// Returns how often a task was polled in a second, if that is known. It was polled `polls` times in all.
    pub(super) fn polls(&self, id: u32, polls: u32) -> Option<f64> {
        let polls = self.notes.polls_since(id, polls)?;
        Some(f64::from(polls) / self.seconds)
    }

    /// Returns how many sockets a task has opened in a second.
    pub(super) fn opened(&self, id: u32) -> f64 {
        self.opened.get(&id).copied().unwrap_or_default() / self.seconds
    }
}

/// Returns the number of sockets that each task has opened since there were `count`. If not all are remembered, the others
/// are assumed to be like them.
fn opened_by_task(opened: &Opened, count: u64) -> HashMap<u32, f64> {
    let newest = opened.since(count);
    let scale = opened.count.saturating_sub(count) as f64 / newest.len().max(1) as f64;
    let mut by_task = HashMap::new();
    for task in newest {
        *by_task.entry(task).or_default() += scale;
    }
    by_task
}

/// Returns the number of clones of each waker that this crate holds for a wait, by the identity of the waker.
fn seen_holders(event_loop: &EventLoop, tasks: &[TaskSnapshot]) -> HashMap<usize, usize> {
    let shared = &event_loop.shared;
    let sources = shared.sources.waiters().into_iter();
    let sources = sources.chain(shared.sources.kept_waiters());
    let timers = shared.timers.waiters().into_iter();
    let jobs = shared.pool.waits(&shared.pool.snapshot()).into_iter();
    let waiters = sources
        .map(|source| source.waiter)
        .chain(timers.map(|timer| timer.waiter))
        .chain(jobs.map(|job| job.waiter))
        .chain(tasks.iter().filter_map(|task| task.awaited_by));
    let mut seen: HashMap<usize, usize> = HashMap::new();
    for waiter in waiters {
        *seen.entry(waiter.waker).or_default() += 1;
    }
    for wait in event_loop.executor.waits.declared() {
        if let Subject::Primitive(primitive, _) = &wait.subject {
            *seen.entry(wait.waiter.waker).or_default() += primitive.wakers();
        }
    }
    seen
}

/// The report of spinners: their descriptions with the number of their polls in a second, busiest first.
struct Report(Vec<(String, u64)>);

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0[..] {
            [(task, rate)] => write!(
                f,
                "{task} spins: it was polled {} times in the last second, and each time it only made itself ready again",
                Grouped(*rate)
            )?,
            tasks => {
                writeln!(
                    f,
                    "{} tasks spin: in each poll they only made themselves ready again. Their polls in the last second:",
                    tasks.len()
                )?;
                for (task, rate) in tasks.iter().take(LISTED) {
                    writeln!(f, "  {} of {task}", Grouped(*rate))?;
                }
                if let more @ 1.. = tasks.len().saturating_sub(LISTED) {
                    writeln!(f, "  and those of {more} more")?;
                }
                f.write_str("A spinning task keeps the thread busy")?;
            }
        }
        f.write_str(
            ": instead of calling `yield_now`, `sleep(Duration::ZERO)` or its own waker until something happens, \
             await the event, or sleep for a nonzero duration between attempts",
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_lists_the_five_busiest_spinners() {
        let tasks = |count: u64| {
            let task = |id| (format!("task {id}"), 12_345_678 - id);
            Report((1..=count).map(task).collect()).to_string()
        };
        let one = tasks(1);
        assert!(
            one.starts_with("task 1 spins: it was polled 12,345,677 times"),
            "{one}"
        );
        let many = tasks(7);
        assert!(many.starts_with("7 tasks spin"), "{many}");
        assert!(
            many.contains("\n  12,345,673 of task 5\n  and those of 2 more\n"),
            "{many}"
        );
        assert!(!tasks(5).contains("more\n"));
    }

    #[test]
    fn few_polls_before_the_notes_count_as_none() {
        let notes = |is_partial| Notes {
            polls: HashMap::from([(1, 1000)]),
            is_partial,
            ..Notes::default()
        };
        assert_eq!(notes(false).polls_since(1, 1500), Some(500));
        assert_eq!(notes(false).polls_since(2, 1500), Some(1500));
        assert_eq!(notes(true).polls_since(2, 1500), None);
        assert_eq!(notes(true).polls_since(2, FEWEST - 1), Some(FEWEST - 1));
        // The number of polls wraps around.
        assert_eq!(notes(false).polls_since(1, 5), Some(u32::MAX - 994));
    }
}

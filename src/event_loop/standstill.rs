//! [`StandstillDetector`]: finds out whether a virtual clock stands still although a deadline is pending.
//!
//! A virtual clock advances only when no task is ready. A task that yields until a deadline has passed is always
//! ready, so it stops the clock and waits forever. The event loop calls [`StandstillDetector::check`] once a turn. After a
//! million polls, a warning names the tasks that were polled.
//!
//! ```text
//!              half of the polls                  all of them
//!    +-------+ ----------------> +-----------+ ----------------> +----------+
//!    | moves |                   | suspected |                   | reported |
//!    +-------+ <---------------- +-----------+                   +----------+
//!        ^    the clock advances, or no deadline is pending           |
//!        +------------------------------------------------------------+
//! ```

use super::EventLoop;
use crate::executor::snapshot::TaskSnapshot;
use crate::executor::status::describe_task;
use std::cell::{Cell, RefCell};
use std::cmp::Reverse;
use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

/// The number of polls after which a standstill is reported.
///
/// A test rarely makes as many polls between two deadlines, and the report still comes within seconds. In a debug
/// build, on a busy VM with two cores, a million polls take one second if the tasks yield. They take five seconds
/// if the tasks call `sleep(Duration::ZERO)`, because each turn of the loop then has few polls.
const REPORT_AFTER: u64 = 1_000_000;

/// The number of polls after which a standstill is suspected. The report counts the polls of each task from then on.
const SUSPECT_AFTER: u64 = REPORT_AFTER / 2;

/// The maximum number of tasks that a report lists.
const LISTED: usize = 5;

/// The standstill detector of one loop.
#[derive(Debug, Default)]
pub(super) struct StandstillDetector {
    /// The time of the clock in the last turn, in nanoseconds since the runtime was created.
    time: Cell<u64>,
    /// The number of polls when the clock last advanced or no deadline was pending.
    polls: Cell<u64>,
    /// The phase of the standstill.
    phase: Cell<Phase>,
    /// The number of polls of each task when the standstill was suspected, by the id of the task.
    noted: RefCell<HashMap<u64, u32>>,
}

/// The phase of a standstill.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Phase {
    /// The clock advances, no deadline is pending, or there have been few polls.
    #[default]
    Moves,
    /// The number of polls of each task has been noted.
    Suspected,
    /// The standstill has been reported.
    Reported,
}

impl StandstillDetector {
    /// Checks the clock in the turn that began at `now`, after the timers have fired.
    pub(super) fn check(&self, event_loop: &EventLoop, now: u64) {
        let polls = event_loop.executor.polls();
        // If a blocking job stops the clock, the tasks are not the cause.
        let waits = event_loop.may_advance_clock() && event_loop.shared.timers.next().is_some();
        match self.step(now, polls, waits) {
            None => {}
            Some(Phase::Moves) => drop(self.noted.take()),
            Some(Phase::Suspected) => {
                let tasks = event_loop.executor.snapshot().into_iter();
                let noted = tasks.map(|task| (task.id.0, task.polls));
                self.noted.replace(noted.collect());
            }
            Some(Phase::Reported) => {
                let report = Report::new(event_loop, &self.noted.take());
                event_loop.deadlock.warn(&report.to_string());
            }
        }
    }

    /// Begins again, when the root future completes.
    pub(super) fn reset(&self) {
        // No turn of the loop begins at this time, so the next turn begins to count.
        self.time.set(u64::MAX);
        self.phase.set(Phase::Moves);
        self.noted.take();
    }

    /// Updates the phase after a turn. Returns the phase if it has changed.
    fn step(&self, now: u64, polls: u64, waits: bool) -> Option<Phase> {
        let next = if self.time.replace(now) != now || !waits {
            self.polls.set(polls);
            Phase::Moves
        } else {
            match (polls - self.polls.get(), self.phase.get()) {
                (REPORT_AFTER.., Phase::Suspected | Phase::Reported) => Phase::Reported,
                (SUSPECT_AFTER.., Phase::Moves | Phase::Suspected) => Phase::Suspected,
                (_, phase) => phase,
            }
        };
        (self.phase.replace(next) != next).then_some(next)
    }
}

/// The report of a standstill.
struct Report {
    /// How far away the next deadline is.
    left: Duration,
    /// The task that waits for the next deadline, if a task does.
    sleeper: Option<String>,
    /// The tasks that were polled since the standstill was suspected, busiest first, with their number of polls.
    busy: Vec<(String, u32)>,
}

impl Report {
    /// Creates the report. `noted` is the number of polls of each task when the standstill was suspected.
    fn new(event_loop: &EventLoop, noted: &HashMap<u64, u32>) -> Report {
        let now = event_loop.shared.clock.now();
        let deadlines = event_loop.shared.timers.waiters();
        let next = deadlines
            .into_iter()
            .filter_map(|timer| Some((timer.deadline?, timer.waiter.tag)))
            .min_by_key(|(deadline, _)| *deadline);
        let mut tasks = event_loop.executor.snapshot();
        let sleeper = next.and_then(|(_, tag)| {
            let (id, _) = tag.parts()?;
            tasks.iter().find(|task| task.id.low() == id).map(describe)
        });
        let polled = |task: &TaskSnapshot| {
            let before = noted.get(&task.id.0).copied().unwrap_or_default();
            task.polls.wrapping_sub(before)
        };
        tasks.retain(|task| polled(task) > 0);
        tasks.sort_by_key(|task| Reverse(polled(task)));
        Report {
            left: next.map_or(Duration::ZERO, |(deadline, _)| {
                deadline.saturating_duration_since(now)
            }),
            sleeper,
            busy: tasks
                .iter()
                .map(|task| (describe(task), polled(task)))
                .collect(),
        }
    }
}

/// Describes a task.
fn describe(task: &TaskSnapshot) -> String {
    describe_task(task.id.low(), task.name.as_deref(), task.location)
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the virtual clock has stood still for {REPORT_AFTER} polls, because a task was always ready; the \
             next deadline is {:?} away",
            self.left
        )?;
        if let Some(sleeper) = &self.sleeper {
            write!(f, ", and {sleeper} waits for it")?;
        }
        writeln!(f, ". The last {} polls:", REPORT_AFTER - SUSPECT_AFTER)?;
        for (task, polls) in self.busy.iter().take(LISTED) {
            writeln!(f, "  {polls} of {task}")?;
        }
        if let more @ 1.. = self.busy.len().saturating_sub(LISTED) {
            writeln!(f, "  and those of {more} more")?;
        }
        f.write_str(
            "A task that calls `yield_now` or `sleep(Duration::ZERO)` until something happens stops the \
             clock: await the event, or sleep for a nonzero duration between attempts",
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The number of polls in a turn.
    const TURN: u64 = 128;

    /// Simulates `polls` polls, turn by turn, at the time `now`. Returns the phases that began.
    fn poll(
        standstill: &StandstillDetector,
        all: &mut u64,
        polls: u64,
        now: u64,
        waits: bool,
    ) -> Vec<Phase> {
        let turns = polls.div_ceil(TURN);
        let mut turn = || {
            *all += TURN;
            standstill.step(now, *all, waits)
        };
        (0..turns).filter_map(|_| turn()).collect()
    }

    #[test]
    fn a_standstill_is_suspected_and_then_reported_once() {
        let (standstill, mut all) = (StandstillDetector::default(), 0);
        assert_eq!(
            poll(&standstill, &mut all, SUSPECT_AFTER - TURN, 7, true),
            []
        );
        assert_eq!(
            poll(&standstill, &mut all, 3 * TURN, 7, true),
            [Phase::Suspected]
        );
        let rest = REPORT_AFTER - SUSPECT_AFTER - 4 * TURN;
        assert_eq!(poll(&standstill, &mut all, rest, 7, true), []);
        assert_eq!(
            poll(&standstill, &mut all, 5 * REPORT_AFTER, 7, true),
            [Phase::Reported]
        );
    }

    #[test]
    fn each_standstill_is_reported() {
        let (standstill, mut all) = (StandstillDetector::default(), 0);
        let all_phases = [Phase::Suspected, Phase::Reported];
        assert_eq!(
            poll(&standstill, &mut all, 2 * REPORT_AFTER, 0, true),
            all_phases
        );
        for now in 1..4 {
            assert_eq!(poll(&standstill, &mut all, TURN, now, true), [Phase::Moves]);
            assert_eq!(
                poll(&standstill, &mut all, 2 * REPORT_AFTER, now, true),
                all_phases
            );
        }
    }

    #[test]
    fn a_clock_that_advances_or_has_no_deadline_does_not_stand_still() {
        let (standstill, mut all) = (StandstillDetector::default(), 0);
        for now in 0..10 {
            let phases = poll(&standstill, &mut all, REPORT_AFTER - TURN, now, true);
            assert!(!phases.contains(&Phase::Reported), "{phases:?}");
        }
        poll(&standstill, &mut all, TURN, 10, true);
        assert_eq!(
            poll(&standstill, &mut all, 10 * REPORT_AFTER, 10, false),
            []
        );
        // Those polls do not count for a deadline that is set afterwards.
        assert_eq!(
            poll(&standstill, &mut all, SUSPECT_AFTER - TURN, 10, true),
            []
        );
        standstill.reset();
        assert_eq!(
            poll(&standstill, &mut all, SUSPECT_AFTER - TURN, 10, true),
            []
        );
    }

    #[test]
    fn a_single_turn_of_many_polls_is_suspected_first() {
        let (standstill, mut all) = (StandstillDetector::default(), 0);
        assert_eq!(poll(&standstill, &mut all, TURN, 0, true), []);
        for phase in [Phase::Suspected, Phase::Reported] {
            all += 2 * REPORT_AFTER;
            assert_eq!(standstill.step(0, all, true), Some(phase));
        }
    }
}

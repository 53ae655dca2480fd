//! Whether a virtual clock stands still although a deadline waits.
//!
//! The clock moves only when no task is ready. So a task that yields until something happens for which time
//! has to pass holds the clock, and waits for ever. The loop asks here once a turn, and a warning names
//! the tasks that were polled meanwhile.
//!
//! ```text
//!              half of the polls                  all of them
//!    +-------+ ----------------> +-----------+ ----------------> +----------+
//!    | moves |                   | suspected |                   | reported |
//!    +-------+ <---------------- +-----------+                   +----------+
//!        ^    the clock moves, or nothing waits for it                |
//!        +------------------------------------------------------------+
//! ```

use super::Core;
use crate::executor::look::TaskLook;
use crate::executor::pulse::in_full;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

/// After how many polls a standstill is reported.
///
/// More than a test makes that has work to do between two deadlines, and few enough for a report within
/// seconds. In a debug build, on a busy VM with two cores, they take one second if the tasks yield and five
/// if they sleep for no time, since each turn of the loop then has few polls.
const PATIENCE: u64 = 1_000_000;

/// After how many polls the polls of each task are noted. The report is about those that come later.
const SUSPICION: u64 = PATIENCE / 2;

/// How many tasks a report lists at most.
const LISTED: usize = 5;

/// What is known of the standstill that goes on, if one does.
#[derive(Debug, Default)]
pub(super) struct Standstill {
    /// The time that the clock showed in the last turn, in nanoseconds since the runtime was made.
    time: Cell<u64>,
    /// How many polls there had been when the clock moved last, or nothing waited for it.
    polls: Cell<u64>,
    /// How far the standstill has come.
    phase: Cell<Phase>,
    /// How many times each task had been polled at the suspicion, by the numbers of the tasks.
    noted: RefCell<HashMap<u64, u32>>,
}

/// How far a standstill has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Phase {
    /// The clock moves, or is not known to stand still.
    #[default]
    Moves,
    /// The polls of each task have been noted.
    Suspected,
    /// The report has been made.
    Reported,
}

impl Standstill {
    /// Looks at the clock in the turn that began at `now`, after the timers have fired.
    pub(super) fn look(&self, core: &Core, now: u64) {
        let polls = core.executor.polls();
        // While a blocking job holds the clock, the tasks do not.
        let waits = core.may_leap() && core.shared.timers.next().is_some();
        match self.step(now, polls, waits) {
            None => {}
            Some(Phase::Moves) => drop(self.noted.take()),
            Some(Phase::Suspected) => {
                let looks = core.executor.look();
                let noted = looks.into_iter().map(|look| (look.id.0, look.polls));
                self.noted.replace(noted.collect());
            }
            Some(Phase::Reported) => {
                let report = Report::new(core, &self.noted.take());
                core.stall.warn(&report.to_string());
            }
        }
    }

    /// Begins to count anew: what was awaited has come.
    pub(super) fn end(&self) {
        // No turn of the loop can show this.
        self.time.set(u64::MAX);
        self.phase.set(Phase::Moves);
        self.noted.take();
    }

    /// Takes a turn into account. Returns the phase if that is a new one.
    fn step(&self, now: u64, polls: u64, waits: bool) -> Option<Phase> {
        let next = if self.time.replace(now) != now || !waits {
            self.polls.set(polls);
            Phase::Moves
        } else {
            match (polls - self.polls.get(), self.phase.get()) {
                (PATIENCE.., Phase::Suspected | Phase::Reported) => Phase::Reported,
                (SUSPICION.., Phase::Moves | Phase::Suspected) => Phase::Suspected,
                (_, phase) => phase,
            }
        };
        (self.phase.replace(next) != next).then_some(next)
    }
}

/// A standstill, to be shown.
struct Report {
    /// How far away the next deadline is.
    left: Duration,
    /// What waits for it, if that is a task.
    sleeper: Option<String>,
    /// What was polled since the suspicion, the busiest first, and how many times.
    busy: Vec<(String, u32)>,
}

impl Report {
    /// Compares the polls of each task with those that it had before.
    fn new(core: &Core, noted: &HashMap<u64, u32>) -> Report {
        let now = core.shared.clock.now();
        let deadlines = core.shared.timers.look();
        let next = deadlines
            .into_iter()
            .filter_map(|(waiter, deadline)| Some((deadline?, waiter.tag)))
            .min_by_key(|(deadline, _)| *deadline);
        let mut looks = core.executor.look();
        let sleeper = next.and_then(|(_, tag)| {
            let (task, _) = tag.who()?;
            looks.iter().find(|look| look.id.low() == task).map(who)
        });
        let polled = |look: &TaskLook| {
            let before = noted.get(&look.id.0).copied().unwrap_or_default();
            look.polls.wrapping_sub(before)
        };
        looks.retain(|look| polled(look) > 0);
        looks.sort_by_key(|look| std::cmp::Reverse(polled(look)));
        Report {
            left: next.map_or(Duration::ZERO, |(deadline, _)| {
                deadline.saturating_duration_since(now)
            }),
            sleeper,
            busy: looks.iter().map(|look| (who(look), polled(look))).collect(),
        }
    }
}

/// What a task is called.
fn who(look: &TaskLook) -> String {
    in_full(look.id.low(), look.name.as_deref(), look.location)
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the virtual clock has stood still for {PATIENCE} polls, since some task was always ready; the \
             next deadline is {:?} away",
            self.left
        )?;
        if let Some(sleeper) = &self.sleeper {
            write!(f, ", and {sleeper} waits for it")?;
        }
        writeln!(f, ". The last {} polls:", PATIENCE - SUSPICION)?;
        for (who, polls) in self.busy.iter().take(LISTED) {
            writeln!(f, "  {polls} of {who}")?;
        }
        if let more @ 1.. = self.busy.len().saturating_sub(LISTED) {
            writeln!(f, "  and those of {more} more")?;
        }
        f.write_str(
            "A task that calls `yield_now` or `sleep(Duration::ZERO)` until something happens holds the \
             clock: await the event, or sleep for some time in each round",
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many polls a turn has.
    const TURN: u64 = 128;

    /// Makes so many polls, turn by turn, while the clock shows `now`. Returns the phases that began.
    fn poll(
        standstill: &Standstill,
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
        let (standstill, mut all) = (Standstill::default(), 0);
        assert_eq!(poll(&standstill, &mut all, SUSPICION - TURN, 7, true), []);
        assert_eq!(
            poll(&standstill, &mut all, 3 * TURN, 7, true),
            [Phase::Suspected]
        );
        let rest = PATIENCE - SUSPICION - 4 * TURN;
        assert_eq!(poll(&standstill, &mut all, rest, 7, true), []);
        assert_eq!(
            poll(&standstill, &mut all, 5 * PATIENCE, 7, true),
            [Phase::Reported]
        );
    }

    #[test]
    fn each_standstill_is_reported() {
        let (standstill, mut all) = (Standstill::default(), 0);
        let all_phases = [Phase::Suspected, Phase::Reported];
        assert_eq!(
            poll(&standstill, &mut all, 2 * PATIENCE, 0, true),
            all_phases
        );
        for now in 1..4 {
            assert_eq!(poll(&standstill, &mut all, TURN, now, true), [Phase::Moves]);
            assert_eq!(
                poll(&standstill, &mut all, 2 * PATIENCE, now, true),
                all_phases
            );
        }
    }

    #[test]
    fn what_moves_the_clock_or_waits_for_nothing_is_no_standstill() {
        let (standstill, mut all) = (Standstill::default(), 0);
        for now in 0..10 {
            let phases = poll(&standstill, &mut all, PATIENCE - TURN, now, true);
            assert!(!phases.contains(&Phase::Reported), "{phases:?}");
        }
        poll(&standstill, &mut all, TURN, 10, true);
        assert_eq!(poll(&standstill, &mut all, 10 * PATIENCE, 10, false), []);
        // Those polls do not count for a deadline that is set afterwards.
        assert_eq!(poll(&standstill, &mut all, SUSPICION - TURN, 10, true), []);
        standstill.end();
        assert_eq!(poll(&standstill, &mut all, SUSPICION - TURN, 10, true), []);
    }

    #[test]
    fn a_single_turn_of_many_polls_is_suspected_first() {
        let (standstill, mut all) = (Standstill::default(), 0);
        assert_eq!(poll(&standstill, &mut all, TURN, 0, true), []);
        for phase in [Phase::Suspected, Phase::Reported] {
            all += 2 * PATIENCE;
            assert_eq!(standstill.step(0, all, true), Some(phase));
        }
    }
}

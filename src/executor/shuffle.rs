//! The choice among the ready tasks, where a seed makes it.
//!
//! At each poll the shuffle chooses among all ready tasks, each with the same probability. The one
//! limit is that no task waits for ever. A task is *passed over* when a task that became ready later
//! is chosen; a task that was passed over [`MOST_PASSES`] times is chosen next.
//!
//! ```text
//!     ready, in the order of arrival      A   B   C   D   E      C is chosen: it overtakes 2 tasks
//!                                         A   B   D   E          D is chosen: it overtakes 2 tasks
//!                                         A   B   E              A is chosen
//!                                         B   E                  C and D have still overtaken 1 task
//! ```
//!
//! A chosen task has overtaken all tasks that stand before it. They keep their places, so those of
//! them that are still ready always are the first ones of the queue, and to remember an overtaking
//! takes nothing but their number. It follows that no task was passed over more often than the first
//! one, which was passed over by all who are remembered. So the limit needs to look at the first
//! task only.
//!
//! The shuffle also keeps the last polls, for the report of a test that fails.

use super::pulse::Polling;
use crate::slab::Key;
use std::collections::VecDeque;
use std::fmt;

/// How many times in a row a ready task is passed over at most.
///
/// The orders of tests end well before: a mistake that needs one task to take more than some twenty
/// steps while another takes none is too improbable to be found anyway. And 65 yields are few enough that a
/// task can yield until all others have been polled.
const MOST_PASSES: usize = 64;

/// How many changes from one task to another are kept: a screenful.
const KEPT_TURNS: usize = 32;

/// Chooses tasks by a seed; the same seed makes the same choices.
pub(super) struct Shuffle {
    /// What the next random number is made from.
    state: u64,
    /// How many tasks have been chosen.
    taken: u64,
    /// For each chosen task that overtook tasks which are still ready, how many those are. At most
    /// [`MOST_PASSES`] numbers, none of them zero.
    overtakings: Vec<usize>,
    /// The tasks that were polled last, the last one at the end.
    turns: VecDeque<Turn>,
    /// How many polls came before those.
    forgotten: u64,
}

/// Polls of the same task, one after the other.
struct Turn {
    /// The first of the polls, which knows the task.
    first: Polling,
    /// How many polls there were.
    polls: u64,
}

impl Shuffle {
    /// The choices of a seed. In a box, since most queues have none.
    pub(super) fn boxed(seed: u64) -> Box<Shuffle> {
        Box::new(Shuffle {
            state: seed,
            taken: 0,
            overtakings: Vec::new(),
            turns: VecDeque::new(),
            forgotten: 0,
        })
    }

    /// Chooses one of the ready tasks, which stand in the order of arrival, and moves it to the front.
    ///
    /// This moves as many tasks as are passed over, which is at most [`MOST_PASSES`] for each task on
    /// average.
    pub(super) fn choose(&mut self, ready: &mut [Key]) {
        if ready.is_empty() {
            return;
        }
        let place = match self.overtakings.len() < MOST_PASSES {
            true => self.below(ready.len()),
            false => 0,
        };
        ready[..=place].rotate_right(1);
        self.taken += 1;
        // The chosen task is one less for those who had overtaken it.
        for overtaken in &mut self.overtakings {
            *overtaken -= usize::from(*overtaken > place);
        }
        self.overtakings.push(place);
        self.overtakings.retain(|overtaken| *overtaken > 0);
    }

    /// How many tasks have been chosen.
    pub(super) fn taken(&self) -> u64 {
        self.taken
    }

    /// How many tasks were pushed before the first one that is still ready. They all were chosen, as
    /// were those who have overtaken it and nobody else.
    pub(super) fn first(&self) -> u64 {
        self.taken - self.overtakings.len() as u64
    }

    /// Forgets whom the chosen tasks have overtaken: no task is ready any more.
    pub(super) fn clear(&mut self) {
        self.overtakings.clear();
    }

    /// Notes a poll.
    pub(super) fn note(&mut self, polling: &Polling) {
        if let Some(last) = self.turns.back_mut()
            && last.first.id == polling.id
        {
            last.polls += 1;
            return;
        }
        if self.turns.len() == KEPT_TURNS
            && let Some(oldest) = self.turns.pop_front()
        {
            self.forgotten += oldest.polls;
        }
        self.turns.push_back(Turn {
            first: polling.clone(),
            polls: 1,
        });
    }

    /// A random number below `end`, by the generator SplitMix64 (Steele, Lea and Flood, "Fast
    /// Splittable Pseudorandom Number Generators", 2014) and, since `end` is small against 2⁶⁴, a
    /// plain remainder.
    fn below(&mut self, end: usize) -> usize {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.state ^ (self.state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % end as u64) as usize
    }
}

/// The last polls, the oldest first, a task in a line.
impl fmt::Display for Shuffle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.forgotten > 0 {
            writeln!(f, "  ({} polls before these)", self.forgotten)?;
        }
        for Turn { first, polls } in &self.turns {
            match polls {
                1 => writeln!(f, "  {}", first.who())?,
                _ => writeln!(f, "  {} x{polls}", first.who())?,
            }
        }
        Ok(())
    }
}

//! [`Shuffle`]: the random choice among the ready tasks, with a seed.
//!
//! At each pop, the [run queue](super::queue) calls [`Shuffle::choose`], which chooses among all ready tasks, each
//! with the same probability. A limit keeps a task from waiting forever: a task is *passed over* when a task that
//! became ready later is chosen, and a task that was passed over [`MAX_PASSES`] times is chosen next.
//!
//! ```text
//!     ready, in the order of arrival      A   B   C   D   E      C is chosen: it overtakes 2 tasks
//!                                         A   B   D   E          D is chosen: it overtakes 2 tasks
//!                                         A   B   E              A is chosen
//!                                         B   E                  C and D are still ahead of 1 ready task
//! ```
//!
//! A chosen task overtakes all tasks in front of it. Those of them that are still ready are always at the front of
//! the queue, because tasks never change places. So the shuffle stores an overtaking as one number: how many of
//! the overtaken tasks are still ready. Each number includes the first task, so the first task was passed over as
//! many times as there are numbers, and no task was passed over more often. The shuffle therefore has to check
//! the limit only for the first task.
//!
//! The shuffle also notes the last polls, for the report of a test that fails.

use super::status::Polling;
use crate::slab::Key;
use std::collections::VecDeque;
use std::fmt;

/// The maximum number of times in a row that a ready task is passed over.
///
/// The limit excludes few orders: an order in which one task takes more than about twenty steps while another
/// takes none is too improbable to occur. After 65 yields of a task, all tasks that were ready at the first yield
/// have been polled, so a test can wait for them by yielding.
const MAX_PASSES: usize = 64;

/// The number of `Turn`s in the report of the last polls. Each takes a line, and all of them fit on one screen.
const KEPT_TURNS: usize = 32;

/// The random choice of tasks from a seed. The same seed leads to the same choices.
pub(super) struct Shuffle {
    /// The state of the random number generator.
    state: u64,
    /// The number of choices that were made.
    taken: u64,
    /// For each chosen task that overtook tasks which are still ready, the number of those tasks. There are at
    /// most [`MAX_PASSES`] numbers, none of them zero.
    overtakings: Vec<usize>,
    /// The last polls, the newest at the end.
    turns: VecDeque<Turn>,
    /// The number of polls before `turns`.
    forgotten: u64,
}

/// Consecutive polls of one task.
struct Turn {
    /// The first of the polls.
    first: Polling,
    /// The number of polls.
    polls: u64,
}

impl Shuffle {
    /// Creates a shuffle with this seed. It is boxed, because most queues have none.
    pub(super) fn boxed(seed: u64) -> Box<Shuffle> {
        Box::new(Shuffle {
            state: seed,
            taken: 0,
            overtakings: Vec::new(),
            turns: VecDeque::new(),
            forgotten: 0,
        })
    }

    /// Chooses one of the ready tasks, which are in order of arrival, and moves it to the front.
    ///
    /// This also moves the tasks that are passed over, on average at most [`MAX_PASSES`] tasks per call.
    pub(super) fn choose(&mut self, ready: &mut [Key]) {
        if ready.is_empty() {
            return;
        }
        let place = match self.overtakings.len() < MAX_PASSES {
            true => self.below(ready.len()),
            false => 0,
        };
        ready[..=place].rotate_right(1);
        self.taken += 1;
        // The chosen task is no longer ready, so it no longer counts among the overtaken tasks.
        for overtaken in &mut self.overtakings {
            *overtaken -= usize::from(*overtaken > place);
        }
        self.overtakings.push(place);
        self.overtakings.retain(|overtaken| *overtaken > 0);
    }

    /// Returns the number of choices that were made.
    pub(super) fn taken(&self) -> u64 {
        self.taken
    }

    /// Returns how many tasks were pushed before the first task that is still ready. All of them were chosen. The
    /// other chosen tasks have overtaken the first task.
    pub(super) fn first(&self) -> u64 {
        self.taken - self.overtakings.len() as u64
    }

    /// Clears the overtakings, when no task is ready.
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

    /// Returns a random number below `end`: the remainder of a number from the generator SplitMix64 (Steele, Lea
    /// and Flood, "Fast Splittable Pseudorandom Number Generators", 2014). The bias of the remainder is negligible,
    /// because `end` is far smaller than 2⁶⁴.
    fn below(&mut self, end: usize) -> usize {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.state ^ (self.state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % end as u64) as usize
    }
}

/// Displays the last polls, oldest first, one line for consecutive polls of a task.
impl fmt::Display for Shuffle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.forgotten > 0 {
            writeln!(f, "  ({} polls before these)", self.forgotten)?;
        }
        for Turn { first, polls } in &self.turns {
            match polls {
                1 => writeln!(f, "  {}", first.task())?,
                _ => writeln!(f, "  {} x{polls}", first.task())?,
            }
        }
        Ok(())
    }
}

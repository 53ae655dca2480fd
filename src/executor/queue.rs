//! [`RunQueue`]: the tasks that are ready, in the order in which they became ready.
//!
//! The executor pushes and pops the keys of tasks. Without a seed, the queue is first in, first out. It consists
//! of two vectors: the tasks that were ready when the current round began, and those that have become ready since.
//! When a round ends, the two are swapped. With a seed, each pop moves all ready tasks into one vector, and the
//! [shuffle](super::shuffle) chooses among them. A round then ends when all tasks that were ready at its beginning
//! have been popped.

use super::shuffle::Shuffle;
use super::status::Polling;
use crate::primitives::{AtomicU32, Ordering};
use crate::slab::Key;
use std::mem;
use std::sync::Arc;

/// The capacity that a vector of the queue keeps after a burst, in keys.
const KEPT_KEYS: usize = 1024;

/// The tasks that are ready, in the order in which they became ready.
pub(super) struct RunQueue {
    /// The tasks of this round; with a seed, all tasks that were ready at the last pop.
    round: Vec<Key>,
    /// The number of tasks of this round that have been popped.
    taken: usize,
    /// The tasks that have become ready since the round began; with a seed, since the last pop.
    next: Vec<Key>,
    /// The number of rounds that have begun (modulo 2³²). This queue writes it, on the thread of the loop;
    /// the lists of the reactor read it, on any thread.
    ///
    /// Relaxed is enough: the number measures time and guards no memory.
    rounds: Arc<AtomicU32>,
    /// With a seed, the number of pushes before the last round began.
    pushed_before: u64,
    /// Chooses the task that is polled next, if there is a seed.
    shuffle: Option<Box<Shuffle>>,
}

impl RunQueue {
    /// Creates an empty queue, which counts its rounds in `rounds`. Without a shuffle, it is first in, first out.
    pub(super) fn new(shuffle: Option<Box<Shuffle>>, rounds: Arc<AtomicU32>) -> RunQueue {
        RunQueue {
            round: Vec::new(),
            taken: 0,
            next: Vec::new(),
            rounds,
            pushed_before: 0,
            shuffle,
        }
    }

    /// Pushes a task.
    #[inline]
    pub(super) fn push(&mut self, key: Key) {
        self.next.push(key);
    }

    /// Pops the task to poll next.
    #[inline]
    pub(super) fn pop(&mut self) -> Option<Key> {
        if self.shuffle.is_some() {
            self.choose();
        } else if self.taken == self.round.len() {
            self.begin_round();
            self.count_round();
        }
        let key = *self.round.get(self.taken)?;
        self.taken += 1;
        Some(key)
    }

    /// Begins a round with the tasks that have become ready. Frees the memory of a far larger round.
    #[inline]
    fn begin_round(&mut self) {
        self.round.clear();
        self.taken = 0;
        mem::swap(&mut self.round, &mut self.next);
        if self.next.capacity() > KEPT_KEYS && self.next.capacity() / 4 > self.round.len() {
            self.next = Vec::new();
        }
    }

    /// Lets the shuffle choose the task to poll next.
    #[cold]
    fn choose(&mut self) {
        if self.taken == self.round.len() {
            self.begin_round();
        }
        // Fewer tasks are moved here than have been popped, so each pop pays for at most one move.
        if self.taken > self.round.len() / 2 {
            self.round.drain(..self.taken);
            self.taken = 0;
        }
        self.round.append(&mut self.next);
        if self.has_taken(self.pushed_before) {
            self.count_round();
            self.pushed_before = self.pushed().unwrap_or_default();
        }
        if let Some(shuffle) = &mut self.shuffle {
            shuffle.choose(&mut self.round[self.taken..]);
        }
    }

    /// Notes that a round has begun. This needs no locked instruction, because only this queue writes the number.
    #[inline]
    fn count_round(&self) {
        let rounds = self.rounds.load(Ordering::Relaxed);
        self.rounds.store(rounds.wrapping_add(1), Ordering::Relaxed);
    }

    /// Returns the number of tasks that are ready for the next round, if a round is over. During a round, and with
    /// a seed, returns 0.
    #[inline]
    pub(super) fn ready_for_new_round(&self) -> usize {
        match self.taken == self.round.len() && self.shuffle.is_none() {
            true => self.next.len(),
            false => 0,
        }
    }

    /// Moves the first `count` tasks of the next round to its end. This costs one move for each task of the round,
    /// at most once a round.
    pub(super) fn postpone(&mut self, count: usize) {
        if count < self.next.len() {
            self.next.rotate_left(count);
        }
    }

    /// Returns whether no task is ready.
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.next.is_empty() && self.taken == self.round.len()
    }

    /// With a seed, returns the number of pushes.
    pub(super) fn pushed(&self) -> Option<u64> {
        let ready = self.round.len() - self.taken + self.next.len();
        Some(self.shuffle.as_ref()?.taken() + ready as u64)
    }

    /// Returns whether the first `pushed` entries that were pushed have been popped. Without a seed, pushes are not
    /// counted, and it returns true.
    pub(super) fn has_taken(&self, pushed: u64) -> bool {
        let first = self.shuffle.as_ref().map(|shuffle| shuffle.first());
        first.is_none_or(|first| first >= pushed)
    }

    /// With a seed, notes a poll for the report.
    pub(super) fn note(&mut self, polling: &Polling) {
        if let Some(shuffle) = &mut self.shuffle {
            shuffle.note(polling);
        }
    }

    /// With a seed, returns the last polls as text.
    pub(super) fn last_polls(&self) -> Option<String> {
        self.shuffle.as_ref().map(ToString::to_string)
    }

    /// Removes all tasks.
    pub(super) fn clear(&mut self) {
        (self.round, self.next, self.taken) = (Vec::new(), Vec::new(), 0);
        if let Some(shuffle) = &mut self.shuffle {
            shuffle.clear();
        }
    }
}

//! [`RunQueue`]: the tasks that are ready, in the order in which they became ready.
//!
//! The executor pushes and pops. Without a seed, the queue is first in, first out. It consists of two
//! vectors: the tasks that were ready when this round began, and those that have become ready since. When a
//! round ends, the two are swapped. With a seed, each pop moves all ready tasks into one vector and
//! lets the [shuffle](super::shuffle) choose among them. A round then ends when all tasks that were ready at
//! its beginning have been taken.

use super::shuffle::Shuffle;
use super::status::Polling;
use crate::primitives::{AtomicU32, Ordering};
use crate::slab::Key;
use std::mem;
use std::sync::Arc;

/// How many keys a vector of the queue keeps room for after a burst.
const KEPT_KEYS: usize = 1024;

/// The tasks that are ready, in the order in which they became ready.
pub(super) struct RunQueue {
    /// The tasks of this round; with a seed, all tasks that were ready at the last pop.
    round: Vec<Key>,
    /// How many tasks of this round have been taken.
    taken: usize,
    /// The tasks that have become ready since.
    next: Vec<Key>,
    /// The number of rounds that have begun (modulo 2³²). This queue writes it, on the thread of the loop;
    /// the lists of the reactor read it, on any thread.
    ///
    /// Relaxed is enough: the number measures time and guards no memory.
    rounds: Arc<AtomicU32>,
    /// With a seed, the number of tasks that had ever been pushed when the last round began.
    pushed_before: u64,
    /// Chooses the task that is polled next, if there is a seed.
    shuffle: Option<Box<Shuffle>>,
}

impl RunQueue {
    /// Creates an empty queue, first in, first out unless there is a shuffle. It counts its rounds in
    /// `rounds`.
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

    /// Makes the tasks that have become ready the round. Drops the room of a round that was far larger.
    #[inline]
    fn begin_round(&mut self) {
        self.round.clear();
        self.taken = 0;
        mem::swap(&mut self.round, &mut self.next);
        if self.next.capacity() > KEPT_KEYS && self.next.capacity() / 4 > self.round.len() {
            self.next = Vec::new();
        }
    }

    /// Lets the shuffle choose the task that is polled next.
    #[cold]
    fn choose(&mut self) {
        if self.taken == self.round.len() {
            self.begin_round();
        }
        // More tasks have been taken than are moved here, so each pop pays for one move at most.
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

    /// Notes that a round has begun. No locked instruction: only this queue writes the number.
    #[inline]
    fn count_round(&self) {
        let rounds = self.rounds.load(Ordering::Relaxed);
        self.rounds.store(rounds.wrapping_add(1), Ordering::Relaxed);
    }

    /// Returns whether no task is ready.
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.next.is_empty() && self.taken == self.round.len()
    }

    /// With a seed, returns the number of tasks that were ever pushed.
    pub(super) fn pushed(&self) -> Option<u64> {
        let ready = self.round.len() - self.taken + self.next.len();
        Some(self.shuffle.as_ref()?.taken() + ready as u64)
    }

    /// Returns whether the first `pushed` tasks that were pushed have been taken. Without a seed, tasks are not
    /// counted, and the answer is yes.
    pub(super) fn has_taken(&self, pushed: u64) -> bool {
        let first = self.shuffle.as_ref().map(|shuffle| shuffle.first());
        first.is_none_or(|first| first >= pushed)
    }

    /// With a seed, notes that the task that was popped last is polled.
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

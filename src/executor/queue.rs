//! The run queue, in rounds: a round is the tasks that were ready when it began, and whatever becomes
//! ready meanwhile is polled in the next.
//!
//! So the queue is two vectors, and a round ends with an exchange of the two.

use super::shuffle::Shuffle;
use crate::slab::Key;
use std::mem;

/// How many places a vector of the queue keeps after a burst.
const KEPT_PLACES: usize = 1024;

/// The tasks that are ready, in the order in which they will be polled.
pub(super) struct RunQueue {
    /// This round.
    round: Vec<Key>,
    /// How many tasks of this round have been taken.
    taken: usize,
    /// The next round.
    next: Vec<Key>,
    /// What puts a round into another order, if it is not polled in that of the wakes.
    shuffle: Option<Shuffle>,
}

impl RunQueue {
    /// An empty queue, first in first out unless it is shuffled.
    pub(super) fn new(shuffle: Option<Shuffle>) -> RunQueue {
        RunQueue {
            round: Vec::new(),
            taken: 0,
            next: Vec::new(),
            shuffle,
        }
    }

    /// Adds a task at the end.
    #[inline]
    pub(super) fn push(&mut self, key: Key) {
        self.next.push(key);
    }

    /// Takes the task that is next.
    #[inline]
    pub(super) fn pop(&mut self) -> Option<Key> {
        if self.taken == self.round.len() {
            self.begin_round();
        }
        if let Some(shuffle) = &mut self.shuffle {
            shuffle.choose(&mut self.round[self.taken..]);
        }
        let key = *self.round.get(self.taken)?;
        self.taken += 1;
        Some(key)
    }

    /// Makes what has become ready the round. The room of a round that was far larger goes.
    #[inline]
    fn begin_round(&mut self) {
        self.round.clear();
        self.taken = 0;
        mem::swap(&mut self.round, &mut self.next);
        if self.next.capacity() > KEPT_PLACES && self.next.capacity() / 4 > self.round.len() {
            self.next = Vec::new();
        }
    }

    /// Whether no task is ready.
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.next.is_empty() && self.taken == self.round.len()
    }

    /// Forgets all of them.
    pub(super) fn clear(&mut self) {
        (self.round, self.next, self.taken) = (Vec::new(), Vec::new(), 0);
    }
}

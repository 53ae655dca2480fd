//! [`Queue`]: what is going to happen, in the order of time.

use crate::slab::{Key, Slab};
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Events in the order of their times. Events of the same time keep the order in which they were added.
///
/// A cancelled event is freed at once; 32 bytes of it remain until its time has come or it is the next.
pub(super) struct Queue<T> {
    /// When each event is due, its number in the order of addition, and its key.
    order: BinaryHeap<Reverse<(u64, u64, u64)>>,
    /// The events.
    events: Slab<T>,
    /// The number of events that were ever added.
    added: u64,
}

impl<T> Queue<T> {
    /// Creates an empty queue.
    pub(super) fn new() -> Queue<T> {
        Queue {
            order: BinaryHeap::new(),
            events: Slab::new(),
            added: 0,
        }
    }

    /// Adds an event.
    pub(super) fn add(&mut self, at: u64, event: T) -> Key {
        let key = self.events.insert(event);
        self.added += 1;
        self.order.push(Reverse((at, self.added, key.number())));
        key
    }

    /// Returns the events, in no particular order.
    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.events.iter().map(|(_, event)| event)
    }

    /// Removes an event, unless it has happened.
    pub(super) fn cancel(&mut self, key: Key) {
        self.events.remove(key);
    }

    /// Returns the time of the next event.
    pub(super) fn next(&mut self) -> Option<u64> {
        while let Some(Reverse((at, _, key))) = self.order.peek() {
            if self.events.get_mut(Key::from_number(*key)).is_some() {
                return Some(*at);
            }
            self.order.pop();
        }
        self.events.shrink();
        None
    }

    /// Removes and returns the next event that is due by this time.
    pub(super) fn take_due(&mut self, now: u64) -> Option<T> {
        while self
            .order
            .peek()
            .is_some_and(|Reverse(first)| first.0 <= now)
        {
            let Reverse((_, _, key)) = self.order.pop()?;
            if let Some(event) = self.events.remove(Key::from_number(key)) {
                return Some(event);
            }
        }
        None
    }

    /// Returns the number of events.
    pub(super) fn len(&self) -> usize {
        self.events.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_come_by_time_and_then_in_the_order_of_addition() {
        let mut queue = Queue::new();
        for (at, event) in [(5, 'c'), (1, 'a'), (5, 'd'), (1, 'b'), (9, 'e')] {
            queue.add(at, event);
        }
        assert_eq!(queue.next(), Some(1));
        let due: String = std::iter::from_fn(|| queue.take_due(5)).collect();
        assert_eq!(due, "abcd");
        assert_eq!(queue.next(), Some(9));
    }

    #[test]
    fn a_cancelled_event_is_neither_next_nor_due() {
        let mut queue = Queue::new();
        let first = queue.add(1, 'a');
        queue.add(2, 'b');
        queue.cancel(first);
        assert_eq!(queue.next(), Some(2));
        assert_eq!(queue.take_due(9), Some('b'));
        assert_eq!(queue.take_due(9), None);
        assert_eq!(queue.len(), 0);
    }
}

//! The ring of the timeline, which a reader copies while the loop writes.

use crate::ring::Ring;
use loom::thread;
use std::sync::Arc;

/// The events that the writer writes beside the reader: so many that each slot is overwritten.
const EVENTS: u64 = 3;

/// The slots of the ring.
const SLOTS: usize = 2;

/// Returns the words of an event. No mixture of two events has them.
fn words(event: u64) -> [u64; 2] {
    [event, !event]
}

#[test]
fn a_reader_never_sees_a_torn_event() {
    loom::model(|| {
        let ring = Arc::new(Ring::new(SLOTS));
        ring.push(words(0));
        let written = Arc::clone(&ring);
        let writer = thread::spawn(move || {
            for event in 1..=EVENTS {
                written.push(words(event));
            }
        });
        let (lost, events) = ring.copy();
        for (event, seen) in (lost..).zip(events) {
            assert_eq!(seen, words(event));
        }
        writer.join().unwrap();
        // A reader that comes later sees all but the oldest slot.
        assert_eq!(ring.copy(), (EVENTS, vec![words(EVENTS)]));
    });
}

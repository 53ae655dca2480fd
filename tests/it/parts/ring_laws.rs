//! Laws of the ring of a timeline.

use crate::ring::Ring;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

#[test]
fn a_ring_keeps_the_newest_events() {
    let ring = Ring::new(5);
    assert_eq!(ring.capacity(), 8);
    assert_eq!(ring.copy(), (0, Vec::new()));
    for event in 0..5 {
        ring.push([event, !event]);
    }
    let (lost, events) = ring.copy();
    assert_eq!((lost, events.len()), (0, 5));
    for event in 5..100 {
        ring.push([event, !event]);
    }
    // The slot that a writer would overwrite next is never read.
    let (lost, events) = ring.copy();
    assert_eq!(lost, 93);
    let expected: Vec<_> = (93..100).map(|event| [event, !event]).collect();
    assert_eq!(events, expected);
}

#[test]
fn a_reader_beside_a_writer_sees_no_torn_event() {
    const COPIES: usize = 20_000;
    let ring = Ring::new(64);
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut event = 0;
            while !is_over.load(Ordering::Relaxed) {
                ring.push([event, !event]);
                event += 1;
            }
        });
        let mut newest = 0;
        for _ in 0..COPIES {
            let (lost, events) = ring.copy();
            for ([first, second], event) in events.iter().zip(lost..) {
                assert_eq!((*first, *second), (event, !event));
            }
            let end = lost + events.len() as u64;
            assert!(end >= newest, "a later copy ends earlier");
            newest = end;
        }
        is_over.store(true, Ordering::Relaxed);
    });
}

//! The timing wheel, compared with a sorted list.

use crate::slab::Key;
use crate::waiter::{Tag, Waiter};
use crate::wheel::Wheel;
use proptest::prelude::*;
use std::task::Waker;

/// The maximum number of deadlines for which the wheel promises to name the next one exactly.
const EXACT_UP_TO: usize = 32;

/// Returns a waiter identified by its tag.
fn waiter(number: u32) -> Waiter {
    Waiter {
        waker: Waker::noop().clone(),
        tag: Tag::new(1, number),
    }
}

/// Returns the deadlines and tags that are due at `now`.
fn due(wheel: &mut Wheel, now: u64) -> Vec<(u64, Tag)> {
    let mut due = Vec::new();
    wheel.advance(now, &mut due);
    due.into_iter()
        .map(|due| (due.deadline, due.waiter.tag))
        .collect()
}

#[test]
fn the_last_representable_deadline_fires_on_time() {
    let mut wheel = Wheel::new();
    wheel.insert(u64::MAX, waiter(0), None);
    assert_eq!(due(&mut wheel, u64::MAX - 1), []);
    assert_eq!(wheel.next(), Some(u64::MAX));
    assert_eq!(due(&mut wheel, u64::MAX), [(u64::MAX, Tag::new(1, 0))]);
    assert_eq!(wheel.next(), None);
}

#[test]
fn a_crowded_slot_never_yields_a_next_deadline_in_the_past() {
    let mut wheel = Wheel::new();
    let far = 1 << 30;
    let keys: Vec<_> = (0..100)
        .map(|n| wheel.insert(far + n, waiter(0), None).0)
        .collect();
    wheel.remove(keys[0]);
    let mut now = 0;
    let mut fired = 0;
    while let Some(next) = wheel.next() {
        assert!(next > now, "the loop would spin at {now}");
        now = next;
        fired += due(&mut wheel, now).len();
    }
    assert_eq!(fired, 99);
}

/// A step of a program that uses the wheel.
#[derive(Clone, Debug)]
enum Step {
    /// Insert a deadline this far from now.
    Insert(u64),
    /// Remove one of the deadlines inserted so far.
    Remove(prop::sample::Index),
    /// Move one of the deadlines inserted so far to this far from now.
    Reset(prop::sample::Index, u64),
    /// Let this much time pass.
    Advance(u64),
    /// Advance to the instant that the wheel names.
    Next,
}

/// Generates distances of every magnitude.
fn distance() -> impl Strategy<Value = u64> {
    (0..64u32, any::<u64>()).prop_map(|(bits, value)| value >> bits)
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => distance().prop_map(Step::Insert),
        // Many in one slot, more than the wheel examines.
        2 => (1000u64..1100).prop_map(Step::Insert),
        2 => any::<prop::sample::Index>().prop_map(Step::Remove),
        2 => (any::<prop::sample::Index>(), distance())
            .prop_map(|(index, distance)| Step::Reset(index, distance)),
        1 => distance().prop_map(|distance| Step::Advance(distance >> 20)),
        2 => Just(Step::Next),
    ]
}

proptest! {
    /// The same deadlines fire as in a sorted list, at the same time and in the same order. The next instant is never
    /// late, always ahead, and, with few deadlines, exact.
    #[test]
    fn a_wheel_behaves_like_a_sorted_list(steps in prop::collection::vec(step(), 0..300)) {
        let mut wheel = Wheel::new();
        let mut oracle: Vec<(u64, u32, Key)> = Vec::new();
        let mut given = Vec::new();
        let mut now = 0u64;
        for (number, step) in steps.into_iter().enumerate() {
            let number = number as u32;
            match step {
                Step::Insert(distance) => {
                    let deadline = now.saturating_add(distance);
                    let before = wheel.next();
                    let (key, earliest) = wheel.insert(deadline, waiter(number), None);
                    prop_assert_eq!(earliest, before.is_none_or(|before| deadline < before));
                    oracle.push((deadline, number, key));
                    given.push(key);
                }
                Step::Remove(index) if !given.is_empty() => {
                    let key = given[index.index(given.len())];
                    let expected = oracle.iter().position(|entry| entry.2 == key);
                    let removed = wheel.remove(key).map(|waiter| waiter.tag);
                    prop_assert_eq!(removed, expected.map(|at| Tag::new(1, oracle.remove(at).1)));
                }
                Step::Reset(index, distance) if !given.is_empty() => {
                    let key = given[index.index(given.len())];
                    let deadline = now.saturating_add(distance);
                    let expected = oracle.iter().position(|entry| entry.2 == key);
                    prop_assert_eq!(wheel.reset(key, deadline).is_some(), expected.is_some());
                    if let Some(at) = expected {
                        // It comes last among those with the same deadline.
                        let (_, tag, key) = oracle.remove(at);
                        oracle.push((deadline, tag, key));
                    }
                }
                Step::Remove(_) | Step::Reset(..) => {}
                Step::Advance(distance) => now = now.saturating_add(distance),
                Step::Next => now = wheel.next().unwrap_or(now).max(now),
            }
            let mut expected: Vec<(u64, u32, Key)> =
                oracle.extract_if(.., |entry| entry.0 <= now).collect();
            expected.sort_by_key(|entry| entry.0);
            let expected: Vec<_> = expected
                .into_iter()
                .map(|(deadline, number, _)| (deadline, Tag::new(1, number)))
                .collect();
            prop_assert_eq!(due(&mut wheel, now), expected);
            let earliest = oracle.iter().map(|entry| entry.0).min();
            let next = wheel.next();
            prop_assert_eq!(next.is_some(), earliest.is_some());
            if let (Some(next), Some(earliest)) = (next, earliest) {
                prop_assert!(now < next && next <= earliest);
                prop_assert!(next == earliest || oracle.len() > EXACT_UP_TO);
            }
            prop_assert_eq!(wheel.is_empty(), oracle.is_empty());
        }
    }
}

//! The table of finished tasks, compared with a list of all tasks so far.

use crate::ended::{Ended, Writer};
use crate::slab::{Key, Slab};
use proptest::prelude::*;
use std::collections::HashMap;

/// A task that other threads may ask about.
struct Known {
    key: Key,
    number: u64,
    has_ended: bool,
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Tasks start and end in bursts, and the slab shrinks. Some tasks got their ids long before their slots, and
    /// nobody asks about those. Each other task counts as finished exactly when it is, whichever tasks had its slot
    /// before or have it now.
    #[test]
    fn the_ended_table_agrees_with_an_oracle(
        steps in prop::collection::vec((0..4, any::<prop::sample::Index>(), 0..3000_usize), 0..40)
    ) {
        let (ended, mut writer) = (Ended::new(), Writer::new());
        let mut slab: Slab<u64> = Slab::new();
        let mut known: Vec<Known> = Vec::new();
        let mut places: HashMap<u64, usize> = HashMap::new();
        let mut running: Vec<(Key, u64)> = Vec::new();
        let mut on_the_way: Vec<u64> = Vec::new();
        let mut last = 0;
        for (what, which, count) in steps {
            match what {
                0 => for _ in 0..count {
                    last += 1;
                    let key = slab.insert_as(last as u32, last);
                    running.push((key, last));
                    places.insert(last, known.len());
                    known.push(Known { key, number: last, has_ended: false });
                },
                1 => for _ in 0..count {
                    last += 1;
                    on_the_way.push(last);
                },
                2 => for number in on_the_way.drain(..count.min(on_the_way.len())) {
                    running.push((slab.insert_as(number as u32, number), number));
                },
                _ => for _ in 0..count.min(running.len()) {
                    let (key, number) = running.swap_remove(which.index(running.len()));
                    prop_assert_eq!(slab.remove(key), Some(number));
                    if let Some(place) = places.get(&number) {
                        ended.note(&mut writer, key.index(), number);
                        known[*place].has_ended = true;
                    }
                },
            }
            slab.shrink();
            ended.shrink(&mut writer, slab.slots());
            let says = |task: &Known| ended.has(task.key.index(), task.number);
            prop_assert!(known.iter().all(|task| says(task) == task.has_ended));
        }
        ended.note_all(&mut writer);
        prop_assert!(known.iter().all(|task| ended.has(task.key.index(), task.number)));
    }
}

#[test]
fn the_ended_table_frees_its_memory_after_a_burst() {
    let (ended, mut writer) = (Ended::new(), Writer::new());
    for slot in 0..1_000_000 {
        ended.note(&mut writer, slot, slot as u64 + 1);
    }
    ended.shrink(&mut writer, 0);
    assert_eq!(writer.0.capacity(), 0);
    assert!(ended.has(999_999, 1_000_000) && !ended.has(999_999, 1_000_001));
}

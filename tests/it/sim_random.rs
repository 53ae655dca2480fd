//! Random numbers that the seed determines.

use glassfrog::sim::{self, RandomState, Rng, Sim};
use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::rc::Rc;
use std::time::Duration;

/// Returns the first numbers of the hosts "a" and "b". "a" draws `draws` numbers more before.
fn numbers(seed: u64, draws: u32) -> Vec<u64> {
    let numbers = Rc::new(RefCell::new(Vec::new()));
    let mut sim = Sim::new(seed);
    for name in ["a", "b"] {
        let numbers = Rc::clone(&numbers);
        sim.client(name, async move {
            if name == "a" {
                for _ in 0..draws {
                    sim::rng().next_u64();
                }
            }
            glassfrog::time::sleep(Duration::from_secs(u64::from(name == "b"))).await;
            numbers.borrow_mut().push(sim::rng().next_u64());
            Ok(())
        });
    }
    sim.run().unwrap();
    numbers.take()
}

#[test]
fn each_host_has_its_own_numbers_which_the_seed_determines() {
    let first = numbers(1, 0);
    assert_eq!(first, numbers(1, 0));
    assert_ne!(first, numbers(2, 0));
    assert_ne!(first[0], first[1]);
    let other = numbers(1, 3);
    assert_ne!(first[0], other[0]);
    assert_eq!(
        first[1], other[1],
        "what \"a\" draws changes nothing for \"b\""
    );
}

#[test]
fn every_value_of_a_range_occurs_and_no_other() {
    let rng: Rng = Sim::new(1).rng();
    let bytes: HashSet<u8> = (0..10_000).map(|_| rng.range(0..=u8::MAX)).collect();
    assert_eq!(bytes.len(), 256);
    let dice: HashSet<i32> = (0..1_000).map(|_| rng.range(-3..4)).collect();
    assert_eq!(dice, (-3..4).collect());
    for _ in 0..1_000 {
        assert!((5..9).contains(&rng.range(5_usize..9)));
        let time = Duration::from_secs(1)..=Duration::from_secs(2);
        assert!(time.contains(&rng.range(time.clone())));
    }
    assert_eq!(rng.range(7..8_u64), 7);
    assert_eq!(rng.range(i64::MIN..=i64::MIN), i64::MIN);
    let wide: HashSet<bool> = (0..100)
        .map(|_| rng.range(i64::MIN..=i64::MAX) < 0)
        .collect();
    assert_eq!(wide.len(), 2);
    let long = (0..100).map(|_| rng.range(Duration::ZERO..=Duration::MAX));
    assert!(long.max() > Some(Duration::from_secs(1 << 60)));
}

#[test]
fn a_chance_comes_true_as_often_as_it_says() {
    let rng = Sim::new(1).rng();
    let hits = (0..10_000).filter(|_| rng.chance(0.25)).count();
    assert!((2_200..2_800).contains(&hits), "{hits}");
    assert!(!rng.chance(0.0) && rng.chance(1.0));
}

#[test]
#[should_panic(expected = "the range is empty")]
fn an_empty_range_is_refused() {
    Sim::new(1).rng().range(3..3);
}

/// Returns the order in which a simulated host iterates over a map.
fn order(seed: u64) -> Vec<u32> {
    let order = Rc::new(RefCell::new(Vec::new()));
    let ours = Rc::clone(&order);
    let mut sim = Sim::new(seed);
    sim.client("client", async move {
        let map: HashMap<u32, (), RandomState> = (0..100).map(|key| (key, ())).collect();
        ours.borrow_mut().extend(map.keys());
        Ok(())
    });
    sim.run().unwrap();
    order.take()
}

#[test]
fn the_seed_determines_the_order_of_a_map() {
    assert_eq!(order(1), order(1));
    assert_ne!(order(1), order(2));
    let outside = || {
        HashSet::<u32, RandomState>::from_iter(0..100)
            .into_iter()
            .collect::<Vec<_>>()
    };
    assert_ne!(outside(), outside());
}

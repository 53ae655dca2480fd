//! The search for a lost write of a toy.

mod lost_write;

pub(crate) use self::lost_write::lost_writes;

#[test]
fn a_primary_that_crashes_before_the_client_connects_loses_no_write() {
    let (_, lost) = lost_writes(442);
    assert!(lost.is_empty(), "{lost:?}");
}

#[test]
fn a_lost_write_is_found_by_a_search_and_replayed_from_its_seed() {
    let start = std::time::Instant::now();
    // An unoptimized run takes ten times as long.
    let runs = match cfg!(any(feature = "slow", not(debug_assertions))) {
        true => 1000,
        false => 300,
    };
    let failures: Vec<u64> = (0..runs)
        .filter(|seed| !lost_writes(*seed).1.is_empty())
        .collect();
    println!(
        "{:?} a seed; {} of {runs} seeds fail: {failures:?}",
        start.elapsed() / runs as u32,
        failures.len()
    );
    let first = *failures.first().expect("the search finds it");
    let found = lost_writes(first);
    for _ in 0..3 {
        assert_eq!(lost_writes(first), found);
    }
}

//! A burst of tasks leaves no memory behind, as measured from outside.

use crate::support::{child, resident};
use glassfrog::task::{self, JoinSet, scope};
use glassfrog::time::sleep;
use glassfrog::{Handle, spawn};
use std::time::Duration;

unsafe extern "C" {
    /// Returns all free memory to the system (`malloc_trim(3)`).
    safe fn malloc_trim(pad: usize) -> i32;
}

/// The size of a burst: so many that even a leaked key per task would show.
const BURST: u64 = 300_000;

/// The memory that may remain in use after a burst, in KiB. A burst takes ten times that or more.
const TOLERANCE: u64 = 4 * 1024;

/// Runs a burst in a child process and asserts that its memory is freed.
macro_rules! assert_given_back {
    ($burst:expr) => {
        child(|| {
            glassfrog::block_on(async {
                let before = resident();
                $burst.await;
                // A turn or two without any work.
                sleep(Duration::from_millis(1)).await;
                sleep(Duration::from_millis(1)).await;
                malloc_trim(0);
                let after = resident();
                assert!(
                    after <= before + TOLERANCE,
                    "{before} KiB, then {after} KiB"
                );
            });
        })
        .finish();
    };
}

#[test]
fn finished_tasks_leave_no_memory() {
    assert_given_back!(async {
        let tasks: Vec<_> = (0..BURST)
            .map(|number| spawn(async move { number }))
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
    });
}

#[test]
fn tasks_spawned_through_a_handle_leave_no_memory() {
    assert_given_back!(async {
        let handle = Handle::current();
        let spawn = |number| handle.spawn(async move { number });
        let tasks: Vec<_> = (0..BURST).map(spawn).collect();
        for task in tasks {
            task.await.unwrap();
        }
    });
}

#[test]
fn finished_sleeps_leave_no_memory() {
    assert_given_back!(async {
        let nap = |number| spawn(sleep(Duration::from_millis(number % 100)));
        let tasks: Vec<_> = (0..BURST).map(nap).collect();
        for task in tasks {
            task.await.unwrap();
        }
    });
}

#[test]
fn names_of_finished_tasks_leave_no_memory() {
    assert_given_back!(async {
        let named = |number: u64| {
            let builder = task::Builder::new().name(number.to_string());
            builder.spawn(async move { number })
        };
        let tasks: Vec<_> = (0..BURST).map(named).collect();
        for task in tasks {
            task.await.unwrap();
        }
    });
}

#[test]
fn children_of_a_scope_leave_no_memory() {
    assert_given_back!(scope(async |scope| {
        for number in 0..BURST {
            drop(scope.spawn(async move { number }));
        }
    }));
}

#[test]
fn a_long_lived_set_keeps_no_memory_of_joined_tasks() {
    assert_given_back!(async {
        let mut set = JoinSet::new();
        for number in 0..BURST {
            set.spawn(async move { number });
        }
        while let Some(joined) = set.join_next().await {
            joined.unwrap();
        }
        // The set lives as long as the process.
        std::mem::forget(set);
    });
}

//! What dumps say of waits for primitives: for how long, in which words, and how long the words may be.

use crate::support::{block_on, settle};
use futures::future::{Either, select};
use glassfrog::sync::{Mutex, RwLock, Semaphore};
use glassfrog::task::{self, yield_now};
use glassfrog::time::sleep;
use glassfrog::{Runtime, spawn};
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

/// Runs a future under a virtual clock.
fn block_on_virtually<F: Future>(future: F) -> F::Output {
    let runtime = Runtime::builder().virtual_clock().build().unwrap();
    runtime.block_on(future)
}

#[test]
fn a_wait_lasts_from_its_first_poll_however_often_its_task_is_polled() {
    block_on_virtually(async {
        let lock = Rc::new(Mutex::named("accounts", ()));
        let _guard = lock.lock().await;
        let theirs = Rc::clone(&lock);
        let waits = task::Builder::new().name("waits");
        let _waits = waits.spawn(async move {
            let mut lock = pin!(theirs.lock());
            loop {
                let tick = pin!(sleep(Duration::from_millis(400)));
                match select(lock, tick).await {
                    Either::Left(_) => break,
                    Either::Right(((), pending)) => lock = pending,
                }
            }
        });
        // Three ticks less 100 ms.
        sleep(Duration::from_millis(2900)).await;
        let dump = task::dump();
        let text = dump.to_string();
        assert!(
            text.contains(" for 2.8 s") || text.contains(" for 2.9 s"),
            "{text}"
        );
        assert!(
            dump.to_json().contains("\"seconds\":2.8"),
            "{}",
            dump.to_json()
        );
        assert!(
            dump.to_json().contains("\"seconds\":null"),
            "{}",
            dump.to_json()
        );
    });
}

#[test]
fn the_longest_wait_of_a_group_counts_from_its_first_poll() {
    block_on_virtually(async {
        let label = |first: u64| async move {
            sleep(Duration::from_secs(first)).await;
            let ticks = async {
                loop {
                    sleep(Duration::from_millis(100)).await;
                }
            };
            task::waiting_for("the reply", ticks).await;
        };
        for first in [3, 1, 2] {
            drop(spawn(label(first)));
        }
        sleep(Duration::from_millis(6050)).await;
        let text = task::dump().to_string();
        assert!(text.contains("the longest for 5."), "{text}");
        assert!(text.contains(": task 2"), "{text}");
    });
}

#[test]
fn a_long_name_is_cut_off_in_the_text_and_whole_in_the_json() {
    block_on(async {
        let long = "n".repeat(70_000);
        let lock = Rc::new(Mutex::named(long.clone(), ()));
        let _guard = lock.lock().await;
        let theirs = Rc::clone(&lock);
        let task = task::Builder::new().name(long.clone());
        let _task = task.spawn(async move { drop(theirs.lock().await) });
        let labelled = task::waiting_for(long.clone(), std::future::pending::<()>());
        let _labelled = spawn(labelled);
        settle().await;
        let dump = task::dump();
        for text in [dump.to_string(), format!("{dump:#}")] {
            let shown = format!("\"{}…\"", "n".repeat(60));
            assert!(text.contains(&format!("1 {shown}")), "{text}");
            assert!(text.contains(&format!("lock {shown}")), "{text}");
            assert!(
                text.lines().all(|line| line.chars().count() < 400),
                "{text}"
            );
        }
        assert!(dump.to_json().contains(&long));
        assert!(glassfrog::sync::held().to_string().len() < 400);
    });
}

#[test]
fn a_task_that_has_just_been_woken_is_next() {
    block_on(async {
        let pool = Rc::new(Semaphore::named("pool", 1));
        let lock = Rc::new(Mutex::named("lock", ()));
        let (permit, guard) = (pool.acquire().await.unwrap(), lock.lock().await);
        let (theirs, also) = (Rc::clone(&pool), Rc::clone(&lock));
        let first = task::Builder::new().name("first");
        let _first = first.spawn(async move { drop(theirs.acquire().await.unwrap()) });
        let second = task::Builder::new().name("second");
        let _second = second.spawn(async move { drop(also.lock().await) });
        settle().await;
        drop((permit, guard));
        let text = task::dump().to_string();
        let first = "next in line: task 1 \"first\", which has been woken";
        assert!(text.contains(first), "{text}");
        let second = "free; next for this lock: task 2 \"second\", which has been woken";
        assert!(text.contains(second), "{text}");
        assert!(!text.contains("not polled"), "{text}");
    });
}

#[test]
fn a_writer_that_is_not_polled_is_not_next_for_readers() {
    block_on(async {
        let lock = Rc::new(RwLock::named("config", ()));
        let guard = lock.write().await;
        let mut lazy = Box::pin(lock.write());
        assert!(futures::poll!(lazy.as_mut()).is_pending());
        let theirs = Rc::clone(&lock);
        let reader = task::Builder::new().name("reader");
        let reader = reader.spawn(async move { drop(theirs.read().await) });
        settle().await;
        drop(guard);
        yield_now().await;
        let text = task::dump().to_string();
        let next = "next for this lock: task 1 \"reader\", which has been woken";
        assert!(reader.is_finished() || text.contains(next), "{text}");
        reader.await.unwrap();
    });
}

#[test]
fn a_circle_through_a_lock_is_likely() {
    block_on(async {
        let lock = Rc::new(Mutex::named("twice", ()));
        let _task = spawn(async move {
            let _guard = lock.lock().await;
            drop(lock.lock().await);
        });
        settle().await;
        let dump = task::dump();
        let circles = dump.circles();
        assert!(circles[0].is_likely());
        let text = circles[0].to_string();
        assert!(text.contains("; likely, unless a guard"), "{text}");
    });
}

#[test]
fn a_line_for_waits_for_different_locks_is_an_example() {
    block_on(async {
        for _ in 0..5 {
            let lock = Rc::new(Mutex::new(()));
            let theirs = Rc::clone(&lock);
            drop(spawn(async move {
                let _guard = theirs.lock().await;
                sleep(Duration::from_secs(60)).await;
            }));
            drop(spawn(async move { drop(lock.lock().await) }));
        }
        settle().await;
        let text = task::dump().to_string();
        assert!(text.contains("e.g. lock made at "), "{text}");
    });
    block_on(async {
        let lock = Rc::new(Mutex::new(()));
        let _guard = lock.lock().await;
        for _ in 0..5 {
            let theirs = Rc::clone(&lock);
            drop(spawn(async move { drop(theirs.lock().await) }));
        }
        settle().await;
        let text = task::dump().to_string();
        assert!(text.contains("5 ×"), "{text}");
        assert!(!text.contains("e.g. "), "{text}");
    });
}

#[test]
fn a_semaphore_without_permits_says_that_none_has_been_added() {
    block_on(async {
        let signal = Rc::new(Semaphore::named("signal", 0));
        let pool = Rc::new(Semaphore::named("pool", 5));
        let _most = pool.acquire_many(4).await.unwrap();
        let (theirs, also) = (Rc::clone(&signal), Rc::clone(&pool));
        drop(spawn(async move { drop(theirs.acquire().await.unwrap()) }));
        drop(spawn(
            async move { drop(also.acquire_many(2).await.unwrap()) },
        ));
        settle().await;
        let text = task::dump().to_string();
        assert!(
            text.contains("(0 of 0 free): no permit has been added"),
            "{text}"
        );
        assert!(text.contains("taken by main "), "{text}");
        assert!(text.contains(" (4 by main)"), "{text}");
    });
}

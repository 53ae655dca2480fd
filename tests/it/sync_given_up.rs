//! Waits for primitives that a task has begun and dropped before they completed.

use crate::support::{block_on, settle};
use crate::ticks::Ticks;
use glassfrog::sync::{
    Barrier, CancellationToken, Mutex, Notify, OnceCell, RwLock, Semaphore, broadcast, mpsc, watch,
};
use glassfrog::task;
use glassfrog::{Runtime, spawn};
use std::future::pending;
use std::pin::Pin;
use std::rc::Rc;

/// Returns how often the task with this name has given up the wait of this kind, and the text of the dump.
fn shown(name: &str, kind: &str) -> (u32, String) {
    let dump = task::dump();
    let task = dump.find_by_name(name).unwrap();
    let wait = task.waits().iter().find(|wait| wait.kind() == kind);
    let wait = wait.unwrap_or_else(|| panic!("{name} {kind}: {dump}"));
    (wait.given_up(), dump.to_string())
}

/// Spawns a task that begins a wait at each tick, and drops it at the next.
fn spawn_retrying<S: 'static>(
    name: &str,
    ticks: &Ticks,
    mut state: S,
    wait: impl for<'a> Fn(&'a mut S) -> Pin<Box<dyn Future<Output = ()> + 'a>> + 'static,
) {
    let ticks = ticks.clone();
    let task = task::Builder::new().name(name).spawn(async move {
        loop {
            let _completed = ticks.or(wait(&mut state)).await;
        }
    });
    drop(task);
}

/// The kinds of the waits that are counted, with a task that begins and drops such a wait at each tick.
fn retrying() -> Vec<(&'static str, Ticks)> {
    let mut all = Vec::new();
    macro_rules! retry {
        ($kind:literal, $state:expr, |$it:ident| $wait:expr) => {{
            let ticks = Ticks::default();
            spawn_retrying($kind, &ticks, $state, |$it| {
                Box::pin(async move {
                    let _output = $wait.await;
                })
            });
            all.push(($kind, ticks));
        }};
    }
    let lock = Rc::new(Mutex::new(()));
    let rw = Rc::new(RwLock::new(()));
    let (theirs, also) = (Rc::clone(&lock), Rc::clone(&rw));
    drop(spawn(async move {
        let _guards = (theirs.lock().await, also.write().await);
        pending::<()>().await;
    }));
    retry!("lock", lock, |lock| lock.lock());
    retry!("read", rw, |rw| rw.read());
    retry!("permit", Semaphore::new(0), |pool| pool.acquire());
    retry!("notified", Notify::new(), |notify| notify.notified());
    retry!("barrier", Barrier::new(2), |barrier| barrier.wait());
    retry!("recv", mpsc::channel::<()>(1), |ends| ends.1.recv());
    retry!("broadcast", broadcast::channel::<()>(1), |ends| ends
        .1
        .recv());
    retry!("changed", watch::channel(()), |ends| ends.1.changed());
    all
}

/// Returns the kind of the wait in a dump.
fn kind_of(name: &str) -> String {
    let dump = task::dump();
    let task = dump.find_by_name(name).unwrap();
    let mut waits = task.waits().iter().map(|wait| wait.kind());
    let kind = waits.find(|kind| *kind != "outside");
    String::from(kind.unwrap_or_else(|| panic!("{name}: {dump}")))
}

#[test]
fn waits_for_primitives_that_are_dropped_are_counted() {
    for is_traced in [false, true] {
        let runtime = Runtime::builder().trace_waits(is_traced).build().unwrap();
        runtime.block_on(async {
            let all = retrying();
            settle().await;
            for (_, ticks) in &all {
                for _ in 0..11 {
                    ticks.give().await;
                }
            }
            for (name, _) in &all {
                let (count, text) = shown(name, &kind_of(name));
                assert_eq!(count, 11, "{name}: {text}");
            }
            let text = format!("{:#}", task::dump());
            let says = "begun and dropped 11 times by this task without completing";
            assert_eq!(text.matches(says).count(), all.len(), "{text}");
        });
    }
}

#[test]
fn waits_that_complete_are_counted_after_the_first_that_was_dropped() {
    block_on(async {
        let (sender, receiver) = mpsc::channel::<()>(1);
        let ticks = Ticks::default();
        spawn_retrying("receives", &ticks, receiver, |receiver| {
            Box::pin(async move { assert!(receiver.recv().await.is_some()) })
        });
        settle().await;
        for _ in 0..8 {
            ticks.give().await;
            for _ in 0..3 {
                sender.send(()).await.unwrap();
                settle().await;
            }
        }
        let (count, text) = shown("receives", "recv");
        assert_eq!(count, 8, "{text}");
        let says = "begun and dropped 8 times by this task, while 24 completed";
        assert!(text.contains(says), "{text}");
        for _ in 0..60 {
            sender.send(()).await.unwrap();
            settle().await;
        }
        let (count, text) = shown("receives", "recv");
        assert_eq!(count, 8, "{text}");
        assert!(!text.contains("begun and dropped"), "{text}");
    });
}

#[test]
fn a_cancellation_beside_each_wait_is_not_counted() {
    block_on(async {
        let ticks = Ticks::default();
        let token = CancellationToken::new();
        spawn_retrying("works", &ticks, token, |token| {
            Box::pin(async move { token.cancelled().await })
        });
        settle().await;
        for _ in 0..20 {
            ticks.give().await;
        }
        let (count, text) = shown("works", "cancelled");
        assert_eq!(count, 0, "{text}");
    });
}

#[test]
fn the_places_and_the_tasks_of_waits_are_counted_apart() {
    block_on(async {
        let lock = Rc::new(Mutex::new(()));
        let _guard = lock.lock().await;
        let (first, second) = (Ticks::default(), Ticks::default());
        for (name, ticks) in [("first", &first), ("second", &second)] {
            spawn_retrying(name, ticks, Rc::clone(&lock), |lock| {
                Box::pin(async move { drop(lock.lock().await) })
            });
        }
        settle().await;
        for _ in 0..9 {
            first.give().await;
        }
        assert_eq!(shown("first", "lock").0, 9);
        assert_eq!(shown("second", "lock").0, 0);
    });
}

#[test]
fn a_future_that_its_task_drops_with_itself_is_not_counted() {
    block_on(async {
        let lock = Rc::new(Mutex::new(()));
        let _guard = lock.lock().await;
        for _ in 0..20 {
            let theirs = Rc::clone(&lock);
            let task = spawn(async move { drop(theirs.lock().await) });
            settle().await;
            task.abort();
            settle().await;
        }
        let theirs = Rc::clone(&lock);
        let last = task::Builder::new().name("last");
        let _last = last.spawn(async move { drop(theirs.lock().await) });
        settle().await;
        assert_eq!(shown("last", "lock").0, 0);
    });
}

#[test]
fn a_cell_is_counted_like_a_lock() {
    block_on(async {
        let cell = Rc::new(OnceCell::<()>::new());
        let maker = Rc::clone(&cell);
        drop(spawn(async move {
            maker.get_or_init(async || pending().await).await;
        }));
        settle().await;
        let ticks = Ticks::default();
        spawn_retrying("gets", &ticks, cell, |cell| {
            Box::pin(async move {
                cell.get_or_init(async || ()).await;
            })
        });
        settle().await;
        for _ in 0..9 {
            ticks.give().await;
        }
        let (count, text) = shown("gets", &kind_of("gets"));
        assert_eq!(count, 9, "{text}");
    });
}

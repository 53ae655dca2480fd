//! The effect of a task's panic on its runtime, by policy: none, or it ends the runtime.

use crate::support::{block_on, connected, park_on, settle, watchdog};
use crate::task_probes::{
    Drops, Meddler, OnDrop, Place, Wakes, Way, inside, logged, panic_text, poll_with, record_log,
};
use futures::channel::oneshot;
use glassfrog::task::{JoinHandle, JoinSet, spawn_blocking};
use glassfrog::time::sleep;
use glassfrog::{Handle, OnTaskPanic, Runtime, spawn};
use std::any::Any;
use std::future::{pending, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind, panic_any};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::task::Poll;
use std::thread;
use std::time::Duration;

/// A duration that exceeds every test.
const FAR: Duration = Duration::from_secs(3600);

/// Builds a runtime with this policy and one thread for blocking jobs.
fn runtime(policy: OnTaskPanic) -> Runtime {
    let builder = Runtime::builder().blocking_threads(1);
    builder.on_task_panic(policy).build().unwrap()
}

/// Returns the payload with which `block_on` panics.
fn end_of<F: Future>(runtime: &Runtime, root: F) -> Box<dyn Any + Send> {
    match catch_unwind(AssertUnwindSafe(|| runtime.block_on(root))) {
        Ok(_) => panic!("the root future has ended"),
        Err(payload) => payload,
    }
}

/// A payload that is not text.
#[derive(Debug, PartialEq)]
struct Payload(u32);

/// Spawns a task that panics with `Payload(7)`. Returns its handle unless a set owns it.
type SpawnToPanic = fn() -> Option<JoinHandle<()>>;

/// The ways in which tasks panic.
const PANICS: [(&str, SpawnToPanic); 9] = [
    ("at once", || Some(spawn(async { panic_any(Payload(7)) }))),
    ("later", || {
        Some(spawn(async {
            settle().await;
            panic_any(Payload(7))
        }))
    }),
    ("spawned remotely", || {
        Some(Handle::current().spawn(async { panic_any(Payload(7)) }))
    }),
    ("while it is built", || {
        fn build() -> std::future::Ready<()> {
            panic_any(Payload(7))
        }
        Some(Handle::current().spawn_with(build))
    }),
    ("in a drop at its end", || {
        let bomb = OnDrop(|| panic_any(Payload(7)));
        Some(spawn(poll_fn(move |_| {
            let _bomb = &bomb;
            Poll::Ready(())
        })))
    }),
    ("in a drop when it is aborted", || {
        let bomb = OnDrop(|| panic_any(Payload(7)));
        let task = spawn(async move {
            let _bomb = bomb;
            pending().await
        });
        task.abort();
        Some(task)
    }),
    ("in a drop after its panic", || {
        let bomb = OnDrop(|| panic!("the second panic"));
        Some(spawn(poll_fn(move |_| {
            let _bomb = &bomb;
            panic_any(Payload(7))
        })))
    }),
    ("in a set", || {
        let mut set = JoinSet::new();
        set.spawn(async { panic_any(Payload(7)) });
        drop(spawn(async move {
            set.join_next().await;
            pending::<()>().await;
        }));
        None
    }),
    ("under a name", || {
        let named = glassfrog::task::Builder::new().name("name");
        Some(named.spawn(async { panic_any(Payload(7)) }))
    }),
];

#[test]
fn a_panic_of_any_task_propagates_unchanged_from_block_on() {
    let _watchdog = watchdog();
    for (how, task) in PANICS {
        for detached in [false, true] {
            let runtime = runtime(OnTaskPanic::EndRuntime);
            let payload = end_of(&runtime, async {
                let handle = task().filter(|_| !detached);
                pending::<()>().await;
                drop(handle);
            });
            assert_eq!(payload.downcast_ref(), Some(&Payload(7)), "{how}");
        }
    }
    for text in ["literal", "of two\nlines"] {
        let runtime = runtime(OnTaskPanic::EndRuntime);
        let text_of_panic = panic_text(|| {
            runtime.block_on(async {
                drop(spawn(async move { panic!("{text}") }));
                pending::<()>().await;
            })
        });
        assert_eq!(text_of_panic, text);
    }
}

#[test]
fn task_panics_end_nothing_by_default() {
    let _watchdog = watchdog();
    assert_eq!(OnTaskPanic::default(), OnTaskPanic::Log);
    for (how, task) in PANICS {
        for runtime in [Runtime::new().unwrap(), runtime(OnTaskPanic::Log)] {
            runtime.block_on(async {
                let other = spawn(async {
                    settle().await;
                    "well"
                });
                if let Some(task) = task() {
                    let payload = task.await.unwrap_err().into_panic();
                    assert_eq!(payload.downcast_ref(), Some(&Payload(7)), "{how}");
                }
                settle().await;
                assert_eq!(other.await.unwrap(), "well", "{how}");
            });
            assert_eq!(runtime.block_on(async { "again" }), "again");
        }
    }
}

#[test]
fn all_tasks_are_cancelled_in_context_before_the_panic_propagates() {
    let _watchdog = watchdog();
    let drops = Drops::default();
    let (wakes, waker) = Wakes::new();
    let runtime = runtime(OnTaskPanic::EndRuntime);
    let keep = |drops: &Drops| {
        let probe = drops.probe();
        async move {
            let _probe = probe;
            pending::<()>().await;
        }
    };
    let (mut handles, mut survivors, mut jobs) = (Vec::new(), None, None);
    let (end, ends) = mpsc::channel::<()>();
    let payload = end_of(&runtime, async {
        // The root future.
        let _probe = drops.probe();
        // Waiting and unpolled tasks.
        handles.extend(Way::ALL.map(|way| way.spawn(keep(&drops))));
        let mut set = JoinSet::new();
        set.spawn(keep(&drops));
        // A task with a socket.
        let (stream, peer) = connected().await;
        let probe = drops.probe();
        handles.push(spawn(async move {
            let (_probe, _peer) = (probe, peer);
            stream.read(&mut [0]).await.unwrap();
        }));
        settle().await;
        // A running job, and one in the queue.
        let (begun, has_begun) = oneshot::channel();
        let running = spawn_blocking(move || {
            begun.send(()).unwrap();
            ends.recv()
        });
        has_begun.await.unwrap();
        let probe = drops.probe();
        jobs = Some((running, spawn_blocking(move || drop(probe))));
        // A socket and a sleep that outlive the runtime.
        let mut nap = sleep(FAR);
        assert!(poll_with(&mut nap, &waker).is_pending());
        survivors = Some((connected().await, nap));
        drop(spawn(async { panic_any(Payload(1)) }));
        handles.extend(Way::ALL.map(|way| way.spawn(keep(&drops))));
        pending::<()>().await;
    });
    assert_eq!(payload.downcast_ref(), Some(&Payload(1)));
    assert_eq!(drops.places(), vec![Place::here_inside(); 10]);
    assert_eq!(wakes.count(), 1);
    let ((stream, _peer), nap) = survivors.unwrap();
    park_on(stream.read(&mut [0])).unwrap_err();
    assert!(panic_text(|| park_on(nap)).contains("ended"));
    for handle in handles {
        assert!(park_on(handle).unwrap_err().is_cancelled());
    }
    // A running job cannot be stopped, and its output is not lost.
    let (running, waiting) = jobs.unwrap();
    assert!(park_on(waiting).unwrap_err().is_cancelled());
    drop(end);
    runtime.shutdown_timeout(FAR);
    park_on(running).unwrap().unwrap_err();
}

#[test]
fn the_handle_of_a_panicked_task_gets_the_panic_message() {
    /// How the task panics.
    type Panics = fn();
    let table: [(Panics, &str); 3] = [
        (|| panic!("literal"), "literal"),
        (|| panic!("{} and {}", 1, 2), "1 and 2"),
        (|| panic_any(Payload(7)), "(a payload that is not text)"),
    ];
    let _watchdog = watchdog();
    for way in Way::REMOTE {
        for (panics, text) in table {
            let runtime = runtime(OnTaskPanic::EndRuntime);
            let mut thread = None;
            drop(end_of(&runtime, async {
                let task = way.spawn(async move { panics() });
                thread = Some(thread::spawn(move || park_on(task)));
                pending::<()>().await;
            }));
            let error = thread.unwrap().join().unwrap().unwrap_err();
            assert!(error.is_panic());
            assert_eq!(error.to_string(), format!("task 1 panicked: {text}"));
            let payload = error.into_panic();
            assert_eq!(payload.downcast_ref(), Some(&String::from(text)), "{way:?}");
        }
    }
}

#[test]
fn a_runtime_ended_by_a_panic_rejects_further_use_with_the_reason() {
    let drops = Drops::default();
    let runtime = runtime(OnTaskPanic::EndRuntime);
    drop(end_of(&runtime, async {
        drop(spawn(async { panic_any(Payload(1)) }));
        pending::<()>().await;
    }));
    for _ in 0..2 {
        let (probe, polled) = (drops.probe(), AtomicBool::new(false));
        let text = panic_text(|| {
            runtime.block_on(async {
                let _probe = probe;
                polled.store(true, Ordering::SeqCst);
            });
        });
        assert!(
            text.contains("ended") && text.contains("`OnTaskPanic::EndRuntime`"),
            "{text}"
        );
        assert!(!polled.into_inner());
        // The thread is free for another runtime.
        assert_eq!(block_on(async { "well" }), "well");
    }
    assert_eq!(drops.count(), 2);
    let handle = runtime.handle();
    let (task, job) = (handle.spawn(async {}), handle.spawn_blocking(|| ()));
    for refused in [task, job] {
        assert!(park_on(refused).unwrap_err().is_cancelled());
    }
    assert!(format!("{runtime:?}").contains("Runtime"));
    drop(runtime);
}

#[test]
fn a_panic_between_two_calls_propagates_from_the_next_call() {
    let runtime = runtime(OnTaskPanic::EndRuntime);
    let task = inside(&runtime, || spawn(async { panic_any(Payload(3)) }));
    let payload = end_of(&runtime, pending::<()>());
    assert_eq!(payload.downcast_ref(), Some(&Payload(3)));
    drop::<JoinHandle<()>>(task);
}

#[test]
fn the_first_of_many_panics_propagates_and_every_task_is_dropped() {
    record_log();
    let _watchdog = watchdog();
    let drops = Drops::default();
    let runtime = runtime(OnTaskPanic::EndRuntime);
    let payload = end_of(&runtime, async {
        for number in 0..10 {
            let probe = drops.probe();
            if number % 2 == 1 {
                drop(spawn(async move {
                    let _probe = probe;
                    panic_any(Payload(number))
                }));
                continue;
            }
            let bomb = OnDrop(|| panic!("dropped with the runtime that a panic ended"));
            drop(spawn(async move {
                let (_probe, _bomb) = (probe, bomb);
                pending::<()>().await;
            }));
        }
        pending::<()>().await;
    });
    assert_eq!(payload.downcast_ref(), Some(&Payload(1)));
    assert_eq!(drops.count(), 10);
    assert_eq!(
        logged("dropped with the runtime that a panic ended").len(),
        5
    );
}

#[test]
fn a_panic_outside_tasks_does_not_end_the_runtime() {
    let _watchdog = watchdog();
    let runtime = runtime(OnTaskPanic::EndRuntime);
    // The root future panics, as always.
    let payload = end_of(&runtime, async { panic_any(Payload(9)) as () });
    assert_eq!(payload.downcast_ref(), Some(&Payload(9)));
    runtime.block_on(async {
        let task = spawn(async {
            settle().await;
            "well"
        });
        // Jobs panic.
        drop(spawn_blocking(|| panic!("a detached job")));
        let job = spawn_blocking(|| panic_any(Payload(8)));
        let payload = job.await.map(|()| "no output").unwrap_err().into_panic();
        assert_eq!(payload.downcast_ref(), Some(&Payload(8)));
        // An untaken output panics in its drop.
        drop(spawn(async { OnDrop(|| panic!("an output")) }));
        // A waker that belongs to no task panics.
        let waker = Meddler::waker(|| panic!("a waker"), || {});
        let mut nap = sleep(Duration::ZERO);
        assert!(poll_with(&mut nap, &waker).is_pending());
        // The task catches the panic itself.
        let catches = spawn(async { catch_unwind(|| panic!("caught")).is_err() });
        assert!(catches.await.unwrap());
        sleep(Duration::from_millis(1)).await;
        // An abort is no panic.
        let aborted = spawn(pending::<()>());
        aborted.abort();
        assert!(aborted.await.unwrap_err().is_cancelled());
        assert_eq!(task.await.unwrap(), "well");
    });
    assert_eq!(runtime.block_on(async { "again" }), "again");
}

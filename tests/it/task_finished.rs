//! `is_finished`, called anywhere: inside the runtime of the task, on its thread between two calls of `block_on`, and
//! on other threads.

use crate::support::{block_on, settle, watchdog};
use crate::task_probes::{OnDrop, Way, inside, until};
use futures::channel::oneshot;
use glassfrog::task::{AbortHandle, JoinHandle, spawn_blocking, yield_now};
use glassfrog::{Builder, Runtime, spawn};
use std::future::pending;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;

/// Returns what both handles of a task report, on this thread and on another one. They must agree.
fn is_finished<T>(task: &JoinHandle<T>) -> bool {
    let abort = task.abort_handle();
    let here = [task.is_finished(), abort.is_finished()];
    let there = on_another_thread(|| [task.is_finished(), abort.is_finished()]);
    let answers = [here, there].concat();
    assert!(answers.iter().all(|answer| *answer == answers[0]));
    answers[0]
}

/// Returns the result of a call on a thread without a runtime.
fn on_another_thread<R: Send>(call: impl FnOnce() -> R + Send) -> R {
    thread::scope(|scope| scope.spawn(call).join().unwrap())
}

#[test]
fn any_thread_sees_the_end_of_a_task_between_two_calls_of_block_on() {
    for way in Way::ALL {
        let _watchdog = watchdog();
        let runtime = Runtime::new().unwrap();
        let (go, gone) = oneshot::channel();
        let [waits, panics, aborted, forgotten] = inside(&runtime, || {
            [
                way.spawn(async { gone.await.unwrap() }),
                way.spawn(async { panic!("a panic on purpose") }),
                way.spawn(pending()),
                way.spawn(pending()),
            ]
        });
        let forgotten_abort = forgotten.abort_handle();
        drop(forgotten);
        assert!(!is_finished(&waits) && !is_finished(&panics), "{way:?}");
        runtime.block_on(settle());
        assert!(!is_finished(&waits) && is_finished(&panics), "{way:?}");

        // An abort takes effect when the loop runs.
        aborted.abort();
        forgotten_abort.abort();
        assert!(!is_finished(&aborted) && !forgotten_abort.is_finished());
        runtime.block_on(settle());
        assert!(is_finished(&aborted) && forgotten_abort.is_finished());
        assert!(on_another_thread(|| forgotten_abort.is_finished()));

        assert!(!is_finished(&waits));
        go.send(()).unwrap();
        runtime.block_on(settle());
        assert!(is_finished(&waits), "{way:?}");

        // The outcome is still there.
        runtime.block_on(async {
            assert!(waits.await.is_ok());
            assert!(panics.await.unwrap_err().is_panic());
            assert!(aborted.await.unwrap_err().is_cancelled());
        });
    }
}

#[test]
fn another_thread_that_sees_the_end_of_a_task_sees_its_effects() {
    for way in Way::ALL {
        block_on(async {
            let done = Arc::new(AtomicBool::new(false));
            let theirs = Arc::clone(&done);
            let (go, gone) = oneshot::channel();
            let task = way.spawn(async move {
                gone.await.unwrap();
                // Relaxed: the result of `is_finished` orders this store before the load.
                theirs.store(true, Ordering::Relaxed);
            });
            let watching = spawn_blocking(move || {
                let abort = task.abort_handle();
                assert!(!task.is_finished() && !abort.is_finished());
                go.send(()).unwrap();
                while !task.is_finished() {
                    thread::yield_now();
                }
                assert!(done.load(Ordering::Relaxed));
                assert!(abort.is_finished());
                task
            });
            watching.await.unwrap().await.unwrap();
        });
    }
}

#[test]
fn an_abort_handle_ignores_the_next_task_in_the_same_slot() {
    for way in Way::ALL {
        let _watchdog = watchdog();
        let runtime = Runtime::new().unwrap();
        let mut ended: Vec<AbortHandle> = Vec::new();
        for _ in 0..100 {
            ended.push(runtime.block_on(async {
                let task = way.spawn(async {});
                let abort = task.abort_handle();
                task.await.unwrap();
                abort
            }));
            // Takes the freed slot.
            let next = inside(&runtime, || way.spawn(pending::<()>()));
            runtime.block_on(yield_now());
            assert!(ended.iter().all(AbortHandle::is_finished), "{way:?}");
            assert!(!is_finished(&next), "{way:?}");
            next.abort();
            runtime.block_on(settle());
            assert!(is_finished(&next), "{way:?}");
        }
    }
}

#[test]
fn tasks_that_finished_in_a_burst_stay_finished_and_later_ones_do_not_count() {
    const BURST: usize = 10_000;
    let _watchdog = watchdog();
    let runtime = Runtime::new().unwrap();
    for _ in 0..3 {
        let early: Vec<_> = inside(&runtime, || (0..BURST).map(|_| spawn(async {})).collect());
        assert!(!early.iter().any(JoinHandle::is_finished));
        let aborts: Vec<_> = early.iter().map(JoinHandle::abort_handle).collect();
        runtime.block_on(async {
            for task in early {
                task.await.unwrap();
            }
            // The memory of the burst is freed meanwhile.
            settle().await;
        });
        assert!(aborts.iter().all(AbortHandle::is_finished));
        let late: Vec<_> = inside(&runtime, || {
            (0..BURST).map(|_| spawn(pending::<()>())).collect()
        });
        runtime.block_on(settle());
        assert!(aborts.iter().all(AbortHandle::is_finished));
        assert!(!late.iter().any(JoinHandle::is_finished));
        late.iter().for_each(JoinHandle::abort);
        runtime.block_on(settle());
        assert!(late.iter().all(JoinHandle::is_finished));
    }
}

#[test]
fn tasks_of_a_dropped_runtime_are_finished_once_their_futures_are_dropped() {
    for way in Way::ALL {
        let _watchdog = watchdog();
        let runtime = Runtime::new().unwrap();
        let (ask, asked) = mpsc::channel::<AbortHandle>();
        let (answer, answered) = mpsc::channel();
        let task = inside(&runtime, || {
            let drops = OnDrop(move || {
                let own = asked.recv().unwrap();
                let there = on_another_thread(|| own.is_finished());
                answer.send(there).unwrap();
            });
            way.spawn(async move {
                let _drops = drops;
                pending::<()>().await;
            })
        });
        runtime.block_on(yield_now());
        ask.send(task.abort_handle()).unwrap();
        assert!(!is_finished(&task));
        drop(runtime);
        assert!(!answered.recv().unwrap(), "its future was being dropped");
        assert!(is_finished(&task), "{way:?}");
    }
}

#[test]
fn an_abort_handle_reports_whether_a_blocking_job_is_finished() {
    let _watchdog = watchdog();
    let runtime = Builder::new().blocking_threads(1).build().unwrap();
    let (begin, begun) = mpsc::channel();
    let (go, gone) = mpsc::channel::<()>();
    let [busy, queued] = inside(&runtime, || {
        let busy = spawn_blocking(move || {
            begin.send(()).unwrap();
            gone.recv().unwrap();
        });
        [busy, spawn_blocking(|| unreachable!("it is aborted"))]
    });
    begun.recv().unwrap();
    assert!(!is_finished(&busy) && !is_finished(&queued));
    queued.abort();
    assert!(is_finished(&queued), "it is cancelled at once");
    busy.abort();
    assert!(!is_finished(&busy), "a running job cannot be stopped");
    // Also without its join handle.
    let abort = busy.abort_handle();
    drop(busy);
    assert!(!abort.is_finished());
    go.send(()).unwrap();
    while !abort.is_finished() {
        thread::yield_now();
    }
}

#[test]
fn an_abort_handle_reports_a_joined_task_as_finished() {
    for way in Way::ALL {
        block_on(async {
            let mut task = way.spawn(async {});
            (&mut task).await.unwrap();
            assert!(is_finished(&task));
            let other = spawn(async {});
            until(|| other.is_finished()).await;
            assert!(is_finished(&other));
        });
    }
}

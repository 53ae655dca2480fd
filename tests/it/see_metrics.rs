//! Metrics: each number, compared with a program for which it is known.

use crate::support::{accepted, block_on, park_on, settle, watchdog};
use crate::task_probes::{poll_with, until};
use futures::channel::oneshot;
use futures::future::join_all;
use glassfrog::net::TcpListener;
use glassfrog::task::{JoinSet, scope, spawn_blocking, yield_now};
use glassfrog::time::{Sleep, sleep};
use glassfrog::{Builder, Handle, Metrics, Runtime, spawn};
use std::future::{pending, poll_fn};
use std::io::Write;
use std::sync::mpsc;
use std::task::{Poll, Waker};
use std::thread;
use std::time::{Duration, Instant};

/// A duration that exceeds every test.
const FAR: Duration = Duration::from_secs(3600);

/// Returns the metrics of the runtime of this thread.
fn metrics() -> Metrics {
    Handle::current().metrics()
}

/// Returns the counts of its tasks: spawned, finished, alive.
fn tasks() -> (u64, u64, u64) {
    counted_tasks(metrics())
}

/// Returns the same counts of given metrics.
fn counted_tasks(metrics: Metrics) -> (u64, u64, u64) {
    (
        metrics.tasks_spawned,
        metrics.tasks_finished,
        metrics.tasks_alive,
    )
}

#[test]
fn tasks_are_counted_from_spawn_to_any_kind_of_end() {
    block_on(async {
        assert_eq!(tasks(), (0, 0, 0));
        let ready = spawn(async {});
        assert_eq!(tasks(), (1, 0, 1));
        ready.await.unwrap();
        assert_eq!(tasks(), (1, 1, 0));
        let panics = spawn(async { panic!("counted") });
        assert!(panics.await.is_err());
        let aborted = spawn(pending::<()>());
        aborted.abort();
        assert_eq!(tasks(), (3, 2, 1));
        assert!(aborted.await.is_err());
        drop(Handle::current().spawn(async {}));
        drop(spawn(async {}));
        settle().await;
        assert_eq!(tasks(), (5, 5, 0));
        // An outcome that nobody takes.
        let _untaken = spawn(async {});
        let mut set = JoinSet::new();
        for _ in 0..3 {
            set.spawn(pending::<()>());
        }
        settle().await;
        assert_eq!(tasks(), (9, 6, 3));
        drop(set);
        settle().await;
        assert_eq!(tasks(), (9, 9, 0));
        scope(async |scope| scope.spawn(yield_now()).await).await;
        spawn_blocking(|| ()).await.unwrap();
        assert_eq!(tasks(), (9, 9, 0));
    });
}

#[test]
fn every_poll_is_counted() {
    block_on(async {
        assert_eq!(metrics().polls, 1);
        for _ in 0..10 {
            yield_now().await;
        }
        assert_eq!(metrics().polls, 11);
        let task = spawn(async {
            for _ in 0..4 {
                yield_now().await;
            }
        });
        task.await.unwrap();
        // Five of the task, and one after its end.
        assert_eq!(metrics().polls, 17);
    });
}

#[test]
fn wakes_are_counted_by_the_thread_that_calls_them() {
    block_on(async {
        let wakes = || (metrics().wakes_local, metrics().wakes_remote);
        assert_eq!(wakes(), (0, 0));
        for _ in 0..10 {
            yield_now().await;
        }
        assert_eq!(wakes(), (10, 0));
        spawn(async {}).await.unwrap();
        assert_eq!(wakes(), (11, 0));
        // A wake of a ready task does not make it ready again.
        let mut polled = false;
        poll_fn(|cx| {
            if polled {
                return Poll::Ready(());
            }
            polled = true;
            cx.waker().wake_by_ref();
            cx.waker().wake_by_ref();
            let waker = cx.waker().clone();
            thread::spawn(move || waker.wake()).join().unwrap();
            Poll::Pending
        })
        .await;
        assert_eq!(wakes(), (12, 0));
        for round in 1..=5 {
            let (mut send, mut received) = oneshot::channel::<()>();
            poll_fn(|cx| {
                if poll_with(&mut received, cx.waker()).is_ready() {
                    return Poll::Ready(());
                }
                let (next, _) = oneshot::channel();
                let send = std::mem::replace(&mut send, next);
                thread::spawn(move || send.send(()))
                    .join()
                    .unwrap()
                    .unwrap();
                Poll::Pending
            })
            .await;
            assert_eq!(wakes(), (12, round));
        }
    });
}

#[test]
fn parks_are_counted_with_their_duration() {
    let _watchdog = watchdog();
    let begin = Instant::now();
    let runtime = Runtime::new().unwrap();
    runtime.block_on(async {
        let before = metrics();
        assert_eq!((before.parks, before.time_parked), (0, Duration::ZERO));
        settle().await;
        assert_eq!(
            (metrics().parks, metrics().time_parked),
            (0, Duration::ZERO)
        );
        assert!(metrics().turns > before.turns);
        let mut sleeps = 0;
        while metrics().parks < 5 {
            sleep(Duration::from_millis(2)).await;
            sleeps += 1;
            assert!(metrics().parks <= sleeps);
        }
        let after = metrics();
        assert!(after.time_parked >= Duration::from_millis(5), "{after:?}");
        assert!(after.turns > after.parks);
    });
    for _ in 0..10 {
        runtime.block_on(sleep_a_little());
        let Metrics {
            time_busy,
            time_parked,
            ..
        } = runtime.handle().metrics();
        assert!(time_busy + time_parked <= begin.elapsed());
    }
}

/// Blocks whichever runtime polls it.
async fn sleep_a_little() {
    sleep(Duration::from_millis(1)).await;
}

#[test]
fn long_polls_count_as_busy_time() {
    const LONG: Duration = Duration::from_millis(20);
    let _watchdog = watchdog();
    let runtime = Runtime::new().unwrap();
    runtime.block_on(async {
        // The time that counts as busy.
        spawn(async { thread::sleep(LONG) }).await.unwrap();
        settle().await;
        assert!(metrics().time_busy >= LONG);
    });
    let before = runtime.handle().metrics().time_busy;
    // The time between two calls counts for neither.
    thread::sleep(LONG);
    let begin = Instant::now();
    runtime.block_on(settle());
    let between = runtime.handle().metrics().time_busy - before;
    assert!(
        between <= begin.elapsed(),
        "outside of `block_on` the loop is not busy: {between:?}"
    );
    // The turn in which the future completes counts too.
    for _ in 0..5 {
        // The time that counts as busy.
        runtime.block_on(async { thread::sleep(LONG) });
    }
    runtime.block_on(settle());
    let busy = runtime.handle().metrics().time_busy - before;
    assert!(busy >= 5 * LONG, "{busy:?}");
}

#[test]
fn another_thread_sees_every_count_of_a_parked_loop() {
    let _watchdog = watchdog();
    let (end, ended) = oneshot::channel::<()>();
    let (handle, handed) = mpsc::channel();
    let runtime = thread::spawn(move || {
        glassfrog::block_on(async {
            handle.send(Handle::current()).unwrap();
            ended.await.unwrap();
        });
    });
    let handle: Handle = handed.recv().unwrap();
    let tasks: Vec<_> = (0..10)
        .map(|number| handle.spawn(async move { number }))
        .collect();
    park_on(join_all(tasks));
    // From here on nothing wakes the loop, so the numbers are right only if it publishes them before it parks.
    while counted_tasks(handle.metrics()) != (10, 10, 0) {
        thread::yield_now();
    }
    end.send(()).unwrap();
    runtime.join().unwrap();
}

#[test]
fn a_virtual_clock_adds_no_parked_time() {
    let _watchdog = watchdog();
    let runtime = Builder::new().virtual_clock().build().unwrap();
    runtime.block_on(async {
        for _ in 0..100 {
            sleep(FAR).await;
        }
        let metrics = metrics();
        assert_eq!((metrics.parks, metrics.time_parked), (0, Duration::ZERO));
        assert_eq!((metrics.timers_set, metrics.timers_fired), (100, 100));
        assert_eq!(metrics.time_busy, Duration::ZERO);
    });
}

#[test]
fn events_and_sockets_are_counted() {
    block_on(async {
        let io = || (metrics().io_events, metrics().sockets);
        assert_eq!(io(), (0, 0));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        settle().await;
        let before = io().0;
        assert_eq!(io().1, 1);
        let (stream, mut peer) = accepted().await;
        assert_eq!(io().1, 2);
        settle().await;
        let quiet = io().0;
        assert!(quiet > before);
        settle().await;
        assert_eq!(io().0, quiet);
        peer.write_all(b"x").unwrap();
        settle().await;
        assert_eq!(io().0, quiet + 1);
        drop((stream, listener));
        assert_eq!(io().1, 0);
    });
}

#[test]
fn deadlines_are_counted_from_first_poll_to_end() {
    block_on(async {
        let timers = || {
            let metrics = metrics();
            let ended = (metrics.timers_fired, metrics.timers_cancelled);
            (metrics.timers_set, ended)
        };
        let unpolled = sleep(FAR);
        assert_eq!(timers(), (0, (0, 0)));
        drop(unpolled);
        sleep(Duration::from_millis(1)).await;
        assert_eq!(timers(), (1, (1, 0)));
        let polled = |mut sleep: Sleep| {
            assert!(poll_with(&mut sleep, Waker::noop()).is_pending());
            sleep
        };
        let (one, mut two) = (polled(sleep(FAR)), polled(sleep(FAR)));
        assert_eq!(timers(), (3, (1, 0)));
        assert!(poll_with(&mut two, Waker::noop()).is_pending());
        assert_eq!(timers(), (3, (1, 0)));
        drop(one);
        assert_eq!(timers(), (3, (1, 1)));
        drop(two);
        assert_eq!(timers(), (3, (1, 2)));
    });
}

#[test]
fn queued_jobs_and_live_threads_are_counted() {
    let _watchdog = watchdog();
    let runtime = Builder::new().blocking_threads(2).build().unwrap();
    runtime.block_on(async {
        let pool = || (metrics().blocking_threads, metrics().blocking_queue);
        assert_eq!(pool(), (0, 0));
        let (begun, begins) = mpsc::channel();
        let (go, gone) = mpsc::channel::<()>();
        let first = spawn_blocking(move || {
            begun.send(()).unwrap();
            gone.recv().unwrap_err();
        });
        begins.recv().unwrap();
        assert_eq!(pool(), (1, 0));
        let (begun, begins) = mpsc::channel();
        let (go_too, gone) = mpsc::channel::<()>();
        let second = spawn_blocking(move || {
            begun.send(()).unwrap();
            gone.recv().unwrap_err();
        });
        begins.recv().unwrap();
        assert_eq!(pool(), (2, 0));
        let others: Vec<_> = (0..3).map(|_| spawn_blocking(|| ())).collect();
        assert_eq!(pool(), (2, 3));
        others[0].abort();
        drop((go, go_too));
        first.await.unwrap();
        second.await.unwrap();
        assert!(join_all(others).await.iter().skip(1).all(Result::is_ok));
        until(|| pool() == (2, 0)).await;
    });
}

#[test]
fn another_thread_sees_consistent_counters_that_only_grow() {
    const TASKS: u64 = 20_000;
    let _watchdog = watchdog();
    let runtime = Runtime::new().unwrap();
    let handle = runtime.handle();
    let (done, is_done) = oneshot::channel();
    let reader = thread::spawn(move || {
        let mut last = Metrics::default();
        loop {
            let now = handle.metrics();
            assert_eq!(now.tasks_alive, now.tasks_spawned - now.tasks_finished);
            for (before, after) in numbers(&last).into_iter().zip(numbers(&now)) {
                assert!(before <= after, "{last:?} {now:?}");
            }
            if now.tasks_finished == TASKS {
                break;
            }
            last = now;
        }
        done.send(()).unwrap();
    });
    runtime.block_on(async {
        for _ in 0..TASKS / 100 {
            let tasks = (0..100).map(|_| spawn(sleep(Duration::from_nanos(1))));
            join_all(tasks.collect::<Vec<_>>()).await;
        }
        // All counts are visible at the latest when the loop parks.
        is_done.await.unwrap();
    });
    reader.join().unwrap();
}

/// Returns the numbers that never decrease.
fn numbers(metrics: &Metrics) -> [u64; 14] {
    let nanos = |time: Duration| u64::try_from(time.as_nanos()).unwrap();
    [
        metrics.tasks_spawned,
        metrics.tasks_finished,
        metrics.polls,
        metrics.slow_polls,
        metrics.wakes_local,
        metrics.wakes_remote,
        metrics.turns,
        metrics.parks,
        nanos(metrics.time_parked),
        nanos(metrics.time_busy),
        metrics.io_events,
        metrics.timers_set,
        metrics.timers_fired,
        metrics.timers_cancelled,
    ]
}

#[test]
fn metrics_are_complete_after_block_on() {
    let _watchdog = watchdog();
    let runtime = Runtime::new().unwrap();
    let handle = runtime.handle();
    runtime.block_on(async {
        drop(spawn(pending::<()>()));
    });
    assert_eq!(counted_tasks(handle.metrics()), (1, 0, 1));
    assert_eq!(handle.metrics().polls, 1);
    runtime.block_on(async {
        spawn(async {}).await.unwrap();
    });
    assert_eq!(counted_tasks(handle.metrics()), (2, 1, 1));
    // The pending future once, the other one once, the second future of `block_on` twice.
    assert_eq!(handle.metrics().polls, 5);
}

#[test]
fn metrics_are_complete_after_the_end_of_the_runtime() {
    let _watchdog = watchdog();
    let runtime = Runtime::new().unwrap();
    let handle = runtime.handle();
    let stream = runtime.block_on(async {
        drop(spawn(pending::<()>()));
        sleep(Duration::from_millis(1)).await;
        accepted().await
    });
    let before = handle.metrics();
    drop(runtime);
    let after = handle.metrics();
    assert_eq!(counted_tasks(after), (1, 1, 0));
    assert_eq!(after.sockets, 0);
    assert_eq!((after.timers_set, after.timers_fired), (1, 1));
    for (before, after) in numbers(&before).into_iter().zip(numbers(&after)) {
        assert!(before <= after, "{before:?} {after:?}");
    }
    drop(stream);
}

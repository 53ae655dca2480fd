//! The virtual clock: it stands still while any task can run, and then jumps to the next deadline.

use crate::support::{connected, park_on, settle, watchdog};
#[cfg(target_os = "linux")]
use crate::task_probes::Meddler;
use crate::task_probes::{inside, panic_text, poll_with};
use futures::channel::{mpsc, oneshot};
use futures::future::{Either, join, join_all, select};
use futures::{AsyncReadExt, AsyncWriteExt, StreamExt};
use glassfrog::net::{TcpListener, TcpStream};
use glassfrog::task::{spawn_blocking, yield_now};
use glassfrog::time::{
    MissedTickBehavior, Sleep, advance, interval_at, now, sleep, sleep_until, timeout,
};
use glassfrog::{Handle, OnDeadlock, Runtime, spawn};
use proptest::prelude::*;
use std::cell::{Cell, RefCell};
#[cfg(target_os = "linux")]
use std::fs;
use std::future::pending;
use std::io::Write;
#[cfg(target_os = "linux")]
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::{Arc, Mutex, mpsc as std_mpsc};
use std::task::Waker;
use std::thread;
use std::time::{Duration, Instant};

const HOUR: Duration = Duration::from_secs(3600);
const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);

/// How many years a virtual clock can be advanced from its start.
const YEARS: u32 = 200;

/// Builds a runtime with a virtual clock.
fn virtual_runtime() -> Runtime {
    Runtime::builder().virtual_clock().build().unwrap()
}

/// Runs a future on its own runtime with a virtual clock.
fn block_on<F: Future>(future: F) -> F::Output {
    let _watchdog = watchdog();
    virtual_runtime().block_on(future)
}

/// A step of a task that involves time.
#[derive(Clone, Debug)]
enum Step {
    /// Sleeps.
    Sleep(u64),
    /// Sleeps for the second duration, with a timeout of the first.
    Timeout(u64, u64),
    /// Starts to sleep for the first duration, works for the second, and then resets the sleep to the third.
    Reset(u64, u64, u64),
    /// Spawns a task that sleeps for the first duration, and aborts it after the second.
    Cancel(u64, u64),
    /// Awaits this many ticks.
    Ticks(u64, u64),
}

/// Generates durations in nanoseconds, many of them equal or nearly equal.
fn nanos() -> impl Strategy<Value = u64> {
    prop_oneof![
        0..5_u64,
        1_000..1_100_u64,
        (0..10_u64).prop_map(|secs| secs * 1_000_000_000),
        0..YEAR.as_nanos() as u64,
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        nanos().prop_map(Step::Sleep),
        (nanos(), nanos()).prop_map(|(limit, nap)| Step::Timeout(limit, nap)),
        (nanos(), nanos(), nanos()).prop_map(|(nap, other, then)| Step::Reset(nap, other, then)),
        // The order decides between two that are due at once.
        (nanos(), nanos()).prop_map(|(nap, end)| Step::Cancel(nap, end + u64::from(nap == end))),
        (nanos(), 1..4_u64).prop_map(|(period, count)| Step::Ticks(period + 1, count)),
    ]
}

/// An expected event: when (in nanoseconds from the start), in which task, at which step, and with which result.
type Seen = (u64, usize, usize, bool);

impl Step {
    /// Performs the step and returns its result.
    async fn take(&self) -> bool {
        let nanos = |nanos: &u64| Duration::from_nanos(*nanos);
        match self {
            Step::Sleep(nap) => sleep(nanos(nap)).await,
            Step::Timeout(limit, nap) => {
                return timeout(nanos(limit), sleep(nanos(nap))).await.is_ok();
            }
            Step::Reset(nap, other, then) => {
                let mut nap = sleep(nanos(nap));
                assert!(poll_with(&mut nap, Waker::noop()).is_pending());
                sleep(nanos(other)).await;
                nap.reset(now() + nanos(then));
                nap.await;
            }
            Step::Cancel(nap, end) => {
                let task = spawn(sleep(nanos(nap)));
                sleep(nanos(end)).await;
                task.abort();
                return task.await.is_ok();
            }
            Step::Ticks(period, count) => {
                let mut interval = interval_at(now() + nanos(period), nanos(period));
                for _ in 0..*count {
                    assert_eq!(interval.tick().await, now());
                }
            }
        }
        true
    }

    /// Returns the duration and the result of the step.
    fn expected(&self) -> (u64, bool) {
        match *self {
            Step::Sleep(nap) => (nap, true),
            Step::Timeout(limit, nap) => (nap.min(limit), nap <= limit),
            Step::Reset(_, other, then) => (other + then, true),
            Step::Cancel(nap, end) => (end, nap < end),
            Step::Ticks(period, count) => (period * count, true),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn virtual_time_behaves_like_a_sorted_list_of_deadlines(
        scripts in prop::collection::vec(prop::collection::vec(step(), 0..6), 0..80),
        seed in prop::option::of(any::<u64>()),
    ) {
        let _watchdog = watchdog();
        let builder = Runtime::builder().virtual_clock();
        let builder = match seed {
            Some(seed) => builder.seed(seed),
            None => builder,
        };
        let mut expected: Vec<Seen> = Vec::new();
        for (task, script) in scripts.iter().enumerate() {
            let mut at = 0;
            for (number, step) in script.iter().enumerate() {
                let (nanos, went) = step.expected();
                at += nanos;
                expected.push((at, task, number, went));
            }
        }
        expected.sort();
        let mut seen = builder.build().unwrap().block_on(async {
            let start = now();
            let seen = Rc::new(RefCell::new(Vec::new()));
            let tasks: Vec<_> = scripts
                .into_iter()
                .enumerate()
                .map(|(task, script)| {
                    let seen = Rc::clone(&seen);
                    spawn(async move {
                        for (number, step) in script.iter().enumerate() {
                            let went = step.take().await;
                            let at = (now() - start).as_nanos() as u64;
                            seen.borrow_mut().push((at, task, number, went));
                        }
                    })
                })
                .collect();
            for task in tasks {
                task.await.unwrap();
            }
            // The last deadline, and not a nanosecond more.
            let last = expected.last().map_or(0, |last| last.0);
            assert_eq!(now() - start, Duration::from_nanos(last));
            seen.take()
        });
        prop_assert!(seen.is_sorted_by_key(|seen| seen.0));
        seen.sort();
        prop_assert_eq!(seen, expected);
    }
}

#[test]
fn virtual_time_starts_at_the_present() {
    let before = Instant::now();
    let runtime = virtual_runtime();
    let after = Instant::now();
    assert!((before..=after).contains(&inside(&runtime, now)));
}

#[test]
fn a_sleep_ends_exactly_at_its_deadline_however_distant() {
    block_on(async {
        for duration in [
            Duration::ZERO,
            Duration::from_nanos(1),
            HOUR,
            YEAR,
            YEAR * 100,
        ] {
            let before = now();
            sleep(duration).await;
            assert_eq!(now() - before, duration);
            // A past deadline behaves like the present.
            let passed = now();
            sleep_until(before).await;
            assert_eq!(now(), passed);
        }
    });
}

#[test]
fn not_even_a_sleep_of_a_millennium_ends_early() {
    block_on(async {
        let start = now();
        let naps = [YEARS + 1, 583, 585, 1000].map(|years| spawn(sleep(YEAR * years)));
        yield_now().await;
        advance(YEAR * YEARS).await;
        assert_eq!(now() - start, YEAR * YEARS);
        assert!(naps.iter().all(|nap| !nap.is_finished()));
    });
}

#[test]
fn time_stands_still_while_any_task_can_run() {
    block_on(async {
        let before = now();
        let nap = spawn(sleep(Duration::from_nanos(1)));
        settle().await;
        // Tasks that wake one another, of which only one is ready at a time.
        let (to, mut from_root) = mpsc::unbounded();
        let (back, mut from_task) = mpsc::unbounded();
        drop(spawn(async move {
            while let Some(number) = from_root.next().await {
                back.unbounded_send(number).unwrap();
            }
        }));
        for number in 0..10_000 {
            to.unbounded_send(number).unwrap();
            assert_eq!(from_task.next().await, Some(number));
        }
        // More tasks than a turn of the loop polls.
        join_all((0..1000).map(|_| spawn(yield_now()))).await;
        assert_eq!(now(), before);
        assert!(!nap.is_finished());
        nap.await.unwrap();
        assert_eq!(now() - before, Duration::from_nanos(1));
    });
}

#[test]
fn sockets_within_the_process_beat_every_deadline() {
    const PAIRS: usize = 10;
    /// More than the kernel buffers, so that both sides wait.
    const LENGTH: usize = 16_000_000;
    /// Shorter than any operation takes by a real clock.
    const LIMIT: Duration = Duration::from_nanos(1);

    async fn talk(stream: TcpStream) {
        let (mut reader, mut writer) = stream.split();
        let writing = async {
            let (mut written, bytes) = (0, vec![1; LENGTH / 10]);
            while written < LENGTH {
                // In pieces of all sizes.
                let piece = bytes.len().min(written + 1).min(LENGTH - written);
                let writes = writer.write_all(&bytes[..piece]);
                timeout(LIMIT, writes).await.unwrap().unwrap();
                written += piece;
            }
            timeout(LIMIT, writer.close()).await.unwrap().unwrap();
        };
        let reading = async {
            let (mut read, mut buffer) = (0, vec![0; LENGTH / 50]);
            loop {
                let reads = reader.read(&mut buffer);
                match timeout(LIMIT, reads).await.unwrap().unwrap() {
                    0 => break,
                    bytes => read += bytes,
                }
            }
            assert_eq!(read, LENGTH);
        };
        join(reading, writing).await;
    }
    block_on(async {
        let before = now();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let clients = (0..PAIRS).map(|_| {
            spawn(async move {
                let stream = timeout(LIMIT, TcpStream::connect(addr)).await.unwrap();
                talk(stream.unwrap()).await;
            })
        });
        let clients: Vec<_> = clients.collect();
        for _ in 0..PAIRS {
            let (stream, _) = timeout(LIMIT, listener.accept()).await.unwrap().unwrap();
            drop(spawn(talk(stream)));
        }
        for client in clients {
            client.await.unwrap();
        }
        assert_eq!(now(), before);
    });
}

#[test]
fn a_task_that_yields_forever_holds_the_clock() {
    block_on(async {
        let before = now();
        let busy = spawn(async {
            loop {
                yield_now().await;
            }
        });
        let nap = spawn(sleep(Duration::from_nanos(1)));
        settle().await;
        // So does a sleep of zero length.
        for _ in 0..1000 {
            sleep(Duration::ZERO).await;
        }
        assert_eq!(now(), before);
        assert!(!nap.is_finished());
        busy.abort();
        nap.await.unwrap();
        assert_eq!(now() - before, Duration::from_nanos(1));
    });
}

#[test]
fn a_timeout_ends_exactly_at_its_deadline_and_a_simultaneous_output_wins() {
    block_on(async {
        for (limit, nap) in [(2, 1), (2, 2), (2, 3), (0, 0), (0, 1)] {
            let (limit, nap) = (HOUR * limit, HOUR * nap);
            let before = now();
            let outcome = timeout(limit, sleep(nap)).await;
            assert_eq!(outcome.is_ok(), nap <= limit);
            assert_eq!(now() - before, nap.min(limit));
        }
    });
}

#[test]
fn missed_ticks_behave_as_documented() {
    // When the tick was due and when it fired, in hours; 23 hours of other work follow the first.
    for (behavior, expected) in [
        (
            MissedTickBehavior::Burst,
            [(10, 10), (20, 33), (30, 33), (40, 40), (50, 50)],
        ),
        (
            MissedTickBehavior::Delay,
            [(10, 10), (20, 33), (43, 43), (53, 53), (63, 63)],
        ),
        (
            MissedTickBehavior::Skip,
            [(10, 10), (20, 33), (40, 40), (50, 50), (60, 60)],
        ),
    ] {
        block_on(async {
            let start = now();
            let mut interval = interval_at(start + HOUR * 10, HOUR * 10);
            interval.set_missed_tick_behavior(behavior);
            for (number, (due, came)) in expected.into_iter().enumerate() {
                assert_eq!(interval.tick().await - start, HOUR * due, "{behavior:?}");
                assert_eq!(now() - start, HOUR * came, "{behavior:?}");
                if number == 0 {
                    sleep(HOUR * 23).await;
                }
            }
        });
    }
}

#[test]
fn virtual_time_continues_from_call_to_call() {
    let _watchdog = watchdog();
    let runtime = virtual_runtime();
    let start = inside(&runtime, now);
    let nap = inside(&runtime, || spawn(async { sleep(HOUR * 5).await }));
    for hour in 0..4 {
        assert_eq!(inside(&runtime, now) - start, HOUR * hour);
        runtime.block_on(async { sleep(HOUR).await });
    }
    // It began when the second call let it run.
    assert!(!inside(&runtime, || nap.is_finished()));
    runtime.block_on(nap).unwrap();
    assert_eq!(inside(&runtime, now) - start, HOUR * 5);
}

/// Makes a runtime run a task this many times from another thread, with idle periods in between. Returns how far its
/// clock has moved since `start`, at most.
fn let_it_run(handle: &Handle, times: usize, start: Instant) -> Duration {
    let moved = (0..times).map(|_| park_on(handle.spawn(async move { now() - start })).unwrap());
    moved.max().unwrap_or_default()
}

#[test]
fn a_blocking_job_holds_the_clock_while_queued_and_while_running() {
    for jobs in [1, 2, 5] {
        for detached in [false, true] {
            let _watchdog = watchdog();
            // All but one wait for the thread.
            let builder = Runtime::builder().virtual_clock().blocking_threads(1);
            builder.build().unwrap().block_on(async {
                let (start, handle) = (now(), Handle::current());
                let moved = Arc::new(Mutex::new(Vec::new()));
                let handles = (0..jobs).map(|_| {
                    let (handle, moved) = (handle.clone(), Arc::clone(&moved));
                    spawn_blocking(move || {
                        let by = let_it_run(&handle, 100, start);
                        moved.lock().unwrap().push(by);
                    })
                });
                let mut handles: Vec<_> = handles.collect();
                if detached {
                    handles.clear();
                }
                sleep(HOUR).await;
                assert_eq!(now() - start, HOUR);
                assert_eq!(*moved.lock().unwrap(), vec![Duration::ZERO; jobs]);
                for job in handles {
                    job.await.unwrap();
                }
            });
        }
    }
}

#[test]
fn the_end_of_a_detached_job_releases_the_clock() {
    block_on(async {
        for round in 0..100 {
            let (before, handle) = (now(), Handle::current());
            // In most rounds the loop is parked when the job ends.
            drop(spawn_blocking(move || {
                let_it_run(&handle, round % 4, before);
            }));
            sleep(HOUR).await;
            assert_eq!(now() - before, HOUR);
        }
    });
}

#[test]
fn an_aborted_job_holds_the_clock_only_while_it_runs() {
    let _watchdog = watchdog();
    let builder = Runtime::builder().virtual_clock().blocking_threads(1);
    builder.build().unwrap().block_on(async {
        let before = now();
        let (begun, has_begun) = oneshot::channel();
        let (end, ends) = std_mpsc::channel::<()>();
        let running = spawn_blocking(move || {
            begun.send(()).unwrap();
            ends.recv()
        });
        has_begun.await.unwrap();
        let waiting = spawn_blocking(|| ());
        waiting.abort();
        running.abort();
        assert!(waiting.await.unwrap_err().is_cancelled());
        drop(end);
        sleep(HOUR).await;
        assert_eq!(now() - before, HOUR);
        running.await.unwrap().unwrap_err();
    });
}

#[test]
fn tasks_readied_by_a_job_run_before_any_deadline() {
    block_on(async {
        let before = now();
        for round in 0..300 {
            let (mut stream, mut peer) = connected().await;
            let (send, receive) = oneshot::channel();
            let handle = Handle::current();
            let (spawned, was_spawned) = oneshot::channel();
            let job = spawn_blocking(move || match round % 4 {
                0 => peer.write_all(b"!").unwrap(),
                1 => send.send(()).unwrap(),
                2 => drop(handle.spawn(async { spawned.send(()).unwrap() })),
                _ => {}
            });
            let limit = Duration::from_nanos(1);
            match round % 4 {
                0 => timeout(limit, stream.read_exact(&mut [0]))
                    .await
                    .unwrap()
                    .unwrap(),
                1 => timeout(limit, receive).await.unwrap().unwrap(),
                2 => timeout(limit, was_spawned).await.unwrap().unwrap(),
                _ => timeout(limit, job).await.unwrap().unwrap(),
            }
        }
        assert_eq!(now(), before);
    });
}

/// Waits until a thread sleeps; `thread` is its directory in `/proc`.
#[cfg(target_os = "linux")]
fn await_sleep_of(thread: &Path) {
    let status = thread.join("status");
    while !fs::read_to_string(&status).unwrap().contains("State:\tS") {
        thread::yield_now();
    }
}

#[cfg(target_os = "linux")]
#[test]
fn tasks_readied_by_a_job_during_other_wakes_run_before_any_deadline() {
    block_on(async {
        let ((first, mut to_first), (second, mut to_second)) =
            (connected().await, connected().await);
        let before = now();
        let (woken, has_woken) = std_mpsc::channel();
        let (ends, has_ended) = std_mpsc::channel();
        let has_ended = Mutex::new(has_ended);
        // A task woken by the reactor keeps the loop busy until the thread of the job is idle again.
        let waker = Meddler::waker(
            move || {
                woken.send(()).unwrap();
                let thread: PathBuf = has_ended.lock().unwrap().recv().unwrap();
                await_sleep_of(&thread);
            },
            || {},
        );
        let mut readable = Box::pin(first.readable());
        assert!(poll_with(&mut readable, &waker).is_pending());
        drop(spawn_blocking(move || {
            to_first.write_all(b"!").unwrap();
            has_woken.recv().unwrap();
            to_second.write_all(b"!").unwrap();
            let thread = fs::read_link("/proc/thread-self").unwrap();
            ends.send(Path::new("/proc").join(thread)).unwrap();
        }));
        timeout(HOUR, second.readable()).await.unwrap().unwrap();
        assert_eq!(now(), before);
    });
}

#[test]
fn a_thread_outside_the_pool_does_not_hold_the_clock() {
    block_on(async {
        let (mut stream, mut peer) = connected().await;
        let before = now();
        // Without a deadline the clock has no target.
        let thread = thread::spawn(move || {
            peer.write_all(b"!").unwrap();
            peer
        });
        stream.read_exact(&mut [0]).await.unwrap();
        assert_eq!(now(), before);
        // With a deadline, that deadline comes first.
        let mut peer = thread.join().unwrap();
        let (late, is_late) = std_mpsc::channel();
        let thread = thread::spawn(move || {
            is_late.recv().unwrap();
            peer.write_all(b"!").unwrap();
        });
        timeout(HOUR, stream.read(&mut [0])).await.unwrap_err();
        assert_eq!(now() - before, HOUR);
        late.send(()).unwrap();
        stream.read_exact(&mut [0]).await.unwrap();
        thread.join().unwrap();
    });
}

#[test]
fn a_sleep_follows_the_clock_of_its_runtime_on_any_thread() {
    /// A foreign executor.
    type Executor = fn(Sleep);
    let executors: [Executor; 4] = [
        |nap| park_on(nap),
        |nap| glassfrog::block_on(nap),
        |nap| virtual_runtime().block_on(nap),
        |mut nap| {
            while poll_with(&mut nap, Waker::noop()).is_pending() {
                thread::yield_now();
            }
        },
    ];
    for executor in executors {
        block_on(async {
            let start = now();
            let naps: Vec<_> = (1..=20).map(|hours| sleep(HOUR * hours)).collect();
            let (done, is_done) = oneshot::channel();
            let thread = thread::spawn(move || {
                for nap in naps {
                    assert!(!nap.is_elapsed());
                    executor(nap);
                }
                done.send(()).unwrap();
            });
            is_done.await.unwrap();
            assert_eq!(now() - start, HOUR * 20);
            thread.join().unwrap();
        });
    }
}

#[test]
fn each_runtime_has_its_own_clock() {
    block_on(async {
        let before = now();
        let day = HOUR * 24;
        let virtually = spawn_blocking(move || {
            virtual_runtime().block_on(async {
                let before = now();
                sleep(day).await;
                now() - before
            })
        });
        assert_eq!(virtually.await.unwrap(), day);
        let really = spawn_blocking(|| {
            glassfrog::block_on(async {
                let (begun, nap) = (Instant::now(), Duration::from_millis(3));
                sleep(nap).await;
                assert!(begun + nap <= now() && now() <= Instant::now());
            });
        });
        really.await.unwrap();
        assert_eq!(now(), before);
    });
}

#[test]
fn advance_stops_at_each_deadline_and_returns_after_the_woken_tasks_have_run() {
    // Hours, some of them equal, one at the target and some beyond it.
    const NAPS: [u32; 9] = [5, 1, 3, 3, 9, 10, 11, 3, 20];
    for seed in [None].into_iter().chain((0..100).map(Some)) {
        let _watchdog = watchdog();
        let builder = Runtime::builder().virtual_clock();
        let runtime = match seed {
            Some(seed) => builder.seed(seed).build().unwrap(),
            None => builder.build().unwrap(),
        };
        runtime.block_on(async {
            let start = now();
            let woken = Rc::new(RefCell::new(Vec::new()));
            for hours in NAPS {
                let woken = Rc::clone(&woken);
                drop(spawn(async move {
                    // A second one, registered on the way.
                    for hours in [hours, hours + 2] {
                        sleep_until(start + HOUR * hours).await;
                        assert_eq!(now() - start, HOUR * hours, "seed {seed:?}");
                        woken.borrow_mut().push(hours);
                    }
                }));
            }
            settle().await;
            for target in [0, 1, 1, 10, 21, 30] {
                advance(start + HOUR * target - now()).await;
                assert_eq!(now() - start, HOUR * target, "seed {seed:?}");
                let mut expected: Vec<_> = NAPS.iter().flat_map(|nap| [*nap, nap + 2]).collect();
                expected.retain(|hours| *hours <= target);
                expected.sort_unstable();
                assert_eq!(*woken.borrow(), expected, "seed {seed:?}");
            }
        });
    }
}

/// Runs a future on separate runtimes with virtual clocks and many seeds.
fn for_seeds(future: impl AsyncFn(u64)) {
    for seed in 0..30 {
        let _watchdog = watchdog();
        let runtime = Runtime::builder().virtual_clock().seed(seed);
        runtime.build().unwrap().block_on(future(seed));
    }
}

#[test]
fn advance_waits_for_the_woken_tasks_under_any_seed() {
    for_seeds(async |seed| {
        // Always as many tasks as a seed chooses among.
        for _ in 0..10 {
            drop(spawn(async {
                loop {
                    yield_now().await;
                }
            }));
        }
        let naps: Vec<_> = (0..10).map(|_| spawn(sleep(HOUR))).collect();
        settle().await;
        advance(HOUR).await;
        assert!(naps.iter().all(|nap| nap.is_finished()), "seed {seed}");
    });
}

#[test]
fn advance_returns_even_where_no_other_task_can_run() {
    for_seeds(async |_| {
        let before = now();
        let nap = spawn(sleep(HOUR));
        settle().await;
        // Within one poll of this task, in which no other task is polled.
        park_on(advance(HOUR));
        assert!(!nap.is_finished());
        assert_eq!(now() - before, HOUR);
        // On a thread that polls no task of this runtime.
        let elsewhere = advance(HOUR);
        spawn_blocking(|| park_on(elsewhere)).await.unwrap();
        assert_eq!(now() - before, HOUR * 2);
    });
}

#[test]
fn advance_stops_at_each_tick_of_an_interval() {
    block_on(async {
        let start = now();
        let ticks = Rc::new(Cell::new(0));
        let theirs = Rc::clone(&ticks);
        drop(spawn(async move {
            let mut interval = interval_at(start, HOUR);
            loop {
                assert_eq!(interval.tick().await, now());
                theirs.set(theirs.get() + 1);
            }
        }));
        settle().await;
        assert_eq!(ticks.get(), 1);
        advance(HOUR * 100).await;
        assert_eq!(ticks.get(), 101);
    });
}

#[test]
fn advance_reaches_the_end_of_the_clock() {
    block_on(async {
        let before = now();
        advance(Duration::ZERO).await;
        assert_eq!(now(), before);
        advance(Duration::from_nanos(1)).await;
        assert_eq!(now() - before, Duration::from_nanos(1));
        let nap = spawn(sleep(YEAR));
        yield_now().await;
        advance(YEAR * YEARS - Duration::from_nanos(1)).await;
        assert!(nap.is_finished());
        assert_eq!(now() - before, YEAR * YEARS);
    });
}

#[test]
fn advancing_past_the_end_of_the_clock_panics_and_does_not_move_it() {
    block_on(async {
        let before = now();
        for years in [0, YEARS / 2, YEARS] {
            advance(before + YEAR * years - now()).await;
            let left = YEAR * (YEARS - years);
            for too_far in [left + Duration::from_nanos(1), YEAR * 1000, Duration::MAX] {
                let text = panic_text(|| advance(too_far));
                assert!(
                    text.contains("past its end") && text.contains("advance it by less"),
                    "{text}"
                );
            }
            assert_eq!(now() - before, YEAR * years);
            drop(advance(left));
        }
        // At its last instant the clock still has deadlines that have passed.
        sleep(Duration::ZERO).await;
        advance(Duration::ZERO).await;
    });
}

#[test]
fn a_deadline_past_the_end_of_the_clock_panics_when_it_is_the_next_event() {
    let _watchdog = watchdog();
    let runtime = virtual_runtime();
    let start = inside(&runtime, now);
    // A retry without a limit, which doubles its delay each time.
    let text = panic_text(|| {
        runtime.block_on(async {
            let mut pause = Duration::from_secs(1);
            loop {
                sleep(pause).await;
                pause *= 2;
            }
        });
    });
    for part in ["reached its end", "200 years", "sleep for less", "main"] {
        assert!(text.contains(part), "{text}");
    }
    // Work that needs no more time, or less of it, continues.
    let shown = inside(&runtime, now);
    assert!((YEAR * YEARS / 2..YEAR * YEARS).contains(&(shown - start)));
    runtime.block_on(async {
        let far = spawn(sleep(YEAR * YEARS));
        timeout(YEAR * YEARS, settle()).await.unwrap();
        sleep(HOUR).await;
        assert_eq!(now() - shown, HOUR);
        assert!(!far.is_finished());
    });
}

#[test]
fn a_sleep_until_the_last_instant_of_the_clock_panics() {
    let _watchdog = watchdog();
    let runtime = virtual_runtime();
    runtime.block_on(async { advance(YEAR * YEARS).await });
    for nap in [Duration::from_nanos(1), HOUR, YEAR * 300] {
        let text = panic_text(|| runtime.block_on(async { sleep(nap).await }));
        assert!(text.contains(&format!("{nap:?} away")), "{text}");
    }
}

#[test]
fn an_endless_sleep_does_not_hide_a_deadlock_from_a_virtual_clock() {
    for years in [585, 1000, u32::MAX] {
        let _watchdog = watchdog();
        let builder = Runtime::builder().virtual_clock();
        let runtime = builder.on_deadlock(OnDeadlock::Panic).build().unwrap();
        let nap = YEAR * years;
        let text = panic_text(|| {
            runtime.block_on(async {
                sleep(YEAR).await;
                let task = spawn(sleep(nap));
                join(timeout(Duration::MAX, pending::<()>()), task).await
            })
        });
        assert!(text.starts_with("deadlock: "), "{text}");
        assert_eq!(text.matches("sleep, forever").count(), 2, "{text}");
    }
}

#[test]
fn an_endless_sleep_with_a_live_waker_is_no_deadlock() {
    let _watchdog = watchdog();
    let builder = Runtime::builder().virtual_clock();
    let runtime = builder.on_deadlock(OnDeadlock::Panic).build().unwrap();
    runtime.block_on(async {
        let (wake, woken) = oneshot::channel();
        let thread = thread::spawn(move || {
            // Longer than the loop waits before it looks for a deadlock; a slow machine only checks less.
            thread::sleep(Duration::from_millis(100));
            wake.send(()).unwrap();
        });
        let before = now();
        timeout(Duration::MAX, woken).await.unwrap().unwrap();
        assert_eq!(now(), before);
        thread.join().unwrap();
    });
}

#[test]
fn advance_does_not_wait_for_a_blocking_job() {
    block_on(async {
        let before = now();
        let (end, ends) = std_mpsc::channel::<()>();
        let job = spawn_blocking(move || ends.recv());
        let nap = spawn(sleep(HOUR));
        yield_now().await;
        advance(HOUR).await;
        assert!(nap.is_finished() && !job.is_finished());
        assert_eq!(now() - before, HOUR);
        drop(end);
        job.await.unwrap().unwrap_err();
    });
}

#[test]
fn zero_length_sleeps_do_not_make_advance_skip_a_deadline() {
    for sleepers in [1, 2, 5, 50] {
        block_on(async {
            let start = now();
            for _ in 0..sleepers {
                drop(spawn(async {
                    loop {
                        sleep(Duration::ZERO).await;
                    }
                }));
            }
            let naps: Vec<_> = (1..=3)
                .map(|hours| {
                    spawn(async move {
                        sleep_until(start + HOUR * hours).await;
                        now() - start
                    })
                })
                .collect();
            yield_now().await;
            advance(HOUR * 4).await;
            assert_eq!(now() - start, HOUR * 4);
            for (hours, nap) in (1..).zip(naps) {
                assert_eq!(nap.await.unwrap(), HOUR * hours, "{sleepers} sleepers");
            }
        });
    }
}

#[test]
fn two_concurrent_advances_stop_at_each_deadline() {
    for seed in [None].into_iter().chain((0..20).map(Some)) {
        let _watchdog = watchdog();
        let builder = Runtime::builder().virtual_clock();
        let runtime = match seed {
            Some(seed) => builder.seed(seed).build().unwrap(),
            None => builder.build().unwrap(),
        };
        runtime.block_on(async {
            let start = now();
            let naps: Vec<_> = (1..=3)
                .map(|hours| {
                    spawn(async move {
                        sleep_until(start + HOUR * hours).await;
                        now() - start
                    })
                })
                .collect();
            settle().await;
            let advances = [advance(HOUR * 4), advance(HOUR * 5)].map(spawn);
            for advance in advances {
                advance.await.unwrap();
            }
            // Each counts from its call.
            assert_eq!(now() - start, HOUR * 5);
            for (hours, nap) in (1..).zip(naps) {
                assert_eq!(nap.await.unwrap(), HOUR * hours, "seed {seed:?}");
            }
        });
    }
}

#[test]
fn a_cancelled_advance_has_moved_the_clock_part_of_the_way() {
    block_on(async {
        let start = now();
        let late = spawn(async { sleep(HOUR * 5).await });
        let first = Box::pin(sleep(HOUR * 3));
        match select(first, Box::pin(advance(HOUR * 10))).await {
            Either::Left(((), advance)) => drop(advance),
            Either::Right(_) => panic!("there was a deadline on the way"),
        }
        assert_eq!(now() - start, HOUR * 3);
        // Never polled.
        drop(advance(HOUR));
        assert_eq!(now() - start, HOUR * 3);
        late.await.unwrap();
        assert_eq!(now() - start, HOUR * 5);
    });
}

#[test]
fn advance_without_a_virtual_clock_panics_with_advice() {
    let text = panic_text(|| advance(HOUR));
    assert!(
        text.contains("no runtime") && text.contains("block_on"),
        "{text}"
    );
    let real = Runtime::new().unwrap();
    let text = panic_text(|| inside(&real, || advance(HOUR)));
    assert!(
        text.contains("virtual") && text.contains("`Builder::virtual_clock`"),
        "{text}"
    );
}

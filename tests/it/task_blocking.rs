//! Blocking jobs: their threads, their outcomes, their cancellation, and waiting for them.

use crate::support::{block_on, child, few_or_many, park_on, watchdog};
use crate::task_probes::{
    Drops, OnDrop, Wakes, inside, logged, panic_text, poll_with, record_log, until,
};
use glassfrog::task::{AbortHandle, Builder, JoinHandle, spawn_blocking};
use glassfrog::{Handle, OnTaskPanic, Runtime, spawn};
use std::cell::Cell;
use std::collections::HashSet;
use std::convert::Infallible;
use std::error::Error;
use std::future::pending;
use std::panic::panic_any;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Barrier, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// The ways to submit a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum By {
    /// `spawn_blocking`.
    Function,
    /// `Handle::spawn_blocking`.
    Handle,
    /// `task::Builder::spawn_blocking`, with a name.
    Builder,
}

impl By {
    /// All ways.
    const ALL: [By; 3] = [By::Function, By::Handle, By::Builder];

    /// Submits to the runtime of this thread.
    #[track_caller]
    fn submit<T: Send + 'static>(self, work: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
        match self {
            By::Function => spawn_blocking(work),
            By::Handle => Handle::current().spawn_blocking(work),
            By::Builder => Builder::new().name("indexer").spawn_blocking(work),
        }
    }
}

/// The ways to abort a job: on this thread, on another one, and twice.
const HOW: [fn(AbortHandle); 3] = [
    |job| job.abort(),
    |job| thread::spawn(move || job.abort()).join().unwrap(),
    |job| {
        job.abort();
        job.clone().abort();
    },
];

/// Blocks jobs until it is opened.
#[derive(Clone)]
struct Gate(Arc<Mutex<Receiver<Infallible>>>);

/// Returns a sender that opens the gate when dropped, at the latest when the test fails, and a closed gate.
fn gate() -> (Sender<Infallible>, Gate) {
    let (open, opened) = channel();
    (open, Gate(Arc::new(Mutex::new(opened))))
}

impl Gate {
    /// Waits until the gate is open.
    fn pass(&self) {
        let _opened = self.0.lock().unwrap().recv();
    }
}

/// Builds a runtime with this many threads for jobs.
fn with_threads(threads: usize) -> Runtime {
    let builder = Runtime::builder().blocking_threads(threads);
    builder.build().unwrap()
}

/// How long idle threads stay, and how long a pool may stall before it is reported, in the tests of that: the
/// documented ten seconds, where tests may take long.
const PATIENCE: Duration = Duration::from_millis(few_or_many(200, 10_000) as u64);

/// Builds such a runtime with this many threads for jobs.
fn patient_with_threads(threads: usize) -> Runtime {
    let builder = Runtime::builder().blocking_threads(threads);
    let builder = match cfg!(feature = "slow") {
        true => builder,
        false => builder.test_patience(PATIENCE),
    };
    builder.build().unwrap()
}

/// Occupies a thread until the gate is opened, with a job that has started when this returns.
fn occupy(handle: &Handle, gate: &Gate) -> JoinHandle<&'static str> {
    let gate = gate.clone();
    let (begun, has_begun) = channel();
    let job = handle.spawn_blocking(move || {
        begun.send(()).unwrap();
        gate.pass();
        "done"
    });
    has_begun.recv().unwrap();
    job
}

/// Blocks this thread until a condition holds.
fn wait_until(mut so: impl FnMut() -> bool) {
    while !so() {
        thread::yield_now();
    }
}

#[test]
fn a_handle_returns_the_output_of_its_job() {
    for by in By::ALL {
        block_on(async {
            let text = String::from("moved in and out");
            let job = by.submit(move || (text, Cell::new(7)));
            let id = job.id();
            let task = spawn(async {});
            assert!(task.id() > id, "jobs and tasks are counted together");
            let (text, seven) = job.await.unwrap();
            assert_eq!((text.as_str(), seven.get()), ("moved in and out", 7));
        });
    }
}

#[test]
fn the_captures_of_a_closure_are_dropped_before_its_handle_is_ready() {
    let _watchdog = watchdog();
    let drops = Drops::default();
    let runtime = Runtime::new().unwrap();
    for n in 1..=1000 {
        let probe = drops.probe();
        let job = runtime.handle().spawn_blocking(move || {
            let _probe = &probe;
        });
        park_on(job).unwrap();
        assert_eq!(drops.count(), n);
    }
}

#[test]
fn a_handle_works_on_any_thread_and_under_any_executor() {
    let _watchdog = watchdog();
    let runtime = Runtime::new().unwrap();
    let handle = runtime.handle();
    // A job needs no running loop, neither to start nor to be awaited.
    let job = thread::spawn(move || handle.spawn_blocking(|| 1));
    let job = job.join().unwrap();
    assert_eq!(thread::spawn(|| park_on(job)).join().unwrap().unwrap(), 1);

    let job = inside(&runtime, || spawn_blocking(|| 2));
    assert_eq!(glassfrog::block_on(job).unwrap(), 2);

    let job = inside(&runtime, || spawn_blocking(|| 3));
    assert_eq!(runtime.block_on(spawn_in(job)).unwrap(), 3);

    let job = inside(&runtime, || spawn_blocking(|| 4));
    wait_until(|| job.is_finished());
    drop(runtime);
    assert_eq!(park_on(job).unwrap(), 4, "it outlives its runtime");
}

/// Awaits a job in a spawned task.
async fn spawn_in<T: 'static>(job: JoinHandle<T>) -> Result<T, glassfrog::task::JoinError> {
    spawn(job).await.unwrap()
}

#[test]
fn the_end_of_a_job_wakes_only_the_last_waker() {
    let _watchdog = watchdog();
    let runtime = Runtime::new().unwrap();
    let (open, closed) = gate();
    let mut job = occupy(&runtime.handle(), &closed);
    let ((former, first), (latter, second)) = (Wakes::new(), Wakes::new());
    assert!(poll_with(&mut job, &first).is_pending());
    assert!(poll_with(&mut job, &second).is_pending());
    assert!(!job.is_finished());
    drop(open);
    wait_until(|| latter.count() == 1);
    assert!(job.is_finished());
    assert_eq!(former.count(), 0);
    assert!(poll_with(&mut job, &second).is_ready());
}

#[test]
fn the_end_of_a_job_wakes_an_idle_loop() {
    block_on(async {
        for n in 0..few_or_many(4000, 20_000) {
            assert_eq!(spawn_blocking(move || n).await.unwrap(), n);
        }
    });
}

#[test]
fn threads_are_named_and_counted() {
    let _watchdog = watchdog();
    let runtime = Runtime::new().unwrap();
    let all = Arc::new(Barrier::new(3));
    let jobs = [(); 3].map(|()| {
        let all = all.clone();
        runtime.handle().spawn_blocking(move || {
            all.wait();
            thread::current().name().map(String::from)
        })
    });
    let mut names = jobs.map(|job| park_on(job).unwrap().unwrap());
    names.sort();
    assert_eq!(
        names,
        ["glassfrog-job-1", "glassfrog-job-2", "glassfrog-job-3"]
    );
}

#[test]
fn an_idle_thread_takes_the_next_job() {
    let _watchdog = watchdog();
    let runtime = Runtime::new().unwrap();
    let threads: HashSet<_> = (0..1000)
        .map(|_| {
            let job = runtime.handle().spawn_blocking(|| thread::current().id());
            park_on(job).unwrap()
        })
        .collect();
    // Almost always one. A job that arrives after the end of the previous one and before its thread is idle starts
    // another thread.
    assert!(threads.len() < 100, "{} threads", threads.len());
}

#[test]
fn one_idle_thread_does_not_serve_two_jobs() {
    let _watchdog = watchdog();
    for _ in 0..few_or_many(100, 300) {
        let runtime = Runtime::new().unwrap();
        park_on(runtime.handle().spawn_blocking(|| {})).unwrap();
        let all = Arc::new(Barrier::new(3));
        let jobs = [(); 3].map(|()| {
            let all = all.clone();
            runtime.handle().spawn_blocking(move || all.wait())
        });
        for job in jobs {
            park_on(job).unwrap();
        }
    }
}

#[test]
fn as_many_jobs_run_in_parallel_as_the_limit_of_threads_allows() {
    const THREADS: usize = 3;
    let _watchdog = watchdog();
    let runtime = with_threads(THREADS);
    let (open, closed) = gate();
    let running = Arc::new(AtomicUsize::new(0));
    let most = Arc::new(AtomicUsize::new(0));
    let begun = Arc::new(AtomicUsize::new(0));
    let jobs: Vec<_> = (0..100)
        .map(|_| {
            let closed = closed.clone();
            let (running, most, begun) = (running.clone(), most.clone(), begun.clone());
            runtime.handle().spawn_blocking(move || {
                most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                begun.fetch_add(1, Ordering::SeqCst);
                closed.pass();
                running.fetch_sub(1, Ordering::SeqCst);
                thread::current().id()
            })
        })
        .collect();
    wait_until(|| running.load(Ordering::SeqCst) == THREADS);
    // Gives one job too many a chance to start.
    thread::sleep(Duration::from_millis(10));
    assert_eq!(begun.load(Ordering::SeqCst), THREADS);
    drop(open);
    let threads: HashSet<_> = jobs.into_iter().map(|job| park_on(job).unwrap()).collect();
    assert_eq!(most.load(Ordering::SeqCst), THREADS);
    assert!(threads.len() <= THREADS);
}

#[test]
fn one_thread_runs_jobs_in_submission_order() {
    let _watchdog = watchdog();
    let runtime = with_threads(1);
    let order = Arc::new(Mutex::new(Vec::new()));
    let jobs: Vec<_> = (0..100)
        .map(|n| {
            let order = order.clone();
            runtime
                .handle()
                .spawn_blocking(move || order.lock().unwrap().push(n))
        })
        .collect();
    // Whichever handle is polled first.
    for job in jobs.into_iter().rev() {
        park_on(job).unwrap();
    }
    assert_eq!(*order.lock().unwrap(), Vec::from_iter(0..100));
}

#[test]
fn a_limit_of_zero_threads_panics() {
    let text = panic_text(|| Runtime::builder().blocking_threads(0));
    assert!(text.contains("`threads` must be at least 1"), "{text}");
}

#[test]
fn a_handle_returns_the_panic_of_its_job_and_the_thread_survives() {
    let _watchdog = watchdog();
    for by in By::ALL {
        with_threads(1).block_on(async {
            let thread = by.submit(|| thread::current().id()).await.unwrap();
            let job = by.submit(|| -> u8 { panic_any(42_i32) });
            let id = job.id();
            let error = job.await.unwrap_err();
            assert!(error.is_panic() && !error.is_cancelled());
            assert_eq!(error.id(), id);
            assert_eq!(error.name().is_some(), by == By::Builder);
            assert_eq!(error.into_panic().downcast_ref(), Some(&42));
            let error = by.submit(|| -> u8 { panic!("disk full") }).await;
            let name = match by {
                By::Builder => " \"indexer\"",
                By::Function | By::Handle => "",
            };
            let text = format!("task 3{name} panicked: disk full");
            assert_eq!(error.unwrap_err().to_string(), text);
            let again = by.submit(|| thread::current().id()).await.unwrap();
            assert_eq!(thread, again);
        });
    }
}

#[test]
fn an_unobserved_panic_of_a_job_is_logged_with_its_spawn_location() {
    record_log();
    let _watchdog = watchdog();
    for (by, texts) in [
        (By::Function, ["function, dropped early", "function, late"]),
        (By::Handle, ["handle, dropped early", "handle, late"]),
        (By::Builder, ["builder, dropped early", "builder, late"]),
    ] {
        let runtime = Runtime::new().unwrap();
        for (early, text) in [true, false].into_iter().zip(texts) {
            let (open, closed) = gate();
            let (line, job) = inside(&runtime, || {
                let line = line!() + 1;
                let job = by.submit(move || {
                    closed.pass();
                    panic!("{text}")
                });
                (line, job)
            });
            if early {
                drop(job);
                drop(open);
                wait_until(|| !logged(text).is_empty());
            } else {
                drop(open);
                wait_until(|| job.is_finished());
                assert_eq!(logged(text), [""; 0], "a task may still take the output");
                drop(job);
            }
            let place = format!("(spawned at {}:{line}:", file!());
            let lines = logged(text);
            assert_eq!(lines.len(), 1);
            assert!(lines[0].starts_with("ERROR task "), "{lines:?}");
            assert!(lines[0].contains(&place), "{lines:?} not at {place}");
        }
    }
}

#[test]
fn an_observed_panic_is_not_logged() {
    record_log();
    let text = "of a job whose handle is awaited";
    let error = block_on(async { spawn_blocking(move || panic!("{text}")).await });
    assert!(error.map(|()| "no output").unwrap_err().is_panic());
    assert_eq!(logged(text), [""; 0]);
}

#[test]
fn a_panic_of_a_job_never_ends_the_runtime() {
    let _watchdog = watchdog();
    let runtime = Runtime::builder()
        .on_task_panic(OnTaskPanic::EndRuntime)
        .build()
        .unwrap();
    runtime.block_on(async {
        drop(spawn_blocking(|| panic!("detached")));
        let error = spawn_blocking(|| panic!("awaited")).await;
        assert!(error.map(|()| "no output").unwrap_err().is_panic());
    });
    assert_eq!(runtime.block_on(spawn_in_new()), "well");
}

/// Spawns a task and awaits it.
async fn spawn_in_new() -> &'static str {
    spawn(async { "well" }).await.unwrap()
}

#[test]
fn a_panic_in_a_drop_does_not_end_a_pool_thread() {
    record_log();
    let _watchdog = watchdog();
    let bomb = |text: &'static str| OnDrop(move || panic!("{text}"));
    let runtime = with_threads(1);
    let handle = runtime.handle();
    let the_thread = || park_on(handle.spawn_blocking(|| thread::current().id())).unwrap();
    let thread = the_thread();

    let captured = bomb("captured by a job that runs");
    let job = handle.spawn_blocking(move || {
        let _captured = &captured;
    });
    let error = park_on(job).unwrap_err();
    assert_eq!(
        error.to_string(),
        "task 2 panicked: captured by a job that runs"
    );
    assert_eq!(the_thread(), thread);

    let text = "output of a job that was detached early";
    let (open, closed) = gate();
    drop(handle.spawn_blocking(move || {
        closed.pass();
        bomb(text)
    }));
    drop(open);
    wait_until(|| !logged(text).is_empty());
    assert_eq!(the_thread(), thread);

    let text = "output of a job that was detached late";
    let job = handle.spawn_blocking(move || bomb(text));
    wait_until(|| job.is_finished());
    drop(job);
    assert_eq!(logged(text).len(), 1);

    let text = "payload of a job that was detached";
    drop(handle.spawn_blocking(move || panic_any(bomb(text))));
    wait_until(|| !logged(text).is_empty());
    assert_eq!(the_thread(), thread);

    let text = "captured by a job that was aborted";
    let (open, closed) = gate();
    let busy = occupy(&handle, &closed);
    let captured = bomb(text);
    let job = handle.spawn_blocking(move || drop(captured));
    job.abort();
    drop(open);
    assert!(park_on(job).unwrap_err().is_cancelled());
    wait_until(|| !logged(text).is_empty());
    assert_eq!(park_on(busy).unwrap(), "done");
    assert_eq!(the_thread(), thread);
}

#[test]
fn a_panic_in_a_drop_does_not_stop_the_end_of_a_runtime() {
    record_log();
    let _watchdog = watchdog();
    let text = "captured by a job that never ran";
    let runtime = with_threads(1);
    let handle = runtime.handle();
    let (_open, closed) = gate();
    let _busy = occupy(&handle, &closed);
    let submit = || {
        let captured = OnDrop(move || panic!("{text}"));
        handle.spawn_blocking(move || drop(captured))
    };
    let jobs = [submit(), submit(), submit()];
    drop(runtime);
    let late = submit();
    for job in jobs.into_iter().chain([late]) {
        assert!(park_on(job).unwrap_err().is_cancelled());
    }
    assert_eq!(logged(text).len(), 4);
}

#[test]
fn aborting_a_queued_job_cancels_it_at_once() {
    let _watchdog = watchdog();
    for abort in HOW {
        let runtime = with_threads(1);
        let handle = runtime.handle();
        let (open, closed) = gate();
        let busy = occupy(&handle, &closed);
        let drops = Drops::default();
        let ran = Arc::new(AtomicBool::new(false));
        let (probe, theirs) = (drops.probe(), ran.clone());
        let mut waiting = handle.spawn_blocking(move || {
            let _probe = probe;
            theirs.store(true, Ordering::SeqCst);
        });
        let next = handle.spawn_blocking(|| "next");
        let (wakes, waker) = Wakes::new();
        assert!(poll_with(&mut waiting, &waker).is_pending());
        assert!(!waiting.is_finished());

        abort(waiting.abort_handle());
        assert_eq!(wakes.count(), 1);
        assert!(waiting.is_finished());
        let error = park_on(waiting).unwrap_err();
        assert!(error.is_cancelled() && !error.is_panic());
        assert_eq!(error.to_string(), "task 2 was cancelled");
        assert!(error.source().is_none());
        assert!(!busy.is_finished() && !next.is_finished());

        drop(open);
        assert_eq!(park_on(busy).unwrap(), "done");
        assert_eq!(park_on(next).unwrap(), "next");
        assert!(!ran.load(Ordering::SeqCst));
        assert_eq!(drops.count(), 1);
        assert_eq!(wakes.count(), 1);
    }
}

#[test]
fn aborting_queued_jobs_drops_their_captures_and_keeps_the_order_of_the_others() {
    const JOBS: usize = 1000;
    let _watchdog = watchdog();
    // The order in which two of three are aborted.
    let orders: [fn(usize) -> usize; 3] = [|n| n, |n| JOBS - 1 - n, |n| n * 7 % JOBS];
    for order in orders {
        let runtime = with_threads(1);
        let handle = runtime.handle();
        let (open, closed) = gate();
        let busy = occupy(&handle, &closed);
        let drops = Drops::default();
        let ran = Arc::new(Mutex::new(Vec::new()));
        let jobs: Vec<_> = (0..JOBS)
            .map(|n| {
                let (probe, ran) = (drops.probe(), ran.clone());
                handle.spawn_blocking(move || {
                    let _probe = probe;
                    ran.lock().unwrap().push(n);
                })
            })
            .collect();
        let waiting = || handle.metrics().blocking_queue;
        let mut left = JOBS;
        for n in (0..JOBS).map(order).filter(|n| n % 3 != 0) {
            jobs[n].abort();
            left -= 1;
            assert!(jobs[n].is_finished());
            assert_eq!((drops.count(), waiting()), (JOBS - left, left));
        }
        assert!(!busy.is_finished());
        drop(open);
        for (n, job) in jobs.into_iter().enumerate() {
            assert_eq!(park_on(job).is_ok(), n % 3 == 0);
        }
        let in_order: Vec<usize> = (0..JOBS).step_by(3).collect();
        assert_eq!(*ran.lock().unwrap(), in_order);
    }
}

#[test]
fn the_captures_of_an_aborted_job_may_use_the_pool_when_dropped() {
    let _watchdog = watchdog();
    for abort in HOW {
        let runtime = with_threads(1);
        let handle = runtime.handle();
        let (open, closed) = gate();
        let busy = occupy(&handle, &closed);
        let other = handle.spawn_blocking(|| {}).abort_handle();
        let (send, submitted) = channel();
        let theirs = handle.clone();
        let meddles = OnDrop(move || {
            other.abort();
            let late = theirs.spawn_blocking(|| "late");
            send.send((late, theirs.metrics().blocking_queue)).unwrap();
        });
        let job = handle.spawn_blocking(move || drop(meddles));
        abort(job.abort_handle());
        let (late, waiting) = submitted.recv().unwrap();
        assert_eq!(waiting, 1);
        drop(open);
        assert_eq!(park_on(late).unwrap(), "late");
        assert_eq!(park_on(busy).unwrap(), "done");
    }
}

#[test]
fn a_detached_job_runs_unless_it_is_aborted() {
    let _watchdog = watchdog();
    for abort in HOW {
        let runtime = with_threads(1);
        let handle = runtime.handle();
        let (open, closed) = gate();
        let busy = occupy(&handle, &closed);
        let drops = Drops::default();
        let runs = Arc::new(Mutex::new(Vec::new()));
        let submit = |name| {
            let (probe, runs) = (drops.probe(), runs.clone());
            let job = handle.spawn_blocking(move || {
                let _probe = probe;
                runs.lock().unwrap().push(name);
            });
            job.abort_handle()
        };
        let _detached = submit("detached");
        let aborted = submit("detached and aborted");
        let last = handle.spawn_blocking(|| {});
        abort(aborted.clone());
        drop(open);
        park_on(last).unwrap();
        assert_eq!(*runs.lock().unwrap(), ["detached"]);
        assert_eq!(drops.count(), 2);
        assert_eq!(park_on(busy).unwrap(), "done");
        // The runtime is gone.
        abort(aborted);
    }
}

#[test]
fn aborting_a_running_or_finished_job_does_nothing() {
    let _watchdog = watchdog();
    for abort in HOW {
        let runtime = Runtime::new().unwrap();
        let (open, closed) = gate();
        let mut job = occupy(&runtime.handle(), &closed);
        let (wakes, waker) = Wakes::new();
        assert!(poll_with(&mut job, &waker).is_pending());
        abort(job.abort_handle());
        assert!(poll_with(&mut job, &waker).is_pending());
        assert!(!job.is_finished());
        assert_eq!(wakes.count(), 0);
        drop(open);
        wait_until(|| job.is_finished());
        abort(job.abort_handle());
        let early = job.abort_handle();
        assert_eq!(park_on(&mut job).unwrap(), "done");
        abort(early);
        abort(job.abort_handle());

        let job = runtime.handle().spawn_blocking(|| panic!("its own"));
        wait_until(|| job.is_finished());
        abort(job.abort_handle());
        let error = park_on::<JoinHandle<()>>(job).unwrap_err();
        assert!(error.is_panic());
        // Nor does its late output disturb the loop.
        assert_eq!(runtime.block_on(spawn_in_new()), "well");
    }
}

#[test]
fn dropping_a_runtime_cancels_queued_jobs_and_does_not_wait_for_running_ones() {
    let _watchdog = watchdog();
    let (wakes, waker) = Wakes::new();
    // How many handles had been woken when each closure was dropped.
    let woken = Arc::new(Mutex::new(Vec::new()));
    let (open, closed) = gate();
    let runtime = with_threads(1);
    let (busy, mut waiting) = runtime.block_on(async {
        let busy = occupy(&Handle::current(), &closed);
        let waiting = By::ALL.map(|by| {
            let (wakes, woken) = (wakes.clone(), woken.clone());
            let note = OnDrop(move || woken.lock().unwrap().push(wakes.count()));
            by.submit(move || drop(note))
        });
        (busy, waiting)
    });
    for job in &mut waiting {
        assert!(poll_with(job, &waker).is_pending());
    }
    assert!(
        woken.lock().unwrap().is_empty(),
        "the runtime is still there"
    );
    drop(runtime);
    assert_eq!(*woken.lock().unwrap(), [0, 1, 2], "each before its handle");
    assert_eq!(wakes.count(), 3);
    for job in waiting {
        assert!(job.is_finished());
        job.abort();
        assert!(park_on(job).unwrap_err().is_cancelled());
    }
    assert!(!busy.is_finished());
    drop(open);
    assert_eq!(park_on(busy).unwrap(), "done");
}

#[test]
fn block_on_returns_while_a_job_runs() {
    let (open, closed) = gate();
    let [job] = block_on(async { [occupy(&Handle::current(), &closed)] });
    assert!(!job.is_finished());
    drop(open);
    assert_eq!(park_on(job).unwrap(), "done");
}

#[test]
fn jobs_continue_between_two_calls_of_block_on() {
    let _watchdog = watchdog();
    let runtime = with_threads(1);
    let (open, closed) = gate();
    let busy = inside(&runtime, || occupy(&Handle::current(), &closed));
    let waiting = inside(&runtime, || spawn_blocking(|| "waited"));
    drop(open);
    assert_eq!(park_on(busy).unwrap(), "done");
    assert_eq!(park_on(waiting).unwrap(), "waited");
}

#[test]
fn a_shutdown_waits_for_running_jobs() {
    let _watchdog = watchdog();
    for timeout in [Duration::from_secs(3600), Duration::MAX] {
        for threads in [1, 3] {
            let runtime = with_threads(threads);
            let (open, closed) = gate();
            let done = Arc::new(AtomicUsize::new(0));
            let drops = Drops::default();
            runtime.block_on(async {
                for _ in 0..threads {
                    let (begun, has_begun) = channel();
                    let (done, closed) = (done.clone(), closed.clone());
                    drop(spawn_blocking(move || {
                        begun.send(()).unwrap();
                        closed.pass();
                        // Gives a shutdown that does not wait a chance to end early.
                        thread::sleep(Duration::from_millis(10));
                        done.fetch_add(1, Ordering::SeqCst);
                    }));
                    has_begun.recv().unwrap();
                }
                let probe = drops.probe();
                drop(spawn_blocking(move || drop(probe)));
                // A task, whose drop is the first effect of the end of the runtime.
                drop(spawn(async move {
                    let _opens = open;
                    pending::<()>().await;
                }));
            });
            assert_eq!(done.load(Ordering::SeqCst), 0);
            runtime.shutdown_timeout(timeout);
            assert_eq!(done.load(Ordering::SeqCst), threads);
            assert_eq!(drops.count(), 1);
        }
    }
}

#[test]
fn a_shutdown_gives_up_after_its_timeout() {
    let _watchdog = watchdog();
    for timeout in [Duration::ZERO, Duration::from_millis(20)] {
        let runtime = Runtime::new().unwrap();
        let (open, closed) = gate();
        let job = occupy(&runtime.handle(), &closed);
        let before = Instant::now();
        runtime.shutdown_timeout(timeout);
        assert!(before.elapsed() >= timeout);
        assert!(!job.is_finished());
        drop(open);
        assert_eq!(park_on(job).unwrap(), "done");
    }
}

#[test]
fn a_shutdown_without_jobs_returns_at_once() {
    let _watchdog = watchdog();
    for timeout in [Duration::ZERO, Duration::from_secs(3600), Duration::MAX] {
        Runtime::new().unwrap().shutdown_timeout(timeout);
        // So many times that it would show if each waited for idle threads to exit on their own.
        for _ in 0..10 {
            let runtime = Runtime::new().unwrap();
            let jobs = [(); 3].map(|()| runtime.handle().spawn_blocking(|| {}));
            for job in jobs {
                park_on(job).unwrap();
            }
            runtime.shutdown_timeout(timeout);
        }
    }
}

#[test]
fn a_dropped_runtime_accepts_no_job() {
    let _watchdog = watchdog();
    let runtime = Runtime::new().unwrap();
    let handle = runtime.handle();
    let (open, closed) = gate();
    let (begun, has_begun) = channel();
    let theirs = handle.clone();
    let busy = handle.spawn_blocking(move || {
        begun.send(()).unwrap();
        closed.pass();
        theirs.spawn_blocking(|| {})
    });
    has_begun.recv().unwrap();
    runtime.shutdown_timeout(Duration::ZERO);

    let drops = Drops::default();
    let probe = drops.probe();
    let job = handle.spawn_blocking(move || drop(probe));
    assert_eq!(drops.count(), 1);
    assert!(job.is_finished());
    let error = park_on(job).unwrap_err();
    assert!(error.is_cancelled());
    assert!(error.source().is_none());

    drop(open);
    let inner = park_on(busy).unwrap();
    assert!(park_on(inner).unwrap_err().is_cancelled());
}

#[test]
fn spawn_blocking_outside_a_runtime_panics_with_advice() {
    let texts = [
        panic_text(|| drop(spawn_blocking(|| {}))),
        panic_text(|| drop(Builder::new().name("indexer").spawn_blocking(|| {}))),
        // A job is outside the runtime, too.
        block_on(async { spawn_blocking(|| panic_text(|| spawn_blocking(|| {}))).await }).unwrap(),
    ];
    for text in texts {
        for words in ["no runtime on this thread", "block_on"] {
            assert!(text.contains(words), "{text}");
        }
    }
}

#[test]
fn a_job_runs_outside_any_runtime_and_may_create_one() {
    block_on(async {
        for by in By::ALL {
            assert!(by.submit(|| Handle::try_current().is_none()).await.unwrap());
            let job = by.submit(|| {
                let sum = glassfrog::block_on(async { spawn_blocking(|| 1).await.unwrap() + 1 });
                (sum, Handle::try_current().is_none())
            });
            assert_eq!(job.await.unwrap(), (2, true));
        }
    });
}

#[test]
fn a_job_may_wait_for_a_task_of_its_runtime() {
    block_on(async {
        let handle = Handle::current();
        let here = thread::current().id();
        for wait in [park_on, glassfrog::block_on] {
            let handle = handle.clone();
            let job = spawn_blocking(move || wait(handle.spawn(async { thread::current().id() })));
            assert_eq!(job.await.unwrap().unwrap(), here);
        }
    });
}

#[test]
fn a_job_may_wait_for_another_if_both_have_threads() {
    /// Runs this many jobs, each of which waits for the next.
    fn nested(handle: &Handle, depth: usize) -> usize {
        if depth == 0 {
            return 0;
        }
        let theirs = handle.clone();
        1 + park_on(handle.spawn_blocking(move || nested(&theirs, depth - 1))).unwrap()
    }
    let _watchdog = watchdog();
    let runtime = with_threads(5);
    assert_eq!(nested(&runtime.handle(), 5), 5);
}

#[test]
fn only_a_stalled_pool_is_reported() {
    /// Submits jobs, each from the previous one, as long as the runtime lives. Records the longest time without the
    /// start of a job.
    fn go_on(handle: Handle, pauses: Arc<Mutex<(Instant, Duration)>>) {
        drop(handle.clone().spawn_blocking(move || {
            {
                let (last, longest) = &mut *pauses.lock().unwrap();
                *longest = last.elapsed().max(*longest);
                *last = Instant::now();
            }
            // Leaves the processor to other threads.
            thread::sleep(Duration::from_millis(1));
            go_on(handle, pauses);
        }));
    }
    child(|| {
        record_log();
        let _watchdog = watchdog();
        // One of its threads is stuck, and two jobs alternate on the other: one is always queued.
        let full = patient_with_threads(2);
        let (open, closed) = gate();
        let stuck = occupy(&full.handle(), &closed);
        let pauses = Arc::new(Mutex::new((Instant::now(), Duration::ZERO)));
        go_on(full.handle(), pauses.clone());
        go_on(full.handle(), pauses.clone());

        let before = Instant::now();
        let stalled = patient_with_threads(1);
        let handle = stalled.handle();
        let (output, other) = channel();
        let rescue = output.clone();
        let outer = stalled.handle().spawn_blocking(move || {
            let inner = handle.spawn_blocking(move || output.send("of the inner job"));
            (other.recv().unwrap(), other, inner)
        });
        wait_until(|| {
            thread::sleep(Duration::from_millis(1));
            !logged("all 1 blocking threads").is_empty()
        });
        assert!(before.elapsed() >= PATIENCE, "too early");
        let lines = logged("blocking threads");
        rescue.send("of the test").unwrap();
        let (output, other, inner) = park_on(outer).unwrap();
        assert_eq!(output, "of the test");
        park_on(inner).unwrap().unwrap();
        assert_eq!(other.recv().unwrap(), "of the inner job");

        let told = logged("all 1 blocking threads");
        assert_eq!(told.len(), 1, "{told:?}");
        for words in ["WARN ", "(waiting: 1)", "Builder::blocking_threads"] {
            assert!(told[0].contains(words), "{told:?}");
        }
        // If the machine suspended this process for that long, the report was right as well.
        let longest = pauses.lock().unwrap().1;
        assert!(
            lines.len() == 1 || longest >= PATIENCE / 2,
            "{lines:?}, while no pause was longer than {longest:?}"
        );
        drop(open);
        assert_eq!(park_on(stuck).unwrap(), "done");
        full.shutdown_timeout(Duration::MAX);
    })
    .finish();
}

/// A deterministic pseudorandom sequence (the generator of Knuth's MMIX).
struct Dice(u64);

impl Dice {
    /// Returns the next number, below `sides`.
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        // The period of the lower bits is too short.
        (self.0 >> 33) as usize % sides
    }
}

/// The fate of many closures, by number.
struct Fates {
    /// How many times each was run.
    runs: Vec<AtomicUsize>,
    /// How many times each was dropped.
    drops: Vec<AtomicUsize>,
    /// How many are running.
    running: AtomicUsize,
}

/// A closure, or its captures after the call.
struct Fate {
    /// Its number.
    number: usize,
    /// The record.
    fates: Arc<Fates>,
}

impl Fates {
    /// Creates a record for this many closures.
    fn new(count: usize) -> Arc<Fates> {
        let zeros = || (0..count).map(|_| AtomicUsize::new(0)).collect();
        Arc::new(Fates {
            runs: zeros(),
            drops: zeros(),
            running: AtomicUsize::new(0),
        })
    }
}

impl Fate {
    /// Runs the body of the closure, which returns its number.
    fn run(self) -> usize {
        self.fates.running.fetch_add(1, Ordering::SeqCst);
        self.fates.runs[self.number].fetch_add(1, Ordering::SeqCst);
        thread::yield_now();
        self.fates.running.fetch_sub(1, Ordering::SeqCst);
        self.number
    }
}

impl Drop for Fate {
    fn drop(&mut self) {
        self.fates.drops[self.number].fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
fn a_job_runs_at_most_once_and_its_handle_says_whether() {
    const THREADS: usize = 4;
    const JOBS: usize = 100;
    const ALL: usize = THREADS * JOBS;
    let _watchdog = watchdog();
    for round in 0..60 {
        let runtime = with_threads(1 + round % 3);
        let fates = Fates::new(ALL);
        let submitted = Arc::new(AtomicUsize::new(0));
        let threads = [0, 1, 2, 3].map(|thread| {
            let (handle, fates) = (runtime.handle(), fates.clone());
            let submitted = submitted.clone();
            thread::spawn(move || {
                let mut dice = Dice((round * THREADS + thread) as u64);
                let (mut kept, mut aborts) = (Vec::new(), Vec::new());
                for number in thread * JOBS..(thread + 1) * JOBS {
                    let fates = fates.clone();
                    let fate = Fate { number, fates };
                    let job = handle.spawn_blocking(move || fate.run());
                    submitted.fetch_add(1, Ordering::SeqCst);
                    match dice.roll(6) {
                        0 => drop(job),
                        1 => job.abort(),
                        2 => aborts.push(job.abort_handle()),
                        3 => {
                            job.abort();
                            kept.push((number, job));
                        }
                        4 => {
                            aborts.push(job.abort_handle());
                            kept.push((number, job));
                        }
                        _ => kept.push((number, job)),
                    }
                    if dice.roll(2) == 0
                        && let Some(abort) = aborts.pop()
                    {
                        abort.abort();
                    }
                }
                kept
            })
        });
        let end = Dice(round as u64).roll(ALL);
        runtime.block_on(until(|| submitted.load(Ordering::SeqCst) >= end));
        match round % 4 {
            0 => drop(runtime),
            1 => runtime.shutdown_timeout(Duration::ZERO),
            _ => {
                runtime.shutdown_timeout(Duration::MAX);
                assert_eq!(fates.running.load(Ordering::SeqCst), 0);
            }
        }
        for kept in threads.map(|thread| thread.join().unwrap()) {
            for (number, job) in kept {
                let outcome = park_on(job);
                let runs = fates.runs[number].load(Ordering::SeqCst);
                match outcome {
                    Ok(output) => assert_eq!((output, runs), (number, 1)),
                    Err(error) => assert!(error.is_cancelled() && runs == 0, "{error}"),
                }
            }
        }
        let sum = |counts: &[AtomicUsize]| -> usize {
            counts
                .iter()
                .map(|count| count.load(Ordering::SeqCst))
                .sum()
        };
        wait_until(|| sum(&fates.drops) >= ALL);
        for number in 0..ALL {
            assert!(fates.runs[number].load(Ordering::SeqCst) <= 1);
            assert_eq!(fates.drops[number].load(Ordering::SeqCst), 1);
        }
    }
}

/// Observations through `/proc`, on Linux.
#[cfg(target_os = "linux")]
mod system {
    use super::{PATIENCE, gate, occupy, patient_with_threads, wait_until, with_threads};
    use crate::support::{
        child, child_in_little_space, exhaust, open_files, park_on, status, watchdog,
    };
    use crate::task_probes::{Drops, inside, logged, record_log};
    use glassfrog::task::spawn_blocking;
    use glassfrog::{Handle, Runtime};
    use std::error::Error;
    use std::io;
    use std::sync::mpsc::channel;
    use std::thread;
    use std::time::{Duration, Instant};

    /// Returns the number of threads of this process.
    fn threads() -> usize {
        status("self", "Threads")
    }

    #[test]
    fn the_pool_starts_no_thread_before_the_first_job() {
        child(|| {
            let _watchdog = watchdog();
            let before = threads();
            let runtime = Runtime::new().unwrap();
            let handle = runtime.handle();
            assert_eq!(inside(&runtime, threads), before);
            let (open, closed) = gate();
            let job = occupy(&handle, &closed);
            assert_eq!(threads(), before + 1);
            drop(open);
            assert_eq!(park_on(job).unwrap(), "done");
        })
        .finish();
    }

    #[test]
    fn an_idle_thread_stays_for_a_while() {
        child(|| {
            let _watchdog = watchdog();
            let before = threads();
            let runtime = patient_with_threads(1);
            let begun = Instant::now();
            park_on(runtime.handle().spawn_blocking(|| {})).unwrap();
            wait_until(|| {
                thread::sleep(Duration::from_millis(1));
                threads() == before
            });
            assert!(begun.elapsed() >= PATIENCE);
            // The next job starts a thread again.
            let name = || String::from(thread::current().name().unwrap());
            let name = park_on(runtime.handle().spawn_blocking(name)).unwrap();
            assert_eq!(name, "glassfrog-job-2");
        })
        .finish();
    }

    #[test]
    fn many_jobs_leave_nothing_behind() {
        const THREADS: usize = 4;
        child(|| {
            let _watchdog = watchdog();
            let (threads_before, files_before) = (threads(), open_files());
            let runtime = with_threads(THREADS);
            let mut resident = 0;
            for wave in 0..100 {
                let jobs: Vec<_> = (0..1000)
                    .map(|n| runtime.handle().spawn_blocking(move || vec![n; 100]))
                    .collect();
                // And one that watches for a stall.
                assert!(threads() <= threads_before + THREADS + 1);
                for job in jobs {
                    assert_eq!(park_on(job).unwrap().len(), 100);
                }
                if wave == 10 {
                    resident = status("self", "RssAnon");
                }
            }
            let grown = status("self", "RssAnon").saturating_sub(resident);
            // A leak of a byte per job would be 88 KiB, and of the smallest allocation 2.7 MiB.
            assert!(grown < 2048, "{grown} KiB");
            runtime.shutdown_timeout(Duration::MAX);
            assert_eq!(open_files(), files_before);
            // A finished thread may be listed a moment longer.
            wait_until(|| threads() == threads_before);
        })
        .finish();
    }

    #[test]
    fn idle_threads_exit_when_the_runtime_ends() {
        child(|| {
            let _watchdog = watchdog();
            let before = threads();
            // So many times that it would show if they stayed until their usual timeout.
            for round in 0..10 {
                let runtime = Runtime::new().unwrap();
                let (open, closed) = gate();
                let jobs = [(); 5].map(|()| occupy(&runtime.handle(), &closed));
                drop(open);
                for job in jobs {
                    park_on(job).unwrap();
                }
                assert_eq!(threads(), before + 5);
                match round % 2 {
                    0 => drop(runtime),
                    _ => runtime.shutdown_timeout(Duration::MAX),
                }
                wait_until(|| threads() == before);
            }
        })
        .finish();
    }

    #[test]
    fn a_job_fails_with_the_reason_when_no_thread_can_start() {
        child_in_little_space(|| {
            let _watchdog = watchdog();
            let runtime = Runtime::new().unwrap();
            let drops = Drops::default();
            let full = exhaust();
            let reason = thread::Builder::new().spawn(|| {}).unwrap_err();
            for n in 1..=3 {
                let probe = drops.probe();
                let job = inside(&runtime, || spawn_blocking(move || drop(probe)));
                assert!(job.is_finished());
                assert_eq!(drops.count(), n);
                let error = runtime.block_on(job).unwrap_err();
                assert!(error.is_cancelled() && !error.is_panic());
                let source: &io::Error = error.source().unwrap().downcast_ref().unwrap();
                assert_eq!(source.raw_os_error(), reason.raw_os_error());
                assert_eq!(
                    error.to_string(),
                    format!("task {n} was cancelled: no thread could be started for it: {reason}")
                );
            }
            // The failure was temporary.
            drop(full);
            assert_eq!(park_on(runtime.handle().spawn_blocking(|| 7)).unwrap(), 7);
        })
        .finish();
    }

    #[test]
    fn a_job_waits_for_a_busy_thread_when_no_other_can_start() {
        child_in_little_space(|| {
            let _watchdog = watchdog();
            // One pool cannot start another thread, the other may not.
            let runtimes = [Runtime::new().unwrap(), with_threads(1)];
            let (open, closed) = gate();
            let busy = [&runtimes[0], &runtimes[1]].map(|it| occupy(&it.handle(), &closed));
            let full = exhaust();
            thread::Builder::new().spawn(|| {}).unwrap_err();
            let jobs =
                [1, 2, 3, 4, 5, 6].map(|n| runtimes[n % 2].handle().spawn_blocking(move || n));
            assert!(jobs.iter().all(|job| !job.is_finished()));
            drop(open);
            assert_eq!(busy.map(|job| park_on(job).unwrap()), ["done"; 2]);
            assert_eq!(jobs.map(|job| park_on(job).unwrap()), [1, 2, 3, 4, 5, 6]);
            drop(full);
        })
        .finish();
    }

    #[test]
    fn a_stall_caused_by_a_missing_thread_is_reported() {
        child_in_little_space(|| {
            record_log();
            let _watchdog = watchdog();
            let runtime = Runtime::new().unwrap();
            let handle = runtime.handle();
            let (open, closed) = gate();
            let (output, other) = channel();
            let rescue = output.clone();
            let (begun, has_begun) = channel();
            let outer = runtime.handle().spawn_blocking(move || {
                begun.send(()).unwrap();
                closed.pass();
                let inner = handle.spawn_blocking(move || output.send("of the inner job"));
                begun.send(()).unwrap();
                (other.recv().unwrap(), other, inner)
            });
            has_begun.recv().unwrap();
            let full = exhaust();
            drop(open);
            has_begun.recv().unwrap();
            drop(full);
            // Another thread could be started now, if the pool tried.
            wait_until(|| {
                thread::sleep(Duration::from_millis(1));
                !logged("no thread could be started").is_empty()
            });
            rescue.send("of the test").unwrap();
            let (output, other, inner) = park_on(outer).unwrap();
            assert_eq!(output, "of the test");
            park_on(inner).unwrap().unwrap();
            assert_eq!(other.recv().unwrap(), "of the inner job");
        })
        .finish();
    }

    #[test]
    fn a_shutdown_ends_while_another_thread_fails_to_start_a_thread() {
        child_in_little_space(|| {
            let _watchdog = watchdog();
            let (send, handles) = channel::<Handle>();
            let (begun, has_begun) = channel();
            let submitter = thread::spawn(move || {
                for handle in handles {
                    begun.send(()).unwrap();
                    // Until the cause of the cancellation is no longer a missing thread. Now and then there may be
                    // room for one.
                    while park_on(handle.spawn_blocking(|| {}))
                        .map_or_else(|error| error.source().is_some(), |()| true)
                    {
                    }
                }
            });
            let full = exhaust();
            for _ in 0..1000 {
                let runtime = Runtime::new().unwrap();
                send.send(runtime.handle()).unwrap();
                has_begun.recv().unwrap();
                runtime.shutdown_timeout(Duration::MAX);
            }
            drop((send, full));
            submitter.join().unwrap();
        })
        .finish();
    }
}

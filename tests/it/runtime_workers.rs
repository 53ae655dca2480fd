//! Workers: several runtimes on their own threads, where futures run, and how workers end.

use crate::support::{block_on, park_on, settle, watchdog};
use crate::task_probes::{Drops, panic_text};
use futures::channel::{mpsc, oneshot};
use futures::future::join_all;
use futures::{SinkExt, StreamExt};
use glassfrog::task::{spawn_blocking, yield_now};
use glassfrog::time::{now, sleep};
use glassfrog::{Builder, Handle, OnTaskPanic, WorkerError, Workers, spawn};
use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::future::{pending, ready};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind, panic_any};
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc as std_mpsc};
use std::thread::{self, ThreadId};
use std::time::Duration;

/// The number of workers in most tests, which may exceed the number of cores.
const WORKERS: usize = 4;

/// Asserts that workers are `Send` and `Sync`.
const _: fn() = || {
    fn crosses<T: Send + Sync + Unpin>() {}
    crosses::<Workers>();
    crosses::<WorkerError>();
};

/// Counts the threads that have exited.
#[derive(Clone, Default)]
struct EndedThreads(Arc<AtomicUsize>);

impl EndedThreads {
    /// Counts the exit of this thread.
    fn count_this(&self) {
        /// A thread-local value that counts when the thread destroys it.
        struct AtEnd(EndedThreads);
        impl Drop for AtEnd {
            fn drop(&mut self) {
                self.0.0.fetch_add(1, Ordering::SeqCst);
            }
        }
        thread_local! {
            static AT_END: RefCell<Option<AtEnd>> = const { RefCell::new(None) };
        }
        AT_END.set(Some(AtEnd(self.clone())));
    }

    /// Counts the exits of the threads of all workers.
    fn of(workers: &Workers) -> EndedThreads {
        let ended = EndedThreads::default();
        let theirs = ended.clone();
        block_on(join_all(workers.spawn_on_each(move |_| {
            theirs.count_this();
            ready(())
        })));
        ended
    }

    /// Returns how many threads have exited.
    fn count(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

/// Returns the thread of each worker, in order.
fn threads(workers: &Workers) -> Vec<ThreadId> {
    let ids = workers.spawn_on_each(|_| async { thread::current().id() });
    let ids = block_on(join_all(ids));
    ids.into_iter().map(Result::unwrap).collect()
}

// Where futures run.

#[test]
fn each_worker_is_a_runtime_on_its_own_named_thread() {
    let workers = Workers::new(WORKERS).unwrap();
    assert_eq!(workers.handles().len(), WORKERS);
    let ids = threads(&workers);
    let distinct: HashSet<_> = ids.iter().copied().collect();
    assert_eq!(distinct.len(), WORKERS);
    assert!(!distinct.contains(&thread::current().id()));
    block_on(async {
        for (index, handle) in workers.handles().iter().enumerate() {
            let task = handle.spawn(async {
                assert!(Handle::try_current().is_some());
                // Tasks spawned on a worker stay there.
                spawn(async { thread::current() }).await.unwrap()
            });
            let thread = task.await.unwrap();
            assert_eq!(thread.id(), ids[index]);
            assert_eq!(thread.name(), Some(&*format!("glassfrog-{index}")));
        }
    });
    assert_eq!(threads(&workers), ids);
}

#[test]
fn the_closure_and_its_future_run_on_the_thread_of_their_worker() {
    let workers = Workers::new(WORKERS).unwrap();
    let ids = threads(&workers);
    let theirs = ids.clone();
    let outputs = workers.run(move |index| {
        let here = thread::current();
        assert_eq!(here.id(), theirs[index]);
        assert!(Handle::try_current().is_some());
        // The future is not `Send`.
        let own = Rc::new(Cell::new(index));
        async move {
            for _ in 0..10 {
                yield_now().await;
                own.set(own.get() + WORKERS);
            }
            assert_eq!(thread::current().id(), theirs[index]);
            own.get()
        }
    });
    let outputs: Vec<_> = outputs.into_iter().map(Result::unwrap).collect();
    assert_eq!(outputs, [40, 41, 42, 43]);
}

#[test]
fn workers_run_in_parallel_and_wake_each_other() {
    const ROUNDS: usize = 200;
    let _watchdog = watchdog();
    // A ring: each worker sends to the next.
    let (senders, receivers): (Vec<_>, Vec<_>) = (0..WORKERS).map(|_| mpsc::channel(1)).unzip();
    let receivers = receivers.into_iter().map(Some).collect::<Vec<_>>();
    let ends = Arc::new(Mutex::new((senders, receivers)));
    let outputs = Workers::new(WORKERS).unwrap().run(move |index| {
        let (mut next, mut own) = {
            let mut ends = ends.lock().unwrap();
            let next = ends.0[(index + 1) % WORKERS].clone();
            (next, ends.1[index].take().unwrap())
        };
        async move {
            let mut last = 0;
            if index == 0 {
                next.send(1).await.unwrap();
            }
            for _ in 0..ROUNDS {
                last = own.next().await.unwrap();
                // The last worker may have stopped already.
                let _sent = next.send(last + 1).await;
            }
            last
        }
    });
    let outputs: Vec<usize> = outputs.into_iter().map(Result::unwrap).collect();
    let last = WORKERS * (ROUNDS - 1);
    assert_eq!(outputs, [last + 4, last + 1, last + 2, last + 3]);
}

// How `run` ends.

#[test]
fn run_returns_the_outputs_in_the_order_of_the_workers() {
    let _watchdog = watchdog();
    let (senders, receivers): (Vec<_>, Vec<_>) =
        (0..WORKERS).map(|_| oneshot::channel::<()>()).unzip();
    let senders: Vec<_> = senders.into_iter().map(Some).collect();
    let receivers: Vec<_> = receivers.into_iter().map(Some).collect();
    let gates = Arc::new(Mutex::new((senders, receivers)));
    // The last worker finishes first, and each lets the previous one finish.
    let outputs = Workers::new(WORKERS).unwrap().run(move |index| {
        let gates = Arc::clone(&gates);
        async move {
            let own = gates.lock().unwrap().1[index].take().unwrap();
            if index < WORKERS - 1 {
                own.await.unwrap();
            }
            if index > 0 {
                let former = gates.lock().unwrap().0[index - 1].take();
                former.unwrap().send(()).unwrap();
            }
            format!("worker {index}")
        }
    });
    let outputs: Vec<_> = outputs.into_iter().map(Result::unwrap).collect();
    assert_eq!(outputs, ["worker 0", "worker 1", "worker 2", "worker 3"]);
}

#[test]
fn run_waits_for_every_worker_and_then_stops_them_all() {
    let _watchdog = watchdog();
    let workers = Workers::new(WORKERS).unwrap();
    let handles = workers.handles().to_vec();
    let ended = EndedThreads::of(&workers);
    let (others, drops) = (Arc::new(AtomicUsize::new(0)), Drops::default());
    let of_tasks = drops.clone();
    let outputs = workers.run(move |index| {
        let others = Arc::clone(&others);
        let probe = of_tasks.probe();
        async move {
            // A task that runs beside the future of `run` until that completes.
            drop(spawn(async move {
                let _probe = probe;
                pending::<()>().await;
            }));
            if index > 0 {
                others.fetch_add(1, Ordering::SeqCst);
                return true;
            }
            while others.load(Ordering::SeqCst) < WORKERS - 1 {
                yield_now().await;
            }
            settle().await;
            of_tasks.count() == 0
        }
    });
    assert!(outputs.into_iter().all(Result::unwrap));
    assert_eq!((ended.count(), drops.count()), (WORKERS, WORKERS));
    for handle in handles {
        assert!(park_on(handle.spawn(async {})).unwrap_err().is_cancelled());
    }
}

#[test]
fn a_panic_in_run_cancels_the_other_workers_and_propagates() {
    let _watchdog = watchdog();
    for (panicking, in_closure) in [(0, false), (2, false), (WORKERS - 1, true)] {
        let drops = Drops::default();
        let workers = Workers::new(WORKERS).unwrap();
        let (ids, ended) = (threads(&workers), EndedThreads::of(&workers));
        let (probes, waiting) = (drops.clone(), Arc::new(AtomicUsize::new(0)));
        let outcomes = workers.run(move |index| {
            if in_closure && index == panicking {
                while waiting.load(Ordering::SeqCst) < WORKERS - 1 {
                    thread::yield_now();
                }
                panic_any(index);
            }
            let (probe, waiting) = (probes.probe(), Arc::clone(&waiting));
            async move {
                let _probe = probe;
                if index == panicking {
                    while waiting.load(Ordering::SeqCst) < WORKERS - 1 {
                        yield_now().await;
                    }
                    panic_any(index);
                }
                waiting.fetch_add(1, Ordering::SeqCst);
                pending::<()>().await;
            }
        });
        assert_eq!(outcomes.len(), WORKERS);
        for (index, outcome) in outcomes.into_iter().enumerate() {
            let error = outcome.unwrap_err();
            assert_eq!(error.is_panic(), index == panicking);
            if index == panicking {
                assert_eq!(error.into_panic().downcast_ref(), Some(&index));
            }
        }
        assert_eq!(ended.count(), WORKERS);
        // Each on the thread and inside the runtime of its worker.
        let places = drops.places();
        assert!(places.iter().all(|place| place.inside));
        let dropped_on: HashSet<_> = places.iter().map(|place| place.thread).collect();
        let expected = ids.iter().enumerate();
        let expected = expected.filter(|(index, _)| !in_closure || *index != panicking);
        assert_eq!(dropped_on, expected.map(|(_, id)| *id).collect());
        assert_eq!(places.len(), dropped_on.len());
    }
}

#[test]
fn an_output_finished_before_a_panic_is_kept() {
    let _watchdog = watchdog();
    let (done, is_done) = oneshot::channel::<()>();
    let ends = Arc::new(Mutex::new((Some(done), Some(is_done))));
    let outcomes = Workers::new(2).unwrap().run(move |index| {
        let ends = Arc::clone(&ends);
        async move {
            if index == 0 {
                let sender = ends.lock().unwrap().0.take();
                // The drop at its end is the signal.
                drop(sender);
                return "output";
            }
            let receiver = ends.lock().unwrap().1.take().unwrap();
            assert!(receiver.await.is_err());
            panic!("afterwards")
        }
    });
    let [first, second] = outcomes.try_into().unwrap();
    assert_eq!(first.unwrap(), "output");
    assert!(second.unwrap_err().is_panic());
}

#[test]
fn run_propagates_a_panic_that_ends_a_runtime() {
    let _watchdog = watchdog();
    let builder = Builder::new().on_task_panic(OnTaskPanic::EndRuntime);
    let outcomes = Workers::build(builder, 2).unwrap().run(|index| async move {
        if index == 1 {
            panic!("the end of runtime 1");
        }
        pending::<()>().await;
    });
    let texts = outcomes.into_iter().map(|end| end.unwrap_err().to_string());
    let [first, second] = texts.collect::<Vec<_>>().try_into().unwrap();
    assert!(first.ends_with("was cancelled"), "{first}");
    assert!(
        second.ends_with("panicked: the end of runtime 1"),
        "{second}"
    );
}

#[test]
fn run_inside_a_runtime_panics_with_advice_and_stops_the_workers() {
    let _watchdog = watchdog();
    block_on(async {
        let workers = Workers::new(2).unwrap();
        let handles = workers.handles().to_vec();
        let text = panic_text(|| workers.run(|_| pending::<()>()));
        assert!(text.contains("inside a runtime"), "{text}");
        for handle in handles {
            assert!(handle.spawn(async {}).await.unwrap_err().is_cancelled());
        }
        // The outer runtime still works.
        assert_eq!(spawn(async { 5 }).await.unwrap(), 5);
    });
}

// How workers are stopped.

/// The ways to end workers when nobody awaits their tasks.
const ENDS: [fn(Workers); 2] = [|workers| workers.stop().unwrap(), drop];

#[test]
fn stop_waits_until_workers_have_dropped_their_tasks_on_their_threads() {
    let _watchdog = watchdog();
    for end in ENDS {
        let workers = Workers::new(WORKERS).unwrap();
        let (ids, ended) = (threads(&workers), EndedThreads::of(&workers));
        let drops = Drops::default();
        let probes = drops.clone();
        let tasks = workers.spawn_on_each(move |_| {
            let (own, of_child) = (probes.probe(), probes.probe());
            async move {
                let _own = own;
                let child = spawn(async move {
                    let _own = of_child;
                    pending::<()>().await;
                });
                sleep(Duration::MAX).await;
                child.await.unwrap();
            }
        });
        // Once a task queued behind it has run, each closure has been called.
        threads(&workers);
        assert_eq!(drops.count(), 0);
        end(workers);
        assert_eq!(ended.count(), WORKERS);
        let places = drops.places();
        assert!(places.iter().all(|place| place.inside));
        for id in ids {
            let count = places.iter().filter(|place| place.thread == id).count();
            assert_eq!(count, 2);
        }
        for task in tasks {
            assert!(park_on(task).unwrap_err().is_cancelled());
        }
    }
}

#[test]
fn busy_and_newly_started_workers_can_be_stopped() {
    let _watchdog = watchdog();
    for end in ENDS {
        let workers = Workers::new(WORKERS).unwrap();
        let tasks = workers.spawn_on_each(|_| async {
            loop {
                yield_now().await;
            }
        });
        end(workers);
        for task in tasks {
            let ended: Result<(), _> = park_on(task);
            assert!(ended.unwrap_err().is_cancelled());
        }
        end(Workers::new(WORKERS).unwrap());
    }
}

#[test]
fn a_task_that_blocks_its_thread_delays_stop() {
    let _watchdog = watchdog();
    let workers = Workers::new(2).unwrap();
    let (begun, has_begun) = std_mpsc::channel();
    let (go_on, goes_on) = std_mpsc::channel::<()>();
    let ended = Arc::new(AtomicUsize::new(0));
    let theirs = Arc::clone(&ended);
    drop(workers.handles()[0].spawn(async move {
        begun.send(()).unwrap();
        goes_on.recv().unwrap();
        theirs.fetch_add(1, Ordering::SeqCst);
    }));
    has_begun.recv().unwrap();
    // `stop` waits; the other worker has stopped when it lets the first one continue.
    let other = workers.handles()[1].clone();
    let stopping = thread::spawn(move || workers.stop().unwrap());
    while !park_on(other.spawn(async {})).is_err_and(|error| error.is_cancelled()) {
        thread::yield_now();
    }
    assert!(!stopping.is_finished());
    go_on.send(()).unwrap();
    stopping.join().unwrap();
    assert_eq!(ended.load(Ordering::SeqCst), 1);
}

#[test]
fn stop_returns_a_panic_that_ended_a_runtime_after_all_threads_exit() {
    /// A payload that only this test uses.
    struct Payload(usize);
    let _watchdog = watchdog();
    for panicking in [0, WORKERS - 1] {
        let builder = Builder::new().on_task_panic(OnTaskPanic::EndRuntime);
        let workers = Workers::build(builder, WORKERS).unwrap();
        let ended = EndedThreads::of(&workers);
        let handle = &workers.handles()[panicking];
        let task = handle.spawn(async move { panic_any(Payload(panicking)) });
        assert!(park_on(task).map(|()| "no panic").unwrap_err().is_panic());
        while !park_on(handle.spawn(async {})).is_err_and(|error| error.is_cancelled()) {
            thread::yield_now();
        }
        // The other workers are not affected.
        for (index, handle) in workers.handles().iter().enumerate() {
            let outcome = park_on(handle.spawn(async {}));
            assert_eq!(outcome.is_ok(), index != panicking);
        }
        let error = workers.stop().unwrap_err();
        assert_eq!(error.worker(), panicking);
        let payload = error.into_panic();
        assert_eq!(payload.downcast::<Payload>().unwrap().0, panicking);
        assert_eq!(ended.count(), WORKERS);
    }
}

#[test]
fn the_error_of_stop_converts_into_an_io_error_with_the_same_message() {
    /// Stops workers as a typical `main` does.
    fn stop(workers: Workers) -> io::Result<()> {
        workers.stop()?;
        Ok(())
    }
    let _watchdog = watchdog();
    assert!(stop(Workers::new(2).unwrap()).is_ok());

    let builder = Builder::new().on_task_panic(OnTaskPanic::EndRuntime);
    let workers = Workers::build(builder, 2).unwrap();
    for (index, handle) in workers.handles().iter().enumerate() {
        let task = handle.spawn(async move { panic!("out of luck {index}") });
        assert!(park_on(task).map(|()| "no panic").unwrap_err().is_panic());
        while park_on(handle.spawn(async {})).is_ok() {
            thread::yield_now();
        }
    }
    let error = stop(workers).unwrap_err();
    assert_eq!(error.to_string(), "a panic ended worker 0: out of luck 0");
    // The text that a `main` prints when it returns the error.
    assert!(format!("{error:?}").contains(&error.to_string()));
    let inner = error.into_inner().unwrap();
    assert!(inner.downcast::<WorkerError>().is_ok());
}

#[test]
fn a_task_panic_reaches_the_workers_only_if_it_ends_its_runtime() {
    let _watchdog = watchdog();
    let workers = Workers::new(2).unwrap();
    for task in workers.spawn_on_each(|_| async { panic!("its handle's alone") }) {
        let ended: Result<(), _> = park_on(task);
        assert!(ended.unwrap_err().is_panic());
    }
    assert_eq!(threads(&workers).len(), 2);
    assert!(workers.stop().is_ok());
}

#[test]
fn dropping_workers_swallows_the_panic_that_ended_a_runtime() {
    let _watchdog = watchdog();
    let builder = Builder::new().on_task_panic(OnTaskPanic::EndRuntime);
    let workers = Workers::build(builder, 2).unwrap();
    let ended = EndedThreads::of(&workers);
    let task = workers.handles()[0].spawn(async { panic!("nobody asks") });
    assert!(park_on(task).map(|()| "no panic").unwrap_err().is_panic());
    assert!(catch_unwind(AssertUnwindSafe(|| drop(workers))).is_ok());
    assert_eq!(ended.count(), 2);
}

#[test]
fn workers_can_be_stopped_on_one_of_their_own_threads() {
    let _watchdog = watchdog();
    for end in ENDS {
        for blocking in [false, true] {
            let workers = Workers::new(WORKERS).unwrap();
            let (ended, handles) = (EndedThreads::of(&workers), workers.handles().to_vec());
            let (send, has_ended) = std_mpsc::channel();
            let theirs = ended.clone();
            let end = move || {
                end(workers);
                send.send(theirs.count()).unwrap();
            };
            // A blocking job runs on a thread of the pool.
            let others = match blocking {
                true => {
                    drop(handles[0].spawn_blocking(end));
                    WORKERS
                }
                false => {
                    drop(handles[0].spawn(async move { end() }));
                    WORKERS - 1
                }
            };
            let waited_for = has_ended.recv().unwrap();
            assert!((others..=WORKERS).contains(&waited_for), "{waited_for}");
            // The last worker ends by itself.
            while ended.count() < WORKERS {
                thread::yield_now();
            }
            for handle in &handles {
                assert!(park_on(handle.spawn(async {})).unwrap_err().is_cancelled());
            }
        }
    }
}

#[test]
fn workers_owned_by_one_of_their_tasks_are_dropped_with_it() {
    let _watchdog = watchdog();
    // With the task when its handle aborts it, or with its runtime after a panic.
    for by_abort in [false, true] {
        let builder = Builder::new().on_task_panic(OnTaskPanic::EndRuntime);
        let workers = Workers::build(builder, WORKERS).unwrap();
        let (ended, handles) = (EndedThreads::of(&workers), workers.handles().to_vec());
        let holding = handles[1].spawn(async move {
            let _workers = workers;
            pending::<()>().await;
        });
        park_on(handles[1].spawn(async {})).unwrap();
        if by_abort {
            holding.abort();
        } else {
            drop(handles[1].spawn(async { panic!("the end of the runtime") }));
        }
        while ended.count() < WORKERS {
            thread::yield_now();
        }
        assert!(park_on(holding).unwrap_err().is_cancelled());
    }
}

#[test]
fn a_running_blocking_job_does_not_delay_stop() {
    let _watchdog = watchdog();
    let workers = Workers::new(2).unwrap();
    let (begun, has_begun) = std_mpsc::channel();
    let (go_on, goes_on) = std_mpsc::channel::<()>();
    let job = workers.handles()[0].spawn_blocking(move || {
        begun.send(()).unwrap();
        goes_on.recv().unwrap();
        "done"
    });
    has_begun.recv().unwrap();
    workers.stop().unwrap();
    go_on.send(()).unwrap();
    assert_eq!(park_on(job).unwrap(), "done");
}

#[test]
fn handles_of_stopped_workers_drop_new_futures_and_return_cancelled_tasks() {
    let _watchdog = watchdog();
    let workers = Workers::new(2).unwrap();
    let handles = workers.handles().to_vec();
    assert!(!format!("{workers:?}").contains("ended: true"));
    workers.stop().unwrap();
    let drops = Drops::default();
    for handle in handles {
        let probe = drops.probe();
        let task = handle.spawn(async move { drop(probe) });
        assert!(park_on(task).unwrap_err().is_cancelled());
        let probe = drops.probe();
        let task = handle.spawn_with(move || async move { drop(probe) });
        assert!(park_on(task).unwrap_err().is_cancelled());
        assert!(format!("{handle:?}").contains("ended: true"));
    }
    assert_eq!(drops.count(), 4);
}

// How workers are built.

#[test]
fn a_count_of_zero_workers_panics_with_advice() {
    for make in [Workers::new, |count| Workers::build(Builder::new(), count)] {
        let text = panic_text(|| make(0));
        assert!(text.contains("`count` must be at least 1"), "{text}");
    }
}

#[test]
fn the_settings_reach_every_worker() {
    const YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);
    /// Returns the order in which tasks run.
    async fn order() -> Vec<usize> {
        let order = Rc::new(RefCell::new(Vec::new()));
        let tasks = (0..20).map(|number| {
            let order = Rc::clone(&order);
            spawn(async move { order.borrow_mut().push(number) })
        });
        for task in tasks.collect::<Vec<_>>() {
            task.await.unwrap();
        }
        order.take()
    }
    /// Returns the maximum number of concurrent blocking jobs.
    async fn jobs_at_once() -> usize {
        let running = Arc::new(AtomicUsize::new(0));
        let jobs = (0..5).map(|_| {
            let running = Arc::clone(&running);
            spawn_blocking(move || {
                let mut most = running.fetch_add(1, Ordering::SeqCst) + 1;
                // Gives further jobs time to begin, if they may.
                for _ in 0..1000 {
                    thread::yield_now();
                    most = most.max(running.load(Ordering::SeqCst));
                }
                running.fetch_sub(1, Ordering::SeqCst);
                most
            })
        });
        let most = join_all(jobs).await;
        most.into_iter().map(Result::unwrap).max().unwrap()
    }
    let _watchdog = watchdog();
    let settings = Builder::new().virtual_clock().seed(7).blocking_threads(1);
    let outputs = Workers::build(settings, WORKERS).unwrap().run(|_| async {
        let before = now();
        sleep(YEAR).await;
        (now() - before, order().await, jobs_at_once().await)
    });
    for output in outputs {
        let (slept, order, jobs_at_once) = output.unwrap();
        assert_eq!((slept, jobs_at_once), (YEAR, 1));
        assert!(!order.is_sorted(), "{order:?}");
    }
}

/// Observations through `/proc`.
#[cfg(target_os = "linux")]
mod process {
    use super::*;
    use crate::support::{Files, child, child_with, open_files, status};
    use glassfrog::net::TcpListener;
    use socket2::{Domain, Socket, Type};
    use std::io::Read;
    use std::net::{self, Ipv4Addr, SocketAddr};

    /// Waits until there are no more threads than before: the kernel may list a joined thread for a moment.
    fn until_as_many_threads_as(before: usize) {
        while status("self", "Threads") > before {
            thread::yield_now();
        }
    }

    #[test]
    fn a_worker_that_cannot_start_is_an_error_and_stops_the_others() {
        const FILES: u32 = 32;
        child_with(Files::AtMost(FILES), || {
            let _watchdog = watchdog();
            let before = (status("self", "Threads"), open_files());
            for _ in 0..20 {
                // There are enough descriptors for the first worker.
                let error = Workers::new(FILES as usize).map(drop).unwrap_err();
                // `EMFILE`
                assert_eq!(error.raw_os_error(), Some(24), "{error}");
                assert_eq!(open_files(), before.1);
                until_as_many_threads_as(before.0);
            }
            // The workers that could start have freed their descriptors.
            let outputs = Workers::new(3).unwrap().run(ready);
            assert!(outputs.into_iter().map(Result::unwrap).eq(0..3));
        })
        .finish();
    }

    #[test]
    fn a_hundred_generations_of_workers_leave_no_threads_and_no_files() {
        child(|| {
            let _watchdog = watchdog();
            let before = (status("self", "Threads"), open_files());
            for round in 0..100 {
                let workers = Workers::new(WORKERS).unwrap();
                assert!(open_files() > before.1);
                match round % 4 {
                    0 => workers.stop().unwrap(),
                    1 => drop(workers),
                    2 => drop(workers.run(|index| async move {
                        assert!(index != 1, "the panic of one worker");
                        pending::<()>().await;
                    })),
                    _ => {
                        let tasks = workers.spawn_on_each(|_| async {
                            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
                            drop(spawn(async move { listener.accept().await.map(drop) }));
                            sleep(Duration::MAX).await;
                        });
                        threads(&workers);
                        drop((tasks, workers));
                    }
                }
                assert_eq!(open_files(), before.1, "round {round}");
                until_as_many_threads_as(before.0);
            }
        })
        .finish();
    }

    /// Returns a listener on a port that several listeners may share.
    fn sharing(addr: SocketAddr) -> net::TcpListener {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.set_reuse_port(true).unwrap();
        socket.bind(&addr.into()).unwrap();
        socket.listen(128).unwrap();
        socket.into()
    }

    #[test]
    fn workers_share_a_port_and_all_serve_connections() {
        let _watchdog = watchdog();
        // Reserves the port. It does not listen, so it gets no connection.
        let holder = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        holder.set_reuse_port(true).unwrap();
        let anywhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        holder.bind(&anywhere.into()).unwrap();
        let addr = holder.local_addr().unwrap().as_socket().unwrap();

        let workers = Workers::new(WORKERS).unwrap();
        let ids = threads(&workers);
        let listening = workers.spawn_on_each(move |index| async move {
            let listener = TcpListener::try_from(sharing(addr)).unwrap();
            drop(spawn(async move {
                loop {
                    let (stream, _) = listener.accept().await.unwrap();
                    drop(spawn(async move {
                        stream.writable().await.unwrap();
                        // A byte always fits into the buffer of a new connection.
                        stream.try_write(&[index as u8]).unwrap();
                    }));
                }
            }));
            thread::current().id()
        });
        let listening: Vec<_> = block_on(join_all(listening));
        assert!(listening.into_iter().map(Result::unwrap).eq(ids));
        // The kernel distributes connections by address; eventually each worker gets one.
        let mut served = [false; WORKERS];
        while served.contains(&false) {
            let mut answer = [0];
            let mut stream = net::TcpStream::connect(addr).unwrap();
            stream.read_exact(&mut answer).unwrap();
            assert_eq!(stream.read(&mut answer).unwrap(), 0);
            served[usize::from(answer[0])] = true;
        }
        workers.stop().unwrap();
        net::TcpStream::connect(addr).unwrap_err();
    }
}

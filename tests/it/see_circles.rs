//! Circles of tasks that wait for one another: which ones the runtime reports, and which programs only look like circles.
//!
//! A runtime that is silent has to be silent for longer than it takes to report a circle. So a test makes a real circle
//! after the program that it examines, and waits until the real one is reported.

use crate::support::{accepted, settle, watchdog};
use crate::task_probes::{inside, logged, panic_text, record_log};
use futures::channel::oneshot as foreign;
use futures::future::{join, pending, select};
use futures::stream::{FuturesUnordered, StreamExt as _};
use glassfrog::net::TcpListener;
use glassfrog::sync::{Mutex, RwLock, Semaphore, mpsc, oneshot};
use glassfrog::task::{self, JoinHandle, JoinSet, scope, waiting_for, yield_now};
use glassfrog::time::{sleep, timeout};
use glassfrog::{Builder, Handle, OnDeadlock, Runtime};
use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Poll, Waker};
use std::thread;
use std::time::Duration;

/// A time that no test waits for.
const LONG: Duration = Duration::from_secs(3600);

/// Returns settings under which a certain circle panics.
fn strict() -> Builder {
    record_log();
    Builder::new().watchdog(LONG).on_deadlock(OnDeadlock::Panic)
}

/// Runs a future on such a runtime.
fn run<F: Future>(future: F) -> F::Output {
    let _watchdog = watchdog();
    strict().build().unwrap().block_on(future)
}

/// Spawns a task with a name.
#[track_caller]
fn spawn<F: Future + 'static>(name: &str, future: F) -> JoinHandle<F::Output> {
    task::Builder::new().name(name).spawn(future)
}

/// Spawns 500 tasks that work, and a server that listens.
fn healthy() {
    for index in 0..500 {
        drop(glassfrog::spawn(async move {
            loop {
                sleep(Duration::from_millis(100 + index)).await;
            }
        }));
    }
    drop(glassfrog::spawn(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        drop(listener.accept().await);
    }));
}

/// Spawns tasks that await one another in a ring. Their names begin with `name`.
fn join_ring(name: &str, count: usize) -> Vec<task::AbortHandle> {
    let first: Rc<Cell<Option<JoinHandle<()>>>> = Rc::default();
    let theirs = Rc::clone(&first);
    let mut aborts = Vec::new();
    let mut last = spawn(&format!("{name} 0"), async move {
        let next = theirs.take().unwrap();
        let _ended = next.await;
    });
    aborts.push(last.abort_handle());
    for index in 1..count {
        last = spawn(&format!("{name} {index}"), async move {
            let _ended = last.await;
        });
        aborts.push(last.abort_handle());
    }
    first.set(Some(last));
    aborts
}

/// Spawns two tasks that take two locks in opposite orders. The names begin with `name`.
fn lock_ring(name: &str) -> [JoinHandle<()>; 2] {
    let locks = Rc::new([(); 2].map(|()| Mutex::new(())));
    [0, 1].map(|index| {
        let locks = Rc::clone(&locks);
        spawn(&format!("{name} {index}"), async move {
            let _first = locks[index].lock().await;
            yield_now().await;
            drop(locks[1 - index].lock().await);
        })
    })
}

/// Waits until the log contains a text.
async fn until_logged(text: &str) {
    while logged(text).is_empty() {
        // Polls the log, and orders nothing.
        sleep(Duration::from_millis(20)).await;
    }
}

/// Waits until every circle that exists has been reported, if it is one.
async fn outlast() {
    static LAST: AtomicUsize = AtomicUsize::new(0);
    let name = format!("the control {}", LAST.fetch_add(1, Ordering::Relaxed));
    settle().await;
    let [one, _other] = lock_ring(&name);
    until_logged(&format!("{name} 0")).await;
    one.abort();
    settle().await;
}

/// Checks that one likely circle of tasks with this name was reported, and no deadlock of them. Returns the report.
#[track_caller]
fn likely(name: &str) -> String {
    let lines = logged(&format!("likely circle: \"{name} 0\" waits for "));
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].starts_with("WARN"), "{lines:?}");
    assert!(!lines[0].contains("deadlock"), "{lines:?}");
    assert_eq!(logged(&format!("deadlock: \"{name} 0\"")), [""; 0]);
    lines[0].clone()
}

// Circles.

#[test]
fn a_ring_of_joins_among_healthy_tasks_is_a_deadlock() {
    for count in [1, 2, 5] {
        let text = panic_text(|| {
            run(async {
                healthy();
                settle().await;
                drop(join_ring("certain", count));
                sleep(LONG).await;
            });
        });
        let (sentence, _) = text.split_once(". Nothing else can").unwrap();
        let next = match count {
            1 => String::from("itself"),
            _ => format!("\"certain {}\"", count - 1),
        };
        let begin = format!("deadlock: \"certain 0\" waits for {next} (join)");
        assert!(sentence.starts_with(&begin), "{text}");
        let last = if count == 1 {
            "itself"
        } else {
            "\"certain 0\""
        };
        assert!(
            sentence.ends_with(&format!("waits for {last} (join)")),
            "{text}"
        );
        assert_eq!(sentence.matches("waits for").count(), count);
        assert!(
            text.contains("\"certain 0\" was spawned at tests/it/see_circles.rs:"),
            "{text}"
        );
        // The dump follows.
        assert!(text.contains("\nmain  "), "{text}");
    }
}

#[test]
fn a_ring_of_a_scope_and_a_join_is_a_deadlock() {
    let text = panic_text(|| {
        run(async {
            healthy();
            let place: Rc<RefCell<Option<JoinHandle<()>>>> = Rc::default();
            let theirs = Rc::clone(&place);
            let parent = spawn("scoped", async move {
                scope(async |s| {
                    s.spawn(async {
                        let parent = theirs.borrow_mut().take().unwrap();
                        parent.await.unwrap();
                    });
                    // The body ends later.
                    sleep(Duration::from_millis(30)).await;
                })
                .await;
            });
            place.replace(Some(parent));
            sleep(LONG).await;
        });
    });
    let begin = "deadlock: \"scoped\" waits for task ";
    assert!(text.starts_with(begin), "{text}");
    assert!(
        text.contains("(scope), which waits for \"scoped\" (join)"),
        "{text}"
    );
}

#[test]
fn a_ring_through_a_set_is_a_deadlock() {
    let text = panic_text(|| {
        run(async {
            healthy();
            let place: Rc<RefCell<Option<JoinHandle<()>>>> = Rc::default();
            let theirs = Rc::clone(&place);
            let owner = spawn("set", async move {
                let mut set = JoinSet::new();
                set.spawn(async move {
                    let owner = theirs.borrow_mut().take().unwrap();
                    owner.await.unwrap();
                });
                while set.join_next().await.is_some() {}
            });
            place.replace(Some(owner));
            sleep(LONG).await;
        });
    });
    assert!(
        text.starts_with("deadlock: \"set\" waits for task "),
        "{text}"
    );
}

#[test]
fn each_policy_is_followed_once_for_each_circle() {
    static CALLS: AtomicUsize = AtomicUsize::new(0);
    let _watchdog = watchdog();
    let called = strict().on_deadlock(OnDeadlock::Call(|dump| {
        assert!(dump.circles().iter().any(|circle| !circle.is_likely()));
        CALLS.fetch_add(1, Ordering::Relaxed);
    }));
    called.build().unwrap().block_on(async {
        drop(join_ring("called", 2));
        outlast().await;
        outlast().await;
        drop(join_ring("called too", 3));
        outlast().await;
    });
    assert_eq!(CALLS.load(Ordering::Relaxed), 2);

    let ignoring = strict().on_deadlock(OnDeadlock::Ignore);
    ignoring.build().unwrap().block_on(async {
        drop(join_ring("ignored", 2));
        outlast().await;
    });
    assert_eq!(logged("ignored 0"), [""; 0]);

    let logging = strict().on_deadlock(OnDeadlock::Log);
    logging.build().unwrap().block_on(async {
        drop(join_ring("told once", 2));
        outlast().await;
        outlast().await;
    });
    let lines = logged("told once 0");
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].starts_with("ERROR"), "{lines:?}");
}

#[test]
fn a_loop_that_becomes_quiet_does_not_report_a_circle_again() {
    let _watchdog = watchdog();
    let runtime = strict().on_deadlock(OnDeadlock::Log).build().unwrap();
    runtime.block_on(async {
        drop(join_ring("quiet ring", 2));
        let thread = {
            let (sender, receiver) = foreign::channel::<()>();
            let thread = thread::spawn(move || {
                // Several times as long as the loop is quiet before it looks for a deadlock.
                thread::sleep(Duration::from_millis(300));
                drop(sender);
            });
            let _gone = receiver.await;
            thread
        };
        thread.join().unwrap();
    });
    assert_eq!(logged("quiet ring 0").len(), 1);
}

/// The report of the first ring has shown neither the second one nor what the root future waits for.
#[test]
fn a_deadlock_is_reported_although_a_circle_was_reported_before() {
    static CALLS: AtomicUsize = AtomicUsize::new(0);
    let _watchdog = watchdog();
    let called = strict().on_deadlock(OnDeadlock::Call(|dump| {
        if CALLS.fetch_add(1, Ordering::Relaxed) > 0 {
            panic!("{} circles", dump.circles().len());
        }
    }));
    let runtime = called.build().unwrap();
    let text = panic_text(|| {
        runtime.block_on(async {
            drop(join_ring("the first ring", 2));
            while CALLS.load(Ordering::Relaxed) == 0 {
                // Polls the number of calls, and orders nothing.
                sleep(Duration::from_millis(20)).await;
            }
            drop(join_ring("the second ring", 2));
            pending::<()>().await;
        });
    });
    assert_eq!(text, "2 circles");
}

#[test]
fn a_ring_of_locks_is_likely_and_reported_once() {
    run(async {
        healthy();
        let _ring = lock_ring("locks");
        outlast().await;
        outlast().await;
    });
    let text = likely("locks");
    for part in [
        "likely circle: \"locks 0\" waits for \"locks 1\" (lock made at tests/it/see_circles.rs:",
        "), which waits for \"locks 0\" (lock made at tests/it/see_circles.rs:",
        "None of these tasks has been polled for ",
        "If no guard, permit or end of a channel has been moved to another task, they wait forever.",
        "\"locks 0\" was spawned at tests/it/see_circles.rs:",
    ] {
        assert!(text.contains(part), "{part:?} {text}");
    }
}

#[test]
fn rings_of_permits_of_rwlocks_and_of_full_channels_are_likely() {
    run(async {
        healthy();
        let pools = Rc::new([(); 3].map(|()| Semaphore::new(1)));
        for index in 0..3 {
            let pools = Rc::clone(&pools);
            drop(spawn(&format!("permits {index}"), async move {
                let _one = pools[index].acquire().await;
                yield_now().await;
                drop(pools[(index + 1) % 3].acquire().await);
            }));
        }
        let locks = Rc::new([(); 2].map(|()| RwLock::new(())));
        for index in 0..2 {
            let locks = Rc::clone(&locks);
            drop(spawn(&format!("rwlocks {index}"), async move {
                let _read = locks[index].read().await;
                yield_now().await;
                drop(locks[1 - index].write().await);
            }));
        }
        let (there, from_here) = mpsc::channel(1);
        let (here, from_there) = mpsc::channel(1);
        let ends = [(there, from_there), (here, from_here)].into_iter();
        for (index, (sender, mut receiver)) in ends.enumerate() {
            drop(spawn(&format!("channels {index}"), async move {
                while sender.send(()).await.is_ok() {
                    // Each takes one and sends two.
                    receiver.recv().await;
                    sender.send(()).await.unwrap();
                }
            }));
        }
        outlast().await;
    });
    let text = likely("permits");
    assert_eq!(text.matches("waits for \"permits ").count(), 3, "{text}");
    assert!(likely("rwlocks").contains("(rwlock made at"));
    assert!(likely("channels").contains("(send on full the mpsc channel made at"));
}

#[test]
fn rings_of_permits_that_several_tasks_hold_are_likely() {
    run(async {
        healthy();
        // Two tasks have one half of each semaphore, and wait for the other.
        let halves = Rc::new([(); 2].map(|()| Semaphore::new(2)));
        // Each takes one permit after the other.
        let singly = Rc::new([(); 2].map(|()| Semaphore::new(2)));
        for index in 0..4 {
            let halves = Rc::clone(&halves);
            drop(spawn(&format!("halves {index}"), async move {
                let _one = halves[index % 2].acquire().await;
                yield_now().await;
                drop(halves[1 - index % 2].acquire().await);
            }));
        }
        for index in 0..2 {
            let singly = Rc::clone(&singly);
            drop(spawn(&format!("singly {index}"), async move {
                let _one = singly[index].acquire().await;
                let _other = singly[index].acquire().await;
                yield_now().await;
                drop(singly[1 - index].acquire().await);
            }));
        }
        // Each task of a pool wants a second permit of the same semaphore.
        let pool = Rc::new(Semaphore::new(3));
        for index in 0..3 {
            let pool = Rc::clone(&pool);
            drop(spawn(&format!("pool {index}"), async move {
                let _one = pool.acquire().await;
                yield_now().await;
                drop(pool.acquire().await);
            }));
        }
        outlast().await;
    });
    for name in ["halves", "singly", "pool"] {
        assert!(likely(name).contains("(permit of the semaphore made at"));
    }
}

#[test]
fn a_permit_that_comes_back_makes_a_ring_no_circle() {
    run(async {
        let pools = Rc::new([(); 2].map(|()| Semaphore::new(2)));
        let (end, ended) = foreign::channel::<()>();
        let mut ended = Some(ended);
        let mut tasks = Vec::new();
        for index in 0..4 {
            let pools = Rc::clone(&pools);
            let ended = ended.take();
            tasks.push(spawn(&format!("comes back {index}"), async move {
                let _one = pools[index % 2].acquire().await;
                yield_now().await;
                match ended {
                    // One of the holders waits for something else.
                    Some(ended) => drop(ended.await),
                    None => drop(pools[1 - index % 2].acquire().await),
                }
            }));
        }
        outlast().await;
        assert!(task::dump().circles().is_empty());
        end.send(()).unwrap();
        for task in tasks {
            task.await.unwrap();
        }
    });
    assert_eq!(logged("comes back"), [""; 0]);
}

/// Spawns two tasks, each of which makes a channel and fills the channel of the other before it receives for the first
/// time. The names begin with `name`.
fn unused_ring(name: &str) {
    let (one, from_two) = oneshot::channel::<mpsc::Sender<()>>();
    let (two, from_one) = oneshot::channel::<mpsc::Sender<()>>();
    for (index, (give, take)) in [(one, from_one), (two, from_two)].into_iter().enumerate() {
        drop(spawn(&format!("{name} {index}"), async move {
            let (sender, mut receiver) = mpsc::channel(2);
            give.send(sender).unwrap();
            let sender = take.await.unwrap();
            for _ in 0..3 {
                sender.send(()).await.unwrap();
            }
            receiver.recv().await;
        }));
    }
}

#[test]
fn a_ring_of_full_channels_whose_receivers_were_never_used_is_likely() {
    run(async {
        unused_ring("unused");
        settle().await;
        let dump = task::dump();
        let circles = dump.circles();
        assert!(circles.len() == 1 && circles[0].is_likely(), "{dump}");
        assert_eq!(circles[0].tasks()[0].name(), Some("unused 0"));
        // It stands for longer than other circles before it is reported.
        outlast().await;
        assert_eq!(logged("unused 0"), [""; 0]);
        until_logged("unused 0").await;
    });
    assert!(likely("unused").contains("(2 of 2), its receiver not used yet, at"));
}

#[test]
fn a_consumer_that_starts_slowly_makes_no_circle() {
    run(async {
        let (start, started) = foreign::channel::<()>();
        let maker = spawn("slow start 0", async move {
            let (sender, mut receiver) = mpsc::channel(1);
            let consumer = spawn("slow start 1", async move {
                started.await.unwrap();
                while receiver.recv().await.is_some() {}
            });
            let producer = spawn("slow start 2", async move {
                for _ in 0..3 {
                    sender.send(()).await.unwrap();
                }
            });
            producer.await.unwrap();
            consumer.await.unwrap();
        });
        outlast().await;
        let dump = task::dump();
        assert!(dump.circles().is_empty(), "{dump}");
        start.send(()).unwrap();
        maker.await.unwrap();
        // The task that has made the channel fills it.
        let (start, started) = foreign::channel::<()>();
        let maker = spawn("slow start 3", async move {
            let (sender, mut receiver) = mpsc::channel(1);
            let consumer = spawn("slow start 4", async move {
                started.await.unwrap();
                while receiver.recv().await.is_some() {}
            });
            for _ in 0..3 {
                sender.send(()).await.unwrap();
            }
            drop(sender);
            consumer.await.unwrap();
        });
        outlast().await;
        let dump = task::dump();
        assert!(dump.circles().is_empty(), "{dump}");
        start.send(()).unwrap();
        maker.await.unwrap();
    });
    assert_eq!(logged("slow start"), [""; 0]);
}

#[test]
fn a_guard_that_was_moved_to_a_child_is_no_circle() {
    run(async {
        let (end, ended) = foreign::channel::<()>();
        let parent = spawn("to a child 0", async move {
            let (lock, other) = (Mutex::new(()), RwLock::new(()));
            let (guard, read) = (lock.lock().await, other.read().await);
            scope(async |s| {
                s.spawn(async move {
                    let _ended = ended.await;
                    drop((guard, read));
                });
                drop(lock.lock().await);
                drop(other.write().await);
            })
            .await
        });
        outlast().await;
        let dump = task::dump();
        assert!(dump.circles().is_empty(), "{dump}");
        end.send(()).unwrap();
        parent.await.unwrap();
    });
    assert_eq!(logged("to a child"), [""; 0]);
}

#[test]
fn a_join_and_a_lock_make_a_likely_circle() {
    run(async {
        let lock = Rc::new(Mutex::named("lease", ()));
        drop(spawn("mixed 0", async move {
            let _guard = lock.lock().await;
            let theirs = Rc::clone(&lock);
            let other = spawn("mixed 1", async move { drop(theirs.lock().await) });
            other.await.unwrap();
        }));
        outlast().await;
    });
    let text = likely("mixed");
    assert!(
        text.contains("\"mixed 1\" (join), which waits for \"mixed 0\" (lock \"lease\""),
        "{text}"
    );
}

#[test]
fn a_foreign_loop_gets_reports_too() {
    let _watchdog = watchdog();
    let runtime = strict().on_deadlock(OnDeadlock::Log).build().unwrap();
    inside(&runtime, || {
        drop(join_ring("guest", 2));
        drop(lock_ring("guest locks"));
    });
    let is_awaited = |text: &str| logged(text).is_empty();
    while is_awaited("deadlock: \"guest 0\"") || is_awaited("likely circle: \"guest locks 0\"") {
        runtime.turn(Some(Duration::from_millis(10))).unwrap();
        inside(&runtime, || {
            drop(glassfrog::spawn(glassfrog::spawn(async {})))
        });
    }
    likely("guest locks");
}

// Programs that only look like circles.

/// Where a task finds its own handle.
type Own<T> = Rc<Cell<Option<JoinHandle<T>>>>;

/// Spawns a task that can await itself, and calls `go_on` after a circle would have been reported. Checks that the task
/// then ends, and that nothing has been reported.
fn check_no_circle<F>(name: &str, task: impl FnOnce(Own<F::Output>) -> F, go_on: impl FnOnce())
where
    F: Future + 'static,
{
    run(async {
        let place = Own::default();
        place.set(Some(spawn(name, task(Rc::clone(&place)))));
        outlast().await;
        go_on();
        settle().await;
        assert!(task::dump().find_by_name(name).is_none());
    });
    assert_eq!(logged(name), [""; 0]);
}

#[test]
fn a_ring_that_somebody_can_abort_is_no_deadlock() {
    run(async {
        let aborts = join_ring("abortable", 3);
        outlast().await;
        let text = likely("abortable");
        assert!(
            text.contains("If nothing aborts or ends one of them, they wait forever."),
            "{text}"
        );
        let dump = task::dump();
        assert!(dump.circles()[0].is_likely());
        let ring = dump.find_by_name("abortable 1").unwrap().id();
        let third = glassfrog::spawn(async move { aborts[2].abort() });
        third.await.unwrap();
        settle().await;
        let dump = task::dump();
        assert!(dump.tasks().iter().all(|task| task.id() != ring), "{dump}");
    });
}

#[test]
fn a_ring_whose_waker_lies_elsewhere_is_no_deadlock() {
    let waker: Rc<RefCell<Option<Waker>>> = Rc::default();
    let theirs = Rc::clone(&waker);
    let task = |own: Own<()>| async move {
        let own = pin!(own.take().unwrap());
        // A future that leaves its waker, and has a way out.
        let other = poll_fn(
            move |cx| match theirs.borrow_mut().replace(cx.waker().clone()) {
                None => Poll::Pending,
                Some(_) => Poll::Ready(()),
            },
        );
        select(own, other).await;
    };
    check_no_circle("held 0", task, || {
        assert!(task::dump().circles().is_empty());
        waker.borrow().as_ref().unwrap().wake_by_ref();
    });
}

#[test]
fn a_combinator_that_hides_a_waker_makes_no_circle() {
    let (sender, receiver) = foreign::channel::<()>();
    let task = |own: Own<()>| async move {
        let own = own.take().unwrap();
        let futures = FuturesUnordered::new();
        let boxed = |future| -> std::pin::Pin<Box<dyn Future<Output = ()>>> { future };
        futures.push(boxed(Box::pin(async move { drop(own.await) })));
        futures.push(boxed(Box::pin(async move {
            let _sent = receiver.await;
        })));
        pin!(futures).next().await;
    };
    check_no_circle("hidden 0", task, || sender.send(()).unwrap());
}

#[test]
fn a_set_that_is_not_waited_for_makes_no_circle() {
    let (sender, receiver) = foreign::channel::<()>();
    let task = |own: Own<()>| async move {
        let mut set = JoinSet::new();
        set.spawn(yield_now());
        set.spawn(async move { drop(own.take().unwrap().await) });
        // The handle of the second task keeps the waker of the set.
        set.join_next().await;
        let _sent = receiver.await;
    };
    check_no_circle("stale 0", task, || sender.send(()).unwrap());
}

#[test]
fn the_body_of_a_scope_may_end_it() {
    let (sender, receiver) = foreign::channel::<()>();
    let task = |own: Own<Result<(), ()>>| async move {
        task::try_scope(async |s| {
            s.spawn(async {
                drop(own.take().unwrap().await);
                Ok(())
            });
            receiver.await.map_err(drop)
        })
        .await
    };
    check_no_circle("body 0", task, || drop(sender));
}

#[test]
fn a_guard_that_was_moved_to_a_task_is_no_circle() {
    run(async {
        let lock = Arc::new(Mutex::new(()));
        let (end, ended) = oneshot::channel::<()>();
        let taker = spawn("moved 0", async move {
            let guard = Arc::clone(&lock).lock_owned().await;
            drop(spawn("the keeper", async move {
                let _guard = guard;
                let _ended = ended.await;
            }));
            drop(lock.lock().await);
        });
        outlast().await;
        assert!(task::dump().circles().is_empty());
        end.send(()).unwrap();
        taker.await.unwrap();
    });
    assert_eq!(logged("moved 0"), [""; 0]);
}

#[test]
fn a_server_at_its_limit_is_no_circle() {
    static LIMIT: Semaphore = Semaphore::new(3);
    run(async {
        let owned = Arc::new(Semaphore::new(4));
        let (_streams, silent) = (accepted().await, pending::<()>);
        // Two listeners share a limit, as a server for two protocols has.
        for index in 0..2 {
            let owned = Arc::clone(&owned);
            drop(spawn(&format!("server {index}"), async move {
                loop {
                    let permit = Arc::clone(&owned).acquire_owned().await.unwrap();
                    yield_now().await;
                    drop(glassfrog::spawn(async move {
                        sleep(LONG).await;
                        drop(permit);
                    }));
                }
            }));
        }
        for index in 0..2 {
            drop(spawn(&format!("static server {index}"), async move {
                loop {
                    let permit = LIMIT.acquire().await.unwrap();
                    yield_now().await;
                    drop(glassfrog::spawn(async move {
                        sleep(LONG).await;
                        drop(permit);
                    }));
                }
            }));
        }
        drop(spawn("scoped server", async move {
            let limit = Semaphore::new(1);
            scope(async |s| {
                loop {
                    let permit = limit.acquire().await.unwrap();
                    s.spawn(async move {
                        sleep(LONG).await;
                        drop(permit);
                    });
                }
            })
            .await
        }));
        drop(glassfrog::spawn(silent()));
        outlast().await;
        let dump = task::dump();
        assert!(dump.circles().is_empty(), "{dump}");
    });
    for name in ["server 0", "static server 0", "scoped server"] {
        assert_eq!(logged(name), [""; 0]);
    }
}

#[test]
fn a_sender_elsewhere_is_no_circle() {
    run(async {
        // In a thread.
        let (sender, receiver) = oneshot::channel::<()>();
        let (end, ended) = std::sync::mpsc::channel::<()>();
        let thread = thread::spawn(move || {
            let _ended = ended.recv();
            sender.send(()).unwrap();
        });
        let threaded = spawn("elsewhere 0", async move { receiver.await.unwrap() });
        // In a task that sleeps before it sends for the first time.
        let (sender, receiver) = oneshot::channel::<()>();
        let lock = Rc::new(Mutex::new(()));
        let theirs = Rc::clone(&lock);
        drop(spawn("elsewhere 1", async move {
            let _guard = theirs.lock().await;
            receiver.await.unwrap();
        }));
        drop(spawn("elsewhere 2", async move { drop(lock.lock().await) }));
        drop(spawn("elsewhere 3", async move {
            sleep(LONG).await;
            sender.send(()).unwrap();
        }));
        outlast().await;
        assert!(task::dump().circles().is_empty());
        drop(end);
        threaded.await.unwrap();
        thread.join().unwrap();
    });
    assert_eq!(logged("elsewhere"), [""; 0]);
}

#[test]
fn actors_at_rest_are_no_circle() {
    run(async {
        let (to_one, mut one) = mpsc::channel::<()>(1);
        let (to_other, mut other) = mpsc::channel::<()>(1);
        drop(spawn("actor 0", async move {
            while one.recv().await.is_some() {
                to_other.send(()).await.unwrap();
            }
        }));
        let sender = to_one.clone();
        drop(spawn("actor 1", async move {
            while other.recv().await.is_some() {}
            drop(sender);
        }));
        to_one.send(()).await.unwrap();
        drop(to_one);
        outlast().await;
        assert!(task::dump().circles().is_empty());
    });
    assert_eq!(logged("actor 0"), [""; 0]);
}

#[test]
fn a_way_out_makes_a_ring_no_circle() {
    run(async {
        let locks = Rc::new([(); 4].map(|()| Mutex::new(())));
        // A timeout.
        let theirs = Rc::clone(&locks);
        drop(spawn("out 0", async move {
            let _guard = theirs[0].lock().await;
            yield_now().await;
            drop(timeout(LONG, theirs[1].lock()).await);
        }));
        let theirs = Rc::clone(&locks);
        drop(spawn("out 1", async move {
            let _guard = theirs[1].lock().await;
            yield_now().await;
            drop(theirs[0].lock().await);
        }));
        // A holder and a waiter in one task.
        let theirs = Rc::clone(&locks);
        drop(spawn("out 2", async move {
            let holder = async {
                let _guard = theirs[2].lock().await;
                sleep(LONG).await;
            };
            join(holder, async { drop(theirs[2].lock().await) }).await;
        }));
        // A scope in a timeout.
        let theirs = Rc::clone(&locks);
        drop(spawn("out 3", async move {
            let ring = scope(async |s| {
                let ring = async |first: usize, second: usize| {
                    let _guard = theirs[first].lock().await;
                    yield_now().await;
                    drop(theirs[second].lock().await);
                };
                s.spawn(ring(3, 2));
                s.spawn(async { drop(theirs[3].lock().await) });
            });
            let _late = timeout(LONG, ring).await;
        }));
        outlast().await;
        let dump = task::dump();
        assert!(dump.circles().is_empty(), "{dump}");
    });
    assert_eq!(logged("out 0"), [""; 0]);
}

#[test]
fn a_label_hides_no_circle() {
    let text = panic_text(|| {
        run(async {
            let place: Rc<Cell<Option<JoinHandle<()>>>> = Rc::default();
            let own = Rc::clone(&place);
            place.set(Some(spawn("labelled 0", async move {
                let own = own.take().unwrap();
                drop(waiting_for("myself", own).await);
            })));
            sleep(LONG).await;
        });
    });
    assert!(
        text.starts_with("deadlock: \"labelled 0\" waits for itself (join)"),
        "{text}"
    );
}

// The loop.

/// Returns how often the loop parks in two seconds and a half, after one of its tasks has begun to await another.
fn parks(build: impl FnOnce() -> Builder, sleepers: usize) -> u64 {
    let _watchdog = watchdog();
    let runtime = build().build().unwrap();
    let (idle, is_idle) = std::sync::mpsc::channel::<Handle>();
    let measurer = thread::spawn(move || {
        let handle = is_idle.recv().unwrap();
        // The loop parks for the last time after it has sent the handle. This time orders nothing.
        thread::sleep(Duration::from_millis(300));
        let before = handle.metrics().parks;
        thread::sleep(Duration::from_millis(2500));
        let parks = handle.metrics().parks - before;
        handle.spawn(async {}).abort();
        handle.spawn_with(|| async { END.with(|end| end.take().unwrap().send(()).unwrap()) });
        parks
    });
    thread_local! {
        /// Ends the root future.
        static END: RefCell<Option<oneshot::Sender<()>>> = const { RefCell::new(None) };
    }
    runtime.block_on(async {
        let (sender, receiver) = oneshot::channel();
        END.set(Some(sender));
        for _ in 0..sleepers {
            drop(glassfrog::spawn(sleep(LONG)));
        }
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        drop(spawn(
            "client",
            spawn("server", async move { drop(listener.accept().await) }),
        ));
        settle().await;
        idle.send(Handle::current()).unwrap();
        receiver.await.unwrap();
    });
    measurer.join().unwrap()
}

#[test]
fn the_search_wakes_a_loop_at_most_once() {
    for sleepers in [1, 1000] {
        assert!(parks(strict, sleepers) <= 1);
    }
}

#[test]
fn a_second_runtime_is_searched_on_its_own() {
    let _watchdog = watchdog();
    let lock: &'static Mutex<()> = Box::leak(Box::new(Mutex::new(())));
    let (locked, is_locked) = std::sync::mpsc::channel::<()>();
    let (end, ended) = foreign::channel::<()>();
    let other = thread::spawn(move || {
        Runtime::new().unwrap().block_on(async {
            let _guard = lock.lock().await;
            locked.send(()).unwrap();
            let _ended = ended.await;
        });
    });
    is_locked.recv().unwrap();
    run(async {
        // The holder has the same number as a task of this runtime: that of the root future.
        let waiter = spawn("far 0", async { drop(lock.lock().await) });
        outlast().await;
        drop(end);
        waiter.await.unwrap();
    });
    other.join().unwrap();
    assert_eq!(logged("far 0"), [""; 0]);
}

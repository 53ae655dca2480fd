//! Entering a runtime without running its loop: `Handle::enter` and `Handle::block_on`.

use crate::support::{block_on, child, park_on, watchdog};
use crate::task_probes::{logged, panic_text, record_log};
use futures::channel::{mpsc, oneshot};
use futures::future::select;
use futures::{FutureExt, StreamExt};
use glassfrog::net::{TcpListener, TcpStream};
use glassfrog::task::LocalSpawner;
use glassfrog::time::{now, sleep};
use glassfrog::{Enter, Handle, Runtime, spawn, task};
use proptest::prelude::*;
use std::cell::RefCell;
use std::future::pending;
use std::io::{Read, Write};
use std::pin::pin;
use std::rc::Rc;
use std::sync::mpsc::{Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

/// Returns runtimes that [`now`] distinguishes: the clock of each has stopped at a different time.
fn runtimes<const N: usize>() -> [(Runtime, Instant); N] {
    let mut last = None;
    std::array::from_fn(|_| {
        loop {
            let runtime = Runtime::builder().virtual_clock().build().unwrap();
            let shown = runtime.block_on(async { now() });
            // The clock of the operating system may be coarse.
            if last.replace(shown) != Some(shown) {
                return (runtime, shown);
            }
        }
    })
}

/// Runs a runtime on a thread of its own while `f` runs on this one with its handle.
fn beside<R>(f: impl FnOnce(&Handle) -> R) -> R {
    let _watchdog = watchdog();
    let (stop, stopped) = oneshot::channel::<()>();
    let (send, handle) = channel();
    thread::scope(|scope| {
        scope.spawn(move || {
            glassfrog::block_on(async {
                send.send(Handle::current()).unwrap();
                stopped.await.unwrap_err();
            });
        });
        let _stop = stop;
        f(&handle.recv().unwrap())
    })
}

#[test]
fn a_guest_makes_sockets_sleeps_and_jobs_on_its_own_thread() {
    beside(|handle| {
        let _guard = handle.enter();
        park_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let addr = listener.local_addr().unwrap();
            let client = thread::spawn(move || {
                let mut client = std::net::TcpStream::connect(addr).unwrap();
                client.write_all(b"ping").unwrap();
                let mut answer = String::new();
                client.read_to_string(&mut answer).unwrap();
                answer
            });
            let (stream, _) = listener.accept().await.unwrap();
            let mut buffer = [0; 4];
            assert_eq!(stream.read(&mut buffer).await.unwrap(), 4);
            assert_eq!(stream.write(b"pong").await.unwrap(), 4);
            drop(stream);
            assert_eq!(client.join().unwrap(), "pong");

            let begun = now();
            sleep(Duration::from_millis(3)).await;
            assert!(now() - begun >= Duration::from_millis(3));

            let named = TcpStream::connect(("localhost", addr.port())).await;
            assert!(named.is_ok());
            let job = task::spawn_blocking(|| thread::current().id());
            assert_ne!(job.await.unwrap(), thread::current().id());
            let remote = Handle::current().spawn(async { thread::current().id() });
            assert_ne!(remote.await.unwrap(), thread::current().id());
        });
        assert_eq!(handle.metrics().sockets, 0);
    });
}

#[test]
fn ten_threads_are_guests_at_once() {
    beside(|handle| {
        thread::scope(|scope| {
            for number in 0..10 {
                scope.spawn(move || {
                    let _guard = handle.enter();
                    for round in 0..20 {
                        let (ours, theirs) = crate::support::plain();
                        let stream = TcpStream::try_from(ours).unwrap();
                        (&theirs).write_all(&[number, round]).unwrap();
                        let mut buffer = [0; 2];
                        park_on(async {
                            assert_eq!(stream.read(&mut buffer).await.unwrap(), 2);
                            sleep(Duration::from_micros(100)).await;
                        });
                        assert_eq!(buffer, [number, round]);
                    }
                });
            }
        });
    });
}

#[test]
fn a_guest_cannot_spawn_local_tasks_and_is_told_what_works() {
    beside(|handle| {
        let _guard = handle.enter();
        for text in [
            panic_text(|| drop(spawn(async {}))),
            panic_text(|| drop(task::Builder::new().name("named").spawn(async {}))),
            panic_text(LocalSpawner::current),
            panic_text(task::dump),
        ] {
            for words in ["Handle::enter", "Handle::spawn", "Handle::dump"] {
                assert!(text.contains(words), "`{words}` is not in: {text}");
            }
        }
    });
}

#[test]
fn a_task_that_enters_its_own_runtime_spawns_as_before() {
    block_on(async {
        let _guard = Handle::current().enter();
        assert_eq!(spawn(async { 7 }).await.unwrap(), 7);
        assert!(task::dump().to_string().contains("main"));
    });
}

#[test]
fn a_task_that_enters_another_runtime_is_a_guest_there() {
    beside(|other| {
        glassfrog::block_on(async {
            let before = spawn(async {});
            let guard = other.enter();
            let text = panic_text(|| drop(spawn(async {})));
            assert!(text.contains("Handle::enter"), "{text}");
            // Its own runtime goes on to poll and wake it.
            sleep(Duration::from_millis(1)).await;
            before.await.unwrap();
            assert_ne!(
                Handle::current()
                    .spawn(async { thread::current().id() })
                    .await
                    .unwrap(),
                thread::current().id()
            );
            drop(guard);
            spawn(async {}).await.unwrap();
        });
    });
}

#[test]
fn the_children_of_a_scope_belong_to_the_runtime_that_polls_them() {
    beside(|other| {
        glassfrog::block_on(async {
            let own = Handle::current();
            let _guard = other.enter();
            let scope = task::scope(async |scope| {
                scope.spawn(pending::<()>());
                pending::<()>().await;
            });
            let look = async {
                task::yield_now().await;
                let dump = own.dump().to_string();
                assert!(dump.contains("└ 1"), "{dump}");
            };
            select(pin!(scope), pin!(look)).await;
        });
    });
}

#[test]
fn guards_that_are_dropped_out_of_order_undo_exactly_their_own() {
    let [(first, at_first), (second, at_second), (third, at_third)] = runtimes();
    let in_first = first.handle().enter();
    let in_second = second.handle().enter();
    let in_third = third.handle().enter();
    assert_eq!(now(), at_third);
    drop(in_second);
    assert_eq!(now(), at_third);
    let in_first_again = first.handle().enter();
    drop(in_third);
    assert_eq!(now(), at_first);
    drop(in_first);
    assert_eq!(now(), at_first);
    let in_second = second.handle().enter();
    drop(in_first_again);
    assert_eq!(now(), at_second);
    drop(in_second);
    assert!(Handle::try_current().is_none());
}

proptest! {
    /// Enters and leaves at random. The oracle is a list of all guards that live, oldest first.
    #[test]
    fn the_current_runtime_is_the_newest_that_was_not_left(
        steps in prop::collection::vec((any::<bool>(), any::<prop::sample::Index>()), 1..200),
    ) {
        let runtimes = runtimes::<3>();
        let mut guards: Vec<(Enter<'_>, Instant)> = Vec::new();
        for (leaves, which) in steps {
            if leaves && !guards.is_empty() {
                drop(guards.remove(which.index(guards.len())));
            } else {
                let (runtime, shown) = which.get(&runtimes);
                guards.push((runtime.handle().enter(), *shown));
            }
            match guards.last() {
                Some((_, shown)) => prop_assert_eq!(now(), *shown),
                None => prop_assert!(Handle::try_current().is_none()),
            }
        }
    }
}

#[test]
fn a_guard_may_outlive_the_block_on_that_it_was_made_in() {
    let [(outer, at_outer), (inner, at_inner)] = runtimes();
    let guard = outer.block_on(async {
        let guard = inner.handle().enter();
        assert_eq!(now(), at_inner);
        guard
    });
    assert_eq!(now(), at_inner);
    // And a `block_on` under a guard is the newest, until it ends.
    outer.block_on(async {
        assert_eq!(now(), at_outer);
        spawn(async {}).await.unwrap();
    });
    assert_eq!(now(), at_inner);
    drop(guard);
    assert!(Handle::try_current().is_none());
}

#[test]
fn a_guard_that_is_dropped_inside_a_later_block_on_leaves_that_alone() {
    let [(first, _), (second, at_second)] = runtimes();
    let guard = first.handle().enter();
    second.block_on(async {
        drop(guard);
        assert_eq!(now(), at_second);
        spawn(async { task::yield_now().await }).await.unwrap();
    });
    assert!(Handle::try_current().is_none());
}

#[test]
fn a_runtime_may_be_dropped_under_a_guard() {
    let runtime = Runtime::new().unwrap();
    let guard = runtime.handle().enter();
    let (ours, _theirs) = crate::support::plain();
    let stream = TcpStream::try_from(ours).unwrap();
    drop(runtime);
    let error = park_on(stream.read(&mut [0])).unwrap_err();
    assert!(error.to_string().contains("ended"), "{error}");
    let error = park_on(TcpListener::bind("127.0.0.1:0")).unwrap_err();
    assert!(error.to_string().contains("ended"), "{error}");
    let cancelled = park_on(Handle::current().spawn(async {})).unwrap_err();
    assert!(cancelled.is_cancelled());
    let text = panic_text(|| park_on(sleep(Duration::ZERO)));
    assert!(text.contains("ended"), "{text}");
    drop(guard);
    assert!(Handle::try_current().is_none());
}

#[test]
fn the_destructor_of_a_thread_local_may_hold_and_make_guards() {
    /// Enters in its drop, under the guard that it has held until then.
    struct Late {
        handle: Handle,
        guard: Option<Enter<'static>>,
        ended: Sender<Vec<bool>>,
    }
    impl Drop for Late {
        fn drop(&mut self) {
            let mut seen = vec![Handle::try_current().is_some()];
            let again = self.handle.enter();
            drop(self.guard.take());
            let sleep = std::panic::catch_unwind(|| drop(sleep(Duration::ZERO)));
            seen.push(sleep.is_ok());
            drop(again);
            seen.push(Handle::try_current().is_none());
            self.ended.send(seen).unwrap();
        }
    }
    thread_local! {
        static FIRST: RefCell<Option<Late>> = const { RefCell::new(None) };
        static SECOND: RefCell<Option<Late>> = const { RefCell::new(None) };
    }
    beside(|handle| {
        let (ended, seen) = channel();
        let late = || Late {
            handle: handle.clone(),
            guard: Some(handle.enter()),
            ended: ended.clone(),
        };
        thread::scope(|scope| {
            scope.spawn(|| {
                // Both are dropped at the end of the thread, one after the other.
                FIRST.replace(Some(late()));
                SECOND.replace(Some(late()));
            });
        });
        drop(ended);
        let seen: Vec<Vec<bool>> = seen.iter().collect();
        // The first to be dropped is still under the guard of the other.
        assert_eq!(seen, [[true, true, false], [true, true, true]]);
    });
}

#[test]
fn block_on_by_a_handle_polls_on_this_thread_and_waits_for_the_loop() {
    beside(|handle| {
        let local = Rc::new(RefCell::new(Vec::new()));
        let this = thread::current().id();
        let output = handle.block_on(async {
            let (ours, theirs) = crate::support::plain();
            let stream = TcpStream::try_from(ours).unwrap();
            let writer = thread::spawn(move || (&theirs).write_all(b"abc").unwrap());
            let mut buffer = [0; 3];
            assert_eq!(stream.read(&mut buffer).await.unwrap(), 3);
            writer.join().unwrap();
            sleep(Duration::from_millis(1)).await;
            local.borrow_mut().push(thread::current().id());
            Handle::current()
                .spawn(async { thread::current().id() })
                .await
                .unwrap()
        });
        assert_eq!(*local.borrow(), [this]);
        assert_ne!(output, this);
        assert!(Handle::try_current().is_none());
    });
}

#[test]
fn block_on_by_a_handle_panics_where_nobody_could_run_the_loop() {
    let runtime = Runtime::new().unwrap();
    let handle = runtime.handle();
    let own = [
        panic_text(|| handle.block_on(async {})),
        runtime.block_on(async { panic_text(|| handle.block_on(async {})) }),
    ];
    for text in own {
        assert!(text.contains("the runtime's own thread"), "{text}");
        assert!(text.contains("`Runtime::block_on`"), "{text}");
    }
    beside(|other| {
        let text = runtime.block_on(async { panic_text(|| other.block_on(async {})) });
        assert!(text.contains("would block its tasks"), "{text}");
        // Between two calls, this thread may wait for another runtime.
        assert_eq!(other.block_on(async { 5 }), 5);
    });
}

#[test]
fn the_future_of_block_on_is_dropped_inside_the_runtime_when_it_panics() {
    struct Probe(Sender<bool>);
    impl Drop for Probe {
        fn drop(&mut self) {
            self.0.send(Handle::try_current().is_some()).unwrap();
        }
    }
    beside(|handle| {
        let (send, dropped_inside) = channel();
        let text = panic_text(|| {
            handle.block_on(async move {
                let _probe = Probe(send);
                sleep(Duration::from_millis(1)).await;
                panic!("on purpose");
            })
        });
        assert_eq!(text, "on purpose");
        assert!(dropped_inside.recv().unwrap());
        assert!(Handle::try_current().is_none());
    });
}

#[test]
fn a_future_that_outlives_its_runtime_gets_errors_and_goes_on() {
    let _watchdog = watchdog();
    let (send, handle) = channel();
    let (ready, is_ready) = oneshot::channel();
    let (go_on, goes_on) = oneshot::channel();
    let runtime = thread::spawn(move || {
        glassfrog::block_on(async {
            send.send(Handle::current()).unwrap();
            is_ready.await.unwrap();
        });
    });
    let handle = handle.recv().unwrap();
    let error = handle.block_on(async {
        let (ours, _theirs) = crate::support::plain();
        let stream = TcpStream::try_from(ours).unwrap();
        let mut buffer = [0];
        let mut read = pin!(stream.read(&mut buffer));
        assert!((&mut read).now_or_never().is_none());
        ready.send(()).unwrap();
        let error = read.await.unwrap_err();
        // What does not need the runtime still comes.
        thread::spawn(move || go_on.send(7).unwrap());
        assert_eq!(goes_on.await, Ok(7));
        error
    });
    assert!(error.to_string().contains("ended"), "{error}");
    runtime.join().unwrap();
}

#[test]
fn a_wake_that_comes_before_the_park_or_hides_behind_a_park_of_the_future_counts() {
    beside(|handle| {
        for _ in 0..1000 {
            let (send, receive) = oneshot::channel();
            handle.block_on(async {
                let sender = thread::current();
                let job = Handle::current().spawn(async move {
                    send.send(()).unwrap();
                    sender.unpark();
                });
                // A future may do this, and take the token of the wake.
                thread::park();
                receive.await.unwrap();
                job.await.unwrap();
            });
        }
    });
}

#[test]
fn waiting_for_a_loop_that_nobody_runs_is_logged_once() {
    child(|| {
        record_log();
        let patience = Duration::from_millis(20);
        let runtime = Runtime::builder().test_patience(patience).build().unwrap();
        let handle = runtime.handle();
        let (woken_twice, wakes) = mpsc::unbounded();
        let waits = thread::spawn(move || {
            handle.block_on(async {
                let mut wakes = wakes;
                // The warning has been logged when the first of these comes.
                while wakes.next().await.is_some() {}
                sleep(Duration::from_millis(1)).await;
            });
        });
        let warned = || logged("no thread runs the loop").len();
        while warned() == 0 {
            thread::yield_now();
        }
        let text = &logged("no thread runs the loop")[0];
        assert!(text.contains("runtime_enter.rs"), "{text}");
        for _ in 0..5 {
            woken_twice.unbounded_send(()).unwrap();
            // Orders nothing: it is the time in which a second warning would be logged.
            thread::sleep(patience);
        }
        drop(woken_twice);
        // The loop runs at last, and serves the sleep.
        runtime.block_on(async {
            let waits = task::spawn_blocking(move || waits.join().unwrap());
            waits.await.unwrap();
        });
        assert_eq!(warned(), 1);
    })
    .finish();
}

#[test]
fn waiting_for_a_loop_that_runs_is_not_logged() {
    child(|| {
        record_log();
        let patience = Duration::from_millis(5);
        let runtime = Runtime::builder().test_patience(patience).build().unwrap();
        let handle = runtime.handle();
        runtime.block_on(async {
            let wait = move || handle.block_on(sleep_for(30 * patience));
            task::spawn_blocking(wait).await.unwrap();
        });
        assert!(logged("no thread runs the loop").is_empty());
    })
    .finish();
}

#[test]
fn a_loop_that_stops_while_a_guest_waits_is_logged() {
    child(|| {
        record_log();
        let patience = Duration::from_millis(5);
        let runtime = Runtime::builder().test_patience(patience).build().unwrap();
        let handle = runtime.handle();
        let (end, ended) = oneshot::channel::<()>();
        let waits = thread::spawn(move || handle.block_on(ended).unwrap_err());
        // The guest has found the loop running several times before it stops.
        runtime.block_on(async move { sleep(10 * patience).await });
        while logged("no thread runs the loop").is_empty() {
            thread::yield_now();
        }
        drop(end);
        waits.join().unwrap();
    })
    .finish();
}

/// Sleeps. The sleep is made inside the runtime that polls this.
async fn sleep_for(duration: Duration) {
    sleep(duration).await;
}

#[test]
fn a_runtime_may_be_made_in_the_destructor_of_a_thread_local() {
    struct Late(Sender<u32>);
    impl Drop for Late {
        fn drop(&mut self) {
            let output = glassfrog::block_on(async { spawn(async { 7 }).await.unwrap() });
            self.0.send(output).unwrap();
        }
    }
    thread_local! {
        static LATE: RefCell<Option<Late>> = const { RefCell::new(None) };
    }
    let (send, output) = channel();
    thread::spawn(move || LATE.replace(Some(Late(send))))
        .join()
        .unwrap();
    assert_eq!(output.recv(), Ok(7));
}

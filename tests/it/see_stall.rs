//! Deadlocks: which ones are certain or possible, what is no deadlock, and how each is reported.

use crate::support::{accepted, child, few_or_many, park_on, say, watchdog};
use crate::task_probes::{OnDrop, inside, logged, panic_text, record_log, until};
use futures::channel::oneshot;
use futures::future::{join, join_all};
use futures::lock;
use futures::stream::{FuturesUnordered, StreamExt};
use glassfrog::net::{TcpListener, TcpStream};
use glassfrog::task::{self, JoinHandle, JoinSet, scope, spawn_blocking, yield_now};
use glassfrog::time::{self, sleep};
use glassfrog::{Builder, Dump, Handle, OnDeadlock, OnTaskPanic, Runtime, spawn};
use std::cell::{Cell, RefCell};
use std::future::{pending, poll_fn};
use std::hint;
use std::io::Write;
use std::net;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc as std_mpsc;
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};
use std::thread;
use std::time::{Duration, Instant};

/// A duration that exceeds every test.
const FAR: Duration = Duration::from_secs(3600);

/// How long the loop rests before it looks for a deadlock.
const GRACE: Duration = Duration::from_millis(20);

/// Several times that. On a machine too slow for this, a test checks less but does not fail.
const LONG: Duration = Duration::from_millis(100);

/// How long a runtime may be silent before the test assumes that it reports nothing.
const PATIENCE: Duration = Duration::from_secs(30);

/// The log message of a possible deadlock.
const POSSIBLE: &str = "nothing has happened for";

/// Returns settings that do not depend on the speed of the machine.
fn patient() -> Builder {
    Builder::new().watchdog(FAR).test_patience(FAR)
}

/// Returns settings under which a certain deadlock panics.
fn strict() -> Builder {
    patient().on_deadlock(OnDeadlock::Panic)
}

/// Returns settings under which a certain deadlock panics and a possible one is reported soon.
fn talkative() -> Builder {
    record_log();
    strict().stall_report(Duration::from_millis(1))
}

/// The report of the runtime about a waiting future.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    /// A certain deadlock, with the dump.
    Certain(String),
    /// A possible deadlock: only something outside the runtime can wake a task.
    Possible,
    /// No report.
    Silence,
}

impl Verdict {
    /// Returns the dump of a certain deadlock.
    fn certain(self) -> String {
        match self {
            Verdict::Certain(text) => text,
            other => panic!("not certain, but {other:?}"),
        }
    }
}

/// The panic message of an [`ender`].
const OVER: &str = "it is over";

/// Spawns a task whose panic ends a runtime with [`OnTaskPanic::EndRuntime`]. Its handle can abort it from another
/// thread, and does not count as a possible waker.
fn ender(name: &str) -> JoinHandle<()> {
    task::Builder::new().name(name).spawn(async {
        let _ends = OnDrop(|| panic!("{OVER}"));
        pending::<()>().await;
    })
}

/// Runs a future that waits forever, and returns the report of the runtime. Only the calling test may use the name.
fn verdict<F: Future>(name: &'static str, future: F) -> Verdict {
    verdict_with(talkative(), name, future)
}

/// Like [`verdict`], with other settings.
fn verdict_with<F: Future>(builder: Builder, name: &'static str, future: F) -> Verdict {
    let _watchdog = watchdog();
    let (send, ender_sent) = std_mpsc::channel::<JoinHandle<()>>();
    let decided = Arc::new(AtomicBool::new(false));
    let is_decided = Arc::clone(&decided);
    let thread = thread::spawn(move || {
        let ender = ender_sent.recv().unwrap();
        let begin = Instant::now();
        while logged(name).is_empty() && !is_decided.load(Ordering::Relaxed) {
            if begin.elapsed() > PATIENCE {
                break;
            }
            // Polls the log, and orders nothing.
            thread::sleep(Duration::from_millis(1));
        }
        ender.abort();
    });
    let runtime = builder
        .on_task_panic(OnTaskPanic::EndRuntime)
        .build()
        .unwrap();
    let text = panic_text(|| {
        runtime.block_on(async {
            send.send(ender(name)).unwrap();
            future.await;
        });
    });
    decided.store(true, Ordering::Relaxed);
    thread.join().unwrap();
    if text == OVER {
        // The end of the ender is logged too.
        let told = logged(name);
        let told: Vec<_> = told.iter().filter(|line| line.contains(POSSIBLE)).collect();
        return match told[..] {
            [] => Verdict::Silence,
            [line] if line.starts_with("WARN") => Verdict::Possible,
            _ => panic!("{told:?}"),
        };
    }
    assert!(text.starts_with("deadlock: "), "{text}");
    assert!(text.contains("main") && text.contains(name), "{text}");
    Verdict::Certain(text)
}

/// Runs a future that completes, on a runtime that must report nothing meanwhile.
fn in_silence<F: Future>(name: &'static str, future: F) -> F::Output {
    let _watchdog = watchdog();
    let runtime = talkative().build().unwrap();
    let output = runtime.block_on(async {
        drop(task::Builder::new().name(name).spawn(pending::<()>()));
        future.await
    });
    assert_eq!(logged(name), [""; 0]);
    output
}

/// Waits until the runtime with a task of this name has reported a possible deadlock.
fn until_told(name: &str) {
    while logged(name).is_empty() {
        // Polls the log, and orders nothing.
        thread::sleep(Duration::from_millis(1));
    }
}

/// Leaves its waker in a shared place, and never completes.
fn leave_waker(place: Arc<Mutex<Option<Waker>>>) -> impl Future<Output = ()> {
    poll_fn(move |cx| {
        *place.lock().unwrap() = Some(cx.waker().clone());
        Poll::Pending
    })
}

#[test]
fn a_future_without_a_waker_is_a_deadlock() {
    let text = verdict("stall: alone", pending::<()>()).certain();
    assert!(text.contains("nothing holds its waker"), "{text}");
}

#[test]
fn a_chain_of_joins_on_a_stuck_task_is_a_deadlock() {
    let text = verdict("stall: chain", async {
        let last = task::Builder::new().name("the last").spawn(pending::<()>());
        let middle = task::Builder::new().name("the middle").spawn(last);
        middle.await.unwrap().unwrap();
    })
    .certain();
    assert!(text.contains("join task 3 \"the middle\""), "{text}");
    assert!(text.contains("join task 2 \"the last\""), "{text}");
}

#[test]
fn a_cycle_of_joins_is_a_deadlock() {
    for (name, remote) in [("stall: circle", false), ("stall: far circle", true)] {
        let text = verdict(name, async {
            let place = Arc::new(Mutex::new(None::<JoinHandle<()>>));
            let other = Arc::clone(&place);
            let one = async move {
                yield_now().await;
                let other = other.lock().unwrap().take().unwrap();
                other.await.unwrap();
            };
            let one = match remote {
                false => spawn(one),
                true => Handle::current().spawn(one),
            };
            let two = async move { one.await.unwrap() };
            *place.lock().unwrap() = Some(match remote {
                false => spawn(two),
                true => Handle::current().spawn(two),
            });
            drop(place);
            pending::<()>().await;
        })
        .certain();
        assert!(
            text.contains("join task 2") && text.contains("join task 3"),
            "{text}"
        );
    }
}

#[test]
fn a_task_that_awaits_itself_is_a_deadlock() {
    verdict("stall: self", async {
        let place = Rc::new(RefCell::new(None::<JoinHandle<()>>));
        let own = Rc::clone(&place);
        let task = spawn(async move {
            let own = own.take().unwrap();
            own.await.unwrap();
        });
        place.replace(Some(task));
        pending::<()>().await;
    })
    .certain();
}

#[test]
fn a_lost_waker_is_a_deadlock() {
    let place = Arc::new(Mutex::new(None));
    let theirs = Arc::clone(&place);
    verdict("stall: lost", async move {
        let task = spawn(leave_waker(Arc::clone(&theirs)));
        until(|| theirs.lock().unwrap().is_some()).await;
        theirs.lock().unwrap().take();
        task.await.unwrap();
    })
    .certain();
    drop(place);
}

#[test]
fn a_lock_that_wakes_nobody_is_a_deadlock_for_its_holder() {
    verdict("stall: own lock", async {
        let is_locked = Cell::new(true);
        // Releasing the lock wakes nobody.
        poll_fn(|_| match is_locked.replace(true) {
            true => Poll::Pending,
            false => Poll::Ready(()),
        })
        .await;
    })
    .certain();
}

#[test]
fn finished_waits_do_not_hide_a_deadlock() {
    verdict("stall: after all", async {
        let (stream, mut peer) = accepted().await;
        let reader = spawn(async move { stream.read(&mut [0]).await });
        yield_now().await;
        peer.write_all(b"x").unwrap();
        assert_eq!(reader.await.unwrap().unwrap(), 1);
        let (idle, _peer) = accepted().await;
        sleep(Duration::from_millis(1)).await;
        let _untaken = spawn(async {});
        let handle = Handle::current();
        handle.clone().spawn(async {}).await.unwrap();
        drop(handle);
        let task = spawn(pending::<()>());
        drop(task.abort_handle().clone());
        // Held, but nobody waits for it.
        poll_fn(|cx| {
            drop(cx.waker().clone());
            Poll::Ready(())
        })
        .await;
        join(task, pending::<()>()).await.0.unwrap();
        drop(idle);
    })
    .certain();
}

#[test]
fn a_finished_blocking_job_does_not_hide_a_deadlock() {
    verdict("stall: after a job", async {
        spawn_blocking(|| ()).await.unwrap();
        pending::<()>().await;
    })
    .certain();
    verdict("stall: after a detached job", async {
        // A job that is still running when the loop parks.
        drop(spawn_blocking(|| thread::sleep(LONG)));
        pending::<()>().await;
    })
    .certain();
    verdict("stall: after a look-up", async {
        drop(TcpListener::bind("localhost:0").await.unwrap());
        pending::<()>().await;
    })
    .certain();
}

#[test]
fn a_join_handle_on_another_thread_does_not_hide_a_deadlock() {
    let (send, handles) = std_mpsc::channel();
    verdict("stall: join handle", async move {
        send.send(spawn(pending::<()>())).unwrap();
        send.send(Handle::current().spawn(pending::<()>())).unwrap();
        pending::<()>().await;
    })
    .certain();
    drop(handles);
}

#[test]
fn a_deadlock_is_detected_under_a_virtual_clock() {
    let year = 365 * 24 * FAR;
    let text = verdict_with(talkative().virtual_clock(), "stall: virtual", async move {
        let before = time::now();
        sleep(year).await;
        assert!(time::now() - before >= year);
        pending::<()>().await;
    })
    .certain();
    assert!(text.contains("nothing holds its waker"), "{text}");
    let possible = verdict_with(talkative().virtual_clock(), "stall: virtual too", async {
        sleep(year).await;
        let _handle = Handle::current();
        pending::<()>().await;
    });
    assert_eq!(possible, Verdict::Possible);
}

#[test]
fn a_runtime_can_be_used_after_a_deadlock() {
    let _watchdog = watchdog();
    let runtime = strict().build().unwrap();
    let (send, received) = oneshot::channel();
    let before = inside(&runtime, || spawn(received));
    let handle = runtime.handle();
    drop(handle);
    let place = Arc::new(Mutex::new(None));
    let lost = inside(&runtime, || spawn(leave_waker(Arc::clone(&place))));
    send.send(5).unwrap();
    let text = panic_text(|| {
        runtime.block_on(async {
            until(|| place.lock().unwrap().is_some()).await;
            place.lock().unwrap().take();
            pending::<()>().await;
        })
    });
    assert!(text.starts_with("deadlock: "), "{text}");
    runtime.block_on(async {
        assert_eq!(before.await.unwrap(), Ok(5));
        sleep(Duration::from_millis(1)).await;
        let handle = Handle::current();
        let thread = thread::spawn(move || handle.spawn(async { 6 }));
        assert_eq!(thread.join().unwrap().await.unwrap(), 6);
    });
    for _ in 0..3 {
        let text = panic_text(|| runtime.block_on(pending::<()>()));
        assert!(text.starts_with("deadlock: "), "{text}");
    }
    lost.abort();
    assert!(runtime.block_on(lost).unwrap_err().is_cancelled());
}

#[test]
fn the_deadlock_callback_gets_the_dump_once_on_the_runtime_thread() {
    static CALLS: Mutex<Vec<(thread::ThreadId, String)>> = Mutex::new(Vec::new());
    let mut child = child(|| {
        fn note(dump: &Dump) {
            let call = (thread::current().id(), dump.to_string());
            CALLS.lock().unwrap().push(call);
        }
        let _watchdog = watchdog();
        let builder = Builder::new().on_deadlock(OnDeadlock::Call(note));
        let looped = thread::spawn(|| {
            let runtime = builder.build().unwrap();
            runtime.block_on(async {
                drop(task::Builder::new().name("seen").spawn(pending::<()>()));
                pending::<()>().await;
            });
        });
        while CALLS.lock().unwrap().is_empty() {
            thread::sleep(Duration::from_millis(1));
        }
        thread::sleep(LONG);
        let calls = CALLS.lock().unwrap();
        assert_eq!(calls.len(), 1);
        assert_eq!(calls[0].0, looped.thread().id());
        assert!(calls[0].1.contains("1 \"seen\""), "{}", calls[0].1);
        assert!(!looped.is_finished());
        say("called");
    });
    assert_eq!(child.line(), "called");
    child.finish();
}

#[test]
fn a_deadlock_is_logged_once_as_an_error_unless_ignored() {
    child(|| {
        let _watchdog = watchdog();
        record_log();
        // The runtime that ignores deadlocks starts first, so that it is not the later one.
        for (name, policy) in [
            ("ignored", Some(OnDeadlock::Ignore)),
            ("logged", Some(OnDeadlock::Log)),
            ("by default", None),
        ] {
            let (begun, has_begun) = std_mpsc::channel();
            thread::spawn(move || {
                let builder = match policy {
                    Some(policy) => patient().on_deadlock(policy),
                    None => patient(),
                };
                builder.build().unwrap().block_on(async {
                    drop(task::Builder::new().name(name).spawn(pending::<()>()));
                    begun.send(()).unwrap();
                    pending::<()>().await;
                });
            });
            has_begun.recv().unwrap();
        }
        until_told("logged");
        until_told("by default");
        thread::sleep(LONG);
        for name in ["logged", "by default"] {
            let lines = logged(&format!("{name:?}"));
            assert_eq!(lines.len(), 1, "{lines:?}");
            assert!(lines[0].starts_with("ERROR deadlock: "), "{}", lines[0]);
            assert!(lines[0].contains("nothing holds its waker"), "{}", lines[0]);
        }
        assert_eq!(logged("ignored"), [""; 0]);
    })
    .finish();
}

/// It runs while the loop is about to park, and not as a task.
#[test]
fn a_task_spawned_by_the_deadlock_callback_runs() {
    child(|| {
        fn spawn_the_end(_: &Dump) {
            drop(spawn(async { panic!("{OVER}") }));
        }
        let _watchdog = watchdog();
        let runtime = Builder::new()
            .on_deadlock(OnDeadlock::Call(spawn_the_end))
            .on_task_panic(OnTaskPanic::EndRuntime)
            .build()
            .unwrap();
        assert_eq!(panic_text(|| runtime.block_on(pending::<()>())), OVER);
    })
    .finish();
}

#[test]
fn a_live_handle_makes_a_deadlock_only_possible() {
    let in_a_task = verdict("stall: handle in a task", async {
        let handle = Handle::current();
        drop(spawn(async move {
            pending::<()>().await;
            drop(handle);
        }));
        pending::<()>().await;
    });
    assert_eq!(in_a_task, Verdict::Possible);
    let (send, handles) = std_mpsc::channel();
    let elsewhere = verdict("stall: handle elsewhere", async move {
        let handle = Handle::current();
        send.send(handle.clone()).unwrap();
        drop(handle);
        pending::<()>().await;
    });
    assert_eq!(elsewhere, Verdict::Possible);
    drop(handles);
}

#[test]
fn dropping_the_last_handle_reveals_a_deadlock() {
    for name in ["stall: handle goes", "stall: abort handle goes"] {
        let begin = Instant::now();
        verdict_with(strict(), name, async {
            let task = spawn(pending::<()>());
            let handles = match name {
                "stall: handle goes" => (Some(Handle::current()), None),
                _ => (None, Some(task.abort_handle())),
            };
            thread::spawn(move || {
                thread::sleep(LONG);
                drop(handles);
            });
            task.await.unwrap();
        })
        .certain();
        assert!(begin.elapsed() >= LONG);
    }
}

#[test]
fn a_live_abort_handle_makes_a_deadlock_only_possible() {
    let (send, handles) = std_mpsc::channel();
    for name in [
        "stall: abort handle",
        "stall: far abort handle",
        "stall: abort clone",
    ] {
        let send = send.clone();
        let possible = verdict(name, async move {
            let task = match name {
                "stall: far abort handle" => Handle::current().spawn(pending::<()>()),
                _ => spawn(pending::<()>()),
            };
            let abort = task.abort_handle();
            send.send(abort.clone()).unwrap();
            drop(abort);
            task.await.unwrap();
        });
        assert_eq!(possible, Verdict::Possible, "{name}");
    }
    drop(handles);
}

#[test]
fn a_held_waker_makes_a_deadlock_only_possible() {
    let place = Arc::new(Mutex::new(None));
    let of_root = verdict("stall: waker of main", leave_waker(Arc::clone(&place)));
    assert_eq!(of_root, Verdict::Possible);
    let of_task = verdict("stall: waker of a task", async {
        spawn(leave_waker(Arc::clone(&place))).await.unwrap();
    });
    assert_eq!(of_task, Verdict::Possible);
    let (send, received) = oneshot::channel::<()>();
    let of_channel = verdict("stall: sender", received);
    assert_eq!(of_channel, Verdict::Possible);
    drop(send);
}

/// Foreign code may call these wakers too, which glassfrog cannot know.
#[test]
fn a_combinator_that_wraps_wakers_makes_a_deadlock_only_possible() {
    let set = verdict("stall: set", async {
        let mut set = JoinSet::new();
        set.spawn(pending::<()>());
        set.join_next().await.unwrap().unwrap();
    });
    assert_eq!(set, Verdict::Possible);
    let unordered = verdict("stall: unordered", async {
        let mut tasks = FuturesUnordered::from_iter([spawn(pending::<()>())]);
        tasks.next().await.unwrap().unwrap();
    });
    assert_eq!(unordered, Verdict::Possible);
    let children = verdict("stall: scope", async {
        scope(async |scope| {
            scope.spawn(pending::<()>()).await;
        })
        .await;
    });
    assert_eq!(children, Verdict::Possible);
    let locked = verdict("stall: lock", async {
        let lock = lock::Mutex::new(());
        let _held = lock.lock().await;
        drop(lock.lock().await);
    });
    assert_eq!(locked, Verdict::Possible);
    let sibling = verdict("stall: sibling", async {
        let (send, received) = oneshot::channel::<()>();
        let (never, blocked) = oneshot::channel::<()>();
        let task = spawn(async move {
            blocked.await.unwrap();
            send.send(()).unwrap();
        });
        received.await.unwrap();
        never.send(()).unwrap();
        task.await.unwrap();
    });
    assert_eq!(sibling, Verdict::Possible);
}

#[test]
fn joining_a_task_of_another_runtime_makes_a_deadlock_only_possible() {
    let other = Runtime::new().unwrap();
    let task = other.handle().spawn(pending::<()>());
    let possible = verdict("stall: other runtime", task);
    assert_eq!(possible, Verdict::Possible);
}

#[test]
fn a_sender_on_another_thread_is_not_a_deadlock() {
    let _watchdog = watchdog();
    let (send, received) = oneshot::channel();
    let thread = thread::spawn(move || {
        until_told("stall: thread's sender");
        send.send(7).unwrap();
    });
    let runtime = talkative().build().unwrap();
    let output = runtime.block_on(async {
        let name = "stall: thread's sender";
        drop(task::Builder::new().name(name).spawn(pending::<()>()));
        spawn(async { received.await.unwrap() }).await.unwrap()
    });
    assert_eq!(output, 7);
    thread.join().unwrap();
}

#[test]
fn a_handle_on_another_thread_is_not_a_deadlock() {
    let _watchdog = watchdog();
    for remote in [false, true] {
        let name = ["stall: spawner", "stall: aborter"][usize::from(remote)];
        let runtime = talkative()
            .on_task_panic(OnTaskPanic::EndRuntime)
            .build()
            .unwrap();
        let (send, sent) = std_mpsc::channel();
        let thread = thread::spawn(move || {
            let (handle, abort): (Option<Handle>, Option<task::AbortHandle>) = sent.recv().unwrap();
            until_told(name);
            if let Some(handle) = handle {
                drop(handle.spawn(async { panic!("{OVER}") }));
            }
            if let Some(abort) = abort {
                abort.abort();
            }
        });
        let text = panic_text(|| {
            runtime.block_on(async {
                let ender = ender(name);
                send.send(match remote {
                    false => (Some(Handle::current()), None),
                    true => (None, Some(ender.abort_handle())),
                })
                .unwrap();
                pending::<()>().await;
            });
        });
        assert_eq!(text, OVER);
        thread.join().unwrap();
    }
}

#[test]
fn a_late_wake_from_another_thread_is_not_reported() {
    let _watchdog = watchdog();
    record_log();
    let runtime = strict().build().unwrap();
    runtime.block_on(async {
        let name = "stall: later";
        drop(task::Builder::new().name(name).spawn(pending::<()>()));
        for _ in 0..3 {
            let (send, received) = oneshot::channel();
            let thread = thread::spawn(move || {
                thread::sleep(Duration::from_millis(50));
                send.send(()).unwrap();
            });
            received.await.unwrap();
            thread.join().unwrap();
        }
    });
    assert_eq!(logged("stall: later"), [""; 0]);
}

#[test]
fn a_pending_deadline_is_not_a_deadlock() {
    in_silence("stall: deadline", async { sleep(LONG).await });
    in_silence("stall: timeout", async {
        time::timeout(LONG, pending::<()>()).await.unwrap_err();
    });
    // The most distant deadline.
    let (send, received) = oneshot::channel();
    let thread = thread::spawn(move || {
        thread::sleep(LONG);
        send.send(()).unwrap();
    });
    in_silence("stall: for ever", async {
        let _never = spawn(async { sleep(Duration::MAX).await });
        received.await.unwrap();
    });
    thread.join().unwrap();
}

#[test]
fn a_running_blocking_job_is_not_a_deadlock() {
    in_silence("stall: job", async {
        spawn_blocking(|| thread::sleep(LONG)).await.unwrap();
    });
    let _watchdog = watchdog();
    let name = "stall: queued job";
    let runtime = talkative().blocking_threads(1).build().unwrap();
    runtime.block_on(async {
        drop(task::Builder::new().name(name).spawn(pending::<()>()));
        // Nobody awaits the running job.
        drop(spawn_blocking(|| thread::sleep(LONG)));
        spawn_blocking(|| ()).await.unwrap();
    });
    assert_eq!(logged(name), [""; 0]);
}

#[test]
fn a_pending_lookup_is_not_a_deadlock() {
    in_silence("stall: look-up", async {
        let listener = TcpListener::bind("localhost:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        TcpStream::connect(("localhost", port)).await.unwrap();
    });
}

#[test]
fn a_waiting_socket_is_not_a_deadlock() {
    in_silence("stall: listener", async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let thread = thread::spawn(move || {
            thread::sleep(LONG);
            net::TcpStream::connect(addr).unwrap()
        });
        listener.accept().await.unwrap();
        thread.join().unwrap();
    });
    in_silence("stall: stream", async {
        let (stream, mut peer) = accepted().await;
        let thread = thread::spawn(move || {
            thread::sleep(LONG);
            peer.write_all(b"x").unwrap();
            peer
        });
        assert_eq!(stream.read(&mut [0]).await.unwrap(), 1);
        thread.join().unwrap();
    });
}

/// Runs a loop whose tasks wait without a waker while another thread waits for an event of the same runtime. The
/// event happens after three times [`LONG`].
fn waited_for_elsewhere<T: Send + 'static, F: Future<Output = ()>>(
    name: &'static str,
    make: impl AsyncFnOnce() -> T,
    wait: impl FnOnce(T) -> F + Send + 'static,
) {
    let _watchdog = watchdog();
    let runtime = talkative()
        .on_task_panic(OnTaskPanic::EndRuntime)
        .build()
        .unwrap();
    let begin = Instant::now();
    let looks = thread::spawn(move || {
        thread::sleep(2 * LONG);
        let told = logged(name);
        // On a machine that is too slow for this, the event may have happened already.
        (Instant::now() < begin + 3 * LONG).then_some(told)
    });
    panic_text(|| {
        runtime.block_on(async {
            let (ender, made) = (ender(name), make().await);
            let begun = Arc::new(AtomicBool::new(false));
            let has_begun = Arc::clone(&begun);
            thread::spawn(move || {
                park_on(async {
                    let mut wait = pin!(wait(made));
                    let first = poll_fn(|cx| Poll::Ready(wait.as_mut().poll(cx))).await;
                    begun.store(true, Ordering::Release);
                    if first.is_pending() {
                        wait.await;
                    }
                });
                ender.abort();
            });
            // The loop has an event to wait for as long as the other thread does.
            while !has_begun.load(Ordering::Acquire) {
                sleep(Duration::from_millis(1)).await;
            }
            pending::<()>().await;
        });
    });
    // Either outcome is correct: by the time of the abort there is a deadlock.
    assert!(begin.elapsed() >= 3 * LONG, "{:?}", begin.elapsed());
    let told = looks.join().unwrap();
    assert_eq!(told.unwrap_or_default(), [""; 0]);
}

#[test]
fn waits_of_other_threads_are_not_a_deadlock() {
    waited_for_elsewhere(
        "stall: socket elsewhere",
        async || accepted().await,
        async |(stream, mut peer)| {
            let writer = thread::spawn(move || {
                thread::sleep(3 * LONG);
                peer.write_all(b"x").unwrap();
                peer
            });
            assert_eq!(stream.read(&mut [0]).await.unwrap(), 1);
            writer.join().unwrap();
        },
    );
    waited_for_elsewhere(
        "stall: sleep elsewhere",
        async || sleep(3 * LONG),
        |nap| nap,
    );
}

#[test]
fn a_possible_deadlock_is_not_reported_by_default() {
    let _watchdog = watchdog();
    record_log();
    let name = "stall: no wish";
    let (send, received) = oneshot::channel();
    let thread = thread::spawn(move || {
        thread::sleep(LONG);
        send.send(()).unwrap();
    });
    strict().build().unwrap().block_on(async {
        drop(task::Builder::new().name(name).spawn(pending::<()>()));
        received.await.unwrap();
    });
    assert_eq!(logged(name), [""; 0]);
    thread.join().unwrap();
}

#[test]
fn a_possible_deadlock_is_reported_once_until_a_task_runs() {
    let _watchdog = watchdog();
    let name = "stall: once";
    let runtime = talkative().build().unwrap();
    let handle = runtime.handle();
    let (send, mut received) = futures::channel::mpsc::unbounded();
    let thread = thread::spawn(move || {
        for round in 1..=3 {
            while logged(name).len() < round {
                thread::sleep(Duration::from_millis(1));
            }
            // These wake the loop, but no task runs.
            for _ in 0..3 {
                assert!(handle.dump().to_string().contains(name));
            }
            thread::sleep(LONG);
            assert_eq!(logged(name).len(), round);
            // After the last round, the end of the channel wakes the loop.
            if round < 3 {
                send.unbounded_send(()).unwrap();
            }
        }
    });
    runtime.block_on(async {
        drop(task::Builder::new().name(name).spawn(pending::<()>()));
        while received.next().await.is_some() {}
    });
    thread.join().unwrap();
    let told = logged(name);
    assert_eq!(told.len(), 3);
    for line in told {
        assert!(
            line.starts_with("WARN") && line.contains(POSSIBLE),
            "{line}"
        );
        assert!(line.contains("something outside glassfrog"), "{line}");
    }
}

#[test]
fn a_possible_deadlock_is_not_reported_before_its_time() {
    let _watchdog = watchdog();
    record_log();
    let name = "stall: early";
    let runtime = strict().stall_report(FAR).build().unwrap();
    let handle = runtime.handle();
    let (send, received) = oneshot::channel();
    let thread = thread::spawn(move || {
        // Each ends a park, but no task runs.
        for _ in 0..10 {
            assert!(handle.dump().to_string().contains("main"));
        }
        send.send(()).unwrap();
    });
    runtime.block_on(async {
        drop(task::Builder::new().name(name).spawn(pending::<()>()));
        received.await.unwrap();
    });
    thread.join().unwrap();
    assert_eq!(logged(name), [""; 0]);
}

#[test]
fn an_idle_period_parks_at_most_twice() {
    const WAKES: u64 = 100;
    let _watchdog = watchdog();
    let runtime = strict().build().unwrap();
    let (send, mut received) = futures::channel::mpsc::unbounded();
    let thread = thread::spawn(move || {
        for _ in 0..WAKES {
            send.unbounded_send(()).unwrap();
            thread::sleep(Duration::from_millis(1));
        }
    });
    runtime.block_on(async {
        while received.next().await.is_some() {}
        let metrics = Handle::current().metrics();
        assert!(metrics.parks <= 2 * (WAKES + 1), "{metrics:?}");
    });
    thread.join().unwrap();
}

/// How a wait ends just when the loop looks for a deadlock.
#[derive(Clone, Copy, Debug)]
enum Shave {
    /// The last waker of the root future is called.
    RootWaker,
    /// The last waker of a task is called.
    TaskWaker,
    /// The only abort handle is used.
    Abort,
}

/// Waits until about the time of that check.
fn close_shave(runtime: &Runtime, way: Shave, round: usize) {
    let (send, acts) = std_mpsc::channel::<(Instant, Box<dyn FnOnce() + Send>)>();
    let thread = thread::spawn(move || {
        let (begin, act) = acts.recv().unwrap();
        // Spread around the expected time, since a sleep takes slightly longer than requested. (37 and 100 are
        // coprime, so even a few rounds are spread.)
        let late = Duration::from_micros(5 * (37 * round as u64 % 100));
        let moment = begin + GRACE + late;
        let near = moment - Duration::from_micros(200);
        thread::sleep(near.saturating_duration_since(Instant::now()));
        while Instant::now() < moment {
            hint::spin_loop();
        }
        act();
    });
    let wake = || {
        let (send, woken) = (send.clone(), Arc::new(AtomicBool::new(false)));
        poll_fn(move |cx| {
            if woken.load(Ordering::Relaxed) {
                return Poll::Ready(());
            }
            let (waker, woken) = (cx.waker().clone(), Arc::clone(&woken));
            let act = move || {
                woken.store(true, Ordering::Relaxed);
                waker.wake();
            };
            send.send((Instant::now(), Box::new(act))).unwrap();
            Poll::Pending
        })
    };
    runtime.block_on(async {
        match way {
            Shave::RootWaker => wake().await,
            Shave::TaskWaker => spawn(wake()).await.unwrap(),
            Shave::Abort => {
                let task = spawn(pending::<()>());
                let abort = task.abort_handle();
                let act = move || {
                    abort.abort();
                    drop(abort);
                };
                send.send((Instant::now(), Box::new(act))).unwrap();
                assert!(task.await.unwrap_err().is_cancelled());
            }
        }
    });
    thread.join().unwrap();
}

/// Runs many such loops concurrently, since each mostly sleeps.
fn close_shaves(way: Shave) {
    const ROUNDS: usize = few_or_many(500, 2000);
    const AT_A_TIME: usize = 25;
    let _watchdog = watchdog();
    let (next, false_alarms) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let shave = || {
        loop {
            let round = next.fetch_add(1, Ordering::Relaxed);
            if round >= ROUNDS {
                return;
            }
            let shave = || close_shave(&strict().build().unwrap(), way, round);
            if catch_unwind(shave).is_err() {
                false_alarms.fetch_add(1, Ordering::Relaxed);
            }
        }
    };
    thread::scope(|scope| {
        for _ in 0..AT_A_TIME {
            scope.spawn(shave);
        }
    });
    assert_eq!(false_alarms.into_inner(), 0, "false alarms of {ROUNDS}");
}

#[test]
fn a_last_moment_wake_of_the_root_future_is_no_false_alarm() {
    close_shaves(Shave::RootWaker);
}

#[test]
fn a_last_moment_wake_of_a_task_is_no_false_alarm() {
    close_shaves(Shave::TaskWaker);
}

#[test]
fn a_last_moment_abort_is_no_false_alarm() {
    close_shaves(Shave::Abort);
}

/// The more sockets the loop must check, the longer the critical moment lasts.
#[test]
fn a_last_moment_abort_among_many_sockets_is_no_false_alarm() {
    const ROUNDS: usize = few_or_many(25, 200);
    const SOCKETS: usize = 400;
    let _watchdog = watchdog();
    let mut false_alarms = 0;
    for round in 0..ROUNDS {
        let runtime = strict().build().unwrap();
        let _listeners = runtime.block_on(async {
            let listeners = (0..SOCKETS).map(|_| TcpListener::bind("127.0.0.1:0"));
            join_all(listeners).await
        });
        let shave = AssertUnwindSafe(|| close_shave(&runtime, Shave::Abort, round));
        false_alarms += usize::from(catch_unwind(shave).is_err());
    }
    assert_eq!(false_alarms, 0, "false alarms of {ROUNDS}");
}

#[cfg(target_os = "linux")]
mod in_proc {
    //! Observations through `/proc`, and signals.

    use super::{FAR, LONG, strict, talkative, until_told};
    use crate::support::{child, say, status, watchdog};
    use crate::task_probes::{logged, record_log};
    use futures::channel::oneshot;
    use glassfrog::task;
    use std::fs;
    use std::future::pending;
    use std::process::Command;
    use std::sync::mpsc;
    use std::thread;

    #[test]
    fn a_loop_sleeps_after_its_report() {
        let _watchdog = watchdog();
        let name = "stall: sleeps";
        let (send, received) = oneshot::channel();
        let (begun, has_begun) = mpsc::channel();
        let looped = thread::spawn(move || {
            let link = fs::read_link("/proc/thread-self").unwrap();
            begun.send(link.display().to_string()).unwrap();
            talkative().build().unwrap().block_on(async {
                drop(task::Builder::new().name(name).spawn(pending::<()>()));
                received.await.unwrap();
            });
        });
        let thread = has_begun.recv().unwrap();
        until_told(name);
        let switches = || status(&thread, "voluntary_ctxt_switches");
        // A loop that woke up periodically would never leave this loop.
        loop {
            let before = switches();
            thread::sleep(LONG);
            if switches() == before {
                break;
            }
        }
        send.send(()).unwrap();
        looped.join().unwrap();
    }

    /// `epoll_wait` returns `EINTR` when a stopped process continues, whether or not it handles signals
    /// (`signal(7)`).
    #[test]
    fn a_signal_causes_no_early_and_no_false_report() {
        const NAME: &str = "stall: signals";
        let mut child = child(|| {
            let _watchdog = watchdog();
            record_log();
            let (send, received) = oneshot::channel();
            let looped = thread::spawn(|| {
                strict().stall_report(FAR).build().unwrap().block_on(async {
                    drop(task::Builder::new().name(NAME).spawn(pending::<()>()));
                    received.await.unwrap();
                });
            });
            say(std::process::id());
            thread::sleep(4 * LONG);
            send.send(()).unwrap();
            looped.join().unwrap();
            assert_eq!(logged(NAME), [""; 0]);
        });
        let id = child.line();
        for _ in 0..10 {
            for signal in ["-STOP", "-CONT"] {
                let sent = Command::new("kill").args([signal, &id]).status();
                assert!(sent.unwrap().success());
            }
            thread::sleep(LONG / 5);
        }
        child.finish();
    }
}

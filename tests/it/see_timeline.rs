//! The timeline: what the recorder writes.

use futures::channel::oneshot;
use futures::future::join;
use glassfrog::net::{TcpListener, TcpStream, lookup_host};
use glassfrog::prelude::*;
use glassfrog::sync::Mutex;
use glassfrog::task::{self, Builder, JoinSet, scope, spawn_blocking, yield_now};
use glassfrog::time::{advance, sleep};
use glassfrog::{Handle, Runtime, spawn};
use std::cell::RefCell;
use std::future::{pending, poll_fn};
use std::mem;
use std::rc::Rc;
use std::sync::mpsc;
use std::task::{Poll, Waker};
use std::thread;
use std::time::Duration;

/// A millisecond.
const MS: Duration = Duration::from_millis(1);

/// Returns a runtime that records, with a virtual clock.
fn recording(events: usize) -> Runtime {
    let builder = Runtime::builder().virtual_clock().timeline(events);
    builder.build().expect("a runtime")
}

/// Returns a task with a name.
fn named(name: &str) -> Builder {
    Builder::new().name(name)
}

/// Returns the lines of the timeline that `wanted` accepts, without the numbers of lines in this file.
fn lines(wanted: impl Fn(&str) -> bool) -> Vec<String> {
    let lines = Handle::current().timeline_lines().expect("a timeline");
    let lines = lines.lines().skip(1).filter(|line| wanted(line));
    let lines = lines.map(|line| match line.split_once("see_timeline.rs:") {
        Some((before, after)) => {
            let after = after.trim_start_matches(|c: char| c.is_ascii_digit());
            format!("{before}see_timeline.rs{after}")
        }
        None => String::from(line),
    });
    lines.collect()
}

/// Returns whether a line does not depend on other threads. How often a loop parks while it waits for one does.
fn is_no_park(line: &str) -> bool {
    !line.contains(" parked for ")
}

/// Asserts that these are the lines.
#[track_caller]
fn assert_lines(lines: &[String], expected: &str) {
    let expected: Vec<&str> = expected.lines().map(str::trim).collect();
    let expected = expected.into_iter().filter(|line| !line.is_empty());
    let (lines, expected) = (lines.join("\n"), expected.collect::<Vec<_>>().join("\n"));
    assert_eq!(lines, expected, "\n{lines}\n\ninstead of\n\n{expected}");
}

#[test]
fn a_run_under_a_virtual_clock_has_exactly_this_timeline() {
    let runtime = recording(4096);
    let lines = runtime.block_on(async {
        // A sleep, a mark and a join.
        let sleeper = named("sleeper").spawn(async {
            sleep(2 * MS).await;
            task::mark("slept");
        });
        sleeper.await.unwrap();
        // An abort and a panic.
        let aborted = named("aborted").spawn(sleep(MS));
        let panics = named("panics").spawn(async { panic!("as the test wants") });
        yield_now().await;
        aborted.abort();
        aborted.await.unwrap_err();
        panics.await.unwrap_err();
        // The child of a scope.
        scope(async |s| {
            s.spawn(sleep(MS));
        })
        .await;
        // A set.
        let mut set = JoinSet::new();
        set.spawn(sleep(MS));
        set.join_next().await.unwrap().unwrap();
        // A lock.
        let lock = Rc::new(Mutex::named("accounts", 0));
        let theirs = Rc::clone(&lock);
        let holder = named("holder").spawn(async move {
            let _guard = theirs.lock().await;
            sleep(MS).await;
        });
        yield_now().await;
        drop(task::waiting_for("my turn", lock.lock()).await);
        holder.await.unwrap();
        lines(is_no_park)
    });
    assert_lines(
        &lines,
        "
        0 main is woken by Loop
        0 sleeper is spawned by main
        0 main waits for sleeper
        0 main polled for 0: Pending
        0 sleeper waits for deadline in 2000
        0 sleeper polled for 0: Pending
        2000 1 deadlines
        2000 sleeper is woken by Deadline
        2000 mark \"slept\" by sleeper
        2000 sleeper polled for 0: Ready
        2000 main is woken by sleeper
        2000 aborted is spawned by main
        2000 panics is spawned by main
        2000 main is woken by main
        2000 main polled for 0: Pending
        2000 aborted waits for deadline in 1000
        2000 aborted polled for 0: Pending
        2000 panics polled for 0: Panicked
        2000 aborted is woken by main
        2000 main waits for aborted
        2000 main polled for 0: Pending
        2000 aborted polled for 0: Aborted
        2000 main is woken by aborted
        2000 task 4 is spawned by main in main
        2000 task 4 is woken by main
        2000 task 4 waits for deadline in 1000
        2000 task 4 polled for 0: Pending
        2000 main waits for children
        2000 main polled for 0: Pending
        3000 1 deadlines
        3000 task 4 is woken by Deadline
        3000 main is woken by Deadline
        3000 task 4 polled for 0: Ready
        3000 task 5 is spawned by main
        3000 main waits for task 5
        3000 main waits for children
        3000 main polled for 0: Pending
        3000 task 5 waits for deadline in 1000
        3000 task 5 polled for 0: Pending
        4000 1 deadlines
        4000 task 5 is woken by Deadline
        4000 task 5 polled for 0: Ready
        4000 main is woken by task 5
        4000 holder is spawned by main
        4000 main is woken by main
        4000 main polled for 0: Pending
        4000 holder waits for deadline in 1000
        4000 holder polled for 0: Pending
        4000 main waits for lock \"accounts\" (made at tests/it/see_timeline.rs)
        4000 main waits for my turn
        4000 main polled for 0: Pending
        5000 1 deadlines
        5000 holder is woken by Deadline
        5000 main is woken by holder
        5000 holder polled for 0: Ready
        5000 main is being polled
        ",
    );
}

#[test]
fn the_timeline_names_sockets_by_their_operations() {
    let runtime = recording(4096);
    let (lines, server, client) = runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let client = named("client").spawn(async move {
            let mut stream = TcpStream::connect(addr).await.unwrap();
            sleep(MS).await;
            stream.write_all(b"!").await.unwrap();
        });
        let (mut stream, peer) = listener.accept().await.unwrap();
        stream.read_exact(&mut [0]).await.unwrap();
        client.await.unwrap();
        (lines(is_no_park), addr.to_string(), peer.to_string())
    });
    let text = lines.join("\n").replace(&server, "SERVER");
    let text = text.replace(&client, "CLIENT");
    for line in [
        "0 main waits for socket: accept tcp SERVER",
        "0 client waits for socket: connect tcp CLIENT → SERVER",
        "0 ready: accept tcp SERVER",
        "0 ready: connect tcp CLIENT → SERVER",
        "0 main is woken by Socket",
        "0 client is woken by Socket",
        "0 main waits for socket: read tcp SERVER → CLIENT",
    ] {
        assert!(text.contains(line), "no {line:?} in\n{text}");
    }
    let (_, end) = text.split_once("\n1000 ").unwrap();
    let end: Vec<String> = end.lines().map(String::from).collect();
    assert_lines(
        &end,
        "
        1 deadlines
        1000 client is woken by Deadline
        1000 client polled for 0: Ready
        1000 ready: read tcp SERVER → CLIENT
        1000 main is woken by Socket
        1000 main is being polled
        ",
    );
}

#[test]
fn what_other_threads_do_stands_at_its_time() {
    let runtime = recording(4096);
    runtime.block_on(async {
        sleep(MS).await;
        // The job runs after `main` has been polled.
        let (go, gone) = mpsc::channel();
        let job = spawn_blocking(move || {
            gone.recv().unwrap();
            task::mark("from the job");
        });
        let go = async {
            yield_now().await;
            spawn(async move { go.send(()).unwrap() });
        };
        join(job, go).await.0.unwrap();
        let begins = "1000 job (tests/it/see_timeline.rs) begins";
        let here = lines(|line| line.contains("job") && !line.ends_with("begins"));
        // The join is polled once more when the other future is ready.
        assert_lines(
            &here,
            "
            1000 job (tests/it/see_timeline.rs) is queued by main
            1000 main waits for job (tests/it/see_timeline.rs)
            1000 main waits for job (tests/it/see_timeline.rs)
            1000 mark \"from the job\"
            1000 job (tests/it/see_timeline.rs) ends
            1000 main is woken by job (tests/it/see_timeline.rs)
            ",
        );
        assert_eq!(lines(|line| line.ends_with("begins")), [begins]);

        sleep(MS).await;
        lookup_host("localhost:80").await.unwrap().count();
        // The answer may come before the task waits for it.
        let here = lines(|line| line.starts_with("2000 lookup"));
        assert_lines(
            &here,
            "
            2000 lookup (resolve localhost) is queued by main
            2000 lookup (resolve localhost) begins
            2000 lookup (resolve localhost) ends
            ",
        );

        sleep(MS).await;
        let (sender, receiver) = oneshot::channel();
        let (go, gone) = mpsc::channel();
        let handle = Handle::current();
        let thread = thread::spawn(move || {
            let _entered = handle.enter();
            gone.recv().unwrap();
            task::mark("from a thread");
            sender.send(()).unwrap();
        });
        // The task waits before the thread sends.
        join(receiver, async { go.send(()).unwrap() })
            .await
            .0
            .unwrap();
        thread.join().unwrap();
        let here = lines(|line| line.starts_with("3000 "));
        for line in [
            "3000 mark \"from a thread\"",
            "3000 main is woken by Thread",
        ] {
            assert!(here.iter().any(|here| here == line), "{here:?}");
        }
    });
}

#[test]
fn a_wake_while_its_thread_exits_is_recorded() {
    /// Wakes a task when its thread exits.
    struct WakeOnDrop(Waker);
    impl Drop for WakeOnDrop {
        fn drop(&mut self) {
            self.0.wake_by_ref();
        }
    }
    thread_local! {
        static WAKER: RefCell<Option<WakeOnDrop>> = const { RefCell::new(None) };
    }
    let runtime = recording(64);
    runtime.block_on(async {
        let (exit, exits) = mpsc::channel::<()>();
        let (mut exit, mut exits) = (Some(exit), Some(exits));
        let mut thread = None;
        poll_fn(|cx| match (exits.take(), exit.take()) {
            (Some(exits), kept) => {
                let waker = cx.waker().clone();
                thread = Some(thread::spawn(move || {
                    // This comes before the wake, so that the variables of the crate are destroyed first.
                    WAKER.set(Some(WakeOnDrop(waker.clone())));
                    waker.wake();
                    exits.recv().unwrap_err();
                }));
                exit = kept;
                Poll::Pending
            }
            (None, Some(_exit)) => Poll::Pending,
            (None, None) => Poll::Ready(()),
        })
        .await;
        thread.unwrap().join().unwrap();
        let woken = lines(|line| line == "0 main is woken by Thread");
        assert_eq!(woken.len(), 2);
    });
}

#[test]
fn a_child_that_another_runtime_wakes_is_none_of_its_tasks() {
    let runtime = recording(64);
    let (send, wakers) = mpsc::channel();
    runtime.block_on(scope(async |s| {
        s.spawn(async move {
            let mut is_first = true;
            poll_fn(|cx| {
                if mem::take(&mut is_first) {
                    send.send(cx.waker().clone()).unwrap();
                    return Poll::Pending;
                }
                Poll::Ready(())
            })
            .await;
        });
        yield_now().await;
        thread::spawn(move || {
            recording(64).block_on(async {
                let waker: Waker = wakers.recv().unwrap();
                waker.wake();
                let woken = lines(|line| line.contains("woken"));
                assert_eq!(woken, ["0 main is woken by Loop"]);
            });
        })
        .join()
        .unwrap();
    }));
}

#[test]
fn the_times_before_a_week_of_virtual_sleep_are_right() {
    const WEEK: Duration = Duration::from_secs(7 * 24 * 3600);
    let runtime = recording(64);
    runtime.block_on(async {
        task::mark("before");
        sleep(WEEK).await;
        task::mark("between");
        advance(WEEK).await;
        task::mark("after");
        let marks = lines(|line| line.contains("mark"));
        assert_lines(
            &marks,
            "
            0 mark \"before\" by main
            604800000000 mark \"between\" by main
            1209600000000 mark \"after\" by main
            ",
        );
    });
}

#[test]
fn a_timeline_can_be_read_while_a_poll_blocks_the_loop() {
    let runtime = recording(64);
    runtime.block_on(async {
        let handle = Handle::current();
        let (read, was_read) = mpsc::channel();
        let (begun, has_begun) = mpsc::channel();
        let blocking = named("blocking").spawn(async move {
            task::mark("it blocks");
            let job = spawn_blocking(move || begun.send(()));
            has_begun.recv().unwrap();
            let reader = thread::spawn(move || read.send(handle.timeline_lines().unwrap()));
            let lines = was_read.recv().unwrap();
            reader.join().unwrap().unwrap();
            job.await.unwrap().unwrap();
            lines
        });
        let lines = blocking.await.unwrap();
        for line in [
            "0 blocking is being polled",
            "0 mark \"it blocks\" by blocking",
            ") is queued by blocking",
            ") begins",
        ] {
            assert!(lines.contains(line), "no {line:?} in\n{lines}");
        }
    });
}

#[test]
fn a_task_that_lives_has_its_name_after_the_ring_has_wrapped() {
    let runtime = recording(64);
    runtime.block_on(async {
        let (sender, receiver) = oneshot::channel::<()>();
        let living = named("living").spawn(task::waiting_for("the end", receiver));
        for number in 0..1000 {
            named(&format!("short {number}"))
                .spawn(async {})
                .await
                .unwrap();
        }
        sender.send(()).unwrap();
        living.await.unwrap().unwrap();
        let lines = lines(|_| true);
        assert!(lines.len() <= 64 + 1, "{lines:?}");
        assert!(lines.iter().any(|line| line == "0 living is woken by main"));
        assert!(lines.iter().any(|line| line.contains("short 999")));
    });
}

#[test]
fn the_end_of_a_task_keeps_the_arrow_to_its_joiner() {
    let runtime = recording(64);
    runtime.block_on(async {
        named("ends").spawn(async {}).await.unwrap();
        let lines = lines(is_no_park);
        let end = lines
            .iter()
            .position(|line| line == "0 ends polled for 0: Ready");
        let wake = lines
            .iter()
            .position(|line| line == "0 main is woken by ends");
        assert!(end.is_some() && end < wake, "{lines:?}");
    });
}

#[test]
fn a_dropped_child_has_ended() {
    let runtime = recording(64);
    runtime.block_on(async {
        let ended = task::try_scope(async |s| {
            s.spawn(pending::<Result<(), ()>>());
            yield_now().await;
            Err::<(), ()>(())
        });
        ended.await.unwrap_err();
        let lines = lines(|line| line.contains("Aborted"));
        assert_eq!(lines, ["0 task 1 polled for 0: Aborted"]);
    });
}

#[test]
fn a_runtime_without_a_timeline_ignores_marks() {
    let runtime = Runtime::new().unwrap();
    runtime.block_on(async {
        task::mark("nothing");
        assert_eq!(Handle::current().timeline_lines(), None);
    });
    task::mark("outside");
}

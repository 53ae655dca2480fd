//! The timeline: what the recorder writes.

use futures::channel::oneshot;
use futures::future::join;
use futures::{AsyncReadExt, AsyncWriteExt};
use glassfrog::net::{TcpListener, TcpStream, lookup_host};
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
use std::time::{Duration, Instant};

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
    let lines = Handle::current().timeline().latest(usize::MAX);
    let lines = lines.iter().map(|line| line.trim_start());
    let lines = lines.filter(|line| wanted(line));
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
        0.000000 s  main was woken by the loop
        0.000000 s  task 1 \"sleeper\" was spawned by main
        0.000000 s  main waits for join task 1 \"sleeper\"
        0.000000 s  main ran for 0 ns
        0.000000 s  task 1 \"sleeper\" waits for sleep 2 ms
        0.000000 s  task 1 \"sleeper\" ran for 0 ns
        0.002000 s  deadlines passed: 1
        0.002000 s  task 1 \"sleeper\" was woken by a deadline
        0.002000 s  mark of task 1 \"sleeper\": \"slept\"
        0.002000 s  task 1 \"sleeper\" ran for 0 ns, and ended
        0.002000 s  main was woken by task 1 \"sleeper\"
        0.002000 s  task 2 \"aborted\" was spawned by main
        0.002000 s  task 3 \"panics\" was spawned by main
        0.002000 s  main was woken by itself
        0.002000 s  main ran for 0 ns
        0.002000 s  task 2 \"aborted\" waits for sleep 1 ms
        0.002000 s  task 2 \"aborted\" ran for 0 ns
        0.002000 s  task 3 \"panics\" ran for 0 ns, and panicked
        0.002000 s  task 2 \"aborted\" was woken by main
        0.002000 s  main waits for join task 2 \"aborted\"
        0.002000 s  main ran for 0 ns
        0.002000 s  task 2 \"aborted\" ran for 0 ns, because it was aborted
        0.002000 s  main was woken by task 2 \"aborted\"
        0.002000 s  child 4 was spawned by main
        0.002000 s  child 4 was woken by main
        0.002000 s  child 4 waits for sleep 1 ms
        0.002000 s  child 4 ran for 0 ns
        0.002000 s  main waits for its children
        0.002000 s  main ran for 0 ns
        0.003000 s  deadlines passed: 1
        0.003000 s  child 4 was woken by a deadline
        0.003000 s  main was woken by a deadline
        0.003000 s  child 4 ran for 0 ns, and ended
        0.003000 s  task 5 was spawned by main
        0.003000 s  main waits for join task 5
        0.003000 s  main waits for its children
        0.003000 s  main ran for 0 ns
        0.003000 s  task 5 waits for sleep 1 ms
        0.003000 s  task 5 ran for 0 ns
        0.004000 s  deadlines passed: 1
        0.004000 s  task 5 was woken by a deadline
        0.004000 s  task 5 ran for 0 ns, and ended
        0.004000 s  main was woken by task 5
        0.004000 s  task 6 \"holder\" was spawned by main
        0.004000 s  main was woken by itself
        0.004000 s  main ran for 0 ns
        0.004000 s  task 6 \"holder\" waits for sleep 1 ms
        0.004000 s  task 6 \"holder\" ran for 0 ns
        0.004000 s  main waits for lock \"accounts\" (made at tests/it/see_timeline.rs)
        0.004000 s  main waits for my turn
        0.004000 s  main ran for 0 ns
        0.005000 s  deadlines passed: 1
        0.005000 s  task 6 \"holder\" was woken by a deadline
        0.005000 s  main was woken by task 6 \"holder\"
        0.005000 s  task 6 \"holder\" ran for 0 ns, and ended
        0.005000 s  main has been running for 0 ns
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
        "0.000000 s  main waits for accept tcp SERVER",
        "0.000000 s  task 1 \"client\" waits for connect tcp CLIENT → SERVER",
        "0.000000 s  ready: accept tcp SERVER",
        "0.000000 s  ready: connect tcp CLIENT → SERVER",
        "0.000000 s  main was woken by a socket",
        "0.000000 s  task 1 \"client\" was woken by a socket",
        "0.000000 s  main waits for read tcp SERVER → CLIENT",
    ] {
        assert!(text.contains(line), "no {line:?} in\n{text}");
    }
    let (_, end) = text.split_once("\n0.001000 s  ").unwrap();
    let end: Vec<String> = end.lines().map(String::from).collect();
    assert_lines(
        &end,
        "
        deadlines passed: 1
        0.001000 s  task 1 \"client\" was woken by a deadline
        0.001000 s  task 1 \"client\" ran for 0 ns, and ended
        0.001000 s  ready: read tcp SERVER → CLIENT
        0.001000 s  main was woken by a socket
        0.001000 s  main has been running for 0 ns
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
        let began = "0.001000 s  job 1 began";
        let here = lines(|line| line.contains("job") && !line.ends_with("began"));
        // The join is polled once more when the other future is ready.
        assert_lines(
            &here,
            "
            0.001000 s  job 1 was submitted by main
            0.001000 s  main waits for job 1
            0.001000 s  main waits for job 1
            0.001000 s  mark: \"from the job\"
            0.001000 s  job 1 ended
            0.001000 s  main was woken by job 1
            ",
        );
        assert_eq!(lines(|line| line.ends_with("began")), [began]);

        sleep(MS).await;
        lookup_host("localhost:80").await.unwrap().count();
        // The answer may come before the task waits for it.
        let here = lines(|line| line.starts_with("0.002000 s  lookup"));
        assert_lines(
            &here,
            "
            0.002000 s  lookup 3 \"resolve localhost\" was submitted by main
            0.002000 s  lookup 3 \"resolve localhost\" began
            0.002000 s  lookup 3 \"resolve localhost\" ended
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
        let here = lines(|line| line.starts_with("0.003000 s  "));
        for line in [
            "0.003000 s  mark: \"from a thread\"",
            "0.003000 s  main was woken by another thread",
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
        let woken = lines(|line| line == "0.000000 s  main was woken by another thread");
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
                assert_eq!(woken, ["0.000000 s  main was woken by the loop"]);
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
            0.000000 s  mark of main: \"before\"
            604800.000000 s  mark of main: \"between\"
            1209600.000000 s  mark of main: \"after\"
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
            let reader = thread::spawn(move || read.send(handle.timeline().latest(64).join("\n")));
            let lines = was_read.recv().unwrap();
            reader.join().unwrap().unwrap();
            job.await.unwrap().unwrap();
            lines
        });
        let lines = blocking.await.unwrap();
        for line in [
            "0.000000 s  task 1 \"blocking\" has been running for 0 ns",
            "0.000000 s  mark of task 1 \"blocking\": \"it blocks\"",
            "job 2 was submitted by task 1 \"blocking\"",
            "job 2 began",
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
        assert!(
            lines
                .iter()
                .any(|line| line.ends_with(" task 1 \"living\" was woken by main"))
        );
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
            .position(|line| line == "0.000000 s  task 1 \"ends\" ran for 0 ns, and ended");
        let wake = lines
            .iter()
            .position(|line| line == "0.000000 s  main was woken by task 1 \"ends\"");
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
        let lines = lines(|line| line.contains("aborted"));
        assert_eq!(
            lines,
            ["0.000000 s  child 1 ran for 0 ns, because it was aborted"]
        );
    });
}

#[test]
fn a_runtime_without_a_timeline_ignores_marks() {
    let runtime = Runtime::new().unwrap();
    runtime.block_on(async {
        task::mark("nothing");
        assert!(Handle::current().timeline().latest(1).is_empty());
    });
    task::mark("outside");
}

#[test]
fn a_task_whose_deadline_passes_during_the_poll_that_runs_is_late() {
    let runtime = Runtime::builder().timeline(64).build().unwrap();
    runtime.block_on(async {
        named("ticker").spawn(sleep(MS));
        let blocks = named("blocks").spawn(async {
            // The ticker waits before this task runs again.
            yield_now().await;
            let began = Instant::now();
            while began.elapsed() < 10 * MS {}
            Handle::current().timeline()
        });
        let timeline = blocks.await.unwrap();
        let latest = &timeline.latest_starts(1)[0];
        assert_eq!(latest.task().name(), Some("ticker"), "{timeline}");
        assert!(!latest.has_started());
        assert!(latest.delay() >= 8 * MS, "{timeline}");
        assert_eq!(latest.behind().unwrap().name(), Some("blocks"));
    });
}

#[test]
fn a_lookup_has_no_place_inside_glassfrog() {
    let runtime = Runtime::builder().timeline(64).build().unwrap();
    runtime.block_on(async {
        lookup_host("localhost:80").await.unwrap().count();
        let trace = Handle::current().timeline().to_trace_json();
        assert!(trace.contains("resolve localhost"), "{trace}");
        assert!(!trace.contains("resolve.rs"), "{trace}");
    });
}

//! The watchdog: its reports about long polls, after their end or meanwhile.

use crate::support::{child, watchdog};
use crate::task_probes::{logged, panic_text, record_log};
use glassfrog::task::{self, yield_now};
use glassfrog::{Builder, Handle, OnTaskPanic, Runtime, spawn};
use std::cell::Cell;
use std::panic::{Location, resume_unwind};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

/// A duration that exceeds every test.
const FAR: Duration = Duration::from_secs(3600);

/// The limit for a poll in most of these tests.
const LIMIT: Duration = Duration::from_millis(10);

/// Longer than that limit, and than the default limit of a debug build.
const LONG: Duration = Duration::from_millis(120);

/// The log message about a poll that was slow.
const HELD: &str = "took";

/// The log message about a poll that is still running.
const HOLDS: &str = "has blocked its thread for";

/// Builds a runtime that watches its polls, for a test that reads the log. It reports every slow poll at once.
fn watching(limit: Duration) -> Runtime {
    record_log();
    let builder = Builder::new().watchdog(limit);
    builder.test_patience(Duration::ZERO).build().unwrap()
}

/// The same, with the watchdog thread only.
fn watched(limit: Duration) -> Runtime {
    record_log();
    let builder = Builder::new().watchdog(Duration::MAX);
    let builder = builder.test_patience(Duration::ZERO);
    builder.watchdog_thread(limit).build().unwrap()
}

/// Blocks the thread until this many lines with this name are logged.
fn block_until_told(name: &str, times: usize) {
    while logged(name).len() < times {
        thread::sleep(Duration::from_millis(1));
    }
}

/// Blocks for longer than [`LIMIT`].
fn dawdle() {
    thread::sleep(2 * LIMIT);
}

#[test]
fn a_slow_poll_is_reported_with_task_name_location_and_time() {
    let _watchdog = watchdog();
    let name = "watchdog: slow";
    let runtime = watching(LIMIT);
    let (id, line) = runtime.block_on(async {
        let line = line!() + 1;
        let task = task::Builder::new().name(name).spawn(async {
            yield_now().await;
            dawdle();
        });
        let id = task.id();
        task.await.unwrap();
        (id, line)
    });
    // The machine may delay the first poll too.
    let begin = format!(
        "WARN poll 2 of task {id} {name:?} (spawned at {}:{line}:",
        file!()
    );
    let told = logged(&begin);
    assert_eq!(told.len(), 1, "{:?}", logged(name));
    assert!(told[0].starts_with(&begin), "{}", told[0]);
    let (_, took) = told[0].split_once(&format!("{HELD} ")).unwrap();
    let took: u128 = took.split(" ms: ").next().unwrap().parse().unwrap();
    assert!(took >= (2 * LIMIT).as_millis(), "{took}");
}

#[test]
fn a_slow_poll_of_an_unnamed_task_is_reported_with_its_location() {
    let _watchdog = watchdog();
    let runtime = watching(LIMIT);
    let here = Location::caller();
    let (id, other) = runtime.block_on(async {
        let task = spawn(async { dawdle() });
        let other = Handle::current().spawn(async { dawdle() });
        let ids = (task.id(), other.id());
        task.await.unwrap();
        other.await.unwrap();
        ids
    });
    for (id, line) in [(id, here.line() + 2), (other, here.line() + 3)] {
        let place = format!("poll 1 of task {id} (spawned at {}:{line}:", here.file());
        let told = logged(&place);
        assert_eq!(told.len(), 1, "{place}: {told:?}");
        assert!(told[0].contains(HELD));
    }
}

#[test]
fn slow_polls_are_counted_whatever_they_return() {
    let _watchdog = watchdog();
    let runtime = watching(LIMIT);
    // At least this many more than before: the machine may delay quick polls too.
    let counted = Cell::new(0);
    let assert_more = |count| {
        let before = counted.replace(Handle::current().metrics().slow_polls);
        assert!(counted.get() >= before + count, "{before} {counted:?}");
    };
    runtime.block_on(async {
        let task = spawn(async {
            for _ in 0..3 {
                dawdle();
                yield_now().await;
            }
        });
        task.await.unwrap();
        assert_more(3);
        let panics = spawn(async {
            dawdle();
            panic!("slow, and wrong");
        });
        assert!(panics.await.unwrap_err().is_panic());
        assert_more(1);
        dawdle();
        yield_now().await;
        assert_more(1);
    });
}

#[test]
fn repeated_warnings_about_one_place_are_folded_and_told_at_the_end() {
    let _watchdog = watchdog();
    record_log();
    let name = "watchdog: again and again";
    let builder = Builder::new().watchdog(LIMIT).test_patience(FAR);
    let runtime = builder.build().unwrap();
    let polls = 5;
    let line = line!() + 3;
    runtime.block_on(async {
        let slow = || {
            task::Builder::new().name(name).spawn(async move {
                for _ in 0..polls {
                    dawdle();
                    yield_now().await;
                }
            })
        };
        let both = [slow(), slow()];
        for task in both {
            task.await.unwrap();
        }
    });
    assert_eq!(logged(name).len(), 1, "{:?}", logged(name));
    drop(runtime);
    let told = logged(name);
    assert_eq!(told.len(), 2, "{told:?}");
    let count = told[1].strip_prefix("WARN ").unwrap();
    let (count, rest) = count.split_once(' ').unwrap();
    // The machine may delay the last polls too.
    assert!(count.parse::<u32>().unwrap() >= 2 * polls - 1, "{told:?}");
    let begin = format!(
        "more slow polls of the tasks {name:?} (spawned at {}:{line}:",
        file!()
    );
    assert!(rest.starts_with(&begin), "{told:?}");
    assert!(rest.contains(" took more than 10 ms since "), "{told:?}");
    assert!(rest.contains(", the longest "), "{told:?}");
}

#[test]
fn the_watchdog_thread_folds_its_warnings_too() {
    let _watchdog = watchdog();
    record_log();
    let name = "watchdog: again meanwhile";
    let builder = Builder::new().watchdog(Duration::MAX).test_patience(FAR);
    let runtime = builder.watchdog_thread(LIMIT).build().unwrap();
    runtime.block_on(async {
        let task = task::Builder::new().name(name).spawn(async {
            block_until_told(name, 1);
            for _ in 0..3 {
                yield_now().await;
                thread::sleep(10 * LIMIT);
            }
        });
        task.await.unwrap();
    });
    assert_eq!(logged(name).len(), 1, "{:?}", logged(name));
    drop(runtime);
    let told = logged(name);
    let holds = told.iter().filter(|line| line.contains(HOLDS));
    assert_eq!(holds.count(), 1, "{told:?}");
    // A busy machine may not let the thread see the other polls.
    if let Some(rest) = told.get(1) {
        assert!(rest.contains(" more slow poll"), "{told:?}");
        assert!(rest.contains(", the longest at least "), "{told:?}");
    }
}

#[test]
fn a_slow_poll_that_ends_the_runtime_is_reported() {
    let _watchdog = watchdog();
    record_log();
    let name = "watchdog: the end";
    let runtime = Builder::new()
        .watchdog(LIMIT)
        .on_task_panic(OnTaskPanic::EndRuntime)
        .build()
        .unwrap();
    let text = panic_text(|| {
        runtime.block_on(async {
            let task = task::Builder::new().name(name).spawn(async {
                dawdle();
                panic!("late");
            });
            task.await.unwrap()
        })
    });
    assert_eq!(text, "late");
    let told = logged(name);
    assert!(told.iter().any(|line| line.contains(HELD)), "{told:?}");
}

#[test]
fn a_quick_poll_is_not_reported() {
    let _watchdog = watchdog();
    for (name, limit) in [("watchdog: quick", FAR), ("watchdog: off", Duration::MAX)] {
        watching(limit).block_on(async {
            let task = task::Builder::new().name(name).spawn(async {
                thread::sleep(LONG);
                yield_now().await;
            });
            task.await.unwrap();
            assert_eq!(Handle::current().metrics().slow_polls, 0);
        });
        assert_eq!(logged(name), [""; 0]);
    }
}

#[test]
fn only_debug_builds_report_slow_polls_by_default() {
    let _watchdog = watchdog();
    record_log();
    let name = "watchdog: by default";
    glassfrog::block_on(async {
        let task = task::Builder::new().name(name).spawn(async {
            thread::sleep(LONG);
        });
        task.await.unwrap();
        let watches = cfg!(debug_assertions);
        assert_eq!(Handle::current().metrics().slow_polls > 0, watches);
        assert_eq!(logged(name).len(), usize::from(watches));
    });
}

#[test]
fn a_slow_poll_of_the_root_future_is_reported() {
    child(|| {
        let _watchdog = watchdog();
        let place = format!("called at {}:{}:", file!(), line!() + 1);
        watching(LIMIT).block_on(async {
            yield_now().await;
            dawdle();
        });
        let begin = format!("WARN poll 2 of the future of `block_on` ({place}");
        let told = logged(&begin);
        assert_eq!(told.len(), 1, "{:?}", logged(HELD));
        assert!(told[0].starts_with(&begin), "{}", told[0]);
        assert!(told[0].contains(") took "), "{}", told[0]);
        // The thread reports it meanwhile.
        watched(LIMIT).block_on(async {
            block_until_told("poll 1 of the future of `block_on` (called at ", 1);
        });
        let told = logged(HOLDS);
        assert_eq!(told.len(), 1, "{told:?}");
    })
    .finish();
}

#[test]
fn the_watchdog_thread_reports_a_blocking_poll_once_while_it_blocks() {
    let _watchdog = watchdog();
    let name = "watchdog: meanwhile";
    let runtime = watched(LIMIT);
    let (id, line) = runtime.block_on(async {
        let line = line!() + 1;
        let task = task::Builder::new().name(name).spawn(async {
            // Each poll ends only after its report.
            block_until_told(name, 1);
            thread::sleep(10 * LIMIT);
            yield_now().await;
            block_until_told(name, 2);
            thread::sleep(10 * LIMIT);
        });
        let id = task.id();
        task.await.unwrap();
        assert_eq!(Handle::current().metrics().slow_polls, 0);
        (id, line)
    });
    let told = logged(name);
    assert_eq!(told.len(), 2, "{told:?}");
    for (poll, line_told) in told.iter().enumerate() {
        let begin = format!(
            "WARN poll {} of task {id} {name:?} (spawned at {}:{line}:",
            poll + 1,
            file!()
        );
        assert!(line_told.starts_with(&begin), "{line_told}");
        let (_, took) = line_told.split_once(&format!("{HOLDS} ")).unwrap();
        let took: u128 = took.split(" ms: ").next().unwrap().parse().unwrap();
        assert!(took >= LIMIT.as_millis(), "{took}");
    }
}

#[test]
fn the_watchdog_thread_works_beside_the_check_in_the_loop() {
    let _watchdog = watchdog();
    record_log();
    let name = "watchdog: both";
    let builder = Builder::new().watchdog(LIMIT).watchdog_thread(LIMIT);
    builder.build().unwrap().block_on(async {
        let task = task::Builder::new().name(name).spawn(async {
            block_until_told(name, 1);
        });
        task.await.unwrap();
        assert!(Handle::current().metrics().slow_polls >= 1);
    });
    let told = logged(name);
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(
        told[0].contains(HOLDS) && told[1].contains(HELD),
        "{told:?}"
    );
}

#[test]
fn the_watchdog_thread_ignores_parked_and_stopped_loops() {
    /// Long enough for the thread to report what it mistakes for a poll.
    const A_WHILE: Duration = LIMIT.saturating_mul(10);
    /// The number of runtimes to try until one is not reported. If the machine runs another program in the
    /// middle of a quick poll, the report is right. A bug would cause a report every time.
    const CHANCES: usize = 10;
    /// A use of a runtime without a long poll.
    type Deed = fn(&Runtime);

    child(|| {
        let _watchdog = watchdog();
        let deeds: [(&str, Deed); 3] = [
            ("it waits", |runtime| {
                runtime.block_on(async { glassfrog::time::sleep(A_WHILE).await });
            }),
            ("`block_on` has returned", |runtime| {
                runtime.block_on(yield_now());
                thread::sleep(A_WHILE);
            }),
            ("`block_on` has panicked", |runtime| {
                // Without the panic hook, which takes long to print a backtrace.
                panic_text(|| runtime.block_on(async { resume_unwind(Box::new("over")) }));
                thread::sleep(A_WHILE);
            }),
        ];
        for (what, deed) in deeds {
            let is_silent = || {
                let before = logged(HOLDS).len();
                deed(&watched(LIMIT));
                logged(HOLDS).len() == before
            };
            assert!((0..CHANCES).any(|_| is_silent()), "{what}");
        }
    })
    .finish();
}

#[test]
fn a_poll_that_never_returns_is_reported() {
    let name = "watchdog: never";
    child(|| {
        let _watchdog = watchdog();
        let (begun, has_begun) = mpsc::channel();
        thread::spawn(move || {
            watched(LIMIT).block_on(async {
                begun.send(()).unwrap();
                let task = task::Builder::new().name(name).spawn(async {
                    loop {
                        thread::park();
                    }
                });
                task.await.unwrap();
            });
        });
        has_begun.recv().unwrap();
        block_until_told(name, 1);
        assert!(logged(name)[0].contains(HOLDS));
    })
    .finish();
}

#[test]
fn dropping_a_runtime_does_not_wait_for_the_next_check_of_the_watchdog() {
    let _watchdog = watchdog();
    let begin = Instant::now();
    for limit in [FAR, Duration::MAX] {
        watched(limit).block_on(async {});
    }
    assert!(begin.elapsed() < FAR);
}

#[cfg(target_os = "linux")]
#[test]
fn the_watchdog_thread_ends_with_the_runtime() {
    use std::fs;

    /// Returns the number of watchdog threads of this process.
    fn threads() -> usize {
        let tasks = fs::read_dir("/proc/self/task").unwrap();
        let names =
            tasks.filter_map(|task| fs::read_to_string(task.unwrap().path().join("comm")).ok());
        names
            .filter(|name| name.trim() == "glassfrog-watch")
            .count()
    }

    child(|| {
        let _watchdog = watchdog();
        for round in 0..200 {
            let runtime = watched(LIMIT);
            let other = watched(FAR);
            if round % 2 == 0 {
                runtime.block_on(yield_now());
            }
            if round == 0 {
                // A thread gets its name a moment after its start.
                while threads() != 2 {
                    thread::yield_now();
                }
            }
            drop(runtime);
            drop(other);
            // A joined thread may be listed a moment longer.
            while threads() != 0 {
                thread::yield_now();
            }
        }
    })
    .finish();
}

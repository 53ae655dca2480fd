//! Task names in errors and in the log.

use crate::support::{block_on, park_on, settle, watchdog};
#[cfg(target_os = "linux")]
use crate::support::{child, few_or_many, status};
use crate::task_probes::{OnDrop, inside, logged, panic_text, record_log, until};
use glassfrog::Runtime;
use glassfrog::task::{Builder, JoinError, JoinHandle, spawn_blocking, yield_now};
use std::future::{pending, poll_fn};
use std::sync::mpsc;
use std::task::Poll;

/// Names of tasks; the last one is empty.
const NAMES: [Option<&str>; 8] = [
    Some("writer"),
    Some(""),
    Some("two words"),
    Some("a \"quoted\" one"),
    Some("two\nlines\r\n"),
    Some("\u{1b}[31mred\u{7}"),
    Some("Größe {} %s"),
    None,
];

/// Returns a builder of tasks with a name.
fn named(name: Option<&str>) -> Builder {
    match name {
        Some(name) => Builder::new().name(name),
        None => Builder::new(),
    }
}

/// Spawns a task or a job that ends without an output.
type SpawnToFail = fn(Builder) -> JoinHandle<()>;

/// The ways in which tasks and jobs end without an output, with the message of the error.
const ENDS: [(&str, SpawnToFail); 8] = [
    ("panicked: at once", |task| {
        task.spawn(async { panic!("at once") })
    }),
    ("panicked: later", |task| {
        task.spawn(async {
            yield_now().await;
            panic!("later")
        })
    }),
    ("was cancelled", |task| {
        let task = task.spawn(pending());
        task.abort();
        task
    }),
    ("panicked: dropped", |task| {
        let bomb = OnDrop(|| panic!("dropped"));
        let task = task.spawn(async move {
            let _bomb = bomb;
            pending().await
        });
        task.abort();
        task
    }),
    ("panicked: dropped at the end", |task| {
        let bomb = OnDrop(|| panic!("dropped at the end"));
        task.spawn(poll_fn(move |_| {
            let _bomb = &bomb;
            Poll::Ready(())
        }))
    }),
    // The panic message is shown as it is.
    ("panicked: a \"quoted\" text\nof two lines", |task| {
        task.spawn(async { panic!("a \"quoted\" text\nof two lines") })
    }),
    ("panicked: on its thread", |job| {
        job.spawn_blocking(|| panic!("on its thread"))
    }),
    ("was cancelled", |job| {
        // The first job occupies the thread.
        let (end, ends) = mpsc::channel::<()>();
        drop(job.clone().spawn_blocking(move || ends.recv()));
        let job = job.spawn_blocking(|| ());
        job.abort();
        drop(end);
        job
    }),
];

/// Builds a runtime in which one job waits for the other.
fn runtime() -> Runtime {
    Runtime::builder().blocking_threads(1).build().unwrap()
}

#[test]
fn an_error_quotes_and_escapes_the_name_of_the_task() {
    let _watchdog = watchdog();
    for name in NAMES {
        let shown = name.map_or(String::new(), |name| format!(" {name:?}"));
        assert!(!shown.contains(char::is_control));
        for (end, spawn) in ENDS {
            let task = runtime().block_on(async { spawn(named(name)).await });
            let error: JoinError = task.unwrap_err();
            assert_eq!(error.name(), name);
            let who = format!("task {}{shown} ", error.id());
            assert_eq!(error.to_string(), format!("{who}{end}"));
            assert_eq!(format!("{error:?}"), format!("JoinError({who}{end})"));
            if error.is_cancelled() {
                let text = panic_text(|| error.into_panic());
                assert!(text.starts_with(&who), "{text}");
            }
        }
    }
}

#[test]
fn the_log_shows_the_name_and_spawn_location_of_a_detached_task() {
    record_log();
    let _watchdog = watchdog();
    for (number, (end, spawn)) in ENDS.into_iter().enumerate() {
        if !end.starts_with("panicked") {
            continue;
        }
        // Detached before its end, and after.
        for late in [false, true] {
            let name = format!("detached\n{number}, late: {late}");
            let shown = format!("{name:?} {end} (spawned at ");
            runtime().block_on(async {
                let task = spawn(Builder::new().name(name));
                if late {
                    until(|| task.is_finished()).await;
                }
                drop(task);
                until(|| !logged(&shown).is_empty()).await;
                settle().await;
            });
            let lines = logged(&shown);
            assert_eq!(lines.len(), 1, "{lines:?}");
            assert!(lines[0].contains("task_names.rs:"), "{lines:?}");
        }
    }
}

#[test]
fn a_builder_may_be_reused_with_another_name() {
    block_on(async {
        let builder = Builder::new().name("first").name(String::from("second"));
        for _ in 0..2 {
            let error = builder.clone().spawn(async { panic!("named twice") }).await;
            assert_eq!(
                error.map(|()| "no output").unwrap_err().name(),
                Some("second")
            );
        }
        // An output is dropped silently too.
        assert_eq!(builder.spawn(async { 7 }).await.unwrap(), 7);
    });
}

#[test]
fn a_job_cancelled_in_the_queue_keeps_its_name() {
    let _watchdog = watchdog();
    let (end, ends) = mpsc::channel::<()>();
    let runtime = runtime();
    let waiting = inside(&runtime, || {
        drop(spawn_blocking(move || ends.recv()));
        Builder::new().name("waiting").spawn_blocking(|| ())
    });
    drop(runtime);
    assert_eq!(park_on(waiting).unwrap_err().name(), Some("waiting"));
    drop(end);
}

#[test]
fn a_task_cancelled_by_its_runtime_keeps_its_name() {
    let (late, is_late) = mpsc::channel();
    let runtime = Runtime::new().unwrap();
    let tasks = runtime.block_on(async {
        let polled = named(Some("polled")).spawn(pending());
        let spawner = OnDrop(move || {
            // By a runtime that is being dropped.
            late.send(named(Some("late")).spawn(pending())).unwrap();
        });
        drop(glassfrog::spawn(async move {
            let _spawner = spawner;
            pending::<()>().await;
        }));
        yield_now().await;
        [polled, named(Some("never polled")).spawn(pending())]
    });
    drop(runtime);
    let tasks = tasks.into_iter().chain([is_late.recv().unwrap()]);
    for (task, name) in tasks.zip(["polled", "never polled", "late"]) {
        let error: JoinError = park_on(task).map(|()| "no output").unwrap_err();
        assert!(error.is_cancelled());
        assert_eq!(error.name(), Some(name));
    }
}

#[test]
fn an_unobserved_panic_is_logged_with_the_task_name_when_the_runtime_ends() {
    record_log();
    let runtime = Runtime::new().unwrap();
    let task = inside(&runtime, || {
        named(Some("unasked by name")).spawn(async { panic!("unasked") })
    });
    runtime.block_on(yield_now());
    drop(runtime);
    let lines = logged("\"unasked by name\" panicked: unasked");
    assert_eq!(lines.len(), 1, "{lines:?}");
    drop::<JoinHandle<()>>(task);
}

#[cfg(target_os = "linux")]
#[test]
fn names_are_freed_with_their_tasks() {
    child(|| {
        /// Names long enough to show in the memory of the process: they add up to 400 MB, or to 80 MB.
        const LENGTH: usize = 4000;
        const ROUNDS: usize = few_or_many(200, 1000);
        const BOUND: usize = 50_000;
        let round = async || {
            for number in 0..100 {
                let task = Builder::new().name("x".repeat(LENGTH));
                match number % 5 {
                    0 => drop(task.spawn(async {})),
                    1 => task.spawn(yield_now()).await.unwrap(),
                    2 => {
                        let task = task.spawn(pending::<()>());
                        task.abort();
                        drop(task);
                    }
                    3 => {
                        let task = task.spawn(pending::<()>());
                        yield_now().await;
                        task.abort();
                        task.await.unwrap_err();
                    }
                    _ => task.spawn_blocking(|| ()).await.unwrap(),
                }
            }
        };
        block_on(async {
            round().await;
            let before = status("self", "RssAnon");
            for _ in 0..ROUNDS {
                round().await;
            }
            let kilobytes = status("self", "RssAnon").saturating_sub(before);
            assert!(kilobytes < BOUND, "{kilobytes} kB");
        });
    })
    .finish();
}

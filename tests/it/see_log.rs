//! The log: complete at `trace`, and silent at `warn` while a program is healthy.

use crate::support::{accepted, child, reset, settle, watchdog};
use futures::channel::oneshot;
use futures::future::{Either, select};
use glassfrog::net::TcpStream;
use glassfrog::task::{self, spawn_blocking};
use glassfrog::time::{sleep, timeout};
use glassfrog::{Handle, Runtime};
use log::{Level, LevelFilter, Log, Metadata, Record};
use std::cell::Cell;
use std::io::{self, Read, Write};
use std::net;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, mpsc};
use std::thread;
use std::time::Duration;

/// Calls a closure with each record.
struct Logger<F>(F);

impl<F: Fn(&Record<'_>) + Send + Sync> Log for Logger<F> {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        (self.0)(record);
    }

    fn flush(&self) {}
}

/// Installs a closure as the logger of this process.
fn log_to(level: LevelFilter, log: impl Fn(&Record<'_>) + Send + Sync + 'static) {
    log::set_logger(Box::leak(Box::new(Logger(log)))).unwrap();
    log::set_max_level(level);
}

/// A duration that exceeds every test.
const FAR: Duration = Duration::from_secs(3600);

/// Builds a runtime without warnings that a slow machine could trigger.
fn patient() -> Runtime {
    Runtime::builder().watchdog(FAR).build().unwrap()
}

/// Serves one fetch, and responds after a message.
fn server(answer: mpsc::Receiver<()>) -> net::SocketAddr {
    let listener = net::TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.read_exact(&mut [0; 4]).unwrap();
        answer.recv().unwrap();
        stream.write_all(b"answer").unwrap();
    });
    addr
}

/// Fetches a page: the operation that the log describes.
async fn fetch(addr: net::SocketAddr) -> Vec<u8> {
    let stream = TcpStream::connect(addr).await.unwrap();
    let mut text = [0; 16];
    stream.write(b"GET ").await.unwrap();
    let count = stream.read(&mut text).await.unwrap();
    text[..count].to_vec()
}

/// The records of this crate: level, target and text.
static LOG: Mutex<Vec<(Level, String, String)>> = Mutex::new(Vec::new());

/// Keeps a record of this crate for [`told`].
fn keep(record: &Record<'_>) {
    if record.target().starts_with("glassfrog") {
        let (target, text) = (record.target().to_owned(), record.args().to_string());
        LOG.lock().unwrap().push((record.level(), target, text));
    }
}

/// Returns the lines of these targets, without their common prefix.
fn told(targets: &[&str]) -> Vec<String> {
    let log = LOG.lock().unwrap();
    let lines = log.iter().filter_map(|(level, target, text)| {
        let target = target.strip_prefix("glassfrog::").unwrap();
        assert!(
            ["task", "reactor", "net", "time", "blocking"].contains(&target),
            "{target}: {text}"
        );
        assert_eq!(*level, Level::Trace, "{text}");
        targets
            .contains(&target)
            .then(|| format!("{target}: {text}"))
    });
    lines.collect()
}

/// Asserts that the lines contain these texts in this order.
fn assert_order(lines: &[String], parts: &[String]) {
    let mut rest = lines.iter();
    for part in parts {
        let found = rest.any(|line| line.contains(&**part));
        assert!(found, "{part:?} does not come in its place in {lines:#?}");
    }
}

/// Linux only: elsewhere a connection over loopback may complete at once.
#[cfg(target_os = "linux")]
#[test]
fn the_log_records_a_fetch_in_order() {
    let part = || {
        let _watchdog = watchdog();
        let (answer, receiver) = mpsc::channel();
        log_to(LevelFilter::Trace, move |record| {
            keep(record);
            let text = record.args().to_string();
            if text.starts_with("read tcp") && text.contains("would block") {
                answer.send(()).unwrap();
            }
        });
        let addr = server(receiver);
        let place = format!("spawned at {}:{}", file!(), line!() + 3);
        let called = line!() + 1;
        let text = patient().block_on(async {
            let task = task::Builder::new().name("fetch").spawn(fetch(addr));
            task.await.unwrap()
        });
        assert_eq!(text, b"answer");
        let lines = told(&["task", "net", "reactor"]);
        let task = |poll| format!("task: poll {poll} of task 1 \"fetch\" ({place}:");
        let called = format!("called at {}:{}:", file!(), called);
        let main = |poll| format!("task: poll {poll} of the future of `block_on` ({called}");
        assert_order(
            &lines,
            &[
                main(1),
                format!("task: task 1 {place}"),
                main(1),
                task(1),
                format!("→ {addr}: would block, waker left with the reactor"),
                task(1),
                String::from("reactor: no task is ready: waiting for events, without a timeout"),
                String::from("reactor: event: ready to write tcp 127.0.0.1:"),
                task(2),
                String::from("net: write tcp 127.0.0.1:"),
                String::from("net: read tcp 127.0.0.1:"),
                task(2),
                String::from("reactor: no task is ready: waiting for events"),
                String::from("reactor: event: ready to read tcp 127.0.0.1:"),
                task(3),
                format!("→ {addr}: done"),
                task(3),
                main(2),
                main(2),
            ],
        );
        // Each poll is logged exactly once.
        let polls: Vec<String> = told(&["task"]);
        let ends = |line: &String, end: &str| line.ends_with(end);
        for (end, count) in [
            ("begins", 5),
            ("leaves the task waiting", 3),
            ("ends the task", 2),
        ] {
            let found = polls.iter().filter(|line| ends(line, end)).count();
            assert_eq!(found, count, "{end}: {lines:#?}");
        }
        assert_eq!(polls.len(), 11, "{lines:#?}");
        let of_task = |end: &str| {
            polls
                .iter()
                .filter(|line| line.contains("fetch") && ends(line, end))
                .count()
        };
        assert_eq!((of_task("begins"), of_task("ends the task")), (3, 1));
    };
    child(part).finish();
}

#[test]
fn a_failed_read_of_a_reset_connection_is_logged_as_a_read() {
    let part = || {
        let _watchdog = watchdog();
        let runtime = patient();
        let (stream, peer) = runtime.block_on(accepted());
        log_to(LevelFilter::Trace, keep);
        reset(peer);
        let error = runtime.block_on(stream.read(&mut [0; 1])).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
        let lines = told(&["net", "reactor"]);
        assert!(
            lines.iter().all(|line| !line.contains("connect")),
            "{lines:#?}"
        );
    };
    child(part).finish();
}

#[test]
fn deadlines_and_blocking_jobs_are_logged() {
    let part = || {
        let _watchdog = watchdog();
        log_to(LevelFilter::Trace, keep);
        let builder = Runtime::builder().watchdog(FAR).virtual_clock();
        let runtime = builder.build().unwrap();
        runtime.block_on(async {
            sleep(Duration::from_secs(5)).await;
            spawn_blocking(|| ()).await.unwrap();
        });
        // The thread may log until it has exited.
        runtime.shutdown_timeout(Duration::from_secs(60));
        let lines = told(&["time", "blocking"]);
        let wanted = [
            "time: waker left with the timers for 5s",
            "time: deadline reached",
            "blocking: job 1 started",
            "blocking: job 1 finished",
        ];
        assert_eq!(lines, wanted);
    };
    child(part).finish();
}

#[test]
fn a_healthy_program_logs_no_warning() {
    let part = || {
        let _watchdog = watchdog();
        log_to(LevelFilter::Warn, keep);
        let runtime = patient();
        runtime.block_on(async {
            let (answer, receiver) = mpsc::channel();
            answer.send(()).unwrap();
            let fetched = glassfrog::spawn(fetch(server(receiver)));
            let late = timeout(Duration::from_millis(1), std::future::pending::<()>()).await;
            assert!(late.is_err());
            let job = spawn_blocking(|| 5);
            let remote = Handle::current().spawn(async { 6 });
            let aborted = glassfrog::spawn(std::future::pending::<()>());
            aborted.abort();
            let (sender, receiver) = oneshot::channel();
            thread::spawn(move || {
                // Longer than the interval at which the loop looks for deadlocks.
                thread::sleep(Duration::from_millis(100));
                sender.send(7).unwrap();
            });
            assert_eq!(fetched.await.unwrap(), b"answer");
            assert_eq!((job.await.unwrap(), remote.await.unwrap()), (5, 6));
            assert_eq!(receiver.await, Ok(7));
            drop(glassfrog::spawn(std::future::pending::<()>()));
            settle().await;
            drop(task::dump());
        });
        drop(runtime);
        assert_eq!(*LOG.lock().unwrap(), []);
    };
    child(part).finish();
}

thread_local! {
    /// Whether this thread is logging. A record caused by the logger itself is ignored.
    static IS_LOGGING: Cell<bool> = const { Cell::new(false) };
}

/// Calls a closure with each record that it does not cause itself.
fn once(call: impl Fn(&Record<'_>)) -> impl Fn(&Record<'_>) {
    move |record| {
        if !IS_LOGGING.replace(true) {
            call(record);
            IS_LOGGING.set(false);
        }
    }
}

/// Fetches a page, sleeps, and runs a job.
fn exercise() {
    let _watchdog = watchdog();
    let (answer, receiver) = mpsc::channel();
    answer.send(()).unwrap();
    let addr = server(receiver);
    patient().block_on(async {
        let task = glassfrog::spawn(fetch(addr));
        sleep(Duration::from_millis(1)).await;
        assert_eq!(task.await.unwrap(), b"answer");
        assert_eq!(spawn_blocking(|| 5).await.unwrap(), 5);
    });
}

#[test]
fn a_logger_may_inspect_the_runtime_that_logs() {
    let part = || {
        let looks = once(|record| {
            if record.target().starts_with("glassfrog")
                && let Some(handle) = Handle::try_current()
            {
                drop((handle.metrics(), handle.dump().to_json()));
            }
        });
        log_to(LevelFilter::Trace, looks);
        exercise();
    };
    child(part).finish();
}

/// The event queue logs each registration inside the call that makes it.
#[test]
fn a_logger_may_inspect_the_runtime_while_the_event_queue_logs() {
    let part = || {
        let looks = once(|_| {
            if let Some(handle) = Handle::try_current() {
                assert!(handle.metrics().turns > 0);
            }
        });
        log_to(LevelFilter::Trace, looks);
        exercise();
    };
    child(part).finish();
}

#[test]
fn a_task_spawned_by_a_logger_runs() {
    let part = || {
        let _watchdog = watchdog();
        let (sender, receiver) = oneshot::channel();
        let sender = Mutex::new(Some(sender));
        let spawns = once(move |record| {
            if record.args().to_string().starts_with("no task is ready")
                && let Some(sender) = sender.lock().unwrap().take()
            {
                drop(glassfrog::spawn(async { sender.send(()).unwrap() }));
            }
        });
        log_to(LevelFilter::Trace, spawns);
        patient().block_on(async {
            // A loop that sleeps although a task is ready does so until this deadline.
            let limit = sleep(FAR);
            assert!(matches!(
                select(limit, receiver).await,
                Either::Right((Ok(()), _))
            ));
        });
    };
    child(part).finish();
}

#[test]
fn a_logger_may_use_the_runtime_that_reports_its_last_slow_polls() {
    let part = || {
        let _watchdog = watchdog();
        let limit = Duration::from_millis(1);
        let runtime = Runtime::builder().watchdog(limit);
        let runtime = runtime.test_patience(FAR).build().unwrap();
        static SEEN: AtomicBool = AtomicBool::new(false);
        log_to(LevelFilter::Warn, |record| {
            if record.args().to_string().contains("took more than 1 ms") {
                assert!(task::dump().tasks().is_empty());
                SEEN.store(true, Ordering::SeqCst);
            }
        });
        runtime.block_on(async {
            for _ in 0..2 {
                thread::sleep(2 * limit);
                task::yield_now().await;
            }
        });
        drop(runtime);
        assert!(SEEN.load(Ordering::SeqCst));
    };
    child(part).finish();
}

/// Panics once, when the reactor calls `enabled` for the events of a turn.
struct Faulty(AtomicBool);

impl Log for Faulty {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        if metadata.target() == "glassfrog::reactor" && !self.0.swap(true, Ordering::SeqCst) {
            panic!("the logger fails once");
        }
        true
    }

    fn log(&self, _: &Record<'_>) {}

    fn flush(&self) {}
}

#[test]
fn a_logger_that_panics_in_enabled_loses_no_wake() {
    let part = || {
        let _watchdog = watchdog();
        let runtime = patient();
        let (sender, receiver) = oneshot::channel();
        let (stream, mut peer) = runtime.block_on(accepted());
        let reads = runtime.handle().spawn(async move {
            sender.send(()).unwrap();
            stream.read(&mut [0; 1]).await
        });
        runtime.block_on(receiver).unwrap();
        peer.write_all(b"x").unwrap();
        let logger: &Faulty = Box::leak(Box::new(Faulty(AtomicBool::new(false))));
        log::set_logger(logger).unwrap();
        log::set_max_level(LevelFilter::Trace);
        assert_eq!(runtime.block_on(reads).unwrap().unwrap(), 1);
        assert!(logger.0.load(Ordering::SeqCst));
    };
    child(part).finish();
}

/// Panics in every call of `enabled`.
struct Grumpy;

impl Log for Grumpy {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        panic!("the logger has no level");
    }

    fn log(&self, _: &Record<'_>) {}

    fn flush(&self) {}
}

#[test]
fn a_logger_that_always_panics_in_enabled_stops_nothing() {
    let part = || {
        let _watchdog = watchdog();
        log::set_logger(&Grumpy).unwrap();
        log::set_max_level(LevelFilter::Trace);
        let sum = patient().block_on(async {
            let task = task::spawn(async {
                task::yield_now().await;
                sleep(Duration::from_millis(1)).await;
                1
            });
            let job = spawn_blocking(|| 2);
            task.await.unwrap() + job.await.unwrap()
        });
        assert_eq!(sum, 3);
    };
    child(part).finish();
}

/// The logger panics after the events have left the queue.
#[test]
fn a_logger_that_panics_loses_no_wake() {
    let part = || {
        let _watchdog = watchdog();
        let runtime = patient();
        let (sender, receiver) = oneshot::channel();
        let (stream, mut peer) = runtime.block_on(accepted());
        let mut reads = runtime.handle().spawn(async move {
            sender.send(()).unwrap();
            stream.read(&mut [0; 1]).await
        });
        runtime.block_on(receiver).unwrap();
        peer.write_all(b"x").unwrap();
        let failed = AtomicBool::new(false);
        log_to(LevelFilter::Trace, move |record| {
            let text = record.args().to_string();
            if text.starts_with("event: ready to read") && !failed.swap(true, Ordering::SeqCst) {
                panic!("the logger fails once");
            }
        });
        let mut wait = || runtime.block_on(async { (&mut reads).await.unwrap().unwrap() });
        let waited = catch_unwind(AssertUnwindSafe(&mut wait));
        // A task whose wake was lost waits forever.
        let read = waited.unwrap_or_else(|_panic| wait());
        assert_eq!(read, 1);
    };
    child(part).finish();
}

/// The conversion returns no error, so it must neither panic nor skip its remaining steps.
#[cfg(unix)]
#[test]
fn a_logger_that_panics_does_not_stop_the_adoption_of_a_descriptor() {
    use std::fs::File;
    use std::os::fd::OwnedFd;
    let part = || {
        let _watchdog = watchdog();
        log_to(LevelFilter::Error, |_| panic!("the logger fails"));
        patient().block_on(async {
            let file = File::open("/dev/null").unwrap();
            let stream = TcpStream::from(OwnedFd::from(file));
            let error = stream.read(&mut [0; 1]).await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        });
    };
    child(part).finish();
}

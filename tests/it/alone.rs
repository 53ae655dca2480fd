//! Tests of processes whose only thread is that of the runtime: which deadlocks are certain then, and what reaches the
//! standard error stream.
//!
//! The harness of the standard library has threads of its own, which could wake a task. This program has none: `main`
//! runs each case in a child process, whose main thread runs the case alone. The arguments are filters, as with the
//! harness.

use futures::AsyncReadExt;
use futures::channel::oneshot;
use glassfrog::dump::Dump;
use glassfrog::io::stdin;
use glassfrog::task::spawn_blocking;
use glassfrog::time::sleep;
use glassfrog::{Builder, Handle, OnDeadlock, Workers, spawn};
use std::env;
use std::future::{pending, poll_fn};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::{self, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, mpsc};
use std::task::{Poll, Waker};
use std::thread;
use std::time::{Duration, Instant};

/// The environment variable that tells a child process which case to run.
const PART: &str = "GLASSFROG_TEST_ALONE";

/// Several times the time after which the runtime looks for a deadlock. On a machine too slow for this, a test checks
/// less but does not fail.
const LONG: Duration = Duration::from_millis(200);

/// How long a child may run. No case of a working crate takes nearly as long.
const PATIENCE: Duration = Duration::from_secs(60);

/// How many children run at once. Most of the time, they wait.
const AT_ONCE: usize = 8;

/// The words by which a deadlock is certain because no other thread could wake a task.
const ALONE: [&str; 3] = [
    "this process has no other thread",
    "the only other thread of this process is an idle one of glassfrog",
    "other threads of this process are idle ones of glassfrog",
];

/// A test: what the child does, and what the parent expects.
struct Case {
    /// The name, a sentence.
    name: &'static str,
    /// Runs on the main thread of a child process.
    run: fn(),
    /// What the parent does.
    then: Then,
}

/// What the parent of a child process does.
enum Then {
    /// Waits until the child succeeds, without a word on its standard error stream. Sends a byte to its standard input
    /// after [`LONG`].
    Succeeds,
    /// Waits for a line with these words on the standard output or error stream, and for another [`LONG`]. Then kills
    /// the child, and checks all that it has written: standard output, and standard error.
    Says(&'static str, fn(&str, &str)),
    /// Closes the other end of the standard error stream, and checks after [`LONG`] that the child still runs.
    Survives,
}

/// Lists the cases of functions that end by themselves.
macro_rules! succeed {
    ($($name:ident),+ $(,)?) => { [$(Case { name: stringify!($name), run: $name, then: Then::Succeeds }),+] };
}

/// Returns all cases.
fn cases() -> Vec<Case> {
    let mut cases = Vec::from(succeed![
        a_leaked_sender_is_a_certain_deadlock,
        a_handle_that_no_thread_can_use_does_not_hide_a_deadlock,
        idle_blocking_threads_do_not_hide_a_deadlock,
        a_watchdog_does_not_hide_a_deadlock,
        a_thread_that_has_exited_without_a_wake_does_not_hide_a_deadlock,
        a_deadlock_calls_the_function_of_the_policy,
        a_thread_that_sleeps_and_sends_may_wake_a_task,
        a_thread_of_another_runtime_may_wake_a_task,
        a_running_job_may_wake_a_task,
        a_job_of_a_runtime_at_rest_may_wake_a_task,
        a_queued_job_of_a_runtime_at_rest_may_wake_a_task,
        a_task_that_waits_for_standard_input_is_no_deadlock,
        a_guest_in_a_foreign_loop_is_never_in_a_deadlock,
        a_worker_is_never_in_a_deadlock,
        threads_that_start_wake_and_exit_at_the_check_are_not_missed,
        jobs_that_begin_and_end_at_the_check_are_not_missed,
    ]);
    #[cfg(feature = "sync")]
    cases.extend(succeed![a_ring_of_locks_is_a_certain_deadlock]);
    #[cfg(all(unix, feature = "signal"))]
    cases.extend(succeed![
        a_task_that_waits_for_ctrl_c_is_no_deadlock,
        a_dump_on_a_signal_does_not_hide_a_deadlock,
    ]);
    #[cfg(feature = "timeline")]
    cases.extend(succeed![a_timeline_of_slow_polls_does_not_hide_a_deadlock]);
    #[cfg(all(unix, feature = "signal", feature = "timeline"))]
    cases.extend(succeed![
        a_timeline_on_a_signal_does_not_hide_a_deadlock,
        a_timeline_of_the_environment_does_not_hide_a_deadlock,
    ]);
    cases.extend([
        Case {
            name: "without_a_logger_a_deadlock_is_printed_once",
            run: || stuck(Builder::new()),
            then: Then::Says("deadlock", |stdout, stderr| {
                assert_eq!(stdout, "");
                assert!(stderr.starts_with("glassfrog: deadlock: "), "{stderr}");
                assert_eq!(stderr.matches("deadlock").count(), 1, "{stderr}");
                assert!(ALONE.iter().any(|words| stderr.contains(words)), "{stderr}");
                assert!(stderr.contains("main "), "{stderr}");
            }),
        },
        Case {
            name: "a_logger_that_accepts_no_errors_is_none",
            run: || {
                log_to_stdout();
                log::set_max_level(log::LevelFilter::Off);
                stuck(Builder::new());
            },
            then: Then::Says("deadlock", |stdout, stderr| {
                assert_eq!(stdout, "");
                assert!(stderr.starts_with("glassfrog: deadlock: "), "{stderr}");
            }),
        },
        Case {
            name: "with_a_logger_a_deadlock_is_only_logged",
            run: || {
                log_to_stdout();
                stuck(Builder::new());
            },
            then: Then::Says("deadlock", |stdout, stderr| {
                assert!(stdout.contains("ERROR deadlock: "), "{stdout}");
                assert_eq!(stdout.matches("deadlock").count(), 1, "{stdout}");
                assert_eq!(stderr, "");
            }),
        },
        Case {
            name: "a_test_prints_a_deadlock_once",
            run: || stuck(Builder::new().stall_to_stderr()),
            then: Then::Says("deadlock", |_, stderr| {
                assert!(stderr.starts_with("\ntest `main`: deadlock: "), "{stderr}");
                assert_eq!(stderr.matches("deadlock").count(), 1, "{stderr}");
            }),
        },
        Case {
            name: "a_deadlock_that_is_ignored_is_only_possible",
            run: || {
                log_to_stdout();
                let builder = Builder::new().on_deadlock(OnDeadlock::Ignore);
                stuck(builder.stall_report(LONG));
            },
            then: Then::Says("nothing has happened", |stdout, stderr| {
                assert!(
                    stdout.contains("only something outside this runtime can wake a task"),
                    "{stdout}"
                );
                assert!(!stdout.contains("deadlock"), "{stdout}");
                assert_eq!(stderr, "");
            }),
        },
        Case {
            name: "a_closed_standard_error_stream_does_no_harm",
            run: || stuck(Builder::new()),
            then: Then::Survives,
        },
    ]);
    #[cfg(feature = "sync")]
    cases.push(Case {
        name: "the_report_of_a_stall_blames_nothing_outside_for_a_ring_of_locks",
        run: || {
            log_to_stdout();
            let builder = Builder::new().on_deadlock(OnDeadlock::Ignore);
            let runtime = builder.stall_report(LONG).build().unwrap();
            runtime.block_on(ring_of_locks());
        },
        then: Then::Says("nothing has happened", |stdout, stderr| {
            let words = "no task waits for a deadline, a socket or a blocking job";
            assert!(stdout.contains(words), "{stdout}");
            assert!(!stdout.contains("outside"), "{stdout}");
            assert!(stdout.contains("circle: "), "{stdout}");
            assert_eq!(stderr, "");
        }),
    });
    cases
}

/// Waits for a channel whose sender was leaked, as a thread or a static might hold it.
async fn never() {
    let (send, received) = oneshot::channel::<()>();
    mem::forget(send);
    let _cancelled = received.await;
}

/// Runs a runtime that is stuck forever.
fn stuck(builder: Builder) {
    builder.build().unwrap().block_on(never());
}

/// Returns settings under which a certain deadlock panics.
fn strict() -> Builder {
    Builder::new().on_deadlock(OnDeadlock::Panic)
}

/// Runs a future that must end in a certain deadlock. Returns the message.
fn deadlock<F: Future>(builder: Builder, future: F) -> String {
    // The message is the result, and must not appear on standard error.
    std::panic::set_hook(Box::new(|_| {}));
    let runtime = builder.build().unwrap();
    let result = catch_unwind(AssertUnwindSafe(|| runtime.block_on(future)));
    drop(std::panic::take_hook());
    let text = match result {
        Ok(_) => panic!("the future has completed"),
        Err(payload) => *payload.downcast::<String>().unwrap(),
    };
    assert!(text.starts_with("deadlock: "), "{text}");
    assert!(ALONE.iter().any(|words| text.contains(words)), "{text}");
    text
}

/// Logs to the standard output stream.
fn log_to_stdout() {
    struct Stdout;
    impl log::Log for Stdout {
        fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
            metadata.level() <= log::max_level()
        }
        fn log(&self, record: &log::Record<'_>) {
            println!("{} {}", record.level(), record.args());
        }
        fn flush(&self) {}
    }
    log::set_logger(&Stdout).unwrap();
    log::set_max_level(log::LevelFilter::Warn);
}

fn a_leaked_sender_is_a_certain_deadlock() {
    let text = deadlock(strict(), never());
    assert!(text.contains(ALONE[0]), "{text}");
}

fn a_handle_that_no_thread_can_use_does_not_hide_a_deadlock() {
    deadlock(strict(), async {
        mem::forget(Handle::current());
        let task = spawn(pending::<()>());
        mem::forget(task.abort_handle());
        poll_fn(|cx| {
            mem::forget(Waker::clone(cx.waker()));
            Poll::<()>::Pending
        })
        .await;
    });
}

fn idle_blocking_threads_do_not_hide_a_deadlock() {
    let text = deadlock(strict(), async {
        let jobs = [(); 3].map(|()| spawn_blocking(|| thread::sleep(Duration::from_millis(20))));
        for job in jobs {
            job.await.unwrap();
        }
        never().await;
    });
    assert!(text.contains(ALONE[2]), "{text}");
}

fn a_watchdog_does_not_hide_a_deadlock() {
    let limit = Duration::from_millis(1);
    let text = deadlock(strict().watchdog_thread(limit), never());
    assert!(text.contains(ALONE[1]), "{text}");
}

#[cfg(feature = "timeline")]
fn a_timeline_of_slow_polls_does_not_hide_a_deadlock() {
    let limit = Duration::from_secs(60);
    let text = deadlock(strict().timeline_on_slow_poll(limit, "never.html"), never());
    assert!(text.contains(ALONE[1]), "{text}");
}

/// Nothing wakes the loop when the thread exits.
fn a_thread_that_has_exited_without_a_wake_does_not_hide_a_deadlock() {
    deadlock(strict(), async {
        let thread = thread::spawn(|| thread::sleep(LONG));
        never().await;
        thread.join().unwrap();
    });
}

fn a_deadlock_calls_the_function_of_the_policy() {
    fn call(dump: &Dump) {
        assert_eq!(dump.tasks().len(), 1);
        process::exit(0);
    }
    stuck(Builder::new().on_deadlock(OnDeadlock::Call(call)));
}

#[cfg(feature = "sync")]
async fn ring_of_locks() {
    use glassfrog::sync::Mutex;
    use glassfrog::task;
    use std::rc::Rc;

    let locks = Rc::new([Mutex::new(()), Mutex::new(())]);
    let lockers = [("a", 0), ("b", 1)].map(|(name, first)| {
        let locks = Rc::clone(&locks);
        task::Builder::new().name(name).spawn(async move {
            let _first = locks[first].lock().await;
            task::yield_now().await;
            let _second = locks[1 - first].lock().await;
        })
    });
    for locker in lockers {
        locker.await.unwrap();
    }
}

#[cfg(feature = "sync")]
fn a_ring_of_locks_is_a_certain_deadlock() {
    let text = deadlock(strict(), ring_of_locks());
    assert!(
        text.contains("circle: \"a\" waits for \"b\" (lock"),
        "{text}"
    );
}

fn a_thread_that_sleeps_and_sends_may_wake_a_task() {
    strict().build().unwrap().block_on(async {
        let (send, received) = oneshot::channel();
        let thread = thread::spawn(|| {
            thread::sleep(Duration::from_secs(2));
            send.send(()).unwrap();
        });
        received.await.unwrap();
        thread.join().unwrap();
    });
}

fn a_thread_of_another_runtime_may_wake_a_task() {
    strict().build().unwrap().block_on(async {
        let (send, received) = oneshot::channel();
        let thread = thread::spawn(|| {
            glassfrog::block_on(async {
                sleep(2 * LONG).await;
                send.send(()).unwrap();
            });
        });
        received.await.unwrap();
        thread.join().unwrap();
    });
}

fn a_running_job_may_wake_a_task() {
    strict().build().unwrap().block_on(async {
        let (send, received) = oneshot::channel();
        drop(spawn_blocking(|| {
            thread::sleep(2 * LONG);
            send.send(()).unwrap();
        }));
        received.await.unwrap();
    });
}

fn a_job_of_a_runtime_at_rest_may_wake_a_task() {
    let other = Builder::new().build().unwrap();
    strict().build().unwrap().block_on(async {
        let (send, received) = oneshot::channel();
        drop(other.handle().spawn_blocking(|| {
            thread::sleep(2 * LONG);
            send.send(()).unwrap();
        }));
        received.await.unwrap();
    });
}

fn a_queued_job_of_a_runtime_at_rest_may_wake_a_task() {
    let other = Builder::new().blocking_threads(1).build().unwrap();
    strict().build().unwrap().block_on(async {
        let (send, received) = oneshot::channel();
        for _ in 0..20 {
            drop(other.handle().spawn_blocking(|| thread::sleep(LONG / 10)));
        }
        drop(other.handle().spawn_blocking(|| send.send(()).unwrap()));
        received.await.unwrap();
    });
}

fn a_task_that_waits_for_standard_input_is_no_deadlock() {
    strict().build().unwrap().block_on(async {
        let stuck = spawn(never());
        assert_eq!(stdin().read(&mut [0; 16]).await.unwrap(), 1);
        drop(stuck);
    });
}

fn a_guest_in_a_foreign_loop_is_never_in_a_deadlock() {
    let runtime = strict().stall_report(LONG / 10).build().unwrap();
    let guard = runtime.enter();
    drop(spawn(never()));
    drop(guard);
    let begun = Instant::now();
    while begun.elapsed() < 2 * LONG {
        runtime.turn(Some(LONG)).unwrap();
    }
}

fn a_worker_is_never_in_a_deadlock() {
    let workers = Workers::build(strict(), 2).unwrap();
    for handle in workers.handles() {
        drop(handle.spawn(never()));
    }
    thread::sleep(2 * LONG);
    workers.stop().unwrap();
}

/// How many runtimes a stress test creates. Each is quiet for 20 ms before it looks for a deadlock.
const ROUNDS: u32 = if cfg!(feature = "slow") { 1000 } else { 60 };

/// Returns a time in a round about which the loop looks for a deadlock, later from round to round.
fn about_the_check(round: u32) -> Duration {
    Duration::from_micros(19_800 + u64::from(round * 37 % 600))
}

fn threads_that_start_wake_and_exit_at_the_check_are_not_missed() {
    for round in 0..ROUNDS {
        strict().build().unwrap().block_on(async {
            let (send, received) = oneshot::channel();
            drop(thread::spawn(move || {
                thread::sleep(about_the_check(round));
                let mut next: Box<dyn FnOnce() + Send> = Box::new(move || send.send(()).unwrap());
                for _ in 0..round % 4 {
                    let last = next;
                    next = Box::new(move || drop(thread::spawn(last)));
                }
                next();
            }));
            received.await.unwrap();
        });
    }
}

fn jobs_that_begin_and_end_at_the_check_are_not_missed() {
    for round in 0..ROUNDS {
        // Idle threads exit at about the same time.
        let other = Builder::new().test_patience(about_the_check(round));
        let other = other.build().unwrap();
        strict().build().unwrap().block_on(async {
            let (send, received) = oneshot::channel();
            let handle = other.handle();
            for _ in 0..3 {
                drop(handle.spawn_blocking(|| ()));
            }
            drop(other.handle().spawn_blocking(move || {
                thread::sleep(about_the_check(round));
                let same = handle.clone();
                drop(handle.spawn_blocking(move || {
                    drop(same.spawn_blocking(move || send.send(()).unwrap()));
                }));
            }));
            received.await.unwrap();
        });
    }
}

#[cfg(all(unix, feature = "signal"))]
fn a_task_that_waits_for_ctrl_c_is_no_deadlock() {
    strict().build().unwrap().block_on(async {
        let stuck = spawn(never());
        let interrupt = glassfrog::signal::ctrl_c();
        let kill = format!("sleep 0.5; kill -INT {}", process::id());
        let mut killer = Command::new("sh").args(["-c", &kill]).spawn().unwrap();
        interrupt.await.unwrap();
        killer.wait().unwrap();
        drop(stuck);
    });
}

#[cfg(all(unix, feature = "signal"))]
fn a_dump_on_a_signal_does_not_hide_a_deadlock() {
    let text = deadlock(strict(), async {
        glassfrog::signal::dump_on_sigusr1().unwrap();
        never().await;
    });
    assert!(text.contains(ALONE[1]), "{text}");
}

#[cfg(all(unix, feature = "signal", feature = "timeline"))]
fn a_timeline_on_a_signal_does_not_hide_a_deadlock() {
    let text = deadlock(strict().timeline(64), async {
        glassfrog::signal::timeline_on_sigusr2("never.html").unwrap();
        never().await;
    });
    assert!(text.contains(ALONE[1]), "{text}");
}

/// The threads that write the file at SIGINT and SIGTERM rest. The variable must be set before the program begins.
#[cfg(all(unix, feature = "signal", feature = "timeline"))]
fn a_timeline_of_the_environment_does_not_hide_a_deadlock() {
    const VARIABLE: &str = "GLASSFROG_TIMELINE";
    if env::var_os(VARIABLE).is_some() {
        let text = deadlock(strict(), never());
        // A shell that starts a program in the background lets it ignore SIGINT. Such a signal has no thread.
        let is_alone = ALONE[1..=2].iter().any(|words| text.contains(words));
        assert!(is_alone, "{text}");
        return;
    }
    let path = env::temp_dir().join(format!("glassfrog-alone-{}.html", process::id()));
    let mut again = Command::new(env::current_exe().unwrap());
    let status = again.env(VARIABLE, &path).status().unwrap();
    let is_written = std::fs::remove_file(&path);
    assert!(status.success());
    is_written.unwrap();
}

/// A child process, which is killed when this is dropped.
struct Child(process::Child);

impl Drop for Child {
    fn drop(&mut self) {
        let _gone = self.0.kill();
        let _status = self.0.wait();
    }
}

/// Runs a case in a child process.
///
/// # Panics
///
/// Panics if the child does not behave as the case expects.
fn check(case: &Case) {
    let mut child = Child(
        Command::new(env::current_exe().unwrap())
            .env(PART, case.name)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap(),
    );
    let stdout = child.0.stdout.take().unwrap();
    let stderr = child.0.stderr.take().unwrap();
    match case.then {
        Then::Succeeds => {
            let (errors, output) = (collect(stderr), collect(stdout));
            thread::sleep(LONG);
            let mut stdin = child.0.stdin.take().unwrap();
            // The child may not read it.
            let _unread = stdin.write_all(b".");
            let (errors, _) = (text_of(&errors, None), text_of(&output, None));
            let status = child.0.wait().unwrap();
            assert!(status.success() && errors.is_empty(), "{status}: {errors}");
        }
        Then::Says(words, law) => {
            let (send, lines) = mpsc::channel();
            let (errors, output) = (
                collect_to(stderr, 'e', &send),
                collect_to(stdout, 'o', &send),
            );
            drop(send);
            let text = text_of(&lines, Some((words, &mut child)));
            let of = |stream: char| -> String {
                let lines = text.split_inclusive('\n');
                let lines = lines.filter_map(|line| line.strip_prefix(stream));
                lines.collect()
            };
            errors.join().unwrap();
            output.join().unwrap();
            assert!(text.contains(words), "{text}");
            law(&of('o'), &of('e'));
        }
        Then::Survives => {
            drop(stderr);
            thread::sleep(2 * LONG);
            assert!(child.0.try_wait().unwrap().is_none());
        }
    }
}

/// Starts to collect the lines of a stream.
fn collect(stream: impl Read + Send + 'static) -> mpsc::Receiver<String> {
    let (send, lines) = mpsc::channel();
    drop(collect_to(stream, '\0', &send));
    lines
}

/// Starts to collect the lines of a stream in a channel, after a letter for the stream.
fn collect_to(
    stream: impl Read + Send + 'static,
    letter: char,
    send: &mpsc::Sender<String>,
) -> thread::JoinHandle<()> {
    let send = send.clone();
    thread::spawn(move || {
        for line in BufReader::new(stream).lines() {
            let line = line.unwrap();
            let line = match letter {
                '\0' => line,
                _ => format!("{letter}{line}"),
            };
            let _gone = send.send(line + "\n");
        }
    })
}

/// Waits until a stream ends, and returns its text. If a line has some words, kills the child a while later.
///
/// # Panics
///
/// Panics if the stream does not end in time.
fn text_of(lines: &mpsc::Receiver<String>, end: Option<(&str, &mut Child)>) -> String {
    let (mut text, mut end) = (String::new(), end);
    loop {
        match lines.recv_timeout(PATIENCE) {
            Ok(line) => {
                text += &line;
                if let Some((words, child)) = &mut end
                    && line.contains(*words)
                {
                    thread::sleep(LONG);
                    let _gone = child.0.kill();
                    end = None;
                }
            }
            Err(mpsc::RecvTimeoutError::Timeout) => panic!("the child hangs: {text}"),
            Err(mpsc::RecvTimeoutError::Disconnected) => return text,
        }
    }
}

fn main() {
    // Other systems cannot count the threads of a process.
    if !cfg!(target_os = "linux") {
        return;
    }
    let cases = cases();
    if let Ok(name) = env::var(PART) {
        let case = cases.iter().find(|case| case.name == name).unwrap();
        return (case.run)();
    }
    let filters: Vec<String> = env::args().skip(1).collect();
    if filters.iter().any(|argument| argument == "--list") {
        return;
    }
    let filters: Vec<_> = filters
        .iter()
        .filter(|word| !word.starts_with('-'))
        .collect();
    let is_chosen = |case: &&Case| {
        filters.is_empty()
            || filters
                .iter()
                .any(|filter| case.name.contains(filter.as_str()))
    };
    let chosen = Mutex::new(cases.iter().filter(is_chosen));
    let failed = AtomicBool::new(false);
    let work = || {
        let next = || chosen.lock().unwrap().next();
        while let Some(case) = next() {
            let result = catch_unwind(AssertUnwindSafe(|| check(case)));
            let word = if result.is_ok() { "ok" } else { "FAILED" };
            failed.fetch_or(result.is_err(), Ordering::Relaxed);
            let _closed = writeln!(io::stdout(), "test {} ... {word}", case.name);
        }
    };
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(work);
        }
    });
    assert!(!failed.into_inner(), "a test has failed");
}

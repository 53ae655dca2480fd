//! The dump on `SIGUSR1`, in child processes, because a signal affects the whole process.

use crate::support::{child, watchdog};
use crate::task_probes::panic_text;
use futures::channel::oneshot;
use glassfrog::signal::dump_on_sigusr1;
use glassfrog::{Builder, OnDeadlock, Runtime, task};
use std::env;
use std::future::pending;
use std::io::{self, BufRead, BufReader, Lines, Read};
use std::process::{self, ChildStderr, ChildStdin, Command, Stdio};
use std::thread;
use std::time::Duration;

/// The environment variable that marks a child process.
const PART: &str = "GLASSFROG_TEST_SIGNALLED";

/// The line that a child process prints when it expects a signal.
const EXPECTANT: &str = "ready for a signal";

/// A child process that receives signals and prints dumps. Dropping the handle kills it.
struct Signalled {
    /// The process.
    process: process::Child,
    /// Its standard input. The child exits when it is closed.
    _stdin: Option<ChildStdin>,
    /// The lines of its standard error stream.
    lines: Lines<BufReader<ChildStderr>>,
}

/// Runs a part of the named test in a child process, which has no other thread at first.
fn signalled(test: &str, part: impl FnOnce()) -> Signalled {
    if env::var_os(PART).is_some() {
        thread::spawn(|| {
            let _end = io::stdin().read_to_end(&mut Vec::new());
            process::exit(1);
        });
        part();
        process::exit(0);
    }
    let mut process = Command::new(env::current_exe().unwrap())
        .args([&format!("see_signal::{test}"), "--exact", "--nocapture"])
        .env(PART, "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    Signalled {
        _stdin: process.stdin.take(),
        lines: BufReader::new(process.stderr.take().unwrap()).lines(),
        process,
    }
}

/// Announces that a signal may arrive now.
fn expect_signal() {
    eprintln!("{EXPECTANT}");
}

impl Signalled {
    /// Returns the next line that contains a text.
    fn line_with(&mut self, text: &str) -> String {
        let line = self.lines.by_ref().map(Result::unwrap);
        // The harness shows the lines if the test fails.
        let mut line = line.inspect(|line| eprintln!("{line}"));
        let found = line.find(|line| line.contains(text));
        found.unwrap_or_else(|| panic!("no line contains {text:?}"))
    }

    /// Sends the signal to the child.
    fn signal(&mut self) {
        let id = self.process.id().to_string();
        let sent = Command::new("kill").args(["-USR1", &id]).status();
        assert!(sent.unwrap().success());
    }
}

impl Drop for Signalled {
    fn drop(&mut self) {
        let _ended_already = self.process.kill();
        let _status = self.process.wait();
    }
}

#[test]
fn every_signal_prints_the_dump() {
    let _watchdog = watchdog();
    let mut process = signalled("every_signal_prints_the_dump", || {
        glassfrog::block_on(async {
            dump_on_sigusr1().unwrap();
            drop(task::Builder::new().name("sleeper").spawn(pending::<()>()));
            // Until its first poll.
            task::yield_now().await;
            expect_signal();
            pending::<()>().await;
        });
    });
    process.line_with(EXPECTANT);
    for _ in 0..2 {
        process.signal();
        process.line_with("waits for");
        process.line_with("main");
        let line = process.line_with("1 \"sleeper\"");
        assert!(line.contains("nothing holds its waker"), "{line}");
    }
}

#[test]
fn a_signal_reports_a_blocked_loop() {
    let _watchdog = watchdog();
    let mut process = signalled("a_signal_reports_a_blocked_loop", || {
        let builder = Builder::new().test_patience(Duration::from_millis(100));
        builder.build().unwrap().block_on(async {
            dump_on_sigusr1().unwrap();
            let task = task::Builder::new().name("blocker").spawn(async {
                expect_signal();
                loop {
                    thread::park();
                }
            });
            task.await.unwrap();
        });
    });
    process.line_with(EXPECTANT);
    for _ in 0..2 {
        process.signal();
        let line = process.line_with("the loop does not answer");
        assert!(line.contains("poll 1 of task 1"), "{line}");
    }
}

#[test]
fn a_signal_after_the_end_of_the_runtime_reports_the_end() {
    let _watchdog = watchdog();
    let mut process = signalled(
        "a_signal_after_the_end_of_the_runtime_reports_the_end",
        || {
            let runtime = Runtime::new().unwrap();
            runtime.block_on(async { dump_on_sigusr1() }).unwrap();
            drop(runtime);
            expect_signal();
            loop {
                thread::park();
            }
        },
    );
    process.line_with(EXPECTANT);
    process.signal();
    process.line_with("the runtime has ended");
}

#[test]
fn a_signal_handler_does_not_hide_a_deadlock() {
    child(|| {
        let _watchdog = watchdog();
        let builder = Builder::new().on_deadlock(OnDeadlock::Panic);
        let text = panic_text(|| {
            builder.build().unwrap().block_on(async {
                dump_on_sigusr1().unwrap();
                pending::<()>().await;
            });
        });
        assert!(text.starts_with("deadlock: "), "{text}");
    })
    .finish();
}

#[test]
fn a_signal_during_a_park_disturbs_nothing() {
    let _watchdog = watchdog();
    let mut process = signalled("a_signal_during_a_park_disturbs_nothing", || {
        let builder = Builder::new().on_deadlock(OnDeadlock::Panic);
        builder.build().unwrap().block_on(async {
            dump_on_sigusr1().unwrap();
            let (send, received) = oneshot::channel();
            thread::spawn(move || {
                expect_signal();
                // The main thread holds the lock of its standard input, and this one waits for it.
                thread::sleep(Duration::from_millis(300));
                send.send(()).unwrap();
            });
            received.await.unwrap();
            eprintln!("gone on");
        });
    });
    process.line_with(EXPECTANT);
    for _ in 0..5 {
        process.signal();
    }
    process.line_with("gone on");
}

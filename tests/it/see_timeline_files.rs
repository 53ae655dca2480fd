//! The files of the timeline, in child processes, because the environment and signals belong to the whole process.

use crate::support::watchdog;
use glassfrog::task::{self, Builder};
use glassfrog::{Runtime, Workers};
use std::env;
use std::ffi::OsString;
use std::fs;
use std::future::pending;
use std::io::{self, Read};
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::{self, Child, Command, Stdio};
use std::thread;
use std::time::Duration;

/// The environment variable that marks a child process.
const PART: &str = "GLASSFROG_TEST_TIMELINE";

/// The environment variable that names the file.
const VARIABLE: &str = "GLASSFROG_TIMELINE";

/// A directory for the files of one test. Dropping it removes it.
struct Scratch(PathBuf);

impl Scratch {
    /// Creates the directory of the test with this name. A child process has the same.
    fn new(test: &str) -> Scratch {
        let parent = match env::var(PART) {
            Ok(parent) => parent,
            Err(_) => process::id().to_string(),
        };
        let path = env::temp_dir().join(format!("glassfrog-{test}-{parent}"));
        fs::create_dir_all(&path).unwrap();
        Scratch(path)
    }

    /// Returns the path of a file.
    fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Returns the text of a file.
    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.file(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// Returns the names of all files.
    fn names(&self) -> Vec<OsString> {
        let entries = fs::read_dir(&self.0).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if env::var_os(PART).is_none() {
            let _gone = fs::remove_dir_all(&self.0);
        }
    }
}

/// Returns whether this is a child process.
fn is_child() -> bool {
    env::var_os(PART).is_some()
}

/// Starts the named test in a child process, with the variable set to this value, and runs a part of it there. The child
/// exits after the part, and when this process does.
fn start(test: &str, value: Option<&Path>, part: impl FnOnce()) -> Child {
    if is_child() {
        run_child(part);
    }
    start_with(Command::new(env::current_exe().unwrap()), test, value)
}

/// Runs the part of a child process, and exits after it, or when the process of the test does.
fn run_child(part: impl FnOnce()) -> ! {
    thread::spawn(|| {
        let _end = io::stdin().read_to_end(&mut Vec::new());
        process::exit(1);
    });
    part();
    process::exit(0)
}

/// Starts the named test in a child process by this command, which starts this program.
fn start_with(mut command: Command, test: &str, value: Option<&Path>) -> Child {
    command
        .args([&format!("see_timeline_files::{test}"), "--exact"])
        .arg("--nocapture")
        .env(PART, process::id().to_string())
        .env_remove(VARIABLE)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    if let Some(value) = value {
        command.env(VARIABLE, value);
    }
    command.spawn().unwrap()
}

/// Waits until a child process has exited. Returns its exit code, if it has one, and its standard error stream.
fn end(mut child: Child) -> (Option<i32>, String) {
    let stdin = child.stdin.take();
    let output = child.wait_with_output().unwrap();
    drop(stdin);
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.code(), errors)
}

/// Runs a part of the named test in a child process until it exits. Returns the standard error stream.
fn run(test: &str, value: Option<&Path>, part: impl FnOnce()) -> String {
    let (code, errors) = end(start(test, value, part));
    assert_eq!(code, Some(0), "{errors}");
    errors
}

/// Waits until a file exists. The file appears whole.
fn await_file(path: &Path) {
    while !path.exists() {
        thread::sleep(Duration::from_millis(1));
    }
}

/// Runs a task with a name on a new runtime.
fn run_task(name: &str) {
    glassfrog::block_on(async { Builder::new().name(name).spawn(async {}).await.unwrap() });
}

#[test]
fn each_runtime_of_a_process_writes_a_file_of_its_own() {
    let _watchdog = watchdog();
    let test = "each_runtime_of_a_process_writes_a_file_of_its_own";
    let scratch = Scratch::new(test);
    let errors = run(test, Some(&scratch.file("run.html")), || {
        run_task("first");
        run_task("second");
        Runtime::builder().timeline(64).build().unwrap();
    });
    assert!(!errors.contains("warning"), "{errors}");
    assert_eq!(scratch.names(), ["run-2.html", "run-3.html", "run.html"]);
    assert!(scratch.read("run.html").contains("\"first\""));
    assert!(scratch.read("run-2.html").contains("\"second\""));
}

#[test]
fn a_path_that_ends_in_json_gets_a_trace() {
    let _watchdog = watchdog();
    let test = "a_path_that_ends_in_json_gets_a_trace";
    let scratch = Scratch::new(test);
    run(test, Some(&scratch.file("run.json")), || run_task("traced"));
    assert!(scratch.read("run.json").starts_with('{'));
    assert!(scratch.read("run.json").contains("traced"));
}

#[test]
fn an_empty_variable_asks_for_nothing() {
    let _watchdog = watchdog();
    let test = "an_empty_variable_asks_for_nothing";
    let errors = run(test, Some(Path::new("")), || {
        let runtime = Runtime::new().unwrap();
        assert!(runtime.handle().timeline().latest(1).is_empty());
    });
    assert!(!errors.contains("warning"), "{errors}");
}

#[test]
fn a_panic_that_leaves_block_on_writes_the_file() {
    let _watchdog = watchdog();
    let test = "a_panic_that_leaves_block_on_writes_the_file";
    let scratch = Scratch::new(test);
    run(test, Some(&scratch.file("run.html")), || {
        let runtime = Runtime::new().unwrap();
        let panics = || {
            runtime.block_on(async {
                task::mark("the last mark");
                panic!("out of luck");
            })
        };
        assert!(catch_unwind(AssertUnwindSafe(panics)).is_err());
        // The end of the runtime does not write it.
        mem::forget(runtime);
    });
    assert!(scratch.read("run.html").contains("the last mark"));
}

#[test]
fn a_panic_that_ends_the_runtime_writes_the_file() {
    let _watchdog = watchdog();
    let test = "a_panic_that_ends_the_runtime_writes_the_file";
    let scratch = Scratch::new(test);
    run(test, Some(&scratch.file("run.html")), || {
        let builder = Runtime::builder().on_task_panic(glassfrog::OnTaskPanic::EndRuntime);
        let runtime = builder.build().unwrap();
        let panics = || {
            runtime.block_on(async {
                let unlucky = Builder::new().name("unlucky");
                unlucky
                    .spawn(async { panic!("out of luck") })
                    .await
                    .unwrap()
            })
        };
        assert!(catch_unwind(AssertUnwindSafe(panics)).is_err());
        mem::forget(runtime);
    });
    assert!(scratch.read("run.html").contains("\"unlucky\""));
}

#[test]
fn a_task_that_panics_writes_the_file_at_most_once_a_minute() {
    let _watchdog = watchdog();
    let test = "a_task_that_panics_writes_the_file_at_most_once_a_minute";
    let scratch = Scratch::new(test);
    let path = scratch.file("run.html");
    run(test, Some(&path), || {
        glassfrog::block_on(async {
            let panics = |name| {
                let task = Builder::new().name(name);
                task.spawn(async { panic!("out of luck") })
            };
            assert!(panics("unlucky").await.is_err());
            await_file(&path);
            assert!(scratch.read("run.html").contains("\"unlucky\""));
            fs::remove_file(&path).unwrap();
            assert!(panics("again").await.is_err());
            // This orders nothing: it is the time in which no file may appear.
            thread::sleep(Duration::from_millis(100));
            process::exit(0);
        });
    });
    assert!(scratch.names().is_empty());
}

#[test]
fn a_certain_deadlock_writes_the_file() {
    let _watchdog = watchdog();
    let test = "a_certain_deadlock_writes_the_file";
    let scratch = Scratch::new(test);
    let path = scratch.file("run.html");
    run(test, Some(&path.clone()), || {
        thread::spawn(move || {
            await_file(&path);
            process::exit(0);
        });
        glassfrog::block_on(async {
            drop(Builder::new().name("stuck").spawn(pending::<()>()));
            pending::<()>().await;
        });
    });
    assert!(scratch.read("run.html").contains("\"stuck\""));
}

#[test]
fn workers_write_one_file() {
    let _watchdog = watchdog();
    let test = "workers_write_one_file";
    let scratch = Scratch::new(test);
    run(test, Some(&scratch.file("run.html")), || {
        let workers = Workers::new(2).unwrap();
        let outcomes = workers.run(|index| async move {
            let task = Builder::new().name(format!("of {index}"));
            task.spawn(async {}).await.unwrap();
        });
        assert!(outcomes.iter().all(Result::is_ok));
    });
    assert_eq!(scratch.names(), ["run.html"]);
    let page = scratch.read("run.html");
    for text in ["worker 0", "worker 1", "of 0", "of 1"] {
        assert!(page.contains(&format!("\"{text}\"")), "{text}");
    }
}

#[test]
fn a_file_that_cannot_be_written_is_one_warning() {
    let _watchdog = watchdog();
    let test = "a_file_that_cannot_be_written_is_one_warning";
    let scratch = Scratch::new(test);
    let directory = scratch.file("directory.html");
    fs::create_dir_all(&directory).unwrap();
    let file = scratch.file("file");
    fs::write(&file, "text").unwrap();
    let paths = [
        (directory.clone(), "directory"),
        (scratch.file("missing/run.html"), ""),
        (file.join("run.html"), ""),
        (PathBuf::from("/"), "directory"),
    ];
    for (path, reason) in paths {
        let errors = run(test, Some(&path), || {
            run_task("in vain");
        });
        let warnings: Vec<_> = errors
            .lines()
            .filter(|line| line.contains("warning: "))
            .collect();
        assert_eq!(warnings.len(), 1, "{errors}");
        assert!(warnings[0].contains(&*path.to_string_lossy()), "{errors}");
        assert!(warnings[0].contains(reason), "{errors}");
    }
    assert!(directory.is_dir());
    assert_eq!(scratch.names(), ["directory.html", "file"]);
    assert_eq!(scratch.read("file"), "text");
}

#[cfg(target_os = "linux")]
#[test]
fn a_directory_without_permission_is_a_warning_with_that_reason() {
    let _watchdog = watchdog();
    let test = "a_directory_without_permission_is_a_warning_with_that_reason";
    // Not even the superuser may create files here.
    let errors = run(test, Some(Path::new("/sys/run.html")), || {
        run_task("in vain");
    });
    let warning = "warning: cannot write the timeline to /sys/run.html: ";
    assert!(errors.contains(warning), "{errors}");
    let reasons = [
        "Permission denied",
        "Read-only file system",
        "Operation not permitted",
    ];
    assert!(
        reasons.iter().any(|reason| errors.contains(reason)),
        "{errors}"
    );
}

#[test]
fn a_file_that_exists_is_replaced() {
    let _watchdog = watchdog();
    let test = "a_file_that_exists_is_replaced";
    let scratch = Scratch::new(test);
    fs::write(scratch.file("run.html"), "older").unwrap();
    run(test, Some(&scratch.file("run.html")), || run_task("newer"));
    assert_eq!(scratch.names(), ["run.html"]);
    assert!(scratch.read("run.html").contains("\"newer\""));
}

#[test]
fn a_slow_poll_writes_the_file_while_it_blocks_and_not_again_within_a_minute() {
    let _watchdog = watchdog();
    let scratch = Scratch::new("slow");
    let path = scratch.file("slow.html");
    let limit = Duration::from_millis(5);
    let builder = Runtime::builder().timeline_on_slow_poll(limit, &path);
    builder.build().unwrap().block_on(async {
        let slow = Builder::new().name("slow");
        let theirs = path.clone();
        slow.spawn(async move { await_file(&theirs) })
            .await
            .unwrap();
        assert!(scratch.read("slow.html").contains("\"slow\""));
        fs::remove_file(&path).unwrap();
        let slow = Builder::new().name("slow again");
        // The length of the poll, in which no file may appear.
        slow.spawn(async move { thread::sleep(20 * limit) })
            .await
            .unwrap();
    });
    assert!(scratch.names().is_empty());
}

#[test]
fn a_file_of_a_slow_poll_that_cannot_be_written_is_a_warning() {
    let _watchdog = watchdog();
    let test = "a_file_of_a_slow_poll_that_cannot_be_written_is_a_warning";
    let scratch = Scratch::new(test);
    let path = scratch.0.clone();
    let errors = run(test, None, || {
        let limit = Duration::from_millis(5);
        let builder = Runtime::builder().timeline_on_slow_poll(limit, &path);
        // The end of the runtime waits for the thread.
        builder
            .build()
            .unwrap()
            .block_on(async { thread::sleep(20 * limit) });
    });
    let warning = format!("warning: cannot write the timeline to {}: ", path.display());
    assert!(errors.contains(&warning), "{errors}");
}

/// The tests of signals.
#[cfg(all(unix, feature = "signal"))]
mod signals {
    use super::*;
    use glassfrog::signal::{SignalKind, signal, timeline_on_sigusr2};
    use std::os::unix::process::ExitStatusExt;

    /// Sends a signal to a child.
    fn send(child: &Child, signal: &str) {
        let id = child.id().to_string();
        let sent = Command::new("kill").args([signal, &id]).status();
        assert!(sent.unwrap().success());
    }

    /// Blocks the loop, after it has said so in a file.
    async fn block_loop(ready: &Path) {
        let blocker = Builder::new().name("blocker");
        let ready = ready.to_path_buf();
        let blocks = async move {
            fs::write(ready, "").unwrap();
            loop {
                thread::park();
            }
        };
        blocker.spawn(blocks).await.unwrap()
    }

    /// Returns whether this process ignores a signal. Its children inherit that, and leave such a signal alone. A shell
    /// without job control starts its background jobs so, with SIGINT.
    fn is_ignored(number: u32) -> bool {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let ignored = status
            .lines()
            .find_map(|line| line.strip_prefix("SigIgn:"))
            .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
        ignored.is_some_and(|mask| mask >> (number - 1) & 1 == 1)
    }

    #[test]
    fn sigint_and_sigterm_write_the_file_and_end_the_program() {
        let _watchdog = watchdog();
        let test = "signals::sigint_and_sigterm_write_the_file_and_end_the_program";
        for (name, number) in [("-INT", 2), ("-TERM", 15)] {
            if is_ignored(number) {
                continue;
            }
            let scratch = Scratch::new("ended");
            let (path, ready) = (scratch.file("run.html"), scratch.file("ready"));
            let mut child = start(test, Some(&path), || {
                glassfrog::block_on(block_loop(&ready));
            });
            await_file(&ready);
            send(&child, name);
            // The status, and not the end of a pipe, says that it has ended.
            let stdin = child.stdin.take();
            assert_eq!(child.wait().unwrap().signal(), Some(number as i32));
            drop(stdin);
            assert!(scratch.read("run.html").contains("\"blocker\""));
        }
    }

    #[test]
    fn a_program_that_listens_to_a_signal_is_not_ended_by_it() {
        let _watchdog = watchdog();
        let test = "signals::a_program_that_listens_to_a_signal_is_not_ended_by_it";
        let scratch = Scratch::new("listens");
        let (path, ready) = (scratch.file("run.html"), scratch.file("ready"));
        let child = start(test, Some(&path), || {
            glassfrog::block_on(async {
                let terminations = signal(SignalKind::terminate()).unwrap();
                for _ in 0..2 {
                    fs::write(&ready, "").unwrap();
                    terminations.recv().await.unwrap();
                }
            });
        });
        for _ in 0..2 {
            await_file(&ready);
            fs::remove_file(&ready).unwrap();
            send(&child, "-TERM");
        }
        let (code, errors) = end(child);
        assert_eq!(code, Some(0), "{errors}");
        assert_eq!(scratch.names(), ["run.html"]);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_signal_that_the_program_ignores_stays_ignored() {
        let _watchdog = watchdog();
        let test = "signals::a_signal_that_the_program_ignores_stays_ignored";
        let scratch = Scratch::new("ignores");
        let (path, ready) = (scratch.file("run.html"), scratch.file("ready"));
        let part = || {
            glassfrog::block_on(async { fs::write(&ready, "").unwrap() });
            while ready.exists() {
                thread::sleep(Duration::from_millis(1));
            }
        };
        if is_child() {
            run_child(part);
        }
        let mut ignoring = Command::new("sh");
        ignoring
            .args(["-c", "trap '' TERM; exec \"$@\"", "sh"])
            .arg(env::current_exe().unwrap());
        let child = start_with(ignoring, test, Some(&path));
        await_file(&ready);
        send(&child, "-TERM");
        fs::remove_file(&ready).unwrap();
        let (code, errors) = end(child);
        assert_eq!(code, Some(0), "{errors}");
    }

    #[test]
    fn sigusr2_writes_a_file_while_a_poll_blocks_the_loop() {
        let _watchdog = watchdog();
        let test = "signals::sigusr2_writes_a_file_while_a_poll_blocks_the_loop";
        let scratch = Scratch::new("usr2");
        let (path, ready) = (scratch.file("asked.html"), scratch.file("ready"));
        let mut child = start(test, None, || {
            let runtime = Runtime::builder().timeline(1024).build().unwrap();
            runtime.block_on(async {
                timeline_on_sigusr2(&path).unwrap();
                block_loop(&ready).await;
            });
        });
        await_file(&ready);
        for _ in 0..2 {
            send(&child, "-USR2");
            await_file(&path);
            assert!(scratch.read("asked.html").contains("\"blocker\""));
            fs::remove_file(&path).unwrap();
        }
        child.kill().unwrap();
        child.wait().unwrap();
    }

    #[test]
    fn sigusr2_needs_a_timeline() {
        let runtime = Runtime::new().unwrap();
        let error = runtime
            .block_on(async { timeline_on_sigusr2("run.html") })
            .unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        assert!(error.to_string().contains("`Builder::timeline`"), "{error}");
    }
}

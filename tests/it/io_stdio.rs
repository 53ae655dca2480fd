//! `io::stdin`, `io::stdout` and `io::stderr`: in second processes, whose streams are pipes.

use crate::support::{settle, watchdog};
use futures::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use futures::{FutureExt, StreamExt};
use glassfrog::io::{stderr, stdin, stdout};
use glassfrog::task::{spawn_blocking, yield_now};
use glassfrog::time::sleep;
use glassfrog::{Builder, OnDeadlock, Runtime, task};
use std::env;
use std::io::{self, BufRead, ErrorKind, Read, Write};
use std::process::{self, Child, ChildStderr, ChildStdin, ChildStdout, Command, Stdio};
use std::thread;
use std::time::Duration;

/// The environment variable that tells a second process that it is one.
const PART: &str = "GLASSFROG_TEST_STDIO";

/// The line after which a second process itself writes to its standard output. The harness writes before.
const BEGIN: &str = "begins";

/// How many bytes a pipe holds (`pipe(7)`).
const PIPE_CAPACITY: usize = 64 * 1024;

/// A second process with its streams. It is killed when this is dropped.
struct Talker {
    /// The process.
    process: Child,
    /// Its standard input, until it is closed.
    stdin: Option<ChildStdin>,
    /// Its standard output, until it is closed.
    stdout: Option<io::BufReader<ChildStdout>>,
    /// Its standard error.
    stderr: io::BufReader<ChildStderr>,
}

/// Runs a part of the test of this name in a second process, and waits until it has begun.
fn talker(test: &str, part: impl FnOnce()) -> Talker {
    if env::var_os(PART).is_some() {
        println!("\n{BEGIN}");
        part();
        process::exit(0);
    }
    let mut process = Command::new(env::current_exe().unwrap())
        .args([&format!("io_stdio::{test}"), "--exact", "--nocapture"])
        .env(PART, "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut talker = Talker {
        stdin: process.stdin.take(),
        stdout: process.stdout.take().map(io::BufReader::new),
        stderr: io::BufReader::new(process.stderr.take().unwrap()),
        process,
    };
    while talker.line() != BEGIN {}
    talker
}

impl Talker {
    /// Writes to its standard input.
    fn tell(&mut self, text: &str) {
        let stdin = self.stdin.as_mut().unwrap();
        stdin.write_all(text.as_bytes()).unwrap();
    }

    /// The next line of its standard output.
    fn line(&mut self) -> String {
        let mut line = String::new();
        let stdout = self.stdout.as_mut().unwrap();
        assert_ne!(stdout.read_line(&mut line).unwrap(), 0, "it has ended");
        String::from(line.trim_end())
    }

    /// The next line of its standard error.
    fn error_line(&mut self) -> String {
        let mut line = String::new();
        assert_ne!(self.stderr.read_line(&mut line).unwrap(), 0, "it has ended");
        String::from(line.trim_end())
    }

    /// Waits until it has ended well, although its standard input does not end. Returns what it has written to
    /// standard error.
    fn finish(mut self) -> String {
        let status = self.process.wait().unwrap();
        let mut text = String::new();
        self.stderr.read_to_string(&mut text).unwrap();
        assert!(status.success(), "{text}");
        text
    }
}

impl Drop for Talker {
    fn drop(&mut self) {
        let _ended_already = self.process.kill();
        let _status = self.process.wait();
    }
}

/// Begins to read standard input, where nothing is to be read.
async fn begin_to_read() {
    let mut stdin = stdin();
    assert!(stdin.read(&mut [0; 16]).now_or_never().is_none());
    // Until the job has begun.
    settle().await;
}

#[test]
fn a_pending_read_of_stdin_holds_up_neither_the_end_of_a_runtime_nor_the_exit() {
    let _watchdog = watchdog();
    let test = "a_pending_read_of_stdin_holds_up_neither_the_end_of_a_runtime_nor_the_exit";
    talker(test, || {
        glassfrog::block_on(begin_to_read());
        let runtime = Runtime::new().unwrap();
        runtime.block_on(async {
            drop(glassfrog::spawn(async {
                stdin().read(&mut [0; 16]).await.unwrap()
            }));
            begin_to_read().await;
        });
        runtime.shutdown_timeout(Duration::MAX);
    })
    .finish();
}

#[test]
fn a_program_may_exit_while_a_task_reads_stdin() {
    let _watchdog = watchdog();
    talker("a_program_may_exit_while_a_task_reads_stdin", || {
        glassfrog::block_on(async {
            drop(glassfrog::spawn(async {
                stdin().read(&mut [0; 16]).await.unwrap()
            }));
            begin_to_read().await;
            process::exit(0);
        });
    })
    .finish();
}

#[test]
fn a_dialogue_goes_line_by_line() {
    let _watchdog = watchdog();
    let mut talker = talker("a_dialogue_goes_line_by_line", || {
        glassfrog::block_on(async {
            let (mut lines, mut stdout) = (BufReader::new(stdin()).lines(), stdout());
            while let Some(line) = lines.next().await {
                let answer = format!("{}?\n", line.unwrap());
                stdout.write_all(answer.as_bytes()).await.unwrap();
                stdout.flush().await.unwrap();
            }
            stdout.write_all(b"bye\n").await.unwrap();
            stdout.close().await.unwrap();
        });
    });
    for word in ["one", "two", "three"] {
        talker.tell(&format!("{word}\n"));
        assert_eq!(talker.line(), format!("{word}?"));
    }
    talker.stdin = None;
    assert_eq!(talker.line(), "bye");
    talker.finish();
}

#[test]
fn no_byte_is_lost_with_a_read_a_handle_or_a_runtime() {
    let _watchdog = watchdog();
    let mut talker = talker("no_byte_is_lost_with_a_read_a_handle_or_a_runtime", || {
        glassfrog::block_on(begin_to_read());
        println!("reading");
        glassfrog::block_on(async {
            let mut byte = [0];
            for expected in *b"hello" {
                // A handle for each byte, of which one read is given up.
                let given_up = stdin();
                drop(given_up);
                assert_eq!(stdin().read(&mut byte).await.unwrap(), 1);
                assert_eq!(byte, [expected]);
            }
            begin_to_read().await;
        });
        println!("reading");
        glassfrog::block_on(async {
            let mut text = String::new();
            stdin().read_to_string(&mut text).await.unwrap();
            assert_eq!(text, "world");
            // The end is the end for every handle.
            assert_eq!(stdin().read(&mut [0; 16]).await.unwrap(), 0);
        });
    });
    assert_eq!(talker.line(), "reading");
    talker.tell("hello");
    assert_eq!(talker.line(), "reading");
    talker.tell("world");
    talker.stdin = None;
    talker.finish();
}

#[test]
fn each_byte_goes_to_one_of_the_tasks_that_read() {
    let _watchdog = watchdog();
    let mut talker = talker("each_byte_goes_to_one_of_the_tasks_that_read", || {
        glassfrog::block_on(async {
            let readers: Vec<_> = (0..10)
                .map(|_| {
                    glassfrog::spawn(async {
                        let (mut stdin, mut sum, mut buf) = (stdin(), 0, [0; 3]);
                        loop {
                            match stdin.read(&mut buf).await.unwrap() {
                                0 => return sum,
                                count => sum += count,
                            }
                        }
                    })
                })
                .collect();
            let mut sum = 0;
            for reader in readers {
                sum += reader.await.unwrap();
            }
            assert_eq!(sum, 200_000);
        });
    });
    talker.tell(&".".repeat(200_000));
    talker.stdin = None;
    talker.finish();
}

#[test]
fn a_runtime_that_ends_wakes_what_waits_for_stdin_elsewhere() {
    let _watchdog = watchdog();
    let test = "a_runtime_that_ends_wakes_what_waits_for_stdin_elsewhere";
    talker(test, || {
        let runtime = Runtime::new().unwrap();
        let mut stdin = runtime.block_on(async { stdin() });
        glassfrog::block_on(async {
            let reader = glassfrog::spawn(async move { stdin.read(&mut [0; 16]).await });
            settle().await;
            drop(runtime);
            let error = reader.await.unwrap().unwrap_err();
            assert!(error.to_string().contains("has ended"), "{error}");
        });
    })
    .finish();
}

#[test]
fn a_pending_read_of_stdin_holds_no_virtual_clock() {
    let _watchdog = watchdog();
    talker("a_pending_read_of_stdin_holds_no_virtual_clock", || {
        let runtime = Builder::new().virtual_clock().build().unwrap();
        runtime.block_on(async {
            drop(glassfrog::spawn(async {
                stdin().read(&mut [0; 16]).await.unwrap()
            }));
            sleep(Duration::from_secs(86_400)).await;
        });
    })
    .finish();
}

#[test]
fn standard_streams_take_no_thread_from_the_jobs() {
    let _watchdog = watchdog();
    talker("standard_streams_take_no_thread_from_the_jobs", || {
        let runtime = Builder::new().blocking_threads(1).build().unwrap();
        runtime.block_on(async {
            begin_to_read().await;
            spawn_blocking(|| {
                glassfrog::block_on(async { stdout().flush().await.unwrap() });
            })
            .await
            .unwrap();
        });
        let (release, held) = std::sync::mpsc::channel::<()>();
        runtime.block_on(async {
            let job = spawn_blocking(move || held.recv());
            stdout().write_all(b"written\n").await.unwrap();
            stdout().flush().await.unwrap();
            drop(release);
            assert!(job.await.unwrap().is_err());
        });
    })
    .finish();
}

#[test]
fn a_task_that_waits_for_stdin_is_no_deadlock() {
    let _watchdog = watchdog();
    let mut talker = talker("a_task_that_waits_for_stdin_is_no_deadlock", || {
        let builder = Builder::new().on_deadlock(OnDeadlock::Panic);
        let runtime = builder.build().unwrap();
        let read = runtime.block_on(async { stdin().read(&mut [0; 16]).await });
        assert_eq!(read.unwrap(), 1);
    });
    // Far longer than the runtime is quiet before it looks for one.
    thread::sleep(Duration::from_millis(200));
    talker.tell(".");
    talker.finish();
}

#[test]
fn a_dump_names_the_stream_that_a_task_waits_for() {
    let _watchdog = watchdog();
    talker("a_dump_names_the_stream_that_a_task_waits_for", || {
        // Another runtime reads.
        glassfrog::block_on(begin_to_read());
        glassfrog::block_on(async {
            let reading = task::Builder::new()
                .name("reader")
                .spawn(async { stdin().read(&mut [0; 16]).await.unwrap() });
            settle().await;
            let dump = task::dump().to_string();
            let line = dump.lines().find(|line| line.contains("reader")).unwrap();
            assert!(line.contains("standard input"), "{dump}");
            drop(reading);
        });
    })
    .finish();
}

#[test]
fn writes_leave_in_the_order_in_which_they_were_accepted() {
    let _watchdog = watchdog();
    let mut talker = talker(
        "writes_leave_in_the_order_in_which_they_were_accepted",
        || {
            glassfrog::block_on(async {
                let (mut one, mut other) = (stdout(), stdout());
                for number in 0..10_000 {
                    let writer = match number % 3 {
                        0 => &mut one,
                        _ => &mut other,
                    };
                    let line = format!("{number}\n");
                    writer.write_all(line.as_bytes()).await.unwrap();
                    if number % 100 == 0 {
                        writer.flush().await.unwrap();
                    }
                }
                one.flush().await.unwrap();
                other.flush().await.unwrap();
            });
        },
    );
    for number in 0..10_000 {
        assert_eq!(talker.line(), number.to_string());
    }
    talker.finish();
}

#[test]
fn a_flush_waits_until_the_bytes_have_left_and_holds_up_nobody_else() {
    let _watchdog = watchdog();
    let test = "a_flush_waits_until_the_bytes_have_left_and_holds_up_nobody_else";
    let mut talker = talker(test, || {
        glassfrog::block_on(async {
            let writing = glassfrog::spawn(async {
                let mut stdout = stdout();
                stdout.write_all(&[b'.'; 10 * PIPE_CAPACITY]).await.unwrap();
                stdout.write_all(b"\n").await.unwrap();
                stdout.flush().await.unwrap();
            });
            let mut stdin = stdin();
            assert_eq!(stdin.read(&mut [0; 16]).await.unwrap(), 1);
            for _ in 0..1000 {
                yield_now().await;
            }
            // Nobody reads, and the pipe is full.
            assert!(!writing.is_finished());
            stderr().write_all(b"waiting\n").await.unwrap();
            writing.await.unwrap();
            assert_eq!(stdin.read(&mut [0; 16]).await.unwrap(), 0);
        });
    });
    talker.tell(".");
    // Reads nothing until the process has seen the full pipe.
    assert_eq!(talker.error_line(), "waiting");
    let mut text = vec![0; 10 * PIPE_CAPACITY + 1];
    talker
        .stdout
        .as_mut()
        .unwrap()
        .read_exact(&mut text)
        .unwrap();
    assert!(text.ends_with(b".\n"));
    talker.stdin = None;
    talker.finish();
}

#[test]
fn a_closed_stdout_is_an_error_of_the_next_operation() {
    let _watchdog = watchdog();
    let mut talker = talker("a_closed_stdout_is_an_error_of_the_next_operation", || {
        glassfrog::block_on(async {
            let (mut one, mut other) = (stdout(), stdout());
            // Until the other end is closed.
            assert_eq!(stdin().read(&mut [0; 16]).await.unwrap(), 0);
            for _ in 0..3 {
                one.write_all(b"hello\n").await.unwrap();
                let error = one.flush().await.unwrap_err();
                assert_eq!(error.kind(), ErrorKind::BrokenPipe);
            }
            // It is the error of those bytes only.
            other.flush().await.unwrap();
            one.flush().await.unwrap();
            let error = loop {
                if let Err(error) = other.write_all(b"hello\n").await {
                    break error;
                }
            };
            assert_eq!(error.kind(), ErrorKind::BrokenPipe);
        });
    });
    talker.stdout = None;
    talker.stdin = None;
    talker.finish();
}

#[cfg(target_os = "linux")]
#[test]
fn the_streams_stay_in_blocking_mode() {
    /// `O_NONBLOCK` in the flags of `proc(5)`, `/proc/pid/fdinfo`.
    const NONBLOCK: u32 = 0o4000;
    let _watchdog = watchdog();
    talker("the_streams_stay_in_blocking_mode", || {
        glassfrog::block_on(async {
            begin_to_read().await;
            stdout().write_all(b"hello\n").await.unwrap();
            stdout().flush().await.unwrap();
            for stream in 0..3 {
                let info = std::fs::read_to_string(format!("/proc/self/fdinfo/{stream}")).unwrap();
                let flags = info.lines().find_map(|line| line.strip_prefix("flags:"));
                let flags = u32::from_str_radix(flags.unwrap().trim(), 8).unwrap();
                assert_eq!(flags & NONBLOCK, 0, "{info}");
            }
        });
    })
    .finish();
}

//! Tests that other tests run in a child process, to see how they end and what they print.
//!
//! In an ordinary run they all pass. Those that should fail do so only when a test runs them.

mod simulated;

use glassfrog::task::{self, yield_now};
use glassfrog::time::{advance, sleep};
use glassfrog::{Handle, Runtime, spawn};
use std::cell::RefCell;
use std::env;
use std::future::{pending, poll_fn};
use std::io::{self, Read};
use std::panic::panic_any;
use std::pin::pin;
use std::process::{Command, ExitCode, Stdio};
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

/// The environment variable that marks a fixture run by another test.
const PART: &str = "GLASSFROG_TEST_PART";

/// How long a fixture may run. None runs for more than a few seconds, unless its time limit does not work.
const PATIENCE: Duration = Duration::from_secs(300);

/// How a fixture ended.
pub(crate) struct End {
    /// Whether the harness let it pass.
    pub(crate) passed: bool,
    /// The output of the harness, including captured output.
    pub(crate) output: String,
    /// The standard error stream of the process, which is not captured.
    pub(crate) errors: String,
}

/// Runs a fixture in a child process, with or without a seed in its environment.
pub(crate) fn run(fixture: &str, seed: Option<&str>) -> End {
    run_with(fixture, seed, &["--show-output"])
}

/// Runs a fixture in a child process, with more arguments for the harness.
pub(crate) fn run_with(fixture: &str, seed: Option<&str>, arguments: &[&str]) -> End {
    let seed = seed.map(|seed| ("GLASSFROG_SEED", seed));
    run_child(fixture, seed.as_slice(), arguments)
}

/// Runs a fixture in a child process, with these variables in its environment.
pub(crate) fn run_in_environment(fixture: &str, variables: &[(&str, &str)]) -> End {
    run_child(fixture, variables, &["--show-output"])
}

/// Runs a fixture in a child process, with these variables in its environment and more arguments for the harness.
fn run_child(fixture: &str, variables: &[(&str, &str)], arguments: &[&str]) -> End {
    /// Reads a stream to its end, on a thread of its own.
    fn read(stream: Option<impl Read + Send + 'static>) -> Receiver<String> {
        let (send, text) = mpsc::channel();
        thread::spawn(move || send.send(io::read_to_string(stream.unwrap()).unwrap()));
        text
    }
    let mut command = Command::new(env::current_exe().unwrap());
    command
        .args([&format!("fixtures::{fixture}"), "--exact"])
        .args(arguments)
        .env(PART, fixture)
        .env_remove("GLASSFROG_SEED")
        .env_remove("GLASSFROG_TIMELINE")
        .envs(variables.iter().copied())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut process = command.spawn().unwrap();
    let (output, errors) = (read(process.stdout.take()), read(process.stderr.take()));
    let Ok(output) = output.recv_timeout(PATIENCE) else {
        process.kill().unwrap();
        panic!("{fixture} hangs");
    };
    assert!(output.contains("running 1 test"), "{fixture}: {output}");
    End {
        passed: process.wait().unwrap().success(),
        output,
        errors: errors.recv().unwrap(),
    }
}

/// Returns whether this process runs a fixture.
fn is_part() -> bool {
    env::var_os(PART).is_some()
}

/// Returns a line with the order in which tasks run on the runtime of this thread, and the id of the first one.
async fn order() -> String {
    let order = Rc::new(RefCell::new(Vec::new()));
    let tasks = [0, 1, 2, 3, 4, 5, 6, 7].map(|number| {
        let order = Rc::clone(&order);
        spawn(async move { order.borrow_mut().push(number) })
    });
    let first = tasks[0].id();
    for task in tasks {
        task.await.unwrap();
    }
    format!("ran: {:?}, the first was task {first}\n", order.take())
}

/// Returns the lines that a fixture prints about its orders when it runs with these seeds.
pub(crate) fn orders(seeds: &[u64]) -> String {
    let runtime = |seed| Runtime::builder().seed(seed).build().unwrap();
    let orders = seeds.iter().map(|seed| runtime(*seed).block_on(order()));
    orders.collect()
}

/// The same for a run without a seed.
pub(crate) fn unshuffled() -> String {
    glassfrog::block_on(order())
}

/// Returns the lines of an output about orders.
pub(crate) fn printed(output: &str) -> String {
    let lines = output.split_inclusive('\n');
    lines.filter(|line| line.starts_with("ran: ")).collect()
}

/// Returns the polls listed in an output, each with the name of the future.
pub(crate) fn polled(output: &str) -> Vec<&str> {
    let lines = output.lines();
    lines
        .filter_map(|line| line.strip_prefix("polled: "))
        .collect()
}

/// Counts the runs of a fixture that should fail in one of them.
fn is_run(number: u64, runs: &AtomicU64) -> bool {
    is_part() && runs.fetch_add(1, Ordering::Relaxed) + 1 == number
}

#[glassfrog::test]
async fn no_settings() {
    print!("{}", order().await);
}

#[glassfrog::test(seed = 5)]
async fn a_seed() {
    print!("{}", order().await);
}

#[glassfrog::test(iterations = 3)]
async fn iterations() {
    print!("{}", order().await);
}

#[glassfrog::test(iterations = 0b11, virtual_clock, seed = 5_u64)]
async fn all_settings() {
    print!("{}", order().await);
    // Fails with a real clock.
    advance(Duration::ZERO).await;
}

#[glassfrog::test(seed = 0xffff_ffff_ffff_ffff, iterations = 2)]
async fn the_last_seed() {
    print!("{}", order().await);
}

#[glassfrog::test(seed = 5, iterations = 100)]
async fn panics() {
    static RUNS: AtomicU64 = AtomicU64::new(0);
    print!("{}", order().await);
    if is_run(18, &RUNS) {
        println!("line {}", line!() + 1);
        panic!("words of its own");
    }
}

#[glassfrog::test(virtual_clock, iterations = 100)]
async fn returns_an_error() -> Result<(), String> {
    static RUNS: AtomicU64 = AtomicU64::new(0);
    print!("{}", order().await);
    if is_run(18, &RUNS) {
        return Err(String::from("words of its own"));
    }
    Ok(())
}

#[glassfrog::test(iterations = 100)]
async fn returns_a_code() -> ExitCode {
    static RUNS: AtomicU64 = AtomicU64::new(0);
    print!("{}", order().await);
    ExitCode::from(if is_run(18, &RUNS) { 7 } else { 0 })
}

#[glassfrog::test(iterations = 100)]
async fn fails_in_some_orders() {
    let order = order().await;
    print!("{order}");
    assert!(!(is_part() && order.starts_with("ran: [5")));
}

#[glassfrog::test]
async fn fails_without_seeds() {
    assert!(!is_part(), "words of its own");
}

#[glassfrog::test(iterations = 100)]
#[should_panic(expected = "words of its own")]
async fn should_panic() {
    static RUNS: AtomicU64 = AtomicU64::new(0);
    print!("{}", order().await);
    assert!(is_part() && !is_run(3, &RUNS), "words of its own");
}

#[should_panic(expected = "words of its own")]
#[glassfrog::test(iterations = 3)]
async fn should_panic_and_does_not() {
    print!("{}", order().await);
    assert!(is_part(), "words of its own");
}

/// Polls a future, and prints its name before each poll.
async fn printed_polls<F: Future>(who: &str, future: F) -> F::Output {
    let mut future = pin!(future);
    poll_fn(|cx| {
        println!("polled: {who}");
        future.as_mut().poll(cx)
    })
    .await
}

/// Lets a named and an unnamed task yield this many times. Then the named task panics.
async fn panics_after(yields: u32) {
    printed_polls("the future of `block_on`", async {
        let named = task::Builder::new().name("writer").spawn(printed_polls(
            "task 1 \"writer\"",
            async move {
                for _ in 0..yields {
                    yield_now().await;
                }
                assert!(!is_part(), "words of its own");
            },
        ));
        println!("line {}", line!() + 1);
        let unnamed = spawn(printed_polls("task 2", async move {
            for _ in 0..yields {
                yield_now().await;
            }
        }));
        unnamed.await.unwrap();
        named.await.unwrap();
    })
    .await;
}

#[glassfrog::test(seed = 7)]
async fn panics_after_few_polls() {
    panics_after(4).await;
}

#[glassfrog::test(seed = 7)]
async fn panics_after_many_polls() {
    panics_after(1000).await;
}

/// Prints, when its tasks are dropped, that no panic is unwinding.
#[glassfrog::test(seed = 7)]
async fn panics_while_a_task_waits() {
    /// Prints when it is dropped.
    struct Dropped;
    impl Drop for Dropped {
        fn drop(&mut self) {
            println!("dropped, while a panic goes on: {}", thread::panicking());
        }
    }
    let dropped = Dropped;
    drop(spawn(async {
        let _dropped = dropped;
        pending::<()>().await;
    }));
    assert!(!is_part(), "words of its own");
}

/// Panics with a payload that is not text.
#[glassfrog::test]
#[should_panic]
pub(crate) async fn panics_with_a_number() {
    panic_any(7_u32);
}

/// Prints the name of its thread.
#[glassfrog::test(timeout = "5min")]
async fn prints() {
    println!("on {:?}", thread::current().name());
    assert!(Handle::try_current().is_some());
}

/// The same for a test that fails.
#[glassfrog::test]
async fn prints_and_panics() {
    println!("on {:?}", thread::current().name());
    assert!(!is_part(), "words of its own");
}

/// The same for a test that returns an error.
#[glassfrog::test(timeout = "none")]
async fn prints_and_returns_an_error() -> Result<(), String> {
    println!("on {:?}", thread::current().name());
    match is_part() {
        true => Err(String::from("words of its own")),
        false => Ok(()),
    }
}

/// Waits for something that never comes, while a handle makes a deadlock uncertain.
async fn wait_forever() {
    let _handle = Handle::current();
    if is_part() {
        pending::<()>().await;
    }
}

#[glassfrog::test(timeout = "1s")]
async fn waits_forever() {
    wait_forever().await;
}

/// Panics when it is dropped.
struct PanicsWhenDropped;

impl Drop for PanicsWhenDropped {
    fn drop(&mut self) {
        assert!(!is_part(), "a destructor of the test");
    }
}

#[glassfrog::test(timeout = "100ms")]
async fn waits_forever_with_a_destructor_that_panics() {
    let _panics = PanicsWhenDropped;
    wait_forever().await;
}

#[glassfrog::test(timeout = "100ms")]
#[should_panic(
    expected = "test `fixtures::waits_forever_as_expected` has not ended within its time \
                           limit of 100ms"
)]
async fn waits_forever_as_expected() {
    wait_forever().await;
    panic!(
        "test `fixtures::waits_forever_as_expected` has not ended within its time limit of 100ms"
    );
}

#[glassfrog::test(timeout = "100ms")]
#[should_panic(expected = "words of its own")]
async fn waits_forever_not_as_expected() {
    wait_forever().await;
    panic!("words of its own");
}

#[glassfrog::test(timeout = "1s", virtual_clock, seed = 5, iterations = 100)]
async fn waits_forever_in_its_third_run() {
    static RUNS: AtomicU64 = AtomicU64::new(0);
    if is_run(3, &RUNS) {
        wait_forever().await;
    }
}

/// The runs are short, but together they take longer than the limit.
#[glassfrog::test(timeout = "100ms", iterations = 0xffff_ffff_ffff_ffff)]
#[should_panic(expected = "of 18446744073709551615 began ")]
async fn runs_too_often() {}

/// Its poll never returns.
#[glassfrog::test(timeout = "1s", seed = 5)]
async fn blocks() {
    let blocker = task::Builder::new().name("blocker").spawn(async {
        while is_part() {
            thread::park();
        }
    });
    blocker.await.unwrap();
}

/// The same, without a seed, and below a `should_panic`.
#[glassfrog::test(timeout = "1s")]
#[should_panic(
    expected = "the loop does not answer: it has been in poll 1 of the future of `block_on`"
)]
async fn blocks_as_expected() {
    while is_part() {
        thread::park();
    }
    panic!("the loop does not answer: it has been in poll 1 of the future of `block_on`");
}

/// Never waits, so the virtual clock never moves.
#[glassfrog::test(timeout = "100ms", virtual_clock)]
async fn yields_forever() {
    while is_part() {
        yield_now().await;
    }
}

/// Ends by the panic of its time limit, or by itself. Then a destructor blocks its thread.
async fn block_when_dropped() {
    /// Blocks its thread when it is dropped.
    struct Blocks;
    impl Drop for Blocks {
        fn drop(&mut self) {
            while is_part() {
                thread::park();
            }
        }
    }
    let blocks = Blocks;
    drop(spawn(async {
        let _blocks = blocks;
        pending::<()>().await;
    }));
    yield_now().await;
}

#[glassfrog::test(timeout = "1s")]
async fn passes_and_never_drops_its_tasks() {
    block_when_dropped().await;
}

#[glassfrog::test(timeout = "1s")]
async fn waits_forever_and_never_drops_its_tasks() {
    block_when_dropped().await;
    wait_forever().await;
}

/// Makes a thread-local whose destructor blocks its thread.
fn block_at_the_end_of_the_thread() {
    /// Blocks its thread when it is dropped.
    struct Blocks;
    impl Drop for Blocks {
        fn drop(&mut self) {
            while is_part() {
                thread::park();
            }
        }
    }
    thread_local! {
        static BLOCKS: Blocks = const { Blocks };
    }
    BLOCKS.with(|_| ());
}

#[glassfrog::test(timeout = "1s")]
async fn passes_on_a_thread_that_never_ends() {
    block_at_the_end_of_the_thread();
}

#[glassfrog::test(timeout = "1s")]
async fn panics_on_a_thread_that_never_ends() {
    if is_part() {
        block_at_the_end_of_the_thread();
        panic!("words of its own");
    }
}

#[glassfrog::test(timeout = "1s")]
async fn waits_forever_on_a_thread_that_never_ends() {
    block_at_the_end_of_the_thread();
    wait_forever().await;
}

/// The limit is shorter than a deadline of the virtual clock, which takes no time.
#[glassfrog::test(timeout = "1min", virtual_clock)]
async fn sleeps_for_a_year() {
    let day = Duration::from_secs(24 * 60 * 60);
    sleep(365 * day).await;
}

/// A deadlock is certain although another thread waits for the test.
#[glassfrog::test(timeout = "none")]
async fn is_in_a_deadlock() {
    if is_part() {
        pending::<()>().await;
    }
}

#[cfg(any())]
#[glassfrog::test]
async fn not_for_any_platform() {
    compile_error!("this is not compiled");
}

#[glassfrog::test]
#[cfg(any())]
async fn not_for_any_platform_either() {
    compile_error!("this is not compiled");
}

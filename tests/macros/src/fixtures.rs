//! Tests that other tests run in a child process, to see how they end and what they print.
//!
//! In an ordinary run they all pass. Those that should fail do so only when a test runs them.

use glassfrog::task::{self, yield_now};
use glassfrog::time::advance;
use glassfrog::{Runtime, spawn};
use std::cell::RefCell;
use std::env;
use std::future::{pending, poll_fn};
use std::pin::pin;
use std::process::{Command, ExitCode};
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

/// The environment variable that marks a fixture run by another test.
const PART: &str = "GLASSFROG_TEST_PART";

/// How a fixture ended.
pub(crate) struct End {
    /// Whether the harness let it pass.
    pub(crate) passed: bool,
    /// The output of the harness, including captured output.
    pub(crate) output: String,
}

/// Runs a fixture in a child process, with or without a seed in its environment.
pub(crate) fn run(fixture: &str, seed: Option<&str>) -> End {
    let mut command = Command::new(env::current_exe().unwrap());
    command
        .args([&format!("fixtures::{fixture}"), "--exact", "--show-output"])
        .env(PART, fixture)
        .env_remove("GLASSFROG_SEED");
    if let Some(seed) = seed {
        command.env("GLASSFROG_SEED", seed);
    }
    let process = command.output().unwrap();
    let output = String::from_utf8(process.stdout).unwrap();
    assert!(output.contains("running 1 test"), "{fixture}: {output}");
    End {
        passed: process.status.success(),
        output,
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

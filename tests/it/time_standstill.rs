//! A virtual clock that stands still although a deadline is pending: the report names the tasks that hold it.

use crate::support::watchdog;
use crate::task_probes::{logged, record_log};
use glassfrog::Builder;
use glassfrog::task::{self, spawn_blocking, yield_now};
use glassfrog::time::sleep;
use std::cell::Cell;
use std::env;
use std::process::{self, Command, Stdio};
use std::rc::Rc;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

/// The number of polls after which the clock counts as standing still.
const PATIENCE: u64 = 1_000_000;

/// The beginning of a report.
const STILL: &str = "the virtual clock has stood still";

/// The number of polls between two reads of the log.
const NOW_AND_THEN: u64 = 10_000;

/// Spawns a sleeping task of this name, and polls in other tasks until it has finished, or until a condition holds,
/// which one of them checks now and then.
async fn wait_by_polling(name: &str, mut so: impl FnMut() -> bool) {
    let done = Rc::new(Cell::new(false));
    let theirs = Rc::clone(&done);
    let nap = task::Builder::new().name(name).spawn(async move {
        sleep(Duration::from_secs(5)).await;
        theirs.set(true);
    });
    let until_done = |done: Rc<Cell<bool>>| async move {
        while !done.get() {
            yield_now().await;
        }
    };
    // Six tasks in all, one more than a report lists.
    let pollers: Vec<_> = (0..5)
        .map(|number| {
            let name = format!("{name}, poller {number}");
            task::Builder::new()
                .name(name)
                .spawn(until_done(Rc::clone(&done)))
        })
        .collect();
    let mut polls = 0;
    while !done.get() && (polls % NOW_AND_THEN != 0 || !so()) {
        polls += 1;
        yield_now().await;
    }
    done.set(true);
    for poller in pollers {
        poller.await.unwrap();
    }
    nap.await.unwrap();
}

#[test]
fn a_standstill_report_names_the_tasks_that_poll_in_a_loop() {
    let _watchdog = watchdog();
    record_log();
    let name = "standstill: sleeper";
    // A slow poll causes a warning too.
    let builder = Builder::new().watchdog(Duration::MAX);
    let runtime = builder.virtual_clock().build().unwrap();
    runtime.block_on(async {
        // While a job holds the clock, the tasks are not to blame.
        let (end, ends) = mpsc::channel::<()>();
        let (mut end, mut looks) = (Some(end), 0);
        let job = spawn_blocking(move || ends.recv());
        wait_by_polling("standstill: beside a job", || {
            looks += 1;
            // The root future has a sixth of the polls.
            let is_over = looks > PATIENCE / NOW_AND_THEN / 6 + 2;
            if is_over {
                assert_eq!(logged(STILL), [""; 0]);
                end = None;
            }
            is_over
        })
        .await;
        job.await.unwrap().unwrap_err();
        wait_by_polling(name, || !logged(name).is_empty()).await;
    });
    let told = logged(name);
    assert_eq!(told.len(), 1, "{told:?}");
    let text = &told[0];
    assert!(text.starts_with("WARN"), "{text}");
    let sleeper = format!("{name:?} (spawned at {}:", file!());
    for part in [
        "the virtual clock has stood still for 1000000 polls",
        "the next deadline is 5s away, and task ",
        &sleeper,
        "poller ",
        "and those of 1 more",
        "await the event",
        "yield_now",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    // All had the same number of turns, except for an incomplete round.
    let lines: Vec<_> = text
        .lines()
        .filter_map(|line| line.strip_prefix("  "))
        .collect();
    let polls = lines.iter().filter_map(|line| line.split_once(" of "));
    let polls: Vec<u64> = polls.filter_map(|(polls, _)| polls.parse().ok()).collect();
    assert_eq!(polls.len(), 5, "{text}");
    assert!(polls.is_sorted_by(|a, b| a >= b), "{text}");
    let share = PATIENCE / 2 / 6;
    assert!(
        polls.iter().all(|polls| polls.abs_diff(share) < 200),
        "{text}"
    );
}

/// The environment variable that marks a child process.
const PART: &str = "GLASSFROG_TEST_STANDSTILL";

#[test]
fn a_test_without_a_logger_prints_the_report_and_its_name_to_standard_error() {
    let _watchdog = watchdog();
    if env::var_os(PART).is_some() {
        let run = || {
            let builder = Builder::new().virtual_clock().stall_to_stderr();
            builder.build().unwrap().block_on(async {
                let mut looks = 0;
                wait_by_polling("standstill: second process", || {
                    looks += 1;
                    looks > PATIENCE / NOW_AND_THEN / 6 + 2
                })
                .await;
            });
        };
        let thread = thread::Builder::new().name(String::from("rooms::test"));
        thread.spawn(run).unwrap().join().unwrap();
        process::exit(0);
    }
    let test =
        "time_standstill::a_test_without_a_logger_prints_the_report_and_its_name_to_standard_error";
    let output = Command::new(env::current_exe().unwrap())
        .args([test, "--exact", "--nocapture"])
        .env(PART, "1")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(text.matches(STILL).count(), 1, "{text}");
    let heading = format!("\ntest `rooms::test`: {STILL}");
    assert!(text.contains(&heading), "{text}");
    assert!(text.contains("standstill: second process"), "{text}");
}

//! The thread of a test and its time limit.

use crate::fixtures::{End, panics_with_a_number, run, run_with};
use std::panic::catch_unwind;

/// The first words of the report of a test that its time limit has ended.
fn heading(fixture: &str, limit: &str) -> String {
    format!(
        "test `fixtures::{fixture}` has not ended within its time limit of {limit} (the setting `timeout`)"
    )
}

/// Runs a fixture that its time limit ends. Returns what follows the first words of its report.
#[track_caller]
fn report(fixture: &str, limit: &str) -> String {
    let End { passed, output, .. } = run(fixture, None);
    assert!(!passed, "{output}");
    let heading = heading(fixture, limit);
    assert_eq!(output.matches(&heading).count(), 1, "{output}");
    String::from(output.split_once(&heading).unwrap().1)
}

/// The first words of the line after the report of a test whose thread has not ended.
const LEFT: &str = "\nthe thread of the test has not ended within another 1s, and is left behind";

/// The words after those if `block_on` has ended.
const DROPS: &str = ": `block_on` has ended, but a destructor blocks the thread\n";

#[test]
fn a_test_runs_on_a_thread_with_its_name() {
    let End { passed, output, .. } = run("prints", None);
    assert!(passed, "{output}");
    assert!(
        output.contains("on Some(\"fixtures::prints\")\n"),
        "{output}"
    );
}

#[test]
fn the_output_of_a_test_that_passes_is_captured() {
    let end = run_with("prints", None, &[]);
    assert!(end.passed, "{}", end.output);
    for text in [end.output, end.errors] {
        assert!(!text.contains("on Some("), "{text}");
    }
}

#[test]
fn the_output_of_a_test_that_fails_is_captured_and_shown() {
    let fixtures = [
        ("prints_and_panics", "words of its own"),
        ("prints_and_returns_an_error", "Error: \"words of its own\""),
    ];
    for (fixture, words) in fixtures {
        let End {
            passed,
            output,
            errors,
        } = run_with(fixture, None, &[]);
        assert!(!passed, "{output}");
        let section = format!("---- fixtures::{fixture} stdout ----\n");
        let (before, section) = output.split_once(&section).unwrap();
        let line = format!("on Some(\"fixtures::{fixture}\")\n");
        for text in [line.as_str(), words] {
            assert!(
                !before.contains(text) && !errors.contains(text),
                "{output}{errors}"
            );
            assert_eq!(section.matches(text).count(), 1, "{output}");
        }
    }
}

#[test]
fn the_output_of_a_test_is_not_captured_if_the_harness_captures_nothing() {
    // With one thread, the harness runs the test on its main thread.
    for arguments in [&["--nocapture"][..], &["--nocapture", "--test-threads=1"]] {
        let End {
            passed,
            output,
            errors,
        } = run_with("prints_and_panics", None, arguments);
        assert!(!passed, "{output}");
        let line = "on Some(\"fixtures::prints_and_panics\")\n";
        assert_eq!(output.matches(line).count(), 1, "{output}");
        assert_eq!(errors.matches("words of its own").count(), 1, "{errors}");
        assert!(
            errors.contains("thread 'fixtures::prints_and_panics'"),
            "{errors}"
        );
    }
}

#[test]
fn the_payload_of_a_panic_reaches_the_harness() {
    let panic = catch_unwind(panics_with_a_number).unwrap_err();
    assert_eq!(*panic.downcast::<u32>().unwrap(), 7);
}

#[test]
fn a_test_that_waits_forever_fails_at_its_limit_with_a_dump() {
    let report = report("waits_forever", "1s");
    let lines: Vec<&str> = report.lines().collect();
    assert_eq!(lines[0], ":", "{report}");
    assert!(
        lines[1].starts_with("task") && lines[1].ends_with("waits for"),
        "{report}"
    );
    assert!(lines[2].starts_with("main "), "{report}");
    assert!(lines[2].contains("something outside glassfrog"), "{report}");
    assert!(!report.contains(LEFT), "{report}");
}

#[test]
fn a_test_whose_destructor_panics_at_its_limit_fails_alone() {
    let report = report("waits_forever_with_a_destructor_that_panics", "100ms");
    assert!(report.contains("something outside glassfrog"), "{report}");
    assert!(!report.contains("abort"), "{report}");
}

#[test]
fn should_panic_may_expect_the_time_limit() {
    let End { passed, output, .. } = run("waits_forever_as_expected", None);
    assert!(passed, "{output}");
    let End { passed, output, .. } = run("waits_forever_not_as_expected", None);
    assert!(!passed, "{output}");
    assert!(
        output.contains("panic did not contain expected string"),
        "{output}"
    );
}

#[test]
fn the_seed_of_the_run_that_the_time_limit_ends_is_printed() {
    let report = report("waits_forever_in_its_third_run", "1s");
    assert!(report.starts_with("; run 3 of 100 began "), "{report}");
    let seed = "this test failed with seed 7 (run 3 of 100): repeat it with \
                #[glassfrog::test(virtual_clock, seed = 7)], or with GLASSFROG_SEED=7 in the environment\n\
                the last polls, the oldest first:\n";
    let (dump, polls) = report.split_once(seed).unwrap();
    assert!(dump.contains("something outside glassfrog"), "{report}");
    assert!(
        polls.starts_with("  the future of `block_on` (called at "),
        "{report}"
    );
}

#[test]
fn all_runs_together_have_one_limit() {
    let End { passed, output, .. } = run("runs_too_often", None);
    assert!(passed, "{output}");
    let heading = heading("runs_too_often", "100ms");
    assert!(output.contains(&heading), "{output}");
    // The run has begun after the limit, and its future has not been polled.
    let mut lines = output.lines();
    let main = lines.find(|line| line.starts_with("main ")).unwrap();
    assert!(main.ends_with(" 0  ready"), "{output}");
}

#[test]
fn a_test_whose_poll_blocks_fails_and_the_poll_and_the_seed_are_named() {
    let End { passed, output, .. } = run("blocks", None);
    assert!(!passed, "{output}");
    let (before, report) = output.split_once(&heading("blocks", "1s")).unwrap();
    let seed = "this test failed with seed 5 (run 1 of 1): repeat it with #[glassfrog::test(seed = 5)], \
                or with GLASSFROG_SEED=5 in the environment\n";
    assert!(before.contains(seed), "{output}");
    let polling = ":\nthe loop does not answer: it has been in poll 1 of task 1";
    let after = report.strip_prefix(polling).unwrap();
    // A release build does not note the names of the tasks that it polls.
    let is_named = after.starts_with(" \"blocker\" (spawned at ");
    assert!(is_named || !cfg!(debug_assertions), "{output}");
    let (_, after) = after.split_once(LEFT).unwrap();
    assert!(after.starts_with('\n'), "{output}");
}

#[test]
fn should_panic_may_expect_a_poll_that_blocks() {
    if cfg!(debug_assertions) {
        let End { passed, output, .. } = run("blocks_as_expected", None);
        assert!(passed, "{output}");
    }
}

#[test]
fn a_test_that_never_waits_fails_at_its_limit_with_a_dump() {
    let report = report("yields_forever", "100ms");
    assert!(report.starts_with(":\ntask "), "{report}");
    assert!(report.contains("\nmain "), "{report}");
}

#[test]
fn a_test_whose_tasks_are_never_dropped_fails() {
    let report = report("passes_and_never_drops_its_tasks", "1s");
    assert!(report.starts_with(":\nthe runtime has ended\n"), "{report}");
    assert!(report.contains(&format!("{LEFT}{DROPS}")), "{report}");
}

#[test]
fn a_test_that_fails_at_its_limit_and_never_drops_its_tasks_is_left_behind() {
    let fixture = "waits_forever_and_never_drops_its_tasks";
    let End { passed, output, .. } = run(fixture, None);
    assert!(!passed, "{output}");
    // The first report is that of the thread of the test, and the second that of the harness.
    let reports: Vec<&str> = output.split(&heading(fixture, "1s")).skip(1).collect();
    assert_eq!(reports.len(), 2, "{output}");
    for report in &reports {
        assert!(report.contains("something outside glassfrog"), "{output}");
    }
    assert!(reports[1].contains(&format!("{LEFT}{DROPS}")), "{output}");
}

#[test]
fn a_thread_local_whose_destructor_blocks_keeps_no_test_from_ending() {
    let End { passed, output, .. } = run("passes_on_a_thread_that_never_ends", None);
    assert!(!passed, "{output}");
    assert!(
        output.contains("`fixtures::passes_on_a_thread_that_never_ends` has ended, but its thread"),
        "{output}"
    );
    let End { passed, output, .. } = run("panics_on_a_thread_that_never_ends", None);
    assert!(!passed, "{output}");
    assert_eq!(output.matches("words of its own").count(), 1, "{output}");
    let report = report("waits_forever_on_a_thread_that_never_ends", "1s");
    assert!(report.contains("something outside glassfrog"), "{report}");
}

#[test]
fn the_time_of_a_virtual_clock_does_not_count() {
    let End { passed, output, .. } = run("sleeps_for_a_year", None);
    assert!(passed, "{output}");
}

#[test]
fn a_deadlock_is_certain_although_the_harness_waits() {
    let End { passed, output, .. } = run("is_in_a_deadlock", None);
    assert!(!passed, "{output}");
    assert!(
        output.contains("deadlock: no task will ever be woken"),
        "{output}"
    );
}

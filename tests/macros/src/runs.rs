//! The runs of a test: their number, their runtimes, and the report of a failed one.

use crate::fixtures::{End, orders, polled, printed, run, unshuffled};
use glassfrog::time::{advance, now, sleep};
use std::time::Duration;

/// Asserts that a fixture ended like this, after runs that printed these orders.
#[track_caller]
fn assert_ended(end: &End, passed: bool, orders: String) {
    let End { output, .. } = end;
    assert_eq!(end.passed, passed, "{output}");
    assert_eq!(printed(output), orders, "{output}");
}

/// Returns the beginning of the report of a failed run.
fn told(seed: u64, run: &str, setting: &str) -> String {
    format!(
        "this test failed with seed {seed} ({run}): repeat it with #[glassfrog::test({setting})], \
         or with GLASSFROG_SEED={seed} in the environment\n"
    )
}

#[test]
fn the_seeds_of_these_tests_give_different_orders() {
    for seed in [4, 5, 6, u64::MAX] {
        assert_ne!(orders(&[seed]), orders(&[seed.wrapping_add(1)]));
        assert_ne!(orders(&[seed]), unshuffled());
    }
}

#[test]
fn without_seed_and_iterations_there_is_one_unshuffled_run() {
    assert_ended(&run("no_settings", None), true, unshuffled());
}

#[test]
fn a_seed_alone_selects_the_seed_of_the_only_run() {
    assert_ended(&run("a_seed", None), true, orders(&[5]));
}

#[test]
fn iterations_alone_count_seeds_from_zero() {
    assert_ended(&run("iterations", None), true, orders(&[0, 1, 2]));
}

#[test]
fn iterations_with_a_seed_count_from_that_seed() {
    assert_ended(&run("all_settings", None), true, orders(&[5, 6, 7]));
}

#[test]
fn seeds_wrap_around_after_the_last() {
    assert_ended(&run("the_last_seed", None), true, orders(&[u64::MAX, 0]));
}

#[test]
fn a_panic_ends_the_test_and_is_followed_by_its_seed() {
    let end = run("panics", None);
    assert_ended(&end, false, orders(&Vec::from_iter(5..23)));
    let (_, line) = end.output.split_once("\nline ").unwrap();
    let (line, after) = line.split_once('\n').unwrap();
    let (location, after) = after.split_once("words of its own\n").unwrap();
    assert!(
        location.contains(&format!("fixtures.rs:{line}:")),
        "{location}"
    );
    assert!(
        after.contains(&told(22, "run 18 of 100", "seed = 22")),
        "{after}"
    );
}

#[test]
fn an_error_ends_the_test_and_is_followed_by_its_seed() {
    let end = run("returns_an_error", None);
    assert_ended(&end, false, orders(&Vec::from_iter(0..18)));
    let told = told(17, "run 18 of 100", "virtual_clock, seed = 17");
    let both = format!("Error: \"words of its own\"\n{told}");
    assert!(end.output.contains(&both), "{}", end.output);
}

#[test]
fn a_failure_exit_code_ends_the_test_and_the_seed_is_printed() {
    let end = run("returns_a_code", None);
    assert_ended(&end, false, orders(&Vec::from_iter(0..18)));
    let told = told(17, "run 18 of 100", "seed = 17");
    assert!(end.output.contains(&told), "{}", end.output);
}

/// Returns how many polls the report of a failed run omits, and its lines without the locations.
fn last_polls(output: &str) -> (u64, Vec<String>) {
    let (_, after) = output
        .split_once("environment\nthe last polls, the oldest first:\n")
        .unwrap();
    let mut before = 0;
    let mut lines = Vec::new();
    for line in after.lines().map_while(|line| line.strip_prefix("  ")) {
        if let Some((count, _)) = line.split_once(" polls before these)") {
            before = count.strip_prefix('(').unwrap().parse().unwrap();
            continue;
        }
        let place = [" (spawned at ", " (called at "];
        let place = place.iter().find_map(|place| line.split_once(place));
        lines.push(match (place, line.split_once(')')) {
            (Some((who, _)), Some((_, times))) => format!("{who}{times}"),
            _ => String::from(line),
        });
    }
    (before, lines)
}

/// Returns the lines that a report of these polls has, and how many polls each stands for.
fn folded(polls: &[&str]) -> Vec<(String, u64)> {
    let lines = polls.chunk_by(|one, other| one == other);
    let lines = lines.map(|line| match line.len() {
        1 => (String::from(line[0]), 1),
        polls => (format!("{} x{polls}", line[0]), polls as u64),
    });
    lines.collect()
}

#[test]
fn the_last_polls_of_a_failed_run_are_printed_in_order() {
    let End { passed, output, .. } = run("panics_after_few_polls", None);
    assert!(!passed, "{output}");
    let (before, told) = last_polls(&output);
    assert_eq!(before, 0, "{output}");
    let polls = folded(&polled(&output));
    assert!(polls.iter().map(|(line, _)| line).eq(&told), "{output}");
    // Some are folded, or this would show nothing.
    assert!(polls.iter().any(|(_, polls)| *polls > 1), "{output}");
    let (_, line) = output.split_once("\nline ").unwrap();
    let (line, _) = line.split_once('\n').unwrap();
    let at = format!("task 2 (spawned at tests/macros/src/fixtures.rs:{line}:");
    assert!(output.replace('\\', "/").contains(&at), "{output}");
}

#[test]
fn only_the_last_32_lines_of_many_polls_are_printed() {
    let End { passed, output, .. } = run("panics_after_many_polls", None);
    assert!(!passed, "{output}");
    let (before, told) = last_polls(&output);
    let polls = folded(&polled(&output));
    let (early, late) = polls.split_at(polls.len() - 32);
    assert!(late.iter().map(|(line, _)| line).eq(&told), "{output}");
    assert_eq!(early.iter().map(|(_, polls)| polls).sum::<u64>(), before);
}

#[test]
fn the_tasks_of_a_failed_run_are_dropped_after_its_panic_and_seed_are_printed() {
    let End { passed, output, .. } = run("panics_while_a_task_waits", None);
    assert!(!passed, "{output}");
    let (_, after) = output.split_once("the last polls").unwrap();
    let dropped = "dropped, while a panic goes on: false\n";
    assert!(after.contains(dropped), "{output}");
}

#[test]
fn a_failure_without_seeds_prints_no_seed() {
    let end = run("fails_without_seeds", Some("5"));
    assert!(!end.passed && end.output.contains("words of its own"));
    assert!(!end.output.contains("this test failed"), "{}", end.output);
    assert!(!end.output.contains("the last polls"), "{}", end.output);
}

#[test]
fn should_panic_passes_with_the_first_run_that_panics() {
    assert_ended(&run("should_panic", None), true, orders(&[0, 1, 2]));
}

#[test]
fn should_panic_fails_if_no_run_panics() {
    let end = run("should_panic_and_does_not", None);
    assert_ended(&end, false, orders(&[0, 1, 2]));
}

#[test]
fn a_seed_in_the_environment_selects_the_only_run() {
    for fixture in ["a_seed", "iterations", "all_settings"] {
        assert_ended(&run(fixture, Some("17")), true, orders(&[17]));
    }
}

#[test]
fn a_seed_in_the_environment_does_not_affect_a_test_without_seeds() {
    for seed in ["17", "none"] {
        assert_ended(&run("no_settings", Some(seed)), true, unshuffled());
    }
}

#[test]
fn the_printed_seed_repeats_the_run() {
    let end = run("fails_in_some_orders", None);
    let (_, seed) = end.output.split_once("failed with seed ").unwrap();
    let (seed, _) = seed.split_once(' ').unwrap();
    let number: u64 = seed.parse().unwrap();
    assert_ended(&end, false, orders(&Vec::from_iter(0..=number)));
    let again = run("fails_in_some_orders", Some(seed));
    assert_ended(&again, false, orders(&[number]));
    let told = told(number, "run 1 of 1", &format!("seed = {number}"));
    assert!(again.output.contains(&told), "{}", again.output);
}

#[test]
fn a_seed_in_the_environment_that_is_not_a_number_panics() {
    for seed in ["none", "", "-1", "18446744073709551616"] {
        let end = run("iterations", Some(seed));
        assert_ended(&end, false, String::new());
        let words =
            "GLASSFROG_SEED in the environment is not a number from 0 to 18446744073709551615: ";
        let words = format!("{words}{seed}\n");
        assert!(end.output.contains(&words), "{}", end.output);
    }
}

#[glassfrog::test(virtual_clock)]
async fn a_year_takes_no_time_on_a_virtual_clock() {
    // Fails at once with a real clock.
    advance(Duration::ZERO).await;
    let before = now();
    let year = Duration::from_secs(365 * 24 * 60 * 60);
    sleep(year).await;
    assert_eq!(now() - before, year);
}

#[glassfrog::test]
#[should_panic(expected = "only a virtual clock can be advanced")]
async fn the_clock_is_real_without_the_setting() {
    advance(Duration::ZERO).await;
}

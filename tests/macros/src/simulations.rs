//! Tests that run simulations: their seeds, what they print when they fail, and their time limits.

use crate::fixtures::{End, run};

/// Runs a fixture that simulates.
fn simulate(fixture: &str, seed: Option<&str>) -> End {
    run(&format!("simulated::{fixture}"), seed)
}

/// Returns the seeds of which a fixture has told.
fn seeds(end: &End) -> Vec<u64> {
    let lines = end.output.lines();
    lines
        .filter_map(|line| line.strip_prefix("seed ")?.parse().ok())
        .collect()
}

/// The line that repeats the run with seed 4.
const REPEAT: &str = "this test failed with seed 4 (run 5 of 10): repeat it with #[glassfrog::test(sim, seed = 4)], or with \
     GLASSFROG_SEED=4 in the environment";

#[test]
fn a_simulated_test_has_seed_0_and_runs_once() {
    let end = simulate("passes", None);
    assert!(end.passed, "{}", end.output);
    assert_eq!(seeds(&end), [0]);
    assert_eq!(end.errors, "");
}

#[test]
fn the_environment_chooses_the_seed_of_every_simulated_test() {
    assert_eq!(seeds(&simulate("passes", Some("9"))), [9]);
    assert_eq!(
        seeds(&simulate("passes_three_times_two_runs", Some("9"))),
        [9, 9]
    );
}

#[test]
fn twice_runs_each_seed_two_times() {
    let end = simulate("passes_three_times_two_runs", None);
    assert!(end.passed, "{}", end.output);
    assert_eq!(seeds(&end), [7, 7, 8, 8, 9, 9]);
}

#[test]
fn a_failure_is_printed_once_with_its_dumps_and_its_seed() {
    for fixture in ["panics_with_the_failure", "returns_the_failure"] {
        let End { passed, output, .. } = simulate(fixture, None);
        assert!(!passed);
        for text in [
            "host \"client\" failed after 1.",
            "returned an error: words of its own",
            "tasks of server:\n",
            "the last events of the network:\n",
            REPEAT,
        ] {
            assert_eq!(output.matches(text).count(), 1, "{text}: {output}");
        }
        assert!(simulate(fixture, Some("3")).passed);
        assert!(!simulate(fixture, Some("4")).passed);
    }
}

#[test]
fn an_assertion_after_the_run_is_followed_by_dumps_and_the_seed() {
    let End { passed, output, .. } = simulate("fails_after_the_run", None);
    assert!(!passed);
    let (_, after) = output.split_once("words of its own").unwrap();
    assert!(after.contains("tasks of server:\n"), "{output}");
    assert!(after.contains("client exits"), "{output}");
    assert!(after.contains(REPEAT), "{output}");
}

#[test]
fn a_difference_on_the_network_is_named() {
    let End { passed, output, .. } = simulate("differs_on_the_network", None);
    assert!(!passed);
    let (_, after) = output.split_once("not deterministic: \"").unwrap();
    let (first, after) = after.split_once("\" against \"").unwrap();
    let (second, after) = after.split_once("\"\n").unwrap();
    assert!(
        first.ends_with("client → server data #0, 3 bytes"),
        "{output}"
    );
    assert!(
        second.ends_with("client → server data #0, 4 bytes"),
        "{output}"
    );
    assert!(
        after.contains("(run 3 of 10): repeat it with #[glassfrog::test(sim, twice, seed = 2)]"),
        "{output}"
    );
}

#[test]
fn a_difference_in_the_contents_of_a_packet_is_named_as_such() {
    let End { passed, output, .. } = simulate("differs_in_a_byte", None);
    assert!(!passed);
    let (_, after) = output
        .split_once("not deterministic: the contents of a packet differ: 1.")
        .expect(&output);
    let line = after.lines().next().unwrap();
    assert!(
        line.ends_with("client → server data #0, 4 bytes"),
        "{output}"
    );
}

#[test]
fn a_difference_in_the_hosts_alone_is_noticed() {
    let End { passed, output, .. } = simulate("differs_in_the_hosts", None);
    assert!(!passed);
    assert!(
        output.contains(
            "not deterministic: the network carried the same in both runs, but the hosts did not do the same: \"0.000000 \
             client makes 1 poll\" against \"0.000000 client makes 2 polls\""
        ),
        "{output}"
    );
}

#[test]
fn a_simulation_is_stopped_at_the_time_limit_of_its_test() {
    let End { passed, output, .. } = simulate("simulates_forever", None);
    assert!(!passed);
    assert!(
        output.contains("has not ended within its time limit of 500ms"),
        "{output}"
    );
    assert!(output.contains("tasks of busy:\n"), "{output}");
}

#[test]
fn a_simulation_that_cannot_be_stopped_is_left_behind() {
    let End { passed, output, .. } = simulate("blocks_in_a_poll", None);
    assert!(!passed);
    assert!(output.contains("its thread is left behind"), "{output}");
    assert!(output.contains("GLASSFROG_SEED=0"), "{output}");
}

#[test]
fn a_simulated_test_may_be_expected_to_panic() {
    assert!(simulate("should_panic", None).passed);
}

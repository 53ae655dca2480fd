//! Programs with known bugs, which show only under a fault: a search over seeds finds each of them, a replay of the
//! seed shows the same run, and the mended program survives the same seeds.
//!
//! The programs are ordinary code. Only what starts the hosts, injects the faults and states the law names the
//! simulation.

mod crash;
mod election;
mod fetch;
mod lease;
mod parser;
mod pool;
mod retry;

use crate::support::few_or_many;
use glassfrog::sim::{self, Failure, Report, Sim};
use std::env;
use std::process::Command;
use std::time::Duration;

/// A millisecond.
const MS: Duration = Duration::from_millis(1);

/// The seeds among which a search must find a bug.
const SEEDS: u64 = 1000;

/// The version of a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Version {
    /// With its bug.
    Buggy,
    /// Without it.
    Mended,
}

/// Returns a random time that is shorter than this many milliseconds.
fn random_ms(below: u32) -> Duration {
    sim::rng().range(Duration::ZERO..MS * below)
}

/// Creates a simulation without hosts, with the usual limit.
fn simulation(seed: u64) -> Sim {
    let mut sim = Sim::new(seed);
    sim.time_limit(Duration::from_secs(600));
    sim
}

/// Returns the first seed under which a program fails, and the failure.
fn find(run: impl Fn(u64) -> Result<Report, Failure>) -> (u64, Failure) {
    let found = (0..SEEDS).find_map(|seed| Some((seed, run(seed).err()?)));
    found.expect("a seed shows the bug")
}

/// Returns what two runs that fail alike have in common.
fn text(failure: &Failure) -> String {
    format!("{:016x}: {failure}", failure.hash())
}

/// Asserts that a search finds the bug of a program, that the seed replays it, and that the mended program has none.
/// Returns the failure.
fn assert_is_found_and_mended(run: impl Fn(u64, Version) -> Result<Report, Failure>) -> Failure {
    let (seed, failure) = find(|seed| run(seed, Version::Buggy));
    for _ in 0..2 {
        let again = run(seed, Version::Buggy).expect_err("the seed shows the bug again");
        assert_eq!(text(&again), text(&failure));
    }
    for seed in 0..few_or_many(100, SEEDS as usize) as u64 {
        if let Err(failure) = run(seed, Version::Mended) {
            panic!("the mended program fails under seed {seed}: {failure}");
        }
    }
    failure
}

/// The variable that asks the test below for the run of a seed.
const SEED: &str = "SIM_BUGS_SEED";

#[test]
fn another_process_replays_the_run_bit_for_bit() {
    let programs = [crash::run, retry::run, pool::run];
    if let Ok(seed) = env::var(SEED) {
        let seed = seed.parse().unwrap();
        for run in programs {
            if let Err(failure) = run(seed, Version::Buggy) {
                println!("{}", text(&failure));
            }
        }
        return;
    }
    for run in programs {
        let (seed, failure) = find(|seed| run(seed, Version::Buggy));
        let name = "sim_bugs::another_process_replays_the_run_bit_for_bit";
        let output = Command::new(env::current_exe().unwrap())
            .args([name, "--exact", "--nocapture"])
            .env(SEED, seed.to_string())
            .output()
            .unwrap();
        let printed = String::from_utf8(output.stdout).unwrap();
        assert!(printed.contains(&text(&failure)), "{printed}");
    }
}

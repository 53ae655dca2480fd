//! [`Test`]: the runs of a test. `#[glassfrog::test]` expands to a call of [`Test::run`], through `__private`.
//!
//! A test creates a runtime for each run, and reports the seed of a run that fails. The package `glassfrog-macros`
//! parses the attribute. `#[glassfrog::main]` expands to a call of [`block_on`](crate::block_on), and uses nothing
//! from here.

use crate::event_loop::deadlock::OnDeadlock;
use crate::runtime::{Builder, Runtime};
use std::env;
use std::panic::{AssertUnwindSafe, Location, catch_unwind, resume_unwind};
use std::process::{ExitCode, Termination};
use std::time::Duration;

/// The environment variable with a seed. If it is set, every test with seeds runs once, with that seed.
const SEED: &str = "GLASSFROG_SEED";

/// How long a test may wait for something outside its runtime before a possible deadlock is reported. The wait may be
/// normal, so the test continues.
const STALL: Duration = Duration::from_secs(5);

/// A test with its settings.
#[derive(Debug, Default)]
#[must_use = "a test does nothing until `run` is called"]
pub struct Test {
    /// Whether the clock is virtual.
    virtual_clock: bool,
    /// The seed of the first run, if it was set.
    seed: Option<u64>,
    /// The number of runs, if it was set.
    iterations: Option<u64>,
}

impl Test {
    /// Creates a test without settings.
    pub fn new() -> Test {
        Test::default()
    }

    /// Uses a virtual clock.
    pub fn virtual_clock(mut self) -> Test {
        self.virtual_clock = true;
        self
    }

    /// Sets the seed of the first run.
    pub fn seed(mut self, seed: u64) -> Test {
        self.seed = Some(seed);
        self
    }

    /// Sets the number of runs. The seed of each run is one higher than the seed of the run before.
    pub fn iterations(mut self, iterations: u64) -> Test {
        self.iterations = Some(iterations);
        self
    }

    /// Runs the test, each time on a new runtime, until a run fails.
    ///
    /// # Panics
    ///
    /// Panics if the body panics, if no runtime can be created, or if the seed in the environment is not a number.
    #[track_caller]
    pub fn run<F: Future<Output: Termination>>(self, body: fn() -> F) -> ExitCode {
        let location = Some(Location::caller());
        let Some((first, runs)) = self.seeds() else {
            return self.runtime(None).block_on_at(body(), location).report();
        };
        for run in 0..runs {
            let seed = first.wrapping_add(run);
            let runtime = self.runtime(Some(seed));
            // After a panic, the runtime is used only to read the polls that it has noted.
            let result = catch_unwind(AssertUnwindSafe(|| {
                runtime.block_on_at(body(), location).report()
            }));
            if !matches!(result, Ok(ExitCode::SUCCESS)) {
                let clock = match self.virtual_clock {
                    true => "virtual_clock, ",
                    false => "",
                };
                eprintln!(
                    "this test failed with seed {seed} (run {} of {runs}): repeat it with \
                     #[glassfrog::test({clock}seed = {seed})], or with {SEED}={seed} in the environment\n\
                     the last polls, the oldest first:\n{}",
                    run + 1,
                    runtime.last_polls().unwrap_or_default()
                );
                // The runtime is dropped before the panic resumes, so that no task is dropped while a panic unwinds.
                drop(runtime);
                return result.unwrap_or_else(|panic| resume_unwind(panic));
            }
        }
        ExitCode::SUCCESS
    }

    /// Returns the first seed and the number of runs, if the test has seeds.
    fn seeds(&self) -> Option<(u64, u64)> {
        if self.seed.is_none() && self.iterations.is_none() {
            return None;
        }
        let Some(value) = env::var_os(SEED) else {
            return Some((self.seed.unwrap_or(0), self.iterations.unwrap_or(1)));
        };
        match value.to_str().and_then(|seed| seed.parse().ok()) {
            Some(seed) => Some((seed, 1)),
            None => panic!(
                "{SEED} in the environment is not a number from 0 to {}: {}",
                u64::MAX,
                value.display()
            ),
        }
    }

    /// Creates the runtime of one run.
    fn runtime(&self, seed: Option<u64>) -> Runtime {
        let mut builder = Builder::new()
            .on_deadlock(OnDeadlock::Panic)
            .stall_report(STALL)
            .stall_to_stderr();
        if self.virtual_clock {
            builder = builder.virtual_clock();
        }
        if let Some(seed) = seed {
            builder = builder.seed(seed);
        }
        builder
            .build()
            .unwrap_or_else(|error| panic!("cannot create a runtime: {error}"))
    }
}

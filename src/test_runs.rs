//! The runs of a test: what `#[glassfrog::test]` makes is a call of this.
//!
//! It is public for that alone and promises nothing to anybody else. How the attribute is read is
//! a matter of the package `glassfrog-macros`; `#[glassfrog::main]` makes a call of
//! [`block_on`](crate::block_on), and needs nothing from here.

use crate::event_loop::deadlock::OnDeadlock;
use crate::runtime::{Builder, Runtime};
use std::env;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::process::{ExitCode, Termination};
use std::time::Duration;

/// The environment variable with the seed of the only run that tests with seeds are to have.
const SEED: &str = "GLASSFROG_SEED";

/// How long a test may wait for something outside its runtime before that is told. It may be
/// normal, so the test goes on.
const STALL: Duration = Duration::from_secs(5);

/// A test that is to be run.
#[derive(Debug, Default)]
#[must_use = "a test does nothing until `run` is called"]
pub struct Test {
    /// Whether its clock is virtual.
    virtual_clock: bool,
    /// The seed of its first run, if that was set.
    seed: Option<u64>,
    /// How many runs it has, if that was set.
    iterations: Option<u64>,
}

impl Test {
    /// A test without settings.
    pub fn new() -> Test {
        Test::default()
    }

    /// Gives it a virtual clock.
    pub fn virtual_clock(mut self) -> Test {
        self.virtual_clock = true;
        self
    }

    /// Sets the seed of the first run.
    pub fn seed(mut self, seed: u64) -> Test {
        self.seed = Some(seed);
        self
    }

    /// Sets how many runs there are, each with a seed that is greater by one.
    pub fn iterations(mut self, iterations: u64) -> Test {
        self.iterations = Some(iterations);
        self
    }

    /// Runs it, each time on a runtime of its own, up to the first run that fails.
    ///
    /// # Panics
    ///
    /// With the panic of the body, if a runtime cannot be made, and if the environment has a seed
    /// that is no number.
    pub fn run<F: Future<Output: Termination>>(self, body: fn() -> F) -> ExitCode {
        let Some((first, runs)) = self.seeds() else {
            return self.runtime(None).block_on(body()).report();
        };
        for run in 0..runs {
            let seed = first.wrapping_add(run);
            let runtime = self.runtime(Some(seed));
            // After a panic the runtime only reports its polls, and those were noted before.
            let result = catch_unwind(AssertUnwindSafe(|| runtime.block_on(body()).report()));
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
                // Not while a panic unwinds: the tasks are dropped as ever.
                drop(runtime);
                return result.unwrap_or_else(|panic| resume_unwind(panic));
            }
        }
        ExitCode::SUCCESS
    }

    /// The first seed, and how many runs there are, if there are to be seeds.
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
                "{SEED} in the environment is no number from 0 to {}: {}",
                u64::MAX,
                value.display()
            ),
        }
    }

    /// Makes a runtime.
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
            .unwrap_or_else(|error| panic!("cannot make a runtime: {error}"))
    }
}

//! [`Test`]: the runs of a test. `#[glassfrog::test]` expands to a call of [`Test::run`], through `__private`.
//!
//! A test creates a runtime for each run, and reports the seed of a run that fails. [`limit`] runs it on a thread of
//! its own, for a limited time. The package `glassfrog-macros` parses the attribute. `#[glassfrog::main]` expands to a
//! call of [`block_on`](crate::block_on), and uses nothing from here.

mod limit;
#[cfg(feature = "sim")]
mod simulated;

use self::limit::Watch;
use crate::event_loop::deadlock::OnDeadlock;
use crate::foreign::log_panics;
use crate::runtime::{Builder, Runtime};
use std::env;
use std::panic::{AssertUnwindSafe, Location, catch_unwind, resume_unwind};
use std::process::{ExitCode, Termination};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

/// The environment variable with a seed. If it is set, every test with seeds runs once, with that seed.
const SEED: &str = "GLASSFROG_SEED";

/// The time limit of a test without the setting `timeout`. Few tests take so long, and a developer seldom waits longer
/// before looking for the test that hangs.
const LIMIT: Duration = Duration::from_secs(60);

/// The time for which a test may wait for something outside its runtime before the runtime reports a possible deadlock.
/// The wait may be normal, so the test continues.
const STALL: Duration = Duration::from_secs(5);

/// A test with its settings.
#[derive(Debug)]
#[must_use = "a test does nothing until `run` is called"]
pub struct Test {
    /// The name of the test in the output of the harness.
    name: &'static str,
    /// The time limit of all runs together; `None` for no limit.
    limit: Option<Duration>,
    /// Whether the clock is virtual.
    virtual_clock: bool,
    /// The seed of the first run, if it was set.
    seed: Option<u64>,
    /// The number of runs, if it was set.
    iterations: Option<u64>,
    /// Whether each seed of a simulation is run two times.
    #[cfg(feature = "sim")]
    twice: bool,
}

impl Test {
    /// Creates a test without settings. `path` is the path of its function, which begins with the crate.
    pub fn new(path: &'static str) -> Test {
        Test {
            name: path.split_once("::").map_or(path, |(_crate, name)| name),
            limit: Some(LIMIT),
            virtual_clock: false,
            seed: None,
            iterations: None,
            #[cfg(feature = "sim")]
            twice: false,
        }
    }

    /// Sets the time limit of all runs together; `None` for no limit.
    pub fn timeout(mut self, limit: Option<Duration>) -> Test {
        self.limit = limit;
        self
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

    /// Runs the test on a thread of its own, each time on a new runtime, until a run fails or the time limit passes.
    ///
    /// # Panics
    ///
    /// Panics if the body panics, if the time limit passes, if no thread or no runtime can be created, or if the seed
    /// in the environment is not a number.
    #[track_caller]
    pub fn run<F>(self, body: fn() -> F) -> ExitCode
    where
        F: Future<Output: Termination> + 'static,
    {
        let location = Location::caller();
        let (name, limit) = (self.name, self.limit);
        limit::run(name, limit, move |watch| {
            self.run_here(body, location, watch)
        })
    }

    /// Runs the test on this thread. `location` is the place of the test.
    fn run_here<F>(
        self,
        body: fn() -> F,
        location: &'static Location<'static>,
        watch: &Arc<Watch>,
    ) -> ExitCode
    where
        F: Future<Output: Termination>,
    {
        let location = Some(location);
        let Some((first, runs)) = self.seeds() else {
            let runtime = self.runtime(None, watch);
            watch.begin(&runtime, None);
            let result = block_on(&runtime, body(), location);
            if !matches!(result, Ok(ExitCode::SUCCESS)) {
                report_timeline(&runtime, watch);
            }
            return result.unwrap_or_else(|panic| {
                drop(runtime);
                resume_unwind(panic)
            });
        };
        for run in 0..runs {
            let seeded = Seeded {
                seed: first.wrapping_add(run),
                run: run + 1,
                runs,
                with: match self.virtual_clock {
                    true => "virtual_clock, ",
                    false => "",
                },
            };
            let runtime = self.runtime(Some(seeded.seed), watch);
            watch.begin(&runtime, Some(seeded));
            // After a panic, the test only reads the recorded polls of the runtime.
            let result = block_on(&runtime, body(), location);
            if !matches!(result, Ok(ExitCode::SUCCESS)) {
                seeded.report(Some(runtime.last_polls().unwrap_or_default()));
                report_timeline(&runtime, watch);
                // Drops the runtime before the panic resumes, so that no task is dropped during unwinding.
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
    fn runtime(&self, seed: Option<u64>, watch: &Watch) -> Runtime {
        let mut builder = Builder::new()
            .test_timeline(watch.has_timeline())
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

/// If failing tests write their timelines, writes that of a run that has failed, and says so.
fn report_timeline(runtime: &Runtime, watch: &Watch) {
    if let Some(words) = watch.write_timeline(&runtime.event_loop.shared) {
        eprintln!("{words}");
    }
}

/// Runs the future of a test. If the test or the runtime panics, returns the panic after the future was dropped. A
/// destructor in the future may panic too, and must not do so while the first panic unwinds: this would abort the
/// process.
fn block_on<F: Future<Output: Termination>>(
    runtime: &Runtime,
    future: F,
    location: Option<&'static Location<'static>>,
) -> thread::Result<ExitCode> {
    let mut future = Box::pin(future);
    let result = catch_unwind(AssertUnwindSafe(|| {
        runtime.block_on_at(future.as_mut(), location).report()
    }));
    let _context = runtime.enter();
    match result {
        Ok(code) => catch_unwind(AssertUnwindSafe(|| drop(future))).map(|()| code),
        Err(panic) => {
            log_panics("dropping the future of a test", || drop(future));
            Err(panic)
        }
    }
}

/// A run with a seed.
#[derive(Clone, Copy, Debug)]
struct Seeded {
    /// The seed.
    seed: u64,
    /// The number of the run, counted from 1.
    run: u64,
    /// The number of all runs.
    runs: u64,
    /// The settings that a repetition needs besides the seed, each with a comma after it.
    with: &'static str,
}

impl Seeded {
    /// Reports that this run has failed, and how to repeat it. `last_polls` lists its last polls, if they are known.
    fn report(self, last_polls: Option<String>) {
        let Seeded {
            seed,
            run,
            runs,
            with,
        } = self;
        let last_polls = match last_polls {
            Some(polls) => format!("\nthe last polls, the oldest first:\n{polls}"),
            None => String::new(),
        };
        eprintln!(
            "this test failed with seed {seed} (run {run} of {runs}): repeat it with \
             #[glassfrog::test({with}seed = {seed})], or with {SEED}={seed} in the environment{last_polls}"
        );
    }
}

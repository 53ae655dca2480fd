//! The runs of a test with the setting `sim`: each gets a simulation instead of a runtime.

use super::limit::{self, Watch};
use super::{Seeded, Test};
use crate::foreign::panic_message;
use crate::sim::tested::Recording;
use crate::sim::{Cause, Sim};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::process::{ExitCode, Termination};
use std::sync::Arc;
use std::thread;

impl Test {
    /// Runs each seed of a simulation two times, and compares the runs.
    pub fn twice(mut self) -> Test {
        self.twice = true;
        self
    }

    /// Runs the test on a thread of its own, each time with a new simulation, until a run fails or the time limit passes.
    ///
    /// # Panics
    ///
    /// Panics as [`run`](Test::run) does, and if two runs of a seed differ.
    #[track_caller]
    pub fn run_sim<T: Termination + 'static>(mut self, body: fn(&mut Sim) -> T) -> ExitCode {
        self.iterations.get_or_insert(1);
        let (name, limit) = (self.name, self.limit);
        limit::run(name, limit, move |watch| self.run_sim_here(body, watch))
    }

    /// Runs the test on this thread.
    fn run_sim_here<T: Termination>(self, body: fn(&mut Sim) -> T, watch: &Arc<Watch>) -> ExitCode {
        let (first, runs) = self.seeds().unwrap_or((0, 1));
        for run in 0..runs {
            let seeded = Seeded {
                seed: first.wrapping_add(run),
                run: run + 1,
                runs,
                with: if self.twice { "sim, twice, " } else { "sim, " },
            };
            let before = match self.run_once(body, seeded, watch, None) {
                Ok(before) => before,
                Err(code) => return code,
            };
            if self.twice
                && let Err(code) = self.run_once(body, seeded, watch, Some(before))
            {
                return code;
            }
        }
        ExitCode::SUCCESS
    }

    /// Writes the timeline of a run that has failed, if the environment asks for it, and prints where.
    fn write_timeline(&self, sim: &Sim) {
        if let Some(text) = sim.write_timeline(Some(self.name), true) {
            eprintln!("{text}");
        }
    }

    /// Runs one seed, and compares the run with the one `before` it. Returns the run.
    ///
    /// # Errors
    ///
    /// Returns the exit code of a body that fails by its return value.
    fn run_once<T: Termination>(
        &self,
        body: fn(&mut Sim) -> T,
        seeded: Seeded,
        watch: &Watch,
        before: Option<Recording>,
    ) -> Result<Recording, ExitCode> {
        let mut sim = Sim::builder().seed(seeded.seed).build();
        watch.begin_simulation(sim.stopper(), seeded);
        let first = before.map(|before| sim.compare_with(before));
        if self.twice && first.is_none() {
            sim.record_all();
        }
        let result = catch_unwind(AssertUnwindSafe(|| body(&mut sim).report()));
        let difference = first.and_then(|first| sim.difference(&first));
        let is_stopped = |sim: &Sim| {
            let failure = sim.failure();
            failure.filter(|failure| matches!(failure.cause(), Cause::Stopped(_)))
        };
        // A panic has been printed when it happened, unlike what is found out here.
        let (result, is_printed): (thread::Result<ExitCode>, bool) =
            match (difference, is_stopped(&sim), result) {
                (Some(difference), None, _) => {
                    let failure = sim.fail(Cause::NotDeterministic(difference), None);
                    (Err(Box::new(failure.to_string())), false)
                }
                // The test has ignored the failure.
                (_, Some(failure), Ok(_)) => (Err(Box::new(failure.to_string())), false),
                (_, _, result) => (result, true),
            };
        match result {
            Ok(ExitCode::SUCCESS) => Ok(sim.recording()),
            Ok(code) => {
                self.write_timeline(&sim);
                // The return value has been printed, and so has the failure if it contains one.
                if sim.failure().is_none() {
                    eprintln!("{}", sim.scene());
                }
                seeded.report(None);
                Err(code)
            }
            Err(panic) => {
                self.write_timeline(&sim);
                let message = panic_message(&*panic);
                match sim.failure().map(|failure| failure.to_string()) {
                    Some(text) if is_printed && message.contains(&text) => {}
                    Some(text) => eprintln!("{text}"),
                    None => eprintln!("{}", sim.scene()),
                }
                seeded.report(None);
                // Drops the simulation before the panic resumes, so that no task is dropped during unwinding.
                drop(sim);
                resume_unwind(panic)
            }
        }
    }
}

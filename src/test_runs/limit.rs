//! The time limit of a test: [`run`] runs the test on a thread of its own, and waits until it ends or the limit passes.
//!
//! [`Test::run`](super::Test::run) calls [`run`] on the thread of the test harness. Each run of the test stores its
//! runtime in the [`Watch`], which takes one lock. The wait of the harness's thread affects neither the clock nor the
//! deadlock detector of the runtime.
//!
//! ```text
//!      the thread of the harness                       the thread of the test
//!
//!        waits ------------------------ starts ----------> runs the body
//!          |                                                   |
//!          | the limit passes                                  |
//!          | ------------- posts `Message::Run` -------------> | `block_on` panics with a dump
//!          |                                                   |
//!          | <--------------- sends the result --------------- | runs the destructors of thread-locals
//!          |                                                   |
//!          | <--------------------- ends --------------------- x
//!          |
//!          | or ANSWER_TIMEOUT passes: fails the test, and leaves its thread behind
//!          v
//! ```
//!
//! The result counts even if the thread does not end: a destructor of a thread-local may block it.

#[cfg(feature = "sim")]
use super::SEED;
use super::Seeded;
use crate::context;
use crate::dump::Time;
use crate::event_loop::Shared;
use crate::executor::Message;
use crate::foreign::swallow_panics;
use crate::handle::request::unanswered_dump;
use crate::primitives::{Mutex, lock};
use crate::runtime::Runtime;
#[cfg(feature = "sim")]
use crate::sim::tested::Stop;
use crate::threads;
use crate::timeline::test_file::TestFile;
use crate::waiter::Tag;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// The time that a test has after its limit to panic and to drop its runtime. A loop whose polls are short answers
/// within milliseconds.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(1);

/// Runs `test` on a thread with the name of the test, and waits until it ends. If `test` has not ended within
/// `limit`, fails it.
///
/// # Panics
///
/// If `test` panics, resumes its panic. Panics if `test` ignores the request to end, if the destructor of a thread-local
/// blocks the thread past the limit, and if no thread can be started.
#[track_caller]
pub(super) fn run(
    name: &'static str,
    limit: Option<Duration>,
    test: impl FnOnce(&Arc<Watch>) -> ExitCode + Send + 'static,
) -> ExitCode {
    // A limit that exceeds every `Instant` is no limit.
    let limit = limit.unwrap_or(Duration::MAX);
    let watch = Arc::new(Watch {
        name,
        limit,
        timeline: TestFile::of(name),
        state: Mutex::default(),
    });
    let (end, ended) = mpsc::channel();
    let test = {
        let watch = Arc::clone(&watch);
        move || {
            let result = catch_unwind(AssertUnwindSafe(|| test(&watch)));
            if let Err(unsent) = end.send(result) {
                // The harness has given up. The destructor of a payload is foreign code.
                swallow_panics(|| drop(unsent));
            }
        }
    };
    let thread = match thread::Builder::new().name(String::from(name)).spawn(test) {
        Ok(thread) => thread,
        Err(error) => panic!("cannot start the thread of a test: {error}"),
    };
    let began = Instant::now();
    let rest = threads::rest();
    let first = ended.recv_timeout(limit);
    drop(rest);
    let (result, left) = match first {
        Ok(result) => (result, limit.saturating_sub(began.elapsed())),
        Err(_late) => {
            let last = watch.expire();
            let told = Instant::now();
            match ended.recv_timeout(ANSWER_TIMEOUT) {
                Ok(result) => (result, ANSWER_TIMEOUT.saturating_sub(told.elapsed())),
                Err(_late) => {
                    let report = watch.report(last.as_ref());
                    if let Some(seeded) = last.and_then(|(run, _)| run.seeded) {
                        seeded.report(None);
                    }
                    panic!("{report}");
                }
            }
        }
    };
    let has_ended = join_within(thread, left);
    match result {
        Err(panic) => resume_unwind(panic),
        Ok(_) if !has_ended => panic!(
            "test `{name}` has ended, but its thread has not within the time limit of {limit:?} (the setting \
             `timeout`), and is left behind: a destructor of a thread-local blocks it"
        ),
        Ok(code) => code,
    }
}

/// Waits until a thread has ended, at most for `limit`. Returns whether it has.
///
/// The standard library joins without a limit, so another thread does that. It is left behind with the first one.
fn join_within(thread: JoinHandle<()>, limit: Duration) -> bool {
    let (end, ended) = mpsc::channel();
    let join = move || {
        let _panicked = thread.join();
        let _given_up = end.send(());
    };
    match thread::Builder::new().spawn(join) {
        Ok(_detached) => ended.recv_timeout(limit).is_ok(),
        // Without another thread, the thread of the test ends by itself.
        Err(_no_thread) => true,
    }
}

/// The part of a test that its thread shares with the thread of the harness.
pub(super) struct Watch {
    /// The name of the test.
    name: &'static str,
    /// The time limit.
    limit: Duration,
    /// The file for the timeline of a run that fails, if the environment names a directory.
    timeline: Option<TestFile>,
    /// The state of the test.
    state: Mutex<State>,
}

/// The state of a test.
#[derive(Default)]
struct State {
    /// The latest run. Written by the thread of the test.
    run: Option<Run>,
    /// The latest run of a simulation. Written by the thread of the test.
    #[cfg(feature = "sim")]
    simulation: Option<Simulation>,
    /// Whether the limit has passed. Written by the thread of the harness, which also asks the latest run to end. A run
    /// that begins later asks itself.
    is_expired: bool,
    /// The message of the panic in `block_on`, if the loop has answered the request to end. Written by the thread of
    /// the test.
    answer: Option<String>,
}

/// A run of a test.
#[derive(Clone)]
struct Run {
    /// The runtime of the run. Not a `Handle`, which would keep the runtime from detecting a deadlock.
    shared: Arc<Shared>,
    /// The seed of the run, if it has one.
    seeded: Option<Seeded>,
    /// When the run began. The real time, even under a virtual clock.
    began: Instant,
}

/// A run of a simulation.
#[cfg(feature = "sim")]
#[derive(Clone)]
struct Simulation {
    /// Stops the run.
    stop: Stop,
    /// The seed of the run.
    seeded: Seeded,
    /// When the run began, in real time.
    began: Instant,
}

impl Watch {
    /// Records that a run of a simulation begins. The thread of the test calls this.
    #[cfg(feature = "sim")]
    pub(super) fn begin_simulation(&self, stop: Stop, seeded: Seeded) {
        let began = Instant::now();
        let simulation = Simulation {
            stop,
            seeded,
            began,
        };
        let mut state = lock(&self.state);
        state.simulation = Some(simulation.clone());
        let is_expired = state.is_expired;
        drop(state);
        if is_expired {
            self.stop(&simulation);
        }
    }

    /// Asks a simulation to stop.
    #[cfg(feature = "sim")]
    fn stop(&self, simulation: &Simulation) {
        let heading = self.heading(Some(simulation.seeded), simulation.began);
        simulation.stop.stop(heading);
    }

    /// Records that a run begins. The thread of the test calls this.
    pub(super) fn begin(self: &Arc<Self>, runtime: &Runtime, seeded: Option<Seeded>) {
        let run = Run {
            shared: Arc::clone(&runtime.event_loop.shared),
            seeded,
            began: Instant::now(),
        };
        let mut state = lock(&self.state);
        let before = state.run.replace(run.clone());
        let is_expired = state.is_expired;
        drop(state);
        drop(before);
        if is_expired {
            self.end(&run);
        }
    }

    /// Records that the limit has passed, and asks the loop of the latest run to end. Returns that run and its current
    /// poll. The thread of the harness calls this.
    fn expire(self: &Arc<Self>) -> Option<(Run, Tag)> {
        let mut state = lock(&self.state);
        state.is_expired = true;
        let run = state.run.clone();
        #[cfg(feature = "sim")]
        let simulation = state.simulation.clone();
        drop(state);
        #[cfg(feature = "sim")]
        if let Some(simulation) = simulation {
            self.stop(&simulation);
        }
        let run = run?;
        let polling = run.shared.status.polling();
        self.end(&run);
        Some((run, polling))
    }

    /// Asks the loop of a run to end: `block_on` panics with a dump when the loop reads its messages.
    fn end(self: &Arc<Self>, run: &Run) {
        let (watch, told) = (Arc::clone(self), run.clone());
        let answer = move || {
            let Some(event_loop) = context::running() else {
                return Ok(());
            };
            let answer = format!(
                "{}:\n{}",
                watch.heading(told.seeded, told.began),
                event_loop.dump()
            );
            lock(&watch.state).answer = Some(answer.clone());
            Err(answer)
        };
        // A runtime that has ended rejects the message. The next run, if there is one, asks itself to end.
        let _refused = run.shared.inbox.post(Message::Run(Box::new(answer)));
    }

    /// Returns the first words of a report about a run.
    fn heading(&self, seeded: Option<Seeded>, began: Instant) -> String {
        let run = match seeded {
            Some(Seeded {
                run: number, runs, ..
            }) if runs > 1 => {
                let time = Time(began.elapsed());
                format!("; run {number} of {runs} began {time} ago")
            }
            _ => String::new(),
        };
        let Watch { name, limit, .. } = self;
        format!(
            "test `{name}` has not ended within its time limit of {limit:?} (the setting `timeout`){run}"
        )
    }

    /// Returns the report about a test that has not ended after the request to its loop. `last` is the return value of
    /// [`expire`](Watch::expire).
    fn report(&self, last: Option<&(Run, Tag)>) -> String {
        let Some((run, polling)) = last else {
            #[cfg(feature = "sim")]
            if let Some(simulation) = lock(&self.state).simulation.clone() {
                let Seeded { seed, .. } = simulation.seeded;
                return format!(
                    "{}: its simulation has not stopped within another {ANSWER_TIMEOUT:?}, and its thread is left behind: a \
                     poll of a host blocks it, or the test itself does; repeat it with {SEED}={seed}",
                    self.heading(Some(simulation.seeded), simulation.began)
                );
            }
            let Watch { name, limit, .. } = self;
            return format!(
                "test `{name}` has not created its runtime within its time limit of {limit:?}"
            );
        };
        let answer = lock(&self.state).answer.clone();
        let has_ended = answer.is_some() || run.shared.inbox.is_closed();
        let answer = answer.unwrap_or_else(|| {
            let dump = unanswered_dump(&run.shared, *polling, ANSWER_TIMEOUT);
            format!("{}:\n{dump}", self.heading(run.seeded, run.began))
        });
        let why = match has_ended {
            true => ": `block_on` has ended, but a destructor blocks the thread",
            false => "",
        };
        let timeline = match self.write_timeline(&run.shared) {
            Some(words) => format!("\n{words}"),
            None => String::new(),
        };
        format!(
            "{answer}the thread of the test has not ended within another {ANSWER_TIMEOUT:?}, and is left behind{why}{timeline}"
        )
    }

    /// Returns whether the runs record a timeline, which is written if one fails.
    pub(super) fn has_timeline(&self) -> bool {
        self.timeline.is_some()
    }

    /// If failing tests write their timelines, writes that of a run, and returns a sentence about it.
    pub(super) fn write_timeline(&self, shared: &Shared) -> Option<String> {
        let file = self.timeline.as_ref()?;
        Some(file.write(shared.recorder.as_deref()))
    }
}

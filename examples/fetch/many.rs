//! Runs many fetches, with a limit on how many run at a time.

use std::collections::VecDeque;
use std::io;
use std::pin::pin;
use std::time::Duration;

use glassfrog::prelude::*;
use glassfrog::task::{JoinError, JoinSet};
use glassfrog::time::timeout;

use crate::fetch::{Ended, Fetch, Job};

/// The longest time between two events.
const TICK: Duration = Duration::from_millis(100);

/// The progress of a run, of which the caller is notified.
#[derive(Debug)]
pub(crate) enum Progress {
    /// A fetch is over.
    Over(Fetch),
    /// A fetch lacked descriptors and waits until others have closed theirs. Occurs once per run.
    Starved,
    /// Some time has passed.
    Tick,
}

/// Runs all jobs, each in a task of its own, and calls `on_progress` with each event and the number of running
/// fetches. When `stop` resolves, cancels the running fetches and returns the output of `stop`.
///
/// A fetch that lacks descriptors is retried, unless it ran alone. From then on, the number of fetches at a time is
/// limited to the number for which there were descriptors.
pub(crate) async fn run_all<F, S>(
    jobs: impl IntoIterator<Item = Job>,
    mut at_once: usize,
    start: impl Fn(Job) -> F,
    mut on_progress: impl FnMut(Progress, usize) -> io::Result<()>,
    stop: impl Future<Output = S>,
) -> io::Result<Option<S>>
where
    F: Future<Output = Ended> + 'static,
{
    /// An event that the loop waits for.
    enum Event<S> {
        /// The run must stop.
        Stop(S),
        /// A fetch has ended, which ran alone or not, or there are none left.
        Ended(Option<Result<(bool, Ended), JoinError>>),
    }

    let mut stop = pin!(stop);
    let mut jobs = jobs.into_iter();
    let mut again = VecDeque::new();
    let mut starved = false;
    let mut running = JoinSet::new();
    loop {
        while running.len() < at_once
            && let Some(job) = again.pop_front().or_else(|| jobs.next())
        {
            let is_alone = at_once == 1;
            let name = format!("{} #{}", job.target.text, job.number);
            let fetch = start(job);
            let task = running.build_task().name(name);
            task.spawn(async move { (is_alone, fetch.await) });
        }
        let stopped = async { Event::Stop(stop.as_mut().await) };
        let ended = async { Event::Ended(running.join_next().await) };
        let (was_alone, ended) = match timeout(TICK, stopped.or(ended)).await {
            Ok(Event::Ended(Some(ended))) => ended?,
            Ok(Event::Ended(None)) => return Ok(None),
            Ok(Event::Stop(reason)) => return Ok(Some(reason)),
            Err(_) => {
                on_progress(Progress::Tick, running.len())?;
                continue;
            }
        };
        match ended {
            Ended::Starved(fetch) if !was_alone => {
                again.push_back(fetch.job);
                at_once = at_once.min(running.len()).max(1);
                if !starved {
                    starved = true;
                    on_progress(Progress::Starved, running.len())?;
                }
            }
            // No other fetch of this run held descriptors.
            Ended::Starved(fetch) | Ended::Over(fetch) => {
                on_progress(Progress::Over(fetch), running.len())?;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::future::pending;
    use std::rc::Rc;

    use glassfrog::task::yield_now;
    use glassfrog::time;

    use super::*;
    use crate::fetch::Target;
    use crate::timing::Timing;

    /// Returns `count` jobs.
    fn jobs(count: usize) -> impl Iterator<Item = Job> {
        let target = Rc::new(Target::new("http://a/".to_string()));
        (1..=count).map(move |number| Job {
            number,
            target: Rc::clone(&target),
        })
    }

    /// Returns a fetch that is over.
    fn over(job: Job) -> Fetch {
        Fetch {
            job,
            timing: Timing::start(time::now()),
            exchanges: Vec::new(),
            outcome: Err("made up".to_string()),
        }
    }

    /// Runs `count` jobs, `at_once` at a time, with a limited number of descriptors. Returns the numbers
    /// of the finished jobs, the number of `Starved` events, and the largest number of running jobs.
    fn do_with(count: usize, at_once: usize, descriptors: usize) -> (Vec<usize>, usize, usize) {
        let used = Rc::new(Cell::new(0));
        let most = Rc::new(Cell::new(0));
        let (mut numbers, mut starvings) = (Vec::new(), 0);
        glassfrog::block_on(run_all(
            jobs(count),
            at_once,
            |job| {
                let (used, most) = (Rc::clone(&used), Rc::clone(&most));
                async move {
                    if used.get() == descriptors {
                        return Ended::Starved(over(job));
                    }
                    used.set(used.get() + 1);
                    most.set(most.get().max(used.get()));
                    for _ in 0..3 {
                        yield_now().await;
                    }
                    used.set(used.get() - 1);
                    Ended::Over(over(job))
                }
            },
            |news, _| {
                match news {
                    Progress::Over(fetch) => numbers.push(fetch.job.number),
                    Progress::Starved => starvings += 1,
                    Progress::Tick => {}
                }
                Ok(())
            },
            pending::<()>(),
        ))
        .unwrap();
        numbers.sort_unstable();
        (numbers, starvings, most.get())
    }

    #[test]
    fn all_jobs_run_once_and_never_too_many_at_a_time() {
        for (count, at_once) in [(0, 1), (1, 1), (10, 1), (10, 3), (10, 10), (10, 100)] {
            let (numbers, starvings, most) = do_with(count, at_once, usize::MAX);
            assert_eq!(numbers, Vec::from_iter(1..=count));
            assert_eq!(starvings, 0);
            assert_eq!(most, at_once.min(count));
        }
    }

    #[test]
    fn a_fetch_without_descriptors_runs_when_others_have_finished() {
        for descriptors in [1, 2, 7, 99] {
            let (numbers, starvings, most) = do_with(1000, 100, descriptors);
            assert_eq!(numbers, Vec::from_iter(1..=1000));
            assert_eq!(starvings, 1);
            assert_eq!(most, descriptors);
        }
    }

    #[test]
    fn fetches_that_lack_descriptors_all_at_once_are_retried() {
        let attempts = Cell::new(0);
        let mut outcomes = Vec::new();
        let starts = |job| {
            attempts.set(attempts.get() + 1);
            // None of the first fetches has enough.
            let is_starved = attempts.get() <= 3;
            async move {
                match is_starved {
                    true => Ended::Starved(over(job)),
                    false => Ended::Over(over(job)),
                }
            }
        };
        let note = |news, _running| {
            if let Progress::Over(fetch) = news {
                outcomes.push(fetch.job.number);
            }
            Ok(())
        };
        let run = run_all(jobs(3), 3, starts, note, pending::<()>());
        glassfrog::block_on(run).unwrap();
        assert_eq!((outcomes.len(), attempts.get()), (3, 6));
    }

    #[test]
    fn without_descriptors_all_fetches_fail_and_the_run_ends() {
        let (numbers, ..) = do_with(10, 3, 0);
        assert_eq!(numbers, Vec::from_iter(1..=10));
    }

    #[test]
    fn an_error_of_the_listener_ends_the_run() {
        let outcome = glassfrog::block_on(run_all(
            jobs(10),
            3,
            |job| async { Ended::Over(over(job)) },
            |_, _| Err(io::ErrorKind::BrokenPipe.into()),
            pending::<()>(),
        ));
        assert_eq!(outcome.unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    }

    #[test]
    fn a_stop_cancels_the_running_fetches_and_starts_no_others() {
        let alive = Rc::new(());
        let started = Cell::new(0);
        let stop_after_two = {
            let started = &started;
            async move {
                while started.get() < 2 {
                    yield_now().await;
                }
                "enough"
            }
        };
        glassfrog::block_on(async {
            let stopped = run_all(
                jobs(10),
                2,
                |job| {
                    started.set(started.get() + 1);
                    let alive = Rc::clone(&alive);
                    async move {
                        pending::<()>().await;
                        drop(alive);
                        Ended::Over(over(job))
                    }
                },
                |_, _| Ok(()),
                stop_after_two,
            );
            assert_eq!(stopped.await.unwrap(), Some("enough"));
            assert_eq!(started.get(), 2);
            // Aborted tasks are dropped instead of being polled again.
            while Rc::strong_count(&alive) > 1 {
                yield_now().await;
            }
        });
    }
}

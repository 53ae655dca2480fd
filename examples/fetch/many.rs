//! Many fetches, but only so many at a time.

use std::collections::VecDeque;
use std::io;
use std::pin::pin;
use std::time::Duration;

use glassfrog::prelude::*;
use glassfrog::task::{JoinError, JoinSet};
use glassfrog::time::timeout;

use crate::fetch::{Ended, Fetch, Job};

/// How often there is news even if there is none.
const TICK: Duration = Duration::from_millis(100);

/// What happens in a run.
#[derive(Debug)]
pub(crate) enum News {
    /// A fetch is over.
    Over(Fetch),
    /// A fetch found no descriptors left and waits for those of others. This is said once.
    Starved,
    /// Some time has passed.
    Tick,
}

/// Does all jobs, each in a task of its own, and tells what happens and how many are under way. Once
/// `stop` is ready, gives up what is under way and returns what `stop` says.
///
/// Where the descriptors run out, nothing is lost: that fetch is tried again, and from then on there
/// are no more at a time than there was room for.
pub(crate) async fn do_all<F, S>(
    jobs: impl IntoIterator<Item = Job>,
    mut at_once: usize,
    start: impl Fn(Job) -> F,
    mut tell: impl FnMut(News, usize) -> io::Result<()>,
    stop: impl Future<Output = S>,
) -> io::Result<Option<S>>
where
    F: Future<Output = Ended> + 'static,
{
    /// What the loop waits for.
    enum Event<S> {
        /// It has to stop.
        Stop(S),
        /// A fetch has ended, or there are none.
        Ended(Option<Result<Ended, JoinError>>),
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
            running.spawn(start(job));
        }
        let stopped = async { Event::Stop(stop.as_mut().await) };
        let ended = async { Event::Ended(running.join_next().await) };
        let ended = match timeout(TICK, stopped.or(ended)).await {
            Ok(Event::Ended(Some(ended))) => ended?,
            Ok(Event::Ended(None)) => return Ok(None),
            Ok(Event::Stop(reason)) => return Ok(Some(reason)),
            Err(_) => {
                tell(News::Tick, running.len())?;
                continue;
            }
        };
        match ended {
            Ended::Starved(fetch) if !running.is_empty() => {
                again.push_back(fetch.job);
                at_once = at_once.min(running.len());
                if !starved {
                    starved = true;
                    tell(News::Starved, running.len())?;
                }
            }
            // Nobody else of this run is going to give any back.
            Ended::Starved(fetch) | Ended::Over(fetch) => {
                tell(News::Over(fetch), running.len())?;
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

    /// So many jobs.
    fn jobs(count: usize) -> impl Iterator<Item = Job> {
        let target = Rc::new(Target::new("http://a/".to_string()));
        (1..=count).map(move |number| Job {
            number,
            target: Rc::clone(&target),
        })
    }

    /// A fetch that is over.
    fn over(job: Job) -> Fetch {
        Fetch {
            job,
            timing: Timing::start(time::now()),
            exchanges: Vec::new(),
            outcome: Err("made up".to_string()),
        }
    }

    /// Does `count` jobs, `at_once` at a time, in a world with so many descriptors. Returns the
    /// numbers of those that were reported, how often starving was, and how many were under way at
    /// most.
    fn do_with(count: usize, at_once: usize, descriptors: usize) -> (Vec<usize>, usize, usize) {
        let used = Rc::new(Cell::new(0));
        let most = Rc::new(Cell::new(0));
        let (mut numbers, mut starvings) = (Vec::new(), 0);
        glassfrog::block_on(do_all(
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
                    News::Over(fetch) => numbers.push(fetch.job.number),
                    News::Starved => starvings += 1,
                    News::Tick => {}
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
    fn all_jobs_are_done_once_and_never_too_many_at_a_time() {
        for (count, at_once) in [(0, 1), (1, 1), (10, 1), (10, 3), (10, 10), (10, 100)] {
            let (numbers, starvings, most) = do_with(count, at_once, usize::MAX);
            assert_eq!(numbers, Vec::from_iter(1..=count));
            assert_eq!(starvings, 0);
            assert_eq!(most, at_once.min(count));
        }
    }

    #[test]
    fn what_finds_no_descriptors_is_done_when_others_have_finished() {
        for descriptors in [1, 2, 7, 99] {
            let (numbers, starvings, most) = do_with(1000, 100, descriptors);
            assert_eq!(numbers, Vec::from_iter(1..=1000));
            assert_eq!(starvings, 1);
            assert_eq!(most, descriptors);
        }
    }

    #[test]
    fn without_any_descriptors_all_fail_and_it_ends() {
        let (numbers, ..) = do_with(10, 3, 0);
        assert_eq!(numbers, Vec::from_iter(1..=10));
    }

    #[test]
    fn an_error_of_the_listener_ends_the_run() {
        let outcome = glassfrog::block_on(do_all(
            jobs(10),
            3,
            |job| async { Ended::Over(over(job)) },
            |_, _| Err(io::ErrorKind::BrokenPipe.into()),
            pending::<()>(),
        ));
        assert_eq!(outcome.unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    }
    #[test]
    fn a_stop_gives_up_what_is_under_way_and_starts_nothing_more() {
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
            let stopped = do_all(
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
            // The tasks are dropped at their next turn.
            while Rc::strong_count(&alive) > 1 {
                yield_now().await;
            }
        });
    }
}

//! The queue of a pool, compared with a list that is searched.

use crate::pool::job::{About, Job};
use crate::pool::queue::{self, Queue, Queued};
use crate::waiter::WaiterInfo;
use proptest::prelude::*;
use std::cell::Cell;
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::io;
use std::panic::Location;
use std::sync::Arc;
use std::time::Instant;

/// A job that only exists to be counted.
struct Nothing;

impl Job for Nothing {
    fn run(self: Box<Self>) {}

    fn refuse(self: Box<Self>, _error: &io::Error) {}
}

impl About for Nothing {
    fn describe(&self) -> String {
        String::from("nothing")
    }

    fn name(&self) -> Option<&str> {
        None
    }

    fn location(&self) -> Option<&'static Location<'static>> {
        None
    }

    fn awaited_by(&self) -> Option<WaiterInfo> {
        None
    }

    fn is_detached(&self) -> bool {
        false
    }
}

/// Adds a job that does nothing.
fn submit_nothing<Id: Ord>(queue: &mut Queue<Id>, id: Id) {
    let (job, about) = (Box::new(Nothing), Arc::new(Nothing));
    let since = Instant::now();
    queue.submit(id, Queued { job, about, since });
}

thread_local! {
    /// How many ids this thread has compared.
    static LOOKS: Cell<usize> = const { Cell::new(0) };
}

/// An id that counts its comparisons.
struct Watched(usize);

impl Ord for Watched {
    fn cmp(&self, other: &Watched) -> Ordering {
        LOOKS.set(LOOKS.get() + 1);
        self.0.cmp(&other.0)
    }
}

impl PartialEq for Watched {
    fn eq(&self, other: &Watched) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Watched {}

impl PartialOrd for Watched {
    fn partial_cmp(&self, other: &Watched) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Returns the number of comparisons per cancelled job, for this many jobs cancelled in some order.
fn looks_per_cancel<I: Iterator<Item = usize>>(jobs: usize, order: impl Fn(usize) -> I) -> usize {
    let mut queue = Queue::new(1, 1);
    for id in 0..jobs {
        submit_nothing(&mut queue, Watched(id));
    }
    LOOKS.set(0);
    for id in order(jobs) {
        assert!(queue.cancel(Watched(id)).is_some());
    }
    assert_eq!(queue.len(), 0);
    LOOKS.get() / jobs
}

#[test]
fn cancelling_a_job_visits_few_others_however_many_wait() {
    /// The approximate number of ids to compare on one level of the map.
    const A_LEVEL: usize = 12;
    let newest_first = |jobs| (0..jobs).rev();
    let oldest_first = |jobs| 0..jobs;
    let inside_out = |jobs| (0..jobs).map(move |n| (n * 7919) % jobs);
    for (few, many) in [
        (
            looks_per_cancel(1_000, newest_first),
            looks_per_cancel(100_000, newest_first),
        ),
        (
            looks_per_cancel(1_000, oldest_first),
            looks_per_cancel(100_000, oldest_first),
        ),
        (
            looks_per_cancel(1_000, inside_out),
            looks_per_cancel(100_000, inside_out),
        ),
    ] {
        // A hundred times as many jobs add two or three levels.
        assert!(many <= few + 3 * A_LEVEL, "{few} and {many}");
    }
}

/// The state of a job, for the oracle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Queued,
    Running,
    Abandoned,
}

impl From<queue::Phase> for Phase {
    fn from(phase: queue::Phase) -> Phase {
        match phase {
            queue::Phase::Queued => Phase::Queued,
            queue::Phase::Running => Phase::Running,
            queue::Phase::Abandoned => Phase::Abandoned,
        }
    }
}

/// The next step.
#[derive(Clone, Copy, Debug)]
enum Step {
    Submit,
    Begin,
    Cancel(prop::sample::Index),
    Abandon(prop::sample::Index),
    End(prop::sample::Index),
}

/// Generates any step.
fn step() -> impl Strategy<Value = Step> {
    let index = any::<prop::sample::Index>;
    prop_oneof![
        Just(Step::Submit),
        Just(Step::Begin),
        index().prop_map(Step::Cancel),
        index().prop_map(Step::Abandon),
        index().prop_map(Step::End),
    ]
}

proptest! {
    /// Compares the queue with a list of all jobs, oldest first, which is searched for everything.
    #[test]
    fn a_queue_behaves_like_a_list(
        bounds in (1..4_usize, 1..6_usize),
        steps in prop::collection::vec(step(), 0..200),
    ) {
        let (most_running, most_threads) = bounds;
        let mut queue = Queue::new(most_running, most_threads);
        let mut jobs: Vec<(u64, Phase)> = Vec::new();
        // The places of the running jobs.
        let mut places: BTreeMap<u64, usize> = BTreeMap::new();
        for (id, step) in (0..).zip(steps) {
            let count = |jobs: &[(u64, Phase)], phase| {
                jobs.iter().filter(|job| job.1 == phase).count()
            };
            match step {
                Step::Submit => {
                    submit_nothing(&mut queue, id);
                    jobs.push((id, Phase::Queued));
                }
                Step::Begin => {
                    let running = count(&jobs, Phase::Running);
                    let has_room = running < most_running
                        && running + count(&jobs, Phase::Abandoned) < most_threads;
                    let oldest = jobs.iter_mut().find(|job| job.1 == Phase::Queued);
                    let oldest = oldest.filter(|_| has_room);
                    prop_assert_eq!(queue.may_begin(), oldest.is_some());
                    let begun = queue.begin(Instant::now).map(|(place, _)| place);
                    prop_assert_eq!(begun.is_some(), oldest.is_some());
                    if let (Some(job), Some(place)) = (oldest, begun) {
                        job.1 = Phase::Running;
                        prop_assert!(places.values().all(|other| *other != place));
                        places.insert(job.0, place);
                    }
                }
                Step::Cancel(which) if !jobs.is_empty() => {
                    let at = which.index(jobs.len());
                    let (id, phase) = jobs[at];
                    let cancelled = queue.cancel(id).is_some();
                    prop_assert_eq!(cancelled, phase == Phase::Queued);
                    if cancelled {
                        jobs.remove(at);
                    }
                }
                Step::Abandon(which) if !jobs.is_empty() => {
                    let at = which.index(jobs.len());
                    let (id, phase) = &mut jobs[at];
                    prop_assert_eq!(queue.abandon(*id), *phase == Phase::Running);
                    if *phase == Phase::Running {
                        *phase = Phase::Abandoned;
                    }
                }
                Step::End(which) if !jobs.is_empty() => {
                    let at = which.index(jobs.len());
                    let (id, phase) = jobs[at];
                    if phase != Phase::Queued {
                        let place = places.remove(&id).unwrap();
                        prop_assert!(queue.end(place).is_some());
                        // A second time.
                        prop_assert!(queue.end(place).is_none());
                        jobs.remove(at);
                    }
                }
                _ => {}
            }
            let (queued, running) = (count(&jobs, Phase::Queued), count(&jobs, Phase::Running));
            prop_assert_eq!(queue.len(), queued);
            prop_assert_eq!(queue.threads(), jobs.len() - queued);
            prop_assert_eq!(queue.is_busy(), queued + running > 0);
            prop_assert_eq!(queue.is_stuck(), queued > 0 && jobs.len() - queued == most_threads);
            let seen = queue.seen_running().chain(queue.seen_queued(..));
            let mut seen: Vec<_> = seen.map(|job| (job.id, Phase::from(job.phase))).collect();
            seen.sort_unstable_by_key(|job| job.0);
            prop_assert_eq!(&seen, &jobs);
        }
        let waiting = jobs.iter().filter(|job| job.1 == Phase::Queued).count();
        prop_assert_eq!(queue.clear().count(), waiting);
        prop_assert_eq!(queue.len(), 0);
    }
}

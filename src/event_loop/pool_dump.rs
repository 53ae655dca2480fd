//! The blocking pool in a dump: names the tasks that await the jobs of the pool.
//!
//! Any thread may ask, also while the loop does not answer.

use super::Shared;
use crate::dump::{Awaited, JobDump, JobState, PoolDump};
use crate::pool::{Lane, Phase, PoolJob, PoolSnapshot};
use std::collections::HashMap;
use std::time::{Duration, Instant};

impl Shared {
    /// Returns what a dump shows of the pool, on any thread. Of the id of a task that awaits a job, only the low half is
    /// known here.
    pub(crate) fn pool_dump(&self) -> PoolDump {
        self.pool_dump_of(&self.pool.snapshot(), &HashMap::new())
    }

    /// Returns what a dump shows of a snapshot of the pool. `ids` has the ids of the tasks by their low halves.
    pub(super) fn pool_dump_of(
        &self,
        snapshot: &PoolSnapshot,
        ids: &HashMap<u32, u64>,
    ) -> PoolDump {
        let now = Instant::now();
        // The pool measures real time, which says nothing about a simulated host, and differs from run to run.
        let is_simulated = self.clock.is_simulated();
        let since = |since| match is_simulated {
            false => now.saturating_duration_since(since),
            true => Duration::ZERO,
        };
        let jobs = snapshot.jobs.iter().map(|job| JobDump {
            id: job.id,
            kind: match job.lane {
                Lane::Jobs => "job",
                Lane::Lookups => "lookup",
                Lane::Output => "output",
                Lane::Input => "input",
            },
            name: job.about.name().map(Box::from),
            location: job.about.location(),
            state: match job.phase {
                Phase::Queued => JobState::Queued,
                Phase::Running => JobState::Running,
                Phase::Abandoned => JobState::Abandoned,
            },
            lasted: since(job.since),
            awaited: self.awaited(job, ids),
        });
        PoolDump {
            threads: snapshot.threads,
            idle: snapshot.idle,
            queued: snapshot.queued,
            oldest: snapshot.oldest.map(since),
            jobs: jobs.collect(),
        }
    }

    /// Returns what waits for a job.
    fn awaited(&self, job: &PoolJob, ids: &HashMap<u32, u64>) -> Awaited {
        match job.waiter.map(|waiter| waiter.tag.parts()) {
            Some(Some((task, _))) => Awaited::Task {
                id: ids.get(&task).copied().unwrap_or(u64::from(task)),
                name: self.status.names.get(task),
            },
            Some(None) => Awaited::Elsewhere,
            None if matches!(job.lane, Lane::Output | Lane::Input) => Awaited::Stream,
            None if job.about.is_detached() => Awaited::Detached,
            None => Awaited::Nothing,
        }
    }
}

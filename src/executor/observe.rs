//! The observation of polls: for the watchdog, the log at `trace`, the report of a seed, samples, and the timeline.
//!
//! The executor calls this at the beginning and at the end of each poll, but only if polls are observed. All other
//! runtimes pay one comparison for each poll. The thread in `event_loop/watchdog.rs` reads the polls that are
//! [shown](super::status::LoopStatus::show) here.

use super::Executor;
use super::sampling::Before;
use super::status::{Polling, increment};
use super::waker::TaskWaker;
use crate::clock::Stopwatch;
use crate::foreign::{is_traced, trace};
use crate::slab::Key;
use crate::waiter::Tag;
use std::time::Instant;

/// A poll that is observed, and not only recorded.
pub(super) struct Observed {
    /// The low half of the task's id.
    id: u32,
    /// The record of the poll, if polls are watched or logged.
    polling: Option<Polling>,
    /// The state at its beginning, if a [sample](super::sampling) is open.
    before: Option<Before>,
}

impl Executor {
    /// Notes that a poll begins.
    #[cold]
    #[inline(never)]
    pub(super) fn observe_begin(&self, key: Key, tag: Tag, waker: &TaskWaker) {
        let (id, poll) = tag.parts().unwrap_or_default();
        let is_shown = self.is_watched || is_traced("glassfrog::task");
        let polling = is_shown.then(|| self.show_begin(key, id, poll));
        let before = self.sample_begin();
        let is_only_recorded = polling.is_none() && before.is_none();
        // A poll of the root future that panicked has left its record.
        self.observed.set((!is_only_recorded).then(|| {
            Box::new(Observed {
                id,
                polling,
                before,
            })
        }));
        self.record_begin(id, waker);
    }

    /// Notes that a poll has ended, and logs a warning if it was slow.
    #[cold]
    #[inline(never)]
    pub(super) fn observe_end(&self, is_ready: bool, waker: &TaskWaker) {
        self.record_end(is_ready);
        let Some(observed) = self.observed.take() else {
            return;
        };
        if let Some(before) = &observed.before {
            self.sample_end(observed.id, before, is_ready, waker);
        }
        if let Some(polling) = &observed.polling {
            self.show_end(polling, is_ready);
        }
    }

    /// Shows that a poll begins.
    fn show_begin(&self, key: Key, id: u32, poll: u32) -> Polling {
        let mut tasks = self.tasks.borrow_mut();
        let location = match tasks.slab.get_mut(key) {
            Some(task) => Some(task.location),
            None => self.root_location.get(),
        };
        drop(tasks);
        let polling = Polling {
            id,
            name: self.name_of(id),
            location,
            poll,
            since: Stopwatch::start(),
        };
        trace!("glassfrog::task", "{polling} begins");
        self.status.show(polling.clone());
        self.tasks.borrow_mut().ready.note(&polling);
        polling
    }

    /// Shows that a poll has ended, and logs a warning if it was slow.
    fn show_end(&self, polling: &Polling, is_ready: bool) {
        let time = polling.since.elapsed();
        if let Some(limit) = self.watchdog.filter(|limit| time > *limit) {
            increment(&self.counters.slow_polls);
            let report = self
                .repeats
                .borrow_mut()
                .note(polling, time, Instant::now());
            if let Some(report) = report {
                let took = time.as_millis();
                report.warn(limit, format_args!("{polling} took {took} ms"));
            }
        }
        let outcome = match is_ready {
            true => "ends the task",
            false => "leaves the task waiting",
        };
        trace!("glassfrog::task", "{polling} {outcome}");
    }

    /// Logs the numbers of the slow polls that no warning has reported, at the end of the runtime.
    pub(super) fn report_rest(&self) {
        let rest = self.repeats.borrow_mut().take();
        let limit = self.watchdog.unwrap_or_default();
        rest.for_each(|place| place.warn(limit));
    }
}

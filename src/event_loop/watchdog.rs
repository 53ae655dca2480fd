//! [`Watchdog`]: a thread that reports a slow poll during that poll.
//!
//! The event loop starts the thread if [`Builder::watchdog_thread`](crate::Builder::watchdog_thread) was called: it logs a
//! warning. After [`Builder::timeline_on_slow_poll`](crate::Builder::timeline_on_slow_poll), the event loop starts another,
//! which writes the timeline. A thread only reads the [`LoopStatus`]. The warning after a slow poll is in `executor/observe.rs`.

use crate::dump::Time;
use crate::executor::repeats::Repeats;
use crate::executor::status::LoopStatus;
use crate::threads;
use crate::timeline::output::RareFile;
use crate::timeline::recorder::Recorder;
use crate::waiter::Tag;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// The number of times that the thread checks the loop within the limit, so a report is late by at most a quarter of
/// the limit. Very short limits are checked once per millisecond.
const CHECKS: u32 = 4;

/// The watchdog of one loop. Dropping it ends the thread.
#[derive(Debug)]
pub(super) struct Watchdog {
    /// Ends the thread when it is dropped.
    end: Option<Sender<()>>,
    /// The thread, to be joined.
    thread: Option<JoinHandle<()>>,
}

impl Watchdog {
    /// Starts a thread that watches the status of a loop, and logs every poll that takes longer than `limit`. It repeats a
    /// warning about one place only after `pause`.
    ///
    /// # Errors
    ///
    /// Returns an error if no thread can be started.
    pub(super) fn new(
        status: Arc<LoopStatus>,
        limit: Duration,
        pause: Duration,
    ) -> io::Result<Watchdog> {
        let mut warnings = Warnings {
            status: Arc::clone(&status),
            limit,
            repeats: Repeats::new(pause, false),
        };
        Watchdog::with_report(status, limit, move |tag, time| warnings.report(tag, time))
    }

    /// Starts a thread that writes the timeline during a poll that takes longer than `limit`, at most once a minute.
    ///
    /// # Errors
    ///
    /// Returns an error if no thread can be started.
    pub(super) fn flight_recorder(
        status: Arc<LoopStatus>,
        limit: Duration,
        recorder: &Arc<Recorder>,
        path: &Path,
    ) -> io::Result<Watchdog> {
        let mut file = RareFile::new(path);
        let recorder = Arc::clone(recorder);
        Watchdog::with_report(status, limit, move |_tag, _time| {
            file.write(&recorder);
        })
    }

    /// Starts a thread that watches the status of a loop, and calls `report` once with every poll that takes longer than
    /// `limit`, and the time that it has taken.
    ///
    /// # Errors
    ///
    /// Returns an error if no thread can be started.
    fn with_report(
        status: Arc<LoopStatus>,
        limit: Duration,
        mut report: impl FnMut(Tag, Duration) + Send + 'static,
    ) -> io::Result<Watchdog> {
        let (end, ended) = mpsc::channel();
        let interval = (limit / CHECKS).max(Duration::from_millis(1));
        let name = String::from("glassfrog-watch");
        let thread = thread::Builder::new().name(name).spawn(move || {
            // The last poll that was seen, when it was first seen, and whether it has been reported.
            let (mut last, mut since, mut is_reported) = (Tag::NONE, Instant::now(), false);
            let waits = || {
                // The rest ends before the status is read, because a report calls the logger.
                let _rest = threads::rest();
                ended.recv_timeout(interval) == Err(RecvTimeoutError::Timeout)
            };
            while waits() {
                let polling = status.polling();
                if polling != last {
                    (last, since, is_reported) = (polling, Instant::now(), false);
                }
                if last != Tag::NONE && !is_reported && since.elapsed() >= limit {
                    is_reported = true;
                    report(last, since.elapsed());
                }
            }
        })?;
        Ok(Watchdog {
            end: Some(end),
            thread: Some(thread),
        })
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        drop(self.end.take());
        if let Some(thread) = self.thread.take() {
            // The thread should not panic. If it does, the panic hook has reported it.
            let _panic = thread.join();
        }
    }
}

/// The warnings of a thread that watches a loop. Dropping this logs those that have been folded.
struct Warnings {
    /// The status of the loop.
    status: Arc<LoopStatus>,
    /// How long a poll may take.
    limit: Duration,
    /// The warnings that have been logged, as far as others are folded into them.
    repeats: Repeats,
}

impl Warnings {
    /// Logs that the poll with this tag has blocked its thread for this time, unless the warning is folded into another.
    fn report(&mut self, tag: Tag, time: Duration) {
        // The next poll may have begun in the meantime.
        let polling = self.status.last_poll();
        let Some(polling) =
            polling.filter(|polling| Some((polling.id, polling.poll)) == tag.parts())
        else {
            return;
        };
        if let Some(report) = self.repeats.note(&polling, time, Instant::now()) {
            let time = Time(time);
            report.warn(
                self.limit,
                format_args!("{polling} has blocked its thread for {time}"),
            );
        }
    }
}

impl Drop for Warnings {
    fn drop(&mut self) {
        self.repeats.take().for_each(|place| place.warn(self.limit));
    }
}

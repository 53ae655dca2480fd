//! [`Watchdog`]: a thread that reports a slow poll during that poll.
//!
//! The event loop starts the thread if [`Builder::watchdog_thread`](crate::Builder::watchdog_thread) was called.
//! The thread only reads the [`LoopStatus`]. The warning after a slow poll is in `executor/observe.rs`.

use crate::dump::Time;
use crate::executor::repeats::{Folded, Repeats, Report};
use crate::executor::status::{LoopStatus, Polling};
use crate::foreign::swallow_panics;
use crate::threads::OwnThread;
use crate::waiter::Tag;
use std::io;
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
    /// Starts a thread that watches the status of a loop, and reports every poll that takes longer than `limit`. It
    /// repeats a warning about one place only after `pause`.
    ///
    /// # Errors
    ///
    /// Returns an error if no thread can be started.
    pub(super) fn new(
        status: Arc<LoopStatus>,
        limit: Duration,
        pause: Duration,
    ) -> io::Result<Watchdog> {
        let (end, ended) = mpsc::channel();
        let interval = (limit / CHECKS).max(Duration::from_millis(1));
        let name = String::from("glassfrog-watch");
        let thread = thread::Builder::new().name(name).spawn(move || {
            // The last poll that was seen, when it was first seen, and whether it has been reported.
            let (mut last, mut since, mut is_reported) = (Tag::NONE, Instant::now(), false);
            let mut repeats = Repeats::new(pause, false);
            let this = OwnThread::current();
            let waits = || {
                // The rest ends before the status is read, because a report calls the logger.
                let _rest = this.rest();
                ended.recv_timeout(interval) == Err(RecvTimeoutError::Timeout)
            };
            while waits() {
                let polling = status.polling();
                if polling != last {
                    (last, since, is_reported) = (polling, Instant::now(), false);
                }
                if last != Tag::NONE && !is_reported && since.elapsed() >= limit {
                    is_reported = true;
                    let polling = status.last_poll();
                    // The next poll may have begun in the meantime.
                    if let Some(polling) = polling
                        && Some((polling.id, polling.poll)) == last.parts()
                    {
                        let time = since.elapsed();
                        let report = repeats.note(&polling, time, Instant::now());
                        if let Some(report) = report {
                            warn(&polling, time, limit, &report);
                        }
                    }
                }
            }
            repeats.take().for_each(|place| place.warn(limit));
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

/// Reports a poll that blocks its thread.
fn warn(polling: &Polling, time: Duration, limit: Duration, report: &Report) {
    report.evicted.iter().for_each(|place| place.warn(limit));
    let folded = report.folded.as_ref().map(Folded::to_string);
    swallow_panics(|| {
        log::warn!(
            target: "glassfrog::task",
            "{polling} has blocked its thread for {}{}: move blocking calls and long computations to \
             `spawn_blocking`",
            Time(time),
            folded.unwrap_or_default()
        );
    });
}

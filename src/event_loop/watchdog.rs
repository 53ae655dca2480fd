//! [`Watchdog`]: a thread that reports a poll that takes too long, while it does.
//!
//! The event loop starts it if [`Builder::watchdog_thread`](crate::Builder::watchdog_thread) asks for it. The
//! thread reads the [`LoopStatus`] and changes nothing. The warning after a slow poll comes from
//! `executor/observe.rs`.

use crate::dump::Time;
use crate::executor::status::{LoopStatus, Polling};
use crate::foreign::swallow_panics;
use crate::waiter::Tag;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// How often the thread looks within the time that a poll may take. So a report is late by a quarter at most.
const LOOKS: u32 = 4;

/// The thread. Dropping this ends it.
#[derive(Debug)]
pub(super) struct Watchdog {
    /// Ends the thread when it is dropped.
    end: Option<Sender<()>>,
    /// The thread, to be joined.
    thread: Option<JoinHandle<()>>,
}

impl Watchdog {
    /// Starts a thread that watches a loop by its status, and reports every poll that takes longer than `limit`.
    ///
    /// # Errors
    ///
    /// If no thread can be started.
    pub(super) fn new(status: Arc<LoopStatus>, limit: Duration) -> io::Result<Watchdog> {
        let (end, ended) = mpsc::channel();
        let interval = (limit / LOOKS).max(Duration::from_millis(1));
        let name = String::from("glassfrog-watch");
        let thread = thread::Builder::new().name(name).spawn(move || {
            // The last poll that was seen, when it was first seen, and whether it is reported.
            let (mut last, mut since, mut is_reported) = (Tag::NONE, Instant::now(), false);
            while ended.recv_timeout(interval) == Err(RecvTimeoutError::Timeout) {
                let polling = status.polling();
                if polling != last {
                    (last, since, is_reported) = (polling, Instant::now(), false);
                }
                if last != Tag::NONE && !is_reported && since.elapsed() >= limit {
                    is_reported = true;
                    let polling = status.last_poll();
                    // Unless the next poll has begun meanwhile.
                    if let Some(polling) = polling
                        && Some((polling.id, polling.poll)) == last.parts()
                    {
                        warn(&polling, since.elapsed());
                    }
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
            // The thread has no reason to panic. If it does, the panic hook has reported that.
            let _panic = thread.join();
        }
    }
}

/// Reports a poll that blocks its thread.
fn warn(polling: &Polling, time: Duration) {
    swallow_panics(|| {
        log::warn!(
            target: "glassfrog::task",
            "{polling} has blocked its thread for {}: move blocking calls and long computations to \
             `spawn_blocking`",
            Time(time)
        );
    });
}

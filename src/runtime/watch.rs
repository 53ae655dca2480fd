//! The watchdog's thread: says that a poll holds up the loop while it does.

use crate::dump::Time;
use crate::executor::pulse::{Polling, Pulse};
use crate::waiter::{Tag, muffled};
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// How often it looks within the time that a poll may take: a slow one is told a quarter late at
/// most.
const LOOKS: u32 = 4;

/// The thread; ended when this is dropped.
#[derive(Debug)]
pub(super) struct Watch {
    /// Ends the thread when it is dropped.
    end: Option<Sender<()>>,
    /// The thread.
    thread: Option<JoinHandle<()>>,
}

impl Watch {
    /// Watches the loop that this is the pulse of, and tells every poll that takes longer than
    /// `limit`.
    ///
    /// # Errors
    ///
    /// If no thread can be started.
    pub(super) fn new(pulse: Arc<Pulse>, limit: Duration) -> io::Result<Watch> {
        let (end, ended) = mpsc::channel();
        let interval = (limit / LOOKS).max(Duration::from_millis(1));
        let name = String::from("glassfrog-watch");
        let thread = thread::Builder::new().name(name).spawn(move || {
            // The poll that was seen last, when that was first, and whether it has been told.
            let (mut last, mut since, mut told) = (Tag::NONE, Instant::now(), false);
            while ended.recv_timeout(interval) == Err(RecvTimeoutError::Timeout) {
                let polling = pulse.polling();
                if polling != last {
                    (last, since, told) = (polling, Instant::now(), false);
                }
                if last != Tag::NONE && !told && since.elapsed() >= limit {
                    told = true;
                    let who = pulse.who();
                    // Unless the next poll has begun meanwhile.
                    if let Some(who) = who.filter(|who| Some((who.id, who.poll)) == last.who()) {
                        warn(&who, since.elapsed());
                    }
                }
            }
        })?;
        Ok(Watch {
            end: Some(end),
            thread: Some(thread),
        })
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        drop(self.end.take());
        if let Some(thread) = self.thread.take() {
            // It has no reason to panic, and if it has, has said so.
            let _panic = thread.join();
        }
    }
}

/// Says who holds up the loop.
fn warn(polling: &Polling, time: Duration) {
    muffled(|| {
        log::warn!(
            target: "glassfrog::task",
            "{polling} holds up its thread, for {} already: what blocks belongs into \
             `spawn_blocking`, and what computes for long there too",
            Time(time)
        );
    });
}

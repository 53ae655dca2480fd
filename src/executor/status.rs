//! [`LoopStatus`]: the state of a loop that other threads can read while it runs.
//!
//! The status says which task is being polled and how much the loop has done. The executor and the event loop
//! write it; metrics, dumps and the watchdog's thread read it. The hot paths count in [`Counters`], which
//! belong to the loop's own thread and are published once a turn.

use super::names::Names;
use crate::clock::Stopwatch;
use crate::dump::Quoted;
use crate::primitives::{Mutex, lock};
use crate::waiter::Tag;
use std::cell::Cell;
use std::fmt;
use std::panic::Location;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// The status of a loop. Only the loop's own thread writes it.
///
/// Relaxed is enough for nearly all fields: they guard no memory, and a reader may see slightly older values.
#[derive(Debug, Default)]
pub(crate) struct LoopStatus {
    /// The tag of the task that is being polled, as a number.
    polling: AtomicU64,
    /// Whether the loop runs.
    is_running: AtomicBool,
    /// Tasks that were spawned.
    pub(crate) spawned: Counter,
    /// Tasks that have ended.
    pub(crate) finished: Counter,
    /// Polls of tasks and root futures.
    pub(crate) polls: Counter,
    /// Wakes by the loop's own thread that put a task into the run queue.
    pub(crate) local_wakes: Counter,
    /// Wakes by other threads that put a task into the run queue.
    pub(crate) remote_wakes: Counter,
    /// Turns of the loop.
    pub(crate) turns: Counter,
    /// Parks of the loop.
    pub(crate) parks: Counter,
    /// Nanoseconds that the loop was parked.
    pub(crate) parked: Counter,
    /// Nanoseconds that the loop was not parked.
    pub(crate) busy: Counter,
    /// Events of the operating system.
    pub(crate) events: Counter,
    /// Polls that took longer than the limit of the watchdog.
    pub(crate) slow_polls: Counter,
    /// The names of tasks.
    pub(crate) names: Names,
    /// The record of the last poll that began, if polls are watched.
    last_poll: Option<Mutex<Option<Polling>>>,
}

/// The record of one poll of a task.
#[derive(Clone, Debug)]
pub(crate) struct Polling {
    /// The low half of the task's id; 0 for the root future.
    pub(crate) id: u32,
    /// The name of the task.
    pub(crate) name: Option<Box<str>>,
    /// Where the task was spawned, or where `block_on` was called.
    pub(crate) location: Option<&'static Location<'static>>,
    /// The number of the poll, counted from 1.
    pub(crate) poll: u32,
    /// When the poll began.
    pub(crate) since: Stopwatch,
}

impl Polling {
    /// Describes the task.
    pub(super) fn task(&self) -> String {
        describe_task(self.id, self.name.as_deref(), self.location)
    }
}

/// Describes a task for a report: by its id, its name if it has one, and where it was spawned. `block_on` was
/// called at the location of the root future, which has the id 0.
pub(crate) fn describe_task(
    id: u32,
    name: Option<&str>,
    location: Option<&Location<'_>>,
) -> String {
    match (location, name) {
        (None, _) => String::from("the future of `block_on`"),
        (Some(location), _) if id == 0 => {
            format!("the future of `block_on` (called at {location})")
        }
        (Some(location), None) => format!("task {id} (spawned at {location})"),
        (Some(location), Some(name)) => {
            format!("task {id} {} (spawned at {location})", Quoted(name))
        }
    }
}

/// Describes the tasks that were spawned at a place, or the future of `block_on`, for a report about several polls.
pub(crate) fn describe_place(
    is_root: bool,
    name: Option<&str>,
    location: Option<&Location<'_>>,
) -> String {
    match (location, name) {
        (Some(location), None) if !is_root => format!("the tasks spawned at {location}"),
        (Some(location), Some(name)) if !is_root => {
            format!("the tasks {} (spawned at {location})", Quoted(name))
        }
        _ => describe_task(0, None, location),
    }
}

impl fmt::Display for Polling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "poll {} of {}", self.poll, self.task())
    }
}

/// A counter that one thread writes and others read.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    /// Adds to the counter. There is only one writer, so this needs no atomic read-modify-write, which would cost
    /// more.
    pub(crate) fn add(&self, more: u64) {
        self.set(self.get().wrapping_add(more));
    }

    /// Sets the counter.
    fn set(&self, count: u64) {
        self.0.store(count, Ordering::Relaxed);
    }

    /// Returns the count.
    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// Sets the counter, and orders it after the counters that were set before.
    fn set_released(&self, count: u64) {
        // Release: pairs with the Acquire in `get_acquired`.
        self.0.store(count, Ordering::Release);
    }

    /// Returns the count. Counters that are read afterwards are at least as new.
    pub(crate) fn get_acquired(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }
}

/// The counts of the loop's own thread.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    /// Tasks that were spawned.
    pub(super) spawned: Cell<u64>,
    /// Tasks that have ended.
    pub(super) finished: Cell<u64>,
    /// Polls of tasks and root futures.
    pub(super) polls: Cell<u64>,
    /// Wakes by the loop's own thread that put a task into the run queue.
    pub(super) local_wakes: Cell<u64>,
    /// Wakes by other threads that put a task into the run queue.
    pub(super) remote_wakes: Cell<u64>,
    /// Polls that took longer than the limit of the watchdog.
    pub(super) slow_polls: Cell<u64>,
}

/// Adds one to a count.
#[inline]
pub(super) fn increment(count: &Cell<u64>) {
    count.set(count.get() + 1);
}

impl LoopStatus {
    /// Creates the status of a loop that polls no task. If its polls are watched, each is shown with its record.
    pub(crate) fn new(is_watched: bool) -> LoopStatus {
        LoopStatus {
            polling: AtomicU64::new(Tag::NONE.number()),
            last_poll: is_watched.then(Mutex::default),
            ..LoopStatus::default()
        }
    }

    /// Returns whether polls are watched.
    pub(super) fn is_watched(&self) -> bool {
        self.last_poll.is_some()
    }

    /// Shows the record of a poll that begins, if polls are watched.
    pub(super) fn show(&self, polling: Polling) {
        if let Some(last_poll) = &self.last_poll {
            lock(last_poll).replace(polling);
        }
    }

    /// Returns the record of the last poll that began, if polls are watched.
    pub(crate) fn last_poll(&self) -> Option<Polling> {
        lock(self.last_poll.as_ref()?).clone()
    }

    /// Notes whether the loop runs.
    pub(crate) fn set_running(&self, is_running: bool) {
        self.is_running.store(is_running, Ordering::Relaxed);
    }

    /// Returns whether the loop runs.
    pub(crate) fn is_running(&self) -> bool {
        self.is_running.load(Ordering::Relaxed)
    }

    /// Notes that a poll begins.
    #[inline]
    pub(super) fn begin_poll(&self, tag: Tag) {
        self.polling.store(tag.number(), Ordering::Relaxed);
        super::actor::note_poll(tag);
    }

    /// Notes that no task is being polled.
    pub(super) fn end_polls(&self) {
        self.begin_poll(Tag::NONE);
    }

    /// Notes that a turn begins.
    pub(super) fn begin_turn(&self) {
        self.turns.add(1);
    }

    /// Publishes the counts of the loop's own thread.
    pub(super) fn publish(&self, counters: &Counters) {
        self.spawned.set(counters.spawned.get());
        self.finished.set_released(counters.finished.get());
        self.polls.set(counters.polls.get());
        self.local_wakes.set(counters.local_wakes.get());
        self.remote_wakes.set(counters.remote_wakes.get());
        self.slow_polls.set(counters.slow_polls.get());
    }

    /// Returns the tag of the task that is being polled.
    pub(crate) fn polling(&self) -> Tag {
        Tag::from_number(self.polling.load(Ordering::Relaxed))
    }
}

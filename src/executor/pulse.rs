//! What other threads see of the loop without asking it: who is being polled, and how much has been
//! done.

use crate::clock::Stopwatch;
use crate::sync::{Mutex, lock};
use crate::waiter::Tag;
use std::cell::Cell;
use std::fmt;
use std::panic::Location;
use std::sync::atomic::{AtomicU64, Ordering};

/// Written by the loop and by nobody else; read by whoever wonders what the loop does.
///
/// Relaxed is enough for nearly all of it: it guards no memory, and who reads it a moment late tells
/// what was true a moment ago.
#[derive(Debug, Default)]
pub(crate) struct Pulse {
    /// The task that is being polled and its poll, as the number of a tag.
    polling: AtomicU64,
    /// Tasks that were spawned.
    pub(crate) spawned: Count,
    /// Tasks that have ended.
    pub(crate) finished: Count,
    /// Polls of tasks and root futures.
    pub(crate) polls: Count,
    /// Wakes by the loop's own thread that put a task into the run queue.
    pub(crate) local_wakes: Count,
    /// The same by other threads.
    pub(crate) remote_wakes: Count,
    /// Turns of the loop.
    pub(crate) turns: Count,
    /// Waits of the loop for something to happen.
    pub(crate) parks: Count,
    /// Nanoseconds in those.
    pub(crate) parked: Count,
    /// Nanoseconds between them.
    pub(crate) busy: Count,
    /// Events of the operating system.
    pub(crate) events: Count,
    /// Polls that the watchdog found slow.
    pub(crate) slow_polls: Count,
    /// Who is being polled, in full, if polls are watched.
    who: Option<Mutex<Option<Polling>>>,
}

/// A task in one of its polls.
#[derive(Clone, Debug)]
pub(crate) struct Polling {
    /// The low half of its number; 0 is the root future's.
    pub(crate) id: u32,
    /// What its spawner calls it.
    pub(crate) name: Option<Box<str>>,
    /// Where it was spawned.
    pub(crate) location: Option<&'static Location<'static>>,
    /// Which of its polls it is.
    pub(crate) poll: u32,
    /// When that began.
    pub(crate) since: Stopwatch,
}

impl Polling {
    /// What is polled.
    pub(super) fn who(&self) -> String {
        in_full(self.id, self.name.as_deref(), self.location)
    }
}

/// How a report refers to a task: by its number, its name if it has one, and where it was spawned. The root
/// future was not spawned.
pub(crate) fn in_full(id: u32, name: Option<&str>, location: Option<&Location<'_>>) -> String {
    match (location, name) {
        (None, _) => String::from("the future of `block_on`"),
        (Some(location), None) => format!("task {id} (spawned at {location})"),
        (Some(location), Some(name)) => format!("task {id} {name:?} (spawned at {location})"),
    }
}

impl fmt::Display for Polling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "poll {} of {}", self.poll, self.who())
    }
}

/// A number that only one thread writes.
#[derive(Debug, Default)]
pub(crate) struct Count(AtomicU64);

impl Count {
    /// Lets it grow. Not a read-modify-write, which would cost more: there is only one writer.
    pub(crate) fn add(&self, more: u64) {
        self.set(self.get().wrapping_add(more));
    }

    /// Sets it.
    fn set(&self, count: u64) {
        self.0.store(count, Ordering::Relaxed);
    }

    /// The number.
    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// Sets it after what was set before.
    fn set_released(&self, count: u64) {
        // Release: pairs with the Acquire in `get_acquired`.
        self.0.store(count, Ordering::Release);
    }

    /// The number; what is read after this is at least what was set before it.
    pub(crate) fn get_acquired(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }
}

/// What the loop's own thread counts, to be published once a turn.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// Tasks that were spawned.
    pub(super) spawned: Cell<u64>,
    /// Tasks that have ended.
    pub(super) finished: Cell<u64>,
    /// Polls of tasks and root futures.
    pub(super) polls: Cell<u64>,
    /// Wakes by the loop's own thread that put a task into the run queue.
    pub(super) local_wakes: Cell<u64>,
    /// The same by other threads.
    pub(super) remote_wakes: Cell<u64>,
    /// Polls that the watchdog found slow.
    pub(super) slow_polls: Cell<u64>,
}

/// Counts one more.
#[inline]
pub(super) fn one_more(count: &Cell<u64>) {
    count.set(count.get() + 1);
}

impl Pulse {
    /// Of a loop that does not run, and whose polls are watched or not.
    pub(crate) fn new(is_watched: bool) -> Pulse {
        let pulse = Pulse {
            who: is_watched.then(Mutex::default),
            ..Pulse::default()
        };
        pulse.rest();
        pulse
    }

    /// Whether polls are watched.
    pub(super) fn is_watched(&self) -> bool {
        self.who.is_some()
    }

    /// Notes in full who is being polled, for other threads.
    pub(super) fn show(&self, polling: Polling) {
        if let Some(who) = &self.who {
            lock(who).replace(polling);
        }
    }

    /// Who was the last to be polled, if polls are watched.
    pub(crate) fn who(&self) -> Option<Polling> {
        lock(self.who.as_ref()?).clone()
    }

    /// Notes that a poll begins.
    #[inline]
    pub(super) fn begin(&self, tag: Tag) {
        self.polling.store(tag.number(), Ordering::Relaxed);
    }

    /// Notes that nobody is being polled any more.
    pub(super) fn rest(&self) {
        self.begin(Tag::NONE);
    }

    /// Notes that a turn begins.
    pub(super) fn begin_turn(&self) {
        self.turns.add(1);
    }

    /// Shows others what has been counted.
    pub(super) fn publish(&self, tally: &Tally) {
        self.spawned.set(tally.spawned.get());
        self.finished.set_released(tally.finished.get());
        self.polls.set(tally.polls.get());
        self.local_wakes.set(tally.local_wakes.get());
        self.remote_wakes.set(tally.remote_wakes.get());
        self.slow_polls.set(tally.slow_polls.get());
    }

    /// Which task is being polled, and in which of its polls.
    pub(crate) fn polling(&self) -> Tag {
        Tag::from_number(self.polling.load(Ordering::Relaxed))
    }
}

//! [`OnCore`]: how much of a long poll its thread spent on a core, where the operating system says so.
//!
//! Linux counts the time of each thread on a core in `/proc/thread-self/schedstat` (`proc(5)`). Elsewhere there is no
//! such file, and nothing is known.

use crate::primitives::{AtomicU64, Mutex, Ordering, lock};
use std::fs::File;
use std::io::{Read, Seek};
use std::str;

/// The length from which a poll is measured, in nanoseconds: two system calls are then a few thousandths of it.
const LONG: u64 = 1_000_000;

/// The interval at which the time is read between polls, in nanoseconds, so that the difference belongs to the long poll
/// and not to many short ones before it.
const INTERVAL: u64 = 1_000_000;

/// The longest tick of Linux, in nanoseconds. The count of a thread that runs is only brought up to date at a tick, so a
/// smaller difference says nothing.
const TICK: u64 = 10_000_000;

/// The time that the thread of a loop has spent on a core. Only the loop uses it.
#[derive(Debug)]
pub(super) struct OnCore {
    /// The file of the thread, once it has been opened; `None` inside where there is none. Behind a lock, because the
    /// file belongs to the thread that opens it, which is the first to poll.
    file: Mutex<Option<Option<File>>>,
    /// The time on a core at the last reading, in nanoseconds. Relaxed is enough, because only the loop uses it.
    nanos: AtomicU64,
    /// When it was read, in nanoseconds of the clock of the runtime. Relaxed is enough, because only the loop uses it.
    at: AtomicU64,
}

impl OnCore {
    /// Creates a counter that has read nothing.
    pub(super) fn new() -> OnCore {
        OnCore {
            file: Mutex::new(None),
            nanos: AtomicU64::new(0),
            at: AtomicU64::new(0),
        }
    }

    /// Closes the file, because the runtime ends. Handles and wakers may keep the counter for long.
    pub(super) fn close(&self) {
        *lock(&self.file) = Some(None);
    }

    /// Reads the time, if the last reading is too old.
    #[inline]
    pub(super) fn refresh(&self, now: u64) {
        let at = self.at.load(Ordering::Relaxed);
        if now.saturating_sub(at) >= INTERVAL {
            self.read_at(now);
        }
    }

    /// Returns the time on a core during a poll of this length that has just ended, if it was long and that is known.
    #[inline]
    pub(super) fn of_poll(&self, now: u64, length: u64) -> Option<u64> {
        match length < LONG {
            true => None,
            false => self.of_long_poll(now, length),
        }
    }

    /// Returns the time on a core during a long poll, if that is known.
    #[cold]
    fn of_long_poll(&self, now: u64, length: u64) -> Option<u64> {
        let before = self.nanos.load(Ordering::Relaxed);
        let nanos = self.read_at(now)?.saturating_sub(before).min(length);
        let away = length - nanos;
        Some(if away <= TICK { length } else { nanos })
    }

    /// Reads the time on a core.
    #[cold]
    fn read_at(&self, now: u64) -> Option<u64> {
        self.at.store(now, Ordering::Relaxed);
        let mut file = lock(&self.file);
        let file = file.get_or_insert_with(|| File::open("/proc/thread-self/schedstat").ok());
        let nanos = read(file.as_mut()?)?;
        self.nanos.store(nanos, Ordering::Relaxed);
        Some(nanos)
    }
}

/// Reads the first number of the file.
fn read(file: &mut File) -> Option<u64> {
    let mut text = [0; 64];
    file.rewind().ok()?;
    let length = file.read(&mut text).ok()?;
    let text = str::from_utf8(&text[..length]).ok()?;
    text.split_ascii_whitespace().next()?.parse().ok()
}

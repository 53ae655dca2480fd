//! The timers of a runtime: deadlines, and the wakers to call when they are reached.
//!
//! Sleeps register here from any thread. The [event loop](crate::event_loop) asks for the next deadline before
//! it parks, and fires due deadlines afterwards. The timers know wakers, not tasks.

mod wheel;

use self::wheel::{Pending, Wheel};
use crate::foreign::wake_all;
use crate::primitives::{AtomicBool, Mutex, Ordering, lock};
use crate::slab::Key;
use crate::waiter::{Tag, Waiter, WaiterInfo};
use std::panic::Location;
use std::sync::OnceLock;
use std::task::Waker;
use std::time::{Duration, Instant};

/// A deadline that is never reached: more than 584 years after the epoch, and so after the end of a virtual
/// clock.
const NEVER: u64 = u64::MAX;

/// The deadlines of one runtime.
pub(crate) struct Timers {
    /// The time from which the wheel counts nanoseconds.
    epoch: Instant,
    /// The deadlines; `None` once the runtime has ended.
    wheel: Mutex<Option<Wheel>>,
    /// Whether the wheel may hold deadlines. If it does not, the loop need not take the lock. Written under the
    /// lock.
    ///
    /// Relaxed is enough: a thread that registers the earliest deadline then wakes the loop, and the wake makes
    /// the loop check again.
    is_in_use: AtomicBool,
    /// The counts of the wheel when the runtime ended.
    last_counts: OnceLock<(u64, u64, u64)>,
}

/// The state of a sleep's timer.
#[derive(Debug)]
#[must_use]
pub(crate) enum TimerState {
    /// The timer is registered.
    Waiting {
        /// The key of the timer.
        key: Key,
        /// Whether no earlier deadline is known, so that the loop may have to wake up sooner than planned.
        earliest: bool,
    },
    /// The timer has fired.
    Fired,
    /// The timer will never fire, because the runtime has ended.
    Ended,
}

/// A deadline that has not fired, for dumps.
pub(crate) struct TimerInfo {
    /// The key of the timer.
    pub(crate) key: Key,
    /// The waiter to wake.
    pub(crate) waiter: WaiterInfo,
    /// The deadline, or `None` if it is never reached.
    pub(crate) deadline: Option<Instant>,
    /// Where the program has made the sleep; `None` if the crate has made it itself.
    pub(crate) location: Option<&'static Location<'static>>,
}

impl Timers {
    /// Creates timers that count from `epoch`, the earliest possible deadline.
    pub(crate) fn new(epoch: Instant) -> Timers {
        Timers {
            epoch,
            wheel: Mutex::new(Some(Wheel::new())),
            is_in_use: AtomicBool::new(false),
            last_counts: OnceLock::new(),
        }
    }

    /// Converts a time to nanoseconds since the epoch. A time before the epoch becomes 0, and a time more than 584
    /// years after it is never reached.
    pub(crate) fn nanos(&self, instant: Instant) -> u64 {
        let nanos = instant.saturating_duration_since(self.epoch).as_nanos();
        u64::try_from(nanos).unwrap_or(NEVER)
    }

    /// Registers a deadline, which the program has set at `location`. The caller clones the waker, because foreign code
    /// must not run under the lock.
    pub(crate) fn insert(
        &self,
        deadline: Instant,
        waker: Waker,
        tag: Tag,
        location: Option<&'static Location<'static>>,
    ) -> TimerState {
        let deadline = self.nanos(deadline);
        match &mut *lock(&self.wheel) {
            None => TimerState::Ended,
            Some(wheel) => {
                let (key, earliest) = wheel.insert(deadline, Waiter { waker, tag }, location);
                self.is_in_use.store(true, Ordering::Relaxed);
                TimerState::Waiting { key, earliest }
            }
        }
    }

    /// Returns the state of a timer. If it has not fired, replaces its waker.
    pub(crate) fn check(&self, key: Key, waker: &Waker, tag: Tag) -> TimerState {
        let waiting = TimerState::Waiting {
            key,
            earliest: false,
        };
        match self.with_waiter(key, |waiter| {
            waiter.tag = tag;
            waiter.waker.will_wake(waker)
        }) {
            Ok(true) => return waiting,
            Ok(false) => {}
            Err(state) => return state,
        }
        let mut waker = waker.clone();
        let swapped = self.with_waiter(key, |waiter| {
            std::mem::swap(&mut waiter.waker, &mut waker);
        });
        drop(waker);
        match swapped {
            Ok(()) => waiting,
            Err(state) => state,
        }
    }

    /// Calls `f` with the waiter of a timer that has not fired.
    fn with_waiter<R>(&self, key: Key, f: impl FnOnce(&mut Waiter) -> R) -> Result<R, TimerState> {
        match &mut *lock(&self.wheel) {
            None => Err(TimerState::Ended),
            Some(wheel) => wheel.waiter_mut(key).map(f).ok_or(TimerState::Fired),
        }
    }

    /// Changes the deadline of a timer that has not fired.
    pub(crate) fn reset(&self, key: Key, deadline: Instant) -> TimerState {
        let deadline = self.nanos(deadline);
        match &mut *lock(&self.wheel) {
            None => TimerState::Ended,
            Some(wheel) => match wheel.reset(key, deadline) {
                Some(earliest) => TimerState::Waiting { key, earliest },
                None => TimerState::Fired,
            },
        }
    }

    /// Removes a timer that has not fired.
    pub(crate) fn remove(&self, key: Key) {
        let removed = match &mut *lock(&self.wheel) {
            None => None,
            Some(wheel) => wheel.remove(key),
        };
        drop(removed);
    }

    /// Returns the time at which the loop has to wake up at the latest, in nanoseconds since the epoch. Returns
    /// `None` if no deadline is left that can be reached.
    pub(crate) fn next(&self) -> Option<u64> {
        if !self.is_in_use.load(Ordering::Relaxed) {
            return None;
        }
        let next = lock(&self.wheel).as_mut()?.next()?;
        (next != NEVER).then_some(next)
    }

    /// Returns whether the runtime has ended.
    pub(crate) fn have_ended(&self) -> bool {
        lock(&self.wheel).is_none()
    }

    /// Returns whether there are no deadlines.
    pub(crate) fn is_empty(&self) -> bool {
        !self.is_in_use.load(Ordering::Relaxed)
            || lock(&self.wheel).as_ref().is_none_or(Wheel::is_empty)
    }

    /// Converts nanoseconds since the epoch to a time. Returns `None` if that time is never reached.
    pub(crate) fn instant(&self, nanos: u64) -> Option<Instant> {
        match nanos {
            NEVER => None,
            _ => self.epoch.checked_add(Duration::from_nanos(nanos)),
        }
    }

    /// Fires the deadlines up to `now`, in nanoseconds since the epoch, in the order of the deadlines. Calls `note` with
    /// their number before it wakes their waiters.
    pub(crate) fn fire(&self, now: u64, note: impl FnOnce(usize)) {
        if !self.is_in_use.load(Ordering::Relaxed) {
            return;
        }
        let mut due = Vec::new();
        if let Some(wheel) = &mut *lock(&self.wheel) {
            match wheel.is_empty() {
                false => wheel.advance(now.min(NEVER - 1), &mut due),
                true => self.is_in_use.store(false, Ordering::Relaxed),
            }
            wheel.shrink();
        }
        note(due.len());
        wake_all(due.into_iter().map(|due| due.waiter.waker));
    }

    /// Returns the numbers of timers that have ever been registered, that have fired, and that have been removed.
    pub(crate) fn counts(&self) -> (u64, u64, u64) {
        let counts = lock(&self.wheel).as_ref().map(Wheel::counts);
        counts
            .or(self.last_counts.get().copied())
            .unwrap_or_default()
    }

    /// Returns all deadlines with their waiters.
    pub(crate) fn waiters(&self) -> Vec<TimerInfo> {
        let wheel = lock(&self.wheel);
        let pending = wheel.iter().flat_map(Wheel::pending);
        let info = |pending: Pending<'_>| TimerInfo {
            key: pending.key,
            waiter: pending.waiter.info(),
            deadline: self.instant(pending.deadline),
            location: pending.location,
        };
        pending.map(info).collect()
    }

    /// Returns the waiter of a timer that has not fired.
    pub(crate) fn waiter(&self, key: Key) -> Option<WaiterInfo> {
        self.with_waiter(key, |waiter| waiter.info()).ok()
    }

    /// Shuts the timers down: wakes all waiters, which then find that the runtime has ended.
    pub(crate) fn shut_down(&self) {
        let wheel = lock(&self.wheel).take();
        if let Some(mut wheel) = wheel {
            let waiters = wheel.drain();
            // Nothing else sets the counts, so this succeeds.
            let _first = self.last_counts.set(wheel.counts());
            wake_all(waiters.into_iter().map(|waiter| waiter.waker));
        }
    }
}

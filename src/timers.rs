//! The timers: deadlines, and whom to wake at them.
//!
//! Sleeps register here from any thread; the loop in [`event_loop`](crate::event_loop) asks for the next
//! deadline before it parks and lets what is due fire afterwards. It knows wakers, never tasks.

mod wheel;

use self::wheel::Wheel;
use crate::foreign::wake_all;
use crate::primitives::{AtomicBool, Mutex, Ordering, lock};
use crate::slab::Key;
use crate::waiter::{Seen, Tag, Waiter};
use std::sync::OnceLock;
use std::task::Waker;
use std::time::{Duration, Instant};

/// A deadline that is never reached: more than 584 years after the epoch, where a virtual clock has long
/// come to its end.
const NEVER: u64 = u64::MAX;

/// The deadlines of one runtime.
pub(crate) struct Timers {
    /// What the wheel's nanoseconds are counted from.
    epoch: Instant,
    /// The deadlines; `None` once the runtime has ended.
    wheel: Mutex<Option<Wheel>>,
    /// Whether the loop has anything to do with the wheel, which spares it the lock where no deadline is
    /// set. Written under the lock.
    ///
    /// Relaxed is enough: a thread that registers the earliest deadline calls the loop afterwards, and the
    /// call is what makes the loop look again.
    is_in_use: AtomicBool,
    /// What the wheel had counted when the runtime ended.
    last_counts: OnceLock<(u64, u64, u64)>,
}

/// What a sleep learns when it looks at its deadline.
#[derive(Debug)]
#[must_use]
pub(crate) enum Look {
    /// It waits under this key; if `earliest`, the loop may have to get up sooner than planned.
    Waiting {
        /// Where the deadline is registered.
        key: Key,
        /// Whether no other deadline is known to come before it.
        earliest: bool,
    },
    /// It has fired.
    Fired,
    /// It never will: the runtime has ended.
    Ended,
}

impl Timers {
    /// Timers that count from `epoch`, which nothing may precede.
    pub(crate) fn new(epoch: Instant) -> Timers {
        Timers {
            epoch,
            wheel: Mutex::new(Some(Wheel::new())),
            is_in_use: AtomicBool::new(false),
            last_counts: OnceLock::new(),
        }
    }

    /// Nanoseconds since the epoch. What precedes it is due at once, and what is more than 584
    /// years after it never is.
    pub(crate) fn nanos(&self, instant: Instant) -> u64 {
        let nanos = instant.saturating_duration_since(self.epoch).as_nanos();
        u64::try_from(nanos).unwrap_or(NEVER)
    }

    /// Registers a deadline. The waker is a clone that was made before: foreign code does not run
    /// under the lock.
    pub(crate) fn insert(&self, deadline: Instant, waker: Waker, tag: Tag) -> Look {
        let deadline = self.nanos(deadline);
        match &mut *lock(&self.wheel) {
            None => Look::Ended,
            Some(wheel) => {
                let (key, earliest) = wheel.insert(deadline, Waiter { waker, tag });
                self.is_in_use.store(true, Ordering::Relaxed);
                Look::Waiting { key, earliest }
            }
        }
    }

    /// Looks whether a registered deadline has fired, and if not, leaves the waker in place of the
    /// one that is there.
    pub(crate) fn look_again(&self, key: Key, waker: &Waker, tag: Tag) -> Look {
        let waiting = Look::Waiting {
            key,
            earliest: false,
        };
        match self.with_waiter(key, |waiter| {
            waiter.tag = tag;
            waiter.waker.will_wake(waker)
        }) {
            Ok(true) => return waiting,
            Ok(false) => {}
            Err(look) => return look,
        }
        let mut waker = waker.clone();
        let swapped = self.with_waiter(key, |waiter| {
            std::mem::swap(&mut waiter.waker, &mut waker);
        });
        drop(waker);
        match swapped {
            Ok(()) => waiting,
            Err(look) => look,
        }
    }

    /// Does something with the waiter of a deadline, unless there is none any more.
    fn with_waiter<R>(&self, key: Key, f: impl FnOnce(&mut Waiter) -> R) -> Result<R, Look> {
        match &mut *lock(&self.wheel) {
            None => Err(Look::Ended),
            Some(wheel) => wheel.waiter_mut(key).map(f).ok_or(Look::Fired),
        }
    }

    /// Moves a deadline that has not fired.
    pub(crate) fn reset(&self, key: Key, deadline: Instant) -> Look {
        let deadline = self.nanos(deadline);
        match &mut *lock(&self.wheel) {
            None => Look::Ended,
            Some(wheel) => match wheel.reset(key, deadline) {
                Some(earliest) => Look::Waiting { key, earliest },
                None => Look::Fired,
            },
        }
    }

    /// Takes a deadline out, if it has not fired.
    pub(crate) fn remove(&self, key: Key) {
        let removed = match &mut *lock(&self.wheel) {
            None => None,
            Some(wheel) => wheel.remove(key),
        };
        drop(removed);
    }

    /// When the loop has to get up at the latest, in nanoseconds since the epoch; `None` if there is
    /// nothing to get up for.
    pub(crate) fn next(&self) -> Option<u64> {
        if !self.is_in_use.load(Ordering::Relaxed) {
            return None;
        }
        let next = lock(&self.wheel).as_mut()?.next()?;
        (next != NEVER).then_some(next)
    }

    /// Whether their runtime has ended.
    pub(crate) fn have_ended(&self) -> bool {
        lock(&self.wheel).is_none()
    }

    /// Whether there are no deadlines at all.
    pub(crate) fn is_empty(&self) -> bool {
        !self.is_in_use.load(Ordering::Relaxed)
            || lock(&self.wheel).as_ref().is_none_or(Wheel::is_empty)
    }

    /// The moment so many nanoseconds after the epoch, unless it is as good as never.
    pub(crate) fn instant(&self, nanos: u64) -> Option<Instant> {
        match nanos {
            NEVER => None,
            _ => self.epoch.checked_add(Duration::from_nanos(nanos)),
        }
    }

    /// Wakes those whose deadline has come by `now`, in nanoseconds since the epoch, earliest first.
    pub(crate) fn fire(&self, now: u64) {
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
        wake_all(due.into_iter().map(|due| due.waiter.waker));
    }

    /// How many deadlines were ever set, and how many of them have fired, and were taken out.
    pub(crate) fn counts(&self) -> (u64, u64, u64) {
        let counts = lock(&self.wheel).as_ref().map(Wheel::counts);
        counts
            .or(self.last_counts.get().copied())
            .unwrap_or_default()
    }

    /// All deadlines, and who waits for them.
    pub(crate) fn look(&self) -> Vec<(Seen, Option<Instant>)> {
        let wheel = lock(&self.wheel);
        let entries = wheel.iter().flat_map(Wheel::waiters);
        entries
            .map(|(deadline, waiter)| (waiter.look(), self.instant(deadline)))
            .collect()
    }

    /// Ends the timers: what is registered is woken and learns that its runtime has ended.
    pub(crate) fn shut_down(&self) {
        let wheel = lock(&self.wheel).take();
        if let Some(mut wheel) = wheel {
            let waiters = wheel.drain();
            // Nobody else sets it.
            let _first = self.last_counts.set(wheel.counts());
            wake_all(waiters.into_iter().map(|waiter| waiter.waker));
        }
    }
}

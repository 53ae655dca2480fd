//! [`Permits`]: the counter of a semaphore, and the queue of the requests that wait.
//!
//! The counter and two flags share one atomic word:
//!
//! ```text
//!    number of free permits │ QUEUED │ CLOSED
//! ```
//!
//! While the queue is empty, a request is a compare-and-swap, and a release is an addition. A request that finds too
//! few permits enters the queue under its lock and sets [`QUEUED`]. While the flag is set, only the first request in
//! the queue takes permits, and each release checks the queue.
//!
//! No wake-up is lost, because a request sets the flag before it reads the number. The number contains the permits that
//! were released before. A later release sees the flag, takes the lock after the request, and finds its waker.
//!
//! The permits stay in the counter until the next poll of the first request takes them. It then wakes the next request
//! if enough are left. A request that is dropped takes no permits, and wakes the next request too. So no permit is
//! lost.
//!
//! This file does not know the holders of the permits. `tests/loom` compiles this file.

use crate::foreign::wake_all;
use crate::primitives::{AtomicUsize, Mutex, MutexGuard, Ordering, lock};
use std::collections::BTreeMap;
use std::task::{Poll, Waker};

/// The semaphore is closed. No request gets permits any more.
const CLOSED: usize = 1;

/// The queue is not empty.
const QUEUED: usize = 2;

/// One permit.
const ONE: usize = 4;

/// The largest number of permits. It leaves the two low bits to the flags, and the highest one to [`TOO_MANY`].
pub(crate) const MAX_PERMITS: usize = usize::MAX >> 3;

/// A number of permits that no semaphore has.
const TOO_MANY: usize = MAX_PERMITS + 1;

/// The free permits of a semaphore, and the requests that wait.
#[derive(Debug)]
pub(crate) struct Permits {
    /// The number of free permits, and the flags. Only the holder of the lock changes `QUEUED`.
    word: AtomicUsize,
    /// The requests that wait.
    queue: Mutex<Queue>,
}

/// The requests that wait for permits.
#[derive(Debug)]
struct Queue {
    /// The waiters by their numbers. The first one has waited longest.
    waiters: BTreeMap<u64, Waiter>,
    /// The number of the newest waiter.
    last: u64,
}

/// A request that waits.
#[derive(Debug)]
struct Waiter {
    /// The number of permits that it needs.
    wanted: usize,
    /// Its waker, unless it has been woken since its last poll.
    waker: Option<Waker>,
}

/// The reason why there are no permits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// Too few permits are free, or other requests wait.
    TooFew,
    /// The semaphore is closed.
    Closed,
}

/// Returns what a number of permits adds to the word.
#[inline]
fn in_word(permits: u32) -> usize {
    // On a platform of 32 bits, the product might not fit otherwise.
    (permits as usize).min(TOO_MANY) * ONE
}

/// Returns the reason why a request gets no permits at this word, if there is one. A request for 0 permits succeeds
/// even if others wait.
#[cold]
fn refuse(word: usize, wanted: u32) -> Result<(), Refused> {
    if word & CLOSED != 0 {
        Err(Refused::Closed)
    } else if wanted == 0 {
        Ok(())
    } else {
        Err(Refused::TooFew)
    }
}

impl Permits {
    /// Creates free permits.
    pub(crate) fn new(permits: usize) -> Permits {
        debug_assert!(permits <= MAX_PERMITS);
        Permits {
            word: AtomicUsize::new(permits * ONE),
            queue: Mutex::new(Queue {
                waiters: BTreeMap::new(),
                last: 0,
            }),
        }
    }

    /// Returns the number of free permits.
    pub(crate) fn available(&self) -> usize {
        // Acquire: a thread that sees permits that were given back sees what their holder did before.
        self.word.load(Ordering::Acquire) / ONE
    }

    /// Returns whether the semaphore is closed.
    pub(crate) fn is_closed(&self) -> bool {
        // Acquire: pairs with the Release of `close`.
        self.word.load(Ordering::Acquire) & CLOSED != 0
    }

    /// Takes permits if enough are free and the queue is empty.
    #[inline]
    pub(crate) fn try_take(&self, wanted: u32) -> Result<(), Refused> {
        let permits = in_word(wanted);
        // Acquire: pairs with the Release of `close`, for the sake of `refuse`.
        let mut word = self.word.load(Ordering::Acquire);
        loop {
            if word & (CLOSED | QUEUED) != 0 || word < permits {
                return refuse(word, wanted);
            }
            match self.exchange(word, word - permits) {
                Ok(_) => return Ok(()),
                Err(changed) => word = changed,
            }
        }
    }

    /// Exchanges the word, to take permits.
    #[inline]
    fn exchange(&self, word: usize, new: usize) -> Result<usize, usize> {
        // Acquire: pairs with the Release in `give`, so the new holder sees what the old one has done. If the exchange
        // fails, it pairs with the Release of `close`. All changes of the word are read-modify-writes, so each Acquire
        // sees what came before every earlier Release.
        self.word
            .compare_exchange_weak(word, new, Ordering::Acquire, Ordering::Acquire)
    }

    /// Takes permits for a waiter. If it has to wait, keeps the waker and returns `Pending`. `ticket` is its number in
    /// the queue; if the waiter is dropped, [`leave`](Permits::leave) removes it.
    pub(crate) fn poll_take(
        &self,
        ticket: &mut Option<u64>,
        wanted: u32,
        waker: &Waker,
    ) -> Poll<Result<(), Refused>> {
        if wanted == 0 {
            return Poll::Ready(self.try_take(0));
        }
        let wanted = in_word(wanted);
        // A waker is foreign code, so this clones it before it takes the lock, and drops it afterwards.
        let waker = waker.clone();
        let mut queue = lock(&self.queue);
        let number = *ticket.get_or_insert_with(|| queue.enter(wanted));
        // Acquire: pairs with the Release of `close`. The flag and the number are in order because they are one word;
        // see the head of this file.
        let mut word = self.word.fetch_or(QUEUED, Ordering::Acquire) | QUEUED;
        let taken = loop {
            if word & CLOSED != 0 {
                break Err(Refused::Closed);
            }
            if word < wanted || !queue.is_first(number) {
                let waiter = queue.waiters.get_mut(&number);
                let old = waiter.expect("the ticket is valid").waker.replace(waker);
                drop(queue);
                drop(old);
                return Poll::Pending;
            }
            match self.exchange(word, word - wanted) {
                Ok(_) => break Ok(()),
                Err(changed) => word = changed,
            }
        };
        self.remove(queue, number);
        *ticket = None;
        Poll::Ready(taken)
    }

    /// Removes a waiter that is dropped from the queue, and wakes the next one if enough permits are free.
    pub(crate) fn leave(&self, ticket: u64) {
        self.remove(lock(&self.queue), ticket);
    }

    /// Removes a waiter, and wakes the first one if enough permits are free for it.
    fn remove(&self, mut queue: MutexGuard<'_, Queue>, number: u64) {
        let removed = queue.waiters.remove(&number);
        if queue.waiters.is_empty() {
            // Relaxed: the flag guards no memory.
            self.word.fetch_and(!QUEUED, Ordering::Relaxed);
        }
        let next = self.next(&mut queue);
        drop(queue);
        drop(removed);
        wake_all(next);
    }

    /// Returns the waker of the first waiter, if enough permits are free for it.
    fn next(&self, queue: &mut Queue) -> Option<Waker> {
        // Relaxed: the waiter reads the word again. A later release checks the queue too.
        let free = self.word.load(Ordering::Relaxed);
        let mut first = queue.waiters.first_entry()?;
        let first = first.get_mut();
        if free < first.wanted {
            return None;
        }
        first.waker.take()
    }

    /// Adds free permits. The caller makes sure that there are never more than [`MAX_PERMITS`].
    #[inline]
    pub(crate) fn give(&self, permits: usize) {
        // Release: pairs with the Acquire of the next holder.
        let before = self.word.fetch_add(permits * ONE, Ordering::Release);
        if before & QUEUED != 0 {
            self.wake_first();
        }
    }

    /// Wakes the first waiter, if enough permits are free for it.
    #[cold]
    fn wake_first(&self) {
        let mut queue = lock(&self.queue);
        let next = self.next(&mut queue);
        drop(queue);
        wake_all(next);
    }

    /// Removes up to this number of free permits, and returns how many it removed.
    pub(crate) fn forget(&self, permits: usize) -> usize {
        // Relaxed: the exchange decides.
        let mut word = self.word.load(Ordering::Relaxed);
        loop {
            let forgotten = permits.min(word / ONE);
            match self.exchange(word, word - forgotten * ONE) {
                Ok(_) => return forgotten,
                Err(changed) => word = changed,
            }
        }
    }

    /// Closes the semaphore, and wakes all waiters.
    pub(crate) fn close(&self) {
        // Release: pairs with the Acquire of the requests that find the semaphore closed.
        self.word.fetch_or(CLOSED, Ordering::Release);
        let mut queue = lock(&self.queue);
        let wakers: Vec<Waker> = queue
            .waiters
            .values_mut()
            .filter_map(|waiter| waiter.waker.take())
            .collect();
        drop(queue);
        wake_all(wakers);
    }
}

impl Queue {
    /// Adds a waiter at the end, and returns its number.
    fn enter(&mut self, wanted: usize) -> u64 {
        self.last += 1;
        let waiter = Waiter {
            wanted,
            waker: None,
        };
        self.waiters.insert(self.last, waiter);
        self.last
    }

    /// Returns whether a waiter is the first.
    fn is_first(&self, number: u64) -> bool {
        self.waiters.keys().next() == Some(&number)
    }
}

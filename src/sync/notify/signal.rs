//! [`Signal`]: the protocol of [`Notify`](super::Notify), which `tests/loom` checks.
//!
//! One word says whether a permit is stored, or whether somebody waits. The waiters stand in a queue under a lock:
//!
//! ```text
//!                    notify_one                      wait
//!    +--------+ <------------------ +--------+ ------------------> +---------+
//!    | permit |                     | nobody |                     | waiting |
//!    +--------+ ------------------> +--------+ <------------------ +---------+
//!                  begin to wait             the last is notified or leaves
//! ```
//!
//! Only the owner of the lock changes the word to *waiting* and back, so the permit is never stored while somebody
//! waits. As long as nobody does, a notification and its receipt are one exchange of the word each.
//!
//! A notification for one takes the first waiter out of the queue and keeps its number until the waiter is polled. If it
//! is dropped instead, the notification goes to the next one. A notification for all takes out all waiters and begins a
//! new generation. A waiter of an older generation has ended, whether it was in the queue or had not been polled. So a
//! later notification for one is never spent on it.
//!
//! The wakers are cloned, called and dropped outside the lock. The queue is not that of `event-listener`, because it
//! cannot tell which of the two notifications has arrived.

use crate::foreign::wake_all;
use crate::primitives::{AtomicUsize, Mutex, MutexGuard, Ordering, lock};
use std::collections::{BTreeMap, BTreeSet};
use std::mem;
use std::task::{Context, Poll, Waker};

/// The word of a signal without waiters and without the permit.
const NOBODY: usize = 0;

/// The word of a signal whose permit is stored.
const PERMIT: usize = 1;

/// The word of a signal for which somebody waits.
const WAITING: usize = 2;

/// Notifications and their waiters.
#[derive(Debug)]
pub(crate) struct Signal {
    /// [`NOBODY`], [`PERMIT`] or [`WAITING`].
    word: AtomicUsize,
    /// How often all were notified. Grows under the lock.
    generation: AtomicUsize,
    /// The waiters.
    queue: Mutex<Queue>,
}

/// The waiters for a signal.
#[derive(Debug)]
struct Queue {
    /// The waiters that have not been notified, by their numbers, so the first one has waited longest. One that has only
    /// got in line has no waker.
    waiting: BTreeMap<u64, Option<Waker>>,
    /// The numbers of the waiters for which a notification for one has arrived, and that have neither been polled nor
    /// dropped since.
    notified: BTreeSet<u64>,
    /// The number of the newest waiter.
    last: u64,
}

impl Signal {
    /// Creates a signal without a permit.
    pub(crate) fn new() -> Signal {
        Signal {
            word: AtomicUsize::new(NOBODY),
            generation: AtomicUsize::new(0),
            queue: Mutex::new(Queue {
                waiting: BTreeMap::new(),
                notified: BTreeSet::new(),
                last: 0,
            }),
        }
    }

    /// Exchanges the word. Returns the former word, if that is another one.
    fn exchange(&self, from: usize, to: usize) -> Result<usize, usize> {
        // Release and Acquire: whoever takes the permit sees what its sender has done before.
        let (set, get) = (Ordering::AcqRel, Ordering::Acquire);
        self.word.compare_exchange(from, to, set, get)
    }

    /// Stores the permit. Returns false if somebody waits.
    fn store(&self) -> bool {
        let mut word = NOBODY;
        while word != WAITING {
            // An exchange even if the permit is stored: its taker sees what all its senders have done.
            match self.exchange(word, PERMIT) {
                Ok(_) => return true,
                Err(other) => word = other,
            }
        }
        false
    }

    /// Notifies the first waiter in line, or stores the permit if there is none.
    pub(crate) fn notify_one(&self) {
        while !self.store() {
            let mut queue = lock(&self.queue);
            let Some((number, waker)) = queue.waiting.pop_first() else {
                // The last one has left in the meantime.
                continue;
            };
            queue.notified.insert(number);
            self.settle(&queue);
            drop(queue);
            wake_all(waker);
            return;
        }
    }

    /// Notifies all waiters.
    pub(crate) fn notify_waiters(&self) {
        let mut queue = lock(&self.queue);
        // Release: whoever sees the new generation without the lock sees what its notifier has done before.
        self.generation.fetch_add(1, Ordering::Release);
        let waiting = mem::take(&mut queue.waiting);
        self.settle(&queue);
        drop(queue);
        wake_all(waiting.into_values().flatten());
    }

    /// Notes in the word that nobody waits any more, if that is so.
    fn settle(&self, queue: &MutexGuard<'_, Queue>) {
        if queue.waiting.is_empty() {
            // Fails if the permit is stored, or if nobody has waited.
            let _unchanged = self.exchange(WAITING, NOBODY);
        }
    }

    /// Begins to wait. Notifications for all count from now on, those for one from the first poll on.
    pub(crate) fn begin(&self) -> Waiting {
        Waiting {
            generation: self.generation.load(Ordering::Acquire),
            number: None,
        }
    }
}

/// A wait for a [`Signal`]. Its owner calls [`end`](Waiting::end) if it no longer wants the notification.
#[derive(Debug)]
pub(crate) struct Waiting {
    /// The generation in which the wait began.
    generation: usize,
    /// The number in the queue, from the first poll that is pending.
    number: Option<u64>,
}

impl Waiting {
    /// Waits for a notification. The waiter enters the line at the first poll. The caller does not poll it again after
    /// it was ready.
    pub(crate) fn poll(&mut self, signal: &Signal, cx: &mut Context<'_>) -> Poll<()> {
        if self.is_ready_at_once(signal) {
            return Poll::Ready(());
        }
        // A clone may run foreign code, so not under the lock.
        self.poll_queue(signal, Some(cx.waker().clone()))
    }

    /// Gets in line, and leaves the waker of the last poll as it is. Returns true if a notification has arrived, which
    /// ends the wait.
    pub(crate) fn enable(&mut self, signal: &Signal) -> bool {
        self.is_ready_at_once(signal) || self.poll_queue(signal, None).is_ready()
    }

    /// Looks for a notification before the waiter is in line.
    fn is_ready_at_once(&self, signal: &Signal) -> bool {
        // Acquire: see `notify_waiters`.
        self.number.is_none()
            && (self.generation != signal.generation.load(Ordering::Acquire)
                || signal.exchange(PERMIT, NOBODY).is_ok())
    }

    /// Looks for a notification in the queue. If there is none, leaves the waker there.
    fn poll_queue(&mut self, signal: &Signal, waker: Option<Waker>) -> Poll<()> {
        let mut queue = lock(&signal.queue);
        let is_first_poll = self.number.is_none();
        let is_ready = match self.number {
            Some(number) => queue.notified.remove(&number),
            None => false,
        };
        // Relaxed: it grows under the lock.
        let is_ready = is_ready
            || self.generation != signal.generation.load(Ordering::Relaxed)
            || is_first_poll && !self.enter(signal, &mut queue);
        if is_ready {
            self.number = None;
            drop(queue);
            drop(waker);
            return Poll::Ready(());
        }
        let entry = self
            .number
            .and_then(|number| queue.waiting.get_mut(&number));
        let entry = entry.expect("a waiter that is not notified is in the queue");
        let older = match waker {
            Some(waker) => entry.replace(waker),
            None => None,
        };
        drop(queue);
        drop(older);
        Poll::Pending
    }

    /// Enters the queue. Returns false if the permit was stored, and takes it.
    fn enter(&mut self, signal: &Signal, queue: &mut MutexGuard<'_, Queue>) -> bool {
        // Only the owner of the lock begins or ends `WAITING`, so the loop ends as soon as the others pause.
        while let Err(PERMIT) = signal.exchange(NOBODY, WAITING) {
            if signal.exchange(PERMIT, NOBODY).is_ok() {
                return false;
            }
        }
        queue.last += 1;
        let number = queue.last;
        queue.waiting.insert(number, None);
        self.number = Some(number);
        true
    }

    /// Ends the wait. If a notification for one has arrived and was not taken, passes it to the next waiter in line.
    pub(crate) fn end(&mut self, signal: &Signal) {
        let Some(number) = self.number.take() else {
            return;
        };
        let mut queue = lock(&signal.queue);
        let is_notified = queue.notified.remove(&number);
        let left = queue.waiting.remove(&number);
        signal.settle(&queue);
        drop(queue);
        drop(left);
        if is_notified {
            signal.notify_one();
        }
    }
}

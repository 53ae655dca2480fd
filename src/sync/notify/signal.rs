//! [`Signal`]: the protocol of [`Notify`](super::Notify), which `tests/loom` checks.
//!
//! One word says whether the permit is stored, or else how many wait. A notifier takes one from their number, then
//! notifies a listener; if nobody waits, it stores the permit. A waiter listens first, then takes the permit or adds
//! itself to the number. So there is a listener for each that is counted, and the permit is never stored while one is:
//!
//! ```text
//!                    notify_one                     listen
//!    +--------+ <------------------ +--------+ ------------------> +-----------+
//!    | permit |                     | nobody |                     | n waiting |
//!    +--------+ ------------------> +--------+ <------------------ +-----------+
//!                  begin to wait             the last is notified or leaves
//! ```
//!
//! A waiter that leaves removes its listener, then takes itself from the number. If a notifier was faster, it finds no
//! listener and starts again. Notifications for all are counted, and each waiter knows the count at its beginning.

use crate::primitives::{AtomicUsize, Event, EventListener, Listener, Ordering};
use std::pin::Pin;
use std::task::{Context, Poll};

/// The word of a signal for which nobody waits.
const NOBODY: usize = 0;

/// The word of a signal whose permit is stored. Smaller numbers are those of the waiters.
const PERMIT: usize = usize::MAX;

/// Notifications, and those who wait for them.
#[derive(Debug)]
pub(crate) struct Signal {
    /// [`PERMIT`], or the number of those who wait.
    word: AtomicUsize,
    /// The listeners of those who wait, for notifications for one.
    one: Event,
    /// How often all were notified.
    generation: AtomicUsize,
    /// The listeners of those who wait, for notifications for all.
    all: Event,
}

impl Signal {
    /// Creates a signal without a permit.
    pub(crate) fn new() -> Signal {
        Signal {
            word: AtomicUsize::new(NOBODY),
            one: Event::new(),
            generation: AtomicUsize::new(0),
            all: Event::new(),
        }
    }

    /// Changes the word. Returns the former word, or `None` if `change` does not want to.
    fn change(&self, change: impl Fn(usize) -> Option<usize>) -> Option<usize> {
        // Release and Acquire: whoever takes a notification sees what its sender has done before.
        let (set, get) = (Ordering::AcqRel, Ordering::Acquire);
        self.word.fetch_update(set, get, change).ok()
    }

    /// Notifies the first in line, or stores the permit if nobody waits.
    pub(crate) fn notify_one(&self) {
        loop {
            let before = self.change(|word| match word {
                NOBODY | PERMIT => Some(PERMIT),
                waiting => Some(waiting - 1),
            });
            if matches!(before, Some(NOBODY | PERMIT)) || self.one.notify_additional(1) > 0 {
                return;
            }
            // The waiter has left in the meantime.
        }
    }

    /// Notifies all who wait.
    pub(crate) fn notify_waiters(&self) {
        // Release: whoever sees the new generation sees what its notifier has done before.
        self.generation.fetch_add(1, Ordering::Release);
        self.all.notify(usize::MAX);
    }

    /// Begins to wait. Notifications for all count from now on, those for one from the first poll on.
    pub(crate) fn begin(&self) -> Waiting {
        Waiting {
            generation: self.generation.load(Ordering::Acquire),
            listeners: None,
        }
    }
}

/// A wait for a [`Signal`]. Its owner calls [`end`](Waiting::end) if it no longer wants the notification.
#[derive(Debug)]
pub(crate) struct Waiting {
    /// The generation in which the wait began.
    generation: usize,
    /// The listeners for one and for all, from the first poll that is pending.
    listeners: Option<(EventListener, EventListener)>,
}

impl Waiting {
    /// Waits for a notification. From the first poll on, the waiter is in line. It is not polled again after it was
    /// ready.
    pub(crate) fn poll(&mut self, signal: &Signal, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            // Acquire: see `notify_waiters`.
            if self.generation != signal.generation.load(Ordering::Acquire) {
                self.end(signal);
                return Poll::Ready(());
            }
            let Some((one, all)) = &mut self.listeners else {
                if self.enable(signal) {
                    return Poll::Ready(());
                }
                // The generation may be new, although the listener has come too late to be notified of it.
                continue;
            };
            if Pin::new(one).poll(cx).is_ready() {
                self.listeners = None;
                return Poll::Ready(());
            }
            if Pin::new(&mut *all).poll(cx).is_pending() {
                return Poll::Pending;
            }
            // The generation is new; or a waiter of an older one has left, and its notification came here.
            *all = signal.all.listen();
        }
    }

    /// Gets in line. Returns true if the permit was stored, which ends the wait.
    pub(crate) fn enable(&mut self, signal: &Signal) -> bool {
        let listeners = (signal.one.listen(), signal.all.listen());
        let before = signal.change(|word| match word {
            PERMIT => Some(NOBODY),
            waiting => Some(waiting + 1),
        });
        if before != Some(PERMIT) {
            self.listeners = Some(listeners);
            return false;
        }
        // A notification that has arrived at this listener was meant for one that came later and was counted earlier, or
        // for one that has left.
        let (one, _all) = listeners;
        if one.discard() && signal.one.notify_additional(1) == 0 {
            signal.notify_one();
        }
        true
    }

    /// Ends the wait. A notification for one that has arrived and was not taken goes to the next in line.
    pub(crate) fn end(&mut self, signal: &Signal) {
        let Some((one, _all)) = self.listeners.take() else {
            return;
        };
        if one.discard() {
            signal.notify_one();
        } else {
            // If nobody is counted any more, a notifier has counted on this waiter and starts again.
            signal.change(|word| match word {
                NOBODY | PERMIT => None,
                waiting => Some(waiting - 1),
            });
        }
    }
}

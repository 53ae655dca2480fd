//! [`Signal`]: the protocol of [`Notify`](super::Notify), which `tests/loom` checks.
//!
//! One word contains the stored permit or the number of waiters. A notifier decrements the number and then notifies a
//! listener. If the number is 0, it stores the permit. A waiter first listens, and then takes the permit or increments
//! the number. So each waiter that is counted has a listener, and the permit is never stored while one is counted:
//!
//! ```text
//!                    notify_one                     listen
//!    +--------+ <------------------ +--------+ ------------------> +-----------+
//!    | permit |                     | nobody |                     | n waiting |
//!    +--------+ ------------------> +--------+ <------------------ +-----------+
//!                  begin to wait             the last is notified or leaves
//! ```
//!
//! A waiter that leaves first removes its listener, and then decrements the number. A notifier that was faster finds no
//! listener, and retries. The signal counts the notifications for all, and each waiter keeps the count from its
//! beginning.

use crate::primitives::{AtomicUsize, Event, EventListener, Listener, Ordering};
use std::pin::Pin;
use std::task::{Context, Poll};

/// The word of a signal without waiters and without the permit.
const NOBODY: usize = 0;

/// The word of a signal whose permit is stored. A smaller word is the number of waiters.
const PERMIT: usize = usize::MAX;

/// Notifications and their waiters.
#[derive(Debug)]
pub(crate) struct Signal {
    /// [`PERMIT`], or the number of waiters.
    word: AtomicUsize,
    /// The listeners of the waiters for notifications for one.
    one: Event,
    /// The number of notifications for all.
    generation: AtomicUsize,
    /// The listeners of the waiters for notifications for all.
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

    /// Changes the word. Returns the former word, or `None` if `change` returns `None`.
    fn change(&self, change: impl Fn(usize) -> Option<usize>) -> Option<usize> {
        // Release and Acquire: a waiter that takes a notification sees what the notifier did before.
        let (set, get) = (Ordering::AcqRel, Ordering::Acquire);
        self.word.fetch_update(set, get, change).ok()
    }

    /// Notifies the first waiter in line, or stores the permit if there is none.
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

    /// Notifies all waiters.
    pub(crate) fn notify_waiters(&self) {
        // Release: a waiter that sees the new generation sees what the notifier did before.
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
    /// Waits for a notification. The waiter enters the line at the first poll. The caller does not poll it again after
    /// it was ready.
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

    /// Enters the line. Returns true if the permit was stored, which ends the wait.
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

    /// Ends the wait. If a notification for one has arrived and was not taken, passes it to the next waiter in line.
    pub(crate) fn end(&mut self, signal: &Signal) {
        let Some((one, _all)) = self.listeners.take() else {
            return;
        };
        if one.discard() {
            signal.notify_one();
        } else {
            // If the number is 0, a notifier has decremented it for this waiter, and will retry.
            signal.change(|word| match word {
                NOBODY | PERMIT => None,
                waiting => Some(waiting - 1),
            });
        }
    }
}

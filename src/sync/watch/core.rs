//! [`Core`]: the versions of a watched value, the numbers of both ends, and the tasks that wait for a change of either.
//!
//! The value is not here but under a lock of its own. This file has no lock, and runs no closure or destructor of the
//! program.
//!
//! # No wake-up is lost
//!
//! A waiter first listens and then reads the state. The other side first changes the state and then notifies. So either
//! the waiter sees the change, or the notification finds the listener. `notify` has a full fence before it reads the
//! list of listeners, and `listen` has one after it has added the listener.

use crate::primitives::{AtomicU64, AtomicUsize, Event, EventListener, Ordering};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

/// The versions, and the numbers of both ends.
pub(crate) struct Core {
    /// The number of changes. It grows under the lock of the value.
    version: AtomicU64,
    /// The number of senders. Once 0, it stays 0.
    senders: AtomicUsize,
    /// The number of receivers.
    receivers: AtomicUsize,
    /// Notified when the version grows or the last sender is gone.
    changed: Event,
    /// Notified when the last receiver is gone.
    closed: Event,
}

/// The answer to a receiver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum News {
    /// The version differs from the one that the receiver has seen. Contains the current one.
    Changed(u64),
    /// The version is the same, and all senders are gone.
    Closed,
    /// The version is the same.
    Nothing,
}

/// Calls `ask`, listening until it returns a result. Listens before the last call, so that it misses no change.
///
/// The result may hold the lock of the value, and the destructor of a waker is foreign code. So this drops a listener
/// that has a waker before it calls `ask`.
pub(crate) fn poll_until<R>(
    listener: &mut Option<EventListener>,
    cx: &mut Context<'_>,
    listen: impl Fn() -> EventListener,
    mut ask: impl FnMut() -> Option<R>,
) -> Poll<R> {
    loop {
        if let Some(waiting) = listener {
            ready!(Pin::new(waiting).poll(cx));
            *listener = None;
        }
        let mut result = ask();
        if result.is_none() {
            *listener = Some(listen());
            result = ask();
        }
        if let Some(result) = result {
            *listener = None;
            return Poll::Ready(result);
        }
    }
}

impl Core {
    /// Creates the state of a channel with a sender and `receivers` receivers.
    pub(crate) fn new(receivers: usize) -> Core {
        Core {
            version: AtomicU64::new(0),
            senders: AtomicUsize::new(1),
            receivers: AtomicUsize::new(receivers),
            changed: Event::new(),
            closed: Event::new(),
        }
    }

    /// Returns the current version. It cannot grow while the caller holds the lock of the value.
    pub(crate) fn version(&self) -> u64 {
        // Acquire: pairs with the Release in `advance`.
        self.version.load(Ordering::Acquire)
    }

    /// Begins a new version. The caller holds the lock of the value, and calls [`notify`](Core::notify) when it has
    /// released it.
    pub(crate) fn advance(&self) {
        // Release: pairs with the Acquire in `version`. Only one thread holds the lock, but senders that come and go
        // hand the counter over through it.
        self.version.fetch_add(1, Ordering::Release);
    }

    /// Notifies all receivers that wait.
    pub(crate) fn notify(&self) {
        self.changed.notify(usize::MAX);
    }

    /// Compares the current version with the one that a receiver has seen.
    pub(crate) fn news(&self, seen: u64) -> News {
        // Acquire: pairs with the AcqRel in `drop_sender`. If no sender is left, the version that is loaded next is the
        // last one.
        let is_closed = self.senders.load(Ordering::Acquire) == 0;
        let version = self.version();
        match (version != seen, is_closed) {
            (true, _) => News::Changed(version),
            (false, true) => News::Closed,
            (false, false) => News::Nothing,
        }
    }

    /// Returns a future that is ready when the receivers are notified.
    pub(crate) fn listen(&self) -> EventListener {
        self.changed.listen()
    }

    /// Adds a sender while another one exists.
    pub(crate) fn add_sender(&self) {
        // Relaxed: the caller has another sender, so the number is not 0.
        self.senders.fetch_add(1, Ordering::Relaxed);
    }

    /// Removes a sender. If it was the last one, notifies the receivers.
    pub(crate) fn drop_sender(&self) {
        // AcqRel: the last decrement makes the versions of all senders visible.
        if self.senders.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.changed.notify(usize::MAX);
        }
    }

    /// Returns whether all senders have been dropped.
    pub(crate) fn has_no_senders(&self) -> bool {
        self.senders.load(Ordering::Acquire) == 0
    }

    /// Returns the number of senders.
    pub(crate) fn senders(&self) -> usize {
        self.senders.load(Ordering::Relaxed)
    }

    /// Returns the number of receivers.
    pub(crate) fn receivers(&self) -> usize {
        // Relaxed: the number guards no memory, and the fences of the event order it for a waiter that listens.
        self.receivers.load(Ordering::Relaxed)
    }

    /// Adds a receiver.
    pub(crate) fn add_receiver(&self) {
        self.receivers.fetch_add(1, Ordering::Relaxed);
    }

    /// Removes a receiver. If it was the last one, notifies the senders that wait for it.
    pub(crate) fn drop_receiver(&self) {
        if self.receivers.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.closed.notify(usize::MAX);
        }
    }

    /// Returns a future that is ready when the last receiver is gone.
    pub(crate) fn listen_closed(&self) -> EventListener {
        self.closed.listen()
    }
}

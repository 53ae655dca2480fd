//! [`Core`]: the versions of a watched value, the numbers of both ends, and who waits for either.
//!
//! The value itself lies beside, under a lock of its own, and so do the closures and destructors of the program: this
//! file has no lock.
//!
//! # No wake-up is lost
//!
//! A waiter listens first and looks at the state afterwards. The other side changes the state first and notifies
//! afterwards. So either the waiter sees the change, or the notification finds the listener. `notify` has a full fence
//! before it looks for listeners, and `listen` one after it has entered the listener.

use crate::primitives::{AtomicU64, AtomicUsize, Event, EventListener, Ordering};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

/// The versions, and the numbers of both ends.
pub(crate) struct Core {
    /// The number of changes. It grows under the lock of the value.
    version: AtomicU64,
    /// The number of senders. It never grows again when it is 0.
    senders: AtomicUsize,
    /// The number of receivers.
    receivers: AtomicUsize,
    /// Notified when the version grows or the last sender is gone.
    changed: Event,
    /// Notified when the last receiver is gone.
    closed: Event,
}

/// What a receiver learns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum News {
    /// The version differs from the one that the receiver has seen. Contains the current one.
    Changed(u64),
    /// The version is the same, and all senders are gone.
    Closed,
    /// The version is the same.
    Nothing,
}

/// Asks for a result, and listens until there is one. Listens before it asks for the last time, so that it misses no
/// change.
///
/// The result may hold the lock of the value. So a listener that has a waker is dropped before `ask` is called: the
/// destructor of a waker is foreign code.
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

    /// Adds a sender, beside one that exists.
    pub(crate) fn add_sender(&self) {
        // Relaxed: the caller has another sender, so the number is not 0.
        self.senders.fetch_add(1, Ordering::Relaxed);
    }

    /// Removes a sender. If it was the last one, notifies the receivers.
    pub(crate) fn drop_sender(&self) {
        // AcqRel: the last one to come passes on the versions of all.
        if self.senders.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.changed.notify(usize::MAX);
        }
    }

    /// Returns whether all senders are gone.
    pub(crate) fn has_no_senders(&self) -> bool {
        self.senders.load(Ordering::Acquire) == 0
    }

    /// Returns the number of senders.
    pub(crate) fn senders(&self) -> usize {
        self.senders.load(Ordering::Relaxed)
    }

    /// Returns the number of receivers.
    pub(crate) fn receivers(&self) -> usize {
        // Relaxed: the number protects nothing. A waiter that has listened is ordered by the fences of the event.
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

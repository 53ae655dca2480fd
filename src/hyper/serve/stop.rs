//! [`Stop`]: tells every connection of a server that the server stops.
//!
//! A connection registers its waker, and removes it when it ends. The signal costs one wake for each connection, and a
//! poll of a connection costs one comparison. A dump shows the wait, which accounts for the clones of the waker.

use crate::executor::primitive::{Description, Primitive, View};
use crate::executor::waits::{Declared, Subject, Wait};
use crate::foreign::wake_all;
use crate::slab::{Key, Slab};
use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

/// The signal that a server stops. It is set once.
pub(super) struct Stop {
    /// Whether the server stops.
    is_set: Cell<bool>,
    /// The wakers of the connections that wait for it.
    waiters: RefCell<Slab<Waker>>,
    /// Describes the waits in dumps.
    described: Arc<dyn Primitive>,
}

/// The description of a wait for a [`Stop`].
struct Described;

impl Primitive for Described {
    fn is_retried(&self) -> bool {
        false
    }

    fn describe(&self, _wait: &Declared, _view: &View<'_>) -> Description {
        Description {
            kind: "signal",
            subject: String::from("the server to stop"),
            ..Description::default()
        }
    }

    fn wakers(&self) -> usize {
        // The registered one, and the clone in the waiter.
        2
    }
}

impl Stop {
    /// Creates a signal that is not set.
    pub(super) fn new() -> Stop {
        Stop {
            is_set: Cell::new(false),
            waiters: RefCell::new(Slab::new()),
            described: Arc::new(Described),
        }
    }

    /// Sets the signal, and wakes all connections that wait for it.
    pub(super) fn set(&self) {
        self.is_set.set(true);
        let wakers: Vec<Waker> = self.waiters.borrow_mut().drain().collect();
        wake_all(wakers);
    }

    /// Returns a waiter that is not registered.
    pub(super) fn waiter(&self) -> StopWaiter<'_> {
        StopWaiter {
            stop: self,
            registered: None,
            wait: Wait::default(),
        }
    }
}

/// Waits for a [`Stop`]. Dropping it removes its waker.
pub(super) struct StopWaiter<'a> {
    /// The signal.
    stop: &'a Stop,
    /// The key of the registered waker, and a clone of that waker.
    registered: Option<(Key, Waker)>,
    /// The wait that dumps show. It is declared when the waker is registered, and not in each poll.
    wait: Wait,
}

impl StopWaiter<'_> {
    /// Waits for the signal.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.stop.is_set.get() {
            return Poll::Ready(());
        }
        let is_registered = self
            .registered
            .as_ref()
            .is_some_and(|(_, waker)| waker.will_wake(cx.waker()));
        if !is_registered {
            self.remove();
            let (waker, clone) = (cx.waker().clone(), cx.waker().clone());
            let key = self.stop.waiters.borrow_mut().insert(waker);
            self.wait.declare(Some(&clone), None, 0, || {
                Subject::Primitive(Arc::clone(&self.stop.described), 0)
            });
            self.registered = Some((key, clone));
        }
        Poll::Pending
    }

    /// Removes the registered waker, if there is one, and drops it.
    fn remove(&mut self) {
        self.wait.withdraw();
        if let Some((key, clone)) = self.registered.take() {
            let removed = {
                let mut waiters = self.stop.waiters.borrow_mut();
                let removed = waiters.remove(key);
                waiters.shrink();
                removed
            };
            drop((removed, clone));
        }
    }
}

impl Drop for StopWaiter<'_> {
    fn drop(&mut self) {
        self.remove();
    }
}

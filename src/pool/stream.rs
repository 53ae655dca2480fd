//! [`StreamWaiter`] and the errors: what the standard input and the standard outputs share.

use super::Pool;
use crate::primitives::Ordering;
use crate::waiter::{Tag, Waiter, WaiterInfo};
use std::io;
use std::ptr;
use std::sync::Arc;
use std::task::{Context, Waker};

/// What waits for a standard stream. The streams are those of the process, so the waiters of all runtimes stand
/// side by side.
pub(super) struct StreamWaiter {
    /// The waker and its tag.
    waiter: Waiter,
    /// The pool of its runtime, which counts it.
    counted: Counted,
}

/// Counts a waiter until it is dropped.
struct Counted(Arc<Pool>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.stream_waiters.fetch_sub(1, Ordering::Relaxed);
    }
}

impl StreamWaiter {
    /// Creates the waiter of a poll.
    pub(super) fn new(cx: &Context<'_>, tag: Tag, pool: &Arc<Pool>) -> StreamWaiter {
        let waker = cx.waker().clone();
        // Relaxed is enough: the loop asks on the thread that polls the task, and the end of the runtime after
        // the waiter was put down under the lock of the stream.
        pool.stream_waiters.fetch_add(1, Ordering::Relaxed);
        StreamWaiter {
            waiter: Waiter { waker, tag },
            counted: Counted(Arc::clone(pool)),
        }
    }

    /// Returns whether it belongs to the runtime of this pool.
    pub(super) fn is_of(&self, pool: &Pool) -> bool {
        ptr::eq(&*self.counted.0, pool)
    }

    /// Returns what a dump shows of it.
    pub(super) fn info(&self) -> WaiterInfo {
        self.waiter.info()
    }

    /// Returns its waker, and discounts it.
    pub(super) fn into_waker(self) -> Waker {
        self.waiter.waker
    }
}

/// Returns the error of an operation on a stream whose runtime has ended.
pub(super) fn runtime_ended() -> io::Error {
    io::Error::other("the runtime that this stream was made in has ended")
}

/// Replaces the error that a descriptor in non-blocking mode causes, which readers and writers of `futures-io` must
/// not return.
pub(super) fn blocking_error(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::WouldBlock => io::Error::other(
            "the standard stream is in non-blocking mode (O_NONBLOCK): another program that shares it has set \
             that",
        ),
        _ => error,
    }
}

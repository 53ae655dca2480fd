//! [`StreamWaiter`] and the errors that standard input, output and error share.

use super::Pool;
use crate::primitives::Ordering;
use crate::waiter::{Tag, Waiter, WaiterInfo};
use std::io;
use std::ptr;
use std::sync::Arc;
use std::task::{Context, Waker};

/// A waiter for a standard stream. The streams belong to the process, so each has waiters of all runtimes.
pub(super) struct StreamWaiter {
    /// The waker and its tag.
    waiter: Waiter,
    /// Counts the waiter in the pool of its runtime.
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
        // Relaxed is enough: the loop reads the counter on the thread that polls the task. The end of the runtime
        // reads it after the waiter was stored under the lock of the stream.
        pool.stream_waiters.fetch_add(1, Ordering::Relaxed);
        StreamWaiter {
            waiter: Waiter { waker, tag },
            counted: Counted(Arc::clone(pool)),
        }
    }

    /// Returns whether the waiter belongs to the runtime of this pool.
    pub(super) fn is_of(&self, pool: &Pool) -> bool {
        ptr::eq(&*self.counted.0, pool)
    }

    /// Returns the description of the waiter for dumps.
    pub(super) fn info(&self) -> WaiterInfo {
        self.waiter.info()
    }

    /// Returns the waker, and stops counting the waiter.
    pub(super) fn into_waker(self) -> Waker {
        self.waiter.waker
    }
}

/// Returns the error of an operation on a stream whose runtime has ended.
pub(super) fn runtime_ended() -> io::Error {
    io::Error::other("the runtime of this stream has ended")
}

/// Replaces `WouldBlock`, the error of a descriptor in non-blocking mode. Readers and writers of `futures-io` must
/// not return it.
pub(super) fn blocking_error(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::WouldBlock => io::Error::other(
            "the standard stream is in non-blocking mode (O_NONBLOCK): another program that shares the \
             stream has set this mode",
        ),
        _ => error,
    }
}

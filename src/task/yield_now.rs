//! [`yield_now`]: lets other tasks run.

use std::pin::Pin;
use std::task::{Context, Poll};

/// Yields to the other tasks: every task that is ready now is polled before this one continues.
///
/// With a [seed](crate::Builder::seed) the order is random, and a single yield does not guarantee that other
/// tasks run.
///
/// A task that yields in a loop until an event occurs keeps the thread busy. If the event depends on the passage
/// of time, the loop stops a [virtual clock](crate::Builder::virtual_clock) forever. Await the event instead. A task that
/// does nothing but yield is [reported](crate::task#spinning).
///
/// # Examples
///
/// ```
/// use std::cell::RefCell;
/// use std::rc::Rc;
///
/// glassfrog::block_on(async {
///     let order = Rc::new(RefCell::new(Vec::new()));
///     let theirs = Rc::clone(&order);
///     let task = glassfrog::spawn(async move { theirs.borrow_mut().push("task") });
///     glassfrog::task::yield_now().await;
///     order.borrow_mut().push("main");
///     task.await.unwrap();
///     assert_eq!(*order.borrow(), ["task", "main"]);
/// });
/// ```
pub fn yield_now() -> YieldNow {
    YieldNow { yielded: false }
}

/// The future of [`yield_now`].
///
/// # Examples
///
/// ```
/// glassfrog::block_on(async {
///     let yielded: glassfrog::task::YieldNow = glassfrog::task::yield_now();
///     yielded.await;
/// });
/// ```
#[derive(Debug)]
#[must_use = "futures do nothing unless you `.await` or poll them"]
pub struct YieldNow {
    /// Whether the future has returned `Pending`.
    yielded: bool,
}

impl Future for YieldNow {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.yielded {
            return Poll::Ready(());
        }
        self.yielded = true;
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

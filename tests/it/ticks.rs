//! A ticker that a test drives by hand, and a `select` with it.

use crate::support::settle;
use futures::future::{Either, poll_fn, select};
use std::cell::Cell;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Poll, Waker};

/// A tick that the test gives by hand.
#[derive(Clone, Default)]
pub(crate) struct Ticks(Rc<Cell<(u32, Option<Waker>)>>);

impl Ticks {
    /// Ends the wait of a task for the next tick, and lets all tasks run.
    pub(crate) async fn give(&self) {
        let (count, waker) = self.0.take();
        self.0.set((count + 1, None));
        if let Some(waker) = waker {
            waker.wake();
        }
        settle().await;
    }

    /// Waits for the next tick.
    pub(crate) async fn next(&self) {
        poll_fn(|cx| {
            let (count, _) = self.0.take();
            match count {
                0 => {
                    self.0.set((0, Some(cx.waker().clone())));
                    Poll::Pending
                }
                _ => {
                    self.0.set((count - 1, None));
                    Poll::Ready(())
                }
            }
        })
        .await;
    }

    /// Polls a future until it is ready or the next tick comes. Then drops it.
    pub(crate) async fn or<F: Future>(&self, future: F) -> Option<F::Output> {
        match select(pin!(future), pin!(self.next())).await {
            Either::Left((output, _)) => Some(output),
            Either::Right(((), _)) => None,
        }
    }
}

//! [`waiting_for`]: gives a wait a name.

use crate::executor::waits::{Subject, Wait, nested};
use pin_project_lite::pin_project;
use std::borrow::Cow;
use std::fmt;
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll};

/// Names what a future waits for. While the future is pending, a [dump](crate::task::dump) shows the label and the place
/// of this call.
///
/// A dump shows by itself which socket, deadline, task, job or primitive of `sync` a task waits for. It cannot know
/// what a program expects from a channel of another crate, or to which of many requests a read belongs. A label
/// supplies that information. Labels nest, and a dump shows the outermost first.
///
/// If the future is ready in its first poll, the label costs nothing. Under another executor, the label has no effect.
///
/// # Cancel safety
///
/// This future is as cancel-safe as the one that it contains. Dropping it removes the label.
///
/// # Examples
///
/// ```
/// use futures_channel::oneshot;
/// use glassfrog::task;
///
/// glassfrog::block_on(async {
///     let (reply, replied) = oneshot::channel();
///     let billing = glassfrog::spawn(task::waiting_for("the reply of the billing service", replied));
///     task::yield_now().await;
///     let dump = task::dump().to_string();
///     assert!(dump.contains("the reply of the billing service"), "{dump}");
///
///     reply.send("paid").unwrap();
///     assert_eq!(billing.await.unwrap(), Ok("paid"));
/// });
/// ```
#[track_caller]
pub fn waiting_for<F: IntoFuture>(
    label: impl Into<Cow<'static, str>>,
    future: F,
) -> WaitingFor<F::IntoFuture> {
    WaitingFor {
        future: future.into_future(),
        label: label.into(),
        location: Location::caller(),
        wait: Wait::default(),
    }
}

pin_project! {
    /// The future of [`waiting_for`].
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::task::{self, WaitingFor};
    /// use std::future::{Ready, ready};
    ///
    /// glassfrog::block_on(async {
    ///     let named: WaitingFor<Ready<i32>> = task::waiting_for("nothing", ready(42));
    ///     assert_eq!(named.await, 42);
    /// });
    /// ```
    #[must_use = "futures do nothing unless you `.await` or poll them"]
    pub struct WaitingFor<F> {
        // The labelled future.
        #[pin]
        future: F,
        // The label.
        label: Cow<'static, str>,
        // Where `waiting_for` was called.
        location: &'static Location<'static>,
        // The wait, while the future is pending.
        wait: Wait,
    }
}

impl<F: Future> Future for WaitingFor<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let (depth, polled) = nested(|| this.future.poll(cx));
        match polled {
            Poll::Ready(_) => this.wait.withdraw(),
            Poll::Pending => this.wait.declare(None, *this.location, depth, || {
                Subject::Label(this.label.clone())
            }),
        }
        polled
    }
}

impl<F> fmt::Debug for WaitingFor<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WaitingFor")
            .field("label", &self.label)
            .finish_non_exhaustive()
    }
}

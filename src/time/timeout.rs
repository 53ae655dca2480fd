//! [`timeout`]: giving up on what takes too long.

use super::sleep::{Sleep, sleep, sleep_until};
use pin_project_lite::pin_project;
use std::error::Error;
use std::fmt;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

/// Runs a future, but not for longer than `duration`, counted from now on.
///
/// The future is polled before the deadline is looked at: if it is ready in the same poll in which
/// the deadline has passed, its output counts. A future that is ready at once touches no timer.
///
/// # Errors
///
/// [`Elapsed`] if the deadline came first. It converts into an [`io::Error`] of the kind
/// [`TimedOut`](io::ErrorKind::TimedOut), so that `?` works on `timeout(…).await??`.
///
/// # Panics
///
/// Outside a runtime.
///
/// # Cancel safety
///
/// Dropping it drops the future. When the deadline comes first, the future is dropped with it.
///
/// # Examples
///
/// ```
/// use glassfrog::time::timeout;
/// use std::time::Duration;
///
/// glassfrog::block_on(async {
///     let quick = timeout(Duration::from_secs(60), async { "quick" }).await;
///     assert_eq!(quick.unwrap(), "quick");
///
///     let never = timeout(Duration::from_millis(2), std::future::pending::<()>()).await;
///     assert!(never.is_err());
/// });
/// ```
#[track_caller]
pub fn timeout<F: IntoFuture>(duration: Duration, future: F) -> Timeout<F::IntoFuture> {
    Timeout {
        future: future.into_future(),
        sleep: sleep(duration),
    }
}

/// The same until a moment. One that has passed gives the future one poll and a turn of the loop.
///
/// # Errors
///
/// As [`timeout`].
///
/// # Panics
///
/// Outside a runtime.
///
/// # Cancel safety
///
/// As [`timeout`].
///
/// # Examples
///
/// ```
/// use glassfrog::time::{now, timeout_at};
/// use std::time::Duration;
///
/// glassfrog::block_on(async {
///     // One deadline for all.
///     let deadline = now() + Duration::from_secs(60);
///     for step in 0..3 {
///         assert_eq!(timeout_at(deadline, async { step }).await, Ok(step));
///     }
/// });
/// ```
#[track_caller]
pub fn timeout_at<F: IntoFuture>(deadline: Instant, future: F) -> Timeout<F::IntoFuture> {
    Timeout {
        future: future.into_future(),
        sleep: sleep_until(deadline),
    }
}

pin_project! {
    /// The future of [`timeout`] and [`timeout_at`].
    ///
    /// # Examples
    ///
    /// See [`timeout`].
    #[derive(Debug)]
    #[must_use = "futures do nothing unless you `.await` or poll them"]
    pub struct Timeout<F> {
        // What is run.
        #[pin]
        future: F,
        // What ends it.
        sleep: Sleep,
    }
}

impl<F: Future> Future for Timeout<F> {
    type Output = Result<F::Output, Elapsed>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        if let Poll::Ready(output) = this.future.poll(cx) {
            return Poll::Ready(Ok(output));
        }
        ready!(Pin::new(this.sleep).poll(cx));
        Poll::Ready(Err(Elapsed(())))
    }
}

/// A deadline came first.
///
/// # Examples
///
/// ```
/// use glassfrog::time::timeout;
/// use std::io;
/// use std::time::Duration;
///
/// glassfrog::block_on(async {
///     let elapsed = timeout(Duration::ZERO, std::future::pending::<()>()).await.unwrap_err();
///     assert_eq!(elapsed.to_string(), "deadline has elapsed");
///     assert_eq!(io::Error::from(elapsed).kind(), io::ErrorKind::TimedOut);
/// });
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Elapsed(());

impl fmt::Display for Elapsed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("deadline has elapsed")
    }
}

impl Error for Elapsed {}

impl From<Elapsed> for io::Error {
    fn from(elapsed: Elapsed) -> io::Error {
        io::Error::new(io::ErrorKind::TimedOut, elapsed)
    }
}

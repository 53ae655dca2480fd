//! [`timeout`] and [`timeout_at`]: limit the time that a future may take.

use super::sleep::{Sleep, sleep, sleep_until};
use pin_project_lite::pin_project;
use std::error::Error;
use std::fmt;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

/// Requires a future to complete before `duration` has elapsed, counted from this call.
///
/// Each poll polls the future first. If the future is ready, its output is returned even if the deadline has
/// passed. If it is ready in the first poll, no timer is registered.
///
/// # Loops
///
/// A timeout around one operation cancels that operation and does not end a loop around it. To end a loop at a
/// deadline, put the loop into the timeout:
///
/// ```
/// use glassfrog::net::{TcpListener, TcpStream};
/// use glassfrog::time::timeout;
/// use std::io;
/// use std::time::Duration;
///
/// /// Counts the bytes that arrive within `limit`.
/// async fn count_for(limit: Duration, stream: &TcpStream) -> io::Result<u64> {
///     let (mut count, mut buffer) = (0, [0; 4096]);
///     let counting = timeout(limit, async {
///         loop {
///             match stream.read(&mut buffer).await? {
///                 0 => return io::Result::Ok(()),
///                 bytes => count += bytes as u64,
///             }
///         }
///     });
///     // After the deadline, the count so far is the result.
///     counting.await.unwrap_or(Ok(()))?;
///     Ok(count)
/// }
/// # glassfrog::block_on(async {
/// #     let listener = TcpListener::bind("127.0.0.1:0").await?;
/// #     let client = TcpStream::connect(listener.local_addr()?).await?;
/// #     let (server, _) = listener.accept().await?;
/// #     assert_eq!(client.write(b"hello").await?, 5);
/// #     assert_eq!(count_for(Duration::from_millis(20), &server).await?, 5);
/// #     io::Result::Ok(())
/// # }).unwrap();
/// ```
///
/// # Errors
///
/// Returns [`Elapsed`] if the deadline passes first. It converts into an [`io::Error`] of the kind
/// [`TimedOut`](io::ErrorKind::TimedOut), so `timeout(…).await??` works in a function that returns an
/// [`io::Result`].
///
/// # Panics
///
/// Panics outside a runtime.
///
/// # Cancel safety
///
/// The timeout owns the future. Dropping the timeout drops the future, even after the deadline has passed.
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

/// Requires a future to complete before `deadline`.
///
/// If the deadline has already passed, the future is polled once, and once more if it is woken within one turn
/// of the loop.
///
/// # Loops
///
/// As with [`timeout`], an output that is ready is returned even after the deadline. A loop with a `timeout_at`
/// around each operation therefore continues after the deadline as long as each operation completes in its first
/// poll or within one turn of the loop. If each completes in its first poll, the loop ends at most 128 operations
/// after the deadline, when the task has [spent its budget](crate::task#fairness): from then on, the timeout does
/// not wait for a turn of the loop. To end any loop at its deadline, put the whole loop into one `timeout_at`.
///
/// # Errors
///
/// Returns [`Elapsed`] if the deadline passes first; see [`timeout`].
///
/// # Panics
///
/// Panics outside a runtime.
///
/// # Cancel safety
///
/// The timeout owns the future. Dropping the timeout drops the future, even after the deadline has passed.
///
/// # Examples
///
/// ```
/// use glassfrog::time::{now, timeout_at};
/// use std::time::Duration;
///
/// glassfrog::block_on(async {
///     // One deadline for all steps.
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
    /// ```
    /// use glassfrog::time::{Timeout, timeout};
    /// use std::future::{Ready, ready};
    /// use std::time::Duration;
    ///
    /// glassfrog::block_on(async {
    ///     let limited: Timeout<Ready<i32>> = timeout(Duration::from_secs(60), ready(42));
    ///     assert_eq!(limited.await, Ok(42));
    /// });
    /// ```
    #[derive(Debug)]
    #[must_use = "futures do nothing unless you `.await` or poll them"]
    pub struct Timeout<F> {
        // The future with the time limit.
        #[pin]
        future: F,
        // The sleep until the deadline.
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

/// The error of [`timeout`] and [`timeout_at`]: the deadline passed before the future completed.
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

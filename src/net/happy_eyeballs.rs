//! [`connect_any`]: connects to the first of several addresses that accepts, with staggered attempts as
//! specified by RFC 8305, "Happy Eyeballs Version 2".
//!
//! ```text
//!    attempt 1   |=========================  no answer
//!    attempt 2   |     250 ms    |====x        refused: the next attempt starts at once
//!    attempt 3   |                    |===o    connected: attempt 1 is closed
//! ```

use super::addrs::Addrs;
use super::error::with_context;
use crate::event_loop::Shared;
use crate::time::sleep::Sleep;
use std::collections::VecDeque;
use std::error::Error;
use std::fmt;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

/// The delay from the start of one attempt to the start of the next, unless one fails earlier: the value
/// that section 8 of the RFC recommends.
const CONNECTION_ATTEMPT_DELAY: Duration = Duration::from_millis(250);

/// Connects to the first of several addresses that accepts.
pub(super) async fn connect_any<T, F>(
    addrs: Addrs,
    shared: &Arc<Shared>,
    connect: impl Fn(SocketAddr) -> F,
) -> io::Result<T>
where
    F: Future<Output = io::Result<T>>,
{
    let mut waiting = interleave_families(addrs);
    let mut attempts = Attempts {
        running: Vec::new(),
        failed: Vec::new(),
    };
    while let Some(addr) = waiting.pop_front() {
        attempts.running.push((addr, Box::pin(connect(addr))));
        let deadline = shared.clock.now() + CONNECTION_ATTEMPT_DELAY;
        let mut delay = Sleep::new(Arc::clone(shared), deadline, None);
        let connected = poll_fn(|cx| {
            let polled = attempts.poll(cx, waiting.is_empty());
            if polled.is_pending() && !waiting.is_empty() {
                // If the runtime has ended, the next attempt fails by itself.
                return delay.poll_deadline(cx).map(|_| None);
            }
            polled
        });
        if let Some(stream) = connected.await {
            return Ok(stream);
        }
    }
    Err(all_failed(attempts.failed))
}

/// The attempts to connect.
struct Attempts<F> {
    /// The running attempts, with their addresses.
    running: Vec<(SocketAddr, Pin<Box<F>>)>,
    /// The errors of the failed attempts, in the order in which they failed.
    failed: Vec<io::Error>,
}

impl<T, F> Attempts<F>
where
    F: Future<Output = io::Result<T>>,
{
    /// Polls all running attempts. Returns the first connection, or `None` if another attempt should start
    /// because one has failed, or if no attempt is left.
    fn poll(&mut self, cx: &mut Context<'_>, all_started: bool) -> Poll<Option<T>> {
        let failed_before = self.failed.len();
        let mut index = 0;
        while let Some((addr, attempt)) = self.running.get_mut(index) {
            match attempt.as_mut().poll(cx) {
                Poll::Ready(Ok(connected)) => return Poll::Ready(Some(connected)),
                Poll::Ready(Err(error)) => {
                    self.failed.push(with_context("connect to", *addr, error));
                    // This closes the socket.
                    drop(self.running.remove(index));
                }
                Poll::Pending => index += 1,
            }
        }
        let another = self.failed.len() > failed_before && !all_started;
        match another || self.running.is_empty() {
            true => Poll::Ready(None),
            false => Poll::Pending,
        }
    }
}

/// Alternates between the two address families, starting with the family of the first address: section 4
/// of the RFC, with a "First Address Family Count" of one. The order within a family stays the same.
fn interleave_families(addrs: impl Iterator<Item = SocketAddr>) -> VecDeque<SocketAddr> {
    let mut addrs = addrs.peekable();
    let first_is_v6 = addrs.peek().is_some_and(SocketAddr::is_ipv6);
    let (mut first, mut second): (VecDeque<_>, VecDeque<_>) =
        addrs.partition(|addr| addr.is_ipv6() == first_is_v6);
    let mut interleaved = VecDeque::with_capacity(first.len() + second.len());
    while !(first.is_empty() && second.is_empty()) {
        interleaved.extend(first.pop_front());
        interleaved.extend(second.pop_front());
    }
    interleaved
}

/// The error of a connect of which all attempts have failed.
struct AllFailed {
    /// The error of each attempt, in the order in which they failed.
    errors: Vec<io::Error>,
}

/// Combines the errors of all attempts into one of the kind of the last.
fn all_failed(mut errors: Vec<io::Error>) -> io::Error {
    match errors.pop() {
        None => io::Error::new(io::ErrorKind::InvalidInput, "no address to connect to"),
        Some(only) if errors.is_empty() => only,
        Some(last) => {
            let kind = last.kind();
            errors.push(last);
            io::Error::new(kind, AllFailed { errors })
        }
    }
}

impl fmt::Display for AllFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.errors.iter().enumerate() {
            let separator = if index == 0 { "" } else { "; " };
            write!(f, "{separator}{error}")?;
        }
        Ok(())
    }
}

impl Error for AllFailed {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.errors.last()?.source()
    }
}

/// Prints one line, for `main` functions that return the error.
impl fmt::Debug for AllFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.to_string())
    }
}

//! Connecting to several addresses at once, a little apart from one another: RFC 8305, "Happy
//! Eyeballs Version 2".
//!
//! ```text
//!    attempt 1   |=========================  (a black hole)
//!    attempt 2   |     250 ms    |====x        refused: the next begins at once
//!    attempt 3   |                    |===o    connected: attempt 1 is closed
//! ```

use super::addrs::Addrs;
use super::socket::attempted;
use crate::runtime::Shared;
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

/// How long after an attempt the next one begins, unless one has failed before: the "Connection
/// Attempt Delay" that section 8 of the RFC recommends.
const DELAY: Duration = Duration::from_millis(250);

/// Connects to the first of these addresses that accepts.
pub(super) async fn race<T, F>(
    addrs: Addrs,
    shared: &Arc<Shared>,
    connect: impl Fn(SocketAddr) -> F,
) -> io::Result<T>
where
    F: Future<Output = io::Result<T>>,
{
    let mut waiting = take_turns(addrs);
    let mut attempts = Attempts {
        running: Vec::new(),
        failed: Vec::new(),
    };
    while let Some(addr) = waiting.pop_front() {
        attempts.running.push((addr, Box::pin(connect(addr))));
        let mut delay = Sleep::new(Arc::clone(shared), shared.clock.now() + DELAY);
        let connected = poll_fn(|cx| {
            let polled = attempts.poll(cx, waiting.is_empty());
            if polled.is_pending() && !waiting.is_empty() {
                // Or, once the runtime has ended, the next attempt fails by itself.
                return delay.poll_end(cx).map(|_| None);
            }
            polled
        });
        if let Some(stream) = connected.await {
            return Ok(stream);
        }
    }
    Err(all_failed(attempts.failed))
}

/// The attempts of one race.
struct Attempts<F> {
    /// Those that have not ended, with their addresses.
    running: Vec<(SocketAddr, Pin<Box<F>>)>,
    /// The errors of the others, in the order in which they came.
    failed: Vec<io::Error>,
}

impl<T, F> Attempts<F>
where
    F: Future<Output = io::Result<T>>,
{
    /// Polls all that run. It is ready with the first connection, and with `None` if another attempt
    /// is to begin because one has failed, or none is left.
    fn poll(&mut self, cx: &mut Context<'_>, are_all: bool) -> Poll<Option<T>> {
        let failed_before = self.failed.len();
        let mut index = 0;
        while let Some((addr, attempt)) = self.running.get_mut(index) {
            match attempt.as_mut().poll(cx) {
                Poll::Ready(Ok(connected)) => return Poll::Ready(Some(connected)),
                Poll::Ready(Err(error)) => {
                    self.failed.push(attempted("connect to", *addr, error));
                    // The attempt is closed.
                    drop(self.running.remove(index));
                }
                Poll::Pending => index += 1,
            }
        }
        let another = self.failed.len() > failed_before && !are_all;
        match another || self.running.is_empty() {
            true => Poll::Ready(None),
            false => Poll::Pending,
        }
    }
}

/// Lets the two families of addresses take turns, beginning with that of the first: section 4 of the
/// RFC, with a "First Address Family Count" of one. Within a family the order stays.
fn take_turns(addrs: impl Iterator<Item = SocketAddr>) -> VecDeque<SocketAddr> {
    let mut addrs = addrs.peekable();
    let first_is_v6 = addrs.peek().is_some_and(SocketAddr::is_ipv6);
    let (mut ours, mut others): (VecDeque<_>, VecDeque<_>) =
        addrs.partition(|addr| addr.is_ipv6() == first_is_v6);
    let mut turns = VecDeque::with_capacity(ours.len() + others.len());
    while !(ours.is_empty() && others.is_empty()) {
        turns.extend(ours.pop_front());
        turns.extend(others.pop_front());
    }
    turns
}

/// Why none of several addresses could be connected to.
struct AllFailed {
    /// What came of each, in the order in which they failed.
    errors: Vec<io::Error>,
}

/// One error for those of all attempts, with the kind of the last; or that there was none.
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

/// One line, for `main` functions that return the error.
impl fmt::Debug for AllFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.to_string())
    }
}

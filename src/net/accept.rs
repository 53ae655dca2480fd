//! [`Accept`]: how TCP and Unix listeners accept connections, and what they do about errors.

use super::socket::Socket;
use crate::foreign::swallow_panics;
use crate::reactor::Io;
use crate::reactor::platform::{AsRaw, Conclusion};
use crate::reactor::proc_net::Connecting;
use crate::reactor::readiness::Direction;
use crate::reactor::refusal::runtime_ended;
use crate::reactor::source::InitialState;
use crate::reactor::waiters::WaiterKey;
use crate::time::sleep::{RuntimeEnded, Sleep};
use std::fmt;
use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

/// The delay before a listener retries after it could not accept for lack of descriptors or memory. No event reports
/// when they become available, so the listener has to retry. The delay is too short for a person to notice, and long
/// enough for the retries to cost next to nothing.
const ACCEPT_BACKOFF: Duration = Duration::from_millis(50);

/// Accepts one connection after another, of the type `S` from peers with addresses of the type `A`. Dropping it
/// removes its waiter.
pub(super) struct Accept<'a, L: AsRaw + Io, S, A> {
    /// The listener.
    socket: &'a Socket<L>,
    /// Whether the last attempt to accept failed for lack of resources, which has been logged.
    starved: &'a AtomicBool,
    /// Accepts a connection without waiting.
    accept: fn(&L) -> io::Result<(S, A)>,
    /// The key of the waiter.
    key: WaiterKey,
    /// How long to back off before the next attempt, if the last one failed for lack of resources.
    backoff: Option<Sleep>,
}

impl<'a, L, S, A> Accept<'a, L, S, A>
where
    L: AsRaw + Io,
    S: AsRaw + mio::event::Source + Io + 'static,
{
    /// Creates an accept operation that is not waiting yet.
    pub(super) fn new(
        socket: &'a Socket<L>,
        starved: &'a AtomicBool,
        accept: fn(&L) -> io::Result<(S, A)>,
    ) -> Accept<'a, L, S, A> {
        Accept {
            socket,
            starved,
            accept,
            key: None,
            backoff: None,
        }
    }

    /// Accepts the next connection.
    pub(super) async fn next(mut self) -> io::Result<(Socket<S>, A)> {
        poll_fn(|cx| self.poll(cx)).await
    }

    /// Accepts the next connection.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<(Socket<S>, A)>> {
        loop {
            if let Some(backoff) = &mut self.backoff {
                ready!(backoff.poll_deadline(cx)).map_err(|RuntimeEnded| runtime_ended())?;
                self.backoff = None;
            }
            let accept = self.accept;
            let accepted = ready!(self.socket.poll_keyed(
                Direction::Read,
                &mut self.key,
                cx,
                |io, _| Ok((accept(io)?, Conclusion::Nothing))
            ));
            if let Some(accepted) = self.finish(accepted) {
                return Poll::Ready(accepted);
            }
        }
    }

    /// Registers an accepted connection. Returns `None` if the caller should retry, after the backoff if there
    /// is one.
    fn finish(&mut self, accepted: io::Result<(S, A)>) -> Option<io::Result<(Socket<S>, A)>> {
        let shared = self.socket.shared();
        let accepted = accepted.and_then(|(io, peer)| {
            let socket = Socket::new(Arc::clone(shared), io, InitialState::Open)?;
            Ok((socket, peer))
        });
        match accepted {
            Ok(accepted) => {
                self.starved.store(false, Ordering::Relaxed);
                Some(Ok(accepted))
            }
            Err(error) if is_peer_error(&error) => None,
            Err(error) if is_transient(&error) => {
                // Relaxed is enough: the flag guards no memory, and `swap` lets one thread log the error.
                if !self.starved.swap(true, Ordering::Relaxed) {
                    swallow_panics(|| {
                        let io = self.socket.io();
                        let what = io.describe(Direction::Read, &Connecting::unknown());
                        log::error!(
                            target: "glassfrog::net",
                            "cannot {what}, retrying every {ACCEPT_BACKOFF:?}: {error}"
                        );
                    });
                }
                let deadline = shared.clock.now() + ACCEPT_BACKOFF;
                self.backoff = Some(Sleep::new(Arc::clone(shared), deadline, None));
                None
            }
            Err(error) => Some(Err(error)),
        }
    }
}

impl<L: AsRaw + Io, S, A> Drop for Accept<'_, L, S, A> {
    fn drop(&mut self) {
        self.socket.remove_waiter(Direction::Read, &mut self.key);
    }
}

impl<L: AsRaw + Io, S, A> fmt::Debug for Accept<'_, L, S, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.socket.fmt(f)
    }
}

/// Returns whether an error of `accept` concerns only the connection that it would have returned. That connection is
/// lost.
///
/// Linux reports network errors of the new connection as errors of `accept(2)`; see "Error handling" there.
fn is_peer_error(error: &io::Error) -> bool {
    /// Errors of Linux that have no `ErrorKind`: `ENONET`, `EPROTO`, `ENOPROTOOPT`, `EHOSTDOWN`. On no
    /// platform do these numbers mean anything else as an error of `accept`.
    const NETWORK_ERRORS: [i32; 4] = [64, 71, 92, 112];
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::HostUnreachable
            | io::ErrorKind::NetworkDown
            | io::ErrorKind::NetworkUnreachable
            | io::ErrorKind::TimedOut
    ) || has_os_code(error, &NETWORK_ERRORS)
}

/// Returns whether an error of `accept`, or of the registration that follows, may be temporary: the process
/// or the machine is out of some resource, or a firewall forbids the connection.
fn is_transient(error: &io::Error) -> bool {
    /// Errors that have no `ErrorKind`: `ENFILE` and `EMFILE` of every Unix, `ENOBUFS` of Linux and of the
    /// BSDs, `WSAEMFILE` and `WSAENOBUFS` of Windows. On no platform do these numbers mean anything else as
    /// an error of `accept`.
    const OUT_OF_RESOURCES: [i32; 6] = [23, 24, 105, 55, 10024, 10055];
    matches!(
        error.kind(),
        io::ErrorKind::OutOfMemory
            // `ENOSPC` of `epoll_ctl(2)`: too many registrations.
            | io::ErrorKind::StorageFull
            | io::ErrorKind::PermissionDenied
    ) || has_os_code(error, &OUT_OF_RESOURCES)
}

/// Returns whether an error has one of these codes of the operating system.
fn has_os_code(error: &io::Error, codes: &[i32]) -> bool {
    error
        .raw_os_error()
        .is_some_and(|code| codes.contains(&code))
}

//! [`TcpListener`]: a socket that accepts TCP connections.

use super::stream::TcpStream;
use crate::context;
use crate::foreign::swallow_panics;
use crate::net::addrs::ToSocketAddrs;
use crate::net::adopt::{Inspect, describe_non_tcp, std_conversions};
use crate::net::error::with_context;
use crate::net::resolve::resolve;
use crate::net::socket::Socket;
use crate::reactor::Io;
use crate::reactor::platform::Conclusion;
use crate::reactor::proc_net::Connecting;
use crate::reactor::readiness::Direction;
use crate::reactor::refusal::runtime_ended;
use crate::reactor::source::InitialState;
use crate::reactor::waiters::WaiterKey;
use crate::time::sleep::{RuntimeEnded, Sleep};
use futures_core::Stream;
use std::fmt;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

/// The delay before a listener retries after it could not accept for lack of descriptors or memory. No event
/// reports when they become available, so the listener has to retry: often enough that a person does not
/// notice the delay, rarely enough to cost next to nothing.
const ACCEPT_BACKOFF: Duration = Duration::from_millis(50);

/// The async counterpart of [`std::net::TcpListener`]: a TCP socket server, listening for connections.
///
/// # Examples
///
/// ```
/// use glassfrog::net::{TcpListener, TcpStream};
///
/// glassfrog::block_on(async {
///     let listener = TcpListener::bind("127.0.0.1:0").await?;
///     let addr = listener.local_addr()?;
///     let client = glassfrog::spawn(async move { TcpStream::connect(addr).await });
///     let (stream, peer) = listener.accept().await?;
///     assert_eq!(stream.peer_addr()?, peer);
///     client.await??;
///     std::io::Result::Ok(())
/// })?;
/// # std::io::Result::Ok(())
/// ```
pub struct TcpListener {
    /// The registered socket.
    pub(in crate::net) socket: Socket<mio::net::TcpListener>,
    /// Whether the last attempt to accept failed for lack of resources, and that has been logged.
    starved: AtomicBool,
}

impl TcpListener {
    /// Creates a listener that is bound to the specified address.
    ///
    /// If `addr` yields several addresses, they are tried in turn until one of them succeeds. With port 0 the
    /// operating system assigns a port, which [`local_addr`](TcpListener::local_addr) returns.
    ///
    /// On Unix this sets `SO_REUSEADDR`, so a server can be restarted while connections of its predecessor
    /// linger. The backlog is 128 connections, as with `std`. For a larger one, see [socket
    /// options](crate::net#socket-options).
    ///
    /// # Errors
    ///
    /// If no address succeeds, returns the error of the last attempt, with the address in its text. If a
    /// host name cannot be resolved, returns the error of the resolver, with the name. The kind is
    /// `InvalidInput` if `addr` is neither an address nor a host name.
    ///
    /// # Panics
    ///
    /// Panics outside a runtime.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future abandons the lookup, and closes the socket if there is one.
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::net::TcpListener;
    ///
    /// glassfrog::block_on(async {
    ///     let listener = TcpListener::bind("127.0.0.1:0").await?;
    ///     let taken = TcpListener::bind(listener.local_addr()?).await.unwrap_err();
    ///     assert_eq!(taken.kind(), std::io::ErrorKind::AddrInUse);
    ///     std::io::Result::Ok(())
    /// })?;
    /// # std::io::Result::Ok(())
    /// ```
    pub async fn bind<A: ToSocketAddrs>(addr: A) -> io::Result<TcpListener> {
        let shared = context::shared();
        let mut failed = None;
        for addr in resolve(addr.target()?, &shared).await? {
            let bound = mio::net::TcpListener::bind(addr)
                .and_then(|io| Socket::new(Arc::clone(&shared), io, InitialState::Created));
            match bound {
                Ok(socket) => return Ok(TcpListener::new(socket)),
                Err(error) => failed = Some(with_context("bind to", addr, error)),
            }
        }
        Err(failed.unwrap_or_else(|| {
            io::Error::new(io::ErrorKind::InvalidInput, "no address to bind to")
        }))
    }

    /// Creates a listener from a registered socket.
    fn new(socket: Socket<mio::net::TcpListener>) -> TcpListener {
        TcpListener {
            socket,
            starved: AtomicBool::new(false),
        }
    }

    /// Accepts a new connection, waiting until there is one.
    ///
    /// Returns the connection and the address of the peer. Connections that the peer has aborted while they
    /// waited in the backlog are skipped. If the process is out of descriptors or memory, or a firewall
    /// forbids the connection, the listener logs one error and retries every 50 ms. Until it succeeds,
    /// connections stay in the backlog.
    ///
    /// Several tasks may wait for a connection. Each connection wakes all of them and goes to one, so its
    /// cost is linear in their number. To avoid that cost, accept in one task, and spawn a task for each
    /// connection.
    ///
    /// # Errors
    ///
    /// Returns an error if the runtime has ended, or if `accept(2)` fails for good.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped before it is ready, no connection has been accepted.
    ///
    /// # Examples
    ///
    /// ```
    /// # use glassfrog::net::{TcpListener, TcpStream};
    /// # glassfrog::block_on(async {
    /// let listener = TcpListener::bind("127.0.0.1:0").await?;
    /// let client = TcpStream::connect(listener.local_addr()?).await?;
    /// let (stream, peer) = listener.accept().await?;
    /// assert_eq!(peer, client.local_addr()?);
    /// # drop(stream);
    /// # std::io::Result::Ok(())
    /// # })?;
    /// # std::io::Result::Ok(())
    /// ```
    pub async fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        let mut accept = Accept::new(self);
        poll_fn(|cx| accept.poll(cx)).await
    }

    /// Returns a stream of the connections to this listener.
    ///
    /// The stream never ends. Polling it is equivalent to calling [`accept`](TcpListener::accept) in a loop.
    ///
    /// # Examples
    ///
    #[cfg_attr(feature = "prelude", doc = "```")]
    #[cfg_attr(not(feature = "prelude"), doc = "```ignore")]
    /// use glassfrog::net::{TcpListener, TcpStream};
    /// use glassfrog::prelude::*;
    ///
    /// glassfrog::block_on(async {
    ///     let listener = TcpListener::bind("127.0.0.1:0").await?;
    ///     let client = TcpStream::connect(listener.local_addr()?).await?;
    ///     let mut incoming = listener.incoming();
    ///     while let Some(stream) = incoming.next().await {
    ///         assert_eq!(stream?.peer_addr()?, client.local_addr()?);
    ///         # break
    ///     }
    ///     std::io::Result::Ok(())
    /// })?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn incoming(&self) -> Incoming<'_> {
        Incoming {
            accept: Accept::new(self),
        }
    }

    /// Converts an accepted connection to a stream. Returns `None` if the caller should retry, after the
    /// backoff if there is one.
    fn finish_accept(
        &self,
        accepted: io::Result<(mio::net::TcpStream, SocketAddr)>,
        backoff: &mut Option<Sleep>,
    ) -> Option<io::Result<(TcpStream, SocketAddr)>> {
        let shared = self.socket.shared();
        let accepted = accepted
            .and_then(|(io, peer)| Ok((TcpStream::accepted(Arc::clone(shared), io)?, peer)));
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
                        log::error!(
                            target: "glassfrog::net",
                            "{} cannot accept connections, retrying every {ACCEPT_BACKOFF:?}: {error}",
                            self.name()
                        );
                    });
                }
                let deadline = shared.clock.now() + ACCEPT_BACKOFF;
                *backoff = Some(Sleep::new(Arc::clone(shared), deadline));
                None
            }
            Err(error) => Some(Err(error)),
        }
    }

    /// Returns the listener's name in the log.
    fn name(&self) -> String {
        match self.local_addr() {
            Ok(addr) => addr.to_string(),
            Err(_) => String::from("a TCP listener"),
        }
    }

    /// Returns the local socket address of this listener.
    ///
    /// # Errors
    ///
    /// Returns the error of `getsockname(2)`.
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::net::TcpListener;
    ///
    /// glassfrog::block_on(async {
    ///     let listener = TcpListener::bind("127.0.0.1:0").await?;
    ///     assert_ne!(listener.local_addr()?.port(), 0);
    ///     std::io::Result::Ok(())
    /// })?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.io().local_addr()
    }

    /// Gets the value of the `IP_TTL` option for this socket, which accepted connections inherit.
    ///
    /// # Errors
    ///
    /// Returns the error of `getsockopt(2)`.
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::net::TcpListener;
    ///
    /// glassfrog::block_on(async {
    ///     let listener = TcpListener::bind("127.0.0.1:0").await?;
    ///     listener.set_ttl(5)?;
    ///     assert_eq!(listener.ttl()?, 5);
    ///     std::io::Result::Ok(())
    /// })?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn ttl(&self) -> io::Result<u32> {
        self.socket.io().ttl()
    }

    /// Sets the value of the `IP_TTL` option for this socket: how many hops a packet may take. Accepted
    /// connections inherit it.
    ///
    /// # Errors
    ///
    /// Returns the error of `setsockopt(2)`.
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::net::TcpListener;
    ///
    /// glassfrog::block_on(async {
    ///     let listener = TcpListener::bind("127.0.0.1:0").await?;
    ///     listener.set_ttl(64)
    /// })?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn set_ttl(&self, ttl: u32) -> io::Result<()> {
        self.socket.io().set_ttl(ttl)
    }
}

/// Returns whether an error of `accept` concerns only the connection that would have been accepted. That
/// connection is gone.
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

/// An operation that accepts one connection after another. Dropping it removes its waiter.
struct Accept<'a> {
    /// The listener.
    listener: &'a TcpListener,
    /// The key of the waiter.
    key: WaiterKey,
    /// How long to back off before the next attempt, if the last one failed for lack of resources.
    backoff: Option<Sleep>,
}

impl<'a> Accept<'a> {
    /// Creates an accept operation that is not waiting yet.
    fn new(listener: &'a TcpListener) -> Accept<'a> {
        Accept {
            listener,
            key: None,
            backoff: None,
        }
    }

    /// Accepts the next connection.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<(TcpStream, SocketAddr)>> {
        let socket = &self.listener.socket;
        loop {
            if let Some(backoff) = &mut self.backoff {
                ready!(backoff.poll_deadline(cx)).map_err(|RuntimeEnded| runtime_ended())?;
                self.backoff = None;
            }
            let accepted = ready!(socket.poll_keyed(
                Direction::Read,
                &mut self.key,
                cx,
                |io, _| Ok((io.accept()?, Conclusion::Nothing))
            ));
            if let Some(accepted) = self.listener.finish_accept(accepted, &mut self.backoff) {
                return Poll::Ready(accepted);
            }
        }
    }
}

impl Drop for Accept<'_> {
    fn drop(&mut self) {
        self.listener
            .socket
            .remove_waiter(Direction::Read, &mut self.key);
    }
}

/// The stream of connections that [`TcpListener::incoming`] returns. It never ends.
///
/// # Cancel safety
///
/// Dropping the stream, or a future that waits for its next item, loses no connection.
///
/// # Examples
///
/// ```
/// use glassfrog::net::TcpListener;
///
/// glassfrog::block_on(async {
///     let listener = TcpListener::bind("127.0.0.1:0").await?;
///     println!("{:?}", listener.incoming());
///     std::io::Result::Ok(())
/// })?;
/// # std::io::Result::Ok(())
/// ```
#[must_use = "streams do nothing unless polled"]
pub struct Incoming<'a> {
    /// Accepts the next connection.
    accept: Accept<'a>,
}

impl Stream for Incoming<'_> {
    type Item = io::Result<TcpStream>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let accepted = ready!(self.accept.poll(cx));
        Poll::Ready(Some(accepted.map(|(stream, _)| stream)))
    }
}

impl fmt::Debug for Incoming<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Incoming")
            .field(self.accept.listener)
            .finish()
    }
}

std_conversions!(std::net::TcpListener);

impl Io for mio::net::TcpListener {
    fn describe(&self, _direction: Direction, _connecting: &Connecting) -> String {
        let local = self.local_addr();
        if let Some(other) = describe_non_tcp(self, &self.nodelay(), &local) {
            return format!("accept {other}");
        }
        match local {
            Ok(local) => format!("accept tcp {local}"),
            Err(error) => format!("accept tcp (closed: {error})"),
        }
    }
}

impl fmt::Debug for TcpListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TcpListener").field(&self.socket).finish()
    }
}

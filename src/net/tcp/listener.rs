//! [`TcpListener`]: a socket that takes connections.

use super::stream::TcpStream;
use crate::context;
use crate::net::addrs::ToSocketAddrs;
use crate::net::resolve::resolve;
use crate::net::socket::{Foreign, Socket, attempted, other_than_tcp, unblocked};
use crate::reactor::Io;
use crate::reactor::platform::Lesson;
use crate::reactor::proc_net::Connecting;
use crate::reactor::readiness::Direction;
use crate::reactor::source::{Origin, runtime_ended};
use crate::reactor::waiters::Seat;
use crate::time::sleep::{Ended, Sleep};
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

/// How long a listener that cannot accept for want of descriptors or memory waits before it tries
/// again. Nobody tells when there are some again, so it has to ask: often enough for a person not
/// to notice, rarely enough to cost nothing.
const STARVED_PAUSE: Duration = Duration::from_millis(50);

/// A TCP socket that takes connections, as [`std::net::TcpListener`], and waits without blocking.
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
    /// Whether the last attempt to accept failed for want of something, and it was logged.
    starved: AtomicBool,
}

impl TcpListener {
    /// Listens at the first of these addresses that can be bound to. Port 0 lets the operating
    /// system choose one; [`local_addr`](TcpListener::local_addr) says which.
    ///
    /// On Unix `SO_REUSEADDR` is set, so that a server can be started again while connections of
    /// the last one linger. Up to 128 connections wait to be accepted, as with `std`; the [recipe
    /// for socket options](crate::net#socket-options) shows how to have more.
    ///
    /// # Errors
    ///
    /// That of the last address that was tried, with that address in its text; that of the resolver
    /// for a name, with the name; `InvalidInput` for what is neither.
    ///
    /// # Panics
    ///
    /// Outside a runtime.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future gives the look-up up, and closes what it has bound.
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
        let shared = Arc::clone(&context::current().shared);
        let mut failed = None;
        for addr in resolve(addr.target()?, &shared).await? {
            let bound = mio::net::TcpListener::bind(addr)
                .and_then(|io| Socket::new(Arc::clone(&shared), io, Origin::Created));
            match bound {
                Ok(socket) => return Ok(TcpListener::new(socket)),
                Err(error) => failed = Some(attempted("bind to", addr, error)),
            }
        }
        Err(failed.unwrap_or_else(|| {
            io::Error::new(io::ErrorKind::InvalidInput, "no address to bind to")
        }))
    }

    /// A listener on a registered socket.
    fn new(socket: Socket<mio::net::TcpListener>) -> TcpListener {
        TcpListener {
            socket,
            starved: AtomicBool::new(false),
        }
    }

    /// Adopts a listener where no error can be returned.
    #[track_caller]
    pub(in crate::net) fn adopt(listener: std::net::TcpListener) -> TcpListener {
        unblocked("a TCP listener", listener.set_nonblocking(true));
        let addr = listener.local_addr();
        let io = mio::net::TcpListener::from_std(listener);
        TcpListener::new(Socket::adopt(io, &addr))
    }

    /// Takes a connection, waiting for one.
    ///
    /// A connection that was broken off while it waited is passed over. If the process has no
    /// descriptors or memory left (or a firewall interferes), this is logged once, connections stay
    /// in the backlog, and it is tried again every 50 ms until it goes on.
    ///
    /// Several tasks may wait for a connection. A connection wakes all of them and goes to one, so its
    /// cost is linear in their number. To avoid that, let one task accept, and spawn a task for each
    /// connection.
    ///
    /// # Errors
    ///
    /// If the runtime has ended, and those of `accept(2)` that will not pass.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped before it is ready, no connection has been taken.
    ///
    /// # Examples
    ///
    /// See [`TcpListener`].
    pub async fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        let mut accepting = Accepting::new(self);
        poll_fn(|cx| accepting.poll(cx)).await
    }

    /// Connections, one after the other, for as long as there are any.
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
            accepting: Accepting::new(self),
        }
    }

    /// Makes a stream of what was accepted. `None`: try again, after the pause if there is one.
    fn settle(
        &self,
        accepted: io::Result<(mio::net::TcpStream, SocketAddr)>,
        pause: &mut Option<Sleep>,
    ) -> Option<io::Result<(TcpStream, SocketAddr)>> {
        let shared = self.socket.shared();
        let accepted = accepted
            .and_then(|(io, peer)| Ok((TcpStream::accepted(Arc::clone(shared), io)?, peer)));
        match accepted {
            Ok(accepted) => {
                self.starved.store(false, Ordering::Relaxed);
                Some(Ok(accepted))
            }
            Err(error) if concerns_the_peer(&error) => None,
            Err(error) if may_pass(&error) => {
                // Relaxed is enough: at worst two threads log the same.
                if !self.starved.swap(true, Ordering::Relaxed) {
                    log::error!(
                        target: "glassfrog::net",
                        "{} cannot accept, and tries again every {STARVED_PAUSE:?}: {error}",
                        self.name()
                    );
                }
                let deadline = shared.clock.now() + STARVED_PAUSE;
                *pause = Some(Sleep::new(Arc::clone(shared), deadline));
                None
            }
            Err(error) => Some(Err(error)),
        }
    }

    /// What the log calls it.
    fn name(&self) -> String {
        match self.local_addr() {
            Ok(addr) => addr.to_string(),
            Err(_) => String::from("a listener"),
        }
    }

    /// The address that it listens at.
    ///
    /// # Errors
    ///
    /// Those of `getsockname(2)`.
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

    /// How many hops the packets of connections to be accepted may take (`IP_TTL`).
    ///
    /// # Errors
    ///
    /// Those of `getsockopt(2)`.
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

    /// Sets how many hops the packets of connections to be accepted may take (`IP_TTL`).
    ///
    /// # Errors
    ///
    /// Those of `setsockopt(2)`.
    ///
    /// # Examples
    ///
    /// See [`ttl`](TcpListener::ttl).
    pub fn set_ttl(&self, ttl: u32) -> io::Result<()> {
        self.socket.io().set_ttl(ttl)
    }
}

/// Whether an error of `accept` is only about the connection that would have been accepted, which
/// is gone with it.
///
/// Linux passes on what the network has to say about it already (`accept(2)`, "Error handling").
fn concerns_the_peer(error: &io::Error) -> bool {
    /// What has no `ErrorKind`, of Linux: `ENONET`, `EPROTO`, `ENOPROTOOPT`, `EHOSTDOWN`. None of
    /// the numbers means anything else in an answer of `accept`, on any platform.
    const OF_THE_NETWORK: [i32; 4] = [64, 71, 92, 112];
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::HostUnreachable
            | io::ErrorKind::NetworkDown
            | io::ErrorKind::NetworkUnreachable
            | io::ErrorKind::TimedOut
    ) || is_one_of(error, &OF_THE_NETWORK)
}

/// Whether an error of `accept`, or of the registration after it, may pass: the process or the
/// machine has none left of something, or a firewall forbids the connection.
fn may_pass(error: &io::Error) -> bool {
    /// What has no `ErrorKind`: `ENFILE` and `EMFILE` of every Unix; `ENOBUFS` of Linux and of the
    /// BSDs; `WSAEMFILE` and `WSAENOBUFS` of Windows. None of the numbers means anything else in
    /// an answer of `accept`, on any platform.
    const OF_THE_PROCESS: [i32; 6] = [23, 24, 105, 55, 10024, 10055];
    matches!(
        error.kind(),
        io::ErrorKind::OutOfMemory
            // `ENOSPC` of `epoll_ctl(2)`: there are too many registrations.
            | io::ErrorKind::StorageFull
            | io::ErrorKind::PermissionDenied
    ) || is_one_of(error, &OF_THE_PROCESS)
}

/// Whether an error is one of the operating system's with one of these numbers.
fn is_one_of(error: &io::Error, numbers: &[i32]) -> bool {
    error
        .raw_os_error()
        .is_some_and(|number| numbers.contains(&number))
}

/// Taking connections, one after the other; gives up its seat among the waiters when dropped.
struct Accepting<'a> {
    /// Where they come in.
    listener: &'a TcpListener,
    /// Its seat, once it has had to wait.
    seat: Seat,
    /// What to wait for before the next attempt, if the last one found no room.
    pause: Option<Sleep>,
}

impl<'a> Accepting<'a> {
    /// Has not begun to wait.
    fn new(listener: &'a TcpListener) -> Accepting<'a> {
        Accepting {
            listener,
            seat: None,
            pause: None,
        }
    }

    /// Takes the next connection.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<(TcpStream, SocketAddr)>> {
        let socket = &self.listener.socket;
        loop {
            if let Some(pause) = &mut self.pause {
                ready!(pause.poll_end(cx)).map_err(|Ended| runtime_ended())?;
                self.pause = None;
            }
            let accepted = ready!(socket.poll_seated(
                Direction::Read,
                &mut self.seat,
                cx,
                |io, _| Ok((io.accept()?, Lesson::Nothing))
            ));
            if let Some(accepted) = self.listener.settle(accepted, &mut self.pause) {
                return Poll::Ready(accepted);
            }
        }
    }
}

impl Drop for Accepting<'_> {
    fn drop(&mut self) {
        self.listener.socket.leave(Direction::Read, &mut self.seat);
    }
}

/// The connections of a listener. It never ends.
///
/// # Cancel safety
///
/// Dropping it, or the future of its next connection, takes no connection.
///
/// # Examples
///
/// See [`TcpListener::incoming`].
#[must_use = "streams do nothing unless polled"]
pub struct Incoming<'a> {
    /// The one that is awaited.
    accepting: Accepting<'a>,
}

impl Stream for Incoming<'_> {
    type Item = io::Result<TcpStream>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let accepted = ready!(self.accepting.poll(cx));
        Poll::Ready(Some(accepted.map(|(stream, _)| stream)))
    }
}

impl fmt::Debug for Incoming<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Incoming")
            .field(self.accepting.listener)
            .finish()
    }
}

/// Adopts a listener into the runtime of this thread, and makes it non-blocking.
///
/// # Errors
///
/// If it cannot be registered with the reactor. `InvalidInput` for what is not a socket.
///
/// # Panics
///
/// Outside a runtime.
impl TryFrom<std::net::TcpListener> for TcpListener {
    type Error = io::Error;

    #[track_caller]
    fn try_from(listener: std::net::TcpListener) -> io::Result<TcpListener> {
        listener.set_nonblocking(true)?;
        let addr = listener.local_addr();
        let io = mio::net::TcpListener::from_std(listener);
        Ok(TcpListener::new(Socket::try_adopt(io, &addr)?))
    }
}

/// Takes a listener out of its runtime, and makes it blocking, as those of `std` are.
impl TryFrom<TcpListener> for std::net::TcpListener {
    type Error = io::Error;

    fn try_from(listener: TcpListener) -> io::Result<std::net::TcpListener> {
        let listener = std::net::TcpListener::from(listener.socket.into_io()?);
        listener.set_nonblocking(false)?;
        Ok(listener)
    }
}

impl Io for mio::net::TcpListener {
    fn describe(&self, _direction: Direction, _connecting: &Connecting) -> String {
        let local = self.local_addr();
        if let Some(other) = other_than_tcp(self, &self.nodelay(), &local) {
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

//! [`TcpListener`]: a socket that accepts TCP connections.

use super::stream::TcpStream;
use crate::net::accept::Accept;
use crate::net::addrs::ToSocketAddrs;
use crate::net::adopt::{Inspect, describe_non_tcp, std_conversions};
use crate::net::raw::{self, RawListener, RawStream};
use crate::net::socket::Socket;
use crate::net::with::read_with;
use crate::reactor::Io;
use crate::reactor::proc_net::Connecting;
use crate::reactor::readiness::Direction;
use crate::reactor::source::InitialState;
use futures_core::Stream;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::AtomicBool;
use std::task::{Context, Poll, ready};

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
    pub(in crate::net) socket: Socket<RawListener>,
    /// Whether the last attempt to accept failed for lack of resources, and that has been logged.
    starved: AtomicBool,
}

impl TcpListener {
    /// Creates a listener that is bound to the specified address.
    ///
    /// If `addr` yields multiple addresses, the method tries each of them until one succeeds. With port 0 the
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
    /// Dropping the future abandons the lookup, and closes the socket if it has been created.
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
        let socket = Socket::bind(addr.target()?, InitialState::Created, raw::listen).await?;
        Ok(TcpListener::new(socket))
    }

    /// Creates a listener from a registered socket.
    fn new(socket: Socket<RawListener>) -> TcpListener {
        TcpListener {
            socket,
            starved: AtomicBool::new(false),
        }
    }

    /// Accepts a new connection, waiting until one arrives.
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
    /// Returns an error if the runtime has ended, or if `accept(2)` fails permanently.
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
        let (socket, peer) = self.connections().next().await?;
        Ok((TcpStream::new(socket), peer))
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
            accept: self.connections(),
        }
    }

    read_with! {
        self => self, &TcpListener,
        /// ```
        /// use glassfrog::net::TcpListener;
        /// use socket2::SockRef;
        ///
        /// glassfrog::block_on(async {
        ///     let listener = TcpListener::bind("127.0.0.1:0").await?;
        ///     let client = std::net::TcpStream::connect(listener.local_addr()?)?;
        ///     let accept = |listener: &TcpListener| SockRef::from(listener).accept();
        ///     let (_socket, peer) = listener.read_with(accept).await?;
        ///     assert_eq!(peer.as_socket(), Some(client.local_addr()?));
        ///     std::io::Result::Ok(())
        /// })?;
        /// # std::io::Result::Ok(())
        /// ```
    }

    /// Returns an accept operation for this listener.
    fn connections(&self) -> Accept<'_, RawListener, RawStream, SocketAddr> {
        Accept::new(&self.socket, &self.starved, RawListener::accept)
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
    accept: Accept<'a, RawListener, RawStream, SocketAddr>,
}

impl Stream for Incoming<'_> {
    type Item = io::Result<TcpStream>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let accepted = ready!(self.accept.poll(cx));
        Poll::Ready(Some(accepted.map(|(socket, _)| TcpStream::new(socket))))
    }
}

impl fmt::Debug for Incoming<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Incoming").field(&self.accept).finish()
    }
}

std_conversions!(
    TcpListener,
    std::net::TcpListener,
    RawListener::from_std,
    raw::into_std,
    /// The kind is `Unsupported` if the socket is [simulated](crate::net#simulated-sockets).
);

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

//! [`UnixListener`]: a socket that accepts Unix connections.

use super::stream::UnixStream;
use super::{cannot_bind, ends, name, name_of_path};
use crate::context;
use crate::net::accept::Accept;
use crate::net::adopt::{Inspect, std_conversions};
use crate::net::socket::Socket;
use crate::net::with::read_with;
use crate::reactor::Io;
use crate::reactor::proc_net::Connecting;
use crate::reactor::readiness::Direction;
use crate::reactor::source::InitialState;
use futures_core::Stream;
use std::fmt;
use std::io;
use std::os::unix::net::SocketAddr;
use std::path::Path;
use std::pin::Pin;
use std::sync::atomic::AtomicBool;
use std::task::{Context, Poll, ready};

/// The async counterpart of [`std::os::unix::net::UnixListener`]: a Unix socket that listens for connections.
///
/// As in `std`, dropping the listener does not remove the socket file. To bind to the same path again, remove the
/// file first.
///
/// # Examples
///
/// ```
/// use glassfrog::net::{UnixListener, UnixStream};
///
/// # let path = std::env::temp_dir().join(format!("glassfrog-listener-{}", std::process::id()));
/// glassfrog::block_on(async {
///     let listener = UnixListener::bind(&path).await?;
///     let client = UnixStream::connect(&path).await?;
///     let (server, _) = listener.accept().await?;
///     client.write(b"hello").await?;
///     assert_eq!(server.read(&mut [0; 16]).await?, 5);
///     std::fs::remove_file(&path)
/// })?;
/// # std::io::Result::Ok(())
/// ```
pub struct UnixListener {
    /// The registered socket.
    pub(in crate::net) socket: Socket<mio::net::UnixListener>,
    /// Whether the last attempt to accept failed for lack of resources, which has been logged.
    starved: AtomicBool,
}

impl UnixListener {
    /// Creates a listener that is bound to the specified path, and creates the socket file.
    ///
    /// # Errors
    ///
    /// The text of the error contains the path. The kind is `AddrInUse` if the path exists, even if it is a socket
    /// file on which no process listens anymore, and `InvalidInput` if the path is too long or contains a zero byte.
    ///
    /// # Panics
    ///
    /// Panics outside a runtime.
    ///
    /// # Cancel safety
    ///
    /// The method never waits, so its future is ready at the first poll.
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::net::UnixListener;
    ///
    /// # let path = std::env::temp_dir().join(format!("glassfrog-bind-{}", std::process::id()));
    /// glassfrog::block_on(async {
    ///     drop(UnixListener::bind(&path).await?);
    ///     let stale = UnixListener::bind(&path).await.unwrap_err();
    ///     assert_eq!(stale.kind(), std::io::ErrorKind::AddrInUse);
    ///     std::fs::remove_file(&path)?;
    ///     UnixListener::bind(&path).await?;
    ///     std::fs::remove_file(&path)
    /// })?;
    /// # std::io::Result::Ok(())
    /// ```
    pub async fn bind<P: AsRef<Path>>(path: P) -> io::Result<UnixListener> {
        let path = path.as_ref();
        UnixListener::bound(mio::net::UnixListener::bind(path))
            .map_err(|error| cannot_bind(name_of_path(path), error))
    }

    /// Creates a listener that is bound to an address, which may be a name in the abstract namespace of Linux.
    ///
    /// # Errors
    ///
    /// See [`bind`](UnixListener::bind).
    ///
    /// # Panics
    ///
    /// Panics outside a runtime.
    ///
    /// # Cancel safety
    ///
    /// The method never waits, so its future is ready at the first poll.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[cfg(target_os = "linux")] {
    /// use glassfrog::net::{UnixListener, UnixStream};
    /// use std::os::linux::net::SocketAddrExt;
    /// use std::os::unix::net::SocketAddr;
    ///
    /// # let name = format!("glassfrog-bind-addr-{}", std::process::id());
    /// glassfrog::block_on(async {
    ///     let addr = SocketAddr::from_abstract_name(name)?;
    ///     let listener = UnixListener::bind_addr(&addr).await?;
    ///     let client = UnixStream::connect_addr(&addr).await?;
    ///     listener.accept().await?;
    ///     # drop(client);
    ///     std::io::Result::Ok(())
    /// })?;
    /// # }
    /// # std::io::Result::Ok(())
    /// ```
    pub async fn bind_addr(addr: &SocketAddr) -> io::Result<UnixListener> {
        UnixListener::bound(mio::net::UnixListener::bind_addr(addr))
            .map_err(|error| cannot_bind(name(addr), error))
    }

    /// Registers a listener that this crate has created.
    fn bound(io: io::Result<mio::net::UnixListener>) -> io::Result<UnixListener> {
        let shared = context::shared();
        let socket = Socket::new(shared, io?, InitialState::Created)?;
        Ok(UnixListener::new(socket))
    }

    /// Creates a listener from a registered socket.
    fn new(socket: Socket<mio::net::UnixListener>) -> UnixListener {
        UnixListener {
            socket,
            starved: AtomicBool::new(false),
        }
    }

    /// Returns an accept operation for this listener.
    fn connections(&self) -> Accept<'_, mio::net::UnixListener, mio::net::UnixStream, SocketAddr> {
        Accept::new(&self.socket, &self.starved, mio::net::UnixListener::accept)
    }

    /// Accepts a new connection, waiting until one arrives.
    ///
    /// Returns the connection and the address of the peer, which is unnamed unless the peer has bound its socket. If
    /// the process is out of descriptors or memory, the listener logs one error and retries every 50 ms. Meanwhile,
    /// connections stay in the backlog.
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
    /// # use glassfrog::net::UnixListener;
    /// use glassfrog::net::UnixStream;
    ///
    /// # glassfrog::block_on(async {
    /// # let path = std::env::temp_dir().join(format!("glassfrog-accept-{}", std::process::id()));
    /// let listener = UnixListener::bind(&path).await?;
    /// let client = UnixStream::connect(&path).await?;
    /// let (stream, peer) = listener.accept().await?;
    /// assert!(peer.is_unnamed());
    /// # drop((client, stream));
    /// # std::fs::remove_file(&path)?;
    /// # std::io::Result::Ok(())
    /// # })?;
    /// # std::io::Result::Ok(())
    /// ```
    pub async fn accept(&self) -> io::Result<(UnixStream, SocketAddr)> {
        let (socket, peer) = self.connections().next().await?;
        Ok((UnixStream::new(socket), peer))
    }

    /// Returns a stream of the connections to this listener.
    ///
    /// The stream never ends. Polling it is equivalent to calling [`accept`](UnixListener::accept) in a loop.
    ///
    /// # Examples
    ///
    #[cfg_attr(feature = "prelude", doc = "```")]
    #[cfg_attr(not(feature = "prelude"), doc = "```ignore")]
    /// use glassfrog::net::{UnixListener, UnixStream};
    /// use glassfrog::prelude::*;
    ///
    /// # let path = std::env::temp_dir().join(format!("glassfrog-incoming-{}", std::process::id()));
    /// glassfrog::block_on(async {
    ///     let listener = UnixListener::bind(&path).await?;
    ///     let client = UnixStream::connect(&path).await?;
    ///     let mut incoming = listener.incoming();
    ///     while let Some(stream) = incoming.next().await {
    ///         stream?.write(b"hello").await?;
    ///         # break
    ///     }
    ///     # client.read(&mut [0; 16]).await?;
    ///     std::fs::remove_file(&path)
    /// })?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn incoming(&self) -> UnixIncoming<'_> {
        UnixIncoming {
            accept: self.connections(),
        }
    }

    read_with! {
        self => self, &UnixListener,
        /// ```
        /// use glassfrog::net::{UnixListener, UnixStream};
        /// use socket2::SockRef;
        ///
        /// # let path = std::env::temp_dir().join(format!("glassfrog-listener-with-{}", std::process::id()));
        /// glassfrog::block_on(async {
        ///     let listener = UnixListener::bind(&path).await?;
        ///     let client = UnixStream::connect(&path).await?;
        ///     let accept = |listener: &UnixListener| SockRef::from(listener).accept();
        ///     let (_socket, peer) = listener.read_with(accept).await?;
        ///     assert!(peer.is_unnamed());
        ///     # drop(client);
        ///     std::fs::remove_file(&path)
        /// })?;
        /// # std::io::Result::Ok(())
        /// ```
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
    /// use glassfrog::net::UnixListener;
    ///
    /// # let path = std::env::temp_dir().join(format!("glassfrog-local-addr-{}", std::process::id()));
    /// glassfrog::block_on(async {
    ///     let listener = UnixListener::bind(&path).await?;
    ///     assert_eq!(listener.local_addr()?.as_pathname(), Some(&*path));
    ///     std::fs::remove_file(&path)
    /// })?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.io().local_addr()
    }

    /// Gets the value of the `SO_ERROR` option on this socket, and clears the option.
    ///
    /// # Errors
    ///
    /// Returns the error of `getsockopt(2)`.
    ///
    /// # Examples
    ///
    /// ```
    /// # use glassfrog::net::UnixListener;
    /// # glassfrog::block_on(async {
    /// # let path = std::env::temp_dir().join(format!("glassfrog-listener-error-{}", std::process::id()));
    /// let listener = UnixListener::bind(&path).await?;
    /// assert!(listener.take_error()?.is_none());
    /// # std::fs::remove_file(&path)?;
    /// # std::io::Result::Ok(())
    /// # })?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        self.socket.io().take_error()
    }
}

/// The stream of connections that [`UnixListener::incoming`] returns. It never ends.
///
/// # Cancel safety
///
/// Dropping the stream, or a future that waits for its next item, loses no connection.
///
/// # Examples
///
/// ```
/// # use glassfrog::net::{UnixIncoming, UnixListener};
/// # let path = std::env::temp_dir().join(format!("glassfrog-unix-incoming-{}", std::process::id()));
/// # glassfrog::block_on(async {
/// let listener = UnixListener::bind(&path).await?;
/// let incoming: UnixIncoming<'_> = listener.incoming();
/// # drop(incoming);
/// # std::fs::remove_file(&path)?;
/// # std::io::Result::Ok(())
/// # })?;
/// # std::io::Result::Ok(())
/// ```
#[must_use = "streams do nothing unless polled"]
pub struct UnixIncoming<'a> {
    /// Accepts the next connection.
    accept: Accept<'a, mio::net::UnixListener, mio::net::UnixStream, SocketAddr>,
}

impl Stream for UnixIncoming<'_> {
    type Item = io::Result<UnixStream>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let accepted = ready!(self.accept.poll(cx));
        Poll::Ready(Some(accepted.map(|(socket, _)| UnixStream::new(socket))))
    }
}

impl fmt::Debug for UnixIncoming<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("UnixIncoming").field(&self.accept).finish()
    }
}

std_conversions!(
    UnixListener,
    std::os::unix::net::UnixListener,
    mio::net::UnixListener::from_std
);

impl Io for mio::net::UnixListener {
    fn describe(&self, _direction: Direction, _connecting: &Connecting) -> String {
        let no_peer = Err(io::ErrorKind::NotConnected.into());
        let ends = ends(self.local_addr(), no_peer, || self.kind().to_string());
        format!("accept {ends}")
    }
}

impl fmt::Debug for UnixListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("UnixListener").field(&self.socket).finish()
    }
}

//! [`UnixDatagram`]: a Unix socket that sends and receives datagrams.
//!
//! Each operation transfers one datagram, whose length says nothing about the next one. Only `WouldBlock` therefore
//! clears the readiness.

use super::{Pauses, cannot_bind, cannot_connect, ends, name, name_of_path};
use crate::context;
use crate::net::adopt::{Inspect, std_conversions};
use crate::net::error::with_context;
use crate::net::socket::Socket;
use crate::net::with::{read_with, write_with};
use crate::reactor::Io;
use crate::reactor::proc_net::Connecting;
use crate::reactor::readiness::Direction;
use crate::reactor::source::InitialState;
use crate::reactor::watched::Watched;
use std::fmt;
use std::io;
use std::net::Shutdown;
use std::os::unix::net::{self, SocketAddr};
use std::path::Path;
use std::task::{Context, Poll};

/// The async counterpart of [`std::os::unix::net::UnixDatagram`]: a Unix datagram socket.
///
/// Unlike UDP datagrams, Unix datagrams arrive in order, and none is lost: a sender waits while the queue of the
/// receiver is full. On Linux, the queue holds 10 datagrams by default.
///
/// # Examples
///
/// ```
/// use glassfrog::net::UnixDatagram;
///
/// # let path = std::env::temp_dir().join(format!("glassfrog-datagram-{}", std::process::id()));
/// glassfrog::block_on(async {
///     let server = UnixDatagram::bind(&path).await?;
///     let client = UnixDatagram::unbound()?;
///     client.send_to(b"hello", &path).await?;
///     assert_eq!(client.try_send_to(b"again", &path)?, 5);
///
///     let mut buf = [0; 16];
///     let (count, from) = server.recv_from(&mut buf).await?;
///     assert_eq!(&buf[..count], b"hello");
///     assert!(from.is_unnamed());
///     std::fs::remove_file(&path)
/// })?;
/// # std::io::Result::Ok(())
/// ```
pub struct UnixDatagram {
    /// The registered socket.
    pub(in crate::net) socket: Socket<Watched<net::UnixDatagram>>,
}

impl UnixDatagram {
    /// Creates a socket that is bound to the specified path, and creates the socket file.
    ///
    /// # Errors
    ///
    /// The text of the error contains the path. The kind is `AddrInUse` if the path exists, even if it is a socket
    /// file that no process uses anymore, and `InvalidInput` if the path is too long or contains a zero byte.
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
    /// # use glassfrog::net::UnixDatagram;
    /// # glassfrog::block_on(async {
    /// # let path = std::env::temp_dir().join(format!("glassfrog-dgram-bind-{}", std::process::id()));
    /// let socket = UnixDatagram::bind(&path).await?;
    /// assert_eq!(socket.local_addr()?.as_pathname(), Some(&*path));
    /// # std::fs::remove_file(&path)?;
    /// # std::io::Result::Ok(())
    /// # })?;
    /// # std::io::Result::Ok(())
    /// ```
    pub async fn bind<P: AsRef<Path>>(path: P) -> io::Result<UnixDatagram> {
        let path = path.as_ref();
        UnixDatagram::created(net::UnixDatagram::bind(path))
            .map_err(|error| cannot_bind(name_of_path(path), error))
    }

    /// Creates a socket that is bound to an address, which may be a name in the abstract namespace of Linux.
    ///
    /// # Errors
    ///
    /// See [`bind`](UnixDatagram::bind).
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
    /// use glassfrog::net::UnixDatagram;
    /// use std::os::linux::net::SocketAddrExt;
    /// use std::os::unix::net::SocketAddr;
    ///
    /// # let name = format!("glassfrog-datagram-{}", std::process::id());
    /// glassfrog::block_on(async {
    ///     let addr = SocketAddr::from_abstract_name(name)?;
    ///     let server = UnixDatagram::bind_addr(&addr).await?;
    ///     let client = UnixDatagram::unbound()?;
    ///     client.send_to_addr(b"hello", &addr).await?;
    ///     assert_eq!(server.recv(&mut [0; 16]).await?, 5);
    ///     std::io::Result::Ok(())
    /// })?;
    /// # }
    /// # std::io::Result::Ok(())
    /// ```
    pub async fn bind_addr(addr: &SocketAddr) -> io::Result<UnixDatagram> {
        UnixDatagram::created(net::UnixDatagram::bind_addr(addr))
            .map_err(|error| cannot_bind(name(addr), error))
    }

    /// Creates a socket that is not bound to an address. It can send, but has no address to which a receiver could
    /// reply.
    ///
    /// # Errors
    ///
    /// Returns the error of `socket(2)`, or an error if the runtime has ended.
    ///
    /// # Panics
    ///
    /// Panics outside a runtime.
    ///
    /// # Examples
    ///
    /// ```
    /// # use glassfrog::net::UnixDatagram;
    /// # glassfrog::block_on(async {
    /// let socket = UnixDatagram::unbound()?;
    /// assert!(socket.local_addr()?.is_unnamed());
    /// # std::io::Result::Ok(())
    /// # })?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn unbound() -> io::Result<UnixDatagram> {
        UnixDatagram::created(net::UnixDatagram::unbound())
    }

    /// Creates a pair of sockets that are connected to each other.
    ///
    /// # Errors
    ///
    /// Returns the error of `socketpair(2)`, or an error if the runtime has ended.
    ///
    /// # Panics
    ///
    /// Panics outside a runtime.
    ///
    /// # Examples
    ///
    /// ```
    /// # use glassfrog::net::UnixDatagram;
    /// # glassfrog::block_on(async {
    /// let (alice, bob) = UnixDatagram::pair()?;
    /// alice.send(b"hello").await?;
    /// assert_eq!(bob.recv(&mut [0; 16]).await?, 5);
    /// # std::io::Result::Ok(())
    /// # })?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn pair() -> io::Result<(UnixDatagram, UnixDatagram)> {
        let (one, other) = net::UnixDatagram::pair()?;
        let one = UnixDatagram::created(Ok(one))?;
        Ok((one, UnixDatagram::created(Ok(other))?))
    }

    /// Registers a socket that this crate has created.
    fn created(io: io::Result<net::UnixDatagram>) -> io::Result<UnixDatagram> {
        let shared = context::shared();
        let io = io?;
        io.set_nonblocking(true)?;
        let socket = Socket::new(shared, Watched::new(io), InitialState::Open)?;
        Ok(UnixDatagram::new(socket))
    }

    /// Creates a socket from a registered one.
    fn new(socket: Socket<Watched<net::UnixDatagram>>) -> UnixDatagram {
        UnixDatagram { socket }
    }

    /// Connects the socket to the peer that is bound to the specified path: [`send`](UnixDatagram::send) sends to
    /// this peer, and the socket receives datagrams only from this peer.
    ///
    /// # Errors
    ///
    /// The text of the error contains the path. The kind is `NotFound` if the path does not exist, and
    /// `ConnectionRefused` if no process has the socket open anymore.
    ///
    /// # Cancel safety
    ///
    /// The method never waits, so its future is ready at the first poll.
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::net::UnixDatagram;
    ///
    /// # let path = std::env::temp_dir().join(format!("glassfrog-dgram-connect-{}", std::process::id()));
    /// glassfrog::block_on(async {
    ///     let server = UnixDatagram::bind(&path).await?;
    ///     let client = UnixDatagram::unbound()?;
    ///     client.connect(&path).await?;
    ///     assert_eq!(client.peer_addr()?.as_pathname(), Some(&*path));
    ///     client.send(b"hello").await?;
    ///     assert_eq!(server.recv(&mut [0; 16]).await?, 5);
    ///     std::fs::remove_file(&path)
    /// })?;
    /// # std::io::Result::Ok(())
    /// ```
    pub async fn connect<P: AsRef<Path>>(&self, path: P) -> io::Result<()> {
        let path = path.as_ref();
        let connected = self.socket.io().connect(path);
        connected.map_err(|error| cannot_connect(name_of_path(path), error))
    }

    /// Connects the socket to an address, which may be a name in the abstract namespace of Linux.
    ///
    /// # Errors
    ///
    /// See [`connect`](UnixDatagram::connect).
    ///
    /// # Cancel safety
    ///
    /// The method never waits, so its future is ready at the first poll.
    ///
    /// # Examples
    ///
    /// ```
    /// # use glassfrog::net::UnixDatagram;
    /// use std::os::unix::net::SocketAddr;
    ///
    /// # glassfrog::block_on(async {
    /// # let path = std::env::temp_dir().join(format!("glassfrog-dgram-connect-addr-{}", std::process::id()));
    /// let server = UnixDatagram::bind(&path).await?;
    /// let client = UnixDatagram::unbound()?;
    /// client.connect_addr(&SocketAddr::from_pathname(&path)?).await?;
    /// client.send(b"hello").await?;
    /// assert_eq!(server.recv(&mut [0; 16]).await?, 5);
    /// # std::fs::remove_file(&path)?;
    /// # std::io::Result::Ok(())
    /// # })?;
    /// # std::io::Result::Ok(())
    /// ```
    pub async fn connect_addr(&self, addr: &SocketAddr) -> io::Result<()> {
        let connected = self.socket.io().connect_addr(addr);
        connected.map_err(|error| cannot_connect(name(addr), error))
    }

    /// Sends a datagram to the socket that this one is connected to, waiting until there is room for it.
    ///
    /// Returns the number of bytes sent, which is the length of `buf`.
    ///
    /// # Errors
    ///
    /// The kind is `ConnectionRefused` if the peer has been closed. Otherwise returns the error of `send(2)`, for
    /// example if the datagram is too long.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped before it is ready, nothing has been sent.
    ///
    /// # Examples
    ///
    /// ```
    /// # use glassfrog::net::UnixDatagram;
    /// # glassfrog::block_on(async {
    /// let (alice, bob) = UnixDatagram::pair()?;
    /// assert_eq!(alice.send(b"hello").await?, 5);
    /// let mut buf = [0; 16];
    /// assert_eq!(bob.recv(&mut buf).await?, 5);
    /// # std::io::Result::Ok(())
    /// # })?;
    /// # std::io::Result::Ok(())
    /// ```
    pub async fn send(&self, buf: &[u8]) -> io::Result<usize> {
        let send = |io: &Watched<net::UnixDatagram>| io.send(buf);
        self.socket.op_with(Direction::Write, send).await
    }

    /// Receives a datagram, waiting until one arrives. A connected socket receives datagrams only from its peer.
    ///
    /// Returns the number of bytes received. 0 means that the datagram or `buf` is empty. A datagram that is longer
    /// than `buf` is truncated, and the excess bytes are discarded.
    ///
    /// # Errors
    ///
    /// Returns the error of `recv(2)`.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped before it is ready, no datagram has been received.
    ///
    /// # Examples
    ///
    /// ```
    /// # use glassfrog::net::UnixDatagram;
    /// # glassfrog::block_on(async {
    /// let (alice, bob) = UnixDatagram::pair()?;
    /// alice.send(b"hello").await?;
    /// let mut buf = [0; 16];
    /// let count = bob.recv(&mut buf).await?;
    /// assert_eq!(&buf[..count], b"hello");
    /// # std::io::Result::Ok(())
    /// # })?;
    /// # std::io::Result::Ok(())
    /// ```
    pub async fn recv(&self, buf: &mut [u8]) -> io::Result<usize> {
        let recv = |io: &Watched<net::UnixDatagram>| io.recv(buf);
        self.socket.op_with(Direction::Read, recv).await
    }

    /// Sends a datagram to the socket that is bound to the specified path, waiting until there is room for it.
    ///
    /// Returns the number of bytes sent, which is the length of `buf`. If the queue of the receiver is full, no event
    /// announces to an unconnected socket that there is room again. The method then retries after pauses that grow
    /// from 1 ms to 50 ms. To wait for an event instead, [connect](UnixDatagram::connect) the socket and use
    /// [`send`](UnixDatagram::send).
    ///
    /// # Errors
    ///
    /// The text of the error contains the path. The kind is `NotFound` if the path does not exist, and
    /// `ConnectionRefused` if no process has the socket open anymore.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped before it is ready, nothing has been sent.
    ///
    /// # Examples
    ///
    /// ```
    /// # use glassfrog::net::UnixDatagram;
    /// # glassfrog::block_on(async {
    /// # let path = std::env::temp_dir().join(format!("glassfrog-dgram-send-to-{}", std::process::id()));
    /// let server = UnixDatagram::bind(&path).await?;
    /// let client = UnixDatagram::unbound()?;
    /// assert_eq!(client.send_to(b"hello", &path).await?, 5);
    /// assert_eq!(server.recv(&mut [0; 16]).await?, 5);
    /// # std::fs::remove_file(&path)?;
    /// # std::io::Result::Ok(())
    /// # })?;
    /// # std::io::Result::Ok(())
    /// ```
    pub async fn send_to<P: AsRef<Path>>(&self, buf: &[u8], path: P) -> io::Result<usize> {
        let path = path.as_ref();
        let sent = match SocketAddr::from_pathname(path) {
            Ok(addr) => self.send_patiently(buf, &addr).await,
            Err(error) => Err(error),
        };
        sent.map_err(|error| with_context("send to", name_of_path(path), error))
    }

    /// Sends a datagram to an address, which may be a name in the abstract namespace of Linux, waiting until there
    /// is room for it.
    ///
    /// Retries as [`send_to`](UnixDatagram::send_to) does.
    ///
    /// # Errors
    ///
    /// See [`send_to`](UnixDatagram::send_to).
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped before it is ready, nothing has been sent.
    ///
    /// # Examples
    ///
    /// ```
    /// # use glassfrog::net::UnixDatagram;
    /// use std::os::unix::net::SocketAddr;
    ///
    /// # glassfrog::block_on(async {
    /// # let path = std::env::temp_dir().join(format!("glassfrog-dgram-send-to-addr-{}", std::process::id()));
    /// let server = UnixDatagram::bind(&path).await?;
    /// let client = UnixDatagram::unbound()?;
    /// let addr = SocketAddr::from_pathname(&path)?;
    /// assert_eq!(client.send_to_addr(b"hello", &addr).await?, 5);
    /// assert_eq!(server.recv(&mut [0; 16]).await?, 5);
    /// # std::fs::remove_file(&path)?;
    /// # std::io::Result::Ok(())
    /// # })?;
    /// # std::io::Result::Ok(())
    /// ```
    pub async fn send_to_addr(&self, buf: &[u8], addr: &SocketAddr) -> io::Result<usize> {
        let sent = self.send_patiently(buf, addr).await;
        sent.map_err(|error| with_context("send to", name(addr), error))
    }

    /// Sends a datagram to an address, and retries while there is no room for it.
    async fn send_patiently(&self, buf: &[u8], addr: &SocketAddr) -> io::Result<usize> {
        // `WouldBlock` must not clear the readiness: no event would set it again.
        let send = |io: &Watched<net::UnixDatagram>| match io.send_to_addr(buf, addr) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            sent => sent.map(Some),
        };
        let mut pauses = Pauses::new(|| format!("room in the queue of unix {}", name(addr)));
        loop {
            if let Some(count) = self.socket.op_with(Direction::Write, send).await? {
                return Ok(count);
            }
            pauses.pause(self.socket.shared()).await?;
        }
    }

    /// Receives a datagram, waiting until one arrives. Returns the number of bytes received and the address of the
    /// sender, which is unnamed unless the sender has bound its socket.
    ///
    /// A datagram that is longer than `buf` is truncated, and the excess bytes are discarded.
    ///
    /// # Errors
    ///
    /// Returns the error of `recvfrom(2)`.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped before it is ready, no datagram has been received.
    ///
    /// # Examples
    ///
    /// ```
    /// # use glassfrog::net::UnixDatagram;
    /// # glassfrog::block_on(async {
    /// # let path = std::env::temp_dir().join(format!("glassfrog-dgram-recv-from-{}", std::process::id()));
    /// let server = UnixDatagram::bind(&path).await?;
    /// let client = UnixDatagram::unbound()?;
    /// client.send_to(b"hello", &path).await?;
    /// let (count, from) = server.recv_from(&mut [0; 16]).await?;
    /// assert!(count == 5 && from.is_unnamed());
    /// # std::fs::remove_file(&path)?;
    /// # std::io::Result::Ok(())
    /// # })?;
    /// # std::io::Result::Ok(())
    /// ```
    pub async fn recv_from(&self, buf: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        let recv = |io: &Watched<net::UnixDatagram>| io.recv_from(buf);
        self.socket.op_with(Direction::Read, recv).await
    }

    /// Waits until the socket is readable: a datagram has arrived, or an error is pending.
    ///
    /// # Errors
    ///
    /// Returns an error only if the runtime has ended. Errors of the socket come from the receive itself.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future has no effect on the socket.
    ///
    /// # Examples
    ///
    /// ```
    /// # use glassfrog::net::UnixDatagram;
    /// # glassfrog::block_on(async {
    /// let (alice, bob) = UnixDatagram::pair()?;
    /// alice.send(b"hello").await?;
    /// let mut buf = [0; 16];
    /// let count = loop {
    ///     bob.readable().await?;
    ///     match bob.try_recv(&mut buf) {
    ///         Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => continue,
    ///         result => break result?,
    ///     }
    /// };
    /// assert_eq!(count, 5);
    /// # std::io::Result::Ok(())
    /// # })?;
    /// # std::io::Result::Ok(())
    /// ```
    pub async fn readable(&self) -> io::Result<()> {
        self.socket.ready(Direction::Read).await
    }

    /// Waits until the socket is writable: there is room for a [`send`](UnixDatagram::send), or an error is pending.
    ///
    /// The method does not wait for room in the queue of a receiver to which the socket is not connected. Use
    /// [`send_to`](UnixDatagram::send_to) for such a receiver.
    ///
    /// # Errors
    ///
    /// Returns an error only if the runtime has ended. Errors of the socket come from the send itself.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future has no effect on the socket.
    ///
    /// # Examples
    ///
    /// ```
    /// # use glassfrog::net::UnixDatagram;
    /// # glassfrog::block_on(async {
    /// let (alice, bob) = UnixDatagram::pair()?;
    /// alice.writable().await?;
    /// assert_eq!(alice.try_send(b"hello")?, 5);
    /// # drop(bob);
    /// # std::io::Result::Ok(())
    /// # })?;
    /// # std::io::Result::Ok(())
    /// ```
    pub async fn writable(&self) -> io::Result<()> {
        self.socket.ready(Direction::Write).await
    }

    /// Tries to send a datagram to the socket that this one is connected to, without waiting.
    ///
    /// # Errors
    ///
    /// The kind is `WouldBlock` if the socket is not known to be writable. The method does not look for new events,
    /// so wait for [`writable`](UnixDatagram::writable) first. For other errors see [`send`](UnixDatagram::send).
    ///
    /// # Examples
    ///
    /// ```
    /// # use glassfrog::net::UnixDatagram;
    /// # glassfrog::block_on(async {
    /// let (alice, bob) = UnixDatagram::pair()?;
    /// alice.writable().await?;
    /// assert_eq!(alice.try_send(b"hello")?, 5);
    /// assert_eq!(bob.recv(&mut [0; 16]).await?, 5);
    /// # std::io::Result::Ok(())
    /// # })?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn try_send(&self, buf: &[u8]) -> io::Result<usize> {
        self.socket.try_with(Direction::Write, |io| io.send(buf))
    }

    /// Tries to receive a datagram, without waiting.
    ///
    /// # Errors
    ///
    /// The kind is `WouldBlock` if the socket is not known to be readable. The method does not look for new events,
    /// so wait for [`readable`](UnixDatagram::readable) first. For other errors see [`recv`](UnixDatagram::recv).
    ///
    /// # Examples
    ///
    /// ```
    /// # use glassfrog::net::UnixDatagram;
    /// # glassfrog::block_on(async {
    /// let (alice, bob) = UnixDatagram::pair()?;
    /// alice.send(b"hello").await?;
    /// bob.readable().await?;
    /// assert_eq!(bob.try_recv(&mut [0; 16])?, 5);
    /// # std::io::Result::Ok(())
    /// # })?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn try_recv(&self, buf: &mut [u8]) -> io::Result<usize> {
        self.socket.try_with(Direction::Read, |io| io.recv(buf))
    }

    /// Tries to receive a datagram and the address of its sender, without waiting.
    ///
    /// # Errors
    ///
    /// The kind is `WouldBlock` if the socket is not known to be readable. The method does not look for new events,
    /// so wait for [`readable`](UnixDatagram::readable) first. For other errors see
    /// [`recv_from`](UnixDatagram::recv_from).
    ///
    /// # Examples
    ///
    /// ```
    /// # use glassfrog::net::UnixDatagram;
    /// # glassfrog::block_on(async {
    /// let (alice, bob) = UnixDatagram::pair()?;
    /// alice.send(b"hello").await?;
    /// bob.readable().await?;
    /// let (count, from) = bob.try_recv_from(&mut [0; 16])?;
    /// assert!(count == 5 && from.is_unnamed());
    /// # std::io::Result::Ok(())
    /// # })?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn try_recv_from(&self, buf: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        self.socket
            .try_with(Direction::Read, |io| io.recv_from(buf))
    }

    /// Tries to send a datagram to the socket that is bound to a path, without waiting.
    ///
    /// # Errors
    ///
    /// The kind is `WouldBlock` if there is no room for the datagram, or if the socket is not known to be
    /// [`writable`](UnixDatagram::writable). For other errors see [`send_to`](UnixDatagram::send_to).
    ///
    /// # Examples
    ///
    /// ```
    /// # use glassfrog::net::UnixDatagram;
    /// # glassfrog::block_on(async {
    /// # let path = std::env::temp_dir().join(format!("glassfrog-dgram-try-send-to-{}", std::process::id()));
    /// let server = UnixDatagram::bind(&path).await?;
    /// let client = UnixDatagram::unbound()?;
    /// assert_eq!(client.try_send_to(b"hello", &path)?, 5);
    /// assert_eq!(server.recv(&mut [0; 16]).await?, 5);
    /// # std::fs::remove_file(&path)?;
    /// # std::io::Result::Ok(())
    /// # })?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn try_send_to<P: AsRef<Path>>(&self, buf: &[u8], path: P) -> io::Result<usize> {
        let path = path.as_ref();
        // As in `send_patiently`.
        let sent = self
            .socket
            .try_with(Direction::Write, |io| match io.send_to(buf, path) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
                sent => sent.map(Some),
            });
        match sent {
            Ok(Some(count)) => Ok(count),
            Ok(None) => Err(io::ErrorKind::WouldBlock.into()),
            Err(error) => Err(error),
        }
    }

    /// Polls for a datagram and the address of its sender.
    ///
    /// If the method returns `Pending`, the task is woken when it should call the method again. Any number of tasks
    /// may wait. If there are more than eight, some of them may be woken spuriously.
    ///
    /// # Errors
    ///
    /// See [`recv_from`](UnixDatagram::recv_from).
    ///
    /// # Examples
    ///
    /// ```
    /// # use glassfrog::net::UnixDatagram;
    /// # glassfrog::block_on(async {
    /// # use std::future::poll_fn;
    /// let (alice, bob) = UnixDatagram::pair()?;
    /// alice.send(b"hello").await?;
    /// let mut buf = [0; 16];
    /// let (count, from) = poll_fn(|cx| bob.poll_recv_from(cx, &mut buf)).await?;
    /// assert!(count == 5 && from.is_unnamed());
    /// # std::io::Result::Ok(())
    /// # })?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn poll_recv_from(
        &self,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<(usize, SocketAddr)>> {
        self.socket
            .poll_op_with(Direction::Read, cx, |io| io.recv_from(buf))
    }

    read_with! {
        self => self, &UnixDatagram,
        /// ```
        /// # use glassfrog::net::UnixDatagram;
        /// use socket2::SockRef;
        ///
        /// # glassfrog::block_on(async {
        /// let (alice, bob) = UnixDatagram::pair()?;
        /// alice.send(b"hello").await?;
        /// let mut buf = Vec::with_capacity(16);
        /// let peek = |socket: &UnixDatagram| SockRef::from(socket).peek(buf.spare_capacity_mut());
        /// assert_eq!(bob.read_with(peek).await?, 5);
        /// # std::io::Result::Ok(())
        /// # })?;
        /// # std::io::Result::Ok(())
        /// ```
    }

    write_with! {
        self => self, &UnixDatagram,
        /// ```
        /// # use glassfrog::net::UnixDatagram;
        /// use socket2::SockRef;
        /// use std::io::IoSlice;
        ///
        /// # glassfrog::block_on(async {
        /// let (alice, bob) = UnixDatagram::pair()?;
        /// let parts = [IoSlice::new(b"he"), IoSlice::new(b"llo")];
        /// let send = |socket: &UnixDatagram| SockRef::from(socket).send_vectored(&parts);
        /// assert_eq!(alice.write_with(send).await?, 5);
        /// # drop(bob);
        /// # std::io::Result::Ok(())
        /// # })?;
        /// # std::io::Result::Ok(())
        /// ```
        ///
    }

    /// Shuts down the read direction, the write direction, or both (`shutdown(2)`).
    ///
    /// # Errors
    ///
    /// Returns the error of `shutdown(2)`.
    ///
    /// # Examples
    ///
    /// ```
    /// # use glassfrog::net::UnixDatagram;
    /// # glassfrog::block_on(async {
    /// use std::net::Shutdown;
    ///
    /// let (alice, _bob) = UnixDatagram::pair()?;
    /// alice.shutdown(Shutdown::Write)?;
    /// let error = alice.send(b"hello").await.unwrap_err();
    /// assert_eq!(error.kind(), std::io::ErrorKind::BrokenPipe);
    /// # std::io::Result::Ok(())
    /// # })?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.socket.io().shutdown(how)
    }

    /// Returns the address of the socket that this one is connected to.
    ///
    /// # Errors
    ///
    /// The kind is `NotConnected` if the socket is not connected.
    ///
    /// # Examples
    ///
    /// ```
    /// # use glassfrog::net::UnixDatagram;
    /// # glassfrog::block_on(async {
    /// # let path = std::env::temp_dir().join(format!("glassfrog-dgram-peer-addr-{}", std::process::id()));
    /// let server = UnixDatagram::bind(&path).await?;
    /// let client = UnixDatagram::unbound()?;
    /// client.connect(&path).await?;
    /// assert_eq!(client.peer_addr()?.as_pathname(), Some(&*path));
    /// # drop(server);
    /// # std::fs::remove_file(&path)?;
    /// # std::io::Result::Ok(())
    /// # })?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.socket.io().peer_addr()
    }

    /// Returns the address that the socket is bound to.
    ///
    /// # Errors
    ///
    /// Returns the error of `getsockname(2)`.
    ///
    /// # Examples
    ///
    /// ```
    /// # use glassfrog::net::UnixDatagram;
    /// # glassfrog::block_on(async {
    /// let socket = UnixDatagram::unbound()?;
    /// assert!(socket.local_addr()?.is_unnamed());
    /// # std::io::Result::Ok(())
    /// # })?;
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
    /// # use glassfrog::net::UnixDatagram;
    /// # glassfrog::block_on(async {
    /// let socket = UnixDatagram::unbound()?;
    /// assert!(socket.take_error()?.is_none());
    /// # std::io::Result::Ok(())
    /// # })?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        self.socket.io().take_error()
    }
}

std_conversions!(UnixDatagram, net::UnixDatagram, Watched::new);

impl From<Watched<net::UnixDatagram>> for net::UnixDatagram {
    fn from(io: Watched<net::UnixDatagram>) -> net::UnixDatagram {
        io.into_inner()
    }
}

impl Io for Watched<net::UnixDatagram> {
    fn describe(&self, direction: Direction, _connecting: &Connecting) -> String {
        let what = match direction {
            Direction::Read => "recv",
            Direction::Write => "send",
        };
        let kind = || self.kind().to_string();
        format!("{what} {}", ends(self.local_addr(), self.peer_addr(), kind))
    }
}

impl fmt::Debug for UnixDatagram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("UnixDatagram").field(&self.socket).finish()
    }
}

//! [`TcpStream`]: a TCP connection.

use crate::context;
use crate::event_loop::Shared;
use crate::net::addrs::{Addrs, Target, ToSocketAddrs};
use crate::net::adopt::{describe_non_tcp, std_conversions};
use crate::net::bytes::{Bytes, forward_read, forward_write};
use crate::net::error::with_context;
use crate::net::happy_eyeballs::connect_any;
use crate::net::raw::{self, RawStream};
use crate::net::read_to_end::{ReadSome, read_to_end};
use crate::net::resolve::resolve;
use crate::net::socket::Socket;
use crate::net::with::{read_with, write_with};
use crate::reactor::Io;
use crate::reactor::platform::{self, Conclusion};
use crate::reactor::proc_net::Connecting;
use crate::reactor::readiness::{Direction, Snapshot};
use crate::reactor::refusal::runtime_ended;
use crate::reactor::source::InitialState;
use std::fmt;
use std::io::{self, IoSlice, IoSliceMut};
use std::net::{Shutdown, SocketAddr};
use std::sync::Arc;

/// The async counterpart of [`std::net::TcpStream`]: a TCP stream between a local and a remote socket.
///
/// The stream implements [`AsyncRead`] and [`AsyncWrite`], and so does a shared reference to it: one task may
/// read while another writes. `write_all`, `read_exact` and similar methods come from the crate's `prelude`,
/// or from any other extension of those traits. [`into_split`](TcpStream::into_split) splits the stream into
/// two owned halves.
///
/// Several tasks may wait for the same direction. An event wakes all of them. If more than eight tasks wait
/// through `poll_read` or `poll_write`, they may occasionally be woken spuriously.
///
/// # Examples
///
/// ```
/// use glassfrog::net::{TcpListener, TcpStream};
///
/// glassfrog::block_on(async {
///     let listener = TcpListener::bind("127.0.0.1:0").await?;
///     let addr = listener.local_addr()?;
///     let client = glassfrog::spawn(async move {
///         let stream = TcpStream::connect(addr).await?;
///         stream.write(b"hello").await
///     });
///
///     let (stream, _) = listener.accept().await?;
///     let mut buf = [0; 16];
///     let count = stream.read(&mut buf).await?;
///     assert_eq!(&buf[..count], b"hello");
///     client.await?
/// })?;
/// # std::io::Result::Ok(())
/// ```
///
/// [`AsyncRead`]: futures_io::AsyncRead
/// [`AsyncWrite`]: futures_io::AsyncWrite
pub struct TcpStream {
    /// The registered socket.
    pub(in crate::net) socket: Socket<RawStream>,
}

/// Returns whether an error means only that a socket is not connected yet, or that no data has arrived.
fn is_not_ready(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::NotConnected
    )
}

impl TcpStream {
    /// Opens a TCP connection to a remote host.
    ///
    /// A host name is [resolved](ToSocketAddrs#name-resolution). If there are several addresses, connection
    /// attempts to them overlap, as specified by RFC 8305 ("Happy Eyeballs"). The address families alternate.
    /// The next attempt starts when one fails, or 250 ms after the previous one started. The first connection
    /// wins, and the other attempts are closed. An address that does not answer thus costs 250 ms.
    ///
    /// The only time limit is that of the operating system, typically several minutes. To set a shorter one,
    /// use [`timeout`](crate::time::timeout), which then includes the name resolution.
    ///
    /// # Errors
    ///
    /// If all attempts fail, returns an error that lists each address with the reason. Its kind and its
    /// [`source`](std::error::Error::source) are those of the attempt that failed last. If a host name cannot
    /// be resolved, returns the error of the resolver, with the name in its text. The kind is `InvalidInput`
    /// if `addr` is neither an address nor a host name.
    ///
    /// # Panics
    ///
    /// Panics outside a runtime.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future abandons the connection attempts and closes their sockets.
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::net::{TcpListener, TcpStream};
    ///
    /// glassfrog::block_on(async {
    ///     let listener = TcpListener::bind("127.0.0.1:0").await?;
    ///     let stream = TcpStream::connect(listener.local_addr()?).await?;
    ///     assert_eq!(stream.peer_addr()?, listener.local_addr()?);
    ///     std::io::Result::Ok(())
    /// })?;
    /// # std::io::Result::Ok(())
    /// ```
    pub async fn connect<A: ToSocketAddrs>(addr: A) -> io::Result<TcpStream> {
        let shared = context::shared();
        match addr.target()? {
            Target::Addrs(Addrs::One(Some(addr))) => {
                let connected = TcpStream::connect_to(addr, &shared).await;
                connected.map_err(|error| with_context("connect to", addr, error))
            }
            // Boxed, so that the future of a connect to a single address stays small.
            target => Box::pin(TcpStream::connect_to_one_of(target, &shared)).await,
        }
    }

    /// Connects to a host name, or to the first of several addresses that accepts.
    async fn connect_to_one_of(target: Target, shared: &Arc<Shared>) -> io::Result<TcpStream> {
        let addrs = resolve(target, shared).await?;
        connect_any(addrs, shared, |addr| TcpStream::connect_to(addr, shared)).await
    }

    /// Connects to one address.
    async fn connect_to(addr: SocketAddr, shared: &Arc<Shared>) -> io::Result<TcpStream> {
        if shared.inbox.is_closed() {
            // Registering the socket would fail, and the peer would see a connection that closes at once.
            return Err(runtime_ended());
        }
        let io = raw::connect(shared, addr)?;
        let socket = Socket::new(Arc::clone(shared), io, InitialState::Connecting)?;
        let connected = |io: &RawStream, seen| {
            if platform::surely_connected(seen) {
                return Ok(((), Conclusion::Nothing));
            }
            // If the peer has sent data and then reset the connection, a read must return the data before the
            // error.
            match io.peek(&mut [0]) {
                Ok(count) if count > 0 => return Ok(((), Conclusion::Nothing)),
                Ok(_) => {}
                Err(error) if is_not_ready(&error) => {}
                Err(error) => return Err(error),
            }
            if let Some(error) = io.take_error()? {
                return Err(error);
            }
            match io.peer_addr() {
                Ok(_) => Ok(((), Conclusion::Nothing)),
                // The socket was connected, and has been closed already.
                Err(error) if platform::is_closed(seen) => Err(error),
                // kqueue and IOCP may report the socket too early.
                Err(_) => Err(io::ErrorKind::WouldBlock.into()),
            }
        };
        socket.record_connecting(|| match socket.io().local_addr() {
            Ok(local) => format!("connect tcp {local} → {addr}"),
            Err(_) => format!("connect tcp → {addr}"),
        });
        socket.op(Direction::Write, connected).await?;
        socket.record_connected();
        Ok(TcpStream::new(socket))
    }

    /// Creates a stream from a registered socket.
    pub(super) fn new(socket: Socket<RawStream>) -> TcpStream {
        TcpStream { socket }
    }

    /// Reads data from the stream, waiting until some arrives.
    ///
    /// Returns the number of bytes read. A return value of 0 means that the peer has closed its write
    /// direction, or that `buf` is empty.
    ///
    /// # Errors
    ///
    /// The kind is `ConnectionReset` if the peer has reset the connection; earlier data is read first. The
    /// operating system reports a reset only once. If another operation of this stream, such as a write or a
    /// peek, has returned the error already, reads return 0.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped before it is ready, no data has been read.
    ///
    /// # Examples
    ///
    /// ```
    /// # use glassfrog::net::{TcpListener, TcpStream};
    /// # glassfrog::block_on(async {
    /// # let listener = TcpListener::bind("127.0.0.1:0").await?;
    /// # let (client, server) = (TcpStream::connect(listener.local_addr()?).await?, listener.accept().await?.0);
    /// client.write(b"hello").await?;
    /// let mut buf = [0; 16];
    /// let count = server.read(&mut buf).await?;
    /// assert_eq!(&buf[..count], b"hello");
    /// # std::io::Result::Ok(())
    /// # })?;
    /// # std::io::Result::Ok(())
    /// ```
    pub async fn read(&self, buf: &mut [u8]) -> io::Result<usize> {
        if buf.is_empty() {
            return Ok(0);
        }
        self.socket.read(buf).await
    }

    /// Reads all bytes until the peer closes its side of the connection, and appends them to `buf`.
    ///
    /// Returns the number of bytes read. If `buf` has spare capacity for exactly these bytes, it does not
    /// grow. The method of the same name in the crate's `prelude` does the same for any reader, but zeroes the
    /// spare capacity again each time it waits.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`read`](TcpStream::read). `buf` holds the bytes that were read before the error.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped before it is ready, `buf` holds the bytes that have been read so far.
    ///
    /// # Examples
    ///
    /// ```
    /// # use glassfrog::net::{TcpListener, TcpStream};
    /// # glassfrog::block_on(async {
    /// # let listener = TcpListener::bind("127.0.0.1:0").await?;
    /// # let (client, server) = (TcpStream::connect(listener.local_addr()?).await?, listener.accept().await?.0);
    /// client.write(b"all of it").await?;
    /// drop(client);
    /// let mut all = Vec::new();
    /// assert_eq!(server.read_to_end(&mut all).await?, 9);
    /// assert_eq!(all, b"all of it");
    /// # std::io::Result::Ok(())
    /// # })?;
    /// # std::io::Result::Ok(())
    /// ```
    pub async fn read_to_end(&self, buf: &mut Vec<u8>) -> io::Result<usize> {
        read_to_end(buf, self).await
    }

    /// Writes data to the stream, waiting until there is room in the send buffer.
    ///
    /// Returns the number of bytes written, which may be less than the length of `buf`. To write everything,
    /// use `write_all` of the crate's `prelude`.
    ///
    /// # Errors
    ///
    /// The kind is `BrokenPipe` or `ConnectionReset` if the peer has closed the connection.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped before it is ready, no data has been written.
    ///
    /// # Examples
    ///
    /// ```
    /// # use glassfrog::net::{TcpListener, TcpStream};
    /// # glassfrog::block_on(async {
    /// # let listener = TcpListener::bind("127.0.0.1:0").await?;
    /// # let (client, server) = (TcpStream::connect(listener.local_addr()?).await?, listener.accept().await?.0);
    /// assert_eq!(client.write(b"hello").await?, 5);
    /// # std::io::Result::Ok(())
    /// # })?;
    /// # std::io::Result::Ok(())
    /// ```
    pub async fn write(&self, buf: &[u8]) -> io::Result<usize> {
        if buf.is_empty() {
            return Ok(0);
        }
        self.socket.write(buf).await
    }

    /// Reads data from the stream without removing it from the receive buffer, waiting until some arrives.
    ///
    /// # Errors
    ///
    /// See [`read`](TcpStream::read).
    ///
    /// # Cancel safety
    ///
    /// Dropping the future has no effect on the data.
    ///
    /// # Examples
    ///
    /// ```
    /// # use glassfrog::net::{TcpListener, TcpStream};
    /// # glassfrog::block_on(async {
    /// # let listener = TcpListener::bind("127.0.0.1:0").await?;
    /// # let (client, server) = (TcpStream::connect(listener.local_addr()?).await?, listener.accept().await?.0);
    /// client.write(b"hello").await?;
    /// let mut buf = [0; 1];
    /// assert_eq!(server.peek(&mut buf).await?, 1);
    /// assert_eq!(server.read(&mut buf).await?, 1);
    /// assert_eq!(buf, *b"h");
    /// # std::io::Result::Ok(())
    /// # })?;
    /// # std::io::Result::Ok(())
    /// ```
    pub async fn peek(&self, buf: &mut [u8]) -> io::Result<usize> {
        if buf.is_empty() {
            return Ok(0);
        }
        // The data stays in the receive buffer, so its length says nothing about the next read.
        let op = |io: &RawStream, _| Ok((io.peek(buf)?, Conclusion::Nothing));
        self.socket.op(Direction::Read, op).await
    }

    /// Waits until the stream is readable: there is data, the peer has closed its write direction, or an
    /// error is pending.
    ///
    /// A [`try_read`](TcpStream::try_read) may still return `WouldBlock`, for example if another task has read
    /// the data.
    ///
    /// # Errors
    ///
    /// Returns an error only if the runtime has ended. Errors of the connection come from the read itself.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future has no effect on the stream.
    ///
    /// # Examples
    ///
    /// ```
    /// # use glassfrog::net::{TcpListener, TcpStream};
    /// # glassfrog::block_on(async {
    /// # let listener = TcpListener::bind("127.0.0.1:0").await?;
    /// # let (client, server) = (TcpStream::connect(listener.local_addr()?).await?, listener.accept().await?.0);
    /// client.write(b"hello").await?;
    /// let mut buf = [0; 16];
    /// let count = loop {
    ///     server.readable().await?;
    ///     match server.try_read(&mut buf) {
    ///         Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => continue,
    ///         result => break result?,
    ///     }
    /// };
    /// assert_eq!(&buf[..count], b"hello");
    /// # std::io::Result::Ok(())
    /// # })?;
    /// # std::io::Result::Ok(())
    /// ```
    pub async fn readable(&self) -> io::Result<()> {
        self.socket.ready(Direction::Read).await
    }

    /// Waits until the stream is writable: there is room in the send buffer, or an error is pending.
    ///
    /// # Errors
    ///
    /// Returns an error only if the runtime has ended. Errors of the connection come from the write itself.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future has no effect on the stream.
    ///
    /// # Examples
    ///
    /// ```
    /// # use glassfrog::net::{TcpListener, TcpStream};
    /// # glassfrog::block_on(async {
    /// # let listener = TcpListener::bind("127.0.0.1:0").await?;
    /// # let client = TcpStream::connect(listener.local_addr()?).await?;
    /// client.writable().await?;
    /// assert_eq!(client.try_write(b"hello")?, 5);
    /// # std::io::Result::Ok(())
    /// # })?;
    /// # std::io::Result::Ok(())
    /// ```
    pub async fn writable(&self) -> io::Result<()> {
        self.socket.ready(Direction::Write).await
    }

    /// Tries to read data from the stream, without waiting.
    ///
    /// # Errors
    ///
    /// The kind is `WouldBlock` if the stream is not known to be readable. Only events make it known, so await
    /// [`readable`](TcpStream::readable) first. For other errors, see [`read`](TcpStream::read).
    ///
    /// # Examples
    ///
    /// ```
    /// # use glassfrog::net::{TcpListener, TcpStream};
    /// # glassfrog::block_on(async {
    /// # let listener = TcpListener::bind("127.0.0.1:0").await?;
    /// # let (client, server) = (TcpStream::connect(listener.local_addr()?).await?, listener.accept().await?.0);
    /// client.write(b"hello").await?;
    /// server.readable().await?;
    /// assert_eq!(server.try_read(&mut [0; 16])?, 5);
    /// # std::io::Result::Ok(())
    /// # })?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn try_read(&self, buf: &mut [u8]) -> io::Result<usize> {
        self.socket.try_read(buf)
    }

    /// Tries to read data into several buffers, without waiting. Each buffer is filled before the next.
    ///
    /// # Errors
    ///
    /// See [`try_read`](TcpStream::try_read).
    ///
    /// # Examples
    ///
    /// ```
    /// # use glassfrog::net::{TcpListener, TcpStream};
    /// # use std::io::IoSliceMut;
    /// # glassfrog::block_on(async {
    /// # let listener = TcpListener::bind("127.0.0.1:0").await?;
    /// # let (client, server) = (TcpStream::connect(listener.local_addr()?).await?, listener.accept().await?.0);
    /// client.write(b"hello").await?;
    /// let (mut head, mut tail) = ([0; 2], [0; 8]);
    /// server.readable().await?;
    /// let mut bufs = [IoSliceMut::new(&mut head), IoSliceMut::new(&mut tail)];
    /// assert_eq!(server.try_read_vectored(&mut bufs)?, 5);
    /// assert_eq!((&head, &tail[..3]), (b"he", &b"llo"[..]));
    /// # std::io::Result::Ok(())
    /// # })?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn try_read_vectored(&self, bufs: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        self.socket.try_read_vectored(bufs)
    }

    /// Tries to write data to the stream, without waiting.
    ///
    /// # Errors
    ///
    /// The kind is `WouldBlock` if the stream is not known to be writable. Only events make it known, so await
    /// [`writable`](TcpStream::writable) first. For other errors, see [`write`](TcpStream::write).
    ///
    /// # Examples
    ///
    /// ```
    /// # use glassfrog::net::{TcpListener, TcpStream};
    /// # glassfrog::block_on(async {
    /// # let listener = TcpListener::bind("127.0.0.1:0").await?;
    /// # let client = TcpStream::connect(listener.local_addr()?).await?;
    /// client.writable().await?;
    /// assert_eq!(client.try_write(b"hello")?, 5);
    /// # std::io::Result::Ok(())
    /// # })?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn try_write(&self, buf: &[u8]) -> io::Result<usize> {
        self.socket.try_write(buf)
    }

    /// Tries to write data from several buffers, without waiting. Each buffer is drained before the next.
    ///
    /// # Errors
    ///
    /// See [`try_write`](TcpStream::try_write).
    ///
    /// # Examples
    ///
    /// ```
    /// # use glassfrog::net::{TcpListener, TcpStream};
    /// # use std::io::IoSlice;
    /// # glassfrog::block_on(async {
    /// # let listener = TcpListener::bind("127.0.0.1:0").await?;
    /// # let client = TcpStream::connect(listener.local_addr()?).await?;
    /// client.writable().await?;
    /// let bufs = [IoSlice::new(b"he"), IoSlice::new(b"llo")];
    /// assert_eq!(client.try_write_vectored(&bufs)?, 5);
    /// # std::io::Result::Ok(())
    /// # })?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn try_write_vectored(&self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        self.socket.try_write_vectored(bufs)
    }

    read_with! {
        self => self, &TcpStream,
        /// ```
        /// # use glassfrog::net::{TcpListener, TcpStream};
        /// use socket2::SockRef;
        ///
        /// # glassfrog::block_on(async {
        /// # let listener = TcpListener::bind("127.0.0.1:0").await?;
        /// # let (client, server) = (TcpStream::connect(listener.local_addr()?).await?, listener.accept().await?.0);
        /// client.write(b"hello").await?;
        /// let mut buf = Vec::with_capacity(16);
        /// let recv = |stream: &TcpStream| SockRef::from(stream).recv(buf.spare_capacity_mut());
        /// assert_eq!(server.read_with(recv).await?, 5);
        /// # std::io::Result::Ok(())
        /// # })?;
        /// # std::io::Result::Ok(())
        /// ```
    }

    write_with! {
        self => self, &TcpStream,
        /// ```
        /// # use glassfrog::net::{TcpListener, TcpStream};
        /// use socket2::SockRef;
        ///
        /// # glassfrog::block_on(async {
        /// # let listener = TcpListener::bind("127.0.0.1:0").await?;
        /// # let (client, server) = (TcpStream::connect(listener.local_addr()?).await?, listener.accept().await?.0);
        /// let send = |stream: &TcpStream| SockRef::from(stream).send_out_of_band(b"!");
        /// assert_eq!(client.write_with(send).await?, 1);
        /// # std::io::Result::Ok(())
        /// # })?;
        /// # std::io::Result::Ok(())
        /// ```
        ///
    }

    /// Shuts down the read direction, the write direction, or both (`shutdown(2)`).
    ///
    /// After [`Shutdown::Write`], the peer reads to the end of the data, and this side can still read the
    /// peer's answer. It is not an error to call this function repeatedly, or on a connection that has been
    /// closed.
    ///
    /// # Errors
    ///
    /// Returns the error of `shutdown(2)`, except `NotConnected`.
    ///
    /// # Examples
    ///
    /// ```
    /// # use glassfrog::net::{TcpListener, TcpStream};
    /// use std::net::Shutdown;
    ///
    /// # glassfrog::block_on(async {
    /// # let listener = TcpListener::bind("127.0.0.1:0").await?;
    /// # let (client, server) = (TcpStream::connect(listener.local_addr()?).await?, listener.accept().await?.0);
    /// client.shutdown(Shutdown::Write)?;
    /// assert_eq!(server.read(&mut [0; 16]).await?, 0);
    /// # std::io::Result::Ok(())
    /// # })?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.socket.shutdown(how)
    }

    /// Returns the socket address of the remote peer.
    ///
    /// # Errors
    ///
    /// The kind is `NotConnected` if the connection has been closed.
    ///
    /// # Examples
    ///
    /// ```
    /// # use glassfrog::net::{TcpListener, TcpStream};
    /// # glassfrog::block_on(async {
    /// # let listener = TcpListener::bind("127.0.0.1:0").await?;
    /// let stream = TcpStream::connect(listener.local_addr()?).await?;
    /// assert_eq!(stream.peer_addr()?, listener.local_addr()?);
    /// # std::io::Result::Ok(())
    /// # })?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.socket.io().peer_addr()
    }

    /// Returns the socket address of the local half of this connection.
    ///
    /// # Errors
    ///
    /// Returns the error of `getsockname(2)`.
    ///
    /// # Examples
    ///
    /// ```
    /// # use glassfrog::net::{TcpListener, TcpStream};
    /// # glassfrog::block_on(async {
    /// # let listener = TcpListener::bind("127.0.0.1:0").await?;
    /// let stream = TcpStream::connect(listener.local_addr()?).await?;
    /// assert!(stream.local_addr()?.ip().is_loopback());
    /// # std::io::Result::Ok(())
    /// # })?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.io().local_addr()
    }

    /// Gets the value of the `TCP_NODELAY` option on this socket.
    ///
    /// # Errors
    ///
    /// Returns the error of `getsockopt(2)`.
    ///
    /// # Examples
    ///
    /// ```
    /// # use glassfrog::net::{TcpListener, TcpStream};
    /// # glassfrog::block_on(async {
    /// # let listener = TcpListener::bind("127.0.0.1:0").await?;
    /// # let stream = TcpStream::connect(listener.local_addr()?).await?;
    /// stream.set_nodelay(true)?;
    /// assert!(stream.nodelay()?);
    /// # std::io::Result::Ok(())
    /// # })?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn nodelay(&self) -> io::Result<bool> {
        self.socket.io().nodelay()
    }

    /// Sets the value of the `TCP_NODELAY` option on this socket: whether small packets are sent at once,
    /// which disables the Nagle algorithm.
    ///
    /// # Errors
    ///
    /// Returns the error of `setsockopt(2)`.
    ///
    /// # Examples
    ///
    /// ```
    /// # use glassfrog::net::{TcpListener, TcpStream};
    /// # glassfrog::block_on(async {
    /// # let listener = TcpListener::bind("127.0.0.1:0").await?;
    /// let stream = TcpStream::connect(listener.local_addr()?).await?;
    /// stream.set_nodelay(true)?;
    /// # std::io::Result::Ok(())
    /// # })?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn set_nodelay(&self, nodelay: bool) -> io::Result<()> {
        self.socket.io().set_nodelay(nodelay)
    }

    /// Gets the value of the `IP_TTL` option for this socket.
    ///
    /// # Errors
    ///
    /// Returns the error of `getsockopt(2)`.
    ///
    /// # Examples
    ///
    /// ```
    /// # use glassfrog::net::{TcpListener, TcpStream};
    /// # glassfrog::block_on(async {
    /// # let listener = TcpListener::bind("127.0.0.1:0").await?;
    /// # let stream = TcpStream::connect(listener.local_addr()?).await?;
    /// stream.set_ttl(7)?;
    /// assert_eq!(stream.ttl()?, 7);
    /// # std::io::Result::Ok(())
    /// # })?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn ttl(&self) -> io::Result<u32> {
        self.socket.io().ttl()
    }

    /// Sets the value of the `IP_TTL` option for this socket: how many hops a packet may take.
    ///
    /// # Errors
    ///
    /// Returns the error of `setsockopt(2)`.
    ///
    /// # Examples
    ///
    /// ```
    /// # use glassfrog::net::{TcpListener, TcpStream};
    /// # glassfrog::block_on(async {
    /// # let listener = TcpListener::bind("127.0.0.1:0").await?;
    /// let stream = TcpStream::connect(listener.local_addr()?).await?;
    /// stream.set_ttl(64)?;
    /// # std::io::Result::Ok(())
    /// # })?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn set_ttl(&self, ttl: u32) -> io::Result<()> {
        self.socket.io().set_ttl(ttl)
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
    /// # use glassfrog::net::{TcpListener, TcpStream};
    /// # glassfrog::block_on(async {
    /// # let listener = TcpListener::bind("127.0.0.1:0").await?;
    /// # let stream = TcpStream::connect(listener.local_addr()?).await?;
    /// assert!(stream.take_error()?.is_none());
    /// # std::io::Result::Ok(())
    /// # })?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        self.socket.io().take_error()
    }
}

impl ReadSome for &TcpStream {
    async fn read_some(&mut self, room: &mut [u8]) -> io::Result<usize> {
        self.read(room).await
    }
}

impl Bytes for RawStream {
    fn after_read(seen: Snapshot, count: usize, room: usize) -> Conclusion {
        platform::after_read(seen, count, room)
    }

    fn after_write(seen: Snapshot, count: usize, length: usize) -> Conclusion {
        platform::after_write(seen, count, length)
    }

    fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.shutdown(how)
    }
}

forward_read!([] TcpStream, this => &this.socket);
forward_write!([] TcpStream, this => &this.socket);
forward_read!([] &TcpStream, this => &this.socket);
forward_write!([] &TcpStream, this => &this.socket);

impl Io for mio::net::TcpStream {
    fn describe(&self, direction: Direction, connecting: &Connecting) -> String {
        match describe_non_tcp(self, &self.nodelay(), &self.local_addr()) {
            Some(other) => format!("{} {other}", operation(direction)),
            None => self.describe_own(direction, connecting),
        }
    }

    fn describe_own(&self, direction: Direction, connecting: &Connecting) -> String {
        let what = operation(direction);
        match (self.local_addr(), self.peer_addr()) {
            (Ok(local), Ok(peer)) => format!("{what} tcp {local} → {peer}"),
            // Not connected yet, or no longer connected. A connect in progress waits for the write direction.
            (Ok(local), Err(_)) => match (direction, connecting.target(local)) {
                (Direction::Write, Some(peer)) => format!("connect tcp {local} → {peer}"),
                _ => format!("{what} tcp {local} (no peer)"),
            },
            (Err(error), _) => format!("{what} tcp (closed: {error})"),
        }
    }
}

/// Returns the word for the operations in a direction.
pub(in crate::net) fn operation(direction: Direction) -> &'static str {
    match direction {
        Direction::Read => "read",
        Direction::Write => "write",
    }
}

std_conversions!(
    TcpStream,
    std::net::TcpStream,
    RawStream::from_std,
    raw::into_std,
    /// The kind is `Unsupported` if the socket is [simulated](crate::net#simulated-sockets).
);

impl fmt::Debug for TcpStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TcpStream").field(&self.socket).finish()
    }
}

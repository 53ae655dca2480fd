//! [`UnixStream`]: a Unix stream socket.

use super::{Pauses, cannot_connect, ends, name, name_of_path};
use crate::context;
use crate::event_loop::Shared;
use crate::net::adopt::{Inspect, std_conversions};
use crate::net::bytes::{Bytes, forward_read, forward_write};
use crate::net::read_to_end::{ReadSome, read_to_end};
use crate::net::socket::Socket;
use crate::net::split::{OwnedReadHalf, OwnedWriteHalf, split};
use crate::net::with::{read_with, write_with};
use crate::reactor::Io;
use crate::reactor::platform::{self, Conclusion};
use crate::reactor::proc_net::Connecting;
use crate::reactor::readiness::{Direction, Snapshot};
use crate::reactor::refusal::runtime_ended;
use crate::reactor::source::InitialState;
use std::fmt;
use std::io::{self, IoSlice, IoSliceMut};
use std::net::Shutdown;
use std::os::unix::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

/// The async counterpart of [`std::os::unix::net::UnixStream`]: a Unix stream socket.
///
/// The stream implements [`AsyncRead`] and [`AsyncWrite`], and so does a shared reference to it: one task may read
/// while another writes. [`into_split`](UnixStream::into_split) returns two owned halves. The methods mirror those of
/// [`TcpStream`](crate::net::TcpStream) that apply to Unix streams.
///
/// The standard library has no stable method for the credentials of the peer. Crates such as `rustix` can get them
/// from the stream, which implements `AsFd`.
///
/// # Examples
///
/// ```
/// use glassfrog::net::UnixStream;
///
/// glassfrog::block_on(async {
///     let (client, server) = UnixStream::pair()?;
///     let task = glassfrog::spawn(async move { client.write(b"hello").await });
///     let mut buf = [0; 16];
///     let count = server.read(&mut buf).await?;
///     assert_eq!(&buf[..count], b"hello");
///     task.await?
/// })?;
/// # std::io::Result::Ok(())
/// ```
///
/// [`AsyncRead`]: futures_io::AsyncRead
/// [`AsyncWrite`]: futures_io::AsyncWrite
pub struct UnixStream {
    /// The registered socket.
    pub(in crate::net) socket: Socket<mio::net::UnixStream>,
}

impl UnixStream {
    /// Connects to the listener that is bound to the specified path.
    ///
    /// If the backlog of the listener is full, Linux reports no event when there is room again. The method then
    /// retries after pauses that grow from 1 ms to 50 ms. It has no time limit; to set one, use
    /// [`timeout`](crate::time::timeout). Other systems refuse the connection instead.
    ///
    /// # Errors
    ///
    /// The text of the error contains the path. The kind is `NotFound` if the path does not exist,
    /// `ConnectionRefused` if no process listens on the socket file, and `InvalidInput` if the path is too long or
    /// contains a zero byte.
    ///
    /// # Panics
    ///
    /// Panics outside a runtime.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future abandons the connection.
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::net::{UnixListener, UnixStream};
    ///
    /// # let path = std::env::temp_dir().join(format!("glassfrog-connect-{}", std::process::id()));
    /// glassfrog::block_on(async {
    ///     let missing = UnixStream::connect(&path).await.unwrap_err();
    ///     assert_eq!(missing.kind(), std::io::ErrorKind::NotFound);
    ///
    ///     let listener = UnixListener::bind(&path).await?;
    ///     let stream = UnixStream::connect(&path).await?;
    ///     assert_eq!(stream.peer_addr()?.as_pathname(), Some(&*path));
    ///     # drop(listener);
    ///     std::fs::remove_file(&path)
    /// })?;
    /// # std::io::Result::Ok(())
    /// ```
    pub async fn connect<P: AsRef<Path>>(path: P) -> io::Result<UnixStream> {
        let shared = context::shared();
        let path = path.as_ref();
        let connected = match SocketAddr::from_pathname(path) {
            Ok(addr) => UnixStream::connect_to(&addr, &shared).await,
            Err(error) => Err(error),
        };
        connected.map_err(|error| cannot_connect(name_of_path(path), error))
    }

    /// Connects to the listener that is bound to an address, which may be a name in the abstract namespace of
    /// Linux.
    ///
    /// # Errors
    ///
    /// See [`connect`](UnixStream::connect).
    ///
    /// # Panics
    ///
    /// Panics outside a runtime.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future abandons the connection.
    ///
    /// # Examples
    ///
    /// ```
    /// # use glassfrog::net::UnixStream;
    /// use glassfrog::net::UnixListener;
    /// use std::os::unix::net::SocketAddr;
    ///
    /// # glassfrog::block_on(async {
    /// # let path = std::env::temp_dir().join(format!("glassfrog-connect-addr-{}", std::process::id()));
    /// let listener = UnixListener::bind(&path).await?;
    /// let client = UnixStream::connect_addr(&SocketAddr::from_pathname(&path)?).await?;
    /// let (server, _) = listener.accept().await?;
    /// client.write(b"hello").await?;
    /// assert_eq!(server.read(&mut [0; 16]).await?, 5);
    /// # std::fs::remove_file(&path)?;
    /// # std::io::Result::Ok(())
    /// # })?;
    /// # std::io::Result::Ok(())
    /// ```
    pub async fn connect_addr(addr: &SocketAddr) -> io::Result<UnixStream> {
        let shared = context::shared();
        let connected = UnixStream::connect_to(addr, &shared).await;
        connected.map_err(|error| cannot_connect(name(addr), error))
    }

    /// Connects to an address, waiting while the backlog is full.
    async fn connect_to(addr: &SocketAddr, shared: &Arc<Shared>) -> io::Result<UnixStream> {
        let mut pauses = Pauses::new(|| format!("room in the backlog of unix {}", name(addr)));
        let io = loop {
            if shared.inbox.is_closed() {
                // The registration would fail, and the peer would see a connection that closes at once.
                return Err(runtime_ended());
            }
            match mio::net::UnixStream::connect_addr(addr) {
                // `EAGAIN`: the backlog is full (`connect(2)`). No event reports when there is room.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    pauses.pause(shared).await?;
                }
                connected => break connected?,
            }
        };
        let socket = Socket::new(Arc::clone(shared), io, InitialState::Open)?;
        // Linux connects at once. On other systems the connect may still be in progress.
        let connected = |io: &mio::net::UnixStream, seen| {
            if let Some(error) = io.take_error()? {
                return Err(error);
            }
            match io.peer_addr() {
                Ok(_) => Ok(((), Conclusion::Nothing)),
                Err(error) if platform::is_closed(seen) => Err(error),
                Err(_) => Err(io::ErrorKind::WouldBlock.into()),
            }
        };
        if socket.io().peer_addr().is_err() {
            socket.op(Direction::Write, connected).await?;
        }
        Ok(UnixStream::new(socket))
    }

    /// Creates a pair of streams that are connected to each other.
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
    /// # use glassfrog::net::UnixStream;
    /// # glassfrog::block_on(async {
    /// let (client, server) = UnixStream::pair()?;
    /// client.write(b"hello").await?;
    /// assert_eq!(server.read(&mut [0; 16]).await?, 5);
    /// # std::io::Result::Ok(())
    /// # })?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn pair() -> io::Result<(UnixStream, UnixStream)> {
        let shared = &context::shared();
        let register = |io| {
            let socket = Socket::new(Arc::clone(shared), io, InitialState::Open)?;
            io::Result::Ok(UnixStream::new(socket))
        };
        let (one, other) = mio::net::UnixStream::pair()?;
        Ok((register(one)?, register(other)?))
    }

    /// Creates a stream from a registered socket.
    pub(super) fn new(socket: Socket<mio::net::UnixStream>) -> UnixStream {
        UnixStream { socket }
    }

    /// Reads data from the stream, waiting until some arrives.
    ///
    /// Returns the number of bytes read. 0 means that the peer has closed its write direction, or that `buf`
    /// is empty.
    ///
    /// # Errors
    ///
    /// The kind is `ConnectionReset` if the peer has closed the connection without reading all data; see
    /// `unix(7)`.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped before it is ready, no data has been read.
    ///
    /// # Examples
    ///
    /// ```
    /// # use glassfrog::net::UnixStream;
    /// # glassfrog::block_on(async {
    /// let (client, server) = UnixStream::pair()?;
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
    /// grow.
    ///
    /// # Errors
    ///
    /// See [`read`](UnixStream::read). `buf` holds the bytes that were read before the error.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped before it resolves, `buf` holds the bytes that were read until then.
    ///
    /// # Examples
    ///
    /// ```
    /// # use glassfrog::net::UnixStream;
    /// # glassfrog::block_on(async {
    /// let (client, server) = UnixStream::pair()?;
    /// client.write(b"all of it").await?;
    /// drop(client);
    /// let mut all = Vec::new();
    /// assert_eq!(server.read_to_end(&mut all).await?, 9);
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
    /// The kind is `BrokenPipe` if the peer has closed the connection or shut down its read direction.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped before it is ready, no data has been written.
    ///
    /// # Examples
    ///
    /// ```
    /// # use glassfrog::net::UnixStream;
    /// # glassfrog::block_on(async {
    /// let (client, server) = UnixStream::pair()?;
    /// assert_eq!(client.write(b"hello").await?, 5);
    /// # drop(server);
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

    /// Waits until the stream is readable: there is data, the peer has closed its write direction, or an
    /// error is pending.
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
    /// # use glassfrog::net::UnixStream;
    /// # glassfrog::block_on(async {
    /// let (client, server) = UnixStream::pair()?;
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
    /// # use glassfrog::net::UnixStream;
    /// # glassfrog::block_on(async {
    /// let (client, _server) = UnixStream::pair()?;
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
    /// The kind is `WouldBlock` if the stream is not known to be readable. The method does not look for new events,
    /// so wait for [`readable`](UnixStream::readable) first. For other errors see [`read`](UnixStream::read).
    ///
    /// # Examples
    ///
    /// ```
    /// # use glassfrog::net::UnixStream;
    /// # glassfrog::block_on(async {
    /// let (client, server) = UnixStream::pair()?;
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
    /// See [`try_read`](UnixStream::try_read).
    ///
    /// # Examples
    ///
    /// ```
    /// # use glassfrog::net::UnixStream;
    /// use std::io::IoSliceMut;
    ///
    /// # glassfrog::block_on(async {
    /// let (client, server) = UnixStream::pair()?;
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
    /// The kind is `WouldBlock` if the stream is not known to be writable. The method does not look for new events,
    /// so wait for [`writable`](UnixStream::writable) first. For other errors see [`write`](UnixStream::write).
    ///
    /// # Examples
    ///
    /// ```
    /// # use glassfrog::net::UnixStream;
    /// # glassfrog::block_on(async {
    /// let (client, server) = UnixStream::pair()?;
    /// client.writable().await?;
    /// assert_eq!(client.try_write(b"hello")?, 5);
    /// # drop(server);
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
    /// See [`try_write`](UnixStream::try_write).
    ///
    /// # Examples
    ///
    /// ```
    /// # use glassfrog::net::UnixStream;
    /// use std::io::IoSlice;
    ///
    /// # glassfrog::block_on(async {
    /// let (client, server) = UnixStream::pair()?;
    /// client.writable().await?;
    /// let bufs = [IoSlice::new(b"he"), IoSlice::new(b"llo")];
    /// assert_eq!(client.try_write_vectored(&bufs)?, 5);
    /// # drop(server);
    /// # std::io::Result::Ok(())
    /// # })?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn try_write_vectored(&self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        self.socket.try_write_vectored(bufs)
    }

    read_with! {
        self => self, &UnixStream,
        /// ```
        /// # use glassfrog::net::UnixStream;
        /// use socket2::SockRef;
        ///
        /// # glassfrog::block_on(async {
        /// let (client, server) = UnixStream::pair()?;
        /// client.write(b"hello").await?;
        /// let mut buf = Vec::with_capacity(16);
        /// let peek = |stream: &UnixStream| SockRef::from(stream).peek(buf.spare_capacity_mut());
        /// assert_eq!(server.read_with(peek).await?, 5);
        /// # std::io::Result::Ok(())
        /// # })?;
        /// # std::io::Result::Ok(())
        /// ```
    }

    write_with! {
        self => self, &UnixStream,
        /// ```
        /// # use glassfrog::net::UnixStream;
        /// use socket2::SockRef;
        ///
        /// # glassfrog::block_on(async {
        /// let (client, _server) = UnixStream::pair()?;
        /// let send = |stream: &UnixStream| SockRef::from(stream).send(b"hello");
        /// assert_eq!(client.write_with(send).await?, 5);
        /// # std::io::Result::Ok(())
        /// # })?;
        /// # std::io::Result::Ok(())
        /// ```
        ///
    }

    /// Shuts down the read direction, the write direction, or both (`shutdown(2)`).
    ///
    /// After [`Shutdown::Write`], the peer reads to the end of the data, and this stream can still read the response.
    ///
    /// # Errors
    ///
    /// Returns the error of `shutdown(2)`, except `NotConnected`.
    ///
    /// # Examples
    ///
    /// ```
    /// # use glassfrog::net::UnixStream;
    /// use std::net::Shutdown;
    ///
    /// # glassfrog::block_on(async {
    /// let (client, server) = UnixStream::pair()?;
    /// client.shutdown(Shutdown::Write)?;
    /// assert_eq!(server.read(&mut [0; 16]).await?, 0);
    /// # std::io::Result::Ok(())
    /// # })?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.socket.shutdown(how)
    }

    /// Splits the stream into a read half and a write half, which can be moved to different tasks and
    /// threads.
    ///
    /// Dropping the write half shuts down the write direction of the connection. The socket is closed when
    /// both halves have been dropped. A shared reference to a stream can read and write too, so splitting
    /// is needed only where borrowing does not work.
    ///
    /// # Examples
    ///
    /// ```
    /// # use glassfrog::net::UnixStream;
    /// # glassfrog::block_on(async {
    /// let (client, server) = UnixStream::pair()?;
    /// let (reader, writer) = client.into_split();
    /// let task = glassfrog::spawn(async move { writer.as_ref().write(b"hello").await });
    /// assert_eq!(server.read(&mut [0; 16]).await?, 5);
    /// task.await??;
    /// // The write half has been dropped.
    /// assert_eq!(server.read(&mut [0; 16]).await?, 0);
    /// # drop(reader);
    /// # std::io::Result::Ok(())
    /// # })?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn into_split(self) -> (OwnedReadHalf<UnixStream>, OwnedWriteHalf<UnixStream>) {
        split(self, |stream| stream.shutdown(Shutdown::Write))
    }

    /// Returns the socket address of the remote half of this connection.
    ///
    /// # Errors
    ///
    /// Returns the error of `getpeername(2)`.
    ///
    /// # Examples
    ///
    /// ```
    /// # use glassfrog::net::UnixStream;
    /// use glassfrog::net::UnixListener;
    ///
    /// # glassfrog::block_on(async {
    /// # let path = std::env::temp_dir().join(format!("glassfrog-peer-addr-{}", std::process::id()));
    /// let listener = UnixListener::bind(&path).await?;
    /// let stream = UnixStream::connect(&path).await?;
    /// assert_eq!(stream.peer_addr()?.as_pathname(), Some(&*path));
    /// # drop(listener);
    /// # std::fs::remove_file(&path)?;
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
    /// # use glassfrog::net::UnixStream;
    /// # glassfrog::block_on(async {
    /// let (client, _server) = UnixStream::pair()?;
    /// assert!(client.local_addr()?.is_unnamed());
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
    /// # use glassfrog::net::UnixStream;
    /// # glassfrog::block_on(async {
    /// let (client, _server) = UnixStream::pair()?;
    /// assert!(client.take_error()?.is_none());
    /// # std::io::Result::Ok(())
    /// # })?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        self.socket.io().take_error()
    }
}

impl ReadSome for &UnixStream {
    async fn read_some(&mut self, room: &mut [u8]) -> io::Result<usize> {
        self.read(room).await
    }
}

/// A message with descriptors ends a read early (`unix(7)`), and the peer may send one at any time. A short read
/// therefore does not prove that the queue is empty, so these methods conclude nothing.
impl Bytes for mio::net::UnixStream {
    fn after_read(_seen: Snapshot, _count: usize, _room: usize) -> Conclusion {
        Conclusion::Nothing
    }

    fn after_write(_seen: Snapshot, _count: usize, _length: usize) -> Conclusion {
        Conclusion::Nothing
    }

    fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.shutdown(how)
    }
}

forward_read!([] UnixStream, this => &this.socket);
forward_write!([] UnixStream, this => &this.socket);
forward_read!([] &UnixStream, this => &this.socket);
forward_write!([] &UnixStream, this => &this.socket);

std_conversions!(
    UnixStream,
    std::os::unix::net::UnixStream,
    mio::net::UnixStream::from_std
);

impl Io for mio::net::UnixStream {
    fn describe(&self, direction: Direction, _connecting: &Connecting) -> String {
        let what = match direction {
            Direction::Read => "read",
            Direction::Write => "write",
        };
        let kind = || self.kind().to_string();
        format!("{what} {}", ends(self.local_addr(), self.peer_addr(), kind))
    }
}

impl fmt::Debug for UnixStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("UnixStream").field(&self.socket).finish()
    }
}

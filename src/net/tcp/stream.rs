//! [`TcpStream`]: a TCP connection.

use super::split::{OwnedReadHalf, OwnedWriteHalf, split};
use crate::context;
use crate::net::addrs::{Addrs, Target, ToSocketAddrs};
use crate::net::happy_eyeballs::race;
use crate::net::resolve::resolve;
use crate::net::socket::{Socket, attempted, other_than_tcp, unblocked};
use crate::reactor::Io;
use crate::reactor::connecting::Connecting;
use crate::reactor::readiness::{Direction, Snapshot};
use crate::reactor::rules::{self, Lesson};
use crate::reactor::source::{Origin, runtime_ended};
use crate::runtime::Shared;
use futures_io::{AsyncRead, AsyncWrite};
use std::fmt;
use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

/// A TCP connection, as [`std::net::TcpStream`], that waits without blocking.
///
/// Reads and writes by [`AsyncRead`] and [`AsyncWrite`], and so does a reference to it: one task
/// may read while another one writes. `write_all`, `read_to_end` and the like come from the crate's
/// `prelude`, or any other extension of those traits. [`into_split`](TcpStream::into_split) makes halves that can
/// be given away.
///
/// Several tasks may wait for the same direction; all of them are woken. What polls by `poll_read`
/// and `poll_write` may be woken without cause now and then if more than eight wait in this way.
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
pub struct TcpStream {
    /// The registered socket.
    pub(in crate::net) socket: Socket<mio::net::TcpStream>,
}

/// Whether an error says only that a connection is not there yet, or nothing has come over it.
fn is_undecided(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::NotConnected
    )
}

/// A read of some kind, in the shape that the reactor's sources take.
fn reading<'a>(
    room: usize,
    mut read: impl FnMut(&mut &mio::net::TcpStream) -> io::Result<usize> + 'a,
) -> impl FnMut(&mio::net::TcpStream, Snapshot) -> io::Result<(usize, Lesson)> + 'a {
    move |mut io, seen| {
        if rules::at_end(seen) {
            return Ok((0, Lesson::Nothing));
        }
        let count = read(&mut io)?;
        Ok((count, rules::after_read(seen, count, room)))
    }
}

/// A read into several buffers, which have room.
fn reading_vectored<'a, 'b: 'a>(
    bufs: &'a mut [IoSliceMut<'b>],
) -> impl FnMut(&mio::net::TcpStream, Snapshot) -> io::Result<(usize, Lesson)> + 'a {
    // The same memory may stand there many times.
    let room = bufs
        .iter()
        .fold(0_usize, |sum, buf| sum.saturating_add(buf.len()));
    reading(room, move |io| io.read_vectored(bufs))
}

/// A write of some kind, in the shape that the reactor's sources take.
fn writing<'a>(
    length: usize,
    mut write: impl FnMut(&mut &mio::net::TcpStream) -> io::Result<usize> + 'a,
) -> impl FnMut(&mio::net::TcpStream, Snapshot) -> io::Result<(usize, Lesson)> + 'a {
    move |mut io, seen| {
        let count = write(&mut io)?;
        Ok((count, rules::after_write(seen, count, length)))
    }
}

/// The same from several buffers, which hold something.
fn writing_vectored<'a>(
    bufs: &'a [IoSlice<'a>],
) -> impl FnMut(&mio::net::TcpStream, Snapshot) -> io::Result<(usize, Lesson)> + 'a {
    // The same memory may stand there many times.
    let length = bufs
        .iter()
        .fold(0_usize, |sum, buf| sum.saturating_add(buf.len()));
    writing(length, move |io| io.write_vectored(bufs))
}

impl TcpStream {
    /// Connects to an address, or to the first of several that accepts.
    ///
    /// A name is [looked up](ToSocketAddrs). Several addresses, of a name or a list, race as RFC 8305
    /// ("Happy Eyeballs") says: their families take turns, in the order given otherwise; the next
    /// attempt begins when one has failed, or 250 ms after the last began; the first connection
    /// wins, and the other attempts are closed. So an address that does not answer costs 250 ms.
    ///
    /// There is no deadline but the operating system's, which is minutes away where nobody answers:
    /// put a [`timeout`](crate::time::timeout) around it, which then covers the look-up too.
    ///
    /// # Errors
    ///
    /// If none accepted, one that lists each address with its reason; its kind, and its
    /// [`source`](std::error::Error::source), are those of the attempt that failed last. The
    /// resolver's error for a name, with that name in its text. `InvalidInput` for what is neither
    /// an address nor a name.
    ///
    /// # Panics
    ///
    /// Outside a runtime.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future ends the attempt and closes the socket.
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
        let shared = Arc::clone(&context::current().shared);
        match addr.target()? {
            Target::Addrs(Addrs::One(Some(addr))) => {
                let connected = TcpStream::connect_to(addr, &shared).await;
                connected.map_err(|error| attempted("connect to", addr, error))
            }
            // Boxed, so that the futures of those who have an address stay small.
            target => Box::pin(TcpStream::connect_to_one_of(target, &shared)).await,
        }
    }

    /// Connects to a name, or to one of several addresses.
    async fn connect_to_one_of(target: Target, shared: &Arc<Shared>) -> io::Result<TcpStream> {
        let addrs = resolve(target, shared).await?;
        race(addrs, shared, |addr| TcpStream::connect_to(addr, shared)).await
    }

    /// Connects to one address.
    async fn connect_to(addr: SocketAddr, shared: &Arc<Shared>) -> io::Result<TcpStream> {
        if shared.inbox.is_closed() {
            // It could not be registered, and the peer would see it come and go.
            return Err(runtime_ended());
        }
        let io = mio::net::TcpStream::connect(addr)?;
        let socket = Socket::new(Arc::clone(shared), io, Origin::Connecting)?;
        let connected = |io: &mio::net::TcpStream, seen| {
            if rules::surely_connected(seen) {
                return Ok(((), Lesson::Nothing));
            }
            // If the peer has sent something and then reset the connection, that comes first, and
            // the error after it.
            match io.peek(&mut [0]) {
                Ok(count) if count > 0 => return Ok(((), Lesson::Nothing)),
                Ok(_) => {}
                Err(error) if is_undecided(&error) => {}
                Err(error) => return Err(error),
            }
            if let Some(error) = io.take_error()? {
                return Err(error);
            }
            match io.peer_addr() {
                Ok(_) => Ok(((), Lesson::Nothing)),
                // Connected and gone already.
                Err(error) if rules::is_closed(seen) => Err(error),
                // Woken too early, as kqueue and IOCP may do.
                Err(_) => Err(io::ErrorKind::WouldBlock.into()),
            }
        };
        socket.op(Direction::Write, connected).await?;
        Ok(TcpStream { socket })
    }

    /// A connection that a listener has accepted.
    pub(super) fn accepted(shared: Arc<Shared>, io: mio::net::TcpStream) -> io::Result<TcpStream> {
        let socket = Socket::new(shared, io, Origin::Accepted)?;
        Ok(TcpStream { socket })
    }

    /// Adopts a connection where no error can be returned.
    #[track_caller]
    pub(in crate::net) fn adopt(stream: std::net::TcpStream) -> TcpStream {
        unblocked("a TCP stream", stream.set_nonblocking(true));
        let addr = stream.local_addr();
        TcpStream {
            socket: Socket::adopt(mio::net::TcpStream::from_std(stream), &addr),
        }
    }

    /// Reads what is there, waiting for at least one byte; 0 means that the peer has sent all it
    /// will send, or that `buf` is empty.
    ///
    /// # Errors
    ///
    /// `ConnectionReset` if the peer broke the connection off; what came before that is read
    /// first. The operating system reports this once: whoever meets it first, be it a write, a peek
    /// or another reader, takes it away, and reading says 0 afterwards.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped before it is ready, nothing has been read.
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
        let op = reading(buf.len(), |io| io.read(buf));
        self.socket.op(Direction::Read, op).await
    }

    /// Writes what there is room for, waiting for at least one byte of it. To write all, use
    /// `write_all` of the crate's `prelude`.
    ///
    /// # Errors
    ///
    /// `BrokenPipe` or `ConnectionReset` if the peer is gone.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped before it is ready, nothing has been written.
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
        let op = writing(buf.len(), |io| io.write(buf));
        self.socket.op(Direction::Write, op).await
    }

    /// Reads what is there without taking it away, waiting for at least one byte.
    ///
    /// # Errors
    ///
    /// As [`read`](TcpStream::read).
    ///
    /// # Cancel safety
    ///
    /// Nothing is taken away in any case.
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
        // What is peeked at stays in the queue, so that nothing can be learnt from its length.
        let op = |io: &mio::net::TcpStream, _| Ok((io.peek(buf)?, Lesson::Nothing));
        self.socket.op(Direction::Read, op).await
    }

    /// Waits until there is something to read, or the end, or an error.
    ///
    /// The next [`try_read`](TcpStream::try_read) may still find nothing, if another task was
    /// quicker.
    ///
    /// # Errors
    ///
    /// Only if the runtime has ended; the connection's own errors are found by trying.
    ///
    /// # Cancel safety
    ///
    /// It may be dropped and made anew at any time.
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

    /// Waits until there is room to write, or an error.
    ///
    /// # Errors
    ///
    /// Only if the runtime has ended; the connection's own errors are found by trying.
    ///
    /// # Cancel safety
    ///
    /// It may be dropped and made anew at any time.
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

    /// Reads what is there, without waiting.
    ///
    /// # Errors
    ///
    /// `WouldBlock` if nothing is known to be there: readiness is learnt by waiting, so call
    /// [`readable`](TcpStream::readable) first. Otherwise as [`read`](TcpStream::read).
    ///
    /// # Examples
    ///
    /// See [`readable`](TcpStream::readable).
    pub fn try_read(&self, buf: &mut [u8]) -> io::Result<usize> {
        if buf.is_empty() {
            return Ok(0);
        }
        let op = reading(buf.len(), |io| io.read(buf));
        self.socket.try_op(Direction::Read, op)
    }

    /// Reads what is there into several buffers, one after the other, without waiting.
    ///
    /// # Errors
    ///
    /// As [`try_read`](TcpStream::try_read).
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
        let Some(range) = rules::for_one_call(bufs) else {
            return Ok(0);
        };
        let op = reading_vectored(&mut bufs[range]);
        self.socket.try_op(Direction::Read, op)
    }

    /// Writes what there is room for, without waiting.
    ///
    /// # Errors
    ///
    /// `WouldBlock` if no room is known to be there: readiness is learnt by waiting, so call
    /// [`writable`](TcpStream::writable) first. Otherwise as [`write`](TcpStream::write).
    ///
    /// # Examples
    ///
    /// See [`writable`](TcpStream::writable).
    pub fn try_write(&self, buf: &[u8]) -> io::Result<usize> {
        if buf.is_empty() {
            return Ok(0);
        }
        let op = writing(buf.len(), |io| io.write(buf));
        self.socket.try_op(Direction::Write, op)
    }

    /// Writes what there is room for from several buffers, one after the other, without waiting.
    ///
    /// # Errors
    ///
    /// As [`try_write`](TcpStream::try_write).
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
        let Some(range) = rules::for_one_call(bufs) else {
            return Ok(0);
        };
        let op = writing_vectored(&bufs[range]);
        self.socket.try_op(Direction::Write, op)
    }

    /// Closes one direction of the connection, or both (`shutdown(2)`).
    ///
    /// After [`Shutdown::Write`] the peer reads to the end of what was written; its answer can
    /// still be read. It may be called repeatedly, and on a connection that is gone already.
    ///
    /// # Errors
    ///
    /// Only where the operating system refuses for another reason than that.
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
        let io = match how {
            Shutdown::Write => self.socket.io(),
            // The hang-up that comes of this says nothing about the peer, so nothing may be
            // concluded from it.
            Shutdown::Read | Shutdown::Both => self.socket.hand_out(),
        };
        match io.shutdown(how) {
            Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(()),
            result => result,
        }
    }

    /// Makes two halves that can be given to different tasks, on any threads.
    ///
    /// Dropping the write half shuts the connection down for writing; the socket is closed when
    /// both are gone. A reference to a stream reads and writes too: where borrowing will do, this
    /// is not needed.
    ///
    /// # Examples
    ///
    /// ```
    /// # use glassfrog::net::{TcpListener, TcpStream};
    /// # glassfrog::block_on(async {
    /// # let listener = TcpListener::bind("127.0.0.1:0").await?;
    /// # let (client, server) = (TcpStream::connect(listener.local_addr()?).await?, listener.accept().await?.0);
    /// let (reader, writer) = client.into_split();
    /// let task = glassfrog::spawn(async move { writer.as_ref().write(b"hello").await });
    /// assert_eq!(server.read(&mut [0; 16]).await?, 5);
    /// assert_eq!(task.await??, 5);
    /// # drop(reader);
    /// # std::io::Result::Ok(())
    /// # })?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn into_split(self) -> (OwnedReadHalf, OwnedWriteHalf) {
        split(self)
    }

    /// The address of the other end.
    ///
    /// # Errors
    ///
    /// `NotConnected` if the connection is gone.
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

    /// The address of this end.
    ///
    /// # Errors
    ///
    /// Those of `getsockname(2)`.
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

    /// Whether small packets are sent at once (`TCP_NODELAY`).
    ///
    /// # Errors
    ///
    /// Those of `getsockopt(2)`.
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

    /// Sends small packets at once (`TCP_NODELAY`), instead of waiting for more to send.
    ///
    /// # Errors
    ///
    /// Those of `setsockopt(2)`.
    ///
    /// # Examples
    ///
    /// See [`nodelay`](TcpStream::nodelay).
    pub fn set_nodelay(&self, nodelay: bool) -> io::Result<()> {
        self.socket.io().set_nodelay(nodelay)
    }

    /// How many hops a packet may take (`IP_TTL`).
    ///
    /// # Errors
    ///
    /// Those of `getsockopt(2)`.
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

    /// Sets how many hops a packet may take (`IP_TTL`).
    ///
    /// # Errors
    ///
    /// Those of `setsockopt(2)`.
    ///
    /// # Examples
    ///
    /// See [`ttl`](TcpStream::ttl).
    pub fn set_ttl(&self, ttl: u32) -> io::Result<()> {
        self.socket.io().set_ttl(ttl)
    }

    /// Takes the error that the socket keeps, if there is one (`SO_ERROR`).
    ///
    /// # Errors
    ///
    /// Those of `getsockopt(2)`.
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

impl AsyncRead for &TcpStream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        if buf.is_empty() {
            return Poll::Ready(Ok(0));
        }
        let op = reading(buf.len(), |io| io.read(buf));
        self.socket.poll_op(Direction::Read, cx, op)
    }

    fn poll_read_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
    ) -> Poll<io::Result<usize>> {
        let Some(range) = rules::for_one_call(bufs) else {
            return Poll::Ready(Ok(0));
        };
        let op = reading_vectored(&mut bufs[range]);
        self.socket.poll_op(Direction::Read, cx, op)
    }
}

impl AsyncWrite for &TcpStream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        if buf.is_empty() {
            return Poll::Ready(Ok(0));
        }
        let op = writing(buf.len(), |io| io.write(buf));
        self.socket.poll_op(Direction::Write, cx, op)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let Some(range) = rules::for_one_call(bufs) else {
            return Poll::Ready(Ok(0));
        };
        let op = writing_vectored(&bufs[range]);
        self.socket.poll_op(Direction::Write, cx, op)
    }

    /// Nothing is buffered here: what was written is the kernel's.
    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    /// Shuts the connection down for writing. Reading goes on.
    fn poll_close(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.shutdown(Shutdown::Write))
    }
}

impl AsyncRead for TcpStream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut &*self).poll_read(cx, buf)
    }

    fn poll_read_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut &*self).poll_read_vectored(cx, bufs)
    }
}

impl AsyncWrite for TcpStream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut &*self).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut &*self).poll_write_vectored(cx, bufs)
    }

    /// Nothing is buffered here: what was written is the kernel's.
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut &*self).poll_flush(cx)
    }

    /// Shuts the connection down for writing. Reading goes on.
    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut &*self).poll_close(cx)
    }
}

impl Io for mio::net::TcpStream {
    fn describe(&self, direction: Direction, connecting: &Connecting) -> String {
        let what = match direction {
            Direction::Read => "read",
            Direction::Write => "write",
        };
        let local = self.local_addr();
        if let Some(other) = other_than_tcp(self, &self.nodelay(), &local) {
            return format!("{what} {other}");
        }
        match (local, self.peer_addr()) {
            (Ok(local), Ok(peer)) => format!("{what} tcp {local} → {peer}"),
            // Not connected, not yet or not any more. Who waits for a connection waits to write.
            (Ok(local), Err(_)) => match (direction, connecting.target(local)) {
                (Direction::Write, Some(peer)) => format!("connect tcp {local} → {peer}"),
                _ => format!("{what} tcp {local} (no peer)"),
            },
            (Err(error), _) => format!("{what} tcp (closed: {error})"),
        }
    }
}

/// Adopts a connection into the runtime of this thread, and makes it non-blocking.
///
/// # Errors
///
/// If it cannot be registered with the reactor. `InvalidInput` for what is not a socket, such as a file or a
/// pipe: move its reads and writes to [`spawn_blocking`](crate::task::spawn_blocking).
///
/// # Panics
///
/// Outside a runtime.
impl TryFrom<std::net::TcpStream> for TcpStream {
    type Error = io::Error;

    #[track_caller]
    fn try_from(stream: std::net::TcpStream) -> io::Result<TcpStream> {
        stream.set_nonblocking(true)?;
        let addr = stream.local_addr();
        let socket = Socket::try_adopt(mio::net::TcpStream::from_std(stream), &addr)?;
        Ok(TcpStream { socket })
    }
}

/// Takes a connection out of its runtime, and makes it blocking, as those of `std` are.
impl TryFrom<TcpStream> for std::net::TcpStream {
    type Error = io::Error;

    fn try_from(stream: TcpStream) -> io::Result<std::net::TcpStream> {
        let stream = std::net::TcpStream::from(stream.socket.into_io()?);
        stream.set_nonblocking(false)?;
        Ok(stream)
    }
}

impl fmt::Debug for TcpStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TcpStream").field(&self.socket).finish()
    }
}

//! [`Io`]: a stream of bytes between the traits of `futures-io` and those of hyper.

use crate::net::bytes::with_shared_buffer;
use futures_io::{AsyncRead, AsyncWrite};
use hyper::rt::{Read, ReadBuf, ReadBufCursor, Write};
use pin_project_lite::pin_project;
use std::cell::Cell;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

/// The maximum number of bytes of one read.
///
/// hyper asks for 8 KiB at first, and for up to 496 KiB while a large body arrives, so this limit bounds other callers
/// only. A smaller one costs more reads, and each read of a full socket also moves the window of TCP, wakes the sender,
/// and on loopback even does the sender's work. How often that happens depends on how the threads are scheduled, so the
/// time of an upload varies by a factor of three. An upload of 10 MB takes 160 reads at 64 KiB and 30 without a limit. Its
/// thread then takes 1.5 and 1.1 times the CPU time of tokio's adapter, at the median of 25 runs on Linux.
const MOST_IN_ONE_READ: usize = 512 * 1024;

/// The largest read for which a small buffer suffices: hyper asks for this until a body has filled it.
const SMALL_READ: usize = 8 * 1024;

/// The number of small reads after which a large buffer is replaced by a small one. A large body may arrive beside many
/// small requests, and a new large buffer costs a page fault for each of its 128 pages. At this number, that is an eighth
/// of a fault for each small read.
const SMALL_READS_TO_SHRINK: u32 = 1024;

thread_local! {
    /// The buffer of all reads on this thread: a stream of `futures-io` reads only into initialized memory, and hyper's
    /// memory is not. A read takes it and puts it back.
    ///
    /// The thread-local has a destructor. After that has run, each read allocates a buffer of its own.
    static BUFFER: Cell<Buffer> = const { Cell::new(Buffer::NONE) };
}

/// The buffer of a thread.
#[derive(Default)]
struct Buffer {
    /// Initialized memory: none, [`SMALL_READ`] bytes, or [`MOST_IN_ONE_READ`] bytes.
    bytes: Vec<u8>,
    /// The number of small reads since the last large one.
    small_reads: u32,
}

impl Buffer {
    /// The buffer of a thread that has not read.
    const NONE: Buffer = Buffer {
        bytes: Vec::new(),
        small_reads: 0,
    };

    /// Returns memory for a read of `room` bytes.
    fn for_read(&mut self, room: usize) -> &mut [u8] {
        if room > SMALL_READ {
            self.small_reads = 0;
            if self.bytes.len() < room {
                // The allocator zeroes a large buffer by mapping pages, which take memory when they are first written.
                self.bytes = vec![0; MOST_IN_ONE_READ];
            }
        } else {
            self.small_reads = self.small_reads.saturating_add(1);
            let is_wasteful =
                self.bytes.len() > SMALL_READ && self.small_reads >= SMALL_READS_TO_SHRINK;
            if self.bytes.is_empty() || is_wasteful {
                self.bytes = vec![0; SMALL_READ];
            }
        }
        &mut self.bytes[..room]
    }
}

pin_project! {
    /// Adapts a stream of bytes: from `futures-io` to hyper, and from hyper to `futures-io`.
    ///
    /// If `T` implements [`AsyncRead`] and [`AsyncWrite`], as every stream of glassfrog does, `Io<T>` implements
    /// [`hyper::rt::Read`](Read) and [`hyper::rt::Write`](Write). hyper serves it, or sends requests over it. Conversely, if
    /// `T` implements hyper's traits, as `hyper::upgrade::Upgraded` does, `Io<T>` implements those of `futures-io`.
    ///
    /// Vectored writes reach the stream as such. A stream that does not implement them writes one buffer at a time, and so
    /// sends the head of a response apart from its body. For such a stream, turn them off with `writev(false)` of hyper's
    /// builder, which the method `configure` of a server passes.
    ///
    /// # Cost
    ///
    /// hyper reads into uninitialized memory, which only unsafe code can pass to a stream of `futures-io`. A read goes
    /// through a buffer of its thread, and is copied once. The buffer has 8 KiB, or 512 KiB while large bodies arrive. A
    /// thread keeps it until it ends.
    ///
    /// # Faulty streams
    ///
    /// The buffer is not cleared between reads. If a stream of another crate returns a count from `poll_read` without
    /// writing as many bytes, its reader gets bytes that other connections of the thread have received. The streams of
    /// glassfrog are not faulty in this way.
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::hyper::Io;
    /// use glassfrog::net::{TcpListener, TcpStream};
    ///
    /// glassfrog::block_on(async {
    ///     let listener = TcpListener::bind("127.0.0.1:0").await?;
    ///     let stream = TcpStream::connect(listener.local_addr()?).await?;
    ///     let io = Io::new(stream);
    ///     assert_eq!(io.get_ref().peer_addr()?, listener.local_addr()?);
    ///     std::io::Result::Ok(())
    /// })?;
    /// # std::io::Result::Ok(())
    /// ```
    #[derive(Clone, Copy, Debug, Default)]
    pub struct Io<T> {
        // The stream.
        #[pin]
        inner: T,
    }
}

impl<T> Io<T> {
    /// Wraps a stream.
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::hyper::Io;
    ///
    /// let io = Io::new(&b"a reader"[..]);
    /// # drop(io);
    /// ```
    pub const fn new(inner: T) -> Io<T> {
        Io { inner }
    }

    /// Returns a reference to the stream.
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::hyper::Io;
    ///
    /// let io = Io::new(&b"a reader"[..]);
    /// assert_eq!(io.get_ref().len(), 8);
    /// ```
    pub const fn get_ref(&self) -> &T {
        &self.inner
    }

    /// Returns a mutable reference to the stream.
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::hyper::Io;
    ///
    /// let mut io = Io::new(&b"a reader"[..]);
    /// *io.get_mut() = b"another";
    /// assert_eq!(io.into_inner(), b"another");
    /// ```
    pub const fn get_mut(&mut self) -> &mut T {
        &mut self.inner
    }

    /// Returns the stream. Nothing is lost, because the adapter buffers nothing.
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::hyper::Io;
    ///
    /// assert_eq!(Io::new(&b"a reader"[..]).into_inner(), b"a reader");
    /// ```
    pub fn into_inner(self) -> T {
        self.inner
    }
}

impl<T: AsyncRead> Read for Io<T> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut cursor: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        // The stream is foreign code, which may panic, or read through another `Io`. It then finds an empty buffer.
        let mut buffer = BUFFER.try_with(Cell::take).unwrap_or_default();
        let room = cursor.remaining().min(MOST_IN_ONE_READ);
        let memory = buffer.for_read(room);
        let inner = self.project().inner;
        let polled = with_shared_buffer(|| inner.poll_read(cx, memory));
        if let Poll::Ready(Ok(count)) = polled {
            cursor.put_slice(&memory[..count]);
        }
        // An error means that the thread ends, and drops the buffer.
        let _ = BUFFER.try_with(|place| place.set(buffer));
        polled.map_ok(|_count| ())
    }
}

impl<T: AsyncWrite> Write for Io<T> {
    #[inline]
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.project().inner.poll_write(cx, buf)
    }

    #[inline]
    fn is_write_vectored(&self) -> bool {
        true
    }

    #[inline]
    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.project().inner.poll_write_vectored(cx, bufs)
    }

    #[inline]
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.project().inner.poll_flush(cx)
    }

    #[inline]
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.project().inner.poll_close(cx)
    }
}

impl<T: Read> AsyncRead for Io<T> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let mut buf = ReadBuf::new(buf);
        ready!(self.project().inner.poll_read(cx, buf.unfilled()))?;
        Poll::Ready(Ok(buf.filled().len()))
    }
}

impl<T: Write> AsyncWrite for Io<T> {
    #[inline]
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.project().inner.poll_write(cx, buf)
    }

    #[inline]
    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.project().inner.poll_write_vectored(cx, bufs)
    }

    #[inline]
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.project().inner.poll_flush(cx)
    }

    #[inline]
    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.project().inner.poll_shutdown(cx)
    }
}

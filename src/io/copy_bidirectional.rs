//! [`copy_bidirectional`]: copying between two streams in both directions at once.
//!
//! Each [`Direction`] reads into a buffer of its own and writes from it:
//!
//! ```text
//!                 bytes                          the end
//!    +---------+ -------> +---------+   +---------+ ----> +---------+ closed +------+
//!    | reading |          | writing |   | reading |       | closing | -----> | over |
//!    +---------+ <------- +---------+   +---------+       +---------+        +------+
//!                all written
//! ```
//!
//! The directions take turns, one read or write each, so neither starves the other. Each read or write takes
//! one operation from the budget of the poll, so the two do not starve other tasks either, whatever the streams
//! are.

use crate::executor::budget::{poll_budget, spend_budget};
use crate::time::sleep::{RuntimeEnded, Sleep, saturating_add, sleep};
use futures_io::{AsyncRead, AsyncWrite};
use std::fmt;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

/// The size of the buffer of each direction. It holds the data of the largest TLS record, and the buffers of ten
/// thousand connections take no more than a third of a gigabyte.
const BUFFER_SIZE: usize = 16 * 1024;

/// Copies data between two streams in both directions, until both directions have ended.
///
/// When one stream ends, the future flushes the other one and closes its write direction, and the opposite direction
/// continues. The future returns the number of bytes that it copied from `a` to `b`, and from `b` to `a`. Dropping
/// the future drops the streams; to keep them, pass `&mut a` or, for the sockets of this crate, `&a`.
///
/// Each direction has a buffer of 16 KiB. When a reader has nothing more to read, the future flushes the writer.
///
/// By default, the future waits forever for a silent peer; see [`idle_timeout`](CopyBidirectional::idle_timeout).
///
/// # Errors
///
/// Returns the first error of either stream, which ends the copy in both directions. Bytes that were read but not yet
/// written are lost. [`copied`](CopyBidirectional::copied) still returns the counts.
///
/// # Cancel safety
///
/// Dropping the future loses the bytes that it has read but not yet written: at most 16 KiB in each direction. To
/// wait for something else at the same time without losing bytes, poll the future by mutable reference.
///
/// # Examples
///
/// A proxy for one connection:
///
/// ```
/// use glassfrog::io::copy_bidirectional;
/// use glassfrog::net::{TcpListener, TcpStream};
/// # use std::net::{Shutdown, SocketAddr};
///
/// async fn proxy(client: TcpStream, server: SocketAddr) -> std::io::Result<(u64, u64)> {
///     let server = TcpStream::connect(server).await?;
///     copy_bidirectional(client, server).await
/// }
///
/// # glassfrog::block_on(async {
/// # let listener = TcpListener::bind("127.0.0.1:0").await?;
/// # let target = TcpListener::bind("127.0.0.1:0").await?;
/// # let addr = target.local_addr()?;
/// # let client = TcpStream::connect(listener.local_addr()?).await?;
/// # let proxy = glassfrog::spawn(proxy(listener.accept().await?.0, addr));
/// # let server = target.accept().await?.0;
/// client.write(b"hello").await?;
/// client.shutdown(Shutdown::Write)?;
/// # let mut buf = [0; 16];
/// # assert_eq!(server.read(&mut buf).await?, 5);
/// # assert_eq!(server.read(&mut buf).await?, 0);
/// server.write(b"goodbye").await?;
/// # drop(server);
/// # assert_eq!(client.read(&mut buf).await?, 7);
/// // …
/// assert_eq!(proxy.await??, (5, 7));
/// # std::io::Result::Ok(())
/// # })?;
/// # std::io::Result::Ok(())
/// ```
pub fn copy_bidirectional<A, B>(a: A, b: B) -> CopyBidirectional<A, B>
where
    A: AsyncRead + AsyncWrite + Unpin,
    B: AsyncRead + AsyncWrite + Unpin,
{
    CopyBidirectional {
        a,
        b,
        forth: Direction::new(),
        back: Direction::new(),
        idle: None,
    }
}

/// The future of [`copy_bidirectional`].
///
/// # Examples
///
/// See [`copy_bidirectional`].
#[must_use = "futures do nothing unless you `.await` or poll them"]
pub struct CopyBidirectional<A, B> {
    /// The first stream.
    a: A,
    /// The second stream.
    b: B,
    /// The direction from `a` to `b`.
    forth: Direction,
    /// The direction from `b` to `a`.
    back: Direction,
    /// The idle timeout, if there is one.
    idle: Option<Idle>,
}

impl<A, B> CopyBidirectional<A, B> {
    /// Makes the copy fail with [`TimedOut`](io::ErrorKind::TimedOut) if no bytes are read or written in either
    /// direction for `timeout`.
    ///
    /// The timeout starts with this call. It also runs while only one direction is left, and while a stream blocks in
    /// a write, a flush or a close. A timeout such as `Duration::MAX` never expires.
    ///
    /// # Panics
    ///
    /// Panics outside a runtime.
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::io::copy_bidirectional;
    /// # use glassfrog::net::{TcpListener, TcpStream};
    /// use std::io::ErrorKind;
    /// use std::time::Duration;
    ///
    /// # let runtime = glassfrog::Runtime::builder().virtual_clock().build()?;
    /// # runtime.block_on(async {
    /// # let listener = TcpListener::bind("127.0.0.1:0").await?;
    /// # let client = TcpStream::connect(listener.local_addr()?).await?;
    /// # let (server, _) = listener.accept().await?;
    /// // Neither sends anything.
    /// let copy = copy_bidirectional(&client, &server).idle_timeout(Duration::from_secs(60));
    /// assert_eq!(copy.await.unwrap_err().kind(), ErrorKind::TimedOut);
    /// # std::io::Result::Ok(())
    /// # })?;
    /// # std::io::Result::Ok(())
    /// ```
    #[track_caller]
    pub fn idle_timeout(mut self, timeout: Duration) -> Self {
        self.idle = Some(Idle::new(timeout));
        self
    }

    /// Returns the number of bytes that were copied from `a` to `b`, and from `b` to `a`.
    ///
    /// A byte counts when the other stream has accepted it.
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::io::copy_bidirectional;
    /// # use glassfrog::net::{TcpListener, TcpStream};
    /// use glassfrog::time::timeout;
    /// use std::time::Duration;
    ///
    /// # glassfrog::block_on(async {
    /// # let listener = TcpListener::bind("127.0.0.1:0").await?;
    /// # let (client, a) = (TcpStream::connect(listener.local_addr()?).await?, listener.accept().await?.0);
    /// # let (b, server) = (TcpStream::connect(listener.local_addr()?).await?, listener.accept().await?.0);
    /// # client.write(b"hello").await?;
    /// let mut copy = copy_bidirectional(a, b);
    /// if timeout(Duration::from_millis(100), &mut copy).await.is_err() {
    ///     assert_eq!(copy.copied(), (5, 0));
    /// }
    /// # drop((server, client));
    /// # std::io::Result::Ok(())
    /// # })?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn copied(&self) -> (u64, u64) {
        (self.forth.copied, self.back.copied)
    }
}

impl<A, B> Future for CopyBidirectional<A, B>
where
    A: AsyncRead + AsyncWrite + Unpin,
    B: AsyncRead + AsyncWrite + Unpin,
{
    type Output = io::Result<(u64, u64)>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let CopyBidirectional {
            a,
            b,
            forth,
            back,
            idle,
        } = self.get_mut();
        let (mut forth_goes_on, mut back_goes_on) = (true, true);
        let mut has_moved = false;
        while forth_goes_on || back_goes_on {
            if forth_goes_on {
                forth_goes_on = forth.poll_step(cx, a, b)?.is_ready() && !forth.is_over();
                has_moved |= forth_goes_on;
            }
            if back_goes_on {
                back_goes_on = back.poll_step(cx, b, a)?.is_ready() && !back.is_over();
                has_moved |= back_goes_on;
            }
        }
        if forth.is_over() && back.is_over() {
            return Poll::Ready(Ok((forth.copied, back.copied)));
        }
        match idle {
            Some(idle) => idle.poll(cx, has_moved).map(Err),
            None => Poll::Pending,
        }
    }
}

impl<A, B> fmt::Debug for CopyBidirectional<A, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CopyBidirectional")
            .field("forth", &self.forth)
            .field("back", &self.back)
            .finish_non_exhaustive()
    }
}

/// One direction.
struct Direction {
    /// The phase, which determines the next step.
    phase: Phase,
    /// The bytes that were read. Allocated at the first poll.
    buffer: Vec<u8>,
    /// Whether bytes were written after the last flush.
    is_dirty: bool,
    /// The number of bytes that were written.
    copied: u64,
}

/// The phase of a direction.
#[derive(Debug)]
enum Phase {
    /// Reads into the buffer, which is empty.
    Reading,
    /// Writes the part of the buffer between these two indices, which is not empty.
    Writing(usize, usize),
    /// The reader has ended: flushes and closes the writer.
    Closing,
    /// The writer is closed.
    Over,
}

impl Direction {
    /// Creates a direction in which nothing has been copied.
    fn new() -> Direction {
        Direction {
            phase: Phase::Reading,
            buffer: Vec::new(),
            is_dirty: false,
            copied: 0,
        }
    }

    /// Returns whether the direction has ended.
    fn is_over(&self) -> bool {
        matches!(self.phase, Phase::Over)
    }

    /// Reads once, writes once, or closes the writer. Returns `Pending` if the step would block.
    fn poll_step(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut (impl AsyncRead + Unpin),
        to: &mut (impl AsyncWrite + Unpin),
    ) -> Poll<io::Result<()>> {
        if self.is_over() {
            return Poll::Ready(Ok(()));
        }
        ready!(poll_budget(cx));
        match &mut self.phase {
            Phase::Reading => {
                self.buffer.resize(BUFFER_SIZE, 0);
                let Poll::Ready(read) = Pin::new(from).poll_read(cx, &mut self.buffer) else {
                    // The next data may be a response to bytes that the writer still buffers.
                    ready!(self.poll_flush(cx, to))?;
                    return Poll::Pending;
                };
                self.phase = match read? {
                    0 => Phase::Closing,
                    count => Phase::Writing(0, count),
                };
            }
            Phase::Writing(start, end) => {
                let bytes = &self.buffer[*start..*end];
                let count = ready!(Pin::new(to).poll_write(cx, bytes))?;
                if count == 0 {
                    return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
                }
                *start += count;
                if start == end {
                    self.phase = Phase::Reading;
                }
                self.is_dirty = true;
                self.copied += count as u64;
            }
            Phase::Closing => {
                ready!(self.poll_flush(cx, to))?;
                ready!(Pin::new(to).poll_close(cx))?;
                self.phase = Phase::Over;
                self.buffer = Vec::new();
            }
            Phase::Over => {}
        }
        spend_budget();
        Poll::Ready(Ok(()))
    }

    /// Flushes the writer if bytes were written after the last flush.
    fn poll_flush(
        &mut self,
        cx: &mut Context<'_>,
        to: &mut (impl AsyncWrite + Unpin),
    ) -> Poll<io::Result<()>> {
        if self.is_dirty {
            ready!(Pin::new(to).poll_flush(cx))?;
            self.is_dirty = false;
        }
        Poll::Ready(Ok(()))
    }
}

impl fmt::Debug for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Direction")
            .field("phase", &self.phase)
            .field("copied", &self.copied)
            .finish_non_exhaustive()
    }
}

/// The idle timeout of a copy.
///
/// When bytes move, the copy records the time. It resets the sleep only when the sleep ends, so a busy copy pays only
/// for reading the clock.
struct Idle {
    /// The maximum time without a read or a write.
    timeout: Duration,
    /// The time of the last read or write.
    last: Instant,
    /// Ends at the deadline, or before it.
    sleep: Sleep,
}

impl Idle {
    /// Creates a timeout that begins now.
    #[track_caller]
    fn new(timeout: Duration) -> Idle {
        let sleep = sleep(timeout);
        let last = sleep.now();
        Idle {
            timeout,
            last,
            sleep,
        }
    }

    /// Waits for the deadline, and returns the error of the timeout.
    fn poll(&mut self, cx: &mut Context<'_>, has_moved: bool) -> Poll<io::Error> {
        if has_moved {
            self.last = self.sleep.now();
        }
        loop {
            if let Err(RuntimeEnded) = ready!(self.sleep.poll_deadline(cx)) {
                return Poll::Ready(io::Error::other(
                    "the runtime of this idle timeout has ended",
                ));
            }
            let deadline = saturating_add(self.last, self.timeout);
            let now = self.sleep.now();
            if now >= deadline {
                // If the copy is polled again, the timeout starts anew.
                self.last = now;
                self.sleep.reset(saturating_add(now, self.timeout));
                let reason = format!("nothing was read or written for {:?}", self.timeout);
                return Poll::Ready(io::Error::new(io::ErrorKind::TimedOut, reason));
            }
            self.sleep.reset(deadline);
        }
    }
}

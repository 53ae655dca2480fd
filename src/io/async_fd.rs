//! [`Async`]: any pollable descriptor. Unix only.
//!
//! The reactor watches a duplicate of the descriptor, which shares its open file description. The registration and
//! the non-blocking mode therefore stay with the file that was passed to [`Async::new`], even if the owner replaces
//! the value. A `UnixStream` of `std` holds the duplicate, because its `set_nonblocking` calls `ioctl(2)`, which
//! works on a file of any kind.

use crate::context;
use crate::foreign::swallow_panics;
use crate::net::bytes::{forward_read, forward_write};
use crate::net::descriptor::kind_of;
use crate::net::socket::Socket;
use crate::net::with::{read_with, write_with};
use crate::reactor::Io;
use crate::reactor::attempts::Buffer;
use crate::reactor::platform::FileKind;
use crate::reactor::proc_net::Connecting;
use crate::reactor::readiness::Direction;
use crate::reactor::refusal::Refusal;
use crate::reactor::source::InitialState;
use crate::reactor::watched::Watched;
use futures_io::{AsyncRead, AsyncWrite};
use std::fmt;
use std::fs::{self, File};
use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::pin::Pin;
use std::task::{Context, Poll};

/// An asynchronous wrapper around any descriptor that the operating system can poll, such as a pipe, a terminal, the
/// output of a child process, an eventfd, an inotify descriptor, or a socket of another crate.
///
/// If `T` implements [`Read`] or [`Write`], `Async<T>` implements [`AsyncRead`] or [`AsyncWrite`]. If `&T` does, so
/// does `&Async<T>`. For other system calls, use [`read_with`](Async::read_with) and
/// [`write_with`](Async::write_with).
///
/// An `Async` counts twice towards the limit on open files, because it holds a duplicate of the descriptor.
///
/// # Non-blocking mode
///
/// [`new`](Async::new) puts the descriptor into non-blocking mode. Calling [`into_inner`](Async::into_inner) or
/// dropping the `Async` restores the previous mode. On systems without `/proc/self/fdinfo`, the previous mode is
/// unknown, and the descriptor is left in blocking mode.
///
/// The mode belongs to the open file description, not to the descriptor. All duplicates of the descriptor share it,
/// including those in other processes:
///
/// - Do not use `Async` for standard streams that the process has inherited. Reads and writes would start to fail in
///   the shell that started the process and in all other processes on the terminal.
/// - Do not create a second `Async` from a duplicate of the descriptor. Once one of the two is dropped, the other one
///   blocks its thread. Use one `Async`, and share a reference to it.
///
/// # Examples
///
/// ```
/// use glassfrog::io::Async;
/// use std::io::{Read, Write};
///
/// glassfrog::block_on(async {
///     let (reader, writer) = std::io::pipe()?;
///     let (reader, writer) = (Async::new(reader)?, Async::new(writer)?);
///     let task = glassfrog::spawn(async move {
///         writer.write_with(|mut pipe| pipe.write(b"hello")).await
///     });
///     let mut buf = [0; 16];
///     assert_eq!(reader.read_with(|mut pipe| pipe.read(&mut buf)).await?, 5);
///     assert_eq!(task.await??, 5);
///     std::io::Result::Ok(())
/// })?;
/// # std::io::Result::Ok(())
/// ```
///
/// The output of a child process, line by line:
///
#[cfg_attr(feature = "prelude", doc = "```")]
#[cfg_attr(not(feature = "prelude"), doc = "```ignore")]
/// use glassfrog::io::{Async, BufReader};
/// use glassfrog::prelude::*;
/// use std::process::{Command, Stdio};
///
/// glassfrog::block_on(async {
///     let mut child = Command::new("echo").arg("hello").stdout(Stdio::piped()).spawn()?;
///     let stdout = Async::new(child.stdout.take().unwrap())?;
///     let mut lines = BufReader::new(stdout).lines();
///     assert_eq!(lines.next().await.unwrap()?, "hello");
///     assert!(lines.next().await.is_none());
///     child.wait()
/// })?;
/// # std::io::Result::Ok(())
/// ```
pub struct Async<T: AsFd> {
    /// The registered duplicate. It stands first, so that it is dropped before the value.
    socket: Socket<Watched<Duplicate>>,
    /// The value with the descriptor.
    io: T,
}

impl<T: AsFd> Async<T> {
    /// Registers a descriptor with the runtime of this thread, and puts it into [non-blocking
    /// mode](Async#non-blocking-mode).
    ///
    /// # Errors
    ///
    /// The kind is `InvalidInput` if the operating system cannot poll the descriptor. This applies to regular files,
    /// directories and some devices: read and write them with [`spawn_blocking`](crate::task::spawn_blocking). The
    /// descriptor then keeps its mode, and `io` is dropped. Also returns an error if the process has no descriptors
    /// left, if the registration fails, or if the runtime has ended.
    ///
    /// # Panics
    ///
    /// Panics outside a runtime.
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::io::Async;
    /// use std::fs::File;
    ///
    /// glassfrog::block_on(async {
    ///     let error = Async::new(File::open("Cargo.toml")?).unwrap_err();
    ///     assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
    ///     assert!(error.to_string().contains("a regular file"));
    ///     std::io::Result::Ok(())
    /// })?;
    /// # std::io::Result::Ok(())
    /// ```
    #[track_caller]
    pub fn new(io: T) -> io::Result<Async<T>> {
        let shared = context::shared();
        let duplicate = Duplicate::new(io.as_fd())?;
        let kind = duplicate.kind;
        let socket = Socket::new(shared, Watched::new(duplicate), InitialState::Adopted);
        match socket {
            Ok(socket) => Ok(Async { socket, io }),
            // `EPERM` of `epoll_ctl(2)`.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                Err(Refusal::NotPollable(kind).error())
            }
            Err(error) => Err(error),
        }
    }

    /// Returns a reference to the value.
    ///
    /// # Examples
    ///
    /// ```
    /// # use glassfrog::io::Async;
    /// # glassfrog::block_on(async {
    /// let (reader, _writer) = std::io::pipe()?;
    /// let reader = Async::new(reader)?;
    /// let another_reader = reader.get_ref().try_clone()?;
    /// # drop(another_reader);
    /// # std::io::Result::Ok(())
    /// # })?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn get_ref(&self) -> &T {
        &self.io
    }

    /// Returns a mutable reference to the value.
    ///
    /// The runtime keeps watching the file that was passed to [`new`](Async::new). If you replace the value with one
    /// that has another descriptor, no wait ends when the new descriptor becomes ready.
    ///
    /// # Examples
    ///
    /// ```
    /// # use glassfrog::io::Async;
    /// use std::io::Write;
    ///
    /// # glassfrog::block_on(async {
    /// let (_reader, writer) = std::io::pipe()?;
    /// let mut writer = Async::new(writer)?;
    /// // This does not wait: the pipe is in non-blocking mode.
    /// assert_eq!(writer.get_mut().write(b"hello")?, 5);
    /// # std::io::Result::Ok(())
    /// # })?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn get_mut(&mut self) -> &mut T {
        &mut self.io
    }

    /// Removes the descriptor from its runtime, restores its previous [mode](Async#non-blocking-mode), and returns
    /// the value.
    ///
    /// # Errors
    ///
    /// Returns the error of `ioctl(2)`. The value is then dropped.
    ///
    /// # Examples
    ///
    /// ```
    /// # use glassfrog::io::Async;
    /// use std::io::{Read, Write};
    ///
    /// # glassfrog::block_on(async {
    /// let (reader, mut writer) = std::io::pipe()?;
    /// let mut reader = Async::new(reader)?.into_inner()?;
    /// writer.write_all(b"hello")?;
    /// drop(writer);
    /// // This waits: the pipe is in blocking mode again.
    /// let mut text = String::new();
    /// assert_eq!(reader.read_to_string(&mut text)?, 5);
    /// # std::io::Result::Ok(())
    /// # })?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn into_inner(self) -> io::Result<T> {
        let Async { socket, io } = self;
        socket.into_io()?.into_inner().restore()?;
        Ok(io)
    }

    /// Waits until the descriptor is readable: a read would return data, the end of the file, or an error.
    ///
    /// A read may still return `WouldBlock`. Only [`read_with`](Async::read_with) and the related methods then clear
    /// the readiness, so a loop that calls `readable` and reads directly spins.
    ///
    /// # Errors
    ///
    /// Returns an error only if the runtime has ended.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future has no effect on the descriptor.
    ///
    /// # Examples
    ///
    /// ```
    /// # use glassfrog::io::Async;
    /// use std::io::{ErrorKind, Read, Write};
    ///
    /// # glassfrog::block_on(async {
    /// let (reader, mut writer) = std::io::pipe()?;
    /// let reader = Async::new(reader)?;
    /// writer.write_all(b"hello")?;
    /// let mut buf = [0; 16];
    /// let count = loop {
    ///     reader.readable().await?;
    ///     match reader.try_read_with(|mut pipe| pipe.read(&mut buf)) {
    ///         Err(error) if error.kind() == ErrorKind::WouldBlock => continue,
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

    /// Waits until the descriptor is writable: a write would send something or return an error.
    ///
    /// A write may still return `WouldBlock`; see [`readable`](Async::readable).
    ///
    /// # Errors
    ///
    /// Returns an error only if the runtime has ended.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future has no effect on the descriptor.
    ///
    /// # Examples
    ///
    /// ```
    /// # use glassfrog::io::Async;
    /// use std::io::Write;
    ///
    /// # glassfrog::block_on(async {
    /// let (_reader, writer) = std::io::pipe()?;
    /// let writer = Async::new(writer)?;
    /// writer.writable().await?;
    /// assert_eq!(writer.try_write_with(|mut pipe| pipe.write(b"hello"))?, 5);
    /// # std::io::Result::Ok(())
    /// # })?;
    /// # std::io::Result::Ok(())
    /// ```
    pub async fn writable(&self) -> io::Result<()> {
        self.socket.ready(Direction::Write).await
    }

    read_with! {
        self => &self.io, &T,
        /// See [`Async`].
    }

    write_with! {
        self => &self.io, &T,
    }
}

/// A duplicate of a descriptor. Dropping it restores the previous mode of the descriptor.
struct Duplicate {
    /// The duplicate. It may be of any kind.
    file: UnixStream,
    /// The number of the original descriptor, which dumps show.
    number: RawFd,
    /// The kind of the file.
    kind: FileKind,
    /// Whether to put the descriptor back into blocking mode.
    was_blocking: bool,
}

impl Duplicate {
    /// Duplicates a descriptor, and puts it into non-blocking mode. Files on disk, which cannot be polled, are
    /// refused.
    fn new(fd: BorrowedFd<'_>) -> io::Result<Duplicate> {
        let file = File::from(fd.try_clone_to_owned()?);
        let kind = kind_of(&file)?;
        if kind.is_on_disk() {
            return Err(Refusal::NotPollable(kind).error());
        }
        let before = flags(&file);
        let mut duplicate = Duplicate {
            file: UnixStream::from(OwnedFd::from(file)),
            number: fd.as_raw_fd(),
            kind,
            was_blocking: false,
        };
        duplicate.file.set_nonblocking(true)?;
        duplicate.was_blocking = before.is_none() || before != flags(&duplicate.file);
        Ok(duplicate)
    }

    /// Restores the previous mode of the descriptor.
    fn restore(&mut self) -> io::Result<()> {
        match std::mem::take(&mut self.was_blocking) {
            true => self.file.set_nonblocking(false),
            false => Ok(()),
        }
    }
}

/// Returns the flags of an open file description, in the format of `proc(5)`. Returns `None` on a system without
/// `/proc/self/fdinfo`.
fn flags(file: &impl AsRawFd) -> Option<String> {
    let info = fs::read_to_string(format!("/proc/self/fdinfo/{}", file.as_raw_fd())).ok()?;
    info.lines()
        .find_map(|line| Some(String::from(line.strip_prefix("flags:")?)))
}

impl AsFd for Duplicate {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

impl Drop for Duplicate {
    fn drop(&mut self) {
        if let Err(error) = self.restore() {
            swallow_panics(|| {
                log::error!(target: "glassfrog::io", "cannot make {self:?} blocking again: {error}");
            });
        }
    }
}

impl fmt::Debug for Duplicate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "fd {} ({})", self.number, self.kind)
    }
}

impl Io for Watched<Duplicate> {
    fn describe(&self, direction: Direction, _connecting: &Connecting) -> String {
        let what = match direction {
            Direction::Read => "read",
            Direction::Write => "write",
        };
        format!("{what} {self:?}")
    }
}

/// A value that reads or writes when its descriptor is ready.
struct WhenReady<'a, I> {
    /// The registered duplicate of the descriptor.
    socket: &'a Socket<Watched<Duplicate>>,
    /// The value, by reference.
    io: I,
}

impl<I: Read + Unpin> AsyncRead for WhenReady<'_, I> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let WhenReady { socket, io } = self.get_mut();
        let buffer = Buffer::of(buf);
        socket.poll_read_op_with(buffer, cx, |_| io.read(buf))
    }

    fn poll_read_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
    ) -> Poll<io::Result<usize>> {
        let WhenReady { socket, io } = self.get_mut();
        let buffer = bufs.iter().find(|buf| !buf.is_empty());
        let buffer = Buffer::of(buffer.map_or(&[][..], |first| first));
        socket.poll_read_op_with(buffer, cx, |_| io.read_vectored(bufs))
    }
}

impl<I: Write + Unpin> AsyncWrite for WhenReady<'_, I> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let WhenReady { socket, io } = self.get_mut();
        socket.poll_op_with(Direction::Write, cx, |_| io.write(buf))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let WhenReady { socket, io } = self.get_mut();
        socket.poll_op_with(Direction::Write, cx, |_| io.write_vectored(bufs))
    }

    /// Waits only if the value still has buffered data to write.
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let WhenReady { socket, io } = self.get_mut();
        match io.flush() {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                socket.poll_op_with(Direction::Write, cx, |_| io.flush())
            }
            flushed => Poll::Ready(flushed),
        }
    }

    /// Flushes. Only dropping the value closes the descriptor.
    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_flush(cx)
    }
}

/// The value is never pinned.
impl<T: AsFd> Unpin for Async<T> {}

forward_read!([T: AsFd + Read] Async<T>, this => WhenReady { socket: &this.socket, io: &mut this.io });
forward_write!([T: AsFd + Write] Async<T>, this => WhenReady { socket: &this.socket, io: &mut this.io });
forward_read!(
    [T: AsFd] &Async<T>,
    this => WhenReady { socket: &this.socket, io: &this.io },
    where for<'s> &'s T: Read
);
forward_write!(
    [T: AsFd] &Async<T>,
    this => WhenReady { socket: &this.socket, io: &this.io },
    where for<'s> &'s T: Write
);

/// To make a system call on the descriptor when it is ready, use [`read_with`](Async::read_with),
/// [`write_with`](Async::write_with) or a related method. Only these methods see that the call has returned
/// `WouldBlock`, so a loop that calls [`readable`](Async::readable) and makes the call directly spins.
impl<T: AsFd> AsFd for Async<T> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.io.as_fd()
    }
}

impl<T: AsFd> AsRawFd for Async<T> {
    fn as_raw_fd(&self) -> RawFd {
        self.as_fd().as_raw_fd()
    }
}

impl<T: AsFd + fmt::Debug> fmt::Debug for Async<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Async")
            .field("io", &self.io)
            .field("socket", &self.socket)
            .finish()
    }
}

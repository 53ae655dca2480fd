//! The operations that TCP and Unix streams share.
//!
//! This file implements the reads and writes of a [`Socket`], and the traits of `futures-io`. Each public type
//! forwards these traits to its socket with [`forward_read`] and [`forward_write`].

use super::socket::{Operation, Socket};
use crate::reactor::Io;
use crate::reactor::attempts::{Buffer, IS_SHARED};
use crate::reactor::platform::{self, AsRaw, Conclusion};
use crate::reactor::readiness::{Direction, Snapshot};
use futures_io::{AsyncRead, AsyncWrite};
use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::net::Shutdown;
use std::pin::Pin;
use std::task::{Context, Poll};

/// A stream of bytes. `&S` reads and writes.
pub(crate) trait Bytes: AsRaw + Io {
    /// Returns what a read into `room` bytes, which returned `count`, says about the next one.
    fn after_read(seen: Snapshot, count: usize, room: usize) -> Conclusion;

    /// Returns what a write of `length` bytes, which sent `count`, says about the next one.
    fn after_write(seen: Snapshot, count: usize, length: usize) -> Conclusion;

    /// Shuts down one direction or both.
    fn shutdown(&self, how: Shutdown) -> io::Result<()>;
}

/// Wraps a read as an operation of the reactor, which returns the number of bytes read and the conclusion about
/// the next read.
#[inline]
fn read_op<'a, S: Bytes>(
    room: usize,
    mut read: impl FnMut(&mut &S) -> io::Result<usize> + 'a,
) -> impl FnMut(&S, Snapshot) -> io::Result<(usize, Conclusion)> + 'a {
    move |mut io, seen| {
        if platform::at_end(seen) {
            return Ok((0, Conclusion::Nothing));
        }
        let count = read(&mut io)?;
        Ok((count, S::after_read(seen, count, room)))
    }
}

/// Wraps a vectored read as an operation. The buffers are not all empty.
fn read_vectored_op<'a, 'b: 'a, S: Bytes>(
    bufs: &'a mut [IoSliceMut<'b>],
) -> impl FnMut(&S, Snapshot) -> io::Result<(usize, Conclusion)> + 'a
where
    for<'s> &'s S: Read,
{
    // Saturating, as in `write_vectored_op`.
    let room = bufs
        .iter()
        .fold(0_usize, |sum, buf| sum.saturating_add(buf.len()));
    read_op(room, move |io: &mut &S| io.read_vectored(bufs))
}

/// Wraps a write as an operation of the reactor, which returns the number of bytes written and the conclusion
/// about the next write.
#[inline]
fn write_op<'a, S: Bytes>(
    length: usize,
    mut write: impl FnMut(&mut &S) -> io::Result<usize> + 'a,
) -> impl FnMut(&S, Snapshot) -> io::Result<(usize, Conclusion)> + 'a {
    move |mut io, seen| {
        let count = write(&mut io)?;
        Ok((count, S::after_write(seen, count, length)))
    }
}

/// Wraps a vectored write as an operation. The buffers are not all empty.
fn write_vectored_op<'a, S: Bytes>(
    bufs: &'a [IoSlice<'a>],
) -> impl FnMut(&S, Snapshot) -> io::Result<(usize, Conclusion)> + 'a
where
    for<'s> &'s S: Write,
{
    // Saturating: buffers may overlap, so the sum can overflow.
    let length = bufs
        .iter()
        .fold(0_usize, |sum, buf| sum.saturating_add(buf.len()));
    write_op(length, move |io: &mut &S| io.write_vectored(bufs))
}

impl<S: Bytes> Socket<S>
where
    for<'s> &'s S: Read + Write,
{
    /// Reads into `buf`, which is not empty.
    #[inline]
    pub(super) fn read<'a>(
        &'a self,
        buf: &'a mut [u8],
    ) -> Operation<'a, S, impl FnMut(&S, Snapshot) -> io::Result<(usize, Conclusion)> + 'a> {
        self.op(
            Direction::Read,
            read_op(buf.len(), |io: &mut &S| io.read(buf)),
        )
    }

    /// Writes from `buf`, which is not empty.
    #[inline]
    pub(super) fn write<'a>(
        &'a self,
        buf: &'a [u8],
    ) -> Operation<'a, S, impl FnMut(&S, Snapshot) -> io::Result<(usize, Conclusion)> + 'a> {
        self.op(
            Direction::Write,
            write_op(buf.len(), |io: &mut &S| io.write(buf)),
        )
    }

    /// Tries to read.
    pub(super) fn try_read(&self, buf: &mut [u8]) -> io::Result<usize> {
        if buf.is_empty() {
            return Ok(0);
        }
        let op = read_op(buf.len(), |io: &mut &S| io.read(buf));
        self.try_op(Direction::Read, op)
    }

    /// Tries to read into several buffers.
    pub(super) fn try_read_vectored(&self, bufs: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        let Some(range) = platform::for_one_call(bufs) else {
            return Ok(0);
        };
        self.try_op(Direction::Read, read_vectored_op(&mut bufs[range]))
    }

    /// Tries to write.
    pub(super) fn try_write(&self, buf: &[u8]) -> io::Result<usize> {
        if buf.is_empty() {
            return Ok(0);
        }
        let op = write_op(buf.len(), |io: &mut &S| io.write(buf));
        self.try_op(Direction::Write, op)
    }

    /// Tries to write from several buffers.
    pub(super) fn try_write_vectored(&self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        let Some(range) = platform::for_one_call(bufs) else {
            return Ok(0);
        };
        self.try_op(Direction::Write, write_vectored_op(&bufs[range]))
    }
}

impl<S: Bytes> Socket<S> {
    /// Shuts down one direction or both. Returns `Ok` if the connection is already closed.
    pub(super) fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        let io = match how {
            Shutdown::Write => self.io(),
            // The hang-up event that follows says nothing about the peer, so the socket must no longer use the
            // shortcuts that rely on such events.
            Shutdown::Read | Shutdown::Both => self.hand_out(),
        };
        match io.shutdown(how) {
            Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(()),
            result => result,
        }
    }
}

/// Calls `read`, whose `poll_read` uses a buffer that other futures use too. Another buffer in the next poll then does
/// not show that a read was given up.
#[cfg_attr(not(feature = "hyper"), expect(dead_code, reason = "for `hyper`"))]
pub(crate) fn with_shared_buffer<R>(read: impl FnOnce() -> R) -> R {
    /// Restores the former value, even if a panic unwinds.
    struct Restore(bool);
    impl Drop for Restore {
        fn drop(&mut self) {
            IS_SHARED.set(self.0);
        }
    }
    let _restore = Restore(IS_SHARED.replace(true));
    read()
}

impl<S: Bytes> AsyncRead for &Socket<S>
where
    for<'s> &'s S: Read + Write,
{
    #[inline]
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        if buf.is_empty() {
            return Poll::Ready(Ok(0));
        }
        let buffer = Buffer::of(buf);
        let op = read_op(buf.len(), |io: &mut &S| io.read(buf));
        self.poll_read_op(buffer, cx, op)
    }

    #[inline]
    fn poll_read_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
    ) -> Poll<io::Result<usize>> {
        let Some(range) = platform::for_one_call(bufs) else {
            return Poll::Ready(Ok(0));
        };
        let bufs = &mut bufs[range];
        let buffer = Buffer::of(bufs.first().map_or(&[][..], |first| first));
        self.poll_read_op(buffer, cx, read_vectored_op(bufs))
    }
}

impl<S: Bytes> AsyncWrite for &Socket<S>
where
    for<'s> &'s S: Read + Write,
{
    #[inline]
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        if buf.is_empty() {
            return Poll::Ready(Ok(0));
        }
        let op = write_op(buf.len(), |io: &mut &S| io.write(buf));
        self.poll_op(Direction::Write, cx, op)
    }

    #[inline]
    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let Some(range) = platform::for_one_call(bufs) else {
            return Poll::Ready(Ok(0));
        };
        self.poll_op(Direction::Write, cx, write_vectored_op(&bufs[range]))
    }

    /// Returns at once: nothing is buffered outside the kernel.
    #[inline]
    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    /// Shuts down the write direction. Reading is still possible.
    #[inline]
    fn poll_close(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.shutdown(Shutdown::Write))
    }
}

/// Implements `AsyncRead` for a type by forwarding to an `Unpin` value that is computed from it.
///
/// The arguments are the generic parameters in square brackets, the type, the value, and the bounds if there are any.
macro_rules! forward_read {
    ([$($generics:tt)*] $Type:ty, $this:ident => $reader:expr $(, where $($bounds:tt)+)?) => {
        impl<$($generics)*> futures_io::AsyncRead for $Type $(where $($bounds)+)? {
            #[inline]
            fn poll_read(
                self: std::pin::Pin<&mut Self>,
                cx: &mut std::task::Context<'_>,
                buf: &mut [u8],
            ) -> std::task::Poll<std::io::Result<usize>> {
                let $this = self.get_mut();
                std::pin::Pin::new(&mut $reader).poll_read(cx, buf)
            }

            #[inline]
            fn poll_read_vectored(
                self: std::pin::Pin<&mut Self>,
                cx: &mut std::task::Context<'_>,
                bufs: &mut [std::io::IoSliceMut<'_>],
            ) -> std::task::Poll<std::io::Result<usize>> {
                let $this = self.get_mut();
                std::pin::Pin::new(&mut $reader).poll_read_vectored(cx, bufs)
            }
        }
    };
}

/// Implements `AsyncWrite` for a type, as [`forward_read`] does `AsyncRead`.
macro_rules! forward_write {
    ([$($generics:tt)*] $Type:ty, $this:ident => $writer:expr $(, where $($bounds:tt)+)?) => {
        impl<$($generics)*> futures_io::AsyncWrite for $Type $(where $($bounds)+)? {
            #[inline]
            fn poll_write(
                self: std::pin::Pin<&mut Self>,
                cx: &mut std::task::Context<'_>,
                buf: &[u8],
            ) -> std::task::Poll<std::io::Result<usize>> {
                let $this = self.get_mut();
                std::pin::Pin::new(&mut $writer).poll_write(cx, buf)
            }

            #[inline]
            fn poll_write_vectored(
                self: std::pin::Pin<&mut Self>,
                cx: &mut std::task::Context<'_>,
                bufs: &[std::io::IoSlice<'_>],
            ) -> std::task::Poll<std::io::Result<usize>> {
                let $this = self.get_mut();
                std::pin::Pin::new(&mut $writer).poll_write_vectored(cx, bufs)
            }

            #[inline]
            fn poll_flush(
                self: std::pin::Pin<&mut Self>,
                cx: &mut std::task::Context<'_>,
            ) -> std::task::Poll<std::io::Result<()>> {
                let $this = self.get_mut();
                std::pin::Pin::new(&mut $writer).poll_flush(cx)
            }

            #[inline]
            fn poll_close(
                self: std::pin::Pin<&mut Self>,
                cx: &mut std::task::Context<'_>,
            ) -> std::task::Poll<std::io::Result<()>> {
                let $this = self.get_mut();
                std::pin::Pin::new(&mut $writer).poll_close(cx)
            }
        }
    };
}

pub(crate) use {forward_read, forward_write};

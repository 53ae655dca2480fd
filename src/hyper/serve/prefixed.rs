//! [`Prefixed`]: a stream whose first bytes have been read to determine the version of HTTP.
//!
//! hyper-util determines the version too, but without a deadline: a peer that sends nothing, or a part of the preface
//! of HTTP/2, would keep its connection forever.

use crate::hyper::Io;
use futures_io::{AsyncRead, AsyncWrite};
use hyper::rt::{Read, ReadBufCursor, Write};
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

/// The preface of HTTP/2 (RFC 9113, section 3.4). No request of HTTP/1 begins with it.
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A stream whose first bytes have been read, and are returned by its next read.
pub(super) struct Prefixed<T> {
    /// The stream.
    io: Io<T>,
    /// The first bytes, as many as are needed to tell HTTP/2 from HTTP/1.
    prefix: [u8; PREFACE.len()],
    /// The number of bytes in `prefix`.
    filled: usize,
    /// The number of bytes of `prefix` that have been returned.
    returned: usize,
}

impl<T: AsyncRead + Unpin> Prefixed<T> {
    /// Reads until the version of HTTP is certain, or the peer has closed. Returns `None` if the peer has closed without
    /// sending a byte.
    pub(super) async fn read(mut stream: T) -> io::Result<Option<Prefixed<T>>> {
        let mut prefix = [0; PREFACE.len()];
        let mut filled = 0;
        while filled < PREFACE.len() && PREFACE.starts_with(&prefix[..filled]) {
            let room = &mut prefix[filled..];
            match poll_fn(|cx| Pin::new(&mut stream).poll_read(cx, room)).await? {
                0 if filled == 0 => return Ok(None),
                0 => break,
                count => filled += count,
            }
        }
        Ok(Some(Prefixed {
            io: Io::new(stream),
            prefix,
            filled,
            returned: 0,
        }))
    }
}

impl<T: AsyncRead + Unpin> Read for Prefixed<T> {
    #[inline]
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut cursor: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        if self.returned == self.filled {
            return Pin::new(&mut self.io).poll_read(cx, cursor);
        }
        let count = cursor.remaining().min(self.filled - self.returned);
        let start = self.returned;
        cursor.put_slice(&self.prefix[start..start + count]);
        self.returned += count;
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncWrite + Unpin> Write for Prefixed<T> {
    #[inline]
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    #[inline]
    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    #[inline]
    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, bufs)
    }

    #[inline]
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    #[inline]
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

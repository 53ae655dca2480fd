//! [`TcpStream::into_split`] and the two owned halves that it returns.

use super::stream::TcpStream;
use crate::foreign::swallow_panics;
use futures_io::{AsyncRead, AsyncWrite};
use std::error::Error;
use std::fmt;
use std::io::{self, IoSlice, IoSliceMut};
use std::net::Shutdown;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

/// The read half of a [`TcpStream`], created by [`TcpStream::into_split`].
///
/// For everything but reading, [`as_ref`](AsRef::as_ref) returns the stream.
///
/// # Examples
///
/// ```
/// # use glassfrog::net::{TcpListener, TcpStream};
/// # glassfrog::block_on(async {
/// # let listener = TcpListener::bind("127.0.0.1:0").await?;
/// let stream = TcpStream::connect(listener.local_addr()?).await?;
/// let (reader, writer) = stream.into_split();
/// assert_eq!(reader.as_ref().local_addr()?, writer.as_ref().local_addr()?);
/// # std::io::Result::Ok(())
/// # })?;
/// # std::io::Result::Ok(())
/// ```
#[derive(Debug)]
pub struct OwnedReadHalf {
    /// The stream, shared with the other half.
    pub(in crate::net) stream: Arc<TcpStream>,
}

/// The write half of a [`TcpStream`], created by [`TcpStream::into_split`].
///
/// Dropping it shuts down the write direction of the connection, so the peer reads to the end of the data.
/// For everything but writing, [`as_ref`](AsRef::as_ref) returns the stream.
///
/// # Examples
///
/// ```
/// # use glassfrog::net::{TcpListener, TcpStream};
/// # glassfrog::block_on(async {
/// # let listener = TcpListener::bind("127.0.0.1:0").await?;
/// let stream = TcpStream::connect(listener.local_addr()?).await?;
/// let (_reader, writer) = stream.into_split();
/// writer.as_ref().set_nodelay(true)?;
/// # std::io::Result::Ok(())
/// # })?;
/// # std::io::Result::Ok(())
/// ```
#[derive(Debug)]
pub struct OwnedWriteHalf {
    /// The stream, shared with the other half.
    pub(in crate::net) stream: Arc<TcpStream>,
    /// Whether dropping the half shuts down the write direction. Cleared by `forget` and `reunite`.
    shutdown_on_drop: bool,
}

impl TcpStream {
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
        let stream = Arc::new(self);
        let reader = OwnedReadHalf {
            stream: Arc::clone(&stream),
        };
        let writer = OwnedWriteHalf {
            stream,
            shutdown_on_drop: true,
        };
        (reader, writer)
    }
}

impl OwnedReadHalf {
    /// Puts the two halves of a stream back together.
    ///
    /// # Errors
    ///
    /// Returns both halves in the error if they come from different streams.
    ///
    /// # Examples
    ///
    /// ```
    /// # use glassfrog::net::{TcpListener, TcpStream};
    /// # glassfrog::block_on(async {
    /// # let listener = TcpListener::bind("127.0.0.1:0").await?;
    /// let stream = TcpStream::connect(listener.local_addr()?).await?;
    /// let (reader, writer) = stream.into_split();
    /// let stream = reader.reunite(writer).unwrap();
    /// # drop(stream);
    /// # std::io::Result::Ok(())
    /// # })?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn reunite(self, writer: OwnedWriteHalf) -> Result<TcpStream, ReuniteError> {
        reunite(self, writer)
    }
}

impl OwnedWriteHalf {
    /// Puts the two halves of a stream back together.
    ///
    /// # Errors
    ///
    /// Returns both halves in the error if they come from different streams.
    ///
    /// # Examples
    ///
    /// ```
    /// # use glassfrog::net::{TcpListener, TcpStream};
    /// # glassfrog::block_on(async {
    /// # let listener = TcpListener::bind("127.0.0.1:0").await?;
    /// let stream = TcpStream::connect(listener.local_addr()?).await?;
    /// let (reader, writer) = stream.into_split();
    /// let stream = writer.reunite(reader).unwrap();
    /// # drop(stream);
    /// # std::io::Result::Ok(())
    /// # })?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn reunite(self, reader: OwnedReadHalf) -> Result<TcpStream, ReuniteError> {
        reunite(reader, self)
    }

    /// Drops the half without shutting down the write direction. The peer does not see the end of the data
    /// until the other half has been dropped as well.
    ///
    /// # Examples
    ///
    /// ```
    /// # use glassfrog::net::{TcpListener, TcpStream};
    /// # glassfrog::block_on(async {
    /// # let listener = TcpListener::bind("127.0.0.1:0").await?;
    /// let stream = TcpStream::connect(listener.local_addr()?).await?;
    /// let (reader, writer) = stream.into_split();
    /// writer.forget();
    /// # drop(reader);
    /// # std::io::Result::Ok(())
    /// # })?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn forget(mut self) {
        self.shutdown_on_drop = false;
    }
}

/// Puts the two halves of a stream back together.
fn reunite(reader: OwnedReadHalf, mut writer: OwnedWriteHalf) -> Result<TcpStream, ReuniteError> {
    if !Arc::ptr_eq(&reader.stream, &writer.stream) {
        return Err(ReuniteError(reader, writer));
    }
    writer.shutdown_on_drop = false;
    drop(writer);
    // The read half now holds the only reference.
    Arc::into_inner(reader.stream).ok_or_else(|| unreachable!("a stream has two halves"))
}

impl Drop for OwnedWriteHalf {
    fn drop(&mut self) {
        if self.shutdown_on_drop
            && let Err(error) = self.stream.shutdown(Shutdown::Write)
        {
            swallow_panics(|| {
                log::debug!(target: "glassfrog::net", "cannot shut down a write half: {error}");
            });
        }
    }
}

/// The error of [`OwnedReadHalf::reunite`] and [`OwnedWriteHalf::reunite`]: the halves come from two
/// different streams.
///
/// # Examples
///
/// ```
/// # use glassfrog::net::{TcpListener, TcpStream};
/// # glassfrog::block_on(async {
/// # let listener = TcpListener::bind("127.0.0.1:0").await?;
/// # let addr = listener.local_addr()?;
/// let (reader, _) = TcpStream::connect(addr).await?.into_split();
/// let (_, writer) = TcpStream::connect(addr).await?.into_split();
/// let error = reader.reunite(writer).unwrap_err();
/// let (reader, writer) = (error.0, error.1);
/// # drop((reader, writer));
/// # std::io::Result::Ok(())
/// # })?;
/// # std::io::Result::Ok(())
/// ```
#[derive(Debug)]
pub struct ReuniteError(
    /// The read half of one stream.
    pub OwnedReadHalf,
    /// The write half of another stream.
    pub OwnedWriteHalf,
);

impl fmt::Display for ReuniteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("cannot reunite the halves of two different streams")
    }
}

impl Error for ReuniteError {}

impl AsRef<TcpStream> for OwnedReadHalf {
    fn as_ref(&self) -> &TcpStream {
        &self.stream
    }
}

impl AsRef<TcpStream> for OwnedWriteHalf {
    fn as_ref(&self) -> &TcpStream {
        &self.stream
    }
}

impl AsyncRead for OwnedReadHalf {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut &*self.stream).poll_read(cx, buf)
    }

    fn poll_read_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut &*self.stream).poll_read_vectored(cx, bufs)
    }
}

impl AsyncWrite for OwnedWriteHalf {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut &*self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut &*self.stream).poll_write_vectored(cx, bufs)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut &*self.stream).poll_flush(cx)
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut &*self.stream).poll_close(cx)
    }
}

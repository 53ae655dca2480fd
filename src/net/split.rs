//! [`TcpStream::into_split`], and the owned halves of TCP and Unix streams.

use super::bytes::{forward_read, forward_write};
use super::tcp::stream::TcpStream;
use crate::foreign::swallow_panics;
use futures_io::{AsyncRead, AsyncWrite};
use std::error::Error;
use std::fmt;
use std::io;
use std::net::Shutdown;
use std::sync::Arc;

/// The owned read half of a [`TcpStream`] or `UnixStream`, created by their `into_split` methods.
///
/// To call other methods, such as [`TcpStream::read_to_end`], get the stream with [`as_ref`](AsRef::as_ref).
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
pub struct OwnedReadHalf<S = TcpStream> {
    /// The stream, shared with the other half.
    pub(super) stream: Arc<S>,
}

/// The owned write half of a [`TcpStream`] or `UnixStream`, created by their `into_split` methods.
///
/// Dropping it shuts down the write direction of the connection, so the peer reads to the end of the data. To call
/// other methods of the stream, use [`as_ref`](AsRef::as_ref).
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
pub struct OwnedWriteHalf<S = TcpStream> {
    /// The stream, shared with the other half.
    pub(super) stream: Arc<S>,
    /// Shuts down the write direction when the half is dropped. Cleared by `forget` and `reunite`.
    shutdown_on_drop: Option<ShutDownWrite<S>>,
}

/// Shuts down the write direction of a stream.
type ShutDownWrite<S> = fn(&S) -> io::Result<()>;

/// Splits a stream into its halves.
pub(super) fn split<S>(
    stream: S,
    shutdown: ShutDownWrite<S>,
) -> (OwnedReadHalf<S>, OwnedWriteHalf<S>) {
    let stream = Arc::new(stream);
    let reader = OwnedReadHalf {
        stream: Arc::clone(&stream),
    };
    let writer = OwnedWriteHalf {
        stream,
        shutdown_on_drop: Some(shutdown),
    };
    (reader, writer)
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
        split(self, |stream| stream.shutdown(Shutdown::Write))
    }
}

impl<S> OwnedReadHalf<S> {
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
    pub fn reunite(self, writer: OwnedWriteHalf<S>) -> Result<S, ReuniteError<S>> {
        reunite(self, writer)
    }
}

impl<S> OwnedWriteHalf<S> {
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
    pub fn reunite(self, reader: OwnedReadHalf<S>) -> Result<S, ReuniteError<S>> {
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
        self.shutdown_on_drop = None;
    }
}

/// Puts the two halves of a stream back together.
fn reunite<S>(
    reader: OwnedReadHalf<S>,
    mut writer: OwnedWriteHalf<S>,
) -> Result<S, ReuniteError<S>> {
    if !Arc::ptr_eq(&reader.stream, &writer.stream) {
        return Err(ReuniteError(reader, writer));
    }
    writer.shutdown_on_drop = None;
    drop(writer);
    // The read half now holds the only reference.
    Arc::into_inner(reader.stream).ok_or_else(|| unreachable!("a stream has two halves"))
}

impl<S> Drop for OwnedWriteHalf<S> {
    fn drop(&mut self) {
        if let Some(shutdown) = self.shutdown_on_drop
            && let Err(error) = shutdown(&self.stream)
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
pub struct ReuniteError<S = TcpStream>(
    /// The read half of one stream.
    pub OwnedReadHalf<S>,
    /// The write half of another stream.
    pub OwnedWriteHalf<S>,
);

impl<S> fmt::Display for ReuniteError<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("cannot reunite the halves of two different streams")
    }
}

impl<S: fmt::Debug> Error for ReuniteError<S> {}

impl<S> AsRef<S> for OwnedReadHalf<S> {
    fn as_ref(&self) -> &S {
        &self.stream
    }
}

impl<S> AsRef<S> for OwnedWriteHalf<S> {
    fn as_ref(&self) -> &S {
        &self.stream
    }
}

forward_read!([S] OwnedReadHalf<S>, this => &*this.stream, where for<'s> &'s S: AsyncRead);
forward_write!([S] OwnedWriteHalf<S>, this => &*this.stream, where for<'s> &'s S: AsyncWrite);

//! [`Listener`]: the sockets whose connections `serve` can accept.

use crate::foreign::swallow_panics;
use crate::net::{TcpListener, TcpStream};
use futures_io::{AsyncRead, AsyncWrite};
use std::fmt;
use std::io;
use std::net::SocketAddr;

/// A socket whose connections [`serve`](super::serve()) can accept: a TCP listener or a Unix listener.
///
/// This trait is sealed: other crates cannot implement it.
///
/// # Examples
///
/// ```
/// use glassfrog::hyper::Listener;
/// use glassfrog::net::TcpListener;
/// use std::net::SocketAddr;
///
/// fn peers<L: Listener<Peer = SocketAddr>>(_listener: L) {}
///
/// glassfrog::block_on(async {
///     peers(TcpListener::bind("127.0.0.1:0").await?);
///     std::io::Result::Ok(())
/// })?;
/// # std::io::Result::Ok(())
/// ```
pub trait Listener: Sealed + fmt::Debug + 'static {
    /// An accepted connection.
    type Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    /// The address of a peer. Most peers of a Unix listener have not bound their sockets, so their addresses are unnamed.
    type Peer: fmt::Debug + Clone + 'static;

    /// Accepts a connection.
    #[doc(hidden)]
    fn accept(&self) -> impl Future<Output = io::Result<(Self::Stream, Self::Peer)>>;
}

/// Keeps other crates from implementing [`Listener`].
pub trait Sealed {}

impl Sealed for TcpListener {}

impl Listener for TcpListener {
    type Stream = TcpStream;
    type Peer = SocketAddr;

    async fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        let (stream, peer) = TcpListener::accept(self).await?;
        // Some systems refuse this if the peer has already closed.
        if let Err(error) = stream.set_nodelay(true) {
            swallow_panics(
                || log::debug!(target: "glassfrog::hyper", "cannot set TCP_NODELAY for {peer}: {error}"),
            );
        }
        Ok((stream, peer))
    }
}

#[cfg(unix)]
mod unix {
    use super::{Listener, Sealed};
    use crate::net::{UnixListener, UnixStream};
    use std::io;
    use std::os::unix::net::SocketAddr;

    impl Sealed for UnixListener {}

    impl Listener for UnixListener {
        type Stream = UnixStream;
        type Peer = SocketAddr;

        async fn accept(&self) -> io::Result<(UnixStream, SocketAddr)> {
            UnixListener::accept(self).await
        }
    }
}

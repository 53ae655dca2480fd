//! [`Stream`] and [`Listener`]: the raw TCP sockets of a simulated host, which the enums of `net/raw.rs` hold.
//!
//! They mirror those of mio, without its registry: the reactor of the host registers a token.

use super::tcp::calls::Mode;
use super::{Failure, Socket, Wire};
use crate::slab::Key;
use std::io::{self, IoSlice, IoSliceMut};
use std::net::{Shutdown, SocketAddr};
use std::sync::Arc;

/// A simulated connection.
#[derive(Debug)]
pub(crate) struct Stream {
    /// The network.
    wire: Arc<Wire>,
    /// The key of the end.
    key: Key,
}

/// A simulated listener.
#[derive(Debug)]
pub(crate) struct Listener {
    /// The network.
    wire: Arc<Wire>,
    /// The key of the socket.
    key: Key,
}

impl Stream {
    /// Creates the socket of an end.
    pub(super) fn new(wire: &Arc<Wire>, key: Key) -> Stream {
        Stream {
            wire: Arc::clone(wire),
            key,
        }
    }

    /// Reads.
    pub(crate) fn read(&self, buf: &mut [u8]) -> io::Result<usize> {
        self.read_vectored(&mut [IoSliceMut::new(buf)])
    }

    /// Reads into several buffers.
    pub(crate) fn read_vectored(&self, bufs: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        let count = self
            .wire
            .with(|state| state.read(self.key, bufs, Mode::Read))?;
        Ok(count)
    }

    /// Reads what the next read returns too.
    pub(crate) fn peek(&self, buf: &mut [u8]) -> io::Result<usize> {
        let bufs = &mut [IoSliceMut::new(buf)];
        let count = self
            .wire
            .with(|state| state.read(self.key, bufs, Mode::Peek))?;
        Ok(count)
    }

    /// Writes.
    pub(crate) fn write(&self, buf: &[u8]) -> io::Result<usize> {
        self.write_vectored(&[IoSlice::new(buf)])
    }

    /// Writes several buffers.
    pub(crate) fn write_vectored(&self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        let count = self.wire.with(|state| state.write(self.key, bufs))?;
        Ok(count)
    }

    /// Shuts down one direction or both.
    pub(crate) fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        Ok(self.wire.with(|state| state.shutdown(self.key, how))?)
    }

    /// Returns and clears the error of the socket. While it connects, there is none.
    pub(crate) fn take_error(&self) -> io::Result<Option<io::Error>> {
        let error = self.wire.with(|state| state.take_error(self.key));
        Ok(error.map(io::Error::from))
    }

    /// Returns the address of the socket.
    pub(crate) fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.wire.with(|state| state.local_addr(self.key))?)
    }

    /// Returns the address of the peer, while the socket is connected.
    pub(crate) fn peer_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.wire.with(|state| state.peer_addr(self.key))?)
    }

    /// Returns `TCP_NODELAY`, which changes nothing: a simulated host never delays what is written.
    pub(crate) fn nodelay(&self) -> io::Result<bool> {
        Ok(self
            .wire
            .with(|state| state.option(self.key, |end| end.nodelay))?)
    }

    /// Sets `TCP_NODELAY`, which changes nothing.
    pub(crate) fn set_nodelay(&self, nodelay: bool) -> io::Result<()> {
        Ok(self
            .wire
            .with(|state| state.option(self.key, |end| end.nodelay = nodelay))?)
    }

    /// Returns `IP_TTL`, which changes nothing.
    pub(crate) fn ttl(&self) -> io::Result<u32> {
        Ok(self
            .wire
            .with(|state| state.option(self.key, |end| end.ttl))?)
    }

    /// Sets `IP_TTL`, which changes nothing.
    pub(crate) fn set_ttl(&self, ttl: u32) -> io::Result<()> {
        let ttl = checked_ttl(ttl)?;
        Ok(self
            .wire
            .with(|state| state.option(self.key, |end| end.ttl = ttl))?)
    }

    /// Notes the token under which the reactor of the host has registered the socket, and has its readiness published.
    pub(crate) fn register(&self, token: usize) {
        self.wire
            .with(|state| state.register(Socket::Stream(self.key), token));
    }

    /// Ends the registration.
    pub(crate) fn deregister(&self) {
        self.wire
            .with(|state| state.deregister(Socket::Stream(self.key)));
    }

    /// Describes the connection for a dump: `tcp 10.0.0.1:40000 → 10.0.0.2:80`.
    pub(crate) fn describe(&self) -> String {
        self.wire.with(|state| state.describe(self.key))
    }
}

impl Drop for Stream {
    /// Closes the socket.
    fn drop(&mut self) {
        self.wire.with(|state| state.close(self.key));
    }
}

impl Listener {
    /// Creates the socket of a listener.
    pub(super) fn new(wire: &Arc<Wire>, key: Key) -> Listener {
        Listener {
            wire: Arc::clone(wire),
            key,
        }
    }

    /// Accepts a connection.
    pub(crate) fn accept(&self) -> io::Result<(Stream, SocketAddr)> {
        let (key, peer) = self.wire.with(|state| state.accept(self.key))?;
        Ok((Stream::new(&self.wire, key), peer))
    }

    /// Returns the address of the socket.
    pub(crate) fn local_addr(&self) -> io::Result<SocketAddr> {
        let addr = self
            .wire
            .with(|state| Some(state.listeners.get_mut(self.key)?.local()));
        Ok(addr.ok_or(Failure::NetworkDown)?)
    }

    /// Returns `IP_TTL`, which changes nothing.
    pub(crate) fn ttl(&self) -> io::Result<u32> {
        let ttl = self
            .wire
            .with(|state| Some(state.listeners.get_mut(self.key)?.ttl));
        Ok(ttl.ok_or(Failure::NetworkDown)?)
    }

    /// Sets `IP_TTL`, which changes nothing.
    pub(crate) fn set_ttl(&self, ttl: u32) -> io::Result<()> {
        let ttl = checked_ttl(ttl)?;
        self.wire.with(|state| {
            if let Some(listening) = state.listeners.get_mut(self.key) {
                listening.ttl = ttl;
            }
        });
        Ok(())
    }

    /// Notes the token under which the reactor of the host has registered the socket, and has its readiness published.
    pub(crate) fn register(&self, token: usize) {
        self.wire
            .with(|state| state.register(Socket::Listener(self.key), token));
    }

    /// Ends the registration.
    pub(crate) fn deregister(&self) {
        self.wire
            .with(|state| state.deregister(Socket::Listener(self.key)));
    }

    /// Describes the listener for a dump: `tcp 0.0.0.0:80`.
    pub(crate) fn describe(&self) -> String {
        match self.local_addr() {
            Ok(addr) => format!("tcp {addr}"),
            Err(_) => "tcp, without power".into(),
        }
    }
}

impl Drop for Listener {
    /// Closes the socket.
    fn drop(&mut self) {
        self.wire.with(|state| state.close_listener(self.key));
    }
}

/// Returns a TTL that `setsockopt(2)` accepts.
pub(super) fn checked_ttl(ttl: u32) -> Result<u32, Failure> {
    match ttl {
        1..=255 => Ok(ttl),
        _ => Err(Failure::Invalid),
    }
}

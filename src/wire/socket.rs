//! The raw sockets of a simulated host: what the enums of `net/raw.rs` hold.

use super::{Socket, Wire};
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

#[expect(unused_variables, reason = "a sketch")]
impl Stream {
    /// Creates the socket of an end.
    pub(super) fn new(wire: &Arc<Wire>, key: Key) -> Stream {
        Stream {
            wire: Arc::clone(wire),
            key,
        }
    }

    pub(crate) fn read(&self, buf: &mut [u8]) -> io::Result<usize> {
        unimplemented!()
    }
    pub(crate) fn read_vectored(&self, bufs: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        unimplemented!()
    }
    pub(crate) fn peek(&self, buf: &mut [u8]) -> io::Result<usize> {
        unimplemented!()
    }
    pub(crate) fn write(&self, buf: &[u8]) -> io::Result<usize> {
        unimplemented!()
    }
    pub(crate) fn write_vectored(&self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        unimplemented!()
    }
    pub(crate) fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        unimplemented!()
    }
    pub(crate) fn take_error(&self) -> io::Result<Option<io::Error>> {
        unimplemented!()
    }
    pub(crate) fn local_addr(&self) -> io::Result<SocketAddr> {
        unimplemented!()
    }
    pub(crate) fn peer_addr(&self) -> io::Result<SocketAddr> {
        unimplemented!()
    }
    pub(crate) fn nodelay(&self) -> io::Result<bool> {
        unimplemented!()
    }
    pub(crate) fn set_nodelay(&self, nodelay: bool) -> io::Result<()> {
        unimplemented!()
    }
    pub(crate) fn ttl(&self) -> io::Result<u32> {
        unimplemented!()
    }
    pub(crate) fn set_ttl(&self, ttl: u32) -> io::Result<()> {
        unimplemented!()
    }
    /// Notes the token under which the host's reactor has registered the socket, and reports its readiness.
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
        unimplemented!()
    }
}

#[expect(unused_variables, reason = "a sketch")]
impl Listener {
    /// Creates the socket of a listener.
    pub(super) fn new(wire: &Arc<Wire>, key: Key) -> Listener {
        Listener {
            wire: Arc::clone(wire),
            key,
        }
    }

    pub(crate) fn accept(&self) -> io::Result<(Stream, SocketAddr)> {
        unimplemented!()
    }
    pub(crate) fn local_addr(&self) -> io::Result<SocketAddr> {
        unimplemented!()
    }
    pub(crate) fn take_error(&self) -> io::Result<Option<io::Error>> {
        unimplemented!()
    }
    pub(crate) fn ttl(&self) -> io::Result<u32> {
        unimplemented!()
    }
    pub(crate) fn set_ttl(&self, ttl: u32) -> io::Result<()> {
        unimplemented!()
    }
    pub(crate) fn register(&self, token: usize) {
        self.wire
            .with(|state| state.register(Socket::Listener(self.key), token));
    }
    /// Ends the registration.
    pub(crate) fn deregister(&self) {
        self.wire
            .with(|state| state.deregister(Socket::Listener(self.key)));
    }
    pub(crate) fn describe(&self) -> String {
        unimplemented!()
    }
}

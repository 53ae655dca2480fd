//! The raw sockets of a simulated host: what the enums of `net/raw.rs` hold.

use super::{Host, Wire};
use std::io::{self, IoSlice, IoSliceMut};
use std::net::{Shutdown, SocketAddr};
use std::sync::Arc;

/// A simulated connection.
#[derive(Debug)]
pub(crate) struct Stream {
    /// The network.
    wire: Arc<Wire>,
}

/// A simulated listener.
#[derive(Debug)]
pub(crate) struct Listener {
    /// The host.
    host: Host,
}

/// A simulated UDP socket.
#[derive(Debug)]
pub(crate) struct UdpSocket {
    /// The host.
    host: Host,
}

#[expect(unused_variables, reason = "a sketch")]
impl Stream {
    pub(crate) fn read(&self, buf: &mut [u8]) -> io::Result<usize> {
        unimplemented!("{:?}", self.wire)
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
        unimplemented!()
    }
    pub(crate) fn deregister(&self) {
        unimplemented!()
    }
    /// Describes the connection for a dump: `tcp 10.0.0.1:40000 → 10.0.0.2:80`.
    pub(crate) fn describe(&self) -> String {
        unimplemented!()
    }
}

#[expect(unused_variables, reason = "a sketch")]
impl Listener {
    pub(crate) fn accept(&self) -> io::Result<(Stream, SocketAddr)> {
        unimplemented!("{:?}", self.host)
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
        unimplemented!()
    }
    pub(crate) fn deregister(&self) {
        unimplemented!()
    }
    pub(crate) fn describe(&self) -> String {
        unimplemented!()
    }
}

#[expect(unused_variables, reason = "a sketch")]
impl UdpSocket {
    pub(crate) fn connect(&self, peer: SocketAddr) -> io::Result<()> {
        unimplemented!("{:?}", self.host)
    }
    pub(crate) fn send(&self, buf: &[u8]) -> io::Result<usize> {
        unimplemented!()
    }
    pub(crate) fn send_to(&self, buf: &[u8], target: SocketAddr) -> io::Result<usize> {
        unimplemented!()
    }
    pub(crate) fn recv(&self, buf: &mut [u8]) -> io::Result<usize> {
        unimplemented!()
    }
    pub(crate) fn recv_from(&self, buf: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        unimplemented!()
    }
    pub(crate) fn peek(&self, buf: &mut [u8]) -> io::Result<usize> {
        unimplemented!()
    }
    pub(crate) fn peek_from(&self, buf: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        unimplemented!()
    }
    pub(crate) fn local_addr(&self) -> io::Result<SocketAddr> {
        unimplemented!()
    }
    pub(crate) fn peer_addr(&self) -> io::Result<SocketAddr> {
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
        unimplemented!()
    }
    pub(crate) fn deregister(&self) {
        unimplemented!()
    }
    pub(crate) fn describe(&self) -> String {
        unimplemented!()
    }
}

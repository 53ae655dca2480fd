//! UDP between simulated hosts.

use super::packet::{Datagram, Unreachable};
use super::{Door, Host, HostId, Mask, State};
use crate::slab::{Key, Slab};
use std::io;
use std::net::SocketAddr;

/// All UDP sockets of a network.
pub(super) struct Sockets {
    /// The sockets.
    pub(super) sockets: Slab<Bound>,
}

/// One UDP socket.
#[derive(Debug)]
pub(super) struct Bound {
    /// The socket.
    pub(super) door: Door,
}

impl Sockets {
    /// Creates no sockets.
    pub(super) fn new() -> Sockets {
        Sockets {
            sockets: Slab::new(),
        }
    }
}

impl Bound {
    /// Returns what the socket is ready for.
    pub(super) fn mask(&self) -> Mask {
        Mask::default()
    }
}

#[expect(unused_variables, reason = "a sketch")]
impl State {
    /// Binds a socket of a host.
    pub(super) fn bind_udp(&mut self, host: HostId, addr: SocketAddr) -> io::Result<Key> {
        unimplemented!()
    }

    /// Receives a datagram at a host that has power.
    pub(super) fn receive_datagram(&mut self, from: HostId, to: HostId, datagram: Datagram) {
        unimplemented!()
    }

    /// Receives the answer to a datagram for a port that no socket has.
    pub(super) fn receive_unreachable(&mut self, to: HostId, answer: Unreachable) {
        unimplemented!()
    }

    /// Removes all UDP sockets of a host. Nothing is sent.
    pub(super) fn remove_udp_of(&mut self, host: HostId) {
        // A sketch.
    }
}

/// A simulated UDP socket.
#[derive(Debug)]
pub(crate) struct UdpSocket {
    /// The host.
    host: Host,
}

#[expect(unused_variables, reason = "a sketch")]
impl UdpSocket {
    pub(super) fn bind(host: &Host, addr: SocketAddr) -> io::Result<UdpSocket> {
        unimplemented!()
    }
    pub(crate) fn connect(&self, peer: SocketAddr) -> io::Result<()> {
        unimplemented!()
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

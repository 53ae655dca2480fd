//! [`UdpSocket`]: the raw UDP socket of a simulated host, which the enum of `net/raw.rs` holds.
//!
//! It mirrors that of mio, without its registry: the reactor of the host registers a token.

use super::Mode;
use super::address::is_group;
use crate::slab::Key;
use crate::wire::error::Failure;
use crate::wire::socket::checked_ttl;
use crate::wire::{Host, Socket, Wire};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

/// A simulated UDP socket.
#[derive(Debug)]
pub(crate) struct UdpSocket {
    /// The network.
    wire: Arc<Wire>,
    /// The key of the socket.
    key: Key,
}

impl UdpSocket {
    /// Binds a socket. Port 0 asks for any free port.
    pub(in crate::wire) fn bind(host: &Host, addr: SocketAddr) -> io::Result<UdpSocket> {
        single(addr)?;
        let key = host.wire.with(|state| state.bind_udp(host.id, addr))?;
        Ok(UdpSocket {
            wire: Arc::clone(&host.wire),
            key,
        })
    }

    /// Connects the socket: from now on, it receives from this peer only.
    pub(crate) fn connect(&self, peer: SocketAddr) -> io::Result<()> {
        single(peer)?;
        Ok(self.wire.with(|state| state.connect_udp(self.key, peer))?)
    }

    /// Sends a datagram to the peer.
    pub(crate) fn send(&self, buf: &[u8]) -> io::Result<usize> {
        Ok(self
            .wire
            .with(|state| state.send_udp(self.key, buf, None))?)
    }

    /// Sends a datagram to an address, even if the socket is connected to another.
    pub(crate) fn send_to(&self, buf: &[u8], target: SocketAddr) -> io::Result<usize> {
        single(target)?;
        Ok(self
            .wire
            .with(|state| state.send_udp(self.key, buf, Some(target)))?)
    }

    /// Receives a datagram. Bytes for which `buf` has no room are lost.
    pub(crate) fn recv(&self, buf: &mut [u8]) -> io::Result<usize> {
        self.recv_from(buf).map(|(count, _)| count)
    }

    /// Receives a datagram, and returns the address of its sender too.
    pub(crate) fn recv_from(&self, buf: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        self.receive(buf, Mode::Receive)
    }

    /// Receives a datagram that the next call receives too.
    pub(crate) fn peek(&self, buf: &mut [u8]) -> io::Result<usize> {
        self.peek_from(buf).map(|(count, _)| count)
    }

    /// Receives a datagram that the next call receives too, and returns the address of its sender.
    pub(crate) fn peek_from(&self, buf: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        self.receive(buf, Mode::Peek)
    }

    /// Receives a datagram.
    fn receive(&self, buf: &mut [u8], mode: Mode) -> io::Result<(usize, SocketAddr)> {
        Ok(self
            .wire
            .with(|state| state.receive_udp(self.key, buf, mode))?)
    }

    /// Returns the address of the socket.
    pub(crate) fn local_addr(&self) -> io::Result<SocketAddr> {
        let addr = self.wire.with(|state| {
            let bound = state.bound(self.key)?;
            Ok::<_, Failure>(bound.shown(bound.local))
        })?;
        Ok(addr)
    }

    /// Returns the address of the peer, if the socket is connected.
    pub(crate) fn peer_addr(&self) -> io::Result<SocketAddr> {
        let addr = self.wire.with(|state| {
            let bound = state.bound(self.key)?;
            // Linux takes port 0 for no peer.
            let peer = bound.peer.filter(|peer| peer.port() != 0);
            peer.map(|peer| bound.shown(peer))
                .ok_or(Failure::NotConnected)
        })?;
        Ok(addr)
    }

    /// Returns and clears the error of the socket.
    pub(crate) fn take_error(&self) -> io::Result<Option<io::Error>> {
        let error = self
            .wire
            .with(|state| Ok::<_, Failure>(state.bound(self.key)?.error.take()))?;
        Ok(error.map(io::Error::from))
    }

    /// Returns `IP_TTL`, which changes nothing.
    pub(crate) fn ttl(&self) -> io::Result<u32> {
        let ttl = self
            .wire
            .with(|state| Ok::<_, Failure>(state.bound(self.key)?.ttl))?;
        Ok(ttl)
    }

    /// Sets `IP_TTL`, which changes nothing.
    pub(crate) fn set_ttl(&self, ttl: u32) -> io::Result<()> {
        let ttl = checked_ttl(ttl)?;
        self.wire.with(|state| {
            state.bound(self.key)?.ttl = ttl;
            Ok::<_, Failure>(())
        })?;
        Ok(())
    }

    /// Notes the token under which the reactor of the host has registered the socket, and has its readiness published.
    pub(crate) fn register(&self, token: usize) {
        self.wire
            .with(|state| state.register(Socket::Udp(self.key), token));
    }

    /// Ends the registration.
    pub(crate) fn deregister(&self) {
        self.wire
            .with(|state| state.deregister(Socket::Udp(self.key)));
    }

    /// Describes the socket for a dump: `udp 0.0.0.0:53`, or `udp 10.0.0.1:40000 → 10.0.0.2:53` if it is connected.
    pub(crate) fn describe(&self) -> String {
        match (self.local_addr(), self.peer_addr()) {
            (Ok(local), Ok(peer)) => format!("udp {local} → {peer}"),
            (Ok(local), Err(_)) => format!("udp {local}"),
            (Err(_), _) => "udp, without power".into(),
        }
    }
}

impl Drop for UdpSocket {
    /// Closes the socket. What it has not received is lost.
    fn drop(&mut self) {
        self.wire.with(|state| state.close_udp(self.key));
    }
}

/// Returns an error if an address is that of several hosts.
fn single(addr: SocketAddr) -> io::Result<()> {
    if !is_group(addr) {
        return Ok(());
    }
    Err(io::Error::new(
        io::ErrorKind::Unsupported,
        format!(
            "{} is the address of several hosts: simulated networks have neither broadcast nor multicast",
            addr.ip()
        ),
    ))
}

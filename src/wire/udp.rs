//! UDP between simulated hosts, as Linux does it (RFC 768, `udp(7)`).
//!
//! ```text
//!    send ── launch ──> the link ── arrive ──┬─> the socket of the port ── queue ──> recv
//!             (lost, held, twice, overtaken) │    (full: dropped)
//!                                            └─> none: "port unreachable" goes back ──> an error, if connected
//! ```
//!
//! - A connected socket receives the datagrams of its peer. To all other hosts and sockets, its port looks closed.
//! - If a "port unreachable" comes back, the next operation of a connected socket fails with `ECONNREFUSED`. A socket that
//!   is not connected does not notice it.
//! - A datagram for a host without power, or for an address that no host has, vanishes: the error that Linux learns
//!   when nobody answers its ARP requests reaches no UDP socket.
//! - A datagram is never split up. If it does not fit the MTU of its link, it counts as many packets as it would have
//!   fragments: it is lost if the link loses one of them, and all their bytes take bandwidth.
//! - A send never blocks, because the queue of a link has no end: the socket is always writable.
//! - Linux limits how many "port unreachable" a host sends in a second. A simulated host answers each datagram.
//! - There is neither broadcast nor multicast.

mod address;
mod socket;
#[cfg(test)]
mod tests;

pub(crate) use self::socket::UdpSocket;

use self::address::{Addresses, plain, shown};
use super::error::Failure;
use super::host::Route;
use super::journal::{Fate, Loss, hash_of};
use super::packet::{Body, Datagram, Packet, Unreachable};
use super::{Door, HostId, Mask, NOBODY, Socket, State};
use crate::slab::{Key, Slab};
use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The number of bytes that the receive queue of a socket holds, overhead included: the default of Linux
/// (`net.core.rmem_default`).
const RECEIVE_BUFFER: usize = 212_992;

/// What each datagram in a receive queue counts beside its bytes. Linux 6.18 holds 256 empty datagrams and 92 of 1472
/// bytes, which is this much.
const OVERHEAD: usize = 832;

/// The number of bytes in the longest datagram over IPv4: 65,535 without the headers of IP and UDP.
const LONGEST_V4: usize = 65_507;

/// The number of bytes in the longest datagram over IPv6, whose header does not count: 65,535 without that of UDP.
const LONGEST_V6: usize = 65_527;

/// The TTL of a new socket (`net.ipv4.ip_default_ttl`).
const USUAL_TTL: u32 = 64;

/// All UDP sockets of a network.
pub(super) struct Sockets {
    /// The sockets.
    pub(super) sockets: Slab<Bound>,
    /// Which socket has which address.
    addresses: Addresses,
}

/// One UDP socket.
#[derive(Debug)]
pub(super) struct Bound {
    /// Where its readiness is published.
    pub(super) door: Door,
    /// Its address, without the mapped form. The IP address is unspecified until the socket is connected, if it was so
    /// when the socket was bound.
    local: SocketAddr,
    /// Whether it is a socket of IPv6, which writes IPv4 addresses in the mapped form.
    is_v6: bool,
    /// The address of its peer, without the mapped form, if it is connected.
    peer: Option<SocketAddr>,
    /// What the next operation has to report, once.
    error: Option<Failure>,
    /// The datagrams that have arrived and not been received, oldest first.
    queue: VecDeque<Datagram>,
    /// What the queue counts against [`RECEIVE_BUFFER`].
    queued: usize,
    /// The number of datagrams that it has sent.
    sent: u64,
    /// `IP_TTL`, which changes nothing.
    ttl: u32,
}

/// Whether a datagram that has been received stays in the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    /// It is removed.
    Receive,
    /// It stays.
    Peek,
}

/// The way from a socket to an address.
#[derive(Clone, Copy, Debug)]
struct Course {
    /// The host to which the address leads.
    to: HostId,
    /// The address from which the socket sends.
    source: SocketAddr,
    /// The address, which is specified and does not have the mapped form.
    target: SocketAddr,
}

impl Sockets {
    /// Creates no sockets.
    pub(super) fn new() -> Sockets {
        Sockets {
            sockets: Slab::new(),
            addresses: Addresses::default(),
        }
    }

    /// Returns the socket that receives what a host gets for an address.
    fn find(&mut self, host: HostId, addr: SocketAddr) -> Option<(Key, &mut Bound)> {
        let key = self.addresses.find(host, addr)?;
        Some((key, self.sockets.get_mut(key)?))
    }
}

impl Bound {
    /// Creates a socket that is not connected.
    fn new(host: HostId, local: SocketAddr, is_v6: bool) -> Bound {
        Bound {
            door: Door::new(host),
            local,
            is_v6,
            peer: None,
            error: None,
            queue: VecDeque::new(),
            queued: 0,
            sent: 0,
            ttl: USUAL_TTL,
        }
    }

    /// Returns what the socket is ready for.
    pub(super) fn mask(&self) -> Mask {
        Mask {
            readable: !self.queue.is_empty(),
            writable: true,
            error: self.error.is_some(),
            ..Mask::default()
        }
    }

    /// Returns whether the socket receives the datagrams of this sender.
    fn hears(&self, source: SocketAddr) -> bool {
        self.peer.is_none_or(|peer| peer == source)
    }

    /// Returns whether the queue has room for a datagram. An empty queue has room for any.
    fn has_room(&self, datagram: &Datagram) -> bool {
        self.queued == 0 || self.queued + cost(datagram) <= RECEIVE_BUFFER
    }

    /// Returns an address as the socket writes it.
    fn shown(&self, addr: SocketAddr) -> SocketAddr {
        shown(addr, self.is_v6)
    }

    /// Returns the address to which a datagram for `target` goes, without the mapped form: an unspecified address is
    /// that of the host itself.
    fn destination(&self, target: SocketAddr) -> Result<SocketAddr, Failure> {
        if target.is_ipv6() && !self.is_v6 {
            return Err(Failure::Family);
        }
        let (own, target) = (self.local.ip(), plain(target));
        let ip = match (own, target.ip()) {
            (IpAddr::V6(own), IpAddr::V4(_)) if !own.is_unspecified() => {
                return Err(Failure::NetworkUnreachable);
            }
            (IpAddr::V4(_), IpAddr::V6(_)) => return Err(Failure::Family),
            (_, ip) if !ip.is_unspecified() => ip,
            (_, IpAddr::V6(_)) => Ipv6Addr::LOCALHOST.into(),
            (own, _) if own.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
            (own, _) => own,
        };
        Ok(SocketAddr::new(ip, target.port()))
    }
}

impl State {
    /// Binds a socket of a host. Port 0 asks for any free port.
    fn bind_udp(&mut self, host: HostId, addr: SocketAddr) -> Result<Key, Failure> {
        if !self.host_is_up(host) {
            return Err(Failure::NetworkDown);
        }
        let mut local = plain(addr);
        if !self.hosts.has_address(host, local.ip()) {
            return Err(Failure::AddrNotAvailable);
        }
        let addresses = &mut self.udp.addresses;
        if local.port() == 0 {
            let is_free = |port| addresses.is_free(host, SocketAddr::new(local.ip(), port));
            local.set_port(self.hosts.ephemeral(host, is_free)?);
        } else if !addresses.is_free(host, local) {
            return Err(Failure::AddrInUse);
        }
        let bound = Bound::new(host, local, addr.is_ipv6());
        let key = self.udp.sockets.insert(bound);
        addresses.insert(host, local, key);
        Ok(key)
    }

    /// Removes a socket, with what it has not received.
    fn close_udp(&mut self, key: Key) {
        if let Some(bound) = self.udp.sockets.remove(key) {
            self.udp.addresses.remove(bound.door.host, bound.local);
        }
    }

    /// Removes all UDP sockets of a host. Nothing is sent.
    pub(super) fn remove_udp_of(&mut self, host: HostId) {
        for key in self.udp.addresses.take(host) {
            self.udp.sockets.remove(key);
        }
    }

    /// Returns a socket, unless its host has lost its power.
    fn bound(&mut self, key: Key) -> Result<&mut Bound, Failure> {
        self.udp.sockets.get_mut(key).ok_or(Failure::NetworkDown)
    }

    /// Returns the way from a socket to an address.
    fn course(&mut self, key: Key, target: SocketAddr) -> Result<Course, Failure> {
        let bound = self.bound(key)?;
        let target = bound.destination(target)?;
        let (host, mut source) = (bound.door.host, bound.local);
        let (route, usual) = self.hosts.route(host, target.ip())?;
        let to = match route {
            Route::Host(to) => to,
            Route::Nobody => NOBODY,
        };
        if source.ip().is_unspecified() {
            source.set_ip(usual);
        } else if source.ip().is_loopback() && to != host {
            // What a loopback address sends does not leave the host.
            return Err(Failure::Invalid);
        }
        Ok(Course { to, source, target })
    }

    /// Connects a socket to a peer, whatever it was connected to. What it has already received stays in its queue.
    fn connect_udp(&mut self, key: Key, peer: SocketAddr) -> Result<(), Failure> {
        let course = self.course(key, peer)?;
        let bound = self.bound(key)?;
        bound.peer = Some(course.target);
        let (host, old) = (bound.door.host, bound.local);
        if old != course.source {
            // Connecting chooses the address of a socket that was bound to an unspecified one.
            bound.local = course.source;
            self.udp.addresses.remove(host, old);
            self.udp.addresses.insert(host, course.source, key);
        }
        Ok(())
    }

    /// Sends a datagram to `target`, or to the peer of the socket.
    fn send_udp(
        &mut self,
        key: Key,
        bytes: &[u8],
        target: Option<SocketAddr>,
    ) -> Result<usize, Failure> {
        let bound = self.bound(key)?;
        // Linux checks in this order.
        let target = match (target, bound.peer) {
            (Some(target), _) if target.port() == 0 => return Err(Failure::Invalid),
            (Some(target), _) => target,
            (None, Some(peer)) => bound.shown(peer),
            (None, None) => return Err(Failure::NoDestination),
        };
        let Course { to, source, target } = self.course(key, target)?;
        let longest = match target {
            SocketAddr::V4(_) => LONGEST_V4,
            SocketAddr::V6(_) => LONGEST_V6,
        };
        if bytes.len() > longest {
            return Err(Failure::MessageSize);
        }
        let bound = self.bound(key)?;
        if let Some(error) = bound.error.take() {
            return Err(error);
        }
        let number = bound.sent;
        bound.sent += 1;
        let from = bound.door.host;
        let datagram = Datagram {
            source,
            target,
            number,
            bytes: bytes.to_vec(),
        };
        self.send(from, to, Body::Datagram(datagram));
        Ok(bytes.len())
    }

    /// Receives the oldest datagram in the queue of a socket. Bytes for which `buf` has no room are lost, unless the
    /// datagram stays in the queue.
    fn receive_udp(
        &mut self,
        key: Key,
        buf: &mut [u8],
        mode: Mode,
    ) -> Result<(usize, SocketAddr), Failure> {
        let bound = self.bound(key)?;
        if let Some(error) = bound.error.take() {
            return Err(error);
        }
        let first = bound.queue.front().ok_or(Failure::WouldBlock)?;
        let count = first.bytes.len().min(buf.len());
        buf[..count].copy_from_slice(&first.bytes[..count]);
        let source = bound.shown(first.source);
        if mode == Mode::Receive {
            bound.queued -= cost(first);
            bound.queue.pop_front();
        }
        Ok((count, source))
    }

    /// Receives a datagram at a host that has power.
    pub(super) fn receive_datagram(&mut self, from: HostId, to: HostId, datagram: Datagram) {
        let found = self.udp.find(to, datagram.target);
        let Some((key, bound)) = found.filter(|(_, bound)| bound.hears(datagram.source)) else {
            let answer = Unreachable {
                source: datagram.target,
                target: datagram.source,
            };
            return self.send(to, from, Body::Unreachable(answer));
        };
        if bound.has_room(&datagram) {
            bound.queued += cost(&datagram);
            bound.queue.push_back(datagram);
            self.touch(Socket::Udp(key));
        } else {
            let packet = Packet {
                from,
                to,
                sent: self.now,
                hash: hash_of(&datagram.bytes),
                body: Body::Datagram(datagram),
            };
            self.journal
                .packet(self.now, &packet, Fate::Lost(Loss::Full));
        }
    }

    /// Receives the answer to a datagram for a port that no socket has. It concerns a socket that is connected to that
    /// port.
    pub(super) fn receive_unreachable(&mut self, to: HostId, answer: Unreachable) {
        if let Some((key, bound)) = self.udp.find(to, answer.target)
            && bound.peer == Some(answer.source)
        {
            bound.error = Some(Failure::Refused);
            self.touch(Socket::Udp(key));
        }
    }
}

/// Returns what a datagram in a queue counts against [`RECEIVE_BUFFER`].
fn cost(datagram: &Datagram) -> usize {
    OVERHEAD + datagram.bytes.len()
}

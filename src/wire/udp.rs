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

pub(crate) use self::socket::UdpSocket;

use self::address::Addresses;
use super::error::Failure;
use super::host::Route;
use super::journal::{Fate, Loss, hash_of};
use super::packet::{Body, Datagram, Packet, Unreachable};
use super::tcp::end::{plain, shown};
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::host::TrueTime;
    use crate::wire::{Host, Link, Ready, Tcp, Wire};
    use std::fmt::Debug;
    use std::io;
    use std::sync::Arc;
    use std::time::Duration;

    const MS: u64 = 1_000_000;
    const CLIENT: HostId = 0;
    const SERVER: HostId = 1;

    /// A network of two hosts, without a driver.
    struct Net {
        wire: Arc<Wire>,
        time: TrueTime,
    }

    impl Net {
        /// Creates a network in which each packet takes 1 ms.
        fn new() -> Net {
            let time = TrueTime::default();
            let wire = Wire::new(1, Tcp::default(), time.clone());
            assert_eq!(wire.add_host("client"), CLIENT);
            assert_eq!(wire.add_host("server"), SERVER);
            wire.set_link(link());
            Net { wire, time }
        }

        fn bind(&self, id: HostId, addr: &str) -> io::Result<UdpSocket> {
            let wire = Arc::clone(&self.wire);
            Host { wire, id }.bind_udp(addr.parse().unwrap())
        }

        /// Binds a client, and a server on port 53.
        fn sockets(&self) -> (UdpSocket, UdpSocket) {
            let client = self.bind(CLIENT, "0.0.0.0:0").unwrap();
            (client, self.bind(SERVER, "0.0.0.0:53").unwrap())
        }

        /// Lets the time pass up to this moment, in nanoseconds.
        fn run_until(&self, end: u64) -> Vec<Ready> {
            let mut ready = Vec::new();
            while let Some(at) = self.wire.next().filter(|at| *at <= end) {
                self.time.advance_to(at);
                self.wire.advance(&mut ready);
            }
            self.time.advance_to(end);
            ready
        }

        /// Lets the time pass until nothing happens any more.
        fn run(&self) -> Vec<Ready> {
            let mut ready = Vec::new();
            while let Some(at) = self.wire.next() {
                self.time.advance_to(at);
                self.wire.advance(&mut ready);
            }
            ready
        }
    }

    fn link() -> Link {
        Link::latency(Duration::from_millis(1)..=Duration::from_millis(1))
    }

    fn addr(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    /// The address of the server.
    fn server_addr() -> SocketAddr {
        addr("10.0.0.2:53")
    }

    /// Returns the next datagram that a socket has received.
    fn next(socket: &UdpSocket) -> Option<Vec<u8>> {
        let mut buf = vec![0; 70_000];
        match socket.recv(&mut buf) {
            Ok(count) => Some(buf[..count].to_vec()),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => None,
            Err(error) => panic!("{error}"),
        }
    }

    /// Returns all datagrams that a socket has received.
    fn rest(socket: &UdpSocket) -> Vec<Vec<u8>> {
        std::iter::from_fn(|| next(socket)).collect()
    }

    #[track_caller]
    fn assert_fails<T: Debug>(result: io::Result<T>, failure: Failure) {
        let error = result.expect_err("it succeeded");
        assert_eq!(error.to_string(), io::Error::from(failure).to_string());
    }

    /// Sends this many datagrams of a length over a link, one after the other, and returns how many arrive.
    fn arrivals(link: Link, count: usize, length: usize) -> usize {
        let net = Net::new();
        net.wire.set_link(link);
        let (client, server) = net.sockets();
        let mut arrived = 0;
        for _ in 0..count {
            client.send_to(&vec![0; length], server_addr()).unwrap();
            net.run();
            arrived += rest(&server).len();
        }
        arrived
    }

    #[test]
    fn a_datagram_arrives_after_the_latency_with_the_address_of_its_sender() {
        let net = Net::new();
        let (client, server) = net.sockets();
        assert_eq!(client.send_to(b"hello", server_addr()).unwrap(), 5);
        net.run_until(MS - 1);
        assert_eq!(next(&server), None);
        net.run_until(MS);
        let mut buf = [0; 8];
        let (count, source) = server.recv_from(&mut buf).unwrap();
        assert_eq!(&buf[..count], b"hello");
        assert_eq!(source.ip(), addr("10.0.0.1:0").ip());
        assert_eq!(source.port(), client.local_addr().unwrap().port());
        server.send_to(b"and back", source).unwrap();
        net.run_until(2 * MS);
        assert_eq!(next(&client).unwrap(), b"and back");
    }

    #[test]
    fn bytes_without_room_are_lost_and_an_empty_datagram_is_one() {
        let net = Net::new();
        let (client, server) = net.sockets();
        for text in ["hello", "", "world"] {
            client.send_to(text.as_bytes(), server_addr()).unwrap();
        }
        net.run();
        let mut buf = [0; 2];
        assert_eq!(server.peek(&mut buf).unwrap(), 2);
        assert_eq!(&buf, b"he");
        assert_eq!(server.peek_from(&mut [0; 9]).unwrap().0, 5);
        assert_eq!(server.recv(&mut buf).unwrap(), 2);
        assert_eq!(server.recv(&mut buf).unwrap(), 0);
        // A buffer without room receives a datagram too.
        assert_eq!(server.recv(&mut []).unwrap(), 0);
        assert_fails(server.recv(&mut buf), Failure::WouldBlock);
    }

    #[test]
    fn a_link_loses_as_many_datagrams_as_it_says() {
        let arrived = arrivals(link().loss(0.1), 10_000, 100);
        assert!((8_900..9_100).contains(&arrived), "{arrived}");
    }

    #[test]
    fn a_long_datagram_is_lost_with_any_of_its_fragments() {
        // Two fragments: 0.9 squared.
        let arrived = arrivals(link().loss(0.1), 10_000, 1473);
        assert!((8_000..8_200).contains(&arrived), "{arrived}");
        assert_eq!(arrivals(link(), 10, LONGEST_V4), 10);
    }

    #[test]
    fn a_link_duplicates_as_many_datagrams_as_it_says() {
        let arrived = arrivals(link().duplication(0.1), 10_000, 100);
        assert!((10_900..11_100).contains(&arrived), "{arrived}");
    }

    #[test]
    fn datagrams_overtake_each_other_if_the_latency_varies() {
        let net = Net::new();
        net.wire.set_link(Link::default());
        let (client, server) = net.sockets();
        for number in 0..100 {
            client.send_to(&[number], server_addr()).unwrap();
        }
        net.run_until(10 * MS);
        let mut arrived = rest(&server).concat();
        assert!(!arrived.is_sorted());
        arrived.sort();
        assert!(arrived.into_iter().eq(0..100));
    }

    #[test]
    fn a_bandwidth_spaces_datagrams_out_and_counts_each_fragment() {
        let net = Net::new();
        net.wire.set_link(link().bandwidth(104_000));
        let (client, server) = net.sockets();
        let times = |lengths: [usize; 2]| {
            let start = net.time.now();
            for length in lengths {
                client.send_to(&vec![0; length], server_addr()).unwrap();
            }
            let arrived = lengths.map(|_| {
                while rest(&server).is_empty() {
                    net.run_until(net.wire.next().expect("a datagram is under way"));
                }
                net.time.now() - start
            });
            net.run();
            arrived
        };
        // 1,040 bytes with their headers take 10 ms, and a packet 1 ms more to the other end.
        assert_eq!(times([1000, 1000]), [11 * MS, 21 * MS]);
        // 3,120 bytes with those of three fragments take 30 ms.
        assert_eq!(times([3000, 1000]), [31 * MS, 41 * MS]);
    }

    #[test]
    fn a_cut_loses_what_is_under_way_and_what_is_sent() {
        let net = Net::new();
        let (client, server) = net.sockets();
        let send = |text: &str| client.send_to(text.as_bytes(), server_addr()).unwrap();
        send("under way");
        net.wire.cut(CLIENT, SERVER);
        send("sent");
        net.run_until(MS);
        net.wire.repair(CLIENT, SERVER);
        send("repaired");
        // The other direction is not cut.
        net.wire.cut(SERVER, CLIENT);
        net.run();
        assert_eq!(rest(&server), [b"repaired"]);
    }

    #[test]
    fn what_is_held_arrives_in_its_order_after_the_release() {
        let net = Net::new();
        net.wire.set_link(Link::default());
        let (client, server) = net.sockets();
        net.wire.hold(CLIENT, SERVER);
        for number in 0..100 {
            client.send_to(&[number], server_addr()).unwrap();
        }
        net.run_until(1000 * MS);
        assert_eq!(next(&server), None);
        net.wire.release(CLIENT, SERVER);
        net.run_until(1010 * MS);
        assert!(rest(&server).concat().into_iter().eq(0..100));
    }

    #[test]
    fn a_connected_socket_looks_closed_to_strangers() {
        let net = Net::new();
        let (client, server) = net.sockets();
        let stranger = net.bind(CLIENT, "0.0.0.0:7").unwrap();
        server.connect(addr("10.0.0.1:7")).unwrap();
        for (socket, text) in [(&client, "client"), (&stranger, "peer")] {
            socket.connect(server_addr()).unwrap();
            socket.send(text.as_bytes()).unwrap();
        }
        net.run();
        assert_eq!(rest(&server), [b"peer"]);
        assert_fails(client.send(b"again"), Failure::Refused);
        // A socket can be connected again, and still send elsewhere.
        server.connect(client.local_addr().unwrap()).unwrap();
        client.send(b"client").unwrap();
        stranger.send(b"stranger").unwrap();
        net.run();
        assert_eq!(rest(&server), [b"client"]);
        assert_eq!(
            stranger.take_error().unwrap().unwrap().kind(),
            io::ErrorKind::ConnectionRefused
        );
        server.send_to(b"elsewhere", addr("10.0.0.1:7")).unwrap();
        net.run();
        assert_eq!(rest(&stranger), [b"elsewhere"]);
    }

    #[test]
    fn a_refusal_is_reported_once_by_whichever_operation_comes_next() {
        let net = Net::new();
        let client = net.bind(CLIENT, "0.0.0.0:0").unwrap();
        client.connect(server_addr()).unwrap();
        client.register(7);
        net.run();
        for call in [
            |socket: &UdpSocket| socket.recv(&mut [0]),
            |socket: &UdpSocket| socket.peek(&mut [0]),
            |socket: &UdpSocket| socket.send(b"this one is not sent"),
        ] {
            let start = net.time.now();
            assert_eq!(client.send(b"anybody?").unwrap(), 8);
            net.run_until(start + 2 * MS - 1);
            assert!(client.take_error().unwrap().is_none());
            let ready = net.run_until(start + 2 * MS);
            assert!(
                ready
                    .iter()
                    .any(|ready| ready.token == 7 && ready.mask.error)
            );
            assert_fails(call(&client), Failure::Refused);
            assert_fails(client.recv(&mut [0]), Failure::WouldBlock);
        }
        assert_eq!(net.wire.next(), None);
    }

    #[test]
    fn only_a_connected_socket_notices_a_refusal_and_a_cut_swallows_it() {
        let net = Net::new();
        let client = net.bind(CLIENT, "0.0.0.0:0").unwrap();
        client.send_to(b"anybody?", server_addr()).unwrap();
        net.run();
        assert_fails(client.recv(&mut [0]), Failure::WouldBlock);
        client.connect(server_addr()).unwrap();
        // Nor does it notice that another port is closed.
        client.send_to(b"anybody?", addr("10.0.0.2:54")).unwrap();
        net.run();
        assert_fails(client.recv(&mut [0]), Failure::WouldBlock);
        net.wire.cut(SERVER, CLIENT);
        client.send(b"anybody?").unwrap();
        net.run();
        assert_fails(client.recv(&mut [0]), Failure::WouldBlock);
    }

    #[test]
    fn a_full_queue_drops_datagrams_until_some_are_received() {
        let net = Net::new();
        let (client, server) = net.sockets();
        let send = |count, length| {
            for _ in 0..count {
                client.send_to(&vec![0; length], server_addr()).unwrap();
            }
            net.run();
        };
        // As Linux 6.18 counts.
        send(300, 0);
        assert_eq!(rest(&server).len(), 256);
        send(300, 1472);
        assert_eq!(next(&server).unwrap().len(), 1472);
        send(300, 1472);
        assert_eq!(rest(&server).len(), 92);
        send(10, LONGEST_V4);
        assert_eq!(rest(&server).len(), 3);
        assert!(net.wire.lines().iter().any(|line| {
            line.ends_with("client → server datagram #909, 65507 bytes: lost: no room")
        }));
    }

    #[test]
    fn a_host_without_power_is_silent_and_its_sockets_are_gone() {
        let net = Net::new();
        let (client, server) = net.sockets();
        client.connect(server_addr()).unwrap();
        client.send(b"one").unwrap();
        net.run();
        net.wire.power_off(SERVER);
        client.send(b"two").unwrap();
        net.run();
        assert_fails(client.recv(&mut [0]), Failure::WouldBlock);
        assert_fails(server.recv(&mut [0]), Failure::NetworkDown);
        assert_fails(net.bind(SERVER, "0.0.0.0:0"), Failure::NetworkDown);
        net.wire.power_on(SERVER);
        client.send(b"three").unwrap();
        net.run();
        assert_fails(client.recv(&mut [0]), Failure::Refused);
        let server_2 = net.bind(SERVER, "0.0.0.0:53").unwrap();
        // The socket from before does not take the address of the new one along.
        drop(server);
        client.send(b"four").unwrap();
        net.run();
        assert_eq!(rest(&server_2), [b"four"]);
    }

    #[test]
    fn a_dropped_socket_and_those_of_a_killed_host_free_their_ports() {
        let net = Net::new();
        let (client, server) = net.sockets();
        client.send_to(b"queued", server_addr()).unwrap();
        net.run();
        assert_fails(net.bind(SERVER, "10.0.0.2:53"), Failure::AddrInUse);
        drop(server);
        let server = net.bind(SERVER, "10.0.0.2:53").unwrap();
        assert_eq!(next(&server), None);
        net.wire.close_all(SERVER);
        let server_2 = net.bind(SERVER, "0.0.0.0:53").unwrap();
        assert_fails(server.local_addr(), Failure::NetworkDown);
        client.send_to(b"new", server_addr()).unwrap();
        net.run();
        assert_eq!(rest(&server_2), [b"new"]);
    }

    #[test]
    fn a_socket_is_bound_to_an_address_of_its_host() {
        let net = Net::new();
        let (client, _server) = net.sockets();
        assert!((32_768..=60_999).contains(&client.local_addr().unwrap().port()));
        assert_fails(client.peer_addr(), Failure::NotConnected);
        let away = net.bind(CLIENT, "10.0.0.2:0");
        assert_fails(away, Failure::AddrNotAvailable);
        let one = net.bind(CLIENT, "10.0.0.1:9").unwrap();
        let other = net.bind(CLIENT, "127.0.0.1:9").unwrap();
        let sender = net.bind(CLIENT, "0.0.0.0:0").unwrap();
        for target in [&one, &other] {
            sender.send_to(b"hi", target.local_addr().unwrap()).unwrap();
            net.run();
        }
        assert_eq!((rest(&one).len(), rest(&other).len()), (1, 1));
    }

    #[test]
    fn connecting_chooses_the_address_of_the_socket() {
        let net = Net::new();
        let (client, server) = net.sockets();
        let port = client.local_addr().unwrap().port();
        client.connect(server_addr()).unwrap();
        let local = SocketAddr::new(addr("10.0.0.1:0").ip(), port);
        assert_eq!(client.local_addr().unwrap(), local);
        assert_eq!(client.peer_addr().unwrap(), server_addr());
        server.send_to(b"hi", local).unwrap();
        net.run();
        assert_eq!(rest(&client), [b"hi"]);
        // Another socket can have the rest of the port from now on.
        let rest_of_port = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port);
        net.bind(CLIENT, &rest_of_port.to_string()).unwrap();
        let connected = format!("udp {local} → 10.0.0.2:53");
        assert_eq!(client.describe(), connected);
        assert_eq!(server.describe(), "udp 0.0.0.0:53");
        server.connect(addr("0.0.0.0:9")).unwrap();
        assert_eq!(server.peer_addr().unwrap(), addr("127.0.0.1:9"));
    }

    #[test]
    fn an_unspecified_address_of_ipv6_receives_ipv4_too() {
        let net = Net::new();
        let server = net.bind(SERVER, "[::]:53").unwrap();
        let four = net.bind(CLIENT, "10.0.0.1:9").unwrap();
        let six = net.bind(CLIENT, "[fd00::1]:9").unwrap();
        four.connect(server_addr()).unwrap();
        six.connect(addr("[fd00::2]:53")).unwrap();
        for (socket, source) in [(&four, "[::ffff:10.0.0.1]:9"), (&six, "[fd00::1]:9")] {
            socket.send(b"to").unwrap();
            net.run();
            let (_, peer) = server.recv_from(&mut [0; 9]).unwrap();
            assert_eq!(peer, addr(source));
            server.send_to(b"fro", peer).unwrap();
            net.run();
            assert_eq!(rest(socket), [b"fro"]);
        }
        server.connect(addr("[::ffff:10.0.0.1]:9")).unwrap();
        let local = server.local_addr().unwrap();
        assert_eq!(local, addr("[::ffff:10.0.0.2]:53"));
        let elsewhere = server.send_to(b"", addr("[fd00::1]:9"));
        assert_fails(elsewhere, Failure::Family);
    }

    #[test]
    fn an_impossible_send_fails_at_once() {
        let net = Net::new();
        let (client, _server) = net.sockets();
        let send = |target| client.send_to(b"", addr(target));
        assert_fails(client.send(b""), Failure::NoDestination);
        assert_fails(send("[fd00::2]:53"), Failure::Family);
        assert_fails(send("10.0.0.2:0"), Failure::Invalid);
        assert_fails(send("192.0.2.1:53"), Failure::NetworkUnreachable);
        let group = send("224.0.0.1:53").unwrap_err();
        assert_eq!(group.kind(), io::ErrorKind::Unsupported);
        let long = vec![0; LONGEST_V4 + 1];
        let too_long = client.send_to(&long, server_addr());
        assert_fails(too_long, Failure::MessageSize);
        let inner = net.bind(CLIENT, "127.0.0.1:0").unwrap();
        assert_fails(inner.connect(server_addr()), Failure::Invalid);
        let six = net.bind(CLIENT, "[::1]:9").unwrap();
        assert_fails(six.connect(server_addr()), Failure::NetworkUnreachable);
        let longest = vec![0; LONGEST_V6];
        assert_eq!(six.send_to(&longest, addr("[::1]:9")).unwrap(), LONGEST_V6);
        // Nothing says that nobody has an address of the network.
        assert_eq!(send("10.0.0.3:53").unwrap(), 0);
        net.run();
        assert_eq!(rest(&six), [longest]);
        assert_fails(client.recv(&mut [0]), Failure::WouldBlock);
    }

    #[test]
    fn a_host_reaches_itself_in_20_microseconds_whatever_the_links_are() {
        let net = Net::new();
        net.wire.set_link(link().loss(1.0));
        let (_client, server) = net.sockets();
        let sender = net.bind(SERVER, "0.0.0.0:0").unwrap();
        for (target, source) in [("127.0.0.1:53", "127.0.0.1"), ("10.0.0.2:53", "10.0.0.2")] {
            let start = net.time.now();
            sender.send_to(b"hi", addr(target)).unwrap();
            net.run_until(start + 19_999);
            assert_eq!(next(&server), None);
            net.run_until(start + 20_000);
            let (_, peer) = server.recv_from(&mut [0; 9]).unwrap();
            assert_eq!(peer.ip().to_string(), source);
        }
    }

    #[test]
    fn an_arrival_publishes_the_whole_readiness() {
        let net = Net::new();
        let (client, server) = net.sockets();
        client.send_to(b"early", server_addr()).unwrap();
        net.run();
        let mask = Mask {
            readable: true,
            writable: true,
            ..Mask::default()
        };
        let ready = Ready {
            host: SERVER,
            token: 7,
            mask,
        };
        // A registration reports what has arrived before.
        server.register(7);
        assert_eq!(net.run(), [ready]);
        client.send_to(b"late", server_addr()).unwrap();
        assert_eq!(net.run(), [ready]);
        assert_eq!(rest(&server).len(), 2);
        // What reads and finds nothing publishes nothing.
        assert_eq!(net.run(), []);
        server.deregister();
        client.send_to(b"unseen", server_addr()).unwrap();
        assert_eq!(net.run(), []);
    }

    #[test]
    fn a_ttl_is_what_was_set() {
        let (client, _server) = Net::new().sockets();
        assert_eq!(client.ttl().unwrap(), 64);
        client.set_ttl(7).unwrap();
        assert_eq!(client.ttl().unwrap(), 7);
        for ttl in [0, 256] {
            assert_fails(client.set_ttl(ttl), Failure::Invalid);
        }
    }

    #[test]
    fn the_journal_tells_runs_apart_by_what_datagrams_carry() {
        let run = |text: &str| {
            let net = Net::new();
            net.wire.set_link(Link::default().loss(0.5));
            let client = net.bind(CLIENT, "10.0.0.1:9").unwrap();
            let _server = net.bind(SERVER, "0.0.0.0:53").unwrap();
            for _ in 0..10 {
                client.send_to(text.as_bytes(), server_addr()).unwrap();
            }
            net.run();
            let lines = net.wire.lines();
            assert_eq!(lines[0], "0.000000 client → server datagram #0, 5 bytes");
            net.wire.hash_and_count()
        };
        assert_eq!(run("hello"), run("hello"));
        assert_ne!(run("hello"), run("world"));
    }
}

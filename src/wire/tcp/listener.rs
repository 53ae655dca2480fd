//! [`Listening`]: a socket that listens, and the connections that it has not accepted.

use super::end::{End, Owner, Phase, plain, shown};
use crate::slab::Key;
use crate::wire::error::Failure;
use crate::wire::journal::Loss;
use crate::wire::packet::{Packet, Segment, SegmentKind};
use crate::wire::{Door, HostId, Mask, Socket, State};
use std::collections::VecDeque;
use std::net::SocketAddr;

/// The backlog of each listener: what std and mio ask for.
const BACKLOG: usize = 128;

/// A socket that listens.
#[derive(Debug)]
pub(in crate::wire) struct Listening {
    /// Where the readiness of the socket is published.
    pub(in crate::wire) door: Door,
    /// Its address. The IP address may be unspecified.
    local: SocketAddr,
    /// The connections that it has not accepted, oldest first.
    queue: VecDeque<Key>,
    /// `IP_TTL`, which its connections inherit, and which changes nothing.
    pub(in crate::wire) ttl: u32,
}

impl Listening {
    /// Returns what the socket is ready for.
    pub(in crate::wire) fn mask(&self) -> Mask {
        Mask {
            readable: !self.queue.is_empty(),
            ..Mask::default()
        }
    }

    /// Returns the address of the socket.
    pub(in crate::wire) fn local(&self) -> SocketAddr {
        self.local
    }

    /// Returns whether it has no room for another connection. The queue holds one more than the backlog, as in Linux
    /// (`sk_acceptq_is_full`).
    fn is_full(&self) -> bool {
        self.queue.len() > BACKLOG
    }

    /// Returns how well it fits an address to which a connection is opened: 2 for its very address, 1 for an unspecified
    /// one, and 0 if it does not.
    fn fit(&self, target: SocketAddr) -> u32 {
        let ip = self.local.ip();
        if plain(self.local) == target {
            2
        } else {
            // An unspecified address of IPv6 receives IPv4 too.
            u32::from(ip.is_unspecified() && (ip.is_ipv6() || target.is_ipv4()))
        }
    }

    /// Returns whether it and another socket that listens at an address with the same port exclude each other.
    fn excludes(&self, addr: SocketAddr) -> bool {
        let (mine, other) = (self.local, plain(addr));
        self.fit(other) > 0
            || plain(mine) == other
            || (addr.ip().is_unspecified() && (addr.is_ipv6() || mine.is_ipv4()))
    }
}

impl State {
    /// Has a host listen. A connection that is over, or that this host has accepted, does not occupy the port, because
    /// `SO_REUSEADDR` is set.
    pub(in crate::wire) fn listen(
        &mut self,
        host: HostId,
        addr: SocketAddr,
    ) -> Result<Key, Failure> {
        if !self.host_is_up(host) {
            return Err(Failure::NetworkDown);
        }
        if !self.hosts.has_address(host, addr.ip().to_canonical()) {
            return Err(Failure::AddrNotAvailable);
        }
        let port = match addr.port() {
            0 => {
                let (listening, outgoing) = (&self.listening, &self.outgoing_ports);
                self.hosts.ephemeral(host, |port| {
                    !listening.contains_key(&(host, port)) && !outgoing.contains_key(&(host, port))
                })?
            }
            port => port,
        };
        let mut local = addr;
        local.set_port(port);
        if self.outgoing_ports.contains_key(&(host, port)) {
            return Err(Failure::AddrInUse);
        }
        let others = self.listening.entry((host, port)).or_default();
        let slab = &mut self.listeners;
        let mut others_here = others
            .iter()
            .filter_map(|key| Some(slab.get_mut(*key)?.excludes(local)));
        if others_here.any(|excludes| excludes) {
            return Err(Failure::AddrInUse);
        }
        let key = self.listeners.insert(Listening {
            door: Door::new(host),
            local,
            queue: VecDeque::new(),
            ttl: 64,
        });
        others.push(key);
        Ok(key)
    }

    /// Returns the listener for an address at a host that fits best.
    fn find_listener(&mut self, host: HostId, target: SocketAddr) -> Option<Key> {
        let keys = self.listening.get(&(host, target.port()))?;
        let listeners = &mut self.listeners;
        let fits = keys
            .iter()
            .filter_map(|key| Some((listeners.get_mut(*key)?.fit(target), *key)));
        let best = fits.max_by_key(|(fit, _)| *fit)?;
        (best.0 > 0).then_some(best.1)
    }

    /// Receives the first segment of a connection.
    pub(super) fn receive_syn(
        &mut self,
        packet: Packet,
        addresses: (SocketAddr, SocketAddr),
        window: u64,
        sender: Key,
    ) {
        let (peer, target) = addresses;
        let (host, peer_host) = (packet.to, packet.from);
        let pair = (host, peer_host, target, peer);
        if let Some(key) = self.connections.get(&pair).copied()
            && let Some(end) = self.ends.get_mut(key)
        {
            match end.phase {
                // The answer has got lost, or the first segment has arrived twice.
                Phase::SynReceived if end.other == sender => {
                    return self.send_segment(key, SegmentKind::SynAck, 0, Vec::new());
                }
                // The host has closed this connection first, and its peer uses the port again.
                Phase::TimeWait if end.other != sender => self.finish(key),
                // The peer has lost the connection, perhaps with its power. If it has, it answers this acknowledgment
                // with a reset (RFC 9293, section 3.5.1).
                _ => {
                    let segment = Segment {
                        receiver: sender,
                        ..self.segment(key, SegmentKind::Ack, 0, Vec::new())
                    };
                    return self.send_to(host, peer_host, segment);
                }
            }
        }
        let Some(listener) = self.find_listener(host, target) else {
            return self.send_reset(host, peer_host, sender, 0);
        };
        let Some(listening) = self.listeners.get_mut(listener) else {
            return;
        };
        if listening.is_full() {
            return self.lose(packet, Loss::Full);
        }
        let is_v6 = listening.local.is_ipv6();
        let owner = Owner::Listener(listener);
        let end = End {
            other: sender,
            edge: window,
            is_v6,
            ttl: listening.ttl,
            ..End::new(pair, Phase::SynReceived, owner, self.tcp.receive_buffer)
        };
        let key = self.ends.insert(end);
        self.connections.insert(pair, key);
        self.send_segment(key, SegmentKind::SynAck, 0, Vec::new());
        self.arm_opening(key);
    }

    /// Completes the handshake of an end: its peer has acknowledged the answer. Returns false if that is not possible
    /// now, and the segment has to be lost.
    pub(super) fn complete_handshake(&mut self, key: Key, listener: Key) -> bool {
        let Some(listening) = self.listeners.get_mut(listener) else {
            // The listener has been closed meanwhile. A segment for an end that does not exist is answered with a reset.
            self.remove_end(key);
            return true;
        };
        if listening.is_full() {
            return false;
        }
        listening.queue.push_back(key);
        self.disarm(key);
        if let Some(end) = self.ends.get_mut(key) {
            end.phase = Phase::Open;
            end.retries = 0;
        }
        self.touch(Socket::Listener(listener));
        true
    }

    /// Accepts a connection.
    pub(in crate::wire) fn accept(&mut self, listener: Key) -> Result<(Key, SocketAddr), Failure> {
        let listening = self
            .listeners
            .get_mut(listener)
            .ok_or(Failure::NetworkDown)?;
        let key = listening.queue.pop_front().ok_or(Failure::WouldBlock)?;
        let end = self.ends.get_mut(key).ok_or(Failure::WouldBlock)?;
        end.owner = Owner::Program;
        Ok((key, shown(end.peer, end.is_v6)))
    }

    /// Closes a listener, and resets the connections that it has not accepted.
    pub(in crate::wire) fn close_listener(&mut self, listener: Key) {
        let Some(listening) = self.remove_listener(listener) else {
            return;
        };
        for key in listening.queue {
            self.reset_end(key);
            self.remove_end(key);
        }
    }

    /// Removes a listener. Returns it with the connections that it has not accepted.
    fn remove_listener(&mut self, listener: Key) -> Option<Listening> {
        let listening = self.listeners.remove(listener)?;
        let place = (listening.door.host, listening.local.port());
        if let Some(keys) = self.listening.get_mut(&place) {
            keys.retain(|key| *key != listener);
            if keys.is_empty() {
                self.listening.remove(&place);
            }
        }
        Some(listening)
    }

    /// Removes all listeners of a host. Nothing is sent.
    pub(super) fn remove_listeners_of(&mut self, host: HostId) {
        for listener in self.listeners_of(host) {
            for key in self
                .remove_listener(listener)
                .into_iter()
                .flat_map(|gone| gone.queue)
            {
                self.remove_end(key);
            }
        }
    }

    /// Closes all listeners of a host.
    pub(super) fn close_listeners_of(&mut self, host: HostId) {
        for listener in self.listeners_of(host) {
            self.close_listener(listener);
        }
    }

    /// Returns the listeners of a host.
    fn listeners_of(&self, host: HostId) -> Vec<Key> {
        let range = self.listening.range((host, 0)..=(host, u16::MAX));
        range.flat_map(|(_, keys)| keys.iter().copied()).collect()
    }
}

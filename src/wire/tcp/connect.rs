//! Opening a connection from this side.

use super::end::{End, Owner, Pair, Phase, plain};
use crate::slab::Key;
use crate::wire::error::Failure;
use crate::wire::host::Route;
use crate::wire::packet::{Segment, SegmentKind};
use crate::wire::{HostId, NOBODY, Socket, State};
use std::net::SocketAddr;

impl State {
    /// Begins to connect a host to an address.
    pub(in crate::wire) fn connect(
        &mut self,
        host: HostId,
        addr: SocketAddr,
    ) -> Result<Key, Failure> {
        if !self.host_is_up(host) {
            return Err(Failure::NetworkDown);
        }
        let target = plain(addr);
        let (route, source) = self.hosts.route(host, target.ip())?;
        // Linux takes an unspecified address for the host itself.
        let ip = match target.ip().is_unspecified() {
            true => source,
            false => target.ip(),
        };
        let peer = SocketAddr::new(ip, target.port());
        let peer_host = match route {
            Route::Host(host) => host,
            Route::Nobody => NOBODY,
        };
        let pair = |port| -> Pair { (host, peer_host, SocketAddr::new(source, port), peer) };
        let (connections, listening) = (&self.connections, &self.listening);
        let port = self.hosts.ephemeral(host, |port| {
            !connections.contains_key(&pair(port)) && !listening.contains_key(&(host, port))
        })?;
        let pair = pair(port);
        let end = End {
            is_outgoing: true,
            is_v6: addr.is_ipv6(),
            ..End::new(
                pair,
                Phase::SynSent,
                Owner::Program,
                self.tcp.receive_buffer,
            )
        };
        let key = self.ends.insert(end);
        self.connections.insert(pair, key);
        *self.outgoing_ports.entry((host, port)).or_default() += 1;
        if route != Route::Nobody {
            self.send_syn(key);
        }
        self.arm_opening(key);
        Ok(key)
    }

    /// Sends the first segment of a connection.
    pub(super) fn send_syn(&mut self, key: Key) {
        if let Some(end) = self.ends.get_mut(key) {
            let kind = SegmentKind::Syn(end.local, end.peer);
            self.send_segment(key, kind, 0, Vec::new());
        }
    }

    /// Receives an answer to the first segment. Any segment but an acceptance or a reset belongs to an older connection,
    /// and is answered with a reset.
    pub(super) fn receive_answer(&mut self, key: Key, from: HostId, segment: &Segment) {
        let Some(end) = self.ends.get_mut(key) else {
            return;
        };
        let host = end.door.host;
        match segment.kind {
            SegmentKind::SynAck => {
                end.other = segment.sender;
                end.phase = Phase::Open;
                end.edge = segment.window;
                end.retries = 0;
                self.disarm(key);
                self.touch(Socket::Stream(key));
                self.send_segment(key, SegmentKind::Ack, 0, Vec::new());
            }
            SegmentKind::Reset => self.fail(key, Failure::Refused),
            _ => self.send_reset(host, from, segment.sender, segment.ack),
        }
    }
}

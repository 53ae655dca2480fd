//! A sketch of what TCP does.

use crate::slab::Key;
use crate::wire::packet::{Packet, Segment};
use crate::wire::{HostId, State};
use std::io;
use std::net::SocketAddr;

#[expect(unused_variables, reason = "a sketch")]
impl State {
    pub(in crate::wire) fn connect(&mut self, host: HostId, addr: SocketAddr) -> io::Result<Key> {
        unimplemented!()
    }
    pub(in crate::wire) fn listen(&mut self, host: HostId, addr: SocketAddr) -> io::Result<Key> {
        unimplemented!()
    }
    pub(in crate::wire) fn receive_segment(&mut self, from: HostId, to: HostId, segment: Segment) {
        unimplemented!()
    }
    /// The sender of a packet that is lost or held has to send it again some day.
    pub(in crate::wire) fn miss(&mut self, packet: &Packet) {}
    pub(in crate::wire) fn expire(&mut self, key: Key) {}
    pub(in crate::wire) fn remove_tcp_of(&mut self, host: HostId) {}
    pub(in crate::wire) fn close_tcp_of(&mut self, host: HostId) {}
    pub(in crate::wire) fn reset_between(&mut self, one: HostId, other: HostId) {}
}

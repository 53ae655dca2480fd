//! The end of a connection: shutdown, close, failure and removal.

use super::end::{Owner, Phase};
use crate::slab::Key;
use crate::wire::error::Failure;
use crate::wire::packet::SegmentKind;
use crate::wire::{HostId, Socket, State};
use std::collections::VecDeque;
use std::net::{Ipv4Addr, Shutdown, SocketAddr};

impl State {
    /// Shuts down one direction or both, as `inet_shutdown` in Linux does.
    pub(in crate::wire) fn shutdown(&mut self, key: Key, how: Shutdown) -> Result<(), Failure> {
        let end = self.ends.get_mut(key).ok_or(Failure::NotConnected)?;
        match end.phase {
            Phase::TimeWait | Phase::Closed => return Err(Failure::NotConnected),
            Phase::SynSent | Phase::SynReceived => {
                self.fail(key, Failure::Reset);
                return Ok(());
            }
            Phase::Open => {}
        }
        if how != Shutdown::Write {
            end.is_deaf = true;
        }
        if how != Shutdown::Read {
            self.end_stream(key);
        }
        // Linux wakes both a reader and a writer, whichever direction it is.
        self.touch(Socket::Stream(key));
        Ok(())
    }

    /// Ends the stream of an end after everything that has been written.
    fn end_stream(&mut self, key: Key) {
        if let Some(end) = self.ends.get_mut(key)
            && end.last.is_none()
        {
            end.last = Some(end.written());
            end.is_passive = end.has_ended;
            self.push_out(key);
            self.reschedule(key);
        }
    }

    /// Closes the socket of an end. The end goes on without it until everything has been sent and acknowledged.
    pub(in crate::wire) fn close(&mut self, key: Key) {
        let Some(end) = self.ends.get_mut(key) else {
            return;
        };
        end.door.token = None;
        end.owner = Owner::Nobody;
        match end.phase {
            Phase::SynSent | Phase::SynReceived | Phase::Closed => self.remove_end(key),
            Phase::TimeWait => end.received = VecDeque::new(),
            // The peer has sent what nobody will read (RFC 2525, section 2.17).
            Phase::Open if !end.received.is_empty() => {
                self.reset_end(key);
                self.remove_end(key);
            }
            Phase::Open => {
                self.end_stream(key);
                self.reschedule(key);
                self.finish_if_over(key);
            }
        }
    }

    /// Advances an end whose stream is over: the last phase depends on who ended its stream first.
    pub(super) fn finish_if_over(&mut self, key: Key) {
        let Some(end) = self.ends.get_mut(key) else {
            return;
        };
        if end.phase != Phase::Open || !end.is_end_acked() {
            return;
        }
        if end.has_ended && end.is_passive {
            self.finish(key);
        } else if end.has_ended {
            end.phase = Phase::TimeWait;
            if end.owner == Owner::Nobody {
                end.received = VecDeque::new();
            }
            end.outgoing = VecDeque::new();
            self.arm_last_wait(key);
            self.touch(Socket::Stream(key));
        } else if end.owner == Owner::Nobody && end.timer.is_none() {
            self.arm_last_wait(key);
        }
    }

    /// Ends a connection for which nothing is left to do. Its end is removed with the socket.
    pub(super) fn finish(&mut self, key: Key) {
        self.forget_connection(key);
        let Some(end) = self.ends.get_mut(key) else {
            return;
        };
        let was_over = end.is_over();
        end.phase = Phase::Closed;
        match end.owner {
            Owner::Nobody => self.remove_end(key),
            _ if was_over => {}
            _ => self.touch(Socket::Stream(key)),
        }
    }

    /// Ends a connection with an error, which the next operation returns.
    pub(super) fn fail(&mut self, key: Key, failure: Failure) {
        if let Some(end) = self.ends.get_mut(key) {
            end.error = Some(failure);
            end.outgoing = VecDeque::new();
            end.early.clear();
            end.lost = Vec::new();
            self.finish(key);
        }
    }

    /// Tells the peer of an end that the connection is broken off.
    pub(super) fn reset_end(&mut self, key: Key) {
        if let Some(end) = self.ends.get_mut(key)
            && matches!(end.phase, Phase::Open | Phase::SynReceived)
        {
            let number = end.next;
            self.send_segment(key, SegmentKind::Reset, number, Vec::new());
        }
    }

    /// Frees the ports of a connection, and stops its timer.
    pub(super) fn forget_connection(&mut self, key: Key) {
        self.disarm(key);
        let Some(end) = self.ends.get_mut(key) else {
            return;
        };
        let pair = end.pair();
        if self.connections.get(&pair) != Some(&key) {
            return;
        }
        self.connections.remove(&pair);
        if end.is_outgoing {
            let place = (end.door.host, end.local.port());
            if let Some(count) = self.outgoing_ports.get_mut(&place) {
                *count -= 1;
                if *count == 0 {
                    self.outgoing_ports.remove(&place);
                }
            }
        }
    }

    /// Removes an end. Nothing is sent.
    pub(super) fn remove_end(&mut self, key: Key) {
        self.forget_connection(key);
        self.ends.remove(key);
        self.ends.shrink();
    }

    /// Removes all listeners and ends of a host whose power is gone. Their peers are not told, but those that wait for
    /// room will ask for it, because no announcement will come.
    pub(in crate::wire) fn remove_tcp_of(&mut self, host: HostId) {
        self.remove_listeners_of(host);
        for key in self.ends_of(host, 0, HostId::MAX) {
            let other = self.ends.get_mut(key).map(|end| end.other);
            self.remove_end(key);
            self.miss_peer(other.unwrap_or(Key::NONE));
        }
    }

    /// Closes all listeners and sockets of a host.
    pub(in crate::wire) fn close_tcp_of(&mut self, host: HostId) {
        self.close_listeners_of(host);
        for key in self.ends_of(host, 0, HostId::MAX) {
            if self.ends.get_mut(key).is_some_and(|end| end.has_socket()) {
                self.close(key);
            }
        }
    }

    /// Resets all connections between two hosts, at both ends.
    pub(in crate::wire) fn reset_between(&mut self, one: HostId, other: HostId) {
        for key in self.ends_between(one, other) {
            if self
                .ends
                .get_mut(key)
                .is_some_and(|end| end.phase == Phase::Open)
            {
                self.receive_reset(key);
            }
        }
    }

    /// Returns both ends of each connection between two hosts.
    pub(super) fn ends_between(&self, one: HostId, other: HostId) -> Vec<Key> {
        let mut keys = self.ends_of(one, other, other);
        if one != other {
            keys.extend(self.ends_of(other, one, one));
        }
        keys
    }

    /// Returns the ends of a host whose peers are in a range of hosts.
    fn ends_of(&self, host: HostId, first: HostId, last: HostId) -> Vec<Key> {
        let least = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), 0);
        let from = (host, first, least, least);
        let mut keys = Vec::new();
        for (pair, key) in self.connections.range(from..) {
            if pair.0 != host || pair.1 > last {
                break;
            }
            keys.push(*key);
        }
        keys
    }
}

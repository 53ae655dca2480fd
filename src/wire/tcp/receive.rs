//! Receiving segments.

use super::end::{End, Owner, Phase};
use crate::slab::Key;
use crate::wire::error::Failure;
use crate::wire::journal::{Fate, Loss};
use crate::wire::packet::{Body, Packet, Segment, SegmentKind};
use crate::wire::{HostId, Socket, State};
use std::cmp::Ordering;

impl State {
    /// Receives a packet with a segment at a host that has power.
    pub(in crate::wire) fn receive_segment(&mut self, packet: Packet) {
        let Body::Segment(segment) = &packet.body else {
            return;
        };
        let (from, to) = (packet.from, packet.to);
        let (key, sender, kind) = (segment.receiver, segment.sender, segment.kind);
        if let SegmentKind::Syn(peer, target) = kind {
            let window = segment.window;
            self.journal.packet(self.now, &packet, Fate::Arrives);
            return self.receive_syn(packet, (peer, target), window, sender);
        }
        if let Some(end) = self.ends.get_mut(key)
            && end.phase == Phase::SynReceived
            && end.other == sender
            && kind != SegmentKind::Reset
            && let Owner::Listener(listener) = end.owner
            && !self.complete_handshake(key, listener)
        {
            return self.lose(packet, Loss::Full);
        }
        self.journal.packet(self.now, &packet, Fate::Arrives);
        let Body::Segment(segment) = packet.body else {
            return;
        };
        let Some(end) = self.ends.get_mut(key) else {
            return self.answer_stray(from, to, &segment);
        };
        match end.phase {
            Phase::SynSent => self.receive_answer(key, from, &segment),
            Phase::Closed => self.answer_stray(from, to, &segment),
            _ if kind == SegmentKind::Reset => self.check_reset(key, segment.number),
            // The answer to a first segment that came late, or twice, after its connection was over at the listener.
            _ if end.other != sender && kind == SegmentKind::SynAck => {
                self.answer_stray(from, to, &segment);
            }
            _ if end.other != sender => {}
            Phase::TimeWait => {
                if !segment.bytes.is_empty() || kind == SegmentKind::Fin {
                    self.send_segment(key, SegmentKind::Ack, 0, Vec::new());
                }
            }
            Phase::SynReceived | Phase::Open => self.receive_open(key, segment),
        }
    }

    /// Answers a segment for an end that does not exist, or no longer, with a reset.
    fn answer_stray(&mut self, from: HostId, to: HostId, segment: &Segment) {
        if segment.kind != SegmentKind::Reset {
            self.send_reset(to, from, segment.sender, segment.ack);
        }
    }

    /// Receives the segment of a reset. If data is still missing before it, the end acknowledges what it has instead: a
    /// peer that is gone answers with another reset, so the data has time to arrive (RFC 5961, section 3.2).
    fn check_reset(&mut self, key: Key, number: u64) {
        let Some(end) = self.ends.get_mut(key) else {
            return;
        };
        let distance = match end.phase {
            Phase::Open => number.cmp(&end.expected),
            _ => Ordering::Equal,
        };
        match distance {
            Ordering::Equal => self.receive_reset(key),
            Ordering::Greater => self.send_segment(key, SegmentKind::Ack, 0, Vec::new()),
            // Late. What has arrived since then has been acknowledged, and that is answered with another reset.
            Ordering::Less => {}
        }
    }

    /// Resets an end. Which error it causes depends on the state (`tcp_reset` in Linux).
    pub(super) fn receive_reset(&mut self, key: Key) {
        let Some(end) = self.ends.get_mut(key) else {
            return;
        };
        match end.phase {
            // It was never handed to the listener.
            Phase::SynReceived => self.remove_end(key),
            Phase::TimeWait => self.finish(key),
            Phase::Open if end.has_ended && end.last.is_none() => {
                self.fail(key, Failure::BrokenPipe);
            }
            _ => self.fail(key, Failure::Reset),
        }
    }

    /// Receives a segment at an end that is connected.
    fn receive_open(&mut self, key: Key, segment: Segment) {
        let Some(end) = self.ends.get_mut(key) else {
            return;
        };
        let (number, kind) = (segment.number, segment.kind);
        let has_room = end.receive_ack(segment.ack, segment.window, self.tcp.send_buffer);
        let after = number + segment.bytes.len() as u64;
        let is_new = after > end.expected && !segment.bytes.is_empty();
        // Nobody will read it (`TCPABORTONDATA` in Linux).
        if is_new && end.last.is_some() && (end.is_deaf || end.owner == Owner::Nobody) {
            self.reset_end(key);
            return self.fail(key, Failure::Reset);
        }
        let before = (end.expected, end.has_ended);
        if is_new {
            end.take_in(number, segment.bytes);
        }
        if kind == SegmentKind::Fin && number >= end.expected && !end.has_ended {
            end.early_end = Some(number);
        }
        end.take_in_early();
        if (end.expected, end.has_ended) != before || has_room {
            self.touch(Socket::Stream(key));
        }
        if kind != SegmentKind::Ack {
            self.send_segment(key, SegmentKind::Ack, 0, Vec::new());
        }
        self.push_out(key);
        self.reschedule(key);
        self.finish_if_over(key);
    }
}

impl End {
    /// Removes what the peer acknowledges from the send buffer. Returns whether that makes room which has to be
    /// reported.
    fn receive_ack(&mut self, ack: u64, window: u64, send_buffer: usize) -> bool {
        self.edge = self.edge.max(ack + window);
        if ack <= self.unacked {
            // The answer to a probe. An end without a socket does not probe forever.
            if self.unacked == self.next && self.owner != Owner::Nobody {
                self.retries = 0;
            }
            return false;
        }
        let count = (ack - self.unacked).min(self.outgoing.len() as u64) as usize;
        self.outgoing.drain(..count);
        self.unacked = ack;
        self.retries = 0;
        self.has_progressed = true;
        self.lost.retain(|(_, after)| *after > ack);
        let has_room = self.wants_room && !self.is_write_closed() && self.is_roomy(send_buffer);
        if has_room {
            self.wants_room = false;
        }
        has_room
    }

    /// Takes in data, some of which is new.
    fn take_in(&mut self, number: u64, bytes: Vec<u8>) {
        if number > self.expected {
            let known = self.early.entry(number).or_default();
            if known.len() < bytes.len() {
                *known = bytes;
            }
            return;
        }
        let fresh = &bytes[(self.expected - number) as usize..];
        self.received.extend(fresh);
        self.expected += fresh.len() as u64;
    }

    /// Takes in the data that has overtaken earlier segments, and the end of the stream, as far as it is their turn.
    fn take_in_early(&mut self) {
        while let Some(first) = self.early.first_entry()
            && *first.key() <= self.expected
        {
            let (number, bytes) = first.remove_entry();
            if number + bytes.len() as u64 > self.expected {
                self.take_in(number, bytes);
            }
        }
        if self.early_end == Some(self.expected) {
            self.early_end = None;
            self.expected += 1;
            self.has_ended = true;
        }
    }
}

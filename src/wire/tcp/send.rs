//! Sending segments.

use super::end::{End, Phase};
use crate::slab::Key;
use crate::wire::packet::{Body, Segment, SegmentKind};
use crate::wire::{HostId, State};
use std::collections::VecDeque;

impl State {
    /// Returns a segment of an end, with everything that the end acknowledges and announces.
    pub(super) fn segment(
        &mut self,
        key: Key,
        kind: SegmentKind,
        number: u64,
        bytes: Vec<u8>,
    ) -> Segment {
        let size = self.segment_size(key);
        let mut segment = Segment {
            sender: key,
            receiver: Key::NONE,
            kind,
            number,
            ack: 0,
            window: 0,
            bytes,
        };
        if let Some(end) = self.ends.get_mut(key) {
            end.announce(size, self.tcp.receive_buffer);
            segment.receiver = end.other;
            segment.ack = end.expected;
            segment.window = end.announced.saturating_sub(end.expected);
        }
        segment
    }

    /// Sends a segment of an end.
    pub(super) fn send_segment(
        &mut self,
        key: Key,
        kind: SegmentKind,
        number: u64,
        bytes: Vec<u8>,
    ) {
        let segment = self.segment(key, kind, number, bytes);
        if let Some(end) = self.ends.get_mut(key) {
            let (from, to) = (end.door.host, end.peer_host);
            self.send_to(from, to, segment);
        }
    }

    /// Sends a segment from one host to another.
    pub(super) fn send_to(&mut self, from: HostId, to: HostId, segment: Segment) {
        self.send(from, to, Body::Segment(segment));
    }

    /// Sends a reset to an end of another host. Its number is what that end has acknowledged (RFC 9293, section 3.10.7.1).
    pub(super) fn send_reset(&mut self, from: HostId, to: HostId, receiver: Key, number: u64) {
        let segment = Segment {
            sender: Key::NONE,
            receiver,
            kind: SegmentKind::Reset,
            number,
            ack: 0,
            window: 0,
            bytes: Vec::new(),
        };
        self.send_to(from, to, segment);
    }

    /// Returns the number of bytes of data in the largest segment that an end sends.
    pub(super) fn segment_size(&mut self, key: Key) -> usize {
        match self.ends.get_mut(key) {
            Some(end) => self.links.segment_size(end.door.host, end.peer_host),
            None => 1,
        }
    }

    /// Sends everything that an end may send: data as far as the peer has room, and the end of the stream after it.
    pub(super) fn push_out(&mut self, key: Key) {
        let size = self.segment_size(key) as u64;
        while let Some(end) = self.ends.get_mut(key)
            && end.phase == Phase::Open
        {
            let (number, written) = (end.next, end.written());
            let length = written.min(end.edge).saturating_sub(number).min(size);
            if length > 0 {
                let bytes = end.copy(number, length);
                end.next += length;
                end.last_sent = self.now;
                self.send_segment(key, SegmentKind::Data, number, bytes);
            } else if end.last == Some(number) {
                end.next += 1;
                end.last_sent = self.now;
                self.send_segment(key, SegmentKind::Fin, number, Vec::new());
            } else {
                break;
            }
        }
    }

    /// Sends a range of what has been sent before once more.
    pub(super) fn send_again(&mut self, key: Key, first: u64, after: u64) {
        let size = self.segment_size(key) as u64;
        let mut number = first;
        while let Some(end) = self.ends.get_mut(key)
            && number < after
        {
            let length = after.min(end.written()).saturating_sub(number).min(size);
            end.last_sent = self.now;
            if length == 0 {
                // The end of the stream is all that is left.
                return self.send_segment(key, SegmentKind::Fin, number, Vec::new());
            }
            let bytes = end.copy(number, length);
            self.send_segment(key, SegmentKind::Data, number, bytes);
            number += length;
        }
    }
}

impl End {
    /// Copies a range of what has been written.
    fn copy(&self, number: u64, length: u64) -> Vec<u8> {
        let start = (number - self.unacked) as usize;
        copied(&self.outgoing, start, length as usize)
    }

    /// Announces the room that there is now, unless that is too little to be worth it: less than a segment and than half
    /// of the buffer (RFC 9293, section 3.8.6.2.2, against silly windows).
    pub(super) fn announce(&mut self, size: usize, receive_buffer: usize) {
        let (gain, edge) = self.gain(receive_buffer);
        if gain >= size.min(receive_buffer / 2) as u64 {
            self.announced = edge.max(self.announced);
        }
    }

    /// Returns how much more room there is than has been announced, and the number of the first byte after it.
    pub(super) fn gain(&self, receive_buffer: usize) -> (u64, u64) {
        let room = receive_buffer.saturating_sub(self.received.len()) as u64;
        let edge = self.expected + room;
        (edge.saturating_sub(self.announced), edge)
    }
}

/// Copies a range of a queue of bytes.
fn copied(queue: &VecDeque<u8>, start: usize, length: usize) -> Vec<u8> {
    let (front, back) = queue.as_slices();
    let end = start + length;
    let mut bytes = Vec::with_capacity(length);
    bytes.extend_from_slice(&front[start.min(front.len())..end.min(front.len())]);
    let (start, end) = (
        start.saturating_sub(front.len()),
        end.saturating_sub(front.len()),
    );
    bytes.extend_from_slice(&back[start..end]);
    bytes
}

//! What a program does with the socket of a connection.
//!
//! # Why a short read loses no data
//!
//! The reactor concludes from a short read or write what the next one would return, and skips it
//! (`after_read` and `after_write` in `reactor/platform.rs`). It clears `READABLE` after a short read, unless a newer
//! event has come, and after `READ_CLOSED` it takes a short read for the last. Here, a read may be short at random, and
//! these conclusions stay true:
//!
//! - A read is cut short only if [`End::is_read_closed`](super::end::End::is_read_closed) is false. `READ_CLOSED` is
//!   published only while that is true, and it never becomes false again. So a read after `READ_CLOSED` is short only if
//!   it has emptied the receive buffer, and nothing follows.
//! - A read that is cut short touches its socket. The next call of `advance`, at the same moment, publishes that the
//!   rest is readable: after the read has returned and the reactor has cleared the bit, because both happen within one
//!   poll and the driver calls `advance` between the steps of hosts.
//! - A write that is cut short, or that fills the buffer, notes that it wants room. A write that is cut short touches its
//!   socket too, so if a third of the buffer is free, that is published at once, and otherwise when it becomes true.

use super::end::{End, Phase};
use crate::slab::Key;
use crate::wire::error::Failure;
use crate::wire::packet::SegmentKind;
use crate::wire::random::Random;
use crate::wire::{Socket, State};
use std::collections::VecDeque;
use std::io::{IoSlice, IoSliceMut};
use std::net::SocketAddr;

/// Whether a read leaves what it reads in the buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::wire) enum Mode {
    /// It removes what it reads.
    Read,
    /// It leaves it.
    Peek,
}

impl State {
    /// Reads, as `tcp_recvmsg` in Linux does.
    pub(in crate::wire) fn read(
        &mut self,
        key: Key,
        bufs: &mut [IoSliceMut<'_>],
        mode: Mode,
    ) -> Result<usize, Failure> {
        let size = self.segment_size(key);
        let end = self.ends.get_mut(key).ok_or(Failure::NetworkDown)?;
        if end.received.is_empty() {
            return end.read_nothing();
        }
        let wanted = bufs.iter().map(|buf| buf.len()).sum();
        let all = end.received.len().min(wanted);
        if mode == Mode::Peek {
            copy(&end.received, all, bufs);
            return Ok(all);
        }
        let count = match end.is_read_closed() {
            true => all,
            false => shortened(all, self.tcp.short, &mut self.random),
        };
        copy(&end.received, count, bufs);
        end.received.drain(..count);
        if end.opens_window(size, self.tcp.receive_buffer) {
            self.send_segment(key, SegmentKind::Ack, 0, Vec::new());
        }
        if count < all {
            self.touch(Socket::Stream(key));
        }
        Ok(count)
    }

    /// Writes, as `tcp_sendmsg` in Linux does.
    pub(in crate::wire) fn write(
        &mut self,
        key: Key,
        bufs: &[IoSlice<'_>],
    ) -> Result<usize, Failure> {
        let end = self.ends.get_mut(key).ok_or(Failure::NetworkDown)?;
        if let Some(failure) = end.error.take() {
            return Err(failure);
        }
        if end.is_write_closed() {
            return Err(Failure::BrokenPipe);
        }
        if end.phase != Phase::Open {
            return Err(Failure::WouldBlock);
        }
        let wanted = bufs.iter().map(|buf| buf.len()).sum();
        let all = end.room(self.tcp.send_buffer).min(wanted);
        let count = shortened(all, self.tcp.short, &mut self.random);
        if count < wanted {
            end.wants_room = true;
        }
        if count == 0 && wanted > 0 {
            return Err(Failure::WouldBlock);
        }
        let mut rest = count;
        for buf in bufs {
            let part = rest.min(buf.len());
            end.outgoing.extend(&buf[..part]);
            rest -= part;
        }
        self.push_out(key);
        self.reschedule(key);
        if count < all {
            self.touch(Socket::Stream(key));
        }
        Ok(count)
    }

    /// Returns and clears the error of a socket (`SO_ERROR`).
    pub(in crate::wire) fn take_error(&mut self, key: Key) -> Option<Failure> {
        self.ends.get_mut(key)?.error.take()
    }

    /// Returns the address of a socket.
    pub(in crate::wire) fn local_addr(&mut self, key: Key) -> Result<SocketAddr, Failure> {
        self.option(key, |end| end.shown(end.local))
    }

    /// Returns the address of the peer of a socket that is connected (`inet_getname` in Linux).
    pub(in crate::wire) fn peer_addr(&mut self, key: Key) -> Result<SocketAddr, Failure> {
        let end = self.ends.get_mut(key).ok_or(Failure::NotConnected)?;
        match end.phase {
            Phase::SynSent | Phase::TimeWait | Phase::Closed => Err(Failure::NotConnected),
            Phase::SynReceived | Phase::Open => Ok(end.shown(end.peer)),
        }
    }

    /// Reads or changes something of an end.
    pub(in crate::wire) fn option<R>(
        &mut self,
        key: Key,
        call: impl FnOnce(&mut End) -> R,
    ) -> Result<R, Failure> {
        self.ends.get_mut(key).map(call).ok_or(Failure::NetworkDown)
    }

    /// Describes a connection.
    pub(in crate::wire) fn describe(&mut self, key: Key) -> String {
        match self.ends.get_mut(key) {
            Some(end) => format!("tcp {} → {}", end.shown(end.local), end.shown(end.peer)),
            None => "tcp, without power".into(),
        }
    }
}

impl End {
    /// Returns what a read returns when there is no data.
    fn read_nothing(&mut self) -> Result<usize, Failure> {
        if self.has_ended {
            // The error is left for a write (`SOCK_DONE` in Linux).
            return Ok(0);
        }
        match self.error.take() {
            Some(failure) => Err(failure),
            None if self.is_read_closed() => Ok(0),
            None => Err(Failure::WouldBlock),
        }
    }

    /// Returns whether a read has made enough room to tell the peer: the peer may be waiting for it, or half of the
    /// buffer has become free.
    fn opens_window(&self, size: usize, receive_buffer: usize) -> bool {
        let (gain, _) = self.gain(receive_buffer);
        let half = (receive_buffer / 2).max(1) as u64;
        let left = self.announced - self.expected.min(self.announced);
        let is_narrow = left < size as u64;
        self.phase == Phase::Open
            && !self.has_ended
            && (gain >= half || (is_narrow && gain >= half.min(size as u64)))
    }
}

/// Returns a count, or with this probability a smaller one.
fn shortened(count: usize, probability: f64, random: &mut Random) -> usize {
    match count > 1 && random.chance(probability) {
        true => random.within(1..=count as u64 - 1) as usize,
        false => count,
    }
}

/// Copies the first bytes of a queue into buffers.
fn copy(queue: &VecDeque<u8>, count: usize, bufs: &mut [IoSliceMut<'_>]) {
    let (front, back) = queue.as_slices();
    let mut done = 0;
    for buf in bufs {
        let mut filled = 0;
        while filled < buf.len() && done < count {
            let source = match done < front.len() {
                true => &front[done..],
                false => &back[done - front.len()..],
            };
            let length = source.len().min(buf.len() - filled).min(count - done);
            buf[filled..filled + length].copy_from_slice(&source[..length]);
            filled += length;
            done += length;
        }
    }
}

//! [`End`]: one end of a connection.

use crate::slab::Key;
use crate::wire::error::Failure;
use crate::wire::{Door, HostId, Mask};
use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, SocketAddr};

/// How far an end has got; see the diagram in [`tcp`](super).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::wire) enum Phase {
    /// It has sent its first segment, and waits for the answer.
    SynSent,
    /// It has answered a first segment, and waits for the acknowledgment.
    SynReceived,
    /// It is connected. One direction may be over.
    Open,
    /// Both directions are over. It answers late segments for a minute, because it has closed first.
    TimeWait,
    /// The connection is over, or has failed.
    Closed,
}

/// Who has the socket of an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::wire) enum Owner {
    /// The listener with this key, which has not accepted the connection.
    Listener(Key),
    /// The program.
    Program,
    /// Nobody: it has been dropped.
    Nobody,
}

/// What a map of connections is ordered by: the host and its peer, and the addresses of both.
pub(in crate::wire) type Pair = (HostId, HostId, SocketAddr, SocketAddr);

/// One end of a connection.
#[derive(Debug)]
pub(in crate::wire) struct End {
    /// Where the readiness of its socket is published.
    pub(in crate::wire) door: Door,
    /// Its address.
    pub(super) local: SocketAddr,
    /// The address of its peer.
    pub(super) peer: SocketAddr,
    /// The host of its peer.
    pub(super) peer_host: HostId,
    /// Whether its socket is one of IPv6, which writes IPv4 addresses in the mapped form.
    pub(super) is_v6: bool,
    /// The other end, or [`Key::NONE`] while it is unknown.
    pub(super) other: Key,
    /// Who has its socket.
    pub(super) owner: Owner,
    /// How far it has got.
    pub(super) phase: Phase,
    /// Whether it has been opened by `connect`, so that it occupies a port.
    pub(super) is_outgoing: bool,
    /// `TCP_NODELAY`, which changes nothing.
    pub(in crate::wire) nodelay: bool,
    /// `IP_TTL`, which changes nothing.
    pub(in crate::wire) ttl: u32,
    /// What an operation has to report, once.
    pub(super) error: Option<Failure>,

    /// What has been written and not been acknowledged.
    pub(super) outgoing: VecDeque<u8>,
    /// The number of the first byte that has not been acknowledged.
    pub(super) unacked: u64,
    /// The number of the first byte that has not been sent.
    pub(super) next: u64,
    /// The number of the first byte for which the peer has not announced room.
    pub(super) edge: u64,
    /// The number of the end of the stream, if nothing more will be written.
    pub(super) last: Option<u64>,
    /// Whether the last write was short or blocked, so that room has to be reported.
    pub(super) wants_room: bool,

    /// What has arrived and not been read.
    pub(super) received: VecDeque<u8>,
    /// The number of the byte that comes next. The end of the stream counts as one.
    pub(super) expected: u64,
    /// The number of the first byte for which no room has been announced.
    pub(super) announced: u64,
    /// What has overtaken earlier segments, by the number of its first byte.
    pub(super) early: BTreeMap<u64, Vec<u8>>,
    /// The number of the end of the peer's stream, if it has overtaken data.
    pub(super) early_end: Option<u64>,
    /// Whether the stream of the peer has ended, and everything before its end has arrived.
    pub(super) has_ended: bool,
    /// Whether the program has shut down the direction from the peer.
    pub(super) is_deaf: bool,
    /// Whether the peer had ended its stream before this end did, so that the peer waits at the end.
    pub(super) is_passive: bool,

    /// The timer, if it runs.
    pub(super) timer: Option<Key>,
    /// How often something has been sent again without an answer.
    pub(super) retries: u32,
    /// Whether something has been acknowledged since the timer was last looked at.
    pub(super) has_progressed: bool,
    /// When the last segment with data, or the last probe, was sent.
    pub(super) last_sent: u64,
    /// The segments that have got lost: the numbers of their first bytes and of the bytes after them.
    pub(super) lost: Vec<(u64, u64)>,
    /// The highest acknowledgment that has got lost on its way here.
    pub(super) lost_ack: u64,
    /// The furthest announcement of room that has got lost on its way here.
    pub(super) lost_edge: u64,
}

impl End {
    /// Creates an end that announces room for this many bytes.
    pub(super) fn new(pair: Pair, phase: Phase, owner: Owner, room: usize) -> End {
        let (host, peer_host, local, peer) = pair;
        End {
            door: Door::new(host),
            local,
            peer,
            peer_host,
            is_v6: false,
            other: Key::NONE,
            owner,
            phase,
            is_outgoing: false,
            nodelay: false,
            ttl: 64,
            error: None,
            outgoing: VecDeque::new(),
            unacked: 0,
            next: 0,
            edge: 0,
            last: None,
            wants_room: false,
            received: VecDeque::new(),
            expected: 0,
            announced: room as u64,
            early: BTreeMap::new(),
            early_end: None,
            has_ended: false,
            is_deaf: false,
            is_passive: false,
            timer: None,
            retries: 0,
            has_progressed: false,
            last_sent: 0,
            lost: Vec::new(),
            lost_ack: 0,
            lost_edge: 0,
        }
    }

    /// Returns what the end is called in a map of connections.
    pub(super) fn pair(&self) -> Pair {
        (self.door.host, self.peer_host, self.local, self.peer)
    }

    /// Returns whether its socket is one of a program.
    pub(super) fn has_socket(&self) -> bool {
        self.owner == Owner::Program
    }

    /// Returns the number after that of the last byte that has been written.
    pub(super) fn written(&self) -> u64 {
        self.last
            .unwrap_or(self.unacked + self.outgoing.len() as u64)
    }

    /// Returns whether the peer has acknowledged the end of the stream.
    pub(super) fn is_end_acked(&self) -> bool {
        self.last.is_some_and(|last| self.unacked > last)
    }

    /// Returns whether reads return the end when there is no data left (`RCV_SHUTDOWN`).
    pub(super) fn is_read_closed(&self) -> bool {
        self.is_deaf || self.has_ended || self.is_over()
    }

    /// Returns whether writes fail (`SEND_SHUTDOWN`).
    pub(super) fn is_write_closed(&self) -> bool {
        self.last.is_some() || self.is_over()
    }

    /// Returns whether the connection is over for its socket.
    pub(super) fn is_over(&self) -> bool {
        matches!(self.phase, Phase::TimeWait | Phase::Closed)
    }

    /// Returns whether there is data that only an announcement of room will let out.
    pub(super) fn is_blocked(&self) -> bool {
        self.unacked == self.next && self.next < self.written() && self.edge <= self.next
    }

    /// Returns whether nothing will arrive unless this end sends something again, or whether the end is blocked and has
    /// nobody who could give it up.
    pub(super) fn is_stuck(&self) -> bool {
        self.phase == Phase::Open
            && (!self.lost.is_empty()
                || self.lost_ack > self.unacked
                || (self.is_blocked()
                    && (self.lost_edge > self.edge || self.owner == Owner::Nobody)))
    }

    /// Returns the free part of the send buffer.
    pub(super) fn room(&self, send_buffer: usize) -> usize {
        send_buffer.saturating_sub(self.outgoing.len())
    }

    /// Returns whether a write is worth trying: Linux reports room when a third of the send buffer is free
    /// (`sk_stream_is_writeable`).
    pub(super) fn is_roomy(&self, send_buffer: usize) -> bool {
        self.room(send_buffer) >= send_buffer.div_ceil(3)
    }

    /// Returns what the socket is ready for, as `tcp_poll` in Linux computes it.
    pub(in crate::wire) fn mask(&self, send_buffer: usize) -> Mask {
        if matches!(self.phase, Phase::SynSent | Phase::SynReceived) {
            return Mask::default();
        }
        let read_closed = self.is_read_closed();
        let write_closed = self.is_write_closed();
        let writable = write_closed || self.is_roomy(send_buffer);
        let error = self.error.is_some();
        Mask {
            readable: read_closed || !self.received.is_empty(),
            writable,
            read_closed,
            // `EPOLLHUP` if both directions are closed. Together with `EPOLLOUT`, `EPOLLERR` means the same.
            write_closed: (read_closed && write_closed) || (error && writable),
            error,
        }
    }

    /// Notes that this mask has been published. If it says that there is no room, room has to be reported later.
    pub(in crate::wire) fn note_published(&mut self, mask: Mask) {
        self.wants_room |= !mask.writable;
    }

    /// Returns an address as the socket writes it.
    pub(super) fn shown(&self, addr: SocketAddr) -> SocketAddr {
        shown(addr, self.is_v6)
    }
}

/// Returns an address as a socket of a family writes it.
pub(in crate::wire) fn shown(addr: SocketAddr, is_v6: bool) -> SocketAddr {
    match addr.ip() {
        IpAddr::V4(ip) if is_v6 => SocketAddr::new(ip.to_ipv6_mapped().into(), addr.port()),
        _ => addr,
    }
}

/// Returns an address without the mapped form, and without scope and flow.
pub(in crate::wire) fn plain(addr: SocketAddr) -> SocketAddr {
    SocketAddr::new(addr.ip().to_canonical(), addr.port())
}

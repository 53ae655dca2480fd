//! [`Packet`]: what travels from one host to another.

use super::HostId;
use crate::slab::Key;
use std::net::SocketAddr;

/// A packet.
#[derive(Clone, Debug)]
pub(super) struct Packet {
    /// The host that sent it.
    pub(super) from: HostId,
    /// The host for which it is meant.
    pub(super) to: HostId,
    /// When it was sent, in nanoseconds since the simulation began.
    pub(super) sent: u64,
    /// The hash of the bytes that it carries.
    pub(super) hash: u64,
    /// What it carries.
    pub(super) body: Body,
}

/// What a packet carries.
#[derive(Clone, Debug)]
pub(super) enum Body {
    /// A segment of a TCP connection.
    Segment(Segment),
    /// A datagram of UDP.
    Datagram(Datagram),
    /// The answer to a datagram for a port that no socket has: "port unreachable" (RFC 792).
    Unreachable(Unreachable),
}

/// A segment of a TCP connection (RFC 9293, section 3.1).
///
/// The ends of a connection name each other by keys, which are never used again, instead of by ports. So the host that
/// receives a segment finds its end without a search, and never mistakes a late segment of an earlier connection
/// between the same ports for one of a newer connection.
#[derive(Clone, Debug)]
pub(super) struct Segment {
    /// The end that sent it, or [`Key::NONE`] if no end did.
    pub(super) sender: Key,
    /// The end for which it is meant, or [`Key::NONE`] in the first segment of a connection.
    pub(super) receiver: Key,
    /// What it is for.
    pub(super) kind: SegmentKind,
    /// The number of its first byte. The first byte of a connection is number 0.
    pub(super) number: u64,
    /// The number of the byte that the sender expects next. The end of the stream counts as one byte.
    pub(super) ack: u64,
    /// The number of bytes from `ack` on that the sender has room for.
    pub(super) window: u64,
    /// The data.
    pub(super) bytes: Vec<u8>,
}

/// What a segment is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SegmentKind {
    /// Opens a connection between two addresses: the first is that of the sender. They stand beside the ports that a
    /// real segment carries, so that only this kind needs them.
    Syn(SocketAddr, SocketAddr),
    /// Accepts a connection.
    SynAck,
    /// Acknowledges what has arrived, and carries nothing.
    Ack,
    /// Carries data.
    Data,
    /// Ends the stream of its sender.
    Fin,
    /// Breaks the connection off.
    Reset,
    /// Carries nothing, and asks for an acknowledgment: a zero-window probe.
    Probe,
}

/// A datagram of UDP.
#[derive(Clone, Debug)]
pub(super) struct Datagram {
    /// The address of the socket that sent it.
    pub(super) source: SocketAddr,
    /// The address to which it was sent.
    pub(super) target: SocketAddr,
    /// Its number among all datagrams of the sending socket.
    pub(super) number: u64,
    /// The data.
    pub(super) bytes: Vec<u8>,
}

/// The answer to a datagram for a port that no socket has.
#[derive(Clone, Debug)]
pub(super) struct Unreachable {
    /// The address to which the datagram was sent.
    pub(super) source: SocketAddr,
    /// The address of the socket that sent it.
    pub(super) target: SocketAddr,
}

/// The kinds of packets, as the journal names them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// [`SegmentKind::Syn`]
    Syn,
    /// [`SegmentKind::SynAck`]
    SynAck,
    /// [`SegmentKind::Ack`]
    Ack,
    /// [`SegmentKind::Data`]
    Data,
    /// [`SegmentKind::Fin`]
    Fin,
    /// [`SegmentKind::Reset`]
    Reset,
    /// [`SegmentKind::Probe`]
    Probe,
    /// [`Body::Datagram`]
    Datagram,
    /// [`Body::Unreachable`]
    Unreachable,
}

impl Packet {
    /// Returns the number of bytes that it carries.
    pub(super) fn len(&self) -> usize {
        match &self.body {
            Body::Segment(segment) => segment.bytes.len(),
            Body::Datagram(datagram) => datagram.bytes.len(),
            Body::Unreachable(_) => 0,
        }
    }

    /// Returns its number: that of its first byte, or what it acknowledges, or which datagram it is.
    pub(super) fn number(&self) -> u64 {
        match &self.body {
            Body::Segment(segment) if segment.kind == SegmentKind::Ack => segment.ack,
            Body::Segment(segment) => segment.number,
            Body::Datagram(datagram) => datagram.number,
            Body::Unreachable(_) => 0,
        }
    }

    /// Returns its kind.
    pub(super) fn kind(&self) -> Kind {
        match &self.body {
            Body::Segment(segment) => match segment.kind {
                SegmentKind::Syn(..) => Kind::Syn,
                SegmentKind::SynAck => Kind::SynAck,
                SegmentKind::Ack => Kind::Ack,
                SegmentKind::Data => Kind::Data,
                SegmentKind::Fin => Kind::Fin,
                SegmentKind::Reset => Kind::Reset,
                SegmentKind::Probe => Kind::Probe,
            },
            Body::Datagram(_) => Kind::Datagram,
            Body::Unreachable(_) => Kind::Unreachable,
        }
    }

    /// Returns the bytes that it carries.
    pub(super) fn bytes(&self) -> &[u8] {
        match &self.body {
            Body::Segment(segment) => &segment.bytes,
            Body::Datagram(datagram) => &datagram.bytes,
            Body::Unreachable(_) => &[],
        }
    }
}

//! [`Packet`]: what travels from one host to another.

use super::HostId;
use crate::slab::Key;
use std::net::SocketAddr;

/// The number of bytes in the header of UDP.
const UDP_HEADER: usize = 8;

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

    /// Returns the number of fragments in which it travels on a link with this MTU: more than one only if it is a datagram
    /// that does not fit (RFC 791, section 2.3; RFC 8200, section 4.5).
    pub(super) fn fragments(&self, mtu: usize) -> usize {
        let Body::Datagram(datagram) = &self.body else {
            return 1;
        };
        // The headers of IP: of the whole datagram, and of each fragment.
        let (whole, each) = match datagram.target {
            SocketAddr::V4(_) => (20, 20),
            SocketAddr::V6(_) => (40, 48),
        };
        let length = datagram.bytes.len() + UDP_HEADER;
        match length + whole > mtu {
            false => 1,
            // All but the last carry a multiple of 8 bytes.
            true => length.div_ceil(((mtu - each) & !7).max(8)),
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the number of fragments of a datagram of this length, on Ethernet.
    fn fragments(target: &str, length: usize) -> usize {
        let packet = Packet {
            from: 0,
            to: 1,
            sent: 0,
            hash: 0,
            body: Body::Datagram(Datagram {
                source: target.parse().unwrap(),
                target: target.parse().unwrap(),
                number: 0,
                bytes: vec![0; length],
            }),
        };
        packet.fragments(1500)
    }

    #[test]
    fn a_datagram_has_as_many_fragments_as_its_mtu_asks_for() {
        for (length, count) in [
            (0, 1),
            (1472, 1),
            (1473, 2),
            (2952, 2),
            (2953, 3),
            (65_507, 45),
        ] {
            assert_eq!(fragments("10.0.0.2:1", length), count, "{length}");
        }
        for (length, count) in [(1452, 1), (1453, 2), (2888, 2), (2889, 3), (65_527, 46)] {
            assert_eq!(fragments("[fd00::2]:1", length), count, "{length}");
        }
    }
}

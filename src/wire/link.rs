//! [`Link`]: how packets get from one host to another, and what delays, loses and stops them.

use super::packet::Packet;
use super::random::Random;
use super::{HostId, State};
use crate::wire::Event;
use crate::wire::journal::{Fate, Loss};
use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::time::Duration;

/// The headers of each packet, in bytes: 20 of IPv4 and 20 of TCP. A datagram is counted alike.
pub(super) const HEADERS: usize = 40;

/// How packets get from one host to another: how long they take, how many get lost, and how many fit.
///
/// By default, a packet takes 1 to 10 ms, none is lost or duplicated, the bandwidth is unlimited, and a packet carries
/// up to 1500 bytes, as on Ethernet.
///
/// A host reaches itself in 20 µs, whatever the links are.
///
/// # Examples
///
/// ```
/// use glassfrog::sim::Link;
/// use std::time::Duration;
///
/// const MS: Duration = Duration::from_millis(1);
/// // A mobile phone.
/// let link = Link::latency(30 * MS..=300 * MS).loss(0.02).bandwidth(500_000);
/// # let _ = link;
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Link {
    /// The time from one host to the other, in nanoseconds.
    pub(super) latency: (u64, u64),
    /// The probability that a packet is lost.
    pub(super) loss: f64,
    /// The number of bytes that leave in a second.
    pub(super) bandwidth: Option<u64>,
    /// The number of bytes in the largest packet, headers included.
    pub(super) mtu: usize,
    /// The probability that a packet arrives twice.
    pub(super) duplication: f64,
}

impl Default for Link {
    fn default() -> Link {
        Link {
            latency: (1_000_000, 10_000_000),
            loss: 0.0,
            bandwidth: None,
            mtu: 1500,
            duplication: 0.0,
        }
    }
}

impl Link {
    /// Creates a link on which each packet takes a random time of this range, so that a later packet may overtake an
    /// earlier one. TCP puts its data in order again; datagrams arrive in any order.
    ///
    /// # Panics
    ///
    /// Panics if the range is empty.
    pub fn latency(range: RangeInclusive<Duration>) -> Link {
        assert!(
            range.start() <= range.end(),
            "the latency of a link ends before it begins: write the lower bound first"
        );
        Link {
            latency: (nanos(*range.start()), nanos(*range.end())),
            ..Link::default()
        }
    }

    /// Sets the probability that a packet is lost. A datagram that does not fit a packet is lost if one of its fragments
    /// is.
    ///
    /// # Panics
    ///
    /// Panics if the probability is not between 0 and 1.
    pub fn loss(mut self, probability: f64) -> Link {
        self.loss = checked(probability, "loss");
        self
    }

    /// Sets the probability that a packet arrives twice.
    ///
    /// # Panics
    ///
    /// Panics if the probability is not between 0 and 1.
    pub fn duplication(mut self, probability: f64) -> Link {
        self.duplication = checked(probability, "duplication");
        self
    }

    /// Sets the bandwidth, in bytes per second. A packet leaves when those before it have left. Each counts 40 bytes
    /// more than it carries, for its headers.
    ///
    /// # Panics
    ///
    /// Panics if the bandwidth is 0.
    pub fn bandwidth(mut self, bytes_per_second: u64) -> Link {
        assert!(
            bytes_per_second > 0,
            "a link without bandwidth carries nothing: use `partition` to cut it"
        );
        self.bandwidth = Some(bytes_per_second);
        self
    }

    /// Sets the number of bytes in the largest packet, of which 40 are headers. TCP cuts what it sends into such packets.
    /// A longer datagram travels in fragments, which arrive together or not at all.
    ///
    /// # Panics
    ///
    /// Panics if a packet would be smaller than 68 bytes, the least that [RFC 791] allows.
    ///
    /// [RFC 791]: https://www.rfc-editor.org/rfc/rfc791
    pub fn mtu(mut self, bytes: usize) -> Link {
        assert!(bytes >= 68, "the MTU of a link is at least 68 bytes");
        self.mtu = bytes;
        self
    }
}

/// What a fault does to a link, besides what the link does anyway.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Disturbance {
    /// The link loses at least this part of the packets.
    pub(crate) loss: f64,
    /// Each packet takes this many nanoseconds longer.
    pub(crate) delay: u64,
    /// At least this part of the packets arrives twice.
    pub(crate) duplication: f64,
}

impl Link {
    /// Returns the link with a fault.
    pub(crate) fn disturbed(&self, by: Disturbance) -> Link {
        let (least, most) = self.latency;
        Link {
            latency: (
                least.saturating_add(by.delay),
                most.saturating_add(by.delay),
            ),
            loss: self.loss.max(by.loss),
            duplication: self.duplication.max(by.duplication),
            ..self.clone()
        }
    }
}

/// Returns a probability after a check.
fn checked(probability: f64, what: &str) -> f64 {
    assert!(
        (0.0..=1.0).contains(&probability),
        "the {what} of a link is a probability, between 0 and 1"
    );
    probability
}

/// Returns a duration in nanoseconds: at most 292 years, so that the sum of two of them is no overflow.
pub(crate) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).map_or(u64::MAX / 2, |nanos| nanos.min(u64::MAX / 2))
}

/// One direction between two hosts.
#[derive(Debug, Default)]
struct Way {
    /// How packets get there, if that differs from the default.
    link: Option<Link>,
    /// Whether nothing gets through.
    cut: bool,
    /// While the direction is held: the packets that wait, each with whether it had already crossed the link.
    held: Option<Vec<(Packet, bool)>>,
    /// When the last packet has left, on a link with a bandwidth.
    busy_until: u64,
}

/// All links of a network.
#[derive(Debug)]
pub(super) struct Links {
    /// How packets get from a host to another of which nothing else is said.
    usual: Link,
    /// How packets get from a host to itself.
    loopback: Link,
    /// The directions of which something is said.
    ways: BTreeMap<(HostId, HostId), Way>,
}

impl Links {
    /// Creates the links of a network of which nothing is said.
    pub(super) fn new() -> Links {
        Links {
            usual: Link::default(),
            loopback: Link {
                latency: (20_000, 20_000),
                mtu: 65_536,
                ..Link::default()
            },
            ways: BTreeMap::new(),
        }
    }

    /// Returns how packets get from one host to another.
    pub(super) fn link(&self, from: HostId, to: HostId) -> &Link {
        if from == to {
            return &self.loopback;
        }
        let way = match self.ways.is_empty() {
            true => None,
            false => self.ways.get(&(from, to)),
        };
        way.and_then(|way| way.link.as_ref()).unwrap_or(&self.usual)
    }

    /// Returns the number of bytes of data in the largest segment from one host to another.
    pub(super) fn segment_size(&self, from: HostId, to: HostId) -> usize {
        self.link(from, to).mtu - HEADERS
    }

    /// Sets the link that all directions have of which nothing else is said.
    pub(super) fn set_usual(&mut self, link: Link) {
        self.usual = link;
    }

    /// Returns a direction, to change it.
    fn way(&mut self, from: HostId, to: HostId) -> &mut Way {
        self.ways.entry((from, to)).or_default()
    }

    /// Sets the link of one direction.
    pub(super) fn set(&mut self, from: HostId, to: HostId, link: Link) {
        self.way(from, to).link = Some(link);
    }

    /// Cuts one direction, or repairs it. Returns whether that changes something.
    pub(super) fn set_cut(&mut self, from: HostId, to: HostId, cut: bool) -> bool {
        let way = self.way(from, to);
        std::mem::replace(&mut way.cut, cut) != cut
    }

    /// Holds one direction from now on. Returns whether that changes something.
    pub(super) fn hold(&mut self, from: HostId, to: HostId) -> bool {
        let way = self.way(from, to);
        let changes = way.held.is_none();
        way.held.get_or_insert_default();
        changes
    }

    /// Ends the hold of one direction. Returns the packets that have waited, if it was held.
    pub(super) fn release(&mut self, from: HostId, to: HostId) -> Option<Vec<(Packet, bool)>> {
        self.way(from, to).held.take()
    }

    /// Returns the packets that wait because their direction is held.
    pub(super) fn held(&self) -> impl Iterator<Item = &Packet> {
        let held = self.ways.values().filter_map(|way| way.held.as_ref());
        held.flatten().map(|(packet, _)| packet)
    }

    /// Returns a direction of which something is said.
    fn said(&mut self, from: HostId, to: HostId) -> Option<&mut Way> {
        if from == to || self.ways.is_empty() {
            return None;
        }
        self.ways.get_mut(&(from, to))
    }

    /// Draws when a packet of this length that leaves now arrives.
    fn arrival(
        &mut self,
        packet: &Packet,
        latency: Option<u64>,
        now: u64,
        random: &mut Random,
    ) -> u64 {
        let (from, to) = (packet.from, packet.to);
        let link = self.link(from, to);
        let latency = latency.unwrap_or_else(|| random.within(link.latency.0..=link.latency.1));
        let Some(bandwidth) = link.bandwidth else {
            return now.saturating_add(latency);
        };
        let length = (packet.len() + HEADERS * packet.fragments(link.mtu)) as u128;
        let nanos = (length * 1_000_000_000).div_ceil(u128::from(bandwidth)) as u64;
        let way = self.way(from, to);
        way.busy_until = way.busy_until.max(now).saturating_add(nanos);
        way.busy_until.saturating_add(latency)
    }
}

impl State {
    /// Sends a packet off. It gets lost, waits, or is under way afterwards.
    pub(super) fn launch(&mut self, packet: Packet) {
        self.launch_within(packet, None);
    }

    /// Sends a packet off that takes this time, or a random one.
    fn launch_within(&mut self, packet: Packet, latency: Option<u64>) {
        let (from, to) = (packet.from, packet.to);
        self.journal.packet(self.now, &packet, Fate::Leaves);
        if let Some(way) = self.links.said(from, to) {
            if way.cut {
                return self.lose(packet, Loss::Cut);
            }
            if way.held.is_some() {
                return self.detain(packet, false);
            }
        }
        let link = self.links.link(from, to);
        let (loss, duplication) = (link.loss, link.duplication);
        let fragments = packet.fragments(link.mtu);
        if (0..fragments).any(|_| self.random.chance(loss)) {
            return self.lose(packet, Loss::Chance);
        }
        if self.random.chance(duplication) {
            let at = self
                .links
                .arrival(&packet, None, self.now, &mut self.random);
            self.queue.add(at, Event::Arrival(packet.clone()));
        }
        let at = self
            .links
            .arrival(&packet, latency, self.now, &mut self.random);
        self.queue.add(at, Event::Arrival(packet));
    }

    /// Processes the arrival of a packet, unless it gets lost after all.
    pub(super) fn arrive(&mut self, packet: Packet) {
        if let Some(way) = self.links.said(packet.from, packet.to) {
            if way.cut {
                return self.lose(packet, Loss::Cut);
            }
            if way.held.is_some() {
                return self.detain(packet, true);
            }
        }
        match self.host_is_up(packet.to) {
            false => self.lose(packet, Loss::Off),
            true => self.receive(packet),
        }
    }

    /// Has a packet wait until its direction is released. To its sender, that looks like a loss.
    fn detain(&mut self, packet: Packet, has_crossed: bool) {
        self.journal.packet(self.now, &packet, Fate::Held);
        self.miss(&packet);
        if let Some(way) = self.links.said(packet.from, packet.to)
            && let Some(held) = &mut way.held
        {
            held.push((packet, has_crossed));
        }
    }

    /// Loses a packet.
    pub(super) fn lose(&mut self, packet: Packet, loss: Loss) {
        self.journal.packet(self.now, &packet, Fate::Lost(loss));
        self.miss(&packet);
    }

    /// Ends the hold of one direction. The packets that have waited arrive in their order: at once if they had crossed
    /// the link, and otherwise after one latency that all of them share.
    pub(super) fn release(&mut self, from: HostId, to: HostId) {
        let link = self.links.link(from, to).latency;
        let Some(held) = self.links.release(from, to) else {
            return;
        };
        self.journal
            .fault(self.now, from, to, super::journal::Fault::Released);
        let latency = self.random.within(link.0..=link.1);
        for (packet, has_crossed) in held {
            match has_crossed {
                true => drop(self.queue.add(self.now, Event::Arrival(packet))),
                false => self.launch_within(packet, Some(latency)),
            }
        }
    }
}

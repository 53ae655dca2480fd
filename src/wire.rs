//! The wire: the network between the hosts of a simulation.
//!
//! An engine like the reactor: it knows neither tasks nor runtimes. Raw sockets (`net/raw.rs`) call it from within
//! polls. The [driver](crate::sim) advances it, and learns from it which sockets have become ready.
//!
//! ```text
//!    a poll ── Stream::write ──> send buffer ── launch ──> queue of events
//!                                                               │ advance
//!    a poll <── Ready (host, token, mask) <── touch ── receive <── arrive
//! ```
//!
//! Everything stands under one lock, and nothing foreign runs under it: no waker, no destructor, no logger. There are no
//! ticks: the driver moves the time from one event to the next. What an event costs depends neither on the number of
//! hosts nor on that of sockets.

mod door;
mod error;
mod faults;
mod host;
mod journal;
mod link;
mod mask;
mod packet;
mod queue;
mod random;
mod socket;
mod tcp;
mod udp;

pub(crate) use self::door::Host;
pub(crate) use self::journal::{Difference, Recording};
pub use self::link::Link;
pub(crate) use self::link::{Disturbance, nanos};
pub(crate) use self::mask::Mask;
pub(crate) use self::random::Random;
pub(crate) use self::socket::{Listener, Stream};
pub use self::tcp::settings::Tcp;
pub(crate) use self::udp::UdpSocket;

use self::error::Failure;
use self::host::Hosts;
use self::journal::{Fate, Journal, hash_of};
use self::link::Links;
use self::packet::{Body, Packet};
use self::queue::Queue;
use self::tcp::end::{End, Pair};
use self::tcp::listener::Listening;
use crate::clock::host::TrueTime;
use crate::primitives::{Mutex, lock};
use crate::slab::{Key, Slab};
use crate::timeline::simulation::SimulationRecorder;
use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

/// The number of a host: its place in the order in which the hosts were added.
pub(crate) type HostId = u32;

/// The number of a host that does not exist: what lies behind an address that nobody has.
const NOBODY: HostId = HostId::MAX;

/// A socket whose readiness has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ready {
    /// The host of the socket.
    pub(crate) host: HostId,
    /// The token with which the host's reactor registered the socket.
    pub(crate) token: usize,
    /// What the socket is ready for.
    pub(crate) mask: Mask,
}

/// The network of one simulation.
pub(crate) struct Wire {
    /// The time of the simulation.
    time: TrueTime,
    /// Everything else.
    state: Mutex<State>,
}

/// What the lock of a network guards.
struct State {
    /// The time of the simulation, in nanoseconds, when the lock was taken.
    now: u64,
    /// The settings of TCP.
    tcp: Tcp,
    /// The random numbers of the network.
    random: Random,
    /// What is going to happen.
    queue: Queue<Event>,
    /// The hosts.
    hosts: Hosts,
    /// The links between them.
    links: Links,
    /// What has happened.
    journal: Journal,
    /// The ends of connections, with those whose socket is gone but which are not over.
    ends: Slab<End>,
    /// The connections that are not over, by their hosts and addresses.
    connections: BTreeMap<Pair, Key>,
    /// The number of connections that occupy a port, because they were opened from it.
    outgoing_ports: BTreeMap<(HostId, u16), u32>,
    /// The sockets that listen.
    listeners: Slab<Listening>,
    /// The sockets that listen on each port.
    listening: BTreeMap<(HostId, u16), Vec<Key>>,
    /// The UDP sockets.
    udp: udp::Sockets,
    /// The sockets whose readiness has changed since the last call of `advance`, each at most once.
    changed: Vec<Socket>,
}

/// Something that is going to happen.
#[derive(Debug)]
enum Event {
    /// A packet arrives.
    Arrival(Packet),
    /// A timer of an end expires.
    Timer(Key),
}

/// A socket of any kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Socket {
    /// A connection.
    Stream(Key),
    /// A socket that listens.
    Listener(Key),
    /// A UDP socket.
    Udp(Key),
}

/// Where the readiness of a socket is published.
#[derive(Debug)]
struct Door {
    /// The host.
    host: HostId,
    /// The token under which the reactor of the host has registered the socket, if it has.
    token: Option<usize>,
    /// Whether the socket is in [`State::changed`].
    is_listed: bool,
}

impl Door {
    /// Creates the door of a socket that is not registered.
    fn new(host: HostId) -> Door {
        Door {
            host,
            token: None,
            is_listed: false,
        }
    }
}

/// Writes how much the network keeps.
impl fmt::Debug for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.with(|state| {
            f.debug_struct("Wire")
                .field("ends", &state.ends.len())
                .field("connections", &state.connections.len())
                .field("listeners", &state.listeners.len())
                .field("udp", &state.udp.sockets.len())
                .field("events", &state.queue.len())
                .finish_non_exhaustive()
        })
    }
}

impl Wire {
    /// Creates a network without hosts.
    pub(crate) fn new(seed: u64, tcp: Tcp, time: TrueTime) -> Arc<Wire> {
        let state = State {
            now: time.now(),
            tcp,
            random: Random::new(seed),
            queue: Queue::new(),
            hosts: Hosts::new(),
            links: Links::new(),
            journal: Journal::new(),
            ends: Slab::new(),
            connections: BTreeMap::new(),
            outgoing_ports: BTreeMap::new(),
            listeners: Slab::new(),
            listening: BTreeMap::new(),
            udp: udp::Sockets::new(),
            changed: Vec::new(),
        };
        Arc::new(Wire {
            time,
            state: Mutex::new(state),
        })
    }

    /// Calls a function with the state, whose time is the present moment.
    fn with<R>(&self, call: impl FnOnce(&mut State) -> R) -> R {
        let mut state = lock(&self.state);
        state.now = self.time.now();
        call(&mut state)
    }

    /// Adds a host, with power.
    ///
    /// # Panics
    ///
    /// Panics if another host has the same name.
    pub(crate) fn add_host(&self, name: &str) -> HostId {
        self.with(|state| state.hosts.add(name, &state.random))
    }

    /// Returns the number of the host with this name.
    pub(crate) fn find(&self, name: &str) -> Option<HostId> {
        self.with(|state| state.hosts.find(name))
    }

    /// Returns the address of the host with this name.
    pub(crate) fn lookup(&self, name: &str) -> Option<IpAddr> {
        self.find(name).map(host::address_v4)
    }

    /// Returns when the next event is due. That is the present moment if the readiness of a socket has changed since
    /// the last call of [`advance`](Wire::advance).
    pub(crate) fn next(&self) -> Option<u64> {
        self.with(|state| match state.changed.is_empty() {
            false => Some(state.now),
            true => state.queue.next(),
        })
    }

    /// Processes all events that are due at the present moment, and appends the sockets whose readiness has changed.
    pub(crate) fn advance(&self, ready: &mut Vec<Ready>) {
        self.with(|state| {
            while let Some(event) = state.queue.take_due(state.now) {
                match event {
                    Event::Arrival(packet) => state.arrive(packet),
                    Event::Timer(end) => state.expire(end),
                }
            }
            state.publish(ready);
        });
    }

    /// Reports each packet and each fault to the timeline of the simulation, too.
    pub(crate) fn set_timeline(&self, timeline: Arc<SimulationRecorder>) {
        self.with(|state| state.journal.set_timeline(timeline));
    }

    /// Reports the packets that are on their way, or held, to the timeline, which is written next.
    pub(crate) fn end_timeline(&self) {
        self.with(|state| {
            let packets = state.queue.iter().filter_map(|event| match event {
                Event::Arrival(packet) => Some(packet),
                Event::Timer(_) => None,
            });
            state
                .journal
                .on_their_way(packets.chain(state.links.held()));
        });
    }

    /// Notes something in the journal.
    pub(crate) fn note(&self, text: &str) {
        self.with(|state| state.journal.note(state.now, text, false));
    }

    /// Notes in the journal what befalls a host.
    pub(crate) fn note_fault(&self, text: &str) {
        self.with(|state| state.journal.note(state.now, text, true));
    }

    /// Sets how hosts handle TCP. There are no connections yet.
    pub(crate) fn set_tcp(&self, tcp: Tcp) {
        self.with(|state| state.tcp = tcp);
    }

    /// Keeps at least the last `count` entries of the journal.
    pub(crate) fn record(&self, count: usize) {
        self.with(|state| state.journal.keep(count));
    }

    /// Returns the hash of everything that has happened, and the number of entries in the journal.
    pub(crate) fn hash_and_count(&self) -> (u64, u64) {
        self.with(|state| state.journal.hash_and_count())
    }

    /// Writes the entries of the journal that are kept as lines of text.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.with(|state| {
            let State { journal, hosts, .. } = state;
            journal.lines(&|host| hosts.name(host).into())
        })
    }

    /// Writes the newest faults as lines of text. Returns them, and the number of all faults.
    pub(crate) fn faults(&self) -> (Vec<String>, usize) {
        self.with(|state| {
            let State { journal, hosts, .. } = state;
            journal.faults(&|host| hosts.name(host).into())
        })
    }
}

/// The comparison of two runs, for `#[test(sim, twice)]`.
#[cfg_attr(not(any(test, feature = "macros")), expect(dead_code))]
impl Wire {
    /// Takes the entries of the journal that are kept, for a comparison: all of them after `record(usize::MAX)`.
    pub(crate) fn recording(&self) -> Recording {
        self.with(|state| state.journal.take())
    }

    /// Compares everything that happens from now on with an earlier run.
    pub(crate) fn compare_with(&self, first: Recording) {
        self.with(|state| state.journal.compare_with(first));
    }

    /// Returns the first difference to the earlier run. If this one `is_over`, what it has not reached is a difference.
    pub(crate) fn difference(&self, is_over: bool) -> Option<Difference> {
        self.with(|state| {
            let State { journal, hosts, .. } = state;
            journal.difference(is_over, &|host| hosts.name(host).into())
        })
    }
}

impl State {
    /// Sends a packet.
    fn send(&mut self, from: HostId, to: HostId, body: Body) {
        let mut packet = Packet {
            from,
            to,
            sent: self.now,
            hash: 0,
            body,
        };
        if packet.len() > 0 {
            packet.hash = hash_of(packet.bytes());
        }
        self.launch(packet);
    }

    /// Receives a packet at a host that has power.
    fn receive(&mut self, packet: Packet) {
        if let Body::Segment(_) = packet.body {
            return self.receive_segment(packet);
        }
        self.journal.packet(self.now, &packet, Fate::Arrives);
        let Packet { from, to, body, .. } = packet;
        match body {
            Body::Segment(_) => {}
            Body::Datagram(datagram) => self.receive_datagram(from, to, datagram),
            Body::Unreachable(answer) => self.receive_unreachable(to, answer),
        }
    }

    /// Returns the door of a socket.
    fn door(&mut self, socket: Socket) -> Option<&mut Door> {
        match socket {
            Socket::Stream(key) => self.ends.get_mut(key).map(|end| &mut end.door),
            Socket::Listener(key) => self
                .listeners
                .get_mut(key)
                .map(|listening| &mut listening.door),
            Socket::Udp(key) => self.udp.sockets.get_mut(key).map(|bound| &mut bound.door),
        }
    }

    /// Notes that the readiness of a socket has changed, or that an operation has left something behind that an event
    /// has to report.
    fn touch(&mut self, socket: Socket) {
        if let Some(door) = self.door(socket)
            && door.token.is_some()
            && !door.is_listed
        {
            door.is_listed = true;
            self.changed.push(socket);
        }
    }

    /// Registers a socket: what it is ready for is published from now on.
    fn register(&mut self, socket: Socket, token: usize) {
        if let Some(door) = self.door(socket) {
            door.token = Some(token);
            self.touch(socket);
        }
    }

    /// Ends the registration of a socket.
    fn deregister(&mut self, socket: Socket) {
        if let Some(door) = self.door(socket) {
            door.token = None;
        }
    }

    /// Appends the sockets that have been touched, with what they are ready for now: the whole mask, as `epoll_wait(2)`
    /// reports it.
    fn publish(&mut self, ready: &mut Vec<Ready>) {
        let mut changed = std::mem::take(&mut self.changed);
        for socket in changed.drain(..) {
            let Some(door) = self.door(socket) else {
                continue;
            };
            door.is_listed = false;
            let (host, Some(token)) = (door.host, door.token) else {
                continue;
            };
            let mask = self.mask(socket);
            if let Socket::Stream(key) = socket
                && let Some(end) = self.ends.get_mut(key)
            {
                end.note_published(mask);
            }
            ready.push(Ready { host, token, mask });
        }
        self.changed = changed;
    }

    /// Returns what a socket is ready for.
    fn mask(&mut self, socket: Socket) -> Mask {
        let mask = match socket {
            Socket::Stream(key) => {
                let send_buffer = self.tcp.send_buffer;
                self.ends.get_mut(key).map(|end| end.mask(send_buffer))
            }
            Socket::Listener(key) => self
                .listeners
                .get_mut(key)
                .map(|listening| listening.mask()),
            Socket::Udp(key) => self.udp.sockets.get_mut(key).map(|bound| bound.mask()),
        };
        mask.unwrap_or_default()
    }
}

#[cfg(test)]
mod tests;

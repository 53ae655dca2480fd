//! The wire: the network between the hosts of a simulation.
//!
//! An engine like the reactor: it knows neither tasks nor runtimes. Raw sockets (`net/raw.rs`) call it from within
//! polls. The [driver](crate::sim) advances it, and learns from it which sockets have become ready.

mod mask;
mod socket;

pub(crate) use self::mask::Mask;
pub(crate) use self::socket::{Listener, Stream, UdpSocket};

use crate::clock::host::TrueTime;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// The number of a host: its place in the order in which the hosts were added.
pub(crate) type HostId = u32;

/// A socket whose readiness has changed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ready {
    /// The host of the socket.
    pub(crate) host: HostId,
    /// The token with which the host's reactor registered the socket.
    pub(crate) token: usize,
    /// What the socket is ready for.
    pub(crate) mask: Mask,
}

/// The network of one simulation.
#[derive(Debug)]
pub(crate) struct Wire {
    /// The time of the simulation.
    time: TrueTime,
}

impl Wire {
    /// Creates a network without hosts.
    pub(crate) fn new(_seed: u64, time: TrueTime) -> Arc<Wire> {
        Arc::new(Wire { time })
    }

    /// Adds a host.
    pub(crate) fn add_host(&self, _name: &str) -> HostId {
        unimplemented!()
    }

    /// Returns when the next event is due.
    pub(crate) fn next(&self) -> Option<u64> {
        unimplemented!()
    }

    /// Processes all events that are due at the present moment.
    pub(crate) fn advance(&self, _ready: &mut Vec<Ready>) {
        let _now = self.time.now();
        unimplemented!()
    }
}

/// A runtime's door to the network: what makes it a host.
#[derive(Clone, Debug)]
pub(crate) struct Host {
    /// The network.
    pub(crate) wire: Arc<Wire>,
    /// The number of the host.
    pub(crate) id: HostId,
}

impl Host {
    /// Begins to connect.
    pub(crate) fn connect(&self, _addr: SocketAddr) -> io::Result<Stream> {
        unimplemented!()
    }

    /// Listens.
    pub(crate) fn listen(&self, _addr: SocketAddr) -> io::Result<Listener> {
        unimplemented!()
    }

    /// Binds a UDP socket.
    pub(crate) fn bind_udp(&self, _addr: SocketAddr) -> io::Result<UdpSocket> {
        unimplemented!()
    }

    /// Returns the address of the host with this name.
    pub(crate) fn lookup(&self, _name: &str) -> Option<IpAddr> {
        unimplemented!()
    }
}

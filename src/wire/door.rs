//! [`Host`]: a runtime's door to the network.

use super::{HostId, Listener, Stream, UdpSocket, Wire};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// A runtime's door to the network: what makes it a host.
#[derive(Clone, Debug)]
pub(crate) struct Host {
    /// The network.
    pub(crate) wire: Arc<Wire>,
    /// The number of the host.
    pub(crate) id: HostId,
}

impl Host {
    /// Begins to connect. The socket becomes writable when it is connected, or when that has failed.
    pub(crate) fn connect(&self, addr: SocketAddr) -> io::Result<Stream> {
        let key = self.wire.with(|state| state.connect(self.id, addr))?;
        Ok(Stream::new(&self.wire, key))
    }

    /// Binds a socket and listens. Port 0 asks for any free port.
    pub(crate) fn listen(&self, addr: SocketAddr) -> io::Result<Listener> {
        let key = self.wire.with(|state| state.listen(self.id, addr))?;
        Ok(Listener::new(&self.wire, key))
    }

    /// Binds a UDP socket. Port 0 asks for any free port.
    pub(crate) fn bind_udp(&self, addr: SocketAddr) -> io::Result<UdpSocket> {
        UdpSocket::bind(self, addr)
    }

    /// Returns the address of the host with this name.
    pub(crate) fn lookup(&self, name: &str) -> Option<IpAddr> {
        self.wire.lookup(name)
    }
}

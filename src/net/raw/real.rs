//! The raw sockets without the feature `sim`: mio's.

use crate::event_loop::Shared;
use std::io;
use std::net::SocketAddr;

/// A connection.
pub(in crate::net) type RawStream = mio::net::TcpStream;

/// A listener.
pub(in crate::net) type RawListener = mio::net::TcpListener;

/// A UDP socket.
pub(in crate::net) type RawUdp = mio::net::UdpSocket;

/// Begins to connect to an address.
#[inline]
pub(in crate::net) fn connect(_shared: &Shared, addr: SocketAddr) -> io::Result<RawStream> {
    RawStream::connect(addr)
}

/// Creates a listener that is bound to an address.
#[inline]
pub(in crate::net) fn listen(_shared: &Shared, addr: SocketAddr) -> io::Result<RawListener> {
    RawListener::bind(addr)
}

/// Creates a UDP socket that is bound to an address.
#[inline]
pub(in crate::net) fn bind_udp(_shared: &Shared, addr: SocketAddr) -> io::Result<RawUdp> {
    RawUdp::bind(addr)
}

/// Converts a raw socket into a type of `std`.
#[inline]
pub(in crate::net) fn into_std<R, T: From<R>>(raw: R) -> io::Result<T> {
    Ok(T::from(raw))
}

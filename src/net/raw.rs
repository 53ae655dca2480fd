//! The raw sockets under [`TcpStream`](super::TcpStream), [`TcpListener`](super::TcpListener) and
//! [`UdpSocket`](super::UdpSocket): those of the operating system, or simulated ones.
//!
//! Without the feature `sim`, [`RawStream`], [`RawListener`] and [`RawUdp`] are mio's types. With it, each is one of
//! two: mio's type, or a socket of the wire. Only [`connect`], [`listen`] and [`bind_udp`] choose, by asking whether the
//! runtime is a host of a simulation; [`RawListener::accept`] returns what the listener is. The rest of `net` calls the
//! same methods on either, so the waits, the budget, the dumps and the rules of short reads are the same too.
//!
//! Besides the lookup of names, no other file of `net` knows of the simulation.

#[cfg(feature = "sim")]
mod either;
#[cfg(not(feature = "sim"))]
mod real;
#[cfg(feature = "sim")]
mod stand_in;

#[cfg(feature = "sim")]
use self::either as chosen;
#[cfg(not(feature = "sim"))]
use self::real as chosen;

pub(super) use self::chosen::{
    RawListener, RawStream, RawUdp, bind_udp, connect, into_std, listen,
};

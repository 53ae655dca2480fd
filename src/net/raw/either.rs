//! The raw sockets with the feature `sim`: mio's, or those of the wire.

use super::stand_in::WithStandIn;
use crate::event_loop::Shared;
use crate::net::tcp::stream::operation;
use crate::reactor::Io;
use crate::reactor::proc_net::Connecting;
use crate::reactor::readiness::Direction;
use crate::wire;
use mio::event::Source;
use mio::{Interest, Registry, Token};
use std::fmt;
use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr};

/// A raw socket: `R` of the operating system, or `S` of the wire.
pub(in crate::net) enum Raw<R, S: Wired> {
    /// A socket of the operating system.
    Real(R),
    /// A socket of the host that the runtime simulates. Boxed, so that a real socket grows by no more than the pointer.
    Simulated(Box<WithStandIn<S>>),
}

/// A connection.
pub(in crate::net) type RawStream = Raw<mio::net::TcpStream, wire::Stream>;

/// A listener.
pub(in crate::net) type RawListener = Raw<mio::net::TcpListener, wire::Listener>;

/// A UDP socket.
pub(in crate::net) type RawUdp = Raw<mio::net::UdpSocket, wire::UdpSocket>;

/// A socket of the wire.
pub(in crate::net) trait Wired: Send + Sync {
    /// Notes the token under which the reactor has registered the socket.
    fn register(&self, token: usize);

    /// Forgets the token.
    fn deregister(&self);

    /// Describes the socket without an operation.
    fn describe(&self) -> String;

    /// Returns the verb for what a task waits for in this direction.
    fn verb(&self, direction: Direction) -> &'static str;
}

/// Implements [`Wired`] by the methods that the sockets of the wire have anyway.
macro_rules! wired {
    ($Wired:ty, |$this:ident, $direction:ident| $verb:expr) => {
        impl Wired for $Wired {
            fn register(&self, token: usize) {
                self.register(token);
            }

            fn deregister(&self) {
                self.deregister();
            }

            fn describe(&self) -> String {
                self.describe()
            }

            fn verb(&self, $direction: Direction) -> &'static str {
                let $this = self;
                $verb
            }
        }
    };
}

wired!(wire::Stream, |stream, direction| match direction {
    // A write to a socket without a peer fails at once, so only a connect waits.
    Direction::Write if stream.peer_addr().is_err() => "connect",
    _ => operation(direction),
});

wired!(wire::Listener, |_listener, _direction| "accept");

wired!(wire::UdpSocket, |_socket, direction| match direction {
    Direction::Read => "recv",
    Direction::Write => "send",
});

/// Begins to connect to an address.
pub(in crate::net) fn connect(shared: &Shared, addr: SocketAddr) -> io::Result<RawStream> {
    choose(
        shared,
        || mio::net::TcpStream::connect(addr),
        |host| host.connect(addr),
    )
}

/// Creates a listener that is bound to an address.
pub(in crate::net) fn listen(shared: &Shared, addr: SocketAddr) -> io::Result<RawListener> {
    choose(
        shared,
        || mio::net::TcpListener::bind(addr),
        |host| host.listen(addr),
    )
}

/// Creates a UDP socket that is bound to an address.
pub(in crate::net) fn bind_udp(shared: &Shared, addr: SocketAddr) -> io::Result<RawUdp> {
    choose(
        shared,
        || mio::net::UdpSocket::bind(addr),
        |host| host.bind_udp(addr),
    )
}

/// Creates a real socket, or, if the runtime is a host, a simulated one.
#[inline]
fn choose<R, S: Wired>(
    shared: &Shared,
    real: impl FnOnce() -> io::Result<R>,
    simulated: impl FnOnce(&wire::Host) -> io::Result<S>,
) -> io::Result<Raw<R, S>> {
    match &shared.host {
        None => real().map(Raw::Real),
        Some(host) => simulated(host).map(Raw::simulated),
    }
}

/// Converts a raw socket into a type of `std`. A simulated socket is closed, as if it were dropped.
///
/// # Errors
///
/// The kind is `Unsupported` if the socket is simulated.
pub(in crate::net) fn into_std<R, S: Wired, T: From<R>>(raw: Raw<R, S>) -> io::Result<T> {
    match raw {
        Raw::Real(io) => Ok(T::from(io)),
        Raw::Simulated(closed) => Err(unsupported(format!(
            "the simulated socket {} cannot become a socket of `std`, which would leave the simulation",
            closed.describe()
        ))),
    }
}

/// Returns the error of an operation that simulated sockets lack.
#[cold]
fn unsupported(text: String) -> io::Error {
    io::Error::new(io::ErrorKind::Unsupported, text)
}

impl<R, S: Wired> Raw<R, S> {
    /// Wraps a socket of the wire.
    fn simulated(wired: S) -> Raw<R, S> {
        Raw::Simulated(Box::new(WithStandIn::new(wired)))
    }
}

/// Calls a method of a simulated socket, out of the way of the code for real ones. The closure moves what it uses: if the
/// addresses of its arguments were passed on, each operation of a real socket would keep them in memory.
#[cold]
#[inline(never)]
fn out_of_line<R>(call: impl FnOnce() -> R) -> R {
    call()
}

/// Implements methods that a socket of the operating system and one of the wire have under the same name.
macro_rules! forward {
    ($Raw:ty { $(fn $name:ident(&self $(, $arg:ident: $Arg:ty)*) -> $Output:ty;)* }) => {
        impl $Raw {
            $(
            #[doc = concat!("Calls `", stringify!($name), "` of the socket.")]
            #[inline]
            pub(in crate::net) fn $name(&self $(, $arg: $Arg)*) -> $Output {
                match self {
                    Raw::Real(io) => io.$name($($arg),*),
                    Raw::Simulated(io) => out_of_line(move || io.wired().$name($($arg),*)),
                }
            }
            )*
        }
    };
}

/// Implements methods that only a socket of the operating system has.
macro_rules! forward_to_real {
    ($Raw:ty { $(fn $name:ident(&self $(, $arg:ident: $Arg:ty)*) -> $Output:ty;)* }) => {
        impl $Raw {
            $(
            #[doc = concat!("Calls `", stringify!($name), "` of the socket. Simulated sockets lack it.")]
            pub(in crate::net) fn $name(&self $(, $arg: $Arg)*) -> $Output {
                match self {
                    Raw::Real(io) => io.$name($($arg),*),
                    Raw::Simulated(io) => Err(no_groups(stringify!($name), io.wired())),
                }
            }
            )*
        }
    };
}

/// Returns the error of a method that concerns datagrams to several receivers.
#[cold]
fn no_groups(method: &str, socket: &wire::UdpSocket) -> io::Error {
    unsupported(format!(
        "`{method}` of the simulated socket {}: simulated networks have neither broadcast nor multicast",
        socket.describe()
    ))
}

forward! {
    RawStream {
        fn peek(&self, buf: &mut [u8]) -> io::Result<usize>;
        fn shutdown(&self, how: Shutdown) -> io::Result<()>;
        fn take_error(&self) -> io::Result<Option<io::Error>>;
        fn local_addr(&self) -> io::Result<SocketAddr>;
        fn peer_addr(&self) -> io::Result<SocketAddr>;
        fn nodelay(&self) -> io::Result<bool>;
        fn set_nodelay(&self, nodelay: bool) -> io::Result<()>;
        fn ttl(&self) -> io::Result<u32>;
        fn set_ttl(&self, ttl: u32) -> io::Result<()>;
    }
}

forward! {
    RawListener {
        fn local_addr(&self) -> io::Result<SocketAddr>;
        fn ttl(&self) -> io::Result<u32>;
        fn set_ttl(&self, ttl: u32) -> io::Result<()>;
    }
}

forward! {
    RawUdp {
        fn connect(&self, peer: SocketAddr) -> io::Result<()>;
        fn send(&self, buf: &[u8]) -> io::Result<usize>;
        fn send_to(&self, buf: &[u8], target: SocketAddr) -> io::Result<usize>;
        fn recv(&self, buf: &mut [u8]) -> io::Result<usize>;
        fn recv_from(&self, buf: &mut [u8]) -> io::Result<(usize, SocketAddr)>;
        fn peek(&self, buf: &mut [u8]) -> io::Result<usize>;
        fn peek_from(&self, buf: &mut [u8]) -> io::Result<(usize, SocketAddr)>;
        fn take_error(&self) -> io::Result<Option<io::Error>>;
        fn local_addr(&self) -> io::Result<SocketAddr>;
        fn peer_addr(&self) -> io::Result<SocketAddr>;
        fn ttl(&self) -> io::Result<u32>;
        fn set_ttl(&self, ttl: u32) -> io::Result<()>;
    }
}

forward_to_real! {
    RawUdp {
        fn broadcast(&self) -> io::Result<bool>;
        fn set_broadcast(&self, broadcast: bool) -> io::Result<()>;
        fn multicast_ttl_v4(&self) -> io::Result<u32>;
        fn set_multicast_ttl_v4(&self, ttl: u32) -> io::Result<()>;
        fn multicast_loop_v4(&self) -> io::Result<bool>;
        fn set_multicast_loop_v4(&self, multicast_loop: bool) -> io::Result<()>;
        fn multicast_loop_v6(&self) -> io::Result<bool>;
        fn set_multicast_loop_v6(&self, multicast_loop: bool) -> io::Result<()>;
        fn join_multicast_v4(&self, group: &Ipv4Addr, interface: &Ipv4Addr) -> io::Result<()>;
        fn join_multicast_v6(&self, group: &Ipv6Addr, interface: u32) -> io::Result<()>;
        fn leave_multicast_v4(&self, group: &Ipv4Addr, interface: &Ipv4Addr) -> io::Result<()>;
        fn leave_multicast_v6(&self, group: &Ipv6Addr, interface: u32) -> io::Result<()>;
    }
}

impl RawStream {
    /// Wraps a stream of `std`, in non-blocking mode.
    pub(in crate::net) fn from_std(stream: std::net::TcpStream) -> RawStream {
        Raw::Real(mio::net::TcpStream::from_std(stream))
    }
}

impl RawListener {
    /// Wraps a listener of `std`, in non-blocking mode.
    pub(in crate::net) fn from_std(listener: std::net::TcpListener) -> RawListener {
        Raw::Real(mio::net::TcpListener::from_std(listener))
    }

    /// Accepts a connection, which is simulated if the listener is.
    #[inline]
    pub(in crate::net) fn accept(&self) -> io::Result<(RawStream, SocketAddr)> {
        match self {
            Raw::Real(io) => io.accept().map(|(io, peer)| (Raw::Real(io), peer)),
            Raw::Simulated(io) => {
                let (wired, peer) = io.wired().accept()?;
                Ok((Raw::simulated(wired), peer))
            }
        }
    }
}

impl RawUdp {
    /// Wraps a UDP socket of `std`, in non-blocking mode.
    pub(in crate::net) fn from_std(socket: std::net::UdpSocket) -> RawUdp {
        Raw::Real(mio::net::UdpSocket::from_std(socket))
    }
}

/// Returns the error of a write. The detour tells the compiler that writes rarely fail: without it, each write of a real
/// socket turns its outcome into a value, for the sake of the simulated ones, and branches on it afterwards.
#[cold]
#[inline(never)]
fn failed<T>(error: io::Error) -> io::Result<T> {
    Err(error)
}

/// Calls a method of [`Read`] or [`Write`] of the stream.
macro_rules! transfer {
    ($raw:expr, $method:ident($bufs:expr)) => {
        match $raw {
            Raw::Real(io) => {
                let mut io: &mio::net::TcpStream = io;
                io.$method($bufs)
            }
            Raw::Simulated(io) => out_of_line(move || io.wired().$method($bufs)),
        }
    };
}

impl Read for &RawStream {
    #[inline]
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        transfer!(self, read(buf))
    }

    #[inline]
    fn read_vectored(&mut self, bufs: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        transfer!(self, read_vectored(bufs))
    }
}

impl Write for &RawStream {
    #[inline]
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        match self {
            Raw::Real(io) => {
                let mut io: &mio::net::TcpStream = io;
                io.write(buf).or_else(failed)
            }
            Raw::Simulated(io) => out_of_line(move || io.wired().write(buf)),
        }
    }

    #[inline]
    fn write_vectored(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        transfer!(self, write_vectored(bufs))
    }

    /// Does nothing: neither the operating system nor the wire holds data back.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<R: Source, S: Wired> Source for Raw<R, S> {
    fn register(&mut self, registry: &Registry, token: Token, what: Interest) -> io::Result<()> {
        match self {
            Raw::Real(io) => io.register(registry, token, what),
            Raw::Simulated(io) => {
                io.wired().register(token.0);
                Ok(())
            }
        }
    }

    fn reregister(&mut self, registry: &Registry, token: Token, what: Interest) -> io::Result<()> {
        match self {
            Raw::Real(io) => io.reregister(registry, token, what),
            Raw::Simulated(io) => {
                io.wired().register(token.0);
                Ok(())
            }
        }
    }

    fn deregister(&mut self, registry: &Registry) -> io::Result<()> {
        match self {
            Raw::Real(io) => io.deregister(registry),
            Raw::Simulated(io) => {
                io.wired().deregister();
                Ok(())
            }
        }
    }
}

impl<R: Io, S: Wired> Io for Raw<R, S> {
    fn describe(&self, direction: Direction, connecting: &Connecting) -> String {
        match self {
            Raw::Real(io) => io.describe(direction, connecting),
            Raw::Simulated(io) => {
                let verb = io.wired().verb(direction);
                format!("{verb} {}", io.describe())
            }
        }
    }

    fn describe_own(&self, direction: Direction, connecting: &Connecting) -> String {
        match self {
            Raw::Real(io) => io.describe_own(direction, connecting),
            Raw::Simulated(_) => self.describe(direction, connecting),
        }
    }

    fn is_simulated(&self) -> bool {
        matches!(self, Raw::Simulated(_))
    }
}

/// Formats a real socket as without the feature, and a simulated one by its addresses, which are the same in each run.
impl<R: fmt::Debug, S: Wired> fmt::Debug for Raw<R, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Raw::Real(io) => io.fmt(f),
            Raw::Simulated(io) => f.write_str(&io.describe()),
        }
    }
}

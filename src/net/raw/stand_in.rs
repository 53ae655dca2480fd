//! The descriptor that stands in for a simulated socket, which has none.
//!
//! A program that sets options through `AsFd` or socket2's `SockRef` needs a descriptor. The first such call creates an
//! unconnected socket of the operating system. No reactor watches it, and its options have no effect on the simulated
//! network. A socket that nobody asks for its descriptor has no stand-in.

use super::either::{Raw, Wired};
use crate::wire;
use std::io;
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream, UdpSocket};
use std::sync::OnceLock;

/// A simulated socket, and its stand-in.
pub(in crate::net) struct WithStandIn<S> {
    /// The socket.
    wired: S,
    /// The stand-in, once something has asked for it.
    stand_in: OnceLock<Owned>,
}

impl<S: Wired> WithStandIn<S> {
    /// Wraps a socket that has no stand-in yet.
    pub(super) fn new(wired: S) -> WithStandIn<S> {
        WithStandIn {
            wired,
            stand_in: OnceLock::new(),
        }
    }

    /// Returns the socket.
    #[inline]
    pub(super) fn wired(&self) -> &S {
        &self.wired
    }

    /// Describes the socket without an operation.
    pub(super) fn describe(&self) -> String {
        self.wired.describe()
    }
}

/// A simulated socket that a socket of the operating system can stand in for.
pub(in crate::net) trait HasStandIn: Wired {
    /// Creates the stand-in.
    fn stand_in() -> io::Result<Owned>;
}

/// Creates a TCP socket that is neither connected nor listens, so that sending, receiving and accepting fail at once.
fn unconnected_tcp() -> io::Result<Owned> {
    // `std` creates TCP sockets only together with a connection or a listener.
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    // Where a listener cannot be shut down, at least nothing waits for it.
    listener.set_nonblocking(true)?;
    let socket = TcpStream::from(Owned::from(listener));
    // Linux makes it an unconnected socket. Other systems refuse, and it goes on listening.
    let _refused = socket.shutdown(Shutdown::Read);
    Ok(Owned::from(socket))
}

impl HasStandIn for wire::Stream {
    fn stand_in() -> io::Result<Owned> {
        unconnected_tcp()
    }
}

impl HasStandIn for wire::Listener {
    fn stand_in() -> io::Result<Owned> {
        unconnected_tcp()
    }
}

impl HasStandIn for wire::UdpSocket {
    fn stand_in() -> io::Result<Owned> {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        socket.set_nonblocking(true)?;
        Ok(Owned::from(socket))
    }
}

impl<S: HasStandIn> WithStandIn<S> {
    /// Returns the stand-in, which the first call creates.
    ///
    /// # Panics
    ///
    /// Panics if the operating system refuses to create it.
    fn stand_in(&self) -> &Owned {
        self.stand_in.get_or_init(|| {
            S::stand_in().unwrap_or_else(|error| {
                let socket = self.describe();
                panic!(
                    "the simulated socket {socket} has no descriptor, and none could be created in its stead: {error}: \
                     raise the limit of open files, or set the options of simulated sockets with the methods of \
                     `glassfrog::net`"
                )
            })
        })
    }
}

/// Implements the traits of the operating system for descriptors or handles.
macro_rules! handles {
    ($As:path, $as:ident -> $Borrowed:ty, $AsRaw:path, $as_raw:ident -> $RawHandle:ty, $Owned:ty, $none:expr) => {
        /// An owned descriptor or handle.
        pub(in crate::net) type Owned = $Owned;

        impl<R: $As, S: HasStandIn> $As for Raw<R, S> {
            fn $as(&self) -> $Borrowed {
                match self {
                    Raw::Real(io) => io.$as(),
                    Raw::Simulated(io) => io.stand_in().$as(),
                }
            }
        }

        /// Returns the descriptor that the reactor watches. There is none for a simulated socket: its stand-in must
        /// neither be created nor leave a queue when the socket is closed.
        impl<R: $AsRaw, S: Wired> $AsRaw for Raw<R, S> {
            fn $as_raw(&self) -> $RawHandle {
                match self {
                    Raw::Real(io) => io.$as_raw(),
                    Raw::Simulated(_) => $none,
                }
            }
        }
    };
}

#[cfg(unix)]
handles! {
    std::os::fd::AsFd, as_fd -> std::os::fd::BorrowedFd<'_>,
    std::os::fd::AsRawFd, as_raw_fd -> std::os::fd::RawFd,
    std::os::fd::OwnedFd,
    // No descriptor.
    -1
}

#[cfg(windows)]
handles! {
    std::os::windows::io::AsSocket, as_socket -> std::os::windows::io::BorrowedSocket<'_>,
    std::os::windows::io::AsRawSocket, as_raw_socket -> std::os::windows::io::RawSocket,
    std::os::windows::io::OwnedSocket,
    // `INVALID_SOCKET`.
    !0
}

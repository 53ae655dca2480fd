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

#[cfg(test)]
mod tests {
    use super::super::either::{RawListener, RawStream, RawUdp, into_std};
    use super::*;
    use crate::reactor::Io;
    use crate::reactor::platform::AsRaw;
    use crate::reactor::proc_net::Connecting;
    use crate::reactor::readiness::Direction;
    use socket2::{SockRef, TcpKeepalive};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    /// A simulated socket that no network connects.
    #[derive(Default)]
    struct Loose {
        /// The number of sockets that have been closed.
        closed: Arc<AtomicUsize>,
    }

    impl Drop for Loose {
        fn drop(&mut self) {
            self.closed.fetch_add(1, Ordering::Relaxed);
        }
    }

    impl Wired for Loose {
        fn register(&self, _token: usize) {}

        fn deregister(&self) {}

        fn describe(&self) -> String {
            String::from("tcp 10.0.0.1:40000 → 10.0.0.2:80")
        }

        fn verb(&self, _direction: Direction) -> &'static str {
            "read"
        }
    }

    impl HasStandIn for Loose {
        fn stand_in() -> io::Result<Owned> {
            unconnected_tcp()
        }
    }

    /// A simulated socket whose stand-in cannot be created.
    struct Unlucky(Loose);

    impl Wired for Unlucky {
        fn register(&self, _token: usize) {}

        fn deregister(&self) {}

        fn describe(&self) -> String {
            self.0.describe()
        }

        fn verb(&self, direction: Direction) -> &'static str {
            self.0.verb(direction)
        }
    }

    impl HasStandIn for Unlucky {
        fn stand_in() -> io::Result<Owned> {
            Err(io::Error::other("too many open files"))
        }
    }

    /// Returns a simulated socket.
    fn simulated<S: Wired>(wired: S) -> Raw<mio::net::TcpStream, S> {
        Raw::Simulated(Box::new(WithStandIn::new(wired)))
    }

    /// Returns whether a socket has a stand-in.
    fn has_stand_in<S: Wired>(raw: &Raw<mio::net::TcpStream, S>) -> bool {
        match raw {
            Raw::Real(_) => false,
            Raw::Simulated(io) => io.stand_in.get().is_some(),
        }
    }

    #[test]
    fn a_stand_in_keeps_the_options_of_a_tcp_socket() {
        let raw = simulated(Loose::default());
        let socket = SockRef::from(&raw);
        socket.set_tcp_nodelay(true).unwrap();
        let keepalive = TcpKeepalive::new().with_time(Duration::from_secs(60));
        socket.set_tcp_keepalive(&keepalive).unwrap();
        socket.set_linger(Some(Duration::from_secs(3))).unwrap();
        socket.set_recv_buffer_size(64 * 1024).unwrap();
        socket.set_send_buffer_size(64 * 1024).unwrap();
        // Another borrow returns the same stand-in.
        let socket = SockRef::from(&raw);
        assert!(socket.tcp_nodelay().unwrap());
        assert!(socket.keepalive().unwrap());
        assert_eq!(socket.linger().unwrap(), Some(Duration::from_secs(3)));
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn no_data_goes_through_a_stand_in() {
        let raw = simulated(Loose::default());
        let socket = SockRef::from(&raw);
        let is_refusal = |error: io::Error| error.kind() != io::ErrorKind::WouldBlock;
        assert!(is_refusal(socket.recv(&mut []).unwrap_err()));
        assert!(is_refusal(socket.send(b"hello").unwrap_err()));
        assert!(is_refusal(socket.accept().unwrap_err()));
    }

    #[test]
    fn a_udp_stand_in_keeps_its_options() {
        let stand_in = wire::UdpSocket::stand_in().unwrap();
        let socket = SockRef::from(&stand_in);
        socket.set_recv_buffer_size(64 * 1024).unwrap();
        socket.set_broadcast(true).unwrap();
        assert!(socket.broadcast().unwrap());
    }

    #[test]
    #[cfg(unix)]
    fn the_reactor_neither_creates_a_stand_in_nor_sees_one() {
        let raw = simulated(Loose::default());
        let seen = AsRaw::as_raw_fd(&raw);
        assert!(!has_stand_in(&raw));
        let _options = SockRef::from(&raw);
        assert!(has_stand_in(&raw));
        assert_eq!(AsRaw::as_raw_fd(&raw), seen);
    }

    #[test]
    #[should_panic(
        expected = "tcp 10.0.0.1:40000 → 10.0.0.2:80 has no descriptor, and none could be created in its \
                               stead: too many open files"
    )]
    fn a_stand_in_that_cannot_be_created_panics_with_the_reason() {
        let raw = simulated(Unlucky(Loose::default()));
        let _options = SockRef::from(&raw);
    }

    #[test]
    fn a_simulated_socket_that_cannot_become_one_of_std_is_closed() {
        let loose = Loose::default();
        let closed = Arc::clone(&loose.closed);
        let error = into_std::<_, _, TcpStream>(simulated(loose)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::Unsupported);
        assert!(
            error
                .to_string()
                .contains("tcp 10.0.0.1:40000 → 10.0.0.2:80")
        );
        assert_eq!(closed.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn a_simulated_socket_describes_itself_with_and_without_an_operation() {
        let raw = simulated(Loose::default());
        assert!(raw.is_simulated());
        assert_eq!(
            raw.describe(Direction::Read, &Connecting::unknown()),
            "read tcp 10.0.0.1:40000 → 10.0.0.2:80"
        );
        assert_eq!(format!("{raw:?}"), "tcp 10.0.0.1:40000 → 10.0.0.2:80");
    }

    #[test]
    fn a_raw_socket_is_hardly_larger_than_a_real_one() {
        /// The number of bytes by which the feature may enlarge a socket.
        const MOST: usize = 24;
        assert!(size_of::<RawStream>() <= size_of::<mio::net::TcpStream>() + MOST);
        assert!(size_of::<RawListener>() <= size_of::<mio::net::TcpListener>() + MOST);
        assert!(size_of::<RawUdp>() <= size_of::<mio::net::UdpSocket>() + MOST);
    }
}

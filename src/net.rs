//! TCP, UDP and Unix sockets, and the resolution of host names.
//!
//! ```
//! use glassfrog::net::{TcpListener, TcpStream};
//!
//! glassfrog::block_on(async {
//!     let listener = TcpListener::bind("127.0.0.1:0").await?;
//!     let addr = listener.local_addr()?;
//!     let client = glassfrog::spawn(async move {
//!         let stream = TcpStream::connect(addr).await?;
//!         stream.write(b"hello").await
//!     });
//!
//!     let (stream, _peer) = listener.accept().await?;
//!     let mut buf = [0; 16];
//!     let count = stream.read(&mut buf).await?;
//!     assert_eq!(&buf[..count], b"hello");
//!     client.await?
//! })?;
//! # std::io::Result::Ok(())
//! ```
//!
//! [`TcpStream`], [`TcpListener`] and [`UdpSocket`] mirror the types of [`std::net`], with `async` methods in
//! place of those that block. On Unix, `UnixStream`, `UnixListener` and `UnixDatagram` do the same for
//! `std::os::unix::net`. A socket belongs to the runtime in which it was created. It is `Send` and `Sync`: while the
//! runtime runs, the socket works on any thread and under any executor. Between two calls of
//! `Runtime::block_on` the runtime delivers no events, so operations that wait make no progress. Once the
//! runtime has ended, operations return an error that says so.
//!
//! # Cancel safety
//!
//! The future of every `async` method here may be dropped before it is ready. The operation then has not
//! taken place, and no byte, datagram or connection is lost. Methods that perform several operations are an
//! exception: if the future of `read_exact`, `write_all` or [`read_to_end`](TcpStream::read_to_end) is
//! dropped, a part may have been read or written.
//!
//! # Socket options
//!
//! To set other socket options, use the [`socket2`] crate. It accesses an existing socket through `AsFd` or
//! `AsSocket`, and it can also create a socket and configure it before it is bound or connected:
//!
//! ```
//! use glassfrog::net::{TcpListener, TcpStream};
//! use socket2::{Domain, SockRef, Socket, TcpKeepalive, Type};
//! use std::net::SocketAddr;
//! use std::time::Duration;
//!
//! glassfrog::block_on(async {
//!     // SO_REUSEPORT must be set before the bind, so socket2 creates the listener.
//!     let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
//!     # #[cfg(unix)]
//!     socket.set_reuse_port(true)?;
//!     socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into())?;
//!     socket.listen(1024)?;
//!     let listener = TcpListener::try_from(std::net::TcpListener::from(socket))?;
//!
//!     // To bind before the connect, start a non-blocking connect and wait until the socket is writable.
//!     let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
//!     socket.set_nonblocking(true)?;
//!     socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into())?;
//!     // This returns the error that the connection is in progress.
//!     let _in_progress = socket.connect(&listener.local_addr()?.into());
//!     let stream = TcpStream::try_from(std::net::TcpStream::from(socket))?;
//!     stream.writable().await?;
//!     if let Some(error) = stream.take_error()? {
//!         return Err(error);
//!     }
//!
//!     // Keep-alive can be set on a connected socket.
//!     let keepalive = TcpKeepalive::new().with_time(Duration::from_secs(60));
//!     SockRef::from(&stream).set_tcp_keepalive(&keepalive)
//! })?;
//! # std::io::Result::Ok(())
//! ```
//!
//! # Other system calls
//!
//! The methods that end in `_with` make a system call that this module has no method for: `recvmsg(2)` with
//! control messages, for example, or a read into memory that is not initialized. The caller makes the call, and
//! the runtime waits until it does not block. Crates such as [`socket2`], `rustix` and `quinn-udp` make such calls
//! on the descriptor of the socket:
//!
//! ```
//! use glassfrog::net::{TcpListener, TcpStream};
//! use socket2::SockRef;
//!
//! glassfrog::block_on(async {
//!     let listener = TcpListener::bind("127.0.0.1:0").await?;
//!     let client = TcpStream::connect(listener.local_addr()?).await?;
//!     let (server, _) = listener.accept().await?;
//!     client.write(b"hello").await?;
//!     let mut buf = Vec::with_capacity(16);
//!     let count = server
//!         .read_with(|stream| SockRef::from(stream).recv(buf.spare_capacity_mut()))
//!         .await?;
//!     assert_eq!(count, 5);
//!     std::io::Result::Ok(())
//! })?;
//! # std::io::Result::Ok(())
//! ```
//!
//! A loop that calls `readable` and makes the system call directly spins: the runtime does not see that the call
//! has returned `WouldBlock`, so the socket stays readable.
//!
//! A socket that was converted from another type, or whose descriptor was borrowed, makes a few more system
//! calls than other sockets. Other code may use the descriptor too, so the runtime has to ask the kernel
//! where it would otherwise know the answer.
//!
//! # Simulated sockets
//!
//! With the feature `sim`, [`TcpStream`], [`TcpListener`] and [`UdpSocket`] are also the sockets of the hosts of a
//! simulation: inside a host, `connect` and `bind` create simulated sockets, and `accept` returns them. Their methods do
//! what they do on Linux, with these exceptions:
//!
//! - A simulated socket has no descriptor. The first `AsFd` or `AsSocket` conversion, such as that of socket2's `SockRef`,
//!   creates an unconnected socket that stands in for it. Options can be set and read there, but have no effect on the
//!   simulated network, and a system call that sends, receives or accepts fails. The conversion panics if the stand-in
//!   cannot be created.
//! - A conversion into a type of `std` fails. The kind of the error is `Unsupported`, and the socket is closed.
//! - The methods of `UdpSocket` that concern broadcast and multicast fail. The kind of the error is `Unsupported`.
//! - A host accepts no sockets of the operating system. Sockets of `std`, Unix sockets and `io::Async` cannot be registered
//!   there. The kind of the error is `Unsupported`.
//!
//! [`socket2`]: https://docs.rs/socket2

mod accept;
mod addrs;
mod adopt;
pub(crate) mod bytes;
#[cfg(unix)]
pub(crate) mod descriptor;
mod error;
#[cfg(windows)]
mod handle_windows;
mod happy_eyeballs;
mod raw;
mod read_to_end;
mod resolve;
pub(crate) mod socket;
mod split;
mod tcp;
mod udp;
#[cfg(unix)]
mod unix;
pub(crate) mod with;

pub use self::addrs::ToSocketAddrs;
pub use self::resolve::lookup_host;
pub use self::split::{OwnedReadHalf, OwnedWriteHalf, ReuniteError};
pub use self::tcp::listener::{Incoming, TcpListener};
pub use self::tcp::stream::TcpStream;
pub use self::udp::UdpSocket;
#[cfg(unix)]
pub use self::unix::{UnixDatagram, UnixIncoming, UnixListener, UnixStream};

//! Sockets.
//!
//! [`TcpStream`] and [`TcpListener`] look like those of [`std::net`], with `async` where the
//! others block. A socket belongs to the runtime inside which it was made. It is `Send` and `Sync`
//! and works on any thread and under any executor while that runtime runs. Between two calls of
//! `Runtime::block_on` nobody tells it that it is ready, and it waits; once the runtime has ended,
//! its operations answer with an error that says so.
//!
//! # Cancel safety
//!
//! Every `async` method here may be dropped before its end: what it had not done, it does not do,
//! and no byte and no connection is lost. This is not so for the extension traits' methods that
//! make several operations (`read_exact`, `write_all`): they may be left half done.
//!
//! # Socket options
//!
//! Those that are not here are set with the [`socket2`] crate, through
//! `AsFd` or `AsSocket`, on a socket that exists or on one that is still to be connected or
//! bound:
//!
//! ```
//! use glassfrog::net::{TcpListener, TcpStream};
//! use socket2::{Domain, SockRef, Socket, TcpKeepalive, Type};
//! use std::net::SocketAddr;
//! use std::time::Duration;
//!
//! glassfrog::block_on(async {
//!     // SO_REUSEPORT has to be there before the bind: let socket2 make the listener.
//!     let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
//!     # #[cfg(unix)]
//!     socket.set_reuse_port(true)?;
//!     socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into())?;
//!     socket.listen(1024)?;
//!     let listener = TcpListener::try_from(std::net::TcpListener::from(socket))?;
//!
//!     // Bind before connect: begin to connect without blocking, and wait until it is writable.
//!     let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
//!     socket.set_nonblocking(true)?;
//!     socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into())?;
//!     // In progress is what is hoped for.
//!     let _in_progress = socket.connect(&listener.local_addr()?.into());
//!     let stream = TcpStream::try_from(std::net::TcpStream::from(socket))?;
//!     stream.writable().await?;
//!     if let Some(error) = stream.take_error()? {
//!         return Err(error);
//!     }
//!
//!     // Keep-alive, on a socket that is connected.
//!     let keepalive = TcpKeepalive::new().with_time(Duration::from_secs(60));
//!     SockRef::from(&stream).set_tcp_keepalive(&keepalive)
//! })?;
//! # std::io::Result::Ok(())
//! ```
//!
//! A socket that was adopted, or whose descriptor was handed out in this way, makes a few more
//! syscalls than others: somebody else may have a hand in it, so the kernel is asked where otherwise
//! the answer would be known.
//!
//! [`socket2`]: https://docs.rs/socket2

mod addrs;
#[cfg(unix)]
mod descriptor;
#[cfg(windows)]
mod handle_windows;
mod happy_eyeballs;
mod resolve;
mod socket;
mod tcp;

pub use self::addrs::ToSocketAddrs;
pub use self::resolve::lookup_host;
pub use self::tcp::listener::{Incoming, TcpListener};
pub use self::tcp::split::{OwnedReadHalf, OwnedWriteHalf, ReuniteError};
pub use self::tcp::stream::TcpStream;

//! Sockets as descriptors, on Unix.
//!
//! Handing a descriptor out ends the conclusions that are drawn for a descriptor that nobody else
//! has; see `reactor/rules.rs`.

use super::socket::Socket;
use super::{OwnedReadHalf, OwnedWriteHalf, TcpListener, TcpStream};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

impl AsFd for TcpStream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.hand_out().as_fd()
    }
}

impl AsRawFd for TcpStream {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.hand_out().as_raw_fd()
    }
}

impl AsFd for OwnedReadHalf {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.as_ref().as_fd()
    }
}

impl AsFd for OwnedWriteHalf {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.as_ref().as_fd()
    }
}

impl AsFd for TcpListener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.hand_out().as_fd()
    }
}

impl AsRawFd for TcpListener {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.hand_out().as_raw_fd()
    }
}

/// Makes a descriptor non-blocking; what goes wrong is logged, and found again by whoever uses it.
fn unblock(done: io::Result<()>) {
    if let Err(error) = done {
        log::error!(target: "glassfrog::net", "a descriptor stays blocking: {error}");
    }
}

/// Adopts a descriptor that is a TCP connection into the runtime of this thread.
///
/// If it cannot be registered, this is logged, and every operation fails. `TryFrom` a stream of
/// `std` has an error for that.
///
/// # Panics
///
/// Outside a runtime.
impl From<OwnedFd> for TcpStream {
    fn from(fd: OwnedFd) -> TcpStream {
        let stream = std::net::TcpStream::from(fd);
        unblock(stream.set_nonblocking(true));
        TcpStream {
            socket: Socket::adopt(mio::net::TcpStream::from_std(stream)),
        }
    }
}

/// Adopts a descriptor that listens for TCP connections into the runtime of this thread.
///
/// If it cannot be registered, this is logged, and every operation fails. `TryFrom` a listener of
/// `std` has an error for that.
///
/// # Panics
///
/// Outside a runtime.
impl From<OwnedFd> for TcpListener {
    fn from(fd: OwnedFd) -> TcpListener {
        let listener = std::net::TcpListener::from(fd);
        unblock(listener.set_nonblocking(true));
        TcpListener::new(Socket::adopt(mio::net::TcpListener::from_std(listener)))
    }
}

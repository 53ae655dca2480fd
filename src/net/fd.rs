//! Sockets as descriptors, on Unix.
//!
//! Handing a descriptor out ends the conclusions that are drawn for a descriptor that nobody else
//! has; see `reactor/rules.rs`.

use super::{OwnedReadHalf, OwnedWriteHalf, TcpListener, TcpStream};
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

impl AsRawFd for OwnedReadHalf {
    fn as_raw_fd(&self) -> RawFd {
        self.as_ref().as_raw_fd()
    }
}

impl AsFd for OwnedWriteHalf {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.as_ref().as_fd()
    }
}

impl AsRawFd for OwnedWriteHalf {
    fn as_raw_fd(&self) -> RawFd {
        self.as_ref().as_raw_fd()
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

/// Adopts a descriptor that is a TCP connection into the runtime of this thread.
///
/// If it cannot be registered, this is logged, and every operation fails. `TryFrom` a stream of
/// `std` has an error for that.
///
/// # Panics
///
/// Outside a runtime.
impl From<OwnedFd> for TcpStream {
    #[track_caller]
    fn from(fd: OwnedFd) -> TcpStream {
        TcpStream::adopt(std::net::TcpStream::from(fd))
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
    #[track_caller]
    fn from(fd: OwnedFd) -> TcpListener {
        TcpListener::adopt(std::net::TcpListener::from(fd))
    }
}

//! Sockets as handles, on Windows.
//!
//! Handing a handle out ends the conclusions that are drawn for a descriptor that nobody else has;
//! see `reactor/rules.rs`.

use super::socket::Foreign;
use super::{OwnedReadHalf, OwnedWriteHalf, TcpListener, TcpStream};
use crate::reactor::rules::FileKind;
use std::io;
use std::os::windows::io::{AsRawSocket, AsSocket, BorrowedSocket, OwnedSocket, RawSocket};

impl<T: AsSocket> Foreign for T {
    /// Nothing but a socket is in an `OwnedSocket`.
    fn kind(&self) -> FileKind {
        FileKind::Socket
    }

    fn nodelay(&self) -> io::Result<bool> {
        let duplicate = self.as_socket().try_clone_to_owned()?;
        std::net::TcpStream::from(duplicate).nodelay()
    }
}

impl AsSocket for TcpStream {
    fn as_socket(&self) -> BorrowedSocket<'_> {
        self.socket.hand_out().as_socket()
    }
}

impl AsRawSocket for TcpStream {
    fn as_raw_socket(&self) -> RawSocket {
        self.socket.hand_out().as_raw_socket()
    }
}

impl AsSocket for OwnedReadHalf {
    fn as_socket(&self) -> BorrowedSocket<'_> {
        self.as_ref().as_socket()
    }
}

impl AsRawSocket for OwnedReadHalf {
    fn as_raw_socket(&self) -> RawSocket {
        self.as_ref().as_raw_socket()
    }
}

impl AsSocket for OwnedWriteHalf {
    fn as_socket(&self) -> BorrowedSocket<'_> {
        self.as_ref().as_socket()
    }
}

impl AsRawSocket for OwnedWriteHalf {
    fn as_raw_socket(&self) -> RawSocket {
        self.as_ref().as_raw_socket()
    }
}

impl AsSocket for TcpListener {
    fn as_socket(&self) -> BorrowedSocket<'_> {
        self.socket.hand_out().as_socket()
    }
}

impl AsRawSocket for TcpListener {
    fn as_raw_socket(&self) -> RawSocket {
        self.socket.hand_out().as_raw_socket()
    }
}

/// Adopts a handle that is a TCP connection into the runtime of this thread.
///
/// If it cannot be registered, this is logged, and every operation fails with the reason. `TryFrom` a
/// stream of `std` returns the reason at once.
///
/// # Panics
///
/// Outside a runtime.
impl From<OwnedSocket> for TcpStream {
    #[track_caller]
    fn from(socket: OwnedSocket) -> TcpStream {
        TcpStream::adopt(std::net::TcpStream::from(socket))
    }
}

/// Adopts a handle that listens for TCP connections into the runtime of this thread.
///
/// If it cannot be registered, this is logged, and every operation fails with the reason. `TryFrom` a
/// listener of `std` returns the reason at once.
///
/// # Panics
///
/// Outside a runtime.
impl From<OwnedSocket> for TcpListener {
    #[track_caller]
    fn from(socket: OwnedSocket) -> TcpListener {
        TcpListener::adopt(std::net::TcpListener::from(socket))
    }
}

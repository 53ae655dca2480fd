//! The conversions of sockets from and to handles, on Windows.

use super::adopt::{Inspect, os_conversions};
use super::{OwnedReadHalf, OwnedWriteHalf, TcpListener, TcpStream, UdpSocket};
use crate::reactor::platform::FileKind;
use std::io;
use std::os::windows::io::{AsRawSocket, AsSocket, BorrowedSocket, OwnedSocket, RawSocket};

impl<T: AsSocket> Inspect for T {
    /// Returns [`FileKind::Socket`], because an `OwnedSocket` is always a socket.
    fn kind(&self) -> FileKind {
        FileKind::Socket
    }

    fn nodelay(&self) -> io::Result<bool> {
        let duplicate = self.as_socket().try_clone_to_owned()?;
        std::net::TcpStream::from(duplicate).nodelay()
    }
}

os_conversions! {
    AsSocket::as_socket -> BorrowedSocket, AsRawSocket::as_raw_socket -> RawSocket, OwnedSocket;
    TcpStream,
    TcpListener,
    UdpSocket;
    OwnedReadHalf,
    OwnedWriteHalf
}

//! The conversions of sockets from and to file descriptors, on Unix.

use super::adopt::{Inspect, os_conversions};
use super::{
    OwnedReadHalf, OwnedWriteHalf, TcpListener, TcpStream, UdpSocket, UnixDatagram, UnixListener,
    UnixStream,
};
use crate::reactor::platform::FileKind;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net;

/// The methods of `std` need an owned descriptor, so each method inspects a duplicate.
impl<T: AsFd> Inspect for T {
    fn kind(&self) -> FileKind {
        let duplicate = self.as_fd().try_clone_to_owned().map(File::from);
        let kind = duplicate.and_then(|file| kind_of(&file));
        kind.unwrap_or(FileKind::Other)
    }

    fn nodelay(&self) -> io::Result<bool> {
        let duplicate = self.as_fd().try_clone_to_owned()?;
        std::net::TcpStream::from(duplicate).nodelay()
    }
}

/// Returns the kind of an open file.
pub(crate) fn kind_of(file: &File) -> io::Result<FileKind> {
    let kind = file.metadata()?.file_type();
    Ok(if kind.is_socket() {
        // Only the address tells a Unix socket from other sockets.
        let socket = net::UnixDatagram::from(file.as_fd().try_clone_to_owned()?);
        match socket.local_addr() {
            Ok(_) => FileKind::UnixSocket,
            Err(_) => FileKind::Socket,
        }
    } else if kind.is_fifo() {
        FileKind::Pipe
    } else if kind.is_file() {
        FileKind::RegularFile
    } else if kind.is_dir() {
        FileKind::Directory
    } else if kind.is_block_device() {
        FileKind::BlockDevice
    } else if kind.is_char_device() {
        FileKind::CharacterDevice
    } else {
        FileKind::Other
    })
}

os_conversions! {
    AsFd::as_fd -> BorrowedFd, AsRawFd::as_raw_fd -> RawFd, OwnedFd;
    ///
    /// A descriptor that is not a socket cannot be registered: read and write pipes and terminals with
    /// [`io::Async`](crate::io::Async), and files with [`spawn_blocking`](crate::task::spawn_blocking). A socket of
    /// another kind supports the operations that `recv(2)` and `send(2)` support on it, and a [dump](crate::Dump)
    /// shows its real kind.
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::net::TcpStream;
    /// use std::fs::File;
    /// use std::os::fd::OwnedFd;
    ///
    /// glassfrog::block_on(async {
    ///     let file = TcpStream::from(OwnedFd::from(File::open("Cargo.toml")?));
    ///     let error = file.read(&mut [0; 16]).await.unwrap_err();
    ///     assert!(error.to_string().starts_with("a regular file could not be registered"));
    ///     std::io::Result::Ok(())
    /// })?;
    /// # std::io::Result::Ok(())
    /// ```
    TcpStream,
    TcpListener,
    UdpSocket,
    UnixStream,
    UnixListener,
    UnixDatagram;
    OwnedReadHalf,
    OwnedWriteHalf
}

//! The conversions of sockets from and to file descriptors, on Unix.

use super::adopt::{Inspect, os_conversions};
use super::{OwnedReadHalf, OwnedWriteHalf, TcpListener, TcpStream};
use crate::reactor::platform::FileKind;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::UnixDatagram;

/// `std` inspects only descriptors that it owns, so each method inspects a duplicate.
impl<T: AsFd> Inspect for T {
    fn kind(&self) -> FileKind {
        let duplicate = self.as_fd().try_clone_to_owned().map(File::from);
        let Ok((file, metadata)) = duplicate.and_then(|file| {
            let metadata = file.metadata()?;
            Ok((file, metadata))
        }) else {
            return FileKind::Other;
        };
        let kind = metadata.file_type();
        if kind.is_socket() {
            match UnixDatagram::from(OwnedFd::from(file)).local_addr() {
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
        }
    }

    fn nodelay(&self) -> io::Result<bool> {
        let duplicate = self.as_fd().try_clone_to_owned()?;
        std::net::TcpStream::from(duplicate).nodelay()
    }
}

os_conversions! {
    AsFd::as_fd -> BorrowedFd, AsRawFd::as_raw_fd -> RawFd;
    TcpStream.socket,
        ///
        /// A descriptor that is not a socket cannot be registered: read and write files, pipes and terminals
        /// with [`spawn_blocking`](crate::task::spawn_blocking). A socket of another kind supports whatever
        /// `recv(2)` and `send(2)` do with it, and a [dump](crate::Dump) shows its real kind.
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
        from OwnedFd;
    TcpListener.socket, from OwnedFd;
    OwnedReadHalf.stream.socket;
    OwnedWriteHalf.stream.socket;
}

//! Sockets as descriptors, on Unix.
//!
//! Handing a descriptor out ends the conclusions that are drawn for a descriptor that nobody else
//! has; see `reactor/rules.rs`.

use super::socket::Foreign;
use super::{OwnedReadHalf, OwnedWriteHalf, TcpListener, TcpStream};
use crate::reactor::rules::FileKind;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::UnixDatagram;

/// Each question is put to a duplicate, which `std` closes afterwards: it asks only what it owns.
impl<T: AsFd> Foreign for T {
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
/// If it cannot be registered, this is logged, and every operation fails with the reason. `TryFrom` a
/// stream of `std` returns the reason at once. What is not a socket cannot be registered: read and write
/// files, pipes and terminals with [`spawn_blocking`](crate::task::spawn_blocking). A socket of another
/// kind works as far as `recv(2)` and `send(2)` do with it, and a dump shows what it is.
///
/// # Panics
///
/// Outside a runtime.
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
impl From<OwnedFd> for TcpStream {
    #[track_caller]
    fn from(fd: OwnedFd) -> TcpStream {
        TcpStream::adopt(std::net::TcpStream::from(fd))
    }
}

/// Adopts a descriptor that listens for TCP connections into the runtime of this thread.
///
/// If it cannot be registered, this is logged, and every operation fails with the reason. `TryFrom` a
/// listener of `std` returns the reason at once.
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

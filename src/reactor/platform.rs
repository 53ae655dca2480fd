//! The rules of the platform: which syscalls can be skipped, and when.
//!
//! On Linux, the result of an operation on a TCP socket and the event before it often determine the
//! result of the next operation. The rules hold for a socket that this crate has created, to whose
//! descriptor no other code has had access (so no other code has changed its options or replaced the
//! file behind it), and which has received no urgent data (a read stops short at the urgent mark). On
//! every other descriptor, and on every other platform, operations are tried until they return
//! `WouldBlock`. Sockets and sources call this module, which makes only one syscall itself, the
//! deregistration.
//!
//! | skipped | when |
//! | --- | --- |
//! | a read that would return `WouldBlock` | the last read was short, and not one of a bulk transfer: it emptied the receive buffer, and later data causes an event (`epoll(7)`, edge-triggered) |
//! | a read that would return 0 | the last read was short in the same sense, and the event before it reported that the peer had closed, without an error and with the other direction open |
//! | a write that would return `WouldBlock` | the last write was short: it filled the send buffer, and new room causes an event |
//! | `getsockopt(SO_ERROR)` after a connect | the event reports neither an error nor a hang-up |
//! | the deregistration before a close | no other code can have a duplicate of the descriptor, so closing it removes it from the queue |
//!
//! This is the only file of the reactor that names platforms.

use super::readiness::{
    ENDED, ERROR, HANDED_OUT, READ_CLOSED, READABLE, Snapshot, URGENT, WRITABLE, WRITE_CLOSED,
};
use mio::Interest;
use mio::event::Event;
use std::fmt;
use std::ops::{Deref, Range};

/// Whether the rules hold on this platform.
const KNOWN: bool = cfg!(any(target_os = "linux", target_os = "android"));

/// The maximum number of bytes that Linux transfers in one call, whatever length was requested
/// (`MAX_RW_COUNT`, `read(2)`). A transfer of this size says nothing about the buffer.
const MOST_IN_ONE_CALL: usize = 0x7fff_f000;

/// The maximum number of buffers that Linux fills or drains in one call (`UIO_MAXIOV`, `readv(2)`). The
/// crate passes no more than that.
const MOST_BUFFERS_IN_ONE_CALL: usize = 1024;

/// The longest read that may exhaust a socket. A longer one, or one that asks for more than
/// [`MOST_CONCLUSIVE_ROOM`], belongs to a bulk transfer: while the kernel copies the bytes, the peer sends
/// more or closes. Trying again costs a syscall. Waiting for the next event costs a turn of the loop, during
/// which the reader keeps its half-filled buffer while other readers fill theirs. With 50 bodies of 1 MiB in
/// flight, that caused 18,000 page faults instead of 700, and took more than twice the time.
const MOST_CONCLUSIVE_READ: usize = 16 * 1024;

/// The largest room for a read that may exhaust a socket; see [`MOST_CONCLUSIVE_READ`]. Readers of short
/// messages rarely use a larger buffer.
const MOST_CONCLUSIVE_ROOM: usize = 64 * 1024;

/// What the result of an operation says about the next one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Conclusion {
    /// Nothing: the next operation has to be tried.
    Nothing,
    /// The next operation would block.
    Exhausted,
    /// The next read would return 0: everything that the peer has sent has been read.
    Ended,
}

/// Returns the events that a registration asks for.
pub(super) fn interest() -> Interest {
    let interest = Interest::READABLE.add(Interest::WRITABLE);
    #[cfg(any(target_os = "linux", target_os = "android"))]
    let interest = interest.add(Interest::PRIORITY);
    interest
}

/// Returns the bits of readiness that an event sets.
pub(super) fn bits_of(event: &Event) -> u32 {
    // Only an operation can return an error or the end to its caller, so both count as ready.
    let mut bits = 0;
    if event.is_readable() {
        bits |= READABLE;
    }
    if event.is_writable() {
        bits |= WRITABLE;
    }
    if event.is_read_closed() {
        bits |= READABLE | READ_CLOSED;
    }
    if event.is_write_closed() {
        bits |= WRITABLE | WRITE_CLOSED;
    }
    if event.is_error() {
        bits |= READABLE | WRITABLE | ERROR;
    }
    if event.is_priority() {
        bits |= READABLE | URGENT;
    }
    bits
}

/// Returns whether the rules hold for a socket in this state.
fn conclusive(seen: Snapshot) -> bool {
    KNOWN && !seen.has(HANDED_OUT | URGENT)
}

/// Returns what can be concluded from a read into `room` bytes that was tried in the state `seen` and returned
/// `count`.
pub(crate) fn after_read(seen: Snapshot, count: usize, room: usize) -> Conclusion {
    let is_bulk = room > MOST_CONCLUSIVE_ROOM || count > MOST_CONCLUSIVE_READ;
    if !conclusive(seen) || count == 0 || count >= room || is_bulk {
        Conclusion::Nothing
    } else if seen.has(ERROR | WRITE_CLOSED) {
        // A reset may follow the data, and no further event will report it.
        Conclusion::Nothing
    } else if seen.has(READ_CLOSED) {
        Conclusion::Ended
    } else {
        Conclusion::Exhausted
    }
}

/// Returns what can be concluded from a write of `length` bytes that was tried in the state `seen` and sent
/// `count`.
pub(crate) fn after_write(seen: Snapshot, count: usize, length: usize) -> Conclusion {
    if !conclusive(seen) || count >= length.min(MOST_IN_ONE_CALL) || seen.has(ERROR | WRITE_CLOSED)
    {
        Conclusion::Nothing
    } else {
        Conclusion::Exhausted
    }
}

/// Returns the range of buffers to pass to one call. It begins with the first buffer that is not empty,
/// and one call can use all of it. Returns `None` if all buffers are empty.
pub(crate) fn for_one_call<B: Deref<Target = [u8]>>(bufs: &[B]) -> Option<Range<usize>> {
    let first = bufs.iter().position(|buf| !buf.is_empty())?;
    Some(first..bufs.len().min(first + MOST_BUFFERS_IN_ONE_CALL))
}

/// Returns whether a socket that has become writable after `connect` is certainly connected.
pub(crate) fn surely_connected(seen: Snapshot) -> bool {
    // If the peer has closed already, the socket was connected.
    conclusive(seen) && !seen.has(ERROR | WRITE_CLOSED)
}

/// Returns whether an event has reported that the connection failed or ended in either direction.
pub(crate) fn is_closed(seen: Snapshot) -> bool {
    seen.has(ERROR | READ_CLOSED | WRITE_CLOSED)
}

/// Returns whether the next read would return 0, so that it can be skipped.
pub(crate) fn at_end(seen: Snapshot) -> bool {
    seen.has(ENDED) && !seen.has(HANDED_OUT)
}

#[cfg(unix)]
pub(crate) use std::os::fd::AsRawFd as AsRaw;
#[cfg(windows)]
pub(crate) use std::os::windows::io::AsRawSocket as AsRaw;

/// The descriptor of the queue is readable while the queue has events (`epoll(7)`, `kqueue(2)`).
#[cfg(unix)]
impl std::os::fd::AsFd for super::Reactor {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.registry.as_fd()
    }
}

/// Removes a descriptor from the event queue. Closing the descriptor would not remove it if other code
/// holds a duplicate.
#[cfg(unix)]
pub(super) fn deregister(registry: &mio::Registry, io: &impl AsRaw) {
    // This fails if the descriptor is no longer in the queue.
    let _gone = registry.deregister(&mut mio::unix::SourceFd(&io.as_raw_fd()));
}

/// Does nothing: on Windows, mio's sockets leave the queue when they are dropped.
#[cfg(windows)]
pub(super) fn deregister(_registry: &mio::Registry, _io: &impl AsRaw) {}

/// The kind of file behind a descriptor.
#[cfg_attr(
    windows,
    expect(dead_code, reason = "a descriptor is always a socket there")
)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FileKind {
    /// A socket of an unknown kind.
    Socket,
    /// A Unix socket.
    UnixSocket,
    /// A pipe, named or not.
    Pipe,
    /// A file.
    RegularFile,
    /// A directory.
    Directory,
    /// A disk, for example.
    BlockDevice,
    /// A terminal, for example.
    CharacterDevice,
    /// No known kind, or one that could not be determined.
    Other,
}

impl FileKind {
    /// Returns whether the file is certainly not a socket.
    pub(crate) fn is_not_a_socket(self) -> bool {
        !matches!(
            self,
            FileKind::Socket | FileKind::UnixSocket | FileKind::Other
        )
    }

    /// Returns whether the file is always ready, so that the operating system does not watch it.
    pub(crate) fn is_on_disk(self) -> bool {
        matches!(
            self,
            FileKind::RegularFile | FileKind::Directory | FileKind::BlockDevice
        )
    }
}

impl fmt::Display for FileKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            FileKind::Socket => "a socket",
            FileKind::UnixSocket => "a Unix socket",
            FileKind::Pipe => "a pipe",
            FileKind::RegularFile => "a regular file",
            FileKind::Directory => "a directory",
            FileKind::BlockDevice => "a block device",
            FileKind::CharacterDevice => "a character device",
            FileKind::Other => "a descriptor",
        })
    }
}

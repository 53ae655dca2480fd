//! The platform rules of the reactor: which syscalls can be saved, and when.
//!
//! On Linux, the result of an operation on a TCP socket and the event before it often determine the result of
//! the next operation. The rules hold for a socket that this crate created itself, whose
//! descriptor was never handed out (so that nobody has changed its options or put another socket in its
//! place), and that has received no urgent data (a read ends at the urgent mark). On every other descriptor and
//! every other platform, an operation is tried until it returns `WouldBlock`.
//!
//! | saved syscall | condition |
//! | --- | --- |
//! | a read that would return `WouldBlock` | the last read was short: the queue was empty then, and whatever arrives later causes an event (`epoll(7)`, edge-triggered) |
//! | a read that would return 0 | the last read was short, and the event before it reported that the peer had closed, but neither an error nor a closed write direction |
//! | a write that would return `WouldBlock` | the last write was short: the buffer was full, and new room causes an event |
//! | `getsockopt(SO_ERROR)` after a connect | the event reports neither an error nor a hang-up |
//! | the deregistration before a close | the descriptor has no duplicate, so closing it removes it from the queue |
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

/// The most that Linux moves in one call, whatever the length asked for (`MAX_RW_COUNT`,
/// `read(2)`). A transfer of this size says nothing about the queue.
const MOST_IN_ONE_CALL: usize = 0x7fff_f000;

/// The most buffers that Linux fills or empties in one call (`UIO_MAXIOV`, `readv(2)`). The rest
/// stays untouched, however much there is.
const MOST_BUFFERS_IN_ONE_CALL: usize = 1024;

/// What a successful operation says about the next one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lesson {
    /// Nothing: it has to be tried.
    Nothing,
    /// The next operation would block.
    Exhausted,
    /// The next read would return 0: everything that the peer sent has been read.
    Ended,
}

/// Returns the events for which sockets are registered.
pub(super) fn interest() -> Interest {
    let interest = Interest::READABLE.add(Interest::WRITABLE);
    #[cfg(any(target_os = "linux", target_os = "android"))]
    let interest = interest.add(Interest::PRIORITY);
    interest
}

/// Returns the bits of readiness that an event sets.
pub(super) fn bits_of(event: &Event) -> usize {
    // An operation has to fetch an error or the end of a direction, so these count as ready.
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

/// Returns whether the rules hold for this socket.
fn conclusive(seen: Snapshot) -> bool {
    KNOWN && !seen.has(HANDED_OUT | URGENT)
}

/// Returns what can be concluded from a read of `count` bytes into `room` bytes. `seen` is the readiness before
/// it.
pub(crate) fn after_read(seen: Snapshot, count: usize, room: usize) -> Lesson {
    if !conclusive(seen) || count == 0 || count >= room.min(MOST_IN_ONE_CALL) {
        Lesson::Nothing
    } else if seen.has(ERROR | WRITE_CLOSED) {
        // A reset may follow the data, and no other event will report it.
        Lesson::Nothing
    } else if seen.has(READ_CLOSED) {
        Lesson::Ended
    } else {
        Lesson::Exhausted
    }
}

/// Returns what can be concluded from a write of `count` of `length` bytes. `seen` is the readiness before it.
pub(crate) fn after_write(seen: Snapshot, count: usize, length: usize) -> Lesson {
    if !conclusive(seen) || count >= length.min(MOST_IN_ONE_CALL) || seen.has(ERROR | WRITE_CLOSED)
    {
        Lesson::Nothing
    } else {
        Lesson::Exhausted
    }
}

/// Returns which of these buffers to pass to one call, so that the call can use all of them: those from the first
/// that is not empty on. Returns `None` if all are empty.
pub(crate) fn for_one_call<B: Deref<Target = [u8]>>(bufs: &[B]) -> Option<Range<usize>> {
    let first = bufs.iter().position(|buf| !buf.is_empty())?;
    Some(first..bufs.len().min(first + MOST_BUFFERS_IN_ONE_CALL))
}

/// Returns whether a socket that has become writable after `connect` is known to be connected.
pub(crate) fn surely_connected(seen: Snapshot) -> bool {
    // If the peer has closed, the socket was connected.
    conclusive(seen) && !seen.has(ERROR | WRITE_CLOSED)
}

/// Returns whether an event reported that the connection has failed, or has ended in either direction.
pub(crate) fn is_closed(seen: Snapshot) -> bool {
    seen.has(ERROR | READ_CLOSED | WRITE_CLOSED)
}

/// Returns whether the next read is known to return 0.
pub(crate) fn at_end(seen: Snapshot) -> bool {
    seen.has(ENDED) && !seen.has(HANDED_OUT)
}

#[cfg(unix)]
pub(crate) use std::os::fd::AsRawFd as AsRaw;
#[cfg(windows)]
pub(crate) use std::os::windows::io::AsRawSocket as AsRaw;

/// Removes a descriptor that may have duplicates from the queue.
#[cfg(unix)]
pub(super) fn deregister(registry: &mio::Registry, io: &impl AsRaw) {
    // This fails if the descriptor is no longer in the queue, which is just as well.
    let _gone = registry.deregister(&mut mio::unix::SourceFd(&io.as_raw_fd()));
}

/// On Windows, mio removes a socket from the queue when the socket is dropped.
#[cfg(windows)]
pub(super) fn deregister(_registry: &mio::Registry, _io: &impl AsRaw) {}

/// What a descriptor refers to.
#[cfg_attr(windows, expect(dead_code, reason = "there it is always a socket"))]
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
    /// Something else, or `fstat(2)` failed.
    Other,
}

impl FileKind {
    /// Returns whether the descriptor is certainly not a socket.
    pub(crate) fn is_not_a_socket(self) -> bool {
        !matches!(
            self,
            FileKind::Socket | FileKind::UnixSocket | FileKind::Other
        )
    }

    /// Returns whether the descriptor is always ready, so that the operating system refuses to watch it.
    pub(super) fn is_on_disk(self) -> bool {
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

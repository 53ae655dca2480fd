//! What the platform lets us know without asking: the syscalls that can be spared, and when.
//!
//! On Linux a TCP socket tells, by what an operation moved and by the event that came before it,
//! what the next operation would say. These rules hold for a socket that this crate created
//! itself, whose descriptor nobody else has had in hand (so that nobody has changed its options or
//! put something else behind it), and to which no urgent data has come (a read ends short at the
//! urgent mark). Every other descriptor, and every other platform, is asked until it says
//! `WouldBlock`.
//!
//! | spared | when |
//! | --- | --- |
//! | a read that would say `WouldBlock` | the last read was short: the queue was empty then, and whatever comes later makes an event (`epoll(7)`, edge-triggered) |
//! | a read that would say 0 | the last read was short, and the event before it said that the peer had closed, without an error and without the other direction being closed |
//! | a write that would say `WouldBlock` | the last write was short: the buffer was full, and room makes an event |
//! | `getsockopt(SO_ERROR)` after a connect | the event bears neither an error nor a hang-up |
//! | the deregistration before a close | nobody else can have a duplicate of the descriptor, so closing it takes it out of the queue |
//!
//! This is the only file of the reactor that names platforms.

use super::readiness::{
    ENDED, ERROR, HANDED_OUT, READ_CLOSED, READABLE, Snapshot, URGENT, WRITABLE, WRITE_CLOSED,
};
use mio::Interest;
use mio::event::Event;
use std::fmt;
use std::ops::{Deref, Range};

/// Whether the rules hold at all.
const KNOWN: bool = cfg!(any(target_os = "linux", target_os = "android"));

/// The most that Linux moves in one call, whatever the length asked for (`MAX_RW_COUNT`,
/// `read(2)`). A transfer of this size says nothing about the queue.
const MOST_IN_ONE_CALL: usize = 0x7fff_f000;

/// The most buffers that Linux fills or empties in one call (`UIO_MAXIOV`, `readv(2)`). The rest
/// stays untouched, however much there is.
const MOST_BUFFERS_IN_ONE_CALL: usize = 1024;

/// What an operation that moved something has taught.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lesson {
    /// Nothing; ask again.
    Nothing,
    /// The next one would block.
    Exhausted,
    /// Everything that the peer sent has been read.
    Ended,
}

/// What the socket of a registration is told about.
pub(super) fn interest() -> Interest {
    let interest = Interest::READABLE.add(Interest::WRITABLE);
    #[cfg(any(target_os = "linux", target_os = "android"))]
    let interest = interest.add(Interest::PRIORITY);
    interest
}

/// The bits of readiness that an event brings.
pub(super) fn bits_of(event: &Event) -> usize {
    // An error and a closed direction have to be fetched by an operation, so they count as ready.
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

/// Whether anything may be concluded for this socket.
fn conclusive(seen: Snapshot) -> bool {
    KNOWN && !seen.has(HANDED_OUT | URGENT)
}

/// A read that is longer than this, or asks for more than [`MOST_CONCLUSIVE_ROOM`], teaches nothing by being
/// short: it belongs to a transfer of many bytes. While the kernel copies them, which takes microseconds, the
/// peer sends more, or closes. To try again costs a syscall. To wait for an event costs a turn of the loop,
/// during which the reader keeps its half-filled buffer and others fill theirs: fetching 50 bodies of a
/// mebibyte took 18,000 page faults instead of 700, and more than twice the time.
const MOST_CONCLUSIVE_READ: usize = 16 * 1024;

/// See [`MOST_CONCLUSIVE_READ`]. Fixed buffers, of readers that expect short messages, are rarely larger.
const MOST_CONCLUSIVE_ROOM: usize = 64 * 1024;

/// What a read into `room` bytes has taught, if it was tried under `seen` and brought `count`.
pub(crate) fn after_read(seen: Snapshot, count: usize, room: usize) -> Lesson {
    let is_bulk = room > MOST_CONCLUSIVE_ROOM || count > MOST_CONCLUSIVE_READ;
    if !conclusive(seen) || count == 0 || count >= room || is_bulk {
        Lesson::Nothing
    } else if seen.has(ERROR | WRITE_CLOSED) {
        // A reset may stand behind the data, and no further event will say so.
        Lesson::Nothing
    } else if seen.has(READ_CLOSED) {
        Lesson::Ended
    } else {
        Lesson::Exhausted
    }
}

/// What a write of `length` bytes has taught, if it was tried under `seen` and took `count`.
pub(crate) fn after_write(seen: Snapshot, count: usize, length: usize) -> Lesson {
    if !conclusive(seen) || count >= length.min(MOST_IN_ONE_CALL) || seen.has(ERROR | WRITE_CLOSED)
    {
        Lesson::Nothing
    } else {
        Lesson::Exhausted
    }
}

/// Which of these buffers to give to one call, so that their length is what it would fill: from
/// the first that is not empty on. `None`: there is no such buffer.
pub(crate) fn for_one_call<B: Deref<Target = [u8]>>(bufs: &[B]) -> Option<Range<usize>> {
    let first = bufs.iter().position(|buf| !buf.is_empty())?;
    Some(first..bufs.len().min(first + MOST_BUFFERS_IN_ONE_CALL))
}

/// Whether a socket that has become writable after `connect` is known to be connected.
pub(crate) fn surely_connected(seen: Snapshot) -> bool {
    // That the peer has closed already means that it was connected.
    conclusive(seen) && !seen.has(ERROR | WRITE_CLOSED)
}

/// Whether an event said that the connection has failed or ended, in whichever direction.
pub(crate) fn is_closed(seen: Snapshot) -> bool {
    seen.has(ERROR | READ_CLOSED | WRITE_CLOSED)
}

/// Whether reading has come to an end of which no read needs to tell.
pub(crate) fn at_end(seen: Snapshot) -> bool {
    seen.has(ENDED) && !seen.has(HANDED_OUT)
}

#[cfg(unix)]
pub(crate) use std::os::fd::AsRawFd as AsRaw;
#[cfg(windows)]
pub(crate) use std::os::windows::io::AsRawSocket as AsRaw;

/// Takes a descriptor that others may hold too out of the queue.
#[cfg(unix)]
pub(super) fn deregister(registry: &mio::Registry, io: &impl AsRaw) {
    // It fails if the descriptor is no longer in the queue, which is what was asked for.
    let _gone = registry.deregister(&mut mio::unix::SourceFd(&io.as_raw_fd()));
}

/// On Windows mio's sockets leave the queue when they are dropped.
#[cfg(windows)]
pub(super) fn deregister(_registry: &mio::Registry, _io: &impl AsRaw) {}

/// What a descriptor stands for.
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
    /// Something that is not a file, or that could not be asked.
    Other,
}

impl FileKind {
    /// Whether it is certain that it is not a socket.
    pub(crate) fn is_not_a_socket(self) -> bool {
        !matches!(
            self,
            FileKind::Socket | FileKind::UnixSocket | FileKind::Other
        )
    }

    /// Whether it is always ready, so that the operating system does not watch it.
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

//! [`Pipe`]: the path of a signal from its handler to a reader; and threads that act at each signal.

use super::SignalKind;
use crate::threads;
use signal_hook::SigId;
use signal_hook::consts::FORBIDDEN;
use signal_hook::low_level::{pipe, unregister};
use std::fmt;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::thread;

/// The size of the buffer of a read. Each byte stands for a signal, and few signals are pending at once.
const AT_ONCE: usize = 64;

/// A pipe into which the handler of a signal writes a byte for each signal. Dropping it unregisters the pipe.
pub(super) struct Pipe {
    /// The read end. The handler owns the write end, and drops the byte if the pipe is full: then the reader has
    /// earlier signals to see anyway.
    receiver: UnixStream,
    /// The signal.
    kind: SignalKind,
    /// Identifies the write end in the handler.
    id: SigId,
}

impl Pipe {
    /// Opens a pipe for a signal, in blocking mode.
    pub(super) fn open(kind: SignalKind) -> io::Result<Pipe> {
        let number = kind.as_raw();
        if FORBIDDEN.contains(&number) {
            let reason =
                format!("{kind} cannot be handled: it stops the process or reports a fault");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, reason));
        }
        let (receiver, sender) = UnixStream::pair()?;
        let id = pipe::register(number, sender)?;
        Ok(Pipe { receiver, kind, id })
    }

    /// Makes the pipe return `WouldBlock` instead of blocking.
    pub(super) fn set_nonblocking(&self) -> io::Result<()> {
        self.receiver.set_nonblocking(true)
    }

    /// Returns the signal.
    pub(super) fn kind(&self) -> SignalKind {
        self.kind
    }

    /// Blocks until there is a signal. Takes it, and others that have come before, though perhaps not all.
    pub(super) fn wait(&self) -> io::Result<()> {
        loop {
            match (&self.receiver).read(&mut [0; AT_ONCE]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // The handler keeps the other end open until this one is dropped.
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                result => return result.map(drop),
            }
        }
    }

    /// Takes all signals that have come, without blocking. Returns `WouldBlock` if there are none.
    pub(super) fn take(&self) -> io::Result<()> {
        self.wait()?;
        loop {
            match self.wait() {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }
}

/// Starts a thread that calls `act` at each signal, as long as it returns true.
pub(super) fn at_each(
    kind: SignalKind,
    thread: &str,
    act: impl Fn() -> bool + Send + 'static,
) -> io::Result<()> {
    let pipe = Pipe::open(kind)?;
    let name = String::from(thread);
    let waits = move || {
        let _rest = threads::rest();
        pipe.wait()
    };
    // A read of an open pipe does not fail.
    let work = move || while waits().is_ok() && act() {};
    thread::Builder::new().name(name).spawn(work)?;
    Ok(())
}

impl AsFd for Pipe {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.receiver.as_fd()
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        unregister(self.id);
    }
}

impl fmt::Debug for Pipe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.kind, f)
    }
}

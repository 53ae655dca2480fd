//! The reason why the reactor does not watch a descriptor that other code has created.
//!
//! A source keeps the reason, and every operation on the source fails with it. So it takes few bytes,
//! and becomes an `io::Error` only when an operation needs one.

use super::platform::FileKind;
use super::source::runtime_ended;
use std::io;

/// Why a descriptor is not registered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The descriptor is not a socket.
    NotASocket(FileKind),
    /// The operating system cannot poll it.
    NotPollable(FileKind),
    /// The operating system has refused it with this error number.
    Os(i32),
    /// The runtime has ended.
    RuntimeEnded,
}

impl Refusal {
    /// Returns the reason for a registration that failed with this error.
    pub(crate) fn new(error: &io::Error) -> Refusal {
        match error.raw_os_error() {
            Some(number) => Refusal::Os(number),
            None => Refusal::RuntimeEnded,
        }
    }

    /// Returns the error of every operation.
    #[cold]
    pub(crate) fn error(self) -> io::Error {
        match self {
            Refusal::NotASocket(kind) if !kind.is_on_disk() => unusable(kind, "it is not a socket"),
            Refusal::NotASocket(kind) | Refusal::NotPollable(kind) => {
                unusable(kind, "it cannot be polled")
            }
            Refusal::Os(number) => {
                let error = io::Error::from_raw_os_error(number);
                let text = format!("this socket could not be registered with the reactor: {error}");
                io::Error::new(error.kind(), text)
            }
            Refusal::RuntimeEnded => runtime_ended(),
        }
    }
}

/// Returns the error of a file of the wrong kind.
fn unusable(kind: FileKind, reason: &str) -> io::Error {
    let text = format!(
        "{kind} could not be registered with the reactor, since {reason}: read and write it with \
         `spawn_blocking`"
    );
    io::Error::new(io::ErrorKind::InvalidInput, text)
}

//! [`Refusal`]: the reason why the reactor does not watch a descriptor that other code has created.
//!
//! A source stores the reason, and every operation on the source returns it as an error. The reason is small, and is
//! converted to an `io::Error` only when an operation needs one.

use super::platform::FileKind;
use std::io;

/// The reason why a descriptor is not registered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The descriptor is not a socket, but can be polled.
    NotASocket(FileKind),
    /// The operating system cannot poll the descriptor.
    NotPollable(FileKind),
    /// The operating system has refused the descriptor with this error number.
    Os(i32),
    /// The runtime has ended.
    RuntimeEnded,
    /// The runtime is a simulated host, and the descriptor belongs to the operating system.
    #[cfg(feature = "sim")]
    OnHost,
}

impl Refusal {
    /// Returns the reason for a file of this kind, which is not a socket.
    pub(crate) fn of_kind(kind: FileKind) -> Refusal {
        match kind.is_on_disk() {
            true => Refusal::NotPollable(kind),
            false => Refusal::NotASocket(kind),
        }
    }

    /// Returns the reason for a registration that failed with this error.
    pub(crate) fn new(error: &io::Error) -> Refusal {
        match error.raw_os_error() {
            Some(number) => Refusal::Os(number),
            #[cfg(feature = "sim")]
            None if error.kind() == io::ErrorKind::Unsupported => Refusal::OnHost,
            None => Refusal::RuntimeEnded,
        }
    }

    /// Returns the error of every operation.
    #[cold]
    pub(crate) fn error(self) -> io::Error {
        match self {
            Refusal::NotASocket(kind) => {
                unusable(kind, "is not a socket", "`io::Async` or `spawn_blocking`")
            }
            Refusal::NotPollable(kind) => unusable(kind, "cannot be polled", "`spawn_blocking`"),
            Refusal::Os(number) => {
                let error = io::Error::from_raw_os_error(number);
                let text = format!("this socket could not be registered with the reactor: {error}");
                io::Error::new(error.kind(), text)
            }
            Refusal::RuntimeEnded => runtime_ended(),
            #[cfg(feature = "sim")]
            Refusal::OnHost => super::host::real_descriptor(),
        }
    }
}

/// Returns the error of a file of the wrong kind, with what to use instead.
fn unusable(kind: FileKind, reason: &str, instead: &str) -> io::Error {
    let text = format!(
        "{kind} could not be registered with the reactor, because it {reason}: read and write it with {instead}"
    );
    io::Error::new(io::ErrorKind::InvalidInput, text)
}

/// Returns the error of every operation on a socket that has outlived its runtime.
pub(crate) fn runtime_ended() -> io::Error {
    io::Error::other("the runtime of this socket has ended")
}

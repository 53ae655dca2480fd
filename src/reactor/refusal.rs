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
    /// The descriptor belongs to the operating system, and the runtime is a host of a simulation.
    NotSimulated,
    /// The runtime has ended.
    RuntimeEnded,
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
            None if error.kind() == io::ErrorKind::Unsupported => Refusal::NotSimulated,
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
            Refusal::NotSimulated => not_simulated(),
            Refusal::RuntimeEnded => runtime_ended(),
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

/// Returns the error of a simulated host for a descriptor of the operating system. No other error of a registration
/// has this kind and no error number.
pub(crate) fn not_simulated() -> io::Error {
    io::Error::new(
        io::ErrorKind::Unsupported,
        "a simulated host has simulated sockets only: create them with `TcpStream::connect`, `TcpListener::bind` and \
         `UdpSocket::bind`, because Unix sockets, `io::Async` and sockets adopted from `std` belong to the operating \
         system",
    )
}

/// Returns the error of every operation on a socket that has outlived its runtime.
pub(crate) fn runtime_ended() -> io::Error {
    io::Error::other("the runtime of this socket has ended")
}

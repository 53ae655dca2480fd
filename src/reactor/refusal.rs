//! Why the reactor does not watch a descriptor that comes from outside, in words and in few bytes: a
//! source keeps the reason for all the operations that fail because of it.

use super::platform::FileKind;
use super::source::runtime_ended;
use std::io;

/// The reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// It is not a socket.
    NotASocket(FileKind),
    /// The operating system refused it, with this number.
    Os(i32),
    /// The runtime has ended.
    RuntimeEnded,
}

impl Refusal {
    /// The reason that a failed registration gives.
    pub(crate) fn new(error: &io::Error) -> Refusal {
        match error.raw_os_error() {
            Some(number) => Refusal::Os(number),
            None => Refusal::RuntimeEnded,
        }
    }

    /// The error that says so.
    #[cold]
    pub(crate) fn error(self) -> io::Error {
        match self {
            Refusal::NotASocket(kind) => {
                let reason = match kind.is_on_disk() {
                    true => "it cannot be polled",
                    false => "it is not a socket",
                };
                let text = format!(
                    "{kind} could not be registered with the reactor, since {reason}: read and write \
                     it with `spawn_blocking`"
                );
                io::Error::new(io::ErrorKind::InvalidInput, text)
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

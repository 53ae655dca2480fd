//! [`Failure`]: the errors of simulated sockets, which read like those of Linux.

use std::io;

/// Why an operation failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// The operation would block (`EAGAIN`).
    WouldBlock,
    /// Nobody listens at the address (`ECONNREFUSED`).
    Refused,
    /// The peer has reset the connection (`ECONNRESET`).
    Reset,
    /// Nothing more can be sent (`EPIPE`).
    BrokenPipe,
    /// The peer has not answered for too long (`ETIMEDOUT`).
    TimedOut,
    /// The socket is not connected (`ENOTCONN`).
    NotConnected,
    /// Another socket has the address (`EADDRINUSE`).
    AddrInUse,
    /// The host does not have the address, or has no port left (`EADDRNOTAVAIL`).
    AddrNotAvailable,
    /// No route leads to the address (`ENETUNREACH`).
    NetworkUnreachable,
    /// No host has the address (`EHOSTUNREACH`).
    HostUnreachable,
    /// The host has no power, so its sockets are gone (`ENETDOWN`).
    NetworkDown,
    /// The datagram is longer than UDP allows (`EMSGSIZE`).
    MessageSize,
    /// A destination is required (`EDESTADDRREQ`).
    NoDestination,
    /// The address is of the other family (`EAFNOSUPPORT`).
    Family,
    /// The argument makes no sense (`EINVAL`).
    Invalid,
}

impl Failure {
    /// Returns the number of the error on Linux, and its kind.
    fn number_and_kind(self) -> (i32, io::ErrorKind) {
        match self {
            Failure::WouldBlock => (11, io::ErrorKind::WouldBlock),
            Failure::Refused => (111, io::ErrorKind::ConnectionRefused),
            Failure::Reset => (104, io::ErrorKind::ConnectionReset),
            Failure::BrokenPipe => (32, io::ErrorKind::BrokenPipe),
            Failure::TimedOut => (110, io::ErrorKind::TimedOut),
            Failure::NotConnected => (107, io::ErrorKind::NotConnected),
            Failure::AddrInUse => (98, io::ErrorKind::AddrInUse),
            Failure::AddrNotAvailable => (99, io::ErrorKind::AddrNotAvailable),
            Failure::NetworkUnreachable => (101, io::ErrorKind::NetworkUnreachable),
            Failure::HostUnreachable => (113, io::ErrorKind::HostUnreachable),
            Failure::NetworkDown => (100, io::ErrorKind::NetworkDown),
            Failure::MessageSize => (90, io::ErrorKind::Other),
            Failure::NoDestination => (89, io::ErrorKind::Other),
            Failure::Family => (97, io::ErrorKind::Other),
            Failure::Invalid => (22, io::ErrorKind::InvalidInput),
        }
    }
}

impl From<Failure> for io::Error {
    fn from(failure: Failure) -> io::Error {
        let (number, kind) = failure.number_and_kind();
        let error = io::Error::from_raw_os_error(number);
        // The numbers are those of Linux. Where they mean something else, the kind has to do.
        if error.kind() == kind || (kind == io::ErrorKind::Other && numbers_are_those_of_linux()) {
            error
        } else {
            kind.into()
        }
    }
}

/// Returns whether the operating system numbers its errors as Linux does.
fn numbers_are_those_of_linux() -> bool {
    let (number, kind) = Failure::Refused.number_and_kind();
    io::Error::from_raw_os_error(number).kind() == kind
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_has_its_kind_everywhere() {
        for failure in [
            Failure::WouldBlock,
            Failure::Refused,
            Failure::Reset,
            Failure::BrokenPipe,
            Failure::TimedOut,
            Failure::NotConnected,
            Failure::AddrInUse,
            Failure::AddrNotAvailable,
            Failure::NetworkUnreachable,
            Failure::HostUnreachable,
            Failure::NetworkDown,
            Failure::Invalid,
        ] {
            let (_, kind) = failure.number_and_kind();
            assert_eq!(io::Error::from(failure).kind(), kind);
        }
    }
}

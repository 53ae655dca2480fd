//! Conversions of sockets from and to the types of `std`, file descriptors and handles.
//!
//! A foreign descriptor may not be what its type says, so this module inspects it before registering it. Once other
//! code has access to a descriptor, the shortcuts of `reactor/platform.rs` no longer apply to it.
//!
//! Each type of socket invokes [`std_conversions`] in its own file. `descriptor.rs` and `handle_windows.rs` invoke
//! [`os_conversions`] for all of them.

use super::socket::Socket;
use crate::context;
use crate::event_loop::Shared;
use crate::foreign::swallow_panics;
use crate::reactor::Io;
use crate::reactor::platform::{AsRaw, FileKind};
use crate::reactor::refusal::Refusal;
use crate::reactor::source::{InitialState, Source};
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

/// A descriptor that can be inspected.
pub(crate) trait Inspect {
    /// Returns the kind of file behind the descriptor.
    fn kind(&self) -> FileKind;

    /// Gets the value of `TCP_NODELAY`, an option that only TCP sockets have.
    fn nodelay(&self) -> io::Result<bool>;
}

impl<S: AsRaw + mio::event::Source + Io + Inspect + 'static> Socket<S> {
    /// Adopts a socket into the runtime of this thread, where no error can be returned: if the socket cannot
    /// be registered, every operation on it fails with the reason. `addr` is the result of the socket's
    /// `local_addr`.
    #[track_caller]
    pub(super) fn adopt<A>(io: S, addr: &io::Result<A>) -> Socket<S> {
        let shared = context::shared();
        let source = match register(&shared, io, addr) {
            Ok(source) => source,
            Err((io, refusal)) => {
                // The logger is foreign code, and the caller may not expect a panic.
                swallow_panics(
                    || log::error!(target: "glassfrog::net", "{io:?}: {}", refusal.error()),
                );
                Arc::new(Source::refused(io, refusal))
            }
        };
        Socket { source, shared }
    }

    /// Adopts a socket into the runtime of this thread. If it cannot be registered, it is closed.
    #[track_caller]
    pub(super) fn try_adopt<A>(io: S, addr: &io::Result<A>) -> io::Result<Socket<S>> {
        let shared = context::shared();
        match register(&shared, io, addr) {
            Ok(source) => Ok(Socket { source, shared }),
            Err((_closed, refusal)) => Err(refusal.error()),
        }
    }
}

/// Registers a descriptor from elsewhere. If that fails, returns the descriptor with the reason.
fn register<S, A>(
    shared: &Shared,
    io: S,
    addr: &io::Result<A>,
) -> Result<Arc<Source<S>>, (S, Refusal)>
where
    S: AsRaw + mio::event::Source + Io + Inspect + 'static,
{
    // A descriptor with a socket address is a socket and needs no further inspection.
    if addr.is_err() {
        let kind = io.kind();
        if kind.is_not_a_socket() {
            return Err((io, Refusal::of_kind(kind)));
        }
    }
    let registered = shared
        .sources
        .register(io, InitialState::Adopted, shared.current_opener());
    registered.map_err(|(io, error)| (io, Refusal::new(&error)))
}

/// Describes a descriptor that does not support `TCP_NODELAY`. Returns `None` if it is a TCP socket, or may
/// be one.
pub(super) fn describe_non_tcp(
    io: &impl Inspect,
    nodelay: &io::Result<bool>,
    addr: &io::Result<SocketAddr>,
) -> Option<String> {
    let error = nodelay.as_ref().err()?;
    // Some systems return these errors for a TCP connection that has been closed.
    let may_be_closed = matches!(
        error.kind(),
        io::ErrorKind::InvalidInput | io::ErrorKind::NotConnected | io::ErrorKind::ConnectionReset
    );
    if may_be_closed && addr.is_ok() {
        return None;
    }
    match (io.kind(), addr) {
        // It is closed, or cannot be inspected.
        (FileKind::Other, _) => None,
        (FileKind::Socket, Ok(addr)) => Some(format!("a socket {addr} (not TCP)")),
        (kind, _) => Some(format!("{kind} (not TCP)")),
    }
}

/// Logs the error of `set_nonblocking` where it cannot be returned. Such a socket cannot be registered
/// either, so every operation on it fails.
pub(super) fn log_if_blocking(io: &impl fmt::Debug, set_nonblocking: io::Result<()>) {
    if let Err(error) = set_nonblocking {
        swallow_panics(|| {
            log::error!(target: "glassfrog::net", "cannot make {io:?} non-blocking: {error}");
        });
    }
}

/// Implements the conversions of a socket from and to a type of `std`. `$wrap` makes the type that the reactor
/// registers, and `$unwrap` converts it back. Attributes at the end hold the errors of the latter, if it may fail.
///
/// The socket has a constructor `new` that takes a registered [`Socket`], and a field `socket`.
macro_rules! std_conversions {
    ($Socket:ident, $Std:ty, $wrap:expr) => {
        $crate::net::adopt::std_conversions!($Socket, $Std, $wrap, |io| std::io::Result::Ok(<$Std>::from(io)));
    };
    ($Socket:ident, $Std:ty, $wrap:expr, $unwrap:expr $(, $(#[$errors:meta])+)?) => {
        impl $Socket {
            /// Adopts a socket where no error can be returned.
            #[track_caller]
            pub(in crate::net) fn adopt(io: $Std) -> $Socket {
                $crate::net::adopt::log_if_blocking(&io, io.set_nonblocking(true));
                let addr = io.local_addr();
                let io = $wrap(io);
                $Socket::new($crate::net::socket::Socket::adopt(io, &addr))
            }
        }

        /// Adopts a socket into the runtime of this thread, and makes it non-blocking.
        ///
        /// # Errors
        ///
        /// Returns an error if the reactor cannot register the descriptor. The kind is `InvalidInput` if it is not a
        /// socket. Read and write pipes and terminals with `io::Async`, and files with
        /// [`spawn_blocking`](crate::task::spawn_blocking).
        ///
        /// # Panics
        ///
        /// Panics outside a runtime.
        impl TryFrom<$Std> for $Socket {
            type Error = std::io::Error;

            #[track_caller]
            fn try_from(io: $Std) -> std::io::Result<$Socket> {
                io.set_nonblocking(true)?;
                let addr = io.local_addr();
                let io = $wrap(io);
                let socket = $crate::net::socket::Socket::try_adopt(io, &addr)?;
                Ok($Socket::new(socket))
            }
        }

        /// Removes a socket from its runtime, and puts it back into blocking mode. If that fails, the socket is
        /// closed.
        $(
            ///
            /// # Errors
            ///
            $(#[$errors])+
        )?
        impl TryFrom<$Socket> for $Std {
            type Error = std::io::Error;

            fn try_from(socket: $Socket) -> std::io::Result<$Std> {
                let unwrap = $unwrap;
                let io: $Std = unwrap(socket.socket.into_io()?)?;
                io.set_nonblocking(false)?;
                Ok(io)
            }
        }
    };
}

/// Implements the conversions of sockets from and to the operating system's descriptors or handles.
///
/// The first line has the traits, methods and types of the operating system. The types of sockets follow, each
/// with a field `socket` of the type [`Socket`], and then the generic types of halves, each with a field `stream`.
macro_rules! os_conversions {
    (
        $As:ident::$as:ident -> $Borrowed:ident, $AsRaw:ident::$as_raw:ident -> $Raw:ident, $Owned:ident;
        $($(#[$docs:meta])* $Socket:ident),+;
        $($Half:ident),+
    ) => {
        $(
        /// Other code may use the descriptor from now on, so the socket makes [a few more system
        /// calls](crate::net#other-system-calls).
        ///
        /// To make a system call on the descriptor when the socket is ready, use `read_with`, `write_with` or the
        /// other methods that end in `_with`. Only these methods see that the call has returned `WouldBlock`, so a
        /// loop that calls `readable` and makes the call directly spins.
        impl $As for $Socket {
            fn $as(&self) -> $Borrowed<'_> {
                self.socket.hand_out().$as()
            }
        }

        impl $AsRaw for $Socket {
            fn $as_raw(&self) -> $Raw {
                self.$as().$as_raw()
            }
        }

        /// Adopts a socket into the runtime of this thread.
        ///
        /// If the reactor cannot register the socket, the runtime logs the error, and every operation returns it. To
        /// get the error at once, use the `TryFrom` conversion from the type of `std`.
        $(#[$docs])*
        ///
        /// # Panics
        ///
        /// Panics outside a runtime.
        impl From<$Owned> for $Socket {
            #[track_caller]
            fn from(owned: $Owned) -> $Socket {
                $Socket::adopt(owned.into())
            }
        }
        )+
        $(
        impl<S: $As> $As for $Half<S> {
            fn $as(&self) -> $Borrowed<'_> {
                self.stream.$as()
            }
        }

        impl<S: $AsRaw> $AsRaw for $Half<S> {
            fn $as_raw(&self) -> $Raw {
                self.stream.$as_raw()
            }
        }
        )+
    };
}

pub(super) use {os_conversions, std_conversions};

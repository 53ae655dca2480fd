//! [`Signal`]: a listener for a signal.

use super::pipe::Pipe;
use crate::context;
use crate::net::socket::Socket;
use crate::reactor::Io;
use crate::reactor::proc_net::Connecting;
use crate::reactor::readiness::Direction;
use crate::reactor::source::InitialState;
use crate::reactor::watched::Watched;
use crate::timeline::signals;
use futures_core::Stream;
use signal_hook::consts;
use signal_hook::low_level::signal_name;
use std::ffi::c_int;
use std::fmt;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

/// A signal, by its number.
///
/// A `SignalKind` converts from a number, so you can pass the constants of `libc` and `signal-hook`.
///
/// # Examples
///
/// ```
/// use glassfrog::signal::SignalKind;
///
/// assert_eq!(SignalKind::terminate(), SignalKind::from(15));
/// assert_eq!(SignalKind::terminate().to_string(), "SIGTERM");
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SignalKind(c_int);

/// Defines the functions that return a kind.
macro_rules! kinds {
    ($($name:ident, $NUMBER:ident, $what:literal;)+) => {
        impl SignalKind {
            $(
                #[doc = concat!("Returns `", stringify!($NUMBER), "`: ", $what, ".")]
                pub const fn $name() -> SignalKind {
                    SignalKind(consts::$NUMBER)
                }
            )+
        }
    };
}

kinds! {
    alarm, SIGALRM, "a timer of `alarm(2)` has expired";
    child, SIGCHLD, "a child process has stopped, continued or exited";
    hangup, SIGHUP, "the terminal was closed; daemons reload their configuration";
    interrupt, SIGINT, "the user has pressed Ctrl-C";
    pipe, SIGPIPE, "the process has written to a pipe or socket without a reader";
    quit, SIGQUIT, "the user has pressed Ctrl-\\\\";
    terminate, SIGTERM, "`kill` or a supervisor asks the process to exit";
    user_defined1, SIGUSR1, "the program defines its meaning";
    user_defined2, SIGUSR2, "the program defines its meaning";
    window_change, SIGWINCH, "the size of the terminal has changed";
}

impl SignalKind {
    /// Returns the number of the signal.
    ///
    /// # Examples
    ///
    /// ```
    /// assert_eq!(glassfrog::signal::SignalKind::interrupt().as_raw(), 2);
    /// ```
    pub const fn as_raw(self) -> c_int {
        self.0
    }
}

impl From<c_int> for SignalKind {
    fn from(number: c_int) -> SignalKind {
        SignalKind(number)
    }
}

impl fmt::Display for SignalKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match signal_name(self.0) {
            Some(name) => f.write_str(name),
            None => write!(f, "signal {}", self.0),
        }
    }
}

impl fmt::Debug for SignalKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Creates a listener for a signal.
///
/// The listener receives the signals that arrive after this call. Several listeners may listen for the same signal,
/// and each receives it. See the [module](super) for what happens after the last one is dropped.
///
/// # Errors
///
/// The kind is `InvalidInput` if the process cannot handle the signal: `SIGKILL`, `SIGSTOP`, the faults `SIGILL`,
/// `SIGFPE` and `SIGSEGV`, and numbers that are not signals. Also returns an error if the process has no descriptors
/// left for a pipe.
///
/// # Panics
///
/// Panics outside a runtime.
///
/// # Examples
///
#[cfg_attr(feature = "prelude", doc = "```no_run")]
#[cfg_attr(not(feature = "prelude"), doc = "```ignore")]
/// use glassfrog::prelude::*;
/// use glassfrog::signal::{SignalKind, signal};
///
/// glassfrog::block_on(async {
///     let mut hangups = signal(SignalKind::hangup())?;
///     while let Some(hangup) = hangups.next().await {
///         hangup?;
///         println!("reloading the configuration");
///     }
///     std::io::Result::Ok(())
/// })?;
/// # std::io::Result::Ok(())
/// ```
#[track_caller]
pub fn signal(kind: impl Into<SignalKind>) -> io::Result<Signal> {
    let shared = context::shared();
    let kind = kind.into();
    signals::leave_to_program(kind.as_raw());
    let pipe = Pipe::open(kind)?;
    pipe.set_nonblocking()?;
    let socket = Socket::new(shared, Watched::new(pipe), InitialState::Adopted)?;
    Ok(Signal { socket })
}

/// Waits for `SIGINT`, which a terminal sends for Ctrl-C.
///
/// The function starts listening when it is called, not at the first poll, so the future misses no Ctrl-C after the
/// call. Once the future is complete or dropped, Ctrl-C does *not* terminate the process; see the [module](super). To
/// let a second Ctrl-C terminate a program that is slow to exit, call the function again and await it concurrently
/// with the clean-up.
///
/// # Errors
///
/// Returns an error if the process has no descriptors left for a pipe, or if the runtime has ended.
///
/// # Panics
///
/// Panics outside a runtime.
///
/// # Examples
///
#[cfg_attr(feature = "prelude", doc = "```no_run")]
#[cfg_attr(not(feature = "prelude"), doc = "```ignore")]
/// use glassfrog::prelude::*;
/// use glassfrog::signal::ctrl_c;
/// # async fn serve() -> std::io::Result<()> { std::future::pending().await }
///
/// glassfrog::block_on(async {
///     serve().or(ctrl_c()).await?;
///     println!("bye");
///     std::io::Result::Ok(())
/// })?;
/// # std::io::Result::Ok(())
/// ```
#[track_caller]
#[must_use = "futures do nothing unless you `.await` or poll them"]
pub fn ctrl_c() -> impl Future<Output = io::Result<()>> + Send + Sync {
    let interrupts = signal(SignalKind::interrupt());
    async move { interrupts?.recv().await }
}

/// A listener for a signal, created by [`signal`]. It is also a stream, which never ends.
///
/// # Examples
///
/// See [`signal`].
pub struct Signal {
    /// The pipe from the handler of the signal.
    socket: Socket<Watched<Pipe>>,
}

impl Signal {
    /// Waits for the signal. Returns at once if it has arrived since this method or the stream last returned.
    ///
    /// # Errors
    ///
    /// Returns an error only if the runtime has ended.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future before it is ready loses no signal.
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::signal::{SignalKind, signal};
    ///
    /// glassfrog::block_on(async {
    ///     let usr2 = signal(SignalKind::user_defined2())?;
    ///     let id = std::process::id().to_string();
    ///     std::process::Command::new("kill").args(["-USR2", &id]).status()?;
    ///     usr2.recv().await
    /// })?;
    /// # std::io::Result::Ok(())
    /// ```
    pub async fn recv(&self) -> io::Result<()> {
        let pipe = self.socket.op_with(Direction::Read, |pipe| pipe.take());
        pipe.await
    }
}

impl Stream for Signal {
    type Item = io::Result<()>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let taken = self
            .socket
            .poll_op_with(Direction::Read, cx, |pipe| pipe.take());
        taken.map(Some)
    }
}

impl fmt::Debug for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = self.socket.io().kind();
        f.debug_tuple("Signal").field(&kind).finish()
    }
}

impl Io for Watched<Pipe> {
    fn describe(&self, _direction: Direction, _connecting: &Connecting) -> String {
        self.kind().to_string()
    }
}

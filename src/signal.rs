//! Unix signals: waiting for Ctrl-C and other signals, a dump on `SIGUSR1`, and a timeline on `SIGUSR2`. Requires the
//! feature `signal`.
//!
//! ```
//! use glassfrog::signal::{SignalKind, ctrl_c, signal};
//!
//! glassfrog::block_on(async {
//!     let interrupted = ctrl_c();
//!     let terminate = signal(SignalKind::terminate())?;
//!     // …
//!     # drop((interrupted, terminate));
//!     std::io::Result::Ok(())
//! })?;
//! # std::io::Result::Ok(())
//! ```
//!
//! The handler of a signal writes a byte into a pipe for each listener, and the reactor watches the pipes. Listeners
//! therefore need no threads, and work in every runtime of the process, including those of
//! [`Workers`](crate::Workers). Every listener receives the signal.
//!
//! # The default action does not come back
//!
//! The first listener for a signal replaces its default action for the lifetime of the process. After the last
//! listener is dropped, the process ignores the signal: Ctrl-C no longer terminates it. Keep a listener for as long
//! as the program runs, and exit when it returns.
//!
//! # Several signals become one
//!
//! Signals are not queued: if a signal is sent again while it is pending, the kernel delivers it only once
//! (`signal(7)`). Likewise, a listener returns once for all signals since it last returned. Do not count signals.
//! After `SIGCHLD`, for example, reap every child that has exited.

mod dump;
mod listen;
mod pipe;
#[cfg(feature = "timeline")]
mod timeline;

pub use self::dump::dump_on_sigusr1;
pub use self::listen::{Signal, SignalKind, ctrl_c, signal};
#[cfg(feature = "timeline")]
pub use self::timeline::timeline_on_sigusr2;

//! Unix signals: waiting for Ctrl-C and other signals, and a dump on `SIGUSR1`. Requires the feature `signal`.
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
//! The handler of a signal writes a byte into a pipe for each listener, and the reactor watches the pipes. So there
//! are no threads, and listeners work in every runtime of the process, such as each of the
//! [`Workers`](crate::Workers). Each listener receives the signal.
//!
//! # The default action does not come back
//!
//! The first listener for a signal replaces its default action, for the rest of the life of the process. Once the
//! last listener is dropped, the process ignores the signal: Ctrl-C then no longer ends it. Keep a
//! listener while the program runs, and exit in response to it.
//!
//! # Several signals become one
//!
//! Signals are no queue: if a signal is sent again before the process has handled it, the kernel delivers it
//! once (`signal(7)`). Likewise, a listener returns once for all signals since it last returned. A
//! program must therefore not count signals, and after `SIGCHLD`, for example, has to look for all
//! children that have ended.

mod dump;
mod listen;
mod pipe;

pub use self::dump::dump_on_sigusr1;
pub use self::listen::{Signal, SignalKind, ctrl_c, signal};

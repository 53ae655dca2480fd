//! [`dump_on_sigusr1`]: a dump whenever the process receives `SIGUSR1`.

use super::SignalKind;
use super::pipe::at_each;
use crate::context;
use crate::handle;
use std::io::{self, Write};

/// Prints a dump of this thread's runtime whenever the process receives `SIGUSR1`.
///
/// The [`Dump`](crate::Dump), in which similar tasks share a line, goes to the standard error stream. Send the signal with
/// `kill -USR1 PID`. A separate thread waits for the signal, so the dump works even if a task blocks the loop, and names
/// that task. The thread exits at the first signal after the end of the runtime. If you call this function several
/// times, each signal prints one dump per call.
///
/// # Errors
///
/// Returns an error if the operating system cannot start a thread, or has no descriptors left for a pipe.
///
/// # Panics
///
/// Panics outside a runtime.
///
/// # Examples
///
/// ```
/// glassfrog::block_on(async {
///     glassfrog::signal::dump_on_sigusr1()?;
///     // …
///     std::io::Result::Ok(())
/// })?;
/// # std::io::Result::Ok(())
/// ```
#[track_caller]
pub fn dump_on_sigusr1() -> io::Result<()> {
    // Not a `Handle`: while there is a handle, the deadlock detector assumes that it may still wake a task.
    let shared = context::shared();
    at_each(SignalKind::user_defined1(), "glassfrog-dump", move || {
        let dump = handle::dump(&shared);
        // The standard error stream may be closed.
        let _closed = write!(io::stderr(), "{dump}");
        !shared.inbox.is_closed()
    })
}

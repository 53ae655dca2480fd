//! Handling Unix signals: a dump on `SIGUSR1`. Requires the feature `signal`.

use crate::context;
use crate::handle;
use signal_hook::consts::SIGUSR1;
use signal_hook::iterator::Signals;
use std::io::{self, Write};
use std::thread;

/// Prints what every task of this thread's runtime waits for whenever the process receives `SIGUSR1`.
///
/// The [`Dump`](crate::Dump) goes to the standard error stream; send the signal with `kill -USR1 PID`. A thread
/// of its own waits for the signal, so the dump also works while a task blocks the loop, and then names that
/// task. The thread exits at the first signal after the end of the runtime. If this function is called
/// repeatedly, each signal prints as many dumps.
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
    // Not a `Handle`: the deadlock detection counts handles as something that may still wake a task.
    let shared = context::shared();
    let mut signals = Signals::new([SIGUSR1])?;
    let name = String::from("glassfrog-dump");
    thread::Builder::new().name(name).spawn(move || {
        for _signal in signals.forever() {
            let dump = handle::dump(&shared);
            // The standard error stream may be closed.
            let _closed = write!(io::stderr(), "{dump}");
            if shared.inbox.is_closed() {
                break;
            }
        }
    })?;
    Ok(())
}

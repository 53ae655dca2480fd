//! Signals of the operating system, with the feature `signal`, on Unix.

use crate::context;
use crate::handle;
use signal_hook::consts::SIGUSR1;
use signal_hook::iterator::Signals;
use std::io::{self, Write};
use std::sync::Arc;
use std::thread;

/// Prints what every task of this thread's runtime waits for to the standard error stream, whenever
/// the process gets the signal `SIGUSR1`: `kill -USR1 PID`. See [`Dump`](crate::Dump).
///
/// A thread waits for the signal, up to the first that comes after the end of the runtime. So a loop
/// that a task blocks is told of too. Called twice, it prints twice.
///
/// # Errors
///
/// If the operating system has no thread, or no descriptors for the pipe by which the signal is
/// passed on.
///
/// # Panics
///
/// Outside a runtime.
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
    // Not a `Handle`, which would count as somebody who may wake a task.
    let shared = Arc::clone(&context::current().shared);
    let mut signals = Signals::new([SIGUSR1])?;
    let name = String::from("glassfrog-dump");
    thread::Builder::new().name(name).spawn(move || {
        for _signal in signals.forever() {
            let dump = handle::dump(&shared);
            // Nobody may read what is printed.
            let _unread = write!(io::stderr(), "{dump}");
            if shared.inbox.is_closed() {
                break;
            }
        }
    })?;
    Ok(())
}

//! The signals that ask the program to exit: `SIGINT`, which Ctrl-C sends, and `SIGTERM`.
//!
//! The first signal ends the run, which then prints its report. A second signal exits the process at once,
//! in case the output blocks.

use std::io;

/// A signal that asks the program to exit.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Signal {
    /// The name of the signal.
    pub(crate) name: &'static str,
    /// The exit code of a program that the signal has ended: 128 plus its number, by the convention of shells.
    pub(crate) code: u8,
}

/// Listens for the first signal. At the second signal, a thread calls `last` and exits the process.
///
/// The thread has a runtime of its own: while the output blocks, so does the loop of the first runtime. The
/// listeners of both receive every signal.
#[cfg(unix)]
pub(crate) fn first(
    last: impl FnOnce() + Send + 'static,
) -> io::Result<impl Future<Output = io::Result<Signal>>> {
    use std::sync::mpsc;
    use std::{process, thread};

    use crate::screen::complain;

    let signals = unix::Signals::new()?;
    let (listening, is_listening) = mpsc::channel();
    let second = async move {
        let signals = unix::Signals::new()?;
        let _waited_for = listening.send(());
        signals.next().await?;
        let signal = signals.next().await?;
        last();
        process::exit(signal.code.into())
    };
    let name = String::from("signals");
    thread::Builder::new().name(name).spawn(move || {
        let watched: io::Result<()> = glassfrog::block_on(second);
        if let Err(error) = watched {
            complain(&format!("waiting for a second signal: {error}"));
        }
    })?;
    // Until the thread has its descriptors: the fetches share what is left. If it cannot listen, it has said so.
    let _failed = is_listening.recv();
    Ok(async move { signals.next().await })
}

/// Returns a future that never completes: on other systems, the default action of such a signal ends the program.
#[cfg(not(unix))]
pub(crate) fn first(
    _last: impl FnOnce() + Send + 'static,
) -> io::Result<impl Future<Output = io::Result<Signal>>> {
    Ok(std::future::pending())
}

/// The listeners.
#[cfg(unix)]
mod unix {
    use std::io;

    use glassfrog::prelude::*;
    use glassfrog::signal::{self, SignalKind};

    use super::Signal;

    /// Listeners for both signals.
    pub(super) struct Signals {
        /// The listener for `SIGINT`.
        interrupt: signal::Signal,
        /// The listener for `SIGTERM`.
        terminate: signal::Signal,
    }

    impl Signals {
        /// Begins to listen.
        pub(super) fn new() -> io::Result<Signals> {
            Ok(Signals {
                interrupt: signal::signal(SignalKind::interrupt())?,
                terminate: signal::signal(SignalKind::terminate())?,
            })
        }

        /// Waits for the next signal.
        pub(super) async fn next(&self) -> io::Result<Signal> {
            let interrupted = async {
                self.interrupt.recv().await?;
                Ok(Signal {
                    name: "SIGINT",
                    code: 130,
                })
            };
            let terminated = async {
                self.terminate.recv().await?;
                Ok(Signal {
                    name: "SIGTERM",
                    code: 143,
                })
            };
            interrupted.or(terminated).await
        }
    }
}

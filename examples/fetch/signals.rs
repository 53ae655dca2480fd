//! The signals that ask the program to exit: `SIGINT`, which Ctrl-C sends, and `SIGTERM`.
//!
//! The first signal ends the run, which then prints its report. A second signal exits the process at once,
//! in case the output blocks.

/// A signal that asks the program to exit.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Signal {
    /// The name of the signal.
    pub(crate) name: &'static str,
    /// The exit code of a program that the signal has ended: 128 plus its number, by the convention of shells.
    pub(crate) code: u8,
}

/// Returns a future that waits for the first signal. At the second signal, a thread calls `last` and exits
/// the process.
#[cfg(unix)]
pub(crate) fn first(
    last: impl FnOnce() + Send + 'static,
) -> std::io::Result<impl Future<Output = Signal>> {
    use std::{process, thread};

    use futures_channel::oneshot;
    use signal_hook::consts::{SIGINT, SIGTERM};
    use signal_hook::iterator::Signals;

    let mut signals = Signals::new([SIGINT, SIGTERM])?;
    let (sender, first) = oneshot::channel();
    let name = String::from("signals");
    thread::Builder::new().name(name).spawn(move || {
        let mut signals = signals.forever().map(|signal| match signal {
            SIGINT => Signal {
                name: "SIGINT",
                code: 130,
            },
            _ => Signal {
                name: "SIGTERM",
                code: 143,
            },
        });
        if let Some(signal) = signals.next() {
            let _over_already = sender.send(signal);
        }
        if let Some(signal) = signals.next() {
            last();
            process::exit(signal.code.into());
        }
    })?;
    Ok(async {
        match first.await {
            Ok(signal) => signal,
            Err(_) => std::future::pending().await,
        }
    })
}

/// Returns a future that never completes: on other systems, the default action of such a signal ends the program.
#[cfg(not(unix))]
pub(crate) fn first(
    _last: impl FnOnce() + Send + 'static,
) -> std::io::Result<impl Future<Output = Signal>> {
    Ok(std::future::pending())
}

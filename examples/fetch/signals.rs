//! The signals that ask the program to end: `SIGINT`, which Ctrl-C sends, and `SIGTERM`.
//!
//! The first one ends the run, which then reports what it has done. A second one ends the program at
//! once, in case the report cannot be printed because nobody reads it.

/// A signal that asked the program to end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Signal {
    /// What it is called.
    pub(crate) name: &'static str,
    /// The exit code of a program that it has ended: 128 and its number, as shells say it.
    pub(crate) code: u8,
}

/// Returns a future that waits for the first signal. A thread calls `last` at the second, and then
/// ends the program.
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

/// On other systems such a signal ends the program by itself.
#[cfg(not(unix))]
pub(crate) fn first(
    _last: impl FnOnce() + Send + 'static,
) -> std::io::Result<impl Future<Output = Signal>> {
    Ok(std::future::pending())
}

//! SIGINT and SIGTERM, which write the timelines that `GLASSFROG_TIMELINE` asks for before they end the program. Requires
//! the feature `signal`, and is empty without it (`no_signals.rs`).
//!
//! A thread waits for the signals, writes the files, and then gives the signal its default action. It leaves a signal alone
//! that the program handled or ignored when the first runtime was built, or to which it has listened with `glassfrog::signal`
//! since.

use super::output::write_all;
use crate::primitives::{AtomicU64, Mutex, Ordering, lock};
use crate::threads;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::low_level::{emulate_default_handler, pipe};
use std::ffi::c_int;
use std::fs;
use std::io::{self, Read};
use std::os::unix::net::UnixStream;
use std::sync::Once;
use std::thread;

/// The signals.
const SIGNALS: [c_int; 2] = [SIGINT, SIGTERM];

/// The signals to which the program has listened, as bits. Relaxed is enough, because they guard no memory.
static LISTENED: AtomicU64 = AtomicU64::new(0);

/// Held while a file is written because of a signal, so that the process ends when both files of two signals are whole.
static ENDING: Mutex<()> = Mutex::new(());

/// Notes that the program listens to a signal itself.
pub(crate) fn leave_to_program(signal: c_int) {
    LISTENED.fetch_or(bit(signal), Ordering::Relaxed);
}

/// Starts a thread for each signal that would end the program. A second call does nothing.
pub(super) fn watch() {
    static STARTED: Once = Once::new();
    STARTED.call_once(|| {
        let taken = taken();
        for signal in SIGNALS
            .into_iter()
            .filter(|signal| taken & bit(*signal) == 0)
        {
            // Without descriptors or threads, the signal does what it did before.
            let _unwatched = start(signal);
        }
    });
}

/// Starts the thread for a signal.
fn start(signal: c_int) -> io::Result<()> {
    let (mut receiver, sender) = UnixStream::pair()?;
    let name = String::from("glassfrog-timeline");
    let waits = move || {
        let mut byte = [0];
        loop {
            let rest = threads::rest();
            let read = receiver.read(&mut byte);
            drop(rest);
            match read {
                Ok(1..) if LISTENED.load(Ordering::Relaxed) & bit(signal) == 0 => break,
                Ok(1..) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // The handler keeps the other end open, so this does not happen.
                Ok(0) | Err(_) => return,
            }
        }
        let _ending = lock(&ENDING);
        write_all();
        // Ends the process.
        let _refused = emulate_default_handler(signal);
    };
    thread::Builder::new().name(name).spawn(waits)?;
    // The thread comes first: without it, the handler would keep the signal from its default action.
    pipe::register(signal, sender)?;
    Ok(())
}

/// Returns the signals that the process handles or ignores, as bits, where the system tells them (`proc(5)`).
fn taken() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let masks = status.lines().filter_map(|line| {
        let masks = ["SigCgt:", "SigIgn:"];
        let mask = masks.iter().find_map(|name| line.strip_prefix(name))?;
        u64::from_str_radix(mask.trim(), 16).ok()
    });
    masks.fold(0, |taken, mask| taken | mask) | LISTENED.load(Ordering::Relaxed)
}

/// Returns the bit of a signal.
fn bit(signal: c_int) -> u64 {
    let place = u32::try_from(signal - 1).unwrap_or(u32::MAX);
    1_u64.checked_shl(place).unwrap_or(0)
}

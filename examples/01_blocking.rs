//! Step 1 of 4: a blocking socket.
//!
//! `fetch_data` reads like a recipe: it connects, sends, receives until the peer closes, and returns the
//! text. Each of these calls *blocks*: the kernel puts the thread to sleep, and the thread can do nothing
//! else until the peer responds.
//!
//! **What it costs.** It takes hardly any CPU time, and six lines of code. But a thread performs one fetch
//! at a time: five fetches take five times as long, although the CPU is idle throughout. One thread per
//! fetch would take less time, but each connection would need a stack and a place in the scheduler. A
//! sleeping thread also cannot watch the clock: see `in_time`.
//!
//! ```text
//! cargo run --example 01_blocking                      # against a small embedded server
//! cargo run --example 01_blocking -- 127.0.0.1:8000    # against your own server
//! ```

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{self, ExitCode};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;

mod common;

fn main() -> ExitCode {
    common::run(|address| {
        common::report("one fetch", || Ok(vec![in_time(address)?]))?;
        common::report("five fetches, one after the other", || {
            (0..5).map(|_| in_time(address)).collect()
        })
    })
}

/// Fetches `/` and returns the whole response.
fn fetch_data(address: SocketAddr) -> io::Result<String> {
    let mut stream = TcpStream::connect(address)?;
    stream.write_all(common::REQUEST)?;
    let mut response = Vec::with_capacity(4096);
    // One byte more than the limit, so that `text` can tell "just fits" from "too long".
    let mut stream = stream.take(common::MAX_RESPONSE as u64 + 1);
    stream.read_to_end(&mut response)?;
    common::text(response)
}

/// Performs a fetch, and exits the process if the fetch takes too long.
///
/// The thread that fetches sleeps in the kernel, so a second thread has to watch the clock. The second
/// thread cannot wake the first; it can only exit the process. (The read timeout of a socket does not
/// help against a peer that sends a byte now and then, because it restarts with each byte.)
fn in_time(address: SocketAddr) -> io::Result<String> {
    let (done, fetch) = mpsc::channel::<()>();
    thread::spawn(move || {
        if fetch.recv_timeout(common::DEADLINE) == Err(RecvTimeoutError::Timeout) {
            eprintln!("error: fetching from {address}: {}", common::too_late());
            process::exit(1);
        }
    });
    let response = fetch_data(address);
    drop(done);
    response
}

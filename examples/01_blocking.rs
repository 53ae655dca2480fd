//! Step 1 of 4: a blocking socket.
//!
//! `fetch_data` reads like what it does: connect, send, receive until the peer closes, return the
//! text. Each of these calls *blocks*: the kernel puts the thread to sleep, and nothing else can
//! happen on that thread until the peer moves.
//!
//! **What it costs.** Hardly any CPU, and six lines of code. But one thread does one fetch: five
//! of them take five times as long, although the CPU has nothing to do all that time. A thread for
//! each would bring the time down, at the price of a stack and a place in the scheduler for every
//! connection. And a sleeping thread cannot look at the clock: see `in_time`.
//!
//! ```text
//! cargo run --example 01_blocking                      # against a small embedded server
//! cargo run --example 01_blocking -- 127.0.0.1:8000    # against a server of yours
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
    // One byte more than is allowed, so that `text` can tell "just fits" from "too long".
    let mut stream = stream.take(common::MAX_RESPONSE as u64 + 1);
    stream.read_to_end(&mut response)?;
    common::text(response)
}

/// Fetches, and ends the whole process if that takes too long.
///
/// The thread that fetches is asleep in the kernel, so it takes a second one to watch the clock,
/// and that one cannot wake the first; all it can do is to end both. (A socket's own read timeout
/// is no help against a peer that sends a byte now and then: it starts anew with each.)
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

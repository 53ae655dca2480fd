//! Step 2 of 4: a non-blocking socket, by hand.
//!
//! A non-blocking socket never puts the thread to sleep. A call that cannot proceed returns
//! `WouldBlock` at once, which is not a failure but means "not yet". The thread stays in control and
//! could do something else in the meantime. But it does not learn *when* to try again, so this step tries
//! continuously.
//!
//! **What changed since step 1.** Every call is wrapped in `Retry::until_ready`. A `write` may accept
//! only a part and a `read` may return only a part, so both need a loop. The program has to ask
//! repeatedly whether the connection is established. In return, the deadline is simple: a thread that
//! never sleeps can watch the clock.
//!
//! **What it costs.** It takes a whole CPU, for a single fetch that does nothing but wait. The program prints
//! the number of wasted polls, which reaches hundreds of thousands. (A short sleep between two polls would
//! save CPU time and add delay. The goal is to sleep *exactly until* the socket is ready: step 3.)
//!
//! ```text
//! cargo run --example 02_nonblocking
//! cargo run --example 02_nonblocking -- 127.0.0.1:8000
//! ```

use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Instant;

// Why not `std::net::TcpStream`? It can become non-blocking only once it is connected, and connecting
// may block for minutes. The socket of mio is non-blocking from the start, and knows how each platform
// reports a connection in progress. The selector of mio stays unused until step 3.
use mio::net::TcpStream;

mod common;

fn main() -> ExitCode {
    common::run(|address| {
        let mut retry = Retry {
            deadline: Instant::now() + common::DEADLINE,
            wasted_polls: 0,
        };
        common::report("one fetch", || Ok(vec![fetch_data(address, &mut retry)?]))?;
        println!("  wasted polls: {}", retry.wasted_polls);
        Ok(())
    })
}

/// Fetches `/` and returns the whole response.
fn fetch_data(address: SocketAddr, retry: &mut Retry) -> io::Result<String> {
    let mut stream = TcpStream::connect(address)?;
    retry.until_ready(|| connected(&stream))?;

    let mut unsent = common::REQUEST;
    while !unsent.is_empty() {
        let sent = retry.until_ready(|| stream.write(unsent))?;
        unsent = &unsent[sent..];
    }

    let mut response = Vec::new();
    let mut buffer = [0; 4096];
    while response.len() <= common::MAX_RESPONSE {
        let received = retry.until_ready(|| stream.read(&mut buffer))?;
        if received == 0 {
            break;
        }
        response.extend_from_slice(&buffer[..received]);
    }
    common::text(response)
}

/// A busy loop.
struct Retry {
    /// The time at which to give up.
    deadline: Instant,
    /// The number of attempts that came too early.
    wasted_polls: u64,
}

impl Retry {
    /// Repeats the attempt until it returns something other than `WouldBlock`.
    fn until_ready<T>(&mut self, mut attempt: impl FnMut() -> io::Result<T>) -> io::Result<T> {
        while Instant::now() < self.deadline {
            match attempt() {
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.wasted_polls += 1,
                outcome => return outcome,
            }
        }
        Err(common::too_late())
    }
}

/// Checks whether the connection is established: yes, not yet (`WouldBlock`), or no (any other error).
fn connected(stream: &TcpStream) -> io::Result<()> {
    // The kernel stores the error of a failed connection in the socket (`SO_ERROR`). Without an error,
    // the socket is connected or still connecting, and only a connected socket has a peer.
    if let Some(error) = stream.take_error()? {
        return Err(error);
    }
    match stream.peer_addr() {
        Err(error) if error.kind() == ErrorKind::NotConnected => Err(ErrorKind::WouldBlock.into()),
        peer => peer.map(drop),
    }
}

//! Step 2 of 4: a non-blocking socket, by hand.
//!
//! A non-blocking socket never puts the thread to sleep. When a call cannot go on it returns at
//! once with `WouldBlock`: not an error, only "not yet". So the thread stays ours, and could do
//! something else meanwhile. But nobody tells us *when* to come back, so this step just asks again
//! and again.
//!
//! **What changed against step 1.** Every call is wrapped in `Retry::until_ready`, `write` may take
//! only a part and `read` may bring only a part, so both need a loop of their own, and connecting
//! has become a question that is asked until it has an answer. In return the deadline is simple:
//! a thread that never sleeps can look at the clock.
//!
//! **What it costs.** A whole CPU, for a single fetch that does nothing but wait. The number of
//! wasted polls is printed: it goes into the hundreds of thousands. (Sleeping a little between two
//! polls would save CPU and add delay. What we want is to sleep *exactly until* the socket is
//! ready: step 3.)
//!
//! ```text
//! cargo run --example 02_nonblocking
//! cargo run --example 02_nonblocking -- 127.0.0.1:8000
//! ```

use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Instant;

// Why not `std::net::TcpStream`? It can be made non-blocking only once it is connected, and the
// connect itself may block for minutes. mio's socket is non-blocking from the start, and knows how
// each platform says "connect in progress". Its selector stays unused until step 3.
use mio::net::TcpStream;

mod common;

fn main() -> ExitCode {
    common::run(|address| {
        let mut retry = Retry {
            deadline: Instant::now() + common::DEADLINE,
            wasted_polls: 0,
        };
        common::report("one fetch", || Ok(vec![fetch_data(address, &mut retry)?]))?;
        println!("  polls that were wasted: {}", retry.wasted_polls);
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

/// The busy loop.
struct Retry {
    /// When to give up.
    deadline: Instant,
    /// How many attempts came too early.
    wasted_polls: u64,
}

impl Retry {
    /// Makes the attempt again and again until it is something else than `WouldBlock`.
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

/// Whether the connect is through: yes, not yet (`WouldBlock`), or no (any other error).
fn connected(stream: &TcpStream) -> io::Result<()> {
    // The outcome of a connect in the background is left with the socket (`SO_ERROR`). No error
    // there means "connected" or "still trying", and only a connected socket has a peer.
    if let Some(error) = stream.take_error()? {
        return Err(error);
    }
    match stream.peer_addr() {
        Err(error) if error.kind() == ErrorKind::NotConnected => Err(ErrorKind::WouldBlock.into()),
        peer => peer.map(drop),
    }
}

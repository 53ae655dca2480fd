//! Step 4 of 4: `async`, on glassfrog.
//!
//! `fetch_data` is the same as in step 1, line by line, with `.await` where step 1 blocks. Yet it behaves
//! like step 3. From the `async fn`, the compiler builds the state machine that step 3 writes by hand:
//! `.await` corresponds to `Yield`, and `Future::poll` to `resume`. glassfrog is the scheduler: `block_on`
//! corresponds to `run`, and several calls of `spawn` correspond to `run_all`.
//!
//! **What changed since step 3.** The struct, the states and the scheduler are gone. The runtime
//! registers a socket once, for both directions. A read or write that would block leaves a waker with
//! the reactor, which calls the waker when the kernel reports the socket as ready. An error stays with
//! the task that it belongs to. Any future can be given a deadline from outside:
//! `timeout(limit, fetch_data(..))`.
//!
//! **What it costs.** The program contains a runtime. The time, the CPU time and the single thread are
//! those of step 3; the number of lines is that of step 1.
//!
//! ```text
//! cargo run --example 04_async
//! cargo run --example 04_async -- 127.0.0.1:8000
//! ```

use std::io;
use std::net::SocketAddr;
use std::process::ExitCode;

use glassfrog::net::TcpStream;
use glassfrog::prelude::*;
use glassfrog::time::timeout;

mod common;

fn main() -> ExitCode {
    common::run(|address| {
        common::report("one fetch", || {
            Ok(vec![glassfrog::block_on(in_time(address))?])
        })?;
        common::report("five fetches at once", || {
            glassfrog::block_on(async {
                // All five have started before the first is awaited.
                let fetches: Vec<_> = (0..5).map(|_| glassfrog::spawn(in_time(address))).collect();
                let mut responses = Vec::new();
                for fetch in fetches {
                    responses.push(fetch.await??);
                }
                Ok(responses)
            })
        })
    })
}

/// Fetches `/` and returns the whole response.
async fn fetch_data(address: SocketAddr) -> io::Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(common::REQUEST).await?;
    let mut response = Vec::with_capacity(4096);
    // One byte more than the limit, so that `text` can tell "just fits" from "too long".
    let mut stream = stream.take(common::MAX_RESPONSE as u64 + 1);
    stream.read_to_end(&mut response).await?;
    common::text(response)
}

/// Fetches with a deadline. When the deadline passes, the fetch is dropped at its current `.await`, which
/// closes its socket.
async fn in_time(address: SocketAddr) -> io::Result<String> {
    timeout(common::DEADLINE, fetch_data(address))
        .await
        .unwrap_or_else(|_| Err(common::too_late()))
}

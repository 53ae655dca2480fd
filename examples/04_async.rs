//! Step 4 of 4: `async`, on glassfrog.
//!
//! Look at `fetch_data`: it is step 1 again, line by line, with `.await` where step 1 would block.
//! Yet it behaves like step 3. From the `async fn` the compiler builds the state machine that we
//! wrote by hand there: `.await` is its `yield`, `Future::poll` is its `resume`. And glassfrog is
//! the scheduler: `block_on` is `run`, and a number of `spawn`s is `run_all`.
//!
//! **What changed against step 3.** The struct, the states and the scheduler are gone from the
//! program. A socket is registered once, for both directions, and never again; a read or write that
//! would block leaves a waker behind, and the reactor calls it when the kernel reports the socket
//! ready. Errors stay with the task they belong to, and a deadline can be put around any future,
//! from outside: `timeout(limit, fetch_data(..))`.
//!
//! **What it costs.** A runtime in the program. The time, the CPU and the number of threads (one)
//! are those of step 3; the lines are those of step 1.
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
                // All five are under way before the first is waited for.
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
    // One byte more than is allowed, so that `text` can tell "just fits" from "too long".
    let mut stream = stream.take(common::MAX_RESPONSE as u64 + 1);
    stream.read_to_end(&mut response).await?;
    common::text(response)
}

/// Puts the deadline around a fetch. When it passes, the fetch is dropped where it stands, and its
/// socket is closed.
async fn in_time(address: SocketAddr) -> io::Result<String> {
    timeout(common::DEADLINE, fetch_data(address))
        .await
        .unwrap_or_else(|_| Err(common::too_late()))
}

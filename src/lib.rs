//! A small async runtime that you can see through.
//!
//! One thread, one loop: an executor that polls futures from a run queue, a reactor on [`mio`] that
//! wakes them when their sockets are ready, and timers. No `unsafe` code, few dependencies, and
//! little enough of it to be read in an afternoon.
//!
#![cfg_attr(feature = "prelude", doc = "```")]
#![cfg_attr(not(feature = "prelude"), doc = "```ignore")]
//! use glassfrog::net::TcpStream;
//! use glassfrog::prelude::*;
//! use std::io;
//! use std::net::SocketAddr;
//!
//! async fn fetch_data(addr: SocketAddr) -> io::Result<String> {
//!     let mut stream = TcpStream::connect(addr).await?;
//!     stream.write_all(b"GET / HTTP/1.0\r\n\r\n").await?;
//!     let mut text = Vec::with_capacity(4096);
//!     stream.read_to_end(&mut text).await?;
//!     String::from_utf8(text).map_err(io::Error::other)
//! }
//!
//! # let server = std::net::TcpListener::bind("127.0.0.1:0")?;
//! # let addr = server.local_addr()?;
//! # std::thread::spawn(move || {
//! #     for stream in server.incoming() {
//! #         let mut stream = stream.unwrap();
//! #         std::io::Read::read(&mut stream, &mut [0; 64]).unwrap();
//! #         std::io::Write::write_all(&mut stream, b"HTTP/1.0 200 OK\r\n\r\nhello").unwrap();
//! #     }
//! # });
//! glassfrog::block_on(async {
//!     // Five at once, on this thread.
//!     let fetches: Vec<_> = (0..5).map(|_| glassfrog::spawn(fetch_data(addr))).collect();
//!     for fetch in fetches {
//!         println!("{} bytes", fetch.await??.len());
//!     }
//!     io::Result::Ok(())
//! })?;
//! # io::Result::Ok(())
//! ```
//!
//! # From a blocking socket to an event-driven coroutine
//!
//! `fetch_data` sends a request and reads until the peer closes. Written with blocking sockets it
//! leaves the CPU idle and the thread stuck. An article that goes *from a blocking socket to an
//! event-driven coroutine* in Python, from which this crate grew, goes on to
//! non-blocking sockets, to a generator that yields what it waits for, and to a scheduler that
//! resumes it when the kernel says so. Here is where each step went:
//!
//! | in the article | here |
//! | --- | --- |
//! | the blocking `fetch_data` | `examples/01_blocking.rs` |
//! | non-blocking, `except BlockingIOError` | `examples/02_nonblocking.rs` |
//! | `yield sock, EVENT_READ` to a scheduler on `selectors` | `examples/03_selector.rs`, by hand on bare mio |
//! | the generator | an `async fn`: a [`TcpStream`](net::TcpStream) that hits `WouldBlock` leaves its waker with the reactor and returns `Poll::Pending` |
//! | `sel.register`, `sel.select`, `sel.unregister` | the reactor: a socket is registered once, edge-triggered, and never unregistered between waits |
//! | `next(gen)`, `StopIteration` | `Future::poll`, `Poll::Ready` |
//! | `run(fetch_data)` | [`block_on(fetch_data())`](block_on) |
//! | `run_all([fetch_data] * 5)` | [`spawn`] each, await the [`JoinHandle`](task::JoinHandle)s |
//! | a timer | [`time::sleep`], [`time::timeout`], [`time::interval`] |
//!
//! # What is where
//!
//! - [`block_on`], or a [`Runtime`] where several calls are to share tasks and sockets;
//! - [`spawn`] and [`task`]: tasks that need not be `Send`; a [`Handle`] spawns from other threads;
//! - [`net`]: TCP, with the traits of `futures-io`, `Send + Sync`, convertible from and to `std`;
//! - [`task::scope`]: children that borrow from their parent; [`task::JoinSet`];
//! - [`task::spawn_blocking`]: what blocks, on a thread where it may;
//! - [`Workers`]: one runtime a thread, to use all cores;
//! - [`time`]: [`sleep`](time::sleep), [`timeout`](time::timeout), [`interval`](time::interval); and
//!   for tests a clock that stands still ([`Builder::virtual_clock`]) and tasks that run in a
//!   random order ([`Builder::seed`]);
//! - `prelude`: the extension traits of `futures-lite` (`read_to_end`, `write_all`, `next`, …), with
//!   the feature of that name, which is on by default;
//! - [`Handle::dump`] and [`task::dump`]: what every task waits for; [`Handle::metrics`];
//!   [`Builder::watchdog`] and [`Builder::on_deadlock`];
//! - `signal`, with the feature of that name: `SIGUSR1` prints the dump;
//! - `main` and `test`: the attributes `#[glassfrog::main]` and `#[glassfrog::test]`, with the feature
//!   `macros`, which is not.
//!
//! What glassfrog is not: a pool that moves tasks between threads ([`Workers`] runs one runtime a thread), an
//! io_uring runtime (those make fewer syscalls than readiness can), a home
//! for channels and locks (`async-channel`, `async-lock` and `futures` work as they are), an HTTP
//! library.
//!
//! # Reading the source
//!
//! The modules stand in layers, from what a user calls down to what it is made of. Each line of this
//! picture knows those under it and none above it:
//!
//! ```text
//!    test_runs  signal  workers  runtime        what a user calls
//!    handle  net  time  task
//!         context                               which runtime this thread is in
//!         event_loop                            THE loop; owns one of each below
//!    executor  reactor  timers  pool            four engines that do not know one another
//!    dump  metrics                              what they tell of themselves
//!    clock  waiter  foreign  slab  primitives   what they are made of
//! ```
//!
//! The `mod` lines of this file stand in the order of reading: begin with `event_loop.rs`, which is the
//! loop and no more, go down to `executor.rs` and `reactor.rs`, and come back up to
//! `net/tcp/stream.rs`.
//!
//! [`mio`]: https://docs.rs/mio

#![forbid(unsafe_code)]

mod event_loop;
mod executor;
mod reactor;
mod timers;
mod pool;
mod context;
pub mod net;
pub mod time;
pub mod task;
mod handle;
mod runtime;
#[cfg(feature = "macros")]
mod test_runs;
mod workers;
#[cfg(all(unix, feature = "signal"))]
pub mod signal;
mod dump;
mod metrics;
mod clock;
mod waiter;
mod foreign;
mod slab;
mod primitives;

pub use self::dump::Dump;
pub use self::event_loop::deadlock::OnDeadlock;
pub use self::executor::OnTaskPanic;
pub use self::handle::Handle;
pub use self::metrics::Metrics;
pub use self::runtime::{Builder, Runtime, block_on};
pub use self::task::spawn;
pub use self::workers::{WorkerError, Workers};

/// What the attributes expand to. It is public for that alone, and may change in any version.
#[doc(hidden)]
#[cfg(feature = "macros")]
pub mod __private {
    pub use crate::test_runs::Test;
}

#[doc(inline)]
#[cfg(feature = "macros")]
pub use glassfrog_macros::{main, test};

/// The extension traits of `futures-lite`, all at hand: `read_to_end`, `write_all`, `lines`,
/// `next`, …
///
/// Beside the prelude of the `futures` crate, which has methods of the same names, leave one of the
/// two out.
///
/// # Examples
///
/// ```
/// use glassfrog::prelude::*;
///
/// glassfrog::block_on(async {
///     let mut text = String::new();
///     (&b"any reader"[..]).read_to_string(&mut text).await?;
///     assert_eq!(text, "any reader");
///     std::io::Result::Ok(())
/// })?;
/// # std::io::Result::Ok(())
/// ```
#[cfg(feature = "prelude")]
pub mod prelude {
    #[doc(no_inline)]
    pub use futures_lite::{
        AsyncBufReadExt, AsyncReadExt, AsyncSeekExt, AsyncWriteExt, FutureExt, StreamExt,
    };
}

/// Buffers and other helpers of `futures-lite` for what reads and writes.
///
/// # Examples
///
/// ```
/// use glassfrog::io::BufReader;
/// use glassfrog::prelude::*;
///
/// glassfrog::block_on(async {
///     let mut lines = BufReader::new(&b"any\nreader"[..]).lines();
///     assert_eq!(lines.next().await.unwrap()?, "any");
///     assert_eq!(lines.next().await.unwrap()?, "reader");
///     assert!(lines.next().await.is_none());
///     std::io::Result::Ok(())
/// })?;
/// # std::io::Result::Ok(())
/// ```
#[cfg(feature = "prelude")]
pub mod io {
    #[doc(no_inline)]
    pub use futures_lite::io::{
        AsyncBufRead, AsyncRead, AsyncSeek, AsyncWrite, BufReader, BufWriter, Cursor, copy,
    };
}

/// Compiles and runs the code of the README.
#[cfg(all(doctest, feature = "prelude"))]
#[doc = include_str!("../README.md")]
struct Readme;

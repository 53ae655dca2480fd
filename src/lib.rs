//! A small async runtime that you can see through.
//!
//! glassfrog runs futures on one thread: an executor polls tasks from a run queue, a reactor on [mio] wakes
//! them when their sockets are ready, and a timer wheel wakes them when their deadlines pass. It contains
//! no `unsafe` code.
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
//!     // Five fetches at once, on this thread.
//!     let fetches: Vec<_> = (0..5).map(|_| glassfrog::spawn(fetch_data(addr))).collect();
//!     for fetch in fetches {
//!         println!("{} bytes", fetch.await??.len());
//!     }
//!     io::Result::Ok(())
//! })?;
//! # io::Result::Ok(())
//! ```
//!
//! # Overview
//!
//! To run futures:
//!
//! - [`block_on`] runs a future to completion. A [`Runtime`] does so more than once, and keeps its tasks
//!   and sockets between the calls. A [`Builder`] configures one.
//! - [`spawn`] and the module [`task`] run futures concurrently. The futures need not be `Send`. A
//!   [`Handle`] spawns from other threads.
//! - [`task::scope`] runs child futures that may borrow from their parent. [`task::JoinSet`] holds a
//!   group of tasks.
//! - [`task::spawn_blocking`] runs blocking code on other threads.
//! - [`Handle::enter`] and [`Handle::block_on`] use a runtime on other threads. [`Runtime::turn`] runs one
//!   inside a foreign loop, such as that of a GUI.
//! - [`Workers`] runs one runtime per thread, to use all cores.
//!
//! To wait for the outside world:
//!
//! - [`net`] contains TCP, UDP and Unix sockets, and name resolution. The sockets are `Send` and `Sync`, implement the
//!   traits of `futures-io`, and convert to and from those of [`std::net`].
//! - [`time`] contains [`sleep`](time::sleep), [`timeout`](time::timeout) and
//!   [`interval`](time::interval).
//! - [`io`] copies between two streams, and contains the standard streams and `Async`, which makes any pollable
//!   descriptor of Unix asynchronous. With the feature `prelude`, it contains the buffers of `futures-lite`, and
//!   `prelude` the extension traits (`read_to_end`, `write_all`, `next`, ...).
//! - The module `signal` waits for Ctrl-C and other signals of Unix. It requires the feature `signal`.
//! - The module `sim` runs several hosts, with a network and a time of their own, in one deterministic test. It requires the
//!   feature `sim`.
//! - The module `hyper` serves HTTP, with hyper or axum. It requires the feature `hyper-serve`, or `hyper` for clients.
//!
//! To share and to send (feature `sync`): `sync` contains locks, semaphores, channels, notifications and cancellation
//! tokens. A dump shows which tasks hold what another task waits for.
//!
//! To see what happens:
//!
//! - [`task::dump`], [`Handle::dump`] and [`Workers::dump`] show what every task is waiting for. As text, similar
//!   tasks share a line. The module [`dump`] contains the parts of a dump, on which a test can assert. With the
//!   feature `signal`, a process can print a dump when it receives `SIGUSR1`.
//! - [`task::waiting_for`] gives a wait a name, which a dump shows. [`Builder::trace_waits`] lets a dump show the chain
//!   of async functions that began each wait.
//! - [`Handle::timeline`] returns what the loop did lately: a page to look at, a trace for Perfetto, and the list of the
//!   tasks that started late, each with the one that held it up. `GLASSFROG_TIMELINE=run.html` writes the page without a
//!   change to the program. See the module [`timeline`].
//! - [`Handle::metrics`] returns counters and times.
//! - [`Builder::watchdog`] reports polls that block the thread. [`Builder::on_deadlock`] and
//!   [`Builder::stall_report`] report certain and possible deadlocks, and circles of tasks that wait for one another. The
//!   runtime also reports a task that [spins](task#spinning).
//!
//! To test:
//!
//! - [`Builder::virtual_clock`] stops time while any task can run, so tests of long waits finish at once.
//! - [`Builder::seed`] polls the ready tasks in a random order, which the seed reproduces.
//! - `#[glassfrog::test]` offers both as settings of a test. A test that hangs fails at its time limit, and lists
//!   what every task is waiting for.
//! - The module `sim` runs a distributed program as several hosts in one test, on a simulated network that fails as the seed
//!   of the test says. It requires the feature `sim`.
//!
//! The module [`guide`] lists the names of tokio, smol and asyncio beside those of glassfrog, and shows how
//! to select, how to cancel, and how to share state. The module [`guide::tokio_crates`] shows how to use
//! crates that need tokio, and the module `guide::simulation` how to test a distributed program.
//!
//! # Feature flags
//!
//! | feature | default | what it adds | additional crates |
//! | --- | --- | --- | --- |
//! | `prelude` | yes | the module `prelude` and the buffers in `io`, from `futures-lite` | 3 |
//! | `timeline` | yes | the module `timeline` and `GLASSFROG_TIMELINE`: a picture of what a runtime did | none |
//! | `macros` | no | the attributes `#[glassfrog::main]` and `#[glassfrog::test]` | 1 |
//! | `signal` | no | on Unix, the module `signal` | 3 |
//! | `sim` | no | the module `sim`: simulated hosts, for tests | none |
//! | `sync` | no | the module `sync`: locks, channels and notifications | 8 |
//! | `hyper` | no | the module `hyper`: what hyper needs of a runtime | 6 |
//! | `hyper-serve` | no | `hyper`, and its server of HTTP/1 and HTTP/2 | 24 |
//!
//! Without features, a program compiles eight crates for glassfrog, itself included. Features only add
//! items; they never change how other items behave, except that `timeline` obeys the variable `GLASSFROG_TIMELINE`, and that
//! `sim` makes a round trip over a real socket about 2 % slower.
//!
//! # Limitations
//!
//! glassfrog does not move tasks between threads and does not use io_uring. The crates `async-channel`, `async-lock` and
//! `futures` work without an adapter.
//!
//! # From a blocking socket to an event-driven coroutine
//!
//! Written with blocking sockets, `fetch_data` leaves the CPU idle and the thread blocked until the peer
//! answers. This crate grew from an article that solves the problem in Python, step by step: with
//! non-blocking sockets, with a generator that yields what it waits for, and with a scheduler that resumes
//! the generator when the kernel reports an event. Each step has its counterpart here:
//!
//! | the article | glassfrog |
//! | --- | --- |
//! | a blocking `fetch_data` | `examples/01_blocking.rs` |
//! | a non-blocking `fetch_data`, with `except BlockingIOError` | `examples/02_nonblocking.rs` |
//! | `yield sock, EVENT_READ` to a scheduler on `selectors` | `examples/03_selector.rs`, a scheduler on mio alone |
//! | the generator | an `async fn`: when a [`TcpStream`](net::TcpStream) gets `WouldBlock`, it leaves its waker with the reactor and returns `Poll::Pending` |
//! | `sel.register`, `sel.select`, `sel.unregister` | the reactor: it registers a socket once, edge-triggered, and never unregisters it between waits |
//! | `next(gen)`, `StopIteration` | [`Future::poll`], [`Poll::Ready`](std::task::Poll::Ready) |
//! | `run(fetch_data)` | [`block_on(fetch_data())`](block_on) |
//! | `run_all([fetch_data] * 5)` | [`spawn`] each, and await the [`JoinHandle`](task::JoinHandle)s |
//! | a timer | [`time::sleep`], [`time::timeout`], [`time::interval`] |
//!
//! # Reading the source
//!
//! The modules form layers. A module uses only modules on the lines below its own:
//!
//! ```text
//!    test_runs  sim  hyper  signal  workers  runtime  what a user calls
//!    handle  io  net  time  task  sync
//!         context                                which runtime this thread is in
//!         event_loop                             the loop; owns one of each engine but the wire
//!    executor  reactor  timers  pool  wire       five engines that do not know one another
//!    dump  timeline  metrics                     what the runtime reports about itself
//!    clock  waiter  foreign  slab  threads  primitives    what all other modules are made of
//! ```
//!
//! The `mod` lines of this file are in reading order. Begin with `event_loop.rs`, continue with `executor.rs`
//! and `reactor.rs`, and come back up to `net/tcp/stream.rs`. The README lists a path of ten files.
//!
//! [mio]: https://docs.rs/mio

#![cfg_attr(docsrs, feature(doc_cfg))]
#![forbid(unsafe_code)]

mod event_loop;
mod executor;
mod reactor;
mod timers;
mod pool;
#[cfg(feature = "sim")]
mod wire;
mod context;
pub mod net;
pub mod io;
pub mod time;
pub mod task;
mod handle;
mod runtime;
#[cfg(feature = "macros")]
mod test_runs;
mod workers;
#[cfg(feature = "sync")]
pub mod sync;
#[cfg(all(unix, feature = "signal"))]
pub mod signal;
#[cfg(feature = "hyper")]
pub mod hyper;
#[cfg(feature = "sim")]
pub mod sim;
pub mod dump;
#[cfg(feature = "timeline")]
pub mod timeline;
#[cfg(not(feature = "timeline"))]
#[path = "timeline/off.rs"]
mod timeline;
mod metrics;
mod traces;
mod clock;
mod waiter;
mod foreign;
mod slab;
mod threads;
mod primitives;
pub mod guide;

pub use self::context::Enter;
#[doc(no_inline)]
pub use self::dump::Dump;
pub use self::event_loop::Turned;
pub use self::event_loop::deadlock::OnDeadlock;
pub use self::executor::OnTaskPanic;
pub use self::handle::Handle;
pub use self::metrics::Metrics;
pub use self::runtime::{Builder, Runtime, block_on};
#[doc(inline)]
pub use self::task::spawn;
#[doc(no_inline)]
#[cfg(feature = "timeline")]
pub use self::timeline::Timeline;
pub use self::workers::{WorkerError, Workers};

/// The items that the attributes expand to. They are public only for that purpose, and may change in any version.
#[doc(hidden)]
#[cfg(feature = "macros")]
pub mod __private {
    pub use crate::test_runs::Test;
    #[cfg(feature = "sim")]
    pub mod sim {
        pub use crate::test_runs::Test;
    }
}

#[doc(inline)]
#[cfg(feature = "macros")]
pub use glassfrog_macros::{main, test};

/// The extension traits of `futures-lite`: `read_to_end`, `write_all`, `lines`, `next`, and others.
///
/// The prelude of the crate `futures` has methods of the same names. Import only one of the two.
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

/// Compiles and runs the code of the README.
#[cfg(all(doctest, feature = "prelude", feature = "sim"))]
#[doc = include_str!("../README.md")]
struct Readme;

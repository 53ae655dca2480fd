//! How to use crates that need tokio. This module contains documentation only.
//!
//! Some crates call tokio by name: `reqwest`, `sqlx`, `async-nats`, and parts of `axum` and `tower`. They look for the
//! runtime of tokio in a thread-local variable, and panic with "there is no reactor running" if there is none. They do
//! not depend on the executor that polls them. So a program can enter a runtime of tokio and poll them on glassfrog:
//!
//! ```ignore
//! let tokio = tokio::runtime::Builder::new_multi_thread()
//!     .worker_threads(1)
//!     .enable_all()
//!     .build()?;
//! let _guard = tokio.enter();
//! glassfrog::block_on(async {
//!     let page = reqwest::get("http://127.0.0.1:8000/").await?.text().await?;
//!     println!("{page}");
//!     Ok(())
//! })
//! ```
//!
//! The guard costs nothing per poll. The one thread of tokio watches the sockets and timers that tokio creates, and wakes
//! the tasks of glassfrog that wait for them. It must be the multi-thread runtime: a current-thread runtime
//! watches nothing unless something runs its `block_on`.
//!
//! The program depends on tokio, with the features `rt-multi-thread`, `net` and `time`. glassfrog does not: none of
//! its features compiles a runtime of tokio. The features `hyper` and `hyper-serve` compile the modules `sync` and `io` of
//! tokio, which hyper and h2 use; they start no thread and need no guard.
//!
//! # On other threads
//!
//! The guard belongs to one thread. A blocking job or another thread that uses such a crate enters tokio by itself. So do
//! [`Workers`](crate::Workers): each holds a guard in its future.
//!
//! ```ignore
//! let tokio = tokio.handle().clone();
//! workers.run(move |_worker| {
//!     let tokio = tokio.clone();
//!     async move {
//!         let _guard = tokio.enter();
//!         serve().await
//!     }
//! });
//! ```
//!
//! The guard is not `Send`, so a future that holds it cannot be passed to [`Handle::spawn`](crate::Handle::spawn). The
//! closure of [`Handle::spawn_with`](crate::Handle::spawn_with) may create such a future.
//!
//! # Which parts of axum and tower need it
//!
//! Routers, extractors, JSON, streamed bodies and server-sent events need no guard. These do:
//!
//! | part | why | without the guard |
//! | --- | --- | --- |
//! | `axum::extract::ws::WebSocketUpgrade` | calls `tokio::spawn` for the closure of `on_upgrade` | read the request by hand, upgrade by `hyper::upgrade::on`, and wrap the stream by `async-tungstenite` |
//! | `axum::response::sse::KeepAlive` | sleeps on tokio | merge the stream of events with an [`Interval`](crate::time::Interval) |
//! | `tower_http::timeout::TimeoutLayer`, `tower::timeout` | sleep on tokio | [`timeout`](crate::time::timeout) in the handler, or in a layer of your own |
//! | `tower_http::services::{ServeFile, ServeDir}` | read files by `tokio::fs` | `async-fs`, or [`spawn_blocking`](crate::task::spawn_blocking) |
//! | `tower::buffer::BufferLayer` | calls `tokio::spawn` for its worker | a task with a channel |
//!
//! Without the guard, each of them panics in the task of its connection. `hyper::serve` logs the panic and serves the other
//! connections.
//!
//! # Limits
//!
//! - A task of `tokio::spawn` runs on tokio's thread, not on this one. It must be `Send`, cannot call
//!   [`spawn`](crate::spawn), and appears neither in dumps nor in metrics. It can use sockets of glassfrog. The whole
//!   connection of `async-nats` and the sockets of `WebSocketUpgrade` run there.
//! - The [virtual clock](crate::Builder::virtual_clock) does not see tokio's timers. A sleep of tokio takes real time,
//!   while the clock jumps to the next deadline of glassfrog. A test with both may time out at once.
//! - A [dump](crate::task::dump) shows only that such a task waits for "something outside glassfrog". The deadlock
//!   detector sees a waker outside, and reports nothing.
//! - A wake from tokio comes from another thread. It costs a message, and a syscall if the thread is parked.
//! - Drop the guard before the runtime of tokio, as the order of declarations above does. Tasks of glassfrog
//!   that still hold sockets or timers of tokio get errors or panic afterwards.
//!
//! # Crates with tokio's traits alone
//!
//! A crate that takes any stream with tokio's `AsyncRead` and `AsyncWrite` needs no guard. The module `compat` of
//! `tokio-util` converts: with its trait `FuturesAsyncReadCompatExt`, `stream.compat()` turns a
//! [`TcpStream`](crate::net::TcpStream) into such a stream. `tokio-postgres`, without its feature `runtime`, and `redis` work
//! in this way. Their own timeouts need tokio, so turn these off and use [`timeout`](crate::time::timeout).
//!
//! The rows of `tests/interop` in the repository contain all of these as programs, and the README lists them.

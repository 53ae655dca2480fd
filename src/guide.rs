//! A guide for users of tokio, smol and asyncio. This module contains documentation only.
//!
//! The first part lists the names of four runtimes side by side. The second part shows
//! [how to select](#how-to-select), [how to cancel](#how-to-cancel) and
//! [how to share state](#how-to-share-state). The module [`tokio_crates`] shows how to use crates that need tokio,
//! and the module `simulation`, which requires the feature `sim`, how to test a distributed program.
//!
//! # From tokio, smol and asyncio
//!
//! ## Running futures
//!
//! | tokio | smol | asyncio | glassfrog |
//! | --- | --- | --- | --- |
//! | `#[tokio::main]` | `smol::block_on` | `asyncio.run` | [`block_on`](crate::block_on), `#[glassfrog::main]` |
//! | `runtime::LocalRuntime` | `LocalExecutor` | `asyncio.Runner` | [`Runtime`](crate::Runtime) |
//! | `runtime::Builder` | | | [`Builder`](crate::Builder) |
//! | `runtime::Handle` | | the event loop | [`Handle`](crate::Handle) |
//! | `Handle::enter`, `Handle::block_on` | | | [`Handle::enter`](crate::Handle::enter), [`Handle::block_on`](crate::Handle::block_on) |
//! | | `LocalExecutor::try_tick` | | [`Runtime::turn`](crate::Runtime::turn), inside a foreign loop |
//! | the multi-thread runtime | `smol::spawn` | | [`Workers`](crate::Workers): one runtime per thread |
//!
//! ## Tasks
//!
//! | tokio | smol | asyncio | glassfrog |
//! | --- | --- | --- | --- |
//! | `task::spawn_local` | `LocalExecutor::spawn` | `asyncio.create_task` | [`spawn`](crate::spawn) |
//! | `tokio::spawn`, `Handle::spawn` | `smol::spawn` | `asyncio.run_coroutine_threadsafe` | [`Handle::spawn`](crate::Handle::spawn), [`Handle::spawn_with`](crate::Handle::spawn_with) |
//! | `task::JoinHandle` | `Task` | `asyncio.Task` | [`JoinHandle`](crate::task::JoinHandle) |
//! | `JoinHandle::abort` | `Task::cancel` | `Task.cancel` | [`JoinHandle::abort`](crate::task::JoinHandle::abort) |
//! | `task::AbortHandle` | | | [`AbortHandle`](crate::task::AbortHandle) |
//! | dropping the `JoinHandle` | `Task::detach` | | dropping the [`JoinHandle`](crate::task::JoinHandle) |
//! | `task::JoinSet` | | `asyncio.as_completed` | [`JoinSet`](crate::task::JoinSet) |
//! | | | `asyncio.TaskGroup` | [`scope`](crate::task::scope), [`try_scope`](crate::task::try_scope) |
//! | `task::spawn_blocking` | `smol::unblock` | `asyncio.to_thread` | [`spawn_blocking`](crate::task::spawn_blocking) |
//! | `task::yield_now` | `future::yield_now` | `asyncio.sleep(0)` | [`yield_now`](crate::task::yield_now) |
//! | `task::Builder` (unstable) | | `create_task(name=...)` | [`task::Builder`](crate::task::Builder) |
//! | `#[tokio::test]` | | `IsolatedAsyncioTestCase` | `#[glassfrog::test]` |
//!
//! ## Time
//!
//! | tokio | smol | asyncio | glassfrog |
//! | --- | --- | --- | --- |
//! | `time::sleep` | `Timer::after` | `asyncio.sleep` | [`sleep`](crate::time::sleep) |
//! | `time::sleep_until` | `Timer::at` | `loop.call_at` | [`sleep_until`](crate::time::sleep_until) |
//! | `time::timeout` | | `asyncio.timeout` | [`timeout`](crate::time::timeout) |
//! | `time::timeout_at` | | `asyncio.timeout_at` | [`timeout_at`](crate::time::timeout_at) |
//! | `time::interval` | `Timer::interval` | | [`interval`](crate::time::interval) |
//! | `time::Instant` | `std::time::Instant` | `loop.time` | [`std::time::Instant`], [`now`](crate::time::now) |
//! | `time::pause` | | | [`Builder::virtual_clock`](crate::Builder::virtual_clock) |
//! | `time::advance` | | | [`advance`](crate::time::advance) |
//! | the crate `turmoil` | | | `sim`, in which the time of several hosts is simulated; see the module `simulation` |
//!
//! ## Sockets and streams
//!
//! | tokio | smol | asyncio | glassfrog |
//! | --- | --- | --- | --- |
//! | `net::TcpStream` | `net::TcpStream` | `asyncio.open_connection` | [`TcpStream`](crate::net::TcpStream) |
//! | `net::TcpListener` | `net::TcpListener` | `asyncio.start_server` | [`TcpListener`](crate::net::TcpListener) |
//! | `net::lookup_host` | `net::resolve` | `loop.getaddrinfo` | [`lookup_host`](crate::net::lookup_host) |
//! | `TcpStream::into_split` | `TcpStream::clone` | a reader and a writer | [`TcpStream::into_split`](crate::net::TcpStream::into_split), or `&TcpStream` |
//! | `TcpStream::try_read` | | | [`TcpStream::try_read`](crate::net::TcpStream::try_read) |
//! | `TcpStream::async_io`, `try_io` | `Async::read_with` | | [`TcpStream::read_with`](crate::net::TcpStream::read_with), [`try_read_with`](crate::net::TcpStream::try_read_with) |
//! | `net::UdpSocket` | `net::UdpSocket` | `loop.create_datagram_endpoint` | [`UdpSocket`](crate::net::UdpSocket) |
//! | `net::{UnixStream, UnixListener}` | `net::unix` | `asyncio.open_unix_connection` | `net::{UnixStream, UnixListener, UnixDatagram}` |
//! | `io::unix::AsyncFd` | `Async` | `loop.add_reader` | `io::Async` |
//! | `io::{AsyncRead, AsyncWrite}` | those of `futures-io` | | those of `futures-io` |
//! | `io::{AsyncReadExt, AsyncWriteExt}` | `smol::prelude` | `StreamReader`, `StreamWriter` | `glassfrog::prelude` |
//! | `io::BufReader`, `io::copy` | `io::BufReader`, `io::copy` | | `io::BufReader`, `io::copy` |
//! | `io::copy_bidirectional` | | | [`io::copy_bidirectional`](crate::io::copy_bidirectional()) |
//! | `io::split` | `io::split` | | `io::split`; sockets need none |
//! | `io::{stdin, stdout, stderr}` | `Unblock` | | [`io::stdin`](crate::io::stdin()), `io::stdout`, `io::stderr` |
//! | `signal::ctrl_c`, `signal::unix::signal` | the crate `async-signal` | `loop.add_signal_handler` | `signal::ctrl_c`, `signal::signal` |
//! | `axum::serve`; `TokioIo`, `TokioExecutor`, `TokioTimer` of `hyper-util` | `smol-hyper` | | `hyper::serve`; `hyper::Io`, `hyper::Executor`, `hyper::Timer` |
//! | `StreamExt` of `tokio-stream` | `stream::StreamExt` | `async for` | `glassfrog::prelude` |
//!
//! ## Observation
//!
//! | tokio | smol | asyncio | glassfrog |
//! | --- | --- | --- | --- |
//! | `Handle::dump` (unstable) | | `asyncio.all_tasks` | [`task::dump`](crate::task::dump), [`Handle::dump`](crate::Handle::dump) |
//! | `Handle::metrics` | | | [`Handle::metrics`](crate::Handle::metrics) |
//! | | | `loop.slow_callback_duration` | [`Builder::watchdog`](crate::Builder::watchdog) |
//! | | | | [`Builder::on_deadlock`](crate::Builder::on_deadlock) |
//! | `tokio-console` (unstable) | | | `GLASSFROG_TIMELINE=run.html`, [`Builder::timeline`](crate::Builder::timeline) |
//!
//! ## Locks and channels
//!
//! The types of the last column need the feature `sync`, except for those of other crates.
//!
//! | tokio | smol | asyncio | glassfrog |
//! | --- | --- | --- | --- |
//! | `sync::{Mutex, RwLock, Semaphore}` | `smol::lock` | `asyncio.Lock`, `asyncio.Semaphore` | `sync::{Mutex, RwLock, Semaphore}` |
//! | `sync::{Barrier, OnceCell}` | `smol::lock` | `asyncio.Barrier` | `sync::{Barrier, OnceCell}` |
//! | `sync::Notify` | `event-listener` | `asyncio.Event` | `sync::Notify` |
//! | `sync::mpsc` | `smol::channel` | `asyncio.Queue` | `sync::mpsc`, with one receiver; the crate `async-channel`, with several |
//! | `sync::oneshot` | | `asyncio.Future` | `sync::oneshot` |
//! | `sync::broadcast`, `sync::watch` | `async-broadcast` | | `sync::broadcast`, `sync::watch` |
//! | `CancellationToken` of `tokio-util` | | | `sync::CancellationToken` |
//!
//! `sync` differs from `tokio::sync` in these points:
//!
//! - `new` is a `const fn`, so there is no `const_new`. `named`, and the constructors of channels, are not `const`.
//! - The values in a `Mutex` or an `RwLock` must be `Sized`.
//! - Guards have no `map` and no `try_map`.
//! - A new task may overtake one that has waited for a `Mutex` for less than half a millisecond.
//! - `RwLock` prefers writers, and has no `with_max_readers`.
//! - A full `mpsc` channel reserves no room for the senders that wait: a new `send` may overtake them. There is no
//!   `reserve`, no `send_timeout`, and no `strong_count`.
//! - An `mpsc` or `broadcast` channel with a capacity allocates the memory for all its values at once. A `broadcast`
//!   channel does not round its capacity up, and has no weak senders and no `Sender::closed`.
//! - `SetOnce`, `Semaphore::blocking_acquire`, `Mutex::blocking_lock_owned`, `Notify::notify_last` and
//!   `Notify::notified_owned` are missing.
//!
//! The primitives of other crates work too, such as `async-lock`, `async-channel` and `futures-channel`. A dump then shows
//! "something outside glassfrog", unless [`waiting_for`](crate::task::waiting_for) gives the wait a name.
//!
//! ## Use another crate
//!
//! | tokio | smol | asyncio | with glassfrog |
//! | --- | --- | --- | --- |
//! | `tokio::join!` | `future::zip` | `asyncio.gather` | `join!` of the crate `futures`, or [`scope`](crate::task::scope) |
//! | `tokio::select!` | `future::or`, `future::race` | `asyncio.wait` | `or` and `race` of `glassfrog::prelude`; see [below](#how-to-select) |
//! | `tokio::fs` | `smol::fs` | | `std::fs` in [`spawn_blocking`](crate::task::spawn_blocking) |
//!
//! ## What differs
//!
//! From **tokio**:
//!
//! - [`spawn`](crate::spawn) does not require `Send`, so no `LocalSet` is needed. To spawn from another
//!   thread, use a [`Handle`](crate::Handle).
//! - Streams implement the traits of `futures-io`. A library that requires tokio's traits needs an
//!   adapter, such as the module `compat` of `tokio-util`. A library that requires tokio itself runs inside a guard; see
//!   [`tokio_crates`].
//! - `read` and `write` of [`TcpStream`](crate::net::TcpStream) take `&self`, so two futures of one
//!   task can read and write without a split.
//! - If a task without a handle panics, the runtime also logs the panic through the `log` crate. To end the
//!   runtime instead, set [`Builder::on_task_panic`](crate::Builder::on_task_panic).
//! - `sync` has the names of `tokio::sync`, but lacks some methods and orders some waits differently; see
//!   [locks and channels](#locks-and-channels).
//!
//! From **smol**:
//!
//! - Dropping a [`JoinHandle`](crate::task::JoinHandle) detaches its task. Dropping a smol `Task` cancels
//!   the task.
//! - A panic in a task does not propagate to the task that awaits it. Awaiting the handle returns a
//!   [`JoinError`](crate::task::JoinError).
//! - Sockets and timers need a runtime: create them inside [`block_on`](crate::block_on), or on any thread that has
//!   [entered](crate::Handle::enter) a runtime.
//!
//! From **asyncio**:
//!
//! - Calling an `async fn` runs nothing. The future runs while it is awaited or after it is spawned.
//! - Cancelling a future drops it at its current `.await`. Nothing like `CancelledError` is raised, so the
//!   future cannot catch or refuse the cancellation. Cleanup belongs in [`Drop`].
//! - The runtime keeps a spawned task until it finishes, even without a reference to it.
//!
//! # How to select
//!
//! To wait for the first of two futures with the same output type, use `or`. It polls the left future
//! first. When one future is ready, it drops the other:
//!
#![cfg_attr(feature = "prelude", doc = "```")]
#![cfg_attr(not(feature = "prelude"), doc = "```ignore")]
//! use glassfrog::prelude::*;
//! use glassfrog::time::sleep;
//! use std::time::Duration;
//!
//! glassfrog::block_on(async {
//!     let fast = async {
//!         sleep(Duration::from_millis(1)).await;
//!         "fast"
//!     };
//!     let slow = async {
//!         sleep(Duration::from_secs(3600)).await;
//!         "slow"
//!     };
//!     assert_eq!(fast.or(slow).await, "fast");
//! });
//! ```
//!
//! To select between futures with different output types, map each output to a variant of an enum. In a loop,
//! the future that loses is dropped and created again in the next iteration, so it must be *cancel safe*:
//! dropping it must lose nothing. The methods in [`net`](crate::net) and [`time`](crate::time) document
//! whether they are cancel safe.
//!
#![cfg_attr(feature = "prelude", doc = "```")]
#![cfg_attr(not(feature = "prelude"), doc = "```ignore")]
//! use futures_channel::mpsc;
//! use glassfrog::prelude::*;
//! use glassfrog::time::interval;
//! use std::time::Duration;
//!
//! enum Event {
//!     Message(Option<&'static str>),
//!     Tick,
//! }
//!
//! glassfrog::block_on(async {
//!     let (sender, mut messages) = mpsc::unbounded();
//!     sender.unbounded_send("hello").unwrap();
//!     drop(sender);
//!
//!     let mut ticks = interval(Duration::from_secs(60));
//!     let mut log = Vec::new();
//!     loop {
//!         let message = async { Event::Message(messages.next().await) };
//!         let tick = async {
//!             ticks.tick().await;
//!             Event::Tick
//!         };
//!         match message.or(tick).await {
//!             Event::Message(Some(text)) => log.push(text),
//!             // All senders are gone.
//!             Event::Message(None) => break,
//!             Event::Tick => log.push("tick"),
//!         }
//!     }
//!     assert_eq!(log, ["hello"]);
//! });
//! ```
//!
//! To keep the future that loses, pin it outside the loop and poll a reference to it:
//!
#![cfg_attr(feature = "prelude", doc = "```")]
#![cfg_attr(not(feature = "prelude"), doc = "```ignore")]
//! use glassfrog::prelude::*;
//! use glassfrog::time::{interval, sleep};
//! use std::pin::pin;
//! use std::time::Duration;
//!
//! glassfrog::block_on(async {
//!     // This future is not cancel safe: dropping it would lose its progress.
//!     let mut download = pin!(async {
//!         sleep(Duration::from_millis(5)).await;
//!         Some("done")
//!     });
//!     let mut ticks = interval(Duration::from_millis(1));
//!     let result = loop {
//!         let tick = async {
//!             ticks.tick().await;
//!             None
//!         };
//!         match download.as_mut().or(tick).await {
//!             Some(result) => break result,
//!             None => println!("still downloading"),
//!         }
//!     };
//!     assert_eq!(result, "done");
//! });
//! ```
//!
//! To wait for the first of many tasks, use a [`JoinSet`](crate::task::JoinSet):
//!
//! ```
//! use glassfrog::task::JoinSet;
//! use glassfrog::time::sleep;
//! use std::time::Duration;
//!
//! glassfrog::block_on(async {
//!     let mut mirrors = JoinSet::new();
//!     for milliseconds in [60_000, 1, 30_000] {
//!         mirrors.spawn(async move {
//!             sleep(Duration::from_millis(milliseconds)).await;
//!             milliseconds
//!         });
//!     }
//!     let fastest = mirrors.join_next().await.unwrap();
//!     assert_eq!(fastest.unwrap(), 1);
//!     // Dropping the set cancels the other tasks.
//! });
//! ```
//!
//! The macro `select!` of the crate `futures` works as well.
//!
//! # How to cancel
//!
//! **A future** is cancelled by dropping it. [`timeout`](crate::time::timeout) does this after a
//! duration:
//!
//! ```
//! use glassfrog::time::{sleep, timeout};
//! use std::time::Duration;
//!
//! glassfrog::block_on(async {
//!     let answer = timeout(Duration::from_millis(1), sleep(Duration::from_secs(3600)));
//!     assert!(answer.await.is_err());
//! });
//! ```
//!
//! A future that is not cancel safe loses what it has done. `read_exact`, `read_line` and `write_all` lose the position
//! in the stream, so a loop that drops them at each tick may never finish a message. Keep such a future outside the loop,
//! as [above](#how-to-select), or call `read`, which is cancel safe, and collect the bytes in a buffer outside the loop:
//!
//! ```
//! use glassfrog::net::{TcpListener, TcpStream};
//! use glassfrog::time::timeout;
//! use std::time::Duration;
//!
//! # glassfrog::block_on(async {
//! # let listener = TcpListener::bind("127.0.0.1:0").await?;
//! let stream = TcpStream::connect(listener.local_addr()?).await?;
//! # let (server, _) = listener.accept().await?;
//! # glassfrog::spawn(async move {
//! #     server.write(b"half").await?;
//! #     glassfrog::time::sleep(Duration::from_millis(5)).await;
//! #     server.write(b"done").await
//! # });
//! let (mut message, mut filled) = ([0; 8], 0);
//! while filled < message.len() {
//!     let read = stream.read(&mut message[filled..]);
//!     match timeout(Duration::from_millis(1), read).await {
//!         Ok(Ok(0)) => panic!("the connection ended within a message"),
//!         Ok(count) => filled += count?,
//!         Err(_) => println!("{filled} bytes so far"),
//!     }
//! }
//! assert_eq!(&message, b"halfdone");
//! # std::io::Result::Ok(())
//! # })?;
//! # std::io::Result::Ok(())
//! ```
//!
//! A [dump](crate::task::dump) shows waits that a task gives up again and again: `read tcp …: begun and dropped 160 times by
//! this task without completing`. [`Wait::given_up`](crate::dump::Wait::given_up) returns the number.
//!
//! **A task** is cancelled by [`abort`](crate::task::JoinHandle::abort). Instead of polling the task again, the
//! runtime drops its future, which runs the destructors of its locals. Awaiting the handle waits for that:
//!
//! ```
//! use std::cell::Cell;
//! use std::rc::Rc;
//!
//! /// Counts itself when it is dropped.
//! struct Guard(Rc<Cell<u32>>);
//!
//! impl Drop for Guard {
//!     fn drop(&mut self) {
//!         self.0.set(self.0.get() + 1);
//!     }
//! }
//!
//! glassfrog::block_on(async {
//!     let drops = Rc::new(Cell::new(0));
//!     let guard = Guard(Rc::clone(&drops));
//!     let task = glassfrog::spawn(async move {
//!         let _guard = guard;
//!         std::future::pending::<()>().await;
//!     });
//!     task.abort();
//!     assert!(task.await.unwrap_err().is_cancelled());
//!     assert_eq!(drops.get(), 1);
//! });
//! ```
//!
//! Dropping a [`JoinHandle`](crate::task::JoinHandle) does **not** cancel its task, and neither does a
//! timeout around the handle. To cancel the task after a timeout, abort it:
//!
//! ```
//! use glassfrog::time::timeout;
//! use std::time::Duration;
//!
//! glassfrog::block_on(async {
//!     let mut task = glassfrog::spawn(std::future::pending::<()>());
//!     if timeout(Duration::from_millis(1), &mut task).await.is_err() {
//!         task.abort();
//!     }
//!     assert!(task.await.unwrap_err().is_cancelled());
//! });
//! ```
//!
//! **A group of tasks** is cancelled by dropping its [`JoinSet`](crate::task::JoinSet). The child
//! futures of a [`scope`](crate::task::scope) are cancelled with the scope, and the first error of a
//! [`try_scope`](crate::task::try_scope) cancels all others.
//!
//! **A running blocking job** cannot be cancelled. Give the closure a flag to check, such as an
//! `Arc<AtomicBool>`.
//!
//! **Gracefully**: to let a task finish its current step first, send it a message. The task checks for
//! the message only at the points where it can stop:
//!
#![cfg_attr(feature = "prelude", doc = "```")]
#![cfg_attr(not(feature = "prelude"), doc = "```ignore")]
//! use futures_channel::oneshot;
//! use glassfrog::prelude::*;
//! use glassfrog::time::sleep;
//! use std::time::Duration;
//!
//! glassfrog::block_on(async {
//!     let (stop, mut stopped) = oneshot::channel::<()>();
//!     let task = glassfrog::spawn(async move {
//!         let mut steps = 0;
//!         loop {
//!             // This part always runs to completion.
//!             steps += 1;
//!
//!             let pause = async {
//!                 sleep(Duration::from_millis(1)).await;
//!                 false
//!             };
//!             let stop = async {
//!                 // Resolves when `stop` sends or is dropped.
//!                 (&mut stopped).await.ok();
//!                 true
//!             };
//!             if stop.or(pause).await {
//!                 return steps;
//!             }
//!         }
//!     });
//!     sleep(Duration::from_millis(5)).await;
//!     drop(stop);
//!     assert!(task.await.unwrap() >= 1);
//! });
//! ```
//!
//! `examples/graceful_shutdown.rs` does the same for a whole server.
//!
//! # How to share state
//!
//! **Between tasks of one runtime**, use `Rc` with `Cell` or `RefCell`. Tasks of one runtime share a
//! thread, and another task can run only at an `.await`. Do not hold a borrow across one:
//!
//! ```
//! use std::cell::RefCell;
//! use std::collections::HashMap;
//! use std::rc::Rc;
//!
//! glassfrog::block_on(async {
//!     let visits = Rc::new(RefCell::new(HashMap::new()));
//!     let tasks: Vec<_> = ["a", "b", "a"]
//!         .into_iter()
//!         .map(|page| {
//!             let visits = Rc::clone(&visits);
//!             glassfrog::spawn(async move {
//!                 // The borrow ends with this statement.
//!                 *visits.borrow_mut().entry(page).or_insert(0) += 1;
//!             })
//!         })
//!         .collect();
//!     for task in tasks {
//!         task.await.unwrap();
//!     }
//!     assert_eq!(visits.borrow()["a"], 2);
//! });
//! ```
//!
//! **With child futures**, borrow from the parent: a [`scope`](crate::task::scope) needs neither `Rc`
//! nor `'static`:
//!
//! ```
//! use glassfrog::task::scope;
//! use std::cell::Cell;
//!
//! glassfrog::block_on(async {
//!     let total = Cell::new(0);
//!     scope(async |s| {
//!         for n in 1..=3 {
//!             let total = &total;
//!             s.spawn(async move { total.set(total.get() + n) });
//!         }
//!     })
//!     .await;
//!     assert_eq!(total.get(), 6);
//! });
//! ```
//!
//! **Across an `.await`**, hold an async lock: `glassfrog::sync::Mutex`, with the feature `sync`, or, as here, that of
//! another crate:
//!
//! ```
//! use async_lock::Mutex;
//! use glassfrog::task::yield_now;
//! use std::rc::Rc;
//!
//! glassfrog::block_on(async {
//!     let balance = Rc::new(Mutex::new(100));
//!     let withdrawals = [30, 40].map(|amount| {
//!         let balance = Rc::clone(&balance);
//!         glassfrog::spawn(async move {
//!             let mut balance = balance.lock().await;
//!             let before = *balance;
//!             yield_now().await;
//!             *balance = before - amount;
//!         })
//!     });
//!     for withdrawal in withdrawals {
//!         withdrawal.await.unwrap();
//!     }
//!     assert_eq!(*balance.lock().await, 30);
//! });
//! ```
//!
//! **Through a task that owns the state**: other tasks send it messages, which carry a channel for the answer.
//! The owner needs no lock:
//!
#![cfg_attr(feature = "prelude", doc = "```")]
#![cfg_attr(not(feature = "prelude"), doc = "```ignore")]
//! use futures_channel::{mpsc, oneshot};
//! use glassfrog::prelude::*;
//!
//! enum Request {
//!     Add(u64),
//!     Get(oneshot::Sender<u64>),
//! }
//!
//! glassfrog::block_on(async {
//!     let (requests, mut incoming) = mpsc::unbounded();
//!     glassfrog::spawn(async move {
//!         let mut sum = 0;
//!         while let Some(request) = incoming.next().await {
//!             match request {
//!                 Request::Add(n) => sum += n,
//!                 Request::Get(answer) => drop(answer.send(sum)),
//!             }
//!         }
//!     });
//!
//!     requests.unbounded_send(Request::Add(2)).unwrap();
//!     requests.unbounded_send(Request::Add(3)).unwrap();
//!     let (answer, sum) = oneshot::channel();
//!     requests.unbounded_send(Request::Get(answer)).unwrap();
//!     assert_eq!(sum.await.unwrap(), 5);
//! });
//! ```
//!
//! **Between threads**, use `Arc` with `std::sync::Mutex` or atomics. Never hold the guard of a
//! `std::sync::Mutex` across an `.await`: another task that locks the mutex blocks its thread.
//!
//! ```
//! use glassfrog::Workers;
//! use std::sync::Arc;
//! use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
//!
//! let hits = Arc::new(AtomicU64::new(0));
//! let counter = Arc::clone(&hits);
//! let workers = Workers::new(2)?;
//! workers.run(move |_worker| {
//!     let hits = Arc::clone(&counter);
//!     async move { hits.fetch_add(1, Relaxed) }
//! });
//! assert_eq!(hits.load(Relaxed), 2);
//! # std::io::Result::Ok(())
//! ```

#[cfg(feature = "sim")]
pub mod simulation;
pub mod tokio_crates;

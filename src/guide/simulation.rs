//! Testing a distributed program. This module contains documentation only.
//!
//! A program of several processes has bugs that a test over loopback does not find: a reply that is lost, a peer that
//! crashes between two writes, a clock that is slow. The module [`sim`](crate::sim) runs such a program as several hosts in
//! one test. The hosts have names and addresses, a network between them, and clocks. The time is simulated, so an hour
//! of waiting costs nothing. A seed determines everything that happens, so a run that fails can be repeated.
//!
//! The program needs no change. It uses the types of [`net`](crate::net) and [`time`](crate::time) as it does in production,
//! itself or through a crate such as hyper. This page takes a program that exists already, and moves it into a test step
//! by step.
//!
//! - [The program](#the-program)
//! - [Step 1: a dev-dependency](#step-1-a-dev-dependency)
//! - [Step 2: hosts](#step-2-hosts)
//! - [Step 3: faults](#step-3-faults)
//! - [Step 4: many seeds](#step-4-many-seeds)
//! - [Step 5: the failure](#step-5-the-failure)
//! - [Step 6: the mended program](#step-6-the-mended-program)
//! - [More faults](#more-faults), [clocks](#clocks), [invariants](#invariants)
//! - [What is not deterministic](#what-is-not-deterministic), and how to forbid it
//! - [What is simulated](#what-is-simulated), and what is not
//! - [Beside turmoil and madsim](#beside-turmoil-and-madsim)
//!
//! # The program
//!
//! A server counts. A client adds one to the count. If it gets no response within a second, it tries again:
//!
#![cfg_attr(feature = "prelude", doc = "```")]
#![cfg_attr(not(feature = "prelude"), doc = "```ignore")]
//! use glassfrog::net::{TcpListener, TcpStream};
//! use glassfrog::prelude::*;
//! use glassfrog::time::{sleep, timeout};
//! use std::cell::Cell;
//! use std::io;
//! use std::rc::Rc;
//! use std::time::Duration;
//!
//! /// Counts the bytes of all clients, and responds to each byte with the count.
//! async fn serve(listener: TcpListener) -> io::Result<()> {
//!     let count = Rc::new(Cell::new(0_u32));
//!     loop {
//!         let (mut client, _) = listener.accept().await?;
//!         let count = Rc::clone(&count);
//!         drop(glassfrog::spawn(async move {
//!             while client.read_exact(&mut [0]).await.is_ok() {
//!                 count.set(count.get() + 1);
//!                 client.write_all(&count.get().to_be_bytes()).await?;
//!             }
//!             io::Result::Ok(())
//!         }));
//!     }
//! }
//!
//! /// Adds one to the count of a server. Returns the count.
//! async fn add_one(server: &str) -> u32 {
//!     loop {
//!         let attempt = async {
//!             let mut stream = TcpStream::connect(server).await?;
//!             stream.write_all(b"+").await?;
//!             let mut count = [0; 4];
//!             stream.read_exact(&mut count).await?;
//!             io::Result::Ok(u32::from_be_bytes(count))
//!         };
//!         if let Ok(Ok(count)) = timeout(Duration::from_secs(1), attempt).await {
//!             return count;
//!         }
//!         sleep(Duration::from_millis(50)).await;
//!     }
//! }
//!
//! // A test over loopback.
//! glassfrog::block_on(async {
//!     let listener = TcpListener::bind("127.0.0.1:0").await?;
//!     let addr = listener.local_addr()?.to_string();
//!     let server = glassfrog::spawn(serve(listener));
//!     for expected in 1..=20 {
//!         assert_eq!(add_one(&addr).await, expected);
//!     }
//!     server.abort();
//!     io::Result::Ok(())
//! })?;
//! # io::Result::Ok(())
//! ```
//!
//! The test passes. The program has a bug nevertheless.
//!
//! # Step 1: a dev-dependency
//!
//! The simulation belongs to the feature `sim`. Turn it on for tests alone:
//!
//! ```toml
//! [dependencies]
//! glassfrog = "0.1"
//!
//! [dev-dependencies]
//! glassfrog = { version = "0.1", features = ["macros", "sim"] }
//! ```
//!
//! With the feature, each socket contains an enum of a real and a simulated socket, which makes a round trip over loopback
//! about 2 % slower. Cargo compiles a crate once for a build, with all features that any member of the build asks for. If one
//! member of a workspace has `sim` among its `[dependencies]`, then `cargo build --workspace` turns it on for all members,
//! even for those that do not ask for it. A dev-dependency does so only in builds that contain tests or examples. Such a
//! program still works on real sockets: only the hosts of a simulation use simulated ones.
//!
//! # Step 2: hosts
//!
//! A [`Sim`](crate::sim::Sim) is a simulation. [`Sim::host`](crate::sim::Sim::host) adds a host with its software, as a closure
//! that returns a future, because a host can restart. [`Sim::client`](crate::sim::Sim::client) adds a host that runs one
//! future. [`Sim::run`](crate::sim::Sim::run) runs all of them until every client has ended, and fails if any of them returns
//! an error or panics.
//!
//! The name of a host is also its host name. It resolves to the address of the host, such as 10.0.0.1:
//!
#![cfg_attr(feature = "prelude", doc = "```")]
#![cfg_attr(not(feature = "prelude"), doc = "```ignore")]
#![doc = include_str!("simulation/program.txt")]
//! use glassfrog::sim::{self, Sim};
//!
//! fn add_hosts(sim: &mut Sim) {
//!     sim.host("counter", || async {
//!         let listener = TcpListener::bind("0.0.0.0:80").await?;
//!         Ok(serve(listener).await?)
//!     });
//!     sim.client("client", async {
//!         for expected in 1..=20 {
//!             match add_one("counter:80").await {
//!                 count if count == expected => {}
//!                 count => return Err(format!("the count is {count}, not {expected}").into()),
//!             }
//!         }
//!         Ok(())
//!     });
//! }
//!
//! let mut sim = Sim::new(1);
//! add_hosts(&mut sim);
//! let report = sim.run()?;
//! // Twenty requests, each of two round trips. A packet takes 1 to 10 ms.
//! assert!(report.elapsed > Duration::from_millis(4 * 20));
//! # Ok::<(), sim::Failure>(())
//! ```
//!
//! `1` is the seed. The packets take 1 to 10 ms each way, unless [`Sim::link`](crate::sim::Sim::link) says otherwise. The run
//! still passes.
//!
//! # Step 3: faults
//!
//! Another client cuts the network for a while. Functions such as [`sim::partition`](crate::sim::partition) are for the
//! software of hosts; a [`Sim`](crate::sim::Sim) has methods of the same names. [`sim::rng`](crate::sim::rng) returns random
//! numbers, which the seed determines:
//!
#![cfg_attr(feature = "prelude", doc = "```")]
#![cfg_attr(not(feature = "prelude"), doc = "```ignore")]
//! # use glassfrog::sim::{self, Sim};
//! # use glassfrog::time::sleep;
//! # use std::time::Duration;
//! fn add_chaos(sim: &mut Sim) {
//!     sim.client("chaos", async {
//!         let rng = sim::rng();
//!         sleep(rng.range(Duration::ZERO..Duration::from_millis(500))).await;
//!         sim::partition("counter", "client");
//!         sleep(rng.range(Duration::ZERO..Duration::from_secs(5))).await;
//!         sim::repair("counter", "client");
//!         Ok(())
//!     });
//! }
//! # let mut sim = Sim::new(1);
//! # sim.host("counter", || std::future::pending());
//! # sim.client("client", async { Ok(()) });
//! # add_chaos(&mut sim);
//! # sim.run().unwrap();
//! ```
//!
//! # Step 4: many seeds
//!
//! The time of the cut depends on the seed, and so do the latencies, and the order in which hosts and tasks run. Most seeds
//! show nothing. [`sim::search`](crate::sim::search) tries them one after the other:
//!
#![cfg_attr(feature = "prelude", doc = "```")]
#![cfg_attr(not(feature = "prelude"), doc = "```ignore")]
#![doc = include_str!("simulation/program.txt")]
#![doc = include_str!("simulation/hosts.txt")]
//! let every_addition_counts_once = |sim: &mut Sim| {
//!     add_hosts(sim);
//!     add_chaos(sim);
//!     sim.run().map(|_report| ())
//! };
//! let (seed, failure) = sim::search(0..1000, every_addition_counts_once).expect("no seed fails");
//! assert!(failure.to_string().contains("the count is"));
//!
//! // The seed repeats the run, in this process and in any other.
//! let (_, again) = sim::search(seed..=seed, every_addition_counts_once).unwrap();
//! assert_eq!(failure.to_string(), again.to_string());
//! ```
//!
//! As a test, with the feature `macros`, this is:
//!
#![cfg_attr(all(feature = "prelude", feature = "macros"), doc = "```")]
#![cfg_attr(not(all(feature = "prelude", feature = "macros")), doc = "```ignore")]
#![doc = include_str!("simulation/program.txt")]
#![doc = include_str!("simulation/hosts.txt")]
//! #[glassfrog::test(sim, iterations = 1000)]
//! fn every_addition_counts_once(sim: &mut Sim) {
//!     add_hosts(sim);
//!     add_chaos(sim);
//!     sim.run().unwrap();
//! }
//! ```
//!
//! It fails, and prints the seed. `GLASSFROG_SEED=2 cargo test every_addition` runs this seed alone.
//!
//! # Step 5: the failure
//!
//! A [`Failure`](crate::sim::Failure) prints its cause, what every task of every host waits for, the last lines of the journal
//! of the network, and the seed:
//!
//! ```text
//! host "client" failed after 2.391795 s of simulated time: returned an error: the count is 15, not 14
//! tasks of counter:
//! task      spawned at       age  polls  state    waits for
//! 1 "main"  src/main.rs:41  2.3 s     16  waiting  accept tcp 0.0.0.0:80 for 0 ms
//! 15        src/main.rs:15  2.0 s      2  waiting  read tcp 10.0.0.1:80 → 10.0.0.2:51098 for 2.0 s
//! 16        src/main.rs:15   0 ms      2  waiting  read tcp 10.0.0.1:80 → 10.0.0.2:51100 for 0 ms
//! tasks of client: none
//! the last events of the network:
//!   …
//!   1.685960 counter → client data #0, 4 bytes
//!   1.685960 counter → client data #0, 4 bytes: lost: cut
//!   1.901494 counter → client is repaired
//!   1.901494 client → counter is repaired
//!   …
//!   2.381652 client → counter data #0, 1 byte
//!   2.383780 client → counter ack #0: arrives
//!   2.385302 client → counter data #0, 1 byte: arrives
//!   2.385302 counter → client ack #1
//!   2.385302 counter → client data #0, 4 bytes
//!   2.391795 counter → client data #0, 4 bytes: arrives
//!   2.391795 client → counter ack #4
//!   2.391795 client → counter fin #1
//! repeat it with GLASSFROG_SEED=2
//! ```
//!
//! The journal tells the story. The byte of the fourteenth addition arrives, but its reply, `data #0, 4 bytes`, is lost in the
//! cut, however often TCP sends it. After a second, the client gives up its connection, and its next attempt adds one again.
//! The dump shows the same from the other side: task 15 of the counter still serves the connection that was given up. If the
//! 32 newest events are too few, [`Builder::record`](crate::sim::Builder::record) keeps more.
//!
//! Two more views help where the journal does not suffice:
//!
//! - **A timeline.** `GLASSFROG_TIMELINE=run.html GLASSFROG_SEED=2 cargo test every_addition` writes a page of the run: each
//!   host is a group with a lane for each task, each packet is an arrow from one host to another, red if it was lost, and
//!   each fault is a mark. The module `timeline` describes the page.
//! - **Log lines.** [`sim::Logger`](crate::sim::Logger) wraps the logger of your choice. It puts the simulated time and the
//!   name of the host in front of each line: `12.345678 counter: accepted a connection from 10.0.0.2:32768`.
//!
//! A test may also look at the hosts as it goes along: [`Sim::step`](crate::sim::Sim::step) runs one moment,
//! [`Sim::run_for`](crate::sim::Sim::run_for) runs for a simulated time, and [`Sim::dump`](crate::sim::Sim::dump) returns the dump
//! of a host.
//!
//! # Step 6: the mended program
//!
//! A request that may be repeated needs a name of its own. Each addition gets a number, and the client sends the same number
//! with each attempt. The server keeps the numbers, and responds to a known one with the count that it got:
//!
#![cfg_attr(feature = "prelude", doc = "```")]
#![cfg_attr(not(feature = "prelude"), doc = "```ignore")]
//! # use glassfrog::net::{TcpListener, TcpStream};
//! # use glassfrog::prelude::*;
//! # use glassfrog::sim;
//! # use glassfrog::time::{sleep, timeout};
//! # use std::{cell::RefCell, collections::BTreeMap, io, rc::Rc, time::Duration};
//! async fn serve(listener: TcpListener) -> io::Result<()> {
//!     let counts = Rc::new(RefCell::new(BTreeMap::<u32, u32>::new()));
//!     loop {
//!         let (mut client, _) = listener.accept().await?;
//!         let counts = Rc::clone(&counts);
//!         drop(glassfrog::spawn(async move {
//!             let mut number = [0; 4];
//!             while client.read_exact(&mut number).await.is_ok() {
//!                 let next = counts.borrow().len() as u32 + 1;
//!                 let number = u32::from_be_bytes(number);
//!                 let count = *counts.borrow_mut().entry(number).or_insert(next);
//!                 client.write_all(&count.to_be_bytes()).await?;
//!             }
//!             io::Result::Ok(())
//!         }));
//!     }
//! }
//! # async fn add_one(server: &str, number: u32) -> u32 {
//! #     loop {
//! #         let attempt = async {
//! #             let mut stream = TcpStream::connect(server).await?;
//! #             stream.write_all(&number.to_be_bytes()).await?;
//! #             let mut count = [0; 4];
//! #             stream.read_exact(&mut count).await?;
//! #             io::Result::Ok(u32::from_be_bytes(count))
//! #         };
//! #         if let Ok(Ok(count)) = timeout(Duration::from_secs(1), attempt).await {
//! #             return count;
//! #         }
//! #         sleep(Duration::from_millis(50)).await;
//! #     }
//! # }
//! # let found = sim::search(0..100, |sim| {
//! #     sim.host("counter", || async {
//! #         let listener = TcpListener::bind("0.0.0.0:80").await?;
//! #         Ok(serve(listener).await?)
//! #     });
//! #     sim.client("client", async {
//! #         for expected in 1..=20 {
//! #             assert_eq!(add_one("counter:80", expected).await, expected);
//! #         }
//! #         Ok(())
//! #     });
//! #     sim.client("chaos", async {
//! #         let rng = sim::rng();
//! #         sleep(rng.range(Duration::ZERO..Duration::from_millis(500))).await;
//! #         sim::partition("counter", "client");
//! #         sleep(rng.range(Duration::ZERO..Duration::from_secs(5))).await;
//! #         sim::repair("counter", "client");
//! #         Ok(())
//! #     });
//! #     sim.run()
//! # });
//! # assert!(found.is_none());
//! ```
//!
//! The test then passes under all seeds. Leave it in place: 1,000 seeds of a test like this one take some seconds in a debug
//! build, and half a second in a release build.
//!
//! # More faults
//!
//! | fault | call | what the program sees |
//! | --- | --- | --- |
//! | a cut | [`partition`](crate::sim::partition), [`partition_oneway`](crate::sim::partition_oneway), until [`repair`](crate::sim::repair) | packets are lost; TCP sends them again after 0.2 s, 0.4 s, 0.8 s ..., and gives up after many minutes |
//! | delay | [`hold`](crate::sim::hold), until [`release`](crate::sim::release) | packets wait, and then arrive all at once |
//! | a bad link | [`link`](crate::sim::link), [`link_between`](crate::sim::link_between), [`link_oneway`](crate::sim::link_oneway) | latency, loss, duplication, a bandwidth, another MTU |
//! | a reset | [`reset`](crate::sim::reset) | the connections between two hosts fail with `ConnectionReset` at both ends |
//! | power loss | [`crash`](crate::sim::crash) | the host says nothing; its peers wait in vain until their own timeouts; its destructors run, so keep writes out of `Drop` |
//! | the end of a process | [`kill`](crate::sim::kill) | the kernel of the host closes its sockets: peers read the end or get `ConnectionReset` |
//! | a start | [`restart`](crate::sim::restart) | the host runs its closure again, without its memory; old connections are reset when a segment arrives |
//! | a stopped process | [`pause`](crate::sim::pause), until [`resume`](crate::sim::resume) | the kernel of the host acknowledges, but the program does not respond |
//! | a wrong clock | [`clock`](crate::sim::clock) | see [below](#clocks) |
//!
//! [`Faults::swarm`](crate::sim::Faults::swarm) lets the seed choose: each seed takes some of these kinds, at random times
//! between random hosts, and repairs everything in the end. After that, a program must make progress again, so a time limit
//! is a test of liveness:
//!
#![cfg_attr(feature = "prelude", doc = "```")]
#![cfg_attr(not(feature = "prelude"), doc = "```ignore")]
//! # use glassfrog::sim::{Faults, Sim};
//! # use std::time::Duration;
//! # let mut sim = Sim::new(1);
//! # sim.host("counter", || std::future::pending());
//! # sim.client("client", async { Ok(()) });
//! sim.faults(Faults::swarm().quiet_after(Duration::from_secs(30)));
//! sim.time_limit(Duration::from_secs(60));
//! # sim.run()?;
//! # Ok::<(), glassfrog::sim::Failure>(())
//! ```
//!
//! Without any fault, the simulated network does what a real one may do, but loopback hardly ever does: it cuts writes into
//! segments, and a read returns fewer bytes than there are. A program that takes the bytes of one read for one message
//! fails under the first seeds.
//!
//! # Clocks
//!
//! Each host has a clock. [`Clock`](crate::sim::Clock) sets it ahead or behind, and lets it run fast or slow by parts in a
//! million. The rate applies to [`time::now`](crate::time::now), sleeps and timeouts, and to
//! [`time::system_now`](crate::time::system_now), the time of day. On a host that runs, only the time of day is set ahead
//! or behind. So a lease that its holder and its owner measure by different clocks overlaps with the next one:
//!
#![cfg_attr(feature = "prelude", doc = "```")]
#![cfg_attr(not(feature = "prelude"), doc = "```ignore")]
//! use glassfrog::sim::{self, Clock, Sim};
//! use glassfrog::time::sleep;
//! use std::time::Duration;
//!
//! let mut sim = Sim::new(1);
//! for (name, ppm) in [("right", 0), ("fast", 500)] {
//!     sim.client(name, async move {
//!         sleep(Duration::from_secs(60)).await;
//!         let early = Duration::from_secs(60).saturating_sub(sim::elapsed());
//!         assert_eq!(early.as_millis(), if ppm == 0 { 0 } else { 29 });
//!         Ok(())
//!     });
//!     sim.clock(name, Clock::default().ppm(ppm));
//! }
//! sim.run()?;
//! # Ok::<(), sim::Failure>(())
//! ```
//!
//! # Invariants
//!
//! A client can check only what a client sees. [`Sim::every`](crate::sim::Sim::every) checks the state of the hosts
//! themselves, every so often, between two steps. Let the program share what the check needs, in an `Rc`:
//!
#![cfg_attr(feature = "prelude", doc = "```")]
#![cfg_attr(not(feature = "prelude"), doc = "```ignore")]
//! # use glassfrog::sim::{self, Sim};
//! # use std::cell::RefCell;
//! # use std::collections::BTreeSet;
//! # use std::rc::Rc;
//! # use std::time::Duration;
//! let leaders = Rc::new(RefCell::new(BTreeSet::<String>::new()));
//! # let mut sim = Sim::new(1);
//! # let seen = Rc::clone(&leaders);
//! # sim.client("node", async move {
//! #     seen.borrow_mut().insert(sim::host());
//! #     Ok(())
//! # });
//! sim.every(Duration::from_millis(10), move || match leaders.borrow().len() {
//!     0 | 1 => Ok(()),
//!     _ => Err(format!("{:?} lead at once", leaders.borrow()).into()),
//! });
//! # sim.run()?;
//! # Ok::<(), sim::Failure>(())
//! ```
//!
//! # What is not deterministic
//!
//! The runtime, the network and the clocks depend on the seed alone. The program may still depend on something else:
//!
//! - the order of a `HashMap` or a `HashSet`, whose keys the standard library draws from the operating system
//! - the real clock: [`Instant::now`](std::time::Instant::now), [`SystemTime::now`](std::time::SystemTime::now)
//! - random numbers of the operating system, such as those of the crate `rand`
//! - threads, and channels to them
//! - statics and thread-locals, which all hosts and all runs of a process share
//! - files, environment variables, addresses in memory
//!
//! glassfrog contains no `unsafe` code, so it cannot replace these functions. It finds them instead. Under
//! `#[glassfrog::test(sim, twice)]`, each seed runs two times, and the test names the first difference between the two runs.
//! A program that sends the values of a `HashMap` fails like this:
//!
//! ```text
//! not deterministic: "0.007094 client → server data #0, 3 bytes" against "0.007094 client → server data #0, 2 bytes"
//! ```
//!
//! If a foreign thread wakes a task of a host, the run fails and says so.
//!
//! Use:
//!
//! | in place of | use |
//! | --- | --- |
//! | `Instant::now()` | [`time::now`](crate::time::now) |
//! | `SystemTime::now()` | [`time::system_now`](crate::time::system_now) |
//! | `HashMap`, `HashSet` | `BTreeMap`, `BTreeSet`; or the keys of [`sim::RandomState`](crate::sim::RandomState), if the program itself depends on the feature |
//! | a random number | a generator whose seed is an argument; a test passes `sim::rng().next_u64()` |
//! | `thread::spawn` | [`spawn`](crate::spawn), or [`task::spawn_blocking`](crate::task::spawn_blocking), which a simulation runs at a moment that the seed chooses |
//!
//! Clippy can forbid the rest. Put these settings into the `clippy.toml` of the project:
//!
//! ```toml
//! disallowed-types = [
//!     { path = "std::collections::HashMap", reason = "its order is random: use BTreeMap" },
//!     { path = "std::collections::HashSet", reason = "its order is random: use BTreeSet" },
//!     { path = "std::hash::RandomState", reason = "its keys are random: use glassfrog::sim::RandomState" },
//! ]
//! disallowed-methods = [
//!     { path = "std::time::Instant::now", reason = "use glassfrog::time::now" },
//!     { path = "std::time::Instant::elapsed", reason = "subtract from glassfrog::time::now" },
//!     { path = "std::time::SystemTime::now", reason = "use glassfrog::time::system_now" },
//!     { path = "std::time::SystemTime::elapsed", reason = "subtract from glassfrog::time::system_now" },
//!     { path = "std::thread::sleep", reason = "use glassfrog::time::sleep" },
//!     { path = "std::thread::spawn", reason = "use glassfrog::spawn or task::spawn_blocking" },
//!     { path = "std::thread::scope", reason = "use glassfrog::task::scope" },
//!     { path = "std::thread::Builder::spawn", reason = "use glassfrog::spawn or task::spawn_blocking" },
//!     { path = "std::thread::available_parallelism", reason = "differs between machines" },
//!     { path = "std::net::ToSocketAddrs::to_socket_addrs", reason = "use glassfrog::net::lookup_host" },
//!     { path = "std::process::id", reason = "differs between runs" },
//! ]
//! ```
//!
//! Where a program means the real clock or a thread, it expects the lint `clippy::disallowed_methods` and gives the reason. The
//! lints do not see into other crates, but `twice` finds what these do.
//!
//! # What is simulated
//!
//! - **TCP**: the handshake with its backlog, segments of the link's MTU, acknowledgements, windows, and so backpressure;
//!   retransmission with timeouts that double, half-close, FIN and RST, connections that are half open after a crash,
//!   refused and unreachable addresses. The timeouts are those of Linux, and [`Tcp`](crate::sim::Tcp) changes them. There is
//!   no congestion control.
//! - **UDP**: loss, duplication, reordering, the limits of sizes and buffers, unreachable ports.
//! - **Names**: [`lookup_host`](crate::net::lookup_host) and `connect` know the hosts of the simulation, and `localhost`.
//! - **Time**: clocks, sleeps, timeouts, intervals. Nothing ticks: the time jumps to the next event.
//! - **Blocking jobs**: a closure of [`spawn_blocking`](crate::task::spawn_blocking) runs while the simulation waits. A job
//!   that waits for a task of the simulation would wait forever, so a job of more than 10 s of real time fails the run.
//!
//! These are not simulated:
//!
//! - **Files.** A program that uses `std::fs` in a job reads and writes real ones, which survive a crash. Pass a directory of
//!   its own to each host. No write is lost that was not synced.
//! - **Unix sockets, signals, child processes, descriptors in `io::Async`.** They belong to the machine, so a simulated host
//!   refuses those that it cannot wait for.
//! - **Multicast and broadcast.** They return an error of the kind `Unsupported`.
//! - **The time that a computation takes.** A poll takes no simulated time, so an overloaded host is not slower.
//! - **Threads.** Each host has one thread. Hosts run one after the other, never at the same time.
//!
//! # Beside turmoil and madsim
//!
//! Both are established, and both do things that glassfrog does not. This table compares turmoil 0.7.2 and madsim 0.2.34:
//!
//! | | glassfrog | turmoil | madsim |
//! | --- | --- | --- | --- |
//! | runtime | glassfrog | tokio, one for each host | its own; `madsim-tokio` has the names of tokio |
//! | types of the program | those of production | those of `turmoil::net`, which mirror `tokio::net`; the program chooses between the two | those of forks of tokio, tonic and others, which are the originals in a normal build |
//! | what a test build needs | a feature | a feature or a `cfg` of the program; `tokio_unstable`, to seed tokio and to fail when a host panics | `RUSTFLAGS="--cfg madsim"`, and `[patch]` for some crates, such as `getrandom` |
//! | crates on top | those that run on glassfrog, unchanged: hyper, axum, rustls, and others | those that take any stream, such as hyper, axum and tonic | those that exist as forks or simulators |
//! | time | jumps to the next event | ticks, of 1 ms by default, in each of which every host runs | jumps to the next event |
//! | clocks | ahead, behind, fast, slow, for each host | one time | one time |
//! | TCP | segments, acknowledgements, retransmission, windows in bytes, half-close, FIN, RST | numbered segments, FIN, RST, half-close, a window in segments; a lost segment is not sent again | an ordered channel; while a link is down, it waits and tries again; buffers without limit, no half-close |
//! | short reads and writes | random, on by default | no | no |
//! | UDP | loss, duplication, reordering | loss, reordering | loss, reordering |
//! | links | latency, loss, duplication, bandwidth, MTU, per direction | latency (a range and its distribution), loss, per pair | latency and loss, for all links |
//! | cuts | both ways, one way, hold | both ways, one way, hold; packets on the way can be inspected | of a link in one direction; of a host in or out |
//! | hosts | crash, kill, pause, restart | crash, restart | kill, pause, restart, restart after a panic, Ctrl-C |
//! | random faults | `Faults::swarm` | links that fail and recover with a probability | `buggify`, points in the program at which a fault may happen |
//! | **files** | no | **yes** (`unstable-fs`): writes that were not synced are lost at a crash, errors, corruption, short reads, a page cache | **yes**: each host has its own files; a crash loses no write |
//! | **services** | no | no | **etcd, Kafka, S3, gRPC** |
//! | **points in the program** | no | **barriers** (`unstable-barriers`): a test suspends the program at a point | hooks on requests of its RPC |
//! | **hash keys, clock and random numbers of the system** | found by `twice`, forbidden by clippy | not replaced | **replaced**: it overrides the functions of libc; a new thread panics |
//! | check of determinism | two runs must have the same events; names the first that differs | no | two runs must draw the same random numbers; names the time of the first that differs |
//! | many seeds | `search`, `iterations`, replay by `GLASSFROG_SEED` | a loop of your own | `MADSIM_TEST_NUM`, several at once by `MADSIM_TEST_JOBS`, replay by `MADSIM_TEST_SEED` |
//! | a failure shows | the tasks of each host and what they wait for, the journal of the network, a timeline | traces of packets, by `tracing` | log lines with the host and the time |
//! | platforms | Linux, macOS, Windows | those of tokio | Linux, macOS |
//!
//! Parts of turmoil are crates of their own since May 2026. `turmoil-net` 0.1 is a new network with handshakes, windows and
//! retransmission after a number of steps, and rules for each packet. It is meant to replace the network of turmoil.
//! `turmoil-fs` 0.1 is its file system, and `turmoil-io-uring` 0.1 simulates io_uring.
//!
//! To test how a program recovers its files, use turmoil. To test one that needs etcd, Kafka or S3, or one that iterates over
//! hash maps everywhere, use madsim. Both test programs for tokio; glassfrog tests programs for glassfrog.

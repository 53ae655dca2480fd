//! Several hosts, a network and a time of their own, in one deterministic test.
//!
//! A distributed program, written with the ordinary sockets, sleeps and tasks of this crate, or with hyper and axum on top,
//! runs unchanged in a [`Sim`]: as several hosts with names and addresses, on virtual time, under latency, loss,
//! partitions, crashes and clocks that are wrong. The seed determines everything: the same seed leads to the same run,
//! bit for bit. So a bug that one run in a thousand shows is found by [a search over seeds](search), and replayed from
//! its seed.
//!
#![cfg_attr(feature = "prelude", doc = "```")]
#![cfg_attr(not(feature = "prelude"), doc = "```ignore")]
//! use glassfrog::net::{TcpListener, TcpStream};
//! use glassfrog::prelude::*;
//! use glassfrog::sim::{self, Link, Sim};
//! use glassfrog::time::{sleep, timeout};
//! use std::time::Duration;
//!
//! const MS: Duration = Duration::from_millis(1);
//!
//! // Ordinary software.
//! async fn server() -> sim::Result {
//!     let listener = TcpListener::bind("0.0.0.0:7").await?;
//!     loop {
//!         let (mut stream, _) = listener.accept().await?;
//!         drop(glassfrog::spawn(async move {
//!             let mut byte = [0];
//!             while stream.read_exact(&mut byte).await.is_ok() {
//!                 stream.write_all(&byte).await?;
//!             }
//!             std::io::Result::Ok(())
//!         }));
//!     }
//! }
//!
//! let mut sim = Sim::new(4);
//! sim.link(Link::latency(MS..=10 * MS).loss(0.01));
//! sim.host("server", server);
//! sim.client("client", async {
//!     let mut stream = TcpStream::connect("server:7").await?;
//!     sim::partition("client", "server");
//!     stream.write_all(b"x").await?;
//!     let answer = timeout(Duration::from_secs(5), stream.read_exact(&mut [0])).await;
//!     assert!(answer.is_err(), "nothing gets through");
//!     sim::repair("client", "server");
//!     // TCP sends the byte again.
//!     stream.read_exact(&mut [0]).await?;
//!     Ok(())
//! });
//! sim.run()?;
//! # Ok::<(), sim::Failure>(())
//! ```
//!
//! With the feature `macros`, `#[glassfrog::test(sim, iterations = 1000, twice)]` runs a test under a thousand seeds,
//! each two times, and prints the seed that fails. The page [Testing a distributed program](crate::guide::simulation) of the
//! guide begins with a program that exists already, and compares this module with turmoil and madsim.
//!
//! # A picture of a run
//!
//! `GLASSFROG_TIMELINE=run.html` in the environment records the run as a timeline: a page with a group of lanes for each
//! host, an arrow for each packet, and a mark for each fault and for the failure. Together with the seed, it shows what
//! led to a failure:
//!
//! ```sh
//! GLASSFROG_SEED=4 GLASSFROG_TIMELINE=run.html cargo test no_acknowledged_write_is_lost
//! ```
//!
//! Without the variable, nothing is recorded. The module `glassfrog::timeline` describes the page.
//!
//! # What is simulated
//!
//! - Each host is a runtime of its own: tasks, wakers, sleeps, `sync` and dumps are those of production. The seed
//!   shuffles the order in which ready tasks are polled, and in which ready hosts run.
//! - [`net`](crate::net)'s TCP and UDP sockets: latency, bandwidth, loss and duplication, segments, windows,
//!   retransmission, half-open connections, short reads and writes. Names resolve to the addresses of the hosts.
//! - Time: [`time::now`](crate::time::now) and [`time::system_now`](crate::time::system_now) show the clock of the host.
//!   Time passes only when no task of any host is ready, and then jumps to the next event.
//! - [`spawn_blocking`](crate::task::spawn_blocking): a closure begins at a moment that the seed chooses, up to five
//!   milliseconds after it was submitted, and takes no simulated time. Everything else waits for it, so it must not wait
//!   for a task. If it takes more than ten seconds of real time, the run fails and names it.
//! - The server `glassfrog::hyper::serve` sends no `Date` header on a host, because hyper takes the date from the operating
//!   system. A connection of hyper without `serve` needs `auto_date_header(false)`.
//! - Processes: when the software of a host returns, its process exits, as it does when `main` returns.
//!
//! # What is not
//!
//! - The file system, Unix sockets, pipes, signals and other descriptors. A host refuses the descriptors of the operating
//!   system with an error. The file system is that of the machine, and survives a crash as it is.
//! - Threads. A message from a foreign thread into a host [fails the run](Cause::ForeignMessage), because its timing
//!   depends on the machine.
//! - Statics and thread-locals, which all hosts share.
//! - The clock and the random keys of the standard library. `Instant::now`, `SystemTime::now` and a `HashMap` that is
//!   iterated over make two runs of a seed differ. Nothing can replace them without `unsafe` code, so they are detected:
//!   `twice` names the first difference between two runs. Use `time::now`, `time::system_now` and [`RandomState`] instead.
//!   With this `clippy.toml`, clippy finds what does not:
//!
//!   ```toml
//!   disallowed-methods = [
//!       { path = "std::time::Instant::now", reason = "use glassfrog::time::now" },
//!       { path = "std::time::SystemTime::now", reason = "use glassfrog::time::system_now" },
//!       { path = "std::thread::spawn", reason = "use glassfrog::task::spawn_blocking" },
//!       { path = "std::thread::sleep", reason = "use glassfrog::time::sleep" },
//!   ]
//!   disallowed-types = [
//!       { path = "std::hash::RandomState", reason = "use glassfrog::sim::RandomState" },
//!       { path = "std::collections::HashMap", reason = "iterates in random order: use BTreeMap, or an alias with glassfrog::sim::RandomState" },
//!       { path = "std::collections::HashSet", reason = "iterates in random order: use BTreeSet, or an alias with glassfrog::sim::RandomState" },
//!   ]
//!   ```
//!
//! # The feature
//!
//! With the feature `sim`, every socket is either real or simulated, which costs a branch in each operation. A feature that
//! one package of a build turns on is on for all of them. So enable it where only tests need it:
//!
//! ```toml
//! [dev-dependencies]
//! glassfrog = { version = "0.1", features = ["sim", "macros"] }
//! ```

mod bell;
mod builder;
mod clock;
mod driver;
mod failure;
mod faults;
mod inside;
mod jobs;
mod logger;
mod machine;
mod origin;
mod random_state;
mod report;
mod rng;
mod search;
mod simulation;
#[cfg(feature = "macros")]
pub(crate) mod tested;

pub use self::builder::Builder;
pub use self::clock::Clock;
pub use self::failure::{Cause, Failure};
pub use self::faults::{Fault, Faults};
pub use self::inside::{
    clock, crash, elapsed, hold, host, is_simulated, kill, link, link_between, link_oneway,
    partition, partition_oneway, pause, release, repair, repair_oneway, reset, restart, resume,
    rng,
};
pub use self::logger::Logger;
pub use self::random_state::RandomState;
pub use self::report::Report;
pub use self::rng::{Rng, Uniform, UniformRange};
pub use self::search::search;
pub use self::simulation::Sim;
pub use crate::wire::{Link, Tcp};

use std::error::Error;

/// What the software of a host returns.
///
/// The operator `?` converts any type that implements [`Error`], so software that returns an `io::Result` becomes a
/// host with `|| async { Ok(software().await?) }`. A `Box<dyn Error + Send + Sync>` implements no `Error`: convert it
/// with `map_err(|error| -> Box<dyn Error> { error })`.
///
/// # Examples
///
/// ```
/// use glassfrog::net::TcpListener;
/// use glassfrog::sim;
///
/// async fn server() -> sim::Result {
///     let listener = TcpListener::bind("0.0.0.0:80").await?;
///     let port: u16 = "80".parse()?;
///     assert_eq!(listener.local_addr()?.port(), port);
///     Ok(())
/// }
/// # let mut sim = sim::Sim::new(1);
/// # sim.client("server", server());
/// # sim.run()?;
/// # Ok::<(), sim::Failure>(())
/// ```
pub type Result<T = ()> = std::result::Result<T, Box<dyn Error>>;

//! Several hosts, a network and a time of their own, in one deterministic test.

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
mod random_state;
mod report;
mod rng;
mod search;
mod simulation;

pub use self::builder::Builder;
pub use self::clock::Clock;
pub use self::failure::{Cause, Failure};
pub use self::faults::{Fault, Faults};
pub use self::inside::{
    clock, crash, elapsed, hold, host, is_simulated, kill, link, link_between, link_oneway, partition, partition_oneway,
    pause, release, repair, repair_oneway, reset, restart, resume, rng,
};
pub use self::logger::Logger;
pub use self::random_state::RandomState;
pub use self::report::Report;
pub use self::rng::{Rng, Uniform, UniformRange};
pub use self::search::search;
pub use self::simulation::Sim;
#[cfg(feature = "macros")]
pub(crate) use self::simulation::Stop;
#[cfg(feature = "macros")]
pub(crate) use crate::wire::{Difference, Recording};
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

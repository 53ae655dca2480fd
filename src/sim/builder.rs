//! [`Builder`]: the settings of a simulation.

use super::faults::Plan;
use super::inside::Simulation;
use super::jobs::{self, Jobs};
use super::rng::Rng;
use super::{Link, Sim, Tcp};
use crate::clock::Clock;
use crate::clock::host::{HostClock, TrueTime};
use crate::timeline::simulation::SimulationRecorder;
use crate::wire::Wire;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

/// The time limit of a simulation, if the test has not set one. Few tests mean to simulate longer, and a program that
/// keeps itself busy forever is found soon.
const TIME_LIMIT: Duration = Duration::from_secs(60 * 60);

/// The number of polls at one moment that count as a livelock, if the test has not set one: more than hosts that make
/// progress need.
const POLL_LIMIT: u64 = 1_000_000;

/// When a simulation begins, if the test has not set it: 2025-01-01 00:00:00 UTC. A fixed moment, so that the same seed
/// leads to the same dates.
const EPOCH: Duration = Duration::from_secs(1_735_689_600);

/// The settings of a simulation.
///
/// # Examples
///
/// ```
/// use glassfrog::sim::{Link, Sim};
/// use std::time::Duration;
///
/// const MS: Duration = Duration::from_millis(1);
///
/// let mut sim = Sim::builder()
///     .seed(7)
///     .link(Link::latency(MS..=10 * MS).loss(0.01))
///     .time_limit(Duration::from_secs(600))
///     .build();
/// sim.client("client", async { Ok(()) });
/// assert_eq!(sim.run()?.seed, 7);
/// # Ok::<(), glassfrog::sim::Failure>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until `build` is called"]
pub struct Builder {
    /// Determines everything that is random.
    seed: u64,
    /// The links of which nothing else is said.
    link: Link,
    /// The time limit.
    time_limit: Duration,
    /// The limit of polls at one moment.
    poll_limit: u64,
    /// What a clock that is right shows at the beginning.
    epoch: SystemTime,
    /// How the hosts' kernels handle TCP.
    tcp: Tcp,
    /// The number of lines of the journal that a report contains.
    record: usize,
    /// How long a job may run.
    job_limit: Duration,
}

impl Builder {
    /// Creates a builder with the default settings.
    pub(super) fn new() -> Builder {
        Builder {
            seed: 0,
            link: Link::default(),
            time_limit: TIME_LIMIT,
            poll_limit: POLL_LIMIT,
            epoch: SystemTime::UNIX_EPOCH + EPOCH,
            tcp: Tcp::default(),
            record: 0,
            job_limit: jobs::LIMIT,
        }
    }

    /// Sets the seed, which determines everything that is random; 0 by default.
    ///
    /// # Examples
    ///
    /// See [`Builder`].
    pub fn seed(mut self, seed: u64) -> Builder {
        self.seed = seed;
        self
    }

    /// Sets what the links between hosts are like; see [`Sim::link`].
    ///
    /// # Examples
    ///
    /// See [`Builder`].
    pub fn link(mut self, link: Link) -> Builder {
        self.link = link;
        self
    }

    /// Sets the time limit; see [`Sim::time_limit`].
    ///
    /// # Examples
    ///
    /// See [`Builder`].
    pub fn time_limit(mut self, limit: Duration) -> Builder {
        self.time_limit = limit;
        self
    }

    /// Sets how many polls the hosts may make together at a single moment; a million by default. More of them are a
    /// [livelock](super::Cause::Livelock). A debug build may need half a minute of real time to make a million polls, so a
    /// test of a program that may spin had better set fewer.
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::sim::{Cause, Sim};
    /// use glassfrog::task::yield_now;
    ///
    /// let mut sim = Sim::builder().poll_limit(1_000).build();
    /// sim.client("spinner", async {
    ///     loop {
    ///         yield_now().await;
    ///     }
    /// });
    /// let failure = sim.run().unwrap_err();
    /// assert!(matches!(failure.cause(), Cause::Livelock { polls: 1_000 }));
    /// ```
    pub fn poll_limit(mut self, polls: u64) -> Builder {
        self.poll_limit = polls;
        self
    }

    /// Sets what [`time::system_now`](crate::time::system_now) returns at the beginning on a host whose clock is right;
    /// 2025-01-01 00:00:00 UTC by default.
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::sim::Sim;
    /// use glassfrog::time::system_now;
    /// use std::time::{Duration, SystemTime};
    ///
    /// let epoch = SystemTime::UNIX_EPOCH + Duration::from_secs(4_000_000_000);
    /// let mut sim = Sim::builder().epoch(epoch).build();
    /// sim.client("client", async move {
    ///     assert_eq!(system_now(), epoch);
    ///     Ok(())
    /// });
    /// sim.run()?;
    /// # Ok::<(), glassfrog::sim::Failure>(())
    /// ```
    pub fn epoch(mut self, epoch: SystemTime) -> Builder {
        self.epoch = epoch;
        self
    }

    /// Sets how the kernels of the hosts handle TCP.
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::sim::{Sim, Tcp};
    ///
    /// let sim = Sim::builder().tcp(Tcp::default()).build();
    /// ```
    pub fn tcp(mut self, tcp: Tcp) -> Builder {
        self.tcp = tcp;
        self
    }

    /// Has [`Report::journal`](super::Report::journal) contain the last `lines` lines of the journal of the network. By
    /// default it contains none. A [`Failure::journal`](super::Failure::journal) contains at least 32 lines in any case.
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::net::TcpStream;
    /// use glassfrog::sim::Sim;
    ///
    /// let mut sim = Sim::builder().record(100).build();
    /// sim.client("client", async {
    ///     assert!(TcpStream::connect("server:80").await.is_err());
    ///     Ok(())
    /// });
    /// sim.host("server", || std::future::pending());
    /// assert!(!sim.run()?.journal.is_empty());
    /// # Ok::<(), glassfrog::sim::Failure>(())
    /// ```
    pub fn record(mut self, lines: usize) -> Builder {
        self.record = lines;
        self
    }

    /// Sets how long a job may run, for the tests of this limit.
    #[doc(hidden)]
    pub fn test_job_limit(mut self, limit: Duration) -> Builder {
        self.job_limit = limit;
        self
    }

    /// Creates the simulation. It has no hosts yet.
    ///
    /// # Examples
    ///
    /// See [`Builder`].
    pub fn build(self) -> Sim {
        let rng = Rng::new(self.seed);
        let time = TrueTime::default();
        let wire = Wire::new(rng.next_u64(), self.tcp, time.clone());
        if self.record > 0 {
            wire.record(self.record);
        }
        let zero = Instant::now();
        let truth = HostClock::new(time.clone(), zero, self.epoch);
        let timeline =
            SimulationRecorder::by_environment(Clock::Simulated(Arc::new(truth)), zero, self.seed);
        if let Some(timeline) = &timeline {
            wire.set_timeline(Arc::clone(timeline));
        }
        // Each purpose has its own stream, so that one does not disturb another.
        let (order, fault_rng, host_rng) = (rng.fork(), rng.fork(), rng.fork());
        let mut sim = Sim {
            seed: self.seed,
            simulation: Arc::new(Simulation::new(wire, time, timeline)),
            zero,
            epoch: self.epoch,
            machines: Vec::new(),
            fresh: Vec::new(),
            timers: BTreeSet::new(),
            jobs: Jobs::new(self.job_limit),
            clients: 0,
            checks: Vec::new(),
            next_checks: BTreeSet::new(),
            faults: None,
            plan: Plan::default(),
            order,
            fault_rng,
            host_rng,
            rng,
            time_limit: 0,
            poll_limit: self.poll_limit,
            record: self.record,
            deliveries: Vec::new(),
            polls: 0,
            visits: 0,
            hash: self.seed,
            steps: None,
            has_begun: false,
            failed: None,
        };
        sim.link(self.link).time_limit(self.time_limit);
        sim
    }
}

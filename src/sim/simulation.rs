//! [`Sim`]: a simulation, as a test sees it.

use super::builder::Builder;
use super::clock::Clock;
use super::driver::{Check, Taken};
use super::failure::Failure;
use super::faults::{Faults, Plan};
use super::inside::{Command, Here, Simulation, wrong_names};
use super::jobs::Jobs;
use super::machine::{Machine, Software};
use super::origin::Origin;
use super::report::Report;
use super::rng::Rng;
use super::{Link, Result, Tcp};
use crate::clock::host::HostClock;
use crate::context;
use crate::dump::Dump;
use crate::wire::{HostId, Ready, nanos};
use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;
use std::panic::Location;
use std::pin::Pin;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

/// A simulation: several hosts, the network between them, and their time.
///
/// A test adds hosts with their software, runs the simulation, and looks at what came of it. The same seed leads to the
/// same run, bit for bit. See the [module](super) for what is simulated and what is not.
///
/// Each fault has a method here, for a test that runs the simulation [piece by piece](Sim::run_for), and a function of
/// the same name in the [module](super), for software that runs inside the simulation.
///
/// Dropping the simulation drops the tasks of all hosts, in the order in which the hosts were added.
///
/// # Examples
///
#[cfg_attr(feature = "prelude", doc = "```")]
#[cfg_attr(not(feature = "prelude"), doc = "```ignore")]
/// use glassfrog::net::{TcpListener, TcpStream};
/// use glassfrog::prelude::*;
/// use glassfrog::sim::Sim;
///
/// let mut sim = Sim::new(1);
/// sim.host("server", || async {
///     let listener = TcpListener::bind("0.0.0.0:80").await?;
///     loop {
///         let (mut stream, _) = listener.accept().await?;
///         stream.write_all(b"hello").await?;
///     }
/// });
/// sim.client("client", async {
///     let mut text = String::new();
///     TcpStream::connect("server:80").await?.read_to_string(&mut text).await?;
///     assert_eq!(text, "hello");
///     Ok(())
/// });
/// let report = sim.run()?;
/// assert!(report.elapsed.as_millis() > 0);
/// # Ok::<(), glassfrog::sim::Failure>(())
/// ```
pub struct Sim {
    /// Determines everything that is random.
    pub(super) seed: u64,
    /// The part that the hosts may use.
    pub(super) simulation: Arc<Simulation>,
    /// What a monotonic clock that is right showed at the beginning.
    pub(super) zero: Instant,
    /// What a wall clock that is right showed at the beginning.
    pub(super) epoch: SystemTime,
    /// The hosts and clients, by their numbers.
    pub(super) machines: Vec<Machine>,
    /// The hosts that boot at the next moment.
    pub(super) fresh: Vec<HostId>,
    /// When to look at the timers of which host. A host is in it at most once.
    pub(super) timers: BTreeSet<(u64, HostId)>,
    /// The blocking jobs.
    pub(super) jobs: Jobs,
    /// The number of clients that have not ended.
    pub(super) clients: usize,
    /// The checks.
    pub(super) checks: Vec<Check>,
    /// When to make which check.
    pub(super) next_checks: BTreeSet<(u64, usize)>,
    /// The faults of which no plan was drawn yet.
    pub(super) faults: Option<Faults>,
    /// The faults.
    pub(super) plan: Plan,
    /// Chooses among the ready hosts, and when a job begins.
    pub(super) order: Rng,
    /// Draws the faults.
    pub(super) fault_rng: Rng,
    /// Seeds the random numbers of the hosts.
    pub(super) host_rng: Rng,
    /// The random numbers of the test.
    pub(super) rng: Rng,
    /// The time limit, in nanoseconds since the beginning.
    pub(super) time_limit: u64,
    /// The limit of polls at one moment.
    pub(super) poll_limit: u64,
    /// The number of lines of the journal that a report contains.
    pub(super) record: usize,
    /// A buffer for the sockets that have become ready.
    pub(super) deliveries: Vec<Ready>,
    /// The number of polls.
    pub(super) polls: u64,
    /// The number of times that the driver has stepped a host.
    pub(super) visits: u64,
    /// The hash of the steps of the hosts.
    pub(super) hash: u64,
    /// All steps of the hosts, if two runs of the seed are compared.
    pub(super) steps: Option<Vec<Taken>>,
    /// Whether it has run, or a host has booted.
    pub(super) has_begun: bool,
    /// The failure, if the simulation has failed.
    pub(super) failed: Option<Failure>,
}

impl Sim {
    /// Creates a simulation without hosts, with the default settings.
    ///
    /// # Examples
    ///
    /// See [`Sim`].
    pub fn new(seed: u64) -> Sim {
        Sim::builder().seed(seed).build()
    }

    /// Returns a builder, for other settings.
    ///
    /// # Examples
    ///
    /// See [`Builder`].
    pub fn builder() -> Builder {
        Builder::new()
    }

    /// Adds a host. It boots when the simulation goes on.
    ///
    /// `software` creates the future that is the `main` of the host, once at the beginning and once at each restart. When
    /// the future completes, the process exits: its tasks are dropped, and its kernel closes its sockets. The run does not wait
    /// for that. If the future completes with an error, the run fails.
    ///
    /// The hosts have the addresses 10.0.0.1, 10.0.0.2, and so on. Their names resolve to these, in upper or lower case
    /// ([RFC 4343]).
    ///
    /// [RFC 4343]: https://www.rfc-editor.org/rfc/rfc4343
    ///
    /// # Panics
    ///
    /// Panics if another host or client has this name, in whatever case, or if the name is empty, `localhost` or an IP address, or contains
    /// a colon.
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::net::TcpListener;
    /// use glassfrog::sim::{self, Sim};
    /// use std::time::Duration;
    ///
    /// async fn server() -> sim::Result {
    ///     let listener = TcpListener::bind("0.0.0.0:80").await?;
    ///     loop {
    ///         listener.accept().await?;
    ///     }
    /// }
    ///
    /// let mut sim = Sim::new(1);
    /// sim.host("server", server);
    /// sim.run_for(Duration::from_secs(1))?;
    /// sim.restart("server");
    /// assert!(sim.is_running("server"));
    /// # Ok::<(), sim::Failure>(())
    /// ```
    #[track_caller]
    pub fn host<F, Fut>(&mut self, name: &str, mut software: F) -> &mut Sim
    where
        F: FnMut() -> Fut + 'static,
        Fut: Future<Output = Result> + 'static,
    {
        self.add(name, false, Box::new(move || Box::pin(software())))
    }

    /// Adds a client: a host whose end the [run](Sim::run) waits for, and that cannot be restarted.
    ///
    /// When the future completes, its process exits, as that of a [host](Sim::host) does. If the future completes with an
    /// error, the run fails. A client that crashes or is killed counts as ended.
    ///
    /// # Panics
    ///
    /// Panics if another host or client has this name, in whatever case, or if the name is empty, `localhost` or an IP address, or contains
    /// a colon.
    ///
    /// # Examples
    ///
    /// See [`Sim`].
    #[track_caller]
    pub fn client<F>(&mut self, name: &str, future: F) -> &mut Sim
    where
        F: Future<Output = Result> + 'static,
    {
        let mut future = Some(future);
        let once = move || -> Pin<Box<dyn Future<Output = Result>>> {
            match future.take() {
                Some(future) => Box::pin(future),
                None => unreachable!("a client boots once"),
            }
        };
        self.add(name, true, Box::new(once))
    }

    /// Adds a host or a client.
    #[track_caller]
    fn add(&mut self, name: &str, is_client: bool, software: Software) -> &mut Sim {
        let name: Arc<str> = Arc::from(name);
        let id = self.simulation.add(&name, is_client);
        let bell = self.simulation.bells.add(id);
        let time = self.simulation.time.clone();
        let clock = Arc::new(HostClock::new(time, self.zero, self.epoch));
        let here = Arc::new(Here {
            simulation: Arc::clone(&self.simulation),
            id,
            name,
            rng: self.host_rng.fork(),
        });
        let location = Location::caller();
        let machine = Machine::new(here, bell, clock, is_client, software, location);
        self.machines.push(machine);
        self.fresh.push(id);
        self.clients += usize::from(is_client);
        self
    }

    /// Runs until all clients have ended. Makes the checks of [`every`](Sim::every) once more at the end.
    ///
    /// More clients may be added afterwards, for another run that goes on where this one ends.
    ///
    /// # Errors
    ///
    /// Returns the failure if anything fails; see [`Cause`](super::Cause). A simulation that has failed does not go on:
    /// later calls return the same failure.
    ///
    /// # Panics
    ///
    /// Panics if there are no clients, and inside a runtime.
    ///
    /// # Examples
    ///
    /// See [`Sim`].
    #[track_caller]
    pub fn run(&mut self) -> std::result::Result<Report, Failure> {
        assert!(
            self.machines.iter().any(|machine| machine.is_client),
            "a run ends when all clients have ended, and there are none: add one with `Sim::client`, or use \
             `Sim::run_for`"
        );
        self.go(Sim::run_clients)
    }

    /// Runs for a simulated time, whether or not the clients end.
    ///
    /// Unlike [`run`](Sim::run), it does not fail when nothing can happen any more: the time then passes at once.
    ///
    /// # Errors
    ///
    /// Returns the failure if anything else fails, as `run` does.
    ///
    /// # Panics
    ///
    /// Panics inside a runtime.
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::sim::Sim;
    /// use std::time::Duration;
    ///
    /// let mut sim = Sim::new(1);
    /// sim.host("server", || std::future::pending());
    /// sim.run_for(Duration::from_secs(5))?;
    /// sim.crash("server");
    /// sim.run_for(Duration::from_secs(5))?;
    /// assert!(!sim.is_running("server"));
    /// assert_eq!(sim.elapsed(), Duration::from_secs(10));
    /// # Ok::<(), glassfrog::sim::Failure>(())
    /// ```
    #[track_caller]
    pub fn run_for(&mut self, duration: Duration) -> std::result::Result<Report, Failure> {
        let end = self.now().saturating_add(nanos(duration));
        self.go(|sim| sim.run_until(end))
    }

    /// Processes one moment: moves the time to the next moment at which anything happens, if nothing is left to do at the
    /// present one, and does all of that. Returns whether there is another moment after it.
    ///
    /// # Errors
    ///
    /// Returns the failure if anything fails, as [`run`](Sim::run) does.
    ///
    /// # Panics
    ///
    /// Panics inside a runtime.
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::sim::Sim;
    /// use glassfrog::time::sleep;
    /// use std::time::Duration;
    ///
    /// let mut sim = Sim::new(1);
    /// sim.client("client", async {
    ///     sleep(Duration::from_secs(1)).await;
    ///     Ok(())
    /// });
    /// while sim.step()? {}
    /// assert_eq!(sim.elapsed(), Duration::from_secs(1));
    /// # Ok::<(), glassfrog::sim::Failure>(())
    /// ```
    #[track_caller]
    pub fn step(&mut self) -> std::result::Result<bool, Failure> {
        self.go(|sim| {
            // What the test has done since the last step belongs to the present moment.
            let is_over = sim.fresh.is_empty()
                && !sim.simulation.bells.has_rung()
                && !sim.simulation.has_commands();
            if let Some(next) = sim.next().filter(|_| is_over) {
                sim.jump(next)?;
            }
            sim.moment()
        })?;
        Ok(self.next().is_some())
    }

    /// Lets the simulation go on, unless it has failed.
    #[track_caller]
    fn go(
        &mut self,
        on: impl FnOnce(&mut Sim) -> std::result::Result<(), Failure>,
    ) -> std::result::Result<Report, Failure> {
        assert!(
            context::running().is_none(),
            "a simulation inside a runtime would block its tasks: run it in a function that is not `async`, for example \
             with `#[glassfrog::test(sim)]`"
        );
        self.has_begun = true;
        match &self.failed {
            Some(failure) => Err(failure.clone()),
            None => on(self).map(|()| self.report()),
        }
    }

    /// Has a check made after every `period` of simulated time, and at the end of each [run](Sim::run). An error that it
    /// returns, or a panic, fails the run.
    ///
    /// The check sees the state in which the hosts are between two moments, for example through an `Rc` that they share
    /// with the test.
    ///
    /// # Panics
    ///
    /// Panics if `period` is zero.
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::sim::{Cause, Sim};
    /// use glassfrog::time::sleep;
    /// use std::cell::Cell;
    /// use std::rc::Rc;
    /// use std::time::Duration;
    ///
    /// let leaders = Rc::new(Cell::new(0));
    /// let mut sim = Sim::new(1);
    /// for name in ["a", "b"] {
    ///     let leaders = Rc::clone(&leaders);
    ///     sim.client(name, async move {
    ///         sleep(Duration::from_secs(1)).await;
    ///         leaders.set(leaders.get() + 1);
    ///         std::future::pending().await
    ///     });
    /// }
    /// sim.every(Duration::from_millis(100), move || match leaders.get() {
    ///     0 | 1 => Ok(()),
    ///     n => Err(format!("{n} leaders at once").into()),
    /// });
    /// let failure = sim.run().unwrap_err();
    /// assert!(matches!(failure.cause(), Cause::Invariant(_)));
    /// assert_eq!(failure.elapsed(), Duration::from_secs(1));
    /// ```
    #[track_caller]
    pub fn every(&mut self, period: Duration, check: impl FnMut() -> Result + 'static) -> &mut Sim {
        let period = nanos(period);
        assert!(
            period > 0,
            "a check cannot be made every 0 seconds: `every` takes a longer period"
        );
        self.next_checks
            .insert((self.now().saturating_add(period), self.checks.len()));
        self.checks.push(Check {
            period,
            check: Box::new(check),
        });
        self
    }

    /// Has the simulation inject faults that the seed chooses. They are drawn when the simulation goes on, for the hosts
    /// that it has then.
    ///
    /// They replace the faults that were drawn before and have not begun. Those that have begun end when they would have
    /// ended, or after the new [`quiet_after`](Faults::quiet_after) if that is earlier.
    ///
    /// # Examples
    ///
    /// See [`Faults`].
    pub fn faults(&mut self, faults: Faults) -> &mut Sim {
        self.faults = Some(faults);
        self
    }

    /// Sets the simulated time, from the beginning, after which the simulation fails; an hour by default.
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::sim::{Cause, Sim};
    /// use glassfrog::time::sleep;
    /// use std::time::Duration;
    ///
    /// let mut sim = Sim::new(1);
    /// sim.time_limit(Duration::from_secs(600));
    /// sim.client("client", async {
    ///     loop {
    ///         sleep(Duration::from_secs(1)).await;
    ///     }
    /// });
    /// let failure = sim.run().unwrap_err();
    /// assert!(matches!(failure.cause(), Cause::TimeLimit(_)));
    /// assert_eq!(failure.elapsed(), Duration::from_secs(600));
    /// ```
    pub fn time_limit(&mut self, limit: Duration) -> &mut Sim {
        self.time_limit = nanos(limit);
        self
    }

    /// Sets how many polls the hosts may make together at a single moment; see [`Builder::poll_limit`].
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::sim::{self, Cause};
    /// use glassfrog::task::yield_now;
    ///
    /// let (_, failure) = sim::search([1], |sim| {
    ///     sim.poll_limit(1_000);
    ///     sim.client("spinner", async {
    ///         loop {
    ///             yield_now().await;
    ///         }
    ///     });
    ///     sim.run()
    /// })
    /// .unwrap();
    /// assert!(matches!(failure.cause(), Cause::Livelock { polls: 1_000 }));
    /// ```
    pub fn poll_limit(&mut self, polls: u64) -> &mut Sim {
        self.poll_limit = polls;
        self
    }

    /// Has [`Report::journal`] and [`Failure::journal`] contain the last `lines` lines of the journal of the network; see
    /// [`Builder::record`]. Lines from before the call may be missing.
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::sim::Sim;
    ///
    /// let mut sim = Sim::new(1);
    /// sim.record(100);
    /// sim.client("client", async { Ok(()) });
    /// let report = sim.run()?;
    /// assert_eq!(report.journal.first().unwrap(), "0.000000 client exits");
    /// # Ok::<(), glassfrog::sim::Failure>(())
    /// ```
    pub fn record(&mut self, lines: usize) -> &mut Sim {
        self.record = lines;
        self.simulation.wire.record(lines);
        self
    }

    /// Sets what [`time::system_now`](crate::time::system_now) returns at the beginning on a host whose clock is right; see
    /// [`Builder::epoch`].
    ///
    /// # Panics
    ///
    /// Panics if the simulation has begun: no clock shows the beginning any more.
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::sim::Sim;
    /// use glassfrog::time::system_now;
    /// use std::time::{Duration, SystemTime};
    ///
    /// let epoch = SystemTime::UNIX_EPOCH + Duration::from_secs(4_000_000_000);
    /// let mut sim = Sim::new(1);
    /// sim.epoch(epoch);
    /// sim.client("client", async move {
    ///     assert_eq!(system_now(), epoch);
    ///     Ok(())
    /// });
    /// sim.run()?;
    /// # Ok::<(), glassfrog::sim::Failure>(())
    /// ```
    #[track_caller]
    pub fn epoch(&mut self, epoch: SystemTime) -> &mut Sim {
        assert!(
            !self.has_begun,
            "the simulation has begun, and its clocks already run: set the epoch before the first run"
        );
        self.epoch = epoch;
        for machine in &mut self.machines {
            let time = self.simulation.time.clone();
            let clock = HostClock::new(time, self.zero, epoch);
            clock.set(machine.clock_set.ahead, machine.clock_set.ppm);
            machine.clock = Arc::new(clock);
        }
        self
    }

    /// Sets how the kernels of the hosts handle TCP; see [`Builder::tcp`].
    ///
    /// # Panics
    ///
    /// Panics if the simulation has begun: there may be connections with the earlier settings.
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::sim::{Sim, Tcp};
    ///
    /// let mut sim = Sim::new(1);
    /// sim.tcp(Tcp::default().send_buffer(4096).receive_buffer(4096));
    /// sim.client("client", async { Ok(()) });
    /// sim.run()?;
    /// # Ok::<(), glassfrog::sim::Failure>(())
    /// ```
    #[track_caller]
    pub fn tcp(&mut self, tcp: Tcp) -> &mut Sim {
        assert!(
            !self.has_begun,
            "the simulation has begun, and there may be connections: set `tcp` before the first run"
        );
        self.simulation.wire.set_tcp(tcp);
        self
    }

    /// Returns what the tasks of a host wait for, or `None` if the host does not run.
    ///
    /// # Panics
    ///
    /// Panics if no host has this name.
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::sim::Sim;
    /// use std::time::Duration;
    ///
    /// let mut sim = Sim::new(1);
    /// sim.host("server", || async {
    ///     glassfrog::time::sleep(Duration::from_secs(9)).await;
    ///     Ok(())
    /// });
    /// sim.run_for(Duration::from_secs(1))?;
    /// assert!(sim.dump("server").unwrap().find_by_name("main").is_some());
    /// # Ok::<(), glassfrog::sim::Failure>(())
    /// ```
    #[track_caller]
    pub fn dump(&self, name: &str) -> Option<Dump> {
        self.machine(name).dump()
    }

    /// Returns the address of the host or client with this name, or `None` if there is no such host.
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::sim::Sim;
    ///
    /// let mut sim = Sim::new(1);
    /// sim.host("server", || std::future::pending());
    /// assert_eq!(sim.lookup("server").unwrap().to_string(), "10.0.0.1");
    /// assert_eq!(sim.lookup("nobody"), None);
    /// ```
    pub fn lookup(&self, name: &str) -> Option<IpAddr> {
        self.simulation.wire.lookup(name)
    }

    /// Returns whether a host has a process, even a paused one.
    ///
    /// # Panics
    ///
    /// Panics if no host has this name.
    ///
    /// # Examples
    ///
    /// See [`run_for`](Sim::run_for).
    #[track_caller]
    pub fn is_running(&self, name: &str) -> bool {
        self.machine(name).is_up()
    }

    /// Returns the simulated time since the beginning.
    ///
    /// # Examples
    ///
    /// See [`run_for`](Sim::run_for).
    pub fn elapsed(&self) -> Duration {
        Duration::from_nanos(self.now())
    }

    /// Returns the random numbers of the test. Those of the hosts are independent of them; see [`sim::rng`](super::rng).
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::sim::Sim;
    ///
    /// let mut sim = Sim::new(1);
    /// let clients = sim.rng().range(1..=5);
    /// for n in 0..clients {
    ///     sim.client(&format!("client{n}"), async { Ok(()) });
    /// }
    /// sim.run()?;
    /// # Ok::<(), glassfrog::sim::Failure>(())
    /// ```
    pub fn rng(&self) -> Rng {
        self.rng.clone()
    }

    /// Returns the seed.
    ///
    /// # Examples
    ///
    /// ```
    /// assert_eq!(glassfrog::sim::Sim::new(7).seed(), 7);
    /// ```
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// Returns the machine with this name.
    #[track_caller]
    fn machine(&self, name: &str) -> &Machine {
        &self.machines[self.simulation.id(name) as usize]
    }

    /// Returns the number of times that the driver has stepped a host, for the tests of its costs.
    #[doc(hidden)]
    pub fn test_visits(&self) -> u64 {
        self.visits
    }

    /// Returns the failure, if the simulation has failed.
    pub(crate) fn failure(&self) -> Option<Failure> {
        self.failed.clone()
    }

    /// Does what the test asks for, now. A failure is that of the next run.
    fn command(&mut self, command: Command) {
        let _failed = self.obey(command);
    }
}

/// Defines the faults of which [`sim`](super) has a function with the same name.
macro_rules! faults {
    ($($name:ident($($arg:ident: $type:ty),*) $what:literal $example:literal |$sim:ident| $body:expr;)*) => {
        impl Sim {$(
            #[doc = $what]
            ///
            #[doc = concat!("[`sim::", stringify!($name), "`](super::", stringify!($name), "()) does the same inside the simulation, and says more.")]
            ///
            #[doc = wrong_names!("# Panics\n\nPanics"; $($arg)*)]
            ///
            /// # Examples
            ///
            /// ```
            /// use glassfrog::sim::{Clock, Link, Sim};
            /// use std::time::Duration;
            ///
            /// let mut sim = Sim::new(1);
            /// sim.host("a", || std::future::pending());
            /// sim.host("b", || std::future::pending());
            /// sim.run_for(Duration::from_secs(1))?;
            #[doc = $example]
            /// sim.run_for(Duration::from_secs(1))?;
            /// # Ok::<(), glassfrog::sim::Failure>(())
            /// ```
            #[track_caller]
            pub fn $name(&mut self, $($arg: $type),*) -> &mut Sim {
                let $sim = &mut *self;
                $body;
                self
            }
        )*}
    };
}

faults! {
    partition(a: &str, b: &str) "Cuts the network between two hosts, in both directions."
        "sim.partition(\"a\", \"b\");" |sim| sim.simulation.partition(Origin::Test, a, b);
    partition_oneway(from: &str, to: &str) "Cuts the network between two hosts in one direction."
        "sim.partition_oneway(\"a\", \"b\");" |sim| sim.simulation.partition_oneway(Origin::Test, from, to);
    repair(a: &str, b: &str) "Repairs the network between two hosts, in both directions."
        "sim.repair(\"a\", \"b\");" |sim| sim.simulation.repair(Origin::Test, a, b);
    repair_oneway(from: &str, to: &str) "Repairs the network between two hosts in one direction."
        "sim.repair_oneway(\"a\", \"b\");" |sim| sim.simulation.repair_oneway(Origin::Test, from, to);
    hold(a: &str, b: &str) "Holds all packets between two hosts, in both directions."
        "sim.hold(\"a\", \"b\");" |sim| sim.simulation.hold(Origin::Test, a, b);
    release(a: &str, b: &str) "Lets the packets between two hosts go on."
        "sim.release(\"a\", \"b\");" |sim| sim.simulation.release(Origin::Test, a, b);
    reset(a: &str, b: &str) "Resets all connections between two hosts."
        "sim.reset(\"a\", \"b\");" |sim| sim.simulation.reset(a, b);
    link(link: Link) "Changes all links of which nothing else was said."
        "sim.link(Link::default().loss(0.01));" |sim| sim.simulation.link(link);
    link_between(a: &str, b: &str, link: Link) "Changes the links between two hosts, in both directions."
        "sim.link_between(\"a\", \"b\", Link::default().loss(0.01));" |sim| sim.simulation.link_between(a, b, link);
    link_oneway(from: &str, to: &str, link: Link) "Changes the link between two hosts in one direction."
        "sim.link_oneway(\"a\", \"b\", Link::default().loss(0.01));" |sim| sim.simulation.link_oneway(from, to, link);
    crash(name: &str) "Takes the power from a host."
        "sim.crash(\"a\");" |sim| sim.command(Command::Crash(sim.simulation.id(name)));
    kill(name: &str) "Kills the process of a host."
        "sim.kill(\"a\");" |sim| sim.command(Command::Kill(sim.simulation.id(name)));
    pause(name: &str) "Stops the process of a host."
        "sim.pause(\"a\");" |sim| sim.command(Command::Pause(sim.simulation.id(name)));
    resume(name: &str) "Continues the process of a paused host."
        "sim.resume(\"a\");" |sim| sim.command(Command::Resume(sim.simulation.id(name)));
    restart(name: &str) "Starts a host anew. A host that runs crashes first."
        "sim.restart(\"a\");" |sim| sim.command(sim.simulation.restart(name));
    clock(name: &str, clock: Clock) "Changes the clock of a host."
        "sim.clock(\"a\", Clock::behind(Duration::from_secs(1)).ppm(200));" |sim| sim.command(Command::Clock(sim.simulation.id(name), clock));
}

impl Sim {
    /// Writes the timeline, if there is one: when the simulation fails, when its test does, or when it is dropped.
    /// Returns a sentence about that.
    pub(crate) fn write_timeline(&self, test: Option<&str>, has_failed: bool) -> Option<String> {
        let timeline = self.simulation.timeline.as_ref()?;
        self.simulation.wire.end_timeline();
        timeline.write(test, has_failed)
    }
}

impl Drop for Sim {
    fn drop(&mut self) {
        if self.failed.is_none() {
            self.write_timeline(None, thread::panicking());
        }
        for machine in &mut self.machines {
            machine.shut_down();
        }
    }
}

impl fmt::Debug for Sim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sim")
            .field("seed", &self.seed)
            .field("hosts", &self.machines.len())
            .field("elapsed", &self.elapsed())
            .finish_non_exhaustive()
    }
}

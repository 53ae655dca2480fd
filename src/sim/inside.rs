//! What a simulated host may ask of its simulation: the free functions of [`sim`](super).

use super::bell::Bells;
use super::clock::Clock;
use super::origin::{Origin, Origins};
use super::rng::Rng;
use crate::clock::host::TrueTime;
use crate::primitives::{Mutex, lock};
use crate::timeline::simulation::SimulationRecorder;
use crate::wire::{Disturbance, HostId, Link, Wire};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::mem;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// The part of a simulation that its hosts may use.
pub(super) struct Simulation {
    /// The network.
    pub(super) wire: Arc<Wire>,
    /// The time.
    pub(super) time: TrueTime,
    /// Records the timeline, if the environment asks for it.
    pub(super) timeline: Option<Arc<SimulationRecorder>>,
    /// The bells of the hosts.
    pub(super) bells: Arc<Bells>,
    /// The hosts by their names in lower case, each with the name that the test has given.
    names: Mutex<HashMap<String, (HostId, Arc<str>)>>,
    /// The links as the test, or a host, has set them.
    links: Mutex<Links>,
    /// The clients, which cannot be restarted.
    clients: Mutex<BTreeSet<HostId>>,
    /// What hosts have asked of the driver.
    commands: Mutex<Vec<Command>>,
    /// Whether there are commands. Relaxed is enough: the threads that push take turns with the driver.
    has_commands: AtomicBool,
}

/// The links as they were set, and the faults that disturb them. When a fault is over, the link is as it was set.
#[derive(Default)]
struct Links {
    /// What all links are like of which nothing else was said.
    usual: Link,
    /// The links of which something was said, by direction, and those that a fault has ever disturbed.
    ways: BTreeMap<(HostId, HostId), Way>,
    /// Who has cut which direction.
    cut: BTreeMap<(HostId, HostId), Origins>,
    /// Who holds the packets of which direction.
    held: BTreeMap<(HostId, HostId), Origins>,
}

/// The link in one direction.
#[derive(Default)]
struct Way {
    /// What was said of it.
    link: Option<Link>,
    /// What a fault does to it.
    disturbance: Disturbance,
}

/// What only the driver can do, between two steps.
#[derive(Clone, Debug)]
pub(super) enum Command {
    /// Takes the power from a host.
    Crash(HostId),
    /// Kills the process of a host.
    Kill(HostId),
    /// Stops the process of a host.
    Pause(HostId),
    /// Continues the process of a host.
    Resume(HostId),
    /// Starts a host anew.
    Restart(HostId),
    /// Changes the clock of a host.
    Clock(HostId, Clock),
}

impl Command {
    /// Returns the host that the command is about.
    pub(super) fn host(&self) -> HostId {
        match self {
            Command::Crash(id)
            | Command::Kill(id)
            | Command::Pause(id)
            | Command::Resume(id)
            | Command::Restart(id)
            | Command::Clock(id, _) => *id,
        }
    }
}

impl Simulation {
    /// Creates the shared part of a simulation without hosts.
    pub(super) fn new(
        wire: Arc<Wire>,
        time: TrueTime,
        timeline: Option<Arc<SimulationRecorder>>,
    ) -> Simulation {
        Simulation {
            wire,
            time,
            timeline,
            bells: Bells::new(),
            names: Mutex::default(),
            clients: Mutex::default(),
            links: Mutex::default(),
            commands: Mutex::default(),
            has_commands: AtomicBool::new(false),
        }
    }

    /// Adds a host or a client.
    #[track_caller]
    pub(super) fn add(&self, name: &Arc<str>, is_client: bool) -> HostId {
        // Names are compared as those of the DNS are (RFC 4343).
        let key = name.to_ascii_lowercase();
        let mut names = lock(&self.names);
        if let Some((_, other)) = names.get(&key) {
            let other = Arc::clone(other);
            drop(names);
            match *other == **name {
                true => {
                    panic!("two hosts are named \"{name}\": give each host and client its own name")
                }
                false => panic!(
                    "two hosts are named \"{other}\" and \"{name}\", which resolve alike, because the case of a name does \
                     not count: give each host and client its own name"
                ),
            }
        }
        let id = self.wire.add_host(name);
        names.insert(key, (id, Arc::clone(name)));
        drop(names);
        if is_client {
            lock(&self.clients).insert(id);
        }
        id
    }

    /// Returns the host with this name.
    #[track_caller]
    pub(super) fn id(&self, name: &str) -> HostId {
        let names = lock(&self.names);
        if let Some((id, _)) = names.get(&name.to_ascii_lowercase()) {
            return *id;
        }
        let mut known: Vec<(HostId, Arc<str>)> = names.values().cloned().collect();
        drop(names);
        known.sort();
        let known: Vec<String> = known
            .iter()
            .map(|(_, name)| format!("\"{name}\""))
            .collect();
        match known.is_empty() {
            true => {
                panic!("no host is named \"{name}\": add hosts with `Sim::host` and `Sim::client`")
            }
            false => panic!(
                "no host is named \"{name}\": the hosts are {}",
                known.join(", ")
            ),
        }
    }

    /// Returns two hosts with these names, between which there is a link.
    #[track_caller]
    fn pair(&self, a: &str, b: &str) -> (HostId, HostId) {
        let (one, other) = (self.id(a), self.id(b));
        assert!(
            one != other,
            "there is no link between \"{a}\" and itself: a host reaches itself without the network, so name two hosts"
        );
        (one, other)
    }

    /// Returns the command that starts a host anew.
    #[track_caller]
    pub(super) fn restart(&self, name: &str) -> Command {
        let id = self.id(name);
        if lock(&self.clients).contains(&id) {
            panic!(
                "client \"{name}\" cannot be restarted, because its future exists only once: make it a host"
            );
        }
        Command::Restart(id)
    }

    /// Asks something of the driver.
    fn ask(&self, command: Command) {
        lock(&self.commands).push(command);
        self.has_commands.store(true, Ordering::Relaxed);
    }

    /// Returns whether a host has asked something of the driver.
    pub(super) fn has_commands(&self) -> bool {
        self.has_commands.load(Ordering::Relaxed)
    }

    /// Takes what hosts have asked of the driver.
    pub(super) fn commands(&self) -> Vec<Command> {
        match self.has_commands.swap(false, Ordering::Relaxed) {
            true => mem::take(&mut *lock(&self.commands)),
            false => Vec::new(),
        }
    }

    /// Cuts the network between two hosts.
    #[track_caller]
    pub(super) fn partition(&self, origin: Origin, a: &str, b: &str) {
        let (a, b) = self.pair(a, b);
        self.set_cut(origin, a, b, true);
        self.set_cut(origin, b, a, true);
    }

    /// Cuts the network from one host to another.
    #[track_caller]
    pub(super) fn partition_oneway(&self, origin: Origin, from: &str, to: &str) {
        let (from, to) = self.pair(from, to);
        self.set_cut(origin, from, to, true);
    }

    /// Repairs the network between two hosts.
    #[track_caller]
    pub(super) fn repair(&self, origin: Origin, a: &str, b: &str) {
        let (a, b) = self.pair(a, b);
        self.set_cut(origin, a, b, false);
        self.set_cut(origin, b, a, false);
    }

    /// Repairs the network from one host to another.
    #[track_caller]
    pub(super) fn repair_oneway(&self, origin: Origin, from: &str, to: &str) {
        let (from, to) = self.pair(from, to);
        self.set_cut(origin, from, to, false);
    }

    /// Holds all packets between two hosts.
    #[track_caller]
    pub(super) fn hold(&self, origin: Origin, a: &str, b: &str) {
        let (a, b) = self.pair(a, b);
        self.set_held(origin, a, b, true);
        self.set_held(origin, b, a, true);
    }

    /// Lets the packets between two hosts go on.
    #[track_caller]
    pub(super) fn release(&self, origin: Origin, a: &str, b: &str) {
        let (a, b) = self.pair(a, b);
        self.set_held(origin, a, b, false);
        self.set_held(origin, b, a, false);
    }

    /// Notes whether an origin has a direction cut, which it is as long as one does.
    fn set_cut(&self, origin: Origin, from: HostId, to: HostId, is_cut: bool) {
        let mut links = lock(&self.links);
        let cut = links.cut.entry((from, to)).or_default();
        match (cut.set(origin, is_cut), is_cut) {
            (false, _) => {}
            (true, true) => self.wire.cut(from, to),
            (true, false) => self.wire.repair(from, to),
        }
    }

    /// Notes whether an origin has a direction held, which it is as long as one does.
    fn set_held(&self, origin: Origin, from: HostId, to: HostId, is_held: bool) {
        let mut links = lock(&self.links);
        let held = links.held.entry((from, to)).or_default();
        match (held.set(origin, is_held), is_held) {
            (false, _) => {}
            (true, true) => self.wire.hold(from, to),
            (true, false) => self.wire.release(from, to),
        }
    }

    /// Resets all connections between two hosts.
    #[track_caller]
    pub(super) fn reset(&self, a: &str, b: &str) {
        let (a, b) = self.pair(a, b);
        self.wire.reset(a, b);
    }

    /// Changes all links of which nothing else was said.
    pub(super) fn link(&self, link: Link) {
        let mut links = lock(&self.links);
        links.usual = link.clone();
        self.wire.set_link(link);
        for (&(from, to), way) in links.ways.iter().filter(|(_, way)| way.link.is_none()) {
            self.wire.set_link_oneway(from, to, way.now(&links.usual));
        }
    }

    /// Changes the links between two hosts.
    #[track_caller]
    pub(super) fn link_between(&self, a: &str, b: &str, link: Link) {
        self.link_oneway(a, b, link.clone());
        self.link_oneway(b, a, link);
    }

    /// Changes the link from one host to another.
    #[track_caller]
    pub(super) fn link_oneway(&self, from: &str, to: &str, link: Link) {
        let (from, to) = self.pair(from, to);
        self.change_way(from, to, |way| way.link = Some(link));
    }

    /// Disturbs the links between two hosts in this way, and in no other.
    pub(super) fn disturb(&self, a: HostId, b: HostId, disturbance: Disturbance) {
        for (from, to) in [(a, b), (b, a)] {
            self.change_way(from, to, |way| way.disturbance = disturbance);
        }
    }

    /// Changes what is known of a link, and then the link.
    fn change_way(&self, from: HostId, to: HostId, change: impl FnOnce(&mut Way)) {
        let links = &mut *lock(&self.links);
        let way = links.ways.entry((from, to)).or_default();
        change(way);
        self.wire.set_link_oneway(from, to, way.now(&links.usual));
    }
}

impl Way {
    /// Returns what the link is like now.
    fn now(&self, usual: &Link) -> Link {
        let link = self.link.as_ref().unwrap_or(usual);
        link.disturbed(self.disturbance)
    }
}

/// The host that a thread runs.
pub(super) struct Here {
    /// The simulation.
    pub(super) simulation: Arc<Simulation>,
    /// The number of the host.
    pub(super) id: HostId,
    /// The name of the host.
    pub(super) name: Arc<str>,
    /// The random numbers of the host, which go on when it restarts.
    pub(super) rng: Rng,
}

thread_local! {
    /// The host that this thread runs, if it runs one.
    static HERE: RefCell<Option<Arc<Here>>> = const { RefCell::new(None) };
}

/// A guard of the time in which a thread runs a host.
pub(super) struct Inside {
    /// The host that the thread ran before.
    before: Option<Arc<Here>>,
}

/// Notes that this thread runs a host, until the guard is dropped.
pub(super) fn enter(here: &Arc<Here>) -> Inside {
    let here = Some(Arc::clone(here));
    Inside {
        before: HERE.replace(here),
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        drop(HERE.replace(self.before.take()));
    }
}

/// Returns the host that this thread runs, if it runs one.
pub(super) fn try_here() -> Option<Arc<Here>> {
    // The thread-local may be gone: a destructor of another one asks.
    HERE.try_with(|here| here.borrow().clone()).ok().flatten()
}

/// Returns the host that this thread runs.
#[track_caller]
fn here() -> Arc<Here> {
    match try_here() {
        Some(here) => here,
        None => panic!(
            "this thread runs no host of a simulation: call this from the software of a `Sim::host` or `Sim::client`, \
             and use the methods of `Sim` outside"
        ),
    }
}

/// Returns whether the caller runs inside a host of a simulation.
///
/// # Examples
///
/// ```
/// use glassfrog::sim::{self, Sim};
///
/// assert!(!sim::is_simulated());
/// let mut sim = Sim::new(1);
/// sim.client("client", async {
///     assert!(sim::is_simulated());
///     Ok(())
/// });
/// sim.run()?;
/// # Ok::<(), sim::Failure>(())
/// ```
pub fn is_simulated() -> bool {
    try_here().is_some()
}

/// Returns the name of the host that the caller runs in.
///
/// # Panics
///
/// Panics outside a simulation.
///
/// # Examples
///
/// ```
/// use glassfrog::sim::{self, Sim};
///
/// let mut sim = Sim::new(1);
/// sim.client("client", async {
///     assert_eq!(sim::host(), "client");
///     Ok(())
/// });
/// sim.run()?;
/// # Ok::<(), sim::Failure>(())
/// ```
#[track_caller]
pub fn host() -> String {
    String::from(&*here().name)
}

/// Returns the random numbers of the host that the caller runs in.
///
/// # Panics
///
/// Panics outside a simulation.
///
/// # Examples
///
/// ```
/// use glassfrog::sim::{self, Sim};
/// use glassfrog::time::sleep;
/// use std::time::Duration;
///
/// let mut sim = Sim::new(1);
/// sim.client("client", async {
///     let rng = sim::rng();
///     sleep(rng.range(Duration::ZERO..Duration::from_secs(2))).await;
///     if rng.chance(0.5) {
///         sleep(Duration::from_millis(rng.below(100))).await;
///     }
///     Ok(())
/// });
/// sim.run()?;
/// # Ok::<(), sim::Failure>(())
/// ```
#[track_caller]
pub fn rng() -> Rng {
    here().rng.clone()
}

/// Returns how much simulated time has passed since the simulation began. No clock of a host affects it.
///
/// # Panics
///
/// Panics outside a simulation.
///
/// # Examples
///
/// ```
/// use glassfrog::sim::{self, Sim};
/// use std::time::Duration;
///
/// let mut sim = Sim::new(1);
/// sim.client("client", async {
///     glassfrog::time::sleep(Duration::from_secs(1)).await;
///     assert_eq!(sim::elapsed(), Duration::from_secs(1));
///     Ok(())
/// });
/// sim.run()?;
/// # Ok::<(), sim::Failure>(())
/// ```
#[track_caller]
pub fn elapsed() -> std::time::Duration {
    std::time::Duration::from_nanos(here().simulation.time.now())
}

/// Says which names a fault panics at, by its parameters. The first word begins the clause.
macro_rules! wrong_names {
    ($begin:literal; link) => {
        ""
    };
    ($begin:literal; name $($rest:ident)*) => {
        concat!($begin, " if no host has this name")
    };
    ($begin:literal; $a:ident $b:ident $($rest:ident)*) => {
        concat!(
            $begin,
            " if no host has one of the names, or if both are those of the same host"
        )
    };
}
pub(super) use wrong_names;

/// Defines the free functions of which [`Sim`](super::Sim) has a method with the same name.
macro_rules! inside {
    ($($(#[$doc:meta])* $name:ident($($arg:ident: $type:ty),*) $example:literal $body:expr;)*) => {$(
        $(#[$doc])*
        ///
        #[doc = concat!("This function is for the software of hosts and clients. Outside, use [`Sim::", stringify!($name), "`](super::Sim::", stringify!($name), ").")]
        ///
        /// # Panics
        ///
        #[doc = concat!("Panics outside a simulation", wrong_names!(", and"; $($arg)*), ".")]
        ///
        /// # Examples
        ///
        /// ```
        /// use glassfrog::sim::{self, Sim};
        /// use glassfrog::time::sleep;
        /// use std::time::Duration;
        ///
        /// let mut sim = Sim::new(1);
        /// sim.host("server", || std::future::pending());
        /// sim.client("chaos", async {
        ///     sleep(Duration::from_millis(sim::rng().below(1_000))).await;
        #[doc = concat!("    ", $example)]
        ///     Ok(())
        /// });
        /// sim.run()?;
        /// # Ok::<(), sim::Failure>(())
        /// ```
        #[track_caller]
        pub fn $name($($arg: $type),*) {
            let here = here();
            let body: fn(&Simulation $(, $type)*) = $body;
            body(&here.simulation $(, $arg)*);
        }
    )*};
}

/// Asks something of the driver about a host.
#[track_caller]
fn ask(simulation: &Simulation, name: &str, command: fn(HostId) -> Command) {
    simulation.ask(command(simulation.id(name)));
}

inside! {
    /// Cuts the network between two hosts, in both directions.
    ///
    /// Packets are lost when they leave, and packets on the way when they would arrive, until [`repair`]. If a fault of
    /// [`Faults`](super::Faults) has cut the same direction, that cut lasts until the fault is over.
    partition(a: &str, b: &str) "sim::partition(\"server\", \"chaos\");"
        |simulation, a, b| simulation.partition(Origin::Test, a, b);
    /// Cuts the network between two hosts in one direction.
    partition_oneway(from: &str, to: &str) "sim::partition_oneway(\"server\", \"chaos\");"
        |simulation, from, to| simulation.partition_oneway(Origin::Test, from, to);
    /// Repairs the network between two hosts, in both directions.
    repair(a: &str, b: &str) "sim::repair(\"server\", \"chaos\");"
        |simulation, a, b| simulation.repair(Origin::Test, a, b);
    /// Repairs the network between two hosts in one direction.
    repair_oneway(from: &str, to: &str) "sim::repair_oneway(\"server\", \"chaos\");"
        |simulation, from, to| simulation.repair_oneway(Origin::Test, from, to);
    /// Holds all packets between two hosts, in both directions, until [`release`]. If a fault of
    /// [`Faults`](super::Faults) holds them too, they wait until it is over.
    hold(a: &str, b: &str) "sim::hold(\"server\", \"chaos\");"
        |simulation, a, b| simulation.hold(Origin::Test, a, b);
    /// Lets the packets between two hosts go on, those that were held first.
    release(a: &str, b: &str) "sim::release(\"server\", \"chaos\");"
        |simulation, a, b| simulation.release(Origin::Test, a, b);
    /// Resets all connections between two hosts, as a middlebox on their way might: both ends receive an RST.
    reset(a: &str, b: &str) "sim::reset(\"server\", \"chaos\");"
        |simulation, a, b| simulation.reset(a, b);
    /// Changes all links of which nothing else was said.
    link(link: Link) "sim::link(sim::Link::default().loss(0.01));"
        |simulation, link| simulation.link(link);
    /// Changes the links between two hosts, in both directions.
    link_between(a: &str, b: &str, link: Link) "sim::link_between(\"server\", \"chaos\", sim::Link::default().loss(0.01));"
        |simulation, a, b, link| simulation.link_between(a, b, link);
    /// Changes the link between two hosts in one direction.
    link_oneway(from: &str, to: &str, link: Link) "sim::link_oneway(\"server\", \"chaos\", sim::Link::default().loss(0.01));"
        |simulation, from, to, link| simulation.link_oneway(from, to, link);
    /// Takes the power from a host, once the poll of the caller has returned.
    ///
    /// The host says nothing: its peers notice only that it does not answer. Its tasks are dropped. If it is down
    /// already, nothing happens. A host may crash itself.
    ///
    /// Dropping the tasks runs their destructors, which a real power loss does not. What a destructor sends is lost, but
    /// what it writes to a file or to state that it shares with the test survives the crash. So a program that writes in
    /// `Drop` may pass a test that it fails in life. A panic in a destructor does not fail the run. All this is true of
    /// [`kill`] too, except that what a destructor sends arrives.
    crash(name: &str) "sim::crash(\"server\");"
        |simulation, name| ask(simulation, name, Command::Crash);
    /// Kills the process of a host, once the poll of the caller has returned.
    ///
    /// Its kernel closes all sockets as that of a killed process does: with a FIN, or with an RST if there was unread
    /// data. If it is down already, nothing happens.
    kill(name: &str) "sim::kill(\"server\");"
        |simulation, name| ask(simulation, name, Command::Kill);
    /// Stops the process of a host, once the poll of the caller has returned, until [`resume`].
    ///
    /// Its tasks are not polled, while its kernel still acknowledges what arrives, and its clock goes on. If a fault of
    /// [`Faults`](super::Faults) has paused the process too, it stands still until that is over. The process that a
    /// restart begins is not paused.
    pause(name: &str) "sim::pause(\"server\");"
        |simulation, name| ask(simulation, name, Command::Pause);
    /// Continues the process of a paused host.
    resume(name: &str) "sim::resume(\"server\");"
        |simulation, name| ask(simulation, name, Command::Resume);
    /// Starts a host anew, once the poll of the caller has returned. A host that runs crashes first.
    ///
    /// Clients cannot be restarted.
    restart(name: &str) "sim::restart(\"server\");"
        |simulation, name| simulation.ask(simulation.restart(name));
    /// Changes the clock of a host, once the poll of the caller has returned.
    ///
    /// [`Clock`] says which of its clocks move. A fault of [`Faults`](super::Faults) that makes the clock fast or slow goes
    /// on, on top of that.
    clock(name: &str, clock: Clock) "sim::clock(\"server\", sim::Clock::ahead(Duration::from_secs(1)));"
        |simulation, name, clock| simulation.ask(Command::Clock(simulation.id(name), clock));
}

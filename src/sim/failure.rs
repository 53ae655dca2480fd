//! [`Failure`] and [`Cause`]: why a simulation has failed.

use super::logger::Seconds;
use std::error::Error;
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// The reason why a simulation has failed, with what is known about the moment.
///
/// Its text, which `Display` and `Debug` print, contains the cause and the host, the simulated time, what every task of
/// every host waits for, the faults so far, the last lines of the journal of the network, and the seed that repeats the
/// run:
///
/// ```text
/// host "primary" failed after 2.104377 s of simulated time: task 1 "main" panicked: lost entry 7
/// tasks of primary:
/// task          spawned at           age  polls  state    waits for
/// 1 "main"      src/lib.rs:12:9    2.1 s     41  waiting  read tcp 10.0.0.1:32768 → 10.0.0.2:2 for 1.0 s
/// faults so far:
///   1.603377 primary ↔ backup is cut
/// the last events of the network:
///   2.103377 client → primary data #19, 1 byte
/// repeat it with GLASSFROG_SEED=4
/// ```
///
/// The clones of a failure share its parts.
///
/// # Examples
///
/// ```
/// use glassfrog::sim::{Cause, Sim};
///
/// let mut sim = Sim::new(4);
/// sim.client("client", async { Err("the server says no".into()) });
/// let failure = sim.run().unwrap_err();
/// assert_eq!(failure.seed(), 4);
/// assert_eq!(failure.host(), Some("client"));
/// assert!(matches!(failure.cause(), Cause::Error(error) if error.to_string() == "the server says no"));
/// assert!(failure.to_string().ends_with("GLASSFROG_SEED=4"));
/// ```
#[derive(Clone)]
pub struct Failure {
    /// The parts.
    parts: Rc<Parts>,
}

/// The parts of a [`Failure`].
pub(super) struct Parts {
    /// The seed of the simulation.
    pub(super) seed: u64,
    /// The cause.
    pub(super) cause: Cause,
    /// The name of the host in which it happened, if it happened in one.
    pub(super) host: Option<Arc<str>>,
    /// The time from the beginning of the simulation.
    pub(super) elapsed: Duration,
    /// The hash of everything that had happened.
    pub(super) hash: u64,
    /// The clients that had not ended, if that is why the simulation has failed.
    pub(super) awaited: Vec<Arc<str>>,
    /// The hosts that were paused.
    pub(super) paused: Vec<Arc<str>>,
    /// What the hosts waited for, and what had happened last.
    pub(super) scene: Scene,
}

/// What the hosts of a simulation wait for, and what has happened last.
pub(crate) struct Scene {
    /// The dumps of the hosts that run.
    pub(super) dumps: Vec<(Arc<str>, String)>,
    /// The newest faults.
    pub(super) faults: Vec<String>,
    /// The number of all faults.
    pub(super) all_faults: usize,
    /// The last lines of the journal.
    pub(super) journal: Vec<String>,
}

impl fmt::Display for Scene {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        for (name, dump) in &self.dumps {
            match dump.trim_end() {
                "" => write!(f, "{separator}tasks of {name}: none")?,
                dump => write!(f, "{separator}tasks of {name}:\n{dump}")?,
            }
            separator = "\n";
        }
        if !self.faults.is_empty() {
            write!(f, "{separator}faults so far")?;
            let (newest, all) = (self.faults.len(), self.all_faults);
            if newest < all {
                write!(f, ", the newest {newest} of {all}")?;
            }
            write!(f, ":")?;
            for line in &self.faults {
                write!(f, "\n  {line}")?;
            }
            separator = "\n";
        }
        if !self.journal.is_empty() {
            write!(f, "{separator}the last events of the network:")?;
            for line in &self.journal {
                write!(f, "\n  {line}")?;
            }
        }
        Ok(())
    }
}

/// The cause of a [`Failure`].
///
/// # Examples
///
/// See [`Failure`].
#[derive(Clone)]
#[non_exhaustive]
pub enum Cause {
    /// The software of a host or a client has panicked. The text says which task has, and with which message. In a
    /// failure that [`search`](super::search) returns, the test itself may have panicked after the run.
    Panic(String),
    /// The software of a host or a client has returned this error.
    Error(Rc<dyn Error>),
    /// A check of [`Sim::every`](super::Sim::every) has returned this error.
    Invariant(Rc<dyn Error>),
    /// No task is ready, and no deadline, packet, job or fault is left that could wake one, but a client has not ended.
    /// The dumps list what the tasks wait for.
    Standstill,
    /// The hosts have made this many polls at a single moment, the limit of
    /// [`Builder::poll_limit`](super::Builder::poll_limit).
    Livelock {
        /// The limit.
        polls: u64,
    },
    /// The simulation has taken longer than this limit of [`Sim::time_limit`](super::Sim::time_limit).
    TimeLimit(Duration),
    /// A thread outside the simulation has woken a task of a host, has spawned one, or has called one of its
    /// functions. The moment depends on the machine, so the run cannot be repeated.
    ForeignMessage {
        /// The name of the thread, if it has one.
        thread: Option<String>,
    },
    /// A closure of `spawn_blocking` has not ended within the limit of real time.
    Job {
        /// The job, as in a dump: `blocking job 3 "hash" (src/main.rs:7)`.
        job: String,
        /// The limit, in real time.
        limit: Duration,
    },
    /// Two runs with the same seed differ. The text names the first difference.
    NotDeterministic(String),
    /// The test has not ended within its limit of real time.
    Stopped(String),
}

impl Failure {
    /// Creates a failure.
    pub(super) fn new(parts: Parts) -> Failure {
        Failure {
            parts: Rc::new(parts),
        }
    }

    /// Returns the seed that repeats the run.
    ///
    /// # Examples
    ///
    /// See [`Failure`].
    pub fn seed(&self) -> u64 {
        self.parts.seed
    }

    /// Returns the cause.
    ///
    /// # Examples
    ///
    /// See [`Failure`].
    pub fn cause(&self) -> &Cause {
        &self.parts.cause
    }

    /// Returns the name of the host or client in which it happened, if it happened in one.
    ///
    /// # Examples
    ///
    /// See [`Failure`].
    pub fn host(&self) -> Option<&str> {
        self.parts.host.as_deref()
    }

    /// Returns the simulated time from the beginning to the failure.
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::sim::Sim;
    /// use std::time::Duration;
    ///
    /// let mut sim = Sim::new(1);
    /// sim.client("client", async {
    ///     glassfrog::time::sleep(Duration::from_secs(3)).await;
    ///     Err("too late".into())
    /// });
    /// assert_eq!(sim.run().unwrap_err().elapsed(), Duration::from_secs(3));
    /// ```
    pub fn elapsed(&self) -> Duration {
        self.parts.elapsed
    }

    /// Returns the hash of everything that had happened; see [`Report::hash`](super::Report::hash).
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::sim::Sim;
    ///
    /// let run = || {
    ///     let mut sim = Sim::new(1);
    ///     sim.client("client", async { Err("always".into()) });
    ///     sim.run().unwrap_err()
    /// };
    /// assert_eq!(run().hash(), run().hash());
    /// ```
    pub fn hash(&self) -> u64 {
        self.parts.hash
    }

    /// Returns the dump of each host that ran: its name, and the text of its [`Dump`](crate::Dump).
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::sim::Sim;
    ///
    /// let mut sim = Sim::new(1);
    /// sim.client("client", std::future::pending());
    /// let failure = sim.run().unwrap_err();
    /// assert_eq!(failure.dumps().next().unwrap().0, "client");
    /// ```
    pub fn dumps(&self) -> impl Iterator<Item = (&str, &str)> {
        let dumps = self.parts.scene.dumps.iter();
        dumps.map(|(name, dump)| (&**name, dump.as_str()))
    }

    /// Returns what had befallen hosts and links, the oldest first: cuts, crashes, restarts, clocks that were set. Of more than
    /// 64 faults, it returns the newest.
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::sim::Sim;
    /// use std::time::Duration;
    ///
    /// let mut sim = Sim::new(1);
    /// sim.host("server", || std::future::pending());
    /// sim.client("client", std::future::pending());
    /// sim.run_for(Duration::from_secs(1))?;
    /// sim.partition("client", "server");
    /// let failure = sim.run().unwrap_err();
    /// assert_eq!(failure.faults().next(), Some("1.000000 client ↔ server is cut"));
    /// # Ok::<(), glassfrog::sim::Failure>(())
    /// ```
    pub fn faults(&self) -> impl Iterator<Item = &str> {
        self.parts.scene.faults.iter().map(String::as_str)
    }

    /// Returns the last lines of the journal of the network, the oldest first.
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::net::TcpStream;
    /// use glassfrog::sim::Sim;
    ///
    /// let mut sim = Sim::new(1);
    /// sim.host("server", || std::future::pending());
    /// sim.client("client", async {
    ///     TcpStream::connect("server:80").await?;
    ///     Ok(())
    /// });
    /// // Nobody listens: the connection is refused.
    /// assert!(sim.run().unwrap_err().journal().next().is_some());
    /// ```
    pub fn journal(&self) -> impl Iterator<Item = &str> {
        self.parts.scene.journal.iter().map(String::as_str)
    }
}

impl Error for Failure {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.parts.cause {
            Cause::Error(error) | Cause::Invariant(error) => Some(&**error),
            _ => None,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = &*self.parts;
        match &parts.host {
            Some(host) => write!(f, "host \"{host}\" failed")?,
            None => write!(f, "the simulation failed")?,
        }
        let elapsed = Seconds(parts.elapsed.as_nanos() as u64);
        writeln!(f, " after {elapsed} s of simulated time: {}", parts.cause)?;
        write_names(f, "clients that have not ended", &parts.awaited)?;
        write_names(f, "hosts that are paused", &parts.paused)?;
        let Scene {
            dumps,
            faults,
            journal,
            ..
        } = &parts.scene;
        if !dumps.is_empty() || !faults.is_empty() || !journal.is_empty() {
            writeln!(f, "{}", parts.scene)?;
        }
        write!(f, "repeat it with GLASSFROG_SEED={}", parts.seed)
    }
}

/// Writes a line with names, unless there are none.
fn write_names(f: &mut fmt::Formatter<'_>, what: &str, names: &[Arc<str>]) -> fmt::Result {
    let Some((last, others)) = names.split_last() else {
        return Ok(());
    };
    write!(f, "{what}: ")?;
    for name in others {
        write!(f, "\"{name}\", ")?;
    }
    writeln!(f, "\"{last}\"")
}

impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Cause::Panic(message) => f.write_str(message),
            Cause::Error(error) => write!(f, "returned an error: {error}"),
            Cause::Invariant(error) => write!(f, "an invariant does not hold: {error}"),
            Cause::Standstill => f.write_str(
                "nothing can happen any more: no task is ready, and no deadline, packet, job or fault is left that could \
                 wake one (a thread outside the simulation might, but its timing depends on the machine)",
            ),
            Cause::Livelock { polls } => write!(
                f,
                "{polls} polls at one moment: tasks wake one another, or yield, without letting the time pass (the \
                 limit is `poll_limit`)"
            ),
            Cause::TimeLimit(limit) => write!(
                f,
                "more than {limit:?} of simulated time would pass (the limit is `time_limit`)"
            ),
            Cause::ForeignMessage { thread } => {
                match thread {
                    Some(thread) => write!(f, "thread \"{thread}\", which is")?,
                    None => f.write_str("a thread without a name, which is")?,
                }
                f.write_str(
                    " outside the simulation, has woken or spawned a task of this host: its timing depends on the \
                     machine, so the run cannot be repeated; use tasks, or `spawn_blocking`, which runs in the \
                     simulation",
                )
            }
            Cause::Job { job, limit } => write!(
                f,
                "{job} has not ended within {limit:?} of real time: nothing else runs while it does, so it must not wait \
                 for a task of the simulation"
            ),
            Cause::NotDeterministic(difference) => write!(f, "not deterministic: {difference}"),
            Cause::Stopped(reason) => f.write_str(reason),
        }
    }
}

impl fmt::Debug for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

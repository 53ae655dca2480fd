//! [`Faults`]: faults that the seed of a simulation chooses.
//!
//! The [`Plan`] of a simulation is drawn when the simulation begins, from the seed alone. What the hosts do has no
//! influence on it, so a change of the program meets the same faults.

use super::rng::Rng;
use crate::wire::{Disturbance, nanos};
use std::collections::{HashMap, HashSet};
use std::ops::RangeInclusive;
use std::time::Duration;

/// After how long all faults are over, if the test has not said.
const QUIET_AFTER: Duration = Duration::from_secs(60);

/// The maximum number of faults of a simulation. More would cost time without adding variety.
const MOST_FAULTS: usize = 1_000;

/// By how many halvings the shortest gap between two faults is shorter than the longest. The longest is a quarter of
/// the time before the quiet end, so there are gaps from milliseconds to many seconds.
const GAP_SCALES: u64 = 12;

/// How many percent of the packets [`Fault::Loss`] loses: from a bad radio link to one on which next to nothing arrives.
const LOSS: RangeInclusive<u64> = 5..=60;

/// By how much [`Fault::Latency`] delays each packet: from a slow link to one that outlasts common timeouts.
const LATENCY: RangeInclusive<Duration> = Duration::from_millis(50)..=Duration::from_secs(3);

/// How many percent of the packets [`Fault::Duplication`] has arrive twice. Real networks rarely duplicate more than a few
/// in a thousand, but a run has few packets.
const DUPLICATION: RangeInclusive<u64> = 5..=60;

/// By how many parts in a million [`Fault::Drift`] makes a clock fast or slow. A cheap quartz is wrong by 100. A virtual
/// machine may be wrong by far more.
const DRIFT: RangeInclusive<i64> = -50_000..=50_000;

/// By how much [`Fault::ClockStep`] sets a wall clock ahead or back, at most: more than a lease or a token usually allows.
const STEP: Duration = Duration::from_secs(5 * 60);

/// A kind of fault.
///
/// There are 12 kinds. Those of the network are between any two hosts or clients. Those of a host spare clients, because
/// the run waits for the end of each client, and a client cannot be restarted.
///
/// | kind | where | extent | spares clients |
/// | --- | --- | --- | --- |
/// | [`Partition`](Fault::Partition) | network | nothing arrives, both ways | no |
/// | [`OneWay`](Fault::OneWay) | network | nothing arrives, one way | no |
/// | [`Loss`](Fault::Loss) | network | 5 % to 60 % of the packets are lost | no |
/// | [`Latency`](Fault::Latency) | network | each packet takes 50 ms to 3 s longer | no |
/// | [`Duplication`](Fault::Duplication) | network | 5 % to 60 % of the packets arrive twice | no |
/// | [`Hold`](Fault::Hold) | network | all packets wait, both ways | no |
/// | [`Reset`](Fault::Reset) | network | all connections end, at once | no |
/// | [`Crash`](Fault::Crash) | host | it is down until the end of the fault | yes |
/// | [`Kill`](Fault::Kill) | host | it is down until the end of the fault | yes |
/// | [`Pause`](Fault::Pause) | host | it is paused until the end of the fault | yes |
/// | [`Drift`](Fault::Drift) | host | its clocks are fast or slow by at most 5 % | yes |
/// | [`ClockStep`](Fault::ClockStep) | host | its wall clock is ahead or behind by at most 5 minutes | yes |
///
/// A fault lasts at most half of the time that is left until the [quiet end](Faults::quiet_after): some faults last
/// milliseconds, and others many seconds. A simulation has at most 1,000 faults, and one at a time at each host and between
/// each two hosts.
///
/// # Examples
///
/// See [`Faults::only`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Fault {
    /// The network between two hosts is cut for a while.
    Partition,
    /// The network between two hosts is cut in one direction for a while.
    OneWay,
    /// Many of the packets between two hosts are lost for a while.
    Loss,
    /// The packets between two hosts take long for a while.
    Latency,
    /// Many of the packets between two hosts arrive twice for a while. TCP discards the second one, and UDP delivers it.
    Duplication,
    /// The packets between two hosts are held for a while, and then arrive all at once.
    Hold,
    /// The connections between two hosts are reset.
    Reset,
    /// A host loses its power, and starts again after a while.
    Crash,
    /// The process of a host is killed, and starts again after a while.
    Kill,
    /// The process of a host is stopped, and continues after a while.
    Pause,
    /// The clocks of a host are fast or slow for a while. The wall clock keeps the error that adds up.
    Drift,
    /// The wall clock of a host is set ahead or back, and set right after a while. Only
    /// [`time::system_now`](crate::time::system_now) shows that. If the test sets the clock meanwhile, it stays so.
    ClockStep,
}

/// All kinds of faults.
const ALL: [Fault; 12] = [
    Fault::Partition,
    Fault::OneWay,
    Fault::Loss,
    Fault::Latency,
    Fault::Duplication,
    Fault::Hold,
    Fault::Reset,
    Fault::Crash,
    Fault::Kill,
    Fault::Pause,
    Fault::Drift,
    Fault::ClockStep,
];

/// Faults that the seed chooses: which kinds, when, where, and for how long.
///
/// Each seed takes a random subset of the kinds, so that some runs see only partitions, others only crashes and clocks, and
/// others everything at once. The faults begin soon after the simulation, some milliseconds or many seconds apart. After
/// [`quiet_after`](Faults::quiet_after) everything is repaired, and every host runs. From then on, a program can be
/// expected to make progress: set a time limit after that.
///
/// Hosts crash, are killed, are paused and have wrong clocks, but clients are spared. The network fails between any two of
/// them. [`Fault`] lists all kinds and their extents.
///
/// These faults and those of the test are kept apart, and each ends only its own. A link that both have cut is cut until
/// both have repaired it. The same is true of a link that is held, and of a process that is paused. A host that the test
/// crashes or kills stays down until the test restarts it, and what the test has said of a link or a clock holds again
/// when a fault is over.
///
/// # Examples
///
/// ```
/// use glassfrog::sim::{Fault, Faults, Sim};
/// use std::time::Duration;
///
/// let mut sim = Sim::new(3);
/// sim.host("server", || std::future::pending());
/// sim.client("client", async {
///     glassfrog::time::sleep(Duration::from_secs(30)).await;
///     Ok(())
/// });
/// sim.faults(Faults::swarm().without(Fault::Drift).quiet_after(Duration::from_secs(20)));
/// sim.run()?;
/// assert!(sim.is_running("server"));
/// # Ok::<(), glassfrog::sim::Failure>(())
/// ```
#[derive(Clone, Debug)]
pub struct Faults {
    /// The kinds to choose from.
    kinds: Vec<Fault>,
    /// The names of the hosts to choose from; `None` for all.
    hosts: Option<Vec<String>>,
    /// After how long all faults are over.
    quiet_after: Duration,
}

impl Faults {
    /// Creates faults of all kinds at all hosts.
    ///
    /// # Examples
    ///
    /// See [`Faults`].
    pub fn swarm() -> Faults {
        Faults {
            kinds: Vec::from(ALL),
            hosts: None,
            quiet_after: QUIET_AFTER,
        }
    }

    /// Sets after how much simulated time all faults are over; 60 seconds by default. The time begins when the faults are
    /// drawn, and a duration of more than 292 years is cut to 292 years.
    ///
    /// # Examples
    ///
    /// See [`Faults`].
    pub fn quiet_after(mut self, time: Duration) -> Faults {
        self.quiet_after = time;
        self
    }

    /// Limits the faults to these kinds.
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::sim::{Fault, Faults, Sim};
    ///
    /// let mut sim = Sim::new(3);
    /// sim.faults(Faults::swarm().only([Fault::Partition, Fault::OneWay]));
    /// ```
    pub fn only(mut self, kinds: impl IntoIterator<Item = Fault>) -> Faults {
        let mut only = Vec::new();
        for kind in kinds {
            if !only.contains(&kind) {
                only.push(kind);
            }
        }
        self.kinds = only;
        self
    }

    /// Excludes a kind of faults.
    ///
    /// # Examples
    ///
    /// See [`Faults`].
    pub fn without(mut self, kind: Fault) -> Faults {
        self.kinds.retain(|other| *other != kind);
        self
    }

    /// Limits the faults to these hosts, and to the links between them.
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::sim::{Faults, Sim};
    ///
    /// let mut sim = Sim::new(3);
    /// for name in ["a", "b", "c"] {
    ///     sim.host(name, || std::future::pending());
    /// }
    /// sim.faults(Faults::swarm().hosts(["a", "b"]));
    /// ```
    pub fn hosts<N: Into<String>>(mut self, names: impl IntoIterator<Item = N>) -> Faults {
        self.hosts = Some(names.into_iter().map(Into::into).collect());
        self
    }

    /// Draws the plan for these hosts, each with its name and whether it is a client. The faults begin at `begin`, in
    /// nanoseconds since the simulation began. The plan also ends the faults of the plan `before` that have begun.
    ///
    /// # Panics
    ///
    /// Panics if the faults name a host that is none of these.
    pub(super) fn plan(
        &self,
        hosts: &[(String, bool)],
        rng: &Rng,
        begin: u64,
        before: Plan,
    ) -> Plan {
        for name in self.hosts.iter().flatten() {
            let is_known = hosts
                .iter()
                .any(|(host, _)| host.eq_ignore_ascii_case(name));
            assert!(
                is_known,
                "`Faults::hosts` names \"{name}\", but no host has this name"
            );
        }
        let named = |name: &String| {
            let hosts = self.hosts.as_ref();
            hosts.is_none_or(|hosts| hosts.iter().any(|host| host.eq_ignore_ascii_case(name)))
        };
        let all: Vec<&String> = hosts
            .iter()
            .map(|(name, _)| name)
            .filter(|name| named(name))
            .collect();
        let servers: Vec<&String> = hosts
            .iter()
            .filter(|(name, is_client)| !is_client && named(name))
            .map(|(name, _)| name)
            .collect();
        let kinds = self.subset(rng);
        let quiet = nanos(self.quiet_after);
        let latest = begin.saturating_add(quiet);
        let ends = before.ends().map(|(at, end)| (at.min(latest), end));
        let mut planned: Vec<(u64, Planned)> = ends.collect();
        let mut busy: HashMap<(String, String), u64> = planned
            .iter()
            .map(|(at, end)| (end.place(), at.saturating_sub(begin)))
            .collect();
        let mut now = 0;
        for _ in 0..MOST_FAULTS {
            now = u64::saturating_add(now, spread(rng, quiet / 4));
            if now >= quiet {
                break;
            }
            let Some(kind) = rng.pick(&kinds).copied() else {
                break;
            };
            let until = now + spread(rng, (quiet - now) / 2).max(1).min(quiet - now);
            let (one, other) = match kind.is_of_link() {
                true if all.len() < 2 => continue,
                true => {
                    let one = rng.below(all.len() as u64) as usize;
                    let other = rng.below(all.len() as u64 - 1) as usize;
                    (
                        all[one].as_str(),
                        all[other + usize::from(other >= one)].as_str(),
                    )
                }
                false => match rng.pick(&servers) {
                    Some(host) => (host.as_str(), ""),
                    None => continue,
                },
            };
            let what = |what| Planned {
                what,
                one: one.into(),
                other: other.into(),
            };
            let begins = what(kind.begins(rng));
            // One fault at a time at each link and each host, so that the end of one is not that of another.
            let place = begins.place();
            if busy.get(&place).is_some_and(|until| *until >= now) {
                continue;
            }
            busy.insert(place, until);
            planned.push((begin.saturating_add(now), begins));
            planned.extend(
                kind.ends()
                    .map(|end| (begin.saturating_add(until), what(end))),
            );
        }
        // A stable sort: what is planned for the same moment happens in the order in which it was drawn.
        planned.sort_by_key(|(at, _)| *at);
        planned.reverse();
        Plan { planned }
    }

    /// Chooses a subset of the kinds: each with probability one half, and at least one.
    fn subset(&self, rng: &Rng) -> Vec<Fault> {
        let mut kinds = self.kinds.clone();
        kinds.retain(|_| rng.chance(0.5));
        if kinds.is_empty() {
            kinds.extend(rng.pick(&self.kinds));
        }
        kinds
    }
}

/// Returns a time up to `most` nanoseconds, of a random order of magnitude.
fn spread(rng: &Rng, most: u64) -> u64 {
    let scale = rng.below(GAP_SCALES);
    rng.range(0..=(most >> scale))
}

impl Fault {
    /// Returns whether the fault is one of the link between two hosts.
    fn is_of_link(self) -> bool {
        match self {
            Fault::Partition
            | Fault::OneWay
            | Fault::Loss
            | Fault::Latency
            | Fault::Duplication
            | Fault::Hold
            | Fault::Reset => true,
            Fault::Crash | Fault::Kill | Fault::Pause | Fault::Drift | Fault::ClockStep => false,
        }
    }

    /// Returns how the fault begins.
    fn begins(self, rng: &Rng) -> Act {
        match self {
            Fault::Partition => Act::Cut,
            Fault::OneWay => Act::CutOneWay,
            Fault::Loss => Act::Disturb(Disturbance {
                loss: rng.range(LOSS) as f64 / 100.0,
                ..Disturbance::default()
            }),
            Fault::Latency => Act::Disturb(Disturbance {
                delay: nanos(rng.range(LATENCY)),
                ..Disturbance::default()
            }),
            Fault::Duplication => Act::Disturb(Disturbance {
                duplication: rng.range(DUPLICATION) as f64 / 100.0,
                ..Disturbance::default()
            }),
            Fault::Hold => Act::Hold,
            Fault::Reset => Act::Reset,
            Fault::Crash => Act::Crash,
            Fault::Kill => Act::Kill,
            Fault::Pause => Act::Pause,
            Fault::Drift => Act::Drift(rng.range(DRIFT)),
            Fault::ClockStep => {
                let step = spread(rng, nanos(STEP)).max(1) as i64;
                Act::Step(if rng.chance(0.5) { step } else { -step })
            }
        }
    }

    /// Returns how the fault ends, if it lasts.
    fn ends(self) -> Option<Act> {
        match self {
            Fault::Partition => Some(Act::Repair),
            Fault::OneWay => Some(Act::RepairOneWay),
            Fault::Loss | Fault::Latency | Fault::Duplication => {
                Some(Act::Disturb(Disturbance::default()))
            }
            Fault::Hold => Some(Act::Release),
            Fault::Reset => None,
            Fault::Crash | Fault::Kill => Some(Act::Restart),
            Fault::Pause => Some(Act::Resume),
            Fault::Drift => Some(Act::EndDrift),
            Fault::ClockStep => Some(Act::EndStep),
        }
    }
}

/// What a simulation will do to its hosts.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// The acts, each with its time. The next one is the last.
    planned: Vec<(u64, Planned)>,
}

impl Plan {
    /// Returns when the next act is due.
    pub(super) fn next(&self) -> Option<u64> {
        self.planned.last().map(|(at, _)| *at)
    }

    /// Returns the acts that end a fault that has begun.
    fn ends(self) -> impl Iterator<Item = (u64, Planned)> {
        let mut places = HashSet::new();
        // At each place there is one fault at a time: if it has begun, its end comes first.
        let first = self.planned.into_iter().rev();
        let first = first.filter(move |(_, planned)| places.insert(planned.place()));
        first.filter(|(_, planned)| planned.what.is_end())
    }

    /// Takes the next act, if it is due.
    pub(super) fn take(&mut self, now: u64) -> Option<Planned> {
        self.planned
            .pop_if(|(at, _)| *at <= now)
            .map(|(_, planned)| planned)
    }
}

/// An act at a place.
#[derive(Clone, Debug)]
pub(super) struct Planned {
    /// The act.
    pub(super) what: Act,
    /// The host, or the first host of a link.
    pub(super) one: String,
    /// The second host of a link.
    pub(super) other: String,
}

impl Planned {
    /// Returns the place: the host, or both hosts of a link in the order of their names.
    fn place(&self) -> (String, String) {
        let (one, other) = (&self.one, &self.other);
        (one.min(other).clone(), one.max(other).clone())
    }
}

/// How a fault begins or ends.
#[derive(Clone, Copy, Debug)]
pub(super) enum Act {
    /// Cuts a link in both directions.
    Cut,
    /// Cuts a link in one direction.
    CutOneWay,
    /// Repairs a link in both directions.
    Repair,
    /// Repairs a link in one direction.
    RepairOneWay,
    /// Disturbs a link, or makes it what it was before.
    Disturb(Disturbance),
    /// Holds the packets of a link.
    Hold,
    /// Lets them go on.
    Release,
    /// Resets the connections of a link.
    Reset,
    /// Takes the power from a host.
    Crash,
    /// Kills the process of a host.
    Kill,
    /// Starts a host that is down.
    Restart,
    /// Stops the process of a host.
    Pause,
    /// Continues the process of a host.
    Resume,
    /// Makes a clock fast by this many parts in a million.
    Drift(i64),
    /// Makes a clock as fast as the test has set it.
    EndDrift,
    /// Sets a wall clock ahead by this many nanoseconds, or back.
    Step(i64),
    /// Undoes that.
    EndStep,
}

impl Act {
    /// Returns whether the act is the end of a fault.
    fn is_end(self) -> bool {
        match self {
            Act::Repair
            | Act::RepairOneWay
            | Act::Release
            | Act::Restart
            | Act::Resume
            | Act::EndDrift
            | Act::EndStep => true,
            Act::Disturb(disturbance) => disturbance == Disturbance::default(),
            Act::Cut
            | Act::CutOneWay
            | Act::Hold
            | Act::Reset
            | Act::Crash
            | Act::Kill
            | Act::Pause
            | Act::Drift(_)
            | Act::Step(_) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_in_the_documentation_has_a_row_for_each_kind() {
        let source = include_str!("faults.rs");
        assert!(source.contains(&format!("/// There are {} kinds.", ALL.len())));
        for kind in ALL {
            let start = format!("/// | [`{kind:?}`](Fault::{kind:?}) |");
            let row = source.lines().find(|line| line.starts_with(&start));
            let (place, end) = match kind.is_of_link() {
                true => ("| network |", "| no |"),
                false => ("| host |", "| yes |"),
            };
            let is_right = row.is_some_and(|row| row.contains(place) && row.ends_with(end));
            assert!(is_right, "{kind:?}: {row:?}");
        }
    }
}

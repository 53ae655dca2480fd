//! [`SimulationRecorder`]: the timeline of a simulation, whose hosts are groups and whose segments are arrows.
//!
//! The driver of a simulation creates one if `GLASSFROG_TIMELINE` asks for it, gives each runtime of a host a
//! [recorder](SimulationRecorder::host), and [writes](SimulationRecorder::write) the file when the run has ended. The
//! network reports [segments](SimulationRecorder::segment) when their fate is known. Without a `SimulationRecorder`,
//! nothing is formatted and nothing is kept.
//!
//! All events have the *true time* of the simulation, although the clock of each host may show another one.

use super::Timeline;
use super::files::{name_of_test, title};
use super::model::Model;
use super::output::{path_in_environment, report};
use super::recorder::Recorder;
use super::recording::Recording;
use super::traffic::{Fault, Segment, Traffic};
use crate::clock::Clock;
use crate::primitives::{AtomicBool, Mutex, Ordering, lock};
use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

pub(crate) use super::traffic::Fate;

/// The number of events that the hosts share. Each runtime of a host gets its part of them, by the number of hosts then.
const EVENTS: usize = 131_072;

/// The largest number of events of one host: that of any other runtime.
const MOST_EVENTS: usize = 65_536;

/// The smallest number of events of one host.
const FEWEST_EVENTS: usize = 1024;

/// The number of events that are kept of hosts' former runtimes. The oldest runtime goes first.
const FORMER_EVENTS: usize = 262_144;

/// Whether the file in the environment shows a run that failed. A run that passes then keeps it.
static SHOWS_FAILURE: AtomicBool = AtomicBool::new(false);

/// Records one simulation. Any of its methods may be called while a poll of a host runs; they call no foreign code but the
/// label of a segment.
pub(crate) struct SimulationRecorder {
    /// A clock that shows the true time.
    truth: Clock,
    /// What that clock showed when the simulation began.
    zero: Instant,
    /// The seed of the simulation.
    seed: u64,
    /// The hosts.
    hosts: Mutex<Hosts>,
    /// The segments and the faults.
    traffic: Mutex<Traffic>,
}

/// The recorders of the hosts.
#[derive(Default)]
struct Hosts {
    /// The recorder of the last runtime of each host.
    last: BTreeMap<u32, Arc<Recorder>>,
    /// The recordings of the runtimes before them, the earliest first, with the numbers of their hosts.
    former: VecDeque<(u32, Recording)>,
    /// The number of their events.
    former_events: usize,
}

impl SimulationRecorder {
    /// Creates the recorder of a simulation, if `GLASSFROG_TIMELINE` is set. `truth` shows the true time, and has shown
    /// `zero` when the simulation began.
    pub(crate) fn by_environment(
        truth: Clock,
        zero: Instant,
        seed: u64,
    ) -> Option<Arc<SimulationRecorder>> {
        path_in_environment().map(|_| Arc::new(SimulationRecorder::new(truth, zero, seed)))
    }

    /// Creates the recorder of a simulation.
    fn new(truth: Clock, zero: Instant, seed: u64) -> SimulationRecorder {
        SimulationRecorder {
            truth,
            zero,
            seed,
            hosts: Mutex::default(),
            traffic: Mutex::default(),
        }
    }

    /// Creates the recorder of a new runtime of a host. `clock` is that of the host. If the host had a runtime before,
    /// this one continues its group.
    pub(crate) fn host(&self, host: u32, name: &str, clock: Clock) -> Arc<Recorder> {
        let mut hosts = lock(&self.hosts);
        let events = EVENTS / (hosts.last.len() + 1);
        let events = events.clamp(FEWEST_EVENTS, MOST_EVENTS);
        let time = (self.truth.clone(), self.zero);
        let recorder = Arc::new(Recorder::of_host(events, time, name, clock));
        if let Some(former) = hosts.last.insert(host, Arc::clone(&recorder)) {
            hosts.add_former(host, former.copy());
        }
        recorder
    }

    /// Notes a segment that was sent at a true time. Call this once for each segment, when its fate is known. Those on
    /// their way at the end are noted before the file is written.
    pub(crate) fn segment(
        &self,
        (from, to): (u32, u32),
        sent: u64,
        fate: Fate,
        label: impl fmt::Display,
    ) {
        let label = label.to_string().into_boxed_str();
        let segment = Segment {
            from,
            to,
            sent,
            fate,
            label,
        };
        lock(&self.traffic).add(segment);
    }

    /// Forgets the segments that were noted as on their way: the file is written anew.
    pub(crate) fn clear_on_their_way(&self) {
        let mut traffic = lock(&self.traffic);
        traffic
            .segments
            .retain(|segment| segment.fate != Fate::OnItsWay);
    }

    /// Notes something that befalls the way from one host to another now, or a host, which is then both. The text is a
    /// clause without its subject: `is cut`, `loses its power`. Without hosts, it is a sentence.
    pub(crate) fn fault(&self, hosts: Option<(u32, u32)>, text: impl fmt::Display) {
        let nanos = self.truth.now().saturating_duration_since(self.zero);
        let time = u64::try_from(nanos.as_nanos()).unwrap_or(u64::MAX);
        let text = text.to_string().into_boxed_str();
        lock(&self.traffic).add_fault(Fault { time, hosts, text });
    }

    /// Writes the file that the environment names, because the run has ended. Returns a sentence about that for the
    /// report of a failure.
    ///
    /// A file of a run that failed is not replaced by that of one that passes: of a thousand iterations, the one that failed
    /// is of interest. If the environment names a directory, only the failure of a test writes a file, which has the
    /// name of the test.
    pub(crate) fn write(&self, test: Option<&str>, has_failed: bool) -> Option<String> {
        let path = self.path(test, has_failed)?;
        match self.timeline().write_to(&path) {
            Ok(()) => Some(format!("the timeline of this run is in {}", path.display())),
            Err(error) => {
                let text = error.to_string();
                report(Err(error));
                Some(text)
            }
        }
    }

    /// Returns the path of the file, if one is written.
    fn path(&self, test: Option<&str>, has_failed: bool) -> Option<PathBuf> {
        let path = path_in_environment()?;
        if path.is_dir() {
            let name = name_of_test(test?);
            return has_failed.then(|| path.join(name));
        }
        // Relaxed suffices: the file guards nothing.
        match has_failed {
            true => SHOWS_FAILURE.store(true, Ordering::Relaxed),
            false if SHOWS_FAILURE.load(Ordering::Relaxed) => return None,
            false => {}
        }
        Some(path)
    }

    /// Returns what was recorded until now.
    fn timeline(&self) -> Timeline {
        let hosts = lock(&self.hosts);
        let last = hosts.last.iter();
        let last = last.map(|(host, recorder)| (*host, recorder.copy()));
        let mut recordings: Vec<(u32, Recording)> =
            hosts.former.iter().cloned().chain(last).collect();
        drop(hosts);
        // Stable: the runtimes of a host stay in their order.
        recordings.sort_by_key(|(host, _)| *host);
        let traffic = lock(&self.traffic).clone();
        let model = Model::simulated(&recordings, &traffic);
        let recordings = recordings.into_iter().map(|(_, recording)| recording);
        Timeline {
            title: format!("seed {}, {}", self.seed, title()),
            recordings: recordings.collect(),
            model,
        }
    }
}

impl Hosts {
    /// Adds the recording of a runtime that another one has followed. Forgets the oldest if they are too many.
    fn add_former(&mut self, host: u32, recording: Recording) {
        self.former_events += recording.events.len();
        self.former.push_back((host, recording));
        while self.former_events > FORMER_EVENTS
            && let Some((_, oldest)) = self.former.pop_front()
        {
            self.former_events -= oldest.events.len();
        }
    }
}

impl fmt::Debug for SimulationRecorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimulationRecorder").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::timeline::event::{Reason, What};
    use crate::waiter::Tag;
    use std::time::Duration;

    /// A clock that a test moves, and the recorder of a simulation whose true time it shows.
    fn recorder() -> (Clock, SimulationRecorder) {
        let truth = Clock::stopped();
        let zero = truth.now();
        let recorder = SimulationRecorder::new(truth.clone(), zero, 4);
        (truth, recorder)
    }

    /// Moves a clock.
    fn advance(clock: &Clock, millis: u64) {
        clock.advance_to(clock.now() + Duration::from_millis(millis));
    }

    #[test]
    fn events_have_the_true_time_and_sleeps_that_of_the_host() {
        let (truth, simulation) = recorder();
        let own = Clock::stopped();
        advance(&own, 5_000);
        let host = simulation.host(0, "host", own.clone());
        advance(&truth, 10);
        host.begin_run();
        host.begin_poll(1);
        host.waits_until(Tag::new(1, 0), own.now() + Duration::from_millis(20));
        host.end_poll(1, false);
        let recording = host.copy();
        assert_eq!(recording.name, "host");
        assert!(
            recording
                .events
                .iter()
                .all(|event| event.time == 10_000_000)
        );
        let is_sleep = |what: What| {
            let reason = Reason::Deadline { micros: 20_000 };
            what == What::Waits { task: 1, reason }
        };
        assert!(recording.events.iter().any(|event| is_sleep(event.what)));
    }

    #[test]
    fn the_recording_of_a_runtime_ends_with_it() {
        let (truth, simulation) = recorder();
        let host = simulation.host(0, "host", Clock::stopped());
        advance(&truth, 10);
        host.finish();
        advance(&truth, 10);
        let recording = host.copy();
        assert_eq!((recording.now, recording.has_ended), (10_000_000, true));
    }

    #[test]
    fn the_former_runtimes_of_a_host_are_kept_in_their_order_and_bounded() {
        let (_, simulation) = recorder();
        for number in 0..60 {
            let host = simulation.host(0, "host", Clock::stopped());
            for _ in 0..number * 200 {
                host.marked(true, None, "mark");
            }
        }
        let hosts = lock(&simulation.hosts);
        let events: Vec<usize> = hosts
            .former
            .iter()
            .map(|(_, each)| each.events.len())
            .collect();
        assert_eq!(events.iter().sum::<usize>(), hosts.former_events);
        assert!(hosts.former_events <= FORMER_EVENTS);
        assert!(events.is_sorted() && events.last() == Some(&11_600));
    }

    #[test]
    fn many_hosts_share_the_memory() {
        let (_, simulation) = recorder();
        for number in 0..100 {
            let host = simulation.host(number, "host", Clock::stopped());
            // Twice as many as the host may keep.
            let share = EVENTS / (number as usize + 1);
            for _ in 0..2 * share.clamp(FEWEST_EVENTS, MOST_EVENTS) {
                host.marked(true, None, "mark");
            }
        }
        let timeline = simulation.timeline();
        let events: Vec<usize> = timeline
            .recordings
            .iter()
            .map(|each| each.events.len())
            .collect();
        assert_eq!((events[0], events[99]), (MOST_EVENTS - 1, 2047));
        assert!(events.iter().sum::<usize>() < 800_000, "{events:?}");
    }

    #[test]
    fn a_segment_that_was_on_its_way_at_one_write_is_not_there_twice_at_the_next() {
        let (_, simulation) = recorder();
        for _ in 0..2 {
            simulation.clear_on_their_way();
            simulation.segment((0, 1), 5, Fate::OnItsWay, "data");
        }
        simulation.segment((0, 1), 5, Fate::Lost(6), format_args!("data #{}", 7));
        let traffic = lock(&simulation.traffic);
        let labels: Vec<&str> = traffic.segments.iter().map(|each| &*each.label).collect();
        assert_eq!(labels, ["data", "data #7"]);
    }
}

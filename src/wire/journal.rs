//! [`Journal`]: what has happened on the wire, so that two runs of a seed can be compared.
//!
//! Each event is one small entry without text. The journal adds it to a running hash, keeps the last entries, or all of
//! them, and writes their text only for a report. A second run is compared with the entries of a first one as it goes:
//!
//! ```text
//!     0.015996 client → server data #0, 4 bytes: arrives
//! ```

use super::HostId;
use super::packet::{Kind, Packet};
use crate::timeline::simulation::{self, SimulationRecorder};
use std::collections::VecDeque;
use std::fmt::{self, Write};
use std::sync::Arc;

/// The number of entries that a journal keeps by default: as many as fit a report.
const KEPT: usize = 64;

/// The number of faults that a journal keeps: more than most runs have, and no more than a reader reads.
const KEPT_FAULTS: usize = 64;

/// The number of nanoseconds in a second.
const NANOS: u64 = 1_000_000_000;

/// What multiplies the hash for each word: 2⁶⁴ divided by π, made odd.
const FACTOR: u64 = 0x517c_c1b7_2722_0a95;

/// What has happened to a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It has left its host.
    Leaves,
    /// It has arrived at its host.
    Arrives,
    /// It waits, because its direction is held.
    Held,
    /// It is lost.
    Lost(Loss),
}

/// Why a packet is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Loss {
    /// Its direction is cut.
    Cut,
    /// The link loses packets with some probability.
    Chance,
    /// The host has no power, or does not exist.
    Off,
    /// The host has no room for it.
    Full,
}

/// What somebody does to the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// A direction is cut.
    Cut,
    /// A direction is repaired.
    Repaired,
    /// A direction is held.
    Held,
    /// A direction is released.
    Released,
    /// The connections between two hosts are reset.
    Reset,
    /// The link of a direction is another.
    Link,
    /// A host loses its power.
    PowerOff,
    /// A host gets its power back.
    PowerOn,
    /// The sockets of a host are closed.
    Closed,
}

/// What an entry is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    /// A packet.
    Packet(Kind, Fate),
    /// A fault.
    Fault(Fault),
    /// A note of the driver.
    Note,
}

/// One event.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    /// When it happened, in nanoseconds since the simulation began.
    time: u64,
    /// The host from which a packet comes.
    from: HostId,
    /// The host for which a packet is meant.
    to: HostId,
    /// What it is about.
    what: What,
    /// The number of a packet.
    number: u64,
    /// The number of bytes in a packet.
    length: u64,
    /// The hash of the bytes in a packet, or of a note.
    hash: u64,
    /// The text of a note.
    note: Option<Box<str>>,
}

impl Entry {
    /// Returns the entry of a fault.
    fn of_fault(time: u64, from: HostId, to: HostId, fault: Fault) -> Entry {
        Entry {
            time,
            from,
            to,
            what: What::Fault(fault),
            number: 0,
            length: 0,
            hash: 0,
            note: None,
        }
    }

    /// Returns a small number that tells what the entry is about.
    fn code(&self) -> u64 {
        match self.what {
            What::Packet(kind, fate) => {
                let fate = match fate {
                    Fate::Leaves => 1,
                    Fate::Arrives => 2,
                    Fate::Held => 3,
                    Fate::Lost(loss) => 4 + loss as u64,
                };
                fate << 8 | kind as u64
            }
            What::Fault(fault) => 1 << 16 | fault as u64,
            What::Note => 2 << 16,
        }
    }

    /// Adds the entry to a hash.
    fn add_to(&self, hash: u64) -> u64 {
        let ends = u64::from(self.from) << 32 | u64::from(self.to);
        let what = self.code() << 32 ^ self.length;
        [self.time, ends, what, self.number, self.hash]
            .into_iter()
            .fold(hash, add)
    }

    /// Writes the entry as a line of text, with its time in microseconds.
    fn text(&self, names: &dyn Fn(HostId) -> String) -> String {
        let (seconds, nanos) = (self.time / NANOS, self.time % NANOS);
        let micros = nanos / 1000;
        format!("{seconds}.{micros:06} {}", self.words(names))
    }

    /// Writes the entry as a line of text, with its time in nanoseconds.
    fn exact_text(&self, names: &dyn Fn(HostId) -> String) -> String {
        let (seconds, nanos) = (self.time / NANOS, self.time % NANOS);
        format!("{seconds}.{nanos:09} {}", self.words(names))
    }

    /// Describes the entry, without its time.
    fn words(&self, names: &dyn Fn(HostId) -> String) -> String {
        let mut line = String::new();
        let ends = || format!("{} → {}", names(self.from), names(self.to));
        // Writing to a string does not fail.
        let _ = match self.what {
            What::Note => write!(line, "{}", self.note.as_deref().unwrap_or("(a note)")),
            What::Fault(Fault::PowerOff) => write!(line, "{} loses its power", names(self.from)),
            What::Fault(Fault::PowerOn) => write!(line, "{} has power", names(self.from)),
            What::Fault(Fault::Closed) => {
                write!(line, "{} closes its sockets", names(self.from))
            }
            What::Fault(fault) => write!(line, "{} {}", ends(), fault.text()),
            What::Packet(kind, fate) => {
                let (number, length) = (self.number, self.length);
                let label = Label {
                    kind,
                    number,
                    length,
                };
                write!(line, "{} {label}{}", ends(), fate.text())
            }
        };
        line
    }
}

/// What a packet is, in words: `data #0, 4 bytes`.
struct Label {
    /// The kind.
    kind: Kind,
    /// The number.
    number: u64,
    /// The number of bytes that it carries.
    length: u64,
}

impl Label {
    /// Describes a packet.
    fn of(packet: &Packet) -> Label {
        Label {
            kind: packet.kind(),
            number: packet.number(),
            length: packet.len() as u64,
        }
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind.text())?;
        if let Kind::Ack | Kind::Data | Kind::Fin | Kind::Datagram = self.kind {
            write!(f, " #{}", self.number)?;
        }
        match self.length {
            0 => Ok(()),
            1 => f.write_str(", 1 byte"),
            length => write!(f, ", {length} bytes"),
        }
    }
}

impl Kind {
    /// Returns the name of the kind.
    fn text(self) -> &'static str {
        match self {
            Kind::Syn => "syn",
            Kind::SynAck => "syn-ack",
            Kind::Ack => "ack",
            Kind::Data => "data",
            Kind::Fin => "fin",
            Kind::Reset => "reset",
            Kind::Probe => "probe",
            Kind::Datagram => "datagram",
            Kind::Unreachable => "port unreachable",
        }
    }
}

impl Fate {
    /// Returns what follows the description of a packet.
    fn text(self) -> &'static str {
        match self {
            Fate::Leaves => "",
            Fate::Arrives => ": arrives",
            Fate::Held => ": held",
            Fate::Lost(Loss::Cut) => ": lost: cut",
            Fate::Lost(Loss::Chance) => ": lost: by chance",
            Fate::Lost(Loss::Off) => ": lost: no host answers",
            Fate::Lost(Loss::Full) => ": lost: no room",
        }
    }
}

impl Fault {
    /// Returns whether the timeline shows the fault as one of the network. Links are usually set at the beginning, and
    /// the driver reports in its own words what befalls a host.
    fn is_of_a_way(self) -> bool {
        match self {
            Fault::Cut | Fault::Repaired | Fault::Held | Fault::Released | Fault::Reset => true,
            Fault::Link | Fault::PowerOff | Fault::PowerOn | Fault::Closed => false,
        }
    }

    /// Returns whether the list of faults contains it. Sockets are closed by what else is in it, or by the end of a process,
    /// and what gives a host its power back is its start.
    fn is_listed(self, now: u64) -> bool {
        match self {
            Fault::Cut | Fault::Repaired | Fault::Held | Fault::Released => true,
            Fault::Reset | Fault::PowerOff => true,
            // At the beginning, tests set links.
            Fault::Link => now > 0,
            Fault::PowerOn | Fault::Closed => false,
        }
    }

    /// Returns what follows the names of two hosts.
    fn text(self) -> &'static str {
        match self {
            Fault::Cut => "is cut",
            Fault::Repaired => "is repaired",
            Fault::Held => "is held",
            Fault::Released => "is released",
            Fault::Reset => "connections are reset",
            Fault::Link => "has another link",
            Fault::PowerOff | Fault::PowerOn | Fault::Closed => "changes",
        }
    }
}

impl Loss {
    /// Returns the reason in words.
    fn text(self) -> &'static str {
        match self {
            Loss::Cut => "cut",
            Loss::Chance => "by chance",
            Loss::Off => "no host answers",
            Loss::Full => "no room",
        }
    }
}

/// Adds a word to a hash.
fn add(hash: u64, word: u64) -> u64 {
    (hash.rotate_left(5) ^ word).wrapping_mul(FACTOR)
}

/// Returns the hash of some bytes, eight at a time.
pub(super) fn hash_of(bytes: &[u8]) -> u64 {
    let mut hash = bytes.len() as u64;
    let mut words = bytes.chunks_exact(8);
    for word in &mut words {
        let mut eight = [0; 8];
        eight.copy_from_slice(word);
        hash = add(hash, u64::from_le_bytes(eight));
    }
    let mut last = [0; 8];
    last[..words.remainder().len()].copy_from_slice(words.remainder());
    add(hash, u64::from_le_bytes(last))
}

/// All entries of a run, with which another can be compared.
#[derive(Debug, Default)]
pub(crate) struct Recording {
    /// The entries.
    entries: VecDeque<Entry>,
}

/// The first difference between two runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Difference {
    /// The number of entries that both have in common.
    pub(crate) index: u64,
    /// The text of the entry that follows in the first run, or a sentence that none does.
    pub(crate) first: String,
    /// The same of the second run.
    pub(crate) second: String,
}

/// Says what differs. If that is only the contents of a packet, both runs have the same text.
impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Difference { first, second, .. } = self;
        match first == second {
            true => write!(f, "the contents of a packet differ: {first}"),
            false => write!(f, "\"{first}\" against \"{second}\""),
        }
    }
}

/// What a journal that compares its run has found.
#[derive(Debug)]
struct Comparison {
    /// The entries of the first run that this one has not reached.
    rest: VecDeque<Entry>,
    /// The first entries that differ, and how many came before them.
    found: Option<(u64, Option<Entry>, Option<Entry>)>,
}

/// A fault in the list of those that have befallen hosts and links.
#[derive(Debug)]
struct Listed {
    /// The fault.
    entry: Entry,
    /// Whether it has befallen the other direction, too.
    is_both_ways: bool,
}

/// The faults of a run.
#[derive(Debug, Default)]
struct ListedFaults {
    /// The newest of them.
    newest: VecDeque<Listed>,
    /// The number of all of them.
    count: usize,
}

impl ListedFaults {
    /// Adds a fault. One that befalls both directions at a moment is one fault.
    fn add(&mut self, entry: &Entry) {
        if let Some(last) = self.newest.back_mut()
            && let Entry {
                time,
                from,
                to,
                what,
                ..
            } = &last.entry
            && (*time, *what) == (entry.time, entry.what)
            && (*to, *from) == (entry.from, entry.to)
            && from != to
            && !last.is_both_ways
        {
            last.is_both_ways = true;
            return;
        }
        if self.newest.len() >= KEPT_FAULTS {
            self.newest.pop_front();
        }
        self.count += 1;
        self.newest.push_back(Listed {
            entry: entry.clone(),
            is_both_ways: false,
        });
    }
}

/// What has happened on the wire.
#[derive(Debug)]
pub(super) struct Journal {
    /// The hash of all entries.
    hash: u64,
    /// The number of all entries.
    count: u64,
    /// The last entries.
    last: VecDeque<Entry>,
    /// How many of them to keep.
    kept: usize,
    /// What has befallen hosts and links.
    faults: ListedFaults,
    /// The comparison with an earlier run.
    comparison: Option<Comparison>,
    /// The timeline of the simulation, if there is one.
    timeline: Option<Arc<SimulationRecorder>>,
}

impl Journal {
    /// Creates an empty journal.
    pub(super) fn new() -> Journal {
        Journal {
            hash: 0,
            count: 0,
            last: VecDeque::new(),
            kept: KEPT,
            faults: ListedFaults::default(),
            comparison: None,
            timeline: None,
        }
    }

    /// Reports what happens to the timeline of the simulation, too.
    pub(super) fn set_timeline(&mut self, timeline: Arc<SimulationRecorder>) {
        self.timeline = Some(timeline);
    }

    /// Reports a packet to the timeline, if there is one, when its fate is known.
    fn report(&self, now: u64, packet: &Packet, fate: Fate) {
        let Some(timeline) = &self.timeline else {
            return;
        };
        let (hosts, label) = ((packet.from, packet.to), Label::of(packet));
        match fate {
            Fate::Leaves | Fate::Held => {}
            Fate::Arrives => {
                timeline.segment(hosts, packet.sent, simulation::Fate::Arrived(now), label);
            }
            Fate::Lost(loss) => {
                let label = format_args!("{label} ({})", loss.text());
                timeline.segment(hosts, packet.sent, simulation::Fate::Lost(now), label);
            }
        }
    }

    /// Reports the packets that are on their way, or held, to the timeline, if there is one.
    pub(super) fn on_their_way<'a>(&self, packets: impl Iterator<Item = &'a Packet>) {
        let Some(timeline) = &self.timeline else {
            return;
        };
        timeline.clear_on_their_way();
        for packet in packets {
            let (hosts, fate) = ((packet.from, packet.to), simulation::Fate::OnItsWay);
            timeline.segment(hosts, packet.sent, fate, Label::of(packet));
        }
    }

    /// Notes what has happened to a packet.
    pub(super) fn packet(&mut self, now: u64, packet: &Packet, fate: Fate) {
        self.report(now, packet, fate);
        self.add(Entry {
            time: now,
            from: packet.from,
            to: packet.to,
            what: What::Packet(packet.kind(), fate),
            number: packet.number(),
            length: packet.len() as u64,
            hash: packet.hash,
            note: None,
        });
    }

    /// Notes a fault.
    pub(super) fn fault(&mut self, now: u64, from: HostId, to: HostId, fault: Fault) {
        if let Some(timeline) = &self.timeline
            && fault.is_of_a_way()
        {
            timeline.fault(Some((from, to)), fault.text());
        }
        let entry = Entry::of_fault(now, from, to, fault);
        if fault.is_listed(now) {
            self.faults.add(&entry);
        }
        self.add(entry);
    }

    /// Notes something that the driver says, and whether that is a fault.
    pub(super) fn note(&mut self, now: u64, text: &str, is_fault: bool) {
        let entry = Entry {
            hash: hash_of(text.as_bytes()),
            note: Some(text.into()),
            what: What::Note,
            ..Entry::of_fault(now, 0, 0, Fault::Link)
        };
        if is_fault {
            self.faults.add(&entry);
        }
        self.add(entry);
    }

    /// Adds an entry.
    fn add(&mut self, entry: Entry) {
        self.hash = entry.add_to(self.hash);
        if let Some(comparison) = &mut self.comparison {
            comparison.add(self.count, &entry);
        }
        self.count += 1;
        if self.last.len() >= self.kept {
            self.last.pop_front();
        }
        self.last.push_back(entry);
    }

    /// Returns the hash and the number of all entries.
    pub(super) fn hash_and_count(&self) -> (u64, u64) {
        (self.hash, self.count)
    }

    /// Keeps at least this many entries: the last ones. A journal that keeps all of them, for a comparison, goes on.
    pub(super) fn keep(&mut self, count: usize) {
        self.kept = self.kept.max(count);
    }

    /// Writes the entries that are kept as lines of text.
    pub(super) fn lines(&self, names: &dyn Fn(HostId) -> String) -> Vec<String> {
        self.last.iter().map(|entry| entry.text(names)).collect()
    }

    /// Writes the newest faults as lines of text. Returns them, and the number of all faults.
    pub(super) fn faults(&self, names: &dyn Fn(HostId) -> String) -> (Vec<String>, usize) {
        let lines = self.faults.newest.iter();
        let lines = lines.map(
            |Listed {
                 entry,
                 is_both_ways,
             }| match is_both_ways {
                false => entry.text(names),
                true => entry.text(names).replacen(" → ", " ↔ ", 1),
            },
        );
        (lines.collect(), self.faults.count)
    }

    /// Takes the entries that are kept.
    pub(super) fn take(&mut self) -> Recording {
        Recording {
            entries: std::mem::take(&mut self.last),
        }
    }

    /// Compares this run with another from its beginning on.
    pub(super) fn compare_with(&mut self, first: Recording) {
        self.comparison = Some(Comparison {
            rest: first.entries,
            found: None,
        });
    }

    /// Returns the first difference that has been found. If the run `is_over`, entries that it has not reached differ.
    pub(super) fn difference(
        &self,
        is_over: bool,
        names: &dyn Fn(HostId) -> String,
    ) -> Option<Difference> {
        let comparison = self.comparison.as_ref()?;
        let (index, first, second) = match &comparison.found {
            Some((index, first, second)) => (*index, first.as_ref(), second.as_ref()),
            None if is_over => (self.count, Some(comparison.rest.front()?), None),
            None => return None,
        };
        // Times that differ by less than a microsecond must not look the same.
        let needs_nanos = first.zip(second).is_some_and(|(first, second)| {
            first.time != second.time && first.time / 1000 == second.time / 1000
        });
        let text = |entry: Option<&Entry>| match entry {
            Some(entry) if needs_nanos => entry.exact_text(names),
            Some(entry) => entry.text(names),
            None => "nothing more happens".into(),
        };
        Some(Difference {
            index,
            first: text(first),
            second: text(second),
        })
    }
}

impl Comparison {
    /// Compares the next entry.
    fn add(&mut self, index: u64, entry: &Entry) {
        if self.found.is_some() {
            return;
        }
        let first = self.rest.pop_front();
        if first.as_ref() != Some(entry) {
            self.found = Some((index, first, Some(entry.clone())));
            self.rest.clear();
        }
    }
}

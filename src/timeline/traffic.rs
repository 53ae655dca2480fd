//! [`Traffic`]: the newest segments that went over the network of a simulation, and the newest faults.

use std::collections::VecDeque;

/// The number of segments that are kept. A page draws them all in a frame, if they are all in sight.
const SEGMENTS: usize = 16_384;

/// The number of faults that are kept.
const FAULTS: usize = 1024;

/// A segment that one host has sent to another. Times are nanoseconds since the simulation began.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Segment {
    /// The number of the host that sent it.
    pub(crate) from: u32,
    /// The number of the host to which it was sent.
    pub(crate) to: u32,
    /// When it was sent.
    pub(crate) sent: u64,
    /// What became of it.
    pub(crate) fate: Fate,
    /// What it is: `data #0, 4 bytes`.
    pub(crate) label: Box<str>,
}

/// What became of a segment, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It arrived at this time.
    Arrived(u64),
    /// It was lost at this time: when it was sent, on its way, or when it would have arrived.
    Lost(u64),
    /// It was on its way, or held, when the simulation ended.
    OnItsWay,
}

/// Something that befell a host, the network or the simulation: a crash, a partition, the failure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    /// When it happened, in nanoseconds since the simulation began.
    pub(crate) time: u64,
    /// The host, or the hosts at the beginning and the end of a way. They are the same if it befell a host. `None` if it
    /// befell the whole simulation.
    pub(crate) hosts: Option<(u32, u32)>,
    /// What happened, as a clause without its subject: `loses its power`, `is cut`. A sentence if there are no hosts.
    pub(crate) text: Box<str>,
}

/// What went over a network, in the order in which it became known.
#[derive(Clone, Debug, Default)]
pub(crate) struct Traffic {
    /// The newest segments.
    pub(crate) segments: VecDeque<Segment>,
    /// The number of older segments that were dropped.
    pub(crate) lost: u64,
    /// The newest faults.
    pub(crate) faults: VecDeque<Fault>,
}

impl Traffic {
    /// Adds a segment, whose fate is known.
    pub(crate) fn add(&mut self, segment: Segment) {
        if self.segments.len() == SEGMENTS {
            self.segments.pop_front();
            self.lost += 1;
        }
        self.segments.push_back(segment);
    }

    /// Adds a fault.
    pub(crate) fn add_fault(&mut self, fault: Fault) {
        if self.faults.len() == FAULTS {
            self.faults.pop_front();
        }
        self.faults.push_back(fault);
    }
}

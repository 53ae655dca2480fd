//! The times at which the phases of a fetch began and ended.

use std::time::{Duration, Instant};

use glassfrog::time;

/// A phase of a fetch. A redirected fetch enters the phases again.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Phase {
    /// Resolving the name of the host. Skipped if the host is an address.
    Resolve,
    /// Establishing the connection.
    Connect,
    /// Sending the request and waiting for the first byte of the response.
    Wait,
    /// Reading the response, from its first byte to its last.
    Read,
}

impl Phase {
    /// All phases, in order.
    pub(crate) const ALL: [Phase; 4] = [Phase::Resolve, Phase::Connect, Phase::Wait, Phase::Read];

    /// Returns the heading of the phase's column.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Phase::Resolve => "resolve",
            Phase::Connect => "connect",
            Phase::Wait => "wait",
            Phase::Read => "read",
        }
    }

    /// Returns the beginning of a message that names the operation.
    pub(crate) fn attempt(self) -> &'static str {
        match self {
            Phase::Resolve => "resolve",
            Phase::Connect => "connect to",
            Phase::Wait => "wait for",
            Phase::Read => "read from",
        }
    }
}

/// The times of the phases of a fetch, counted from the start of the run.
#[derive(Clone, Debug)]
pub(crate) struct Timing {
    /// The start of the run.
    origin: Instant,
    /// The start of this fetch.
    pub(crate) started: Duration,
    /// The phases in the order of their starts, each with its start.
    entered: Vec<(Phase, Duration)>,
    /// The end of the fetch, successful or not.
    pub(crate) ended: Duration,
    /// Whether the fetch is saving its body rather than waiting for the peer. This is not a phase, because
    /// a large body would switch back and forth thousands of times.
    pub(crate) is_saving: bool,
}

impl Timing {
    /// Creates the timing of a fetch that starts now.
    pub(crate) fn start(origin: Instant) -> Self {
        let started = time::now() - origin;
        Self {
            origin,
            started,
            entered: Vec::new(),
            ended: started,
            is_saving: false,
        }
    }

    /// Records that a phase begins now, unless the fetch is in it already.
    pub(crate) fn enter(&mut self, phase: Phase) {
        if self.phase() != Some(phase) {
            self.entered.push((phase, time::now() - self.origin));
        }
    }

    /// Records that the fetch ends now.
    pub(crate) fn end(&mut self) {
        self.ended = time::now() - self.origin;
    }

    /// Returns the current phase, if one has begun.
    pub(crate) fn phase(&self) -> Option<Phase> {
        self.entered.last().map(|&(phase, _)| phase)
    }

    /// Returns the phases of the fetch, each with its start and its end.
    pub(crate) fn phases(&self) -> impl Iterator<Item = (Phase, Duration, Duration)> {
        let ends = self.entered.iter().skip(1).map(|&(_, begin)| begin);
        self.entered
            .iter()
            .zip(ends.chain([self.ended]))
            .map(|(&(phase, begin), end)| (phase, begin, end))
    }

    /// Returns the time spent in a phase, including all redirects, or `None` if it never began.
    pub(crate) fn spent(&self, phase: Phase) -> Option<Duration> {
        self.phases()
            .filter(|&(other, ..)| other == phase)
            .map(|(_, begin, end)| end - begin)
            .reduce(|sum, more| sum + more)
    }

    /// Returns the time from start to end.
    pub(crate) fn took(&self) -> Duration {
        self.ended - self.started
    }

    /// Creates a timing from phases with their starts, and the end.
    #[cfg(test)]
    pub(crate) fn made_up(entered: &[(Phase, Duration)], ended: Duration) -> Self {
        Self {
            origin: Instant::now(),
            started: entered.first().map_or(ended, |&(_, begin)| begin),
            entered: entered.to_vec(),
            ended,
            is_saving: false,
        }
    }
}

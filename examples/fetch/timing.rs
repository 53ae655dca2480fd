//! When the phases of a fetch began, and when it ended.

use std::time::{Duration, Instant};

use glassfrog::time;

/// What a fetch is doing at a time. One that is redirected goes through the phases again.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Phase {
    /// Asking for the addresses of a name. Not if the host is an address.
    Resolve,
    /// Until the connection is established.
    Connect,
    /// Sending the request, and waiting for the first byte of the answer.
    Wait,
    /// From the first byte of the answer to the last.
    Read,
}

impl Phase {
    /// All of them, in their order.
    pub(crate) const ALL: [Phase; 4] = [Phase::Resolve, Phase::Connect, Phase::Wait, Phase::Read];

    /// What it is called at the head of a column.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Phase::Resolve => "resolve",
            Phase::Connect => "connect",
            Phase::Wait => "wait",
            Phase::Read => "read",
        }
    }

    /// How a sentence begins that says what was tried.
    pub(crate) fn attempt(self) -> &'static str {
        match self {
            Phase::Resolve => "resolve",
            Phase::Connect => "connect to",
            Phase::Wait => "wait for",
            Phase::Read => "read from",
        }
    }
}

/// When the phases of a fetch began, counted from the beginning of the whole run.
#[derive(Clone, Debug)]
pub(crate) struct Timing {
    /// The beginning of the whole run.
    origin: Instant,
    /// When this fetch began.
    pub(crate) started: Duration,
    /// The phases in the order in which they were entered, each with its beginning.
    entered: Vec<(Phase, Duration)>,
    /// When the fetch was over, well or not.
    pub(crate) ended: Duration,
    /// Whether the fetch waits for the place where its body goes, and not for the peer. It is no phase
    /// of its own: a large body would go back and forth thousands of times.
    pub(crate) is_saving: bool,
}

impl Timing {
    /// The timing of a fetch that starts now.
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

    /// Notes that a phase begins now. That it goes on is no news.
    pub(crate) fn enter(&mut self, phase: Phase) {
        if self.phase() != Some(phase) {
            self.entered.push((phase, time::now() - self.origin));
        }
    }

    /// Notes that the fetch is over.
    pub(crate) fn end(&mut self) {
        self.ended = time::now() - self.origin;
    }

    /// The phase that it is in, once it is in any.
    pub(crate) fn phase(&self) -> Option<Phase> {
        self.entered.last().map(|&(phase, _)| phase)
    }

    /// The phases that it went through, each with its beginning and its end.
    pub(crate) fn phases(&self) -> impl Iterator<Item = (Phase, Duration, Duration)> {
        let ends = self.entered.iter().skip(1).map(|&(_, begin)| begin);
        self.entered
            .iter()
            .zip(ends.chain([self.ended]))
            .map(|(&(phase, begin), end)| (phase, begin, end))
    }

    /// How long it was in a phase, with all its redirects. `None`: it never was.
    pub(crate) fn spent(&self, phase: Phase) -> Option<Duration> {
        self.phases()
            .filter(|&(other, ..)| other == phase)
            .map(|(_, begin, end)| end - begin)
            .reduce(|sum, more| sum + more)
    }

    /// How long it took from beginning to end.
    pub(crate) fn took(&self) -> Duration {
        self.ended - self.started
    }

    /// A timing that was not measured: the phases with their beginnings, and the end.
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

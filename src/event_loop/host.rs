//! [`SimulatedHost`]: what makes a runtime a host of a simulation.
//!
//! Its driver creates the runtime with these settings, and runs it with [`step`](super::EventLoop::step).

use crate::clock::Clock;
use crate::clock::host::HostClock;
use crate::timeline::recorder::Recorder;
use crate::wire::Host;
use std::sync::Arc;
use std::task::Waker;

/// The settings of a runtime that is a simulated host.
#[derive(Clone, Debug)]
pub(crate) struct SimulatedHost {
    /// The host's door to the network.
    pub(crate) host: Host,
    /// The clock of the host.
    pub(crate) clock: Arc<HostClock>,
    /// Called whenever the host has something to do while it is not being stepped, and whenever another thread calls
    /// it. It must not call the host.
    pub(crate) bell: Waker,
    /// Records the timeline of the host, if the simulation has one.
    pub(crate) recorder: Option<Arc<Recorder>>,
}

impl SimulatedHost {
    /// Boots the host: returns its clock, whose monotonic part does not go back from now on.
    pub(super) fn boot(&self) -> Clock {
        self.clock.boot();
        Clock::Simulated(Arc::clone(&self.clock))
    }
}

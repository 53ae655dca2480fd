//! What `#[glassfrog::test(sim)]` needs of a simulation besides its public face.

use super::Sim;
use super::bell::Bells;
pub(crate) use crate::wire::{Difference, Recording};
use std::sync::Arc;

impl Sim {
    /// Returns what stops the simulation from another thread.
    pub(crate) fn stopper(&self) -> Stop {
        Stop(Arc::clone(&self.simulation.bells))
    }

    /// Keeps the whole journal, for [`recording`](Sim::recording).
    pub(crate) fn record_all(&self) {
        self.simulation.wire.record(usize::MAX);
    }

    /// Takes the whole journal.
    pub(crate) fn recording(&self) -> Recording {
        self.simulation.wire.recording()
    }

    /// Compares the journal of this run with that of another.
    pub(crate) fn compare_with(&self, first: Recording) {
        self.simulation.wire.compare_with(first);
    }

    /// Returns the first difference between the journals, once the run is over.
    pub(crate) fn difference(&self) -> Option<Difference> {
        self.simulation.wire.difference(true)
    }
}

/// Stops a simulation from another thread.
#[derive(Clone)]
pub(crate) struct Stop(Arc<Bells>);

impl Stop {
    /// Fails the simulation as soon as its driver looks.
    pub(crate) fn stop(&self, reason: String) {
        self.0.stop(reason);
    }
}

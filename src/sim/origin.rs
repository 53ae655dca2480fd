//! [`Origin`]: whether the test or the seed wants a fault. Each ends only its own.

/// On whose behalf a link is cut or held, or a process is paused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// The test, or a host of the simulation.
    Test,
    /// The faults that the seed chooses.
    Swarm,
}

/// The origins of a fault, which lasts while there is one.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Origins {
    /// Whether the test, or a host, wants the fault.
    test: bool,
    /// Whether the faults that the seed chooses want it.
    swarm: bool,
}

impl Origins {
    /// Returns whether the fault lasts.
    pub(super) fn is_any(self) -> bool {
        self.test || self.swarm
    }

    /// Notes whether an origin wants the fault. Returns whether it begins or ends thereby.
    pub(super) fn set(&mut self, origin: Origin, is_wanted: bool) -> bool {
        let before = self.is_any();
        match origin {
            Origin::Test => self.test = is_wanted,
            Origin::Swarm => self.swarm = is_wanted,
        }
        self.is_any() != before
    }
}

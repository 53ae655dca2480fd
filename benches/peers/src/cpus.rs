//! The cores that measured processes and their peers run on.

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// A side of a measurement, each of which has a core.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    /// The measured process.
    Measured,
    /// The server or client at the other end.
    Peer,
}

/// The numbers of the cores for the two sides.
const CORES: [usize; 2] = [0, 1];

/// Pins this thread, and all threads and processes that it starts from now on, to the core of `side`. Has no effect
/// if this process may not use that core.
pub(crate) fn pin(side: Side) {
    let core = match side {
        Side::Measured => CORES[0],
        Side::Peer => CORES[1],
    };
    let mut set = CpuSet::new();
    set.set(core);
    allow(&set);
}

/// Lets this thread, and all threads and processes that it starts from now on, run on both cores.
pub(crate) fn unpin() {
    let mut set = CpuSet::new();
    CORES.into_iter().for_each(|core| set.set(core));
    allow(&set);
}

/// Returns whether this process may use both cores.
pub(crate) fn can_use_both() -> bool {
    sched_getaffinity(None).is_ok_and(|set| CORES.into_iter().all(|core| set.is_set(core)))
}

/// Sets the cores of this thread.
fn allow(set: &CpuSet) {
    // If a core is not available, the thread stays where it is. `Collector::start` reports that.
    let _ = sched_setaffinity(None, set);
}

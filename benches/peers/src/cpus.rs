//! The cores that measured processes and their peers run on.

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// Who is to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    /// What is measured.
    Measured,
    /// The server or client at the other end.
    Peer,
}

/// The number of the first core, and of the second one, that a machine with two has for the two sides.
const CORES: [usize; 2] = [0, 1];

/// Keeps this thread, and what it starts from now on, on the core of `side`. On a machine where this
/// process may not use both cores it changes nothing.
pub(crate) fn pin(side: Side) {
    let core = match side {
        Side::Measured => CORES[0],
        Side::Peer => CORES[1],
    };
    let mut set = CpuSet::new();
    set.set(core);
    allow(&set);
}

/// Lets this thread, and what it starts from now on, run on both cores.
pub(crate) fn unpin() {
    let mut set = CpuSet::new();
    CORES.into_iter().for_each(|core| set.set(core));
    allow(&set);
}

/// Whether this process may use both cores.
pub(crate) fn are_two() -> bool {
    sched_getaffinity(None).is_ok_and(|set| CORES.into_iter().all(|core| set.is_set(core)))
}

/// Sets the cores of this thread.
fn allow(set: &CpuSet) {
    // Where a core is missing the thread stays where it is, and the report says that there was only one.
    let _ = sched_setaffinity(None, set);
}

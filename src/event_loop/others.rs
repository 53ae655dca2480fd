//! The runtimes of this process, by their numbers.
//!
//! A task of one runtime may hold what a task of another one waits for. The dump of the latter then names the former.

use super::Shared;
use crate::clock::Stamp;
use crate::primitives::{Mutex, lock};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Weak};

/// The runtimes that have not ended.
static RUNTIMES: Mutex<BTreeMap<u32, Weak<Shared>>> = Mutex::new(BTreeMap::new());

/// Returns a number for a new runtime.
pub(super) fn new_number() -> u32 {
    static LAST: AtomicU32 = AtomicU32::new(0);
    // Relaxed is enough: the number must be unique, but guards no memory.
    LAST.fetch_add(1, Ordering::Relaxed) + 1
}

/// Lists a runtime among those of this process, when it begins.
pub(super) fn enlist(shared: &Arc<Shared>) {
    lock(&RUNTIMES).insert(shared.number, Arc::downgrade(shared));
}

/// Strikes a runtime off the list, when it ends.
pub(super) fn strike_off(shared: &Shared) {
    lock(&RUNTIMES).remove(&shared.number);
}

/// Returns the name of a task of a runtime, by the low half of its id, if both exist and the task has one.
pub(crate) fn name_of(number: u32, task: u32) -> Option<Box<str>> {
    let shared = lock(&RUNTIMES).get(&number)?.upgrade()?;
    shared.status.names.get(task)
}

/// Returns the name of a runtime and the stamp of its present time, unless it has ended.
pub(crate) fn describe(number: u32) -> Option<(String, Stamp)> {
    let shared = lock(&RUNTIMES).get(&number)?.upgrade()?;
    let name = match shared.worker {
        Some(worker) => format!("worker {worker}"),
        None => format!("runtime {number}"),
    };
    let now = shared.timers.nanos(shared.clock.now());
    Some((name, Stamp::new(now)))
}

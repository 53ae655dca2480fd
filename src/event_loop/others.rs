//! The runtimes of this process, by their numbers.
//!
//! A task may wait for a lock that a task of another runtime holds. The dump then names that runtime.

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
    // Relaxed is enough: the number is unique, but guards no memory.
    LAST.fetch_add(1, Ordering::Relaxed) + 1
}

/// Adds a new runtime to the list.
pub(super) fn enlist(shared: &Arc<Shared>) {
    lock(&RUNTIMES).insert(shared.number, Arc::downgrade(shared));
}

/// Removes a runtime that ends from the list.
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

/// Returns whether a job is queued in the pool of any runtime that has not ended. The pool of one that has ended drops
/// its queued jobs.
pub(super) fn have_queued_jobs() -> bool {
    let runtimes: Vec<_> = lock(&RUNTIMES).values().cloned().collect();
    let mut runtimes = runtimes.iter().filter_map(Weak::upgrade);
    runtimes.any(|shared| shared.pool.has_queued_jobs())
}

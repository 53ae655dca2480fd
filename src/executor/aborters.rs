//! [`Aborters`]: which tasks somebody may abort, and how many owners of a permission each has.
//!
//! An [`AbortHandle`](crate::task::AbortHandle) may end a task at any time, from any thread. So a circle of tasks that
//! await one another is a certain deadlock only if no member has such a handle. The handles count themselves here;
//! the search for circles reads the counts. A [`JoinHandle`](crate::task::JoinHandle) counts nothing: a task that awaits
//! it owns it.

use crate::primitives::{Mutex, lock};
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// The capacity that the table keeps after a burst, in entries.
const KEPT_ENTRIES: usize = 64;

/// The tasks of one runtime that have abort handles.
pub(crate) struct Aborters {
    /// The number of handles of each task that has one, by the number of the task's id.
    counts: Mutex<HashMap<u64, usize, BuildHasherDefault<IdHasher>>>,
}

/// Hashes the number of an id by one multiplication. A `JoinSet` makes and drops a handle for each task that it spawns, and
/// nobody outside can choose the ids.
#[derive(Default)]
struct IdHasher(u64);

/// The golden ratio in 64 bits, as in Knuth's multiplicative hashing: consecutive numbers get hashes that are far apart.
const GOLDEN_RATIO: u64 = 0x9E37_79B9_7F4A_7C15;

impl Hasher for IdHasher {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(self.0 ^ u64::from(*byte));
        }
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = number.wrapping_mul(GOLDEN_RATIO);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

impl Aborters {
    /// Creates a table without handles.
    pub(crate) fn new() -> Aborters {
        Aborters {
            counts: Mutex::new(HashMap::default()),
        }
    }

    /// Counts a new handle of a task.
    pub(crate) fn add(&self, task: u64) {
        *lock(&self.counts).entry(task).or_default() += 1;
    }

    /// Removes a handle of a task from the count.
    pub(crate) fn remove(&self, task: u64) {
        let mut counts = lock(&self.counts);
        let Some(count) = counts.get_mut(&task) else {
            return;
        };
        *count -= 1;
        if *count == 0 {
            counts.remove(&task);
            if counts.capacity() > KEPT_ENTRIES && counts.len() < counts.capacity() / 4 {
                let kept = KEPT_ENTRIES.max(2 * counts.len());
                counts.shrink_to(kept);
            }
        }
    }

    /// Returns whether a task has a handle.
    pub(crate) fn has(&self, task: u64) -> bool {
        lock(&self.counts).contains_key(&task)
    }
}

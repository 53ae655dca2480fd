//! Divides the operations of a benchmark among its tasks.

/// Splits a number of operations among tasks. If the division leaves a remainder, the first tasks get one
/// operation more.
pub fn shares(operations: u64, tasks: u64) -> impl Iterator<Item = u64> {
    (0..tasks).map(move |task| operations / tasks + u64::from(task < operations % tasks))
}

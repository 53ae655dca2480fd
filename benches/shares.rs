//! How the benchmarks of many tasks divide their operations.

/// Splits a number of operations among tasks: the first get one more if it does not divide.
pub(crate) fn shares(operations: u64, tasks: u64) -> impl Iterator<Item = u64> {
    (0..tasks).map(move |task| operations / tasks + u64::from(task < operations % tasks))
}

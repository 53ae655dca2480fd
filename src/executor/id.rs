//! [`Id`]: the number of a task. Users see it under [`task`](crate::task).

use std::fmt;

/// The number of a task: unique within its runtime, and counted from 1 in the order of the spawns.
///
/// # Examples
///
/// ```
/// glassfrog::block_on(async {
///     let task = glassfrog::spawn(async {});
///     println!("task {}", task.id());
/// });
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id(pub(crate) u64);

impl Id {
    /// Combines the two halves of an id.
    pub(crate) fn from_halves(high: u16, low: u32) -> Id {
        Id(u64::from(high) << 32 | u64::from(low))
    }

    /// Returns the half by which keys and waiters name the task.
    pub(crate) fn low(self) -> u32 {
        self.0 as u32
    }

    /// Returns the rest of the id. Its 16 bits last for nine years of a million spawns a second.
    pub(crate) fn high(self) -> u16 {
        (self.0 >> 32) as u16
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

//! [`Id`]: the id of a task. The module [`task`](crate::task) exports it.

use std::fmt;

/// The id of a task: a number that is unique within its runtime, counted from 1 in spawn order.
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

    /// Returns the low half of the id, which keys and waiters contain.
    pub(crate) fn low(self) -> u32 {
        self.0 as u32
    }

    /// Returns the high half of the id. Its 16 bits last for nine years at a million spawns per second.
    pub(crate) fn high(self) -> u16 {
        (self.0 >> 32) as u16
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Converts the id into the number that the [dumps](crate::Dump) show.
impl From<Id> for u64 {
    fn from(id: Id) -> u64 {
        id.0
    }
}

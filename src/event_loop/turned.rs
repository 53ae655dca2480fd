//! [`Turned`]: the result of a turn of the loop.

/// The result of one [turn](crate::Runtime::turn) of a runtime.
///
/// # Examples
///
/// See [`Runtime::turn`](crate::Runtime::turn).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Turned {
    /// The number of times that the turn polled a task.
    pub polled: usize,
    /// The number of events from the operating system. A wake from another thread may count as one.
    pub events: usize,
    /// Whether there is more to do at once. If so, make another turn before waiting for anything.
    pub is_ready: bool,
}

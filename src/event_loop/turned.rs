//! [`Turned`]: what a turn of the loop has done.

/// What one [turn](crate::Runtime::turn) of a runtime has done.
///
/// # Examples
///
/// See [`Runtime::turn`](crate::Runtime::turn).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Turned {
    /// How many times a task was polled.
    pub polled: usize,
    /// How many events came from the operating system. The wake of another thread may be one.
    pub events: usize,
    /// Whether there is more to do at once. If so, turn again before waiting for anything.
    pub is_ready: bool,
}

//! [`Job`] and [`About`]: how the pool runs a job, and how a dump describes it.

use crate::waiter::WaiterInfo;
use std::io;

/// A job for a thread of the pool. Dropping a job without running it cancels it.
pub(crate) trait Job: Send {
    /// Runs the job.
    fn run(self: Box<Self>);

    /// Fails the job with the error that prevented a thread from starting.
    fn refuse(self: Box<Self>, error: &io::Error);
}

/// The description of a job for dumps.
pub(crate) trait About: Send + Sync {
    /// Returns the description of the job.
    fn describe(&self) -> String;

    /// Returns the waiter of the job's handle.
    fn awaited_by(&self) -> Option<WaiterInfo>;
}

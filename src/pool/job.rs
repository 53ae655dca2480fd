//! [`Job`] and [`About`]: how the pool runs or refuses a job, and how a dump describes it.

use crate::waiter::WaiterInfo;
use std::io;
use std::panic::Location;

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

    /// Returns the name of the job, if it has one.
    fn name(&self) -> Option<&str>;

    /// Returns the place where the program submitted the job, if that is known.
    fn location(&self) -> Option<&'static Location<'static>>;

    /// Returns the waiter of the job's handle.
    fn awaited_by(&self) -> Option<WaiterInfo>;

    /// Returns whether the handle of the job was dropped.
    fn is_detached(&self) -> bool;
}

/// Copies the error with which the pool refuses a job. An `io::Error` cannot be cloned.
pub(crate) fn copy_error(error: &io::Error) -> io::Error {
    match error.raw_os_error() {
        Some(code) => io::Error::from_raw_os_error(code),
        None => io::Error::new(error.kind(), error.to_string()),
    }
}

//! [`Job`] and [`About`]: how the pool runs or refuses a job, and how a dump describes it.

use crate::waiter::WaiterInfo;
use std::io;

/// A job for a thread of the pool. Dropping it without running it cancels it.
pub(crate) trait Job: Send {
    /// Runs the job.
    fn run(self: Box<Self>);

    /// Fails the job, because no thread could be started.
    fn refuse(self: Box<Self>, error: &io::Error);
}

/// A job as a dump sees it.
pub(crate) trait About: Send + Sync {
    /// Describes the job.
    fn describe(&self) -> String;

    /// Returns what awaits the job.
    fn awaited_by(&self) -> Option<WaiterInfo>;
}

/// Copies the error with which the pool refuses a job. An `io::Error` cannot be cloned.
pub(crate) fn copy_error(error: &io::Error) -> io::Error {
    match error.raw_os_error() {
        Some(code) => io::Error::from_raw_os_error(code),
        None => io::Error::new(error.kind(), error.to_string()),
    }
}

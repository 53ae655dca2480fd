//! What the pool knows of a job: how to run it, and how to describe it.

use crate::waiter::Seen;
use std::io;

/// Something to do on a thread of the pool. Dropping it unrun cancels it.
pub(crate) trait Job: Send {
    /// Does it.
    fn run(self: Box<Self>);

    /// Fails, because no thread could be started.
    fn refuse(self: Box<Self>, error: &io::Error);
}

/// A job as the dump sees it.
pub(crate) trait About: Send + Sync {
    /// Describes the job in words.
    fn describe(&self) -> String;

    /// Returns who awaits it.
    fn awaited_by(&self) -> Option<Seen>;
}

//! [`Queue`]: the event queue of the operating system. The reactor of a simulated host has none.

use mio::{Events, Poll};
use std::io;
use std::sync::Arc;
use std::time::Duration;

/// The maximum number of events that one turn takes from the operating system. The next turn takes the
/// rest. With this many, a thousand connections cost one call and 12 KiB.
const EVENTS: usize = 1024;

/// The event queue.
pub(super) struct Queue {
    /// The queue of the operating system.
    #[cfg(not(feature = "sim"))]
    poll: Poll,
    /// The queue of the operating system; `None` for a simulated host.
    #[cfg(feature = "sim")]
    poll: Option<Poll>,
    /// The events of the last turn.
    pub(super) events: Events,
}

impl Queue {
    /// Creates a queue. Returns it with the way into it.
    ///
    /// # Errors
    ///
    /// Returns an error if the operating system has no descriptor or memory left.
    pub(super) fn new() -> io::Result<(Queue, Arc<mio::Registry>)> {
        let poll = Poll::new()?;
        let registry = Arc::new(poll.registry().try_clone()?);
        #[cfg(feature = "sim")]
        let poll = Some(poll);
        let events = Events::with_capacity(EVENTS);
        Ok((Queue { poll, events }, registry))
    }

    /// Stands for the queue of a simulated host. It uses no descriptor and no memory.
    #[cfg(feature = "sim")]
    pub(super) fn absent() -> Queue {
        Queue {
            poll: None,
            events: Events::with_capacity(0),
        }
    }

    /// Waits for events, at most for `timeout` (`None`: without limit).
    ///
    /// # Errors
    ///
    /// Returns an error if a signal has interrupted the wait, or if the queue has become unusable.
    #[inline(always)]
    pub(super) fn wait(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        #[cfg(not(feature = "sim"))]
        let poll = &mut self.poll;
        #[cfg(feature = "sim")]
        let Some(poll) = &mut self.poll else {
            return Err(super::host::no_queue());
        };
        poll.poll(&mut self.events, timeout)
    }
}

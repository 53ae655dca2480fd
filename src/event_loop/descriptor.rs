//! The descriptor that a foreign loop waits for, on Unix.

use super::EventLoop;
use std::os::fd::{AsFd, BorrowedFd};

impl EventLoop {
    /// Hands out the descriptor of the event queue. From now on it is readable whenever there is work while the loop
    /// is at rest.
    pub(crate) fn descriptor(&self) -> BorrowedFd<'_> {
        let is_new = !self.is_handed_out.replace(true);
        // A running loop calls `rest` when it stops.
        if is_new && !self.shared.status.is_running() {
            self.rest();
        }
        self.reactor.as_fd()
    }
}

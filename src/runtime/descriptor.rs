//! The descriptor of a runtime, for a foreign loop, on Unix.

use super::Runtime;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};

/// Returns the descriptor of the event queue, on which a foreign loop waits until a [`turn`](Runtime::turn) is due.
///
/// The descriptor becomes readable when a socket is ready, and when a task is woken or spawned between turns. A turn
/// makes it unreadable, unless there is more to do. Deadlines do not make it readable, so wait no longer than until
/// the [next deadline](Runtime::next_deadline). The descriptor may be readable spuriously.
///
/// Wait only for readability (`POLLIN` of `poll(2)`), level-triggered, and leave every other operation to the
/// runtime. After the first call, each wake from another thread that finds the runtime at rest costs a system call.
///
/// # Examples
///
/// ```
/// use glassfrog::Runtime;
/// use rustix::event::{PollFd, PollFlags, Timespec, poll};
/// use std::time::Duration;
///
/// let runtime = Runtime::new()?;
/// let is_readable = || {
///     let mut fds = [PollFd::new(&runtime, PollFlags::IN)];
///     poll(&mut fds, Some(&Timespec::default())).map(|count| count > 0)
/// };
/// assert!(!is_readable()?);
/// let guard = runtime.enter();
/// glassfrog::spawn(async {});
/// drop(guard);
/// assert!(is_readable()?);
/// assert_eq!(runtime.turn(Some(Duration::ZERO))?.polled, 1);
/// assert!(!is_readable()?);
/// # std::io::Result::Ok(())
/// ```
impl AsFd for Runtime {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.event_loop.descriptor()
    }
}

/// Returns the same descriptor as [`AsFd`].
impl AsRawFd for Runtime {
    fn as_raw_fd(&self) -> RawFd {
        self.as_fd().as_raw_fd()
    }
}

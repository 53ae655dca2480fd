//! The descriptor of a runtime, for a foreign loop, on Unix.

use super::Runtime;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};

/// The descriptor of the event queue, for a foreign loop that waits until a [`turn`](Runtime::turn) is due.
///
/// It is readable when a socket is ready, and when a task was woken or spawned while no turn was made. A turn makes
/// it unreadable, unless there is more to do. Deadlines do not make it readable: wait no longer than until the
/// [next deadline](Runtime::next_deadline). It may be readable although there is nothing to do.
///
/// Wait for readability only (`POLLIN` of `poll(2)`), and level-triggered, and leave everything else to the runtime.
/// From the first call on, each wake from another thread that finds the runtime at rest costs a system call.
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

/// The same as [`AsFd`].
impl AsRawFd for Runtime {
    fn as_raw_fd(&self) -> RawFd {
        self.as_fd().as_raw_fd()
    }
}

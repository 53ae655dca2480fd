//! Driving a runtime one turn at a time, inside a foreign loop.

use super::Runtime;
use crate::context::{self, Enter};
use crate::event_loop::Turned;
use std::io;
use std::time::{Duration, Instant};

/// # Inside a foreign loop
///
/// A GUI, a game or another event loop can drive a runtime without a second thread: it calls [`turn`](Runtime::turn)
/// repeatedly, and [enters](Runtime::enter) the runtime to spawn. For a loop that waits in the operating system, a
/// turn is due
///
/// - when the descriptor of the runtime is readable (`AsFd`, on Unix): a socket is ready, or a task was woken or
///   spawned between two turns, on this thread or another;
/// - at the [next deadline](Runtime::next_deadline), which may change whenever the loop makes a turn or the
///   descriptor becomes readable;
/// - at once, if the last turn returned [`is_ready`](Turned::is_ready).
///
/// `examples/foreign_loop.rs` waits with `poll(2)`.
impl Runtime {
    /// Enters the runtime on its own thread without running it, until the guard is dropped.
    ///
    /// While the guard exists, [`spawn`](crate::spawn), sockets, sleeps and blocking jobs work as they do inside
    /// [`block_on`](Runtime::block_on). The tasks are polled in the next [`turn`](Runtime::turn) or `block_on`.
    ///
    /// On other threads, use [`Handle::enter`](crate::Handle::enter).
    ///
    /// # Examples
    ///
    /// ```
    /// use std::rc::Rc;
    ///
    /// let runtime = glassfrog::Runtime::new()?;
    /// let local = Rc::new(7);
    /// let guard = runtime.enter();
    /// let task = glassfrog::spawn(async move { *local });
    /// drop(guard);
    /// assert_eq!(runtime.block_on(task).unwrap(), 7);
    /// # std::io::Result::Ok(())
    /// ```
    pub fn enter(&self) -> Enter<'_> {
        Enter::new(context::enter_at_rest(&self.event_loop))
    }

    /// Makes one turn of the loop: checks for events, fires the timers that are due, and polls at most one batch of
    /// ready tasks.
    ///
    /// If no task is ready, the turn waits for an event, a deadline, or a wake from another thread, for at most
    /// `timeout`. With `None` it waits without a limit, and with zero it does not wait. A turn may return early
    /// without having done anything.
    ///
    /// Turns and calls of `block_on` may alternate. A turn does not report that no task can be woken, or that a virtual
    /// clock stands still, because the runtime does not know what the foreign loop waits for. It does report
    /// [circles](super::Builder#circles) of tasks that wait for one another. Everything else works as in
    /// `block_on`: metrics, dumps (without a line for `main`), watchdogs, and the [fairness
    /// promise](crate::task#fairness) within a turn.
    ///
    /// Under a [virtual clock](super::Builder::virtual_clock), a turn that finds no task ready moves the clock to the
    /// next deadline instead of waiting, as `block_on` does. As long as there is a deadline to move to,
    /// [`Turned::is_ready`] is true.
    ///
    /// # Precision
    ///
    /// The timeout is rounded up to a whole millisecond, the granularity of `epoll_wait(2)`.
    ///
    /// # Errors
    ///
    /// Returns an error if the panic of a task has ended the runtime, or if the event queue of the operating system
    /// fails.
    ///
    /// # Panics
    ///
    /// Panics if this thread is inside a `block_on` or another turn, and at the end of a
    /// [virtual clock](super::Builder::virtual_clock). The runtime can be used again after such a panic.
    ///
    /// Also panics if a task panics and its panic [ends the runtime](super::Builder::on_task_panic).
    ///
    /// # Examples
    ///
    /// A game that draws 60 frames a second gives the rest of each frame to the runtime:
    ///
    /// ```
    /// use glassfrog::Runtime;
    /// use glassfrog::time::sleep;
    /// use std::time::{Duration, Instant};
    ///
    /// const FRAME: Duration = Duration::from_micros(16_667);
    ///
    /// let runtime = Runtime::new()?;
    /// let guard = runtime.enter();
    /// let task = glassfrog::spawn(async {
    ///     sleep(Duration::from_millis(20)).await;
    ///     "done"
    /// });
    /// drop(guard);
    ///
    /// let mut frames = 0;
    /// while !task.is_finished() {
    ///     let begun = Instant::now();
    ///     // Draws the frame.
    ///     frames += 1;
    ///     // Turns until the frame is over.
    ///     loop {
    ///         let left = FRAME.saturating_sub(begun.elapsed());
    ///         runtime.turn(Some(left))?;
    ///         if left.is_zero() {
    ///             break;
    ///         }
    ///     }
    /// }
    /// assert!(frames > 0);
    /// assert_eq!(runtime.block_on(task).unwrap(), "done");
    /// # std::io::Result::Ok(())
    /// ```
    #[track_caller]
    pub fn turn(&self, timeout: Option<Duration>) -> io::Result<Turned> {
        let _context = context::enter_to_turn(&self.event_loop);
        self.event_loop.turn(timeout)
    }

    /// Returns the time at which the next turn is due because of a sleep, or `None` if no pending sleep
    /// ever ends.
    ///
    /// The time may be earlier than the deadline of the sleep. A turn at that time finds nothing to do, and the next
    /// call returns a time closer to the deadline. The time may be in the past. Under a [virtual
    /// clock](super::Builder::virtual_clock), the time is that of the virtual clock, and waiting for it is
    /// unnecessary; see [`turn`](Runtime::turn).
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::{Duration, Instant};
    ///
    /// let runtime = glassfrog::Runtime::new()?;
    /// assert_eq!(runtime.next_deadline(), None);
    /// let guard = runtime.enter();
    /// let _task = glassfrog::spawn(glassfrog::time::sleep(Duration::from_secs(60)));
    /// drop(guard);
    /// // The first poll of a sleep registers it.
    /// runtime.turn(Some(Duration::ZERO))?;
    /// assert!(runtime.next_deadline() <= Some(Instant::now() + Duration::from_secs(60)));
    /// # std::io::Result::Ok(())
    /// ```
    pub fn next_deadline(&self) -> Option<Instant> {
        self.event_loop.next_deadline()
    }
}

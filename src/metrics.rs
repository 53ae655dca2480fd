//! [`Metrics`]: how much a runtime has done. `event_loop/shared.rs` collects the numbers.

use std::time::Duration;

/// How much a runtime has done since it was made, and what it has at this moment.
///
/// The runtime always counts; each count costs a few instructions. The values are read one by one while the
/// loop runs on, so they may be slightly inconsistent with each other.
///
/// # Examples
///
/// ```
/// use glassfrog::Handle;
///
/// glassfrog::block_on(async {
///     glassfrog::spawn(async {}).await.unwrap();
///     let metrics = Handle::current().metrics();
///     assert_eq!((metrics.tasks_spawned, metrics.tasks_finished, metrics.tasks_alive), (1, 1, 0));
///     println!("{metrics:?}");
/// });
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Metrics {
    /// Tasks that were spawned. The futures of `block_on` and the children of scopes do not count.
    pub tasks_spawned: u64,
    /// Tasks that have finished, panicked or been cancelled.
    pub tasks_finished: u64,
    /// Tasks that have not ended.
    pub tasks_alive: u64,
    /// Polls of tasks and of the futures of `block_on`.
    pub polls: u64,
    /// Polls that took longer than the limit of the [watchdog](crate::Builder::watchdog).
    pub slow_polls: u64,
    /// Wakes by the runtime's own thread that made a task ready.
    pub wakes_local: u64,
    /// Wakes by other threads that made a task ready.
    pub wakes_remote: u64,
    /// Turns of the loop.
    pub turns: u64,
    /// How many times the loop had nothing to do and parked.
    pub parks: u64,
    /// How long the loop was parked in total, up to the beginning of this turn.
    pub time_parked: Duration,
    /// How long the loop was not parked, while a thread was inside `block_on` or a turn.
    pub time_busy: Duration,
    /// Events that the operating system reported, including wake-ups by other threads.
    pub io_events: u64,
    /// Open sockets.
    pub sockets: usize,
    /// Deadlines that were set by sleeps that had to wait.
    pub timers_set: u64,
    /// Deadlines that were reached.
    pub timers_fired: u64,
    /// Deadlines that were cancelled before they were reached.
    pub timers_cancelled: u64,
    /// Threads of the blocking pool.
    pub blocking_threads: usize,
    /// Blocking jobs that wait for a thread.
    pub blocking_queue: usize,
}

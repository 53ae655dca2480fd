//! [`Metrics`]: the counters and times of a runtime. `event_loop/shared.rs` collects the values.

use std::time::Duration;

/// The counters and times of a runtime since it was created, and its current numbers of tasks, sockets and threads.
///
/// The runtime always counts, and each count costs a few instructions. The values are read one after another while
/// the loop runs, so they may be slightly inconsistent with each other.
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
    /// Parks of the loop: how many times it had nothing to do and waited for an event.
    pub parks: u64,
    /// The total time that the loop was parked, up to the beginning of the current turn.
    pub time_parked: Duration,
    /// The total time that the loop was not parked while a thread was inside `block_on`.
    pub time_busy: Duration,
    /// Events that the operating system reported, including wake-ups by other threads.
    pub io_events: u64,
    /// Open sockets.
    pub sockets: usize,
    /// Deadlines that sleeps have set. A sleep that does not have to wait sets none.
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

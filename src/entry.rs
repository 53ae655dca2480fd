//! The ways into a runtime: [`block_on`], [`Runtime`] and its [`Builder`].

use crate::context;
use crate::executor::outcome::OnTaskPanic;
use crate::handle::Handle;
use crate::runtime::stall::OnDeadlock;
use crate::runtime::{Core, Settings};
use std::fmt;
use std::io;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// Runs a future to its end on a runtime of its own, and returns its output.
///
/// Tasks that were [`spawn`](crate::spawn)ed and still run when the future ends are cancelled:
/// they are dropped before this returns. To keep them asleep instead and go on later, use a
/// [`Runtime`].
///
/// # Panics
///
/// If this thread is inside a runtime already, if the operating system has no descriptors left for
/// a new one (with [`Runtime::new`] that is an error), and with the panic of the future.
///
/// # Examples
///
/// ```
/// let sum = glassfrog::block_on(async { 1 + 2 });
/// assert_eq!(sum, 3);
/// ```
#[track_caller]
pub fn block_on<F: Future>(future: F) -> F::Output {
    match Runtime::new() {
        Ok(runtime) => runtime.block_on(future),
        Err(error) => panic!("cannot make a runtime: {error}"),
    }
}

/// A runtime: a thread's loop with its tasks, sockets and timers.
///
/// It lives on the thread that made it and works only while [`block_on`](Runtime::block_on) runs;
/// between the calls its tasks sleep. Dropping it cancels them: their futures are dropped, and what
/// survives it (sockets, handles, sleeps) answers that the runtime has ended.
///
/// # Examples
///
/// ```
/// let runtime = glassfrog::Runtime::new()?;
/// let task = runtime.block_on(async { glassfrog::spawn(async { "done" }) });
/// assert_eq!(runtime.block_on(task).unwrap(), "done");
/// # std::io::Result::Ok(())
/// ```
///
/// A runtime is not `Send`. To have one at work in the background, give it a thread, and a future
/// that ends when it is to stop:
///
/// ```
/// use futures_channel::oneshot;
/// use glassfrog::{Handle, Runtime};
/// use std::sync::mpsc;
/// use std::thread;
///
/// let (send_handle, handle) = mpsc::channel();
/// let (stop, stopped) = oneshot::channel::<()>();
/// let background = thread::spawn(move || {
///     let runtime = Runtime::new()?;
///     send_handle.send(runtime.handle()).ok();
///     // Ends when `stop` is used or dropped; what still runs then is cancelled.
///     runtime.block_on(stopped).ok();
///     std::io::Result::Ok(())
/// });
///
/// let handle: Handle = handle.recv().unwrap();
/// let task = handle.spawn(async { 6 * 7 });
/// // Here, under any executor.
/// # let task = async { task.await };
/// assert_eq!(glassfrog::block_on(task).unwrap(), 42);
///
/// drop(stop);
/// background.join().unwrap()?;
/// # std::io::Result::Ok(())
/// ```
pub struct Runtime {
    /// Everything; shared with the thread's context while the loop runs.
    core: Rc<Core>,
}

impl Runtime {
    /// Makes a runtime with the settings of [`Builder::new`].
    ///
    /// # Errors
    ///
    /// If the operating system has no descriptors or memory left for the event queue.
    ///
    /// # Examples
    ///
    /// ```
    /// let runtime = glassfrog::Runtime::new()?;
    /// assert_eq!(runtime.block_on(async { 7 }), 7);
    /// # std::io::Result::Ok(())
    /// ```
    pub fn new() -> io::Result<Runtime> {
        Runtime::builder().build()
    }

    /// Begins to make a runtime with settings of its own.
    ///
    /// # Examples
    ///
    /// ```
    /// let runtime = glassfrog::Runtime::builder().build()?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn builder() -> Builder {
        Builder::new()
    }

    /// Runs a future to its end, and the runtime's tasks meanwhile.
    ///
    /// The future need be neither `Send` nor `'static`. It takes its turns in the same run queue
    /// as the tasks. Tasks that still run when it ends sleep until the next call.
    ///
    /// # Panics
    ///
    /// If this thread is inside a runtime already, at the end of a
    /// [virtual clock](Builder::virtual_clock), and with the panic of the future; the runtime
    /// can be used again after that. With the panic of a task if that is to
    /// [end the runtime](Builder::on_task_panic), and from then on always.
    ///
    /// # Examples
    ///
    /// ```
    /// let runtime = glassfrog::Runtime::new()?;
    /// let text = String::from("borrowed");
    /// let length = runtime.block_on(async { text.len() });
    /// assert_eq!(length, 8);
    /// # std::io::Result::Ok(())
    /// ```
    #[track_caller]
    pub fn block_on<F: Future>(&self, future: F) -> F::Output {
        let _context = context::enter_to_run(&self.core);
        // After the context, so that it is dropped inside it.
        let root = pin!(future);
        self.core.run(root)
    }

    /// A handle that spawns onto this runtime from any thread.
    ///
    /// # Examples
    ///
    /// ```
    /// let runtime = glassfrog::Runtime::new()?;
    /// let handle = runtime.handle();
    /// let thread = std::thread::spawn(move || handle.spawn(async { 1 + 1 }));
    /// let task = thread.join().unwrap();
    /// assert_eq!(runtime.block_on(task).unwrap(), 2);
    /// # std::io::Result::Ok(())
    /// ```
    pub fn handle(&self) -> Handle {
        Handle::new(Arc::clone(&self.core.shared))
    }

    /// The last polls as text, each task in a line, if the runtime has a seed. For the attribute `test`.
    #[doc(hidden)]
    pub fn last_polls(&self) -> Option<String> {
        self.core.executor.last_polls()
    }

    /// Ends the runtime, as dropping it does, and then waits for the blocking jobs that run, at most
    /// for `timeout`. Nothing else waits for them. Jobs that have not begun are cancelled, and look-ups
    /// of names that were given up before are not waited for.
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::task::spawn_blocking;
    /// use std::sync::atomic::{AtomicBool, Ordering};
    /// use std::sync::{Arc, mpsc};
    /// use std::time::Duration;
    ///
    /// let runtime = glassfrog::Runtime::new()?;
    /// let saved = Arc::new(AtomicBool::new(false));
    /// let theirs = Arc::clone(&saved);
    /// let (begun, has_begun) = mpsc::channel();
    /// runtime.block_on(async {
    ///     spawn_blocking(move || {
    ///         begun.send(()).ok();
    ///         // Writes to a disk.
    ///         theirs.store(true, Ordering::Relaxed);
    ///     });
    /// });
    /// has_begun.recv().unwrap();
    /// runtime.shutdown_timeout(Duration::from_secs(10));
    /// assert!(saved.load(Ordering::Relaxed));
    /// # std::io::Result::Ok(())
    /// ```
    pub fn shutdown_timeout(self, timeout: Duration) {
        let pool = Arc::clone(&self.core.shared.pool);
        drop(self);
        pool.wait(timeout);
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        let _context = context::enter(&self.core);
        self.core.shut_down();
    }
}

impl fmt::Debug for Runtime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.core.fmt(f)
    }
}

/// The settings of a runtime that is to be made.
///
/// # Examples
///
/// ```
/// let runtime = glassfrog::Builder::new().build()?;
/// assert_eq!(runtime.block_on(async { "built" }), "built");
/// # std::io::Result::Ok(())
/// ```
#[derive(Clone, Debug, Default)]
#[must_use = "a builder does nothing until `build` is called"]
pub struct Builder {
    /// What has been chosen.
    settings: Settings,
}

impl Builder {
    /// The default settings.
    ///
    /// # Examples
    ///
    /// ```
    /// let runtime = glassfrog::Builder::new().build()?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn new() -> Builder {
        Builder::default()
    }

    /// Makes the clock stand still while any task is ready, for tests of what takes long.
    ///
    /// When no task is ready and the sockets bring nothing, the clock jumps to the next deadline: a
    /// test that sleeps for a year takes a millisecond, and takes it in the same order each time.
    /// [`time::advance`](crate::time::advance) moves the clock by hand.
    ///
    /// A [blocking job](crate::task::spawn_blocking) holds the clock while it waits or runs, and so does
    /// the look-up of a name until it is given up. What happens within this process over loopback comes
    /// in order. Nothing else holds the clock: a task that waits for another process, or for a thread
    /// that runs no blocking job, sees deadlines pass before the answer, and needs the real clock. A
    /// blocking job that waits for a deadline of this runtime waits for ever, since it holds the clock.
    ///
    /// # Standstill
    ///
    /// A task that calls [`yield_now`](crate::task::yield_now) or `sleep(Duration::ZERO)` until something
    /// happens is always ready. If that takes a later deadline, the clock never gets there. When a deadline
    /// has waited for 1,000,000 polls while the clock stood still, and no blocking job held it, a warning
    /// is logged that names the busiest tasks and the deadline; once, until the clock moves. In
    /// `#[glassfrog::test]` it goes to the standard error stream too. Have the task await what
    /// happens, or sleep for some time in each round.
    ///
    /// # Panics
    ///
    /// The clock ends 200 years after this runtime is made. `block_on` panics when no task is ready
    /// and the next deadline is later than that, and `advance` panics if it would move the clock as far. A
    /// sleep whose deadline lies more than 584 years after that moment never ends; where only such
    /// sleeps are left, that is a [deadlock](Builder::on_deadlock).
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::time::{now, sleep};
    /// use std::time::Duration;
    ///
    /// let runtime = glassfrog::Runtime::builder().virtual_clock().build()?;
    /// runtime.block_on(async {
    ///     let before = now();
    ///     let year = Duration::from_secs(365 * 24 * 60 * 60);
    ///     sleep(year).await;
    ///     assert_eq!(now() - before, year);
    /// });
    /// # std::io::Result::Ok(())
    /// ```
    pub fn virtual_clock(mut self) -> Builder {
        self.settings.virtual_clock = true;
        self
    }

    /// Chooses the task that is polled next at random, the same way for the same seed, so that tests
    /// can search for an order in which they fail.
    ///
    /// # Which orders come up
    ///
    /// At each poll the runtime chooses among all ready tasks, each with the same probability. The
    /// future of [`block_on`](Runtime::block_on) is one of them. A task that
    /// [yields](crate::task::yield_now) stays ready and may be polled again at once, so one task may take many steps
    /// while another takes none. There is one limit: a ready task is passed over at most 64 times in a
    /// row, where *passed over* means that a task that became ready later is polled instead. Every order
    /// within this limit can come up. Where far more than 64 tasks are ready, the limit leaves little choice:
    /// search with few tasks.
    ///
    /// The [fairness promise](crate::task#fairness) holds for the order without a seed only. With a seed,
    /// the limit takes the place of its bounds in polls and in time.
    ///
    /// # Which do not
    ///
    /// - Tasks alternate at their `.await`s; a poll is never interrupted.
    /// - What one task polls within its own polls is not shuffled: the futures of a `join!`, the
    ///   children of a [`scope`](crate::task::scope).
    /// - When the operating system reports events, what time a real clock shows and what other threads do
    ///   is up to them. As far as a test depends on none of this, a seed repeats the same order
    ///   on every platform. Another version of glassfrog may make other orders of the same seeds.
    ///
    /// # How to search
    ///
    /// Run the test with many seeds: `#[glassfrog::test(iterations = 1000)]` does, and prints the first
    /// seed that fails and the last polls of its run. (With a runtime that you make yourself, print the
    /// seed yourself; nothing is printed then.) A mistake that shows when `n` choices in a row go the same way
    /// among `k` ready tasks shows with about one of `k`ⁿ seeds: five steps of one of three tasks before
    /// the others take any are found within a thousand seeds.
    ///
    /// # Examples
    ///
    /// Two tasks increment a counter, and lose an update if both read it before the first of them writes:
    ///
    /// ```
    /// use glassfrog::task::yield_now;
    /// use std::cell::Cell;
    /// use std::rc::Rc;
    ///
    /// fn count(seed: u64) -> u32 {
    ///     let runtime = glassfrog::Runtime::builder().seed(seed).build().unwrap();
    ///     runtime.block_on(async {
    ///         let count = Rc::new(Cell::new(0));
    ///         let tasks = [(); 2].map(|()| {
    ///             let count = Rc::clone(&count);
    ///             glassfrog::spawn(async move {
    ///                 let read = count.get();
    ///                 yield_now().await;
    ///                 count.set(read + 1);
    ///             })
    ///         });
    ///         for task in tasks {
    ///             task.await.unwrap();
    ///         }
    ///         count.get()
    ///     })
    /// }
    ///
    /// assert_eq!(count(1), count(1));
    /// // In some orders one task has written before the other reads, in some it has not.
    /// assert!((0..64).any(|seed| count(seed) == 2));
    /// assert!((0..64).any(|seed| count(seed) == 1));
    /// ```
    pub fn seed(mut self, seed: u64) -> Builder {
        self.settings.seed = Some(seed);
        self
    }

    /// Limits how many threads [blocking jobs](crate::task::spawn_blocking) may have; 512 if nothing
    /// is said. Look-ups of names have up to 32 more of their own.
    ///
    /// # Panics
    ///
    /// If `threads` is zero: no job could ever run.
    ///
    /// # Examples
    ///
    /// ```
    /// let runtime = glassfrog::Runtime::builder().blocking_threads(4).build()?;
    /// # std::io::Result::Ok(())
    /// ```
    #[track_caller]
    pub fn blocking_threads(mut self, threads: usize) -> Builder {
        assert!(threads > 0, "blocking jobs need at least one thread");
        self.settings.blocking_threads = threads;
        self
    }

    /// Chooses what the panic of a task does; [`OnTaskPanic::Log`] if nothing is said.
    ///
    /// With [`OnTaskPanic::EndRuntime`] every panic of a task ends the runtime, whether anybody
    /// holds the task's handle or not: all tasks are cancelled, and `block_on` panics with what the
    /// task panicked with. A further `block_on` panics too. (A panic of a
    /// [blocking job](crate::task::spawn_blocking) is its handle's only, whatever is chosen.)
    ///
    /// # Examples
    ///
    /// ```should_panic
    /// use glassfrog::OnTaskPanic;
    ///
    /// let runtime = glassfrog::Runtime::builder()
    ///     .on_task_panic(OnTaskPanic::EndRuntime)
    ///     .build()?;
    /// runtime.block_on(async {
    ///     glassfrog::spawn(async { panic!("this must not go unnoticed") });
    ///     std::future::pending::<()>().await
    /// });
    /// # std::io::Result::Ok(())
    /// ```
    pub fn on_task_panic(mut self, policy: OnTaskPanic) -> Builder {
        self.settings.on_task_panic = policy;
        self
    }

    /// Logs a warning about each poll that takes longer than this: what it was, where it was spawned,
    /// and how long it took. In debug builds this is on without being asked for, with 100 ms;
    /// [`Duration::MAX`] turns it off.
    ///
    /// Meanwhile nobody else on this thread runs. What blocks belongs into
    /// [`spawn_blocking`](crate::task::spawn_blocking).
    ///
    /// # Costs
    ///
    /// Two readings of the clock a poll, about 50 ns.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let runtime = glassfrog::Builder::new().watchdog(Duration::from_millis(10)).build()?;
    /// runtime.block_on(async {
    ///     // What no task should do.
    ///     std::thread::sleep(Duration::from_millis(20));
    ///     glassfrog::task::yield_now().await;
    ///     assert_eq!(glassfrog::Handle::current().metrics().slow_polls, 1);
    /// });
    /// # std::io::Result::Ok(())
    /// ```
    pub fn watchdog(mut self, limit: Duration) -> Builder {
        self.settings.watchdog = Some(limit);
        self
    }

    /// Has a thread of its own log a warning about a poll that takes longer than this *while* it does,
    /// so that also one that never ends is heard of.
    ///
    /// # Costs
    ///
    /// A thread, which wakes up four times in that time; and for each poll two readings of the clock,
    /// a lock, and a copy of the task's name, about 100 ns.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let builder = glassfrog::Builder::new().watchdog_thread(Duration::from_secs(1));
    /// let runtime = builder.build()?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn watchdog_thread(mut self, limit: Duration) -> Builder {
        self.settings.watchdog_thread = Some(limit);
        self
    }

    /// Chooses what happens when it is certain that no task will ever be woken;
    /// [`OnDeadlock::Log`] if nothing is said.
    ///
    /// It is certain if nobody waits for a deadline or a socket, no blocking job waits or runs, there
    /// is no [`Handle`] and no [`AbortHandle`](crate::task::AbortHandle), and nobody holds the waker of
    /// a task but the runtime itself; and if no socket and no sleep of the runtime was ever waited for
    /// elsewhere. Nobody can then wake anything. Where a waker is held, by a channel for example, it is not certain: its
    /// sender may be on another thread. See [`stall_report`](Builder::stall_report) for that.
    ///
    /// Under a [virtual clock](Builder::virtual_clock), a sleep that never ends, such as
    /// `sleep(Duration::MAX)`, does not count as a wait for a deadline.
    ///
    /// (A [`JoinHandle`](crate::task::JoinHandle) on another thread does not count. All it could still
    /// do is to abort its task.)
    ///
    /// # Examples
    ///
    /// ```should_panic
    /// use glassfrog::OnDeadlock;
    ///
    /// let builder = glassfrog::Builder::new().on_deadlock(OnDeadlock::Panic);
    /// let runtime = builder.build()?;
    /// // Panics, and says that nobody holds the waker of `main`.
    /// runtime.block_on(std::future::pending::<()>());
    /// # std::io::Result::Ok(())
    /// ```
    pub fn on_deadlock(mut self, policy: OnDeadlock) -> Builder {
        self.settings.on_deadlock = policy;
        self
    }

    /// Logs a warning, with the dump, when for so long nothing has happened in a runtime in which nobody
    /// waits for a deadline, a socket or a blocking job: then tasks can only be woken from outside, by
    /// another thread, or by a task that waits itself. That is how a lock that is locked twice and a
    /// channel to oneself look. It is told once, until somebody runs again.
    ///
    /// Where this is normal, as in a runtime that works for other threads, leave it out. Where somebody
    /// always listens or sleeps, as in a server, it never comes: take a [dump](Handle::dump).
    /// `#[glassfrog::test]` sets five seconds, and prints it to the standard error stream too.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let builder = glassfrog::Builder::new().stall_report(Duration::from_secs(5));
    /// let runtime = builder.build()?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn stall_report(mut self, after: Duration) -> Builder {
        self.settings.stall_report = Some(after);
        self
    }

    /// Prints that, and the report of a standstill of the clock, to the standard error stream too. For the
    /// attribute `test`.
    #[doc(hidden)]
    pub fn stall_to_stderr(mut self) -> Builder {
        self.settings.stall_to_stderr = true;
        self
    }

    /// Sets how long the runtime waits where it otherwise waits for seconds of real time: for the loop to
    /// answer a dump, with an idle thread of the pool for the next job, and with jobs in the queue before it
    /// reports that none begins. For the crate's own tests.
    #[doc(hidden)]
    pub fn test_patience(mut self, patience: Duration) -> Builder {
        self.settings.test_patience = Some(patience);
        self
    }

    /// Makes the runtime.
    ///
    /// # Errors
    ///
    /// If the operating system has no descriptors or memory left for the event queue, or no thread
    /// for the watchdog. On Linux a runtime takes three descriptors.
    ///
    /// # Examples
    ///
    /// ```
    /// let runtime = glassfrog::Runtime::builder().build()?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn build(self) -> io::Result<Runtime> {
        Ok(Runtime {
            core: Rc::new(Core::new(&self.settings)?),
        })
    }
}
